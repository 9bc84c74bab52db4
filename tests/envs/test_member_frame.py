"""What a member sees and does is the same wherever north is; corrections fade; steady members stay."""

from __future__ import annotations

import math

import pytest
import torch

from corvids.envs.mdp.accbr_action import CORRECTION, AccbrAction
from corvids.envs.mdp.carry_config import CarryConfig
from corvids.envs.mdp.features import rotation_matrix
from corvids.envs.mdp.goal_path import COMMAND
from corvids.envs.mdp.member_frame import from_own, own_direction, seen
from corvids.envs.mdp.steady_member import steady_accel
from corvids.envs.mdp.team_facts import team_facts
from corvids.envs.mdp.team_task import TeamInputs
from corvids.envs.physics.inner_loop import CANCELLED_PART
from corvids.envs.tasks.carry import CARRIED_MOST, CARRIED_S, GATE, SUMS, TRIED_S, Carry
from corvids.team import load_team

FALCON3 = load_team("falcon3")
ROWS = 30


def yawed(vectors: torch.Tensor, yaw_rad: float) -> torch.Tensor:
    """Vectors (n, 3) turned about the vertical."""
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    return vectors @ torch.tensor([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]], dtype=vectors.dtype)


def yawed_quats(quats: torch.Tensor, yaw_rad: float) -> torch.Tensor:
    """Attitudes (n, 4) turned about the vertical: the Hamilton product, from its definition."""
    c, s = math.cos(0.5 * yaw_rad), math.sin(0.5 * yaw_rad)
    w, x, y, z = quats.unbind(-1)
    return torch.stack((c * w - s * z, c * x - s * y, c * y + s * x, c * z + s * w), dim=-1)


def some_inputs(seed: int) -> TeamInputs:
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn((ROWS, *shape), generator=generator, dtype=torch.float64)

    def attitude() -> torch.Tensor:
        return torch.nn.functional.normalize(
            torch.cat((torch.ones(ROWS, 1).double(), 0.3 * normal(3)), dim=1)
        )

    ahead = [part for _ in range(3) for part in (normal(3), attitude())]
    command = torch.cat((normal(3), attitude(), normal(6), *ahead), dim=1)
    assert command.shape[1] == len(COMMAND)
    facts = team_facts(FALCON3).double()[torch.arange(ROWS) % 3]
    age = torch.full((ROWS, 1), 0.02, dtype=torch.float64)
    return TeamInputs(
        normal(3), normal(3), attitude(), normal(3), age, normal(3), normal(3), attitude(), normal(3), age,
        command, facts,
    )  # fmt: skip


def yawed_inputs(given: TeamInputs, yaw_rad: float) -> TeamInputs:
    now, twist, *ahead = given.command.split((7, 6, 7, 7, 7), dim=1)
    poses = [
        torch.cat((yawed(pose[:, :3], yaw_rad), yawed_quats(pose[:, 3:], yaw_rad)), dim=1)
        for pose in (now, *ahead)
    ]
    vel_w, omega_b = twist.split((3, 3), dim=1)
    return given._replace(
        pos_w=yawed(given.pos_w, yaw_rad),
        vel_w=yawed(given.vel_w, yaw_rad),
        quat_wb=yawed_quats(given.quat_wb, yaw_rad),
        load_pos_w=yawed(given.load_pos_w, yaw_rad),
        load_vel_w=yawed(given.load_vel_w, yaw_rad),
        load_quat_wb=yawed_quats(given.load_quat_wb, yaw_rad),
        command=torch.cat((poses[0], yawed(vel_w, yaw_rad), omega_b, *poses[1:]), dim=1),
    )


@pytest.mark.parametrize("yaw_rad", [0.4, 2.0, -3.0])
def test_an_observation_is_the_same_wherever_north_is(yaw_rad: float):
    task = Carry(FALCON3, CarryConfig())
    generator = torch.Generator().manual_seed(1)
    numbers = torch.rand((ROWS, task.MEMORY + 15 + 5), generator=generator, dtype=torch.float64) - 0.5
    memory, actions, guidance = numbers.split((task.MEMORY, 15, 5), dim=1)
    pictures = []
    for yaw in (0.0, yaw_rad):
        given = yawed_inputs(some_inputs(0), yaw)
        # Vectors of the world in what is remembered turn with it; what is said of body axes does not.
        sums, said, carried, gate = memory.split((SUMS, 5, 5, GATE), dim=1)
        sums = torch.cat((yawed(sums[:, :3], yaw), sums[:, 3:]), dim=1)
        carried = torch.cat((yawed(carried[:, :3], yaw), carried[:, 3:]), dim=1)
        past = actions.reshape(ROWS, 3, 5)
        moved = yawed(past[..., :3].reshape(-1, 3), yaw).reshape(ROWS, 3, 3)
        x_w = task.guidance(given, torch.zeros(ROWS, task.MEMORY).double())[:, 5:7]
        own = from_own(x_w, rotation_matrix(given.quat_wb))
        whole = torch.ones(ROWS, 1).double()
        law = torch.cat((yawed(guidance[:, :3], yaw), guidance[:, 3:5], x_w, own, whole), dim=1)
        remembered = torch.cat((sums, said, carried, gate), dim=1)
        pictures.append(
            task.observe(given, remembered, torch.cat((moved, past[..., 3:]), dim=2).flatten(1), law)
        )
    # Attitudes brought to the present are unit quaternions to some 1e-6 only.
    torch.testing.assert_close(pictures[0], pictures[1], rtol=1e-5, atol=1e-5)


def test_x_points_from_the_middle_to_where_a_member_pulls():
    facts = team_facts(FALCON3).double()
    yaw = 0.7
    quat = torch.tensor([[math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw)]]).double().expand(3, -1)
    arm = facts[:, :2] - facts[:, 3:5]
    wanted = torch.atan2(arm[:, 1], arm[:, 0]) + yaw
    x_w = own_direction(rotation_matrix(quat), facts)
    angle = torch.atan2(x_w[:, 1], x_w[:, 0])
    off = torch.atan2(torch.sin(angle - wanted), torch.cos(angle - wanted))
    assert off.abs().max() < 0.06  # a centimetre of the load's own x axis is added, for members at the middle
    ahead = torch.cat((x_w, torch.zeros(3, 1).double()), dim=1)[:, None]
    torch.testing.assert_close(seen(x_w, ahead)[:, 0], torch.eye(3).double()[:1].expand(3, -1))


def test_a_member_at_the_middle_sees_along_the_load():
    facts = team_facts(load_team("falcon1"))
    level = torch.tensor([[1.0, 0.0, 0.0, 0.0]])
    torch.testing.assert_close(own_direction(rotation_matrix(level), facts), torch.tensor([[1.0, 0.0]]))


def test_a_correction_is_made_in_the_members_frame():
    action, angle = AccbrAction(CarryConfig()), 2.1
    x_w = [math.cos(angle), math.sin(angle)]
    guidance = torch.tensor([[0.1, -0.2, 0.3, 0.0, 0.1, *x_w, 0.0, 1.0, 0.5]], dtype=torch.float64)
    raw = torch.tensor([[1.0, 0.0, -2.0, 0.0, 3.0]], dtype=torch.float64)
    added = torch.atanh(action.squash(raw, guidance)) - guidance[:, :5]
    # Ahead is along x_w; a drone that sees x to its left takes what is along y for backwards.
    wanted = torch.tensor([[*x_w, -2.0, -3.0, 0.0]], dtype=torch.float64) * (0.5 * CORRECTION)
    torch.testing.assert_close(added, wanted)


def off_by(far_m: float, askew_rad: float) -> TeamInputs:
    """Members whose load is so far from its goal, and does not move."""
    given = some_inputs(3)
    still, none = torch.zeros_like(given.vel_w), torch.zeros_like(given.vehicle_age_s)
    command = given.command.clone()
    command[:, :3] = given.load_pos_w + torch.tensor([0.0, far_m, 0.0]).double()
    command[:, 3:7] = yawed_quats(given.load_quat_wb, askew_rad)
    return given._replace(command=command, load_vel_w=still, load_omega_b=still, load_age_s=none)


def parts(task: Carry, errors: list[tuple[float, float]]) -> list[float]:
    """Part of the network while the load is off by ``errors`` (m, rad), a tick of 10 ms each; every member's."""
    memory, done, heard = torch.zeros(ROWS, task.MEMORY).double(), torch.zeros(ROWS, 15).double(), []
    for far_m, askew_rad in errors:
        given = off_by(far_m, askew_rad)
        memory = task.remember(given, memory, done, 0.01)
        part = task.guidance(given, memory)[:, -1]
        assert part.max() - part.min() < 1e-6
        heard.append(float(part[0]))
    return heard


def test_near_the_goal_the_law_flies_alone():
    """The part that counts grows with the square of the error, metres and radians added, up to the whole."""
    task = Carry(FALCON3, CarryConfig(law_near=0.6))
    for far_m, askew_rad, part in ((0.0, 0.0, 0.0), (0.3, 0.0, 0.25), (0.1, 0.2, 0.25), (0.5, 0.4, 1.0)):
        assert parts(task, [(far_m, askew_rad)])[0] == pytest.approx(part, rel=0.01, abs=1e-9)


def test_where_an_error_stays_the_network_gives_up_and_a_new_goal_is_a_new_try():
    task = Carry(FALCON3, CarryConfig(law_near=0.6))
    half, late = (round(TRIED_S * times / 0.01) for times in (math.log(2.0), 3.0))
    heard = parts(task, [(1.0, 1.0)] * 500 + [(0.0, 0.0)] * 400 + [(1.0, 0.0)])
    assert heard[half - 3] == pytest.approx(1.0), "until what it was of late is half of what it is"
    assert heard[late - 1] == pytest.approx(2.0 * (1.0 - 0.01 / TRIED_S) ** late, rel=1e-3)
    assert heard[499] < 0.01
    assert heard[500] == pytest.approx(0.0, abs=1e-9)
    assert heard[-1] == pytest.approx(1.0)


def test_without_that_the_network_always_takes_part():
    assert parts(Carry(FALCON3, CarryConfig()), [(0.0, 0.0)] * 3 + [(1.0, 1.0)] * 300) == [1.0] * 303


def test_what_was_corrected_fades_and_is_bounded():
    task = Carry(FALCON3, CarryConfig())
    given = some_inputs(2)
    memory = torch.zeros(ROWS, task.MEMORY).double()
    memory[:, SUMS : SUMS + 5] = 0.3
    for wanted, kept in ((0.4, 0.4), (-0.7, -0.7), (1.9, CARRIED_MOST)):
        action = torch.tanh(torch.atanh(torch.tensor(0.3).double()) + wanted).expand(ROWS, 15)
        after = task.remember(given, memory, action, 0.01)
        expected = torch.full((ROWS, 5), kept * math.exp(-0.01 / CARRIED_S)).double()
        torch.testing.assert_close(after[:, SUMS + 5 : -GATE], expected, rtol=1e-6, atol=1e-6)


def test_a_steady_member_at_its_place_bears_its_own_weight_and_its_share():
    share, still = torch.tensor([[0.4]]), torch.zeros(1, 3)
    outside = torch.tensor([[0.3, -0.2, -5.0]])
    accel = steady_accel(still, still, outside, share)
    # What the inner loop then asks its rotors for, per mass: gravity, less what it cancels.
    asked = accel + torch.tensor([[0.0, 0.0, 9.80665]]) - CANCELLED_PART * outside
    torch.testing.assert_close(asked, torch.tensor([[0.0, 0.0, 1.4 * 9.80665]]))
    far = steady_accel(torch.tensor([[30.0, 0.0, 0.0]]), still, torch.zeros(1, 3), torch.zeros(1, 1))
    torch.testing.assert_close(far, torch.tensor([[3.0, 0.0, 0.0]]))  # 1 m/s is wanted, and 3 m/s² for it
