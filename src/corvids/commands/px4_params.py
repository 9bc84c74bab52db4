"""``corvids px4-params``: the PX4 parameters that match a vehicle file, for QGroundControl or loaded at once."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Mapping
from pathlib import Path

from corvids.cli import parse
from corvids.commands.files import check_writable
from corvids.deploy.mocap.state_port import read_key
from corvids.deploy.px4.channels import Channel
from corvids.deploy.px4.links import open_link
from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig, check_system
from corvids.deploy.px4.parameters import load_parameters, save_parameters
from corvids.errors import CorvidsError
from corvids.vehicle import Px4, Vehicle, load_vehicle
from corvids.whole_files import write_whole

LOADING_S = 30.0
"""How long PX4 may take to take them [s]."""
TRACKED_DELAY_MAX_MS = 100.0
"""EKF2_DELAY_MAX where nothing but motion capture aids the estimator: how far behind it estimates, and so for how long
what it says rests on the IMU alone. PX4 takes no less (EKF2_ASP_DELAY), and twice as much by itself."""
INT32, REAL32 = 6, 9
"""MAVLink's types of parameters."""


@dataclasses.dataclass(frozen=True)
class Px4ParamsOptions:
    """Write the PX4 parameters that match a vehicle file."""

    vehicle: str = "air"
    """Vehicle, name or file."""
    out: Path = Path("vehicle.params")
    """Where to write them."""
    ev_delay_ms: float = 0.0
    """How much older than stamped motion capture is [ms]: EKF2_EV_DELAY. PX4 compares clocks with the link's keeper."""
    loss_action: int = 4
    """What PX4 does when the stream stops and nobody holds it: COM_OBL_RC_ACT, 4 land, 5 hold."""
    sih: bool = False
    """For PX4's own simulator (SIH): make it this vehicle, and leave its position to the simulated GPS."""
    tracked: bool = False
    """With --sih: its position comes from `corvids mocap sih`, not from that GPS."""
    gnss: bool = False
    """Its position comes from a satellite receiver (RTK), not from motion capture: PX4's estimator is left as it is."""
    link: str | None = None
    """Where a PX4 is heard to load them into, udp:PORT or udp:HOST:PORT, or serial:DEVICE:BAUD; it must be disarmed."""
    mavlink_key: Path | None = None
    """File of 64 hexadecimal digits: packets are signed with them, and only what is signed counts."""
    system: int = 1
    """MAVLink system of the vehicle (MAV_SYS_ID)."""
    force: bool = False
    """Replace a file that is there."""


def main(argv: list[str]) -> int:
    """Entry point."""
    options = parse(Px4ParamsOptions, argv, "px4-params")
    check_writable(options.out, ".params")
    if options.out.exists() and not options.force:
        raise CorvidsError(f"{options.out}: is already there; --force replaces it")
    if options.tracked and options.gnss:
        raise CorvidsError("--gnss: has no motion capture, --tracked has nothing else; choose one")
    if options.tracked and not options.sih:
        raise CorvidsError("--tracked: is for --sih; a vehicle's position comes from motion capture anyway")
    vehicle = load_vehicle(options.vehicle)
    parameters = parameters_of(vehicle, options.ev_delay_ms, options.loss_action)
    if options.gnss:
        parameters = without_estimator(parameters)
    if options.sih:
        parameters = sih_parameters_of(vehicle, parameters, tracked=options.tracked)
    key = read_key(options.mavlink_key) if options.mavlink_key else None
    check_system(options.system)
    with contextlib.ExitStack() as stack:
        channel = None
        if options.link:
            channel = stack.enter_context(contextlib.closing(open_link(options.link)))
        write_whole(options.out, parameter_file(vehicle, parameters, options.system))
        print(f"written: {options.out}, {len(parameters)} parameters for {vehicle.name}")
        if channel:
            load_into(channel, parameters, save=True, system=options.system, key=key)
            print(
                f"loaded and saved: {len(parameters)} parameters; start PX4 anew, for some act from then on"
            )
    return 0


def load_into(
    channel: Channel,
    parameters: Mapping[str, int | float],
    *,
    save: bool = False,
    system: int = 1,
    key: bytes | None = None,
) -> None:
    """Load ``parameters`` into the PX4 behind ``channel``, and ``save`` them; or say which it did not take."""
    peer = Peer(PeerConfig(system, key=key), time.time())
    missing = load_parameters(channel, peer, parameters, LOADING_S)
    if not peer.counters.received:
        raise CorvidsError(
            f"no PX4 was heard within {LOADING_S:.0f} s: is it running, and does it send there?"
        )
    if missing:
        raise CorvidsError(f"PX4 did not take {', '.join(missing)}: is its version 1.17?")
    if save and not save_parameters(channel, peer, LOADING_S):
        raise CorvidsError("PX4 took all parameters but does not save them: is it disarmed?")


def parameters_of(vehicle: Vehicle, ev_delay_ms: float = 0.0, loss_action: int = 4) -> dict[str, int | float]:
    """PX4's parameters by name; whole numbers are PX4's INT32."""
    if not 0.0 <= ev_delay_ms <= 300.0:
        raise CorvidsError(f"--ev-delay-ms {ev_delay_ms}: must be 0 to 300")
    if loss_action not in (4, 5):
        raise CorvidsError(f"--loss-action {loss_action}: must be 4 (land) or 5 (hold); others need a pilot")
    rotors = vehicle.rotors
    parameters: dict[str, int | float] = {"CA_AIRFRAME": 0, "CA_ROTOR_COUNT": 4}
    # PX4's body frame is FRD; a positive moment coefficient turns counter-clockwise, as a positive spin does.
    ratio_m = rotors.torque_coeff_nms2prad2 / rotors.thrust_coeff_ns2prad2
    for index, ((x, y, z), spin) in enumerate(zip(rotors.position_b_m, rotors.spin, strict=True)):
        parameters |= {
            f"CA_ROTOR{index}_PX": x,
            f"CA_ROTOR{index}_PY": 0.0 - y,
            f"CA_ROTOR{index}_PZ": 0.0 - z,
            f"CA_ROTOR{index}_KM": spin * ratio_m,
        }
    parameters |= {field.name: getattr(vehicle.px4, field.name) for field in dataclasses.fields(Px4)}
    parameters |= {
        "MC_YAW_TQ_CUTOFF": 0.0,  # the loop that policies train with has no such filter
        "MC_BAT_SCALE_EN": 0,  # the battery is accounted for before thrust is commanded
        "COM_OF_LOSS_T": 0.2,
        "COM_OBL_RC_ACT": loss_action,
        "EKF2_EV_CTRL": 0b1011,  # position, height and yaw
        "EKF2_EV_DELAY": ev_delay_ms,
        "EKF2_EV_NOISE_MD": 0,
        # Its least standard deviations of places [m] and angles [rad]: by its own, motion capture would be ten times
        # as vague as it is.
        "EKF2_EVP_NOISE": 0.01,
        "EKF2_EVA_NOISE": 0.05,
        "EKF2_HGT_REF": 3,  # height comes from motion capture
    }
    return parameters


def without_estimator(parameters: Mapping[str, int | float]) -> dict[str, int | float]:
    """``parameters`` without those of PX4's estimator."""
    return {name: value for name, value in parameters.items() if not name.startswith("EKF2_")}


def gps_parameters_of(vehicle: Vehicle, std_m: float, delay_ms: float) -> dict[str, int | float]:
    """PX4's parameters by name where it lives on satellite navigation, magnetometer and barometer instead.

    ``std_m``: standard deviation of a horizontal coordinate, ``delay_ms``: age of a fix when it arrives.
    """
    return parameters_of(vehicle) | {
        "EKF2_EV_CTRL": 0,
        "EKF2_GPS_CTRL": 0b0111,  # place, height and velocity
        "EKF2_GPS_DELAY": delay_ms,
        "EKF2_GPS_P_NOISE": max(0.01, std_m),
        "EKF2_HGT_REF": 1,  # height comes from satellites, and the barometer's zero is found by them
    }


def sih_parameters_of(
    vehicle: Vehicle, parameters: Mapping[str, int | float] | None = None, *, tracked: bool = False
) -> dict[str, int | float]:
    """``parameters`` (those of ``vehicle`` unless given), made to fit PX4's simulation-in-hardware of that vehicle.

    SIH's quadrotor X has thrust and torque linear in the motor command, behind one first-order lag, and one drag
    coefficient for all directions: those of the vehicle's values that it cannot hold are averaged, quadratic drag and
    the rotors' inertia are left out. Its battery is kept full, for it loses no thrust. Its estimator lives on the
    simulated GPS or, if it is ``tracked``, on motion capture alone.
    """
    body, rotors = vehicle.body, vehicle.rotors
    x_m, y_m = (abs(c) for c in rotors.position_b_m[0][:2])
    corners = ((x_m, -y_m), (-x_m, y_m), (x_m, y_m), (-x_m, -y_m))
    is_x = all(
        math.dist(place[:2], corner) < 1e-3 * (x_m + y_m)
        for place, corner in zip(rotors.position_b_m, corners, strict=True)
    )
    if not (is_x and x_m > 0.0 and y_m > 0.0 and tuple(rotors.spin) == (1, 1, -1, -1)):
        raise CorvidsError(
            f"--sih: the rotors of {vehicle.name!r} must be PX4's X, centred, with front right and rear left turning"
            " counter-clockwise: SIH simulates no other quadrotor"
        )
    thrust_n = rotors.thrust_coeff_ns2prad2 * rotors.speed_max_radps**2
    kept = parameters_of(vehicle) if parameters is None else parameters
    if tracked:
        # The barometer's zero is the sea's: where motion capture pauses, heights must not jump there.
        aids = {"EKF2_GPS_CTRL": 0, "EKF2_BARO_CTRL": 0, "EKF2_DELAY_MAX": TRACKED_DELAY_MAX_MS}
        kept = {**kept, **aids}
    else:
        kept = without_estimator(kept)
    return dict(kept) | {
        "THR_MDL_FAC": 0.0,
        "SIH_MASS": body.mass_kg,
        **dict(zip(("SIH_IXX", "SIH_IYY", "SIH_IZZ"), body.inertia_kgm2, strict=True)),
        "SIH_T_MAX": thrust_n,
        "SIH_Q_MAX": thrust_n * rotors.torque_coeff_nms2prad2 / rotors.thrust_coeff_ns2prad2,
        "SIH_L_ROLL": y_m,
        "SIH_L_PITCH": x_m,
        "SIH_KDV": sum(body.linear_drag_nspm) / 3.0,
        "SIH_KDW": sum(body.angular_drag_nmsprad) / 3.0,
        "SIH_T_TAU": 0.5 * (rotors.tau_rise_s + rotors.tau_fall_s),
        "SIM_BAT_MIN_PCT": 100.0,
        # SIH's noise once armed, up to 1.7 m/s² and 0.14 rad/s a reading at 250 Hz, is this in the estimator's 100 Hz.
        "EKF2_ACC_NOISE": 1.0,
        "EKF2_GYR_NOISE": 0.1,
    }


def parameter_file(vehicle: Vehicle, parameters: dict[str, int | float], system: int = 1) -> str:
    """The text of a file: MAVLink ``system``, component, name, value and type, parted by tabs."""
    lines = [
        f"# Parameters for PX4 v1.17 that match the vehicle file {vehicle.name!r}, by corvids px4-params.",
        "# Vehicle-Id Component-Id Name Value Type",
    ]
    for name, value in sorted(parameters.items()):
        is_whole = isinstance(value, int)
        lines.append(
            f"{system}\t1\t{name}\t{value if is_whole else f'{value:.9g}'}\t{INT32 if is_whole else REAL32}"
        )
    return "\n".join(lines) + "\n"
