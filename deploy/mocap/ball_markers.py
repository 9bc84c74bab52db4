"""Which of many markers is the ball: labels come and go, and those of two markers may change places.

So labels are not looked at. Every marker is followed by where it was and how fast it moved; the ball is the one that
falls as only something in free flight does, or, as long as it is held, the only one that moves over the vehicle. A
track that has
not fallen for a while gives way to one that falls.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Iterable, Sequence
from operator import mul
from typing import NamedTuple

from corvids.deploy.px4.frames import Quaternion, rotate
from corvids.deploy.supervision.envelope import Triple

GRAVITY_MPS2 = 9.80665
BOUNCE_MPS = 1.0
"""A ball that turns from down to up by more has bounced: what was before does not count."""
STILL_M, STILL_S = 0.005, 1.0
"""What has moved by less in so long is part of the room; no hand is as still."""


@dataclasses.dataclass(frozen=True)
class MarkerConfig:
    """How markers are followed."""

    gate_m: float = 0.03
    """A marker may be this far from where it was expected, and farther the longer it was not seen."""
    speed_mps: float = 3.0
    """Least speed that is allowed for in that: a racket turns the ball round between two pictures."""
    hand_mps: float = 1.0
    """The same for what does not fall."""
    bounce_m: float = 0.25
    """Up to this height above the vehicle a ball may have bounced since it was last seen."""
    forget_s: float = 0.25
    """A track not seen for so long is dropped ..."""
    remember_s: float = 10.0
    """... or, if it never fell, after so long: it may come back where it was, in the room or on the vehicle."""
    window_s: float = 0.2
    """Over so long it is judged whether a track falls: gravity bends its path by 15 mm, noise by less."""
    residual_max_m: float = 0.01
    """Root mean square distance from free fall, at most."""
    falls_s: float = 0.5
    """A track that fell within so long is expected to fall on, and to bounce."""
    gives_way_s: float = 0.25
    """A ball that has not fallen for so long gives way to a track that falls."""
    radius_m: float = 1.5
    """Horizontal distance from the vehicle within which a ball is looked for."""
    above_m: tuple[float, float] = (0.1, 4.0)
    """Least and largest height above the vehicle at which it is looked for."""
    tracks_max: int = 24
    """More markers are not followed."""


@dataclasses.dataclass
class Track:
    """One marker, as long as it is seen."""

    pos_w: Triple
    """[m]."""
    stamp_s: float
    vel_w: Triple = (0.0, 0.0, 0.0)
    """[m/s]."""
    place_b: Triple = (math.nan, math.nan, math.nan)
    """Where it is on the vehicle [m], if it is."""
    hits: int = 1
    spot_w: Triple = (math.nan, math.nan, math.nan)
    """Where it has been since ``spot_s``, but for noise [m]."""
    spot_s: float = math.inf
    fell_s: float = -math.inf
    """When it was last in free fall."""
    recent: deque[tuple[float, float, float, float]] = dataclasses.field(default_factory=deque)
    """Time and place of what was seen within the window."""

    def expected_w(self, stamp_s: float, falls: bool) -> Triple:
        """Where it should be by now [m], if it goes on as it did."""
        ahead_s = stamp_s - self.stamp_s
        (x, y, z), (vx, vy, vz) = self.pos_w, self.vel_w
        drop_m = 0.5 * GRAVITY_MPS2 * ahead_s * ahead_s if falls else 0.0
        return x + vx * ahead_s, y + vy * ahead_s, z + vz * ahead_s - drop_m


class Body(NamedTuple):
    """Where the vehicle is."""

    pos_w: Triple = (math.nan, math.nan, math.nan)
    """[m]."""
    quat_wb: Quaternion = (1.0, 0.0, 0.0, 0.0)

    def place_b(self, pos_w: Triple) -> Triple:
        """A place in the room, seen from the vehicle [m]."""
        w, x, y, z = self.quat_wb
        a, b, c = (p - v for p, v in zip(pos_w, self.pos_w, strict=True))
        return rotate((w, -x, -y, -z), (a, b, c))


class BallMarkers:
    """Follows markers, and says which is the ball."""

    def __init__(self, config: MarkerConfig | None = None) -> None:
        self.config = config or MarkerConfig()
        self.tracks: list[Track] = []
        self.ball: Track | None = None
        self.switches = self.ambiguous = 0
        """How often another track became the ball, and frames in which several might have been."""

    def take_in(self, stamp_s: float, places_w: Iterable[Triple], vehicle: Body) -> Triple | None:
        """Markers seen at ``stamp_s`` [s], in any order [m]; where the ball is, if it is seen.

        As long as it is not known where the vehicle is, a new ball is not looked for.
        """
        config = self.config
        self.tracks = [t for t in self.tracks if stamp_s - t.stamp_s <= self._kept_s(t)]
        if self.ball is not None and stamp_s - self.ball.stamp_s > config.forget_s:
            self.ball = None
        self._associate(stamp_s, list(places_w)[: config.tracks_max], vehicle)
        self._choose(stamp_s, vehicle.pos_w)
        return self.ball.pos_w if self.ball is not None and self.ball.stamp_s == stamp_s else None

    def _kept_s(self, track: Track) -> float:
        is_still = track.fell_s == -math.inf and track.hits > 10
        return self.config.remember_s if is_still else self.config.forget_s

    def _associate(self, stamp_s: float, places_w: list[Triple], vehicle: Body) -> None:
        """Give each place to the track that expected it; the best match first."""
        places_b = [vehicle.place_b(pos_w) for pos_w in places_w]
        matches = []
        for index, track in enumerate(self.tracks):
            if stamp_s <= track.stamp_s:
                continue
            falls = stamp_s - track.fell_s <= self.config.falls_s
            gate_m = self._gate_m(track, stamp_s, falls, vehicle)
            expected_w = track.expected_w(stamp_s, falls)
            for place, pos_w in enumerate(places_w):
                distance_m = math.dist(expected_w, pos_w)
                if not falls:  # it may have stopped, or rest on the vehicle, if it is known where that is
                    distance_m = min(distance_m, math.dist(track.pos_w, pos_w))
                    on_vehicle_m = math.dist(places_b[place], track.place_b)
                    distance_m = on_vehicle_m if on_vehicle_m < distance_m else distance_m
                if distance_m <= gate_m:
                    matches.append((distance_m, index, place))
        matches.sort()
        seen: set[int] = set()
        taken: set[int] = set()
        for _, index, place in matches:
            if index not in seen and place not in taken:
                seen.add(index)
                taken.add(place)
                self._extend(self.tracks[index], stamp_s, places_w[place], places_b[place])
        for place, pos_w in enumerate(places_w):
            if place not in taken and len(self.tracks) < self.config.tracks_max:
                track = Track(pos_w, stamp_s)
                track.recent.append((stamp_s, *pos_w))
                self.tracks.append(track)

    def _gate_m(self, track: Track, stamp_s: float, falls: bool, vehicle: Body) -> float:
        """How far from where it was expected a marker may be [m]."""
        config, ahead_s = self.config, stamp_s - track.stamp_s
        if falls:
            height_w = track.pos_w[2] + track.vel_w[2] * ahead_s - 0.5 * GRAVITY_MPS2 * ahead_s * ahead_s
            is_sure = track.fell_s == track.stamp_s
            if is_sure and height_w > vehicle.pos_w[2] + config.bounce_m:  # nothing there turns it round
                return config.gate_m
            return config.gate_m + 2.0 * ahead_s * max(config.speed_mps, math.hypot(*track.vel_w))
        if ahead_s > config.forget_s:
            return config.gate_m
        return config.gate_m + ahead_s * max(config.hand_mps, math.hypot(*track.vel_w))

    def _extend(self, track: Track, stamp_s: float, pos_w: Triple, place_b: Triple) -> None:
        config = self.config
        ahead_s = stamp_s - track.stamp_s
        x, y, z = ((new - old) / ahead_s for new, old in zip(pos_w, track.pos_w, strict=True))
        if z > 0.0 > track.vel_w[2] and z - track.vel_w[2] > BOUNCE_MPS:
            track.recent.clear()
        track.pos_w, track.vel_w, track.stamp_s = pos_w, (x, y, z), stamp_s
        track.place_b = place_b
        track.hits += 1
        if not math.dist(pos_w, track.spot_w) <= STILL_M:
            track.spot_w, track.spot_s = pos_w, stamp_s
        track.recent.append((stamp_s, *pos_w))
        while stamp_s - track.recent[0][0] > config.window_s:
            track.recent.popleft()
        velocity_mps = fall_velocity(track.recent, config)
        if velocity_mps is not None:
            track.fell_s, track.vel_w = stamp_s, velocity_mps
        elif stamp_s - track.fell_s <= config.falls_s and len(track.recent) > 2:  # it has bounced just now
            track.vel_w = _slopes(track.recent)

    def _choose(self, stamp_s: float, vehicle_pos_w: Triple) -> None:
        """Find the ball, or a better one."""
        config, ball = self.config, self.ball
        if ball is not None and stamp_s - ball.fell_s <= config.gives_way_s:
            return
        here = [t for t in self.tracks if t.stamp_s == stamp_s and self._may_be_ball(t, vehicle_pos_w)]
        falling = [t for t in here if t.fell_s == stamp_s]
        if falling:
            self._take(max(falling, key=lambda t: t.hits))
            return
        moving = [t for t in here if stamp_s - t.spot_s < STILL_S]
        if ball is None and len(moving or here) == 1:
            self._take((moving or here)[0])
        elif ball is None and here:
            self.ambiguous += 1

    def _may_be_ball(self, track: Track, vehicle_pos_w: Triple) -> bool:
        x, y, z = (p - v for p, v in zip(track.pos_w, vehicle_pos_w, strict=True))
        low, high = self.config.above_m
        return track.hits >= 3 and math.hypot(x, y) <= self.config.radius_m and low <= z <= high

    def _take(self, track: Track) -> None:
        self.switches += self.ball is not None and self.ball is not track
        self.ball = track


def fall_velocity(recent: Sequence[tuple[float, float, float, float]], config: MarkerConfig) -> Triple | None:
    """Velocity [m/s] at the last of the places (stamp, x, y, z) if they lie on the path of a free fall.

    None where they do not, or where a straight path at constant speed would do nearly as well.
    """
    span_s = recent[-1][0] - recent[0][0]
    heights = [z for _, _, _, z in recent]
    # Even about its apex, the ball moves by a centimetre.
    if span_s < 0.7 * config.window_s or len(recent) < 6 or max(heights) - min(heights) < 0.01:
        return None
    line, x_m, y_m, z_m, raised_m = _columns(recent)
    z, fall = line.fit(raised_m)
    if not fall <= 0.25 * line.fit(z_m)[1]:
        return None
    (x, aside_x), (y, aside_y) = line.fit(x_m), line.fit(y_m)
    is_near = math.sqrt((fall + aside_x + aside_y) / len(recent)) <= config.residual_max_m
    return (x, y, z) if is_near else None


def _slopes(recent: Sequence[tuple[float, float, float, float]]) -> Triple:
    """Velocity [m/s] at the last of the places, if they lie on the path of a free fall."""
    line, x_m, y_m, _, raised_m = _columns(recent)
    return line.fit(x_m)[0], line.fit(y_m)[0], line.fit(raised_m)[0]


def _columns(
    recent: Sequence[tuple[float, float, float, float]],
) -> tuple[_Line, tuple[float, ...], tuple[float, ...], tuple[float, ...], list[float]]:
    """Lines through values at these times; coordinates [m]; and heights [m] raised by what gravity did until the last.

    A free fall becomes a straight line so, with the slope of its end.
    """
    stamps_s, x_m, y_m, z_m = zip(*recent, strict=True)
    last_s = stamps_s[-1]
    raised_m = [
        z + 0.5 * GRAVITY_MPS2 * (stamp_s - last_s) ** 2 for stamp_s, z in zip(stamps_s, z_m, strict=True)
    ]
    return _Line([stamp_s - last_s for stamp_s in stamps_s]), x_m, y_m, z_m, raised_m


class _Line:
    """Straight lines that fit best through values at the same times, which differ."""

    def __init__(self, times: list[float]) -> None:
        mean = sum(times) / len(times)
        self._from_mean = [time - mean for time in times]
        self._squares = sum(map(mul, self._from_mean, self._from_mean))

    def fit(self, values: Sequence[float]) -> tuple[float, float]:
        """Slope, and the sum of squared distances."""
        mean = sum(values) / len(values)
        off = [value - mean for value in values]
        along = sum(map(mul, self._from_mean, off))
        return along / self._squares, max(0.0, sum(map(mul, off, off)) - along * along / self._squares)
