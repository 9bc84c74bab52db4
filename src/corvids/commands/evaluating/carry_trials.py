"""Flying a team's trials: a policy file, a team, a condition and an engine, put together."""

from __future__ import annotations

import dataclasses
import math
import sys
import time

import numpy as np
import torch

from corvids.commands.numbers import check_positive, check_seed
from corvids.deploy.contract import INNER_LOOP, Limits
from corvids.deploy.fallback import Fallback
from corvids.deploy.inner_loop import ImuPlant, InnerLoop
from corvids.deploy.pilot import Pilot, Readings
from corvids.deploy.policy import PolicyFile
from corvids.deploy.runtime import Flight, Tick, fly
from corvids.deploy.team_descent import Phase, TeamDescent
from corvids.deploy.trained_vehicle import vehicle_of
from corvids.envs.engines.engine import Array
from corvids.envs.engines.team_engine import TeamEngine
from corvids.envs.isaac import require_isaac
from corvids.envs.mdp.features import rotation_matrix
from corvids.envs.mdp.hanging import hanging_places
from corvids.envs.mdp.team_facts import team_facts
from corvids.envs.plants.team_conditions import AFTER_S, TeamTrials, condition_named, draw
from corvids.envs.plants.team_goals import command_at
from corvids.envs.plants.team_plant import TeamPlant
from corvids.envs.plants.team_referee import TeamReferee, TeamVerdict
from corvids.errors import CorvidsError
from corvids.team import Team, load_team
from corvids.vehicle import GRAVITY_MPS2, SECTIONS

TEAM_PLANTS = ("native", "mujoco", "isaac")
"""Engines that a team can be flown in."""
COMPILED_FROM = 40_000.0
"""Trials times seconds from which compiling MuJoCo's rate loops pays; the native simulator takes two seconds of it."""


LANDING_MPS, TOUCH_M = 0.4, 0.03
"""Rate at which members sink that bear nothing, and how near the ground they have landed."""


@dataclasses.dataclass(frozen=True)
class CarryTrialsConfig:
    """A set of trials of a team."""

    team: str = "falcon3"
    """Name or path of the team file."""
    plant: str = "mujoco"
    """Engine: native, mujoco or isaac."""
    condition: str = "step"
    """Row of the table of conditions of teams."""
    trials: int = 10
    """Independent trials, flown together."""
    seconds: float = 20.0
    """Length of a trial; where a member is lost, it ends 10 s after that."""
    seed: int = 0
    """Seed of all draws."""


def check(config: CarryTrialsConfig, file: PolicyFile) -> Team:
    """The team, or one line that says what cannot be flown, before anything is started."""
    if config.plant not in TEAM_PLANTS:
        raise CorvidsError(f"unknown plant {config.plant!r}; there are: {', '.join(TEAM_PLANTS)}")
    if config.plant == "isaac":
        require_isaac()
    condition_named(config.condition)
    check_positive(trials=config.trials, seconds=config.seconds)
    check_seed(config.seed)
    team = load_team(config.team)
    if not file.contract.is_accbr:
        raise CorvidsError(
            f"{file.path}: commands thrust and body rates; a team needs acceleration and body rates (ACCBR), with the "
            f"stage {INNER_LOOP!r}"
        )
    trained = vehicle_of(file)
    for index, member in enumerate(team.members):
        if any(getattr(member.vehicle, name) != getattr(trained, name) for name in SECTIONS):
            raise CorvidsError(
                f"{file.path}: its inner loop is that of {file.contract.vehicle.name!r}, but member {index} of "
                f"{config.team} is {member.vehicle.name!r}, of {member.vehicle.body.mass_kg:g} kg, with other numbers; "
                "export a policy for that vehicle"
            )
    return team


def make_engine(plant: str, team: Team, worlds: int, compile_kernels: bool) -> TeamEngine:
    """An engine with ``worlds`` worlds."""
    if plant == "native":
        from corvids.envs.engines.native_team import NativeTeam

        return NativeTeam(team, worlds, compile_kernels=compile_kernels)
    if plant == "isaac":
        from corvids.envs.isaac.team_engine import IsaacTeam

        return IsaacTeam(team, worlds, compile_kernels=compile_kernels)
    from corvids.envs.engines.mujoco_team_engine import MujocoTeamEngine

    return MujocoTeamEngine(team, worlds, compile_kernels=compile_kernels)


def fly_carry_trials(
    file: PolicyFile,
    config: CarryTrialsConfig,
    team: Team,
    *,
    progress: bool = True,
    land_s: float = math.inf,
) -> tuple[TeamVerdict, Flight, TeamTrials]:
    """Fly all trials to their end: what the referee says, how the runtimes fared, and what was drawn.

    ``land_s``: when the only team is to hold, lower its load together, and land, which ends its trial [s].
    """
    condition = condition_named(config.condition)
    trials = draw(condition, team, config.trials, config.seed)
    seconds = trials.loss_s + AFTER_S if condition.lost else np.full(config.trials, config.seconds)
    compile_kernels = config.plant != "mujoco" or config.trials * config.seconds > COMPILED_FROM
    engine = make_engine(config.plant, team, config.trials, compile_kernels)
    referee = TeamReferee(trials, seconds)
    plant: ImuPlant = TeamPlant(engine, trials, seed=config.seed, referee=referee)
    contract, rows = file.contract, trials.chosen.size
    if condition.mixed:
        plant = _Mixed(plant, trials, team, contract.limits)
    mass_kg = np.repeat([[m.vehicle.body.mass_kg for m in team.members]], config.trials, axis=0).reshape(-1)
    outside = np.zeros((rows, 3))
    outside[:, 2] = GRAVITY_MPS2 - trials.thrust_n / mass_kg
    inner = InnerLoop(plant, contract.stages[INNER_LOOP], contract.limits, rows, trials.thrust_n, outside)
    pilot = Pilot(file, rows, facts=np.tile(team_facts(team).numpy(), (config.trials, 1)))
    report = _Progress(config, referee) if progress else None

    def command(now_s: float) -> Array:
        return np.repeat(command_at(trials.goals, now_s), len(team.members), axis=0)

    landing = _Landing(pilot, inner, team, referee, land_s)

    def over(tick: Tick) -> bool:
        if report:
            report.show(tick.now_s)
        return bool(referee.done.all()) or landing.is_over(tick)

    flight = fly(pilot, inner, command, seconds=float(seconds.max()) + 0.1, until=over)
    return referee.verdict, flight, trials


class _Mixed:
    """A plant in which the chosen member of every team is flown by a geometric controller, past the inner loop.

    It holds the place at which it would hang above the goal, and bears its constant share of the load.
    """

    def __init__(self, plant: ImuPlant, trials: TeamTrials, team: Team, limits: Limits) -> None:
        self._plant, self._rows = plant, trials.chosen.reshape(-1)
        weight_n = team.load.mass_kg / len(team.members) * GRAVITY_MPS2
        self._law = Fallback(limits.weighing(limits.hover_thrust_n + weight_n))
        goal = command_at(trials.goals, 0.0)
        facts = team_facts(team).double()
        place = torch.from_numpy(goal).repeat_interleave(len(team.members), dim=0)
        self._place_w = hanging_places(
            place[:, :3], rotation_matrix(place[:, 3:7]), facts.repeat(len(goal), 1)
        ).numpy()
        self._quat = np.zeros((len(self._rows), 4))
        self._readings: Readings | None = None

    @property
    def now_s(self) -> float:
        return self._plant.now_s

    def imu(self, until_s: float) -> tuple[Array, Array]:
        felt, self._quat = self._plant.imu(until_s)
        return felt, self._quat

    def receive(self, until_s: float) -> Readings:
        self._readings = self._plant.receive(until_s)
        return self._readings

    def send(self, thrust_n: Array, rate_b_radps: Array, /) -> None:
        if self._readings is not None:
            seen, rows = self._readings, self._rows
            wanted = self._law.command(
                seen.pos_w[rows], seen.vel_w[rows], self._quat[rows], self._place_w[rows]
            )
            thrust_n[rows], rate_b_radps[rows] = wanted
        self._plant.send(thrust_n, rate_b_radps)


class _Landing:
    """Ends a team's flight together; see :mod:`corvids.deploy.team_descent`."""

    def __init__(
        self, pilot: Pilot, inner: InnerLoop, team: Team, referee: TeamReferee, land_s: float
    ) -> None:
        share_kg = team.load.mass_kg / len(team.members)
        mass_kg = np.array([member.vehicle.body.mass_kg for member in team.members])
        self._ground_m = np.array([member.vehicle.airframe.ground_clearance_m for member in team.members])
        self._descent = TeamDescent(share_kg * GRAVITY_MPS2 / mass_kg)
        self._pilot, self._inner, self._referee, self._land_s = pilot, inner, referee, land_s

    def is_over(self, tick: Tick) -> bool:
        """Go on with it after a tick; whether all have landed."""
        if tick.now_s < self._land_s:
            return False
        descent = self._descent
        if descent.begin(tick.now_s):
            self._pilot.held[:] = True
            self._referee.may_land = True
        before = descent.phase
        down_m = descent.advance(tick.now_s, self._inner.outside_w_mps2)
        if descent.phase is Phase.RELEASED:
            if before is not Phase.RELEASED:
                print(f"{tick.now_s:8.2f} s  the load lies on the ground, all cables are slack: members land")
            down_m = LANDING_MPS / self._pilot.contract.control_hz
        self._pilot.member_fallback.sink(down_m)
        if (tick.readings.pos_w[:, 2] > self._ground_m + TOUCH_M).any():
            return False
        print(f"{tick.now_s:8.2f} s  all members stand on the ground")
        self._referee.finish(tick.now_s)
        return True


class _Progress:
    """One line on standard error every few seconds."""

    def __init__(self, config: CarryTrialsConfig, referee: TeamReferee) -> None:
        self._config, self._referee = config, referee
        self._started = self._shown = time.monotonic()

    def show(self, now_s: float) -> None:
        """Show where the trials stand."""
        if time.monotonic() - self._shown < 5.0:
            return
        self._shown = time.monotonic()
        speed = now_s / (self._shown - self._started)
        print(
            f"{self._config.plant} {self._config.condition}: {now_s:5.1f} s flown ({speed:.2f}x real time), "
            f"{int((~self._referee.done).sum())} of {self._config.trials} trials going",
            file=sys.stderr, flush=True,
        )  # fmt: skip
