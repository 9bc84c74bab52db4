"""A flight's record, read back into arrays."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
from mcap.exceptions import McapError
from mcap.reader import make_reader
from numpy.typing import NDArray

from corvids.deploy.flight_record import ABOUT, TOPICS
from corvids.errors import CorvidsError

Array = NDArray[np.float64]

MESSAGES_MAX = 20_000_000
"""A day of flight at 50 Hz has a quarter as many."""


@dataclasses.dataclass(frozen=True)
class Decided:
    """One of the supervisor's decisions."""

    now_s: float
    before: str
    after: str
    reaction: str
    request: str | None
    reason: str


@dataclasses.dataclass(frozen=True)
class FlightLog:
    """A record. Ticks along the first axis; NaN where something was not known."""

    about: dict[str, str]
    now_s: Array
    """Time of each tick of the supervisor's, on the link's clock [s], (t,)."""
    state: tuple[str, ...]
    """The supervisor's state at each, (t,)."""
    seen: dict[str, Array]
    """What it saw: ``stamp_s``, ``ball_stamp_s``, ``compute_s`` (t,); ``pos_w``, ``vel_w``, ``ball_pos_w``, (t, 3);
    ``quat_wb`` (t, 4)."""
    thrust_n: Array
    """What was commanded, NaN where nothing was, (t,)."""
    decisions: tuple[Decided, ...]
    policy_s: Array
    """Time of each tick of the policy's [s], (p,)."""
    late_s: Array
    """(p,)."""
    by_policy: NDArray[np.bool_]
    """Whether its answer was used, (p,)."""
    inputs: dict[str, NDArray[np.float32]]
    """What it was given, by the contract's names, (p, ·)."""
    answers: NDArray[np.float64]
    """What it answered, or the fallback in its place: thrust [N] and body rates [rad/s], (p, 4); or, for an inner loop,
    acceleration [m/s², world] and added roll and pitch rates [rad/s], (p, 5)."""
    mocap: tuple[dict[str, Any], ...]
    """How motion capture fared, about once a second."""


def read_flight_log(path: Path) -> FlightLog:
    """The record at ``path``; raises :class:`CorvidsError` in one line for anything else."""
    messages: dict[str, list[dict[str, Any]]] = {topic: [] for topic in TOPICS}
    about: dict[str, str] = {}
    try:
        with open(path, "rb") as file:
            reader = make_reader(file)
            for metadata in reader.iter_metadata():
                if metadata.name == ABOUT:
                    about = dict(metadata.metadata)
            for count, (_, channel, message) in enumerate(reader.iter_messages(topics=list(TOPICS))):
                if count >= MESSAGES_MAX:
                    raise CorvidsError(f"{path}: more than {MESSAGES_MAX} messages")
                messages[channel.topic].append(json.loads(message.data))
    except FileNotFoundError:
        raise CorvidsError(f"{path}: there is no such record; `corvids fly --record` writes one") from None
    except OSError as error:
        raise CorvidsError(f"{path}: cannot be read: {error.strerror}") from None
    except (McapError, ValueError, EOFError, KeyError, OverflowError, struct.error) as error:
        raise CorvidsError(
            f"{path}: is no whole flight record: {str(error) or 'it ends too early'}"
        ) from None
    if not messages["seen"]:
        raise CorvidsError(f"{path}: holds no tick of a flight")
    try:
        return _log(about, messages)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise CorvidsError(f"{path}: is no flight record of this version: {error!r}") from None


def _log(about: dict[str, str], messages: dict[str, list[dict[str, Any]]]) -> FlightLog:
    seen, verdicts, policy = messages["seen"], messages["verdict"], messages["policy"]
    names = ("stamp_s", "ball_stamp_s", "compute_s", "pos_w", "vel_w", "quat_wb", "ball_pos_w")
    commands = [verdict["command"] for verdict in verdicts]
    return FlightLog(
        about,
        _array([one["now_s"] for one in seen]),
        tuple(verdict["state"] for verdict in verdicts),
        {name: _array([one[name] for one in seen]) for name in names},
        _array([math.nan if command is None else command["thrust_n"] for command in commands]),
        tuple(Decided(**entry) for entry in messages["decision"]),
        _array([one["now_s"] for one in policy]),
        _array([one["late_s"] for one in policy]),
        np.array([one["by_policy"] for one in policy], dtype=bool),
        {
            name: _array([one["inputs"][name] for one in policy]).astype(np.float32)
            for name in (policy[0]["inputs"] if policy else ())
        },
        _array([_order(one) for one in policy]).reshape(len(policy), -1 if policy else 4),
        tuple(messages["mocap"]),
    )


def _order(answer: dict[str, Any]) -> list[float]:
    """What was answered, in records of before teams were recorded, too."""
    return answer["order"] if "order" in answer else [answer["thrust_n"], *answer["rate_b_radps"]]


def _array(values: list[Any]) -> Array:
    """Numbers, with NaN for what a record leaves out."""
    return np.array(values, dtype=object).astype(np.float64) if values else np.zeros(0)
