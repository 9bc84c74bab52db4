"""Records of a team's flight, one a member: each holds what its policy was given and answered, and can be replayed."""

from __future__ import annotations

import contextlib
import functools
from pathlib import Path

import numpy as np
import pytest
from supervisor_lab import DT_S, Scene, make_supervisor

from corvids.cli import main
from corvids.commands.evaluating import carry_trials
from corvids.commands.evaluating.carry_trials import CarryTrialsConfig, fly_carry_trials
from corvids.commands.flying.replay import replay
from corvids.deploy.flight_log import read_flight_log
from corvids.deploy.flight_record import FlightRecord
from corvids.deploy.policy import read_policy_file
from corvids.deploy.record_about import about
from corvids.deploy.runtime import Tick, fly
from corvids.team import load_team

POLICY = Path(__file__).resolve().parents[2] / "pretrained" / "carry.onnx"


def test_each_members_policy_answers_its_record_as_it_did_in_flight(tmp_path: Path, monkeypatch):
    file, team = read_policy_file(POLICY, "carry"), load_team("falcon3")
    paths = [tmp_path / f"{index}.mcap" for index in range(3)]
    scene, supervisor = Scene(), make_supervisor()
    with contextlib.ExitStack() as opened:
        records = [
            opened.enter_context(contextlib.closing(FlightRecord(path, about(file, team.members[0].vehicle))))
            for path in paths
        ]

        def note(tick: Tick) -> None:
            scene.now_s += DT_S
            seen = scene.see()
            verdict = supervisor.tick(seen)
            for row, record in enumerate(records):
                record.note(tick, row)
                record.watch(seen, verdict)

        monkeypatch.setattr(carry_trials, "fly", functools.partial(fly, recorder=note))
        fly_carry_trials(
            file, CarryTrialsConfig("falcon3", "native", "step", 1, 1.5, 0), team, progress=False
        )
    logs = [read_flight_log(path) for path in paths]
    for log in logs:
        assert log.answers.shape == (len(log.policy_s), 5)
        assert log.by_policy.mean() > 0.9
        assert replay(log, file)[log.by_policy] == pytest.approx(log.answers[log.by_policy], abs=1e-5)
    assert np.abs(logs[0].answers - logs[1].answers).max() > 0.1, "each has its own"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--plant", "mujoco", "--record", "a.mcap"], "--record: is for --plant px4-hil"),
        (["--plant", "px4-hil", "--record", "a.txt"], "must end in .mcap"),
    ],
)
def test_a_record_that_cannot_be_is_refused_before_anything_flies(options: list[str], said: str, capsys):
    assert main(["fly", "carry", *options]) == 2
    assert said in capsys.readouterr().err
