"""What a trained correction adds to the law of carrying: ``python carry_gain.py RUN --json gain.json``.

The same worlds of training (same draws) are flown for one episode by the law alone and by law and network without
exploration; what is compared is the reward of a drone, world by world, in worlds of each kind. Prints means, the mean
difference and its standard error, crashes, and the load's mean error over the second half.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import torch

from corvids.envs.team_environment import TeamEnvironment
from corvids.training.checkpoint import load_checkpoint
from corvids.training.policy_module import Actor

SEED = 100


class Flown(NamedTuple):
    """Of every world: reward of a drone, whether it crashed, and the load's mean error in the second half."""

    reward: torch.Tensor
    crashed: torch.Tensor
    error_m: torch.Tensor
    error_deg: torch.Tensor


def fly(env: TeamEnvironment, actor: Actor | None) -> Flown:
    """One episode of all worlds, by the law alone where there is no actor."""
    env.reseed(SEED)
    env.restart(torch.arange(env.worlds), torch.zeros(env.worlds, dtype=torch.bool))
    seen, worlds, drones = env.look(), env.worlds, env.drones
    fields = env.task.EPISODE._fields
    reward, error_m, error_deg = torch.zeros(3, worlds).unbind(0)
    flies = torch.ones(worlds, dtype=torch.bool)
    for step in range(env.steps_max - 1):
        action = torch.zeros(worlds * drones, env.action_size) if actor is None else actor(seen["actor"])
        seen, earned, done, _ = env.step(action)
        reward += earned.view(drones, worlds).mean(0) * flies
        flies &= ~done.view(drones, worlds)[0]
        if 2 * step >= env.steps_max:
            episode = dict(zip(fields, env.episode, strict=True))
            error_m += episode["error_m"] * (2.0 / env.steps_max)
            error_deg += episode["error_deg"] * (2.0 / env.steps_max)
    return Flown(reward, ~flies, error_m, error_deg)


def compare(law: Flown, policy: Flown, kinds: dict[str, torch.Tensor]) -> dict[str, dict[str, float]]:
    """Figures by kind of world."""
    rows = {}
    for kind, worlds in kinds.items():
        if not worlds.any():
            continue
        gain = (policy.reward - law.reward)[worlds]
        rows[kind] = {"worlds": int(worlds.sum()), "gain": float(gain.mean()),
                      "gain_std_error": float(gain.std() / worlds.sum() ** 0.5)}  # fmt: skip
        for name, flown in (("law", law), ("policy", policy)):
            rows[kind] |= {
                f"{name}_{field}": float(getattr(flown, field)[worlds].float().mean())
                for field in Flown._fields
            }
    return rows


@torch.inference_mode()
def main() -> None:
    """Compare for every team of the run, and print."""
    parser = argparse.ArgumentParser(
        description="What a trained correction adds to the law, in the same worlds."
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--worlds", type=int, default=400, help="of each team")
    parser.add_argument("--law-near", type=float, help="as in corvids export")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(options.run)
    actor, env_config = Actor(checkpoint, (), TeamEnvironment.action_size), checkpoint.config.env
    carry = env_config.carry
    if options.law_near is not None:
        carry = dataclasses.replace(carry, law_near=options.law_near)
    figures: dict = {"iterations": checkpoint.iterations, "law_near": carry.law_near, "teams": {}}
    for team in checkpoint.config.teams or (carry.team,):
        config = dataclasses.replace(env_config, carry=dataclasses.replace(carry, team=team))
        env = TeamEnvironment(config, options.worlds, seed=SEED)
        rows = compare(fly(env, None), fly(env, actor), env.kinds)
        figures["teams"][team] = rows
        for kind, row in rows.items():
            print(
                f"{team} {kind:6} law {row['law_reward']:.2f}, gain {row['gain']:+.2f} ± {row['gain_std_error']:.2f},"
                f" error {100.0 * row['law_error_m']:.0f} -> {100.0 * row['policy_error_m']:.0f} cm,"
                f" {row['law_error_deg']:.0f} -> {row['policy_error_deg']:.0f}°,"
                f" crashed {100.0 * row['law_crashed']:.1f} -> {100.0 * row['policy_crashed']:.1f} %",
                flush=True,
            )
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
