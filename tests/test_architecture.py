"""The rules of the source tree: who may import whom, what each folder may depend on, and what no file does."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
LINKED = ("envs", "controllers", "training", "deploy", "calibration")
MAX_LINES = 400


class Rule(NamedTuple):
    """What the files of one folder may import."""

    corvids: frozenset[str]
    """Modules of corvids, with everything below them."""
    packages: frozenset[str]
    """Third-party packages, by import name."""


def rule(corvids: str, packages: str) -> Rule:
    return Rule(frozenset(corvids.split()), frozenset(packages.split()))


SHARED = frozenset(
    {
        "corvids.correlations",
        "corvids.errors",
        "corvids.quantities",
        "corvids.team",
        "corvids.vehicle",
        "corvids.whole_files",
    }
)
"""Every folder may import these: they need nothing but the standard library."""
RULES = {
    "controllers": rule("corvids.controllers", "numpy torch"),
    "envs": rule(
        "corvids.envs corvids.controllers",
        "numpy torch mujoco imageio matplotlib isaaclab isaaclab_newton newton warp pxr gymnasium pettingzoo",
    ),
    "training": rule(
        "corvids.training corvids.envs corvids.controllers corvids.deploy.contract",
        "numpy torch rsl_rl tensordict tensorboard rich onnx onnxruntime google isaaclab_rl",
    ),
    "deploy": rule("corvids.deploy", "numpy onnxruntime pymavlink mcap"),
    "calibration": rule(
        "corvids.calibration corvids.envs corvids.controllers", "numpy torch scipy pyulog rosbags tomli"
    ),
    "ros_ws": rule(
        "corvids.deploy",
        "corvids_ros numpy rclpy launch launch_ros ament_index_python setuptools "
        "geometry_msgs nav_msgs diagnostic_msgs rcl_interfaces std_srvs",  # px4_msgs: one file, by name, when needed
    ),
    "src/corvids": rule("corvids.named_files corvids.team_checks corvids.vehicle_checks", "tomli tyro"),
}
FOLDERS = [folder for folder in RULES if (ROOT / folder).is_dir()]


def sources(folder: str) -> list[Path]:
    """The Python files of a folder; what lies below src/corvids as a link belongs to the folder it links."""
    return sorted((ROOT / folder).glob("*.py" if folder == "src/corvids" else "**/*.py"))


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and full name of every module, or name in one, that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, "." * node.level + (node.module or "")
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def within(name: str, modules: frozenset[str]) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def violations(folder: str, source: str, where: str = "file") -> list[str]:
    """What a file of ``folder`` imports against the rules."""
    allowed, found = RULES[folder], []
    for line, name in imports(ast.parse(source)):
        top = name.partition(".")[0]
        if name.startswith("."):
            found.append(f"{where}:{line}: relative import {name}; write it out from corvids")
        elif top in LINKED:
            found.append(f"{where}:{line}: {name} makes a second copy of every class; import corvids.{name}")
        elif top == "corvids":
            if not (within(name, allowed.corvids | SHARED) or name in {"corvids", "corvids.__version__"}):
                found.append(f"{where}:{line}: {folder} must not import {name}")
        elif top not in sys.stdlib_module_names and top not in allowed.packages:
            found.append(f"{where}:{line}: {folder} must not depend on {top}")
    return found


@pytest.mark.parametrize("folder", FOLDERS)
def test_imports_follow_the_rules(folder: str):
    composers = {ROOT / "src/corvids/cli.py", ROOT / "src/corvids/__main__.py"}
    files = [path for path in sources(folder) if path not in composers]
    assert files, f"{folder} has no Python file"
    found = [
        v for path in files for v in violations(folder, path.read_text("utf-8"), str(path.relative_to(ROOT)))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("folder", "source"),
    [
        ("deploy", "import torch"),
        ("deploy", "def f():\n    from torch import nn"),
        ("deploy", "from corvids.controllers import spatial"),
        ("deploy", "from corvids import envs"),
        ("controllers", "from corvids.envs.physics.world import World"),
        ("envs", "import corvids.training"),
        ("envs", "from envs import world"),
        ("training", "from corvids.deploy import runtime"),
        ("training", "from corvids.deploy.contracts import x"),
        ("training", "from . import export"),
        ("calibration", "import pandas"),
        ("src/corvids", "import torch"),
    ],
)
def test_a_planted_import_is_found(folder: str, source: str):
    assert len(violations(folder, source)) == 1


def test_what_the_rules_allow_is_not_reported():
    lines = (
        "import math, torch",
        "from corvids.deploy.contract import Contract",
        "from corvids.vehicle import Vehicle",
    )
    assert violations("training", "\n".join(lines)) == []


def test_the_command_line_loads_nothing_before_it_is_asked():
    """`corvids --help` on the companion computer must neither need nor wait for torch."""
    path = ROOT / "src/corvids/cli.py"
    eager = [] if not path.exists() else ast.parse(path.read_text("utf-8")).body
    found = [
        f"cli.py:{line}: {name}"
        for statement in eager
        if isinstance(statement, (ast.Import, ast.ImportFrom))
        for line, name in imports(statement)
        if name.partition(".")[0] not in {*sys.stdlib_module_names, "tyro"}
        and not within(name, SHARED | {"corvids.__version__"})
    ]
    assert not found, "import inside the function that needs it: " + ", ".join(found)


def test_isaac_is_one_folders_affair():
    """Isaac Lab takes seconds to import, and few have it: its folder is entered where it was asked for alone."""
    inside = ROOT / "envs/isaac"
    found = []
    for path in product_files():
        if path.is_relative_to(inside):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        eager = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        named = {name for _, name in imports(tree)}
        tops = {name.partition(".")[0] for name in named}
        few = {"isaaclab", "isaaclab_newton", "newton", "warp", "pxr", "gymnasium", "pettingzoo"}
        if path.name == "pettingzoo_env.py":  # which nothing else here imports
            few -= {"gymnasium", "pettingzoo"}
        found += [f"{path.name}: {top}" for top in tops & few]
        found += [
            f"{path.name}: {name} as it is loaded"
            for node in eager
            for _, name in imports(node)
            if within(name, frozenset({"corvids.envs.isaac"})) and name != "corvids.envs.isaac.require_isaac"
        ]
    assert not found, found


def product_files() -> list[Path]:
    return [path for folder in FOLDERS for path in sources(folder)]


def test_no_assert_outside_tests():
    """`python -O` removes assert, and its message answers no question."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in product_files()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert not found, found


def test_no_file_is_long():
    sizes = {
        path: len(path.read_text("utf-8").splitlines())
        for path in [*product_files(), *(ROOT / "tests").rglob("*.py")]
    }
    assert not {str(path.relative_to(ROOT)): size for path, size in sizes.items() if size > MAX_LINES}


@pytest.mark.parametrize("folder", LINKED)
def test_each_folder_is_linked_into_the_package(folder: str):
    assert os.readlink(ROOT / "src/corvids" / folder) == f"../../{folder}"
    docstring = ast.get_docstring(ast.parse((ROOT / folder / "__init__.py").read_text("utf-8")))
    assert docstring, f"{folder}/__init__.py says nothing"


def test_no_bare_import_in_tests():
    found = [
        f"{path.name}:{line}: {name}"
        for path in (ROOT / "tests").rglob("*.py")
        for line, name in imports(ast.parse(path.read_text("utf-8")))
        if name.partition(".")[0] in LINKED
    ]
    assert not found, found


def asserts(function: ast.FunctionDef, helpers: dict[str, ast.FunctionDef]) -> bool:
    """Whether a test can fail: it asserts, expects an exception, or calls a helper of its file that does."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in {"raises", "warns", "fail"} or name.startswith(("assert_", "check_")):
                return True
            helper = helpers.get(name)
            if helper is not None and helper is not function and asserts(helper, helpers):
                return True
    return False


def test_every_test_can_fail():
    idle = []
    for path in (ROOT / "tests").rglob("test_*.py"):
        functions = {
            n.name: n for n in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(n, ast.FunctionDef)
        }
        idle += [
            f"{path.name}: {n}"
            for n, f in functions.items()
            if n.startswith("test_") and not asserts(f, functions)
        ]
    assert not idle, idle


def test_no_two_test_files_share_a_name():
    """Pytest imports them by name alone: one of two such files would not be collected."""
    names = [path.name for path in sorted((ROOT / "tests").rglob("test_*.py"))]
    assert sorted(set(names)) == sorted(names)
