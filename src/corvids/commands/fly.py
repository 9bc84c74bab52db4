"""``corvids fly TASK``: fly one policy file once, as the vehicle would."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Literal

from corvids.cli import first_word, option_value, parse
from corvids.commands.files import check_writable, record_of
from corvids.commands.numbers import check_body, check_positive, check_seed
from corvids.deploy.policy import read_policy_file
from corvids.errors import CorvidsError

PLACE_TASKS = ("hover", "track")
"""Tasks without a ball; in the engines :mod:`corvids.commands.evaluating.place` flies them."""
PX4_PLANTS = ("px4", "px4-hil")
"""Plants with PX4 in them."""
PX4_OPTIONS = (
    "link", "mavlink_key", "arm", "record", "origin", "mocap", "mocap_vehicle", "mocap_ball", "mocap_key", "mocap_ptp",
    "mocap_least_ms", "imu_noise", "tracked", "gps", "place", "apex", "system", "fence_low", "fence_high", "pace",
)  # fmt: skip
"""Options that our own engines would take no notice of."""
VIDEO_HZ = 50
"""Frames per second of a video: one per control tick."""


@dataclasses.dataclass(frozen=True)
class FlyOptions:
    """Fly a policy file in a plant and say how it went; with --video, show it.

    `corvids fly --setpoints F` flies a file of setpoints instead; `corvids fly --setpoints F --help` lists its options.
    """

    policy: Path = Path("pretrained/juggle.onnx")
    """The policy file."""
    plant: str = "mujoco"
    """Engine: native, mujoco, isaac; or PX4 behind --link: px4 (vehicle or its own simulator), px4-hil (our MuJoCo)."""
    condition: str = "noisy"
    """Row of the table of conditions: nominal, noisy, ball5g, throws, throws-unseen."""
    contact: str = "ours"
    """For isaac: who resolves what happens between ball and vehicle, our model (ours) or its solver (kamino, xpbd)."""
    seconds: float = 30.0
    """How long to fly."""
    seed: int = 0
    """Seed of all draws."""
    vehicle: str | None = None
    """Vehicle to fly, name or file; default: the one that the policy was trained for."""
    video: Path | None = None
    """Where to write a video (MP4), rendered without a screen; not for px4."""
    link: str = "udp:14540"
    """For px4: where it is heard, udp:PORT or udp:HOST:PORT, or serial:DEVICE:BAUD."""
    mavlink_key: Path | None = None
    """For px4: file of 64 hexadecimal digits: packets are signed with them, and only what is signed counts."""
    arm: bool = False
    """For px4: the operator's word to arm, take off and engage."""
    record: Path | None = None
    """For px4: where to write the flight's record (MCAP); default: flight.mcap; none: nowhere."""
    origin: tuple[float, float, float] | None = None
    """For PX4 with motion capture alone, so that it can hold: world origin's latitude, longitude [°], height [m]."""
    mocap: str | None = None
    """For px4: where motion capture arrives (udp:14600): a real ball, and the vehicle's pose for PX4."""
    mocap_vehicle: int = 1
    """Number of the vehicle's rigid body in it."""
    mocap_ball: int = 0
    """Number of the ball's; 0: the ball is one of the markers without a body."""
    mocap_key: Path | None = None
    """File of 64 hexadecimal digits: only what is signed with them counts."""
    mocap_ptp: bool = False
    """PTP keeps both computers' clocks together: take the stamps as they are, which `corvids mocap … --ptp` sends."""
    mocap_least_ms: float = 2.0
    """Least time from picture to arrival, for a source that echoes nothing."""
    imu_noise: float = 1.0
    """For px4-hil: how many times as noisy as usual its IMU is, 0.1 m/s² and 0.01 rad/s a reading."""
    tracked: bool = False
    """For px4-hil: the runtime sees what its tracker sees, and corrects what PX4 says by it, as with --mocap."""
    gps: Literal["standard", "rtk"] | None = None
    """For px4-hil: PX4 lives on satellite navigation, compass and barometer, not on a tracker: standard or rtk."""
    place: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """For px4: place to juggle at, or to be, x, y, z [m] in the room."""
    apex: float = 0.6
    """For px4: how high above the point of impact the ball is to rise [m]."""
    system: int = 1
    """For px4: MAVLink system of the vehicle (MAV_SYS_ID)."""
    fence_low: tuple[float, float, float] = (-3.0, -3.0, -0.5)
    """For px4: lower corner of the box that the vehicle must not leave, x, y, z [m] in the room; below its ground."""
    fence_high: tuple[float, float, float] = (3.0, 3.0, 4.0)
    """Its upper corner [m]."""
    pace: float = 1.0
    """For px4-hil: how many times as fast as real time it may be, if the machine lets it; inf: without limit."""


def main(argv: list[str]) -> int:
    """Entry point."""
    if option_value(argv, "--setpoints") is not None:
        from corvids.commands.flying import setpoints as fly_setpoints

        return fly_setpoints.main(argv)
    task, rest = first_word(argv, "fly", "task", ("juggle", *PLACE_TASKS, "carry"))
    if task == "carry":
        from corvids.commands.evaluating import carry  # needs torch, which a companion computer lacks

        return carry.fly(rest)
    if task in PLACE_TASKS and option_value(rest, "--plant") not in PX4_PLANTS:
        from corvids.commands.evaluating import place  # likewise

        return place.main(rest, task, "fly")
    default = FlyOptions() if task == "juggle" else FlyOptions(Path(f"{task}.onnx"))
    options = parse(FlyOptions, rest, f"fly {task}", default)
    if options.plant in PX4_PLANTS:
        return fly_with_px4(task, options)
    for name in PX4_OPTIONS:
        if getattr(options, name) != getattr(default, name):
            raise CorvidsError(
                f"--{name.replace('_', '-')}: is for --plant {' and '.join(PX4_PLANTS)}; {options.plant} has none of it"
            )
    if options.video:
        check_writable(options.video, ".mp4")
    fly_once(task, options)
    return 0


def fly_once(task: str, options: FlyOptions) -> int:
    """Fly, say how it went, render; returns the counted hits."""
    from corvids.commands.evaluating.trials import TrialsConfig, fly_trials
    from corvids.envs.plants.recording import Recorder

    file = read_policy_file(options.policy, task)
    config = TrialsConfig(
        plant=options.plant,
        contact=options.contact,
        condition=options.condition,
        trials=1,
        seconds=options.seconds,
        max_hits=1_000_000,
        seed=options.seed,
        vehicle=options.vehicle,
    )
    recorder = Recorder(rate_hz=VIDEO_HZ)
    verdict, flight, vehicle = fly_trials(file, config, plant_recorder=recorder)
    print(
        f"{options.plant} {options.condition}: {int(verdict.hits[0])} counted hits in {verdict.seconds[0]:.1f} s, "
        f"ended by {verdict.end[0]}; policy flew {100.0 * flight.by_policy[0]:.1f} % of {flight.ticks} ticks, "
        f"{flight.compute_median_s * 1e6:.0f} µs each (median)"
    )
    if options.video:
        from corvids.envs.plants.render import render_video

        render_video(recorder.recording, vehicle, options.video)
        print(f"written: {options.video}")
    return int(verdict.hits[0])


def fly_with_px4(task: str, options: FlyOptions) -> int:
    """Fly PX4 with a simulated ball or a real one, and say how it went; returns the exit code."""
    from corvids.commands.flying.px4 import Mocap, Plan, fly_px4
    from corvids.deploy.mocap.state_port import read_key
    from corvids.deploy.supervision.envelope import Fence

    if options.video:
        raise CorvidsError(
            f"--video: there is no picture of a flight with --plant {options.plant}; --record keeps its data"
        )
    check_positive(seconds=options.seconds)
    check_seed(options.seed)
    if not 0.0 <= options.imu_noise < float("inf"):
        raise CorvidsError(f"--imu-noise {options.imu_noise}: must be a number from 0")
    if not options.pace > 0.0:
        raise CorvidsError(f"--pace {options.pace}: must be a positive number")
    file = read_policy_file(options.policy, task)
    mocap = None
    if options.mocap:
        check_body(options.mocap_vehicle, "--mocap-vehicle")
        mocap = Mocap(
            options.mocap,
            options.mocap_vehicle,
            options.mocap_ball,
            options.mocap_key,
            options.mocap_ptp,
            options.mocap_least_ms,
        )
    plan = Plan(
        options.vehicle,
        options.seconds,
        options.seed,
        record_of(options.record),
        options.origin,
        options.place,
        options.apex,
        mocap,
        options.imu_noise,
        options.tracked,
        read_key(options.mavlink_key) if options.mavlink_key else None,
        options.gps,
        options.system,
        Fence(options.fence_low, options.fence_high),
        options.pace,
    )
    if options.plant == "px4-hil":
        if plan.key:
            raise CorvidsError(
                "--mavlink-key: is for --plant px4; PX4's simulator interface has no signatures"
            )
        if mocap:
            raise CorvidsError(
                "--mocap: px4-hil has a tracker and a ball of its own; it is for --plant px4, here it is --tracked"
            )
        if options.system != 1:
            raise CorvidsError(
                "--system: is for --plant px4; with px4-hil it follows from the port in --link"
            )
        from corvids.commands.flying.px4_hil import fly_hil

        outcome = fly_hil(file, options.link, plan)
    elif options.gps:
        raise CorvidsError("--gps: is for --plant px4-hil; a vehicle's receiver is PX4's own matter")
    elif options.tracked:
        raise CorvidsError("--tracked: is for --plant px4-hil; for --plant px4 motion capture is --mocap")
    elif options.pace != 1.0:
        raise CorvidsError("--pace: is for --plant px4-hil; for --plant px4 time passes by itself")
    else:
        outcome = fly_px4(file, options.link, plan, arm=options.arm)
    flight, counters = outcome.flight, outcome.peer.counters
    spent = ", ".join(f"{state} {seconds:.1f} s" for state, seconds in outcome.states.items())
    unsigned = f", {counters.unsigned} not signed with the key" if counters.unsigned else ""
    off = f"{100.0 * outcome.place_rmse_m:.1f} cm from its place (RMS)"
    if math.isfinite(outcome.true_rmse_m):
        off += f" as the runtime sees it, {100.0 * outcome.true_rmse_m:.1f} cm in truth"
    if task == "juggle":
        off = f"{outcome.hits} counted hits, {outcome.drops} drops"
    ending = "landed" if outcome.has_ended_safely else "NOT landed: see to it"
    if not outcome.was_armed:
        ending = "never armed: see why above"
    print(
        f"{options.plant}: {off}; {spent}; "
        f"{flight.ticks} ticks, {flight.skipped} skipped, {flight.compute_median_s * 1e6:.0f} µs each (median); "
        f"{counters.received} packets, {counters.lost} lost{unsigned}; {ending}"
    )
    return 0 if outcome.was_armed and outcome.has_ended_safely else 1
