"""``corvids doctor``: is this vehicle, or simulator, fit to be flown by a policy? A table with a fix for each line."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from corvids.cli import parse
from corvids.commands.doctoring.line import Line
from corvids.commands.doctoring.parameters import parameter_lines
from corvids.commands.doctoring.place import Source, place_lines
from corvids.commands.doctoring.streams import Listener, date_line, stream_lines
from corvids.commands.files import check_writable
from corvids.commands.px4_params import parameters_of, sih_parameters_of, without_estimator
from corvids.deploy.mocap.state_port import read_key
from corvids.deploy.processor_sleep import DEVICE, can_stay_awake
from corvids.deploy.px4.channels import PACKET, Channel
from corvids.deploy.px4.links import open_link
from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig
from corvids.deploy.px4.parameters import exchange
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle, load_vehicle
from corvids.whole_files import write_whole

NO_GO = 3
"""Exit code where something must be mended before flight."""
TESTED_VERSION = (1, 17)
"""PX4's version that this code was written against."""
ROUND_TRIP_MAX_S = 0.02


@dataclasses.dataclass(frozen=True)
class DoctorOptions:
    """Check a vehicle or simulator before flight, over MAVLink; definitions of ROS 2's messages and versions of its
    topics are compared by corvids_ros as it is configured."""

    link: str = "udp:14540"
    """Where PX4 is heard: udp:PORT or udp:HOST:PORT, or serial:DEVICE:BAUD."""
    mavlink_key: Path | None = None
    """File of 64 hexadecimal digits: packets are signed with them, and only what is signed counts."""
    vehicle: str = "air"
    """Vehicle that it is said to be, name or file."""
    ev_delay_ms: float = 0.0
    """What `corvids px4-params` was told: how much older than stamped motion capture is [ms]."""
    seconds: float = 6.0
    """How long to listen."""
    system: int = 1
    """MAVLink system of the vehicle."""
    sih: bool = False
    """It is PX4's own simulator (SIH), with the parameters of `corvids px4-params --sih`."""
    tracked: bool = False
    """With --sih: its position comes from `corvids mocap sih`."""
    gnss: bool = False
    """Its position comes from a satellite receiver (RTK): all that is expected of its estimator is a fix."""
    json: Path | None = None
    """Where to write the table as JSON, too."""


def main(argv: list[str]) -> int:
    """Entry point; returns 0 for go, 3 for no-go."""
    options = parse(DoctorOptions, argv, "doctor")
    if options.json:
        check_writable(options.json, ".json")
    if not 0.0 < options.seconds <= 600.0:
        raise CorvidsError(f"--seconds {options.seconds}: must be above 0 and at most 600")
    if options.tracked and options.gnss:
        raise CorvidsError("--gnss: has no motion capture, --tracked has nothing else; choose one")
    if options.tracked and not options.sih:
        raise CorvidsError("--tracked: is for --sih; a vehicle's position comes from motion capture anyway")
    vehicle = load_vehicle(options.vehicle)
    wanted = parameters_of(vehicle, options.ev_delay_ms)
    if options.gnss:
        wanted = without_estimator(wanted)
    if options.sih:
        wanted = sih_parameters_of(vehicle, wanted, tracked=options.tracked)
    is_by_satellites = options.gnss or (options.sih and not options.tracked)
    source = Source.SATELLITES if is_by_satellites else Source.MOCAP
    key = read_key(options.mavlink_key) if options.mavlink_key else None
    channel = open_link(options.link)
    try:
        config = PeerConfig(target_system=options.system, key=key)
        peer = listen(channel, config, wanted, options.seconds)
        lines = [*diagnose(peer, vehicle, wanted, channel.now_s, options.seconds, source)]
    finally:
        channel.close()
    width = max(len(line.check) for line in lines)
    for line in lines:
        fix = f"   -> {line.fix}" if line.fix else ""
        print(f"{line.verdict:5}  {line.check:{width}}  {line.found}{fix}")
    is_go = all(line.verdict != "no-go" for line in lines)
    print("go" if is_go else "no-go")
    if options.json:
        table = {"go": is_go, "lines": [dataclasses.asdict(line) for line in lines]}
        write_whole(options.json, json.dumps(table, indent=1).encode())
    return 0 if is_go else NO_GO


def listen(channel: Channel, config: PeerConfig, names: Iterable[str], seconds: float) -> Listener:
    """Talk to PX4 for that long: streams, clock, version, and the parameters of these names."""
    peer = Listener(config)
    end_s = channel.now_s + seconds
    wanted = [*names]
    turn = 0
    while channel.now_s < end_s:
        exchange(channel, peer, min(end_s - channel.now_s, 0.02))
        missing = [name for name in wanted if name not in peer.parameters]
        if peer.counters.received and missing:
            channel.send(PACKET, peer.ask_parameter(missing[turn % len(missing)]))
        if peer.counters.received and "AUTOPILOT_VERSION" not in peer.messages and turn % 25 == 0:
            channel.send(PACKET, peer.ask_version())
        turn += 1
    return peer


def diagnose(
    peer: Listener,
    vehicle: Vehicle,
    wanted: Mapping[str, int | float],
    now_s: float,
    seconds: float,
    source: Source = Source.MOCAP,
) -> Iterator[Line]:
    """The table, after listening for ``seconds`` to a PX4 that should have the parameters ``wanted``.

    ``source``: what is to tell it where it is.
    """
    heard_s = now_s - peer.reader.autopilot.heard_s
    if not heard_s < 2.0:
        fix = "is it running, and does it send to this port?"
        if peer.counters.unsigned:
            fix = f"{peer.counters.unsigned} packets were not signed with the key: does PX4's side sign, with this key?"
        yield Line("link", "PX4 is not heard", "no-go", fix)
        return
    yield Line("link", f"PX4 is heard, {peer.counters.received} packets, {peer.counters.lost} lost", "go")
    yield _version(peer)
    yield _clock(peer)
    yield date_line(peer)
    yield from stream_lines(peer, seconds)
    yield from place_lines(peer, now_s, source)
    if peer.reader.autopilot.failsafe or peer.reader.autopilot.killed:
        yield Line("autopilot", "in failsafe or killed", "no-go", "clear it, and see PX4's console")
    yield from parameter_lines(peer.parameters, wanted, vehicle.name)
    ratio = vehicle.thrust_to_weight
    yield Line(
        "thrust to weight",
        f"{ratio:.2f}",
        "go" if ratio >= 1.5 else "warn",
        "" if ratio >= 1.5 else "fly lighter",
    )
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    yield Line(
        "processor",
        f"load {load:.2f} a core",
        "go" if load < 0.8 else "warn",
        "" if load < 0.8 else "stop other work",
    )
    may_stay_awake = can_stay_awake()
    yield Line(
        "processor's sleep",
        "kept from it in flight" if may_stay_awake else "cannot be kept from it",
        "go",
        "" if may_stay_awake else f"answers come sooner if this user may write {DEVICE}",
    )


def _version(peer: Peer) -> Line:
    message = peer.messages.get("AUTOPILOT_VERSION")
    if message is None:
        return Line("firmware", "version unknown", "warn", "listen longer: --seconds 15")
    major, minor, patch = (message.flight_sw_version >> shift & 0xFF for shift in (24, 16, 8))
    is_tested = (major, minor) == TESTED_VERSION
    fix = "" if is_tested else "written against {}.{}: fly with care".format(*TESTED_VERSION)
    return Line("firmware", f"PX4 {major}.{minor}.{patch}", "go" if is_tested else "warn", fix)


def _clock(peer: Peer) -> Line:
    clock = peer.reader.clock
    if not clock.is_known:
        return Line("time synchronisation", "no echo", "no-go", "PX4 must answer TIMESYNC on this link")
    is_quick = clock.round_trip_s <= ROUND_TRIP_MAX_S
    return Line(
        "time synchronisation",
        f"{clock.samples} echoes, round trip {1e3 * clock.round_trip_s:.1f} ms",
        "go" if is_quick else "warn",
        "" if is_quick else "a faster link",
    )
