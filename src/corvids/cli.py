"""The ``corvids`` command: finds the verb, and turns every mistake of the user's into one line and exit code 2."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import io
import os
import re
import sys
from collections.abc import Collection
from typing import TypeVar, cast

from corvids import __version__
from corvids.errors import CorvidsError
from corvids.quantities import nearest

COMMANDS: dict[str, str] = {
    "train": "train a task in thousands of parallel worlds",
    "export": "turn a trained run into one policy file (ONNX)",
    "fly": "fly a policy file in a plant; record, render",
    "eval": "score a policy file over many trials: JSON and report page",
    "report": "make the page of a flight from its record (MCAP)",
    "calibrate": "plan flights, and fit a vehicle file to their logs: values with error bars, JSON and report page",
    "bench": "measure the speed of simulator and training, and of peers",
    "px4-params": "write the PX4 parameters that match a vehicle file",
    "doctor": "check a vehicle with PX4, or its simulator, before flight: a fix for each line",
    "mocap": "hand motion capture (NatNet, Vicon) on to a flying computer, or listen to it",
    "demo": "train quickly, export, fly in MuJoCo, report: the whole path in minutes",
}
"""Verbs and what they are for. Each is ``main(argv)`` in ``corvids.commands.<verb>``."""

Options = TypeVar("Options")
_MODULES = {"eval": "evaluate", "px4-params": "px4_params"}
_EXTRA_OF = {
    **dict.fromkeys(("torch", "rsl_rl", "tensordict", "onnx", "onnxscript", "rich", "tensorboard"), "train"),
    **dict.fromkeys(("isaaclab", "isaaclab_newton", "newton", "pxr", "gymnasium"), "isaac"),
    **dict.fromkeys(("mujoco", "imageio", "imageio_ffmpeg", "matplotlib"), "sim"),
    **dict.fromkeys(("scipy", "pyulog", "rosbags"), "calibrate"),
}


def main(argv: list[str] | None = None) -> int:
    """Run ``corvids <verb> …``; returns the exit code: 0 done, 2 the user's mistake, 130 interrupted."""
    argv = sys.argv[1:] if argv is None else argv
    try:
        return _dispatch(argv)
    except CorvidsError as error:
        print(f"corvids: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        extra = _EXTRA_OF.get((error.name or "").split(".")[0])
        if extra is None:
            raise
        print(
            f"corvids: this needs {error.name}; install it with: pip install 'corvids[{extra}]'",
            file=sys.stderr,
        )
        return 2
    except KeyboardInterrupt:
        print("corvids: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(f"corvids {__version__}\n\nusage: corvids <verb> [options]   (corvids <verb> --help)\n")
        for name, purpose in COMMANDS.items():
            print(f"  {name:8} {purpose}")
        return 0
    if argv[0] == "--version":
        print(__version__)
        return 0
    verb = argv[0]
    if verb not in COMMANDS:
        close = difflib.get_close_matches(verb, COMMANDS, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(COMMANDS)}"
        raise CorvidsError(f"unknown command {verb!r}; {hint}")
    module = importlib.import_module(f"corvids.commands.{_MODULES.get(verb, verb)}")
    return module.main(argv[1:])


def first_word(argv: list[str], verb: str, what: str, known: Collection[str]) -> tuple[str, list[str]]:
    """The leading positional argument and the rest; raises :class:`CorvidsError` where it is missing or unknown."""
    if argv and argv[0] in ("-h", "--help"):
        print(f"usage: corvids {verb} {what.upper()} [options]   {what}: {', '.join(known)}")
        print(f"       corvids {verb} {next(iter(known))} --help   lists the options")
        raise SystemExit(0)
    if not argv or argv[0].startswith("-"):
        raise CorvidsError(
            f"{verb}: which {what}? corvids {verb} {what.upper()} …, with one of: {', '.join(known)}"
        )
    if argv[0] not in known:
        raise CorvidsError(f"{verb}: unknown {what} {argv[0]!r}{nearest(argv[0], list(known))}")
    return argv[0], argv[1:]


def option_value(argv: list[str], option: str) -> str | None:
    """Value of ``--option value`` or ``--option=value``, the last one, before the real parsing."""
    value = None
    for word, following in zip(argv, [*argv[1:], ""], strict=False):
        if word == option:
            value = following
        elif word.startswith(option + "="):
            value = word.split("=", 1)[1]
    return value


def parse(options: type[Options], argv: list[str], usage: str, default: Options | None = None) -> Options:
    """``argv`` as an instance of the dataclass ``options`` (by tyro); raises :class:`CorvidsError` in one line."""
    import tyro

    captured = io.StringIO()
    try:
        with contextlib.redirect_stderr(captured):
            words = {"args": argv, "prog": f"corvids {usage}", "use_underscores": False}
            return tyro.cli(options, default=cast(Options, default), **words)
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise CorvidsError(
            f"{usage}: {_said_in_box(captured.getvalue())} (see: corvids {usage} --help)"
        ) from None


def _said_in_box(text: str) -> str:
    """The error in tyro's box as one line: a title, a rule, the error, a rule, perhaps the option that was meant."""
    sections: list[list[str]] = [[]]
    for line in re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines():
        bare = line.strip(" │\t")
        if re.match(r"[╭╰]|[─-]+$", bare):
            sections.append([])
        elif bare:
            sections[-1].append(bare)
    error = " ".join(sections[1]) if len(sections) > 1 else " ".join(text.split())
    meant = [lines[1] for lines in sections if len(lines) > 1 and lines[0].startswith("Perhaps you meant")]
    option = re.match(r"--[\w.-]+", meant[0]) if meant else None
    return f"{error}; did you mean {option[0]}?" if option else error
