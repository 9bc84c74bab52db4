"""A team's flight in pictures: load and goal are where they are, a cut cable is gone, a video is in real time."""

from __future__ import annotations

import numpy as np
import pytest
from test_render import needs_opengl

from corvids.envs.plants.team_conditions import CONDITIONS, draw
from corvids.envs.plants.team_referee import TeamReferee, TeamVerdict
from corvids.envs.plants.team_render import TeamRenderer, render_team_video
from corvids.team import load_team

FALCON3 = load_team("falcon3")
SIZE = (320, 240)


def flight(looks: int = 12, fallen_m: float = 0.0) -> TeamVerdict:
    """A team that stands in the air; from the second look on its first member is ``fallen_m`` lower."""
    trials = draw(CONDITIONS["step"], FALCON3, 1, 0)
    referee = TeamReferee(trials, np.full(1, 20.0))
    for look in range(looks):
        state = trials.start._replace(tension_n=np.full(3, 5.0))
        if look:
            pos_w = state.drones.pos_w.copy()
            pos_w[0, 2] -= fallen_m
            state = state._replace(drones=state.drones._replace(pos_w=pos_w))
        referee.look(0.02 * look, state)
    return referee.verdict


def is_load(red, green, blue):
    return (red > green + 25) & (green > blue + 25) & (red > 120)


def is_goal(red, green, blue):
    return (green > red + 12) & (green > blue + 6)


@needs_opengl
def test_the_load_and_its_goal_are_seen_apart():
    with TeamRenderer(flight(), FALCON3, size=SIZE) as renderer:
        frame = renderer.frame(1).astype(int)
    assert frame.shape == (SIZE[1], SIZE[0], 3)
    load, goal = (np.argwhere(mask(*frame.transpose(2, 0, 1))) for mask in (is_load, is_goal))
    assert len(load) > 50 and len(goal) > 50
    assert abs(load[:, 1].mean() - goal[:, 1].mean()) > 30  # two metres


@needs_opengl
def test_a_cable_is_drawn_until_its_ends_are_too_far_apart():
    def drawn(verdict: TeamVerdict, look: int) -> int:
        with TeamRenderer(verdict, FALCON3, size=SIZE) as renderer:
            before = renderer._scene.ngeom
            renderer.frame(look)
            assert before == 0
            return renderer._scene.ngeom

    verdict = flight(fallen_m=2.2)
    assert drawn(verdict, 0) == drawn(verdict, 1) + 1


@needs_opengl
def test_a_video_runs_in_real_time(tmp_path):
    import imageio.v2 as imageio

    path = tmp_path / "team.mp4"
    render_team_video(flight(20), FALCON3, path, size=SIZE)
    with imageio.get_reader(path) as reader:
        assert reader.get_meta_data()["fps"] == pytest.approx(25.0)  # pyright: ignore[reportAttributeAccessIssue]
        assert reader.count_frames() == 10  # pyright: ignore[reportAttributeAccessIssue]
