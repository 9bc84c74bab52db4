"""``corvids report RUN.mcap``: the page of a flight."""

from __future__ import annotations

import dataclasses
import html
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from corvids.cli import parse
from corvids.commands.files import check_writable
from corvids.commands.fly import PLACE_TASKS
from corvids.commands.flying.flight_figures import heights, inputs_figure, latencies
from corvids.commands.flying.replay import Compared, compare, replay
from corvids.commands.page import figure_html, page, table_html
from corvids.deploy.flight_log import FlightLog, read_flight_log
from corvids.deploy.policy import PolicyFile, read_policy_file
from corvids.errors import CorvidsError
from corvids.whole_files import write_whole

DECISIONS_MAX = 400
"""Decisions that a page shows."""
TASKS = ("juggle", *PLACE_TASKS)
"""Those whose policies fly in our engines one vehicle at a time, as the recorded one did."""
THRUST_AND_RATES = (("thrust", "N", slice(0, 1)), ("body rates", "rad/s", slice(1, 4)))
ACCELERATION_AND_RATES = (("acceleration", "m/s²", slice(0, 3)), ("added rates", "rad/s", slice(3, 5)))
"""What a policy answers, by columns: for an inner loop, the latter."""
PERCENTILES = (50.0, 95.0, 99.0, 100.0)


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Make the page of a flight from its record: timeline, latencies, decisions, and the policy's inputs again."""

    out: Path | None = None
    """Where to write the page; default: beside the record, with .html."""
    policy: Path | None = None
    """The policy file; default: the one that the record names, if it is there."""
    against: str = "mujoco"
    """Engine whose flights of the same policy stand beside it: mujoco, native, or none."""
    condition: str = "noisy"
    """Condition of those flights."""
    trials: int = 4
    """How many of them."""
    seconds: float = 20.0
    """How long each is."""


def main(argv: list[str]) -> int:
    """Entry point."""
    if argv and argv[0] in ("-h", "--help"):
        argv = ["record.mcap", "--help"]
    if not argv or argv[0].startswith("-"):
        raise CorvidsError(
            "report: which record? corvids report RUN.mcap …, as `corvids fly --record` writes it"
        )
    path = Path(argv[0])
    options = parse(ReportOptions, argv[1:], "report RUN.mcap")
    if options.against not in ("mujoco", "native", "none"):
        raise CorvidsError(f"unknown plant {options.against!r}; there are: mujoco, native, none")
    out = options.out or path.with_suffix(".html")
    check_writable(out, ".html")
    log = read_flight_log(path)
    file = _policy(options, log)
    flown, note = file if options.against != "none" else None, ""
    if flown and flown.contract.task not in TASKS:
        task, flown = flown.contract.task, None
        note = f"no simulated flights of the task {task} to compare with; there are: {', '.join(TASKS)}"
        print(note)
    _check_installed(options.against if flown else "none")
    simulated = _simulated(flown, options) if flown else None
    write_whole(out, flight_page(path.name, log, file, simulated, options, note))
    print(f"written: {out}")
    return 0


def flight_page(
    name: str,
    log: FlightLog,
    file: PolicyFile | None,
    simulated: dict[str, NDArray[np.float32]] | None,
    options: ReportOptions,
    note: str = "",
) -> bytes:
    """The whole file; ``note``: why there are no simulated flights."""
    seconds = float(log.now_s[-1] - log.now_s[0])
    about = ", ".join(f"{key} {value}" for key, value in log.about.items() if key != "policy_sha256")
    parts = [_states(log), figure_html(*heights(log)), "<h2>Decisions</h2>", _decisions(log)]
    parts += ["<h2>Latency</h2>", _latency_table(log), figure_html(*latencies(measured_ms(log)))]
    if log.mocap:
        parts += ["<h2>In motion capture</h2>", _mocap(log)]
    if file:
        parts += ["<h2>The same inputs again</h2>", _same_inputs(log, file)]
    if simulated:
        both = {name: values for name, values in log.inputs.items() if name in simulated}
        compared = compare(dataclasses.replace(log, inputs=both), simulated)
        parts += ["<h2>Flight against simulation</h2>", _against(compared, options)]
    elif note:
        parts += ["<h2>Flight against simulation</h2>", f"<p>{html.escape(note)}</p>"]
    return page(name, f"{seconds:.1f} s; {about}", "".join(parts))


def measured_ms(log: FlightLog) -> dict[str, NDArray[np.float64]]:
    """What took how long [ms], each (·,): ages at the tick, lateness, computing."""
    seen = log.seen
    figures = {
        "age of the vehicle's state": log.now_s - seen["stamp_s"],
        "age of the ball's last measurement": log.now_s - seen["ball_stamp_s"],
        "tick later than due": log.late_s,
        "from readings to command": seen["compute_s"],
    }
    return {name: 1e3 * values[np.isfinite(values)] for name, values in figures.items()}


def _states(log: FlightLog) -> str:
    steps_s = np.diff(log.now_s, append=log.now_s[-1])
    spent: dict[str, float] = {}
    for state, step_s in zip(log.state, steps_s, strict=True):
        spent[state] = spent.get(state, 0.0) + float(step_s)
    by_policy = f"{100.0 * log.by_policy.mean():.1f} %" if len(log.by_policy) else "–"
    rows = [(state.lower(), f"{seconds:.1f} s") for state, seconds in spent.items()]
    rows.append(("ticks in which the policy's answer was fit to fly", by_policy))
    return table_html(("state", "time"), rows)


def _decisions(log: FlightLog) -> str:
    start_s = log.now_s[0]
    rows = [
        (
            f"{one.now_s - start_s:.2f} s: {one.before.lower()} → {one.after.lower()}",
            one.reaction.lower(),
            (one.request or "").lower(),
            one.reason,
        )
        for one in log.decisions[:DECISIONS_MAX]
    ]
    more = len(log.decisions) - len(rows)
    note = f"<p>{more} more are in the record.</p>" if more else ""
    return table_html(("when, from and to", "reaction", "asked for", "why"), rows) + note


def _latency_table(log: FlightLog) -> str:
    rows = [
        (name, *(f"{value:.2f}" for value in np.percentile(values, PERCENTILES)))
        for name, values in measured_ms(log).items()
        if len(values)
    ]
    return table_html(("[ms]", "median", "95 %", "99 %", "largest"), rows)


def _mocap(log: FlightLog) -> str:
    last = log.mocap[-1]
    rows = [(key.replace("_", " "), f"{value:.6g}") for key, value in last.items() if value is not None]
    return f"<p>How motion capture fared, at the end, as the runtime saw it.</p>{table_html(('', ''), rows)}"


def _same_inputs(log: FlightLog, file: PolicyFile) -> str:
    sha256 = log.about.get("policy_sha256")
    answers = replay(log, file)
    error = np.abs(answers - log.answers)[log.by_policy]
    error = error[np.isfinite(error).all(axis=1)]
    if not len(error):
        return "<p>The policy did not fly.</p>"
    is_same = sha256 is None or sha256 == _sha256(file)
    which = "the policy that flew" if is_same else "another policy than the one that flew"
    width = THRUST_AND_RATES if error.shape[1] == 4 else ACCELERATION_AND_RATES
    parts = [(what, unit, error[:, columns].max()) for what, unit, columns in width]
    verdict = "identical" if error.max() == 0.0 else "different"
    return (
        f"<p>{html.escape(str(file.path))}, {which}, given the recorded inputs of {len(error)} ticks, answers "
        f"{verdict}: {', '.join(f'{what} within {most:.3g} {unit}' for what, unit, most in parts)} of what was "
        "recorded.</p>"
    )


def _against(compared: list[Compared], options: ReportOptions) -> str:
    rows = [
        (
            one.name,
            f"{one.flight.mean():.3f} ± {one.flight.std():.3f}",
            f"{one.simulation.mean():.3f} ± {one.simulation.std():.3f}",
            f"{one.distance:.2f}",
        )
        for one in compared
    ]
    said = (
        f"<p>What the policy was given in flight, and in {options.trials} flights of {options.seconds:g} s in the "
        f"engine {html.escape(options.against)}, condition {html.escape(options.condition)}. The distance is that of "
        "Kolmogorov and Smirnov, 0 (alike) to 1: what stands first differs most from what it trained with.</p>"
    )
    table = table_html(("input", "flight", "simulation", "distance"), rows)
    return said + table + (figure_html(*inputs_figure(compared)) if compared else "")


def _policy(options: ReportOptions, log: FlightLog) -> PolicyFile | None:
    """The file named by the user, or else the one that flew, where it is still there and the same."""
    if options.policy:
        return read_policy_file(options.policy, log.about.get("task"))
    path = Path(log.about.get("policy", ""))
    if not path.is_file():
        return None
    file = read_policy_file(path)
    return file if _sha256(file) == log.about.get("policy_sha256") else None


def _sha256(file: PolicyFile) -> str:
    import hashlib

    return hashlib.sha256(file.onnx).hexdigest()


def _check_installed(against: str) -> None:
    """Say in one line, before anything is flown, what the page needs and a vehicle's computer lacks."""
    simulator = {"none": (), "native": ("torch",), "mujoco": ("torch", "mujoco")}[against]
    absent = [name for name in ("matplotlib", *simulator) if find_spec(name) is None]
    if absent:
        spared = " (--against none: no torch, no mujoco)" if against != "none" else ""
        raise CorvidsError(
            f"the page needs {', '.join(absent)}: pip install 'corvids[sim,train]', or copy the record to a computer"
            f" that has them{spared}"
        )


def _simulated(file: PolicyFile, options: ReportOptions) -> dict[str, NDArray[np.float32]]:
    """Inputs (n, ·) of the same policy in simulated flights of its task, by name, where it flew."""
    from corvids.commands.evaluating.place import PlaceOptions, fly_places
    from corvids.commands.evaluating.trials import TrialsConfig, fly_trials
    from corvids.deploy.runtime import Tick

    gathered: dict[str, list[NDArray[np.float32]]] = {}

    def gather(tick: Tick) -> None:
        for name, values in tick.decision.inputs.items():
            gathered.setdefault(name, []).append(values[tick.decision.by_policy].copy())

    plan = (options.against, options.condition, options.trials, options.seconds)
    task = file.contract.task
    if task in PLACE_TASKS:
        fly_places(file, task, PlaceOptions(file.path, *plan), recorder=gather)
    else:
        fly_trials(file, TrialsConfig(*plan), recorder=gather, progress=False)
    return {name: np.concatenate(values) for name, values in gathered.items()}
