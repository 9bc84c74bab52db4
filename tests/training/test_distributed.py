"""Several processes under torchrun learn one policy from worlds of their own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runs import ROOT, UNCOMPILED, program_environment, read_checkpoint, weights

PROGRAM = (
    UNCOMPILED
    + """
import os, sys
from pathlib import Path
import torch
from runs import tiny
from corvids.commands.train import train
from corvids.training.runner import Runner

folder, rank = Path(sys.argv[1]), os.environ["RANK"]
learn = Runner.learn

def kept(self, *arguments, **options):
    learn(self, *arguments, **options)
    critic = self.env.get_observations()["critic"]
    torch.save({**self.alg.save(), "critic_input": critic, "rank": self.gpu_global_rank}, folder / f"rank{rank}.pt")

Runner.learn = kept
train(tiny(seed=3), folder / "run")
"""
)


@pytest.mark.slow
def test_two_processes_on_the_cpu_end_with_equal_parameters_from_different_worlds(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-addr", "127.0.0.1",
        "--master-port", str(port), str(program), str(tmp_path),
    ]  # fmt: skip
    environment = program_environment()
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert (first["rank"], second["rank"]) == (0, 1)
    torch.testing.assert_close(weights(second), weights(first), atol=0, rtol=0)
    assert (first["critic_input"] != second["critic_input"]).any(dim=1).all()
    state = read_checkpoint(tmp_path / "run")
    assert state["iter"] == 2
    torch.testing.assert_close(weights(state), weights(first), atol=0, rtol=0)
    curves = [path for path in (tmp_path / "run").iterdir() if "tfevents" in path.name]
    assert len(curves) == 1  # the first process alone writes
