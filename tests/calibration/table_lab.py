"""Tables with planted figures: a thrust bench, a motor's steps, two records of one motion, a rate loop."""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import StateSpace, lsim

from corvids.calibration.readers.csv_table import Table
from corvids.vehicle import load_vehicle

AIR = load_vehicle("air")
FOLLOWED_GAIN = 0.98
"""How much of a steady setpoint the rates of :func:`followed` reach."""


def table(**columns: np.ndarray) -> Table:
    return Table("bench.csv", "0" * 64, columns)


def bench(seed: int, full: float = 8.0, curve: float = 0.7, loss: float = 0.18, noise: float = 0.05) -> Table:
    rng = np.random.default_rng(seed)
    command = np.tile(np.linspace(0.1, 1.0, 19), 4)
    voltage = np.repeat([16.8, 16.0, 15.0, 14.0], 19)
    spent = (16.8 - voltage) / (16.8 - 14.0)
    thrust = full * (curve * command**2 + (1.0 - curve) * command) * (1.0 - loss * spent)
    return table(command_1=command, thrust_n=thrust + rng.normal(0.0, noise, len(command)), voltage_v=voltage)


def motor_log(seed: int, rise: float = 0.028, fall: float = 0.045, dead: float = 0.006) -> Table:
    """Steps of the command; the speed by its own fine integration (0.1 ms), logged at 250 Hz."""
    rng = np.random.default_rng(seed)
    fine, dt = 40, 1e-4
    count = 5000
    command = np.repeat(rng.uniform(0.3, 0.7, count // 50), 50)
    steady = 150.0 + 900.0 * command - 100.0 * command**2
    late = round(dead / dt)
    target = np.concatenate((np.full(late, steady[0]), np.repeat(steady, fine)))[: count * fine]
    speed, now = np.empty(count), steady[0]
    for k in range(count * fine):
        if k % fine == 0:
            speed[k // fine] = now
        now += (target[k] - now) * (1.0 - np.exp(-dt / (rise if target[k] > now else fall)))
    return table(
        time_s=np.arange(count) * fine * dt,
        command_1=command,
        speed_radps=speed + rng.normal(0.0, 4.0, count),
    )


def wandering(seed: int, delay_s: float, noise: float = 0.02) -> Table:
    """A smooth random signal, and the same again later with other time stamps."""
    rng = np.random.default_rng(seed)
    frequencies, phases = rng.uniform(0.3, 6.0, 12), rng.uniform(0.0, 6.3, 12)

    def signal(t: np.ndarray) -> np.ndarray:
        return np.sin(2.0 * np.pi * frequencies * t[:, None] + phases).sum(axis=-1)

    time = np.arange(0.0, 30.0, 0.01)
    other = np.arange(0.0, 30.0, 0.01) + rng.uniform(0.0, 0.01)
    return table(
        time_s=time,
        first_1=signal(time) + rng.normal(0.0, noise, len(time)),
        second_1=0.7 * signal(other - delay_s) + rng.normal(0.0, noise, len(time)),
        second_time_s=other,
    )


def setpoints(time_s: np.ndarray, seed: int) -> np.ndarray:
    """A multi-sine of body rates [rad/s] up to 12 Hz."""
    phases = np.random.default_rng(seed).uniform(0.0, 2.0 * math.pi, 8)
    hertz = np.array([0.4, 0.9, 1.7, 2.9, 4.3, 6.1, 8.7, 11.9])
    return 0.4 * np.sin(2.0 * math.pi * hertz * time_s[:, None] + phases).sum(axis=1)


def followed(seed: int, natural: float, damping: float, delay_s: float, noise: float = 0.03) -> Table:
    """A rate that follows by scipy's own simulation of the planted system at 2 kHz, with noise.

    ``delay_s`` in whole half milliseconds.
    """
    fine_s, every = 0.0005, 8
    fine = fine_s * np.arange(round(20.0 / fine_s))
    held = setpoints(fine[::every], seed).repeat(every)[: len(fine)]
    late = np.concatenate((np.full(round(delay_s / fine_s), held[0]), held))[: len(fine)]
    plant = StateSpace(
        [[0, 1], [-(natural**2), -2 * damping * natural]], [[0], [natural**2]], [[1, 0]], [[0]]
    )
    _, rate, _ = lsim(plant, late, fine, X0=[held[0], 0.0], interp=False)
    rng = np.random.default_rng(seed + 100)
    measured = FOLLOWED_GAIN * rate[::every] + 0.02 + rng.normal(0.0, noise, len(fine[::every]))
    return table(time_s=fine[::every], setpoint_radps=held[::every], rate_radps=measured)
