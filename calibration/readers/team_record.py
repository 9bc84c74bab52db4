"""A load and the drones that carry it, as motion capture sees them, with the motor commands of each drone."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from corvids.calibration.readers.cleaning import clean
from corvids.calibration.readers.csv_table import Table, read_table
from corvids.calibration.readers.record import Channel, Finding
from corvids.errors import CorvidsError

_POSE = ("x_m", "y_m", "z_m", "qw", "qx", "qy", "qz")


@dataclasses.dataclass(frozen=True)
class TeamRecord:
    """One recording. World: z up. Poses (n, 7): position [m], attitude (scalar first) from body to world."""

    name: str
    """Name of the log."""
    sha256: str
    """Hash of the log."""
    load: Channel
    """The load's pose: of its pose point, along its sides."""
    drones: tuple[Channel, ...]
    """Poses: of each centre of mass, FLU."""
    motors: tuple[Channel, ...]
    """Motor commands 0..1 (n, 4) of each, in PX4's order, held until the next."""
    findings: tuple[Finding, ...]
    """What was wrong with the log."""


def columns_of(drones: int) -> tuple[str, ...]:
    """Names of the columns: ``time_s``, ``load_x_m`` … ``load_qz``, ``drone1_x_m`` …, ``drone1_motor1_1`` …"""
    names = ["time_s", *(f"load_{part}" for part in _POSE)]
    for index in range(1, drones + 1):
        names += [f"drone{index}_{part}" for part in _POSE]
        names += [f"drone{index}_motor{rotor}_1" for rotor in range(1, 5)]
    return tuple(names)


def read_team_csv(
    path: str | os.PathLike[str], drones: int, mapping: str | os.PathLike[str] | None = None
) -> TeamRecord:
    """A CSV table with the columns that :func:`columns_of` names, or that ``mapping`` leads to."""
    return team_record(read_table(path, columns_of(drones), (), mapping), drones)


def team_record(table: Table, drones: int) -> TeamRecord:
    """The record in a table; raises :class:`CorvidsError` where a signal is missing or is none."""
    time_us = 1e6 * table.columns["time_s"]
    finite = time_us[np.isfinite(time_us)]
    start_us = int(finite[0]) if len(finite) else 0
    findings: list[Finding] = []

    def channel(signal: str, names: list[str], unit: str) -> Channel:
        values = np.stack([table.columns[name] for name in names], -1)
        good = np.isfinite(time_us)
        found, repairs = clean(signal, table.name, unit, time_us[good], values[good], start_us)
        findings.extend(repairs)
        if found is None or len(found.time_s) < 50:
            count = 0 if found is None else len(found.time_s)
            raise CorvidsError(f"{table.name}: {signal} has {count} samples; a fit needs seconds of flight")
        return found

    def pose(body: str) -> Channel:
        found = channel(body, [f"{body}_{part}" for part in _POSE], "m")
        length = np.linalg.norm(found.values[:, 3:], axis=-1)
        worst = float(length[np.abs(length - 1.0).argmax()])
        if abs(worst - 1.0) > 0.05:
            raise CorvidsError(
                f"{table.name}: {body}_q* has length {worst:.3g}, must be 1: a unit quaternion"
            )
        if np.ptp(found.values[:, :3], axis=0).max() == 0.0:
            raise CorvidsError(f"{table.name}: {body} never moves: is it tracked?")
        return found

    load = pose("load")
    poses, motors = [], []
    for index in range(1, drones + 1):
        poses.append(pose(f"drone{index}"))
        names = [f"drone{index}_motor{rotor}_1" for rotor in range(1, 5)]
        commands = channel(f"drone{index}_motor", names, "1")
        if not (commands.values.min() > -0.05 and commands.values.max() < 1.05):
            low, high = commands.values.min(), commands.values.max()
            raise CorvidsError(
                f"{table.name}: drone{index}_motor* runs from {low:.4g} to {high:.4g}, must be 0..1"
            )
        motors.append(commands)
    return TeamRecord(table.name, table.sha256, load, tuple(poses), tuple(motors), tuple(findings))
