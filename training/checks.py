"""What a training's configuration must be, so that a wrong number ends in one line and not in a strange policy."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

from corvids.envs.engines.contact import check_contact
from corvids.envs.episodes.randomization import Randomization
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.sensors.load_sensing import LOAD_SLOTS
from corvids.envs.sensors.sensing import BALL_SLOTS
from corvids.envs.simulator import Simulator
from corvids.envs.tasks import TASKS, TEAM_TASKS
from corvids.envs.team_simulator import TeamSimulator
from corvids.errors import CorvidsError
from corvids.training.config import TrainConfig
from corvids.training.mirrored_mlp import IMAGES

_MANY = 1e9
BOUNDS: dict[str, tuple[float, float]] = {
    "worlds": (1, 131_072), "iterations": (0, _MANY), "save_every": (1, _MANY), "seed": (0, 2**31),
    "network.actor": (1, 8192), "network.critic": (1, 8192),
    "network.noise_std": (1e-3, 1.0), "network.noise_std_min": (1e-3, 1.0),
    "ppo.steps": (1, 10_000), "ppo.hold_steps": (1, 100), "ppo.epochs": (1, 1000), "ppo.minibatches": (1, 10_000),
    "ppo.learning_rate": (1e-8, 1.0), "ppo.desired_kl": (1e-6, 10.0), "ppo.desired_kl_last": (0.0, 10.0),
    "ppo.clip": (1e-3, 1.0),
    "ppo.discount": (0.0, 1.0), "ppo.gae_lambda": (0.0, 1.0), "ppo.entropy": (0.0, 10.0),
    "ppo.value_weight": (0.0, 1e3), "ppo.grad_norm_max": (1e-6, 1e6),
    "ppo.critic_first": (0, _MANY),
    "env.physics_hz": (20, 20_000), "env.rate_loop_hz": (10, 20_000), "env.control_hz": (5, 1000),
    "env.episode_s": (0.2, 1e5), "env.wild_episode_s": (0.2, 1e5), "env.command_s": (0.2, 1e6),
    "env.ball.mass_kg": (1e-3, 1.0), "env.ball.radius_m": (5e-3, 0.5), "env.ball.drag_per_m": (0.0, 10.0),
    "env.ball.magnus": (-1.0, 1.0), "env.ball.inertia_factor": (0.1, 1.0), "env.ball.ground_restitution": (0.0, 1.0),
    "env.ball_filter.measurement_std_m": (1e-5, 1.0), "env.ball_filter.accel_std_mps2": (0.0, 1e3),
    "env.ball_filter.drag_per_m": (0.0, 10.0), "env.ball_filter.gate": (1.0, 1e6),
    "env.ball_filter.bounce_std_mps": (1e-3, 100.0), "env.ball_filter.start_std_mps": (1e-3, 100.0),
    "env.ball_filter.rejections_max": (1, 1000),
    "env.carry.accel_max_mps2": (0.1, 100.0), "env.carry.rate_max_radps": (0.0, 20.0),
    "env.carry.moving_share": (0.0, 1.0), "env.carry.tilt_rad": (0.0, 1.5708),
    "env.carry.fast_share": (0.0, 1.0), "env.carry.lost_share": (0.0, 1.0), "env.carry.weak_share": (0.0, 1.0),
    "env.carry.steady_share": (0.0, 1.0), "env.carry.law_near": (0.0, 10.0),
    "env.carry.weak_factor": (0.05, 1.0),
    "env.carry.load_filter.memory_s": (1e-3, 10.0), "env.carry.load_filter.restart_s": (1e-2, 10.0),
    "env.carry.load_delay_s": (0.0, 0.2), "env.carry.load_period_s": (5e-4, 0.1),
    "env.carry.load_pos_std_m": (0.0, 1.0), "env.carry.load_attitude_std_rad": (0.0, 0.5),
    "env.carry.load_center_m": (-1.0, 1.0), "env.carry.cable_length_m": (-0.5, 0.5),
    "env.carry.attachment_m": (-0.5, 0.5),
    **{f"env.carry.{name}_factor": (0.05, 20.0) for name in ("load_mass", "load_inertia", "cable_stiffness")},
    "env.randomization.command_share": (0.0, 1.0), "env.randomization.wild_share": (0.0, 1.0),
    "env.randomization.racket_tilt_rad": (-0.5, 0.5), "env.randomization.wind_mps": (-30.0, 30.0),
    "env.randomization.gust_std_mps": (0.0, 30.0), "env.randomization.ball_drop_rate": (0.0, 0.99),
    "env.randomization.vehicle_period_s": (5e-4, 0.1), "env.randomization.ball_period_s": (5e-4, 0.1),
    "env.randomization.command_delay_s": (0.0, 0.2), "env.randomization.vehicle_delay_s": (0.0, 0.2),
    "env.randomization.ball_delay_s": (0.0, 0.2), "env.randomization.clock_error_s": (-0.1, 0.1),
    "env.randomization.pos_std_m": (0.0, 1.0), "env.randomization.vel_std_mps": (0.0, 10.0),
    "env.randomization.attitude_std_rad": (0.0, 0.5), "env.randomization.rate_std_radps": (0.0, 10.0),
    "env.randomization.ball_std_m": (0.0, 1.0),
    **{f"env.randomization.{name}_factor": (0.0, 100.0)
       for name in ("drag", "friction", "ball_drag", "magnus", "noise", "restitution", "torque")},
    **{f"env.randomization.{name}_factor": (0.05, 20.0)
       for name in ("mass", "inertia", "thrust", "rotor", "lag", "ball_mass", "ball_radius")},
}  # fmt: skip
"""Smallest and largest value of every number in a :class:`TrainConfig`, by its dotted name."""


def numbers(config: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted names and values of all numbers and tuples of numbers in a nested dataclass."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from numbers(value, f"{prefix}{field.name}.")
        elif not isinstance(value, str | bool) and field.name != "teams":
            yield prefix + field.name, value


def check_config(config: TrainConfig) -> None:
    """Refuse what cannot be trained: the :class:`CorvidsError` names the field, its value and what is allowed."""
    for name, value in numbers(config):
        low, high = BOUNDS[name]
        is_range = isinstance(value, tuple) and not name.startswith("network.")
        if value == ():
            raise CorvidsError(f"config.{name} = () must name the size of one layer at least")
        for entry in value if isinstance(value, tuple) else (value,):
            if not low <= entry <= high:  # NaN fails too
                raise CorvidsError(f"config.{name} = {value} is out of range; allowed: {low:g} to {high:g}")
        if is_range and value[0] > value[1]:
            raise CorvidsError(
                f"config.{name} = {value} is the wrong way round: the smaller value comes first"
            )
    network, ppo, env = config.network, config.ppo, config.env
    if network.mirrored and env.task in TEAM_TASKS:
        raise CorvidsError(
            f"task {env.task!r}: a team has no mirror image; train with --config.network.no-mirrored"
        )
    for name, units in (("actor", network.actor), ("critic", network.critic)):
        if network.mirrored and any(count % IMAGES for count in units):
            raise CorvidsError(
                f"config.network.{name} = {units}: a mirrored network's units come in {IMAGES} groups, so each number"
                " must be a multiple of that; or train with --config.network.no-mirrored"
            )
    if network.noise_std < network.noise_std_min:
        raise CorvidsError(
            f"config.network.noise_std = {network.noise_std} must not be below noise_std_min, {network.noise_std_min}"
        )
    if config.worlds * ppo.steps < ppo.minibatches:
        raise CorvidsError(
            f"config.ppo.minibatches = {ppo.minibatches} must not exceed a batch, worlds · steps ="
            f" {config.worlds * ppo.steps}"
        )
    tick_s, drawn = 1.0 / env.control_hz, env.randomization
    if drawn.command_delay_s[1] > tick_s:
        raise CorvidsError(
            f"config.env.randomization.command_delay_s = {drawn.command_delay_s} must be below a control step,"
            f" {tick_s:g} s"
        )
    has_ball = env.task in TASKS and TASKS[env.task].WITH_BALL
    if check_contact(env.contact) != "ours" and not (has_ball and config.sim == "isaac"):
        raise CorvidsError(
            f"config.env.contact = {env.contact!r} is for a task with a ball in Isaac Lab (--sim isaac);"
            " everywhere else it must be 'ours'"
        )
    if env.task in TEAM_TASKS and env.rate_loop_hz != env.physics_hz:
        raise CorvidsError(
            f"config.env.rate_loop_hz = {env.rate_loop_hz} must be physics_hz, {env.physics_hz}, for a team"
        )
    for name, period_s, slots in (
        ("randomization.ball_period_s", drawn.ball_period_s, BALL_SLOTS),
        ("carry.load_period_s", env.carry.load_period_s, LOAD_SLOTS if env.task in TEAM_TASKS else math.inf),
    ):
        if math.ceil(tick_s / period_s[0] - 1e-9) > slots:
            raise CorvidsError(
                f"config.env.{name} = {period_s} gives more than {slots}"
                f" measurements in a control step; it must be at least {tick_s / slots:.4g} s"
            )


def check_reach(config: TrainConfig, simulator: Simulator | TeamSimulator) -> None:
    """Refuse delays that reach further back than the simulator's history."""
    reach_s = (len(simulator.history) - 1) * simulator.sample_s
    drawn, carry = config.env.randomization, config.env.carry
    oldest: list[tuple[Randomization | CarryConfig, str, str, int]] = [(drawn, "randomization", "vehicle", 1)]
    if isinstance(simulator, TeamSimulator):
        oldest.append((carry, "carry", "load", LOAD_SLOTS))
    else:
        oldest.append((drawn, "randomization", "ball", BALL_SLOTS))
    for section, where, signal, slots in oldest:
        delay_s, period_s = getattr(section, f"{signal}_delay_s"), getattr(section, f"{signal}_period_s")
        age_s = delay_s[1] + slots * period_s[1]
        if age_s > reach_s + 1e-9:
            raise CorvidsError(
                f"config.env.{where}.{signal}_delay_s = {delay_s} makes messages up to {age_s:.4g} s old;"
                f" the simulator remembers {reach_s:.4g} s"
            )
