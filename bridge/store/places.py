"""The places in the database, and the visits to them: reads for people, and the import, which is one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Engine, select

from bridge.domain.places import Place
from bridge.domain.visits import THERE
from bridge.errors import Refused
from bridge.ingest.places import PLACE_GONE, PLACES, PlaceRow, place_of, row_of
from bridge.ingest.relation import Writes
from bridge.operations.place_ports import PlacePlan, StoredVisit
from bridge.store import tables as t
from bridge.store.relations import write
from bridge.store.sqlite import translated
from bridge.words import counted


def all_places(connection: Connection) -> list[Place]:
    """All places in the order of their ids."""
    rows = connection.execute(select(*(t.places.c[name] for name in PlaceRow._fields)).order_by(t.places.c.place))
    return [place_of(PlaceRow(*row)) for row in rows]


def plan_places(connection: Connection, places: Sequence[Place], *, removes_others: bool, places_max: int) -> PlacePlan:
    """What changes if these places are stored.

    Raises:
        Refused: if there would be too many.
    """
    before = {place.id: place for place in all_places(connection)}
    listed = {place.id for place in places}
    added = [place.id for place in places if place.id not in before]
    changed = [place.id for place in places if place.id in before and place != before[place.id]]
    removed = sorted(before.keys() - listed) if removes_others else []
    total = len(before) + len(added) - len(removed)
    if total > places_max:
        raise Refused(f"the site would have {counted(total, 'place')}, {places_max} at most", fix="raise places.places_max in bridge.toml")
    return PlacePlan(added=added, changed=changed, removed=removed, same=len(places) - len(added) - len(changed))


def put_places(engine: Engine, places: Sequence[Place], *, removes_others: bool, places_max: int) -> PlacePlan:
    """Store places in place of those with the same ids.

    Raises:
        Refused: if there would be too many.
    """
    with translated(), engine.begin() as connection:
        plan = plan_places(connection, places, removes_others=removes_others, places_max=places_max)
        other = {*plan.added, *plan.changed}
        writes = Writes()
        writes.rows(PLACES).extend(row_of(place) for place in places if place.id in other)
        for place in plan.removed:
            writes.delete(PLACE_GONE, place)
        write(_driver(connection), writes)
        return plan


def visits_page(connection: Connection, *, place: str | None, device: str | None, limit: int) -> list[StoredVisit]:
    """Visits, the last arrival first."""
    v = t.visits.c
    query = select(v.device, v.place, v.arrived_ms, v.left_ms).order_by(v.arrived_ms.desc(), v.device, v.place).limit(limit)
    if place is not None:
        query = query.where(v.place == place)
    if device is not None:
        query = query.where(v.device == device)
    rows = connection.execute(query).all()
    return [StoredVisit(device=r.device, place=r.place, arrived_ms=r.arrived_ms, left_ms=None if r.left_ms == THERE else r.left_ms) for r in rows]


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
