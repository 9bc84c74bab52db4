"""The flight of one vehicle, in a thread of its own: policy, supervisor and the runtime's loop over the ROS 2 link.

No ROS here: the link's transport knows it.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corvids.deploy.fallback import Fallback
from corvids.deploy.flight_record import FlightRecord
from corvids.deploy.mocap.input import MocapInput
from corvids.deploy.mocap.state_port import read_key
from corvids.deploy.pilot import Pilot
from corvids.deploy.policy import read_policy_file
from corvids.deploy.processor_sleep import awake
from corvids.deploy.px4.flight import BallSource, Px4Flight
from corvids.deploy.px4.thrust import thrust_map_of
from corvids.deploy.record_about import about
from corvids.deploy.runtime import Tick, fly
from corvids.deploy.supervision.checks import Seen, Word
from corvids.deploy.supervision.envelope import envelope_of
from corvids.deploy.supervision.reactions import STREAMING, State
from corvids.deploy.supervision.supervisor import Entry, Supervisor, Verdict
from corvids.deploy.trained_vehicle import vehicle_of
from corvids.errors import CorvidsError
from corvids_ros.keeper_line import KEY_VARIABLE, KeeperSocket, command_line
from corvids_ros.legs import Legs
from corvids_ros.message_link import MessageLink
from corvids_ros.poses import PoseSource
from corvids_ros.settings import Settings

KEEPER_START_S = 30.0
"""How long the keeper may take to start [s]."""
CLOSE_S = 8.0
"""How long PX4 may take to hold before the flight ends anyway [s]; then the keeper asks."""


class FlyingVehicle:
    """Flies from :meth:`start` until :meth:`close`; what it does is the supervisor's and the operator's to say."""

    def __init__(
        self,
        settings: Settings,
        link: MessageLink,
        ball: BallSource,
        load: PoseSource | None,
        tell: Callable[[Entry], None],
    ) -> None:
        """``tell`` is given every decision."""
        if not settings["policy"]:
            raise CorvidsError("parameter policy is empty: must name a policy file (.onnx)")
        file = read_policy_file(Path(settings["policy"]).expanduser(), settings["task"])
        contract = file.contract
        craft = vehicle_of(file, settings["vehicle"] or None)
        self.settings, self.link = settings, link
        self.pilot = Pilot(file)
        self.supervisor = Supervisor(
            envelope_of(contract.limits, craft),
            Fallback(contract.limits.weighing(craft.weight_n)),
            settings.fence,
        )
        self._components = contract.command
        self.command: NDArray[np.float64] = np.array(settings.command(self._components))
        """The task command; :meth:`aim` replaces it, in flight too."""
        self.last: tuple[Seen, Verdict] | None = None
        """The newest tick."""
        self.legs = Legs(1.0 / contract.control_hz)
        """Statistics."""
        self._tell = tell
        self._words: queue.SimpleQueue[Word] = queue.SimpleQueue()
        self._mocap = ball if isinstance(ball, MocapInput) else None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None
        self._line: KeeperSocket | None = None
        self._is_over, self._is_alone = threading.Event(), threading.Event()
        """Whether the flight is to end, and whether its keeper has."""
        self._thread = threading.Thread(target=self._run, name="flight", daemon=True)
        self._plant = Px4Flight(
            link,
            self.supervisor,
            self.pilot,
            thrust_map_of(craft),
            hover_thrust_n=craft.weight_n,
            ball=ball,
            load=load,
            in_step=True,
            rehearses=True,
            words=self._said,
            watcher=self._watch,
        )
        # Last: nothing can fail any more that would leave the beginning of a record behind.
        path = Path(settings["record"]).expanduser() if settings["record"] else None
        self._record = FlightRecord(path, about(file, craft)) if path else None

    @property
    def has_failed(self) -> bool:
        """Whether the loop has ended by itself, by an error whose traceback was printed; the keeper has taken over."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._is_over.is_set()

    def start(self, namespace: str) -> None:
        """Start the keeper and the loop."""
        if self.settings["keeper"]:
            self._start_keeper(namespace)
        self._thread.start()

    def aim(self, command: Sequence[float]) -> None:
        """Take another task command, as the policy file names its components; its place must be one to hold."""
        self.command = np.array(self.settings.command(self._components, command))

    def say(self, word: Word) -> None:
        """An operator's word."""
        self._words.put(word)

    def may_close(self) -> bool:
        """Ask PX4 to hold if the vehicle is flown; whether the flight may end, as somebody else flies."""
        deadline_s = time.monotonic() + CLOSE_S
        has_said = False
        while self._thread.is_alive() and self.supervisor.state in STREAMING:
            if time.monotonic() > deadline_s:
                return False
            if not has_said:
                self.say(Word.STOP)
                has_said = True
            time.sleep(0.05)
        return True

    def close(self) -> None:
        """End; a keeper whose vehicle still listens to set-points stays.

        Raises :class:`CorvidsError` where the record cannot be finished; all else is closed by then.
        """
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()
        try:
            if self._line:
                self._line.close()
            # Not waited for: it ends by itself once nothing needs keeping, and takes its socket away.
            if self._folder and (self._keeper is None or self._keeper.poll() is not None):
                self._folder.cleanup()
        finally:
            if self._record:
                self._record.close()

    def _run(self) -> None:
        with awake():
            fly(
                self.pilot,
                self._plant,
                lambda now_s: self.command,
                seconds=math.inf,
                recorder=self._note,
                guard=self._plant.guard,
                until=lambda tick: self._is_over.is_set(),
            )

    def _said(self, state: State) -> frozenset[Word]:
        if self._words.empty() and not self._is_alone.is_set():
            return frozenset()
        words = set()
        with contextlib.suppress(queue.Empty):
            while True:
                words.add(self._words.get_nowait())
        if self._is_alone.is_set() and state in STREAMING:
            words.add(Word.STOP)  # without a keeper nobody would notice if this process stopped
        return frozenset(words)

    def _watch(self, seen: Seen, verdict: Verdict) -> None:
        self.last = seen, verdict
        for entry in verdict.entries:
            self._tell(entry)
        if self._record:
            self._record.watch(seen, verdict)

    def _note(self, tick: Tick) -> None:
        self.legs.note(tick)
        if self._record:
            self._record.note(tick)
            if self._mocap and (figures := self._mocap.figures_due(tick.now_s)):
                self._record.note_mocap(tick.now_s, figures)

    def _miss_keeper(self) -> None:
        if self._keeper:
            self._keeper.wait()
            self._is_alone.set()

    def _start_keeper(self, namespace: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="corvids-", ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        settings, environment, mocap = self.settings, dict(os.environ), None
        if settings["mocap_stream"]:
            names = {"vehicle": "mocap_vehicle", "is_ptp": "mocap_ptp", "least_ms": "mocap_least_ms"}
            mocap = {
                "where": settings["mocap_stream"],
                **{key: settings[name] for key, name in names.items()},
            }
            if settings["mocap_key"]:
                environment[KEY_VARIABLE] = read_key(Path(settings["mocap_key"]).expanduser()).hex()
        arguments = command_line(folder, settings["target_system"], namespace, settings.topics, mocap)
        self._keeper = subprocess.Popen(arguments, start_new_session=True, env=environment)
        deadline_s = time.monotonic() + KEEPER_START_S
        while not (folder / "keeper").exists():
            if self._keeper.poll() is not None:
                raise CorvidsError(f"the keeper ended with code {self._keeper.returncode}")
            if time.monotonic() > deadline_s:
                self._keeper.kill()
                raise CorvidsError(f"the keeper did not start within {KEEPER_START_S:.0f} s")
            time.sleep(0.02)
        # To ask the system at every tick would take longer than to decide.
        threading.Thread(target=self._miss_keeper, name="keeper", daemon=True).start()
        self._line = KeeperSocket(folder / "keeper", folder / "runtime")
        self.link.connect_keeper(self._line)
