"""With which carrier a parcel goes: its own, if a label or an amendment gave it one, else its order's.

A carrier's name is compared without regard to case and blanks. Which spellings mean the same carrier is decided when an event arrives (`Fact.carrier`).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from bridge.domain.carriers import folded
from bridge.domain.facts import Fact
from bridge.domain.order.order import Order, body_of
from bridge.domain.order.parcel import OwnSending, Parcel
from devices.protocol import bodies
from devices.protocol.vocabulary import LabelKind


class Sending(NamedTuple):
    """How a parcel is sent, as far as it is known."""

    carrier: str | None = None
    service: str | None = None
    tracking: str | None = None


NOTHING: Final = Sending()


def is_same(one: str | None, other: str | None) -> bool:
    """Whether two names mean one carrier."""
    return one == other or (one is not None and other is not None and folded(one) == folded(other))


def carrier_named(fact: Fact) -> str | None:
    """The carrier that an event names, as the site wrote it when the event arrived."""
    named: str | None = fact.carrier or body_of(fact).carrier
    return named


def sending_of(order: Order, parcel: Parcel) -> Sending:
    """How a parcel is sent, after the last event: the number of a label ends when the parcel no longer bears it."""
    own = _own(order, parcel.id) if order.sendings else None
    if own is not None and own.label is not None and own.label not in order.codes(parcel):
        own = own._replace(tracking=None)
    return _said(order.created, own)


def _said(whole: bodies.Created | None, own: OwnSending | None) -> Sending:
    """How a parcel is sent by what was said of its order and of itself, whatever codes it bears."""
    if whole is None:
        return NOTHING
    if own is None:
        return Sending(whole.carrier, whole.service, whole.tracking) if whole.carrier or whole.service or whole.tracking else NOTHING
    carrier = own.carrier or whole.carrier
    is_own = not is_same(carrier, whole.carrier)  # the order's service and number are another carrier's
    tracking = own.tracking if own.tracked_by is None or is_same(own.tracked_by, carrier) else None
    return Sending(carrier, own.service or (None if is_own else whole.service), tracking or (None if is_own else whole.tracking))


def carrier_of(order: Order, parcel: Parcel) -> str | None:
    """The carrier that is to take a parcel."""
    own = _own(order, parcel.id) if order.sendings else None
    if own is not None and own.carrier is not None:
        return own.carrier
    return order.created.carrier if order.created is not None else None


def _own(order: Order, parcel_id: str) -> OwnSending | None:
    return order.sendings.get(parcel_id) or next((order.sendings[name] for name in order.book.names(parcel_id) if name in order.sendings), None)


# --- what changes it ------------------------------------------------------------------------------------------------------


def amend_order(order: Order, fact: Fact) -> None:
    """Change how an order is sent. With another carrier, the service and the number of the one before end."""
    body: bodies.Amended = body_of(fact)
    created = order.created
    if created is None or (body.carrier is None and body.service is None and body.tracking is None):
        return
    carrier = carrier_named(fact) or created.carrier
    stays = is_same(carrier, created.carrier) or created.carrier is None
    service, tracking = body.service or (created.service if stays else None), body.tracking or (created.tracking if stays else None)
    order.created = replace(created, carrier=carrier, service=service, tracking=tracking)


def amend_parcel(order: Order, parcel: Parcel | None, name: str, fact: Fact) -> None:
    """Change how one parcel is sent; it may be one that is packed later."""
    body: bodies.Amended = body_of(fact)
    before = (_own(order, parcel.id) if parcel is not None else order.sendings.get(name)) or OwnSending()
    was = before.carrier or (order.created.carrier if order.created is not None else None)
    carrier = carrier_named(fact) or before.carrier
    own = before._replace(carrier=carrier)
    if body.carrier is not None and not is_same(carrier, was):
        own = own._replace(service=None)
    if body.service is not None:
        own = own._replace(service=body.service)
    if body.tracking is not None:
        own = own._replace(tracking=body.tracking, tracked_by=carrier or was, label=None)
    order.sendings[name] = own


def read_label(order: Order, parcel: Parcel, fact: Fact) -> bool:
    """Note what a label says of its parcel's carrier. Returns True if that is news.

    What is news must not depend on the codes that the parcel bears now: those of later events are among them when all facts are applied again.
    """
    body: bodies.Labelled = body_of(fact)
    if body.carrier is None and body.service is None and body.kind != LabelKind.WAYBILL:
        return False
    known = _own(order, parcel.id)
    before, own = _said(order.created, known), known or OwnSending()
    carrier = carrier_named(fact)
    if carrier is not None:
        own = own._replace(carrier=carrier, service=own.service if is_same(carrier, own.carrier) else None)
    if body.service is not None:
        own = own._replace(service=body.service)
    if body.kind == LabelKind.WAYBILL:
        own = own._replace(tracking=fact.code, tracked_by=own.carrier or before.carrier, label=fact.code)
    order.sendings[parcel.id] = own
    return _said(order.created, own) != before
