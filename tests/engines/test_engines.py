"""What every engine must do, whatever it is made of."""

from __future__ import annotations

import numpy as np
import pytest

from corvids.controllers.packing import map_leaves
from corvids.envs.engines.engine import TICK_S
from corvids.envs.engines.mujoco_engine import MujocoEngine
from corvids.envs.physics.nominal import BallConfig, world_params
from corvids.envs.plants.conditions import CONDITIONS, Trials, draw
from corvids.errors import CorvidsError

G = 9.80665
BOTH = pytest.mark.parametrize("kind", ["native", "mujoco"])


def params_of(lab):
    return world_params(lab.air, BallConfig(), TICK_S)


def low_balls(trials: Trials) -> Trials:
    """Trials whose balls are released half a metre lower: they fall 0.14 s, not 0.35 s."""
    lower = trials.start.ball_pos_w - np.array([0.0, 0.0, 0.5])
    return trials._replace(start=trials.start._replace(ball_pos_w=lower))


@BOTH
def test_the_start_is_what_was_asked_for(lab, kind: str):
    trials = draw(CONDITIONS["throws"], lab.air, 5, 0)
    spun = trials.start._replace(ball_spin_w=np.arange(15.0).reshape(5, 3), omega_b=np.full((5, 3), 0.2))
    engine = lab.make(kind, lab.air, 5)
    engine.reset(spun, trials.params)
    for name, asked, found in zip(spun._fields, spun, engine.state, strict=True):
        np.testing.assert_allclose(found, asked, atol=1e-12, err_msg=name)


@BOTH
def test_a_vehicle_without_thrust_falls(lab, kind: str):
    """Free fall from rest for 0.2 s: ½·g·t² = 0.196 m, less a little drag.

    At 1.93 m/s drag is 0.2·1.93 + 0.03·1.93² = 0.50 N, and idle rotors (100 rad/s) still give 4·5.4e-6·100² = 0.22 N:
    over 1.0975 kg, all that an accelerometer feels is 0.65 m/s².
    """
    engine = lab.make(kind, lab.air, 1)
    engine.reset(lab.start(lab.air, 1, rotors=(0.0,) * 4), params_of(lab))
    for _ in range(100):
        engine.step_motors(np.zeros((1, 4)))
    fallen = 10.0 - engine.state.pos_w[0, 2]
    assert fallen == pytest.approx(0.5 * G * 0.2**2, abs=0.006)
    np.testing.assert_allclose(engine.specific_force_w, [[0.0, 0.0, 0.65]], atol=0.03)


@BOTH
def test_hover_thrust_carries_the_weight(lab, kind: str):
    engine = lab.make(kind, lab.air, 1)
    engine.reset(lab.start(lab.air, 1), params_of(lab))
    for _ in range(250):
        engine.step(np.array([lab.air.weight_n]), np.zeros((1, 3)))
    np.testing.assert_allclose(engine.motors, np.full((1, 4), lab.air.hover_command), rtol=1e-4)
    np.testing.assert_allclose(engine.state.pos_w, [[0.0, 0.0, 10.0]], atol=1e-3)
    np.testing.assert_allclose(engine.specific_force_w, [[0.0, 0.0, G]], atol=1e-3)


@BOTH
def test_body_rates_are_followed(lab, kind: str):
    engine = lab.make(kind, lab.air, 1)
    engine.reset(lab.start(lab.air, 1), params_of(lab))
    for _ in range(150):
        engine.step(np.array([lab.air.weight_n]), np.array([[1.0, -0.5, 0.3]]))
    np.testing.assert_allclose(engine.state.omega_b, [[1.0, -0.5, 0.3]], atol=0.15)


@BOTH
def test_worlds_do_not_feel_each_other(lab, kind: str):
    """Trials with their own parameters fly together as they fly alone, although all meet in one spot."""
    trials, ticks = low_balls(draw(CONDITIONS["noisy"], lab.air, 3, 4)), 90  # past the first impact
    command = np.full(3, lab.air.weight_n), np.array([[0.3, 0.0, 0.0], [0.0, -0.2, 0.1], [0.0, 0.0, 0.0]])
    together = lab.make(kind, lab.air, 3)
    together.reset(trials.start, trials.params)
    impacts = np.zeros(3, int)
    for _ in range(ticks):
        together.step(*command)
        impacts += together.contacts.racket
    assert impacts.min() >= 1
    for i in range(3):
        alone = lab.make(kind, lab.air, 1)
        alone.reset(*map_leaves(lambda leaf, i=i: leaf[i : i + 1], (trials.start, trials.params)))
        for _ in range(ticks):
            alone.step(*(part[i : i + 1] for part in command))
        for name, one, all_ in zip(alone.state._fields, alone.state, together.state, strict=True):
            np.testing.assert_allclose(one[0], all_[i], atol=1e-6, err_msg=name)


def test_retired_worlds_leave_the_others_alone(lab):
    trials = low_balls(draw(CONDITIONS["nominal"], lab.air, 3, 0))
    states = []
    for retired in ([False, False, False], [False, True, False]):
        engine = lab.make("mujoco", lab.air, 3)
        engine.reset(trials.start, trials.params)
        for tick in range(90):
            if tick == 60:
                engine.retire(np.array(retired))
            engine.step(np.full(3, lab.air.weight_n), np.zeros((3, 3)))
        states.append(engine.state)
    for name, kept, other in zip(states[0]._fields, *states, strict=True):
        np.testing.assert_allclose(kept[[0, 2]], other[[0, 2]], atol=1e-9, err_msg=name)
        assert np.isfinite(other).all(), name


@BOTH
def test_an_impact_on_the_face_is_told_from_others(lab, kind: str):
    """From left to right: face; airframe beside the racket; face from below; nothing."""
    z = 10.0
    places = np.array([[0.0, 0.0, z + 0.2], [0.12, 0.0, z + 0.2], [0.0, 0.0, z - 0.3], [1.0, 0.0, z]])
    speeds = np.array([[0.0, 0.0, -3.0], [0.0, 0.0, -3.0], [0.0, 0.0, 6.0], [0.0, 0.0, 0.0]])
    engine = lab.make(kind, lab.air, 4)
    engine.reset(lab.start(lab.air, 4, ball_pos_w=places, ball_vel_w=speeds), params_of(lab))
    racket, other = np.zeros(4, int), np.zeros(4, int)
    for _ in range(45):
        engine.step(np.full(4, lab.air.weight_n), np.zeros((4, 3)))
        racket += engine.contacts.racket
        other += engine.contacts.other
    assert racket.tolist() == [1, 0, 0, 0]
    assert other.tolist() == [0, 1, 1, 0]
    # The face is 55 mm above the centre of mass, the ball's radius 40 mm.
    np.testing.assert_allclose(engine.contacts.racket_ball_pos_w[0], (0.0, 0.0, z + 0.095), atol=1.5e-3)


@BOTH
def test_a_vehicle_lands_on_its_gear(lab, kind: str):
    engine = lab.make(kind, lab.air, 1)
    engine.reset(lab.start(lab.air, 1, pos_w=(0.0, 0.0, 0.15), rotors=(0.1,) * 4), params_of(lab))
    for _ in range(400):
        engine.step_motors(np.zeros((1, 4)))
    assert engine.state.pos_w[0, 2] == pytest.approx(0.1, abs=0.004)
    assert np.linalg.norm(engine.state.vel_w) < 0.02


@BOTH
def test_a_start_that_cannot_be_is_refused(lab, kind: str):
    engine = lab.make(kind, lab.air, 2)
    good = lab.start(lab.air, 2)
    with pytest.raises(CorvidsError, match=r"vel_w has shape \(3, 3\), must be \(2, 3\)"):
        engine.reset(good._replace(vel_w=np.zeros((3, 3))), params_of(lab))
    with pytest.raises(CorvidsError, match="omega_b of world 1 is not finite"):
        engine.reset(good._replace(omega_b=np.array([[0.0] * 3, [np.nan] * 3])), params_of(lab))
    params = params_of(lab)
    with pytest.raises(CorvidsError, match=r"shape \(3,\): must be a number or \(2,\)"):
        engine.reset(good, params._replace(ball=params.ball._replace(mass_kg=np.ones(3))))


def test_mujoco_must_step_at_a_kilohertz(lab):
    with pytest.raises(CorvidsError, match="must be 2 or more"):
        MujocoEngine(lab.air, 1, steps_per_tick=1)


@pytest.mark.slow
@BOTH
def test_compiled_equals_uncompiled(lab, kind: str):
    from corvids.envs.engines.native import NativeEngine

    trials = draw(CONDITIONS["noisy"], lab.air, 3, 0)
    engines = [lab.make(kind, lab.air, 3), (NativeEngine if kind == "native" else MujocoEngine)(lab.air, 3)]
    for engine in engines:
        engine.reset(trials.start, trials.params)
        for _ in range(230):
            engine.step(np.full(3, lab.air.weight_n), np.full((3, 3), 0.1))
    for name, a, b in zip(trials.start._fields, engines[0].state, engines[1].state, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-3, err_msg=name)
