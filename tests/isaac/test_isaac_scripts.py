"""Isaac Lab's own train and play scripts learn and fly a task of ours, as somebody who knows only them runs them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest

from corvids.envs.tasks import TASKS

pytestmark = [pytest.mark.isaac, pytest.mark.slow]
SCRIPT = str(Path(sys.executable).parent / "isaaclab")
TASK = ("--rl_library", "rsl_rl", "--task", "Corvids-Hover-v0", "--num_envs", "16", "--device", "cpu")
LIMIT_S = 240.0


@contextlib.contextmanager
def running(cwd: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """Isaac Lab's command; what it leaves of itself is ended."""
    cache = Path(os.environ.get("WARP_CACHE_PATH", cwd / "warp")).resolve()
    environment = {**os.environ, "WARP_CACHE_PATH": str(cache), "PYTHONUNBUFFERED": "1"}
    command = [SCRIPT, words[0], *TASK, *words[1:]]
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def said(process: subprocess.Popen[bytes], word: str) -> str:
    """What it says until ``word``, or until it ends."""
    assert process.stdout is not None
    text, until = "", time.monotonic() + LIMIT_S
    while word not in text:
        ready, _, _ = select.select([process.stdout], [], [], max(until - time.monotonic(), 0.0))
        assert ready, f"not a word of {word!r} in {LIMIT_S} s:\n{text[-3000:]}"
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            break
        text += chunk.decode(errors="replace")
    return text


def test_what_their_script_trains_their_script_plays(tmp_path: Path):
    """Two iterations of rsl_rl; then the checkpoint is flown and exported, until Ctrl+C ends it, without an error."""
    with running(tmp_path, "train", "--max_iterations", "2") as training:
        learned = said(training, "\0")
        assert training.wait(LIMIT_S) == 0, learned[-3000:]
    assert "Mean reward" in learned
    (checkpoint,) = tmp_path.glob("logs/rsl_rl/corvids_hover/*/model_1.pt")
    with running(tmp_path, "play", "--checkpoint", str(checkpoint)) as playing:
        flown = said(playing, "playback is running")
        time.sleep(2.0)
        assert playing.poll() is None, flown + said(playing, "\0")
        playing.send_signal(signal.SIGINT)
        rest = said(playing, "\0")
        assert playing.wait(LIMIT_S) == 0, rest[-3000:]
    assert "Traceback" not in flown + rest
    policy = onnx.load(str(checkpoint.parent / "exported/policy.onnx"))
    sizes = [
        value.type.tensor_type.shape.dim[-1].dim_value
        for value in (*policy.graph.input, *policy.graph.output)
    ]
    assert sizes == [len(TASKS["hover"].MIRRORS), 4]
