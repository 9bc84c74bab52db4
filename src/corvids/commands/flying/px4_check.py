"""What PX4 is asked before a flight begins: is it the vehicle that is to fly? ``corvids doctor`` asks more."""

from __future__ import annotations

from corvids.commands.doctoring.parameters import verdict_of
from corvids.commands.px4_params import parameters_of
from corvids.deploy.px4.channels import Channel
from corvids.deploy.px4.mavlink_peer import Peer
from corvids.deploy.px4.parameters import read_parameters
from corvids.errors import CorvidsError
from corvids.vehicle import Vehicle

MUST_AGREE = ("MPC_THR_HOVER", "COM_OF_LOSS_T", "COM_OBL_RC_ACT")
"""What PX4 is asked for before each flight: how it hovers, when it notices that nothing is streamed, what it does
then."""


def check_px4(channel: Channel, peer: Peer, craft: Vehicle, seconds: float) -> None:
    """Refuse to fly a PX4 whose parameters are another vehicle's; ``corvids doctor`` compares all of them.

    PX4 hovers by MPC_THR_HOVER wherever it holds or lands for us, so a vehicle whose parameters were never made, or a
    policy that is flown as the vehicle that it was trained for but on another, shows there. COM_OF_LOSS_T and
    COM_OBL_RC_ACT are the last net, which catches where runtime and keeper have both died.
    It is listened to for ``seconds`` at most.
    """
    found, wanted = read_parameters(channel, peer, MUST_AGREE, seconds), parameters_of(craft)
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
    hover, loss_s = wanted["MPC_THR_HOVER"], wanted["COM_OF_LOSS_T"]
    wrong = {
        "MPC_THR_HOVER": f", vehicle {craft.name!r} hovers at {hover:.3g}: is it that vehicle (--vehicle)? If so, load "
        "its parameters",
        "COM_OF_LOSS_T": f" s: must be above 0 and at most {loss_s:.3g} s, for nothing else notices where all else has "
        "died; load the vehicle's parameters",
        "COM_OBL_RC_ACT": ": must be 4 (land) or 5 (hold), for by others PX4 climbs and returns, falls, or needs a "
        "pilot's radio; load the vehicle's parameters",
    }
    for name, why in wrong.items():
        if verdict_of(name, found[name], wanted[name]) == "no-go":
            raise CorvidsError(f"PX4's {name} is {found[name]:.3g}{why}: corvids px4-params")
