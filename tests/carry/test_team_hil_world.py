"""The world of a team whose autopilots are real: held as on a stand, then let go; motors in, sensors out."""

from __future__ import annotations

import numpy as np
import pytest

from corvids.cli import main
from corvids.envs.engines.mujoco_team_engine import MujocoTeamEngine
from corvids.envs.plants.team_conditions import condition_named, draw
from corvids.envs.plants.team_hil_world import TeamHilWorld
from corvids.envs.plants.team_referee import TeamReferee
from corvids.team import load_team

TEAM = load_team("falcon3")
G = 9.80665


def world_of(seconds: float = 5.0) -> TeamHilWorld:
    trials = draw(condition_named("step"), TEAM, 1, 0)
    engine = MujocoTeamEngine(TEAM, 1, compile_kernels=False)
    return TeamHilWorld(engine, trials, seed=0, referee=TeamReferee(trials, np.array([seconds])))


def trim(world: TeamHilWorld) -> np.ndarray:
    """Motor commands at which every member bears itself and its share of the load: thrust goes with their square."""
    trials = draw(condition_named("step"), TEAM, 1, 0)
    full_n = sum(np.asarray(part).reshape(-1) for part in trials.params.drones.vehicle.thrust_max_n)
    return np.repeat(np.sqrt(trials.thrust_n / full_n)[:, None], 4, axis=1)


def test_a_held_team_feels_its_stand_and_stays():
    world = world_of()
    before = world.state
    felt = [world.advance(np.zeros((3, 4))) for _ in range(50)]
    assert world.now_s == pytest.approx(0.2)
    assert world.trial_s < 0.0
    assert np.array_equal(world.state.drones.pos_w, before.drones.pos_w)
    for member in range(3):
        force = np.array([step[member].specific_force_b_mps2 for step in felt])
        assert force.mean(axis=0) == pytest.approx([0.0, 0.0, G], abs=0.06), "but for noise"
        places = [place for step in felt if (place := step[member].tracked_pos_w_m)]
        assert len(places) == 25
        assert np.mean(places, axis=0) == pytest.approx(before.drones.pos_w[member], abs=0.002)


def test_let_go_at_trim_it_hangs_where_it_was_and_without_motors_it_falls():
    world = world_of()
    world.advance(trim(world))
    before = world.state
    world.release()
    felt = [world.advance(trim(world)) for _ in range(50)][-1]
    assert world.trial_s == pytest.approx(0.2)
    drones, load = world.state.drones.pos_w - before.drones.pos_w, world.state.load.pos_w - before.load.pos_w
    assert np.linalg.norm(drones, axis=1).max() < 0.1, "free fall would be 0.2 m"
    assert abs(load[0, 2]) < 0.03, "together they bear it, if none its own share exactly"
    assert felt[0].specific_force_b_mps2[2] == pytest.approx(G, abs=1.5)
    for _ in range(25):
        world.advance(np.zeros((3, 4)))
    assert (world.state.drones.vel_w[:, 2] < -0.3).all()
    assert (world.state.load.vel_w[:, 2] < -0.3).all()


def test_the_loads_pose_arrives_at_every_member_while_it_is_held_too():
    world = world_of()
    stamps = []
    for _ in range(100):
        world.advance(np.zeros((3, 4)))
        fresh, poses = world.load_poses()
        stamps.append(fresh)
        known = poses[np.isfinite(fresh)]
        assert known[:, :3] == pytest.approx(np.tile((-1.0, 0.0, 1.0), (len(known), 1)), abs=0.02)
    heard = np.concatenate(stamps, axis=1)
    for member in range(3):
        mine = heard[member][np.isfinite(heard[member])]
        assert (np.diff(mine) > 0.0).all()
        assert np.count_nonzero(mine > 0.0) == pytest.approx(38, abs=4), (
            "a hundred a second, and late by 10 to 40 ms"
        )


def test_a_load_that_is_lost_is_seen_by_nobody():
    world = world_of()
    world.unseen_from_s = 0.1
    world.release()
    heard = []
    for _ in range(60):
        world.advance(trim(world))
        heard.append(world.load_poses()[0].shape[1])
    assert sum(heard[:24]) > 3
    assert sum(heard[25:]) == 0


@pytest.mark.parametrize("condition", ["lost-cut", "mixed"])
def test_conditions_that_px4s_cannot_play_are_refused_before_anything_is_waited_for(condition: str, capsys):
    assert main(["fly", "carry", "--plant", "px4-hil", "--condition", condition]) == 2
    assert f"--condition {condition}: is not flown with px4-hil" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--lose-load-s", "--land-s"])
@pytest.mark.parametrize("seconds", ["nan", "-5"])
def test_times_that_no_trial_has_are_refused_before_anything_is_waited_for(option: str, seconds: str, capsys):
    assert main(["fly", "carry", "--plant", "px4-hil", f"{option}={seconds}"]) == 2
    assert f"{option} " in capsys.readouterr().err
