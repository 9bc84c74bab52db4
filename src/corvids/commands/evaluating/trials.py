"""Flying trials: a policy file, a condition and an engine, put together."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from corvids.commands.numbers import check_positive, check_seed
from corvids.deploy.pilot import Pilot
from corvids.deploy.policy import PolicyFile, read_policy_file
from corvids.deploy.runtime import Flight, Tick, fly
from corvids.deploy.trained_vehicle import vehicle_of
from corvids.envs.engines.contact import Contact, check_contact
from corvids.envs.engines.engine import Engine
from corvids.envs.plants.conditions import APEX_M, PLACE_W_M, condition_named, draw
from corvids.envs.plants.hits import Referee, Verdict
from corvids.envs.plants.plant import Plant
from corvids.envs.plants.recording import Recorder
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle, load_vehicle

PLANTS = ("native", "mujoco", "isaac")
"""Engines that a policy file can be flown in."""


@dataclasses.dataclass(frozen=True)
class TrialsConfig:
    """A set of trials."""

    plant: str = "mujoco"
    """Engine: native, mujoco or isaac."""
    condition: str = "noisy"
    """Row of the table of conditions: nominal, noisy, ball5g, throws, throws-unseen."""
    trials: int = 10
    """Independent trials, flown together."""
    seconds: float = 1000.0
    """Time limit of a trial."""
    max_hits: int = 1000
    """A trial ends after this many counted hits."""
    seed: int = 0
    """Seed of all draws."""
    vehicle: str | None = None
    """Vehicle that is believed to fly, name or file; default: the one that the policy was trained for."""
    truth: str | None = None
    """Vehicle whose physics is simulated, where it is another than the one that is believed to fly."""
    contact: str = "ours"
    """For isaac: who resolves what happens between ball and vehicle, our model (ours) or its solver (kamino, xpbd)."""


def check(config: TrialsConfig) -> None:
    """Refuse what cannot be flown, in one line, before anything is started."""
    if config.plant not in PLANTS:
        raise CorvidsError(f"unknown plant {config.plant!r}; there are: {', '.join(PLANTS)}")
    if check_contact(config.contact) != "ours" and config.plant != "isaac":
        raise CorvidsError(f"--contact {config.contact}: is for --plant isaac; {config.plant} has its own")
    condition_named(config.condition)
    check_positive(trials=config.trials, max_hits=config.max_hits, seconds=config.seconds)
    check_seed(config.seed)


def make_engine(
    plant: str,
    vehicle: Vehicle,
    worlds: int,
    compile_kernels: bool,
    with_ball: bool = True,
    contact: Contact = "ours",
) -> Engine:
    """An engine with ``worlds`` worlds, whose ball may be left out where it would only lie about.

    ``contact``: who resolves its impacts, where the engine is Isaac Lab.
    """
    if plant == "native":
        from corvids.envs.engines.native import NativeEngine

        return NativeEngine(vehicle, worlds, compile_kernels=compile_kernels, with_ball=with_ball)
    if plant == "isaac":
        from corvids.envs.isaac import require_isaac

        require_isaac()
        from corvids.envs.isaac.engine import IsaacEngine

        return IsaacEngine(
            vehicle, worlds, compile_kernels=compile_kernels, with_ball=with_ball, contact=contact
        )
    from corvids.envs.engines.mujoco_engine import MujocoEngine

    return MujocoEngine(vehicle, worlds, compile_kernels=compile_kernels)


def open_policy(path: Path, task: str) -> PolicyFile:
    """The policy file at ``path`` if it is one for ``task``."""
    return read_policy_file(path, task)


def fly_trials(
    file: PolicyFile,
    config: TrialsConfig,
    *,
    plant_recorder: Recorder | None = None,
    recorder: Callable[[Tick], None] | None = None,
    progress: bool = True,
) -> tuple[Verdict, Flight, Vehicle]:
    """Fly all trials to their end; what the referee says, and how the runtime fared."""
    check(config)
    vehicle = vehicle_of(file, config.vehicle)
    truth = vehicle if config.truth is None else load_vehicle(config.truth)
    trials = draw(condition_named(config.condition), truth, config.trials, config.seed)
    # Compiling takes half a minute: it pays for all but short flights.
    engine = make_engine(
        config.plant, vehicle, config.trials, compile_kernels=config.seconds > 40.0,
        contact=check_contact(config.contact),
    )  # fmt: skip
    referee = Referee(
        trials.params,
        config.trials,
        place_w_m=np.array(PLACE_W_M),
        max_hits=config.max_hits,
        seconds=config.seconds,
    )
    plant = Plant(engine, trials, seed=config.seed, referee=referee, recorder=plant_recorder)
    pilot = Pilot(file, config.trials)
    command = np.array((*PLACE_W_M, APEX_M))
    report = _Progress(config, referee) if progress else None

    def over(tick: Tick) -> bool:
        if report:
            report.show(tick.now_s)
        return bool(referee.done.all())

    # One period more than the limit, so that the referee sees the limit itself.
    flight = fly(pilot, plant, lambda _: command, seconds=config.seconds + 0.1, recorder=recorder, until=over)
    if report:
        report.close()
    return referee.verdict, flight, vehicle


class _Progress:
    """One line on standard error about once a second."""

    def __init__(self, config: TrialsConfig, referee: Referee) -> None:
        self._config, self._referee = config, referee
        self._started = self._shown = time.monotonic()

    def show(self, now_s: float) -> None:
        """Show where the trials stand."""
        if time.monotonic() - self._shown < 1.0:
            return
        self._shown = time.monotonic()
        referee, config = self._referee, self._config
        speed = now_s / (self._shown - self._started)
        line = (
            f"\r{config.plant} {config.condition}: {now_s:6.1f} s flown ({speed:.1f}x real time), "
            f"{int((~referee.done).sum())} of {config.trials} trials going, {referee.hits.mean():.1f} hits on average "
        )
        end = "" if sys.stderr.isatty() else "\n"
        if end == "" or int(self._shown - self._started) % 20 == 0:
            print(line if end == "" else line[1:], end=end, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leave the line."""
        if sys.stderr.isatty():
            print(file=sys.stderr)
