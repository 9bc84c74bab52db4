"""What episodes start with: drawn for many at a time, since one costs as many operations as a thousand."""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.controllers.ball_filter import UNKNOWN_BALL
from corvids.controllers.packing import map_leaves, pack, unpack
from corvids.envs.randomization import Draws
from corvids.envs.sensing import SensorParams, SensorState
from corvids.envs.simulator import Simulator
from corvids.envs.task import Task
from corvids.envs.world import WorldParams

SENSORS_UNUSED = SensorState(0.0, 0.0, 0.0, UNKNOWN_BALL, 0.0)
"""Template of the sensors' memory."""


class Start(NamedTuple):
    """Starts of n episodes."""

    state: torch.Tensor
    """Packed :class:`~corvids.envs.world.World`, (·, n, 1)."""
    params: torch.Tensor
    """Packed :class:`~corvids.envs.world.WorldParams`, (·, n, 1)."""
    sensors: torch.Tensor
    """Packed :class:`~corvids.envs.sensing.SensorParams`, (·, n, 1)."""
    sensor_state: torch.Tensor
    """Packed :class:`~corvids.envs.sensing.SensorState`, (·, n, 1)."""
    command: torch.Tensor
    """Command and path, (·, n, 1)."""
    delay_steps: torch.Tensor
    """From the policy's decision to the autopilot's [physics steps], (n, 1)."""
    gust_std_mps: torch.Tensor
    """Of the wind along each axis, (n, 1)."""


class EpisodeStarts:
    """A stock of starts that are drawn for ``task``: calm ones, or such as the worlds have that start badly."""

    def __init__(
        self,
        task: Task,
        draws: Draws,
        nominal: WorldParams,
        simulator: Simulator,
        tick_s: float,
        is_wild: bool,
    ) -> None:
        self._task, self._draws, self._nominal, self._is_wild = task, draws, nominal, is_wild
        self._dt_s, self._tick_s = simulator.dt_s, tick_s
        self._size, self._taken = max(simulator.worlds // 2, 16), 0
        self._stock: Start | None = None

    def take(self, count: int) -> Start:
        """The next ``count`` starts."""
        if count > self._size:
            return self._draw(count)
        if self._stock is None or self._taken + count > self._size:
            self._stock, self._taken = self._draw(self._size), 0
        first, self._taken = self._taken, self._taken + count
        # The axis of worlds is the last but one of all parts.
        return Start(*(part.narrow(-2, first, count) for part in self._stock))

    def _draw(self, count: int) -> Start:
        draws, task = self._draws, self._task
        params = draws.params(count)
        command = task.draw_command(draws, None, count)
        # Two thirds of the bad starts are as bad as they come, so that the worst are not the rarest.
        severity = draws.uniform((0.0, 3.0), count).clamp(max=1.0) * float(self._is_wild)
        truth = map_leaves(lambda row: row[:, 0], unpack(params, self._nominal))
        state = pack(task.draw_start(draws, truth, command, severity))
        sensors = draws.sensors(count)
        delay_s = draws.uniform(draws.config.command_delay_s, count, 1)
        return Start(
            state=state[..., None],
            params=params,
            sensors=sensors,
            sensor_state=self._fresh_sensors(SensorParams(*sensors[..., 0]), count)[..., None],
            command=command[..., None],
            delay_steps=torch.round(delay_s / self._dt_s),
            gust_std_mps=draws.uniform(draws.config.gust_std_mps, count, 1),
        )

    def _fresh_sensors(self, sensors: SensorParams, count: int) -> torch.Tensor:
        """Sensor memory a tick before an episode's first look: phases drawn, the ball not yet seen."""
        phase = self._draws.uniform((0.0, 1.0), 2, count)
        ones = torch.ones(count, device=phase.device)
        template = map_leaves(lambda leaf: ones * leaf, SENSORS_UNUSED)
        vehicle_age = sensors.vehicle_delay_s + phase[0] * sensors.vehicle_period_s - self._tick_s
        ball_age = sensors.ball_delay_s + phase[1] * sensors.ball_period_s - self._tick_s
        return pack(
            template._replace(
                vehicle_age_s=vehicle_age, ball_age_s=ball_age, estimate_age_s=ball_age,
                since_start_s=-self._tick_s * ones,
            )
        )  # fmt: skip
