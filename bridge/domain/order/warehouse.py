"""What happens to an order in the warehouse, apart from movements: pick, pack, label, and workers' shifts."""

from __future__ import annotations

from bridge.domain.facts import APPLIED, Fact, Verdict, refusal
from bridge.domain.order.movement import judge_scan, move_parcels
from bridge.domain.order.order import Order, body_of, quantities
from bridge.domain.order.parcel import Parcel, derived_parcel_id
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, Outcome, Reason, Warn


def stand_in_log(order: Order, fact: Fact) -> Verdict:
    """It stands in the log, and the order stays as it is."""
    return APPLIED


def pick(order: Order, fact: Fact) -> Verdict:
    body: bodies.Pick = body_of(fact)
    if body.sku not in order.lines or not _same_article(fact.code, body.sku):
        return refusal(Outcome.REJECTED, Reason.WRONG_SKU)
    if fact.parcel is not None:
        parcels, contradicts = order.find_or_add(fact)
        if contradicts:
            return refusal(Outcome.REJECTED, Reason.WRONG_PARCEL)
        move_parcels(order, parcels, E.PICK, fact, None)
    if body.short:
        order.short.add(body.sku)
        order.count_packed()
        return Verdict(Outcome.APPLIED, parcel=fact.parcel)
    is_late = order.has_left and order.contents().left(body.sku) <= 0
    order.picked[body.sku] = order.picked.get(body.sku, 0) + body.qty
    if Flag.SHORT in order.flags:
        order.count_packed()
    return Verdict(Outcome.APPLIED, warn=_odd_pick(order, body.sku, is_late=is_late), parcel=fact.parcel)


def _odd_pick(order: Order, sku: str, *, is_late: bool) -> tuple[Warn, ...]:
    """More than was ordered, for an order that has left with all of it, or for one that is not paid."""
    warn: tuple[Warn, ...] = (Warn.PICKED_AFTER,) if is_late else ()
    if order.picked[sku] > order.lines[sku]:
        warn += (Warn.TOO_MANY,)
    if not order.paid and order.created is not None and order.created.payment == "prepaid":
        warn += (Warn.NOT_PAID,)
    return warn


def _same_article(code: str | None, sku: str) -> bool:
    """False only if both are article numbers made of digits (GTINs, at most 14 of them) and they differ."""
    if code is None or len(code) > 14 or not (code.isdigit() and sku.isdigit()):
        return True
    return code.lstrip("0") == sku.lstrip("0")


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
        parcel.items = quantities(body.items)
        changed = True
    changed = parcel.mark_packed(fact.event_ms) or changed
    parcel.has_pack_event = True
    changed = _put_label(parcel, fact.code) or changed
    order.count_packed()
    return judge_scan(order, fact, changed, [parcel], _odd_contents(order, parcel, body))


def _the_only_parcel(order: Order, fact: Fact, body: bodies.Pack) -> Parcel | None:
    """The parcel that a pack without a name is about: the only one of the order, unless the label or the list says that this is another."""
    if len(order.parcels) != 1:
        return None
    (only,) = order.parcels.values()
    if fact.code is not None and only.code is not None and fact.code != only.code:
        return None
    return only if body.items is None or not only.has_pack_event or only.items == quantities(body.items) else None


def _odd_contents(order: Order, parcel: Parcel, body: bodies.Pack) -> tuple[Warn, ...]:
    """Something that was not ordered or too much of it; or no list, although not everything was picked, so that a shortage would not be seen."""
    if body.items is None:
        is_unclear = parcel.items is None and len(order.lines) > 1 and any(order.picked.get(sku, 0) < qty for sku, qty in order.lines.items())
        return (Warn.NOT_LISTED,) if is_unclear else ()
    warn: tuple[Warn, ...] = (Warn.NOT_ORDERED,) if any(i.sku not in order.lines for i in body.items) else ()
    if len(order.parcels) == 1 and all(i.qty <= order.lines.get(i.sku, i.qty) for i in body.items) and parcel.items == quantities(body.items):
        return warn
    packed = order.contents().packed
    return (*warn, Warn.TOO_MANY) if any(packed.get(i.sku, 0) > order.lines.get(i.sku, packed.get(i.sku, 0)) for i in body.items) else warn


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
