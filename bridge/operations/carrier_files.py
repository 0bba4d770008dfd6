"""Files of carriers: which parcel each status is about, which events are new, and where they contradict our own scans."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from msgspec import Struct

from bridge.carrier import events
from bridge.carrier.mapping import CarrierMap
from bridge.carrier.rows import StatusRow
from bridge.domain.barcodes import Key, tracking_key
from bridge.domain.contradictions import Denial, Kind, contradictions_of
from bridge.domain.event_time import system_time
from bridge.domain.facts import Fact
from bridge.domain.fold import OrderFold, fold
from bridge.domain.order import Order
from bridge.domain.order.sending import sending_of
from bridge.ingest.channel_files import DenialRow
from bridge.operations import devices
from bridge.operations.imports import ImportedEvent
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.waits import ENDED
from bridge.shop.rows import BadRow
from devices.protocol.bodies import BODIES
from devices.protocol.messages import convert
from devices.protocol.vocabulary import AlertCode, Role

_BEFORE_MS: Final = 86_400_000
"""A number may be on a parcel for so long before the shop's order says that it was made: clocks and time zones of shops are what they are."""


class Contradicted(Struct, frozen=True, kw_only=True):
    """A contradiction of an order as it is shown: see `domain.contradictions`.

    `number` is what stands on the parcel. `said` is the carrier's event or word, `scan` ours; `void_said` and `void_scan` are their ids, to void the wrong one.
    """

    order: str
    parcel: str | None
    number: str | None
    kind: Kind
    carrier: str
    said: str
    said_ms: int
    scan: str
    device: str
    scan_ms: int
    void_said: str | None
    void_scan: str | None


class Planned(NamedTuple):
    """What of some rows is new.

    `known` counts statuses that are stored already; `foreign` are rows about no parcel of ours, `unclear` those whose number several orders have.
    `contradicted` is, for each of their orders, what is contradictory in it once the events are stored; `doubtful` are the orders of which only the server can
    say so for certain. `denials` is what the carrier says that it does not have.
    """

    events: list[ImportedEvent]
    known: int
    denied: int
    foreign: list[StatusRow]
    unclear: list[BadRow]
    contradicted: dict[str, list[Contradicted]]
    doubtful: set[str]
    denials: list[DenialRow]


class _Place(NamedTuple):
    """The order and the parcel that a row is about; no parcel if the order's only one is meant, or all."""

    order: str
    parcel: str | None


class _Story(NamedTuple):
    """An order: its facts, and what they make."""

    facts: list[Fact]
    whole: OrderFold


@dataclass(slots=True)
class _Draft:
    """A plan in the making: new events and their facts by order, and what carriers deny, these rows (`denied`) and by order all of it (`denials`).

    `dated_anew` are the orders with a row whose time can't be right: the server gives its event another one.
    """

    found: list[ImportedEvent] = field(default_factory=list)
    facts: dict[str, list[Fact]] = field(default_factory=dict)
    denied: list[DenialRow] = field(default_factory=list)
    denials: dict[str, list[DenialRow]] = field(default_factory=dict)
    dated_anew: set[str] = field(default_factory=set)
    known: int = 0


async def plan(site: SiteReader, carrier: CarrierMap, rows: Sequence[StatusRow], *, now_ms: int) -> Planned:
    """Which parcels these rows are about, and what of them is new."""
    stories, by_number = _read(site, rows)
    known = site.queries.known_events(carrier.channel, {events.event_id(row, carrier.channel) for row in rows if row.event is not None})
    draft, foreign, unclear, touched = _Draft(), [], [], set()
    for row in rows:
        place = _place(row, by_number, stories)
        if place is None:
            foreign.append(row)
        elif isinstance(place, BadRow):
            unclear.append(place)
        else:
            touched.add(place.order)
            _add(draft, carrier.channel, row, place, known, now_ms)
    for denial in site.queries.denials(sorted(touched)):
        draft.denials.setdefault(denial.order_id, []).append(denial)
    contradicted = {order: _contradictions(order, stories[order].facts, draft) for order in sorted(touched)}
    denied = {(c.order, c.said_ms) for found in contradicted.values() for c in found if c.kind is Kind.NEVER_RECEIVED}
    news = [denial for denial in draft.denied if (denial.order_id, denial.at_ms) in denied]
    doubtful = draft.dated_anew | {order for order, found in contradicted.items() if found}
    return Planned(draft.found, draft.known, len(draft.denied), foreign, unclear, contradicted, doubtful, news)


def _read(site: SiteReader, rows: Sequence[StatusRow]) -> tuple[dict[str, _Story], Mapping[str, set[str]]]:
    """The orders that rows may be about, and those of each number."""
    by_number = site.queries.orders_with_numbers({row.number for row in rows if row.number is not None})
    names = {row.order for row in rows if row.order is not None}.union(*by_number.values())
    stories = site.queries.stories(sorted(names))
    return {order: _Story(facts, fold(order, facts)) for order, (_, facts) in stories.items()}, by_number


def _place(row: StatusRow, by_number: Mapping[str, set[str]], stories: Mapping[str, _Story]) -> _Place | BadRow | None:
    """The parcel that a row is about, or why that is not clear; None if it is none of ours."""
    holders = _holders(row, by_number, stories)
    if row.order is not None and row.order in stories:
        if holders and row.order not in [whole.id for whole in holders]:
            return BadRow(row.line, f"it names order {row.order}, and {row.number} is the number of {holders[0].id}: correct the one that is wrong")
        return _Place(row.order, _parcel_with(stories[row.order].whole.order, row.number))
    if len(holders) > 1:
        named = " and ".join(whole.id for whole in holders)
        return BadRow(row.line, f"{row.number} is the number of {named}: name the order in a column of its own (order), or correct the number of one")
    return _Place(holders[0].id, _parcel_with(holders[0].order, row.number)) if holders else None


def _holders(row: StatusRow, by_number: Mapping[str, set[str]], stories: Mapping[str, _Story]) -> list[OrderFold]:
    """The orders that a row's number may mean: those that have it now, else those that once had it; if several, the one whose turn it was."""
    candidates = [stories[order].whole for order in sorted(by_number.get(row.number or "", ())) if order in stories]
    holders = [whole for whole in candidates if _holds(whole.order, row.number)] or candidates
    return _of_that_time(holders, row.at_ms) if len(holders) > 1 else holders


def _holds(order: Order, number: str | None) -> bool:
    """Whether an order, or a parcel of it, has a number now."""
    return _key(order.created.tracking if order.created is not None else None) == number or _parcel_with(order, number) is not None


def _parcel_with(order: Order, number: str | None) -> str | None:
    """The parcel that bears a number, or else the only one that is sent under it."""
    if number is None:
        return None
    bearer = next((p.id for p in order.parcels.values() if number in order.codes(p)), None)
    sent = [p.id for p in order.parcels.values() if _key(sending_of(order, p).tracking) == number] if bearer is None else []
    return bearer or (sent[0] if len(sent) == 1 else None)


def _key(number: str | None) -> str | None:
    key = tracking_key(number) if number is not None else None
    return key.text if isinstance(key, Key) else None


def _of_that_time(holders: list[OrderFold], at_ms: int) -> list[OrderFold]:
    """Of orders with the same number, the one whose turn it was: carriers use their numbers again. Several if that is not clear."""
    made = sorted((whole for whole in holders if (whole.created_ms or 0) <= at_ms + _BEFORE_MS), key=lambda whole: whole.created_ms or 0)
    if not made:
        return holders
    last = made[-1]
    older = [whole for whole in made[:-1] if whole.order.state not in ENDED or whole.order.changed_ms > (last.created_ms or 0)]
    return [*older, last]


def _add(draft: _Draft, channel: str, row: StatusRow, place: _Place, known: set[bytes], now_ms: int) -> None:
    if row.event is None:
        denial = DenialRow(place.order, place.parcel or "", channel, row.status, row.at_ms)
        draft.denied.append(denial)
        draft.denials.setdefault(place.order, []).append(denial)
        return
    event_id = events.event_id(row, channel)
    if event_id in known:
        draft.known += 1
        return
    known.add(event_id)  # a file may have a row twice
    draft.found.append(ImportedEvent(row.event, events.payload(row, channel, place.order, place.parcel)))
    fact = _fact(row, channel, place, event_id, now_ms)
    draft.facts.setdefault(place.order, []).append(fact)
    if fact.event_ms != row.at_ms:
        draft.dated_anew.add(place.order)


def _fact(row: StatusRow, channel: str, place: _Place, event_id: bytes, now_ms: int) -> Fact:
    """The fact that a row will be, if the server gets it now."""
    assert row.event is not None
    return Fact(
        id=event_id,
        device=channel,
        role=Role.CARRIER,
        type=row.event,
        log=event_id[:8],
        seq=1,
        event_ms=system_time(at_ms=row.at_ms, received_ms=now_ms).event_ms,
        received_ms=now_ms,
        body=convert(row.body, BODIES[row.event]),
        parcel=place.parcel,
        named=place.order,
    )


def _contradictions(order: str, facts: list[Fact], draft: _Draft) -> list[Contradicted]:
    """What is contradictory in an order once the new events are stored."""
    return _shown(fold(order, [*facts, *draft.facts.get(order, [])]), [_denial(d) for d in draft.denials.get(order, ())])


def _denial(row: DenialRow) -> Denial:
    return Denial(row.channel, row.parcel or None, row.status, row.at_ms)


def _shown(whole: OrderFold, denials: Sequence[Denial]) -> list[Contradicted]:
    if whole.order.completed:
        return []
    return [
        Contradicted(
            order=whole.id,
            parcel=c.parcel,
            number=_number(whole.order, c.parcel),
            kind=c.kind,
            carrier=c.carrier,
            said=c.said,
            said_ms=c.said_ms,
            scan=c.scan,
            device=c.device,
            scan_ms=c.scan_ms,
            void_said=c.theirs.hex() or None,
            void_scan=c.ours.hex() or None,
        )
        for c in contradictions_of(whole, denials)
    ]


def _number(order: Order, parcel_id: str | None) -> str | None:
    """What stands on a parcel: the carrier's number, or the code of its label."""
    parcel = order.parcels.get(parcel_id or "")
    if parcel is None:
        return order.created.tracking if order.created is not None else None
    return sending_of(order, parcel).tracking or next(iter(order.codes(parcel)), None)


async def contradictions(site: SiteReader) -> list[Contradicted]:
    """Every contradiction between a carrier and our own scans that stands, by order."""
    raised = {alert["subject"] for alert in site.queries.alerts() if alert["code"] == AlertCode.CONTRADICTION}
    denials = _by_order(site.queries.denials())
    return [c for found in _stored(site, raised | denials.keys(), denials).values() for c in found]


async def contradictions_of_orders(site: SiteReader, orders: Collection[str]) -> dict[str, list[Contradicted]]:
    """The contradictions in orders, as they are stored."""
    return _stored(site, orders, _by_order(site.queries.denials(sorted(orders))))


def _by_order(rows: Iterable[DenialRow]) -> dict[str, list[Denial]]:
    found: dict[str, list[Denial]] = {}
    for row in rows:
        found.setdefault(row.order_id, []).append(_denial(row))
    return found


def _stored(site: SiteReader, orders: Collection[str], denials: Mapping[str, Sequence[Denial]]) -> dict[str, list[Contradicted]]:
    stories = site.queries.stories(sorted(orders))
    return {order: _shown(fold(order, facts), denials.get(order, ())) for order, (_, facts) in sorted(stories.items())}


async def open_channel(site: SiteContext, channel: str) -> None:
    """Make sure that a carrier's channel can send.

    Raises:
        Refused: if a device of another role has this name.
    """
    await devices.ensure_channel(site, channel, Role.CARRIER)


async def deny(site: SiteContext, denials: list[DenialRow], denials_max: int) -> None:
    """Store what a carrier says that it does not have, although we loaded it."""
    await site.on_writer(lambda: site.upkeep.put_denials(denials, denials_max=denials_max))
