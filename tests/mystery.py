"""A vehicle that is not as its file says."""

from __future__ import annotations

import dataclasses

from corvids.vehicle import Vehicle


def mystery(file: Vehicle) -> Vehicle:
    """A vehicle that is a fifth to a third off its file; its mass was weighed, its arms were measured."""
    body, rotors = file.body, file.rotors
    x, y, z = body.inertia_kgm2
    drag_x, drag_y, drag_z = body.linear_drag_nspm
    return dataclasses.replace(
        file,
        body=dataclasses.replace(
            body,
            inertia_kgm2=(1.25 * x, 1.2 * y, 1.25 * z),
            linear_drag_nspm=(1.3 * drag_x, 1.3 * drag_y, 1.3 * drag_z),
        ),
        rotors=dataclasses.replace(
            rotors,
            thrust_coeff_ns2prad2=0.75 * rotors.thrust_coeff_ns2prad2,
            torque_coeff_nms2prad2=0.75 * rotors.torque_coeff_nms2prad2,
            tau_rise_s=1.3 * rotors.tau_rise_s,
            tau_fall_s=1.3 * rotors.tau_fall_s,
        ),
        limits=dataclasses.replace(file.limits, thrust_max_n=0.75 * file.limits.thrust_max_n),
    )
