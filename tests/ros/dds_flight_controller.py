"""A flight controller on DDS that knows nothing of ROS: Cyclone DDS, types from the layouts, a rigid body that flies.

Commands come as lines on standard input, each a key and a value: ``mute 1`` (it says nothing any more), ``mode 3``
(another main mode, as a pilot chooses it), ``begin 0`` (to count anew), ``end 0``. It writes a line whenever it is
armed, disarmed, or changes its mode. At the end it writes one of JSON: how it flew, what it heard, and how soon after
each odometry the first set-point came, from when DDS has the one until it says that it has the other.
"""

# ROS and DDS are not where types are checked.
# pyright: reportMissingImports=false
from __future__ import annotations

import argparse
import json
import math
import os
import random
import select
import sys
import time
import types as python_types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclonedds.core import Policy, Qos, ReadCondition, WaitSet
from cyclonedds.domain import DomainParticipant
from cyclonedds.idl import IdlStruct, annotations, types
from cyclonedds.pub import DataWriter
from cyclonedds.sub import DataReader
from cyclonedds.topic import Topic
from cyclonedds.util import duration
from flying import STEP_S
from message_px4 import TOPICS, MessagePx4
from px4_layouts import LAYOUTS, Layout
from standin import LOSS_S
from tracking import Tracker

BASIC = {"bool": bool, "char": types.uint8, "float32": types.float32, "float64": types.float64} | {
    f"{sign}int{bits}": getattr(types, f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32, 64)
}
CDR = Policy.DataRepresentation(use_cdrv0_representation=True)
RELIABLE = Policy.Reliability.Reliable(duration(seconds=1))
WRITERS = Qos(RELIABLE, Policy.Durability.TransientLocal, Policy.History.KeepLast(1), CDR)
READERS = Qos(Policy.Reliability.BestEffort, Policy.Durability.Volatile, Policy.History.KeepLast(20), CDR)
GUIDED_S = 1.0
"""So long after a pose from motion capture it still knows its place [s]."""
ANY_STATE = 0x1FF
"""Read, view and instance states that a reader waits for."""


def dds_type(name: str, layout: Layout) -> Any:
    """The type of a message, named as ROS 2 names it on DDS."""
    fields = {}
    for kind, field in layout:
        base, _, length = kind.partition("[")
        fields[field] = types.array[BASIC[base], int(length[:-1])] if length else BASIC[base]
    body = {"__annotations__": fields, "__module__": __name__}
    typename = {"typename": f"px4_msgs.msg.dds_.{name}_"}
    return annotations.final(
        dataclass(python_types.new_class(name, (IdlStruct,), typename, lambda d: d.update(body)))
    )


class Wire:
    """Writers and readers of all topics, by name without version."""

    def __init__(self, namespace: str, rename: dict[str, str]) -> None:
        participant = DomainParticipant(int(os.environ.get("ROS_DOMAIN_ID", "0")))
        self.classes = {name: dds_type(name, layout) for name, layout in LAYOUTS.items()}
        self.writers: dict[str, Any] = {}
        self.readers: dict[str, Any] = {}
        self._kinds: dict[str, str] = {}
        self.waits = WaitSet(participant)
        prefix = f"rt/{namespace}/" if namespace else "rt/"
        for way, name, kind in TOPICS:
            key = name.partition("_v1")[0]
            self._kinds[key] = kind
            topic = Topic(participant, f"{prefix}fmu/{way}/{rename.get(name, name)}", self.classes[kind])
            if way == "out":
                self.writers[key] = DataWriter(participant, topic, WRITERS)
            else:
                self.readers[key] = DataReader(participant, topic, READERS)
                self.waits.attach(ReadCondition(self.readers[key], ANY_STATE))

    def write(self, topic: str, fields: dict[str, Any]) -> float:
        """Publish; what is not given is zero. Returns when DDS was handed the bytes [s]."""
        kind = self._kinds[topic]
        values = {}
        for type_, field in LAYOUTS[kind]:
            base, _, length = type_.partition("[")
            zero = False if base == "bool" else 0.0 if base.startswith("float") else 0
            values[field] = fields.get(field, [zero] * int(length[:-1]) if length else zero)
        # Cyclone's types turn themselves into bytes in Python: that takes as long as the way, and is not part of it.
        sample = self.classes[kind](**values)
        data = sample.serialize(use_version_2=False)
        sample.serialize = lambda use_version_2: data
        handed_s = time.monotonic()
        self.writers[topic].write(sample)
        return handed_s

    def heard(self) -> Iterator[tuple[str, Any]]:
        """What has arrived."""
        for topic, reader in self.readers.items():
            for message in reader.take(20):
                if isinstance(message, IdlStruct):
                    yield topic, message


class Controller:
    """PX4's side in real time."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        rename = dict(pair.split("=") for pair in options.rename)
        self.wire = Wire(options.namespace, rename)
        # The clock of what is stamped is the system's, as PX4 that is synchronised with its agent stamps.
        self.px4 = MessagePx4(options.full_thrust, boot_s=time.monotonic() - time.time())
        self.px4.loss_s = options.loss
        self.layouts = {
            name: tuple(reversed(layout)) if name in options.other_format else layout
            for name, layout in LAYOUTS.items()
        }
        self.is_mute = self.is_over = False
        self.states: list[str] = []
        """Armed and mode, whenever they changed."""
        self.tracker: Tracker | None = None
        """What it knows its place by, if not by itself."""
        if options.tracker:
            self.tracker = Tracker(options.tracker, bytes.fromhex(options.key.read_text("ascii")))
        self.is_guided = False
        """Whether poses come from motion capture."""
        self.guided_wrong_m = self.unguided_s = 0.0
        """Largest error of such a pose, and longest time without one in the air."""
        self.commands_before_pilot = 0
        """Commands that it had heard when a pilot chose a mode."""
        self.sent = self.answered = self.hurried = 0
        """Of the states sent: those that were answered before the next one; and those that this process was itself so
        late with that the next one followed at once."""
        self.late_max_s = 0.0
        """How late it was at most [s]."""
        self.round_trips_s: list[float] = []
        self._sent_s: float | None = None
        self._rng = random.Random(0)

    def run(self) -> None:
        """Fly until told to end."""
        begin_s = time.monotonic()
        step = 0
        while not self.is_over and time.monotonic() - begin_s < self.options.seconds:
            step += 1
            jitter_s = self.options.jitter * self._rng.uniform(-0.5, 0.5) * STEP_S
            due_s = begin_s + step * STEP_S + jitter_s
            self._listen(due_s)
            now_s = time.monotonic()
            self.late_max_s = max(self.late_max_s, now_s - due_s)
            # A step that comes late, since the machine had other things to do, is made up for.
            self.px4.advance(now_s)
            if self.tracker:
                self.tracker.look(self.px4.truth, now_s, self.px4.time_us(now_s))
            self._note(now_s)
            if not self.is_mute:
                for topic, fields in self.px4.say_slow(now_s):
                    self.wire.write(topic, fields)
                if step % self.options.every == 0:
                    fields = self.px4.odometry_fields(time.monotonic())
                    if self.tracker and not self.is_guided:
                        fields |= {"position": [math.nan] * 3, "velocity": [math.nan] * 3}
                    self._sent_s = self.wire.write("vehicle_odometry", fields)
                    self.sent += 1
                    self.hurried += now_s - due_s > 0.75 * STEP_S
            if step % 25 == 0:
                self._obey()

    def _listen(self, until_s: float) -> None:
        while (left_s := until_s - time.monotonic()) > 0.0:
            self.wire.waits.wait(duration(microseconds=max(1, int(1e6 * left_s))))
            now_s = time.monotonic()
            for topic, message in self.wire.heard():
                if topic == "vehicle_rates_setpoint" and self._sent_s is not None:
                    self.round_trips_s.append(now_s - self._sent_s)
                    self.answered += 1
                    self._sent_s = None
                if topic == "message_format_request":
                    name = bytes(message.topic_name).split(b"\0")[0].decode()
                    self.wire.write("message_format_response", self.px4.format_answer(name, self.layouts))
                else:
                    self.px4.hear(topic, message, now_s)
                if topic == "vehicle_visual_odometry" and self.tracker:
                    self.guided_wrong_m = max(self.guided_wrong_m, self.tracker.error_m(message))

    def _note(self, now_s: float) -> None:
        age_s = now_s - self.px4.seen_s
        if self.px4.truth.pos_ned[2] < 0.0:
            self.unguided_s = max(self.unguided_s, age_s)
        if (age_s <= GUIDED_S) != self.is_guided:
            self.is_guided = not self.is_guided
            print("guided by motion capture" if self.is_guided else "not guided any more", flush=True)
        state = f"{'armed' if self.px4.armed else 'disarmed'} {self.px4.main} {self.px4.sub}"
        if not self.states or self.states[-1] != state:
            self.states.append(state)
            print(f"state {state}", flush=True)

    def _obey(self) -> None:
        while select.select([sys.stdin], [], [], 0.0)[0]:
            line = sys.stdin.readline()
            if not line:
                self.is_over = True
                return
            key, value = line.split()
            if key == "mute":
                self.is_mute = bool(int(value))
            elif key == "mode":
                self.px4.main, self.px4.sub = int(value), 0
                self.commands_before_pilot = len(self.px4.commands_heard)
            elif key == "begin":
                self.sent, self.answered, self.hurried, self.late_max_s = 0, 0, 0, 0.0
                self.round_trips_s = []
            elif key == "end":
                self.is_over = True

    def result(self) -> dict[str, Any]:
        """What to say at the end."""
        trips = sorted(self.round_trips_s)
        return {
            "states": self.states,
            "crashed": self.px4.crashed,
            "farthest_m": self.px4.farthest_m,
            "height_m": -self.px4.truth.pos_ned[2],
            "setpoints": self.px4.setpoints,
            "commands": [
                [m.command, m.param1, m.param2, m.param3, m.timestamp] for m in self.px4.commands_heard
            ],
            "commands_before_pilot": self.commands_before_pilot,
            "seen_from_outside": [
                [m.timestamp_sample, m.timestamp, list(m.position), list(m.q), list(m.position_variance)]
                for m in self.px4.seen_from_outside
            ],
            "guided_wrong_m": self.guided_wrong_m,
            "unguided_s": self.unguided_s,
            "resumed": self.px4.resumed,
            "sent": self.sent,
            "answered": self.answered,
            "hurried": self.hurried,
            "late_max_ms": 1e3 * self.late_max_s,
            "round_trip_median_ms": 1e3 * trips[len(trips) // 2] if trips else None,
            "round_trip_p95_ms": 1e3 * trips[int(0.95 * len(trips))] if trips else None,
        }


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--namespace", default="")
    parser.add_argument(
        "--seconds", type=float, default=900.0, help="end after so long, whoever may have died"
    )
    parser.add_argument(
        "--loss", type=float, default=LOSS_S, help="a stream that stops for so long is lost [s]"
    )
    parser.add_argument("--full-thrust", type=float, default=20.0, help="full thrust over mass [m/s²]")
    parser.add_argument("--every", type=int, default=1, help="an odometry every so many steps of 4 ms")
    parser.add_argument("--jitter", type=float, default=0.0, help="of its steps, as a share of 4 ms")
    parser.add_argument("--tracker", type=int, help="port to which a tracker streams, of which it lives")
    parser.add_argument("--key", type=Path, help="file with the stream's key")
    parser.add_argument("--other-format", nargs="*", default=[], help="messages that it defines otherwise")
    parser.add_argument("--rename", nargs="*", default=[], help="OLD=NEW: topics of another version")
    controller = Controller(parser.parse_args())
    print("ready", flush=True)
    controller.run()
    print(json.dumps(controller.result()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
