"""Find the order that an event is about, from the order that it names, the code that was scanned, or the event or job that it refers to.

The scanned code decides: if it contradicts the order that the device names, a pick or pack is refused, and a custody fact counts for the order of the
scanned parcel. A placement is fixed when the event is stored; only an event that waits is placed later, once.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from bridge.domain import barcodes
from bridge.domain.refs import Ref, code_ref, event_ref
from bridge.ingest.log import EventRow
from devices.protocol import bodies
from devices.protocol.bodies import Body
from devices.protocol.messages import Event
from devices.protocol.vocabulary import EventType, Reason

WITHOUT_ORDER: Final = frozenset({EventType.SHIFT_STARTED, EventType.SHIFT_ENDED, EventType.BREAK_STARTED, EventType.BREAK_ENDED})
_REFERS: Final = frozenset({EventType.VOID, EventType.CLAIM, EventType.DECLINE, EventType.UNASSIGNED})
_SCANS_ARTICLES: Final = frozenset({EventType.PICK, EventType.PACK})
LABELS: Final = frozenset({EventType.PACK, EventType.LABELLED})


class Placement(NamedTuple):
    """The order and parcel that an event belongs to.

    `fault` is the reason of a verdict that is final already, `detail` its sentence. `awaits` is what the event waits for if its order is not known yet. `label`
    is true if the event puts `code` on a parcel of its order.
    """

    order_id: str | None
    code: str | None = None
    fault: Reason | None = None
    detail: str | None = None
    misload: bool = False
    awaits: Ref | None = None
    label: bool = False


class Directory(Protocol):
    """The look-ups that placing needs."""

    def order_of_code(self, code: str) -> str | None:
        """The order of the parcel with this code."""
        ...

    def is_order_known(self, order_id: str) -> bool:
        """Whether an order was created."""
        ...

    def order_of_event(self, event_id: bytes) -> str | None:
        """The order of an event, from any device."""
        ...


class Jobs(Protocol):
    """The look-up of jobs that placing needs."""

    def order_of(self, job_id: str, batch: Any) -> str | None:
        """The first order of a job, in its state in this batch."""
        ...


def place(event: Event[Body], event_type: EventType, directory: Directory, jobs: Jobs) -> Placement:
    """Find the order of an event."""
    if event_type in WITHOUT_ORDER:
        return Placement(None)
    if event_type in _REFERS:
        return _by_reference(event.body, directory, jobs)
    text = event.body.code if isinstance(event.body, bodies.Labelled) else event.code
    if text is not None:
        return _by_code(event, event_type, text, directory)
    if event.order is None:
        return Placement(None, fault=Reason.ORDER_NEEDED, detail="the event names no order, and no code was scanned")
    return Placement(event.order)


def logged(row: EventRow, event: Event[Body], directory: Directory) -> Placement:
    """The placement of a logged event. What was decided on arrival is read from its row; only what follows from it is looked up."""
    if row.fault is not None:
        return Placement(row.order_id, row.code, fault=Reason(row.fault), detail=row.detail)
    if row.order_id is None:
        return Placement(None, row.code, detail=row.detail, awaits=_awaited(row, event))
    is_label = row.type in LABELS and row.code is not None and not row.misload and event.order is not None and directory.order_of_code(row.code) is None
    return Placement(row.order_id, row.code, detail=row.detail, misload=row.misload, label=is_label)


def _awaited(row: EventRow, event: Event[Body]) -> Ref | None:
    if isinstance(event.body, bodies.Void):
        return event_ref(event.body.ref)
    return code_ref(row.code) if row.code is not None else None


def _by_reference(body: Body, directory: Directory, jobs: Jobs) -> Placement:
    if isinstance(body, bodies.Void):
        order = directory.order_of_event(body.ref)
        return Placement(order, awaits=None if order is not None else event_ref(body.ref))
    assert isinstance(body, bodies.Claim | bodies.Decline | bodies.Unassigned)
    order = jobs.order_of(body.job, directory)
    if order is None:
        return Placement(None, fault=Reason.UNKNOWN_JOB, detail=f"there is no job {body.job}")
    return Placement(order)


def _by_code(event: Event[Body], event_type: EventType, text: str, directory: Directory) -> Placement:
    # For a label, the device names the kind of number: one waybill number in ten also looks like an article number.
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
    if holder is None and key != event.order and directory.is_order_known(key):
        holder = key
    if event.order is None:
        return Placement(holder, key, awaits=None if holder is not None else code_ref(key))
    if holder is not None and holder != event.order:
        return _contradiction(event, event_type, key, holder)
    code = None if key == event.order else key
    return Placement(event.order, code, label=bound is None and code is not None and event_type in LABELS)


def _by_article(event: Event[Body], event_type: EventType, scanned: barcodes.Scanned) -> Placement:
    """A GTIN identifies an article, never the order that it is for."""
    if event.order is None and scanned.order is None:
        return Placement(None, fault=Reason.ORDER_NEEDED, detail="an article number does not identify an order")
    return Placement(event.order or scanned.order, scanned.key if event_type is EventType.PICK else None)


def _contradiction(event: Event[Body], event_type: EventType, code: str, holder: str) -> Placement:
    said = f"the scanned code belongs to order {holder}, not to {event.order}"
    if event_type in _SCANS_ARTICLES:
        return Placement(event.order, code, fault=Reason.WRONG_PARCEL, detail=said)
    if event_type is EventType.LABELLED:
        return Placement(event.order, code, fault=Reason.CODE_TAKEN, detail=said)
    return Placement(holder, code, misload=True, detail=said)
