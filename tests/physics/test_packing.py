"""Packed trees: what goes in comes out, in the order that the names say."""

from __future__ import annotations

import dataclasses

import torch
from physics_lab import setup

from corvids.controllers.packing import leaf_names, leaves, map_leaves, pack, unpack
from corvids.envs.physics.ball import BallParams
from corvids.envs.physics.nominal import BallConfig
from corvids.envs.physics.world import AT_REST


def test_unpack_undoes_pack():
    world, _ = setup(worlds=3)
    world = map_leaves(lambda leaf: leaf + torch.rand_like(leaf), world)
    packed = pack(world)
    assert packed.shape == (len(leaf_names(AT_REST)), 3, 1)
    for one, other in zip(leaves(unpack(packed, AT_REST)), leaves(world), strict=True):
        assert torch.equal(one, other)


def test_unpacked_leaves_are_views():
    world, _ = setup()
    packed = pack(world)
    unpack(packed, AT_REST).ball.vel_w.z.fill_(7.0)
    assert packed[leaf_names(AT_REST).index("ball.vel_w.z")].item() == 7.0


def test_names_follow_the_order_of_leaves():
    names = leaf_names(AT_REST)
    numbered = unpack(torch.arange(len(names), dtype=torch.float64)[:, None, None], AT_REST)
    assert names[int(numbered.body.quat_wb.x)] == "body.quat_wb.x"
    assert names[int(numbered.rotors.r4)] == "rotors.r4"
    assert names[int(numbered.impact.offset_m)] == "impact.offset_m"


def test_pack_broadcasts_its_leaves():
    packed = pack((torch.zeros(4, 2), torch.ones(1, 1)))
    assert packed.shape == (2, 4, 2)


def test_a_balls_config_names_its_parameters_in_their_order():
    assert tuple(field.name for field in dataclasses.fields(BallConfig)) == BallParams._fields
