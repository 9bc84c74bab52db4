"""Opens a link to an autopilot by its name: ``udp:14540`` or ``serial:/dev/ttyAMA0:921600``."""

from __future__ import annotations

import socket

from corvids.deploy.mocap.port_handover import take_over
from corvids.deploy.px4.channels import UdpChannel, udp_address
from corvids.deploy.px4.serial_link import SerialChannel, serial_device
from corvids.errors import CorvidsError


def is_serial(link: str) -> bool:
    """Whether a link is meant to be a serial line."""
    return link.startswith("serial:")


def check_link(link: str) -> None:
    """Refuse what is no link, before anything is done with it."""
    if is_serial(link):
        serial_device(link)
        return
    try:
        udp_address(link)
    except CorvidsError as error:
        raise CorvidsError(f"{error}, or serial:DEVICE:BAUD") from None


def open_link(link: str, inherited: socket.socket | None = None) -> UdpChannel | SerialChannel:
    """Open it; a UDP port, where another process had it and its flight is over, passes from there (``inherited``, or
    whoever offers it)."""
    check_link(link)
    if is_serial(link):
        return SerialChannel(link)
    return UdpChannel(link, inherited or take_over(link))
