"""A record of a flight, read back: what was written is what is there, and the same policy answers the same."""

from __future__ import annotations

import math
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import policy_lab
import pytest
from supervisor_lab import DT_S, Scene, make_supervisor

from corvids.cli import main
from corvids.commands.flying.replay import replay
from corvids.commands.report import ReportOptions, flight_page
from corvids.deploy.flight_log import read_flight_log
from corvids.deploy.flight_record import FlightRecord
from corvids.deploy.pilot import Pilot
from corvids.deploy.policy import PolicyFile, read_policy_file
from corvids.deploy.record_about import about
from corvids.deploy.runtime import fly
from corvids.errors import CorvidsError
from corvids.vehicle import load_vehicle

POLICY = Path(__file__).resolve().parents[2] / "pretrained" / "juggle.onnx"
TICKS = 150


class Read(NamedTuple):
    """See :class:`corvids.deploy.pilot.Readings`."""

    stamp_s: np.ndarray
    pos_w: np.ndarray
    vel_w: np.ndarray
    quat_wb: np.ndarray
    omega_b: np.ndarray
    ball_stamp_s: np.ndarray
    ball_pos_w: np.ndarray


class Hopping:
    """A plant that does not move, under a ball that hops; for a while nothing is heard of it."""

    def __init__(self) -> None:
        self.now_s = 20.0

    def receive(self, until_s: float) -> Read:
        self.now_s = until_s
        is_silent = 21.0 < until_s < 21.4
        seen_s = np.array([math.nan if is_silent else until_s - 0.02])
        hop_s = (until_s - 0.02) % 0.7
        ball = np.array([[[0.0, 0.0, 1.06 + 3.43 * hop_s - 4.9 * hop_s**2]]])
        zero = np.zeros((1, 3))
        place = np.array([[0.01 * math.sin(until_s), 0.0, 1.0]])
        return Read(seen_s, place, zero, np.array([[1.0, 0.0, 0.0, 0.0]]), zero, seen_s[None], ball)

    def send(self, thrust_n: np.ndarray, rate_b_radps: np.ndarray) -> None:
        pass


@pytest.fixture(scope="module")
def file() -> PolicyFile:
    return read_policy_file(POLICY, "juggle")


@pytest.fixture(scope="module")
def path(file: PolicyFile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return recorded(tmp_path_factory.mktemp("record") / "flight.mcap", file, (0.0, 0.0, 1.0, 0.6))


def recorded(path: Path, file: PolicyFile, command: tuple[float, ...]) -> Path:
    record = FlightRecord(path, about(file, load_vehicle("air")))
    fly(Pilot(file), Hopping(), lambda _: np.array(command), seconds=TICKS * 0.02, recorder=record.note)
    scene, supervisor = Scene(), make_supervisor()
    for index in range(40):
        scene.now_s += DT_S
        scene.is_stamped = index < 30
        seen = scene.see()
        record.watch(seen, supervisor.tick(seen))
    record.note_mocap(20.0, {"latency_median_s": 0.005, "accepted": 200.0})
    record.close()
    return path


def test_a_record_is_read_back(path: Path):
    log = read_flight_log(path)
    assert log.about["task"] == "juggle"
    assert log.about["vehicle"] == "air"
    assert len(log.about["policy_sha256"]) == 64
    assert log.now_s.shape == (40,)
    assert log.state[0] == "READY"
    assert log.decisions[0].after == "READY"
    assert log.seen["pos_w"].shape == (40, 3)
    assert log.policy_s.shape == (TICKS,)
    assert log.inputs["pos_w"].shape == (TICKS, 3)
    assert log.inputs["pos_w"].dtype == np.float32
    silent = (log.policy_s > 21.3) & (log.policy_s < 21.4)
    assert not log.by_policy[silent].any()
    assert np.isnan(log.inputs["vehicle_age_s"][silent]).all()
    assert log.by_policy.mean() > 0.8
    assert log.mocap == ({"now_s": 20.0, "latency_median_s": 0.005, "accepted": 200.0},)


def test_the_policy_answers_a_record_as_it_did_in_flight(path: Path, file: PolicyFile):
    log = read_flight_log(path)
    answers = replay(log, file)
    assert np.array_equal(answers[log.by_policy], log.answers[log.by_policy]), "to the last bit"
    log.inputs["ball_pos_w"][100:110, 2] += 0.05
    different = np.abs(replay(log, file) - log.answers)[log.by_policy].max(axis=1)
    assert (different > 0.0).sum() > 10, "and not, where it is given something else"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_half_a_record_is_refused_in_one_line(path: Path, tmp_path: Path, share: float):
    content, half = path.read_bytes(), tmp_path / "half.mcap"
    half.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CorvidsError, match=r"half.mcap: is no whole flight record"):
        read_flight_log(half)


def test_a_damaged_record_is_refused_or_read(path: Path, tmp_path: Path):
    rng, content, damaged = random.Random(1), path.read_bytes(), tmp_path / "damaged.mcap"
    refused = 0
    for _ in range(40):
        changed = bytearray(content)
        for _ in range(3):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        damaged.write_bytes(changed)
        try:
            assert read_flight_log(damaged).now_s.shape[0] > 0
        except CorvidsError:
            refused += 1
    assert refused > 5


def test_a_page_is_made(path: Path, tmp_path: Path, capsys):
    out = tmp_path / "flight.html"
    assert main(["report", str(path), "--out", str(out), "--policy", str(POLICY), "--against", "none"]) == 0
    page = out.read_text("utf-8")
    for part in ("the autopilot is heard", "Latency", "motion capture", "The same inputs", "<svg"):
        assert part in page, part
    assert "identical" in page
    assert str(out) in capsys.readouterr().out


def test_a_simulated_flight_stands_beside_it(path: Path, tmp_path: Path):
    out = tmp_path / "flight.html"
    arguments = ["report", str(path), "--out", str(out), "--policy", str(POLICY)]
    assert main([*arguments, "--against", "native", "--seconds", "1", "--trials", "2"]) == 0
    page = out.read_text("utf-8")
    assert "Flight against simulation" in page
    assert "ball_pos_w z" in page


@pytest.fixture(scope="module")
def hover(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return policy_lab.save_policy(tmp_path_factory.mktemp("hover"), "hover")


def test_a_flight_without_a_ball_stands_beside_simulated_ones(hover: Path, tmp_path: Path):
    record = recorded(tmp_path / "flight.mcap", read_policy_file(hover, "hover"), (0.0, 0.0, 1.0))
    arguments = ["report", str(record), "--policy", str(hover), "--against", "native", "--trials", "2"]
    assert main([*arguments, "--seconds", "0.5"]) == 0
    page = record.with_suffix(".html").read_text("utf-8")
    assert "Flight against simulation" in page
    assert "pos_w x" in page
    assert "ball_pos_w" not in page


def test_a_policy_for_another_task_than_flew_is_refused(path: Path, hover: Path, capsys):
    assert main(["report", str(path), "--policy", str(hover), "--against", "none"]) == 2
    error = capsys.readouterr().err
    assert "is a policy for the task 'hover'; wanted is one for 'juggle'" in error
    assert error.count("\n") == 1


def test_a_task_without_simulated_flights_has_its_page(tmp_path: Path, capsys):
    policy = policy_lab.with_metadata(
        POLICY, tmp_path / "swing.onnx", lambda contract: contract.replace('"juggle"', '"swing"')
    )
    record = recorded(tmp_path / "flight.mcap", read_policy_file(policy, "swing"), (0.0, 0.0, 1.0, 0.6))
    assert main(["report", str(record)]) == 0
    said = "no simulated flights of the task swing to compare with; there are: juggle, hover, track"
    assert said in record.with_suffix(".html").read_text("utf-8")
    assert said in capsys.readouterr().out


def test_what_flew_was_given_more_than_what_it_is_compared_with(path: Path, file: PolicyFile):
    log = read_flight_log(path)
    given = {name: values for name, values in log.inputs.items() if name != "ball_pos_w"}
    page = flight_page("flight.mcap", log, file, given, ReportOptions()).decode()
    assert "Flight against simulation" in page
    assert "pos_w x" in page
    assert "ball_pos_w" not in page


@pytest.mark.parametrize(
    ("absent", "against", "said"),
    [
        (["matplotlib", "torch"], "mujoco", "matplotlib, torch"),
        (["matplotlib"], "none", "matplotlib"),
        (["torch"], "native", "torch"),
        (["mujoco"], "mujoco", "mujoco"),
    ],
)
def test_a_vehicles_computer_is_told_where_pages_are_made(
    absent: list[str], against: str, said: str, path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    monkeypatch.setattr(
        "corvids.commands.report.find_spec", lambda name: None if name in absent else find_spec(name)
    )
    assert main(["report", str(path), "--policy", str(POLICY), "--against", against]) == 2
    error = capsys.readouterr().err
    assert f"the page needs {said}: pip install 'corvids[sim,train]'" in error
    assert "copy the record" in error
    assert error.count("\n") == 1


def test_a_page_without_simulated_flights_needs_no_simulator(path: Path, tmp_path: Path):
    out = tmp_path / "flight.html"
    arguments = ["report", str(path), "--out", str(out), "--policy", str(POLICY), "--against", "none"]
    program = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "mujoco", "rsl_rl", "onnx", "scipy"):
            raise ModuleNotFoundError(name=name)
sys.meta_path.insert(0, Missing())
from corvids.cli import main
raise SystemExit(main({arguments!r}))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "The same inputs again" in out.read_text("utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.mcap"], "there is no such record"),
        ([], "which record?"),
        (["{path}", "--against", "gazebo"], "unknown plant 'gazebo'"),
        (["{path}", "--out", "page.pdf"], "must end in .html"),
        (["{path}", "--policy", "none.onnx"], "no such policy file"),
    ],
)
def test_mistakes_are_said_in_one_line(arguments: list[str], said: str, path: Path, capsys):
    assert main(["report", *[word.replace("{path}", str(path)) for word in arguments]]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
