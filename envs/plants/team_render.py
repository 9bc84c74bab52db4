"""A team's flight as a video: members, cables, load, and where that is wanted, rendered by MuJoCo without a screen."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo has no type stubs.)
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from corvids.envs.engines.engine import Array
from corvids.envs.plants.render import (
    FIELD_OF_VIEW_DEG,
    Frame,
    add_vehicle,
    gl_context,
    real_time,
    stage,
    write_video,
)
from corvids.envs.plants.team_referee import TeamVerdict, rotated
from corvids.team import Team

_LOAD_RGBA, _GOAL_RGBA = (0.86, 0.62, 0.28, 1.0), (0.10, 0.55, 0.35, 0.28)
_TAUT_RGBA, _SLACK_RGBA = (0.12, 0.13, 0.15, 1.0), (0.75, 0.20, 0.20, 0.6)
CABLE_RADIUS_M = 0.004
"""As thick as cables are drawn; they are thinner."""
GONE = 1.2
"""A cable that would be this many times as long as it is has been cut, and is not drawn."""


def render_team_video(
    verdict: TeamVerdict, team: Team, path: Path, *, size: tuple[int, int] = (960, 540)
) -> None:
    """Write the first trial of ``verdict`` as an MP4 in real time.

    Raises :class:`~corvids.errors.CorvidsError` where nothing can render, or the file cannot be written.
    """
    looks = int(np.isfinite(verdict.pos_error_m[:, 0]).sum())
    step, frames_hz = real_time(path, verdict.time_s[:looks])
    with TeamRenderer(verdict, team, size=size) as renderer:
        write_video(path, renderer.frames(step, looks), frames_hz)


class TeamRenderer:
    """Draws looks at the first trial of ``verdict``, from where all of its way can be seen."""

    def __init__(self, verdict: TeamVerdict, team: Team, *, size: tuple[int, int] = (960, 540)) -> None:
        self._gl = gl_context(*size)
        import mujoco

        self._mujoco, self._verdict, self._team, self._size = mujoco, verdict, team, size
        spec = stage(mujoco, size)
        for index, member in enumerate(team.members):
            add_vehicle(mujoco, spec, member.vehicle, f"member{index}")
        # The last to be drawn is what one can see through.
        half_m = [max(0.5 * length, 0.03) for length in team.load.size_m]
        for name, rgba in (("load", _LOAD_RGBA), ("goal", _GOAL_RGBA)):
            body = spec.worldbody.add_body(name=name, mocap=True)
            body.add_geom(type=mujoco.mjtGeom.mjGEOM_BOX, size=half_m, rgba=rgba)
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        self._scene = mujoco.MjvScene(self._model, maxgeom=400)
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._aim()

    def __enter__(self) -> TeamRenderer:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the graphics context back."""
        self._context.free()
        self._gl.free()

    def frames(self, step: int, looks: int) -> Iterator[Frame]:
        """Every ``step``-th of the first ``looks`` in turn."""
        return (self.frame(i) for i in range(0, looks, step))

    def frame(self, look: int) -> Frame:
        """One look, with its time and how far the load is from its goal."""
        mujoco, data, verdict = self._mujoco, self._data, self._verdict
        data.mocap_pos[:] = (
            *verdict.members_pos_w[look],
            verdict.load_pos_w[look],
            verdict.goal_pos_w[look],
        )
        data.mocap_quat[:] = (
            *verdict.members_quat_wb[look],
            verdict.load_quat_wb[look],
            verdict.goal_quat_wb[look],
        )
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_camlight(self._model, data)
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._camera, everything, self._scene)
        self._draw_cables(look)
        width, height = self._size
        view = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(view, self._scene, self._context)
        off_m, off_rad = verdict.pos_error_m[look, 0], verdict.att_error_rad[look, 0]
        mujoco.mjr_overlay(
            mujoco.mjtFont.mjFONT_BIG, mujoco.mjtGridPos.mjGRID_TOPLEFT, view, "off\ntime",
            f"{100.0 * off_m:.0f} cm, {np.degrees(off_rad):.0f} deg\n{verdict.time_s[look]:.1f} s", self._context,
        )  # fmt: skip
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, view, self._context)
        return pixels[::-1]

    def _ends(self, look: int) -> tuple[Array, Array]:
        """Of every cable: where it leaves its drone and where it holds the load, (members, 3)."""
        verdict, members = self._verdict, self._team.members
        above = np.array([member.rigging.drone_point_m for member in members])
        below = np.array([member.rigging.load_point_m for member in members])
        load_quat = np.tile(verdict.load_quat_wb[look], (len(members), 1))
        return (
            verdict.members_pos_w[look] + rotated(verdict.members_quat_wb[look], above),
            verdict.load_pos_w[look] + rotated(load_quat, below),
        )

    def _draw_cables(self, look: int) -> None:
        """Straight lines; red and faint where they are slack."""
        mujoco, scene, kind = self._mujoco, self._scene, self._mujoco.mjtGeom.mjGEOM_CYLINDER
        for start, end, member, tension_n in zip(
            *self._ends(look), self._team.members, self._verdict.tension_n[look], strict=True
        ):
            if np.linalg.norm(end - start) > GONE * member.rigging.cable_length_m:
                continue
            geom, rgba = scene.geoms[scene.ngeom], _TAUT_RGBA if tension_n > 0.0 else _SLACK_RGBA
            mujoco.mjv_initGeom(
                geom, kind, np.zeros(3), np.zeros(3), np.eye(3).ravel(), np.array(rgba, dtype=np.float32)
            )
            mujoco.mjv_connector(geom, kind, CABLE_RADIUS_M, start, end)
            scene.ngeom += 1

    def _aim(self) -> None:
        """Point the camera at the middle of all the way."""
        verdict = self._verdict
        ways = np.concatenate((verdict.members_pos_w.reshape(-1, 3), verdict.load_pos_w, verdict.goal_pos_w))
        low, high = ways.min(axis=0) - 0.3, ways.max(axis=0) + 0.2
        half_width = 0.5 * float(np.hypot(*(high[:2] - low[:2])))
        width, height = self._size
        reach = max(0.5 * (high[2] - low[2]), half_width * height / width)
        self._camera.lookat = 0.5 * (low + high)
        self._camera.distance = reach / np.tan(np.radians(0.5 * FIELD_OF_VIEW_DEG)) + 0.5 * half_width
        self._camera.azimuth, self._camera.elevation = 115.0, -12.0
