"""The simulator of teams with Isaac Lab's bodies: the same packed worlds, history and delays as the native one's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from corvids.controllers.packing import leaves, map_leaves, unpack
from corvids.controllers.rate_loop import RateCommand
from corvids.controllers.spatial import Vec3
from corvids.envs.isaac.fused import fused
from corvids.envs.isaac.in_steps import InSteps
from corvids.envs.isaac.scene import SceneBodies
from corvids.envs.isaac.substep import BODIES
from corvids.envs.isaac.team_scene import weights_of
from corvids.envs.isaac.team_substep import placed_team, push_team, take_team
from corvids.envs.physics.inner_loop import INNER_AT_REST, run_inner_loop
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import (
    DRIVE_AT_REST,
    LOAD_AT_REST,
    MOTION_AT_REST,
    NO_PULLS,
    control,
)
from corvids.envs.team_simulator import TeamSimulator
from corvids.team import Team


class IsaacTeamSimulator(InSteps, TeamSimulator):
    """Teams of ``scene``, stepped by ``advance`` (one physics step of Isaac Lab); else a :class:`TeamSimulator`."""

    def __init__(
        self, scene: Any, advance: Callable[[], None], team: Team, worlds: int, **options: Any
    ) -> None:
        self._scene, self._advance, self._team = scene, advance, team
        super().__init__(team, worlds, **options)

    def _build(self, compile_kernels: bool, sweeps: int) -> None:
        self._bodies = SceneBodies(self._scene, self.rows, round_ones=())
        self._every_gains = [
            _rows(gains.expand(-1, -1, self.rows)) for gains in (self._gains, self._inner_gains)
        ]
        self._pushed = fused(self._make_pushed(sweeps), self.device, compile_kernels)
        self._landed = fused(self._make_landed(), self.device, compile_kernels)

    def _make_pushed(self, sweeps: int) -> Callable[..., Any]:
        count, templates, dt_s = self.drones, self._templates, self.dt_s
        with_inner_loop = self._with_inner_loop
        weights = weights_of(team_params(self._team, dt_s))

        def pushed(motion, drive, inner, load, drone_params, load_params, command, loop_gains, inner_gains):
            motions, loops = _each(motion, MOTION_AT_REST, count), _each(inner, INNER_AT_REST, count)
            wanted = _each(command, (0.0,) * self.commands, count)
            if with_inner_loop:
                orders = [loop.order for loop in loops]
                each_gains = _each(inner_gains, self._inner_tree, count)
                loops = [run_inner_loop(*one) for one in zip(loops, wanted, motions, each_gains, strict=True)]
            else:
                orders = [RateCommand(one[0], Vec3(*one[1:])) for one in wanted]
            drives, gains = _each(drive, DRIVE_AT_REST, count), _each(loop_gains, self._gains_tree, count)
            drives = [control(*one, dt_s) for one in zip(motions, drives, orders, gains, strict=True)]
            members = _each(drone_params, templates.drones, count)
            push = push_team(
                motions, drives, unpack(load, LOAD_AT_REST), members, unpack(load_params, templates.load),
                weights, dt_s, sweeps,
            )  # fmt: skip
            acting = torch.stack([leaf for one in push.acting for leaf in leaves(one)])
            return (
                _joined(push.drives),
                _joined(loops),
                _joined(push.pulls),
                _joined([push.load_pull]),
                acting,
            )

        return pushed

    def _make_landed(self) -> Callable[..., Any]:
        count, templates, dt_s = self.drones, self._templates, self.dt_s

        def landed(motion, load, pulls, load_pull, bodies, drone_params):
            carried = unpack(load, LOAD_AT_REST)
            seen = unpack(bodies, (BODIES.vehicle,) * (count + 1))
            members = _each(drone_params, templates.drones, count)
            motions, hauled, posed, touched = take_team(
                _each(motion, MOTION_AT_REST, count), carried, _each(pulls, NO_PULLS, count),
                unpack(load_pull, carried.pull), seen, members, dt_s,
            )  # fmt: skip
            return _joined(motions), _joined([hauled]), _bodies(posed), torch.stack([touched])

        return landed

    def before(self) -> None:
        """Hand the loads of the coming physics step to Isaac Lab."""
        order = torch.where(self._delay_steps <= self._index, self._next, self.command)
        states = (self.motion, self.drive, self.inner, self.load, self.drone_params, self.load_params, order)
        drive, inner, self._pulls, self._load_pull, acting = self._pushed(
            *map(_rows, states), *self._every_gains
        )
        self.drive.copy_(drive.view_as(self.drive))
        self.inner.copy_(inner.view_as(self.inner))
        self._bodies.push(acting)

    def after(self) -> None:
        """Take what the physics step made of the bodies, and put them where the ground leaves them."""
        motion, load, bodies, touched = self._landed(
            _rows(self.motion), _rows(self.load), self._pulls, self._load_pull, self._bodies.read(),
            _rows(self.drone_params),
        )  # fmt: skip
        self.motion.copy_(motion.view_as(self.motion))
        self.load.copy_(load.view_as(self.load))
        ids = (touched[0, : self.worlds, 0] > 0.0).nonzero().squeeze(-1)
        self._bodies.place(ids, bodies[:, ids, 0])
        self._index += 1

    def finish(self) -> None:
        """End the control step."""
        self._end_step(self._next)

    def forget(self, ids: torch.Tensor) -> None:
        """As :meth:`TeamSimulator.forget`; Isaac Lab's bodies go where the worlds' states are."""
        super().forget(ids)
        real = ids[ids < self.worlds]
        motions = _each(_rows(self.motion[:, :, real]), MOTION_AT_REST, self.drones)
        load = unpack(_rows(self.load[:, :, real]), LOAD_AT_REST)
        posed = placed_team([motion.body for motion in motions], load.body, self.dt_s)
        self._bodies.place(real, _bodies(posed)[..., 0])


def _rows(packed: torch.Tensor) -> torch.Tensor:
    """Packed leaves (·, drones, rows) as single rows (· · drones, rows, 1), which fused functions take."""
    return packed.reshape(-1, packed.shape[-1], 1).contiguous()


def _each(rows: torch.Tensor, template: Any, count: int) -> list[Any]:
    """A tree for each drone of such rows; leaves (rows, 1)."""
    every = rows.unbind(0)
    return [_filled(template, every[i::count]) for i in range(count)]


def _filled(template: Any, rows: Sequence[torch.Tensor]) -> Any:
    numbers = iter(rows)
    return map_leaves(lambda _: next(numbers), template)


def _joined(trees: Sequence[Any]) -> torch.Tensor:
    """The opposite."""
    columns = zip(*(leaves(tree) for tree in trees), strict=True)
    return torch.stack([leaf for column in columns for leaf in column])


def _bodies(posed: Sequence[Any]) -> torch.Tensor:
    """Bodies one after the other."""
    return torch.stack([leaf for one in posed for leaf in leaves(one)])
