"""What a shop's system tells of an order."""

from __future__ import annotations

from firmware_sim.checkers.model.events import Happened
from firmware_sim.checkers.model.order import Order, quantities
from firmware_sim.checkers.model.parcel import DEAD, leads


def created(order: Order, e: Happened) -> None:
    if "created" in order.marks:
        return
    order.marks.add("created")
    order.lines = quantities(e.body["lines"])
    order.country = e.body.get("dest_country")


def paid(order: Order, _: Happened) -> None:
    order.marks.add("paid")


def approved(order: Order, _: Happened) -> None:
    order.marks.add("approved")
    order.marks.discard("needs_confirm")
    order.calm()


def completed(order: Order, _: Happened) -> None:
    order.marks.add("completed")


def amended(order: Order, e: Happened) -> None:
    order.marks.add("amended")
    if (lines := e.body.get("lines")) is not None:
        order.lines = quantities(lines)
        if order.picked or order.boxes:
            order.marks.add("needs_confirm")


def held(order: Order, e: Happened) -> None:
    order.holds.add(e.body["reason"])


def released(order: Order, e: Happened) -> None:
    order.holds.discard(e.body["reason"])
    order.calm()


def cancelled(order: Order, e: Happened) -> None:
    order.marks.add("cancelled")
    for box in order.boxes.values():
        box.state = leads("cancelled", box.state)
    if any(b.state not in DEAD for b in order.boxes.values()):
        order.marks.add("cancel_requested")
