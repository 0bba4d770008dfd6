"""A parcel on its way: every step after it was packed, and what can go wrong with it."""

from __future__ import annotations

from typing import Final

from firmware_sim.checkers.model import carriers, hands, money
from firmware_sim.checkers.model.events import Happened
from firmware_sim.checkers.model.order import Order, quantities
from firmware_sim.checkers.model.parcel import CUSTODY, DEAD, OUTBOUND, PREPARATION, RANK, WAYS, Box, leads

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
        order.check_not_blocked(e)
    order.check_clear(e)
    boxes = order.touched(e, makes=e.type in WAYS or e.type == "customs_cleared")
    parts = quantities(e.body["items"]) if e.type == "returned" and e.body.get("items") else {}
    if parts and (sent := [b for b in boxes if b.was_delivered and b.state in ("delivered", "returning")]):
        _part_back(order, e, sent, parts)
        return
    if e.type == "damaged" and not boxes:
        order.marks.add("damaged")
    home = False
    if e.type == "customs_cleared":
        home = e.body["country"] == order.country if order.country else all(b.direction == "import" for b in boxes)
    moved = [_step(order, e, box, home=home) for box in boxes]
    carriers.given(order, e, boxes)
    if e.type in CUSTODY:
        _out(order, e, boxes, is_news=any(moved))
    for box in boxes:
        if e.type == "unload" and order.is_off(box):
            box.state = leads("cancelled", box.state)
    if e.type == "delivery" and e.body.get("collected"):
        money.collected(order, e.body["collected"])
    live = [b for b in order.boxes.values() if b.state not in DEAD]
    if e.type == "delivery" and "completed" in order.marks and all(b.state == "delivered" for b in live):
        order.close()


def _step(order: Order, e: Happened, box: Box, *, home: bool) -> bool:
    """One parcel makes a step. Returns whether it is elsewhere, or in other hands, than before."""
    name, before, was = e.type, box.state, (box.where, box.courier, box.handed_to, box.wrong_hands)
    if name == "customs_cleared":
        name = "cleared_at_destination" if home else "cleared_on_the_way"
    elif name == "customs_entered":
        box.direction = e.body["direction"]
    elif name == "damaged":
        box.damaged = True
        name = "damaged_totally" if e.body["severity"] == "total" else name
    box.state = leads(name, before)
    if box.state == "lost" and before != "lost":
        box.before_lost = before
    if RANK.get(box.state, 0) > RANK["packed"] or (name == "refused" and box.state != before):
        box.packed = True  # only what was brought can be refused
    if box.state == "delivered" and before != "delivered":
        box.where = e.at
    elif box.state not in ("delivered", "destroyed"):
        box.where = e.body.get(PLACE.get(e.type, "")) or e.at or box.where
    can_be_held = before != "delivered" and before not in DEAD
    box.customs_hold = (box.customs_hold or (name == "customs_held" and can_be_held)) and e.type != "customs_cleared"
    hands.change(order, e, box)
    settle(box)
    return (before, *was) != (box.state, box.where, box.courier, box.handed_to, box.wrong_hands)


def settle(box: Box) -> None:
    """What a parcel's state puts an end to."""
    box.was_delivered = box.was_delivered or box.state == "delivered"
    box.came_back = box.came_back or box.state == "returned"
    if box.state == "delivered" or box.state in DEAD:
        box.customs_hold = False
    if box.state not in OUTBOUND:
        box.moved_on_hold = box.wanted_back = box.wrong_carrier = False
    if box.state not in OUTBOUND | {"returning", "lost", "destroyed"}:
        box.given_to = None
    if box.state == "returned":
        box.in_part = False


def _part_back(order: Order, e: Happened, sent: list[Box], parts: dict[str, int]) -> None:
    """Some of the goods of delivered parcels come back; a parcel of which everything has come back is returned."""
    for box in sent:
        listed = [b.items or {} for b in order.boxes.values()]
        rest = {sku: qty - sum(items.get(sku, 0) for items in listed) for sku, qty in order.lines.items()}
        inside = box.items if box.items is not None else {sku: qty for sku, qty in rest.items() if qty > 0}
        for sku, qty in inside.items():
            part = max(0, min(parts.get(sku, 0), qty - box.back.get(sku, 0)))
            box.back[sku] = box.back.get(sku, 0) + part
            parts[sku] = parts.get(sku, 0) - part
        if all(box.back.get(sku, 0) >= qty for sku, qty in inside.items()):
            box.state = "returned"
            hands.change(order, e, box)
        elif any(box.back.values()):
            box.state, box.in_part = "delivered", True
        settle(box)


def found(order: Order, e: Happened) -> None:
    """The parcel that is named is found; without a name, all that are lost."""
    order.check_clear(e)
    box = order.seen_before(e)
    unnamed = e.parcel is None and e.code is None
    for lost in [box] if box is not None else order.boxes.values() if unnamed else ():
        if lost.state == "lost":
            lost.state = lost.before_lost


def _out(order: Order, e: Happened, boxes: list[Box], *, is_news: bool) -> None:
    """A hold or a cancellation does not undo what happened."""
    for box in boxes:
        odd = set()
        if box.state in OUTBOUND and (order.holds or "needs_confirm" in order.marks):
            odd.add("moved_on_hold")
        if box.state in OUTBOUND and order.is_off(box):
            odd.add("cancel_requested")
        if is_news:
            box.moved_on_hold = box.moved_on_hold or "moved_on_hold" in odd
            box.wanted_back = box.wanted_back or "cancel_requested" in odd
        elif box.moved_ms == e.event_ms:
            order.perhaps |= odd
        box.moved_ms = e.event_ms
