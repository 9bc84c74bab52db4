"""`corvids bench`: what its lines say, that contestants take turns, and what it refuses."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from corvids import cli
from corvids.commands.benching import peer_worker
from corvids.commands.benching.contest import comparisons, contest
from corvids.commands.benching.peer_worker import CONTESTANTS, Sample, time_loop
from corvids.commands.benching.peers import WORKER, Peer
from corvids.commands.benching.rows import Row
from corvids.errors import CorvidsError

ROOT = Path(__file__).resolve().parents[1]
POLICY = ROOT / "pretrained" / "juggle.onnx"
KEYS = [
    "name", "task", "worlds", "device", "physics_hz", "control_hz", "steps_per_s", "sim_s_per_s", "sim_s_per_cpu_s",
]  # fmt: skip
"""The documented keys of a line, in order."""
TINY = ["--no-compile", "--seconds", "0.05", "--rounds", "2", "--threads", "1"]

FAKE_PYTHON = """\
#!{python}
# Stands for an interpreter that has every peer: says what the worker would say, and writes down its turns.
import json, sys
if sys.argv[1] == "-c":
    sys.exit(0)
peer, name, worlds, device, threads, seconds = sys.argv[2:]
print(json.dumps(dict(ready=True, task="fake", version="9.9", control_hz=50)), flush=True)
for _ in sys.stdin:
    with open({turns!r}, "a") as turns:
        turns.write(f"{{peer}} {{name}} {{worlds}}\\n")
    print(json.dumps(dict(steps=100, wall_s=2.0, cpu_s=4.0)), flush=True)
"""


@pytest.fixture
def turns(tmp_path: Path) -> Path:
    """File in which fake peers write down their turns."""
    return tmp_path / "turns.txt"


@pytest.fixture
def fake_python(tmp_path: Path, turns: Path) -> Path:
    """An interpreter that has every peer, or says so."""
    path = tmp_path / "fake-python"
    path.write_text(FAKE_PYTHON.format(python=sys.executable, turns=str(turns)))
    path.chmod(0o755)
    return path


class Fake:
    """A subject whose rounds are given, and which tells a log of its turns."""

    def __init__(self, name: str, log: list[str], samples: list[Sample], extras: dict[str, float]) -> None:
        self.row = Row(name, "hover", 8, "cpu", 500, 50)
        self._log, self._samples, self._extras = log, list(samples), extras

    def measure(self) -> Sample:
        self._log.append(self.row.name)
        return self._samples.pop(0)

    def extras(self) -> dict[str, float]:
        return self._extras

    def close(self) -> None: ...


def bench(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[list[dict[str, Any]], str]:
    """Lines that ``corvids bench`` prints, and what it says on standard error."""
    code = cli.main(["bench", *argv])
    said = capsys.readouterr()
    assert code == 0, said.err
    return [json.loads(line) for line in said.out.splitlines()], said.err


# --- Lines ---------------------------------------------------------------------------------------------------------


def test_a_line_has_the_documented_keys_and_the_medians_of_the_rounds():
    samples = [Sample(100, 1.0, 2.0), Sample(300, 1.0, 2.0), Sample(900, 1.0, 1.0)]
    line = Row("dynamics", "juggle", 16, "cpu", 500, 50).line(samples)
    assert list(line) == KEYS
    assert line["steps_per_s"] == 16 * 300.0  # the median round, not the mean, in steps of one world
    assert line["sim_s_per_s"] == 16 * 300.0 / 50.0
    assert line["sim_s_per_cpu_s"] == 16 * 150.0 / 50.0
    assert json.loads(json.dumps(line)) == line


def test_a_member_takes_a_tick_of_its_own_in_every_team(capsys: pytest.CaptureFixture[str]):
    team_policy = str(ROOT / "pretrained" / "carry.onnx")
    lines, _ = bench(capsys, *TINY, "--rows", "member", "--team-policy", team_policy)
    assert [(line["name"], line["task"], line["drones"]) for line in lines] == [
        ("member", "carry", drones) for drones in (3, 4, 5, 6)
    ]
    for line in lines:
        assert list(line) == [*KEYS, "drones", "median_us", "p99_us", "policy_median_us"]
        assert 0.0 < line["policy_median_us"] < line["median_us"] <= line["p99_us"]


def test_a_peers_line_says_whose_it_is_and_extras_are_added():
    line = Row("dynamics", "t", 1, "cpu", 500, 50, "crazyflow").line(
        [Sample(1, 1.0, 1.0)], {"median_us": 12.34567}
    )
    assert list(line) == [*KEYS, "median_us", "peer"]
    assert (line["peer"], line["median_us"]) == ("crazyflow", 12.35)


def test_contestants_take_turns():
    log: list[str] = []
    fakes = [Fake(name, log, [Sample(8, 1.0, 1.0)] * 3, {}) for name in "abc"]
    lines = contest(fakes, 3)
    assert "".join(log) == "abc" + "cba" + "abc"
    assert [line["name"] for line in lines] == list("abc")


def test_a_comparison_is_between_lines_of_one_row_and_one_number_of_worlds():
    def line(name: str, worlds: int, per_s: float, per_cpu_s: float, **peer: str) -> dict[str, Any]:
        return {"name": name, "worlds": worlds, "sim_s_per_s": per_s, "sim_s_per_cpu_s": per_cpu_s, **peer}

    said = comparisons(
        [
            line("dynamics", 4096, 800.0, 530.0),
            line("dynamics", 4096, 200.0, 100.0, peer="crazyflow"),
            line("env", 4096, 300.0, 300.0),
            line("env", 1, 300.0, 100.0, peer="crazyflow"),
        ]
    )
    assert said == ["dynamics: 5.3x crazyflow per CPU-second, 4.0x per second, at 4096 worlds"]


# --- Timing --------------------------------------------------------------------------------------------------------


def test_a_round_counts_whole_chunks_and_waits_for_each():
    calls: list[str] = []
    sample = time_loop(lambda: calls.append("advance"), lambda: calls.append("finish"), 7, 1e-4)
    assert sample.steps == calls.count("advance") == 7 * calls.count("finish")
    assert sample.wall_s >= 1e-4
    assert calls[:8] == ["advance"] * 7 + ["finish"]
    assert (
        time_loop(lambda: None, lambda: None, 3, 0.0).steps == 3
    )  # a busy machine may lose all of a short round


def test_the_workers_answers_are_not_disturbed_by_what_a_peer_prints(tmp_path: Path):
    """The real script, with a peer that is no peer: it prints, and fails at twice two worlds."""
    script = tmp_path / "worker.py"
    script.write_text(
        f"import sys\nsys.path.insert(0, {str(WORKER.parent)!r})\n"
        "import peer_worker\n"
        "def build(worlds, device, threads):\n"
        "    print('what a peer prints')\n"
        "    if worlds == 4: raise ValueError('two\\nlines')\n"
        "    return peer_worker.Contestant(lambda: print('again'), lambda: None, 'idle', '1.2')\n"
        "peer_worker.CONTESTANTS['idler'] = {'dynamics': build}\n"
        "peer_worker.main(sys.argv[1:])\n"
    )

    def run(worlds: int, rounds: int) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, str(script), "idler", "dynamics", str(worlds), "cpu", "1", "0.01"],
            input="\n" * rounds, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [json.loads(line) for line in done.stdout.splitlines()]

    ready, *samples = run(2, 3)
    assert ready == {"ready": True, "task": "idle", "version": "1.2", "control_hz": 50}
    assert len(samples) == 3
    assert all(Sample(**sample).steps > 0 for sample in samples)
    assert run(4, 0) == [{"error": "ValueError: two lines"}]


def test_a_peer_that_ends_early_is_reported_with_its_last_words(tmp_path: Path):
    broken = tmp_path / "broken-python"
    broken.write_text("#!/bin/sh\necho 'no such wheel' >&2\nexit 3\n")
    broken.chmod(0o755)
    with pytest.raises(CorvidsError, match=r"^crazyflow \(env, 2 worlds\) ended early: no such wheel$"):
        Peer("crazyflow", "env", 2, "cpu", 1, 0.1, str(broken))


def test_mujoco_is_measured_here_as_it_is_by_the_worker():
    pytest.importorskip("mujoco.rollout")
    contestant = CONTESTANTS["mujoco"]["dynamics"](2, "cpu", 1)
    chunk = peer_worker.chunk_of(contestant.advance, contestant.finish)
    sample = time_loop(contestant.advance, contestant.finish, chunk, 0.01)
    assert sample.steps >= chunk
    with pytest.raises(RuntimeError, match="runs on the CPU alone"):
        CONTESTANTS["mujoco"]["dynamics"](2, "cuda", 1)


def test_mujocos_bare_team_is_the_one_of_the_team_file_and_hangs_there():
    """Three Falcons of 0.6168 kg and half a cable each, a load of 1.4 kg and the other halves, cables of 1 m."""
    mujoco = pytest.importorskip("mujoco")
    from corvids.envs.engines.mujoco_team import bare_team
    from corvids.team import load_team

    model, state, forces = bare_team(load_team("falcon3"), 0.002)
    assert model.body_mass.tolist() == pytest.approx([0.0, *[0.6168 + 0.0118] * 3, 1.4 + 0.0354], abs=1e-4)
    assert model.tendon_range[:, 1].tolist() == [1.0] * 3
    data = mujoco.MjData(model)
    mujoco.mj_setState(model, data, state, mujoco.mjtState.mjSTATE_FULLPHYSICS)
    data.xfrc_applied[:] = forces.reshape(-1, 6)
    start = data.qpos.copy()
    for _ in range(500):
        mujoco.mj_step(model, data)
    assert data.ten_length.tolist() == pytest.approx([1.0] * 3, abs=0.003)
    assert abs(data.qpos - start).max() < 0.02
    assert data.efc_force.sum() == pytest.approx(1.4354 * 9.80665, rel=0.02)


# --- The verb ------------------------------------------------------------------------------------------------------


def test_every_row_is_measured_and_the_file_says_on_what(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    out = tmp_path / "bench.json"
    lines, _ = bench(capsys, *TINY, "--worlds", "2", "--policy", str(POLICY), "--json", str(out))
    assert [line["name"] for line in lines] == ["dynamics", "env", "ppo", "inference"]
    for line in lines:
        assert list(line)[: len(KEYS)] == KEYS
        assert (line["task"], line["device"]) == ("juggle", "cpu")
        assert (line["physics_hz"], line["control_hz"]) == (500, 50)
        assert line["worlds"] == (1 if line["name"] == "inference" else 2)
        assert all(math.isfinite(line[key]) and line[key] > 0.0 for key in KEYS[6:])
        assert line["steps_per_s"] == pytest.approx(50.0 * line["sim_s_per_s"], rel=1e-3)
    assert list(lines[-1]) == [*KEYS, "median_us", "p99_us", "policy_median_us"]
    assert 0.0 < lines[-1]["policy_median_us"] < lines[-1]["median_us"] <= lines[-1]["p99_us"]
    document = json.loads(out.read_text())
    assert document["lines"] == lines
    assert {"cpu", "cores", "system", "python", "torch"} == set(document["machine"])
    assert str(tmp_path) not in out.read_text()


def test_peers_take_turns_with_us_where_they_have_the_row(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, fake_python: Path, turns: Path
):
    words = ("--rows", "env,dynamics", "--worlds", "3,2", "--task", "hover", "--against", "crazyflow,mujoco")
    out = tmp_path / "bench.json"
    lines, said = bench(capsys, *TINY, *words, "--peer-python", str(fake_python), "--json", str(out))
    whose = [(line["name"], line["worlds"], line.get("peer")) for line in lines]
    assert whose == [
        ("env", 3, None), ("env", 3, "crazyflow"), ("env", 2, None), ("env", 2, "crazyflow"),
        ("dynamics", 3, None), ("dynamics", 3, "crazyflow"), ("dynamics", 3, "mujoco"),
        ("dynamics", 2, None), ("dynamics", 2, "crazyflow"), ("dynamics", 2, "mujoco"),
    ]  # fmt: skip
    rival = lines[1]
    assert list(rival) == [*KEYS, "peer"]
    assert (rival["task"], rival["steps_per_s"], rival["sim_s_per_cpu_s"]) == ("fake", 150.0, 1.5)
    assert turns.read_text().splitlines() == [
        *["crazyflow env 3"] * 2, *["crazyflow env 2"] * 2,
        "crazyflow dynamics 3", "mujoco dynamics 3", "mujoco dynamics 3", "crazyflow dynamics 3",
        "crazyflow dynamics 2", "mujoco dynamics 2", "mujoco dynamics 2", "crazyflow dynamics 2",
    ]  # fmt: skip
    assert re.search(
        r"^env: [0-9.]+x crazyflow per CPU-second, [0-9.]+x per second, at 3 worlds$", said, re.M
    )
    document = json.loads(out.read_text())
    assert document["peers"] == {"crazyflow": "9.9", "mujoco": "9.9"}
    assert str(fake_python) not in out.read_text()


def test_a_teams_whole_environment_is_measured_beside_mujocos_bare_dynamics(
    capsys: pytest.CaptureFixture[str],
):
    pytest.importorskip("mujoco.rollout")
    (ours, theirs), said = bench(capsys, *TINY, "--rows", "team", "--worlds", "2", "--against", "mujoco")
    for line in (ours, theirs):
        assert (line["name"], line["worlds"], line["physics_hz"], line["control_hz"]) == ("team", 2, 500, 100)
        assert line["steps_per_s"] == pytest.approx(100.0 * line["sim_s_per_s"], rel=1e-3)
    assert (ours["task"], theirs["task"], theirs["peer"]) == ("carry", "three drones and a load", "mujoco")
    assert re.search(r"^team: [0-9.]+x mujoco per CPU-second, [0-9.]+x per second, at 2 worlds$", said, re.M)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["--rows", "dynamcs"],
            "--rows: unknown row 'dynamcs'; there are: dynamics, env, ppo, inference, team, member",
        ),
        (["--rows", ","], "--rows: name one at least of: dynamics, env, ppo, inference, team, member"),
        (["--worlds", "4096,many"], "--worlds: 'many' must be a whole number from 1 to 1048576"),
        (["--worlds", "0"], "--worlds: '0' must be a whole number"),
        (["--worlds", ""], "--worlds: name one number at least"),
        (["--task", "jugle"], "unknown task 'jugle'; there are: juggle, hover, track"),
        (["--device", "gpu0"], "device 'gpu0' is not there; use cpu"),
        (["--seconds", "nan"], "--seconds nan: must be above 0 and at most 3600"),
        (["--seconds", "soon"], "bench: "),
        (["--rounds", "0"], "--rounds 0: must be 1 at least"),
        (["--threads", "-1"], "--threads -1: must be 0 (all) to 1024"),
        (["--against", "isaac"], "--against: unknown peer 'isaac'; there are: crazyflow, mujoco"),
        (["--against", "mujoco", "--peer-python", "./nowhere"], "--peer-python ./nowhere: No such file"),
        (["--policy", "gone.onnx"], "gone.onnx: there is no such policy file"),
        (["--policy", str(POLICY), "--task", "hover"], f"{POLICY}: is a policy for the task 'juggle'"),
        (["--json", "out.txt"], "out.txt: must end in .json"),
        (["--json", "there/out.json"], "there/out.json: folder there does not exist"),
        (["--wrlds", "1"], "bench: Unrecognized options: --wrlds, 1"),
    ],
)
def test_bench_refuses_in_one_line_and_writes_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: str,
):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["bench", *words]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"corvids: [^\n]+\n", err), err
    assert err.removeprefix("corvids: ").startswith(said)
    assert not list(tmp_path.iterdir())


def test_a_peer_that_is_not_installed_is_named_with_what_would_help(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bare = tmp_path / "bare-python"
    bare.write_text("#!/bin/sh\nexit 1\n")
    bare.chmod(0o755)
    assert cli.main(["bench", "--against", "crazyflow", "--peer-python", str(bare)]) == 2
    err = capsys.readouterr().err
    assert err.startswith(
        f"corvids: --against crazyflow: not installed for {bare}; install it there (pip install"
    )
