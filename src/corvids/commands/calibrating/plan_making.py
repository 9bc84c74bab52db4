"""Trying manoeuvres in simulation, choosing among them, and putting them in a row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from corvids.calibration.flight.parameters import Airframe
from corvids.calibration.flight.segments import cut, joined
from corvids.calibration.planning.design import Design, design
from corvids.calibration.planning.information import flight_information, prior_information
from corvids.calibration.planning.manoeuvres import BLOCK_S, MANOEUVRES, Excitation, Room, rest
from corvids.calibration.readers.csv_flight import flight_of
from corvids.calibration.readers.csv_table import Table
from corvids.commands.flying.setpoint_flight import SetpointFlight, fly_setpoints
from corvids.deploy.setpoints import FlightLimits, Setpoints, Span, make_setpoints
from corvids.envs.engines.engine import TICK_S
from corvids.envs.engines.native import NativeEngine
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

RATE_HZ = 100.0
"""Setpoints per second."""
LEVELS = (1.0, 0.85, 0.7, 0.5, 0.35, 0.2)
"""Sizes that manoeuvres are tried at."""
SAFE = 0.9
"""Part of each limit that may be used up in simulation."""
OFF = 0.25
"""The vehicle may be off its file by this part: manoeuvres must be safe for stronger, weaker and heavier ones, too."""
SETTLE_S, PAUSE_S = 4.0, 1.0
"""Hover before the first manoeuvre, in which the follower learns how strong the thrust is; and after each."""


class Plan(NamedTuple):
    """A calibration flight."""

    setpoints: Setpoints
    design: Design
    levels: dict[str, float]
    """Size of each manoeuvre that is safe."""
    left_out: tuple[str, ...]
    """Manoeuvres that are not safe at any."""


def make_plan(
    vehicle: Vehicle,
    limits: FlightLimits,
    wanted: Sequence[str],
    seconds: float,
    progress: Callable[[str], None] = lambda text: None,
) -> Plan:
    """Plan a flight of at most ``seconds`` for the figures ``wanted``."""
    low, high = np.array(limits.low_w_m), np.array(limits.high_w_m)
    x, y, z = 0.5 * (high - low) * SAFE
    start = 0.5 * (low + high)
    tilt = min(limits.tilt_rad, vehicle.limits.tilt_max_rad)
    limits = dataclasses.replace(limits, tilt_rad=tilt)
    room = Room((x, y, z), limits.speed_mps, tilt)
    progress(f"trying {len(MANOEUVRES)} manoeuvres at {len(LEVELS)} sizes")
    levels, flown, rows = _safe(vehicle, limits, room, start)
    progress("computing what each tells")
    airframe = Airframe(vehicle)
    offered = {name: _information(airframe, flown, rows[name]) for name in levels}
    most = int((seconds - SETTLE_S) / (BLOCK_S + PAUSE_S))
    chosen = design(airframe, prior_information(airframe), offered, wanted, most)
    if not chosen.manoeuvres:
        raise CorvidsError(
            "calibrate plan: no manoeuvre stays within the limits and tells anything; give more room, speed or tilt"
        )
    blocks, spans, begin_s = [rest(round(SETTLE_S * RATE_HZ))], [], SETTLE_S
    for name in chosen.manoeuvres:
        blocks += [_block(name, levels[name], room, vehicle), rest(round(PAUSE_S * RATE_HZ))]
        spans.append(Span(name, begin_s, begin_s + BLOCK_S))
        begin_s += BLOCK_S + PAUSE_S
    setpoints = _setpoints(vehicle, limits, blocks, tuple(spans), start)
    return Plan(setpoints, chosen, levels, tuple(name for name in MANOEUVRES if name not in levels))


def _safe(
    vehicle: Vehicle, limits: FlightLimits, room: Room, start: np.ndarray
) -> tuple[dict[str, float], SetpointFlight, dict[str, int]]:
    """The largest safe level of each manoeuvre, the trial flights, and the row of the file's vehicle at that level."""
    vehicles = [vehicle, *_others(vehicle)]
    cases = [(name, level) for name in MANOEUVRES for level in LEVELS]
    tried = []
    for name, level in cases:
        blocks = [rest(round(SETTLE_S * RATE_HZ)), _block(name, level, room, vehicle)]
        tried += [_setpoints(vehicle, limits, blocks, (), start)] * len(vehicles)
    engine = NativeEngine(vehicle, len(tried), dtype=torch.float64, compile_kernels=False, with_ball=False)
    flown = fly_setpoints(tried, engine, vehicle, vehicles * len(cases))
    low, high = np.array(limits.low_w_m), np.array(limits.high_w_m)
    edge = 0.5 * (1.0 - SAFE) * (high - low)
    is_safe = (
        ((flown.low_w_m > low + edge) & (flown.high_w_m < high - edge)).all(axis=1)
        & (flown.speed_mps < SAFE * limits.speed_mps)
        & (flown.tilt_rad < SAFE * limits.tilt_rad)
        & (flown.follower.stopped < 0)
    )
    levels, rows = {}, {}
    for index, (name, level) in enumerate(cases):
        first = index * len(vehicles)
        if name not in levels and is_safe[first : first + len(vehicles)].all():
            levels[name], rows[name] = level, first
    return levels, flown, rows


def _others(vehicle: Vehicle) -> list[Vehicle]:
    """Vehicles that are off their file: thrust and moments of inertia smaller or larger by :data:`OFF`."""
    found = []
    for thrust in (1.0 - OFF, 1.0 + OFF):
        for inertia in (1.0 - OFF, 1.0 + OFF):
            rotors = dataclasses.replace(
                vehicle.rotors,
                thrust_coeff_ns2prad2=thrust * vehicle.rotors.thrust_coeff_ns2prad2,
                torque_coeff_nms2prad2=thrust * vehicle.rotors.torque_coeff_nms2prad2,
            )
            moments = tuple(inertia * moment for moment in vehicle.body.inertia_kgm2)
            body = dataclasses.replace(vehicle.body, inertia_kgm2=moments)
            limits = dataclasses.replace(
                vehicle.limits, thrust_max_n=min(1.0, thrust) * vehicle.limits.thrust_max_n
            )
            found.append(dataclasses.replace(vehicle, rotors=rotors, body=body, limits=limits))
    return found


def _information(airframe: Airframe, flown: SetpointFlight, row: int) -> np.ndarray:
    """What one manoeuvre tells: the sum over its pieces, (P, P)."""
    record = flight_of(Table("trial", "", flown.log.columns(row, None)))
    pieces = joined([cut(record)])
    pieces = pieces.take(pieces.start_s > SETTLE_S - TICK_S)
    return flight_information(airframe, pieces).sum(axis=0)


def _block(name: str, level: float, room: Room, vehicle: Vehicle) -> Excitation:
    return MANOEUVRES[name](np.arange(round(BLOCK_S * RATE_HZ)) / RATE_HZ, level, room, vehicle)


def _setpoints(
    vehicle: Vehicle,
    limits: FlightLimits,
    blocks: Sequence[Excitation],
    spans: tuple[Span, ...],
    start: np.ndarray,
) -> Setpoints:
    whole = [np.concatenate(parts) for parts in zip(*blocks, strict=True)]
    samples = np.column_stack((start + whole[0], *whole[1:]))
    return make_setpoints(vehicle.name, RATE_HZ, limits, spans, samples)
