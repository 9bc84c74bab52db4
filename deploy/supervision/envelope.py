"""Where a vehicle may be and what may be commanded of it: the limits that no policy can talk the runtime out of."""

from __future__ import annotations

import dataclasses
import math

from corvids.deploy.contract import Limits
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

Triple = tuple[float, float, float]
"""x, y, z."""


def within(vector: Triple, most: Triple, share: float = 1.0) -> bool:
    """Whether no component is larger than ``share`` of its limit; False for what is not a number.

    Written out, as all that is asked at every tick: generators take several times as long.
    """
    (x, y, z), (x_most, y_most, z_most) = vector, most
    return abs(x) <= share * x_most and abs(y) <= share * y_most and abs(z) <= share * z_most


@dataclasses.dataclass(frozen=True)
class Envelope:
    """What may be commanded."""

    thrust_n: tuple[float, float]
    """Least and largest collective thrust [N]."""
    hover_thrust_n: float
    """Weight of the vehicle [N]."""
    rate_max_radps: Triple
    """Largest body rate about each axis [rad/s]."""

    def clip(self, thrust_n: float, rate_b_radps: Triple) -> tuple[float, Triple]:
        """The nearest command inside; what is not a number becomes the weight, or no rate."""
        if self.contains(thrust_n, rate_b_radps):
            return thrust_n, rate_b_radps
        low, high = self.thrust_n
        thrust_n = min(max(thrust_n, low), high) if math.isfinite(thrust_n) else self.hover_thrust_n
        x, y, z = (
            min(max(rate, -most), most) if math.isfinite(rate) else 0.0
            for rate, most in zip(rate_b_radps, self.rate_max_radps, strict=True)
        )
        return thrust_n, (x, y, z)

    def contains(self, thrust_n: float, rate_b_radps: Triple, slack: float = 0.0) -> bool:
        """Whether a command lies inside, or outside by no more than the share ``slack`` of each range."""
        low, high = self.thrust_n
        more_n = slack * (high - low)
        return low - more_n <= thrust_n <= high + more_n and within(
            rate_b_radps, self.rate_max_radps, 1.0 + slack
        )


def envelope_of(policy: Limits, vehicle: Vehicle | None = None) -> Envelope:
    """What both the policy file and the vehicle file allow; refuses a policy that cannot hover the vehicle."""
    (low, high), rates, weight_n = policy.thrust_n, policy.rate_max_radps, policy.hover_thrust_n
    if vehicle is not None:
        high = min(high, vehicle.limits.thrust_max_n)
        x, y, z = map(min, zip(rates, vehicle.limits.rate_max_radps, strict=True))
        rates, weight_n = (x, y, z), vehicle.weight_n
        if not low < weight_n < high:
            raise CorvidsError(
                f"the policy may command {low:.4g} to {high:.4g} N on the vehicle {vehicle.name!r}, "
                f"which weighs {weight_n:.4g} N: fly a policy that was trained for it"
            )
    return Envelope((low, high), weight_n, rates)


@dataclasses.dataclass(frozen=True)
class Fence:
    """A box in the world that the vehicle must not leave, and how early it turns round.

    The inner fence has no shape of its own: a vehicle is beyond it as soon as braking would take it out of the box.
    """

    low_w_m: Triple = (-3.0, -3.0, -0.5)
    """Lower corner of the box [m], world ENU; below the ground, so that one may stand on it."""
    high_w_m: Triple = (3.0, 3.0, 4.0)
    """Upper corner of the box [m]."""
    floor_w_m: float = 0.0
    """Height [m] below which a flying policy must not need to brake."""
    reaction_s: float = 0.15
    """Time from crossing the inner fence until the vehicle brakes [s]."""
    braking_mps2: float = 3.0
    """Deceleration that is then certain [m/s²]."""
    margin_m: float = 0.5
    """Places to hold are at least this far inside the box [m]."""

    def __post_init__(self) -> None:
        for axis, low, high in zip("xyz", self.low_w_m, self.high_w_m, strict=True):
            if not high - low > 2.0 * self.margin_m:
                raise CorvidsError(
                    f"fence: {axis} from {low} to {high} m must span more than twice the margin, {self.margin_m} m"
                )
        if not (self.reaction_s >= 0.0 and self.braking_mps2 > 0.0 and self.margin_m >= 0.0):
            raise CorvidsError(
                "fence: reaction_s and margin_m must not be negative, braking_mps2 must be positive"
            )

    def contains(self, pos_w: Triple) -> bool:
        """Whether a place [m] lies in the box."""
        (x, y, z), (x_low, y_low, z_low), (x_high, y_high, z_high) = pos_w, self.low_w_m, self.high_w_m
        return x_low <= x <= x_high and y_low <= y <= y_high and z_low <= z <= z_high

    def stop_w(self, pos_w: Triple, vel_w: Triple) -> Triple:
        """Where a vehicle comes to rest [m]: speed · reaction + speed² / (2 · braking) further on."""
        (x, y, z), (u, v, w) = pos_w, vel_w
        time_s = self.reaction_s + math.hypot(u, v, w) / (2.0 * self.braking_mps2)
        return x + u * time_s, y + v * time_s, z + w * time_s

    def can_stop(self, pos_w: Triple, vel_w: Triple) -> bool:
        """Whether the vehicle is within the inner fence: in the box, and it would come to rest there, above the floor.

        The box is convex, so that the way between lies in it too.
        """
        stop_w = self.stop_w(pos_w, vel_w)
        return stop_w[2] >= self.floor_w_m and self.contains(stop_w) and self.contains(pos_w)

    def inside(self, pos_w: Triple) -> Triple:
        """The place [m] nearest to ``pos_w`` that may be held."""
        x, y, z = (
            min(max(p, low + self.margin_m), high - self.margin_m)
            for low, p, high in zip(self.low_w_m, pos_w, self.high_w_m, strict=True)
        )
        return x, y, max(z, self.floor_w_m + self.margin_m)
