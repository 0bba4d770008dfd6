"""The gates before a verdict: is the message readable, is it a repeat, is its number free, when did it happen, which order is it about?

A message that passes becomes a row of the event log. A message that does not is refused: its receipt names its digest, it is kept in quarantine, and it never
becomes an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import cbor2

from bridge.domain import barcodes, event_time, jobs
from bridge.domain.access import Kind
from bridge.domain.codes.evidence import CUSTODY
from bridge.domain.event_time import DeviceClock, EventTime, Shown
from bridge.domain.facts import Fact, Verdict, refusal, tone_of
from bridge.domain.lifecycle import INSTRUCTIONS
from bridge.domain.view import digest8
from bridge.ingest.batch import Answer, Batch, Refused, Sent
from bridge.ingest.codes import COMMON
from bridge.ingest.items import Incoming
from bridge.ingest.log import BRIDGE_LOG, PLAIN, REFUSED, EventRow, RefusedRow
from bridge.ingest.picking import NOTHING, Picked, picked
from bridge.ingest.ports import StoredReceipt
from bridge.ingest.receipt import DETAIL_CHARS_MAX, once_more, same_content
from bridge.ingest.seam import JobGate
from devices.protocol import bodies, messages
from devices.protocol.bodies import Body
from devices.protocol.messages import Event, LocationBatch, PayloadError, Presence
from devices.protocol.vocabulary import EventType, Outcome, Reason, Role

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
    """Admit an event as new and return None. Otherwise return the answer to a repeat, or to an id or number used for another event."""
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
    return None


class Doubt(NamedTuple):
    """Why an event can't count, as the event itself or a bound shows, and a sentence for a person."""

    fault: Reason
    detail: str


def code_of(event: Event[Body], event_type: EventType) -> tuple[str | None, Doubt | None]:
    """(the key of the code that an event scans, or of the label that it tells; what is wrong with it)."""
    text, is_plain = event.code, False
    if isinstance(event.body, bodies.Labelled):
        # For a label, the device names the kind of number: a plain text need not read as anything.
        text, is_plain = event.body.code, event.body.kind != "sscc"
        if event.body.replaces is not None and isinstance(old := barcodes.code_key(event.body.replaces), barcodes.Unreadable):
            return None, Doubt(old.reason, old.detail)
    if text is None or (event.order is not None and event_type not in SCANNING):
        return None, None
    key = barcodes.code_key(text, plain=is_plain)
    return (None, Doubt(key.reason, key.detail)) if isinstance(key, barcodes.Unreadable) else (key.text, None)


SCANNING: Final = CUSTODY | {EventType.PICK, EventType.PACK, EventType.UNPACK, EventType.LABELLED}
"""Events whose code is evidence. Of others it only says which order is meant, if they name none."""


def bound_of(batch: Batch, device: str, event: Event[Body], event_type: EventType, code: str | None) -> Doubt | None:
    """Whether one device has sent so much about an order that more of it is only stored. Each source has its own bound, so that none locks an order."""
    order_ids: Iterable[str] = (event.order,) if event.order is not None else batch.memory.code(code, batch.tx).orders if code is not None else ()
    rules = batch.rules
    for order_id in order_ids:
        if order_id == COMMON or len(facts := batch.order(order_id).fold.facts) < rules.order_bound_min:
            continue
        if _repeats(facts, device, event, event_type, code, rules.order_repeats_max):
            return Doubt(Reason.REPEATED, f"this device has said the same of order {order_id} {rules.order_repeats_max} times in a row (orders.repeats_max)")
        if len(facts) >= rules.order_events_max and sum(f.device == device for f in facts) >= rules.order_events_max:
            return Doubt(Reason.TOO_MANY_EVENTS, f"order {order_id} has {rules.order_events_max} events of this device (orders.events_max)")
    return None


def _repeats(facts: Sequence[Fact], device: str, event: Event[Body], event_type: EventType, code: str | None, often: int) -> bool:
    """Whether the last `often` events of a device in an order all say what this event says."""
    for fact in reversed(facts):
        if fact.device != device:
            continue
        if (fact.type, fact.code, fact.parcel, fact.body) != (event_type, code, event.parcel, event.body):
            return False
        often -= 1
        if not often:
            return True
    return False


def row_of(batch: Batch, incoming: Incoming, event: Event[Body], event_type: EventType, when: EventTime, gate: JobGate) -> EventRow:
    """The row of a new event, in the order that it names. It is counted in the ledger of its device."""
    identity = incoming.identity
    if identity.role in BY_SEQ:
        batch.ledger(identity.device, event.log).add(event.seq, event_time.span(when.event_ms, when.error_ms, incoming.received_ms))
    code, doubt = code_of(event, event_type)
    order_id = event.order
    if doubt is None:
        doubt = bound_of(batch, identity.device, event, event_type, code)
        if doubt is not None:
            order_id = None  # it is only in the log, and no fold ever sees it
    if isinstance(event.body, bodies.Claim | bodies.Decline | bodies.Unassigned):
        order_id = gate.order_of(event.body.job, batch)
        if order_id is None and doubt is None:
            doubt = Doubt(Reason.UNKNOWN_JOB, f"there is no job {event.body.job}")
    elif isinstance(event.body, bodies.Assigned) and event.order is not None and gate.is_full(event.body, event.order, batch):
        order_id, doubt = None, Doubt(Reason.TOO_MANY_EVENTS, f"job {event.body.job} has {jobs.ORDERS_MAX} orders")
    about = picked(batch, event, code, when.event_ms) if event_type is EventType.PICK and doubt is None else NOTHING
    if about.wrong is not None:
        doubt = Doubt(Reason.WRONG_SKU, about.wrong)
    return EventRow(
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
        _words(when, about),
        None,
        order_id,
        code,
        event.at or identity.at,
        doubt.fault.value if doubt else None,
        doubt.detail if doubt else about.detail or when.detail,
        PLAIN[batch.rules.unpaid] if event_type is EventType.CREATED else None,
        incoming.payload,
        about.article,
    )


def _words(when: EventTime, about: Picked) -> str | None:
    """What is odd about an event on arrival, with blanks between the words; None if nothing is."""
    if about.warn is None:
        return when.warn.value if when.warn is not None else None
    return about.warn.value if when.warn is None else f"{when.warn.value} {about.warn.value}"


def time_of(batch: Batch, incoming: Incoming, event: Event[Body], event_type: EventType) -> EventTime:
    """When an event happened."""
    received_ms = incoming.received_ms
    if event_type in INSTRUCTIONS:
        return event_time.instruction_time(received_ms=received_ms)
    if incoming.identity.role not in BY_SEQ:
        when = event_time.system_time(at_ms=event.at_ms, received_ms=received_ms)
        batch.saw_clock(incoming.identity.device, _worth(when))
        return when
    clock = batch.device(incoming.identity.device).clock
    clock.heard(boot=event.sent_boot, sent_mono_ms=event.sent_mono_ms, received_ms=received_ms)
    counted = clock.by_counter(boot=event.boot, mono_ms=event.mono_ms, received_ms=received_ms)
    if counted is None:
        return _by_wall(batch, incoming, event, clock)
    if event.sent_boot == event.boot:
        batch.saw_clock(incoming.identity.device, clock.wall(at_ms=event.at_ms, now_ms=counted.event_ms))
    return counted


def _by_wall(batch: Batch, incoming: Incoming, event: Event[Body], clock: DeviceClock) -> EventTime:
    """When an event happened whose boot was never heard: between its neighbours in the log of its device, at the time of the wall clock if that is possible."""
    identity, received_ms = incoming.identity, incoming.received_ms
    neighbours = batch.ledger(identity.device, event.log).around(event.seq)
    possible = event_time.bounds(neighbours, enrolled_ms=identity.enrolled_ms, received_ms=received_ms)
    when = clock.by_wall(at_ms=event.at_ms, possible=possible, received_ms=received_ms)
    if (worth := _worth(when)) is not Shown.RIGHT:
        batch.saw_clock(identity.device, worth)
    return when


def _worth(when: EventTime) -> Shown:
    """What a wall clock is worth that gave an event this time."""
    if when.warn is not None:
        return Shown.CONTRADICTED
    return Shown.UNIT if when.detail is not None else Shown.RIGHT


def _again(batch: Batch, incoming: Incoming, event: Event[Body], stored: StoredReceipt) -> Sent:
    """Answer a resent event with its current receipt."""
    if stored.type != incoming.event_type or not same_content(stored.event_payload, incoming.payload):
        return refuse(batch, incoming, Reason.ID_REUSED, "this id was used for another event", event)
    device = incoming.identity.device
    if event.sent_boot == event.boot and incoming.identity.role in BY_SEQ:
        batch.device(device).clock.heard(boot=event.sent_boot, sent_mono_ms=event.sent_mono_ms, received_ms=incoming.received_ms)
    return Sent(device, once_more(stored.receipt, batch.shelf_of()))


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
