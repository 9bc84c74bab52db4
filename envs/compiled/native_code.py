"""C++ written at run time, compiled for the processor at hand."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

from corvids.errors import CorvidsError

_FLAGS = (
    "-std=c++17", "-O3", "-shared", "-fPIC",
    # Not -ffast-math nor any of its parts that would lose NaN, which is how a run-away is noticed: with associative
    # sums, a + relu(b - a) becomes b where a is NaN.
    "-ffp-contract=fast", "-freciprocal-math", "-fno-signed-zeros", "-fno-trapping-math", "-fno-math-errno",
)  # fmt: skip
_IF_KNOWN = (("-march=native", "-fopenmp"), ("-march=native", "-fopenmp-simd"), ())
"""What makes it fast, most first: not every compiler has all."""


def find_compiler() -> str | None:
    """The C++ compiler, if there is one."""
    return shutil.which("g++") or shutil.which("clang++")


@functools.cache
def load(source: str) -> ctypes.CDLL:
    """The library that ``source`` is compiled to: about a second's work, done once a process and not kept on disk."""
    compiler = find_compiler()
    if compiler is None:
        raise CorvidsError("no C++ compiler found: install g++ or clang++, or run without compiling")
    with tempfile.TemporaryDirectory(prefix="corvids-") as folder:
        code, library = Path(folder, "code.cpp"), Path(folder, "code.so")
        code.write_text(source, "utf-8")
        said = ""
        for flags in _IF_KNOWN:
            command = [compiler, *_FLAGS, *flags, str(code), "-o", str(library)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode == 0:
                return ctypes.CDLL(str(library))
            said = said or next(
                (line for line in done.stderr.splitlines() if "error" in line), "no reason given"
            )
    raise CorvidsError(f"{compiler} failed: {said}; repair it, or run without compiling")
