"""Times a loop; run as a script, times one peer in the interpreter that has it installed.

The script needs the standard library and the peer alone, because that interpreter need not know corvids. It speaks one
JSON object a line: it says ``{"ready": …}`` once the peer is built and warm, then answers every line that it reads with
``{"steps", "wall_s", "cpu_s"}`` of one round. Between rounds it sleeps, so that contestants can take turns.

    python peer_worker.py PEER NAME WORLDS DEVICE THREADS SECONDS
"""

# The peers are not installed where corvids is checked.
# pyright: reportMissingImports=false, reportAttributeAccessIssue=false

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

PHYSICS_HZ, CONTROL_HZ = 500, 50
TEAM_CONTROL_HZ = 100
CHUNK_S = 0.05
"""Steps are timed in chunks of about this length; results are waited for at the end of each."""
EPISODE_STEPS = 100
"""Bare dynamics start afresh after this many control steps (2 s), before what is simulated lies still."""


class Sample(NamedTuple):
    """What one round measured."""

    steps: int
    """Control steps of every world."""
    wall_s: float
    cpu_s: float
    """Processor seconds of the whole process, all threads."""


class Contestant(NamedTuple):
    """A loop to be timed."""

    advance: Callable[[], Any]
    """One control step of all worlds."""
    finish: Callable[[], Any]
    """Waits until all that was started is done."""
    task: str
    version: str
    control_hz: int = CONTROL_HZ
    """Steps per simulated second."""


def chunk_of(advance: Callable[[], Any], finish: Callable[[], Any]) -> int:
    """How many steps take about :data:`CHUNK_S`; warms the loop up on the way."""
    advance()
    finish()
    chunk = 1
    while True:
        started = time.perf_counter()
        for _ in range(chunk):
            advance()
        finish()
        if time.perf_counter() - started >= CHUNK_S or chunk >= 4096:
            return chunk
        chunk *= 2


def time_loop(advance: Callable[[], Any], finish: Callable[[], Any], chunk: int, seconds: float) -> Sample:
    """Run chunks of steps until ``seconds`` have passed; one at least, however busy the machine is."""
    steps, wall, cpu = 0, time.perf_counter(), time.process_time()
    while not steps or time.perf_counter() - wall < seconds:
        for _ in range(chunk):
            advance()
        finish()
        steps += chunk
    return Sample(steps, time.perf_counter() - wall, time.process_time() - cpu)


def crazyflow_dynamics(worlds: int, device: str, threads: int) -> Contestant:
    """Body-rate control (CTBR) on first-principles physics, both at 500 Hz: hovering."""
    import crazyflow
    import jax
    import numpy as np
    from crazyflow.control import Control
    from crazyflow.dynamics import Dynamics
    from crazyflow.sim import Sim

    sim = Sim(
        n_worlds=worlds, control=Control.body_rate, dynamics=Dynamics.first_principles, freq=PHYSICS_HZ,
        body_rate_freq=PHYSICS_HZ, force_torque_freq=PHYSICS_HZ, device=_jax_device(device),
    )  # fmt: skip
    command = np.zeros((worlds, 1, 4), np.float32)
    command[..., 3] = 9.81 * float(np.mean(np.asarray(sim.data.params.mass)))
    staged = jax.device_put(command, sim.device)

    def advance() -> None:
        sim.body_rate_control(staged)
        sim.step(PHYSICS_HZ // CONTROL_HZ)

    return Contestant(
        advance, lambda: jax.block_until_ready(sim.data.states.pos), "body rates", _version(crazyflow)
    )


def crazyflow_env(worlds: int, device: str, threads: int) -> Contestant:
    """The gymnasium environment that crazyflow registers: observation, reward, automatic reset; constant action."""
    import crazyflow
    import crazyflow.envs
    import gymnasium
    import jax
    import numpy as np

    name = "DroneReachPos-v0"
    env = gymnasium.make_vec(name, num_envs=worlds, freq=CONTROL_HZ, device=_jax_device(device))
    env.reset(seed=0)
    low, high = env.action_space.low, env.action_space.high
    action = jax.device_put(np.asarray(0.5 * (low + high), np.float32), jax.devices(_jax_device(device))[0])
    result: list[Any] = [None]

    def advance() -> None:
        result[0] = env.step(action)

    return Contestant(advance, lambda: jax.block_until_ready(result[0][:4]), name, _version(crazyflow))


def mujoco_dynamics(worlds: int, device: str, threads: int) -> Contestant:
    """``mujoco.rollout`` of a quadrotor with a racket and a ball, rotor forces held: no rate loop."""
    import mujoco
    import numpy as np
    from mujoco.rollout import Rollout

    if device != "cpu":
        raise RuntimeError("mujoco's rollout runs on the CPU alone; leave it out or use --device cpu")
    model = mujoco.MjModel.from_xml_string(_QUADROTOR_AND_BALL)
    datas = [mujoco.MjData(model) for _ in range(threads)]
    full = mujoco.mjtState.mjSTATE_FULLPHYSICS
    one = np.empty(mujoco.mj_stateSize(model, full))
    mujoco.mj_getState(model, datas[0], one, full)
    begin = np.tile(one, (worlds, 1))
    ball_height = 1 + 7 + 2  # behind the time and the vehicle's pose
    begin[:, ball_height] += np.random.default_rng(0).uniform(0.0, 0.3, worlds)
    steps = PHYSICS_HZ // CONTROL_HZ
    state = np.empty((worlds, steps, one.size))
    control = np.full((worlds, steps, 4), 9.81 * 1.1 / 4.0)
    models, pool = [model] * worlds, Rollout(nthread=threads)
    age = [0]

    def advance() -> None:
        start = begin if age[0] % EPISODE_STEPS == 0 else state[:, -1].copy()
        age[0] += 1
        pool.rollout(models, datas, start, control, nstep=steps, state=state)

    return Contestant(advance, lambda: None, "quadrotor and ball", mujoco.__version__)


def mujoco_team(worlds: int, device: str, threads: int) -> Contestant:
    """``mujoco.rollout`` of three drones that hold a load, on cables that do not stretch, under forces that are held.

    No rotors, no rate loops, MuJoCo's cheapest integrator: bare dynamics. The model is made from our team file, so the
    interpreter must have corvids, too.
    """
    import mujoco
    import numpy as np
    from mujoco.rollout import Rollout

    from corvids.envs.engines.mujoco_team import bare_team
    from corvids.team import load_team

    if device != "cpu":
        raise RuntimeError("mujoco's rollout runs on the CPU alone; leave it out or use --device cpu")
    model, one, forces = bare_team(load_team("falcon3"), 1.0 / PHYSICS_HZ)
    datas = [mujoco.MjData(model) for _ in range(threads)]
    begin, steps = np.tile(one, (worlds, 1)), PHYSICS_HZ // TEAM_CONTROL_HZ
    begin[:, 3] += np.random.default_rng(0).uniform(
        0.0, 0.3, worlds
    )  # the first drone's height: its cable is slack
    state = np.empty((worlds, steps, one.size))
    control = np.tile(forces, (worlds, steps, 1))
    models, pool = [model] * worlds, Rollout(nthread=threads)
    spec, age = int(mujoco.mjtState.mjSTATE_XFRC_APPLIED), [0]

    def advance() -> None:
        start = begin if age[0] % EPISODE_STEPS == 0 else state[:, -1].copy()
        age[0] += 1
        pool.rollout(models, datas, start, control, control_spec=spec, nstep=steps, state=state)

    return Contestant(advance, lambda: None, "three drones and a load", mujoco.__version__, TEAM_CONTROL_HZ)


def isaaclab_env(worlds: int, device: str, threads: int) -> Contestant:
    """Our own environment of juggling, its bodies stepped by Isaac Lab; its interpreter has corvids, too."""
    import isaaclab
    import torch

    from corvids.envs.isaac.task_env import open_environment
    from corvids.training.presets import preset

    torch.set_num_threads(threads)
    env = open_environment(preset("juggle", "full").env, worlds, device)
    action = torch.zeros(worlds, env.action_size, device=device)

    def advance() -> None:
        with torch.inference_mode():
            env.step(action)

    finish = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
    return Contestant(advance, finish, "juggle", _version(isaaclab))


def _jax_device(device: str) -> str:
    return "cpu" if device == "cpu" else "gpu"


def _version(module: Any) -> str:
    from importlib.metadata import version

    return version(module.__name__)


_QUADROTOR_AND_BALL = """
<mujoco>
  <option timestep="0.002"/>
  <worldbody>
    <geom type="plane" size="50 50 1"/>
    <body name="vehicle" pos="0 0 1.5">
      <freejoint/>
      <geom type="cylinder" size="0.19 0.02" mass="1.0"/>
      <geom type="cylinder" size="0.08 0.003" pos="0 0 0.055" mass="0.1"/>
      <site name="r1" pos="0.09 -0.09 0"/><site name="r2" pos="-0.09 0.09 0"/>
      <site name="r3" pos="0.09 0.09 0"/><site name="r4" pos="-0.09 -0.09 0"/>
    </body>
    <body name="ball" pos="0 0 2.2">
      <freejoint/>
      <geom type="sphere" size="0.04" mass="0.047" solref="-8000 -3"/>
    </body>
  </worldbody>
  <actuator>
    <general site="r1" gear="0 0 1 0 0 -0.028" dyntype="filter" dynprm="0.03"/>
    <general site="r2" gear="0 0 1 0 0 -0.028" dyntype="filter" dynprm="0.03"/>
    <general site="r3" gear="0 0 1 0 0 0.028" dyntype="filter" dynprm="0.03"/>
    <general site="r4" gear="0 0 1 0 0 0.028" dyntype="filter" dynprm="0.03"/>
  </actuator>
</mujoco>
"""

CONTESTANTS: dict[str, dict[str, Callable[[int, str, int], Contestant]]] = {
    "crazyflow": {"dynamics": crazyflow_dynamics, "env": crazyflow_env},
    "mujoco": {"dynamics": mujoco_dynamics, "team": mujoco_team},
    "isaaclab": {"env": isaaclab_env},
}
"""What is measured of each peer."""


def main(argv: list[str]) -> None:
    """Build the contestant, say that it is ready, and time a round for every line read."""
    peer, name, worlds, device, threads, seconds = argv
    # What peers print must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**said: Any) -> None:
        print(json.dumps(said), file=answers, flush=True)

    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(threads)])
    try:
        contestant = CONTESTANTS[peer][name](int(worlds), device, int(threads))
        chunk = chunk_of(contestant.advance, contestant.finish)
    except Exception as error:  # noqa: BLE001 whatever a peer raises, the other side says it in one line
        answer(error=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        return
    answer(ready=True, task=contestant.task, version=contestant.version, control_hz=contestant.control_hz)
    for _ in sys.stdin:
        answer(**time_loop(contestant.advance, contestant.finish, chunk, float(seconds))._asdict())


if __name__ == "__main__":
    main(sys.argv[1:])
