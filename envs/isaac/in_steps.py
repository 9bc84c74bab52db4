"""A control step of a simulator, taken apart where Isaac Lab's environments make the physics steps themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch


class InSteps(ABC):
    """A control step as :meth:`begin`, around each physics step :meth:`before` and :meth:`after`, and :meth:`finish`.

    A base of simulators whose bodies Isaac Lab has. ``_advance`` is one of its physics steps, for :meth:`step`.
    """

    substeps: int
    _advance: Callable[[], None]

    def step(self, command: torch.Tensor, delay_steps: torch.Tensor) -> None:
        """One control step; see the simulator's."""
        self.begin(command, delay_steps)
        for _ in range(self.substeps):
            self.before()
            self._advance()
            self.after()
        self.finish()

    def begin(self, command: torch.Tensor, delay_steps: torch.Tensor) -> None:
        """Take a control step's command."""
        self._next, self._delay_steps, self._index = command, delay_steps, 0

    @abstractmethod
    def before(self) -> None:
        """Hand the loads of the coming physics step to Isaac Lab."""

    @abstractmethod
    def after(self) -> None:
        """Take what the physics step made of the bodies."""

    @abstractmethod
    def finish(self) -> None:
        """End the control step."""
