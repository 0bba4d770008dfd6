"""Places where couriers come: docks, hubs, lockers, stations (驿站) and zones; and which of them are near a way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from itertools import product
from typing import Final

from msgspec import Struct

from bridge.domain.geo import Box, Circle, Polygon, Shape, Spot, overlap, touch

ID_CHARS_MAX: Final = 96
"""As in the contract (`Id`)."""
WORD_CHARS_MAX: Final = 64
HOURS_CHARS_MAX: Final = 200
DWELL_S_MAX: Final = 1_800
CELL_E7: Final = 200_000
"""The side of a square of the index: 2.2 km from south to north."""
_DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_TIME: Final = r"(?:[01]\d|2[0-3]):[0-5]\d"
_RULE: Final = re.compile(rf"(?P<days>[A-Za-z,\- ]+) (?P<times>off|{_TIME}-(?:{_TIME}|24:00)(?:, ?{_TIME}-(?:{_TIME}|24:00))*)")
ALWAYS: Final = "24/7"


class PlaceKind(StrEnum):
    """What a place is."""

    DOCK = "dock"
    HUB = "hub"
    LOCKER = "locker"
    STATION = "station"
    ZONE = "zone"


class Place(Struct, frozen=True, kw_only=True, dict=True):
    """A circle, if it has a radius: then `rings` is its centre alone. Otherwise a polygon, and its holes.

    `hours` are opening hours (`hours_fault`), empty if they are not known. A visit is shorter than `dwell_s` only if the courier is still there; with None, the
    site's own number counts, and with 0 the place is also visited by driving through it.
    """

    id: str
    kind: PlaceKind
    name: str
    rings: tuple[tuple[Spot, ...], ...]
    radius_m: int | None = None
    hours: str = ""
    dwell_s: int | None = None

    @cached_property
    def shape(self) -> Shape:
        return Polygon(self.rings) if self.radius_m is None else Circle(self.rings[0][0], self.radius_m)

    @cached_property
    def box(self) -> Box:
        return self.shape.box()


def hours_fault(text: str) -> str | None:
    """What is wrong with opening hours; None if they can be read: `24/7`, or rules such as `Mo-Fr 08:00-12:00,13:00-18:00; Sa off`.

    This is the part of OpenStreetMap's `opening_hours` that parcel shops use.
    """
    if not text or text == ALWAYS:
        return None
    for rule in text.split(";"):
        found = _RULE.fullmatch(rule.strip())
        if found is None:
            return f"{rule.strip()!r} is not days with times"
        for day in re.split(r"[,\-]", found["days"]):
            if day.strip() not in _DAYS:
                return f"{day.strip()!r} is not a day"
    return None


class PlaceIndex:
    """The places of a site by squares of the map, so that a point is held against the few places around it."""

    __slots__ = ("_cells", "by_id")

    def __init__(self, places: Iterable[Place] = ()) -> None:
        self.by_id: Mapping[str, Place] = {place.id: place for place in places}
        self._cells: dict[tuple[int, int], list[Place]] = {}
        for place in self.by_id.values():
            for cell in _cells(place.box):
                self._cells.setdefault(cell, []).append(place)

    def near(self, way: Box) -> list[Place]:
        """The places whose boxes this box touches."""
        found: dict[str, Place] = {}
        for cell in _cells(way):
            for place in self._cells.get(cell, ()):
                if touch(place.box, way):
                    found[place.id] = place
        return list(found.values())


def overlapping_zones(places: Iterable[Place]) -> list[tuple[str, str]]:
    """The zones that share more than a border, in pairs."""
    zones = sorted((place for place in places if place.kind is PlaceKind.ZONE), key=lambda place: place.box.south)
    found = []
    for n, one in enumerate(zones):
        for other in zones[n + 1 :]:
            if other.box.south > one.box.north:
                break
            if touch(one.box, other.box) and overlap(one.shape, other.shape):
                found.append((min(one.id, other.id), max(one.id, other.id)))
    return sorted(found)


def _cells(box: Box) -> Iterable[tuple[int, int]]:
    return product(range(box.south // CELL_E7, box.north // CELL_E7 + 1), range(box.west // CELL_E7, box.east // CELL_E7 + 1))
