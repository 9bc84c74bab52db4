"""What episodes start with: drawn for many at a time, since one costs as many operations as a thousand."""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.controllers.ball_filter import UNKNOWN_BALL
from corvids.controllers.packing import leaf_names, map_leaves, pack, unpack
from corvids.controllers.spatial import Vec3
from corvids.envs.episodes.randomization import Draws
from corvids.envs.episodes.stock import Stock
from corvids.envs.mdp.task import Task
from corvids.envs.physics.world import WorldParams
from corvids.envs.sensors.sensing import SensorParams, SensorState
from corvids.envs.simulator import Simulator

SENSORS_UNUSED = SensorState(0.0, 0.0, 0.0, UNKNOWN_BALL, 0.0, Vec3(0.0, 0.0, 0.0))
"""Template of the sensors' memory."""


class Start(NamedTuple):
    """All that the start of an episode sets in a world; packed tensors, (·, worlds, 1)."""

    state: torch.Tensor
    """:class:`~corvids.envs.physics.world.World`."""
    params: torch.Tensor
    """:class:`~corvids.envs.physics.world.WorldParams`."""
    order: torch.Tensor
    """CTBR command in force: hovering."""
    sensors: torch.Tensor
    """:class:`~corvids.envs.sensors.sensing.SensorParams`."""
    sensor_state: torch.Tensor
    """:class:`~corvids.envs.sensors.sensing.SensorState`."""
    episode: torch.Tensor
    """The task's memory of the episode."""
    command: torch.Tensor
    """The task's command and path."""
    delay_steps: torch.Tensor
    """From the policy's decision to the autopilot's [physics steps]."""
    wind_mean: torch.Tensor
    """Horizontal wind [m/s]."""
    gust_std_mps: torch.Tensor
    """Of the wind about it, along each axis."""
    memory: torch.Tensor
    """The policy's memory: nothing yet."""
    actions: torch.Tensor
    """Its past actions: none yet."""


class EpisodeStarts:
    """A stock of starts for ``task``, as the worlds have that start badly (``is_wild``) or the others."""

    def __init__(
        self, task: Task, draws: Draws, nominal: WorldParams, simulator: Simulator, tick_s: float,
        *, hover_n: float, actions: int, is_wild: bool,
    ) -> None:  # fmt: skip
        self._task, self._draws, self._nominal, self._is_wild = task, draws, nominal, is_wild
        self._dt_s, self._tick_s, self._hover_n, self._actions = simulator.dt_s, tick_s, hover_n, actions
        self._wind = leaf_names(nominal).index("wind_w.x")
        # Starts come with all their parts packed into one tensor, (·, count, 1).
        stock = Stock(lambda count: torch.cat(self.draw(count)), max(simulator.worlds // 2, 16))
        self.take, self.restock = stock.take, stock.restock

    def draw(self, count: int) -> Start:
        """``count`` new starts."""
        draws, task = self._draws, self._task
        params = draws.params(count)
        command = task.draw_command(draws, None, count)
        # Two thirds of the bad starts are as bad as they come, so that the worst are not the rarest.
        severity = draws.uniform((0.0, 3.0), count).clamp(max=1.0) * float(self._is_wild)
        truth = map_leaves(lambda row: row[:, 0], unpack(params, self._nominal))
        world = task.draw_start(draws, truth, command, severity)
        state = pack(world)
        sensors = draws.sensors(count)

        def every(*values: float) -> torch.Tensor:
            return torch.tensor(values, device=params.device).reshape(-1, 1, 1).expand(-1, count, 1)

        return Start(
            state=state[..., None],
            params=params,
            order=every(self._hover_n, 0.0, 0.0, 0.0),
            sensors=sensors,
            sensor_state=self._fresh_sensors(SensorParams(*sensors[..., 0]), world.ball.vel_w)[..., None],
            episode=every(*task.EPISODE),
            command=command[..., None],
            delay_steps=torch.round(draws.uniform(draws.config.command_delay_s, 1, count, 1) / self._dt_s),
            wind_mean=params[self._wind : self._wind + 2],
            gust_std_mps=draws.uniform(draws.config.gust_std_mps, 1, count, 1),
            memory=every(*(0.0,) * task.MEMORY),
            actions=every(*(0.0,) * self._actions),
        )

    def _fresh_sensors(self, sensors: SensorParams, hand_vel_w: Vec3) -> torch.Tensor:
        """Sensor memory a tick before an episode's first look, which finds one measurement of the ball: the newest."""
        ones = torch.ones_like(sensors.vehicle_delay_s)
        phase = self._draws.uniform((0.0, 1.0), 2, len(ones))
        template = map_leaves(lambda leaf: ones * leaf, SENSORS_UNUSED)
        vehicle_age = sensors.vehicle_delay_s + phase[0] * sensors.vehicle_period_s - self._tick_s
        ball_age = sensors.ball_delay_s + (1.0 + phase[1]) * sensors.ball_period_s - self._tick_s
        return pack(
            template._replace(
                vehicle_age_s=vehicle_age, ball_age_s=ball_age, estimate_age_s=ball_age,
                since_start_s=-self._tick_s * ones, hand_vel_w=hand_vel_w,
            )
        )  # fmt: skip
