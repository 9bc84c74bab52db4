"""A run that was stopped, even by kill -9, goes on where it was, with what it was started with."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from runs import UNCOMPILED, flags, program_environment, python, read_checkpoint, tiny, uncompiled, weights

from corvids.cli import main
from corvids.commands.train import LOCK, train
from corvids.errors import CorvidsError
from corvids.training.config import NetworkConfig
from corvids.training.runner import CHECKPOINT, Runner


@pytest.fixture(autouse=True)
def _uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    uncompiled(monkeypatch)


def batches_of(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Filled with the number of each batch that is learnt from now on."""
    learnt, log = [], Runner.learn

    def noted(self: Runner, remaining: int, **options) -> None:
        update = self.alg.update

        def counted() -> dict[str, float]:
            learnt.append(first + len(learnt))
            return update()

        first = self.current_learning_iteration
        monkeypatch.setattr(self.alg, "update", counted)
        log(self, remaining, **options)

    monkeypatch.setattr(Runner, "learn", noted)
    return learnt


def test_a_resumed_run_goes_on_with_the_next_batch_and_ends_at_the_configured_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    train(tiny(iterations=3), tmp_path)
    before = read_checkpoint(tmp_path)
    learnt = batches_of(monkeypatch)
    train(tiny(iterations=7), tmp_path, resume=True)
    assert learnt == [3, 4, 5, 6]
    after = read_checkpoint(tmp_path)
    assert (before["iter"], after["iter"]) == (2, 6)
    assert not torch.equal(weights(after), weights(before))


def test_networks_optimizer_and_normalisation_are_those_of_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    train(tiny(), tmp_path)
    saved, seen = read_checkpoint(tmp_path), []
    monkeypatch.setattr(Runner, "train", lambda self: seen.append(self.alg.save()))
    train(tiny(seed=9), tmp_path, resume=True)
    torch.testing.assert_close(seen[0]["actor_state_dict"], saved["actor_state_dict"], atol=0, rtol=0)
    torch.testing.assert_close(seen[0]["critic_state_dict"], saved["critic_state_dict"], atol=0, rtol=0)
    for index, moments in saved["optimizer_state_dict"]["state"].items():
        torch.testing.assert_close(seen[0]["optimizer_state_dict"]["state"][index], moments, atol=0, rtol=0)
    assert float(saved["actor_state_dict"]["obs_normalizer.count"]) > 0


def test_a_run_that_is_done_learns_nothing_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train(tiny(), tmp_path)
    content, learnt = (tmp_path / CHECKPOINT).read_bytes(), batches_of(monkeypatch)
    for iterations in (tiny().iterations, 1, 0):
        train(tiny(iterations=iterations), tmp_path, resume=True)
        assert learnt == []
        assert (tmp_path / CHECKPOINT).read_bytes() == content


def test_the_command_resumes_with_the_runs_own_configuration_and_what_is_given_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A run started with 16 neurons must not fail over the preset's 128, nor silently get the preset's worlds."""
    run = str(tmp_path / "run")
    assert main(["train", "hover", "--run", run, *flags(tiny(iterations=2))]) == 0
    assert (
        main(
            [
                "train",
                "hover",
                "--run",
                run,
                "--resume",
                "--config.iterations",
                "4",
                "--config.save-every",
                "3",
            ]
        )
        == 0
    )
    said = capsys.readouterr()
    assert said.err == ""
    assert f"trained: {run}/checkpoint.pt" in said.out
    state = read_checkpoint(tmp_path / "run")
    assert state["iter"] == 3
    started = state["train_config"]
    assert started == dataclasses.replace(
        started, worlds=8, iterations=4, save_every=3, network=NetworkConfig((16,), (16,))
    )


def test_a_run_from_isaac_lab_goes_on_there_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Where Isaac Lab is missing that is refused, rather than continued in another simulator without a word."""
    train(tiny(iterations=1), tmp_path)
    state = read_checkpoint(tmp_path)
    torch.save({**state, "config": {**state["config"], "sim": "isaac"}}, tmp_path / CHECKPOINT)
    monkeypatch.setattr("corvids.envs.isaac.importlib.util.find_spec", lambda name: None)
    resume = ["train", "hover", "--run", str(tmp_path), "--resume", "--config.iterations", "2"]
    assert main(resume) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("corvids: Isaac Lab (isaaclab) is not installed here")
    assert main([*resume, "--sim", "native"]) == 0
    after = read_checkpoint(tmp_path)
    assert (after["iter"], after["config"]["sim"]) == (1, "native")


# --- Refusals ------------------------------------------------------------------------------------------------------


def test_a_folder_that_holds_a_run_is_not_trained_over(tmp_path: Path):
    train(tiny(iterations=1), tmp_path)
    content = (tmp_path / CHECKPOINT).read_bytes()
    with pytest.raises(
        CorvidsError, match="holds a run already; continue it with --resume or name another --run"
    ):
        train(tiny(), tmp_path)
    assert (tmp_path / CHECKPOINT).read_bytes() == content


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_in_which_another_process_trains_is_refused(tmp_path: Path, resume: bool):
    if resume:
        train(tiny(iterations=1), tmp_path)
    with (tmp_path / LOCK).open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(CorvidsError, match="another process is training there"):
            train(tiny(), tmp_path, resume=resume)
    train(tiny(), tmp_path, resume=resume)  # the lock went with its holder
    assert read_checkpoint(tmp_path)["iter"] == 2


def test_resuming_from_nothing_is_refused_and_makes_no_folder(tmp_path: Path):
    with pytest.raises(CorvidsError, match="no checkpoint there"):
        train(tiny(), tmp_path / "run", resume=True)
    assert not (tmp_path / "run").exists()


def test_other_networks_than_the_checkpoints_are_refused(tmp_path: Path):
    train(tiny(iterations=1), tmp_path)
    with pytest.raises(CorvidsError, match="its networks are not those of this configuration") as refusal:
        train(tiny(network=NetworkConfig((8,), (16,))), tmp_path, resume=True)
    assert "\n" not in str(refusal.value)


# --- kill -9 -------------------------------------------------------------------------------------------------------


def test_after_a_kill_at_any_moment_at_most_one_save_interval_is_lost(tmp_path: Path):
    """The program writes a dot before each batch that it learns; between dots and checkpoint lies what a kill costs."""
    code = UNCOMPILED + (
        "import os, sys\nfrom corvids.cli import main\nfrom rsl_rl.algorithms import PPO\nupdate = PPO.update\n"
        "def counted(self):\n    os.write(2, b'.')\n    return update(self)\n"
        "PPO.update = counted\nsys.exit(main(sys.argv[1:]))\n"
    )
    run, every = tmp_path / "run", 3
    options = ["train", "hover", "--run", str(run), *flags(tiny(iterations=100_000, save_every=every))]
    with (tmp_path / "dots").open("wb") as dots:
        process = subprocess.Popen(
            python(code, *options),
            stdout=subprocess.DEVNULL,
            stderr=dots,
            env=program_environment(),
            cwd=tmp_path,
        )
        try:
            deadline = time.monotonic() + 300.0
            while not (run / CHECKPOINT).exists() or read_checkpoint(run)["iter"] < every:
                assert process.poll() is None, (tmp_path / "dots").read_text()
                assert time.monotonic() < deadline, "no second checkpoint after 300 s"
                time.sleep(0.02)
        finally:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    begun = (tmp_path / "dots").read_bytes().count(b".")
    saved = read_checkpoint(run)["iter"]
    assert saved % every == 0
    assert saved >= every
    assert begun - (saved + 1) <= every
    train(dataclasses.replace(read_checkpoint(run)["train_config"], iterations=saved + 3), run, resume=True)
    assert read_checkpoint(run)["iter"] == saved + 2
    assert sorted(path.name for path in run.iterdir() if "tfevents" not in path.name) == [CHECKPOINT, LOCK]


def test_a_half_written_file_of_a_killed_process_is_in_nobodys_way(tmp_path: Path):
    train(tiny(iterations=1), tmp_path)
    (tmp_path / f".{CHECKPOINT}.4711.tmp").write_bytes(b"PK half")
    train(tiny(), tmp_path, resume=True)
    assert read_checkpoint(tmp_path)["iter"] == 2
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]
