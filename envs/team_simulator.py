"""Thousands of worlds with a team and its load each, stepped together.

States are packed tensors of shape ``(leaves, drones, worlds)``, worlds innermost, so that kernels run along worlds: the
drones' motion, what drives them, and the load's (with one column in place of the drones). A physics step is three
compiled kernels: what each drone does alone, flattened over drones and worlds; the cables and the load, with a world's
drones spelled out side by side; and the drones' correction (see :mod:`corvids.envs.physics.team_world`). Rows are
padded: only the first ``worlds`` of :attr:`TeamSimulator.rows` mean anything.

Commands are CTBR, or ACCBR through each drone's :mod:`inner loop <corvids.envs.physics.inner_loop>`.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch

from corvids.controllers.packing import leaves, map_leaves, pack, unpack
from corvids.controllers.rate_loop import RateCommand, gains_of
from corvids.controllers.spatial import Vec3
from corvids.envs.compiled.compiling import compiled, on_tiles, padded
from corvids.envs.compiled.team_tiles import TeamTiles
from corvids.envs.physics.cables import SWEEPS
from corvids.envs.physics.inner_loop import (
    ACCBR,
    INNER_AT_REST,
    InnerLoop,
    compensation_gains,
    run_inner_loop,
)
from corvids.envs.physics.team_nominal import team_params
from corvids.envs.physics.team_world import (
    DRIVE_AT_REST,
    LOAD_AT_REST,
    MOTION_AT_REST,
    NO_FLIGHT,
    NO_PULLS,
    TeamParams,
    TeamWorld,
    control,
    fly_drones,
    haul_each,
    settle,
)
from corvids.errors import CorvidsError
from corvids.team import Team

Tree = TypeVar("Tree")

SENSED_ROWS = 16
"""Rows of a packed :class:`~corvids.envs.physics.team_world.Motion` or :class:`~corvids.envs.physics.load.Load` that
sensors look back at: its body's 13, and what fills their cache line."""


class TeamSimulator:
    """Worlds with one ``team`` each, advanced by control steps under a rate loop of ``physics_hz``.

    Commands are ACCBR where ``with_inner_loop``, CTBR otherwise. ``history_s`` is how far back :attr:`history` reaches.
    All states are written in place, so that they may be parts of a tensor that somebody resets as a whole.
    :attr:`drone_params` and :attr:`load_params` begin as the team file has them; randomization writes them, and so do
    events: a cable is cut by ``attached``, a rotor lost by its ``thrust_max_n``.
    """

    def __init__(
        self,
        team: Team,
        worlds: int,
        *,
        physics_hz: int = 500,
        control_hz: int = 100,
        sweeps: int = SWEEPS,
        with_inner_loop: bool = False,
        history_s: float = 0.1,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        compile_kernels: bool = True,
    ) -> None:
        if physics_hz % control_hz:
            raise CorvidsError(
                f"physics rate {physics_hz} Hz: must be a multiple of the control rate ({control_hz} Hz)"
            )
        self.worlds, self.drones = worlds, len(team.members)
        self.rows = padded(worlds)
        self.device, self.dtype = torch.device(device), dtype
        self.dt_s = 1.0 / physics_hz
        self.substeps = physics_hz // control_hz
        nominal = team_params(team, self.dt_s)
        # Templates say the order of leaves; any leaf will do.
        self._templates = map_leaves(lambda leaf: 0.0, nominal)

        self.motion = self._filled(MOTION_AT_REST, self.drones)
        """Packed :class:`~corvids.envs.physics.team_world.Motion` of every drone."""
        self.drive = self._filled(DRIVE_AT_REST, self.drones)
        """Packed :class:`~corvids.envs.physics.team_world.Drive` of every drone."""
        self.load = self._filled(LOAD_AT_REST, 1)
        """Packed :class:`~corvids.envs.physics.load.Load`."""
        self.drone_params = self._filled(nominal.drones, self.drones)
        """Packed :class:`~corvids.envs.physics.team_world.DroneParams`."""
        self.load_params = self._filled(nominal.load, 1)
        """Packed :class:`~corvids.envs.physics.load.LoadParams`."""
        self.inner = self._filled(INNER_AT_REST, self.drones)
        """Packed :class:`~corvids.envs.physics.inner_loop.InnerLoop` of every drone."""
        self.commands = len(ACCBR) if with_inner_loop else 4
        self.command = torch.zeros((self.commands, self.drones, self.rows), device=self.device, dtype=dtype)
        """Command in force of every drone: thrust [N] and body rates [rad/s], or ACCBR."""
        self.sample_s = self.substeps * self.dt_s
        slots = round(history_s / self.sample_s) + 2
        # A sample of one body is a cache line.
        samples = torch.zeros(
            (self.rows, slots, self.drones + 1, SENSED_ROWS), device=self.device, dtype=dtype
        )
        self.history = samples.permute(1, 3, 0, 2)
        """Ring (slots, sensed, rows, bodies), every drone's and then the load's, one slot a control step;
        :attr:`newest` is the last."""
        self.newest = torch.zeros((), device=self.device, dtype=torch.int64)
        self._head = 0
        vehicles = [member.vehicle for member in team.members]
        self._gains_tree, self._gains = self._columns([gains_of(one, self.dt_s) for one in vehicles])
        self._with_inner_loop = with_inner_loop
        self._inner_tree, self._inner_gains = self._columns(
            [compensation_gains(one, self.dt_s) for one in vehicles]
        )
        self._indices = [
            torch.tensor(float(i), device=self.device, dtype=dtype) for i in range(self.substeps)
        ]
        self._build(compile_kernels, sweeps)

    def _build(self, compile_kernels: bool, sweeps: int) -> None:
        """Make the functions that advance the worlds."""
        self._tiles: TeamTiles | None = None
        if self.dtype is torch.float32 and on_tiles(self.device, compile_kernels):
            self._tiles = TeamTiles(
                self._templates, self._gains_tree, self._inner_tree, self.drones, self.dt_s,
                commands=self.commands, with_inner_loop=self._with_inner_loop, sweeps=sweeps,
            )  # fmt: skip
            both = torch.cat((self._gains, self._inner_gains))
            self._tile_gains = both[:, :, 0].t().contiguous()
            return
        self._fly = compiled(self._make_fly(), compile_kernels)
        self._haul = compiled(self._make_haul(sweeps), compile_kernels)
        self._settle = compiled(self._make_settle(), compile_kernels)

    @property
    def world(self) -> TeamWorld:
        """The state as a tree of views of shape ``(rows, drones)``, the load's ``(rows, 1)``."""
        return self.tree(self.motion, self.drive, self.load)

    @staticmethod
    def tree(motion: torch.Tensor, drive: torch.Tensor, load: torch.Tensor) -> TeamWorld:
        """Packed states of shape (·, drones, rows), the load's (·, 1, rows), as :attr:`world`."""
        return TeamWorld(
            _views(motion, MOTION_AT_REST), _views(drive, DRIVE_AT_REST), _views(load, LOAD_AT_REST)
        )

    @property
    def truth(self) -> TeamParams:
        """The parameters as a tree of views of shape ``(rows, drones)``, the load's ``(rows, 1)``."""
        drones, load = self._templates
        return TeamParams(_views(self.drone_params, drones), _views(self.load_params, load))

    def step(self, command: torch.Tensor, delay_steps: torch.Tensor) -> None:
        """One control step: ``command`` (·, drones, rows) comes into force ``delay_steps`` (drones, rows) late."""
        if self._tiles is None:
            self._step_all(command, delay_steps)
            self._end_step(command)
            return
        tensors = (
            self.motion, self.drive, self.inner, self.load, self.drone_params, self.load_params, self.command,
            command.contiguous(), delay_steps.contiguous(),
        )  # fmt: skip
        self._head = (self._head + 1) % len(self.history)
        self._tiles.advance(tensors, self._tile_gains, self.history, self._head, self.substeps)
        self.command.copy_(command)
        self.newest.fill_(self._head)

    def _end_step(self, command: torch.Tensor) -> None:
        """``command`` is in force from now on; sensors may see the bodies as they are."""
        self.command.copy_(command)
        self._head = (self._head + 1) % len(self.history)
        self.history[self._head] = self._seen
        self.newest.fill_(self._head)

    def _step_all(self, command: torch.Tensor, delay_steps: torch.Tensor) -> None:
        """One physics step of all worlds after the other."""
        motion, drive, inner, load = self.motion, self.drive, self.inner, self.load
        for index in self._indices:
            free, drive, inner = self._fly(
                motion, drive, inner, self.drone_params, self._gains, self._inner_gains, self.command, command,
                delay_steps, index,
            )  # fmt: skip
            load, pulls = self._haul(motion, free, load, self.drone_params, self.load_params)
            motion = self._settle(motion, free, pulls, self.drone_params)
        for kept, new in (
            (self.motion, motion), (self.drive, drive), (self.inner, inner), (self.load, load),
        ):  # fmt: skip
            kept.copy_(new)

    def place(
        self,
        ids: torch.Tensor,
        world: TeamWorld,
        inner: InnerLoop,
        drone_params: torch.Tensor,
        load_params: torch.Tensor,
    ) -> None:
        """Put worlds ``ids`` (n,) into states whose leaves are (n, drones), the load's (n, 1), with a command of 0.

        Parameters are packed as (·, n, drones) and (·, n, 1).
        """
        shape = (len(ids), self.drones)

        def columns(tree: Any) -> torch.Tensor:
            return torch.stack([leaf.expand(shape).t() for leaf in leaves(tree)])

        self.motion[:, :, ids], self.drive[:, :, ids] = columns(world.motion), columns(world.drive)
        self.inner[:, :, ids] = columns(inner)
        self.load[:, :, ids] = pack(world.load).transpose(1, 2)
        self.drone_params[:, :, ids] = drone_params.transpose(1, 2)
        self.load_params[:, :, ids] = load_params.transpose(1, 2)
        self.command[:, :, ids] = 0.0
        self.forget(ids)

    def forget(self, ids: torch.Tensor) -> None:
        """Let worlds ``ids`` (n,) have always been in the state that they are in."""
        self.history[:, :, ids] = self._seen[:, ids]

    @property
    def _seen(self) -> torch.Tensor:
        """What sensors would see now, (sensed, rows, bodies)."""
        return torch.cat((self.motion[:SENSED_ROWS], self.load[:SENSED_ROWS]), dim=1).transpose(1, 2)

    def _columns(self, members: list[Tree]) -> tuple[Tree, torch.Tensor]:
        """Template of one member's tree of numbers, and all members' packed as (leaves, drones, 1)."""
        rows = [torch.tensor([float(leaf) for leaf in leaves(one)], dtype=torch.float64) for one in members]
        return members[0], torch.stack(rows, dim=1)[:, :, None].to(self.device, self.dtype)

    def _filled(self, tree: Any, columns: int) -> torch.Tensor:
        """The tree in every world: its leaves are numbers, or have shape ``(1, columns)``."""

        def fill(leaf: Any) -> torch.Tensor:
            column = torch.as_tensor(leaf, dtype=torch.float64).reshape(-1, 1)
            return column.to(self.device, self.dtype).expand(columns, self.rows)

        return pack(map_leaves(fill, tree))

    def _make_fly(self):
        drones, gains_tree, inner_tree = self._templates.drones, self._gains_tree, self._inner_tree
        with_inner_loop, dt_s = self._with_inner_loop, self.dt_s

        def fly(motion, drive, inner, params, gains, inner_gains, old, new, delay_steps, index):
            is_new = delay_steps <= index
            wanted = [torch.where(is_new, n, o) for n, o in zip(new.unbind(0), old.unbind(0), strict=True)]
            moving = unpack(motion, MOTION_AT_REST)
            if with_inner_loop:
                loop = unpack(inner, INNER_AT_REST)
                order = loop.order
                loop = run_inner_loop(loop, wanted, moving, unpack(inner_gains, inner_tree))
                inner = torch.stack(list(leaves(loop)))
            else:
                order = RateCommand(wanted[0], Vec3(*wanted[1:]))
            driven = control(moving, unpack(drive, DRIVE_AT_REST), order, unpack(gains, gains_tree), dt_s)
            free, driven = fly_drones(moving, driven, unpack(params, drones), dt_s)
            return torch.stack(list(leaves(free))), torch.stack(list(leaves(driven))), inner

        return fly

    def _make_haul(self, sweeps: int):
        templates, count, dt_s = self._templates, self.drones, self.dt_s

        def haul(before, free, load, drone_params, load_params):
            carried, pulls = haul_each(
                [unpack(before[:, i], MOTION_AT_REST) for i in range(count)],
                [unpack(free[:, i], NO_FLIGHT) for i in range(count)],
                unpack(load[:, 0], LOAD_AT_REST),
                [unpack(drone_params[:, i], templates.drones) for i in range(count)],
                unpack(load_params[:, 0], templates.load),
                dt_s,
                sweeps,
            )
            columns = [leaf for column in zip(*map(leaves, pulls), strict=True) for leaf in column]
            packed = torch.stack(columns).unflatten(0, (-1, count))
            return torch.stack(list(leaves(carried)))[:, None], packed

        return haul

    def _make_settle(self):
        drones, dt_s = self._templates.drones, self.dt_s

        def settled(before, free, pulls, params):
            motion = settle(
                unpack(before, MOTION_AT_REST),
                unpack(free, NO_FLIGHT),
                unpack(pulls, NO_PULLS),
                unpack(params, drones).vehicle,
                dt_s,
            )
            return torch.stack(list(leaves(motion)))

        return settled


def _views(packed: torch.Tensor, template: Tree) -> Tree:
    return unpack(packed.transpose(1, 2), template)
