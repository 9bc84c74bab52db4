"""Where Isaac Lab is not installed, one line says how to come by it, and nothing is left behind."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from corvids import cli

ROOT = Path(__file__).resolve().parents[1]
POLICY = str(ROOT / "pretrained/juggle.onnx")
CARRY = str(ROOT / "pretrained/carry.onnx")


@pytest.mark.parametrize(
    "argv",
    [
        ("eval", "juggle", "--policy", POLICY, "--plant", "isaac", "--json", "figures.json"),
        ("fly", "juggle", "--policy", POLICY, "--plant", "isaac", "--seconds", "1"),
        ("train", "hover", "--sim", "isaac", "--run", "run"),
        ("eval", "carry", "--policy", CARRY, "--plant", "isaac", "--json", "figures.json"),
        ("train", "carry", "--sim", "isaac", "--run", "run"),
    ],
    ids=["eval", "fly", "train", "eval-team", "train-team"],
)
def test_one_line_says_how_to_install_it(
    argv: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *rest: None if name == "isaaclab" else find_spec(name, *rest),
    )
    monkeypatch.chdir(tmp_path)
    assert cli.main(list(argv)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "make setup-isaac" in line and "corvids[isaac]" in line and "Python 3.12" in line
    assert list(tmp_path.iterdir()) == []
