"""Peers, each measured by a process of the interpreter in which it is installed."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

from corvids.commands.benching.peer_worker import CONTESTANTS, PHYSICS_HZ, Sample
from corvids.commands.benching.rows import Row
from corvids.errors import CorvidsError

WORKER = Path(__file__).with_name("peer_worker.py")


def check_peers(peers: tuple[str, ...], python: str) -> None:
    """Refuse peers that are unknown, or not installed for the interpreter ``python``."""
    for peer in peers:
        if peer not in CONTESTANTS:
            raise CorvidsError(f"--against: unknown peer {peer!r}; there are: {', '.join(CONTESTANTS)}")
        find = f"import importlib.util as u, sys; sys.exit(u.find_spec({peer!r}) is None)"
        try:
            found = subprocess.run([python, "-c", find], capture_output=True)
        except OSError as error:
            raise CorvidsError(
                f"--peer-python {python}: {error.strerror}; name a Python interpreter"
            ) from None
        if found.returncode:
            raise CorvidsError(
                f"--against {peer}: not installed for {python}; install it there (pip install {peer}) or name"
                " another interpreter with --peer-python"
            )


class Peer:
    """One loop of a peer, built and warm in a process of its own that waits for its turns.

    Raises :class:`CorvidsError` with the peer's own words where it cannot be built.
    """

    def __init__(
        self,
        peer: str,
        name: str,
        worlds: int,
        device: str,
        threads: int,
        seconds: float,
        python: str = sys.executable,
    ) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 closed with the process
        words = (peer, name, worlds, device, threads, seconds)
        self._process = subprocess.Popen(
            [python, str(WORKER), *map(str, words)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
        )  # fmt: skip
        self._who = f"{peer} ({name}, {worlds} worlds)"
        try:
            ready = self._read()
        except BaseException:
            self.close()
            raise
        self.version = str(ready["version"])
        self.row = Row(name, str(ready["task"]), worlds, device, PHYSICS_HZ, int(ready["control_hz"]), peer)

    def measure(self) -> Sample:
        """One round."""
        stdin = _stream(self._process.stdin)
        try:
            stdin.write("\n")
            stdin.flush()
        except BrokenPipeError:
            pass  # it ended; what it said last is read below
        return Sample(**self._read())

    def extras(self) -> dict[str, float]:
        """None."""
        return {}

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._errors):
            _stream(stream).close()

    def _read(self) -> dict[str, Any]:
        line = _stream(self._process.stdout).readline()
        try:
            answer = json.loads(line)
        except json.JSONDecodeError:
            self._errors.seek(0)
            said = [text.strip() for text in self._errors if text.strip()]
            raise CorvidsError(f"{self._who} ended early: {said[-1] if said else 'without a word'}") from None
        if "error" in answer:
            raise CorvidsError(f"{self._who} cannot be measured: {answer['error']}")
        return answer


def _stream(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise TypeError("the process was started without pipes")
    return stream
