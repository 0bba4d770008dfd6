"""The tables: how a parcel moves, and what an order shows.

`PARCEL_TABLE` holds the next state for every (state, step): a step is an event type, or one of the variants in `Step` if one type can mean two
things. A missing pair means that the step leaves the state as it is.
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import OrderState, ParcelState, Reason
from devices.protocol.vocabulary import ParcelState as P

RANK: Final[dict[ParcelState, int]] = {
    P.PLANNED: 0,
    P.PICKING: 10,
    P.PACKED: 20,
    P.STAGED: 30,
    P.SHIPPED: 40,
    P.IN_TRANSIT: 50,
    P.CUSTOMS: 60,
    P.ENTERED: 70,
    P.ATTEMPT_FAILED: 78,
    P.OUT_FOR_DELIVERY: 80,
    P.AVAILABLE_FOR_PICKUP: 90,
    P.DELIVERED: 100,
}
"""Parcel states by rank. Those off the forward path (returning, returned, lost, destroyed, cancelled) have none."""

DEAD: Final = frozenset({P.CANCELLED, P.LOST, P.DESTROYED, P.RETURNED})
"""States in which a parcel no longer counts towards its order's state."""

IN_CUSTODY: Final = frozenset(s for s, rank in RANK.items() if rank >= RANK[P.SHIPPED]) | {P.RETURNING}
"""With a courier, a carrier or the recipient: no longer in the warehouse."""

OUTBOUND: Final = IN_CUSTODY - {P.RETURNING}
"""On the way to the recipient, or there."""

CUSTODY_FACTS: Final = frozenset({E.LOAD, E.DEPART, E.ARRIVE, E.PICKUP, E.OUT_FOR_DELIVERY, E.DELIVERY})
"""Someone has the parcel outside the warehouse. It happened, whether or not the order is on hold."""

PREPARATION: Final = frozenset({E.PICK, E.PACK, E.STAGE})
"""Work on an order in the warehouse."""

FORBIDS: Final[dict[Reason, frozenset[str]]] = {
    Reason.CANCELLED: PREPARATION | {E.LABELLED},
    Reason.HELD: PREPARATION,
    Reason.NEEDS_CONFIRM: PREPARATION,
    Reason.NOT_PAID: frozenset({E.PICK}),
}
"""What an order in this condition forbids; of several conditions the first one is told. A parcel on hold may still be labelled: it bears the label."""

INSTRUCTIONS: Final = frozenset({E.HELD, E.RELEASED, E.CANCELLED, E.AMENDED, E.ASSIGNED, E.UNASSIGNED})
"""These take effect when the bridge receives them. Every other event is a fact, and takes its place at the time when it happened."""


class Step(StrEnum):
    """Events whose effect depends on their body, as steps of their own."""

    CLEARED_AT_DESTINATION = "customs_cleared (destination)"
    CLEARED_ON_THE_WAY = "customs_cleared (on the way)"
    DAMAGED_BEYOND_USE = "damaged (total)"
    CANCELLED_IN_HOUSE = "cancelled (in house)"


class Move(NamedTuple):
    """Where a step leads: if `forward`, from any state of lower rank; and always from the states in `also_from`."""

    to: ParcelState
    also_from: frozenset[ParcelState] = frozenset()
    forward: bool = True


_GONE: Final = frozenset({P.CANCELLED, P.LOST, P.RETURNED})
"""Custody leads out of these states: a parcel that was scanned is there. An arrival does not reopen a return: hubs report late that they had it."""
_LIVE: Final = frozenset(RANK) | {P.RETURNING}
_UNDELIVERED: Final = _LIVE - {P.DELIVERED}

MOVES: Final[dict[str, Move]] = {
    E.PICK: Move(P.PICKING),
    E.PACK: Move(P.PACKED),
    E.UNPACK: Move(P.PICKING, frozenset({P.PACKED, P.STAGED})),
    E.STAGE: Move(P.STAGED),
    E.LOAD: Move(P.SHIPPED, _GONE),
    E.UNLOAD: Move(P.STAGED, frozenset({P.SHIPPED})),
    E.DEPART: Move(P.IN_TRANSIT, _GONE),
    E.ARRIVE: Move(P.IN_TRANSIT, frozenset({P.OUT_FOR_DELIVERY, P.ATTEMPT_FAILED, P.CANCELLED, P.LOST})),
    E.CUSTOMS_ENTERED: Move(P.CUSTOMS, frozenset({P.ENTERED})),
    E.CUSTOMS_HELD: Move(P.CUSTOMS),
    Step.CLEARED_AT_DESTINATION: Move(P.ENTERED),
    Step.CLEARED_ON_THE_WAY: Move(P.IN_TRANSIT, frozenset({P.CUSTOMS})),
    E.PICKUP: Move(P.SHIPPED, _GONE),
    E.OUT_FOR_DELIVERY: Move(P.OUT_FOR_DELIVERY, _GONE),
    E.ATTEMPT_FAILED: Move(P.ATTEMPT_FAILED, frozenset({P.OUT_FOR_DELIVERY, P.AVAILABLE_FOR_PICKUP})),
    E.AVAILABLE_FOR_PICKUP: Move(P.AVAILABLE_FOR_PICKUP),
    E.DELIVERY: Move(P.DELIVERED, _GONE | {P.RETURNING}),
    E.REFUSED: Move(P.RETURNING, _UNDELIVERED - {P.RETURNING}, forward=False),
    E.RETURN_STARTED: Move(P.RETURNING, _LIVE - {P.RETURNING}, forward=False),
    E.RETURNED: Move(P.RETURNED, _LIVE, forward=False),
    E.LOST: Move(P.LOST, _UNDELIVERED, forward=False),
    E.DESTROYED: Move(P.DESTROYED, _UNDELIVERED | {P.LOST, P.RETURNED}, forward=False),
    Step.DAMAGED_BEYOND_USE: Move(P.DESTROYED, _UNDELIVERED, forward=False),
    Step.CANCELLED_IN_HOUSE: Move(P.CANCELLED, _LIVE - IN_CUSTODY, forward=False),
}
"""One row for each step. `found` is not here: it leads back to the state before `lost`, which only the fold knows."""


def _legal(state: ParcelState, move: Move) -> bool:
    if state in move.also_from:
        return True
    return move.forward and state in RANK and RANK[state] < RANK[move.to]


PARCEL_TABLE: Final = MappingProxyType({(s, step): move.to for step, move in MOVES.items() for s in P if _legal(s, move)})
"""(state, step) → next state. A pair that is not here leaves the state as it is."""

IMPLIED: Final[dict[ParcelState, tuple[ParcelState, ...]]] = {
    P.STAGED: (P.PACKED,),
    P.SHIPPED: (P.PACKED,),
    P.IN_TRANSIT: (P.PACKED, P.SHIPPED),
    P.CUSTOMS: (P.PACKED, P.SHIPPED),
    P.ENTERED: (P.PACKED, P.SHIPPED, P.CUSTOMS),
    P.OUT_FOR_DELIVERY: (P.PACKED, P.SHIPPED),
    P.ATTEMPT_FAILED: (P.PACKED, P.SHIPPED, P.OUT_FOR_DELIVERY),
    P.AVAILABLE_FOR_PICKUP: (P.PACKED, P.SHIPPED),
    P.DELIVERED: (P.PACKED, P.SHIPPED, P.OUT_FOR_DELIVERY),
}
"""The states that a parcel must have been in before a state. Those that no event reported become milestones marked `inferred`.

`out_for_delivery` is not inferred for a parcel that the recipient collected, at a pickup point or at a counter.
"""

IMPLIED_BY: Final[dict[str, tuple[ParcelState, ...]]] = {E.REFUSED: (P.PACKED, P.SHIPPED)}
"""What a step proves although the state that it leads to does not: only a parcel that was shipped can be refused, but a return may begin anywhere."""

SHOWN_AS: Final[dict[ParcelState, OrderState]] = {
    P.PLANNED: OrderState.PICKING,
    P.PICKING: OrderState.PICKING,
    P.PACKED: OrderState.PACKED,
    P.STAGED: OrderState.PACKED,
    P.SHIPPED: OrderState.SHIPPED,
    P.IN_TRANSIT: OrderState.SHIPPED,
    P.CUSTOMS: OrderState.CUSTOMS,
    P.ENTERED: OrderState.ENTERED,
    P.ATTEMPT_FAILED: OrderState.OUT_FOR_DELIVERY,
    P.OUT_FOR_DELIVERY: OrderState.OUT_FOR_DELIVERY,
    P.AVAILABLE_FOR_PICKUP: OrderState.OUT_FOR_DELIVERY,
    P.DELIVERED: OrderState.DELIVERED,
    P.RETURNING: OrderState.RETURNING,
}
"""The order's state that a live parcel stands for."""

ORDER_RANK: Final[dict[OrderState, int]] = {
    OrderState.PENDING_PAYMENT: 0,
    OrderState.PAID: 1,
    OrderState.APPROVED: 2,
    OrderState.PICKING: 10,
    OrderState.PACKED: 20,
    OrderState.SHIPPED: 40,
    OrderState.RETURNING: 45,
    OrderState.CUSTOMS: 60,
    OrderState.ENTERED: 70,
    OrderState.OUT_FOR_DELIVERY: 80,
    OrderState.DELIVERED: 100,
    OrderState.COMPLETED: 110,
}
"""How far an order is: as far as its least advanced live parcel. A parcel on its way back ranks below every parcel that is still going out."""

ORDER_IMPLIED: Final[dict[OrderState, tuple[OrderState, ...]]] = {
    OrderState.PICKING: (OrderState.APPROVED,),
    OrderState.PACKED: (OrderState.APPROVED,),
    OrderState.SHIPPED: (OrderState.APPROVED, OrderState.PACKED),
    OrderState.CUSTOMS: (OrderState.APPROVED, OrderState.PACKED, OrderState.SHIPPED),
    OrderState.ENTERED: (OrderState.APPROVED, OrderState.PACKED, OrderState.SHIPPED, OrderState.CUSTOMS),
    OrderState.OUT_FOR_DELIVERY: (OrderState.APPROVED, OrderState.PACKED, OrderState.SHIPPED),
    OrderState.DELIVERED: (OrderState.APPROVED, OrderState.PACKED, OrderState.SHIPPED, OrderState.OUT_FOR_DELIVERY),
    OrderState.COMPLETED: (OrderState.APPROVED, OrderState.PACKED, OrderState.SHIPPED, OrderState.OUT_FOR_DELIVERY, OrderState.DELIVERED),
}
"""Milestones of an order that a later one proves. `out_for_delivery` is not inferred if the recipient collected it; `paid` never is: goods prove no payment."""

PERCENT: Final[dict[OrderState, int]] = {
    OrderState.PENDING_PAYMENT: 0,
    OrderState.PAID: 10,
    OrderState.APPROVED: 20,
    OrderState.PICKING: 30,
    OrderState.PACKED: 40,
    OrderState.SHIPPED: 55,
    OrderState.CUSTOMS: 65,
    OrderState.ENTERED: 75,
    OrderState.OUT_FOR_DELIVERY: 85,
    OrderState.DELIVERED: 100,
    OrderState.COMPLETED: 100,
    OrderState.CANCELLED: 100,
    OrderState.RETURNING: 60,
    OrderState.RETURNED: 100,
    OrderState.EXCEPTION: 0,
}
"""How much of the work is done, for a progress bar. States that end an order as someone wanted are 100; what is lost is not done."""

LATE_RISK_SHARE: Final[dict[OrderState, float]] = {
    **dict.fromkeys(ORDER_RANK, 1.0),
    **dict.fromkeys((OrderState.SHIPPED, OrderState.CUSTOMS, OrderState.ENTERED), 0.5),
    OrderState.OUT_FOR_DELIVERY: 0.0,
}
"""How much of the site's lead (`orders.late_risk_before_h`) an order still needs in a state: one in the warehouse all of it, one at the door nothing."""
