"""Distances within a team, against brute force."""

from __future__ import annotations

import math

import pytest
import torch
from cable_lab import in_vacuum, setup, vec, with_drones

from corvids.controllers.spatial import Vec3
from corvids.envs.physics.separations import FAR_M, between_lines, from_line, separations


def draw(seed: int, worlds: int) -> list[Vec3]:
    random = torch.Generator().manual_seed(seed)
    return [Vec3(*torch.randn(3, worlds, 1, generator=random).double()) for _ in range(4)]


def test_distances_of_lines_are_those_of_their_densest_points():
    start, along, other, other_along = draw(0, 200)
    other_along = Vec3(
        *(torch.cat((a[:100], b[100:] * 1.5)) for a, b in zip(other_along, along, strict=True))
    )
    parts = torch.linspace(0.0, 1.0, 201).double()
    first = torch.stack([s + a * parts for s, a in zip(start, along, strict=True)], dim=-1)
    second = torch.stack([s + a * parts for s, a in zip(other, other_along, strict=True)], dim=-1)
    brute = torch.cdist(first, second).amin(dim=(1, 2))
    exact = between_lines(start, along, other, other_along)[:, 0]
    assert (exact <= brute + 1e-6).all() and (brute - exact).max() < 0.03
    near = from_line(other, start, along)[:, 0]
    brute = torch.stack(tuple(other), dim=-1).sub(first).norm(dim=-1).amin(dim=1)
    assert (near <= brute + 1e-6).all() and (brute - near).max() < 0.02


def test_a_hanging_team_by_hand():
    world, params = setup("falcon3")
    found = separations(world, in_vacuum(params))
    # Vertical cables at (0.27, ±0.22) and (−0.27, 0): the front two are 0.44 m apart, and so are their drones, each of
    # which is 3 cm above the other's cable.
    assert [d.item() for d in found] == pytest.approx([0.44, 0.44, math.hypot(0.44, 0.03)])


def test_crossed_and_cut_cables_and_a_team_of_one():
    world, params = setup("falcon4")
    x, y, z = world.motion.body.pos_w
    world = with_drones(world, pos_w=Vec3(x[:, [3, 1, 2, 0]], y[:, [3, 1, 2, 0]], z))  # 1 and 4 swap places
    assert separations(world, params).cables_m.item() < 1e-5
    attached = torch.tensor([[0.0, 1.0, 1.0, 1.0]]).double()
    cable = params.drones.cable._replace(attached=attached)
    cut = params._replace(drones=params.drones._replace(cable=cable))
    assert separations(world, cut).cables_m.item() > 0.1
    one, params = setup("falcon1")
    assert [d.item() for d in separations(with_drones(one, pos_w=vec((0, 0, 9))), params)] == [FAR_M] * 3
