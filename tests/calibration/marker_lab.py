"""Markers that sit askew on a body that is shaken, and a clock of their own: recorded beside a gyroscope."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from corvids.calibration.readers.record import Channel

OFFSET_S = 7.3127
TURN = Rotation.from_rotvec([0.05, -0.03, 1.6])
"""From the markers' axes to the body's: mounted with a quarter turn, and a few degrees askew."""


def rates(time: np.ndarray, seed: int) -> np.ndarray:
    """Body rates (n, 3) [rad/s] of a vehicle that is shaken."""
    rng = np.random.default_rng(seed)
    frequency, phase = rng.uniform(0.2, 2.0, (6, 3)), rng.uniform(0.0, 6.3, (6, 3))
    return 0.4 * np.sin(2.0 * np.pi * frequency * time[:, None, None] + phase).sum(axis=1)


def recordings(
    seed: int, seconds: float = 16.0, turn: Rotation = TURN, offset_s: float = OFFSET_S
) -> tuple[Channel, Channel]:
    """Gyroscope at 250 Hz with bias and noise; poses at 125 Hz with noise, their clock late by ``offset_s``."""
    rng = np.random.default_rng(seed)
    step = 0.002
    fine = np.arange(0.0, seconds, step)
    attitude = Rotation.identity()
    quats = np.empty((len(fine), 4))
    turns = Rotation.from_rotvec(rates(fine + 0.5 * step, seed) * step)
    for index in range(len(fine)):
        quats[index] = attitude.as_quat(scalar_first=True)
        attitude = attitude * turns[index]
    gyro_time = np.arange(0.1, seconds - 0.1, 0.004)
    gyro = rates(gyro_time, seed) + rng.normal((0.01, -0.02, 0.005), 0.03, (len(gyro_time), 3))
    body = quats[::4]
    noise = Rotation.from_rotvec(rng.normal(0.0, 0.002, (len(body), 3)))
    markers = Rotation.from_quat(body, scalar_first=True) * turn * noise
    pose = np.concatenate((np.zeros((len(body), 3)), markers.as_quat(scalar_first=True)), -1)
    return (
        Channel("gyro", "rad/s", gyro_time, gyro),
        Channel("poses", "m", fine[::4] + offset_s, pose),
    )
