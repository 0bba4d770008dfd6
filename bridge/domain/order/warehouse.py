"""What happens to an order in the warehouse, apart from movements: pick, pack, label, and workers' shifts."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.domain.barcodes import ordered_sku, same_article
from bridge.domain.facts import APPLIED, NOOP, Fact, Verdict, refusal
from bridge.domain.members import E
from bridge.domain.order.loading import right_carrier
from bridge.domain.order.movement import ENDED, judge_scan, move_parcels
from bridge.domain.order.order import Order, body_of
from bridge.domain.order.parcel import Parcel
from bridge.domain.order.sending import read_label
from devices.protocol import bodies
from devices.protocol.vocabulary import AlertCode, Flag, Outcome, Payment, Reason, Warn


def stand_in_log(order: Order, fact: Fact) -> Verdict:
    """It stands in the log, and the order stays as it is."""
    return APPLIED


def pick(order: Order, fact: Fact) -> Verdict:
    body: bodies.Pick = body_of(fact)
    sku = ordered_sku(body.sku, order.lines)
    if sku is None and fact.article is not None:
        sku = ordered_sku(fact.article, order.lines)
    # If the code was known on arrival, it was compared with the SKU then: an article may have several numbers.
    if sku is None or (fact.article is None and not same_article(fact.code, sku)):
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
    is_late = order.has_left and order.contents().left(sku) <= 0
    order.picked[sku] = order.picked.get(sku, 0) + body.qty
    if Flag.SHORT in order.flags:
        order.count_packed()
    warn = _odd_pick(order, sku, is_late=is_late)
    return Verdict(Outcome.APPLIED, warn=warn, parcel=fact.parcel) if warn or fact.parcel is not None else APPLIED


def _odd_pick(order: Order, sku: str, *, is_late: bool) -> tuple[Warn, ...]:
    """More than was ordered, for an order that has left with all of it, or for one that is not paid."""
    warn: tuple[Warn, ...] = (Warn.PICKED_AFTER,) if is_late else ()
    if order.picked[sku] > order.lines[sku] and order.contents().left(sku) < 0:
        warn += (Warn.TOO_MANY,)  # what is picked again for a parcel that is gone is not too many
    if not order.paid and order.created is not None and order.created.payment == Payment.PREPAID:
        warn += (Warn.NOT_PAID,)
    return warn


def pack(order: Order, fact: Fact) -> Verdict:
    body: bodies.Pack = body_of(fact)
    parcel_id = order.book.of_event(fact)
    if parcel_id is None:
        return refusal(Outcome.REJECTED, Reason.WRONG_PARCEL)
    parcel = order.parcels.get(parcel_id)
    others = len(order.parcels) - (1 if parcel is not None else 0)
    if body.items is None and others and (parcel is None or not parcel.is_packed):
        return refusal(Outcome.REJECTED, Reason.ITEMS_NEEDED)
    parcel = parcel or order.add_parcel(parcel_id, fact.event_ms)
    changed = move_parcels(order, [parcel], E.PACK, fact, fact.at)
    if parcel.items is None and body.items is not None:
        # Only the first list of a parcel's contents counts, until the parcel is unpacked.
        parcel.items = _contents(order, body.items)
        changed = True
    changed = parcel.mark_packed(fact.event_ms) or changed
    parcel.has_pack_event = True
    if body.weight_g is not None:
        parcel.weight_g = body.weight_g  # it may be weighed again
    if order.book.puts_code(fact):
        parcel.cases.discard(AlertCode.LABEL_MOVED)
        changed = True
    order.count_packed()
    return judge_scan(order, fact, changed, [parcel], _odd_contents(order, parcel, body))


def _odd_contents(order: Order, parcel: Parcel, body: bodies.Pack) -> tuple[Warn, ...]:
    """Something that was not ordered or too much of it; or no list, although not everything was picked, so that a shortage would not be seen."""
    if body.items is None:
        is_unclear = parcel.items is None and len(order.lines) > 1 and any(order.picked.get(sku, 0) < qty for sku, qty in order.lines.items())
        return (Warn.NOT_LISTED,) if is_unclear else ()
    contents = _contents(order, body.items)
    warn: tuple[Warn, ...] = (Warn.NOT_ORDERED,) if any(sku not in order.lines for sku in contents) else ()
    if len(order.parcels) == 1 and all(qty <= order.lines.get(sku, qty) for sku, qty in contents.items()) and parcel.items == contents:
        return warn
    packed = order.contents().packed
    return (*warn, Warn.TOO_MANY) if any(packed.get(sku, 0) > order.lines.get(sku, packed.get(sku, 0)) for sku in contents) else warn


def _contents(order: Order, items: Iterable[bodies.Line]) -> dict[str, int]:
    """sku → qty of what is in a parcel, each article under the SKU with which it was ordered."""
    contents: dict[str, int] = {}
    for item in items:
        sku = ordered_sku(item.sku, order.lines) or item.sku
        contents[sku] = contents.get(sku, 0) + item.qty
    return contents


def labelled(order: Order, fact: Fact) -> Verdict:
    if fact.takes_label:
        return _lose_label(order, fact)
    parcel_id = order.book.of_event(fact)
    if parcel_id is None:
        return refusal(Outcome.REJECTED, Reason.PARCEL_NEEDED)
    warn = (Warn.LABEL_MOVED,) if fact.uid in order.book.moved else ()
    parcel, is_new = order.parcel_of(fact, parcel_id), order.book.puts_code(fact)
    if is_new:
        parcel.cases.discard(AlertCode.LABEL_MOVED)
    is_sent_anew = read_label(order, parcel, fact)
    right_carrier(order, [parcel])
    return judge_scan(order, fact, is_sent_anew or is_new, [parcel], warn)


def _lose_label(order: Order, fact: Fact) -> Verdict:
    """The label of a parcel was put on one of another order: two boxes may bear each other's labels, and someone has to look."""
    assert fact.code is not None
    unit = order.book.by_code(fact.code, fact.key, is_unpack=True)
    parcel = order.parcels.get(unit.id) if unit is not None else None
    if parcel is not None and parcel.state not in ENDED:
        parcel.cases.add(AlertCode.LABEL_MOVED)
    return NOOP
