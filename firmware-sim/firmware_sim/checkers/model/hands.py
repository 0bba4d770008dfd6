"""In whose hands a parcel is, and in whose it should be."""

from __future__ import annotations

from typing import Final

from firmware_sim.checkers.model.events import Happened
from firmware_sim.checkers.model.order import Order
from firmware_sim.checkers.model.parcel import OUTBOUND, Box

HOME: Final = frozenset({"unload", "arrive", "returned", "lost", "destroyed"})
TAKES: Final = frozenset({"pickup", "out_for_delivery"})
ENDS: Final = frozenset({"delivery", "attempt_failed"})


def change(order: Order, e: Happened, box: Box) -> None:
    """A courier takes the parcel, brings it or tries to; or it comes home."""
    if e.type in HOME and box.state != "delivered":
        box.courier = box.handed_to = None
        box.wrong_hands = False
    elif e.courier is not None and e.type in TAKES and box.state in (OUTBOUND | {"returning"}) - {"delivered"}:
        _taken(order, e.courier, box)
    elif e.courier is not None and e.type in ENDS and box.state in OUTBOUND | {"returning"}:
        box.wrong_hands = box.wrong_hands or _should_have(order, box) not in (None, e.courier)
    if e.type in HOME | TAKES | ENDS and box.state == "delivered":
        box.courier = None


def _taken(order: Order, courier: str, box: Box) -> None:
    """Who takes it from the one who should have it is the one who should have it now."""
    right = _should_have(order, box)
    if box.courier is not None and box.courier != courier and right == box.courier:
        box.handed_to = right = courier
    box.wrong_hands = right is not None and right != courier
    box.courier = courier


def _should_have(order: Order, box: Box) -> str | None:
    if box.handed_to is not None:
        return box.handed_to
    job = order.job_of(box)
    return job[0] if job is not None else box.courier
