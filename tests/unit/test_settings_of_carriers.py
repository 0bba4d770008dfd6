"""`[carriers]` and `[cutoffs]`: a section for each carrier, whose mistakes are named with the setting and the fix."""

from __future__ import annotations

import dataclasses
import tomllib
from datetime import date
from typing import Any

import pytest

from bridge.bounds import rules_of
from bridge.config import CarrierSettings, CutoffSettings, Settings
from bridge.config_file import parse, render
from bridge.domain.carriers import CarrierRules
from bridge.domain.cutoffs import Slot
from bridge.errors import ConfigError

WRITTEN = """
[site]
timezone = "Europe/Amsterdam"

[carriers.DHL]
names = "DHL Express, Deutsche  Post"
vehicles = "V-12, V-13"
docks = "dock-3"

[carriers."China Post"]
devices = "cp-scanner"

[cutoffs]
holidays = "2026-12-25"

[cutoffs.dhl]
mon = "11:00/12:30, 14:00/17:30"
sat = "9:00"
holidays = "2026-12-24, 2026-12-31"
"""


def read(text: str) -> Settings:
    return parse(tomllib.loads(text))


def rules(text: str = WRITTEN) -> CarrierRules:
    return rules_of(read(text)).carriers


def test_the_settings_are_read_and_what_is_rendered_can_be_read_back() -> None:
    settings = read(WRITTEN)
    assert settings.carriers.each["DHL"] == CarrierSettings(names="DHL Express, Deutsche  Post", vehicles="V-12, V-13", docks="dock-3")
    assert read(render(settings)) == settings


@pytest.mark.parametrize("kind", [CarrierSettings, CutoffSettings])
def test_the_file_of_defaults_names_every_setting_of_such_a_section_as_an_example(kind: type[Any]) -> None:
    text = render(Settings())
    for setting in dataclasses.fields(kind):
        assert f"\n#   {setting.metadata['about']}\n# {setting.name} = " in text


SPELLINGS = {"dhl": "DHL", "DHL": "DHL", "Dhl  express": "DHL", "deutsche post": "DHL", "CHINA POST": "China Post", "Unknown Ltd": "Unknown Ltd"}


@pytest.mark.parametrize(("given", "meant"), SPELLINGS.items())
def test_a_carrier_has_one_name_whatever_it_is_called(given: str, meant: str) -> None:
    assert rules().named(given) == meant


SCANS = [
    (("v-12", "dock-9", "scan-1"), "DHL"),
    (("V-99", "DOCK-3", "scan-1"), "DHL"),
    (("V-99", "dock-9", "cp-scanner"), "China Post"),
    (("V-12", "dock-9", "cp-scanner"), "DHL"),
    (("V-99", "dock-9", "scan-1"), None),
    ((None, None, "CP-SCANNER"), "China Post"),
]


@pytest.mark.parametrize(("where", "meant"), SCANS)
def test_a_scan_is_for_the_carrier_of_the_vehicle_else_of_the_dock_else_of_the_device(where: tuple[str | None, str | None, str], meant: str | None) -> None:
    vehicle, dock, device = where
    assert rules().of_scan(vehicle=vehicle, dock=dock, device=device) == meant


def test_cutoffs_are_of_the_carrier_by_any_of_its_names() -> None:
    timetable = rules().timetable
    assert list(timetable.weeks) == ["DHL"]
    assert timetable.weeks["DHL"].days[0] == (Slot(660, 750), Slot(840, 1050))
    assert timetable.weeks["DHL"].days[5] == (Slot(540, 23 * 60 + 59),), "without a pickup it has to leave that day"
    assert timetable.is_holiday("DHL", date(2026, 12, 24))
    assert timetable.is_holiday("DHL", date(2026, 12, 25))


WRONG = {
    '[carriers.DHL]\nvehicle = "V"': "carriers.DHL.vehicle is not a setting",
    "[carriers.DHL]\nvehicles = 12": "carriers.DHL.vehicles is 12; it must be a string",
    "[carriers]\nDHL = 5": "carriers.DHL is not a setting",
    '[carriers.DHL]\nvehicles = "V-1"\n[carriers.UPS]\nvehicles = "v-1"': "carriers.UPS.vehicles: v-1 belongs to DHL already",
    '[carriers.DHL]\n[carriers.UPS]\nnames = "dhl"': "carriers.UPS.names: dhl belongs to DHL already",
    '[carriers."a\\nb"]\n': "a carrier's name has 1 to 64 characters that can be printed",
    '[cutoffs.DHL]\nmon = "25:00"': "cutoffs.DHL.mon: '25:00' is not a time of day",
    '[cutoffs.DHL]\nmon = "2pm"': "cutoffs.DHL.mon: '2pm' is not a time of day",
    '[cutoffs.DHL]\nmon = "14:00/13:00"': "the carrier leaves before its cutoff",
    '[cutoffs.DHL]\nmon = "14:00/15:00, 13:00/16:00"': "the times do not follow each other",
    '[cutoffs.DHL]\nholidays = "25.12.2026"': "cutoffs.DHL.holidays: '25.12.2026' is not a date",
    '[cutoffs]\nholidays = "2026-02-30"': "cutoffs.holidays: '2026-02-30' is not a date",
    "[cutoffs.DHL]\n[cutoffs.dhl]": "and another section are both about DHL",
}


@pytest.mark.parametrize(("text", "fault"), WRONG.items(), ids=list(WRONG.values()))
def test_a_mistake_is_named_with_its_fix(text: str, fault: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        read(text)
    assert fault in str(wrong.value)
    assert wrong.value.fix
