"""The vehicle that a policy was trained for, from the numbers in its file: whatever vehicle files there are by now."""

from __future__ import annotations

from typing import Any

from corvids.deploy.policy import PolicyFile
from corvids.errors import CorvidsError
from corvids.vehicle import SECTIONS, Vehicle, load_vehicle


def vehicle_of(file: PolicyFile, name_or_path: str | None = None) -> Vehicle:
    """The vehicle called so, or the one in the file at that path; without either, the one that ``file`` records.

    A name alone would not do for the latter: a calibrated vehicle file has the name of the one that it came from.
    """
    if name_or_path is not None:
        return load_vehicle(name_or_path)
    record = file.contract.vehicle
    try:
        return Vehicle(**{name: _read(name, value) for name, value in record.parameters.items()})
    except (CorvidsError, TypeError, AttributeError) as error:
        raise CorvidsError(
            f"{file.path}: its record of the vehicle {record.name!r} is not one of this version ({error}); "
            "name the vehicle with --vehicle"
        ) from None


def _read(name: str, value: Any) -> Any:
    if name not in SECTIONS or value is None:
        return value
    return SECTIONS[name](**{field: _tuples(number) for field, number in value.items()})


def _tuples(value: Any) -> Any:
    """Lists, as JSON has them, as the tuples that they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
