"""``corvids fly carry --plant px4-hil``: every member of a team is a PX4 of its own, and our MuJoCo simulates all.

World, runtimes, supervisors, keepers and PX4s live on one simulated time, in lockstep. The team is held where the
condition's trial begins until all members have engaged and their policies fly; then it is let go, and the trial runs.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from corvids.commands.evaluating.carry_trials import CarryTrialsConfig
from corvids.commands.flying.px4_hil import CONNECT_S, ORIGIN, HilEnd
from corvids.commands.px4_params import load_into, parameters_of
from corvids.deploy.contract import INNER_LOOP
from corvids.deploy.deferral import deferrable
from corvids.deploy.fallback import Fallback
from corvids.deploy.flight_record import FlightRecord
from corvids.deploy.inner_loop import InnerLoop
from corvids.deploy.pilot import Pilot
from corvids.deploy.policy import PolicyFile
from corvids.deploy.px4.channels import udp_address
from corvids.deploy.px4.hil_link import system_of
from corvids.deploy.px4.mavlink_link import MavlinkLink
from corvids.deploy.px4.mavlink_peer import Peer, PeerConfig
from corvids.deploy.px4.team import Member, Px4Team, member_thresholds
from corvids.deploy.px4.thrust import thrust_map_of
from corvids.deploy.record_about import about
from corvids.deploy.runtime import Flight, Tick, fly
from corvids.deploy.supervision.checks import Seen
from corvids.deploy.supervision.envelope import Fence, envelope_of
from corvids.deploy.supervision.reactions import State
from corvids.deploy.supervision.supervisor import Supervisor, Verdict
from corvids.deploy.team_descent import Phase, TeamDescent
from corvids.envs.engines.engine import Array
from corvids.envs.engines.mujoco_team_engine import MujocoTeamEngine
from corvids.envs.mdp.team_facts import team_facts
from corvids.envs.plants.hil_world import TRACKER_DELAY_S
from corvids.envs.plants.team_conditions import TeamTrials, condition_named, draw
from corvids.envs.plants.team_goals import command_at, standing
from corvids.envs.plants.team_hil_world import TeamHilWorld
from corvids.envs.plants.team_referee import TeamReferee, TeamVerdict
from corvids.errors import CorvidsError
from corvids.team import Team
from corvids.vehicle import GRAVITY_MPS2, Vehicle

PREPARE_S = 90.0
"""How long arming and engaging may take [s, simulated]."""
FENCE = Fence((-8.0, -8.0, -0.5), (8.0, 8.0, 8.0))
"""Within which a trial takes place."""


class TeamOutcome(NamedTuple):
    """How a flight went."""

    verdict: TeamVerdict
    flight: Flight
    by_policy: Array
    """Share of the trial's time in which each member's policy flew, (members,)."""
    wall_s: float
    """What a simulated second took [s]."""
    has_landed: bool
    """Whether all members have landed and disarmed."""


class Mission(NamedTuple):
    """What a team does besides its trial."""

    lose_load_s: float = math.inf
    """When nobody sees the load any more, after the trial's start [s]."""
    take_off: bool = False
    """Members start on the ground, beside a load that lies there on slack cables; else in the air, on a stand."""
    land_s: float = math.inf
    """When the operator says land [s]."""


class TeamHil:
    """All members' PX4s, and the world; time passes by stepping them together."""

    def __init__(self, world: TeamHilWorld, links: list[str]) -> None:
        self.world = world
        with contextlib.ExitStack() as opened:
            self.ends = [
                opened.enter_context(contextlib.closing(HilEnd(link, system_of(link)))) for link in links
            ]
            self._opened = opened.pop_all()

    def connect(self) -> None:
        """Wait for all of them."""
        for end in self.ends:
            end.hil.wait_for_px4(CONNECT_S)

    def step(self) -> None:
        """One step of everything."""
        felt = self.world.advance(np.array([end.hil.motors for end in self.ends]))
        for end, one in zip(self.ends, felt, strict=True):
            end.live(self.world.now_s, one)

    def close(self) -> None:
        """Close all."""
        self._opened.close()


@dataclasses.dataclass
class MemberChannel:
    """One member's channel: waiting on any lets all live."""

    team: TeamHil
    end: HilEnd
    system: int
    """MAVLink system of its PX4."""

    @property
    def now_s(self) -> float:
        return self.team.world.now_s

    def wait(self, until_s: float) -> Iterator[bytes]:
        while self.now_s < until_s - 1e-9:
            self.team.step()
            yield from self.end.heard(self.now_s)
        yield from self.end.heard(self.now_s)

    def accept(self) -> None:
        pass

    def send(self, kind: bytes, packet: bytes = b"", safe: tuple[float, float] = (0.0, 0.0)) -> None:
        self.end.send(kind, packet, safe, self.now_s)

    def close(self) -> None:
        self.end.close()


def fly_team_hil(
    file: PolicyFile,
    config: CarryTrialsConfig,
    team: Team,
    link: str,
    mission: Mission,
    record: Path | None = None,
) -> TeamOutcome:
    """Fly the first trial of the condition.

    Member n's PX4 is the n-th instance, at ports that much above the first's. Its ``record`` has ``-member0`` and so on
    after its name.
    """
    condition = condition_named(config.condition)
    if mission.take_off and not condition.slack:
        raise CorvidsError("--take-off: is from a load that lies on the ground: with --condition slack-start")
    if condition.lost or condition.mixed:
        raise CorvidsError(
            f"--condition {config.condition}: is not flown with px4-hil; step, track1, wind5 are"
        )
    trials = draw(condition, team, 1, config.seed)
    referee = TeamReferee(trials, np.array([config.seconds]))
    engine = MujocoTeamEngine(team, 1, compile_kernels=False)
    world = TeamHilWorld(engine, trials, seed=config.seed, referee=referee, is_grounded=mission.take_off)
    world.unseen_from_s = mission.lose_load_s
    host, port = udp_address(link)
    links = [f"udp:{host}:{port + index}" for index in range(len(team.members))]
    with contextlib.closing(TeamHil(world, links)) as hil:
        print(
            f"waiting for {len(links)} PX4s at the simulator ports from {4560 + max(0, port - 14540)}",
            flush=True,
        )
        hil.connect()
        channels = [MemberChannel(hil, end, system_of(own)) for own, end in zip(links, hil.ends, strict=True)]
        share_n = _share_n(team)
        for channel, member in zip(channels, team.members, strict=True):
            load_into(channel, _parameters(member.vehicle, share_n), system=channel.system)
        with _recording(record, file, team) as records:
            return _Trial(file, config, team, world, channels, referee, trials, mission, records).fly()


@contextlib.contextmanager
def _recording(path: Path | None, file: PolicyFile, team: Team) -> Iterator[list[FlightRecord]]:
    """Every member's record, finished in the end; Ctrl-C meanwhile leaves no half of a message in any."""
    if path is None:
        yield []
        return
    with deferrable() as whole, contextlib.ExitStack() as opened:
        yield [
            opened.enter_context(
                contextlib.closing(
                    FlightRecord(
                        path.with_name(f"{path.stem}-member{index}{path.suffix}"),
                        about(file, member.vehicle),
                        whole,
                    )
                )
            )
            for index, member in enumerate(team.members)
        ]


class _Trial:
    """One trial, from arming on."""

    def __init__(
        self,
        file: PolicyFile,
        config: CarryTrialsConfig,
        team: Team,
        world: TeamHilWorld,
        channels: list[MemberChannel],
        referee: TeamReferee,
        trials: TeamTrials,
        mission: Mission,
        records: Sequence[FlightRecord],
    ) -> None:
        self._records = records
        contract, rows = file.contract, len(team.members)
        self._world, self._referee, self._config, self._trials = world, referee, config, trials
        share_n = _share_n(team)
        limits, self._mission = contract.limits, mission
        members = []
        for channel, member in zip(channels, team.members, strict=True):
            fallback, craft = Fallback(limits), member.vehicle
            link = MavlinkLink(
                channel, Peer(PeerConfig(channel.system, origin=ORIGIN, imu_hz=1.0 / world.step_s))
            )
            thresholds = member_thresholds(member.rigging.reach_m)
            supervisor = Supervisor(envelope_of(limits, craft), fallback, FENCE, thresholds)
            members.append(Member(link, supervisor, fallback, thrust_map_of(craft), craft.weight_n, share_n))
        self._plant = Px4Team(members, world.load_poses, self._watch)
        if mission.take_off:
            self._plant.places_w = [(x, y, z) for x, y, z in trials.start.drones.pos_w.tolist()]
        else:
            self._plant.bear(True)
        mass_kg = np.array([member.vehicle.body.mass_kg for member in team.members])
        self._thrust_n, self._outside = trials.thrust_n, np.zeros((rows, 3))
        self._outside[:, 2] = GRAVITY_MPS2 - trials.thrust_n / mass_kg
        self._inner = InnerLoop(
            self._plant, contract.stages[INNER_LOOP], limits, rows, self._thrust_n, self._outside
        )
        self._pilot = Pilot(file, rows, facts=team_facts(team).numpy())
        load = trials.start.load
        self._descent = TeamDescent(share_n / mass_kg)
        self._start = standing(np.array([[*load.pos_w[0] + trials.pose_point_b_m[0], 0.0, 0.0, 0.0]]))
        self._ticks, self._by_policy = 0, np.zeros(rows)

    def fly(self) -> TeamOutcome:
        """Arm, engage, let go, and fly until the referee ends it."""
        rows, began_s = self._pilot.rows, time.monotonic()
        flight = fly(
            self._pilot,
            self._inner,
            lambda _: np.repeat(self._goal(), rows, axis=0),
            seconds=PREPARE_S + self._config.seconds + 1.0,
            recorder=self._note,
            until=self._is_over,
        )
        if self._world.trial_s < 0.0:
            states = ", ".join(state.value for state in self._plant.states)
            against = self._plant.against_engaging
            raise CorvidsError(
                f"the team did not engage within {PREPARE_S:.0f} s: its members are {states}"
                + (f"; {against}" if against else "")
            )
        wall_s = (time.monotonic() - began_s) / self._world.now_s
        by_policy = self._by_policy / max(self._ticks, 1)
        return TeamOutcome(self._referee.verdict, flight, by_policy, wall_s, self._has_landed)

    def _goal(self) -> Array:
        """The task command (1, c): to stay where the trial begins, until it does."""
        is_held = self._world.trial_s < 0.0
        return (
            command_at(self._start, 0.0) if is_held else command_at(self._trials.goals, self._world.trial_s)
        )

    @property
    def _has_landed(self) -> bool:
        return self._descent.phase is Phase.RELEASED and set(self._plant.states) <= {State.READY}

    def _is_over(self, tick: Tick) -> bool:
        is_policy = np.array([state is State.POLICY for state in self._plant.states])
        if self._world.trial_s < 0.0:
            self._prepare(tick.now_s, is_policy)
            return self._world.trial_s < 0.0 and tick.now_s > PREPARE_S
        if self._descent.phase is Phase.CARRYING:
            self._ticks += 1
            self._by_policy += is_policy
        self._end_together(tick.now_s)
        if self._has_landed:
            self._referee.finish(self._world.trial_s)
        return bool(self._referee.done.all())

    def _prepare(self, now_s: float, is_policy: NDArray[np.bool_]) -> None:
        """Wait for the last; from the ground, those that hover on slack cables stay where they are until then."""
        if self._mission.take_off:
            self._pilot.held[:] = True
            self._pilot.member_fallback.reset(~is_policy)
        if is_policy.all():
            print(f"{now_s:8.2f} s  all members fly by their policies: the team is let go", flush=True)
            self._pilot.held[:] = False
            self._plant.bear(True)
            self._inner.start(self._thrust_n, self._outside)
            self._world.release()

    def _end_together(self, now_s: float) -> None:
        """Hold, lower together, release, where a member must end its flight or the operator says land."""
        plant, descent = self._plant, self._descent
        is_time = self._world.trial_s >= self._mission.land_s
        if (plant.must_lower or is_time) and descent.begin(now_s):
            print(
                f"{now_s:8.2f} s  the team lowers: {plant.must_lower or 'the operator said land'}", flush=True
            )
            self._referee.may_land = True
            self._pilot.held[:] = True
        before = descent.phase
        down_m = descent.advance(now_s, self._inner.outside_w_mps2, plant.are_flown)
        self._pilot.member_fallback.sink(down_m)
        plant.lower(down_m)
        if descent.phase is Phase.RELEASED and before is not Phase.RELEASED:
            print(
                f"{now_s:8.2f} s  the load lies on the ground, all cables are slack: members land", flush=True
            )
            plant.land()

    def _note(self, tick: Tick) -> None:
        for row, record in enumerate(self._records):
            record.note(tick, row)

    def _watch(self, index: int, seen: Seen, verdict: Verdict) -> None:
        if self._records:
            self._records[index].watch(seen, verdict)
        for entry in verdict.entries:
            change = f"{entry.before.value} -> {entry.after.value}"
            print(f"{entry.now_s:8.2f} s  member {index}: {change}: {entry.reason}", flush=True)


def _share_n(team: Team) -> float:
    """What a member bears of the load, were it shared alike [N]."""
    return team.load.mass_kg / len(team.members) * GRAVITY_MPS2


def _parameters(vehicle: Vehicle, share_n: float) -> dict[str, int | float]:
    """PX4's parameters for a member: should PX4 hold by itself, it must know what hovering takes with the load."""
    hover = thrust_map_of(vehicle).normalised(vehicle.weight_n + share_n)
    return parameters_of(vehicle, ev_delay_ms=1e3 * TRACKER_DELAY_S) | {
        "MPC_THR_HOVER": hover,
        "MPC_USE_HTE": 0,  # it is told
    }
