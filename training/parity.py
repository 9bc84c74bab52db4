"""Whether an exported file computes what was trained: torch against ONNX Runtime, call by call and in closed loop."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import onnxruntime as ort
import torch

from corvids.controllers.ball_filter import UNKNOWN_BALL
from corvids.controllers.packing import leaves
from corvids.envs.environment import EnvConfig, Environment
from corvids.envs.episodes.randomization import Draws
from corvids.envs.mdp.actions import ACTIONS
from corvids.envs.mdp.features import GRAVITY_MPS2
from corvids.envs.mdp.task import PolicyInputs
from corvids.errors import CorvidsError
from corvids.training.policy_module import BallFilterModule, PolicyModule

TOLERANCE = 1e-5
"""Largest allowed difference, as a share of an output's range."""
Tensors = Mapping[str, torch.Tensor]
_BALL_SPEED_MPS = 5.0
_FILTER_SCALES = {
    "ball_vel_w": torch.tensor(_BALL_SPEED_MPS),
    "estimate_next": torch.tensor([1.0] * 3 + [_BALL_SPEED_MPS] * 3 + [1.0] * 4),
}
"""Ranges of the ball filter's outputs, where not 1."""


class Effort(NamedTuple):
    """How much is compared."""

    states: int = 10_000
    """Random states, and as many recorded ones, call by call."""
    sequences: int = 100
    """Closed-loop sequences."""
    length: int = 1000
    """Control ticks in each."""


THOROUGH = Effort()
"""What every export checks."""


class Parity(NamedTuple):
    """Worst differences found, as shares of an output's range."""

    random_states: float
    recorded_states: float
    closed_loop: float
    stages: float
    """Of stages, over random inputs and over sequences; 0 without any."""


class Exported:
    """An ONNX graph as torch sees it: tensors in, tensors out, by name."""

    def __init__(self, onnx: bytes) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = ort.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
        self.inputs = tuple(node.name for node in self._session.get_inputs())
        self.outputs = tuple(node.name for node in self._session.get_outputs())

    def __call__(self, given: Tensors) -> dict[str, torch.Tensor]:
        """Outputs for inputs of shape (n, ·)."""
        arrays = self._session.run(None, {name: given[name].numpy() for name in self.inputs})
        return {name: torch.from_numpy(array) for name, array in zip(self.outputs, arrays, strict=True)}

    def one_by_one(self, given: Tensors) -> dict[str, torch.Tensor]:
        """The same, row by row: how a vehicle calls it, which other kernels may answer."""
        rows = len(next(iter(given.values())))
        calls = [self({name: tensor[i : i + 1] for name, tensor in given.items()}) for i in range(rows)]
        return {name: torch.cat([call[name] for call in calls]) for name in self.outputs}


@torch.inference_mode()
def check_parity(
    config: EnvConfig,
    policy: PolicyModule,
    policy_onnx: bytes,
    filter_onnx: bytes | None,
    effort: Effort = THOROUGH,
    seed: int = 0,
) -> Parity:
    """Compare the exported graphs with what they were exported from; raises :class:`CorvidsError` if they differ."""
    exported = Exported(policy_onnx)
    generator = torch.Generator().manual_seed(seed)
    env = _environment(config, effort.sequences, seed)
    scales = {
        "thrust_n": torch.tensor(env.vehicle.limits.thrust_max_n),
        "rate_b_radps": torch.tensor(env.vehicle.limits.rate_max_radps),
    }
    given = _random_states(env, policy, generator, effort.states)
    expected = dict(zip(exported.outputs, policy(*given.values()), strict=True))
    alone = exported.one_by_one(given)
    random_states = max(
        worst_difference(expected, exported(given), scales, "random states"),
        worst_difference(expected, alone, scales, "random states, one by one"),
    )
    closed_loop, recorded = _closed_loop(env, policy, exported, scales, effort)
    expected = dict(zip(exported.outputs, policy(*recorded.values()), strict=True))
    recorded_states = worst_difference(
        expected, exported.one_by_one(recorded), scales, "recorded states, one by one"
    )
    stages = 0.0
    if filter_onnx is not None:
        module = BallFilterModule(config.ball_filter)
        stages = _filter_parity(module, Exported(filter_onnx), generator, effort)
    return Parity(random_states, recorded_states, closed_loop, stages)


def worst_difference(expected: Tensors, actual: Tensors, scales: Tensors, where: str) -> float:
    """Largest difference as a share of an output's range, which is 1 unless told, or the value if that is larger."""
    worst = 0.0
    for name, reference in expected.items():
        scale = torch.maximum(reference.abs(), scales.get(name, torch.tensor(1.0)))
        share = float(((actual[name] - reference).abs() / scale).max())
        if not share <= TOLERANCE:
            raise CorvidsError(
                f"parity: torch and onnxruntime {ort.__version__} differ by {share:.1e} of full scale in {name!r} "
                f"({where}); allowed is {TOLERANCE:g}"
            )
        worst = max(worst, share)
    return worst


def exactly(module: torch.nn.Module, exported: Exported, given: Tensors) -> dict[str, torch.Tensor]:
    """What a stage's module says in double precision: close to a vector without direction, single precision is worth
    less than the tolerance, in whichever order it is computed."""
    answers = module(*(tensor.double() for tensor in given.values()))
    return dict(zip(exported.outputs, answers, strict=True))


def _environment(config: EnvConfig, worlds: int, seed: int) -> Environment:
    """The training environment at coarse physics, uncompiled: its states need be typical, not accurate."""
    rate = 4 * config.control_hz
    coarse = dataclasses.replace(config, physics_hz=rate, rate_loop_hz=rate)
    return Environment(coarse, worlds, seed=seed, compile_kernels=False)


def _random_states(
    env: Environment, policy: PolicyModule, generator: torch.Generator, count: int
) -> dict[str, torch.Tensor]:
    """Inputs and states of the main graph far beyond what flights visit, in the graph's order."""

    def normal(size: float, width: int) -> torch.Tensor:
        return size * torch.randn((count, width), generator=generator)

    def uniform(low: float, high: float, width: int) -> torch.Tensor:
        return low + (high - low) * torch.rand((count, width), generator=generator)

    pos_w = normal(1.0, 3)
    draws = Draws(env.config.randomization, env.nominal, torch.device("cpu"), generator)
    command = env.task.draw_command(draws, None, count)[: len(env.task.COMMAND)].t().contiguous()
    inputs = PolicyInputs(
        pos_w=pos_w + command[:, :3],
        vel_w=normal(2.0, 3),
        quat_wb=torch.nn.functional.normalize(normal(1.0, 4)),
        omega_b=normal(3.0, 3),
        vehicle_age_s=uniform(-0.003, 0.1, 1),
        ball_pos_w=pos_w + command[:, :3] + normal(1.0, 3),
        ball_vel_w=normal(3.0, 3),
        ball_age_s=uniform(-0.003, 0.2, 1),
        command=command,
    )
    given = {name: getattr(inputs, name) for name in policy.inputs}
    return {**given, "memory": normal(0.3, env.task.MEMORY), "actions": uniform(-1.0, 1.0, policy.actions)}


def _closed_loop(
    env: Environment, policy: PolicyModule, exported: Exported, scales: Tensors, effort: Effort
) -> tuple[float, dict[str, torch.Tensor]]:
    """The training environment flown by its own actor, the exported policy beside it with its own memory.

    Where the fallback flies, the exported policy is not asked, and forgets its past, as in a pilot. Returns the worst
    difference, and recorded states.
    """
    seen: list[tuple[PolicyInputs, torch.Tensor]] = []
    remember = env.task.remember

    def tap(inputs: PolicyInputs, memory: torch.Tensor, tick_s: float) -> torch.Tensor:
        seen[:] = [(inputs, memory)]
        return remember(inputs, memory, tick_s)

    env.task.remember = tap
    env.step(torch.zeros(env.worlds, ACTIONS))  # squashed, this is the past that a policy starts with
    states = {"memory": seen[0][1][: env.worlds], "actions": torch.zeros(env.worlds, policy.actions)}
    worst, recorded = 0.0, []
    every = max(1, effort.length * env.worlds // effort.states)
    for tick in range(effort.length):
        given = {name: getattr(seen[0][0], name)[: env.worlds] for name in policy.inputs} | states
        if tick % every == 0:
            recorded.append(given)
        action = policy.actor(env.observations["actor"])
        squashed = env.action.squash(action)
        thrust_n, rate_b_radps = env.action.command(squashed)
        answer, flies = exported(given), env.flies
        if flies.any():
            expected = {"thrust_n": thrust_n[flies], "rate_b_radps": rate_b_radps[flies]}
            asked = {name: answer[name][flies] for name in expected}
            worst = max(worst, worst_difference(expected, asked, scales, f"closed loop, tick {tick}"))
        _, _, done, _ = env.step(action)
        fresh = (done | ~flies)[:, None]
        states = {name: torch.where(fresh, 0.0, answer[f"{name}_next"]) for name in states}
    return worst, {
        name: torch.cat([given[name] for given in recorded])[: effort.states] for name in recorded[0]
    }


def _filter_parity(
    module: BallFilterModule, exported: Exported, generator: torch.Generator, effort: Effort
) -> float:
    """Random measurements on random estimates, then whole tracks with bounces and outliers, each with its memory."""
    draw = torch.randn((effort.states, 14), generator=generator)
    spread = torch.cat((draw[:, :6], draw[:, 6:10].abs() * 0.01), dim=1)
    given = {
        "measured_w": draw[:, 10:13] * 0.1 + spread[:, :3],
        "elapsed_s": draw[:, 13:].abs() * 0.01,
        "estimate": spread,
    }
    expected = exactly(module, exported, given)
    worst = worst_difference(expected, exported(given), _FILTER_SCALES, "ball filter, random measurements")
    worst = max(
        worst,
        worst_difference(expected, exported.one_by_one(given), _FILTER_SCALES, "ball filter, one by one"),
    )
    unknown = torch.tensor(list(leaves(UNKNOWN_BALL))).expand(effort.sequences, -1)
    ours, theirs = unknown, unknown
    for measured_w, elapsed_s in _tracks(generator, effort.sequences, effort.length):
        track = {"measured_w": measured_w, "elapsed_s": elapsed_s}
        expected = exactly(module, exported, {**track, "estimate": ours})
        actual = exported({**track, "estimate": theirs})
        worst = max(worst, worst_difference(expected, actual, _FILTER_SCALES, "ball filter, tracks"))
        ours, theirs = expected["estimate_next"], actual["estimate_next"]
    return worst


def _tracks(
    generator: torch.Generator, count: int, length: int, period_s: float = 1.0 / 120.0
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Measurements of ``count`` juggled balls: 3 mm of noise, one in a hundred off by a metre."""
    between_s = 0.5 + 0.6 * torch.rand((count, 1), generator=generator)
    since_s = between_s * torch.rand((count, 1), generator=generator)
    for step in range(length):
        since_s = torch.remainder(since_s + period_s, between_s)
        height = 1.0 + 0.5 * GRAVITY_MPS2 * since_s * (between_s - since_s)
        aside = 0.2 * torch.sin(torch.tensor([0.0, 1.6]) + step * period_s).expand(count, 2)
        noise = 0.003 * torch.randn((count, 3), generator=generator)
        outlier = (torch.rand((count, 1), generator=generator) < 0.01).float()
        yield torch.cat((aside, height), dim=1) + noise + outlier, torch.full((count, 1), period_s)
