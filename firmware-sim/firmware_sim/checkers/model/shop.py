"""What a shop's system tells of an order."""

from __future__ import annotations

from typing import Final

from firmware_sim.checkers.model import carriers, money
from firmware_sim.checkers.model.events import Happened, Refused
from firmware_sim.checkers.model.journey import settle
from firmware_sim.checkers.model.order import Order, quantities
from firmware_sim.checkers.model.parcel import OUTBOUND, leads


def created(order: Order, e: Happened) -> None:
    if "created" in order.marks:
        return
    order.marks.add("created")
    order.lines = quantities(e.body["lines"])
    order.country = e.body.get("dest_country")
    order.carrier = carriers.named(e)
    money.created(order, e)


def approved(order: Order, _: Happened) -> None:
    order.marks.add("approved")
    order.marks.discard("needs_confirm")
    order.calm()


def completed(order: Order, _: Happened) -> None:
    if "completed" not in order.marks and order.is_done():
        order.close()
    order.marks.add("completed")


def amended(order: Order, e: Happened) -> None:
    if "lines" in e.body or any(word not in ("carrier", "service", "tracking", "ship_by", "contact") for word in e.body["changed"]):
        order.marks.add("amended")
    if (lines := e.body.get("lines")) is not None:
        order.lines = quantities(lines)
        if order.picked or order.boxes:
            order.marks.add("needs_confirm")
    carriers.amended(order, e)
    money.amended(order, e)


OWN_HOLDS: Final = frozenset({"fraud", "payment", "chargeback", "customs"})
"""Lifted only by who set them."""


def held(order: Order, e: Happened) -> None:
    order.holds.setdefault(e.body["reason"], e.device)


def released(order: Order, e: Happened) -> None:
    """With one hold it lifts it; with several and neither reason nor `all` it lifts none; with an unknown reason neither."""
    reason, lifts_all = e.body.get("reason"), e.body.get("all", False)
    if lifts_all:
        asked = set(order.holds)
    elif reason is not None:
        asked = {reason} & set(order.holds)
    else:
        asked = set(order.holds) if len(order.holds) == 1 else set()
    lifted = {r for r in asked if r not in OWN_HOLDS or order.holds[r] == e.device}
    if asked and not lifted:
        raise Refused("rejected", "not_yours")
    for r in lifted:
        del order.holds[r]
    if lifted:
        order.calm()


def cancelled(order: Order, e: Happened) -> None:
    """The order, or the parcel that is named, which may come later."""
    box, name = order.meant(e)
    if "cancelled" in order.marks or name in order.cut:
        return
    if name is None:
        order.marks.add("cancelled")
    else:
        order.cut.add(name)
    for off in order.boxes.values() if name is None else [box] if box is not None else []:
        off.state = leads("cancelled", off.state)
        settle(off)
        off.wanted_back = off.wanted_back or off.state in OUTBOUND
