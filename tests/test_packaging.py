"""What is installed: the wheel holds every folder, and what flies runs without torch and on Python 3.10."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
LINKED = ("envs", "controllers", "training", "deploy", "calibration")
NOT_COPIED = shutil.ignore_patterns(
    ".*", "build", "dist", "runs", "out", "*.egg-info", "__pycache__", "shared", "pretrained"
)


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the tree, so that the build leaves nothing behind; needs no network."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "tree", symlinks=True, ignore=NOT_COPIED)
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, folder / "tree")
    (built,) = folder.glob("corvids-*.whl")
    return built


def test_the_wheel_holds_every_source_file(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    expected = {
        f"corvids/{path.relative_to(ROOT)}" for folder in LINKED for path in (ROOT / folder).rglob("*.py")
    }
    expected |= {f"corvids/{path.name}" for path in (ROOT / "src/corvids").glob("*.py")}
    expected |= {f"corvids/envs/vehicles/{path.name}" for path in (ROOT / "envs/vehicles").glob("*.toml")}
    assert len(expected) > 10
    assert (expected | {"corvids/py.typed"}) <= packed


def test_the_wheel_installs_and_reads_a_vehicle_with_nothing_else_there(wheel: Path, tmp_path: Path):
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        tmp_path,
        wheel,
    )
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from corvids.vehicle import load_vehicle, vehicle_names\n"
        "print(*[load_vehicle(name).name for name in vehicle_names()])"
    )
    # -I -S: no site-packages, so an import of torch or numpy would fail here.
    assert run(sys.executable, "-I", "-S", "-c", program).split() == [
        "air",
        "crazyflie",
        "falcon",
        "px4_sih",
        "x500",
    ]


DEPLOY_MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "deploy").rglob("*.py")
]
IMPORT_DEPLOY = f"""
import importlib, sys
sys.path.insert(0, {str(ROOT / "src")!r})
for name in ("torch", "rsl_rl", "onnx", "mujoco", "corvids.envs", "corvids.controllers", "corvids.training"):
    sys.modules[name] = None  # makes an import of it fail
print(*[importlib.import_module("corvids." + name).__name__ for name in {DEPLOY_MODULES!r}])
"""


def test_deploy_loads_without_torch():
    assert run(sys.executable, "-c", IMPORT_DEPLOY).split() == [f"corvids.{name}" for name in DEPLOY_MODULES]


@pytest.fixture(scope="module")
def python310() -> str:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for candidate in [shutil.which("python3.10"), *pyenv.glob("versions/3.10.*/bin/python3.10")]:
        if (
            candidate
            and subprocess.run([candidate, "-c", ""], capture_output=True, check=False).returncode == 0
        ):
            return str(candidate)
    pytest.skip("no python3.10 on this machine")


def test_vehicle_files_load_on_python_310(python310: str):
    """A stand-in for tomli hands over what tomllib parsed here, so that nothing has to be installed there."""
    table = tomllib.loads((ROOT / "envs/vehicles/air.toml").read_text("utf-8"))
    program = f"""
import json, sys, types
sys.path.insert(0, {str(ROOT / "src")!r})
sys.modules["tomli"] = types.SimpleNamespace(loads=lambda text: json.loads({json.dumps(table)!r}))
from corvids.vehicle import load_vehicle
print(sys.version_info[1], load_vehicle("air").body.mass_kg)
"""
    assert run(python310, "-c", program).split() == ["10", "1.0975"]


def test_what_flies_compiles_on_python_310(python310: str):
    files = [
        path
        for pattern in ("deploy/**/*.py", "src/corvids/*.py", "ros_ws/**/*.py")
        for path in ROOT.glob(pattern)
    ]
    program = (
        "import sys\nfor path in sys.argv[1:]: compile(open(path, encoding='utf-8').read(), path, 'exec')"
    )
    assert run(python310, "-c", program, *files) == ""


def test_deploy_loads_on_python_310(python310: str):
    needed = ("numpy", "onnxruntime", "tomli")
    find = f"import importlib.util as u; print(*[name for name in {needed!r} if not u.find_spec(name)])"
    missing = run(python310, "-c", find).split()
    if missing:
        pytest.skip(f"python3.10 lacks {', '.join(missing)}")
    assert run(python310, "-c", IMPORT_DEPLOY).split() == [f"corvids.{name}" for name in DEPLOY_MODULES]
