"""Teams and their loads in MuJoCo, an engine that is independent of the native one.

All worlds lie in one model, on the same spot, as in :mod:`corvids.envs.engines.mujoco_model`. MuJoCo integrates the
rigid bodies and pulls the cables, each a spatial tendon between two sites. As ``"spring"`` it has MuJoCo's tendon
stiffness beyond its length and the damping of :class:`~corvids.envs.physics.cables.CableParams` while it is taut; as
``"limit"`` it does not stretch at all: MuJoCo's constraint solver keeps it within its length. Rotors follow the law
of :mod:`corvids.envs.physics.vehicle_dynamics` by an implementation of their own, in numpy, with their own short step.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo has no type stubs.)
from __future__ import annotations

from typing import Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import TeamParams
from corvids.errors import CorvidsError
from corvids.team import Team
from corvids.vehicle import GRAVITY_MPS2

Array = NDArray[np.float64]
TICK_S = 0.002
"""Motor commands are held for so long [s]."""
RIGID = (0.9999, 0.9999, 0.001, 0.5, 2.0)
"""MuJoCo's ``solimp`` of a limit that follows its reference."""
GEAR_SIDE_M, GEAR_FRICTION = 0.1, 0.8
"""Half the side of the plate on which a drone stands, and its friction."""


class MujocoTeam:
    """Worlds with a team each, stepped tick by tick under motor commands.

    ``params`` have leaves of shape ``(worlds, drones)`` and ``(worlds, 1)`` as
    :func:`corvids.envs.physics.team_nominal.team_params` gives them, made for a step of ``TICK_S``; every tick is
    ``steps_per_tick`` steps of MuJoCo's RK4. Bodies are ordered world by world, each world's drones and then its load;
    drones by themselves in the same order.
    """

    def __init__(
        self, params: TeamParams, *, cables: Literal["spring", "limit"] = "spring", steps_per_tick: int = 20
    ) -> None:
        if steps_per_tick < 1:
            raise CorvidsError(f"steps_per_tick = {steps_per_tick} must be 1 or more")
        self._steps = steps_per_tick
        self.worlds, self.drones = params.drones.wind_w.x.shape
        self._params = map_leaves(lambda leaf: leaf.numpy().astype(np.float64).reshape(-1), params)
        bodies = np.arange(self.worlds * (self.drones + 1)).reshape(self.worlds, -1)
        self.of_drones, self.of_loads = bodies[:, :-1].reshape(-1), bodies[:, -1]
        """Which bodies are drones, and which are loads."""
        self._model = _build(self._params, self.drones, cables, TICK_S / steps_per_tick)
        self._cables = cables
        self._data = mujoco.MjData(self._model)
        self.tension_n = np.zeros(len(self.of_drones))
        """Mean tension of every cable in the last tick [N]."""
        self._rotors = np.zeros((len(self.of_drones), 4))
        self._qpos = self._data.qpos.reshape(-1, 7)
        self._qvel = self._data.qvel.reshape(-1, 6)
        self._applied = self._data.qfrc_applied.reshape(-1, 6)

    def reset(self, pos_w: Array, quat_wb: Array, vel_w: Array, omega_b: Array, rotors: Array) -> None:
        """Put bodies (worlds · (drones + 1), ·) and rotors (worlds · drones, 4) into a state."""
        self._qpos[:, :3], self._qpos[:, 3:] = pos_w, quat_wb
        self._qvel[:, :3], self._qvel[:, 3:] = vel_w, omega_b
        self._rotors = np.array(rotors, dtype=np.float64)
        mujoco.mj_forward(self._model, self._data)

    def step(self, command: Array) -> None:
        """One tick under motor commands 0..1 (worlds · drones, 4)."""
        total = np.zeros(len(self.of_drones))
        for _ in range(self._steps):
            self._apply(command)
            if self._cables == "spring":
                self._damp()
            mujoco.mj_step(self._model, self._data)
            total += self._tension()
        self.tension_n = total / self._steps

    def lose(self, drones: NDArray[np.bool_], cut: NDArray[np.bool_]) -> None:
        """All thrust of ``drones`` (mask) is gone from now on; so are the cables of those in ``cut``."""
        for full_n in self._params.drones.vehicle.thrust_max_n:
            full_n[drones] = 0.0
        self._params.drones.cable.attached[cut] = 0.0
        self._model.tendon_stiffness[cut] = 0.0
        self._model.tendon_limited[cut] = 0

    @property
    def pos_w(self) -> Array:
        """Positions of all bodies [m], (worlds · (drones + 1), 3)."""
        return self._qpos[:, :3].copy()

    @property
    def quat_wb(self) -> Array:
        """Attitudes of all bodies, (worlds · (drones + 1), 4)."""
        return self._qpos[:, 3:].copy()

    @property
    def vel_w(self) -> Array:
        """Velocities of all bodies [m/s], world, (worlds · (drones + 1), 3)."""
        return self._qvel[:, :3].copy()

    @property
    def omega_b(self) -> Array:
        """Their angular velocities [rad/s], body, (worlds · (drones + 1), 3)."""
        return self._qvel[:, 3:].copy()

    def _tension(self) -> Array:
        """Tension of every cable in the step just made [N]."""
        if self._cables == "limit":
            data, tension = self._data, np.zeros(len(self.of_drones))
            rows = np.flatnonzero(data.efc_type == mujoco.mjtConstraint.mjCNSTR_LIMIT_TENDON)
            tension[data.efc_id[rows]] = data.efc_force[rows]
            return tension
        cable = self._params.drones.cable
        stretch = self._data.ten_length - cable.length_m
        spring = cable.stiffness_npm * np.maximum(stretch, 0.0) * cable.attached
        return spring + self._model.tendon_damping * self._data.ten_velocity

    def _damp(self) -> None:
        """Give a cable its damping while it is taut, unless that made it push."""
        cable = self._params.drones.cable
        stretch = self._data.ten_length - cable.length_m
        pull = cable.stiffness_npm * stretch + cable.damping_nspm * self._data.ten_velocity
        taut = (stretch > 0.0) & (pull > 0.0) & (cable.attached > 0.0)
        self._model.tendon_damping[:] = np.where(taut, cable.damping_nspm, 0.0)

    def _apply(self, command: Array) -> None:
        """Forces of rotors and air for the coming step."""
        params, dt_s = self._params.drones.vehicle, TICK_S / self._steps
        curve, lag = params.command_curve[:, None], params.lag_curve[:, None]
        fraction = command * (curve * command + 1.0 - curve)
        target = np.maximum(fraction + (np.sqrt(fraction) - fraction) * lag, params.idle[:, None])
        # exp(-TICK/τ) to the power of 1/steps is the lag's part of one short step.
        part = np.where(target > self._rotors, params.rise_fraction[:, None], params.fall_fraction[:, None])
        new = self._rotors + (target - self._rotors) * (1.0 - (1.0 - part) ** (1.0 / self._steps))
        middle = 0.5 * (self._rotors + new)
        thrust = np.stack(params.thrust_max_n, axis=1) * middle * (lag * middle + 1.0 - lag)
        x, y, spin = (
            np.stack(column, axis=1) for column in (params.rotor_x_b_m, params.rotor_y_b_m, params.spin)
        )
        momentum = params.rotor_inertia_kgm2 * params.rotor_speed_max_radps
        change = momentum * np.sum(spin * (new - self._rotors), axis=1) / dt_s
        gyro = momentum * np.sum(spin * middle, axis=1)
        self._rotors = new

        omega = Vec3(*self._qvel[:, 3:].T)
        axes = Quat(*self._qpos[:, 3:].T).turned(omega * (0.5 * dt_s)).matrix()
        load = self._params.load
        winds = zip(self._params.drones.wind_w, load.wind_w, strict=True)
        wind = Vec3(*(self._each(*pair) for pair in winds))
        air = axes.unrotate(Vec3(*self._qvel[:, :3].T) - wind)
        drag = [
            -v * (self._each(linear, 0.0) + self._each(quadratic, of_load) * np.abs(v))
            for v, linear, quadratic, of_load in zip(
                air,
                params.linear_drag_nspm,
                params.quadratic_drag_ns2pm2,
                load.quadratic_drag_ns2pm2,
                strict=True,
            )
        ]
        drag[2][self.of_drones] += thrust.sum(axis=1)
        self._applied[:, :3] = np.column_stack(axes.rotate(Vec3(*drag)))
        damping = params.angular_drag_nmsprad
        turn_x, turn_y, turn_z = self._qvel[self.of_drones, 3:].T
        self._applied[self.of_drones, 3:] = np.column_stack(
            (
                np.sum(thrust * y, axis=1) - gyro * turn_y - damping.x * turn_x,
                -np.sum(thrust * x, axis=1) + gyro * turn_x - damping.y * turn_y,
                -params.torque_per_thrust_m * np.sum(thrust * spin, axis=1) - change - damping.z * turn_z,
            )
        )
        damping = -load.angular_drag_nmsprad[:, None]
        self._applied[self.of_loads, 3:] = self._qvel[self.of_loads, 3:] * damping

    def _each(self, of_drones: Array, of_loads: Array | float) -> Array:
        """Numbers of drones and of loads as those of all bodies."""
        both = np.empty(len(self._qpos))
        both[self.of_drones], both[self.of_loads] = of_drones, of_loads
        return both


def bare_team(team: Team, timestep_s: float) -> tuple[mujoco.MjModel, Array, Array]:
    """One team that hangs its load on vertical cables: model, full state, and forces on all bodies that hold it.

    Nothing but rigid bodies, gravity, ground and cables that do not stretch, by MuJoCo's cheapest integrator.
    """
    params = map_leaves(lambda leaf: leaf.numpy().reshape(-1), team_params(team, TICK_S))
    drones = len(team.members)
    model = _build(params, drones, "limit", timestep_s)
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
    data = mujoco.MjData(model)
    pos_w = data.qpos.reshape(-1, 7)[:, :3]
    above = np.array(params.drones.cable.load_point_b) - np.array(params.drones.cable.drone_point_b)
    pos_w[:drones] = above.T
    pos_w[:drones, 2] += params.drones.cable.length_m
    pos_w[:, 2] += 1.5
    full = mujoco.mjtState.mjSTATE_FULLPHYSICS
    state = np.empty(mujoco.mj_stateSize(model, full))
    mujoco.mj_getState(model, data, state, full)
    # The most even shares of the load that do not turn it.
    x, y, _ = params.drones.cable.load_point_b
    shares = np.linalg.lstsq(np.stack((np.ones(drones), x, y)), np.array((1.0, 0.0, 0.0)), rcond=None)[0]
    forces = np.zeros((model.nbody, 6))  # the world is the first body
    forces[1 : drones + 1, 2] = GRAVITY_MPS2 * (params.drones.vehicle.mass_kg + params.load.mass_kg * shares)
    return model, state, forces.reshape(-1)


def _build(params: Any, drones: int, cables: str, timestep_s: float) -> mujoco.MjModel:
    """Free bodies, world by world one for each drone and the load last, a tendon for each cable, and a ground."""
    spec = mujoco.MjSpec()
    spec.option.timestep = timestep_s
    spec.option.integrator = mujoco.mjtIntegrator.mjINT_RK4
    spec.option.gravity = (0.0, 0.0, -GRAVITY_MPS2)
    # A world that diverges must not reset the others, which share the model with it.
    spec.option.disableflags |= mujoco.mjtDisableBit.mjDSBL_AUTORESET
    spec.worldbody.add_geom(name="ground", type=mujoco.mjtGeom.mjGEOM_PLANE, size=(0, 0, 1), **_UNTOUCHABLE)
    for world in range(len(params.load.mass_kg)):
        _add_world(spec, params, world, drones, cables, timestep_s)
    return spec.compile()


_UNTOUCHABLE = {"contype": 0, "conaffinity": 0}
"""Geoms touch in the listed pairs only."""


def _add_world(
    spec: mujoco.MjSpec, params: Any, world: int, drones: int, cables: str, timestep_s: float
) -> None:
    vehicle, cable, load = params.drones.vehicle, params.drones.cable, params.load
    members = range(world * drones, (world + 1) * drones)
    for i in members:
        body = _add_body(spec, f"drone{i}", vehicle.mass_kg[i], [j[i] for j in vehicle.inertia_kgm2])
        body.add_site(name=f"above{i}", pos=[p[i] for p in cable.drone_point_b])
        if cables != "limit":
            _add_gear(spec, body, f"drone{i}", vehicle.ground_clearance_m[i])
    name = f"load{world}"
    body = _add_body(spec, name, load.mass_kg[world], [j[world] for j in load.inertia_kgm2])
    size = [half[world] for half in load.half_size_m]
    if min(size) > 0.0:
        kind, middle = mujoco.mjtGeom.mjGEOM_BOX, [c[world] for c in load.center_b_m]
        body.add_geom(name=name, type=kind, size=size, pos=middle, **_UNTOUCHABLE)
        _add_pair(spec, name, load.friction[world])
    for i in members:
        body.add_site(name=f"below{i}", pos=[p[i] for p in cable.load_point_b])
        tendon = spec.add_tendon(name=f"cable{i}")
        tendon.wrap_site(f"above{i}")
        tendon.wrap_site(f"below{i}")
        if cables == "limit":
            tendon.limited, tendon.range = int(cable.attached[i] > 0.0), (0.0, cable.length_m[i])
            tendon.solref_limit, tendon.solimp_limit = (4.0 * timestep_s, 1.0), RIGID
        else:
            tendon.springlength = (0.0, cable.length_m[i])  # slack between these two
            tendon.stiffness[0] = cable.stiffness_npm[i] * cable.attached[i]


def _add_gear(spec: mujoco.MjSpec, body: Any, name: str, clearance_m: float) -> None:
    """What a drone stands on: a plate without mass."""
    size, place = (GEAR_SIDE_M, GEAR_SIDE_M, 0.005), (0.0, 0.0, 0.005 - clearance_m)
    body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_BOX, size=size, pos=place, **_UNTOUCHABLE)
    _add_pair(spec, name, GEAR_FRICTION)


def _add_pair(spec: mujoco.MjSpec, name: str, friction: float) -> None:
    pair = spec.add_pair(geomname1="ground", geomname2=name)
    pair.condim, pair.friction = 3, (friction, friction, 0.0, 0.0, 0.0)


def _add_body(spec: mujoco.MjSpec, name: str, mass_kg: float, inertia_kgm2: list[float]) -> Any:
    body = spec.worldbody.add_body(name=name)
    body.add_freejoint()
    body.explicitinertial = True
    body.mass, body.inertia = mass_kg, inertia_kgm2
    return body
