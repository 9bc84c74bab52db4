"""Thousands of worlds, stepped together.

The state of all worlds is one packed tensor of shape ``(rows, worlds, drones)`` (see ``controllers/packing.py``). On
the CPU one call advances it by a control step (see ``envs/compiled/tiles.py``); elsewhere one compiled function does by
a physics step. Row length is padded, so tensors that the simulator hands out have ``rows`` worlds of which only the
first ``worlds`` mean anything.
"""

from __future__ import annotations

import torch

from corvids.controllers.packing import leaves, map_leaves, pack, unpack
from corvids.controllers.rate_loop import RateCommand, RateGains
from corvids.controllers.spatial import Vec3
from corvids.envs.compiled.compiling import compiled, on_tiles, padded
from corvids.envs.compiled.tiles import Tiles
from corvids.envs.physics.world import AT_REST, World, WorldParams, control, fly
from corvids.errors import CorvidsError

SENSED_ROWS = 16
"""Rows of a packed :class:`World` that sensors see: body (position, velocity, attitude, rates) and ball position."""


class Simulator:
    """Worlds with one vehicle (and ball) each, advanced by control steps.

    Parameters: ``nominal``, whose leaves are floats, fills every world until :attr:`params` is written; ``gains`` are
    the autopilot's, for a rate loop stepped at ``rate_loop_hz``; ``history_s`` is how far back :attr:`history` reaches.
    """

    def __init__(
        self,
        nominal: WorldParams,
        gains: RateGains,
        worlds: int,
        *,
        physics_hz: int = 500,
        rate_loop_hz: int = 500,
        control_hz: int = 50,
        history_s: float = 0.128,
        with_ball: bool = True,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        compile_kernels: bool = True,
    ) -> None:
        if physics_hz % rate_loop_hz or physics_hz % (2 * control_hz):
            raise CorvidsError(
                f"physics rate {physics_hz} Hz: must be a multiple of the rate loop's ({rate_loop_hz} Hz) "
                f"and an even multiple of the control rate ({control_hz} Hz)"
            )
        self.worlds = worlds
        self.rows = padded(worlds)
        self.device = torch.device(device)
        self.dtype = dtype
        self.dt_s = 1.0 / physics_hz
        self.substeps = physics_hz // control_hz
        self.sample_s = 2.0 * self.dt_s
        self._control_every = physics_hz // rate_loop_hz

        def fill(value: float) -> torch.Tensor:
            return torch.full((self.rows, 1), value, device=self.device, dtype=dtype)

        self.state = pack(map_leaves(fill, AT_REST))
        """Packed :class:`World` of every world."""
        self.params = pack(map_leaves(fill, nominal))
        """Packed :class:`WorldParams` of every world."""
        self.gains = pack(map_leaves(lambda gain: gain.to(self.device, dtype).reshape(1, 1), gains))
        self.command = torch.zeros((4, self.rows, 1), device=self.device, dtype=dtype)
        """CTBR command in force: thrust [N] and body rates [rad/s]."""
        slots = round(history_s / self.sample_s)
        samples = torch.zeros((self.rows, slots, SENSED_ROWS, 1), device=self.device, dtype=dtype)
        self.history = samples.permute(1, 2, 0, 3)
        """Ring of what sensors see, (slots, 16, rows, 1), one slot every :attr:`sample_s` seconds; :attr:`newest` is
        the last written. In memory a sample of a world is one cache line: sensors look at few of them."""
        self.newest = torch.zeros((), device=self.device, dtype=torch.int64)
        self._head = 0
        self._indices = [
            torch.tensor(float(i), device=self.device, dtype=dtype) for i in range(self.substeps)
        ]
        self._nominal, self._gains, self._with_ball = nominal, gains, with_ball
        self._build(compile_kernels)

    def _build(self, compile_kernels: bool) -> None:
        """Make the functions that advance the worlds."""
        self._tiles: Tiles | None = None
        if on_tiles(self.device, compile_kernels):
            self._tiles = Tiles(
                self._nominal, self._gains, self.dt_s, control_every=self._control_every,
                with_ball=self._with_ball, dtype=self.dtype,
            )  # fmt: skip
            return
        self._substep = compiled(self._make_substep(True), compile_kernels)
        self._coast = (
            compiled(self._make_substep(False), compile_kernels) if self._control_every > 1 else self._substep
        )

    def _make_substep(self, with_control: bool):
        nominal, gains_tree, dt_s = self._nominal, self._gains, self.dt_s
        loop_s, with_ball = dt_s * self._control_every, self._with_ball

        def substep(state, params, gains, old, new, delay_steps, index):
            world = unpack(state, AT_REST)
            truth = unpack(params, nominal)
            if with_control:
                is_new = delay_steps <= index
                thrust, *rates = (
                    torch.where(is_new, n, o) for n, o in zip(new.unbind(0), old.unbind(0), strict=True)
                )
                command = RateCommand(thrust, Vec3(*rates))
                world = control(world, command, unpack(gains, gains_tree), loop_s)
            return torch.stack(list(leaves(fly(world, truth, dt_s, with_ball))))

        return substep

    @property
    def world(self) -> World:
        """The state as a tree of views of shape ``(rows, 1)``."""
        return unpack(self.state, AT_REST)

    @property
    def truth(self) -> WorldParams:
        """The parameters as a tree of views of shape ``(rows, 1)``."""
        return unpack(self.params, self._nominal)

    def step(self, command: torch.Tensor, delay_steps: torch.Tensor) -> None:
        """One control step: ``command`` (4, rows, 1) comes into force ``delay_steps`` (rows, 1) physics steps late."""
        if self._tiles is None:
            self._step_all(command, delay_steps)
        else:
            self.state = self.state.contiguous()
            self._tiles.advance(
                self.state, self.params, self.command, command.contiguous(), delay_steps.contiguous(),
                self.history, self._head, self.substeps,
            )  # fmt: skip
            self._head = (self._head + self.substeps // 2) % len(self.history)
        self.newest.fill_(self._head)
        self.command.copy_(command)

    def _step_all(self, command: torch.Tensor, delay_steps: torch.Tensor) -> None:
        """One physics step of all worlds after the other."""
        state = self.state
        for i, index in enumerate(self._indices):
            substep = self._substep if i % self._control_every == 0 else self._coast
            state = substep(state, self.params, self.gains, self.command, command, delay_steps, index)
            if i % 2 == 1:
                self._head = (self._head + 1) % len(self.history)
                self.history[self._head].copy_(state[:SENSED_ROWS])
        self.state.copy_(state)

    def forget(self, ids: torch.Tensor) -> None:
        """Let the history of worlds ``ids`` (n,) begin anew: with their state, in the newest slot.

        What is behind that slot remains, and is not theirs: sensors must not look at it.
        """
        self.history[self._head, :, ids] = self.state[:SENSED_ROWS, ids]
