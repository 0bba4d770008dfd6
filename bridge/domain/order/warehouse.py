"""What happens to an order in the warehouse, apart from movements: pick, pack, label, and workers' shifts."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.domain.barcodes import ordered_sku, same_article
from bridge.domain.facts import APPLIED, Fact, Verdict, refusal
from bridge.domain.order.movement import judge_scan, move_parcels
from bridge.domain.order.order import Order, body_of
from bridge.domain.order.parcel import Parcel, derived_parcel_id
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, Outcome, Reason, Warn


def stand_in_log(order: Order, fact: Fact) -> Verdict:
    """It stands in the log, and the order stays as it is."""
    return APPLIED


def pick(order: Order, fact: Fact) -> Verdict:
    body: bodies.Pick = body_of(fact)
    sku = ordered_sku(body.sku, order.lines)
    if sku is None or not same_article(fact.code, sku):
        return refusal(Outcome.REJECTED, Reason.WRONG_SKU)
    if fact.parcel is not None:
        parcels, contradicts = order.find_or_add(fact)
        if contradicts:
            return refusal(Outcome.REJECTED, Reason.WRONG_PARCEL)
        move_parcels(order, parcels, E.PICK, fact, None)
    if body.short:
        order.flags.add(Flag.SHORT)
        return Verdict(Outcome.APPLIED, parcel=fact.parcel)
    order.picked[sku] = order.picked.get(sku, 0) + body.qty
    warn: tuple[Warn, ...] = (Warn.TOO_MANY,) if order.picked[sku] > order.lines[sku] else ()
    if not order.paid and order.created is not None and order.created.payment == "prepaid":
        warn += (Warn.NOT_PAID,)
    return Verdict(Outcome.APPLIED, warn=warn, parcel=fact.parcel)


def pack(order: Order, fact: Fact) -> Verdict:
    body: bodies.Pack = body_of(fact)
    parcel, contradicts = order.named_by(fact)
    if contradicts:
        return refusal(Outcome.REJECTED, Reason.WRONG_PARCEL)
    if parcel is None and fact.parcel is None:
        parcel = _the_only_parcel(order, fact, body)
    others = len(order.parcels) - (1 if parcel is not None else 0)
    if body.items is None and others and (parcel is None or not parcel.is_packed):
        return refusal(Outcome.REJECTED, Reason.ITEMS_NEEDED)
    if parcel is None:
        parcel = order.add_parcel(fact.parcel or derived_parcel_id(fact.id), fact.event_ms)
    elif fact.parcel is None:
        # If this pack arrived before the one that it repeats, it gave the parcel its id, and that id may have been shown.
        order.aliases[derived_parcel_id(fact.id)] = parcel
    changed = move_parcels(order, [parcel], E.PACK, fact, fact.at)
    if parcel.items is None and body.items is not None:
        # Only the first list of a parcel's contents counts, until the parcel is unpacked.
        parcel.items = _contents(order, body.items)
        changed = True
    changed = parcel.mark_packed(fact.event_ms) or changed
    parcel.has_pack_event = True
    changed = _put_label(parcel, fact.code) or changed
    order.count_packed()
    return judge_scan(order, fact, changed, [parcel], _unordered(order, body))


def _the_only_parcel(order: Order, fact: Fact, body: bodies.Pack) -> Parcel | None:
    """The parcel that a pack without a name is about: the only one of the order, unless the label or the list says that this is another."""
    if len(order.parcels) != 1:
        return None
    (only,) = order.parcels.values()
    if fact.code is not None and only.code is not None and fact.code != only.code:
        return None
    return only if body.items is None or not only.has_pack_event or only.items == _contents(order, body.items) else None


def _unordered(order: Order, body: bodies.Pack) -> tuple[Warn, ...]:
    return (Warn.NOT_ORDERED,) if body.items is not None and any(ordered_sku(i.sku, order.lines) is None for i in body.items) else ()


def _contents(order: Order, items: Iterable[bodies.Line]) -> dict[str, int]:
    """sku → qty of what is in a parcel, each article under the SKU with which it was ordered."""
    contents: dict[str, int] = {}
    for item in items:
        sku = ordered_sku(item.sku, order.lines) or item.sku
        contents[sku] = contents.get(sku, 0) + item.qty
    return contents


def labelled(order: Order, fact: Fact) -> Verdict:
    known = order.by_code(fact.code)
    if fact.parcel is not None:
        if known is not None and not order.may_be_called(known, fact.parcel):
            return refusal(Outcome.REJECTED, Reason.CODE_TAKEN)
        parcel = known or order.by_name(fact.parcel) or order.add_parcel(fact.parcel, fact.event_ms)
    elif known is not None:
        parcel = known
    elif len(order.parcels) == 1:
        (parcel,) = order.parcels.values()
    else:
        return refusal(Outcome.REJECTED, Reason.PARCEL_NEEDED)
    return judge_scan(order, fact, _put_label(parcel, fact.code), [parcel])


def _put_label(parcel: Parcel, code: str | None) -> bool:
    """Bind a code to a parcel. Returns True if this is new."""
    if code is None or parcel.code == code:
        return False
    parcel.code = code
    return True
