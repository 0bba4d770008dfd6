"""Why work on an order must not go on now. What each condition forbids is in `lifecycle.FORBIDS`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from bridge.domain.facts import Fact, Unpaid
from bridge.domain.lifecycle import FORBIDS
from bridge.domain.order.order import Order, known_parcel
from devices.protocol.vocabulary import Flag, Reason

MAY_BE_BLOCKED: Final = frozenset[str]().union(*FORBIDS.values())


def block_of(order: Order, fact: Fact) -> Reason | None:
    """Why a fact must not happen now; None if it may."""
    if (order.paid and not order.flags and not order.holds and not order.cancelled and not order.cancelled_parcels) or fact.takes_label:
        return None  # nearly always; a label of another order is no work on this one
    for reason, holds in _CONDITIONS[fact.type]:
        if holds(order, fact):
            return reason
    return None


def _is_cancelled(order: Order, fact: Fact) -> bool:
    """Whether the order or the parcel that the fact names is cancelled; the parcel may be one that is not packed yet."""
    if order.cancelled or not order.cancelled_parcels:
        return order.cancelled
    parcel = known_parcel(order, fact)
    return order.is_cancelled(parcel) if parcel is not None else bool(order.cancelled_parcels & {fact.parcel, fact.code})


_HOLDS: Final[dict[Reason, Callable[[Order, Fact], bool]]] = {
    Reason.CANCELLED: _is_cancelled,
    Reason.HELD: lambda order, fact: bool(order.holds),
    Reason.NEEDS_CONFIRM: lambda order, fact: Flag.NEEDS_CONFIRM in order.flags,
    Reason.NOT_PAID: lambda order, fact: order.terms == Unpaid.BLOCK_PICK and order.owes_before_shipping,
}
"""Whether an order is in a condition, for a fact."""
_CONDITIONS: Final = {event: tuple((r, _HOLDS[r]) for r, events in FORBIDS.items() if event in events) for event in MAY_BE_BLOCKED}
"""The conditions that forbid an event, in their order."""
