"""Places as they are stored, and as ingest uses them. They are not in the log: a replay hears no points of phones either."""

from __future__ import annotations

from typing import Final, NamedTuple

import cbor2

from bridge.domain.geo import Spot
from bridge.domain.places import Place, PlaceIndex, PlaceKind
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Deletion, Origin, Relation


class PlaceRow(NamedTuple):
    """One place. `rings` are (latitude, longitude) in degrees times 10^7, in CBOR: the centre alone if there is a radius."""

    place: str
    kind: str
    name: str
    hours: str
    radius_m: int | None
    dwell_s: int | None
    rings: bytes


PLACES: Final = Relation(name="places", row=PlaceRow, key=("place",), origin=Origin.KEPT, note="docks, hubs, lockers, stations and zones")
PLACE_GONE: Final = Deletion(PLACES, ("place",))


def row_of(place: Place) -> PlaceRow:
    """A place as it is stored."""
    return PlaceRow(place.id, place.kind.value, place.name, place.hours, place.radius_m, place.dwell_s, cbor2.dumps(place.rings))


def place_of(row: PlaceRow) -> Place:
    """A stored place."""
    rings = tuple(tuple(Spot(*spot) for spot in ring) for ring in cbor2.loads(row.rings))
    return Place(id=row.place, kind=PlaceKind(row.kind), name=row.name, rings=rings, radius_m=row.radius_m, hours=row.hours, dwell_s=row.dwell_s)


class KnownPlaces:
    """All places of the site. They are read from the store once, and again after they have changed."""

    __slots__ = ("_index",)

    def __init__(self) -> None:
        self._index: PlaceIndex | None = None

    def forget(self) -> None:
        """Drop them, because they may have changed."""
        self._index = None

    def index(self, tx: Transaction) -> PlaceIndex:
        if self._index is None:
            self._index = PlaceIndex(place_of(row) for row in tx.rows(PLACES))
        return self._index
