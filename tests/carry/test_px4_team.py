"""Members of a team on PX4s: they engage together, supervisors have the last word, a lost load makes all hold."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from corvids.deploy.contract import Limits
from corvids.deploy.fallback import Fallback
from corvids.deploy.px4.keeping import Level
from corvids.deploy.px4.state import VehicleState
from corvids.deploy.px4.team import Member, Px4Team, member_thresholds
from corvids.deploy.px4.thrust import thrust_map_of
from corvids.deploy.supervision.checks import Autopilot, Mode
from corvids.deploy.supervision.envelope import Triple, envelope_of
from corvids.deploy.supervision.reactions import State
from corvids.deploy.supervision.supervisor import Request, Supervisor
from corvids.vehicle import load_vehicle

FALCON = load_vehicle("falcon")
LIMITS = Limits(
    thrust_n=(0.0, 25.0), rate_max_radps=(3.0, 3.0, 1.5), tilt_max_rad=1.0, hover_thrust_n=FALCON.weight_n
)
STEP_S = 0.004
SHARE_N = 4.0
REACH_M = 1.7


class ObedientPx4:
    """A PX4 that does what it is asked for at once, and hangs still in the air; slow to arm, if it is to be."""

    def __init__(self, clock: list[float], x_m: float, arms_s: float = 0.0) -> None:
        self._clock, self._arms_s = clock, arms_s
        self.state = VehicleState(
            pos_w=(x_m, 0.0, 2.0), vel_w=(0.0, 0.0, 0.0), quat_wb=(1.0, 0.0, 0.0, 0.0),
            omega_b=(0.0, 0.0, 0.0), specific_force_b_mps2=(0.0, 0.0, 9.8),
        )  # fmt: skip
        self.autopilot = Autopilot(mode=Mode.HOLD, landed=False, battery=1.0)
        self.asked: list[tuple[float, Request]] = []
        self.streamed: list[tuple[float, Triple, Level]] = []
        self.hover_thrust = 0.0
        self.is_estimating = True
        self.is_kept = False

    @property
    def now_s(self) -> float:
        return self._clock[0]

    def wait(self, until_s: float) -> Iterator[None]:
        self._clock[0] = max(self._clock[0], until_s)
        if self.is_estimating:
            self.state.pose_stamp_s = self.state.attitude_stamp_s = self.now_s
            x, y, z = self.state.pos_w
            self.state.pos_w = (x, y, z + 1e-9)  # what never moves at all is frozen
        self.autopilot = self.autopilot._replace(heard_s=self.now_s)
        yield

    def engage(self) -> None: ...

    def release(self) -> None: ...

    def request(self, request: Request) -> None:
        self.asked.append((self.now_s, request))
        if request is Request.ARM:
            self.autopilot = self.autopilot._replace(armed=self.now_s >= self._arms_s)
        else:
            self.autopilot = self.autopilot._replace(mode=Mode(request.value))

    def set_hover_thrust(self, thrust: float) -> bool:
        before, self.hover_thrust = self.hover_thrust, thrust
        return before == thrust

    def stream(self, thrust: float, rate_b_radps: Triple, level: Level) -> None:
        self.streamed.append((thrust, rate_b_radps, level))


class Sky:
    """Three of them, and a load that is seen until it is lost."""

    def __init__(self) -> None:
        clock = [0.0]
        self.links = [ObedientPx4(clock, float(x), arms_s=4.0 * (x == 2)) for x in range(3)]
        members = []
        for link in self.links:
            fallback = Fallback(LIMITS)
            supervisor = Supervisor(envelope_of(LIMITS, FALCON), fallback, None, member_thresholds(REACH_M))
            members.append(
                Member(link, supervisor, fallback, thrust_map_of(FALCON), FALCON.weight_n, SHARE_N)
            )
        self.lost_s = np.inf
        self.load_w = np.array((1.0, 0.0, 1.0))
        """Where members see it, (3,) or (members, 3)."""
        self.first_engaged_s: dict[int, float] = {}
        self.said: list[str] = []
        self.team = Px4Team(members, self._load, self._watch)
        self.team.bear(True)

    def _load(self):
        rows = 1 if self.team.now_s < self.lost_s else 0
        poses = np.zeros((3, rows, 7))
        poses[..., :3] = np.broadcast_to(self.load_w, (3, 3))[:, None]
        return np.full((3, rows), self.team.now_s), poses

    def _watch(self, index, seen, verdict) -> None:
        self.said += [entry.reason for entry in verdict.entries]
        if verdict.state is State.ENGAGING:
            self.first_engaged_s.setdefault(index, seen.now_s)

    def fly(self, until_s: float, thrust_n: float = 10.0) -> None:
        while self.team.now_s < until_s:
            self.team.imu(self.team.now_s + STEP_S)
            self.readings = self.team.receive(self.team.now_s)
            self.team.send(np.full(3, thrust_n), np.full((3, 3), 0.1))


def test_they_engage_together_once_all_are_armed_and_then_their_policies_fly():
    sky = Sky()
    sky.fly(10.0)
    engaged = list(sky.first_engaged_s.values())
    assert len(engaged) == 3
    assert min(engaged) > 4.0, "one was slow to arm"
    assert len(set(engaged)) == 1, "all at one tick"
    assert sky.team.states == [State.POLICY] * 3
    for link in sky.links:
        thrust, rates, level = link.streamed[-1]
        assert thrust == pytest.approx(10.0 / 25.0, abs=1e-6)
        assert rates == (0.1, 0.1, 0.1)
        assert level.thrust == pytest.approx((FALCON.weight_n + SHARE_N) / 25.0), (
            "hover with its share of the load"
        )


def test_the_supervisors_have_the_last_word():
    sky = Sky()
    sky.fly(10.0)
    sky.fly(10.1, thrust_n=1000.0)
    assert all(link.streamed[-1][0] <= 1.0 for link in sky.links)


@pytest.mark.parametrize(("most_radps", "is_let_be"), [(5.1, True), (6.2, False)])
def test_a_member_may_turn_as_its_cable_turns_it_but_not_faster(most_radps: float, is_let_be: bool):
    """In MuJoCo the first of them reaches 5.1 rad/s, for 0.1 s over 4.5, when `heavy50` is let go."""
    sky = Sky()
    sky.fly(8.0)
    assert sky.team.states == [State.POLICY] * 3
    sky.links[0].state.omega_b = (0.0, most_radps, 0.0)
    sky.fly(8.1)
    sky.links[0].state.omega_b = (0.0, 0.0, 0.0)
    sky.fly(8.2)
    assert (sky.team.states[0] is State.POLICY) == is_let_be
    assert bool(sky.team.must_lower) != is_let_be


def test_where_the_load_is_lost_members_stay_under_their_pilots_command():
    """Which then holds each where it is and bears its cable; PX4 knows nothing of the load, and is not asked."""
    sky = Sky()
    sky.fly(10.0)
    sky.lost_s = 10.0
    sky.fly(12.0, thrust_n=11.0)
    assert sky.team.states == [State.POLICY] * 3
    for link in sky.links:
        assert link.streamed[-1][0] == pytest.approx(11.0 / 25.0, abs=1e-6)
        assert Request.HOLD not in [request for _, request in link.asked]
    assert any("the load is lost" in said for said in sky.said)


def test_a_load_is_not_believed_to_be_further_off_than_a_cable_reaches():
    """Only by the member that sees it so, for as long as it does; nobody's flight ends of it."""
    sky = flying()
    right = np.array((1.0, 0.0, 1.0))
    sky.load_w = np.array((right, right, (2.0, 0.0, -0.5)))  # 2.5 m below the third member
    sky.fly(10.5, thrust_n=11.0)
    assert np.isfinite(sky.readings.load_stamp_s[:, 0]).tolist() == [True, True, False]
    assert any("where it cannot be: 2.50 m from the vehicle" in said for said in sky.said)
    assert sky.team.states == [State.POLICY] * 3
    assert sky.team.must_lower == ""
    sky.load_w = right
    sky.fly(10.6, thrust_n=11.0)
    assert np.isfinite(sky.readings.load_stamp_s).all()


def test_a_load_that_jumps_is_believed_once_it_can_have_come_there():
    sky = flying()
    sky.load_w = np.array((1.0, 0.5, 1.0))  # 0.5 m: 0.05 s at 10 m/s
    sky.fly(10.03)
    assert np.isnan(sky.readings.load_stamp_s).all()
    assert any("where it cannot be" in said for said in sky.said)
    sky.fly(10.07)
    assert np.isfinite(sky.readings.load_stamp_s).all()
    assert not any("lost" in said for said in sky.said)


def test_policies_do_not_begin_before_the_load_is_believed():
    sky = Sky()
    sky.load_w = np.array((9.0, 0.0, 1.0))
    sky.fly(12.0)
    assert sky.team.states == [State.ENGAGING] * 3
    sky.load_w = np.array((1.0, 0.0, 1.0))
    sky.fly(14.0)
    assert sky.team.states == [State.POLICY] * 3


def flying() -> Sky:
    sky = Sky()
    sky.fly(10.0)
    assert sky.team.states == [State.POLICY] * 3
    assert sky.team.must_lower == ""
    return sky


def test_a_weak_battery_makes_the_whole_team_lower_and_nobody_lands_on_a_taut_cable():
    sky = flying()
    weak = sky.links[1]
    weak.autopilot = weak.autopilot._replace(battery=0.01)
    sky.fly(12.0, thrust_n=11.0)
    assert sky.team.must_lower.startswith("member 1: the battery is low")
    assert sky.team.states == [State.POLICY] * 3, "their pilots' commands stand, also the weak one's"
    assert not {Request.LAND, Request.HOLD} & {request for link in sky.links for _, request in link.asked}


@pytest.mark.parametrize("height_m", [9.0, 4.2])
def test_outside_the_fence_a_member_on_a_taut_cable_hovers_and_the_team_lowers(height_m: float):
    """Landing by itself it would leave its load to the others, or hang in it."""
    sky = flying()
    sky.links[2].state.pos_w = (2.0, 0.0, height_m)
    sky.fly(12.0)
    assert sky.team.must_lower.startswith("member 2: the vehicle is outside the fence")
    assert sky.team.states == [State.POLICY, State.POLICY, State.RECOVERING]
    assert not {Request.LAND, Request.HOLD} & {request for link in sky.links for _, request in link.asked}
    assert sky.links[2].streamed[-1][2].thrust == pytest.approx((FALCON.weight_n + SHARE_N) / 25.0)


def test_a_member_that_its_px4_must_hold_lands_when_the_others_sink():
    """Its PX4 alone knows where it is; held on, it would bear the whole load once the others are down."""
    sky = flying()
    blind = sky.links[2]
    blind.is_estimating = False
    sky.fly(11.0)
    assert blind.asked[-1][1] is Request.HOLD
    assert blind.hover_thrust == pytest.approx((FALCON.weight_n + SHARE_N) / 25.0), "it holds with its share"
    assert sky.team.must_lower.startswith("member 2: the vehicle's state is late")
    assert sky.team.are_flown.tolist() == [True, True, False]
    sky.team.lower(0.0)
    sky.fly(12.5)
    assert blind.asked[-1][1] is Request.HOLD, "the team holds yet"
    sky.team.lower(0.01)
    sky.fly(13.0)
    assert blind.asked[-1][1] is Request.LAND
    assert Request.LAND not in [request for link in sky.links[:2] for _, request in link.asked]


def test_a_member_that_somebody_has_taken_is_not_told_to_land():
    sky = flying()
    taken = sky.links[2]
    taken.is_estimating = False
    sky.fly(11.0)
    taken.autopilot = taken.autopilot._replace(mode=Mode.OTHER)
    sky.fly(11.1)
    taken.autopilot = taken.autopilot._replace(mode=Mode.HOLD)  # the pilot's own
    sky.team.lower(0.01)
    sky.fly(13.0)
    assert Request.LAND not in [request for _, request in taken.asked]


def test_none_engages_before_nothing_is_against_it_for_all():
    sky = Sky()
    weak = sky.links[0]
    weak.autopilot = weak.autopilot._replace(battery=0.01)
    sky.fly(4.0)
    weak.autopilot = weak.autopilot._replace(armed=True)  # by its pilot
    sky.fly(8.0)
    assert sky.team.states == [State.ARMED] * 3
    assert sky.team.against_engaging.startswith("member 0: the battery is low")
    weak.autopilot = weak.autopilot._replace(battery=1.0)
    sky.fly(14.0)
    assert sky.team.states == [State.POLICY] * 3
    assert len(set(sky.first_engaged_s.values())) == 1


def test_a_member_left_behind_follows_only_while_the_others_fly():
    """An obstacle in the very tick of the word is known to nobody before."""
    sky = Sky()
    while sky.team.against_engaging or sky.team.now_s < 4.0:
        sky.fly(sky.team.now_s + STEP_S)
        assert sky.team.now_s < 6.0
    sky.links[1].state.pos_w = (1.0, 0.0, 9.0)  # outside the fence
    sky.fly(5.1)
    assert sky.team.states == [State.ENGAGING, State.ARMED, State.ENGAGING]
    for link in sky.links[::2]:
        link.autopilot = link.autopilot._replace(armed=False, mode=Mode.OTHER)  # by their pilots
    sky.fly(7.0)
    sky.links[1].state.pos_w = (1.0, 0.0, 2.0)
    sky.fly(12.0)
    assert sky.team.states[1] is State.ARMED
    assert "member 0: it has flown, and does no more" in sky.team.against_engaging


def test_a_member_whose_policy_is_taken_away_makes_the_others_lower_with_it():
    sky = flying()
    sky.links[2].state.pos_w = (2.0, 0.0, 9.0)  # outside the fence
    sky.fly(10.1)
    assert sky.team.must_lower.startswith("member 2:")
    before = [member.supervisor._handover.place_w[2] for member in sky.team.members]
    sky.team.lower(0.25)
    after = [member.supervisor._handover.place_w[2] for member in sky.team.members]
    assert after[2] == pytest.approx(before[2] - 0.25)


def test_once_released_each_px4_is_told_its_weight_and_asked_to_land():
    sky = flying()
    loaded = (FALCON.weight_n + SHARE_N) / 25.0
    assert all(link.hover_thrust == pytest.approx(loaded) for link in sky.links)
    sky.team.land()
    assert all(member.fallback.load_kg == 0.0 for member in sky.team.members)
    sky.fly(13.0)
    for link in sky.links:
        assert link.hover_thrust == pytest.approx(FALCON.weight_n / 25.0)
        assert link.asked[-1][1] is Request.LAND
        assert link.streamed[-1][2].thrust == pytest.approx(FALCON.weight_n / 25.0), "keepers know it too"
    assert set(sky.team.states) <= {State.LANDING}


def test_a_loaded_hover_bears_its_share():
    sky = Sky()
    fallback, none = sky.team.members[0].fallback, np.full((1, 3), np.nan)
    level = np.array([[1.0, 0.0, 0.0, 0.0]])
    assert fallback.command(none, none, level, none)[0][0] == pytest.approx(FALCON.weight_n + SHARE_N)
    sky.team.bear(False)
    assert fallback.command(none, none, level, none)[0][0] == pytest.approx(FALCON.weight_n)
