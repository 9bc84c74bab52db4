"""Swinging and hanging loads against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from cable_lab import (
    DT_S,
    G,
    in_vacuum,
    load_energy_j,
    pinned,
    points_w,
    rows,
    setup,
    spring_energy_j,
    swing,
    undamped,
    vec,
    with_load,
)

from corvids.envs.physics.team_world import TeamParams, TeamWorld


def pendulum(angle_rad: float) -> tuple[TeamWorld, TeamParams, float]:
    """A load held at its centre of mass, so a point on a cable, let go at an angle; and the pendulum's length."""
    world, params = setup("falcon1")
    params = undamped(in_vacuum(pinned(params)))
    cable = params.drones.cable._replace(load_point_b=vec((0.0, 0.0, 0.0)))
    params = params._replace(drones=params.drones._replace(cable=cable))
    pivot = points_w(world.motion.body, cable.drone_point_b)[0, 0]
    hanging_n = params.load.mass_kg.item() * G * math.cos(angle_rad)
    length_m = (cable.length_m + hanging_n / cable.stiffness_npm).item()
    place = pivot + length_m * torch.tensor(
        [math.sin(angle_rad), 0.0, -math.cos(angle_rad)], dtype=torch.float64
    )
    return with_load(world, pos_w=vec(place)), params, length_m


@pytest.mark.slow
def test_a_pendulum_keeps_time_and_energy_for_20_seconds():
    angle = 0.5
    world, params, length_m = pendulum(angle)
    places, energies = [], []

    def watch(now: TeamWorld) -> None:
        places.append(now.load.body.pos_w.x.item())
        energies.append((load_energy_j(now, params.load) + spring_energy_j(now, params)).item())

    swing(world, params, 20.0, sweeps=1, watch=watch)
    # Where x rises through 0, by linear interpolation between samples.
    times = [
        (i + places[i - 1] / (places[i - 1] - places[i])) * DT_S
        for i in range(1, len(places))
        if places[i - 1] < 0.0 <= places[i]
    ]
    period = (times[-1] - times[0]) / (len(times) - 1)
    # T = 2π·√(L/g)·(1 + θ²/16 + 11·θ⁴/3072 + 173·θ⁶/737280 + …)
    series = 1.0 + angle**2 / 16 + 11 * angle**4 / 3072 + 173 * angle**6 / 737280
    assert len(times) == 10
    assert period == pytest.approx(2.0 * math.pi * math.sqrt(length_m / G) * series, rel=2e-3)
    swinging = params.load.mass_kg.item() * G * length_m * (1.0 - math.cos(angle))
    assert max(abs(e - energies[0]) for e in energies) < 0.01 * swinging


def test_a_cable_pulls_hardest_where_the_pendulum_is_fastest():
    angle = 0.5
    world, params, _ = pendulum(angle)
    tensions: list[float] = []
    swing(world, params, 0.8, sweeps=1, watch=lambda now: tensions.append(now.motion.tension_n.item()))
    # m·g·(3 − 2·cos θ) at the bottom, m·g·cos θ at rest; the cable, undamped, rings about both.
    weight = params.load.mass_kg.item() * G
    smooth = [sum(tensions[i : i + 20]) / 20 for i in range(len(tensions) - 20)]
    assert max(smooth) == pytest.approx(weight * (3.0 - 2.0 * math.cos(angle)), rel=2e-3)
    assert min(smooth) == pytest.approx(weight * math.cos(angle), rel=5e-3)


@pytest.mark.parametrize("name", ["falcon3", "falcon4", "falcon5", "falcon6"])
def test_vertical_cables_share_the_weight_as_bolts_do(name: str):
    """A rigid load on equal vertical springs: tensions are linear over the attachments, balanced about its centre."""
    world, params = setup(name)
    params = in_vacuum(pinned(params))
    end = swing(world, params, 0.5)
    held = rows(params.drones.cable.load_point_b)[0]
    plan = torch.cat((torch.ones(len(held), 1), held[:, :2]), dim=1).double()
    # ΣT = m·g and Σ T·(x, y) = 0 about the centre of mass, with T = a + b·x + c·y.
    weight = torch.tensor([params.load.mass_kg.item() * G, 0.0, 0.0], dtype=torch.float64)
    shares = plan @ torch.linalg.solve(plan.T @ plan, weight)
    assert shares.min() > 1.0
    torch.testing.assert_close(end.motion.tension_n[0], shares, rtol=2e-3, atol=0.0)
    assert rows(end.load.body.vel_w).abs().max() < 2e-3


def test_leaning_cables_balance_the_load():
    """Three leaning cables: tensions follow from moments alone, whatever the cables are made of."""
    world, params = setup("falcon3")
    params = in_vacuum(pinned(params))
    at = rows(params.drones.cable.load_point_b)[0]
    # Front and rear lean outward in their vertical planes so that the horizontal pulls cancel: front members carry a
    # share f each, the rear one r, and 2·f·tan(front)·cos(azimuth) = r·tan(rear).
    x, y = at[:, 0], at[:, 1]
    rear = (x[0] / (x[0] - x[2])).item()
    front = 0.5 * (1.0 - rear)
    azimuth = math.atan2(y[0].item(), x[0].item())
    lean = math.tan(0.5)
    lean_rear = 2.0 * front * lean * math.cos(azimuth) / rear
    slopes = torch.tensor([lean, lean, lean_rear], dtype=torch.float64)
    ways = torch.tensor([azimuth, -azimuth, math.pi], dtype=torch.float64)
    cable = params.drones.cable
    up = cable.length_m[0] / (1.0 + slopes**2).sqrt()
    body = world.motion.body
    pos = body.pos_w._replace(
        x=(x + up * slopes * ways.cos())[None],
        y=(y + up * slopes * ways.sin())[None],
        z=(world.load.body.pos_w.z + at[:, 2] + up + 0.03),
    )
    world = world._replace(motion=world.motion._replace(body=body._replace(pos_w=pos)))
    end = swing(world, params, 0.6)
    weight = params.load.mass_kg.item() * G
    shares = weight * torch.tensor([front, front, rear], dtype=torch.float64) * (1.0 + slopes**2).sqrt()
    torch.testing.assert_close(end.motion.tension_n[0], shares, rtol=2e-3, atol=0.0)
