"""The training simulator with Isaac Lab's bodies: the same packed worlds, history and delays as the native one's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from corvids.controllers.packing import leaves, unpack
from corvids.controllers.rate_loop import RateCommand
from corvids.controllers.spatial import Vec3
from corvids.envs.engines.contact import SOLVER, Contact, solver_of
from corvids.envs.isaac.colliders import Materials
from corvids.envs.isaac.fused import fused
from corvids.envs.isaac.in_steps import InSteps
from corvids.envs.isaac.scene import SceneBodies, inertias_of
from corvids.envs.isaac.struck import take_struck
from corvids.envs.isaac.substep import BODIES, placed, push, take
from corvids.envs.physics.world import AT_REST, control
from corvids.envs.simulator import SENSED_ROWS, Simulator


class IsaacSimulator(InSteps, Simulator):
    """Worlds of ``scene``, stepped by ``advance`` (one physics step of Isaac Lab); else a :class:`Simulator`."""

    def __init__(
        self, scene: Any, advance: Callable[[], None], *args: Any, contact: Contact, **options: Any
    ) -> None:
        self._scene, self._advance = scene, advance
        self._contact: Contact = contact
        super().__init__(*args, **options)

    def _build(self, compile_kernels: bool) -> None:
        nominal, dt_s, with_ball = self._nominal, self.dt_s, self._with_ball
        self._bodies = SceneBodies(self._scene, self.rows)
        collided = with_ball and solver_of(self._contact) != SOLVER
        self._materials = Materials() if collided else None
        inertias, loop_s = inertias_of(nominal), dt_s * self._control_every
        gains_tree = self._gains
        self._every_gains = self.gains.expand(-1, self.rows, 1).contiguous()

        def controlled(state, params, gains, command):
            thrust_n, *rates = command.unbind(0)
            order = RateCommand(thrust_n, Vec3(*rates))
            world = control(unpack(state, AT_REST), order, unpack(gains, gains_tree), loop_s)
            return packed(*push(world, unpack(params, nominal), inertias, dt_s))

        def coasting(state, params):
            return packed(*push(unpack(state, AT_REST), unpack(params, nominal), inertias, dt_s))

        def landed(state, bodies, params):
            world, seen = unpack(state, AT_REST), unpack(bodies, BODIES)
            if collided:
                return packed(*take_struck(world, seen, unpack(params, nominal), inertias, dt_s))
            return packed(*take(world, seen, unpack(params, nominal), dt_s, with_ball))

        self._controlled, self._coasting, self._landed = (
            fused(function, self.device, compile_kernels) for function in (controlled, coasting, landed)
        )

    def before(self) -> None:
        """Hand the loads of the coming physics step to Isaac Lab."""
        if self._index % self._control_every == 0:
            order = torch.where(self._delay_steps <= self._index, self._next, self.command)
            self._ahead, loads = self._controlled(self.state, self.params, self._every_gains, order)
        else:
            self._ahead, loads = self._coasting(self.state, self.params)
        self._bodies.push(loads)

    def after(self) -> None:
        """Take what the physics step made of the bodies, and put them where ground or racket leave them."""
        after, bodies, touched = self._landed(self._ahead, self._bodies.read(), self.params)
        self.state.copy_(after)
        ids = (touched[0, : self.worlds, 0] > 0.0).nonzero().squeeze(-1)
        self._bodies.place(ids, bodies[:, ids, 0])
        self._index += 1
        if self._index % 2 == 0:
            self._head = (self._head + 1) % len(self.history)
            self.history[self._head].copy_(self.state[:SENSED_ROWS])

    def finish(self) -> None:
        """End the control step."""
        self.newest.fill_(self._head)
        self.command.copy_(self._next)

    def forget(self, ids: torch.Tensor) -> None:
        """As :meth:`Simulator.forget`; Isaac Lab's bodies go where the worlds' states are."""
        super().forget(ids)
        real = ids[ids < self.worlds]
        world = unpack(self.state[:, real], AT_REST)
        (bodies,) = packed(placed(world.body, world.ball, self.dt_s))
        self._bodies.place(real, bodies[..., 0])
        if self._materials:
            self._materials.set(real, unpack(self.params[:, real], self._nominal))


def packed(*trees: Any) -> tuple[torch.Tensor, ...]:
    """Each tree's leaves in one tensor."""
    return tuple(torch.stack(list(leaves(tree))) for tree in trees)
