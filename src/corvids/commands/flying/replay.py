"""The same inputs again: what a policy answers to a flight's record, and how they compare with simulated ones."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from corvids.deploy.flight_log import FlightLog
from corvids.deploy.policy import Policy, PolicyFile
from corvids.errors import CorvidsError

COMPONENTS = {2: "xy", 3: "xyz", 4: "wxyz"}


@dataclasses.dataclass(frozen=True)
class Compared:
    """One component of an input, in flight and in simulation."""

    name: str
    flight: NDArray[np.float64]
    """Its values, (n,)."""
    simulation: NDArray[np.float64]
    """(m,)."""

    @property
    def distance(self) -> float:
        """Kolmogorov and Smirnov's: the largest difference of the two cumulative distributions, 0 to 1."""
        flight, simulation = np.sort(self.flight), np.sort(self.simulation)
        at = np.concatenate((flight, simulation))
        shares = [np.searchsorted(values, at, side="right") / len(values) for values in (flight, simulation)]
        return float(np.abs(shares[0] - shares[1]).max())


def replay(log: FlightLog, file: PolicyFile) -> NDArray[np.float64]:
    """What the policy answers to the recorded inputs, in their order, as :attr:`FlightLog.answers` has it.

    It forgets its past where the fallback flew, as it did in flight.
    """
    policy = Policy(file)
    missing = set(policy.inputs) - set(log.inputs)
    if missing:
        raise CorvidsError(f"{file.path}: wants {', '.join(sorted(missing))}, which the record does not hold")
    answers = np.zeros_like(log.answers)
    for tick in range(len(log.policy_s)):
        order = policy.advance({name: log.inputs[name][tick][None] for name in policy.inputs})
        answers[tick] = np.concatenate([part.reshape(-1) for part in order])
        if not log.by_policy[tick]:
            policy.reset()
    return answers


def compare(log: FlightLog, simulated: dict[str, NDArray[np.float32]]) -> list[Compared]:
    """Each component of each input, where the policy flew; those that differ most come first."""
    found = []
    for name, values in log.inputs.items():
        width = values.shape[1]
        for index in range(width):
            label = f"{name} {COMPONENTS[width][index]}" if width in COMPONENTS else name
            label = label if width in COMPONENTS or width == 1 else f"{name} {index}"
            flight = values[log.by_policy, index].astype(np.float64)
            other = simulated[name][:, index].astype(np.float64)
            flight, other = flight[np.isfinite(flight)], other[np.isfinite(other)]
            if len(flight) and len(other) and (np.ptp(flight) > 0.0 or np.ptp(other) > 0.0):
                found.append(Compared(label, flight, other))
    return sorted(found, key=lambda one: -one.distance)
