"""What only the critic of a single vehicle is told: the present state without noise, and parameters that were drawn."""

from __future__ import annotations

import torch

from corvids.controllers.rate_loop import Four
from corvids.controllers.spatial import Scalar
from corvids.envs.mdp.mirrors import QUATERNION, SAME, SPIN, VECTOR
from corvids.envs.mdp.task import PolicyInputs
from corvids.envs.physics.world import World

PRIVILEGED = (
    "vehicle.mass_kg", "vehicle.thrust_max_n.r1", "vehicle.rise_fraction", "racket.normal_b.x", "racket.normal_b.y",
    "racket.restitution", "ball.mass_kg", "ball.radius_m", "ball.drag_per_m", "wind_w.x", "wind_w.y",
)  # fmt: skip
"""True parameters that the critic is told."""
_PRIVILEGED_MIRRORS = tuple(
    VECTOR["xy".index(name[-1])] if name.endswith((".x", ".y")) else SAME for name in PRIVILEGED
)
TRUTH_MIRRORS = (
    *VECTOR, *VECTOR, *SPIN, *QUATERNION, *VECTOR, *VECTOR, SAME, *SPIN, *_PRIVILEGED_MIRRORS
)  # fmt: skip
"""How all that it is told besides what the actor sees is mirrored: state, then parameters."""


def truth_of(world: World, inputs: PolicyInputs) -> torch.Tensor:
    """The present state, in features of the critic's."""
    body, ball = world.body, world.ball
    pos, ball_pos = torch.cat(tuple(body.pos_w), -1), torch.cat(tuple(ball.pos_w), -1)
    return torch.cat(
        (
            pos - inputs.command[:, :3],
            *body.vel_w,
            *(rate * 0.5 for rate in body.omega_b),
            *body.quat_wb,
            ball_pos - pos,
            *(speed * 0.3 for speed in ball.vel_w),
            *_combined(world.rotors),
        ),
        dim=-1,
    )


def _combined(rotors: Four) -> tuple[Scalar, ...]:
    """What rotors in PX4's order do together: lift, roll, pitch, yaw."""
    right_front, left_rear, left_front, right_rear = rotors
    return (
        right_front + left_rear + left_front + right_rear,
        left_rear + left_front - right_front - right_rear,
        left_rear + right_rear - right_front - left_front,
        right_front + left_rear - left_front - right_rear,
    )
