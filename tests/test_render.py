"""A recorded flight becomes a picture that shows what it should, and a video that plays in real time."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from corvids.envs.plants import render
from corvids.envs.plants.recording import Recording
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

SIZE = (320, 240)


def can_render() -> bool:
    for library in ("libEGL.so.1", "libOSMesa.so.8"):
        try:
            ctypes.CDLL(library)
            return True
        except OSError:
            continue
    return False


needs_opengl = pytest.mark.skipif(not can_render(), reason="needs libEGL or libOSMesa")


def flight(ball_z: np.ndarray) -> Recording:
    """A vehicle that hovers 1 m up, and a ball over it; ten samples at 50 Hz."""
    samples = len(ball_z)
    zero = np.zeros(samples)
    return Recording(
        time_s=np.linspace(0.0, 0.02 * (samples - 1), samples),
        pos_w=np.tile((0.0, 0.0, 1.0), (samples, 1)),
        quat_wb=np.tile((1.0, 0.0, 0.0, 0.0), (samples, 1)),
        ball_pos_w=np.stack((zero, zero, ball_z), axis=1),
        hits=np.zeros(samples, dtype=np.int64),
    )


def rows_of(frame: np.ndarray, is_colour) -> float:
    """Mean row of the pixels of a colour; row 0 is the top."""
    red, green, blue = (frame[..., i].astype(int) for i in range(3))
    rows = np.nonzero(is_colour(red, green, blue))[0]
    assert len(rows) > 20
    return float(rows.mean())


def is_ball(red, green, blue):
    return (red > 150) & (green < 140) & (blue < 60)


def is_racket(red, green, blue):
    return (blue > 130) & (red < 80) & (green < 150)


@needs_opengl
def test_a_higher_ball_is_higher_in_the_picture_and_the_racket_is_below_it():
    with render.Renderer(flight(np.array([1.3, 1.7] * 5)), load_vehicle("air"), size=SIZE) as renderer:
        low, high = renderer.frame(0), renderer.frame(1)
    assert low.shape == (SIZE[1], SIZE[0], 3)
    assert rows_of(high, is_ball) + 20 < rows_of(low, is_ball) < rows_of(low, is_racket)


@needs_opengl
def test_a_video_runs_in_real_time(tmp_path):
    import imageio.v2 as imageio

    path = tmp_path / "out.mp4"
    render.render_video(flight(np.linspace(1.2, 1.7, 20)), load_vehicle("air"), path, size=SIZE)
    with imageio.get_reader(path) as reader:
        # Every other sample of 50 Hz.
        assert reader.get_meta_data()["fps"] == 25.0  # pyright: ignore[reportAttributeAccessIssue]
        assert reader.count_frames() == 10  # pyright: ignore[reportAttributeAccessIssue]
    assert [entry.name for entry in tmp_path.iterdir()] == ["out.mp4"]


@needs_opengl
def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CorvidsError, match=r"nowhere/out\.mp4: cannot be written"):
        render.render_video(
            flight(np.linspace(1.2, 1.7, 4)), load_vehicle("air"), tmp_path / "nowhere" / "out.mp4", size=SIZE
        )


def test_without_opengl_one_line_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setattr(render, "_LIBRARIES", {"egl": "libNone.so.1"})
    with pytest.raises(CorvidsError, match="apt-get install libosmesa6"):
        render.render_video(flight(np.linspace(1.2, 1.7, 4)), load_vehicle("air"), tmp_path / "out.mp4")


@pytest.mark.parametrize(("name", "samples"), [("out.avi", 4), ("out.mp4", 1)])
def test_what_cannot_be_a_video_is_refused(tmp_path, name, samples):
    with pytest.raises(CorvidsError, match=name):
        render.render_video(flight(np.linspace(1.2, 1.7, samples)), load_vehicle("air"), tmp_path / name)
    assert not list(tmp_path.iterdir())
