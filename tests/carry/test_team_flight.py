"""Teams flown through the whole runtime, in both engines, by a policy whose network says nothing: the law carries."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import policy_lab
import pytest

from corvids.cli import main
from corvids.commands.evaluating.carry_trials import CarryTrialsConfig, check, fly_carry_trials, make_engine
from corvids.deploy.policy import PolicyFile, read_policy_file
from corvids.envs.plants.team_conditions import CONDITIONS, draw
from corvids.envs.plants.team_plant import TeamPlant
from corvids.envs.plants.team_referee import TeamReferee
from corvids.team import load_team
from corvids.training.export import export_policy
from corvids.vehicle import GRAVITY_MPS2

FALCON3 = load_team("falcon3")


@pytest.fixture(scope="module")
def law(run: Path, tmp_path_factory) -> PolicyFile:
    """The policy of a last layer of zeros."""

    def silence(state: dict) -> None:
        actor = state["actor_state_dict"]
        last = max(int(name.split(".")[1]) for name in actor if name.startswith("mlp."))
        for part in ("weight", "bias"):
            actor[f"mlp.{last}.{part}"].zero_()

    folder = tmp_path_factory.mktemp("law")
    quiet = policy_lab.changed_checkpoint(run, folder / "quiet.pt", silence)
    return read_policy_file(export_policy(quiet, folder / "law.onnx", policy_lab.BRIEF).path, "carry")


def test_the_law_moves_the_load_towards_its_goal_alike_in_both_engines(law: PolicyFile):
    """0.6 s of the step: nobody falls back, and both engines tell the same story within 2 cm and 2°."""
    ends = []
    for plant in ("native", "mujoco"):
        config = CarryTrialsConfig(plant=plant, trials=2, seconds=0.6)
        verdict, flight, _ = fly_carry_trials(law, config, check(config, law), progress=False)
        assert flight.by_policy.min() == 1.0 and verdict.end == ["time", "time"]
        assert (np.diff(verdict.pos_error_m[::30], axis=0) < 0.0).all()
        assert verdict.tension_n[10:].sum(axis=1).mean() == pytest.approx(1.4354 * GRAVITY_MPS2, rel=0.25)
        ends.append((verdict.load_pos_w[-1], verdict.att_error_rad[-1]))
    (native, native_rad), (mujoco, mujoco_rad) = ends
    assert np.linalg.norm(native - mujoco) < 0.02
    assert np.abs(native_rad - mujoco_rad).max() < np.radians(2.0)


@pytest.mark.parametrize("plant", ["native", "mujoco"])
def test_a_member_that_is_lost_falls_and_its_cable_goes_with_it_only_if_it_is_cut(plant: str):
    tensions = {}
    for name in ("lost-hang", "lost-cut"):
        trials = draw(CONDITIONS[name], FALCON3, 1, 0)._replace(loss_s=np.array([0.02]))
        engine = make_engine(plant, FALCON3, 1, compile_kernels=False)
        referee = TeamReferee(trials, np.array([0.5]))
        team = TeamPlant(engine, trials, seed=0, referee=referee)
        team.send(trials.thrust_n, np.zeros((3, 3)))
        before = team.receive(0.02).pos_w
        row = int(np.flatnonzero(trials.chosen.reshape(-1))[0])
        team.receive(0.4)
        state = engine.state
        fallen = trials.start.drones.pos_w[row, 2] - state.drones.pos_w[row, 2]
        # 0.38 s of free fall are 0.7 m; a cable that holds on one side turns part of it into a swing.
        assert fallen == pytest.approx(0.5 * GRAVITY_MPS2 * 0.38**2, rel=0.2)
        assert np.isfinite(before).all()
        tensions[name] = state.tension_n[row]
    assert tensions["lost-cut"] == 0.0


def test_eval_writes_the_documented_frame(law: PolicyFile, tmp_path: Path, capsys):
    out = tmp_path / "step.json"
    words = f"eval carry --policy {law.path} --plant native --trials 2 --seconds 0.1 --condition mixed --json {out}"
    assert main(words.split()) == 0
    result = json.loads(out.read_text())
    assert [result[k] for k in ("task", "team", "plant", "condition", "seed")] == [
        "carry", "falcon3", "native", "mixed", 0,
    ]  # fmt: skip
    assert result["policy_sha256"] == hashlib.sha256(law.path.read_bytes()).hexdigest()
    assert len(result["trials"]) == 2 and result["trials"][0]["end"] == "time"
    wanted = {
        "settling_s_median",
        "rmse_pos_m",
        "rmse_att_deg",
        "final_pos_rmse_m",
        "final_att_rmse_deg",
        "crash_rate",
    }
    assert wanted | {"min_separation_m"} <= set(result["summary"])
    assert result["summary"]["rmse_pos_m"] == pytest.approx(2.0, abs=0.05)
    assert out.with_suffix(".html").read_text().count("<figure>") == 3
    assert "crash_rate" in capsys.readouterr().out


def test_a_team_of_another_vehicle_is_refused(law: PolicyFile, tmp_path: Path, capsys):
    record = law.contract.vehicle
    body = {**record.parameters["body"], "mass_kg": 0.9 * record.parameters["body"]["mass_kg"]}
    namesake = dataclasses.replace(record, parameters={**record.parameters, "body": body})
    other = dataclasses.replace(law.contract, vehicle=namesake)
    path = policy_lab.with_metadata(law.path, tmp_path / "other.onnx", lambda _: other.to_json())
    assert main(["fly", "carry", "--policy", str(path)]) == 2
    said = capsys.readouterr().err
    assert "its inner loop is that of 'falcon', but member 0 of falcon3 is 'falcon'" in said
    assert "with other numbers" in said


def test_a_team_of_one_is_flown_though_nobody_comes_close_to_it(
    law: PolicyFile, capsys: pytest.CaptureFixture[str]
):
    words = f"fly carry --policy {law.path} --team falcon1 --plant mujoco --seconds 0.1"
    assert main(words.split()) == 0
    said = capsys.readouterr().out
    assert "falcon1: 0.1 s" in said and "members" not in said.replace("all members", "")
