"""`[carriers]` and `[cutoffs]` of a site's settings as rules of the domain. A mistake is named with its setting and the fix."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, tzinfo
from typing import Final

from bridge.config import CarriersSettings, CutoffsSettings
from bridge.domain.carriers import CarrierRules, folded
from bridge.domain.cutoffs import DAYS, Slot, Timetable, Week
from bridge.errors import ConfigError

_TIME: Final = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_LAST_MIN: Final = 24 * 60 - 1
_TIMES_FIX: Final = 'write the cutoff, and after a slash when the carrier leaves: "14:00/17:30"; several with commas: "11:00/12:30, 16:00/18:00"'


def carrier_rules(carriers: CarriersSettings, cutoffs: CutoffsSettings, zone: tzinfo) -> CarrierRules:
    """The rules that these settings make.

    Raises:
        ConfigError: if a name, vehicle, dock or device belongs to two carriers, or a time or a date can't be read.
    """
    names: dict[str, str] = {}
    for carrier, own in carriers.each.items():
        _check_name(f"carriers.{carrier}", carrier)
        for name in (carrier, *listed(own.names)):
            _claim(names, name, carrier, "names")
    owned: dict[str, dict[str, str]] = {"vehicles": {}, "docks": {}, "devices": {}}
    for carrier, own in carriers.each.items():
        for what, owners in owned.items():
            for one in listed(getattr(own, what)):
                _claim(owners, one, carrier, what)
    weeks: dict[str, Week] = {}
    for carrier, own_week in cutoffs.each.items():
        _check_name(f"cutoffs.{carrier}", carrier)
        if (name := names.setdefault(folded(carrier), carrier)) in weeks:
            raise ConfigError(f"[cutoffs.{carrier}] and another section are both about {name}", fix="write one section for each carrier")
        days = tuple(tuple(_slots(f"cutoffs.{carrier}.{day}", getattr(own_week, day))) for day in DAYS)
        weeks[name] = Week(days, frozenset(_dates(f"cutoffs.{carrier}.holidays", own_week.holidays)))
    timetable = Timetable(zone=zone, weeks=weeks, holidays=frozenset(_dates("cutoffs.holidays", cutoffs.holidays)))
    return CarrierRules(names=names, **owned, timetable=timetable)


def listed(text: str) -> Iterator[str]:
    """What stands between commas."""
    return (part for part in (" ".join(piece.split()) for piece in text.split(",")) if part)


def _check_name(setting: str, name: str) -> None:
    if not name.strip() or not name.isprintable() or len(name) > 64:
        raise ConfigError(f"[{setting}]: a carrier's name has 1 to 64 characters that can be printed", fix="choose a short name, such as DHL")


def _claim(owners: dict[str, str], one: str, carrier: str, what: str) -> None:
    owner = owners.setdefault(folded(one), carrier)
    if owner != carrier:
        raise ConfigError(f"carriers.{carrier}.{what}: {one} belongs to {owner} already", fix=f"leave {one} with one of the two")


def _slots(setting: str, text: str) -> Iterator[Slot]:
    before: Slot | None = None
    for part in listed(text):
        cutoff, slash, pickup = (word.strip() for word in part.partition("/"))
        slot = Slot(_minute(setting, cutoff), _minute(setting, pickup) if slash else _LAST_MIN)
        if slot.pickup_min < slot.cutoff_min:
            raise ConfigError(f"{setting} is {text!r}: the carrier leaves before its cutoff", fix=_TIMES_FIX)
        if before is not None and (slot.cutoff_min <= before.cutoff_min or slot.pickup_min <= before.pickup_min):
            raise ConfigError(f"{setting} is {text!r}: the times do not follow each other", fix=_TIMES_FIX)
        before = slot
        yield slot


def _minute(setting: str, text: str) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ConfigError(f"{setting}: {text!r} is not a time of day", fix=_TIMES_FIX)
    return int(found[1]) * 60 + int(found[2])


def _dates(setting: str, text: str) -> Iterator[date]:
    for part in listed(text):
        try:
            yield date.fromisoformat(part)
        except ValueError:
            fix = 'write dates as 2026-12-25, with commas between them: "2026-12-25, 2026-12-26"'
            raise ConfigError(f"{setting}: {part!r} is not a date", fix=fix) from None
