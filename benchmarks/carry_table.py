"""Every row of the README's table of carrying, flown with one policy file: ``python carry_table.py [--rows N]``.

Rows whose figures (JSON beside the policy file) are already those of that very file, by its SHA-256, are not flown
again, so that an interrupted table goes on where it stood. ``--rows N`` flies N rows at most; the table of what there
is then goes to standard output. Report pages go to ``out/carry-table``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "out" / "carry-table"
SECONDS = 15


class Row(NamedTuple):
    """A row: what is flown, how often, and the name of its figures."""

    condition: str
    plant: str
    trials: int
    team: str = "falcon3"

    @property
    def name(self) -> str:
        """Of the JSON file. Plainest are MuJoCo's rows, and those of the team that a condition is meant for."""
        usual = "falcon4" if self.condition.startswith("lost-") else "falcon3"
        words = ("carry", *(("native",) if self.plant == "native" else ()), self.condition)
        return "-".join((*words, *((self.team,) if self.team != usual else ()))) + ".json"


ROWS = (
    Row("step", "mujoco", 100),
    *(Row("step", "mujoco", 100, f"falcon{members}") for members in (4, 5, 6)),
    Row("track1", "mujoco", 20),
    Row("track2", "mujoco", 20),
    Row("track2a4", "mujoco", 20),
    Row("track5", "mujoco", 20),
    *(Row(name, "mujoco", 50) for name in ("heavy50", "mixed", "slack-start", "wind5")),
    Row("step", "native", 1000),
    Row("random-steps", "native", 1000),
    *(Row(name, "native", 1000) for name in ("heavy15", "heavy50", "mixed", "slack-start", "wind5")),
    *(Row(name, "native", 1000, "falcon4") for name in ("lost-hang", "lost-cut")),
    *(Row(name, "native", 200, "falcon3") for name in ("lost-hang", "lost-cut")),
)


def main() -> None:
    """Fly what is missing, and print the table."""
    parser = argparse.ArgumentParser(
        description="Fly every row of the table of carrying that is missing, and print it."
    )
    parser.add_argument("--policy", type=Path, default=ROOT / "pretrained" / "carry.onnx")
    parser.add_argument("--into", type=Path, help="folder of the figures; default: the policy file's")
    parser.add_argument("--rows", type=int, default=len(ROWS), help="most rows to fly")
    options = parser.parse_args()
    into = options.into or options.policy.parent
    digest = hashlib.sha256(options.policy.read_bytes()).hexdigest()
    missing = [row for row in ROWS if (_figures(into / row.name, row, digest)) is None]
    for row in missing[: options.rows]:
        print(f"{row.name}, {row.trials} trials", file=sys.stderr, flush=True)
        _fly(row, options.policy, into)
    print(
        "| condition | settled, median | over the run, RMSE | final 2 s, RMSE | crashes | members, closest |"
    )
    print("|---|---|---|---|---|---|")
    for row in ROWS:
        figures = _figures(into / row.name, row, digest)
        if figures is not None:
            print(_line(row, figures["summary"]))


def _figures(path: Path, row: Row, digest: str) -> dict[str, Any] | None:
    """What a row's file holds, where it is this policy's and of enough trials."""
    if not path.is_file():
        return None
    figures = json.loads(path.read_text())
    is_it = figures.get("policy_sha256") == digest and len(figures["trials"]) >= row.trials
    return figures if is_it else None


def _fly(row: Row, policy: Path, into: Path) -> None:
    PAGES.mkdir(parents=True, exist_ok=True)
    given = {
        "policy": policy, "team": row.team, "plant": row.plant, "condition": row.condition, "trials": row.trials,
        "seconds": SECONDS, "json": PAGES / row.name,
    }  # fmt: skip
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    subprocess.run([sys.executable, "-m", "corvids", "eval", "carry", *words], check=True, stdout=sys.stderr)
    shutil.copy(PAGES / row.name, into / row.name)


def _line(row: Row, summary: dict[str, Any]) -> str:
    def number(name: str, scale: float, digits: int, unit: str) -> str:
        value = summary[name]
        return "–" if value is None else f"{scale * value:.{digits}f}{unit}"

    place = {"mujoco": "MuJoCo", "native": "native"}[row.plant]
    settled = f"{100.0 * summary['settled']:.0f} %"
    if summary["settling_s_median"]:
        settled += f", {summary['settling_s_median']:.1f} s"
    cells = (
        f"`{row.condition}`, {row.team}, {place}, {row.trials} trials",
        settled,
        f"{number('rmse_pos_m', 100.0, 1, ' cm')}, {number('rmse_att_deg', 1.0, 1, '°')}",
        f"{number('final_pos_rmse_m', 100.0, 1, ' cm')}, {number('final_att_rmse_deg', 1.0, 1, '°')}",
        f"{100.0 * summary['crash_rate']:.1f} %" if summary["crash_rate"] else "0",
        number("min_separation_m", 1.0, 2, " m"),
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
