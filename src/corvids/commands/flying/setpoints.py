"""``corvids fly --setpoints F``: fly a setpoint file in a simulated plant, and log the flight as a vehicle would."""

from __future__ import annotations

import csv
import dataclasses
import io
import sys
import time
from pathlib import Path

import numpy as np

from corvids.cli import parse
from corvids.commands.evaluating.trials import PLANTS, make_engine
from corvids.commands.files import check_writable
from corvids.commands.flying.setpoint_flight import fly_setpoints
from corvids.commands.numbers import check_seed
from corvids.deploy.setpoints import read_setpoints
from corvids.envs.plants.conditions import condition_named
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle
from corvids.whole_files import write_whole

COMPILE_FROM_S = 40.0
"""Compiling takes half a minute: it pays for all but short flights."""


@dataclasses.dataclass(frozen=True)
class SetpointOptions:
    """Fly a setpoint file, such as `corvids calibrate plan` writes, in a plant; log it for `corvids calibrate fit`."""

    setpoints: Path
    """The setpoint file (JSON)."""
    vehicle: str
    """Vehicle that is believed to fly, name or file: commands are meant for it."""
    plant: str = "mujoco"
    """Engine: native, mujoco or isaac."""
    truth: str | None = None
    """Vehicle whose physics is simulated, where it is another than the one that is believed to fly."""
    condition: str = "nominal"
    """Row of the table of conditions: how late and noisy is what the flight is steered by."""
    seed: int = 0
    """Seed of all draws, the log's noise among them."""
    record: Path | None = None
    """Where to write the log (CSV): inertial sensors, motor commands, estimate of attitude and velocity, all noisy."""
    force: bool = False
    """Replace a log that is there."""


def main(argv: list[str]) -> int:
    """Entry point; the exit code is 1 where the vehicle had to be called back."""
    options = parse(SetpointOptions, argv, "fly")
    if options.plant not in PLANTS:
        raise CorvidsError(
            f"--plant {options.plant}: setpoints are flown in simulation only: {', '.join(PLANTS)}"
        )
    condition_named(options.condition)
    check_seed(options.seed)
    setpoints, believed = read_setpoints(options.setpoints), load_vehicle(options.vehicle)
    truth = believed if options.truth is None else load_vehicle(options.truth)
    if setpoints.vehicle != believed.name:
        raise CorvidsError(
            f"{options.setpoints}: was made for the vehicle {setpoints.vehicle!r}, not for {believed.name!r};"
            " make another with: corvids calibrate plan"
        )
    if options.record is not None:
        check_writable(options.record, ".csv")
        if options.record.exists() and not options.force:
            raise CorvidsError(f"{options.record}: is there already; give --force to replace it")
    engine = make_engine(
        options.plant, believed, 1, compile_kernels=setpoints.seconds > COMPILE_FROM_S, with_ball=False
    )
    flown = fly_setpoints(
        [setpoints], engine, believed, [truth], condition=options.condition, seed=options.seed,
        progress=_Progress(setpoints.seconds).show,
    )  # fmt: skip
    print(
        f"{options.plant} {options.condition}: {setpoints.seconds:.1f} s flown,"
        f" at most {flown.speed_mps[0]:.2f} m/s and {np.degrees(flown.tilt_rad[0]):.0f}° of tilt, within"
        + ", ".join(
            f" {axis} {low:.2f} to {high:.2f} m"
            for axis, low, high in zip("xyz", flown.low_w_m[0], flown.high_w_m[0], strict=True)
        )
    )
    if options.record is not None:
        rng = np.random.default_rng(np.random.SeedSequence(options.seed, spawn_key=(2,)))
        write_whole(options.record, csv_bytes(flown.columns(0, rng)))
        print(f"written: {options.record}")
    reason = flown.follower.reasons[0]
    if reason is not None:
        at_s = flown.follower.stopped[0] / flown.follower.rate_hz
        print(f"called back after {at_s:.1f} s: {reason}", file=sys.stderr)
    return 0 if reason is None else 1


def csv_bytes(columns: dict[str, np.ndarray]) -> bytes:
    """A table whose first line names the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([f"{value:.7g}" for value in row] for row in zip(*columns.values(), strict=True))
    return text.getvalue().encode()


class _Progress:
    """A line on standard error every ten seconds of waiting."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._shown = seconds, time.monotonic()

    def show(self, now_s: float) -> None:
        if time.monotonic() - self._shown > 10.0:
            self._shown = time.monotonic()
            print(f"{now_s:.0f} of {self._seconds:.0f} s flown", file=sys.stderr, flush=True)
