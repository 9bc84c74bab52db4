"""MuJoCo as a plant's engine: its own rigid bodies, integrator and contact, under our rate loop and rotors.

Thrust, drag and the gyroscopic torque of the rotors are computed here, from MuJoCo's state at the middle of each step,
and handed over as applied forces. The laws are stated in :mod:`corvids.envs.physics.vehicle_dynamics` and
:mod:`corvids.envs.physics.ball`; nothing of their implementation is used.
"""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo has no type stubs.)
from __future__ import annotations

from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.engines import mujoco_model
from corvids.envs.engines.autopilot import Autopilot, RotorWrench
from corvids.envs.engines.engine import TICK_S, Array, Contacts, State, check_state, spread
from corvids.envs.engines.mujoco_contact import racket_references
from corvids.envs.engines.mujoco_model import AIRFRAME, BALL, GEOMS, QPOS, QVEL, RACKET
from corvids.envs.physics.world import WorldParams
from corvids.errors import CorvidsError
from corvids.vehicle import GRAVITY_MPS2, Vehicle

NEAR_M = 1e-3
"""How far above contact a ball already counts as touching its racket [m]."""
PARKING_M = 1e3
"""Height at which retired worlds hang still [m]."""


class MujocoEngine:
    """``worlds`` worlds in one MuJoCo model (see :class:`corvids.envs.engines.engine.Engine`).

    ``steps_per_tick`` MuJoCo steps make one tick of 2 ms. ``integrator`` ``"rk4"`` is for comparisons of free flight:
    contact is set for ``"euler"`` and switched off otherwise.
    """

    dt_s = TICK_S

    def __init__(
        self,
        vehicle: Vehicle,
        worlds: int,
        *,
        steps_per_tick: int = 2,
        integrator: Literal["euler", "rk4"] = "euler",
        compile_kernels: bool = True,
    ) -> None:
        if steps_per_tick < 2:
            raise CorvidsError(f"steps_per_tick = {steps_per_tick} must be 2 or more: contact needs 1 kHz")
        self.worlds = worlds
        self._steps = steps_per_tick
        self._dt_s = TICK_S / steps_per_tick
        self._integrator = integrator
        self._autopilot = Autopilot(vehicle, worlds, compile_kernels=compile_kernels)

    def reset(self, state: State, params: WorldParams) -> None:
        check_state(state, self.worlds)
        params = spread(params, self.worlds)
        kind = (
            mujoco.mjtIntegrator.mjINT_RK4 if self._integrator == "rk4" else mujoco.mjtIntegrator.mjINT_EULER
        )
        model = mujoco_model.build(params, self.worlds, self._dt_s, kind)
        if self._integrator == "rk4":
            model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONTACT
        self._model, self._data = model, mujoco.MjData(model)
        self._params = map_leaves(np.ascontiguousarray, params)
        self._autopilot.reset(state.rotors, params)

        # Views of MuJoCo's arrays, one row per quantity, one column per world.
        data = self._data
        self._qpos = data.qpos.reshape(-1, QPOS).T
        self._qvel = data.qvel.reshape(-1, QVEL).T
        self._smooth = data.qacc_smooth.reshape(-1, QVEL).T
        self._applied = data.qfrc_applied.reshape(-1, QVEL).T
        self._qpos[0:3], self._qpos[3:7] = state.pos_w.T, state.quat_wb.T
        self._qpos[7:10], self._qpos[10:14] = state.ball_pos_w.T, np.array([[1.0], [0.0], [0.0], [0.0]])
        self._qvel[0:3], self._qvel[3:6] = state.vel_w.T, state.omega_b.T
        self._qvel[6:9], self._qvel[9:12] = state.ball_vel_w.T, state.ball_spin_w.T

        self._racket_pairs = mujoco_model.pairs_between(model, RACKET, BALL)
        racket, ball = self._params.racket, self._params.ball
        reach = np.sqrt(racket.center_b.norm2()) + racket.radius_m + ball.radius_m
        self._reach2 = reach * reach
        slope = np.sqrt(np.maximum(1.0 - racket.normal_b.z**2, 0.0))
        self._face_height = racket.center_b.z + ball.radius_m + reach * slope + NEAR_M
        self._alive = np.ones(self.worlds, dtype=bool)
        self._pressed = np.zeros((self.worlds, 2), dtype=bool)
        self._counts = np.zeros((self.worlds, 2), dtype=np.int64)
        self._impact_pos_w = np.zeros((self.worlds, 3))
        self._specific_force_w = np.zeros((self.worlds, 3))
        self._motors = np.zeros((self.worlds, 4))
        mujoco.mj_forward(model, data)

    def step(self, thrust_n: Array, rate_b_radps: Array) -> None:
        self._advance(self._autopilot.fly(self._qvel[3:6].T, thrust_n, rate_b_radps))

    def step_motors(self, command: Array) -> None:
        self._advance(self._autopilot.drive(command))

    def retire(self, done: NDArray[np.bool_]) -> None:
        """Hang worlds up where nothing touches them, weightless and at rest."""
        self._alive &= ~done
        self._qpos[:, done], self._qvel[:, done] = 0.0, 0.0
        self._qpos[[[3], [10]], done] = 1.0
        self._qpos[2, done], self._qpos[9, done] = PARKING_M, 2.0 * PARKING_M
        self._data.qacc_warmstart.reshape(-1, QVEL)[done] = 0.0

    @property
    def state(self) -> State:
        qpos, qvel = self._qpos.T, self._qvel.T
        spin_w = Quat(*self._qpos[10:14]).rotate(Vec3(*self._qvel[9:12]))
        return State(
            pos_w=qpos[:, 0:3].copy(),
            vel_w=qvel[:, 0:3].copy(),
            quat_wb=qpos[:, 3:7].copy(),
            omega_b=qvel[:, 3:6].copy(),
            rotors=self._autopilot.rotors,
            ball_pos_w=qpos[:, 7:10].copy(),
            ball_vel_w=qvel[:, 6:9].copy(),
            ball_spin_w=np.column_stack(spin_w),
        )

    @property
    def specific_force_w(self) -> Array:
        return self._specific_force_w

    @property
    def motors(self) -> Array:
        return self._motors

    @property
    def contacts(self) -> Contacts:
        return Contacts(self._counts[:, RACKET], self._impact_pos_w.copy(), self._counts[:, AIRFRAME])

    def _advance(self, rotors: RotorWrench) -> None:
        before = self._qvel[0:3].copy()
        self._motors = rotors.motors.T.copy()
        self._counts = np.zeros_like(self._counts)
        for _ in range(self._steps):
            self._apply(rotors)
            self._prepare_contact()
            mujoco.mj_step(self._model, self._data)
            self._note_contacts()
        force = (self._qvel[0:3] - before) * (1.0 / TICK_S)
        force[2] += GRAVITY_MPS2
        self._specific_force_w = force.T

    def _apply(self, rotors: RotorWrench) -> None:
        """Hand over forces and torques at the middle of the coming step."""
        vehicle, ball, wind = self._params.vehicle, self._params.ball, self._params.wind_w
        half = 0.5 * self._dt_s
        middle = self._qvel + self._smooth * half  # without contact forces, which are impulses
        vel, ball_vel = Vec3(*middle[0:3]), Vec3(*middle[6:9])
        omega, ball_omega = Vec3(*middle[3:6]), Vec3(*middle[9:12])
        axes = Quat(*self._qpos[3:7]).turned(omega * half).matrix()

        air = axes.unrotate(vel - wind)
        drag = zip(air, vehicle.linear_drag_nspm, vehicle.quadratic_drag_ns2pm2, strict=True)
        force_x, force_y, force_z = (-v * (linear + quadratic * np.abs(v)) for v, linear, quadratic in drag)
        damping, spin = omega.scale(vehicle.angular_drag_nmsprad), rotors.spin_momentum
        applied = self._applied
        applied[0:3] = axes.rotate(Vec3(force_x, force_y, force_z + rotors.thrust_n))
        applied[3:6] = rotors.torque_b
        applied[3] -= damping.x + spin * omega.y
        applied[4] -= damping.y - spin * omega.x
        applied[5] -= damping.z

        air = ball_vel - wind
        lift = Quat(*self._qpos[10:14]).rotate(ball_omega).cross(air) * (ball.magnus * ball.mass_kg)
        applied[6:9] = air * (-ball.drag_per_m * ball.mass_kg * np.sqrt(air.norm2())) + lift
        if not self._alive.all():
            idle = ~self._alive
            applied[:, idle] = 0.0
            applied[2, idle], applied[8, idle] = (
                GRAVITY_MPS2 * m[idle] for m in (vehicle.mass_kg, ball.mass_kg)
            )

    def _prepare_contact(self) -> None:
        """Say what an impact in the coming step would be like, for each ball that is about to touch its racket."""
        between = self._qpos[7:10] - self._qpos[0:3]
        is_near = np.sum(between * between, axis=0) < self._reach2
        if not is_near.any():
            return
        w, x, y, z = self._qpos[3:7]
        up = 2.0 * ((x * z + w * y) * between[0] + (y * z - w * x) * between[1])
        up += (1.0 - 2.0 * (x * x + y * y)) * between[2]
        near = np.flatnonzero(is_near & (up < self._face_height))
        if len(near) == 0:
            return
        qpos, qvel, accel = self._qpos[:, near], self._qvel[:, near], self._smooth[:, near]
        axes = Quat(*qpos[3:7]).matrix()
        solref, solreffriction = racket_references(
            axes.unrotate(Vec3(*between[:, near])),
            axes.unrotate(Vec3(*(qvel[6:9] - qvel[0:3]))),
            axes.unrotate(Vec3(*(accel[6:9] - accel[0:3]))),
            Vec3(*qvel[3:6]),
            axes.unrotate(Quat(*qpos[10:14]).rotate(Vec3(*qvel[9:12]))),
            map_leaves(lambda leaf: leaf[near], self._params),
            self._dt_s,
        )
        rows = self._racket_pairs[near]
        self._model.pair_solref[rows], self._model.pair_solreffriction[rows] = solref, solreffriction

    def _note_contacts(self) -> None:
        """Count what the ball has begun to touch in the step just made."""
        data = self._data
        pressed, self._pressed = self._pressed, np.zeros_like(self._pressed)
        if data.ncon == 0:
            return
        contact = data.contact
        part = contact.geom - 1  # the ground is geom 0
        is_ball = (part % GEOMS == BALL) & (part >= 0)
        of_ball = is_ball.any(axis=1) & (part >= 0).all(axis=1)
        if not of_ball.any():
            return
        part, is_ball, frame = part[of_ball], is_ball[of_ball], contact.frame[of_ball]
        depth, middle_w = -contact.dist[of_ball], contact.pos[of_ball]
        world = part[:, 0] // GEOMS
        other = np.where(is_ball[:, 0], part[:, 1], part[:, 0])
        touched = other % GEOMS
        is_pushed = data.efc_force[contact.efc_address[of_ball]] > 0.0
        self._pressed[world, touched] = pressed[world, touched] | is_pushed
        begun = is_pushed & ~pressed[world, touched]

        # A contact's normal points from its first geom to its second; a racket's z axis is its normal.
        normal_w = frame[:, :3] * np.where(is_ball[:, 0], -1.0, 1.0)[:, None]
        racket_normal_w = data.geom_xmat[other + 1][:, 2::3]
        on_face = begun & (touched == RACKET) & (np.sum(normal_w * racket_normal_w, axis=1) > 0.0)
        radius = self._params.ball.radius_m[world]
        self._impact_pos_w[world[on_face]] = (middle_w + normal_w * (radius + 0.5 * depth)[:, None])[on_face]
        np.add.at(self._counts, (world[on_face], RACKET), 1)
        other_begun = begun & ~on_face
        np.add.at(self._counts, (world[other_begun], AIRFRAME), 1)
