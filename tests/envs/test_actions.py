"""Actions become commands within the vehicle file's limits, whatever a network says."""

from __future__ import annotations

import pytest
import torch

from corvids.envs.mdp.actions import ACTIONS, CtbrAction
from corvids.vehicle import load_vehicle, vehicle_names

VEHICLES = {name: load_vehicle(name) for name in vehicle_names()}


def commanded(name: str, action: list[list[float]]) -> tuple[torch.Tensor, torch.Tensor]:
    act = CtbrAction(VEHICLES[name])
    return act.command(act.squash(torch.tensor(action, dtype=torch.float64)))


@pytest.mark.parametrize("name", VEHICLES)
def test_the_extremes_are_the_vehicle_files_limits(name: str):
    limits = VEHICLES[name].limits
    thrust_n, rates = commanded(name, [[1e9] * ACTIONS, [-1e9] * ACTIONS])
    assert thrust_n[:, 0].tolist() == pytest.approx([limits.thrust_max_n, 0.0], abs=1e-12)
    assert rates[0].tolist() == pytest.approx(limits.rate_max_radps)
    assert rates[1].tolist() == pytest.approx([-rate for rate in limits.rate_max_radps])


@pytest.mark.parametrize("name", VEHICLES)
def test_no_action_is_hovering(name: str):
    thrust_n, rates = commanded(name, [[0.0] * ACTIONS])
    assert thrust_n.item() == pytest.approx(VEHICLES[name].weight_n)
    assert not rates.any()


def test_thrust_is_linear_on_each_side_of_hovering():
    """air: weight 1.0975 kg · 9.80665 m/s² = 10.7628 N, limit 36 N. Half-way up 23.3814 N, half-way down 5.3814 N."""
    act = CtbrAction(VEHICLES["air"])
    squashed = torch.tensor([[0.5, 0.0, 0.0, 0.0], [-0.5, 0.0, 0.0, 0.0]], dtype=torch.float64)
    thrust_n, _ = act.command(squashed)
    assert thrust_n[:, 0].tolist() == pytest.approx([23.3814, 5.3814], abs=1e-4)


def test_rates_are_fine_about_the_middle_and_everything_at_the_ends():
    """air: 20 rad/s. 0.4 · 0.25 + 0.6 · 0.25³ = 0.109375 of it, 0.4 · 0.5 + 0.6 · 0.5³ = 0.275; slope 0.4 at none."""
    act = CtbrAction(VEHICLES["air"])
    squashed = torch.tensor([[0.0, 0.25, -0.5, 1.0], [0.0, 0.001, 0.0, 0.0]], dtype=torch.float64)
    rates = act.command(squashed)[1]
    assert rates[0].tolist() == pytest.approx([0.109375 * 20.0, -0.275 * 20.0, 2.0])
    assert rates[1, 0].item() == pytest.approx(0.4 * 0.001 * 20.0, rel=1e-5)


def test_more_action_is_more_command():
    raw = torch.linspace(-3.0, 3.0, 61, dtype=torch.float64)
    thrust_n, rates = commanded("x500", raw[:, None].expand(-1, ACTIONS).tolist())
    for column in (*thrust_n.t(), *rates.t()):
        assert (column.diff() > 0.0).all()


def test_squashing_bounds_what_the_history_holds():
    act = CtbrAction(VEHICLES["air"])
    raw = torch.tensor([[-50.0, -1.0, 0.5, 50.0]])
    torch.testing.assert_close(act.squash(raw), torch.tanh(raw))
    assert act.squash(raw).abs().max() <= 1.0
