"""Which order is an event about? From the order it names, the code it scanned, or the event or job it refers to.

What was scanned is the truth: where it contradicts the order that the device names, a pick or pack is refused, and a custody fact counts for
the order of the scanned parcel. A placement is fixed when the event is stored; only an event that waits is placed later, once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from bridge.domain import barcodes
from devices.protocol import bodies
from devices.protocol.bodies import Body
from devices.protocol.messages import Event
from devices.protocol.vocabulary import EventType, Reason

WITHOUT_ORDER: Final = frozenset({EventType.SHIFT_STARTED, EventType.SHIFT_ENDED})
_REFERS: Final = frozenset({EventType.VOID, EventType.CLAIM, EventType.DECLINE, EventType.UNASSIGNED})
_SCANS_ARTICLES: Final = frozenset({EventType.PICK, EventType.PACK})
LABELS: Final = frozenset({EventType.PACK, EventType.LABELLED})


class Placement(NamedTuple):
    """Where an event belongs.

    `fault` is a verdict that is fixed already, `detail` its sentence; `awaits` is what it waits for where the order cannot be known yet; `label` says
    that the event puts `code` on a parcel of its order.
    """

    order_id: str | None
    code: str | None = None
    fault: Reason | None = None
    detail: str | None = None
    misload: bool = False
    awaits: str | None = None
    label: bool = False


class Directory(NamedTuple):
    """The three look-ups that placing needs."""

    order_of_code: Callable[[str], str | None]
    order_known: Callable[[str], bool]
    order_of_event: Callable[[bytes], str | None]
    order_of_job: Callable[[str], str | None]


def place(event: Event[Body], event_type: EventType, directory: Directory) -> Placement:
    """Find the order of an event."""
    if event_type in WITHOUT_ORDER:
        return Placement(None)
    if event_type in _REFERS:
        return _by_reference(event.body, directory)
    text = event.body.code if isinstance(event.body, bodies.Labelled) else event.code
    if text is not None:
        return _by_code(event, event_type, text, directory)
    if event.order is None:
        return Placement(None, fault=Reason.ORDER_NEEDED, detail="the event names no order and no code was scanned")
    return Placement(event.order)


def _by_reference(body: Body, directory: Directory) -> Placement:
    if isinstance(body, bodies.Void):
        order = directory.order_of_event(body.ref)
        return Placement(order, awaits=None if order is not None else f"event:{body.ref.hex()}")
    assert isinstance(body, bodies.Claim | bodies.Decline | bodies.Unassigned)
    order = directory.order_of_job(body.job)
    if order is None:
        return Placement(None, fault=Reason.UNKNOWN_JOB, detail=f"there is no job {body.job}")
    return Placement(order)


def _by_code(event: Event[Body], event_type: EventType, text: str, directory: Directory) -> Placement:
    # On a label, the device says what kind of number it is: one waybill number in ten could pass for an article's.
    plain_label = isinstance(event.body, bodies.Labelled) and event.body.kind != "sscc"
    scanned = barcodes.Scanned(kind=barcodes.Kind.PLAIN, key=text, text=text) if plain_label else barcodes.read(text)
    if isinstance(scanned, barcodes.Unreadable):
        return Placement(event.order, fault=scanned.reason, detail=scanned.detail)
    key, bound = scanned.key, directory.order_of_code(scanned.key)
    if bound is None and scanned.text != key and (bound := directory.order_of_code(scanned.text)) is not None:
        key = scanned.text
    holder = bound
    if scanned.kind is barcodes.Kind.GTIN and holder is None:
        return _by_article(event, event_type, scanned)
    if holder is None and scanned.order is not None:
        holder = scanned.order
    if holder is None and key != event.order and directory.order_known(key):
        holder = key
    if event.order is None:
        return Placement(holder, key, awaits=None if holder is not None else f"code:{key}")
    if holder is not None and holder != event.order:
        return _contradiction(event, event_type, key, holder)
    code = None if key == event.order else key
    return Placement(event.order, code, label=bound is None and code is not None and event_type in LABELS)


def _by_article(event: Event[Body], event_type: EventType, scanned: barcodes.Scanned) -> Placement:
    """A GTIN says what the article is, never which order it is for."""
    if event.order is None and scanned.order is None:
        return Placement(None, fault=Reason.ORDER_NEEDED, detail="an article number does not say which order it is for")
    return Placement(event.order or scanned.order, scanned.key if event_type is EventType.PICK else None)


def _contradiction(event: Event[Body], event_type: EventType, code: str, holder: str) -> Placement:
    said = f"the scanned code belongs to order {holder}, not to {event.order}"
    if event_type in _SCANS_ARTICLES:
        return Placement(event.order, code, fault=Reason.WRONG_PARCEL, detail=said)
    if event_type is EventType.LABELLED:
        return Placement(event.order, code, fault=Reason.CODE_TAKEN, detail=said)
    return Placement(holder, code, misload=True, detail=said)
