"""What a team's episodes start with; see :mod:`corvids.envs.episodes.episode_starts`."""

from __future__ import annotations

from typing import NamedTuple

import torch

from corvids.controllers.packing import leaf_names, leaves, pack, unpack
from corvids.envs.episodes.stock import Stock
from corvids.envs.episodes.team_randomization import TeamDraws
from corvids.envs.episodes.team_starts import settled_inner_loop
from corvids.envs.mdp.team_task import TeamTask
from corvids.envs.physics.team_world import TeamParams
from corvids.envs.sensors.load_sensing import LOAD_UNSEEN, LoadSensorParams, LoadSensorState
from corvids.envs.sensors.sensing import SensorParams


class TeamStart(NamedTuple):
    """All that the start of an episode sets in a world; packed tensors, (k · drones, worlds, 1), drones innermost.

    What belongs to the load or to the world has one row where others have one a drone.
    """

    motion: torch.Tensor
    """:class:`~corvids.envs.physics.team_world.Motion`."""
    drive: torch.Tensor
    """:class:`~corvids.envs.physics.team_world.Drive`."""
    inner: torch.Tensor
    """:class:`~corvids.envs.physics.inner_loop.InnerLoop`."""
    load: torch.Tensor
    """:class:`~corvids.envs.physics.load.Load`."""
    drone_params: torch.Tensor
    """:class:`~corvids.envs.physics.team_world.DroneParams`."""
    load_params: torch.Tensor
    """:class:`~corvids.envs.physics.load.LoadParams`."""
    order: torch.Tensor
    """Command in force: none."""
    sensors: torch.Tensor
    """:class:`~corvids.envs.sensors.sensing.SensorParams`."""
    load_sensors: torch.Tensor
    """:class:`~corvids.envs.sensors.load_sensing.LoadSensorParams`."""
    vehicle_age: torch.Tensor
    """Of the newest state that a drone has of itself [s]."""
    load_state: torch.Tensor
    """:class:`~corvids.envs.sensors.load_sensing.LoadSensorState`."""
    episode: torch.Tensor
    """The task's memory of the episode."""
    path: torch.Tensor
    """Where the load is wanted."""
    delay_steps: torch.Tensor
    """From a policy's decision to the inner loop's [physics steps]."""
    wind_mean: torch.Tensor
    """Horizontal wind [m/s]."""
    gust_std_mps: torch.Tensor
    """Of the wind about it, along each axis."""
    memory: torch.Tensor
    """The policies' memory: nothing yet."""
    actions: torch.Tensor
    """Their past actions: none yet."""


class TeamEpisodeStarts:
    """A stock of starts for ``task``, as the worlds have that start badly (``is_wild``) or the others."""

    def __init__(
        self, task: TeamTask, draws: TeamDraws, nominal: TeamParams, worlds: int, *, dt_s: float, tick_s: float,
        action_size: int, past_actions: int, is_wild: bool,
    ) -> None:  # fmt: skip
        self._task, self._draws, self._nominal, self._is_wild = task, draws, nominal, is_wild
        self._dt_s, self._tick_s = dt_s, tick_s
        self._action_size, self._past_actions = action_size, past_actions
        self._wind = leaf_names(nominal.load).index("wind_w.x")
        stock = Stock(lambda count: torch.cat(self.draw(count)), max(worlds // 2, 16))
        self.take, self.restock = stock.take, stock.restock

    def draw(self, count: int) -> TeamStart:
        """``count`` new starts."""
        draws, task, config = self._draws, self._task, self._draws.config
        drone_params, load_params = draws.team(count)
        drones = drone_params.shape[2]
        truth = TeamParams(
            unpack(drone_params, self._nominal.drones), unpack(load_params, self._nominal.load)
        )
        path = task.draw_path(draws, count)
        # Half of the bad starts are as bad as they come, so that the worst are not the rarest.
        severity = draws.uniform((0.0, 2.0), count, 1).clamp(max=1.0) * float(self._is_wild)
        world = task.draw_start(draws, truth, path, severity)
        sensors = draws.sensors(count * drones).reshape(-1, drones, count)
        load_sensors = draws.load_sensors(count)
        mine, theirs = SensorParams(*sensors), LoadSensorParams(*load_sensors)
        phase = draws.uniform((0.0, 1.0), drones, count)
        vehicle_age = mine.vehicle_delay_s + phase * mine.vehicle_period_s - self._tick_s
        phase = draws.uniform((0.0, 1.0), count, drones)
        load_age = theirs.delay_s + phase * theirs.period_s - self._tick_s
        body = world.load.body
        pose_point = body.pos_w + body.quat_wb.rotate(truth.load.pose_point_b_m)
        seen = LOAD_UNSEEN.estimate._replace(
            pos_w=pose_point, vel_w=body.vel_w, quat_wb=body.quat_wb, omega_b=body.omega_b
        )

        def rows(packed: torch.Tensor) -> torch.Tensor:
            """(k, count, drones) or (k, count, 1) drone by drone."""
            return packed.transpose(1, 2).reshape(-1, count, 1)

        def columns(tree: object) -> torch.Tensor:
            return rows(torch.stack([leaf.expand(count, drones) for leaf in leaves(tree)]))

        def zeros(size: int) -> torch.Tensor:
            return torch.zeros((size * drones, count, 1), device=path.device)

        episode = torch.tensor(list(task.EPISODE), device=path.device)
        return TeamStart(
            motion=columns(world.motion),
            drive=columns(world.drive),
            inner=columns(settled_inner_loop(truth)),
            load=rows(pack(world.load)),
            drone_params=rows(drone_params),
            load_params=rows(load_params),
            order=zeros(self._action_size),
            sensors=sensors.reshape(-1, count, 1),
            load_sensors=rows(load_sensors),
            vehicle_age=vehicle_age[..., None],
            load_state=rows(pack(LoadSensorState(load_age, seen))),
            episode=episode[:, None, None].expand(-1, count, 1),
            path=path[..., None],
            delay_steps=torch.round(draws.uniform(config.command_delay_s, drones, count, 1) / self._dt_s),
            wind_mean=load_params[self._wind : self._wind + 2],
            gust_std_mps=draws.uniform(config.gust_std_mps, 1, count, 1),
            memory=zeros(task.MEMORY),
            actions=zeros(self._past_actions * self._action_size),
        )
