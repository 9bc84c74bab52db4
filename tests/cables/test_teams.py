"""Team files: what is shipped is right, and a bad file ends in one clear line."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from cable_lab import changed

from corvids.envs.physics.team_nominal import lumped_load, team_params
from corvids.quantities import specs_of
from corvids.team import (
    TEAM_DIR,
    CableMaterial,
    CarriedLoad,
    Rigging,
    Team,
    TeamError,
    load_team,
    team_names,
)

THREE = (TEAM_DIR / "falcon3.toml").read_text(encoding="utf-8")


def load_text(folder: Path, text: str) -> Team:
    path = folder / "team.toml"
    path.write_text(text, encoding="utf-8")
    return load_team(path)


def with_(pattern: str, replacement: str) -> str:
    """The file of `falcon3` with one place changed; fails if the place is not there."""
    text, count = re.subn(pattern, lambda _: replacement, THREE, count=1, flags=re.MULTILINE)
    assert count == 1, pattern
    return text


def valued(field: str, value: str) -> str:
    """The file of `falcon3` with one field's value changed."""
    return with_(rf"(?<=^{field} = {{ value = ).*?(?=, (unit|std|source) =)", value)


def test_the_promised_teams_are_there():
    assert team_names() == ["falcon1", "falcon3", "falcon4", "falcon5", "falcon6"]


@pytest.mark.parametrize("name", team_names())
def test_a_shipped_team_says_where_every_number_is_from(name: str):
    team = load_team(name)
    fields = {f"load.{field}" for field in specs_of(CarriedLoad)}
    fields |= {f"cable.{field}" for field in specs_of(CableMaterial)}
    fields |= {f"members[{i}].{field}" for i in range(len(team.members)) for field in specs_of(Rigging)}
    assert team.name == name and len(team.members) == int(name[-1])
    assert set(team.provenance) == fields


def test_the_heaviest_load_by_hand():
    """Three Falcons: 25 N / 1.1 − 6.0487 N − 0.2314 N = 16.447 N to spare each."""
    spare_n = 25.0 / 1.1 - 0.6168 * 9.80665 - 0.0236 * 9.80665
    # The centre of mass is as far from the front pair's line as from the rear member, which so carries half: it is
    # the first at its limit. Of four on a rectangle each carries a quarter.
    assert load_team("falcon3").largest_load_kg == pytest.approx(2.0 * spare_n / 9.80665)
    assert load_team("falcon4").largest_load_kg == pytest.approx(4.0 * spare_n / 9.80665)
    assert load_team("falcon1").largest_load_kg == pytest.approx(spare_n / 9.80665)


def test_half_of_each_cable_rides_on_the_load():
    team = load_team("falcon3")
    lumped = lumped_load(team)
    # 1.4 + 3·0.0118 kg; x: 0.0118·(0.27 + 0.27 − 0.27)/1.4354; z: (−0.02·1.4 + 3·0.0118·0.06)/1.4354
    assert lumped.mass_kg == pytest.approx(1.4354)
    assert lumped.center_m == pytest.approx((0.0118 * 0.27 / 1.4354, 0.0, -0.025876 / 1.4354))
    assert lumped.inertia_kgm2[0] > 0.02625 + 2 * 0.0118 * 0.22**2
    params = team_params(team, 0.002)
    assert params.drones.vehicle.mass_kg[0].tolist() == pytest.approx([0.6168 + 0.0118] * 3)
    assert params.drones.cable.load_point_b.x[0].tolist() == pytest.approx(
        [x - lumped.center_m[0] for x in (0.27, 0.27, -0.27)]
    )
    assert params.drones.cable.stiffness_npm[0].tolist() == [5e4] * 3


REFUSED = {
    "unknown field": (with_("^mass_kg", "mas_kg"), ["load.mas_kg", "did you mean mass_kg?"]),
    "unknown section": (with_(r"^\[cable\]", "[cabel]"), ["cabel", "did you mean cable?"]),
    "missing section": (with_(r"^\[cable\](.|\n)*?(?=\[\[)", ""), ["[cable] is missing"]),
    "missing unit": (with_('unit = "kg", ', ""), ["load.mass_kg has no unit"]),
    "bare number": (with_("^mass_kg.*", "mass_kg = 1.0"), ["load.mass_kg = 1.0 has no unit"]),
    "negative": (valued("mass_kg", "-1.0"), ["load.mass_kg = -1.0 kg", "allowed: 0.001 to 1000 kg"]),
    "not a number": (valued("axial_stiffness_n", "nan"), ["cable.axial_stiffness_n = nan", "allowed"]),
    "no stiffness": (valued("axial_stiffness_n", "0.0"), ["cable.axial_stiffness_n = 0.0 N", "1 to 1e+07"]),
    "no members": (with_(r"^\[\[members\]\](.|\n)*", ""), ["members are missing", "[[members]]"]),
    "too many": (THREE + 6 * THREE[THREE.index("[[members]]") :], ["members: 21", "1 to 8"]),
    "no vehicle": (with_('^vehicle = "falcon"\n', ""), ["members[0].vehicle = None", "falcon"]),
    "unknown vehicle": (with_('"falcon"$', '"falkon"'), ["members[0].vehicle", "did you mean falcon?"]),
    "lost vehicle": (
        with_('"falcon"$', '"gone.toml"'),
        ["members[0].vehicle", "gone.toml", "cannot be read"],
    ),
    "short cable": (valued("cable_length_m", "0.0"), ["members[0].cable_length_m = 0.0 m", "0.05 to 100 m"]),
    "outside the load": (
        valued("load_point_m", "[0.27, 0.24, 0.06]"),
        ["members[0].load_point_m = (0.27, 0.24, 0.06) m", "y = 0.24 m", "±0.225 m", "load.size_m"],
    ),
    "centre outside": (
        valued("center_of_mass_m", "[0.0, 0.0, -0.1]"),
        ["load.center_of_mass_m", "z = -0.1 m", "±0.075 m"],
    ),
    "triangle": (valued("inertia_kgm2", "[0.02, 0.02, 0.05]"), ["load.inertia_kgm2", "0.05", "0.04"]),
    "too heavy": (
        valued("mass_kg", "3.4"),
        ["load.mass_kg = 3.4 kg", "at most 3.35 kg", "3 members", "75 N", "18.15 N"],
    ),
    "off balance": (
        # Over one corner, which its member alone would have to carry: 1.68 kg.
        valued("center_of_mass_m", "[0.27, 0.22, 0.0]").replace("value = 1.4,", "value = 1.7,"),
        ["load.mass_kg = 1.7 kg", "at most 1.68 kg", "polygon of the points of attachment"],
    ),
    "schema": (with_("^schema = 1", "schema = 2"), ["schema = 2 must be 1"]),
    "name": (with_('^name = "falcon3"', 'name = "Falcon 3"'), ["name = 'Falcon 3'"]),
    "description": (with_("^description.*", 'description = ""'), ["description = ''"]),
    "no TOML": ("mass = = 1", ["is not valid TOML", "line 1"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_file_gets_one_clear_line(case: str, tmp_path: Path):
    text, said = REFUSED[case]
    with pytest.raises(TeamError) as caught:
        load_text(tmp_path, text)
    message = str(caught.value)
    assert "\n" not in message
    for fragment in ["team.toml: ", *said]:
        assert fragment in message


def test_an_unknown_name_lists_what_exists():
    with pytest.raises(TeamError, match=r"'falcon33'; did you mean falcon3\? \(known: falcon1, falcon3"):
        load_team("falcon33")


def test_a_team_made_in_code_is_checked_too():
    assert changed("falcon3", load={"mass_kg": 2.1}).load.mass_kg == 2.1
    with pytest.raises(TeamError, match="more than the team can hold"):
        changed("falcon3", load={"mass_kg": 4.0})
    team = load_team("falcon3")
    with pytest.raises(TeamError, match="members: 0 of them"):
        dataclasses.replace(team, members=())
