"""What a vehicle's computer needs: no torch, little space, and a unit that does what its comments say."""

from __future__ import annotations

import configparser
import dataclasses
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from corvids.cli import COMMANDS
from corvids.commands.evaluating.place import COMMANDERS
from corvids.commands.fly import PLACE_TASKS, FlyOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
LIMIT_BYTES = 200e6
HEAVY = ("torch", "rsl_rl", "onnx", "mujoco", "matplotlib", "scipy")


def closure() -> Iterator[Distribution]:
    """The distributions that a base install brings, as far as this environment's Python is concerned."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    waiting, met = [Requirement(text) for text in project["dependencies"]], set()
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower().replace("_", "-")
        if name in met or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        met.add(name)
        found = distribution(requirement.name)
        yield found
        waiting += [Requirement(text) for text in found.requires or ()]


def is_kept(path: str) -> bool:
    """What `make onboard` leaves: no byte code, and one of pymavlink's dialects."""
    if path.endswith(".pyc"):
        return False
    return "pymavlink/dialects/" not in path or path.endswith(("v20/common.py", "__init__.py"))


def test_a_base_install_has_no_torch_and_takes_less_than_200_mb():
    names, size = set(), 0
    for one in closure():
        names.add(one.metadata["Name"].lower())
        size += sum(file.size or 0 for file in one.files or () if is_kept(str(file)))
    assert {"numpy", "onnxruntime", "pymavlink", "mcap", "tyro"} <= names
    assert not names & set(HEAVY)
    assert 50e6 < size < LIMIT_BYTES, f"{size / 1e6:.0f} MB"


PRETENDED = """#!/bin/sh
echo "$0 $*" >> calls
case "$2" in
    venv) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
    pip) ;;
    *) exec {python} -c 'import sys; sys.version_info = {version}; exec(sys.argv[2])' "$@" ;;
esac
"""
"""An interpreter of some version, whose venv and pip only say that they were asked."""


def make_onboard(
    folder: Path, interpreters: dict[str, tuple[int, int]], *given: str
) -> tuple[int, str, list[str]]:
    """`make onboard` where there are these interpreters alone: exit code, errors, and what they were asked to do."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("cp", "du", "find", "mkdir"):
        (programs / name).symlink_to(str(shutil.which(name)))
    for name, version in interpreters.items():
        (programs / name).write_text(PRETENDED.format(python=sys.executable, version=version))
        (programs / name).chmod(0o755)
    done = subprocess.run(
        [str(shutil.which("make")), "--silent", "-f", str(ROOT / "Makefile"), "onboard", *given],
        cwd=folder,
        env={"PATH": str(programs)},  # no MAKEFLAGS of the make that may run these tests
        capture_output=True,
        text=True,
        check=False,
    )
    log = folder / "calls"
    calls = [line.split() for line in log.read_text().splitlines()] if log.exists() else []
    asked = [f"{Path(call[0]).name} {' '.join(call[1:])}" for call in calls if call[1] == "-m"]
    return done.returncode, done.stderr, asked


@pytest.mark.parametrize(
    ("interpreters", "given", "chosen"),
    [
        ({"python3.10": (3, 10)}, (), "python3.10"),
        ({"python3": (3, 10)}, (), "python3"),
        ({"python3.10": (3, 10), "python3.12": (3, 12)}, (), "python3.12"),
        ({"python3.10": (3, 10), "python3.12": (3, 12)}, ("PYTHON=python3.10",), "python3.10"),
    ],
)
def test_it_is_made_by_python_310_where_there_is_no_other(
    interpreters: dict[str, tuple[int, int]], given: tuple[str, ...], chosen: str, tmp_path: Path
):
    """Ubuntu 22.04 has Python 3.10, and a pip that installs where it is itself alone."""
    code, said, asked = make_onboard(tmp_path, interpreters, *given)
    assert code == 0, said
    assert asked[0] == f"{chosen} -m venv .venv-onboard"
    assert all(call.startswith("python -m pip ") for call in asked[1:]), "the environment's own"
    verbs = [next(word for word in ("install", "uninstall") if word in call.split()) for call in asked[1:]]
    assert verbs == ["install", "uninstall"], "what installed it does not stay"
    assert not any("--python" in call for call in asked)


@pytest.mark.parametrize(
    ("interpreters", "given"),
    [
        ({}, ()),
        ({"python3": (3, 9)}, ()),
        ({"python3.9": (3, 9), "python3.12": (3, 12)}, ("PYTHON=python3.9",)),
    ],
)
def test_without_an_interpreter_that_will_do_it_says_which_would(
    interpreters: dict[str, tuple[int, int]], given: tuple[str, ...], tmp_path: Path
):
    code, said, asked = make_onboard(tmp_path, interpreters, *given)
    first, *others = said.splitlines()
    assert code != 0
    assert first.startswith("Python 3.10 or later with venv not found")
    assert all(line.startswith("make: ***") for line in others)
    assert asked == []


def test_what_flies_loads_without_torch():
    """Everything that a vehicle's computer is asked to do, up to the point where it would need a vehicle."""
    program = f"""
import sys
sys.path.insert(0, {str(ROOT / "src")!r})
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {HEAVY!r}:
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Missing())
from corvids.cli import main
import corvids.deploy.px4.link_keeper, corvids.commands.flying.px4
codes = [
    main(["fly", "juggle", "--plant", "px4", "--policy", {str(ROOT / "pretrained/juggle.onnx")!r}]),
    main(["mocap", "listen", "--listen", "udp:127.0.0.1:1x"]),
    main(["doctor", "--link", "nowhere"]),
    main(["px4-params", "--out", "a.txt"]),
    main(["report", "none.mcap"]),
]
print(*codes)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["2"] * 5, done.stderr
    assert "torch" not in done.stderr
    assert "--arm" in done.stderr


def test_the_tasks_that_are_flown_by_place_are_known_without_loading_their_simulator():
    assert tuple(COMMANDERS) == PLACE_TASKS


def test_the_unit_starts_what_exists_and_leaves_the_keeper_alone():
    text = (ROOT / "docs" / "corvids-fly@.service").read_text("utf-8")
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)
    service = unit["Service"]
    assert service["KillMode"] == "process", "systemd would end the keeper, too"
    assert service["Restart"] == "no"
    assert "Install" not in unit, "it must not be possible to enable it"
    program, verb, task, *words = shlex.split(service["ExecStart"])
    assert (program.rsplit("/", 1)[-1], task) == ("corvids", "%i")
    assert verb in COMMANDS
    known = {f"--{field.name.replace('_', '-')}" for field in dataclasses.fields(FlyOptions)}
    assert {word for word in words if word.startswith("--")} <= known
    assert "--arm" in words


def test_the_first_flight_names_commands_and_options_that_exist():
    text = (ROOT / "docs" / "first-flight.md").read_text("utf-8")
    assert len(re.findall(r"^ ?\d+\. \*\*", text, flags=re.MULTILINE)) == 10
    for verb in re.findall(r"corvids\s+([a-z][a-z0-9-]*)", text):
        assert verb in COMMANDS, verb
    from corvids.commands.calibrate import main as calibrate
    from corvids.commands.doctor import DoctorOptions
    from corvids.commands.mocap import MocapOptions
    from corvids.commands.px4_params import Px4ParamsOptions

    assert callable(calibrate)
    options = (FlyOptions, DoctorOptions, MocapOptions, Px4ParamsOptions)
    known = {f"--{field.name.replace('_', '-')}" for one in options for field in dataclasses.fields(one)}
    unknown = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", text)) - known - {"--version"}
    assert not unknown
