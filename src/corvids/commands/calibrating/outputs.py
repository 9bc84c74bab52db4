"""What every calibration leaves: figures on the console and in JSON, a page, a vehicle file; nothing half-written."""

from __future__ import annotations

import dataclasses
import datetime
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corvids.commands.files import check_writable
from corvids.commands.page import table_html
from corvids.errors import CorvidsError
from corvids.team import TeamError
from corvids.vehicle import Vehicle, VehicleError, save_vehicle
from corvids.whole_files import write_whole

if TYPE_CHECKING:
    from corvids.calibration.statistics.estimates import GroupEstimate
    from corvids.calibration.statistics.projection import Fit
    from corvids.calibration.tables.table_fit import Prediction


@dataclasses.dataclass
class Outputs:
    """The files that the user asked for."""

    vehicle: Path | None
    """The new vehicle file, or team file."""
    json: Path | None
    """The figures."""
    page: Path | None
    """The report, beside the vehicle file or the figures."""
    written: list[Path] = dataclasses.field(default_factory=list)
    """What has been written."""

    @classmethod
    def checked(cls, out: Path | None, json_: Path | None, force: bool) -> Outputs:
        """Refuse, before any work is done, what could not be written in the end."""
        for path, suffix in ((out, ".toml"), (json_, ".json")):
            if path is not None:
                check_writable(path, suffix)
        leading = out or json_
        page = None if leading is None else leading.with_suffix(".html")
        for path in (out, json_, page):
            if path is not None and path.exists() and not force:
                raise CorvidsError(f"{path}: is there already; give --force to replace it, or another name")
        return cls(out, json_, page)

    def write_json(self, figures: Mapping[str, Any]) -> None:
        """The figures, where they were asked for."""
        if self.json is not None:
            write_whole(self.json, (json.dumps(figures, indent=1) + "\n").encode())

    def write_vehicle(self, updated: Callable[[], Vehicle]) -> None:
        """The vehicle file, where it was asked for; to be called last, for it is what another program waits for."""
        self._write(lambda path: save_vehicle(updated(), path), "vehicle")

    def write_team(self, save: Callable[[Path], None]) -> None:
        """The team file, where it was asked for; as :meth:`write_vehicle`."""
        self._write(save, "team")

    def _write(self, save: Callable[[Path], None], kind: str) -> None:
        if self.vehicle is None:
            return
        try:
            save(self.vehicle)
        except (VehicleError, TeamError) as error:
            raise CorvidsError(
                f"{self.vehicle}: not written, the fit contradicts the {kind} file: {error}"
            ) from None
        self.written.append(self.vehicle)

    def refuse_vehicle(self) -> None:
        """Say that there is nothing to write into a vehicle file."""
        if self.vehicle is not None:
            print(f"not written: {self.vehicle}, for the logs support no number of it")

    def say(self) -> None:
        """Name the files that were written."""
        files = [path for path in (self.page, self.json) if path is not None] + self.written
        if files:
            print(f"written: {', '.join(map(str, files))}")


def figures_of(groups: Mapping[str, GroupEstimate]) -> dict[str, dict[str, Any]]:
    """Figures as they stand in the JSON."""
    return {
        name: {
            "value": one.value,
            "std": one.std,
            "identified": one.identified,
            **({} if one.identified else {"reason": one.reason}),
        }
        for name, one in groups.items()
    }


def print_figures(figures: Mapping[str, Mapping[str, Any]]) -> None:
    """A line a figure: value and standard deviation, or why it is refused."""
    for name, one in figures.items():
        if one["identified"]:
            print(f"{name:22} {one['value']:10.5g} ± {one['std']:.2g}")
        else:
            print(f"{name:22}    refused: {one['reason']}")


def prediction_of(one: Prediction | None) -> dict[str, Any] | None:
    """How well a fit predicts, as it stands in the JSON."""
    return None if one is None else one._asdict()


def print_prediction(one: Mapping[str, Any] | None) -> None:
    """How far predictions are off, of what was fitted and of what was left out."""
    if one is not None:
        print(
            f"{one['what']} predicted to {one['rms']:.3g} (root mean square);"
            f" parts left out of the fit, to {one['rms_left_out']:.3g}"
        )


def prediction_html(one: Mapping[str, Any] | None) -> str:
    """The same for a page."""
    if one is None:
        return ""
    head = ("predicted", "root mean square of error", "each part by a fit to the others")
    return table_html(head, [(one["what"], f"{one['rms']:.4g}", f"{one['rms_left_out']:.4g}")])


def unknowns_of(fit: Fit) -> dict[str, dict[str, Any]]:
    """The unknowns of a fit as they stand in the JSON."""
    return {
        name: {
            "value": float(value),
            "std": fit.std(name),
            "std_before": float(before),
            "informed": fit.informed(name),
        }
        for name, value, before in zip(fit.names, fit.values, fit.prior_std, strict=True)
    }


def identifiability_html(unknowns: Mapping[str, Mapping[str, Any]]) -> str:
    """What the recording told of each unknown, and what was known before, for a page."""
    rows = [
        (
            name,
            f"{one['value']:.4g}",
            f"{one['std']:.2g}",
            f"{one['std_before']:.2g}",
            "" if one["informed"] else "not told by the recording",
        )
        for name, one in unknowns.items()
    ]
    return table_html(("unknown", "value", "standard deviation", "before", ""), rows)


def residuals_html(
    noise: Mapping[str, float],
    left_out: Mapping[str, float],
    units: Mapping[str, str],
    before: Mapping[str, float],
) -> str:
    """Root mean squares of each signal's residuals, for a page; ``before`` may be empty."""
    head = ("root mean square of error", *(("vehicle file before",) if before else ()), "fit")
    rows = [
        (
            name,
            *((f"{before[name]:.4g}",) if before else ()),
            f"{value:.4g}",
            f"{left_out[name]:.4g}",
            next(unit for start, unit in units.items() if start in name),
        )
        for name, value in noise.items()
    ]
    return table_html((*head, "each piece by a fit to the others", "unit"), rows)


def source_text(action: str, logs: Iterable[tuple[str, str]]) -> str:
    """Where a number is from, for the vehicle file: logs with the beginning of their hashes, and the date."""
    named = ", ".join(f"{name} (sha256 {sha256[:12]})" for name, sha256 in logs)
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    return f"corvids calibrate {action} from {named}, {today}"
