"""Picking, packing, unpacking, labelling."""

from __future__ import annotations

from firmware_sim.checkers.model import carriers
from firmware_sim.checkers.model.events import Happened, Refused
from firmware_sim.checkers.model.journey import settle
from firmware_sim.checkers.model.order import Order, quantities
from firmware_sim.checkers.model.parcel import leads


def pick(order: Order, e: Happened) -> None:
    order.check_not_blocked(e)
    if order.prepaid and order.terms == "block_pick" and not order.purse.is_enough:
        raise Refused("blocked", "not_paid")
    sku = _as_ordered(order, e.body["sku"])
    if e.article is not None:
        # Its code was looked up on arrival, when a code of another article was already refused.
        sku = sku if sku in order.lines else _as_ordered(order, e.article)
    if sku not in order.lines or (e.article is None and _are_two_articles(e.code or "", sku)):
        raise Refused("rejected", "wrong_sku")
    if e.parcel is not None:
        for box in order.touched(e):
            box.state = leads("pick", box.state)
    if e.body.get("short"):
        order.reported.add(sku)  # what was not there was not picked
    else:
        order.picked[sku] = order.picked.get(sku, 0) + e.body["qty"]


def pack(order: Order, e: Happened) -> None:
    order.check_not_blocked(e)
    thing = order.known.of(e)
    if thing is None:
        raise Refused("rejected", "wrong_parcel")
    box, items = order.boxes.get(thing.id), None
    if e.body.get("items") is not None:
        items = quantities({**item, "sku": _as_ordered(order, item["sku"])} for item in e.body["items"])
    others = len(order.boxes) - (box is not None)
    if items is None and others and (box is None or not box.packed):
        raise Refused("rejected", "items_needed")
    box = box or order.box(thing.id)
    box.state = leads("pack", box.state)
    box.items = items if box.items is None else box.items
    box.where = e.at or box.where
    box.packed = True


def unpack(order: Order, e: Happened) -> None:
    order.check_clear(e)
    for box in order.touched(e):
        after = leads("unpack", box.state)
        if after != box.state:
            box.state, box.packed, box.items = after, False, None
            box.damaged = False  # its goods get another box
            order.marks.discard("damaged")
            settle(box)
        box.where = e.at or box.where


def labelled(order: Order, e: Happened) -> None:
    if e.inside is not None:
        return  # its label is on another order's parcel now
    order.check_not_cancelled(e)
    thing = order.known.of(e)
    if thing is None:
        raise Refused("rejected", "parcel_needed")
    carriers.labelled(order, e, order.box(thing.id))


def _as_ordered(order: Order, sku: str) -> str:
    """How the order writes an article: a GTIN is the same article with 8, 12, 13 and 14 digits."""
    if sku in order.lines or not _is_gtin(sku):
        return sku
    return next((one for one in order.lines if _is_gtin(one) and int(one) == int(sku)), sku)


def _are_two_articles(code: str, sku: str) -> bool:
    """Whether what was scanned cannot be what was picked: both are numbers of at most 14 digits, and they differ. A GTIN can be that of a shop's own number."""
    digits = all(text.isascii() and text.isdecimal() and len(text) <= 14 for text in (code, sku))
    return digits and int(code) != int(sku) and not (_is_gtin(code) and not _is_gtin(sku))


def _is_gtin(text: str) -> bool:
    if not (text.isascii() and text.isdecimal() and len(text) in {8, 12, 13, 14}):
        return False
    return sum(int(digit) * (3 if at % 2 else 1) for at, digit in enumerate(reversed(text))) % 10 == 0
