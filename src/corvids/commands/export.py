"""``corvids export RUN``: one policy file from a training run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from corvids.cli import parse
from corvids.commands.files import check_writable
from corvids.errors import CorvidsError


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Export the policy of a run, after a check that the file computes what was trained."""

    out: Path = Path("policy.onnx")
    """The file to write."""
    law_near: float | None = None
    """For carry: error of the load [m and rad, added] below which the law flies more and more alone.
    Default: as it was trained."""


def main(argv: list[str]) -> int:
    """Entry point."""
    if argv and argv[0] in ("-h", "--help"):
        parse(ExportOptions, ["--help"], "export RUN")
    if not argv or argv[0].startswith("-"):
        raise CorvidsError(
            "export: of which run? corvids export RUN --out FILE.onnx, with a folder that train made"
        )
    run, options = Path(argv[0]), parse(ExportOptions, argv[1:], "export RUN")
    check_writable(options.out, ".onnx")
    from corvids.training.export import export_policy

    print(describe(export_policy(run, options.out, law_near=options.law_near)))
    return 0


def describe(export) -> str:
    """What an export made, in one line."""
    size = export.path.stat().st_size / 1024
    return (
        f"exported: {export.path} ({size:.0f} KiB, {export.nodes} operators; {_parity(export.parity)}; "
        f"{export.seconds:.0f} s)"
    )


def _parity(parity) -> str:
    worst = max(parity)
    return f"agrees with torch to {worst:.1e} of each output's range, call by call and in closed loop"
