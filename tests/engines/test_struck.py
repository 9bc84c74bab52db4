"""What a step of Isaac Lab's solver did to ball and vehicle is found out from their velocities alone."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from corvids import cli
from corvids.controllers.packing import map_leaves
from corvids.controllers.spatial import Quat, Vec3
from corvids.envs.engines.engine import TICK_S
from corvids.envs.isaac.struck import take_struck
from corvids.envs.isaac.substep import Inertias, placed, take
from corvids.envs.physics.ball import Ball, step_flight
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.vehicle_dynamics import RigidBody
from corvids.envs.physics.world import AT_REST
from corvids.errors import CorvidsError
from corvids.training.checks import check_config
from corvids.training.presets import preset
from corvids.vehicle import GRAVITY_MPS2, load_vehicle

PARAMS = map_leaves(
    lambda leaf: torch.tensor([leaf] * 3), world_params(load_vehicle("air"), BallConfig(), TICK_S)
)
UP_MPS = 2.0


def test_an_impact_is_seen_and_counted_and_sensors_do_not_feel_it():
    """A hovering vehicle; a ball that falls on its racket, one that flies by, one that meets the airframe's underside.

    The solver turns the first round, gives the vehicle the opposite momentum, and does the opposite to the last.
    """
    racket, airframe, ball = PARAMS.racket, PARAMS.airframe, PARAMS.ball
    x, y = (torch.tensor(column) for column in zip((0.0, 0.0), (1.0, 0.0), (0.0, 0.0), strict=True))
    x, y = x + racket.center_b.x, y + racket.center_b.y
    z = torch.stack([
        3.0 + racket.center_b.z[0] + ball.radius_m[0] + 1e-3,
        3.0 + racket.center_b.z[0] + ball.radius_m[0],
        3.0 + airframe.center_b.z[0] - airframe.half_thickness_m[0] - ball.radius_m[0] - 1e-3,
    ])  # fmt: skip
    zero, one = torch.zeros(3), torch.ones(3)
    still = Vec3(zero, zero, zero)
    before = Ball(Vec3(x, y, z), Vec3(zero, zero, torch.tensor([-UP_MPS, -UP_MPS, UP_MPS])), still)
    body = RigidBody(Vec3(zero, zero, 3.0 * one), still, Quat(one, zero, zero, zero), still)
    world = map_leaves(lambda leaf: leaf + zero, AT_REST)._replace(body=body, ball=before)
    free = step_flight(before, PARAMS.wind_w, PARAMS.ball, TICK_S)
    kick = Vec3(zero, zero, torch.tensor([1.8 * UP_MPS, 0.0, -1.8 * UP_MPS]))
    inertias = Inertias(1.1, Vec3(0.01, 0.01, 0.02), 0.05)
    pushed = body._replace(vel_w=kick * (-0.05 / 1.1))
    flown = free._replace(vel_w=free.vel_w + kick)
    after, _, touched = take_struck(world, placed(pushed, flown, TICK_S), PARAMS, inertias, TICK_S)
    assert after.impact.racket_count.tolist() == [1.0, 0.0, 0.0]
    assert after.impact.other_count.tolist() == [0.0, 0.0, 1.0]
    assert after.impact.vel_after_w.z[0] == pytest.approx(
        0.8 * UP_MPS, abs=0.5 * GRAVITY_MPS2 * TICK_S + 1e-3
    )
    assert after.impact.pos_w.z[0] == pytest.approx(float(z[0]), abs=UP_MPS * TICK_S)
    assert after.impact.offset_m[0] == pytest.approx(0.0, abs=1e-5)
    torch.testing.assert_close(after.specific_force_w.z, GRAVITY_MPS2 * one, atol=1e-3, rtol=0.0)
    torch.testing.assert_close(after.body.vel_w.z, kick.z * (-0.05 / 1.1))
    assert not touched.any()  # the solver's bodies stay as they are
    missed = take(world, placed(body, free, TICK_S), PARAMS, TICK_S, True)[0]
    assert missed.ball.vel_w.z[1] == pytest.approx(float(after.ball.vel_w.z[1]), abs=1e-6)


@pytest.mark.parametrize("contact", ["mjwarp", "bullet"])
def test_one_line_names_the_contacts_that_there_are(contact: str, capsys: pytest.CaptureFixture[str]):
    assert cli.main(["eval", "juggle", "--plant", "isaac", "--contact", contact]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert contact in line and "ours, kamino, xpbd" in line
    assert ("restitution" in line) == (contact == "mjwarp")


def test_only_isaac_lab_has_a_solver_for_contacts(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["fly", "juggle", "--plant", "native", "--contact", "kamino"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--plant isaac" in line
    config = preset("juggle", "quick")
    engine = dataclasses.replace(config.env, contact="kamino")
    check_config(dataclasses.replace(config, env=engine, sim="isaac"))
    for task, sim in (("juggle", "native"), ("hover", "isaac")):
        with pytest.raises(CorvidsError, match="--sim isaac"):
            check_config(dataclasses.replace(config, env=dataclasses.replace(engine, task=task), sim=sim))
