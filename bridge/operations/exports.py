"""Changes of orders for a shop's upload: what left, with which carrier and number, and what was cancelled; each change once.

What changed follows from the log alone: an order as its events up to one position make it is compared with what they make up to another. So nothing but the
positions is stored, and a file that is made again is the same. What the shop itself has said, it is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.facts import COUNTED, Fact
from bridge.domain.fold import OrderFold, fold
from bridge.domain.lifecycle import CUSTODY_FACTS, IN_CUSTODY
from bridge.domain.order import Parcel
from bridge.domain.order.loading import holder_of
from bridge.domain.order.sending import Sending, sending_of
from bridge.errors import NotFound
from bridge.ingest.channel_files import ExportRow
from bridge.operations.ports import SiteContext, SiteReader
from devices.protocol import bodies
from devices.protocol.reasons import CancelReason, known
from devices.protocol.vocabulary import EventType, Flag, OrderState, ParcelState, Role

PORTION_ORDERS_MAX: Final = 200
"""Orders that are read at once."""
_LABELS: Final = frozenset({EventType.PACK, EventType.LABELLED})
_OUT: Final = IN_CUSTODY | {ParcelState.RETURNED}


class What(StrEnum):
    """What has happened to an order or parcel."""

    SHIPPED = "shipped"
    """It left, or another carrier or number is known of it."""
    CANCELLED = "cancelled"
    """The order was cancelled before it left."""
    TAKEN_BACK = "taken_back"
    """An earlier file said that it left, and it did not."""
    WRONG_CARRIER = "wrong_carrier"
    """It was loaded for another carrier than its own, and nobody says yet that it is gone: it may come out again. No form has a row for it."""


class Sent(Struct, frozen=True, kw_only=True):
    """One change. `parcel` is None if the order as a whole is meant; `reason` is that of a cancellation, from the closed list."""

    order: str
    what: What
    at_ms: int
    parcel: str | None = None
    carrier: str | None = None
    service: str | None = None
    tracking: str | None = None
    reason: str | None = None


class Span(NamedTuple):
    """Changes between two positions of the event log: behind the first, up to and with the second."""

    after_pos: int
    upto_pos: int


async def span_since_last(site: SiteReader, channel: str, form: str) -> Span:
    """What has happened since the channel's last file in a form; since the beginning, if there was none."""
    _check_channel(site, channel)
    last = site.queries.exported(channel, form)
    end = site.queries.log_end()
    return Span(min(last.upto_pos, end) if last is not None else 0, end)


async def span_of_last(site: SiteReader, channel: str, form: str) -> Span:
    """What the channel's last file in a form had.

    Raises:
        NotFound: if there was none.
    """
    last = site.queries.exported(channel, form)
    if last is None:
        _check_channel(site, channel)
        raise NotFound(f"channel {channel} had no file for {form} yet", fix="make the first one with --changed-since last, without --again")
    return Span(last.after_pos, last.upto_pos)


async def span_since(site: SiteReader, channel: str, at_ms: int) -> Span:
    """What has happened since a time."""
    _check_channel(site, channel)
    return Span(site.queries.log_before(at_ms), site.queries.log_end())


def _check_channel(site: SiteReader, channel: str) -> None:
    if channel not in (known := site.queries.channels()):
        raise NotFound(f"no order came through a channel {channel}", fix=f"the channels are {', '.join(known)}" if known else "import orders first")


def changes(site: SiteReader, channel: str, span: Span) -> Iterator[Sent]:
    """A channel's changes in a span, by order."""
    found = site.queries.changed_orders(channel, after_pos=span.after_pos, upto_pos=span.upto_pos)
    for start in range(0, len(found), PORTION_ORDERS_MAX):
        for order, (_, facts) in sorted(site.queries.stories(found[start : start + PORTION_ORDERS_MAX]).items()):
            yield from _changes_of(order, channel, facts, span)


def _changes_of(order: str, channel: str, facts: Sequence[Fact], span: Span) -> list[Sent]:
    now = _as_of(order, channel, facts, span.upto_pos)
    before = _as_of(order, channel, facts, span.after_pos) if any(fact.pos <= span.after_pos for fact in facts) else {}
    # Of parcels that are gone, that have another id since their pack arrived, or that are in a wrong vehicle now.
    known = [one for key, one in before.items() if key not in now or (one.what is What.SHIPPED and now[key].what is What.WRONG_CARRIER)]
    news = []
    for key, one in now.items():
        if key in before and _is_same(before[key], one):
            continue
        renamed = next((old for old in known if key not in before and _is_same(old, one)), None)
        if renamed is None:
            news.append(one)
        else:
            known.remove(renamed)
    return [*(_taken_back(one) for one in known if one.what is What.SHIPPED), *news]


def _is_same(one: Sent, other: Sent) -> bool:
    """Whether there is nothing new in what is said. That a carrier took it a little earlier than we scanned it is no news."""
    return replace(one, at_ms=0, parcel=None) == replace(other, at_ms=0, parcel=None)


def _taken_back(one: Sent) -> Sent:
    return Sent(order=one.order, what=What.TAKEN_BACK, at_ms=one.at_ms, parcel=one.parcel)


def _as_of(order_id: str, channel: str, facts: Sequence[Fact], pos: int) -> dict[str | None, Sent]:
    """What there is to say of an order at a position of the log, by parcel."""
    # Each fold places facts anew, so it gets copies: the next one must not see these places.
    whole = fold(order_id, [fact.copy() for fact in facts if _known_from(order_id, fact, facts) <= pos])
    if not whole.exists:
        return {}
    order = whole.order
    if order.state is OrderState.CANCELLED:
        told = _last(whole, channel, EventType.CANCELLED)
        if told is None:
            return {}
        assert isinstance(told.body, bodies.Cancelled)
        at_ms = order.milestones[OrderState.CANCELLED][0] if OrderState.CANCELLED in order.milestones else told.event_ms
        return {None: Sent(order=order_id, what=What.CANCELLED, at_ms=at_ms, reason=known(CancelReason, told.body.reason).value)}
    left = [p for p in order.parcels.values() if p.state in _OUT and _left_by_us(whole, channel, p)]
    return {parcel.id: _sent(whole, parcel) for parcel in left}


def _known_from(order_id: str, fact: Fact, facts: Sequence[Fact]) -> int:
    """The position from which a fact was known to belong to an order: that of its event, or that of the label that explained a scan later."""
    if fact.code is None or fact.arrived_in == order_id:
        return fact.pos
    return max(fact.pos, min((label.pos for label in facts if label.type in _LABELS and label.code == fact.code), default=fact.pos))


def _last(whole: OrderFold, channel: str, kind: EventType) -> Fact | None:
    """The last event of a type that counts, and that the shop itself did not send."""
    return next((f for f in reversed(whole.facts) if f.type == kind and f.device != channel and whole.verdicts[f.uid].outcome in COUNTED), None)


def _left_by_us(whole: OrderFold, channel: str, parcel: Parcel) -> bool:
    """Whether anybody but the shop says that a parcel left."""
    return any(f.device != channel for f in _custody(whole, parcel))


def _custody(whole: OrderFold, parcel: Parcel) -> Iterator[Fact]:
    """The facts that count and say that someone has a parcel outside the warehouse."""
    for fact in whole.facts:
        if fact.type in CUSTODY_FACTS and (verdict := whole.verdicts[fact.uid]).outcome in COUNTED and verdict.parcel in (None, parcel.id):
            yield fact


def _sent(whole: OrderFold, parcel: Parcel) -> Sent:
    sending, what = sending_of(whole.order, parcel), What.SHIPPED
    if Flag.WRONG_CARRIER in parcel.flags and parcel.load is not None:
        # Service and number are those of its own carrier, under which the one that has it does not know it.
        sending = Sending(carrier=holder_of(whole.order, parcel))
        what = What.SHIPPED if _is_gone(whole, parcel) else What.WRONG_CARRIER
    at_ms = parcel.milestones[ParcelState.SHIPPED][0] if ParcelState.SHIPPED in parcel.milestones else parcel.at_ms
    return Sent(
        order=whole.id,
        what=what,
        at_ms=at_ms,
        parcel=parcel.id,
        carrier=sending.carrier,
        service=sending.service,
        tracking=sending.tracking,
    )


def _is_gone(whole: OrderFold, parcel: Parcel) -> bool:
    """Whether a parcel that was loaded for another carrier went with it: it is further on its way, or a carrier says since then that it has it."""
    assert parcel.load is not None
    loaded_ms = parcel.load.at_ms
    return parcel.state is not ParcelState.SHIPPED or any(f.role == Role.CARRIER and f.event_ms >= loaded_ms for f in _custody(whole, parcel))


async def remember(site: SiteContext, channel: str, form: str, after_pos: int, upto_pos: int) -> None:
    """Store which changes a channel's last file in a form had: those between two positions of the log. The next file goes on from there."""
    row = ExportRow(channel, form, after_pos, upto_pos, site.clock.now_ms())
    await site.on_writer(lambda: site.upkeep.remember_export(row))
