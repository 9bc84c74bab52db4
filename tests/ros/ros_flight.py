"""One vehicle's node with all that it needs, and an operator who tries again where the machine was too busy.

When the runtime stands still for 0.2 s the keeper rightly has PX4 hold, and the node rightly waits for the operator. So
what a test waits for is always a state, reached however often it takes, never a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ros_lab import Client, FlightController, Process, VehicleNode

from corvids.vehicle import load_vehicle

PX4_LOSS_S = 30.0
"""After so long without a stream the flight controller acts by itself [s]: after the keeper, on any machine."""
AGAIN_S = 0.5
"""Time between an operator's words [s]."""
PATIENCE_S = 400.0
HOLD, LAND, OFFBOARD = "armed 4 3", "armed 4 6", "armed 6 0"
"""States of the flight controller: armed, main and sub-mode."""


def full_thrust() -> str:
    """Full thrust over mass of the vehicle that the policy was trained for [m/s²]."""
    craft = load_vehicle("air")
    return str(craft.max_thrust_n / craft.body.mass_kg)


class Flight:
    """A node, its flight controller, an operator, and a ball."""

    def __init__(
        self,
        folder: Path,
        namespace: str = "",
        px4_loss_s: float = PX4_LOSS_S,
        px4_options: Sequence[str] = (),
        **parameters: Any,
    ) -> None:
        scope = ["--namespace", namespace] if namespace else []
        options = ["--every", "2", "--full-thrust", full_thrust(), "--loss", str(px4_loss_s), *px4_options]
        self.px4 = FlightController(folder, *options, *scope)
        self.node = VehicleNode(folder, namespace=namespace, **parameters)
        remap = ["--ros-args", "-r", f"__ns:=/{namespace}"] if namespace else []
        self.ball = Process(folder, "-m", "corvids_ros.simulated_ball", *remap)
        self.operator = Client(folder, namespace)
        self._said_s = 0.0

    def processes(self) -> tuple[Process, ...]:
        """All of them, in the order in which they should end."""
        return self.operator, self.ball, self.node, self.px4

    @property
    def state(self) -> str:
        """The supervisor's state, as the node has said."""
        changes = [line.partition(" -> ")[2] for line in self.node.lines if " -> " in line]
        return changes[-1].partition(":")[0] if changes else ""

    @property
    def mode(self) -> str:
        """The flight controller's state."""
        changes = [line for line in self.px4.lines if line.startswith("state ")]
        return changes[-1].removeprefix("state ") if changes else ""

    def until(self, is_so: Callable[[], bool], words: dict[str, str] | None = None) -> None:
        """Wait until ``is_so``; meanwhile the operator says what ``words`` have for the supervisor's state."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_so():
            assert time.monotonic() < deadline_s, "\n".join([*self.node.lines, *self.px4.lines])
            assert self.node.process.poll() is None, "\n".join(self.node.lines)
            word = (words or {}).get(self.state)
            if word and self.mode != LAND and time.monotonic() - self._said_s > AGAIN_S:
                self.operator.say(word)
                self._said_s = time.monotonic()
            time.sleep(0.02)

    def engage(self) -> None:
        """Until commands count: from the ground, or in the air."""
        flown = ("engaging", "policy", "recovering")
        self.until(
            lambda: self.mode == OFFBOARD and self.state in flown and self._is_confirmed(),
            {"ready": "arm", "armed": "engage"},
        )

    def _is_confirmed(self) -> bool:
        """Whether the node has heard that its commands count."""
        lines = self.node.lines
        begun = max((index for index, line in enumerate(lines) if "armed -> engaging" in line), default=0)
        return any("engaging -> engaging: over" in line for line in lines[begun:])

    def hand_over(self) -> None:
        """Until the policy flies."""
        self.until(lambda: self.state == "policy", {"ready": "arm", "armed": "engage"})

    def land(self) -> None:
        """Until it has landed and disarmed."""
        flown = dict.fromkeys(("engaging", "policy", "recovering"), "land")
        self.until(lambda: self.state == "ready", {"armed": "engage", **flown})
