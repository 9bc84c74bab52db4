"""How soon the ROS 2 node answers: odometry at 250 Hz over DDS, and when the set-point comes. ``make bench-ros``.

The node flies ``pretrained/juggle.onnx``, asked 250 times a second instead of the 50 it was trained for, so that every
state is to be answered: all of the runtime is in the way, network, ball filter and supervisor too, while the vehicle
hovers or juggles. The flight controller's steps jitter, so that nobody can answer by the clock. A state is answered if
a set-point comes before the next one.

On a busy machine the figures are the machine's. ``late_max_ms`` is what the flight controller itself was late by at
most, and ``hurried`` the states that it sent so late that nobody had time to answer. ``echo_median_ms`` is measured
beside it, with a node that only answers. ``chrt -f 20`` before the command gives the processes their turn.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ros_lab import POLICY, Client, FlightController, Process, VehicleNode, ended

HOVERING_S = 6.0
"""From engaging until everything runs as it will [s]."""


def quick_policy(folder: Path) -> Path:
    """The policy, said to run at 250 Hz."""
    content = POLICY.read_bytes()
    before, after = b'"control_hz": 50.0', b'"control_hz": 250 '
    if content.count(before) != 1:
        raise ValueError(f"{POLICY}: {before!r} is not in it once")
    out = folder / "quick.onnx"
    out.write_bytes(content.replace(before, after))
    return out


def measure_echo(folder: Path, seconds: float, jitter: float) -> float:
    """Median round trip [ms] to a node that does nothing but answer: what DDS, rclpy and this machine take."""
    px4 = FlightController(folder, "--jitter", str(jitter))
    echo = Process(folder, str(Path(__file__).with_name("ros_echo.py")))
    with ended(echo, px4):
        echo.wait_for("ready")
        time.sleep(3.0)
        px4.tell("begin 0")
        time.sleep(seconds)
        return px4.result()["round_trip_median_ms"]


def measure(folder: Path, seconds: float, full_thrust_mps2: float, jitter: float) -> dict[str, Any]:
    """Fly; how the flight controller was answered."""
    px4 = FlightController(folder, "--jitter", str(jitter), "--full-thrust", str(full_thrust_mps2))
    node = VehicleNode(folder, policy=str(quick_policy(folder)))
    ball = Process(folder, "-m", "corvids_ros.simulated_ball")
    operator = Client(folder)
    with ended(operator, ball, node, px4):
        node.wait_for("the autopilot is heard")
        while not any("the autopilot is armed" in line for line in node.lines):
            operator.say("arm")
            time.sleep(0.3)
        operator.say("engage")
        node.wait_for("engaging -> engaging: over")
        time.sleep(HOVERING_S)
        px4.tell("begin 0")
        time.sleep(seconds)
        result = px4.result()
    states = [line.split("]: ")[-1] for line in node.lines if " -> " in line]
    kept = ("sent", "answered", "hurried", "late_max_ms", "round_trip_median_ms", "round_trip_p95_ms")
    return {**{key: result[key] for key in kept}, "states": states}


def main() -> int:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--full-thrust", type=float, default=36.2, help="full thrust over mass [m/s²]")
    parser.add_argument(
        "--jitter", type=float, default=0.25, help="range of the steps' jitter, as a share of 4 ms"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        echo_ms = measure_echo(Path(folder), min(options.seconds, 10.0), options.jitter)
        result = measure(Path(folder), options.seconds, options.full_thrust, options.jitter)
    if not result["answered"]:
        print(f"no state was answered, as the vehicle was not flown: {result['states'][-1]}", file=sys.stderr)
        return 1
    share = round(result["answered"] / max(result["sent"], 1), 4)
    print(json.dumps({"answered_share": share, "echo_median_ms": echo_ms, **result}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
