"""What is measured from outside — a ball's place, a load's pose — through the filter that a policy file has."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corvids.deploy.contract import Stage
from corvids.deploy.graph import Array, GraphFailure
from corvids.deploy.policy import stage_graph

Times = NDArray[np.float64]
ELAPSED = "elapsed_s"
"""Input of a filter that is no measurement."""


class Tracker:
    """Estimates for ``rows`` vehicles, each with measurements of its own.

    A measurement is taken in once: one that is not newer than the last one taken in is dropped. An estimate is valid
    at its stamp. Before a row's first measurement ``first_elapsed_s`` [s] have elapsed.
    """

    def __init__(self, stage: Stage, rows: int, first_elapsed_s: float = 0.0) -> None:
        self._graph = stage_graph(stage, rows)
        self._first_elapsed_s = first_elapsed_s
        inputs, outputs = self._graph.inputs, self._graph.outputs
        carried = {state.input: state.output for state in stage.states}
        self.states: dict[str, Array] = {name: inputs[name] for name in carried}
        """Arrays (rows, ·) of the filter's memory; may be written in place."""
        self.stamp_s: Times = np.full(rows, np.nan)
        """When the last measurement taken in was taken, (rows,); NaN before the first."""
        self.estimate: dict[str, Array] = {
            name: np.full(array.shape, np.nan, np.float32)
            for name, array in outputs.items()
            if name not in carried.values()
        }
        """The filter's outputs at the stamp, (rows, ·); NaN before the first measurement."""
        self._elapsed_s = inputs[ELAPSED][:, 0]
        self._measured = {n: a for n, a in inputs.items() if n not in carried and n != ELAPSED}
        self._kept = [(array, outputs[name]) for name, array in self.estimate.items()]
        self._kept += [(inputs[before], outputs[after]) for before, after in carried.items()]

    def take_in_all(self, stamp_s: Times, measured: dict[str, Times]) -> None:
        """Measurements by the filter's names, (rows, k, ·), taken at ``stamp_s`` (rows, k); NaN where there is none."""
        if stamp_s.shape[1] == 0 or np.isnan(stamp_s).all():
            return
        if stamp_s.shape[1] > 1:
            order = np.argsort(stamp_s, axis=1, kind="stable")
            stamp_s = np.take_along_axis(stamp_s, order, axis=1)
            measured = {
                name: np.take_along_axis(values, order[..., None], axis=1)
                for name, values in measured.items()
            }
        with np.errstate(
            all="ignore"
        ):  # what is not finite is looked for, and is no reason to print a warning
            for k in range(stamp_s.shape[1]):
                self._take_in(stamp_s[:, k], {name: values[:, k] for name, values in measured.items()})

    def _take_in(self, stamp_s: Times, measured: dict[str, Times]) -> None:
        is_first = np.isnan(self.stamp_s)
        elapsed_s = np.where(is_first, self._first_elapsed_s, stamp_s - self.stamp_s)
        total = stamp_s + sum(values.sum(axis=1) for values in measured.values())
        taken = ((elapsed_s > 0.0) | is_first) & np.isfinite(total)
        if not taken.any():
            return
        for name, array in self._measured.items():
            array[...] = measured[name]
        self._elapsed_s[...] = elapsed_s
        try:
            self._graph.run()
        except GraphFailure:  # nothing is taken in: what is tracked ages, until it is lost
            return
        for _, new in self._kept:
            taken &= np.isfinite(new.sum(axis=1))  # an absurd measurement must not stay in the memory
        rows = taken[:, None]
        for kept, new in self._kept:
            np.copyto(kept, new, where=rows)
        np.copyto(self.stamp_s, stamp_s, where=taken)

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Forget what ``rows`` (mask, (rows,); all if None) have seen."""
        self._graph.reset(rows)
        where = ... if rows is None else rows
        self.stamp_s[where] = np.nan
        for array in self.estimate.values():
            array[where] = np.nan


class BallTracker(Tracker):
    """Where the ball is."""

    def __init__(self, stage: Stage, rows: int) -> None:
        super().__init__(stage, rows)
        self.pos_w = self.estimate["ball_pos_w"]
        """Estimated position [m] at the stamp, (rows, 3)."""
        self.vel_w = self.estimate["ball_vel_w"]
        """Estimated velocity [m/s] at the stamp, (rows, 3)."""

    def take_in(self, stamp_s: Times, pos_w: Times) -> None:
        """Measured positions [m] (rows, k, 3), taken at ``stamp_s`` (rows, k); NaN where there is none."""
        self.take_in_all(stamp_s, {"measured_w": pos_w})


class LoadTracker(Tracker):
    """Where the load is, and how it lies."""

    FIRST_ELAPSED_S = 10.0
    """So long ago that the filter begins with the first measurement."""

    def __init__(self, stage: Stage, rows: int) -> None:
        super().__init__(stage, rows, self.FIRST_ELAPSED_S)

    def take_in(self, stamp_s: Times, pos_w: Times, quat_wb: Times) -> None:
        """Measured poses (rows, k, 3) [m] and (rows, k, 4), taken at ``stamp_s`` (rows, k); NaN where there is none."""
        self.take_in_all(stamp_s, {"measured_pos_w": pos_w, "measured_quat_wb": quat_wb})
