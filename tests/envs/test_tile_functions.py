"""Functions of whole tensors, traced into C++, compute what they compute on tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from corvids.envs import team_simulator
from corvids.envs.compiled.native_code import find_compiler
from corvids.envs.compiled.tile_functions import TileFunction
from corvids.envs.environment import EnvConfig, Environment
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.sensors.sensing import Past
from corvids.envs.tasks import TASKS
from corvids.envs.team_environment import TeamEnvironment
from corvids.errors import CorvidsError

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="needs a C++ compiler")
WORLDS, SLOTS, SENSED = 48, 8, 16


def mixed(packed: torch.Tensor, row: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Every operation that traced tensors know, once at least, on (5, rows, 1) and (rows, 1)."""
    a, b, c, d, e = packed.unbind(0)
    both = torch.cat((a, b), dim=-1)
    five = torch.cat([packed[i] for i in range(5)], dim=1)
    first, rest = five.split((2, 3), dim=-1)
    products = (first.unsqueeze(-1) * rest.unsqueeze(-2)).reshape(-1, 6)
    turn = torch.arange(6.0).reshape(3, 2)
    turned = (rest @ turn.to(rest)) + torch.ones(2)
    pair = (products.reshape(-1, 2, 3) @ rest.unsqueeze(-1)).squeeze(-1)
    is_far = (both.square().sum(-1, keepdim=True) > 1.0) & ~(torch.abs(row) <= 0.5) | (row >= 2.0)
    functions = (
        torch.exp(a), torch.log1p(torch.relu(b)), torch.tanh(c), torch.atan(d), torch.atanh(0.3 * torch.tanh(e)),
        torch.sin(a), torch.cos(b), torch.floor(c * 3.0), torch.sqrt(1.0 + d * d), torch.rsqrt(2.0 + e * e),
        torch.atan2(a, b), torch.minimum(a, b), torch.maximum(c, d), torch.where(is_far, -a, b / (3.0 + row)),
        is_far.to(row.dtype), torch.linalg.vector_norm(rest, dim=-1, keepdim=True), torch.full_like(a, 7.0),
        torch.zeros_like(a), torch.ones_like(b) - row, (1.0 - five).clamp(-0.5, 0.5)[:, 3:4], five.relu()[:, 1::3],
        torch.log(0.1 + c.square()), torch.sin(a * 40.0), torch.cos(a * -40.0), torch.linalg.cross(rest, rest + e),
        five.t().reshape(5, -1).transpose(0, 1).permute(0, 1), (a.expand_as(both) + five.split(2, dim=1)[1]),
        a.expand(-1, 3), torch.where(torch.logical_or(a > 1.0, b > 1.0), 1.0, 0.0),
        2.0 / (2.0 + e.square()), (torch.tensor((1.0, -1.0)) * both)[:, [1, 0]], a.clamp(min=0.1).sqrt(), turned, pair,
    )  # fmt: skip
    kept = torch.stack(torch.broadcast_tensors(a - row, b * 2.0, c))
    return torch.cat(functions, dim=-1), kept, row + 0.0, products


def given() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    return torch.randn(5, WORLDS, 1, generator=random), torch.randn(WORLDS, 1, generator=random)


def test_traced_code_computes_what_the_function_does():
    expected, computed = mixed(*given()), TileFunction(mixed)(*given())
    assert [tuple(one.shape) for one in computed] == [tuple(one.shape) for one in expected]
    torch.testing.assert_close(computed, expected, rtol=2e-6, atol=2e-6)


def shifted(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Each result needs an argument that the other replaces."""
    return torch.cat((second[1:], first[:1])), first * 2.0 + second


def test_a_result_replaces_the_argument_that_it_is_computed_from():
    first, second = given()[0], given()[0] + 1.0
    expected = shifted(first.clone(), second.clone())
    computed = TileFunction(shifted, {0: 1, 1: 0})(first, second)
    assert (computed[0] is second, computed[1] is first) == (True, True)
    torch.testing.assert_close((second, first), expected)
    with pytest.raises(CorvidsError, match="cannot replace argument 1"):
        TileFunction(mixed, {1: 1})(*given())


def test_it_looks_back_as_sensors_do_and_never_out_of_the_ring():
    random = torch.Generator().manual_seed(1)
    history = torch.randn(WORLDS, SLOTS, SENSED, 1, generator=random).permute(1, 2, 0, 3)
    age_s = torch.rand(WORLDS, 1, generator=random) * (SLOTS - 1) * 0.004
    age_s[:3, 0] = torch.tensor([0.0, 0.012, -1e-9])
    since_s = torch.randint(0, SLOTS, (WORLDS, 1), generator=random) * 0.004

    def look(history: Any, newest: Any, age_s: Any, since_s: Any) -> tuple[Any, ...]:
        past = Past(history, newest, 0.004, age_s, since_s)
        return past.row(0), torch.cat(tuple(past.vec3(13)), dim=-1)

    looking = TileFunction(look)
    for slot in (0, 5, SLOTS - 1):
        newest = torch.tensor(slot)
        expected = look(history, newest, age_s, since_s)
        torch.testing.assert_close(looking(history, newest, age_s, since_s), expected, rtol=1e-4, atol=1e-5)
    age_s[0], age_s[1] = float("nan"), 1e30
    row, _ = looking(history, torch.tensor(5), age_s, torch.full_like(since_s, float("inf")))
    assert row[0].isnan()
    assert torch.isfinite(row[2:]).all()


def test_features_of_several_drones_are_given_without_padding():
    def mine(packed: Any) -> tuple[Any, ...]:
        rows = packed.shape[1]
        return (packed.reshape(20, 2, rows).permute(1, 2, 0).reshape(2 * rows, 20) * 2.0,)

    packed = torch.randn(40, WORLDS, 1, generator=torch.Generator().manual_seed(3))
    (whole,) = mine(packed)
    assert torch.equal(TileFunction(mine)(packed)[0], whole)
    for real in (3, 16, 41):
        (few,) = TileFunction(mine, real=real)(packed)
        assert torch.equal(few, whole.reshape(2, WORLDS, 20)[:, :real].flatten(0, 1))


def test_results_are_new_or_overwrite_those_of_some_calls_before():
    def doubled(packed: Any) -> tuple[Any, ...]:
        return (packed * 2.0,)

    one = torch.ones(3, WORLDS, 1)
    new, turning = TileFunction(doubled), TileFunction(doubled, turns=2)
    kept = [new(one * number)[0] for number in range(4)]
    assert [float(result[0, 0, 0]) for result in kept] == [0.0, 2.0, 4.0, 6.0]
    kept = [turning(one * number)[0] for number in range(4)]
    assert [float(result[0, 0, 0]) for result in kept] == [4.0, 6.0, 4.0, 6.0]
    assert kept[0] is kept[2] and kept[1] is kept[3]
    assert turning(torch.ones(3, 2 * WORLDS, 1))[0].shape == (3, 2 * WORLDS, 1)


def test_each_drone_looks_back_at_its_own_body_and_all_at_one():
    random = torch.Generator().manual_seed(4)
    history = torch.randn(WORLDS, SLOTS, 3, SENSED, generator=random).permute(1, 3, 0, 2)
    age_s = torch.rand(2 * WORLDS, 1, generator=random) * (SLOTS - 1) * 0.01

    def look(history: Any, newest: Any, age_s: Any) -> tuple[Any, ...]:
        ages = age_s.reshape(2, -1).t()
        own, load = (Past(one, newest, 0.01, ages) for one in (history[..., :2], history[..., 2:]))
        return tuple(past.row(4).t().unsqueeze(-1) for past in (own, load))

    newest, ages = torch.tensor(6), age_s.reshape(2, WORLDS, 1)
    expected, found = look(history, newest, ages), TileFunction(look)(history, newest, ages)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not torch.equal(found[0], found[1])


@pytest.mark.parametrize("task", TASKS)
def test_a_compiled_environment_gives_what_an_uncompiled_one_does(task: str):
    config = EnvConfig(task=task, physics_hz=100, rate_loop_hz=100)
    plain, tiled = (Environment(config, 20, compile_kernels=compiled) for compiled in (False, True))
    random = torch.Generator().manual_seed(2)
    for env in (plain, tiled):  # one ends at once, so that a reset is compared, too
        env.simulator.world.body.pos_w.z[3] = 0.12
    for tick in range(10):
        action = 0.3 * torch.randn(20, 4, generator=random)
        expected, computed = plain.step(action), tiled.step(action)
        torch.testing.assert_close(computed[0], expected[0], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(computed[1], expected[1], rtol=1e-4, atol=1e-4)
        assert (computed[2] == expected[2]).all()
        assert expected[2][3] == (tick == 0)


@pytest.mark.parametrize(("reward", "members"), [("own", 1), ("zeng", 3)])
def test_a_compiled_team_environment_gives_what_an_uncompiled_one_does(
    reward: Any, members: int, monkeypatch: pytest.MonkeyPatch
):
    """The physics, which is compared elsewhere, and takes long to compile for many drones, on tensors in both."""
    monkeypatch.setattr(team_simulator, "on_tiles", lambda device, enabled=True: False)
    monkeypatch.setattr(team_simulator, "compiled", lambda function, enabled=True: function)
    carry = CarryConfig(team=f"falcon{members}", reward=reward)
    config = EnvConfig(task="carry", control_hz=100, carry=carry, command_s=(0.03, 0.06))
    plain, tiled = (TeamEnvironment(config, 20, compile_kernels=compiled) for compiled in (False, True))
    random = torch.Generator().manual_seed(2)
    for env in (plain, tiled):  # one ends at once, so that a reset is compared, too
        env.simulator.world.load.body.pos_w.z[3] = 0.05
    for tick in range(8):
        action = 0.3 * torch.randn(20 * members, 5, generator=random)
        expected, computed = plain.step(action), tiled.step(action)
        seen = expected[0]["actor"].shape[1]
        torch.testing.assert_close(computed[0]["actor"], expected[0]["actor"], rtol=1e-3, atol=1e-3)
        # Tensions of stiff cables magnify the last digits of places.
        told = [one[0]["critic"][:, seen:] for one in (computed, expected)]
        torch.testing.assert_close(*told, rtol=1e-2, atol=0.05)
        torch.testing.assert_close(computed[1], expected[1], rtol=1e-4, atol=1e-4)
        assert (computed[2] == expected[2]).all()
        assert (expected[2].reshape(members, 20)[:, 3] == (tick == 0)).all()
    torch.testing.assert_close(tiled.guidance, plain.guidance, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(tiled.past_actions, plain.past_actions, rtol=1e-3, atol=1e-3)


def test_what_it_does_not_know_and_what_it_would_misread_is_refused():
    with pytest.raises(TypeError, match="cumsum"):
        TileFunction(lambda packed, row: (torch.cumsum(packed, 0),))(*given())
    packed, row = given()
    twice = TileFunction(lambda packed, row: (packed[0] * 2.0 + row,))
    twice(packed, row)
    with pytest.raises(
        CorvidsError, match=r"shape \(4, 48, 1\).*must be contiguous, of torch\.float32, with 48"
    ):
        twice(packed[:4], row)
    with pytest.raises(CorvidsError, match=r"torch\.float64"):
        twice(packed.double(), row)
