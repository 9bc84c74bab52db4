"""What a flight's record says of itself: see :data:`corvids.deploy.flight_record.ABOUT`."""

from __future__ import annotations

import datetime
import hashlib

from corvids import __version__
from corvids.deploy.policy import PolicyFile
from corvids.vehicle import Vehicle


def about(file: PolicyFile, craft: Vehicle) -> dict[str, str]:
    """Whose policy flies, on which vehicle, from when on."""
    contract = file.contract
    return {
        "corvids": __version__,
        "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "task": contract.task,
        "policy": str(file.path),
        "policy_sha256": hashlib.sha256(file.onnx).hexdigest(),
        "control_hz": str(contract.control_hz),
        "vehicle": craft.name,
    }
