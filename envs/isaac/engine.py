"""Isaac Lab as a plant's engine: what a policy file is flown in with ``--plant isaac``."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from corvids.controllers.packing import map_leaves, pack, unpack
from corvids.controllers.rate_loop import Four, RateCommand, gains_of
from corvids.controllers.spatial import Vec3
from corvids.envs.engines.contact import SOLVER, Contact, solver_of
from corvids.envs.engines.engine import PARAMS, TICK_S, State
from corvids.envs.engines.native import NativeEngine
from corvids.envs.isaac.colliders import Materials
from corvids.envs.isaac.fused import fused
from corvids.envs.isaac.scene import SceneBodies, inertias_of, open_scene, scene_cfg
from corvids.envs.isaac.simulator import packed
from corvids.envs.isaac.struck import take_struck
from corvids.envs.isaac.substep import BODIES, placed, push, take
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.world import AT_REST, WorldParams, control
from corvids.vehicle import Vehicle


class IsaacEngine(NativeEngine):
    """``worlds`` worlds in an Isaac Lab scene (see :class:`corvids.envs.engines.engine.Engine`), in single precision.

    Packed states, commands and what is read of them are the native engine's; only a tick is another. There is one Isaac
    Lab simulation in a process: a new engine ends the one before. ``contact``: whose impacts of ball and vehicle are.
    """

    def __init__(
        self,
        vehicle: Vehicle,
        worlds: int,
        *,
        compile_kernels: bool = True,
        with_ball: bool = True,
        contact: Contact = "ours",
    ) -> None:
        self._solver = solver_of(contact)
        super().__init__(vehicle, worlds, compile_kernels=compile_kernels, with_ball=with_ball)

    def _make_ticks(self, vehicle: Vehicle, with_ball: bool, compile_kernels: bool) -> None:
        nominal = world_params(vehicle, BallConfig(), TICK_S, with_ball)
        inertias = inertias_of(nominal)
        gains_tree = gains_of(vehicle, TICK_S, dtype=self._dtype)
        every_gains = pack(map_leaves(lambda gain: gain.reshape(1, 1).expand(self._rows, 1), gains_tree))
        collided = with_ball and self._solver != SOLVER
        cfg = scene_cfg(nominal, self.worlds, with_ball, collided)
        self._simulation, scene = open_scene(cfg, TICK_S, solver=self._solver)
        self._scene, self._bodies = scene, SceneBodies(scene, self._rows)
        self._materials = Materials() if collided else None

        def fly(state, params, gains, command):
            thrust_n, *rates = command.unbind(0)
            order = RateCommand(thrust_n, Vec3(*rates))
            world = control(unpack(state, AT_REST), order, unpack(gains, gains_tree), TICK_S)
            return packed(*push(world, unpack(params, PARAMS), inertias, TICK_S))

        def drive(state, params, command):
            world = unpack(state, AT_REST)._replace(command=Four(*command.unbind(0)))
            return packed(*push(world, unpack(params, PARAMS), inertias, TICK_S))

        def land(state, bodies, params):
            world, seen = unpack(state, AT_REST), unpack(bodies, BODIES)
            if collided:
                return packed(*take_struck(world, seen, unpack(params, PARAMS), inertias, TICK_S))
            return packed(*take(world, seen, unpack(params, PARAMS), TICK_S, with_ball))

        def put(state):
            world = unpack(state, AT_REST)
            return packed(placed(world.body, world.ball, TICK_S))

        device = torch.device("cpu")
        self._land, self._put = fused(land, device, compile_kernels), put
        controlled, driven = (fused(function, device, compile_kernels) for function in (fly, drive))
        self._tick = functools.partial(
            self._step, lambda state, params, command: controlled(state, params, every_gains, command)
        )
        self._tick_motors = functools.partial(self._step, driven)

    def reset(self, state: State, params: WorldParams) -> None:
        super().reset(state, params)
        (bodies,) = self._put(self._state)
        every = torch.arange(self.worlds)
        self._bodies.place(every, bodies[:, : self.worlds, 0])
        if self._materials:
            self._materials.set(every, unpack(self._params[:, : self.worlds], PARAMS))

    def _step(self, push_: Callable[..., Any], state, params, command) -> torch.Tensor:
        """One physics step: our loads, Isaac Lab's bodies, our impacts."""
        ahead, loads = push_(state, params, command)
        self._bodies.push(loads)
        self._scene.write_data_to_sim()
        self._simulation.step(render=False)
        self._scene.update(TICK_S)
        after, bodies, touched = self._land(ahead, self._bodies.read(), params)
        ids = (touched[0, : self.worlds, 0] > 0.0).nonzero().squeeze(-1)
        self._bodies.place(ids, bodies[:, ids, 0])
        return after
