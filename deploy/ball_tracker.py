"""Where the ball is: measurements, in the order in which they were taken, through the policy file's ball filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corvids.deploy.contract import Stage
from corvids.deploy.graph import Array
from corvids.deploy.policy import stage_graph


class BallTracker:
    """Estimates for ``rows`` vehicles, one ball each.

    A measurement is taken in once: one that is not newer than the last one taken in is dropped. An estimate is valid
    at its stamp. The elapsed time before a row's first measurement is zero.
    """

    def __init__(self, stage: Stage, rows: int) -> None:
        self._graph = stage_graph(stage, rows)
        inputs, outputs = self._graph.inputs, self._graph.outputs
        self._pos_after = outputs["ball_pos_w"]
        self._measured_w, self._elapsed_s = inputs["measured_w"], inputs["elapsed_s"][:, 0]
        self.states: dict[str, Array] = {state.input: inputs[state.input] for state in stage.states}
        """Arrays (rows, ·) of the filter's memory; may be written in place."""
        self.stamp_s: NDArray[np.float64] = np.full(rows, np.nan)
        """When the last measurement taken in was taken, (rows,); NaN before the first."""
        self.pos_w: Array = np.full((rows, 3), np.nan, np.float32)
        """Estimated position [m] at the stamp, (rows, 3)."""
        self.vel_w: Array = np.full((rows, 3), np.nan, np.float32)
        """Estimated velocity [m/s] at the stamp, (rows, 3)."""
        self._kept = [
            (self.pos_w, outputs["ball_pos_w"]),
            (self.vel_w, outputs["ball_vel_w"]),
            *((inputs[state.input], outputs[state.output]) for state in stage.states),
        ]

    def take_in(self, stamp_s: NDArray[np.float64], pos_w: NDArray[np.float64]) -> None:
        """Measured positions [m] (rows, k, 3), taken at ``stamp_s`` (rows, k); NaN where there is none."""
        if stamp_s.shape[1] > 1:
            order = np.argsort(stamp_s, axis=1, kind="stable")
            stamp_s = np.take_along_axis(stamp_s, order, axis=1)
            pos_w = np.take_along_axis(pos_w, order[..., None], axis=1)
        for k in range(stamp_s.shape[1]):
            self._take_in(stamp_s[:, k], pos_w[:, k])

    def _take_in(self, stamp_s: NDArray[np.float64], pos_w: NDArray[np.float64]) -> None:
        is_first = np.isnan(self.stamp_s)
        elapsed_s = np.where(is_first, 0.0, stamp_s - self.stamp_s)
        taken = ((elapsed_s > 0.0) | is_first) & np.isfinite(stamp_s + pos_w.sum(axis=1))
        if not taken.any():
            return
        self._measured_w[...] = pos_w
        self._elapsed_s[...] = elapsed_s
        self._graph.run()
        taken &= np.isfinite(self._pos_after.sum(axis=1))  # an absurd measurement must not stay in the memory
        rows = taken[:, None]
        for kept, new in self._kept:
            np.copyto(kept, new, where=rows)
        np.copyto(self.stamp_s, stamp_s, where=taken)

    def reset(self, rows: NDArray[np.bool_] | None = None) -> None:
        """Forget the ball of ``rows`` (mask, (rows,); all if None)."""
        self._graph.reset(rows)
        where = ... if rows is None else rows
        self.stamp_s[where], self.pos_w[where], self.vel_w[where] = np.nan, np.nan, np.nan
