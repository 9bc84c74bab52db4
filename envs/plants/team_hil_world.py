"""One world whose team is flown by real autopilots: motor commands in, what each member's sensors feel out.

A condition's trial begins in the air. Until it is released the team is held where it begins, as on a stand: nothing
moves, the accelerometers feel the stand, and the trial's clock stands still. Or members stand on the ground below where
they would begin, and are free from the start; only the trial's clock waits.
"""

from __future__ import annotations

import math
from collections import deque

import numpy as np

from corvids.envs.engines.engine import Array
from corvids.envs.engines.mujoco_team_engine import MujocoTeamEngine
from corvids.envs.engines.team_engine import TeamState
from corvids.envs.plants.hil_world import (
    ACCEL_STD_MPS2,
    GYRO_STD_RADPS,
    TICKS,
    TRACKER_ANGLE_STD_RAD,
    TRACKER_DELAY_S,
    TRACKER_POS_STD_M,
    TRACKER_STEPS,
    Felt,
)
from corvids.envs.plants.team_conditions import TeamTrials
from corvids.envs.plants.team_plant import LoadSensor
from corvids.envs.plants.team_referee import LOOK_S, TeamReferee, rotated
from corvids.envs.sensors.instruments import turned
from corvids.vehicle import GRAVITY_MPS2


class TeamHilWorld:
    """``engine`` with one world, under ``trials`` of which there is one, judged by ``referee``."""

    def __init__(
        self,
        engine: MujocoTeamEngine,
        trials: TeamTrials,
        *,
        seed: int,
        referee: TeamReferee,
        is_grounded: bool = False,
    ) -> None:
        """``seed`` draws the noise of sensors; ``is_grounded``: members start on the ground."""
        self.unseen_from_s = math.inf
        """From when on nobody sees the load, after the release [s]."""
        self._engine, self._referee = engine, referee
        self._rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(2,)))
        self._load = LoadSensor(trials, self._rng)
        start, self._is_free = trials.start, is_grounded
        if is_grounded:
            pos_w = start.drones.pos_w.copy()
            pos_w[:, 2] = trials.params.drones.vehicle.ground_clearance_m.reshape(-1).numpy()
            start = start._replace(drones=start.drones._replace(pos_w=pos_w))
        engine.reset(start, trials.params, trials.thrust_n * (not is_grounded))
        self._state: TeamState = engine.state
        self._steps = 0
        self._released_s = math.inf
        self._look_s = 0.0
        self._poses: deque[tuple[Array, Array]] = deque(maxlen=round(TRACKER_DELAY_S / self.step_s) + 1)

    @property
    def step_s(self) -> float:
        """Time between two readings of the sensors [s]."""
        return TICKS * self._engine.dt_s

    @property
    def now_s(self) -> float:
        """Time since the start [s]."""
        return self._steps * self.step_s

    @property
    def trial_s(self) -> float:
        """Time since the team was released [s]; negative before."""
        return self.now_s - self._released_s

    @property
    def state(self) -> TeamState:
        """Truth."""
        return self._state

    def release(self) -> None:
        """Let go of the team, if it is held, and begin its trial."""
        self._released_s = min(self._released_s, self.now_s)

    def advance(self, motors: Array) -> list[Felt]:
        """One step under motor commands 0 to 1 (members, 4), and what each member feels at its end."""
        force_w = np.zeros((self._engine.drones, 3))
        for tick in range(TICKS):
            start_s = self.now_s + tick * self._engine.dt_s
            before = self._state
            if self._is_free or start_s >= self._released_s:
                self._engine.step_motors(motors)
                self._state = self._engine.state
                force_w += self._state.specific_force_w / TICKS
            else:
                force_w[:, 2] += GRAVITY_MPS2 / TICKS
            self._load.observe(before.load, self._state.load, start_s, start_s + self._engine.dt_s)
        self._steps += 1
        while self.trial_s >= self._look_s - 1e-9:
            self._referee.look(self._look_s, self._state)
            self._look_s += LOOK_S
        return self._feel(force_w)

    def load_poses(self) -> tuple[Array, Array]:
        """Poses of the load that have arrived at each member since the last call: stamps (members, k) and poses
        (members, k, 7); k may be 0, NaN where a member has fewer."""
        stamps, poses = self._load.queue.fetch(self.now_s)
        seen = 0 if self.trial_s >= self.unseen_from_s else None
        return stamps[:, :seen], poses[:, :seen]

    def _feel(self, force_w: Array) -> list[Felt]:
        drones, rng = self._state.drones, self._rng
        members = len(drones.pos_w)
        inverse = drones.quat_wb * (1.0, -1.0, -1.0, -1.0)
        force_b = rotated(inverse, force_w) + rng.normal(0.0, ACCEL_STD_MPS2, (members, 3))
        omega_b = drones.omega_b + rng.normal(0.0, GYRO_STD_RADPS, (members, 3))
        self._poses.append((drones.pos_w, drones.quat_wb))
        seen_w, seen_quat = self._poses[0]
        is_seen = self._steps % TRACKER_STEPS == 0
        if is_seen:
            seen_w = seen_w + rng.normal(0.0, TRACKER_POS_STD_M, (members, 3))
            seen_quat = turned(seen_quat, rng.normal(0.0, TRACKER_ANGLE_STD_RAD, (members, 3)))
        return [
            Felt(
                tuple(force_b[member].tolist()),
                tuple(omega_b[member].tolist()),
                tuple(drones.quat_wb[member].tolist()),
                float(drones.pos_w[member, 2]),
                tuple(seen_w[member].tolist()) if is_seen else None,
                tuple(seen_quat[member].tolist()),
            )
            for member in range(members)
        ]
