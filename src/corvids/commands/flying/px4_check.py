"""What PX4 is asked before a flight begins: is it the vehicle that is to fly? ``corvids doctor`` asks more."""

from __future__ import annotations

from corvids.commands.doctoring.parameters import is_grave
from corvids.deploy.px4.channels import Channel
from corvids.deploy.px4.mavlink_peer import Peer
from corvids.deploy.px4.parameters import read_parameters
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

MUST_AGREE = ("MPC_THR_HOVER", "COM_OF_LOSS_T")
"""What PX4 is asked for before each flight."""
LOSS_MAX_S = 0.5
"""When PX4 must notice at the latest that nothing is streamed [s]."""


def check_px4(channel: Channel, peer: Peer, craft: Vehicle, seconds: float) -> None:
    """Refuse to fly a PX4 whose parameters are another vehicle's; ``corvids doctor`` compares all of them.

    PX4 hovers by MPC_THR_HOVER wherever it holds or lands for us, so a vehicle whose parameters were never made, or a
    policy that is flown as the vehicle that it was trained for but on another, shows there.
    It is listened to for ``seconds`` at most.
    """
    found = read_parameters(channel, peer, MUST_AGREE, seconds)
    if missing := [name for name in MUST_AGREE if name not in found]:
        unsigned = f"; {peer.counters.unsigned} packets were not signed with the key" * bool(
            peer.counters.unsigned
        )
        heard = f"system {peer.config.target_system} says nothing of {', '.join(missing)}"
        if not peer.counters.received:
            heard = f"no PX4 was heard as MAVLink system {peer.config.target_system} (--system)"
        raise CorvidsError(
            f"{heard} within {seconds:.0f} s{unsigned}: is it running, and does it send there?"
        )
    hover = craft.px4.MPC_THR_HOVER
    if is_grave("MPC_THR_HOVER", found["MPC_THR_HOVER"], hover):
        raise CorvidsError(
            f"PX4's MPC_THR_HOVER is {found['MPC_THR_HOVER']:.3g}, vehicle {craft.name!r} hovers at {hover:.3g}: is it "
            "that vehicle (--vehicle)? If so, load its parameters: corvids px4-params"
        )
    if not 0.0 < found["COM_OF_LOSS_T"] <= LOSS_MAX_S:
        raise CorvidsError(
            f"PX4's COM_OF_LOSS_T is {found['COM_OF_LOSS_T']:.3g} s: must be above 0 and at most {LOSS_MAX_S} s, the "
            "last net that there is; load the vehicle's parameters: corvids px4-params"
        )
