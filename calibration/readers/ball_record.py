"""A ball's trajectory and, where it was measured, the pose of the vehicle that carries the racket."""

from __future__ import annotations

import dataclasses
import os

import numpy as np

from corvids.calibration.readers.cleaning import clean
from corvids.calibration.readers.csv_table import Table, read_table
from corvids.calibration.readers.record import Channel, Finding
from corvids.errors import CorvidsError

BALL = ("ball_x_m", "ball_y_m", "ball_z_m")
POSE = ("vehicle_x_m", "vehicle_y_m", "vehicle_z_m", "vehicle_qw", "vehicle_qx", "vehicle_qy", "vehicle_qz")


@dataclasses.dataclass(frozen=True)
class BallRecord:
    """One recording. World: z up."""

    name: str
    """Name of the log."""
    sha256: str
    """Hash of the log."""
    ball_w: Channel
    """Centre of the ball (n, 3) [m], world."""
    pose: Channel | None
    """Vehicle (n, 7): position [m], attitude (scalar first) from body FLU to world. None: a racket at rest, level."""
    findings: tuple[Finding, ...]
    """What was wrong with the log."""


def read_ball_csv(path: str | os.PathLike[str], mapping: str | os.PathLike[str] | None = None) -> BallRecord:
    """A CSV table with columns ``time_s``, ``ball_[xyz]_m`` and perhaps ``vehicle_[xyz]_m``, ``vehicle_q[wxyz]``."""
    return ball_record(read_table(path, ("time_s", *BALL), POSE, mapping))


def ball_record(table: Table) -> BallRecord:
    """The record in a table; raises :class:`CorvidsError` where there is no trajectory in it.

    ``vehicle_time_s``: the pose's own time stamps, where they are not the ball's.
    """
    time_us = 1e6 * table.columns["time_s"]
    finite = time_us[np.isfinite(time_us)]
    start_us = int(finite[0]) if len(finite) else 0
    ball, findings = _cleaned("ball", table, BALL, time_us, start_us)
    if ball is None or len(ball.time_s) < 2:
        raise CorvidsError(f"{table.name}: holds no trajectory: no two samples with finite time and position")
    pose = None
    if all(name in table.columns for name in POSE):
        own = table.columns.get("vehicle_time_s")
        pose, more = _pose(table, time_us if own is None else 1e6 * own, start_us)
        findings += more
    return BallRecord(table.name, table.sha256, ball, pose, tuple(findings))


def read_pose_csv(
    path: str | os.PathLike[str], mapping: str | os.PathLike[str] | None = None
) -> tuple[Table, Channel, tuple[Finding, ...]]:
    """A CSV table of ``time_s``, ``vehicle_[xyz]_m``, ``vehicle_q[wxyz]``, and its poses (n, 7), by its own clock."""
    table = read_table(path, ("time_s", *POSE), (), mapping)
    pose, findings = _pose(table, 1e6 * table.columns["time_s"], 0)
    if pose is None:
        raise CorvidsError(f"{table.name}: holds no pose: no sample with finite time, place and attitude")
    return table, pose, tuple(findings)


def _pose(table: Table, time_us: np.ndarray, start_us: int) -> tuple[Channel | None, list[Finding]]:
    """The vehicle's poses (n, 7), quaternions of length 1; raises where they are none."""
    pose, findings = _cleaned("vehicle", table, POSE, time_us, start_us)
    if pose is None:
        return None, findings
    length = np.linalg.norm(pose.values[:, 3:], axis=-1, keepdims=True)
    if np.abs(length - 1.0).max() > 0.05:
        raise CorvidsError(
            f"{table.name}: vehicle_q* has length {float(length[np.abs(length - 1.0).argmax(), 0]):.3g},"
            " must be 1: a unit quaternion"
        )
    values = np.concatenate((pose.values[:, :3], pose.values[:, 3:] / length), axis=-1)
    return dataclasses.replace(pose, values=values), findings


def _cleaned(
    signal: str, table: Table, names: tuple[str, ...], time_us: np.ndarray, start_us: int
) -> tuple[Channel | None, list[Finding]]:
    values = np.stack([table.columns[name] for name in names], -1)
    good = np.isfinite(time_us)
    return clean(signal, table.name, "m", time_us[good], values[good], start_us)
