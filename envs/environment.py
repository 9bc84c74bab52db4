"""The training environment: a task in thousands of randomized worlds."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from typing import Any, Literal

import torch

from corvids.controllers.ball_filter import UNKNOWN_BALL, BallFilterConfig
from corvids.controllers.packing import leaf_names, leaves, pack, unpack
from corvids.controllers.rate_loop import gains_of
from corvids.controllers.spatial import Scalar
from corvids.envs.compiled.kernels import kernel
from corvids.envs.engines.contact import Contact
from corvids.envs.episodes.calibrated import draws_of
from corvids.envs.episodes.episode_starts import SENSORS_UNUSED, EpisodeStarts, Start
from corvids.envs.episodes.randomization import Randomization
from corvids.envs.mdp.actions import ACTIONS, CtbrAction
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.mdp.critic_truth import PRIVILEGED, TRUTH_MIRRORS, truth_of
from corvids.envs.mdp.mirrors import Signs
from corvids.envs.mdp.task import PolicyInputs
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.physics.wind import blown
from corvids.envs.physics.world import AT_REST
from corvids.envs.sensors.sensing import NOISE_ROWS, SensorParams, Signals, sense
from corvids.envs.simulator import Simulator
from corvids.envs.tasks import task_named
from corvids.vehicle import load_vehicle

PAST_ACTIONS = 3
"""Actions that a policy remembers."""
_NOISE_POOL = 1 << 20
"""Least size of the pool of noise; many worlds have a larger one."""


@dataclasses.dataclass(frozen=True)
class EnvConfig:
    """An environment, but for the number of worlds and the device."""

    task: str = "juggle"
    """Name of the task."""
    vehicle: str = "air"
    """Name or path of the vehicle file."""
    ball: BallConfig = dataclasses.field(default_factory=BallConfig)
    """The ball."""
    contact: Contact = "ours"
    """Who resolves what happens between ball and vehicle: our impact model, or a solver of Isaac Lab's."""
    randomization: Randomization = dataclasses.field(default_factory=Randomization)
    """What is drawn anew at every reset."""
    randomize: Literal["ranges", "calibrated"] = "ranges"
    """Whether the vehicle's numbers are drawn from those ranges, or from the errors that its file says they have."""
    ball_filter: BallFilterConfig = dataclasses.field(default_factory=BallFilterConfig)
    """The filter that the policy sees the ball through."""
    carry: CarryConfig = dataclasses.field(default_factory=CarryConfig)
    """The team, its load, and how that is seen."""
    physics_hz: int = 500
    """Physics steps per second."""
    rate_loop_hz: int = 500
    """Steps per second of the body-rate loop."""
    control_hz: int = 50
    """Decisions of the policy per second."""
    episode_s: float = 20.0
    """Time limit of an episode (not a failure)."""
    wild_episode_s: float = 1.5
    """The same where episodes start badly: longer ones would hardly be about the start."""
    command_s: tuple[float, float] = (3.0, 8.0)
    """Interval between changes of the command."""


class Environment:
    """Vectorised environment with automatic reset.

    Observations are a dict of ``actor`` (what the policy file will see) and ``critic`` (the same, and the truth).
    """

    action_size = ACTIONS
    """Numbers in an action."""

    def __init__(
        self,
        config: EnvConfig,
        worlds: int,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
        compile_kernels: bool = True,
        make_simulator: Callable[..., Simulator] = Simulator,
    ) -> None:
        self.config, self.worlds, self.device = config, worlds, torch.device(device)
        self.vehicle = load_vehicle(config.vehicle)
        self.task = task_named(config.task)(self.vehicle)
        self.action = CtbrAction(self.vehicle)
        self.tick_s = 1.0 / config.control_hz
        self.nominal = world_params(self.vehicle, config.ball, 1.0 / config.physics_hz, self.task.WITH_BALL)
        gains = gains_of(self.vehicle, 1.0 / config.rate_loop_hz)
        self.simulator = make_simulator(
            self.nominal, gains, worlds, physics_hz=config.physics_hz, rate_loop_hz=config.rate_loop_hz,
            control_hz=config.control_hz, with_ball=self.task.WITH_BALL, device=self.device,
            compile_kernels=compile_kernels,
        )  # fmt: skip
        self._generator = torch.Generator(self.device).manual_seed(seed)
        self._draws = draws_of(
            config.randomize, config.randomization, self.nominal, self.device, self._generator, self.vehicle
        )
        rows = self.simulator.rows
        pool = max(_NOISE_POOL, 2 * NOISE_ROWS * rows)
        self._pool = torch.randn(pool, device=self.device, generator=self._generator)
        self._offsets = random.Random(seed)
        self._calm_starts, self._wild_starts = (
            EpisodeStarts(
                self.task, self._draws, self.nominal, self.simulator, self.tick_s,
                hover_n=self.vehicle.weight_n, actions=PAST_ACTIONS * ACTIONS, is_wild=is_wild,
            )
            for is_wild in (False, True)
        )  # fmt: skip
        sizes = [len(part) for part in self._calm_starts.draw(1)]
        self._given = torch.zeros((ACTIONS, rows, 1), device=self.device)
        # One tensor, so that starts come into place by one operation.
        self._per_world = torch.zeros((sum(sizes), rows, 1), device=self.device)
        self._at = at = Start(*self._per_world.split(sizes))
        self.simulator.state, self.simulator.params, self.simulator.command = at.state, at.params, at.order
        self.steps = torch.zeros(worlds, dtype=torch.long, device=self.device)
        """Control steps since the start of each episode."""
        self.steps_max = round(config.episode_s * config.control_hz)
        """Control steps in the longest episode."""
        self._is_wild = torch.arange(rows, device=self.device) < config.randomization.wild_share * worlds
        self._limit_steps = torch.where(
            self._is_wild[:worlds],
            round(min(config.wild_episode_s, config.episode_s) * config.control_hz),
            self.steps_max,
        )
        self._next_command = torch.zeros(worlds, dtype=torch.long, device=self.device)
        names = leaf_names(self.nominal)
        values = list(leaves(self.nominal))
        self._privileged = {row: values[row] or 1.0 for row in map(names.index, PRIVILEGED)}
        self._wind_rows = slice(names.index("wind_w.x"), names.index("wind_w.x") + 3)
        state_names = leaf_names(AT_REST)
        self._count_rows = slice(
            state_names.index("impact.racket_count"), state_names.index("impact.pos_w.x")
        )
        # Each with the results that replace arguments.
        self._act, self._blown, self._score, self._observe = (
            kernel(function, into, self.device, compile_kernels)
            for function, into in (
                (self._make_act(), {1: 2}),
                (self._make_blown(), {0: 0}),
                (self._make_score(), {2: 3, 3: 2}),
                (self._make_observe(), {0: 3, 2: 8}),
            )
        )
        # Rows beyond the last world are padding: they hover, are never scored, and are never reset.
        self._reset(torch.arange(rows, device=self.device))
        self.observations = self._look()
        self.mirrors: dict[str, tuple[Signs, ...]] = {
            "actor": self.task.MIRRORS,
            "critic": (*self.task.MIRRORS, *TRUTH_MIRRORS),
        }
        """How each number of the observations changes in a mirror."""

    def step(
        self, action: torch.Tensor
    ) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor, dict[str, Any]]:
        """Advance by one control step under raw actions (worlds, 4).

        Returns observations, rewards (worlds,), whether episodes ended (worlds,), and extras: ``time_outs`` (worlds,)
        and ``log``, means over the episodes that ended.
        """
        self.simulator.step(self.order(action), self.delay_steps)
        reward, failed, timed_out = self.judge()
        done = failed | timed_out
        extras: dict[str, Any] = {"time_outs": timed_out.float()}
        ids = done.nonzero().squeeze(-1)
        if len(ids):
            extras["log"] = self.restart(ids, failed)
        self.look()
        return self.observations, reward, done, extras

    def reseed(self, seed: int) -> None:
        """What is drawn from now on follows from ``seed`` alone; what was drawn for running episodes remains."""
        self._generator.manual_seed(seed)
        self._pool.normal_(generator=self._generator)
        self._offsets.seed(seed)
        self._calm_starts.restock()
        self._wild_starts.restock()

    @property
    def delay_steps(self) -> torch.Tensor:
        """How many physics steps late a command comes into force, (rows, 1)."""
        return self._at.delay_steps[0]

    def order(self, action: torch.Tensor) -> torch.Tensor:
        """The command (4, rows, 1) that raw actions (worlds, 4) mean, on the way to the vehicles; the wind moves on."""
        at = self._at
        self._given[:, : self.worlds, 0].copy_(action.t())
        command, _ = self._act(self._given, self._is_known, at.actions)
        self._blow()
        return command

    def judge(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Rewards of the control step that the simulator made, who failed in it and whose time is over, (worlds,)."""
        simulator, at = self.simulator, self._at
        reward, failed, _, _ = self._score(simulator.state, at.params, at.command, at.episode)
        simulator.state[self._count_rows] = 0.0
        self.steps += 1
        reward, failed = reward[: self.worlds, 0], failed[: self.worlds, 0] > 0.0
        return reward, failed, (self.steps >= self._limit_steps) & ~failed

    def restart(self, ids: torch.Tensor, failed: torch.Tensor) -> dict[str, torch.Tensor]:
        """Begin episodes anew in worlds ``ids`` (n,); the figures of those that ended, ``failed`` (worlds,) or not."""
        log = self._metrics(ids, failed)
        self._reset(ids)
        return log

    def look(self) -> dict[str, torch.Tensor]:
        """Change commands whose time has come, and observe."""
        self._change_commands()
        self.observations = self._look()
        return self.observations

    @property
    def flies(self) -> torch.Tensor:
        """Whether the policy flies, (worlds,), and not a runtime's fallback: the ball is known, if there is one."""
        return self._is_known[: self.worlds, 0] > 0.0

    def named_state(self) -> dict[str, torch.Tensor]:
        """The physical state, each of its numbers by name, (worlds,)."""
        return dict(zip(leaf_names(AT_REST), self.simulator.state[:, : self.worlds, 0], strict=True))

    def _make_act(self):
        law = self.action

        def act(action, is_known, past):
            # Until the ball is known, a runtime's fallback flies, and not the policy: it hovers.
            squashed = law.squash(torch.cat(action.unbind(0), dim=-1)) * is_known
            command = torch.cat(law.command(squashed), dim=-1)
            columns = torch.stack([squashed[:, i : i + 1] for i in range(ACTIONS)])
            ordered = torch.stack([command[:, i : i + 1] for i in range(4)])
            return ordered, torch.cat((columns, past[:-ACTIONS]))

        return act

    def _make_blown(self):
        tick_s = self.tick_s

        def wander(wind, mean, gust_std_mps, kick):
            return (blown(wind, mean, gust_std_mps, kick, tick_s),)

        return wander

    def _make_score(self):
        task, nominal, tick_s = self.task, self.nominal, self.tick_s

        def score(state, params, command, episode):
            world, truth = unpack(state, AT_REST), unpack(params, nominal)
            wanted = command.unbind(0)
            result = task.score(world, truth, wanted, unpack(episode, task.EPISODE), tick_s)
            moved = torch.stack(list(task.move(wanted, tick_s)))
            return (
                result.reward,
                torch.where(result.failed, 1.0, 0.0),
                torch.stack(list(result.episode)),
                moved,
            )

        return score

    def _make_observe(self):
        task, tick_s, sample_s = self.task, self.tick_s, self.simulator.sample_s
        template, filter_config = SENSORS_UNUSED, self.config.ball_filter
        commands, privileged = len(task.COMMAND), self._privileged

        def observe(state, params, sensors, sensor_state, history, newest, noise, command, memory, actions):
            sensor_params = SensorParams(*sensors.unbind(0))
            new_state, signals = sense(
                history, newest, sample_s, tick_s, sensor_params, unpack(sensor_state, template), noise,
                filter_config, task.WITH_BALL,
            )  # fmt: skip
            inputs = policy_inputs(signals, command[:commands])
            is_known = torch.ones_like(signals.vehicle_age_s)
            if task.WITH_BALL:
                is_known = torch.where(new_state.estimate.pos_var < UNKNOWN_BALL.pos_var, 1.0, 0.0)
            memory = task.remember(inputs, torch.cat(memory.unbind(0), dim=-1), tick_s) * is_known
            actor = task.observe(inputs, memory, torch.cat(actions.unbind(0), dim=-1))
            told = (params[row] * (1.0 / scale) for row, scale in privileged.items())
            critic = torch.cat((actor, truth_of(unpack(state, AT_REST), inputs), *told), dim=-1)
            kept = torch.stack([memory[:, i : i + 1] for i in range(task.MEMORY)])
            return pack(new_state), is_known, kept, critic

        return observe

    def _look(self) -> dict[str, torch.Tensor]:
        simulator, noise = self.simulator, self._normal(NOISE_ROWS)
        at = self._at
        _, self._is_known, _, critic = self._observe(
            simulator.state, at.params, at.sensors, at.sensor_state, simulator.history, simulator.newest, noise,
            at.command, at.memory, at.actions,
        )  # fmt: skip
        critic = critic[: self.worlds]
        # What the policy sees is written once: it is what the critic's begins with.
        return {"actor": critic[:, : len(self.task.MIRRORS)], "critic": critic}

    def _reset(self, ids: torch.Tensor) -> None:
        is_wild = self._is_wild[ids]
        for some, starts in ((ids[is_wild], self._wild_starts), (ids[~is_wild], self._calm_starts)):
            if len(some):
                self._per_world[:, some] = starts.take(len(some))
        self.simulator.forget(ids)
        real = ids[ids < self.worlds]
        self.steps[real] = 0
        self._next_command[real] = self._command_steps(len(real))

    def _command_steps(self, count: int) -> torch.Tensor:
        return (self._draws.uniform(self.config.command_s, count) / self.tick_s).long()

    def _change_commands(self) -> None:
        ids = (self.steps >= self._next_command).nonzero().squeeze(-1)
        if len(ids):
            last = self._at.command[:, ids, 0]
            self._at.command[:, ids, 0] = self.task.draw_command(self._draws, last, len(ids))
            self._next_command[ids] = self.steps[ids] + self._command_steps(len(ids))

    def _blow(self) -> None:
        wind = self._at.params[self._wind_rows]
        self._blown(wind, self._at.wind_mean, self._at.gust_std_mps, self._normal(3))

    def _normal(self, count: int) -> torch.Tensor:
        """Standard normal numbers (count, rows, 1): somewhere in a pool of them, which is faster than new ones."""
        size = count * self.simulator.rows
        start = self._offsets.randrange(len(self._pool) - size)
        return self._pool[start : start + size].reshape(count, self.simulator.rows, 1)

    def _metrics(self, ids: torch.Tensor, failed: torch.Tensor) -> dict[str, torch.Tensor]:
        fields = list(self.task.EPISODE._fields)
        episode = self._at.episode[:, ids, 0]
        log = {f"{name}": episode[fields.index(name)] for name in self.task.METRICS}
        log["episode_s"] = self.steps[ids] * self.tick_s
        ended = failed[ids].float()
        calm = ~self._is_wild[ids]
        # The mean over no episodes is left out, not zero.
        log.update(
            {name: ended[rows] for name, rows in (("failed", calm), ("failed_wild", ~calm)) if rows.any()}
        )
        return log


def policy_inputs(signals: Signals, command: torch.Tensor) -> PolicyInputs:
    """Feature tensors of signals (leaves (rows, 1)) and a packed command (c, rows, 1)."""

    def columns(*components: Scalar) -> torch.Tensor:
        return torch.cat(components, dim=-1)

    return PolicyInputs(
        pos_w=columns(*signals.pos_w),
        vel_w=columns(*signals.vel_w),
        quat_wb=columns(*signals.quat_wb),
        omega_b=columns(*signals.omega_b),
        vehicle_age_s=signals.vehicle_age_s,
        ball_pos_w=columns(*signals.ball_pos_w),
        ball_vel_w=columns(*signals.ball_vel_w),
        ball_age_s=signals.ball_age_s,
        command=columns(*command.unbind(0)),
    )
