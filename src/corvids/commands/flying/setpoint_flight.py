"""Flying setpoint files in a simulated plant: follower, engine, sensors and log, put together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from corvids.controllers.packing import leaves, map_leaves
from corvids.deploy.contract import Limits
from corvids.deploy.setpoint_follower import SetpointFollower, tilt_rad
from corvids.deploy.setpoints import Setpoints
from corvids.envs.engines.engine import Array, Engine, State
from corvids.envs.plants.conditions import condition_named, draw
from corvids.envs.plants.flight_log import FlightLog
from corvids.envs.plants.plant import Plant
from corvids.vehicle import Vehicle


@dataclasses.dataclass(frozen=True)
class SetpointFlight:
    """Flights of setpoints, one a row."""

    log: FlightLog
    """What an autopilot would have logged."""
    follower: SetpointFollower
    """Says which vehicle was called back, when and why."""
    low_w_m: Array
    """Lowest coordinates reached, (n, 3)."""
    high_w_m: Array
    """Highest coordinates reached, (n, 3)."""
    speed_mps: Array
    """Largest speed, (n,)."""
    tilt_rad: Array
    """Largest tilt, (n,)."""
    rate_setpoints: Array
    """Body rates commanded at each step [rad/s, FLU], (T, n, 3)."""

    def columns(self, row: int, rng: np.random.Generator | None) -> dict[str, Array]:
        """The log of one flight, and the rates that were commanded from each time on: for a fit of the rate loop."""
        columns = self.log.columns(row, rng)
        step = np.floor(columns["time_s"] * self.follower.rate_hz + 1e-6).astype(int)
        commanded = self.rate_setpoints[np.minimum(step, len(self.rate_setpoints) - 1), row]
        return columns | {f"setpoint_{axis}_radps": commanded[:, k] for k, axis in enumerate("xyz")}


class _Extremes:
    """What a flight reached, and its log."""

    def __init__(self, engine: Engine, rows: int) -> None:
        self.log = FlightLog(engine)
        self.low, self.high = np.full((rows, 3), np.inf), np.full((rows, 3), -np.inf)
        self.speed, self.tilt = np.zeros(rows), np.zeros(rows)

    def watch(self, now_s: float, state: State, hits) -> None:
        self.log.watch(now_s, state, hits)
        self.low, self.high = np.minimum(self.low, state.pos_w), np.maximum(self.high, state.pos_w)
        self.speed = np.maximum(self.speed, np.linalg.norm(state.vel_w, axis=1))
        self.tilt = np.maximum(self.tilt, tilt_rad(state.quat_wb))


def fly_setpoints(
    setpoints: Sequence[Setpoints],
    engine: Engine,
    believed: Vehicle,
    truths: Sequence[Vehicle],
    *,
    condition: str = "nominal",
    seed: int = 0,
    progress: Callable[[float], None] = lambda now_s: None,
) -> SetpointFlight:
    """Fly each of ``setpoints`` with the vehicle of ``truths`` in its row, under commands meant for ``believed``.

    ``condition`` says how the follower's sensors are; a vehicle is drawn off its file where the condition says so.
    """
    rows = len(setpoints)
    place = setpoints[0].array()[0, :3]
    drawn = [
        draw(condition_named(condition), truth, 1, seed + row, place_w_m=tuple(place), with_ball=False)
        for row, truth in enumerate(truths)
    ]
    columns = zip(*map(leaves, drawn), strict=True)
    trials = map_leaves(lambda _: np.concatenate(next(columns)), drawn[0])
    watch = _Extremes(engine, rows)
    plant = Plant(engine, trials, seed=seed, recorder=watch)
    limits = believed.limits
    follower = SetpointFollower(
        setpoints,
        Limits((0.0, limits.thrust_max_n), believed.weight_n, limits.rate_max_radps, limits.tilt_max_rad),
    )
    rates = []
    for index in range(follower.steps):
        readings = plant.receive(index / follower.rate_hz)
        thrust_n, rate = follower.step(readings, index)
        plant.send(thrust_n, rate)
        rates.append(rate)
        progress(plant.now_s)
    plant.receive(follower.steps / follower.rate_hz)
    return SetpointFlight(
        watch.log, follower, watch.low, watch.high, watch.speed, watch.tilt, np.array(rates)
    )
