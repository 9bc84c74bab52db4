"""The environment: what a step returns, what a reset touches, when commands change and when they arrive."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from corvids.controllers.packing import pack, unpack
from corvids.controllers.rate_loop import RateCommand, gains_of
from corvids.controllers.spatial import Vec3
from corvids.envs import environment
from corvids.envs.environment import PAST_ACTIONS, EnvConfig, Environment
from corvids.envs.episodes.randomization import NO_RANDOMIZATION, Randomization
from corvids.envs.physics.wind import GUST_S
from corvids.envs.physics.world import AT_REST, World, control, fly
from corvids.envs.tasks import TASKS
from corvids.errors import CorvidsError

CALM = dataclasses.replace(NO_RANDOMIZATION, wild_share=0.0)
WORLDS = 20
"""Of 48 rows: 28 are padding."""


def make(task: str = "hover", worlds: int = WORLDS, seed: int = 0, **fields) -> Environment:
    """An environment that steps quickly without compiling: two physics steps a tick, unless ``fields`` say more."""
    given = {"vehicle": "air", "physics_hz": 100, "rate_loop_hz": 100, **fields}
    return Environment(EnvConfig(task=task, **given), worlds, seed=seed, compile_kernels=False)


def hover_on(env: Environment, steps: int = 1):
    """The last of ``steps`` steps with the action that hovers."""
    for _ in range(steps - 1):
        env.step(torch.zeros(env.worlds, 4))
    return env.step(torch.zeros(env.worlds, 4))


def places(env: Environment) -> torch.Tensor:
    """Commanded positions (worlds, 3), from the critic, which is told its true distance to them."""
    told = env.observations["critic"][:, env.observations["actor"].shape[1] :][:, :3]
    pos = torch.cat(tuple(env.simulator.world.body.pos_w), dim=1)[: env.worlds]
    return pos - told


def sink(env: Environment, world: int) -> None:
    """Put one vehicle where every task has failed: just above the ground."""
    env.simulator.world.body.pos_w.z[world] = 0.12


def flown(
    env: Environment, start: torch.Tensor, old: RateCommand, new: RateCommand, delay_steps: int
) -> World:
    """One tick from the packed state ``start``, substep by substep, ``new`` in force from step ``delay_steps`` on."""
    config = env.config
    world, truth = unpack(start, AT_REST), unpack(env.simulator.params, env.nominal)
    gains = gains_of(env.vehicle, 1.0 / config.rate_loop_hz)
    for step in range(config.physics_hz // config.control_hz):
        if step % (config.physics_hz // config.rate_loop_hz) == 0:
            world = control(world, new if step >= delay_steps else old, gains, 1.0 / config.rate_loop_hz)
        world = fly(world, truth, 1.0 / config.physics_hz, env.task.WITH_BALL)
    return world


# --- Steps and resets ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("task", "steps"), [("juggle", 300), ("hover", 60), ("track", 60)])
def test_random_actions_give_finite_outputs_of_the_right_shape_through_every_reset(task: str, steps: int):
    env = make(task, seed=1)
    random = torch.Generator().manual_seed(2)
    sizes = {name: group.shape for name, group in env.observations.items()}
    assert {shape[0] for shape in sizes.values()} == {WORLDS}
    ended = torch.zeros(WORLDS)
    for _ in range(steps):
        observations, reward, done, extras = env.step(torch.randn(WORLDS, 4, generator=random))
        assert {name: group.shape for name, group in observations.items()} == sizes
        assert reward.shape == done.shape == extras["time_outs"].shape == (WORLDS,)
        for values in (*observations.values(), reward, extras["time_outs"], *extras.get("log", {}).values()):
            assert torch.isfinite(values).all()
        if done.any():
            log = dict(extras["log"])
            calm, wild = log.pop("failed", []), log.pop("failed_wild", [])
            assert len(calm) + len(wild) == int(done.sum())
            assert {len(values) for values in log.values()} == {int(done.sum())}
            assert set(log) == {*TASKS[task].METRICS, "episode_s"}
        ended += done
    if steps == 300:
        assert ended.min() >= 1  # every world has been reset


def test_a_reset_touches_the_world_that_failed_and_no_other():
    env, twin = make("juggle"), make("juggle")
    for one in (env, twin):
        hover_on(one, 3)
    sink(env, 3)
    outputs, twins = hover_on(env), hover_on(twin)
    others = torch.arange(WORLDS) != 3
    assert outputs[2].tolist() == [world == 3 for world in range(WORLDS)]
    assert env.steps.tolist() == [0 if world == 3 else 4 for world in range(WORLDS)]
    for name in ("state", "params", "command"):
        mine, other = (getattr(one.simulator, name)[:, :WORLDS] for one in (env, twin))
        torch.testing.assert_close(mine[:, others], other[:, others], atol=0, rtol=0)
        assert name == "command" or (mine[:, 3] != other[:, 3]).any(), name
    history, twin_history = (one.simulator.history[:, :, :WORLDS] for one in (env, twin))
    torch.testing.assert_close(history[:, :, others], twin_history[:, :, others], atol=0, rtol=0)
    assert (history[int(env.simulator.newest), :, 3] == env.simulator.state[:16, 3]).all()
    for name in ("actor", "critic"):
        torch.testing.assert_close(outputs[0][name][others], twins[0][name][others], atol=0, rtol=0)
    torch.testing.assert_close(outputs[1][others], twins[1][others], atol=0, rtol=0)


def test_nothing_of_the_flight_before_is_sensed():
    env, twin = make("juggle", physics_hz=500), make("juggle", physics_hz=500)
    sink(env, 3)
    sink(twin, 3)
    assert hover_on(env)[2][3]
    assert hover_on(twin)[2][3]
    before = torch.arange(32) != int(env.simulator.newest)
    env.simulator.history[before, :, 3] = 100.0  # further away than any world is
    for _ in range(7):  # all slots of 0.004 s are written anew after 6.4 ticks of 0.02 s
        mine, theirs = hover_on(env), hover_on(twin)
        torch.testing.assert_close(mine[0], theirs[0], atol=0, rtol=0)


def test_what_padding_holds_never_shows():
    env, twin = make("juggle"), make("juggle")
    assert env.simulator.rows > WORLDS
    for packed in (env.simulator.state, env.simulator.params, env.simulator.command):
        packed[:, WORLDS:] = float("nan")
    env.simulator.history[:, :, WORLDS:] = float("nan")
    sink(env, 3)
    sink(twin, 3)
    for _ in range(3):
        outputs, twins = hover_on(env), hover_on(twin)
        torch.testing.assert_close(outputs[0], twins[0], atol=0, rtol=0)
        torch.testing.assert_close(outputs[1:3], twins[1:3], atol=0, rtol=0)
        assert all(torch.isfinite(group).all() for group in outputs[0].values())


def test_a_time_limit_is_no_failure_and_a_failure_at_the_limit_is_no_time_out():
    env = make(episode_s=0.1, randomization=CALM)
    _, _, done, extras = hover_on(env, 4)
    assert not done.any()
    assert not extras["time_outs"].any()
    sink(env, 7)
    _, _, done, extras = hover_on(env)
    failed = torch.arange(WORLDS) == 7
    assert done.all()
    assert extras["time_outs"].tolist() == (~failed).float().tolist()
    assert extras["log"]["failed"].tolist() == failed.float().tolist()
    assert extras["log"]["episode_s"].tolist() == pytest.approx([0.1] * WORLDS)
    assert not env.steps.any()


def test_the_last_reward_is_that_of_the_step_that_failed():
    """Hover's penalty is 2; what a step of 0.02 s earns besides is below 0.1."""
    env = make(randomization=CALM)
    sink(env, 5)
    _, reward, _, _ = hover_on(env)
    assert reward[5].item() == pytest.approx(-2.0, abs=0.1)
    assert reward[torch.arange(WORLDS) != 5].min() > 0.0
    assert hover_on(env)[1][5] > 0.0


def test_the_same_seed_gives_the_same_flight_and_another_seed_another():
    action = torch.randn(6, WORLDS, 4, generator=torch.Generator().manual_seed(3))
    first, again, other = (make("juggle", seed=seed, command_s=(0.03, 0.06)) for seed in (5, 5, 6))
    for env in (first, again, other):
        sink(env, 0)
        for step in action:
            env.step(step)
    torch.testing.assert_close(again.observations, first.observations, atol=0, rtol=0)
    assert (other.observations["actor"] != first.observations["actor"]).any(dim=1).all()


# --- Actions and commands ------------------------------------------------------------------------------------------


def test_what_is_drawn_after_a_new_seed_follows_from_it_alone():
    env, seen = make(randomization=Randomization()), []
    for seed, steps in ((5, 0), (6, 3), (5, 7)):
        env.reseed(seed)
        env.restart(torch.arange(WORLDS), torch.zeros(WORLDS, dtype=torch.bool))
        env.look()
        seen.append(env.observations["critic"].clone())
        for _ in range(steps):
            env.step(torch.zeros(WORLDS, 4))
    assert torch.equal(seen[0], seen[2])
    assert (seen[0] - seen[1]).abs().max() > 0.1


def test_the_policy_sees_its_past_actions_newest_first_and_none_of_the_episode_before():
    env = make()
    actions = torch.randn(PAST_ACTIONS + 1, WORLDS, 4, generator=torch.Generator().manual_seed(4)) * 0.1
    observations, _, done, _ = [env.step(action) for action in actions][-1]
    assert not done.any()
    wanted = torch.cat([torch.tanh(action) for action in actions.flip(0)[:PAST_ACTIONS]], dim=1)
    torch.testing.assert_close(observations["actor"][:, -4 * PAST_ACTIONS :], wanted)
    sink(env, 2)
    observations, _, _, _ = env.step(actions[0])
    assert not observations["actor"][2, -4 * PAST_ACTIONS :].any()
    assert observations["actor"][3, -4 * PAST_ACTIONS :].all()


def test_however_many_worlds_there_are_the_noise_suffices(monkeypatch: pytest.MonkeyPatch):
    """65536 worlds need half as much again at a tick as the pool had; here it has nearly none to begin with."""
    monkeypatch.setattr(environment, "_NOISE_POOL", 1)
    env = make("juggle", randomization=CALM)
    seen, *_ = env.step(torch.zeros(WORLDS, 4))
    assert seen["actor"].isfinite().all()


def test_a_vehicle_hovers_until_its_ball_is_known():
    """Where the only measurement that had arrived at first was lost: half of the worlds."""
    env = make("juggle", randomization=dataclasses.replace(CALM, ball_drop_rate=0.5))
    flies = env.flies.clone()
    assert 0 < flies.sum() < WORLDS
    for _ in range(10):
        env.step(torch.full((WORLDS, 4), 0.05))
        newest = env.observations["actor"][:, -12:-8]
        torch.testing.assert_close(newest, math.tanh(0.05) * flies[:, None].float().expand(-1, 4))
        flies = env.flies.clone()
    assert flies.all()


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_action_commands_more_than_the_vehicle_file_allows(sign: float):
    env = make()
    env.step(torch.full((WORLDS, 4), sign * 1e6))
    limits = env.vehicle.limits
    wanted = [limits.thrust_max_n if sign > 0 else 0.0, *(sign * rate for rate in limits.rate_max_radps)]
    commanded = env.simulator.command[:, :WORLDS, 0]
    torch.testing.assert_close(commanded, torch.tensor(wanted)[:, None].expand(-1, WORLDS))


@pytest.mark.parametrize(
    ("rate_loop_hz", "delay_s", "delay_steps"), [(500, 0.0, 0), (500, 0.006, 3), (250, 0.0104, 5)]
)
def test_a_command_takes_effect_after_its_delay(rate_loop_hz: int, delay_s: float, delay_steps: int):
    late = dataclasses.replace(CALM, command_delay_s=(delay_s, delay_s))
    env = make(worlds=3, randomization=late, physics_hz=500, rate_loop_hz=rate_loop_hz)
    start, action = env.simulator.state.clone(), torch.tensor([[1.0, -0.6, 0.4, 0.2]]).expand(3, 4)
    env.step(action)
    hover = RateCommand(torch.tensor(env.vehicle.weight_n), Vec3(*torch.zeros(3)))
    thrust_n, rates = env.action.command(env.action.squash(action[:1]))
    new = RateCommand(thrust_n[0, 0], Vec3(*rates[0]))
    after = pack(flown(env, start, hover, new, delay_steps))
    torch.testing.assert_close(env.simulator.state[:, :3], after[:, :3])
    for wrong in {0, 2, 3, 5, 8, 10} - {delay_steps}:
        # At 250 Hz the autopilot decides at steps 0, 2, 4, 6, 8: one that comes at step 5 is acted on at step 6.
        if rate_loop_hz == 500 or wrong != 6:
            other = pack(flown(env, start, hover, new, wrong))
            assert (env.simulator.state[:, :3] - other[:, :3]).abs().max() > 1e-3


def test_the_sensors_history_holds_every_second_physics_step():
    env = make(worlds=3, randomization=CALM, physics_hz=500, rate_loop_hz=500)
    simulator, hover = env.simulator, RateCommand(torch.tensor(env.vehicle.weight_n), Vec3(*torch.zeros(3)))
    assert simulator.sample_s == pytest.approx(0.004)
    for tick in range(8):  # more than once around the ring of 32
        start = simulator.state.clone()
        hover_on(env)
        world = unpack(start, AT_REST)
        truth, gains = unpack(simulator.params, env.nominal), gains_of(env.vehicle, 0.002)
        newest = int(simulator.newest)
        assert newest == 5 * (tick + 1) % 32
        for step in range(1, 11):
            world = fly(control(world, hover, gains, 0.002), truth, 0.002, False)
            if step % 2 == 0:
                slot = simulator.history[(newest - (10 - step) // 2) % 32]
                torch.testing.assert_close(slot[:, :3], pack(world)[:16, :3])


def test_commands_change_at_the_drawn_times_and_only_then():
    env = make(command_s=(0.06, 0.2), randomization=CALM)
    since, intervals = torch.zeros(WORLDS, dtype=torch.long), []
    before = places(env)
    for _ in range(60):
        _, _, done, _ = hover_on(env)
        now = places(env)
        since += 1
        changed = (now - before).abs().amax(dim=1) > 1e-4
        assert (now - before).abs()[~done].max() <= 1.0 + 1e-4  # hover's commands move by a metre at most
        intervals += since[changed & ~done].tolist()
        since[changed | done] = 0
        before = now
    assert set(intervals) == set(range(3, 10)) | ({10} & set(intervals))  # 0.06 s to 0.2 s in ticks of 0.02 s


def test_commands_also_change_in_an_episode_that_is_entered_midway():
    """Trainers set the clocks to random values at the start, so that worlds do not all end at once."""
    env = make(command_s=(0.06, 0.2), episode_s=1000.0, randomization=CALM)
    env.steps += 500
    before = places(env)
    hover_on(env, 11)
    assert ((places(env) - before).abs().amax(dim=1) > 1e-4).all()


def test_a_command_is_steady_until_its_time():
    env = make("juggle", command_s=(30.0, 30.0), randomization=CALM)
    before = places(env)
    hover_on(env, 10)
    torch.testing.assert_close(places(env), before, atol=1e-5, rtol=0)


# --- What is drawn -------------------------------------------------------------------------------------------------


def test_gusts_have_the_drawn_deviation_and_memory():
    """An Ornstein–Uhlenbeck process: deviation σ about the mean, correlation e^(-t/T) after t."""
    sigma, worlds = 0.8, 1000
    ranges = dataclasses.replace(CALM, wind_mps=(-2.0, 2.0), gust_std_mps=(sigma, sigma))
    env = make(worlds=worlds, randomization=ranges)
    wind = torch.stack(tuple(env.simulator.truth.wind_w))[:, :worlds, 0]
    mean, samples = wind.clone(), []
    for _ in range(400):
        env._blow()
        samples.append(torch.stack(tuple(env.simulator.truth.wind_w))[:, :worlds, 0] - mean)
    gusts = torch.stack(samples[100:])
    assert gusts.std().item() == pytest.approx(sigma, rel=0.03)
    assert gusts.mean().item() == pytest.approx(0.0, abs=0.02)
    lag = round(GUST_S / env.tick_s)
    correlation = float((gusts[lag:] * gusts[:-lag]).mean() / gusts.square().mean())
    assert correlation == pytest.approx(0.3679, abs=0.03)


def test_without_randomization_the_policy_sees_the_truth():
    env = make("juggle", randomization=CALM, physics_hz=500, rate_loop_hz=500)
    hover_on(env, 5)
    actor = env.observations["actor"]
    body = env.simulator.world.body
    # The observation brings a sample of the last 10 ms to the present: velocity is as it was then.
    place, pos = places(env), torch.cat(tuple(body.pos_w), dim=1)[:WORLDS]
    torch.testing.assert_close(actor[:, :3], (place - pos).clamp(-1, 1) * 2.0, atol=2e-3, rtol=0)
    axes = torch.stack([column.stack()[:WORLDS, 0] for column in body.quat_wb.matrix()], dim=2)
    torch.testing.assert_close(actor[:, 7:16], axes.reshape(WORLDS, 9), atol=5e-3, rtol=0)
    assert env.simulator.params[:, :WORLDS].std(dim=1).max() < 1e-6


def test_the_critic_is_told_the_drawn_parameters():
    env = make("juggle", randomization=Randomization())
    critic = env.observations["critic"]
    mass = env.simulator.truth.vehicle.mass_kg[:WORLDS, 0] / env.vehicle.body.mass_kg
    assert any(torch.allclose(column, mass) for column in critic.t())
    assert not any(torch.allclose(column, mass) for column in env.observations["actor"].t())


def test_a_fixed_share_of_the_worlds_starts_badly_and_soon_again():
    """Else the worlds that recover would crowd out those from which there is something to learn."""
    env = make(
        "juggle", worlds=40, randomization=dataclasses.replace(CALM, wild_share=0.25), wild_episode_s=0.1,
        episode_s=10.0,
    )  # fmt: skip
    ball, body = env.simulator.world.ball, env.simulator.world.body
    aside = torch.hypot(ball.pos_w.x - body.pos_w.x, ball.pos_w.y - body.pos_w.y)[:40, 0]
    assert (aside[10:] < 0.061).all()
    assert (aside[:10] > 0.061).sum() >= 5
    timed_out = torch.stack([hover_on(env)[3]["time_outs"] for _ in range(5)])
    assert timed_out[:4].sum() == 0
    assert timed_out[4].tolist() == [1.0] * 10 + [0.0] * 30


# --- Refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"task": "dance"}, "unknown task 'dance'; there are: juggle, hover, track"),
        ({"vehicle": "airr"}, "no vehicle is called 'airr'; did you mean air?"),
        ({"task": "juggle", "vehicle": "x500"}, "has no [racket] table"),
        ({"physics_hz": 120}, "physics rate 120 Hz"),
        ({"physics_hz": 150}, "physics rate 150 Hz"),
    ],
)
def test_what_cannot_be_simulated_is_refused_in_one_line(fields: dict, named: str):
    with pytest.raises(CorvidsError) as refusal:
        make(**fields)
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)
