"""Every mistake on the command line ends in one line that says what and what would be right, with exit code 2."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from corvids import __version__, cli
from corvids.errors import CorvidsError
from corvids.vehicle import VEHICLE_DIR

pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``corvids`` in an empty folder, where it must fail and leave nothing; gives the one line that it says."""
    monkeypatch.chdir(tmp_path)

    def refused(*argv: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        code = cli.main(list(argv))
        said = capsys.readouterr()
        assert code == 2, said
        assert said.out == ""
        assert re.fullmatch(r"corvids: [^\n]+\n", said.err), said.err
        assert sorted(tmp_path.rglob("*")) == before
        return said.err.removeprefix("corvids: ").strip()

    return refused


# --- Verbs ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "hint"),
    [("trian", "did you mean 'train'?"), ("exprot", "did you mean 'export'?"), ("zzz", "there are: train")],
)
def test_an_unknown_verb_names_the_one_that_was_meant(run: Run, verb: str, hint: str):
    assert run(verb).startswith(f"unknown command '{verb}'; {hint}")


@pytest.mark.parametrize("verb", ["train", "fly", "eval"])
def test_an_unknown_task_is_said_before_any_file_is_looked_for(run: Run, verb: str):
    said = run(verb, "jugle")
    assert said.startswith(
        f"{verb}: unknown task 'jugle'; did you mean juggle? (known: juggle, hover, track,"
    )


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"]])
def test_help_lists_every_verb(argv: list[str], capsys: pytest.CaptureFixture[str]):
    assert cli.main(argv) == 0
    said = capsys.readouterr().out
    assert all(f"  {verb} " in said for verb in cli.COMMANDS)


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_an_interrupt_is_one_line_and_exit_code_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupted)
    assert cli.main(["train"]) == 130
    assert capsys.readouterr().err == "corvids: interrupted\n"


@pytest.mark.parametrize(
    ("module", "extra"),
    [("rsl_rl", "train"), ("mujoco", "sim"), ("torch.nn", "train"), ("scipy", "calibrate")],
)
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    monkeypatch: pytest.MonkeyPatch, run: Run, module: str, extra: str
):
    def lacking(argv: list[str]) -> int:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(cli, "_dispatch", lacking)
    assert run("train") == f"this needs {module}; install it with: pip install 'corvids[{extra}]'"


def test_a_defect_of_corvids_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch):
    def broken(argv: list[str]) -> int:
        raise ModuleNotFoundError("No module named 'corvids.nowhere'", name="corvids.nowhere")

    monkeypatch.setattr(cli, "_dispatch", broken)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["train"])


@pytest.mark.parametrize(
    "program", [["-m", "corvids"], ["-c", "from corvids.cli import main; raise SystemExit(main())"]]
)
def test_as_a_program_it_exits_with_the_code_and_needs_no_torch_to_refuse(tmp_path: Path, program: list[str]):
    blocked = tmp_path / "torch.py"
    blocked.write_text("raise SystemExit('torch was imported')\n")
    path = os.pathsep.join((str(tmp_path), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")))
    done = subprocess.run(
        [sys.executable, *program, "fyl"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "corvids: unknown command 'fyl'; did you mean 'fly'?\n"


def test_a_reader_that_goes_away_is_no_error():
    """`corvids train juggle | head -1` closes the pipe early."""
    code = (
        "import sys\nfrom corvids import cli\n"
        "cli._dispatch = lambda argv: [print('x' * 100, flush=True) for _ in range(100_000)] and 1\n"
        "sys.exit(cli.main(['train']))"
    )
    path = os.pathsep.join((str(ROOT / "src"), os.environ.get("PYTHONPATH", "")))
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


# --- train: words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], r"train: which task\? corvids train TASK …, with one of: juggle, hover, track"),
        (["--resume"], r"train: which task\?"),
        (["jugle"], r"unknown task 'jugle'; did you mean juggle\? \(known: juggle, hover, track"),
        (["juggle", "--preset", "fast"], r"task 'juggle' has no preset 'fast'; there are: quick, full"),
        (["juggle", "--preset=fast"], r"has no preset 'fast'"),
        (["juggle", "--preset"], r"train juggle: Missing value for argument '--preset'"),
        (["juggle", "--wrlds", "3"], r"^train juggle: Unrecognized options: --wrlds, 3 \(see: corvids train juggle "),
        (["juggle", "--worlds", "3"], r"Unrecognized options: --worlds, 3; did you mean --config\.worlds\? \(see: "),
        (["juggle", "--config.worlds", "many"], r"train juggle: .*worlds.*many"),
        (["juggle", "--config.worlds", "2.5"], r"train juggle: .*worlds.*2\.5"),
        (["juggle", "--config.network.activation", "sin"], r"invalid choice 'sin' for .*activation.*'elu', 'relu'"),
        (["juggle", "--config.env.randomization.mass-factor", "1"], r"train juggle: .*mass-factor"),
        (["juggle", "hover"], r"train juggle: .*hover"),
        (["juggle", "--run"], r"train juggle: .*--run"),
    ],
)  # fmt: skip
def test_train_says_which_word_is_wrong(run: Run, argv: list[str], said: str):
    assert re.search(said, run("train", *argv))


# --- train: numbers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("worlds", "0"),
        ("worlds", "-5"),
        ("iterations", "-1"),
        ("save-every", "0"),
        ("ppo.learning-rate", "nan"),
        ("ppo.discount", "1.5"),
        ("ppo.minibatches", "0"),
        ("network.noise-std", "inf"),
        ("env.control-hz", "0"),
        ("env.rate-loop-hz", "0"),
        ("env.episode-s", "-1"),
        ("env.ball.mass-kg", "0"),
        ("env.ball.radius-m", "nan"),
        ("env.ball-filter.measurement-std-m", "0"),
        ("env.randomization.ball-drop-rate", "2"),
    ],
)
def test_train_refuses_a_number_that_cannot_be(run: Run, option: str, value: str):
    said = run("train", "juggle", f"--config.{option}", value)
    assert said.startswith(f"config.{option.replace('-', '_')} = ")
    assert re.search(r"is out of range; allowed: \S+ to \S+$", said)


def test_train_refuses_a_range_the_wrong_way_round(run: Run):
    said = run("train", "juggle", "--config.env.randomization.mass-factor", "1.2", "0.8")
    assert said == (
        "config.env.randomization.mass_factor = (1.2, 0.8) is the wrong way round: the smaller value comes first"
    )


def test_train_refuses_rates_that_do_not_divide(run: Run):
    said = run("train", "juggle", "--config.env.physics-hz", "510")
    assert said.startswith("physics rate 510 Hz: must be a multiple of the rate loop's (500 Hz)")


# --- train: files --------------------------------------------------------------------------------------------------


def test_train_refuses_a_vehicle_that_is_not_there(run: Run):
    said = run("train", "juggle", "--config.env.vehicle", "aire")
    assert said.startswith("no vehicle is called 'aire'; did you mean air?")
    said = run("train", "juggle", "--config.env.vehicle", "there/is/none.toml")
    assert said == "there/is/none.toml: cannot be read: No such file or directory"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("value = nan", r"mine.toml: body.mass_kg = nan kg is out of range; allowed: 0.001 to 1000 kg"),
        ("value = 4.5", r"mine.toml: rotors: full thrust .* must be at least 1.1"),
        ('value = "heavy"', r"mine.toml: body.mass_kg = 'heavy' must be a number"),
    ],
)
def test_train_refuses_a_vehicle_file_with_a_bad_field(run: Run, tmp_path: Path, wrong: str, said: str):
    text, count = re.subn(
        r"(?<=mass_kg = \{ )value = [0-9.]+", wrong, (VEHICLE_DIR / "air.toml").read_text("utf-8")
    )
    assert count == 1
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    assert re.search(said, run("train", "juggle", "--config.env.vehicle", "./mine.toml"))


def test_train_refuses_to_juggle_without_a_racket(run: Run):
    assert "vehicle 'x500' has no [racket] table" in run("train", "juggle", "--config.env.vehicle", "x500")


@pytest.mark.parametrize("device", ["cuda:77", "tpu", "meta", "gpu0"])
def test_train_refuses_a_device_that_is_not_there(run: Run, device: str):
    assert run("train", "juggle", "--device", device).startswith(
        f"device {device!r} is not there; use cpu, or cuda"
    )


def test_train_refuses_a_folder_that_cannot_be_one(run: Run, tmp_path: Path):
    (tmp_path / "taken").write_text("mine\n")
    assert run("train", "juggle", "--run", "taken").endswith("taken: is a file; --run names a folder")
    assert run("train", "juggle", "--run", "taken/run").endswith("taken: is a file; --run names a folder")
    assert (tmp_path / "taken").read_text() == "mine\n"


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["carry", "--config.network.mirrored"], "task 'carry': a team has no mirror image"),
        (
            ["hover", "--config.network.critic", "32", "30"],
            r"config.network.critic = \(32, 30\): .* a multiple",
        ),
    ],
)
def test_train_refuses_a_network_that_cannot_be_before_it_makes_anything(
    run: Run, argv: list[str], said: str
):
    assert re.match(said, run("train", *argv))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--condition", "windy", "no condition is called 'windy'"),
        ("--trials", "0", "--trials 0: must be a positive number"),
        ("--out", "taken/demo", "taken/demo: cannot be written: Not a directory; name another --out"),
    ],
)
def test_a_demo_that_cannot_end_does_not_begin(run: Run, tmp_path: Path, option: str, value: str, said: str):
    earlier = tmp_path / "out" / "demo" / "run" / "checkpoint.pt"
    earlier.parent.mkdir(parents=True)
    earlier.write_bytes(b"precious")
    (tmp_path / "taken").write_text("mine\n")
    assert run("demo", option, value).startswith(said)


@pytest.mark.parametrize("option", [["--record", "flight.mcap"], ["--arm"], ["--place", "0", "0", "2"]])
def test_fly_refuses_what_only_px4_would_take_notice_of(run: Run, option: list[str]):
    assert run("fly", "juggle", "--plant", "mujoco", *option).startswith(f"{option[0]}: is for --plant px4")


def test_train_refuses_a_folder_that_holds_a_run(run: Run, tmp_path: Path):
    (tmp_path / "runs" / "juggle-quick").mkdir(parents=True)
    (tmp_path / "runs" / "juggle-quick" / "checkpoint.pt").write_bytes(b"precious")
    said = run("train", "juggle")
    assert said == "runs/juggle-quick: holds a run already; continue it with --resume or name another --run"
    assert (tmp_path / "runs" / "juggle-quick" / "checkpoint.pt").read_bytes() == b"precious"


def test_train_refuses_to_resume_what_is_not_there_or_no_checkpoint(run: Run, tmp_path: Path):
    said = run("train", "juggle", "--resume", "--run", "gone")
    assert said == "gone: no checkpoint there; expected a run folder with checkpoint.pt, or such a file"
    (tmp_path / "bad").mkdir()
    for content in (b"", b"not a checkpoint", b"PK\x03\x04 torn"):
        (tmp_path / "bad" / "checkpoint.pt").write_bytes(content)
        said = run("train", "juggle", "--resume", "--run", "bad")
        assert said == "bad/checkpoint.pt: is not a checkpoint that `corvids train` wrote"


def test_the_message_of_an_error_is_one_line_whoever_raises_it(run: Run, monkeypatch: pytest.MonkeyPatch):
    def failing(argv: list[str]) -> int:
        raise CorvidsError("what is wrong; what would be right")

    monkeypatch.setattr(cli, "_dispatch", failing)
    assert run("train", "juggle") == "what is wrong; what would be right"


# --- What tyro says ------------------------------------------------------------------------------------------------

BOX = """\
\x1b[31m╭─ Value error ─────────────╮\x1b[0m
│ Error parsing --a: bad      │
│ 'x'                         │
│ ─────────────────────────── │
│ Perhaps you meant:          │
│     --about INT             │
│ ─────────────────────────── │
│ For full helptext, run x    │
╰─────────────────────────────╯
"""
PLAIN = """\
 Value error
 ---------------------------
  Error parsing --a: bad
  'x'
  ---------------------------
  Perhaps you meant:
      --about, --no-about
  ---------------------------
  For full helptext, run x
"""


@pytest.mark.parametrize("text", [BOX, PLAIN])
def test_a_framed_error_is_read_whatever_it_is_framed_with(text: str):
    assert cli._said_in_box(text) == "Error parsing --a: bad 'x'; did you mean --about?"


def test_an_error_that_is_not_framed_is_passed_on():
    assert cli._said_in_box("something\nelse\n") == "something else"
