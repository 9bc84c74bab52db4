"""How Isaac Lab's environments step what is ours: around every physics step, and at a control step's two ends."""

# pyright: reportMissingImports=false
# (Isaac Lab is not in the environment that types are checked in.)
from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any, Generic, TypeVar

import torch
from isaaclab.sim import SimulationContext

from corvids.envs.environment import Environment
from corvids.envs.isaac.simulator import IsaacSimulator
from corvids.envs.isaac.team_simulator import IsaacTeamSimulator
from corvids.envs.team_environment import TeamEnvironment

Core = TypeVar("Core", bound=Environment | TeamEnvironment)


class SteppedByLab(Generic[Core]):
    """What environments with an environment of ours behind them, :attr:`core`, have in common."""

    core: Core
    """The environment behind: task, commands, sensors."""
    episode_length_buf: torch.Tensor

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)

    @property
    def simulator(self) -> IsaacSimulator | IsaacTeamSimulator:
        """The simulator of :attr:`core`, whose bodies are this environment's scene."""
        simulator = self.core.simulator
        if not isinstance(simulator, IsaacSimulator | IsaacTeamSimulator):
            raise TypeError("the environment behind is not simulated by Isaac Lab")
        return simulator

    def begin(self, actions: torch.Tensor) -> None:
        """Begin a control step under raw actions, rows as the core's."""
        self.simulator.begin(self.core.order(actions), self.core.delay_steps)
        self._has_stepped = False

    def end(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """End it: rewards, rows as the core's; which worlds failed and which ran out of time, (worlds,)."""
        self.simulator.after()
        self.simulator.finish()
        steps = self.episode_length_buf - 1
        self.core.steps = steps.repeat(len(self.core.steps) // len(steps))
        return self.core.judge()

    def _apply_action(self) -> None:
        if self._has_stepped:
            self.simulator.after()
        self.simulator.before()
        self._has_stepped = True

    def _no_advance(self) -> None:
        raise TypeError("physics steps are made by the environment's own step")


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Room for a new simulation, of which a process has one; what Isaac Lab prints of itself goes nowhere."""
    SimulationContext.clear_instance()
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
