"""Places where couriers come: take in a file, look at them, check them, and see who was there."""

from __future__ import annotations

from typing import NamedTuple

from bridge.domain.places import Place, overlapping_zones
from bridge.errors import NotFound
from bridge.operations.place_ports import PlacePlan, StoredVisit
from bridge.operations.ports import SiteContext, SiteReader


class Doubt(NamedTuple):
    """Something about a place that is probably a mistake, and what to do."""

    place: str
    problem: str
    fix: str


async def put(site: SiteContext, places: list[Place], places_max: int, *, removes_others: bool = False) -> PlacePlan:
    """Store places in place of those with the same ids. The others stay, unless they are to be removed.

    Raises:
        Refused: if there would be too many.
    """
    return await site.on_writer(lambda: site.upkeep.put_places(places, removes_others=removes_others, places_max=places_max))


async def plan(site: SiteReader, places: list[Place], places_max: int, *, removes_others: bool = False) -> PlacePlan:
    """What `put` would do.

    Raises:
        Refused: if there would be too many.
    """
    return site.queries.place_plan(places, removes_others=removes_others, places_max=places_max)


async def list_places(site: SiteReader) -> list[Place]:
    """All places in the order of their ids."""
    return site.queries.places()


async def check(site: SiteReader) -> list[Doubt]:
    """Zones that overlap, and places without a name."""
    places = site.queries.places()
    doubts = [Doubt(place.id, "it has no name", "give it one: people and receipts call it by its name") for place in places if not place.name]
    for one, other in overlapping_zones(places):
        doubts.append(Doubt(one, f"it overlaps {other}", "move the border of one of the two: who is in both is counted in both"))
    return doubts


async def visits(site: SiteContext, *, place: str | None = None, device: str | None = None, reason: str = "", limit: int) -> list[StoredVisit]:
    """Visits of couriers' phones, the last arrival first. `reason` is for the audit log.

    Raises:
        NotFound: if there is no such place, and nobody was ever there.
    """
    found = site.queries.visits(place=place, device=device, limit=limit)
    if place is not None and not found and all(known.id != place for known in site.queries.places()):
        raise NotFound(f"there is no place {place}", fix="list the places with `dockbridge places list`")
    return found
