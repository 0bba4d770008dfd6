"""Reading an order: a plain walk through its stored events.

`read_order` sorts the events as "Time and order" says and walks through them once. It knows states and those flags that do not depend on time,
and for each event whether it was taken (applied, late and noop are one answer here), parked, blocked or refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from firmware_sim.checkers.model import dispatch, journey, money, shop, warehouse
from firmware_sim.checkers.model.addressing import Addresses
from firmware_sim.checkers.model.events import Answer, Happened, Refused, Uid, in_order, voids
from firmware_sim.checkers.model.order import Order


class Expected(NamedTuple):
    """An order as the contract wants it. `parcels` gives state and flags by parcel id; without a creation nothing is shown.

    `perhaps` are flags on which the contract is silent: two scans of the same millisecond, of which the second told nothing new but its own step.
    """

    exists: bool
    state: str
    flags: frozenset[str]
    perhaps: frozenset[str]
    parcels: dict[str, tuple[str, frozenset[str]]]
    answers: dict[Uid, Answer]


def read_order(order: str, events: Iterable[Happened]) -> Expected:
    """The order that these events tell of, whatever order they are given in."""
    events = list(events)
    answers, gone = voids(events)
    told = in_order([e for e in events if e.type != "void" and e.uid not in gone])
    if not any(e.type == "created" and e.fault is None for e in told):
        waiting = {e.uid: Answer("rejected", e.fault) if e.fault else Answer("parked", "unknown_order") for e in told}
        return Expected(False, "", frozenset(), frozenset(), {}, answers | waiting)
    read = Order(order, money.Purse(), Addresses(order, told))
    answers |= _walk(read, told)
    parcels = {b.id: (b.state, b.flags()) for b in read.boxes.values()}
    return Expected(True, read.state(), read.flags(), frozenset(read.perhaps), parcels, answers)


def _walk(order: Order, told: Sequence[Happened]) -> dict[Uid, Answer]:
    """Read the events of an order that exists, one after the other."""
    answers: dict[Uid, Answer] = {}
    decided = {(e.body["device"], e.body["ref"]): e.body for e in told if e.type == "decided"}
    seen = order.seen()
    for e in told:
        before = seen
        try:
            if (reason := e.fault or e.refusal) is not None:
                raise Refused("rejected", reason)
            READ[e.type](order, e)
            order.count()
            money.look(order)
            seen = order.seen()
            answer = Answer("taken", None, seen != before)
        except Refused as refused:
            answer = refused.answer
        if e.type in ("claim", "decline") and not e.fault:
            answer = dispatch.as_decided(decided.get(e.uid))
        answers[e.uid] = answer
    return answers


_STEPS: Final = (
    *("stage", "load", "unload", "depart", "arrive", "customs_entered", "customs_held", "customs_cleared", "border_entered", "pickup", "out_for_delivery"),
    *("stop_arrived", "attempt_failed", "available_for_pickup", "delivery", "refused", "return_started", "returned", "damaged", "lost", "destroyed"),
)
READ: Final[dict[str, Callable[[Order, Happened], None]]] = {
    **{
        f.__name__: f for f in (shop.created, money.paid, money.refunded, shop.approved, shop.completed, shop.amended, shop.held, shop.released, shop.cancelled)
    },
    **{f.__name__: f for f in (warehouse.pick, warehouse.pack, warehouse.unpack, warehouse.labelled)},
    **dict.fromkeys(_STEPS, journey.step),
    "found": journey.found,
    **{f.__name__: f for f in (dispatch.assigned, dispatch.unassigned, dispatch.decided)},
    **dict.fromkeys(("claim", "decline", "shift_started", "shift_ended", "break_started", "break_ended", "cash_counted", "note_added"), dispatch.nothing),
    **dict.fromkeys(("aggregated", "disaggregated"), dispatch.nothing),
}
"""What each event type does to an order. A test proves that no type is missing."""
