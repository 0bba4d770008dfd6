"""The gates before a verdict: is the message readable, is it a repeat, when did it happen, which order is it about, may its sender report on that order?

A message that passes becomes a row of the event log. A message that does not is refused: its receipt names its digest, it is kept in quarantine, and it never
becomes an event.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain import event_time, jobs
from bridge.domain.access import Kind, may_send_about
from bridge.domain.event_time import EventTime
from bridge.domain.lifecycle import INSTRUCTIONS
from bridge.domain.view import digest8
from bridge.ingest.batch import Answer, Batch, Sent
from bridge.ingest.items import Incoming
from bridge.ingest.log import EVENTS, PLAIN, REFUSED, EventRow, RefusedRow
from bridge.ingest.placing import Placement, place
from bridge.ingest.ports import StoredReceipt
from bridge.ingest.receipt import once_more, same_content
from bridge.ingest.refusing import readable_ids, refuse
from bridge.ingest.seam import JobGate
from devices.protocol import bodies, messages
from devices.protocol.bodies import Body
from devices.protocol.messages import EVENT_KINDS, Event, LocationBatch, PayloadError, Presence
from devices.protocol.unknown_fields import cut_unknown
from devices.protocol.vocabulary import EventType, Reason, Role, Warn

BY_SEQ: Final = frozenset({Role.SCANNER, Role.COURIER})
"""Roles whose seq numbers are a promise; a ledger tracks which of them came. Systems, carriers and desks retry and reorder, so their numbers prove nothing.

A number never identifies an event. The ledger counts and warns of one that another event had before: its outbox was restored from a backup, or copied. For a
system it is not even counted: the import of a shop's file has one log per order, which is more logs than there can be ledgers.
"""
CUT: Final = frozenset({Role.SYSTEM, Role.CARRIER, Role.DESK})
"""Roles whose unknown fields are not stored: they may hold personal data. Those of scanners and couriers are kept: firmware may be newer than its server."""
FIELDS_NAMED_MAX: Final = 5
"""Unknown fields that a receipt names."""
EVENT_TYPES: Final = {t.value: t for t in EventType}


class Trimmed(NamedTuple):
    """An event from which fields were cut that the contract does not have: its payload without them, and the sentence that names them."""

    event: Event[Body]
    payload: bytes
    detail: str


Decoded = Event[Body] | Trimmed | Presence | LocationBatch | tuple[Reason, str] | None
"""A decoded message: a reason and a sentence if it is refused, None outside v1/."""


def decode(incoming: Incoming) -> Decoded:
    """Decode a message."""
    kind = incoming.kind
    try:
        if kind is Kind.EVENTS:
            event_type = EVENT_TYPES[incoming.event_type or ""]
            return _decode_trimmed(incoming, event_type) if incoming.identity.role in CUT else messages.decode_event(incoming.payload, event_type)
        if kind is Kind.PRESENCE:
            return messages.decode(incoming.payload, Presence)
        if kind is Kind.LOCATION:
            return messages.decode(incoming.payload, LocationBatch)
    except PayloadError as error:
        return Reason.MALFORMED, str(error)
    if kind is Kind.PLAIN:
        return None
    if kind is Kind.POISON:
        return Reason.POISON, incoming.detail or ""
    is_unknown = incoming.event_type is not None and incoming.event_type not in EVENT_TYPES
    return Reason.UNKNOWN_TYPE if is_unknown else Reason.FORBIDDEN, incoming.detail or ""


def _decode_trimmed(incoming: Incoming, event_type: EventType) -> Event[Body] | Trimmed:
    """Decode an event of a role whose unknown fields are cut."""
    plain = messages.load(incoming.payload)
    event = messages.event_of(plain, event_type)
    kept, unknown = cut_unknown(plain, EVENT_KINDS[event_type])
    return Trimmed(event, messages.encode_cbor(kept), _name_unknown(unknown)) if unknown else event


def _name_unknown(paths: list[str]) -> str:
    named = ", ".join(path if path.isprintable() else ascii(path) for path in paths[:FIELDS_NAMED_MAX])
    more = f" and {len(paths) - FIELDS_NAMED_MAX} more" if len(paths) > FIELDS_NAMED_MAX else ""
    return f"not in the contract, and not stored: {named}{more}"


# --- an event ---------------------------------------------------------------------------------------------------------------


def admit(batch: Batch, incoming: Incoming, event: Event[Body]) -> Answer | Sent | None:
    """Admit an event whose id is new, and return None. Otherwise return the answer to a repeat, or to an id that was used for another event."""
    uid = (incoming.identity.device, event.id)
    if (twin := batch.seen.get(uid)) is not None:
        if twin.row.type != incoming.event_type or not same_content(twin.row.payload, incoming.payload, event, EventType(twin.row.type)):
            return refuse(batch, incoming, Reason.ID_REUSED, _ID_REUSED)
        return twin.answer
    if (stored := batch.known.get(uid)) is not None:
        return _again(batch, incoming, event, stored)
    return None


_ID_REUSED: Final = "this id was used for another event"


def is_seq_reused(batch: Batch, incoming: Incoming, event: Event[Body]) -> bool:
    """Count a new event in its ledger. Returns whether another event had its number before.

    If numbers were given up, it is not known which of them arrived. A message that was refused, and is judged again, has its own number.
    """
    if incoming.identity.role not in BY_SEQ:
        return False
    device = incoming.identity.device
    ledger = batch.ledger(device, event.log)
    if ledger.add(event.seq) or ledger.forgotten or batch.tx.is_quarantined(device, digest8(incoming.payload)):
        return False
    ledger.reused += 1
    return True


def fault_of_access(batch: Batch, incoming: Incoming, event: Event[Body], placement: Placement, gate: JobGate) -> str | None:
    """Why a system that serves only some orders may not send this event; None if it may.

    Every order that the event could change must be its own: the one that it names, the one that it is placed in, and all orders of the job that it names. An
    event can't wait for an order that is not known yet: it would enter whichever order that turns out to be.
    """
    identity = incoming.identity
    if identity.orders_prefix is None:
        return None
    orders: list[str | None] = [event.order] if event.order is not None else []
    if placement.order_id is not None or placement.awaits is not None:
        orders.append(placement.order_id)
    if isinstance(event.body, bodies.Assigned | bodies.Unassigned) and event.body.job is not None:
        orders += gate.orders_of(event.body.job, batch)
    answers = (may_send_about(identity, order) for order in orders)
    return next((answer.rule for answer in answers if not answer.allowed), None)


def placed(batch: Batch, event: Event[Body], event_type: EventType, gate: JobGate) -> Placement:
    """The placement of a new event. If its order or job is full, the event is only in the log, and the fold never sees it."""
    placement = place(event, event_type, batch, gate)
    order_id = placement.order_id
    if order_id is None:
        return placement
    if batch.order(order_id).fold.size >= batch.rules.order_events_max:
        detail = f"order {order_id} has {batch.rules.order_events_max} events (orders.events_max)"
        return Placement(None, fault=Reason.TOO_MANY_EVENTS, detail=detail)
    if isinstance(event.body, bodies.Assigned) and gate.is_full(event.body, order_id, batch):
        return Placement(None, fault=Reason.TOO_MANY_EVENTS, detail=f"job {event.body.job} has {jobs.ORDERS_MAX} orders")
    return placement


def time_of(batch: Batch, incoming: Incoming, event: Event[Body], event_type: EventType) -> EventTime:
    """When an event happened."""
    received_ms = incoming.received_ms
    if event_type in INSTRUCTIONS:
        return event_time.instruction_time(received_ms=received_ms)
    if incoming.identity.role not in BY_SEQ:
        return event_time.system_time(at_ms=event.at_ms, received_ms=received_ms)
    clock = batch.device(incoming.identity.device).clock
    clock.heard(boot=event.sent_boot, sent_mono_ms=event.sent_mono_ms, received_ms=received_ms)
    if event.sent_boot == event.boot:
        clock.wall(at_ms=event.at_ms + event.sent_mono_ms - event.mono_ms, received_ms=received_ms)
    return clock.time_of(boot=event.boot, mono_ms=event.mono_ms, at_ms=event.at_ms, received_ms=received_ms)


def warn_of(when: EventTime, *, seq_reused: bool, is_trimmed: bool) -> str | None:
    """What is odd about an event on arrival, as its row has it."""
    if not (when.jumped or seq_reused or is_trimmed):
        return None
    odd = ((when.jumped, Warn.CLOCK_JUMP), (seq_reused, Warn.SEQ_REUSED), (is_trimmed, Warn.UNKNOWN_FIELD))
    return " ".join(word for is_odd, word in odd if is_odd)


def append(batch: Batch, incoming: Incoming, event: Event[Body], event_type: EventType, when: EventTime, placement: Placement, warn: str | None) -> EventRow:
    """Append an event to the log."""
    identity = incoming.identity
    row = EventRow(
        batch.next_pos(),
        batch.no,
        event.id,
        identity.device,
        PLAIN[identity.role],
        identity.courier,
        PLAIN[event_type],
        event.log,
        event.seq,
        incoming.received_ms,
        when.event_ms,
        PLAIN[when.source],
        when.error_ms,
        warn,
        None,
        placement.order_id,
        placement.code,
        event.at or identity.at,
        placement.fault.value if placement.fault else None,
        placement.detail,
        placement.misload,
        incoming.payload,
    )
    batch.writes.rows(EVENTS).append(row)
    return row


def _again(batch: Batch, incoming: Incoming, event: Event[Body], stored: StoredReceipt) -> Sent:
    """Answer a resent event with its current receipt."""
    if stored.type != incoming.event_type or not same_content(stored.event_payload, incoming.payload, event, EventType(stored.type)):
        return refuse(batch, incoming, Reason.ID_REUSED, _ID_REUSED)
    device = incoming.identity.device
    if event.sent_boot == event.boot and incoming.identity.role in BY_SEQ:
        batch.device(device).clock.heard(boot=event.sent_boot, sent_mono_ms=event.sent_mono_ms, received_ms=incoming.received_ms)
    return Sent(device, once_more(stored.receipt))


# --- refused messages -------------------------------------------------------------------------------------------------------


def count_refused(batch: Batch, incoming: Incoming) -> None:
    """Count a refused event as received: if its log and seq can be read, the device does not owe it."""
    if incoming.kind is Kind.POISON or incoming.identity.role not in BY_SEQ:
        return
    ids = readable_ids(incoming.payload)
    if "log" in ids and "seq" in ids:
        device, log, seq = incoming.identity.device, ids["log"], ids["seq"]
        if batch.ledger(device, log).add(seq):
            batch.writes.rows(REFUSED).append(RefusedRow(batch.no, batch.memory.next_pos, device, log, seq, digest8(incoming.payload)))
