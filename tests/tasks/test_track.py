"""The reference of `track` is a Lissajous curve, and its velocity is the curve's."""

from __future__ import annotations

import pytest
import torch
from scenes import TICK_S, X500, draws, inputs

from corvids.envs.tasks.hover import Hover
from corvids.envs.tasks.track import AMPLITUDE_M, FREQUENCY_RADPS, STANDING, Track

TRACK = Track(X500)
COUNT = 500


def drawn(seed: int = 0) -> torch.Tensor:
    return TRACK.draw_command(draws(seed, X500), None, COUNT).double()


def moved(command: torch.Tensor, ticks: int) -> torch.Tensor:
    rows = command.unbind(0)
    for _ in range(ticks):
        rows = TRACK.move(rows, TICK_S)
    return torch.stack(rows)


def test_the_reference_moves_along_the_closed_form():
    """x = c + A·sin(ωt + φ), with A and φ from where it starts: A·sin φ = x₀ - c, A·cos φ = v₀/ω."""
    start = drawn()
    pos, vel, center, frequency = start.split(3)
    amplitude, phase = torch.hypot(pos - center, vel / frequency), torch.atan2(pos - center, vel / frequency)
    for ticks in (1, 10, 500):  # 10 s: longer than a curve lasts
        now = moved(start, ticks)
        angle = frequency * (ticks * TICK_S) + phase
        torch.testing.assert_close(now[:3], center + amplitude * torch.sin(angle), atol=1e-9, rtol=0)
        torch.testing.assert_close(now[3:6], amplitude * frequency * torch.cos(angle), atol=1e-9, rtol=0)
        assert torch.equal(now[6:], start[6:])


def test_the_velocity_is_the_derivative_of_the_position():
    """Central differences err by ω³·A·h²/6: below 1e-5 m/s at h = 2 ms."""
    start, step = drawn(1), 0.002
    ahead, behind = (torch.stack(TRACK.move(start.unbind(0), h))[:3] for h in (step, -step))
    torch.testing.assert_close((ahead - behind) / (2 * step), start[3:6], atol=1e-5, rtol=0)


def test_in_single_precision_a_curve_keeps_its_size_far_longer_than_it_lasts():
    start = drawn(2).float()
    _, _, center, frequency = start.split(3)

    def size(command: torch.Tensor) -> torch.Tensor:
        return torch.hypot(command[:3] - center, command[3:6] / frequency)

    now = moved(start, 2000)
    torch.testing.assert_close(size(now), size(start), atol=1e-3, rtol=0)


def test_curves_are_within_their_ranges_and_a_share_stands():
    pos, vel, center, frequency = drawn(3).split(3)
    amplitude = torch.hypot(pos - center, vel / frequency)
    assert (amplitude.amax(dim=1) <= torch.tensor(AMPLITUDE_M) + 1e-5).all()
    low, high = FREQUENCY_RADPS
    assert low <= float(frequency.min()) < float(frequency.max()) <= high
    stands = amplitude.amax(dim=0) < 1e-6
    assert float(stands.float().mean()) == pytest.approx(STANDING, abs=0.08)
    assert (amplitude[:, ~stands] >= 0.2 * torch.tensor(AMPLITUDE_M)[:, None] - 1e-5).all()
    assert (center[2] - amplitude[2]).min() > 1.0  # the lowest point of any curve
    assert not vel[:, stands].any()


def test_the_next_curve_starts_within_a_metre_so_that_no_change_is_a_failure():
    """A vehicle 4 m from its reference has failed; a jump must leave it time."""
    last = moved(drawn(4), 77).float()
    new = TRACK.draw_command(draws(5, X500), last, COUNT)
    away = (new[:3] - last[:3]).abs()
    away[2] *= (new[2] > 2.0) & (new[2] < 4.0)  # heights are kept within 2 to 4 m
    assert 0.9 < float(away.max()) <= 1.0 + 1e-5


def test_the_policy_sees_the_references_velocity_besides_what_hovering_sees():
    given = inputs(7, 6)
    memory, actions = torch.zeros(7, 3).double(), torch.zeros(7, 12).double()
    seen = TRACK.observe(given, memory, actions)
    torch.testing.assert_close(seen[:, -3:], given.command[:, 3:6])
    bare = given._replace(command=given.command[:, :3])
    torch.testing.assert_close(seen[:, :-3], Hover(X500).observe(bare, memory, actions))
    assert len(TRACK.COMMAND) == 6
