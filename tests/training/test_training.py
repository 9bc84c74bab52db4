"""A training leaves one checkpoint that says all, stops at the first number that is none, and obeys its seed."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import pty
import subprocess
from pathlib import Path

import pytest
import torch
from rsl_rl.algorithms import PPO
from runs import ROOT, UNCOMPILED, program_environment, python, read_checkpoint, tiny, uncompiled, weights

from corvids.commands.train import LOCK, train
from corvids.envs.environment import Environment
from corvids.envs.episodes.randomization import Randomization
from corvids.envs.physics.world import World
from corvids.errors import CorvidsError
from corvids.training import runner
from corvids.training.checks import BOUNDS, check_config, numbers
from corvids.training.config import SETTLES_FROM, NetworkConfig, PpoConfig, TrainConfig
from corvids.training.presets import PRESETS, preset
from corvids.training.runner import CHECKPOINT, Runner, find_checkpoint, git_revision
from corvids.training.vec_env import RslVecEnv


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    uncompiled(monkeypatch)


def make_env(config: TrainConfig | None = None) -> RslVecEnv:
    config = config or tiny()
    return RslVecEnv(Environment(config.env, config.worlds, seed=config.seed, compile_kernels=False))


class Counted:
    """An environment whose reward is the number of its step, and whose first world ends when told."""

    config, action_size, steps_max, device, worlds = None, 1, 100, torch.device("cpu"), 2

    def __init__(self, ends: int) -> None:
        self.count, self.ends = 0, ends
        self.observations = {"actor": torch.zeros(2, 1)}

    def step(self, action: torch.Tensor):
        self.count += 1
        self.observations = {"actor": torch.full((2, 1), float(self.count))}
        done = torch.tensor([self.count == self.ends, False])
        extras: dict = {"time_outs": done.float()}
        if done.any():
            extras["log"] = {"length": torch.tensor([float(self.count)])}
        return self.observations, torch.full((2,), float(self.count)), done, extras


def test_a_held_action_earns_what_its_steps_do_until_the_episode_ends():
    env = RslVecEnv(Counted(ends=2), hold_steps=4)  # type: ignore[arg-type]
    seen, rewards, done, extras = env.step(torch.zeros(2, 1))
    assert rewards.tolist() == [1.0 + 2.0, 1.0 + 2.0 + 3.0 + 4.0]
    assert done.tolist() == [True, False] and extras["time_outs"].tolist() == [1.0, 0.0]
    assert extras["log"]["length"].tolist() == [2.0]
    assert seen["actor"].tolist() == [[4.0], [4.0]]
    _, rewards, done, extras = env.step(torch.zeros(2, 1))
    assert rewards.tolist() == [26.0, 26.0] and not done.any() and "log" not in extras


# --- A run ---------------------------------------------------------------------------------------------------------


def test_a_run_leaves_curves_and_one_checkpoint_that_says_what_was_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    run, config = tmp_path / "a" / "run", tiny(iterations=10)
    assert train(config, run) > 0.0
    state = read_checkpoint(run)
    assert state["iter"] == 9
    assert state["train_config"] == config
    assert state["config"] == dataclasses.asdict(config)
    assert state["git_revision"] == git_revision()
    assert torch.isfinite(weights(state)).all()
    curves = [path.name for path in run.iterdir() if path.name not in (CHECKPOINT, LOCK)]
    assert len(curves) == 1
    assert curves[0].startswith("events.out.tfevents.")
    said = capsys.readouterr().out
    assert "iteration 10/10" in said
    assert "samples/s" in said
    assert "Mean value loss" not in said  # rsl_rl's pages stay away


def test_steps_become_smaller_towards_the_end_and_nowhere_else():
    ppo = PpoConfig(desired_kl=0.01, desired_kl_last=0.0001)
    assert [ppo.desired_kl_at(part) for part in (0.0, SETTLES_FROM)] == [0.01, 0.01]
    assert ppo.desired_kl_at(0.5 * (SETTLES_FROM + 1.0)) == pytest.approx(0.001)
    assert ppo.desired_kl_at(1.0) == pytest.approx(0.0001)
    assert PpoConfig(desired_kl=0.01).desired_kl_at(0.9) == 0.01


def test_a_checkpoint_is_written_at_every_interval_and_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    saved, save = [], Runner.save

    def noted(self: Runner, path: str) -> None:
        saved.append(self.current_learning_iteration)
        save(self, path)

    monkeypatch.setattr(Runner, "save", noted)
    train(tiny(iterations=6, save_every=2), tmp_path)
    assert saved == [0, 2, 4, 5]


def test_the_same_seed_learns_the_same_and_another_something_else(tmp_path: Path):
    states = []
    for name, seed in (("first", 1), ("again", 1), ("other", 2)):
        train(tiny(seed=seed), tmp_path / name)
        states.append(weights(read_checkpoint(tmp_path / name)))
    assert torch.equal(states[1], states[0])
    assert not torch.equal(states[2], states[0])


def test_on_a_terminal_the_bar_moves_and_shows_how_it_goes(tmp_path: Path):
    """rsl_rl prints pages between; they must neither show nor swallow the bar."""
    code = UNCOMPILED + (
        "import sys\nfrom pathlib import Path\nfrom runs import tiny\nfrom corvids.commands.train import train\n"
        "train(tiny(iterations=40), Path(sys.argv[1]))\n"
    )
    main, terminal = pty.openpty()
    environment = program_environment(TERM="xterm", COLUMNS="160")
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    process = subprocess.Popen(
        python(code, str(tmp_path)), stdout=terminal, stderr=terminal, env=environment, cwd=ROOT
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # how a pseudo-terminal says that its other end is closed
        while read := os.read(main, 65536):
            shown += read
    os.close(main)
    text = shown.decode()
    assert process.wait() == 0, text
    assert "40/40" in text
    assert "failed" in text
    assert "samples/s" in text
    assert "Learning iteration" not in text
    # Drawn anew while it trains, not only when it starts and ends.
    assert any(f"{done}/40" in text for done in range(1, 40))


def test_git_is_not_needed(monkeypatch: pytest.MonkeyPatch):
    def absent(*arguments, **options):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", absent)
    assert git_revision() == ""


# --- Checkpoints are whole or not there ----------------------------------------------------------------------------


def test_a_write_that_fails_leaves_the_checkpoint_before_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = tiny()
    made = Runner(make_env(config), config, tmp_path, "cpu")
    made.save("")
    before = (tmp_path / CHECKPOINT).read_bytes()
    made.current_learning_iteration = 7

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner.os, "fsync", full)
    with pytest.raises(
        CorvidsError, match=r"checkpoint\.pt: cannot be written: No space left on device"
    ) as refusal:
        made.save("")
    assert "\n" not in str(refusal.value)
    assert (tmp_path / CHECKPOINT).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [CHECKPOINT]
    monkeypatch.undo()
    made.save("")
    assert read_checkpoint(tmp_path)["iter"] == 7


def test_a_reader_sees_the_old_checkpoint_until_the_new_one_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = tiny()
    made = Runner(make_env(config), config, tmp_path, "cpu")
    made.save("")
    made.current_learning_iteration, seen, sync = 3, [], os.fsync
    monkeypatch.setattr(
        runner.os,
        "fsync",
        lambda descriptor: (sync(descriptor), seen.append(read_checkpoint(tmp_path)["iter"])),
    )
    made.save("")
    assert seen == [0]
    assert read_checkpoint(tmp_path)["iter"] == 3


def test_no_checkpoint_is_one_line_that_says_what_was_looked_for(tmp_path: Path):
    with pytest.raises(CorvidsError, match=r"no checkpoint there; expected a run folder with checkpoint\.pt"):
        find_checkpoint(tmp_path)


# --- What is not a number ------------------------------------------------------------------------------------------


def test_the_signal_and_the_world_that_are_not_finite_are_named():
    env = make_env()
    env.step(torch.zeros(8, 4))
    world = env.env.simulator.world
    assert isinstance(world, World)
    world.body.omega_b.z[5] = math.nan
    with pytest.raises(
        CorvidsError, match=r"training stopped: body\.\S+ is not finite in world 5 \(last checkpoint"
    ) as stop:
        env.step(torch.zeros(8, 4))
    assert "\n" not in str(stop.value)


def test_a_network_that_has_diverged_is_named_as_the_action():
    env, actions = make_env(), torch.zeros(8, 4)
    actions[6, 3] = math.nan
    with pytest.raises(CorvidsError, match="training stopped: action is not finite in world 6"):
        env.step(actions)


def test_a_sensor_that_gives_no_number_is_named_as_the_observation():
    env = make_env()
    assert isinstance(env.env, Environment)
    env.env._at.sensors[0, 3] = math.nan  # a delay
    with pytest.raises(CorvidsError, match="training stopped: observation 'actor' is not finite in world 3"):
        env.step(torch.zeros(8, 4))


@pytest.mark.parametrize("batch", [2, 3])
@pytest.mark.parametrize("network", ["actor", "critic"])
def test_a_diverged_network_stops_training_and_never_becomes_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, batch: int, network: str
):
    """Saved are batches 1 and 3: what the third leaves behind must not take the place of the first's."""
    batches, update = [], PPO.update

    def poisoned(self: PPO) -> dict[str, float]:
        batches.append(len(batches))
        losses = update(self)
        if len(batches) == batch:
            next(getattr(self, network).parameters()).data.view(-1)[-1] = math.nan
        return losses

    monkeypatch.setattr(PPO, "update", poisoned)
    with pytest.raises(CorvidsError, match=rf"training stopped: {network} weight \S+ is not finite"):
        train(tiny(iterations=9, save_every=2), tmp_path)
    assert len(batches) == batch
    state = read_checkpoint(tmp_path)
    assert state["iter"] == 0
    assert torch.isfinite(weights(state)).all()


# --- Configurations ------------------------------------------------------------------------------------------------


def test_every_number_of_a_configuration_has_bounds_and_every_preset_is_within_them():
    assert {name for name, _ in numbers(TrainConfig())} == set(BOUNDS)
    for presets in PRESETS.values():
        assert {"quick", "full"} <= set(presets)
        for config in presets.values():
            check_config(config)


def changed(name: str, value) -> TrainConfig:
    """The default configuration with one field changed, by its dotted name."""

    def replaced(config, names: list[str]):
        first, *rest = names
        return dataclasses.replace(
            config, **{first: replaced(getattr(config, first), rest) if rest else value}
        )

    return replaced(TrainConfig(), name.split("."))


@pytest.mark.parametrize("name", BOUNDS)
def test_a_number_out_of_bounds_is_refused_by_its_name(name: str):
    low, high = BOUNDS[name]
    value = dict(numbers(TrainConfig()))[name]
    for bad in (low - 1, high + 1, math.nan):
        wrong = (bad,) * max(len(value), 1) if isinstance(value, tuple) else bad
        with pytest.raises(CorvidsError) as refusal:
            check_config(changed(name, wrong))
        assert str(refusal.value).startswith(f"config.{name} = ")
        assert "is out of range; allowed: " in str(refusal.value)
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("env.randomization.mass_factor", (1.2, 0.8), "the wrong way round"),
        ("network.actor", (), "must name the size of one layer"),
        ("network", NetworkConfig(noise_std=0.1, noise_std_min=0.2), "must not be below noise_std_min, 0.2"),
        ("ppo", PpoConfig(steps=1, minibatches=4096), "must not exceed a batch, worlds · steps = 2048"),
        ("env.randomization.command_delay_s", (0.0, 0.03), "must be below a control step, 0.02 s"),
        ("env.randomization.ball_period_s", (0.005, 0.01), "more than 3 measurements in a control step"),
    ],
)
def test_numbers_that_cannot_be_together_are_refused(name: str, value, reason: str):
    with pytest.raises(CorvidsError, match=reason) as refusal:
        check_config(changed(name, value))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("signal", ["vehicle", "ball"])
def test_a_delay_beyond_the_simulators_memory_is_refused(tmp_path: Path, signal: str):
    """A ring of 0.128 s holds 0.124 s of interpolable past; beyond, it would hand out the newest for the oldest."""
    late = dataclasses.replace(Randomization(), **{f"{signal}_delay_s": (0.1, 0.12)})
    config = tiny()
    env = dataclasses.replace(config.env, physics_hz=500, rate_loop_hz=500, randomization=late)
    with pytest.raises(CorvidsError, match=f"{signal}_delay_s = .* the simulator remembers 0.124 s"):
        train(dataclasses.replace(config, env=env), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_an_unknown_preset_or_task_is_refused_with_what_there_is():
    with pytest.raises(CorvidsError, match="task 'hover' has no preset 'slow'; there are: quick, full"):
        preset("hover", "slow")
    with pytest.raises(CorvidsError, match="unknown task 'hoover'; there are: juggle, hover, track"):
        preset("hoover", "quick")
