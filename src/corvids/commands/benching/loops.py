"""Our own loops: bare dynamics, the whole environment, the whole of learning, and the policy of one vehicle."""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from corvids.commands.benching.peer_worker import EPISODE_STEPS, Sample, chunk_of, time_loop
from corvids.commands.benching.rows import Row
from corvids.controllers.packing import map_leaves, pack, unpack
from corvids.controllers.rate_loop import Four, gains_of
from corvids.controllers.spatial import Vec3
from corvids.deploy.pilot import Pilot, Readings
from corvids.deploy.policy import Policy, PolicyFile
from corvids.envs.environment import EnvConfig, Environment
from corvids.envs.physics.nominal import world_params
from corvids.envs.physics.world import AT_REST
from corvids.envs.simulator import Simulator
from corvids.envs.tasks import TEAM_TASKS, task_named
from corvids.envs.team_environment import TeamEnvironment
from corvids.errors import CorvidsError
from corvids.training.presets import preset
from corvids.vehicle import load_vehicle

_HEIGHT_M, _BALL_ABOVE_M = 1.5, 0.6
_TICKS_A_ROUND_MIN = 50


class Setting(NamedTuple):
    """What all loops of a benchmark have in common."""

    task: str
    device: str
    seconds: float
    """Length of a round."""
    compile_kernels: bool


class Loop:
    """A loop in this process, warm."""

    def __init__(
        self, row: Row, advance: Callable[[], Any], finish: Callable[[], Any], seconds: float
    ) -> None:
        self.row = row
        self._advance, self._finish, self._seconds = advance, finish, seconds
        with torch.inference_mode():
            self._chunk = chunk_of(advance, finish)

    def measure(self) -> Sample:
        """One round."""
        with torch.inference_mode():
            return time_loop(self._advance, self._finish, self._chunk, self._seconds)

    def extras(self) -> dict[str, float]:
        """None."""
        return {}

    def close(self) -> None:
        """Nothing is held."""


def dynamics(setting: Setting, worlds: int) -> Loop:
    """Rate loop, rotors, body and (where the task has one) ball, as the task's vehicle hovers; no sensing."""
    config = _env_config(setting.task)
    task, vehicle = task_named(config.task), load_vehicle(config.vehicle)
    nominal = world_params(vehicle, config.ball, 1.0 / config.physics_hz, task.WITH_BALL)
    simulator = Simulator(
        nominal, gains_of(vehicle, 1.0 / config.rate_loop_hz), worlds, physics_hz=config.physics_hz,
        rate_loop_hz=config.rate_loop_hz, control_hz=config.control_hz, with_ball=task.WITH_BALL,
        device=setting.device, compile_kernels=setting.compile_kernels,
    )  # fmt: skip
    start = _hovering(simulator, worlds, vehicle.weight_n / vehicle.max_thrust_n)
    command = torch.zeros_like(simulator.command)
    command[0] = vehicle.weight_n
    delay_steps = torch.zeros(simulator.rows, 1, device=simulator.device)
    age = 0

    def advance() -> None:
        nonlocal age
        if age % EPISODE_STEPS == 0:
            simulator.state = start.clone()
        age += 1
        simulator.step(command, delay_steps)

    return Loop(_row("dynamics", setting, worlds, config), advance, _wait(setting.device), setting.seconds)


def environment(setting: Setting, worlds: int) -> Loop:
    """Everything that learning steps — randomization, delays, observation, reward, reset — under a constant action."""
    config, of_team = _env_config(setting.task), setting.task in TEAM_TASKS
    kind = TeamEnvironment if of_team else Environment
    env = kind(config, worlds, device=setting.device, compile_kernels=setting.compile_kernels)
    action = torch.zeros(len(env.observations["actor"]), env.action_size, device=env.device)
    return Loop(
        _row("team" if of_team else "env", setting, worlds, config),
        lambda: env.step(action),
        _wait(setting.device),
        setting.seconds,
    )


class Learning:
    """PPO as the preset ``full`` has it, but for the number of worlds; writes to a temporary folder."""

    def __init__(self, setting: Setting, worlds: int) -> None:
        from corvids.training.runner import Runner
        from corvids.training.vec_env import RslVecEnv

        config = preset(setting.task, "full")
        env = Environment(config.env, worlds, device=setting.device, compile_kernels=setting.compile_kernels)
        self.row = _row("ppo", setting, worlds, config.env)
        self._folder = tempfile.TemporaryDirectory(prefix="corvids-bench-")
        self._runner = Runner(
            RslVecEnv(env, config.ppo.hold_steps), config, Path(self._folder.name), setting.device
        )
        self._steps, self._finish = config.ppo.steps, _wait(setting.device)
        self._learn(1, init_at_random_ep_len=True)
        self._batches = max(1, math.ceil(setting.seconds / self._learn(1).wall_s))

    def measure(self) -> Sample:
        """One round of whole batches: stepping, learning, curves, and a checkpoint at the end."""
        return self._learn(self._batches)

    def extras(self) -> dict[str, float]:
        """None."""
        return {}

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()

    def _learn(self, batches: int, **options: Any) -> Sample:
        wall, cpu = time.perf_counter(), time.process_time()
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            self._runner.learn(batches, **options)
        self._finish()
        return Sample(batches * self._steps, time.perf_counter() - wall, time.process_time() - cpu)


class _Readings(NamedTuple):
    """What has arrived for one vehicle: see :class:`corvids.deploy.pilot.Readings`."""

    stamp_s: np.ndarray
    pos_w: np.ndarray
    vel_w: np.ndarray
    quat_wb: np.ndarray
    omega_b: np.ndarray
    ball_stamp_s: np.ndarray
    ball_pos_w: np.ndarray


class Inference:
    """One vehicle's control tick in the runtime, from readings to command: ball filter, policy, supervision."""

    NAME = "inference"

    def __init__(self, file: PolicyFile, setting: Setting, facts: np.ndarray | None = None) -> None:
        contract = file.contract
        training = contract.training.config["env"]
        hz = round(contract.control_hz)
        self.row = Row(self.NAME, contract.task, 1, "cpu", int(training["physics_hz"]), hz)
        self._pilot, self._seconds = Pilot(file, facts=facts), setting.seconds
        self._tick_s = 1.0 / contract.control_hz
        self._command = self.command(contract.command)
        self._now_s = 0.0
        self._policy = Policy(file)
        self._latencies_s: list[float] = []
        self._policy_s: list[float] = []
        for _ in range(_TICKS_A_ROUND_MIN):
            self._tick()

    def measure(self) -> Sample:
        """One round; each tick is timed by itself, without what makes up the readings."""
        first, began, cpu = len(self._latencies_s), time.perf_counter(), time.process_time()
        total_s = 0.0
        while (
            time.perf_counter() - began < self._seconds or len(self._latencies_s) - first < _TICKS_A_ROUND_MIN
        ):
            self._latencies_s.append(self._tick())
            total_s += self._latencies_s[-1]
        busy = (time.process_time() - cpu) / (time.perf_counter() - began)
        return Sample(len(self._latencies_s) - first, total_s, total_s * busy)

    def extras(self) -> dict[str, float]:
        """Median and 99th percentile of a tick, and the median of the policy in it, by itself [µs]."""
        median, p99 = np.percentile(self._latencies_s, (50.0, 99.0)) * 1e6
        alone = np.median(self._policy_s) * 1e6
        return {"median_us": float(median), "p99_us": float(p99), "policy_median_us": float(alone)}

    def close(self) -> None:
        """Nothing is held."""

    def command(self, names: Sequence[str]) -> np.ndarray:
        """The command whose components are called so: stay at 1 m."""
        return np.array([1.0 if name == "place_z_w_m" else 0.0 for name in names])

    def readings(self, seen_s: np.ndarray) -> Readings:
        """Level at 1 m, the ball at the top of its flight, both seen at ``seen_s`` (1,)."""
        zero = np.zeros((1, 3))
        return _Readings(
            seen_s, np.array([[0.0, 0.0, 1.0]]), zero, np.array([[1.0, 0.0, 0.0, 0.0]]), zero, seen_s[None],
            np.array([[[0.0, 0.0, 1.6]]]),
        )  # fmt: skip

    def _tick(self) -> float:
        """Seconds that one tick took, on what was seen 20 ms ago."""
        self._now_s += self._tick_s
        readings = self.readings(np.array([self._now_s - 0.02]))
        began = time.perf_counter()
        decision = self._pilot.decide(readings, self._now_s, self._command)
        took_s = time.perf_counter() - began
        began = time.perf_counter()
        self._policy.step(decision.inputs)
        self._policy_s.append(time.perf_counter() - began)
        if not decision.by_policy.all():
            raise CorvidsError("inference: the policy does not answer within its limits; export another one")
        return took_s


def _env_config(task: str) -> EnvConfig:
    return preset(task, "full").env


def _row(name: str, setting: Setting, worlds: int, config: EnvConfig) -> Row:
    return Row(name, setting.task, worlds, setting.device, config.physics_hz, config.control_hz)


def _wait(device: str) -> Callable[[], None]:
    return torch.cuda.synchronize if device.startswith("cuda") else lambda: None


def _hovering(simulator: Simulator, worlds: int, thrust: float) -> torch.Tensor:
    """Packed states of level vehicles whose rotors give ``thrust`` (of full thrust), a ball above each."""
    world = unpack(simulator.state.clone(), AT_REST)
    lagged = thrust**0.5 if float(simulator.truth.vehicle.lag_curve[0]) > 0.0 else thrust
    body = world.body._replace(pos_w=world.body.pos_w + Vec3(0.0, 0.0, _HEIGHT_M))
    spread = torch.linspace(0.0, 0.3, simulator.rows, device=simulator.device, dtype=simulator.dtype)[:, None]
    ball = world.ball._replace(pos_w=body.pos_w + Vec3(0.0, 0.0, spread + _BALL_ABOVE_M))
    rotors: Four = map_leaves(lambda leaf: leaf + lagged, world.rotors)
    return pack(world._replace(body=body, ball=ball, rotors=rotors))
