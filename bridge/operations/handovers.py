"""What a carrier takes with one pickup (交接清单): what was loaded for it since the list before, what of it is another carrier's, and what is missing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.carriers import folded
from bridge.domain.codes.rules import DAY_MS
from bridge.errors import NotFound, Refused
from bridge.operations.handover_ports import AwaitedParcel, ClosedList, Given, HandedParcel, Handover, Ready
from bridge.operations.names import NAMED_MAX
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.who import PERSON, WHO

NOBODY: Final = "unknown"


class Window(Struct, frozen=True, kw_only=True):
    """What the site's settings say of a list: parcels loaded since `loaded_ms` are on it; of those that were not loaded, the ones that had to leave by `due_ms`
    are missing (None: all).

    `is_known` says that the settings name the carrier, `site` is the site's name; closed lists are kept for `keep_days`.
    """

    site: str
    loaded_ms: int
    due_ms: int | None
    keep_days: float
    is_known: bool = True


async def look(site: SiteReader, carrier: str, window: Window, *, now_ms: int) -> Handover:
    """The open list of a carrier.

    Raises:
        NotFound: if neither the site nor any parcel knows the carrier.
    """
    return _open_list(site, carrier, window, now_ms)


async def close(site: SiteContext, carrier: str, window: Window, reason: str = "") -> Handover:
    """Close the list of a carrier: what is on it is on no further list, and what is scanned from now on is on the next one.

    Raises:
        NotFound: if there is no such carrier.
        Refused: if nothing was loaded for it, or a parcel of it was put on another list at this moment.
    """
    now_ms = site.clock.now_ms()
    handover = replace(_open_list(site, carrier, window, now_ms), by=PERSON.get() or WHO.get() or NOBODY)
    if not handover.parcels and not handover.wrong:
        raise Refused(
            f"nothing was loaded for {carrier} since its last list", fix=f"scan the parcels (load); `dockbridge carriers handover {carrier}` lists them"
        )
    keep_from_ms = now_ms - int(window.keep_days * DAY_MS)
    no = await site.on_writer(lambda: site.upkeep.close_handover(handover, keep_from_ms=keep_from_ms))
    return replace(handover, no=no)


async def show(site: SiteReader, no: int) -> Handover:
    """A closed list, as it was closed.

    Raises:
        NotFound: if there is none with this number.
    """
    found = site.queries.handover(no)
    if found is None:
        raise NotFound(f"there is no list {no}", fix="`dockbridge carriers handovers` lists those that were closed")
    return found


async def list_closed(site: SiteReader, *, limit: int) -> list[ClosedList]:
    """Closed lists, the last first."""
    return site.queries.handovers(limit=limit)


def _open_list(site: SiteReader, carrier: str, window: Window, at_ms: int) -> Handover:
    given, ready = site.queries.given(since_ms=window.loaded_ms), site.queries.ready()
    closed_ms = [ms for name, ms in site.queries.last_handovers().items() if folded(name) == folded(carrier)]
    own, wrong = loaded_for(carrier, given)
    missing = missing_of(carrier, given, ready, window.due_ms)
    if not (own or wrong or missing or closed_ms or window.is_known):
        known = sorted({one.given_to for one in given} | {one.carrier for one in ready})
        fix = f"parcels wait for {', '.join(known[:NAMED_MAX])}" if known else "name it in bridge.toml, [carriers.NAME], or in the shop's export"
        raise NotFound(f"there is no carrier {carrier}", fix=f"{fix}; `dockbridge carriers list` names all")
    return Handover(
        no=None,
        carrier=carrier,
        site=window.site,
        at_ms=at_ms,
        by=None,
        since_ms=max(closed_ms, default=None),
        due_ms=window.due_ms,
        parcels=own,
        wrong=wrong,
        missing=missing,
    )


def loaded_for(carrier: str, given: Iterable[Given]) -> tuple[list[HandedParcel], list[HandedParcel]]:
    """(what was loaded for a carrier and goes with it, what was loaded for it and goes with another)."""
    wanted = folded(carrier)
    loaded = [one.parcel for one in given if folded(one.given_to) == wanted]
    return [p for p in loaded if folded(p.carrier or carrier) == wanted], [p for p in loaded if folded(p.carrier or carrier) != wanted]


def missing_of(carrier: str, given: Iterable[Given], ready: Iterable[Ready], due_ms: int | None) -> list[AwaitedParcel]:
    """What goes with a carrier, had to leave by then, and was not loaded for it: it stands in the warehouse, or was loaded for another carrier."""
    wanted = folded(carrier)
    waits = [one.parcel for one in ready if folded(one.carrier) == wanted and is_due(one.parcel.ship_by_ms, due_ms)]
    elsewhere = [_elsewhere(one) for one in given if folded(one.given_to) != wanted and folded(one.parcel.carrier) == wanted]
    return [*waits, *elsewhere]


def is_due(ship_by_ms: int | None, due_ms: int | None) -> bool:
    """Whether something has to leave by a time. What nobody has given a time leaves with the next pickup."""
    return ship_by_ms is None or due_ms is None or ship_by_ms <= due_ms


def _elsewhere(given: Given) -> AwaitedParcel:
    parcel = given.parcel
    return AwaitedParcel(
        order=parcel.order,
        parcel=parcel.parcel,
        codes=parcel.codes,
        tracking=parcel.tracking,
        state="loaded",
        where=parcel.vehicle,
        flags=["wrong_carrier"],
        ship_by_ms=None,
        loaded_for=given.given_to,
    )
