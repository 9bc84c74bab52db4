"""``corvids bench``: measure simulator, environment, learning and runtime, and peers beside them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import sys
from pathlib import Path

import torch

from corvids import __version__
from corvids.cli import parse
from corvids.commands.benching.contest import Line, comparisons, contest
from corvids.commands.benching.loops import Inference, Learning, Setting, dynamics, environment
from corvids.commands.benching.machine import describe
from corvids.commands.benching.members import members
from corvids.commands.benching.peer_worker import CONTESTANTS
from corvids.commands.benching.peers import Peer, check_peers
from corvids.commands.benching.rows import Subject
from corvids.commands.evaluating.trials import open_policy
from corvids.commands.files import check_writable
from corvids.commands.train import check_device
from corvids.deploy.policy import PolicyFile
from corvids.envs.tasks import task_named
from corvids.errors import CorvidsError
from corvids.whole_files import write_whole

ROWS = ("dynamics", "env", "ppo", "inference", "team", "member")
"""What can be measured; the last two, of teams, only if they are asked for."""
_WORLDS_MAX = 1 << 20


@dataclasses.dataclass(frozen=True)
class BenchOptions:
    """Measure speed: one JSON line a row on standard output, comparisons with peers on standard error.

    Contestants for the same row and number of worlds take turns; figures are medians over the rounds.
    """

    rows: str = ",".join(ROWS[:-2])
    """What to measure: dynamics, env, ppo (the whole of learning), inference (the runtime, one vehicle); and team, the
    whole environment of three drones that carry a load, beside which mujoco steps the bare dynamics of the same;
    and member, the runtime of one drone of teams of three to six."""
    worlds: str = "1,256,4096,16384"
    """Numbers of parallel worlds."""
    task: str = "juggle"
    """The task."""
    device: str = "cpu"
    """Where to simulate and learn: cpu, cuda, cuda:0."""
    seconds: float = 1.0
    """Length of a round of one contestant."""
    rounds: int = 5
    """Rounds of every contestant."""
    threads: int = 0
    """Threads for each contestant; 0: as many as torch takes by itself."""
    compile: bool = True
    """Compile the simulator; without, it is many times slower, but starts at once."""
    policy: Path = Path("pretrained/juggle.onnx")
    """The policy file for inference."""
    team_policy: Path = Path("pretrained/carry.onnx")
    """The policy file for member."""
    against: str = ""
    """Peers to measure in the same run: crazyflow, mujoco; isaaclab, our own environment in that engine."""
    peer_python: str = sys.executable
    """The Python interpreter that has the peers installed."""
    json: Path | None = None
    """Where to write the lines, with a description of the machine."""


def main(argv: list[str]) -> int:
    """Entry point."""
    options = parse(BenchOptions, argv, "bench")
    rows, worlds, peers = _words(options.rows), _worlds(options.worlds), _words(options.against)
    files = _check(options, rows, peers)
    torch.set_num_threads(options.threads or torch.get_num_threads())
    lines: list[Line] = []
    versions: dict[str, str] = {}
    for row in rows:
        for count in (1,) if row in files else worlds:
            for line in _measure(row, count, options, peers, files.get(row), versions):
                print(json.dumps(line), flush=True)
                lines.append(line)
    compared = comparisons(lines)
    for sentence in compared:
        print(sentence, file=sys.stderr)
    if options.json:
        document = {
            "corvids": __version__,
            "machine": describe(options.device),
            "threads": torch.get_num_threads(),
            "peers": versions,
            "seconds": options.seconds,
            "rounds": options.rounds,
            "lines": lines,
            "comparisons": compared,
        }
        write_whole(options.json, (json.dumps(document, indent=1) + "\n").encode())
    return 0


def _measure(
    row: str,
    worlds: int,
    options: BenchOptions,
    peers: tuple[str, ...],
    file: PolicyFile | None,
    versions: dict[str, str],
) -> list[Line]:
    """Lines of all contestants for one row and number of worlds; ``versions`` of peers are added to."""
    print(f"{row}, {worlds} worlds …", file=sys.stderr, flush=True)
    setting = Setting(options.task, options.device, options.seconds, options.compile)
    with contextlib.ExitStack() as stack:
        subjects = _own(row, worlds, setting, file)
        for subject in subjects:
            stack.callback(subject.close)
        for peer in peers:
            if row in CONTESTANTS[peer]:
                threads = torch.get_num_threads()
                rival = Peer(peer, row, worlds, options.device, threads, options.seconds, options.peer_python)
                stack.callback(rival.close)
                subjects.append(rival)
                versions[peer] = rival.version
        return contest(subjects, options.rounds)


def _own(row: str, worlds: int, setting: Setting, file: PolicyFile | None) -> list[Subject]:
    """What is ours in a row: one subject, or a member of each team."""
    if file is not None:
        return [Inference(file, setting)] if row == "inference" else [*members(file, setting)]
    if row == "ppo":
        return [Learning(setting, worlds)]
    if row == "team":
        return [environment(setting._replace(task="carry"), worlds)]
    return [(dynamics if row == "dynamics" else environment)(setting, worlds)]


def _check(options: BenchOptions, rows: tuple[str, ...], peers: tuple[str, ...]) -> dict[str, PolicyFile]:
    """Refuse what cannot be measured before anything is started; the policy files of the rows that fly one."""
    for row in rows:
        if row not in ROWS:
            raise CorvidsError(f"--rows: unknown row {row!r}; there are: {', '.join(ROWS)}")
    if not rows:
        raise CorvidsError(f"--rows: name one at least of: {', '.join(ROWS)}")
    if not (0.0 < options.seconds <= 3600.0 and math.isfinite(options.seconds)):
        raise CorvidsError(f"--seconds {options.seconds}: must be above 0 and at most 3600")
    if options.rounds < 1:
        raise CorvidsError(f"--rounds {options.rounds}: must be 1 at least")
    if not 0 <= options.threads <= 1024:
        raise CorvidsError(f"--threads {options.threads}: must be 0 (all) to 1024")
    task_named(options.task)
    check_device(options.device)
    if options.json:
        check_writable(options.json, ".json")
    check_peers(peers, options.peer_python)
    wanted = {"inference": (options.policy, options.task), "member": (options.team_policy, "carry")}
    return {row: open_policy(*wanted[row]) for row in rows if row in wanted}


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _worlds(text: str) -> tuple[int, ...]:
    counts = []
    for word in _words(text):
        if not word.isdecimal() or not 1 <= int(word) <= _WORLDS_MAX:
            raise CorvidsError(f"--worlds: {word!r} must be a whole number from 1 to {_WORLDS_MAX}")
        counts.append(int(word))
    if not counts:
        raise CorvidsError("--worlds: name one number at least, such as 4096")
    return tuple(counts)
