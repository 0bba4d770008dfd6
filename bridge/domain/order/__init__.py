"""One order and what each event does to it. `apply(order, fact)` changes the order by one fact and gives the verdict.

Each event type has one handler, a plain function in `HANDLERS`. The handlers are in `shop.py`, `warehouse.py`, `movement.py` and `courier.py`; they change an
`Order` (`order.py`) and its parcels (`parcel.py`). `contents.py` counts goods, `payment.py` money, `possession.py` knows who has a parcel, `blocks.py` what
must not go on; `flags.py` has the life of every flag and alert.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from bridge.domain.facts import DECIDED, Fact, Verdict, refusal
from bridge.domain.lifecycle import PREPARATION
from bridge.domain.members import OUTCOME, E
from bridge.domain.order import courier, movement, shop, warehouse
from bridge.domain.order.blocks import MAY_BE_BLOCKED, block_of
from bridge.domain.order.book import derived_parcel_id, unseen_parcel_id
from bridge.domain.order.movement import DEBOUNCE_MS, apply_movement, movement_to
from bridge.domain.order.order import MOVING, PARTIALLY, Handler, Order, unclear_scan
from bridge.domain.order.parcel import Parcel
from devices.protocol.vocabulary import Next, Reason, Warn

__all__ = ["DEBOUNCE_MS", "HANDLERS", "Order", "Parcel", "apply", "derived_parcel_id", "unseen_parcel_id"]

VERDICTS_CACHED_MAX: Final = 8_192

_ABOUT_PARCELS: Final = MOVING - PREPARATION | {E.STAGE, E.BORDER_ENTERED, E.STOP_ARRIVED, E.DAMAGED, E.FOUND}

HANDLERS: Final[dict[str, Handler]] = {
    E.CREATED: shop.created,
    E.PAID: shop.paid,
    E.REFUNDED: shop.refunded,
    E.APPROVED: shop.approved,
    E.AMENDED: shop.amended,
    E.HELD: shop.held,
    E.RELEASED: shop.released,
    E.CANCELLED: shop.cancelled,
    E.COMPLETED: shop.completed,
    E.NOTE_ADDED: shop.noted,
    E.SHIFT_STARTED: warehouse.stand_in_log,
    E.SHIFT_ENDED: warehouse.stand_in_log,
    E.BREAK_STARTED: warehouse.stand_in_log,
    E.BREAK_ENDED: warehouse.stand_in_log,
    E.PICK: warehouse.pick,
    E.PACK: warehouse.pack,
    E.UNPACK: apply_movement,
    E.LABELLED: warehouse.labelled,
    E.AGGREGATED: warehouse.stand_in_log,
    E.DISAGGREGATED: warehouse.stand_in_log,
    E.STAGE: movement_to("dock"),
    E.LOAD: apply_movement,
    E.UNLOAD: apply_movement,
    E.DEPART: movement_to("hub"),
    E.ARRIVE: movement_to("hub"),
    E.CUSTOMS_ENTERED: movement.customs_entered,
    E.CUSTOMS_HELD: movement.customs_held,
    E.CUSTOMS_CLEARED: movement.customs_cleared,
    E.BORDER_ENTERED: movement.border_entered,
    E.ASSIGNED: courier.assigned,
    E.UNASSIGNED: courier.unassigned,
    E.CASH_COUNTED: warehouse.stand_in_log,
    E.CLAIM: courier.answered,
    E.DECLINE: courier.answered,
    E.PICKUP: apply_movement,
    E.OUT_FOR_DELIVERY: apply_movement,
    E.STOP_ARRIVED: movement.stop_arrived,
    E.ATTEMPT_FAILED: movement.attempt_failed,
    E.AVAILABLE_FOR_PICKUP: movement.available_for_pickup,
    E.DELIVERY: movement.delivery,
    E.REFUSED: apply_movement,
    E.RETURN_STARTED: apply_movement,
    E.RETURNED: movement.returned,
    E.DAMAGED: movement.damaged,
    E.LOST: movement.lost,
    E.FOUND: movement.found,
    E.DESTROYED: apply_movement,
    DECIDED: courier.decided,
}
"""What each event type does. `void` is not here: the fold removes the fact that it voids before any fact is applied."""


def apply(order: Order, fact: Fact) -> Verdict:
    """Apply one fact. The verdict says what it did and which state the order has after it."""
    if (reason := fact.refusal if fact.fault is None else Reason(fact.fault)) is not None:
        return refusal(OUTCOME.REJECTED, reason)._replace(state=order.state_word)
    kind = fact.type
    if kind in MAY_BE_BLOCKED and (block := block_of(order, fact)):
        return refusal(OUTCOME.BLOCKED, block)._replace(state=order.state_word)
    odd = fact.warn
    if fact.code is not None and kind in _ABOUT_PARCELS:
        is_unclear, doubt = unclear_scan(order, fact)
        if is_unclear:
            return Verdict(OUTCOME.PARKED, Reason.UNKNOWN_PARCEL, next=Next.SCAN_PARCEL, state=order.state_word)
        if doubt is not None:
            odd = (*odd, doubt)
    known = len(order.parcels)
    outcome, reason, warn, following, _, parcel, carrier = HANDLERS[kind](order, fact)
    if outcome is OUTCOME.NOOP and len(order.parcels) > known:
        outcome = OUTCOME.APPLIED  # it moved nothing, but the order has a parcel more
    if outcome is OUTCOME.APPLIED:
        if kind != DECIDED:
            order.last = (kind, fact.event_ms)
        order.update_state(fact)
    if odd and outcome in (OUTCOME.APPLIED, OUTCOME.NOOP):
        warn = tuple(dict.fromkeys((*warn, *odd)))
        if Warn.LABEL_MOVED in odd:
            following = following or Next.CALL_DESK  # two boxes may bear each other's labels
    return _verdict(outcome, reason, warn, following, PARTIALLY[order.state] if order.partial else order.state, parcel, carrier)


_verdict: Final = lru_cache(VERDICTS_CACHED_MAX)(Verdict)
"""Orders keep the verdict of every fact, and most are equal."""
