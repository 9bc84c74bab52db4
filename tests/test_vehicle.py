"""Vehicle files: what is shipped is right, and whatever else is read ends as a Vehicle or in one clear line."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corvids.quantities import specs_of
from corvids.vehicle import (
    OPTIONAL_SECTIONS,
    SECTIONS,
    VEHICLE_DIR,
    Battery,
    Vehicle,
    VehicleError,
    load_vehicle,
    save_vehicle,
    vehicle_names,
)

AIR = (VEHICLE_DIR / "air.toml").read_text(encoding="utf-8")


def load_text(folder: Path, text: str) -> Vehicle:
    path = folder / "vehicle.toml"
    path.write_text(text, encoding="utf-8")
    return load_vehicle(path)


def changed(pattern: str, replacement: str) -> str:
    """The file of `air` with one place changed; fails if the place is not there, so no case tests nothing."""
    text, count = re.subn(pattern, lambda _: replacement, AIR, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    return text


def valued(field: str, value: str) -> str:
    """The file of `air` with one field's value changed."""
    return changed(rf"(?<=^{field} = {{ value = ).*?(?=, (unit|std|source) =)", value)


# --- What is shipped ---------------------------------------------------------------------------------------------


def test_the_promised_vehicles_are_there():
    assert vehicle_names() == ["air", "crazyflie", "falcon", "px4_sih", "x500"]


@pytest.mark.parametrize("name", vehicle_names())
def test_a_shipped_vehicle_says_where_every_number_is_from(name: str):
    vehicle = load_vehicle(name)
    present = [section for section in SECTIONS if getattr(vehicle, section) is not None]
    fields = {f"{section}.{field}" for section in present for field in specs_of(SECTIONS[section])}
    assert vehicle.name == name
    assert set(vehicle.provenance) == fields
    assert {section for section in SECTIONS if section not in present} <= OPTIONAL_SECTIONS


@pytest.mark.parametrize("name", vehicle_names())
def test_saving_and_loading_loses_nothing(name: str, tmp_path: Path):
    vehicle = load_vehicle(name)
    save_vehicle(vehicle, tmp_path / "copy.toml")
    assert load_vehicle(tmp_path / "copy.toml") == vehicle
    assert load_vehicle(str(tmp_path / "copy.toml")).provenance == vehicle.provenance


def test_air_by_hand():
    air = load_vehicle("air")
    # 4 · 5.399e-6 · 1356.6² = 39.744 N; 1.0975 · 9.80665 = 10.763 N
    assert air.max_thrust_n == pytest.approx(39.744, abs=1e-3)
    assert air.weight_n == pytest.approx(10.763, abs=1e-3)
    assert air.thrust_to_weight == pytest.approx(3.693, abs=1e-3)
    # √(10.763 / (4 · 5.399e-6)) = 706.0 rad/s
    assert air.hover_speed_radps == pytest.approx(706.0, abs=0.1)
    # Thrust is quadratic in the command: √(1 / 3.693) = 0.5204
    assert air.hover_command == pytest.approx(0.5204, abs=1e-4)
    assert air.racket is not None and air.racket.position_b_m == (0.0, 0.0, 0.055)
    assert air.provenance["body.mass_kg"].unit == "kg"
    assert air.provenance["body.mass_kg"].std == 0.01


@pytest.mark.parametrize("name", ["px4_sih", "x500", "crazyflie", "air"])
def test_the_hover_command_carries_the_weight(name: str):
    vehicle = load_vehicle(name)
    f, u = vehicle.rotors.thrust_curve, vehicle.hover_command
    assert (f * u * u + (1 - f) * u) * vehicle.max_thrust_n == pytest.approx(vehicle.weight_n, rel=1e-12)


def test_air_keeps_the_gains_of_its_release():
    """Torque per rate error [N m per rad/s] behind PX4's mixer is the release's: 0.11, 0.11 and 0.2."""
    air = load_vehicle("air")
    rotor_n = air.max_thrust_n / 4
    # A normalised roll torque of 1 moves each rotor by 1/√2 of its thrust, at the lever |y|; yaw moves each by all.
    roll_nm = sum(abs(y) for _, y, _ in air.rotors.position_b_m) * rotor_n / math.sqrt(2)
    pitch_nm = sum(abs(x) for x, _, _ in air.rotors.position_b_m) * rotor_n / math.sqrt(2)
    yaw_nm = 4 * air.rotors.torque_coeff_nms2prad2 * air.rotors.speed_max_radps**2
    for full_nm, axis, p, i, d in [
        (roll_nm, "ROLL", 0.11, 0.008, 7.5e-4),
        (pitch_nm, "PITCH", 0.11, 0.008, 7.5e-4),
        (yaw_nm, "YAW", 0.2, 0.01, 0.0),
    ]:
        gains = [air.px4[f"MC_{axis}RATE_{term}"] * full_nm for term in "PID"]
        assert gains == pytest.approx([p, i, d], rel=1e-4)


def test_px4_parameters_by_name():
    px4 = load_vehicle("crazyflie").px4
    assert px4["MC_ROLLRATE_P"] == px4.MC_ROLLRATE_P == 0.07
    with pytest.raises(KeyError):
        px4["MC_ROLL_P"]


def test_a_vehicle_is_a_value():
    air = load_vehicle("air")
    assert pickle.loads(pickle.dumps(air)) == air
    assert hash(load_vehicle("air")) == hash(air)


# --- What is refused ---------------------------------------------------------------------------------------------

REFUSED = {
    "unknown field": (changed("^mass_kg", "mas_kg"), ["body.mas_kg", "did you mean mass_kg?"]),
    "unknown section": (changed(r"^\[body\]", "[boddy]"), ["boddy", "did you mean body?"]),
    "unknown key": (changed("unit = ", "units = "), ["body.mass_kg: units", "did you mean unit?"]),
    "missing field": (changed("^mass_kg.*\n", ""), ["body.mass_kg is missing", 'unit = "kg"']),
    "missing section": (changed(r"^\[limits\](.|\n)*", ""), ["[limits] is missing", "rate_max_radps"]),
    "missing unit": (changed('unit = "kg", ', ""), ["body.mass_kg has no unit"]),
    "missing source": (changed(', source = "Jug.*', " }"), ["body.mass_kg has no source"]),
    "empty source": (changed('source = "Jug.*', 'source = " " }'), ["body.mass_kg: source"]),
    "bare number": (changed("^mass_kg.*", "mass_kg = 1.0"), ["body.mass_kg = 1.0 has no unit and source"]),
    "wrong unit": (changed('unit = "kg"', 'unit = "g"'), ["body.mass_kg: unit = 'g' must be 'kg'"]),
    "negative": (valued("mass_kg", "-1.0"), ["body.mass_kg = -1.0 kg", "allowed: 0.001 to 1000 kg"]),
    "not a number": (valued("mass_kg", "nan"), ["body.mass_kg = nan", "allowed"]),
    "infinite": (valued("mass_kg", "inf"), ["body.mass_kg = inf", "allowed"]),
    "huge integer": (valued("mass_kg", "1" + 400 * "0"), ["body.mass_kg", "allowed"]),
    "text": (valued("mass_kg", '"one"'), ["body.mass_kg = 'one' must be a number"]),
    "truth value": (valued("mass_kg", "true"), ["body.mass_kg = True must be a number"]),
    "wrong length": (valued("inertia_kgm2", "[1.0, 1.0]"), ["body.inertia_kgm2", "must be 3 numbers"]),
    "wrong nesting": (
        valued("position_b_m", "[1.0, 2.0, 3.0, 4.0]"),
        ["rotors.position_b_m", "4 x 3 numbers"],
    ),
    "fraction as sign": (valued("spin", "[1.0, 1, -1, -1]"), ["rotors.spin", "must be 4 whole numbers"]),
    "unknown choice": (valued("thrust_lag", '"torque"'), ["rotors.thrust_lag", "'speed', 'thrust'"]),
    "negative std": (changed("std = 0.01", "std = -0.01"), ["body.mass_kg: std = -0.01 kg"]),
    "std of other shape": (changed(r"std = \[", "std = [1.0, "), ["body.inertia_kgm2: std", "3 numbers"]),
    "schema": (changed("^schema = 1", "schema = 2"), ["schema = 2 must be 1"]),
    "schema of other type": (changed("^schema = 1", "schema = true"), ["schema = True must be 1"]),
    "name": (changed('^name = "air"', 'name = "Air 1"'), ["name = 'Air 1'"]),
    "description": (changed("^description.*", 'description = ""'), ["description = ''"]),
    "section as number": (
        changed(r"^\[battery\](.|\n)*?(?=\[)", "").replace("[body]", "battery = 1\n[body]"),
        ["[battery]"],
    ),
    "no TOML": ("mass = = 1", ["is not valid TOML", "line 1"]),
    "too deep": ("a = " + "[" * 100_000, ["is not valid TOML"]),
    "triangle": (valued("inertia_kgm2", "[0.001, 0.001, 0.0078]"), ["triangle", "0.0078", "0.002"]),
    "heavy": (valued("mass_kg", "4.0"), ["39.74 N", "39.23 N", "1.01", "at least 1.1"]),
    "fast idle": (valued("speed_min_radps", "800.0"), ["rotors.speed_min_radps", "hover speed, 706 rad/s"]),
    "spins": (valued("spin", "[1, -1, 1, -1]"), ["rotors.spin", "(1, 1, -1, -1)"]),
    "rotor order": (
        valued("position_b_m", "[[0.1, 0.1, 0.0], [-0.1, 0.1, 0.0], [0.1, 0.1, 0.0], [-0.1, -0.1, 0.0]]"),
        ["rotors.position_b_m[0]", "front right", "x > 0", "y < 0"],
    ),
    "rotors coincide": (
        valued("position_b_m", "[[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]"),
        ["rotors.position_b_m[0]", "1 mm"],
    ),
    "limit below weight": (valued("thrust_max_n", "10.0"), ["limits.thrust_max_n", "10.76 N", "39.74 N"]),
    "limit above thrust": (valued("thrust_max_n", "40.0"), ["limits.thrust_max_n", "39.74 N"]),
    "thick disc": (valued("half_thickness_m", "0.3"), ["airframe.half_thickness_m", "disc_radius_m, 0.21 m"]),
    "disc in the ground": (valued("ground_clearance_m", "0.02"), ["airframe.ground_clearance_m", "0.03 m"]),
    "racket in the airframe": (valued("half_thickness_m", "0.06"), ["racket.position_b_m", "0.06 m"]),
    "racket normal": (valued("normal_b", "[0.0, 0.1, 1.0]"), ["racket.normal_b", "length 1", "1.00499"]),
    "racket upside down": (valued("normal_b", "[0.0, 0.0, -1.0]"), ["racket.normal_b", "z > 0"]),
    "sweet spot": (valued("sweet_radius_m", "0.2"), ["racket.sweet_radius_m", "0.05 m"]),
    "lively rim": (valued("restitution_rim", "0.9"), ["racket.restitution_rim", "0.82"]),
    "restitution": (valued("restitution_rim", "1.2"), ["racket.restitution_rim = 1.2", "0 to 1"]),
    "battery": (valued("voltage_empty_v", "17.0"), ["battery.voltage_empty_v", "16.8 V"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_gets_one_clear_line(case: str, tmp_path: Path):
    text, said = REFUSED[case]
    with pytest.raises(VehicleError) as caught:
        load_text(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    for fragment in ["vehicle.toml: ", *said]:
        assert fragment in message


def test_an_unknown_name_lists_what_exists():
    with pytest.raises(VehicleError, match=r"'airr'; did you mean air\? \(known: air, crazyflie, falcon"):
        load_vehicle("airr")


@pytest.mark.parametrize("path", ["gone.toml", "folder.toml", "binary.toml"])
def test_a_file_that_cannot_be_read_is_named(path: str, tmp_path: Path):
    (tmp_path / "folder.toml").mkdir()
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VehicleError, match=path):
        load_vehicle(tmp_path / path)


ODD_LITERALS = [
    "nan",
    "-inf",
    "1e999",
    "true",
    "[]",
    "[1, [2]]",
    '"x"',
    "-1",
    "0",
    "{ a = 1 }",
    "2026-01-01",
    "[[[[]]]]",
]
LITERALS = st.one_of(
    st.sampled_from([*ODD_LITERALS, "0x" + 6000 * "f"]), st.floats().map(repr), st.text().map(json.dumps)
)


@given(
    line=st.integers(0, len(AIR.splitlines()) - 1),
    literal=LITERALS,
    part=st.sampled_from(["value", "unit", "std", "source"]),
)
def test_any_entry_ends_as_a_vehicle_or_in_one_line(tmp_path_factory, line: int, literal: str, part: str):
    lines = AIR.splitlines()
    lines[line] = re.sub(
        rf"(?<={part} = )(\[.*?\]+|\"[^\"]*\"|[^,]+)(?=[,\s])", lambda _: literal, lines[line], count=1
    )
    check_outcome(tmp_path_factory.getbasetemp(), "\n".join(lines))


@given(start=st.integers(0, len(AIR)), length=st.integers(0, 60), inserted=st.text(max_size=20))
def test_any_damage_ends_as_a_vehicle_or_in_one_line(
    tmp_path_factory, start: int, length: int, inserted: str
):
    check_outcome(tmp_path_factory.getbasetemp(), AIR[:start] + inserted + AIR[start + length :])


def check_outcome(folder: Path, text: str) -> None:
    path = folder / "fuzzed.toml"
    path.write_bytes(text.encode("utf-8", errors="surrogatepass"))
    try:
        vehicle = load_vehicle(path)
    except VehicleError as error:
        assert "\n" not in str(error) and "fuzzed.toml: " in str(error)
    else:
        assert math.isfinite(vehicle.thrust_to_weight) and 0 < vehicle.hover_command < 1


# --- In code -----------------------------------------------------------------------------------------------------


def test_a_vehicle_made_in_code_is_checked_too():
    air = load_vehicle("air")
    lighter = dataclasses.replace(air, body=dataclasses.replace(air.body, mass_kg=0.9))
    assert lighter.thrust_to_weight > air.thrust_to_weight
    with pytest.raises(VehicleError, match=r"must be at least 1\.1"):
        dataclasses.replace(air, body=dataclasses.replace(air.body, mass_kg=5.0))
    with pytest.raises(VehicleError, match=r"body\.mass_kg = nan"):
        dataclasses.replace(air, body=dataclasses.replace(air.body, mass_kg=math.nan))


def test_one_std_stands_for_every_number_of_an_array(tmp_path: Path):
    vehicle = load_text(tmp_path, changed(r"std = \[.*?\]", "std = 1e-4"))
    assert vehicle.provenance["body.inertia_kgm2"].std == (1e-4, 1e-4, 1e-4)


def test_a_value_without_provenance_is_not_saved(tmp_path: Path):
    x500 = load_vehicle("x500")
    powered = dataclasses.replace(x500, battery=Battery(16.8, 14.0, 0.2))
    with pytest.raises(VehicleError, match=r"battery\.voltage_full_v has no provenance"):
        save_vehicle(powered, tmp_path / "x500.toml")
    assert list(tmp_path.iterdir()) == []


def test_awkward_text_survives(tmp_path: Path):
    air = load_vehicle("air")
    mass = dataclasses.replace(air.provenance["body.mass_kg"], source='"quoted"\n\ttab \\ \x7f ° 質量')
    renamed = dataclasses.replace(air, provenance={**air.provenance, "body.mass_kg": mass})
    save_vehicle(renamed, tmp_path / "air.toml")
    assert load_vehicle(tmp_path / "air.toml") == renamed


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "air.toml"
    path.write_text("old", encoding="utf-8")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(VehicleError, match=r"air\.toml: cannot be written: No space left"):
        save_vehicle(load_vehicle("air"), path)
    assert [file.name for file in tmp_path.iterdir()] == ["air.toml"]
    assert path.read_text(encoding="utf-8") == "old"


def test_a_folder_that_is_missing_is_named(tmp_path: Path):
    with pytest.raises(VehicleError, match=r"gone.*cannot be written"):
        save_vehicle(load_vehicle("air"), tmp_path / "gone" / "air.toml")
