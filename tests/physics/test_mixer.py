"""Control allocation: what PX4's mixer promises, on every command that hypothesis can think of."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st
from physics_lab import air, column, vec

from corvids.controllers.packing import map_leaves
from corvids.controllers.rate_loop import RateGains, gains_of, mix
from corvids.vehicle import Vehicle, load_vehicle, vehicle_names

HALF_SQRT = 1.0 / math.sqrt(2.0)


def gains(vehicle: Vehicle) -> RateGains:
    return map_leaves(lambda leaf: leaf.reshape(1, 1), gains_of(vehicle, 0.002, dtype=torch.float64))


X = gains(air())
"""An X of equal arms."""
SKEWED = dataclasses.replace(
    air(),
    rotors=dataclasses.replace(
        air().rotors,
        position_b_m=((0.11, -0.09, 0.0), (-0.08, 0.12, 0.0), (0.10, 0.10, 0.0), (-0.09, -0.11, 0.0)),
    ),
)
"""Four arms of different length, and the centre of mass in the middle of none."""

thrust_share = st.floats(0.0, 1.0)
torque_share = st.floats(-1.5, 1.5)
commands = st.tuples(thrust_share, torque_share, torque_share, torque_share)


def mixed(thrust: float, roll: float, pitch: float, yaw: float, airmode: bool = False, of: RateGains = X):
    rotors, given = mix(column(thrust), vec((roll, pitch, yaw)), of, airmode)
    return [r.item() for r in rotors], [g.item() for g in given]


def test_normalisation_is_px4s():
    # A roll of 1 moves each rotor by 1/√2, a yaw of 1 by 1; rotors: front right, rear left, front left, rear right.
    up, down = 0.5 + 0.1 * HALF_SQRT, 0.5 - 0.1 * HALF_SQRT
    assert mixed(0.5, 0.1, 0.0, 0.0)[0] == pytest.approx([down, up, up, down])
    assert mixed(0.5, 0.0, 0.1, 0.0)[0] == pytest.approx([down, up, down, up])
    # Rotors 1 and 2 turn counter-clockwise and drag the body clockwise, so they give way for yaw to the left.
    assert mixed(0.5, 0.0, 0.0, 0.1)[0] == pytest.approx([0.4, 0.4, 0.6, 0.6])


@pytest.mark.parametrize("vehicle", [*map(load_vehicle, vehicle_names()), SKEWED], ids=lambda v: v.name)
def test_rotors_give_exactly_the_torque_asked_where_none_saturates(vehicle: Vehicle):
    asked, thrust = (0.05, -0.08, 0.04), 0.45
    rotors, given = mixed(thrust, *asked, of=gains(vehicle))
    assert given == pytest.approx(asked)
    # In newton metres: each rotor's thrust times its lever. Roll and pitch share one scale, whatever the arms.
    x, y, _ = zip(*vehicle.rotors.position_b_m, strict=True)
    torques = [
        sum(r * lever for r, lever in zip(rotors, levers, strict=True))
        for levers in (y, [-v for v in x], [-s for s in vehicle.rotors.spin])
    ]
    assert torques[0] / torques[1] == pytest.approx(asked[0] / asked[1])
    assert sum(rotors) == pytest.approx(4 * thrust)
    alone = [mixed(thrust, 0.0, 0.0, asked[2], of=gains(vehicle))[0][k] for k in range(4)]
    assert torques[2] == pytest.approx(sum(-s * r for s, r in zip(vehicle.rotors.spin, alone, strict=True)))


@given(commands, st.booleans())
def test_rotors_stay_within_their_range_and_given_is_what_they_give(command, airmode: bool):
    rotors, given = mixed(*command, airmode=airmode)
    assert all(0.0 <= r <= 1.0 for r in rotors)
    # PX4's slopes, by hand: the torque that the rotors give is the mean of slope times share, over slope squared.
    slopes = ((-1, 1, 1, -1), (-1, 1, -1, 1), (-1, -1, 1, 1))
    for axis, (signs, size) in enumerate(zip(slopes, (HALF_SQRT, HALF_SQRT, 1.0), strict=True)):
        by_hand = sum(sign * r for sign, r in zip(signs, rotors, strict=True)) / (4.0 * size)
        assert given[axis] == pytest.approx(by_hand, abs=1e-12)


@given(commands)
def test_without_airmode_thrust_is_never_raised(command):
    rotors, _ = mixed(*command)
    assert sum(rotors) / 4.0 <= command[0] + 1e-9


@given(commands)
def test_torque_is_reduced_but_never_reversed_or_exceeded(command):
    _, given = mixed(command[0], command[1], 0.0, 0.0)
    assert -1e-9 <= given[0] * math.copysign(1.0, command[1]) <= abs(command[1]) + 1e-9
    _, given = mixed(command[0], 0.0, command[2], 0.0)
    assert -1e-9 <= given[1] * math.copysign(1.0, command[2]) <= abs(command[2]) + 1e-9


@given(thrust_share, torque_share)
def test_roll_is_given_in_full_as_far_as_any_thrust_not_above_the_command_allows(thrust: float, roll: float):
    # Rotors differ by √2·roll, which must fit into the range; half of it must not exceed the thrust.
    possible = min(1.0, 2.0 * thrust) / math.sqrt(2.0)
    _, given = mixed(thrust, roll, 0.0, 0.0)
    assert abs(given[0]) == pytest.approx(min(abs(roll), possible), abs=1e-9)


def test_collective_gives_way_first():
    # 0.9 ± 0.3/√2 would reach 1.112: thrust drops by 0.112, and roll is given in full.
    rotors, given = mixed(0.9, 0.3, 0.0, 0.0)
    assert given[0] == pytest.approx(0.3)
    assert max(rotors) == pytest.approx(1.0)
    assert sum(rotors) / 4.0 == pytest.approx(1.0 - 0.3 * HALF_SQRT)


def test_thrust_gives_way_only_as_far_as_it_helps():
    # 0.8 ± 1/√2 reaches from 0.093 to 1.507, wider than the range. Thrust moves to the middle, 0.5, where roll is cut
    # to 1/√2 on either side; any lower and the rotors at the bottom would cut it further.
    rotors, given = mixed(0.8, 1.0, 0.0, 0.0)
    assert rotors == pytest.approx([0.0, 1.0, 1.0, 0.0])
    assert given[0] == pytest.approx(HALF_SQRT)


@given(thrust_share, torque_share, torque_share, torque_share)
@example(0.5, 0.5, 0.125, -1.0)
def test_yaw_takes_nothing_from_roll_and_pitch(thrust: float, roll: float, pitch: float, yaw: float):
    # Where roll and pitch fit into the range, that is.
    assume((abs(roll) + abs(pitch)) * HALF_SQRT <= min(thrust, 1.0 - thrust))
    _, given = mixed(thrust, roll, pitch, yaw)
    # PX4 lets yaw overshoot the upper limit by 0.15 and lowers thrust for it; a rotor may then be cut off by up to half
    # of that at the lower limit, which costs 0.075 / (4/√2) of roll.
    overshoots = thrust + (abs(roll) + abs(pitch)) * HALF_SQRT + abs(yaw) > 1.0
    taken = 2.0 * 0.075 / (4.0 * HALF_SQRT) if overshoots else 0.0
    assert given[:2] == pytest.approx([roll, pitch], abs=taken + 1e-9)


def test_yaw_is_limited_when_roll_saturates():
    # Roll uses the whole range. Two rotors stand at 0: any yaw would have to push one of them below.
    _, given = mixed(0.5, HALF_SQRT, 0.0, 0.3)
    assert given == pytest.approx([HALF_SQRT, 0.0, 0.0])
    # With half the roll, rotors at 0.25 and 0.75 leave room for a yaw of 0.25.
    _, given = mixed(0.5, 0.5 * HALF_SQRT, 0.0, 0.3)
    assert given == pytest.approx([0.5 * HALF_SQRT, 0.0, 0.25])


def test_yaw_may_take_15_percent_from_full_thrust():
    # At full thrust yaw may push rotors to 1.15, then thrust is lowered by 0.15: 1.0 and 0.7, a yaw of 0.15.
    rotors, given = mixed(1.0, 0.0, 0.0, 0.5)
    assert rotors == pytest.approx([0.7, 0.7, 1.0, 1.0])
    assert given[2] == pytest.approx(0.15)


def test_airmode_raises_thrust_for_roll():
    rotors, given = mixed(0.1, 0.5, 0.0, 0.0, airmode=True)
    assert given[0] == pytest.approx(0.5)
    assert rotors == pytest.approx([0.0, 0.5 * math.sqrt(2.0), 0.5 * math.sqrt(2.0), 0.0])
