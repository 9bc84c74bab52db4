"""Parity of a team's policy file: as :mod:`corvids.training.parity`, one row for each member of each team."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import torch

from corvids.controllers.load_filter import UNKNOWN_LOAD
from corvids.controllers.packing import leaves
from corvids.deploy.contract import INNER_LOOP, LOAD_FILTER
from corvids.envs.environment import EnvConfig
from corvids.envs.mdp.features import turned
from corvids.envs.mdp.goal_path import PREVIEWS_S
from corvids.envs.mdp.team_task import TeamInputs
from corvids.envs.physics.inner_loop import OUTSIDE_MAX_MPS2, compensation_gains
from corvids.envs.tasks.carry import GATE, SUMS
from corvids.envs.team_environment import TeamEnvironment
from corvids.training.parity import (
    THOROUGH,
    Effort,
    Exported,
    Parity,
    Tensors,
    exactly,
    worst_difference,
)
from corvids.training.policy_module import TeamPolicyModule
from corvids.training.team_stages import InnerLoopModule, LoadFilterModule
from corvids.vehicle import GRAVITY_MPS2, Vehicle

_DIGITS = 40.0
"""The law takes second and third differences of places a metre away and a tenth of a second apart, which lose so much
of single precision: what is left is good to 2 mm/s² and 1 mrad/s."""
_LITTLE_FORCE = 3.0
"""Where almost no specific force is wanted, its direction is a matter of rounding: torch's own single precision errs by
up to 5e-5 rad/s of such rates (200,000 random samples), the file by 3e-5."""
_LOAD_SCALES = {
    "load_vel_w": torch.tensor(5.0),
    "load_omega_b": torch.tensor(5.0),
    "estimate_next": torch.tensor([1.0] * 3 + [5.0] * 3 + [1.0] * 4 + [5.0] * 3),
}
"""Ranges of the load filter's outputs, where not 1."""


def _of_law(index: torch.Tensor, size: int) -> torch.Tensor:
    """Whether these of a memory's ``size`` numbers are what the law wants, or corrections of it."""
    return (index >= SUMS) & (index < size - GATE)


@torch.inference_mode()
def check_team_parity(
    config: EnvConfig,
    policy: TeamPolicyModule,
    policy_onnx: bytes,
    stages: Mapping[str, bytes],
    effort: Effort = THOROUGH,
    seed: int = 0,
) -> Parity:
    """Compare the exported graphs with what they came from; raises :class:`CorvidsError` if they differ."""
    exported = Exported(policy_onnx)
    generator = torch.Generator().manual_seed(seed)
    env = _environment(config, effort.sequences, seed)
    accel, turn = config.carry.accel_max_mps2, config.carry.rate_max_radps
    scales = {
        "accel_w_mps2": torch.tensor(_DIGITS * accel),
        "turn_b_radps": torch.tensor(_DIGITS * turn),
        "actions_next": torch.tensor(_DIGITS),
        "memory_next": torch.where(_of_law(torch.arange(env.task.MEMORY), env.task.MEMORY), _DIGITS, 1.0),
    }
    given = _random_states(env, policy, generator, effort.states)
    expected = dict(zip(exported.outputs, policy(*given.values()), strict=True))
    random_states = _called(expected, exported, given, scales, "random states")
    closed_loop, recorded = _closed_loop(env, policy, exported, scales, effort)
    expected = dict(zip(exported.outputs, policy(*recorded.values()), strict=True))
    alone = exported.one_by_one(recorded)
    recorded_states = worst_difference(expected, alone, scales, "recorded states, one by one")
    load_filter = LoadFilterModule(config.carry.load_filter)
    worst = _load_filter_parity(load_filter, Exported(stages[LOAD_FILTER]), generator, effort)
    vehicle = env.team.members[0].vehicle
    inner_loop = InnerLoopModule(compensation_gains(vehicle, 1.0 / config.physics_hz))
    worst = max(
        worst, _inner_loop_parity(inner_loop, Exported(stages[INNER_LOOP]), vehicle, generator, effort)
    )
    return Parity(random_states, recorded_states, closed_loop, worst)


def _environment(config: EnvConfig, rows: int, seed: int) -> TeamEnvironment:
    """Worlds with ``rows`` members in all, with coarse physics, uncompiled: states need be typical, not accurate."""
    rate = 2 * config.control_hz
    coarse = dataclasses.replace(config, physics_hz=rate, rate_loop_hz=rate)
    env = TeamEnvironment(coarse, 1, seed=seed, compile_kernels=False)
    worlds = -(-rows // env.drones)
    return TeamEnvironment(coarse, worlds, seed=seed, compile_kernels=False) if worlds > 1 else env


def _called(expected: Tensors, exported: Exported, given: Tensors, scales: Tensors, where: str) -> float:
    """Worst difference of one call on all rows, and of one call a row."""
    return max(
        worst_difference(expected, exported(given), scales, where),
        worst_difference(expected, exported.one_by_one(given), scales, f"{where}, one by one"),
    )


def _random_states(
    env: TeamEnvironment, policy: TeamPolicyModule, generator: torch.Generator, count: int
) -> dict[str, torch.Tensor]:
    """Inputs and states of the main graph beyond what flights visit, in the graph's order."""

    def normal(size: float, width: int) -> torch.Tensor:
        return size * torch.randn((count, width), generator=generator)

    def uniform(low: float, high: float, width: int) -> torch.Tensor:
        return low + (high - low) * torch.rand((count, width), generator=generator)

    def attitude() -> torch.Tensor:
        return torch.nn.functional.normalize(normal(1.0, 4))

    place, goal_quat, twist = normal(1.0, 3), attitude(), normal(1.0, 6)
    # Goals move on as they may, within a few m/s² and rad/s².
    ahead = [
        part
        for s in PREVIEWS_S
        for part in (
            place + twist[:, :3] * s + normal(1.0, 3) * s**2,
            torch.nn.functional.normalize(turned(goal_quat, twist[:, 3:] * s + normal(1.0, 3) * s**2)),
        )
    ]
    command = torch.cat((place, goal_quat, twist, *ahead), dim=1)
    facts = env.task.facts()[torch.arange(count) % env.drones]
    load_pos = place + normal(0.7, 3)
    inputs = TeamInputs(
        pos_w=load_pos + normal(0.5, 3) + torch.tensor((0.0, 0.0, 1.0)),
        vel_w=normal(1.0, 3),
        quat_wb=attitude(),
        omega_b=normal(2.0, 3),
        vehicle_age_s=uniform(-0.003, 0.1, 1),
        load_pos_w=load_pos,
        load_vel_w=normal(1.0, 3),
        load_quat_wb=attitude(),
        load_omega_b=normal(1.0, 3),
        load_age_s=uniform(-0.003, 0.1, 1),
        command=command,
        facts=facts,
    )
    states = {"memory": normal(0.1, env.task.MEMORY), "actions": uniform(-1.0, 1.0, policy.actions)}
    return {**inputs._asdict(), **states}


def _closed_loop(
    env: TeamEnvironment, policy: TeamPolicyModule, exported: Exported, scales: Tensors, effort: Effort
) -> tuple[float, dict[str, torch.Tensor]]:
    """The training environment flown by its own actor, the exported policy beside it with its own memory."""
    seen: list[tuple[TeamInputs, torch.Tensor]] = []
    remember, rows = env.task.remember, env.worlds * env.drones

    def tap(inputs: TeamInputs, memory: torch.Tensor, actions: torch.Tensor, tick_s: float) -> torch.Tensor:
        seen[:] = [(inputs, memory.clone())]  # the environment goes on to write where it lies
        return remember(inputs, memory, actions, tick_s)

    env.task.remember = tap
    env.step(torch.zeros(rows, env.action_size))
    states = {"memory": env.real(seen[0][1]), "actions": env.past_actions}
    worst, recorded = 0.0, []
    every = max(1, effort.length * rows // effort.states)
    for tick in range(effort.length):
        given = {name: env.real(part) for name, part in seen[0][0]._asdict().items()} | states
        if tick % every == 0:
            recorded.append(given)
        action = policy.actor(env.observations["actor"])
        command = env.action.command(env.action.squash(action, env.guidance))
        answer = exported(given)
        expected = {"accel_w_mps2": command[:, :3], "turn_b_radps": command[:, 3:]}
        worst = max(worst, worst_difference(expected, answer, scales, f"closed loop, tick {tick}"))
        _, _, done, _ = env.step(action)
        states = {name: torch.where(done[:, None], 0.0, answer[f"{name}_next"]) for name in states}
    return worst, {
        name: torch.cat([given[name] for given in recorded])[: effort.states] for name in recorded[0]
    }


def _load_filter_parity(
    module: LoadFilterModule, exported: Exported, generator: torch.Generator, effort: Effort
) -> float:
    """Random poses on random estimates, then whole tracks of swinging loads, each with its memory."""
    count = effort.states
    draw = torch.randn((count, 20), generator=generator)
    quat = torch.nn.functional.normalize(draw[:, 3:7])
    given = {
        "measured_pos_w": draw[:, :3],
        "measured_quat_wb": torch.nn.functional.normalize(quat + 0.1 * draw[:, 7:11]),
        "elapsed_s": draw[:, 11:12].abs() * 0.02,
        "estimate": torch.cat((draw[:, :3] + 0.05 * draw[:, 12:15], draw[:, 12:15], quat, draw[:, 15:18]), 1),
    }
    worst = _called(
        exactly(module, exported, given), exported, given, _LOAD_SCALES, "load filter, random poses"
    )
    ours = theirs = torch.tensor(list(leaves(UNKNOWN_LOAD))).expand(effort.sequences, -1)
    phase = 6.3 * torch.rand((effort.sequences, 6), generator=generator)
    for step in range(effort.length):
        swing = torch.sin(phase + 2.0 * 0.01 * step)
        noise = 0.003 * torch.randn((effort.sequences, 6), generator=generator)
        half = 0.3 * swing[:, 3:] + noise[:, 3:]
        track = {
            "measured_pos_w": swing[:, :3] + noise[:, :3],
            "measured_quat_wb": torch.nn.functional.normalize(torch.cat((torch.ones_like(half[:, :1]), half), 1)),
            "elapsed_s": torch.full((effort.sequences, 1), 10.0 if step == 0 else 0.01),
        }  # fmt: skip
        expected = exactly(module, exported, {**track, "estimate": ours})
        actual = exported({**track, "estimate": theirs})
        worst = max(worst, worst_difference(expected, actual, _LOAD_SCALES, "load filter, tracks"))
        ours, theirs = expected["estimate_next"], actual["estimate_next"]
    return worst


def _inner_loop_parity(
    module: InnerLoopModule, exported: Exported, vehicle: Vehicle, generator: torch.Generator, effort: Effort
) -> float:
    """Random commands and samples on random memories, then sequences, each with its memory."""
    limits = vehicle.limits
    scales = {
        "thrust_n": torch.tensor(limits.thrust_max_n),
        "rate_b_radps": torch.tensor(limits.rate_max_radps) * _LITTLE_FORCE,
        "loop_next": torch.tensor((limits.thrust_max_n, *(OUTSIDE_MAX_MPS2,) * 3)),
    }

    def some(count: int) -> dict[str, torch.Tensor]:
        draw = torch.randn((count, 12), generator=generator)
        upright = torch.nn.functional.normalize(torch.cat((draw[:, 8:9].abs() + 0.5, 0.4 * draw[:, 9:]), 1))
        up = torch.tensor((0.0, 0.0, GRAVITY_MPS2))
        return {
            "accel_w_mps2": 4.0 * draw[:, :3],
            "turn_b_radps": draw[:, 3:5],
            "accelerometer_b": up + 5.0 * draw[:, 5:8],
            "quat_wb": upright,
        }

    memory = torch.randn((effort.states, 4), generator=generator) * 3.0
    given = {**some(effort.states), "loop": memory + torch.tensor((vehicle.weight_n, 0.0, 0.0, 0.0))}
    worst = _called(exactly(module, exported, given), exported, given, scales, "inner loop, random samples")
    ours = theirs = given["loop"][: effort.sequences]
    for _ in range(effort.length):
        sample = some(len(ours))
        expected = exactly(module, exported, {**sample, "loop": ours})
        actual = exported({**sample, "loop": theirs})
        worst = max(worst, worst_difference(expected, actual, scales, "inner loop, sequences"))
        ours, theirs = expected["loop_next"], actual["loop_next"]
    return worst
