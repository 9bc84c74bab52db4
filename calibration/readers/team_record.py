"""A load and the drones that carry it, as motion capture sees them, with the motor commands of each drone."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

import numpy as np

from corvids.calibration.flight.marker_alignment import fit_markers
from corvids.calibration.readers.cleaning import clean
from corvids.calibration.readers.csv_table import Table, read_table
from corvids.calibration.readers.record import Channel, Finding, FlightRecord
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


Signals = Mapping[str, tuple[np.ndarray, np.ndarray]]
"""Time stamps (n,) [µs] and values (n, k) as recorded, by signal: ``load``, ``drone1``, ``drone1_motor`` …"""


def columns_of(drones: int, motors: bool = True) -> tuple[str, ...]:
    """Names of the columns: ``time_s``, ``load_x_m`` … ``load_qz``, ``drone1_x_m`` …, ``drone1_motor1_1`` …"""
    names = ["time_s", *(f"load_{part}" for part in _POSE)]
    for index in range(1, drones + 1):
        names += [f"drone{index}_{part}" for part in _POSE]
        names += [f"drone{index}_motor{rotor}_1" for rotor in range(1, 5)] * motors
    return tuple(names)


def read_team_csv(
    path: str | os.PathLike[str],
    drones: int,
    mapping: str | os.PathLike[str] | None = None,
    flights: Sequence[FlightRecord] = (),
) -> TeamRecord:
    """A CSV table with the columns that :func:`columns_of` names, or that ``mapping`` leads to.

    ``flights``: each drone's own log, for motor commands that the table does not have.
    """
    return team_record(read_table(path, columns_of(drones, not flights), (), mapping), drones, flights)


def team_record(table: Table, drones: int, flights: Sequence[FlightRecord] = ()) -> TeamRecord:
    """The record in a table; raises :class:`CorvidsError` where a signal is missing or is none."""
    time_us = 1e6 * table.columns["time_s"]
    good = np.isfinite(time_us)

    def columns(names: list[str]) -> tuple[np.ndarray, np.ndarray]:
        return time_us[good], np.stack([table.columns[name] for name in names], -1)[good]

    bodies = ["load", *(f"drone{index}" for index in range(1, drones + 1))]
    signals = {body: columns([f"{body}_{part}" for part in _POSE]) for body in bodies}
    if not flights:
        for body in bodies[1:]:
            signals[f"{body}_motor"] = columns([f"{body}_motor{rotor}_1" for rotor in range(1, 5)])
    return gathered(table.name, table.sha256, signals, drones, flights)


def gathered(
    name: str, sha256: str, signals: Signals, drones: int, flights: Sequence[FlightRecord] = ()
) -> TeamRecord:
    """The record of ``signals``; raises :class:`CorvidsError` where one is missing, stuck or in wrong units.

    ``flights``: each drone's own log, where ``signals`` have no motor commands.
    """
    if flights and len(flights) != drones:
        raise CorvidsError(
            f"{name}: {len(flights)} flight logs for {drones} drones; give one for each, in order"
        )
    first = next((time for time, _ in signals.values() if len(time)), np.zeros(1))
    start_us = int(first[0])
    findings: list[Finding] = []

    def channel(signal: str, unit: str) -> Channel:
        found, repairs = clean(signal, name, unit, *signals[signal], start_us)
        findings.extend(repairs)
        if found is None or len(found.time_s) < 50:
            count = 0 if found is None else len(found.time_s)
            raise CorvidsError(f"{name}: {signal} has {count} samples; a fit needs seconds of flight")
        return found

    def pose(body: str) -> Channel:
        found = channel(body, "m")
        length = np.linalg.norm(found.values[:, 3:], axis=-1)
        worst = float(length[np.abs(length - 1.0).argmax()])
        if abs(worst - 1.0) > 0.05:
            raise CorvidsError(f"{name}: {body}_q* has length {worst:.3g}, must be 1: a unit quaternion")
        if np.ptp(found.values[:, :3], axis=0).max() == 0.0:
            raise CorvidsError(f"{name}: {body} never moves: is it tracked?")
        return found

    load = pose("load")
    poses = tuple(pose(f"drone{index}") for index in range(1, drones + 1))
    if flights:
        motors = []
        for index, (flight, body) in enumerate(zip(flights, poses, strict=True), 1):
            commands, said = _timed(flight, body, f"drone{index}_motor")
            motors.append(commands)
            findings.append(said)
    else:
        motors = [channel(f"drone{index}_motor", "1") for index in range(1, drones + 1)]
    for index, commands in enumerate(motors, 1):
        low, high = commands.values.min(), commands.values.max()
        if not (low > -0.05 and high < 1.05):
            raise CorvidsError(f"{name}: drone{index}_motor* runs from {low:.4g} to {high:.4g}, must be 0..1")
    return TeamRecord(name, sha256, load, poses, tuple(motors), tuple(findings))


def _timed(flight: FlightRecord, pose: Channel, signal: str) -> tuple[Channel, Finding]:
    """Motor commands of a drone's own log by the clock of its ``pose``: both saw it turn."""
    if flight.command is None:
        raise CorvidsError(f"{flight.name}: has no motor commands; log actuator_motors")
    clock = fit_markers(flight.gyro_b, pose).figures["clock_offset_s"]
    if not clock.identified or clock.value is None:
        raise CorvidsError(f"{flight.name}: its clock cannot be compared with the poses'; {clock.reason}")
    command = dataclasses.replace(flight.command, time_s=flight.command.time_s + clock.value)
    text = f"from {flight.name}, {clock.value:+.4f} s later by the poses' clock (± {clock.std:.1g} s)"
    return command, Finding(signal, text)
