"""A recorded flight as a video, rendered by MuJoCo without a screen."""

# pyright: reportAttributeAccessIssue=false
# (MuJoCo has no type stubs.)
from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from corvids.envs.engines.engine import Array
from corvids.envs.plants.recording import Recording
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

Frame = NDArray[np.uint8]
"""Red, green, blue: (height, width, 3)."""

FRAME_RATE_MAX_HZ = 30.0
"""A video leaves out samples of a recording that would come faster."""
FIELD_OF_VIEW_DEG = 40.0
TRAIL_S = 0.7
"""How far back the ball's trail reaches."""
_LIBRARIES = {"egl": "libEGL.so.1", "osmesa": "libOSMesa.so.8"}
"""Ways to render without a screen, and what each needs."""
_BALL_RGBA = (1.0, 0.45, 0.05, 1.0)
_DARK, _GREY = (0.10, 0.11, 0.13, 1.0), (0.25, 0.27, 0.30, 1.0)


def render_video(
    recording: Recording,
    vehicle: Vehicle,
    path: str | os.PathLike[str],
    *,
    ball_radius_m: float = 0.04,
    size: tuple[int, int] = (960, 540),
) -> None:
    """Write ``recording`` as an MP4 that runs in real time; a file already there is replaced whole or not at all.

    Raises :class:`~corvids.errors.CorvidsError` where nothing can render, or the file cannot be written.
    """
    path = Path(path)
    step, frames_hz = real_time(path, recording.time_s)
    with Renderer(recording, vehicle, ball_radius_m=ball_radius_m, size=size) as renderer:
        write_video(path, renderer.frames(step), frames_hz)


def real_time(path: Path, time_s: Array) -> tuple[int, float]:
    """Every how many samples are shown, and how many of those a second; refuses what cannot become a video."""
    if path.suffix != ".mp4":
        raise CorvidsError(f"{path}: a video's name must end in .mp4")
    if len(time_s) < 2:
        raise CorvidsError(f"{path}: nothing to show, the recording has {len(time_s)} samples")
    sampled_hz = 1.0 / float(np.median(np.diff(time_s)))
    step = max(1, math.ceil(sampled_hz / FRAME_RATE_MAX_HZ - 0.01))
    return step, sampled_hz / step


def write_video(path: Path, frames: Iterator[Frame], frames_hz: float) -> None:
    """Write ``frames`` as an MP4, whole or not at all."""
    import imageio.v2 as imageio

    partial = path.with_name(f".{path.stem}.{os.getpid()}.mp4")
    try:
        with imageio.get_writer(
            partial, format="FFMPEG", fps=frames_hz, codec="libx264", quality=7, macro_block_size=2
        ) as writer:  # type: ignore[call-overload]
            for frame in frames:
                writer.append_data(frame)
        os.replace(partial, path)
    except OSError as error:
        raise CorvidsError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)


class Renderer:
    """Draws the samples of a recording, from where the vehicle and the whole of the ball's path can be seen."""

    def __init__(
        self,
        recording: Recording,
        vehicle: Vehicle,
        *,
        ball_radius_m: float = 0.04,
        size: tuple[int, int] = (960, 540),
    ) -> None:
        self._gl = gl_context(*size)
        import mujoco

        self._mujoco, self._recording, self._size = mujoco, recording, size
        self._model = _scene(mujoco, vehicle, ball_radius_m, size)
        self._data = mujoco.MjData(self._model)
        self._scene = mujoco.MjvScene(self._model, maxgeom=400)
        self._option, self._camera = mujoco.MjvOption(), mujoco.MjvCamera()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._aim(vehicle)

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *_: object) -> None:
        """Give the graphics context back."""
        self._context.free()
        self._gl.free()

    def frames(self, step: int = 1) -> Iterator[Frame]:
        """Every ``step``-th sample in turn."""
        return (self.frame(i) for i in range(0, len(self._recording.time_s), step))

    def frame(self, index: int) -> Frame:
        """Sample ``index``."""
        mujoco, data, record = self._mujoco, self._data, self._recording
        data.mocap_pos[:] = record.pos_w[index], record.ball_pos_w[index]
        data.mocap_quat[0] = record.quat_wb[index]
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_camlight(self._model, data)
        self._camera.azimuth = 125.0 + 12.0 * np.sin(0.25 * record.time_s[index])
        everything = mujoco.mjtCatBit.mjCAT_ALL.value
        mujoco.mjv_updateScene(self._model, data, self._option, None, self._camera, everything, self._scene)
        self._draw_trail(index)
        width, height = self._size
        view = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(view, self._scene, self._context)
        mujoco.mjr_overlay(
            mujoco.mjtFont.mjFONT_BIG,
            mujoco.mjtGridPos.mjGRID_TOPLEFT,
            view,
            "hits\ntime",
            f"{record.hits[index]}\n{record.time_s[index]:.1f} s",
            self._context,
        )
        pixels = np.empty((height, width, 3), dtype=np.uint8)
        mujoco.mjr_readPixels(pixels, None, view, self._context)
        return pixels[::-1]

    def _aim(self, vehicle: Vehicle) -> None:
        """Point the camera so that it sees what happens, the end (when the ball may fall far) aside."""
        record = self._recording
        span = vehicle.airframe.disc_radius_m
        low = np.quantile(record.pos_w, 0.02, axis=0) - span
        high = np.quantile(np.maximum(record.pos_w, record.ball_pos_w), 0.98, axis=0) + span
        low[:2] = np.minimum(low[:2], np.quantile(record.ball_pos_w[:, :2], 0.02, axis=0))
        half_height = 0.5 * (high[2] - low[2])
        half_width = 0.5 * float(np.hypot(*(high[:2] - low[:2])))
        width, height = self._size
        reach = max(half_height, half_width * height / width)
        self._camera.lookat = 0.5 * (low + high)
        self._camera.distance = reach / np.tan(np.radians(0.5 * FIELD_OF_VIEW_DEG)) + half_width
        self._camera.elevation = -12.0

    def _draw_trail(self, index: int) -> None:
        """Fading segments along the ball's last way."""
        mujoco, scene, record = self._mujoco, self._scene, self._recording
        now_s = record.time_s[index]
        first = int(np.searchsorted(record.time_s, now_s - TRAIL_S))
        for i in range(first, index):
            if scene.ngeom >= scene.maxgeom:
                return
            freshness = 1.0 - (now_s - record.time_s[i]) / TRAIL_S
            geom = scene.geoms[scene.ngeom]
            kind = mujoco.mjtGeom.mjGEOM_CYLINDER
            rgba = np.array((*_BALL_RGBA[:3], 0.4 * freshness), dtype=np.float32)
            mujoco.mjv_initGeom(geom, kind, np.zeros(3), np.zeros(3), np.eye(3).ravel(), rgba)
            start, end = record.ball_pos_w[i], record.ball_pos_w[i + 1]
            mujoco.mjv_connector(geom, kind, 0.003 + 0.007 * freshness, start, end)
            scene.ngeom += 1


def gl_context(width: int, height: int) -> Any:
    """A current OpenGL context without a screen."""
    wanted = os.environ.get("MUJOCO_GL", "").strip().lower()
    for name, library in _LIBRARIES.items():
        if wanted in _LIBRARIES and wanted != name:
            continue
        try:
            ctypes.CDLL(library)
        except OSError:
            continue
        os.environ.setdefault("PYOPENGL_PLATFORM", name)  # read once, when OpenGL is first imported
        try:
            if name == "egl":
                from mujoco.egl import GLContext
            else:
                from mujoco.osmesa import GLContext
            context = GLContext(width, height)
            context.make_current()
            return context
        except (ImportError, RuntimeError, AttributeError):
            continue
    needs = " or ".join(f"{library} ({name})" for name, library in _LIBRARIES.items())
    raise CorvidsError(
        f"cannot render: no OpenGL that works without a screen, {needs}; "
        "on Debian: apt-get install libosmesa6, or libegl1 libgl1-mesa-dri"
    )


def _scene(mujoco: Any, vehicle: Vehicle, ball_radius_m: float, size: tuple[int, int]) -> Any:
    """What is seen: ground, sky, and the two things that move, as mocap bodies 0 (vehicle) and 1 (ball)."""
    spec, shape = stage(mujoco, size), mujoco.mjtGeom
    body = add_vehicle(mujoco, spec, vehicle, "vehicle")
    if vehicle.racket:
        racket = vehicle.racket
        x, y, z = racket.position_b_m
        stalk = (0.0, 0.0, 0.0, x, y, z - 0.004)
        body.add_geom(type=shape.mjGEOM_CAPSULE, fromto=stalk, size=(0.006, 0, 0), rgba=_GREY)
        body.add_geom(
            type=shape.mjGEOM_CYLINDER,
            pos=(x, y, z - 0.003),
            size=(racket.radius_m, 0.003, 0),
            rgba=(0.10, 0.45, 0.85, 1.0),
        )
    ball = spec.worldbody.add_body(name="ball", mocap=True)
    ball.add_geom(type=shape.mjGEOM_SPHERE, size=(ball_radius_m, 0, 0), rgba=_BALL_RGBA)
    return spec.compile()


def stage(mujoco: Any, size: tuple[int, int]) -> Any:
    """Ground, sky and light, in pictures of ``size`` (width, height)."""
    spec = mujoco.MjSpec()
    shape = mujoco.mjtGeom
    look = spec.visual
    look.global_.offwidth, look.global_.offheight = size
    look.global_.fovy = FIELD_OF_VIEW_DEG
    look.quality.shadowsize, look.quality.offsamples = 1024, 0  # smoothed edges would take twice the time
    look.headlight.ambient, look.headlight.diffuse = (0.35, 0.35, 0.38), (0.25, 0.25, 0.25)
    look.map.fogstart, look.map.fogend, look.map.zfar = 8.0, 30.0, 80.0
    look.rgba.fog = (0.80, 0.88, 0.95, 1.0)
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=(0.42, 0.62, 0.86),
        rgb2=(0.88, 0.93, 0.97),
        width=256,
        height=256,
    )
    spec.add_texture(
        name="grid",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_CHECKER,
        mark=mujoco.mjtMark.mjMARK_EDGE,
        rgb1=(0.62, 0.66, 0.66),
        rgb2=(0.56, 0.60, 0.61),
        markrgb=(0.85, 0.88, 0.88),
        width=512,
        height=512,
    )
    ground = spec.add_material(name="ground", texrepeat=(2, 2), texuniform=True, reflectance=0.05)
    ground.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "grid"
    world = spec.worldbody
    world.add_geom(type=shape.mjGEOM_PLANE, size=(0, 0, 0.05), material="ground")
    world.add_light(
        pos=(1.5, -2.0, 6.0),
        dir=(-0.2, 0.3, -1.0),
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        castshadow=True,
        diffuse=(0.65, 0.63, 0.58),
        specular=(0.3, 0.3, 0.3),
    )
    return spec


def add_vehicle(mujoco: Any, spec: Any, vehicle: Vehicle, name: str) -> Any:
    """A mocap body that looks like the vehicle."""
    shape = mujoco.mjtGeom
    body = spec.worldbody.add_body(name=name, mocap=True)
    rotors, airframe = vehicle.rotors.position_b_m, vehicle.airframe
    thickness = 0.25 * airframe.half_thickness_m
    hub = 0.35 * float(np.hypot(*rotors[0][:2]))
    body.add_geom(type=shape.mjGEOM_BOX, size=(hub, 0.7 * hub, 2.0 * thickness), rgba=_DARK)
    disc = airframe.disc_radius_m - float(np.hypot(*rotors[0][:2]))
    for i, (x, y, z) in enumerate(rotors):
        arm = (0.0, 0.0, 0.0, x, y, z)
        body.add_geom(type=shape.mjGEOM_CAPSULE, fromto=arm, size=(0.8 * thickness, 0, 0), rgba=_GREY)
        is_front = i in (0, 2)  # PX4's order: front right, rear left, front left, rear right
        blur = (0.85, 0.20, 0.25, 0.45) if is_front else (0.30, 0.33, 0.38, 0.45)
        above = (x, y, z + 2.0 * thickness)
        body.add_geom(
            type=shape.mjGEOM_CYLINDER,
            pos=(x, y, z + thickness),
            size=(2 * thickness, 1.5 * thickness, 0),
            rgba=_DARK,
        )
        body.add_geom(type=shape.mjGEOM_CYLINDER, pos=above, size=(disc, 0.001, 0), rgba=blur)
    return body
