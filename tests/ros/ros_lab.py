"""Processes on a DDS domain of their own, on loopback: the flight controller, the vehicle's node, and a client."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
POLICY = ROOT / "pretrained/juggle.onnx"
DOMAINS = range(1, 101)
"""Of DDS, with ports that the system does not give to others."""
CYCLONE = (
    '<CycloneDDS><Domain Id="any"><General><Interfaces><NetworkInterface name="lo"/></Interfaces>'
    "<AllowMulticast>false</AllowMulticast></General><Discovery><ParticipantIndex>auto</ParticipantIndex>"
    '<MaxAutoParticipantIndex>40</MaxAutoParticipantIndex><Peers><Peer address="127.0.0.1"/></Peers></Discovery>'
    "</Domain></CycloneDDS>"
)
START_S = 120.0
"""How long anything may take on a busy machine [s]."""
_folders: list[Path] = []
"""Those that have been asked for a domain."""


def domain(folder: Path) -> int:
    """One for each test, and not those of tests that run beside it: a keeper outlives its node by seconds."""
    if folder not in _folders:
        _folders.append(folder)
    # All workers of a run have one parent; theirs are stretches of domains that do not meet.
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return DOMAINS[(11 * os.getppid() + 50 * worker + _folders.index(folder)) % len(DOMAINS)]


def environment(folder: Path) -> dict[str, str]:
    """For every process: loopback only."""
    paths = ("src", "ros_ws/src/corvids_ros", "tests/ros", "tests/mavlink")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / path) for path in paths),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT",
        "FASTRTPS_DEFAULT_PROFILES_FILE": str(ROOT / "ros_ws/src/corvids_ros/config/fastdds_loopback.xml"),
        "ROS_DOMAIN_ID": str(domain(folder)),
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        "ROS_LOG_DIR": str(folder),
        "AMENT_PREFIX_PATH": sys.prefix,
        "CYCLONEDDS_URI": CYCLONE,
        "OMP_NUM_THREADS": "1",
    }


class Process:
    """A python whose lines are kept."""

    def __init__(self, folder: Path, *arguments: str, variables: Mapping[str, str] | None = None) -> None:
        """``variables`` of the environment come on top of those that all have."""
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**environment(folder), **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            bufsize=1,
            start_new_session=True,
            # Of a parent in a shell's background, which ignores it, SIGINT would be ignored too, and end nothing.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            self.lines.append(line.rstrip())

    def wait_for(self, text: str, since: int = 0) -> str:
        """The first line with ``text`` in it, of those after the first ``since``."""
        deadline_s = time.monotonic() + START_S
        is_last = False
        while not is_last:
            is_last = time.monotonic() > deadline_s
            if self.process.poll() is not None:
                self._reader.join(START_S)  # what it said last may still be under way
                is_last = True
            for line in self.lines[since:]:
                if text in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no {text!r} in\n" + "\n".join(self.lines[since:]))

    def tell(self, line: str) -> None:
        """A line on its standard input."""
        if self.process.stdin:
            self.process.stdin.write(line + "\n")
            self.process.stdin.flush()

    def end(self, how: signal.Signals = signal.SIGINT, seconds: float = START_S) -> int:
        """End it; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


class FlightController(Process):
    """See ``dds_flight_controller.py``."""

    def __init__(self, folder: Path, *options: str) -> None:
        super().__init__(folder, str(Path(__file__).with_name("dds_flight_controller.py")), *options)
        self.wait_for("ready")

    def result(self) -> dict[str, Any]:
        """How it flew, after its end."""
        self.tell("end 0")
        return json.loads(self.wait_for('{"states"'))


class VehicleNode(Process):
    """The node under test, started and activated."""

    def __init__(
        self,
        folder: Path,
        *options: str,
        namespace: str = "",
        variables: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> None:
        values = {"policy": POLICY, "autostart": True, "check_s": START_S, **parameters}
        assigned = [part for name, value in values.items() for part in ("-p", f"{name}:={_yaml(value)}")]
        scope = ["-r", f"__ns:=/{namespace}"] if namespace else []
        command = ("-m", "corvids_ros.vehicle_node", "--ros-args", *scope, *assigned, *options)
        super().__init__(folder, *command, variables=variables)


class Client(Process):
    """Calls the node's services."""

    def __init__(self, folder: Path, namespace: str = "") -> None:
        super().__init__(folder, str(Path(__file__).with_name("ros_client.py")), namespace)
        self.wait_for("ready")

    def say(self, word: str, answer: str = "heard") -> None:
        """An operator's word, a transition, or a task command."""
        assert self.ask(word) == answer

    def ask(self, word: str) -> str:
        """Likewise; whether it was heard or refused."""
        before = len(self.lines)
        self.tell(word)
        return self.wait_for(f"{word}: ", before).removeprefix(f"{word}: ")

    def diagnose(self) -> dict[str, Any]:
        """What the node says of itself."""
        before = len(self.lines)
        self.tell("diagnose")
        return json.loads(self.wait_for('{"level"', before))


def _yaml(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (bool, list, str)) else str(value)


@contextlib.contextmanager
def ended(*processes: Process) -> Iterator[None]:
    """See to it that they end."""
    try:
        yield
    finally:
        for process in processes:
            process.end()
