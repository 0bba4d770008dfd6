"""The gates before a verdict: is the message readable, is it a repeat, is its number free, when did it happen, which order is it about?

A message that passes becomes a row of the event log. A message that does not is refused: its receipt names its digest, it is kept in quarantine, and it never
becomes an event.
"""

from __future__ import annotations

from typing import Final

import cbor2

from bridge.domain import event_time, jobs
from bridge.domain.access import Kind
from bridge.domain.event_time import EventTime
from bridge.domain.facts import Verdict, refusal, tone_of
from bridge.domain.lifecycle import INSTRUCTIONS
from bridge.domain.view import digest8
from bridge.ingest.batch import Answer, Batch, Refused, Sent
from bridge.ingest.items import Incoming
from bridge.ingest.log import BRIDGE_LOG, EVENTS, PLAIN, REFUSED, EventRow, RefusedRow
from bridge.ingest.placing import Placement, place
from bridge.ingest.ports import StoredReceipt
from bridge.ingest.receipt import DETAIL_CHARS_MAX, once_more, same_content
from bridge.ingest.seam import JobGate
from devices.protocol import bodies, messages
from devices.protocol.bodies import Body
from devices.protocol.messages import Event, LocationBatch, PayloadError, Presence
from devices.protocol.vocabulary import EventType, Outcome, Reason, Role, Warn

BY_SEQ: Final = frozenset({Role.SCANNER, Role.COURIER})
"""Roles whose seq numbers are a promise; a ledger tracks which of them came. Systems and desks retry and reorder, so their numbers prove nothing.

Only for these roles is a number that is used again for another event `id_reused`. For a system, only the id identifies an event: the import of a shop's file
has one log per order, which is more logs than there can be ledgers, and the event log has no index by number.
"""
EVENT_TYPES: Final = {t.value: t for t in EventType}

Decoded = Event[Body] | Presence | LocationBatch | tuple[Reason, str] | None
"""A decoded message: a reason and a sentence if it is refused, None outside v1/."""


def decode(incoming: Incoming) -> Decoded:
    """Decode a message."""
    kind = incoming.kind
    try:
        if kind is Kind.EVENTS:
            return messages.decode_event(incoming.payload, EVENT_TYPES[incoming.event_type or ""])
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


# --- an event ---------------------------------------------------------------------------------------------------------------


def admit(batch: Batch, incoming: Incoming, event: Event[Body]) -> Answer | Sent | None:
    """Admit an event as new: count it in its ledger and return None. Otherwise return the answer to a repeat, or to an id or number used for another event."""
    device = incoming.identity.device
    uid = (device, event.id)
    if (twin := batch.seen.get(uid)) is not None:
        if twin.row.type != incoming.event_type or not same_content(twin.row.payload, incoming.payload):
            return refuse(batch, incoming, Reason.ID_REUSED, "this id was used for another event", event)
        return twin.answer
    if (stored := batch.known.get(uid)) is not None:
        return _again(batch, incoming, event, stored)
    if incoming.identity.role in BY_SEQ:
        ledger = batch.ledger(device, event.log)
        if event.seq in ledger and not ledger.forgotten:
            return refuse(batch, incoming, Reason.ID_REUSED, f"seq {event.seq} of this log was used for another event", event)
        ledger.add(event.seq)
    return None


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


def append(batch: Batch, incoming: Incoming, event: Event[Body], event_type: EventType, when: EventTime, placement: Placement) -> EventRow:
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
        Warn.CLOCK_JUMP.value if when.jumped else None,
        None,
        placement.order_id,
        placement.code,
        event.at or identity.at,
        placement.fault.value if placement.fault else None,
        placement.detail,
        placement.misload,
        PLAIN[batch.rules.unpaid] if event_type is EventType.CREATED else None,
        incoming.payload,
    )
    batch.writes.rows(EVENTS).append(row)
    return row


def _again(batch: Batch, incoming: Incoming, event: Event[Body], stored: StoredReceipt) -> Sent:
    """Answer a resent event with its current receipt."""
    if stored.type != incoming.event_type or not same_content(stored.event_payload, incoming.payload):
        return refuse(batch, incoming, Reason.ID_REUSED, "this id was used for another event", event)
    device = incoming.identity.device
    if event.sent_boot == event.boot and incoming.identity.role in BY_SEQ:
        batch.device(device).clock.heard(boot=event.sent_boot, sent_mono_ms=event.sent_mono_ms, received_ms=incoming.received_ms)
    return Sent(device, once_more(stored.receipt))


# --- refused messages -------------------------------------------------------------------------------------------------------


def refuse(batch: Batch, incoming: Incoming, reason: Reason, detail: str, event: Event[Body] | None = None) -> Sent:
    """Refuse a message: it never becomes an event. Its receipt names its digest, and the quarantine keeps it once."""
    device = incoming.identity.device
    digest = digest8(incoming.payload)
    again = (device, digest) in batch.refused or batch.tx.is_quarantined(device, digest)
    batch.refused.add((device, digest))
    batch.heard(Refused(device, incoming.event_type, incoming.received_ms, reason, detail, digest, incoming.payload, not again))
    verdict = refusal(Outcome.REJECTED, reason)
    return Sent(device, cbor2.dumps(_refusal_plain(batch.now_ms, verdict, detail, digest, event, again=again)))


def _refusal_plain(at_ms: int, verdict: Verdict, detail: str, digest: bytes, event: Event[Body] | None, *, again: bool) -> dict[str, object]:
    """The receipt of a refused message, with keys in deterministic order."""
    return {
        "n": 1,
        **({"id": event.id, "log": event.log, "seq": event.seq} if event is not None else {}),
        **({"next": verdict.next.value} if verdict.next else {}),
        "tone": tone_of(verdict).value,
        **({"again": True} if again else {}),
        "at_ms": at_ms,
        "final": True,
        **({"detail": detail[:DETAIL_CHARS_MAX]} if detail else {}),
        "digest": digest,
        "reason": verdict.reason.value if verdict.reason else "",
        "outcome": Outcome.REJECTED.value,
    }


def count_refused(batch: Batch, incoming: Incoming) -> None:
    """Count a refused event as received: if its log and seq can be read, the device does not owe it."""
    if incoming.kind is Kind.POISON or incoming.identity.role not in BY_SEQ:
        return
    try:
        plain = messages.load(incoming.payload)
    except PayloadError:
        return
    log, seq = (plain.get("log"), plain.get("seq")) if isinstance(plain, dict) else (None, None)
    if isinstance(log, bytes) and len(log) == len(BRIDGE_LOG) and type(seq) is int and 1 <= seq <= bodies.UINT_MAX:
        device = incoming.identity.device
        if batch.ledger(device, log).add(seq):
            batch.writes.rows(REFUSED).append(RefusedRow(batch.no, batch.memory.next_pos, device, log, seq, digest8(incoming.payload)))
