"""Which carrier is to take a parcel, and for which one it was loaded. Names differ in more than case and blanks, or they mean the same."""

from __future__ import annotations

from typing import Final

from firmware_sim.checkers.model.events import Happened
from firmware_sim.checkers.model.order import Order
from firmware_sim.checkers.model.parcel import OUTBOUND, Box

GIVES: Final = frozenset({"load", "pickup"})


def named(e: Happened) -> str | None:
    """What the site calls the carrier; else what the event does."""
    return e.carrier or e.body.get("carrier")


def amended(order: Order, e: Happened) -> None:
    """Of the parcel that is named, or of the order. Who has its right carrier now is not wrong any more."""
    _, name = order.meant(e)
    if (carrier := named(e)) is not None and name is not None:
        order.carriers[name] = carrier
    elif carrier is not None:
        order.carrier = carrier
    for any_box in order.boxes.values():
        _look(order, any_box)


def labelled(order: Order, e: Happened, box: Box) -> None:
    if (carrier := named(e)) is not None:
        order.carriers[box.id] = carrier
    _look(order, box)


def given(order: Order, e: Happened, boxes: list[Box]) -> None:
    """A scan into a vehicle: of this carrier's, if it is known whose it is."""
    carrier = named(e) if e.type in GIVES else None
    for box in boxes if carrier is not None else ():
        if box.state not in OUTBOUND - {"delivered"}:
            continue  # what comes back comes with anyone
        box.given_to, right = carrier, order.carrier_of(box)
        if right is not None:
            box.wrong_carrier = _fold(right) != _fold(carrier)


def _look(order: Order, box: Box) -> None:
    if box.given_to is not None and _fold(order.carrier_of(box)) == _fold(box.given_to):
        box.wrong_carrier = False


def _fold(name: str | None) -> str | None:
    return " ".join(name.casefold().split()) if name is not None else None
