"""A plant that is commanded in ACCBR: the policy file's inner loop between a pilot and a plant that knows CTBR.

At every sample of the accelerometer the loop turns the acceleration that was commanded last into collective thrust and
body rates, which the plant is sent at once.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from corvids.deploy.contract import Limits, Stage
from corvids.deploy.fallback import Fallback
from corvids.deploy.graph import GraphFailure
from corvids.deploy.pilot import Array, Readings
from corvids.deploy.policy import stage_graph


class ImuPlant(Protocol):
    """A plant (see :class:`corvids.deploy.runtime.Plant`) whose accelerometers can be read between control ticks."""

    @property
    def now_s(self) -> float:
        """Time on the plant's clock [s]."""
        ...

    def imu(self, until_s: float) -> tuple[Array, Array]:
        """Let time pass until ``until_s``: specific force [m/s², FLU] (n, 3) and attitude (n, 4) there."""
        ...

    def receive(self, until_s: float) -> Readings:
        """Let time pass until ``until_s`` and hand over what has arrived since the last call."""
        ...

    def send(self, first: Array, second: Array, /) -> None:
        """Command collective thrust [N] (n,) and body rates [rad/s, FLU] (n, 3) from now on."""
        ...


class InnerLoop:
    """``plant``'s ``rows`` vehicles under the inner loop of ``stage``.

    A vehicle whose sample is not finite, or whose loop does not answer with finite numbers, is levelled by the fallback
    and its loop starts afresh. ``thrust_n`` (rows,): what the rotors give at the start [N], where that is not weight.
    """

    def __init__(
        self,
        plant: ImuPlant,
        stage: Stage,
        limits: Limits,
        rows: int,
        thrust_n: Array | None = None,
        outside_w_mps2: Array | None = None,
    ) -> None:
        self._plant, self._graph = plant, stage_graph(stage, rows)
        inputs, outputs = self._graph.inputs, self._graph.outputs
        (self._state,) = stage.states
        self.start(thrust_n, outside_w_mps2)
        self._accel, self._turn = inputs["accel_w_mps2"], inputs["turn_b_radps"]
        self._felt, self._quat = inputs["accelerometer_b"], inputs["quat_wb"]
        self._thrust, self._rates = outputs["thrust_n"][:, 0], outputs["rate_b_radps"]
        self._period_s = 1.0 / stage.rate_hz[1]
        self._fallback = Fallback(limits)
        self._unknown = np.full((rows, 3), np.nan)

    def start(self, thrust_n: Array | None = None, outside_w_mps2: Array | None = None) -> None:
        """Believe from now on that the rotors give ``thrust_n`` (rows,) [N], and that something else pulls by
        ``outside_w_mps2`` (rows, 3) [m/s², world]; what is not given stays as it is believed, at first as at rest."""
        memory = self._graph.inputs[self._state.input]
        if thrust_n is not None:
            memory[:, 0] = thrust_n
        if outside_w_mps2 is not None:
            memory[:, 1:] = outside_w_mps2

    @property
    def now_s(self) -> float:
        """Time on the plant's clock [s]."""
        return self._plant.now_s

    @property
    def outside_w_mps2(self) -> Array:
        """What else than rotors pulls at each vehicle, as the loop believes (rows, 3) [m/s², world]."""
        return self._graph.inputs[self._state.input][:, 1:].astype(np.float64)

    def send(self, accel_w_mps2: Array, turn_b_radps: Array, /) -> None:
        """Command acceleration [m/s², world] (n, 3) and added roll and pitch rates [rad/s] (n, 2) from now on."""
        self._accel[...], self._turn[...] = accel_w_mps2, turn_b_radps

    def receive(self, until_s: float) -> Readings:
        """Let time pass until ``until_s``, the loop at work, and hand over what has arrived by then."""
        while self._plant.now_s < until_s - 0.5 * self._period_s:
            self._control(*self._plant.imu(min(self._plant.now_s + self._period_s, until_s)))
        return self._plant.receive(until_s)

    def _control(self, accelerometer_b: Array, quat_wb: Array) -> None:
        self._felt[...], self._quat[...] = accelerometer_b, quat_wb
        inputs, outputs = self._graph.inputs, self._graph.outputs
        before, after = inputs[self._state.input], outputs[self._state.output]
        try:
            self._graph.run()
            total = self._thrust + self._rates.sum(axis=1) + after.sum(axis=1)
            fit: NDArray[np.bool_] = np.isfinite(total)
        except GraphFailure:
            fit = np.zeros(len(before), dtype=bool)
        np.copyto(before, after, where=fit[:, None])
        thrust_n, rates = self._thrust.astype(np.float64), self._rates.astype(np.float64)
        if not fit.all():
            self._graph.reset(~fit)
            level = self._fallback.command(self._unknown, self._unknown, quat_wb, self._unknown)
            thrust_n = np.where(fit, thrust_n, level[0])
            rates = np.where(fit[:, None], rates, level[1])
        self._plant.send(thrust_n, rates)
