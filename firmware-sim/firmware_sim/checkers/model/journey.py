"""A parcel on its way: every step after it was packed, and what can go wrong with it."""

from __future__ import annotations

from typing import Final

from firmware_sim.checkers.model.events import Happened
from firmware_sim.checkers.model.order import Order
from firmware_sim.checkers.model.parcel import CUSTODY, PREPARATION, RANK, WAYS, Box, leads

PLACE: Final = {
    "stage": "dock",
    "depart": "hub",
    "arrive": "hub",
    "border_entered": "country",
    "stop_arrived": "stop",
    "available_for_pickup": "point",
    "returned": "dock",
}
"""The field of the body that says where a parcel is; else it is where the device is."""


def step(order: Order, e: Happened) -> None:
    """Everything that happens to a parcel on its way."""
    if e.type in PREPARATION:
        order.check_not_blocked()
    boxes = order.touched(e, makes=e.type in WAYS or e.type == "customs_cleared")
    if e.type == "damaged" and not boxes:
        order.marks.add("damaged")
    home = False
    if e.type == "customs_cleared":
        home = e.body["country"] == order.country if order.country else all(b.direction == "import" for b in boxes)
    for box in boxes:
        _step(order, e, box, home=home)
    if e.type == "delivery" and e.body.get("collected"):
        order.marks.add("paid")


def _step(order: Order, e: Happened, box: Box, *, home: bool) -> None:
    name, before, was_at = e.type, box.state, box.where
    if name == "customs_cleared":
        name = "cleared_at_destination" if home else "cleared_on_the_way"
    elif name == "customs_entered":
        box.direction = e.body["direction"]
    elif name == "damaged":
        box.damaged = True
        name = "damaged_totally" if e.body["severity"] == "total" else name
    box.customs_hold = name == "customs_held" or (box.customs_hold and e.type not in ("customs_cleared", "delivery"))
    box.state = leads(name, before)
    if box.state == "lost" and before != "lost":
        box.before_lost = before
    if RANK.get(box.state, 0) > RANK["packed"] or (name == "refused" and box.state != before):
        box.packed = True  # only what was brought can be refused
    if box.state not in ("delivered", "destroyed"):
        box.where = e.body.get(PLACE.get(e.type, "")) or e.at or box.where
    if e.type in CUSTODY:
        _move(order, e, box, is_news=(box.state, box.where) != (before, was_at))


def found(order: Order, e: Happened) -> None:
    """The parcel that is named is found; without a name, all that are lost."""
    box = order.named(e)
    unnamed = e.parcel is None and e.code is None
    if box is None and e.parcel is None:
        order.touched(e, makes=False)
    for lost in [box] if box is not None else order.boxes.values() if unnamed else ():
        if lost.state == "lost":
            lost.state = lost.before_lost


def _move(order: Order, e: Happened, box: Box, *, is_news: bool) -> None:
    """A hold or a cancellation does not undo what happened."""
    odd = set()
    if order.holds or "needs_confirm" in order.marks:
        odd.add("moved_on_hold")
    if "cancelled" in order.marks:
        odd.add("cancel_requested")
    if is_news:
        order.marks |= odd
    elif box.moved_ms == e.event_ms:
        order.perhaps |= odd
    box.moved_ms = e.event_ms
