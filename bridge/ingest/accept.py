"""The gates before a verdict: is the message readable, is it a repeat, when did it happen, which order is it about?

A message that passes becomes a row of the event log. A message that does not is refused: its receipt names its digest, it is kept in quarantine, and it never
becomes an event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from bridge.domain import barcodes, event_time, jobs
from bridge.domain.access import Identity, Kind
from bridge.domain.codes.evidence import CUSTODY
from bridge.domain.event_time import AHEAD_MS, UNBOUNDED, DeviceClock, EventTime, Shown
from bridge.domain.facts import BY_SEQ, Fact
from bridge.domain.ledger import Ledger
from bridge.domain.lifecycle import INSTRUCTIONS
from bridge.domain.members import E
from bridge.domain.view import digest8
from bridge.ingest.batch import Answer, Batch, Sent
from bridge.ingest.carrying import CARRIED, NO_CARRYING, carrying_of
from bridge.ingest.codes import COMMON
from bridge.ingest.decoding import Trimmed
from bridge.ingest.items import GiveUp, Incoming
from bridge.ingest.log import PLAIN, REFUSED, EventRow, RefusedRow
from bridge.ingest.picking import NOTHING, picked
from bridge.ingest.ports import StoredReceipt
from bridge.ingest.receipt import once_more, same_content
from bridge.ingest.refusing import readable_ids, refuse
from bridge.ingest.sealing import (
    CONTACT_HASHES,
    SEALED,
    Private,
    about_event,
    hashes_of,
    recognises,
    seal_private,
)
from bridge.ingest.seam import JobGate
from bridge.ingest.still_out import still_out
from devices.protocol import bodies
from devices.protocol.bodies import Body
from devices.protocol.messages import Event
from devices.protocol.private import PRIVATE_FIELDS
from devices.protocol.vocabulary import EventType, LabelKind, Reason, Role, Warn

SEQ_COUNTED_MAX: Final = 1_000_000_000
"""The highest number that a log can have counted to: at ten events a second, that takes three years. A time since 1970 is higher, in any unit. Smaller gaps are
left to the ledger and its alert: what a device has scanned last may overtake all that waits in it."""


# --- an event ---------------------------------------------------------------------------------------------------------------


def admit(batch: Batch, incoming: Incoming, event: Event[Body], trimmed: Trimmed | None) -> Answer | Sent | None:
    """Admit an event whose id is new, and return None. Otherwise return the answer to a repeat, or to an id that was used for another event."""
    uid = (incoming.identity.device, event.id)
    if (twin := batch.seen.get(uid)) is not None:
        if not _is_same(batch, incoming, event, trimmed, (twin.row.pos, twin.row.type, twin.row.payload)):
            return refuse(batch, incoming, Reason.ID_REUSED, _ID_REUSED)
        return twin.answer
    if (stored := batch.known.get(uid)) is not None:
        return _again(batch, incoming, event, trimmed, stored)
    return None


def _is_same(batch: Batch, incoming: Incoming, event: Event[Body], trimmed: Trimmed | None, stored: tuple[int, str, bytes]) -> bool:
    """Whether an event that is sent again is the stored one, given as (position in the log, type, payload)."""
    pos, event_type, payload = stored
    sent = incoming.payload if trimmed is None else trimmed.payload
    if event_type != incoming.event_type or not same_content(payload, sent, event, EventType(event_type)):
        return False
    if event_type not in PRIVATE_FIELDS:
        return True
    sealed = batch.writes.keyed(SEALED).get(pos) or next(iter(batch.tx.rows(SEALED, pos=pos)), None)
    if sealed is None:
        return True  # it had no personal data, or that was forgotten
    said = trimmed.private.said if trimmed is not None and trimmed.private is not None else {}
    return recognises(batch.rules.sealer, sealed.mac, said)


_ID_REUSED: Final = "this id was used for another event"


def is_seq_reused(batch: Batch, incoming: Incoming, event: Event[Body], ledger: Ledger) -> bool:
    """Whether another event had the number of a new event before; the ledger counts how often that happens.

    If numbers were given up, it is not known which of them arrived. A message that was refused, and is judged again, has its own number.
    """
    if event.seq not in ledger or ledger.forgotten or batch.tx.is_quarantined(incoming.identity.device, digest8(incoming.payload)):
        return False
    ledger.reused += 1
    return True


class Doubt(NamedTuple):
    """Why an event can't count, as the event itself or a bound shows, and a sentence for a person."""

    fault: Reason
    detail: str


def code_of(event: Event[Body], event_type: EventType) -> tuple[str | None, Doubt | None]:
    """(the key of the code that an event scans, or of the label that it tells; what is wrong with it)."""
    text, is_plain = event.code, False
    if isinstance(event.body, bodies.Labelled):
        # For a label, the device names the kind of number: a plain text need not read as anything.
        text, is_plain = event.body.code, event.body.kind != LabelKind.SSCC
        if event.body.replaces is not None and isinstance(old := barcodes.code_key(event.body.replaces), barcodes.Unreadable):
            return None, Doubt(old.reason, old.detail)
    if text is None or (event.order is not None and event_type not in SCANNING):
        return None, None
    key = barcodes.code_key(text, plain=is_plain)
    return (None, Doubt(key.reason, key.detail)) if isinstance(key, barcodes.Unreadable) else (key.text, None)


OF_STAFF: Final = frozenset({EventType.SHIFT_ENDED, EventType.CASH_COUNTED})
"""Events about a courier whom they may name."""


def fault_of_staff(identity: Identity, body: Body) -> tuple[Reason, str] | None:
    """Why an event about a courier can't be taken: a phone speaks of its own courier, and a desk names one."""
    if isinstance(body, bodies.CashCounted) and identity.role is Role.COURIER and body.courier != identity.courier:
        return Reason.FORBIDDEN, "a courier counts their own cash only"
    if isinstance(body, bodies.ShiftEnded) and identity.role is Role.DESK and body.courier is None:
        return Reason.MALFORMED, "body.courier: a desk names the courier whose shift it ends"
    return None


ABOUT_JOBS: Final = frozenset({EventType.CLAIM, EventType.DECLINE, EventType.UNASSIGNED})
"""The gate decides these on arrival, against the job as it is then."""


def whose_shift(own: str | None, body: Body) -> str | None:
    """The courier whose shift an event ends: the phone's own, or the one whom a desk names."""
    return own or (body.courier if isinstance(body, bodies.ShiftEnded) else None)


def needs_all_before(event_type: str, role: str) -> bool:
    """Whether what has arrived before must be in its orders first: it may change the job that an event is about, or what a courier still has at the end of a
    shift. A replay puts events into their orders at the same points."""
    return event_type in ABOUT_JOBS or (event_type == EventType.SHIFT_ENDED and role in (Role.COURIER, Role.DESK))


SCANNING: Final = CUSTODY | {EventType.PICK, EventType.PACK, EventType.UNPACK, EventType.LABELLED}
"""Events whose code is evidence. Of others it only says which order is meant, if they name none."""


def bound_of(batch: Batch, device: str, event: Event[Body], event_type: EventType, code: str | None) -> Doubt | None:
    """Whether one device has sent so much about an order that more of it is only stored. Each source has its own bound, so that none locks an order."""
    rules = batch.rules
    if event.order is not None:
        order_ids: Iterable[str] = (event.order,)
    elif code is not None:
        order_ids = [order_id for order_id in batch.memory.code(code, batch.tx).orders if order_id != COMMON]
    else:
        return None
    for order_id in order_ids:
        facts = batch.order(order_id).fold.facts
        if len(facts) < rules.order_bound_from:
            continue
        if event_type not in _ADDING and _repeats(facts, device, event, event_type, code, rules.order_repeats_max):
            return Doubt(Reason.REPEATED, f"this device has said the same of order {order_id} {rules.order_repeats_max} times in a row (orders.repeats_max)")
        if len(facts) >= rules.order_events_max and sum(f.device == device for f in facts) >= rules.order_events_max:
            return Doubt(Reason.TOO_MANY_EVENTS, f"order {order_id} has {rules.order_events_max} events of this device (orders.events_max)")
    return None


_ADDING: Final = frozenset({EventType.PICK, EventType.PACK, EventType.PAID, EventType.REFUNDED, EventType.CASH_COUNTED})
"""Of these each one adds something: the hundredth piece of the same article is as real as the first."""


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


def is_by_the_book(event: Event[Body], ledger: Ledger | None) -> bool:
    """Whether an event shows nothing that the developer of its device must put right. `ledger` is None if its device does not count."""
    event_id = event.id
    if not 0x70 <= event_id[6] < 0x80 <= event_id[8] < 0xC0:  # version 7, variant 10 (RFC 9562 §4)
        return False
    return ledger is None or (event.mono_ms <= event.sent_mono_ms and event.seq <= SEQ_COUNTED_MAX)


def slips_of(batch: Batch, device: str, event: Event[Body], ledger: Ledger | None) -> Iterator[Warn]:
    """What the developer of an event's device must put right: it breaks the contract, and does no harm."""
    event_id = event.id
    if event_id[6] >> 4 != 7 or event_id[8] >> 6 != 2:
        yield Warn.ID_NOT_UUID7
    if ledger is None:
        return
    if event.seq > SEQ_COUNTED_MAX:
        yield Warn.SEQ_TOO_HIGH
    if event.mono_ms > event.sent_mono_ms + AHEAD_MS and event.boot == event.sent_boot:
        yield Warn.MONO_AHEAD
    if (device, event_id) in batch.sent_back:
        yield Warn.SENT_BACK


def row_of(batch: Batch, incoming: Incoming, event: Event[Body], event_type: EventType, gate: JobGate, trimmed: Trimmed | None = None) -> EventRow:
    """The row of a new event, in the order that it names. It is counted in the ledger of its device."""
    identity = incoming.identity
    ledger = batch.ledger(identity.device, event.log) if identity.role in BY_SEQ else None
    seq_reused = ledger is not None and is_seq_reused(batch, incoming, event, ledger)
    when = time_of(batch, incoming, event, event_type, seq_reused=seq_reused)
    if ledger is not None:
        ledger.add(event.seq, *event_time.span(when.event_ms, when.error_ms, incoming.received_ms))
    code, doubt = code_of(event, event_type)
    order_id = event.order
    if doubt is None:
        doubt = bound_of(batch, identity.device, event, event_type, code)
        if doubt is not None:
            order_id = None  # it is only in the log, and no fold ever sees it
    if event_type in ABOUT_JOBS:
        assert isinstance(event.body, bodies.Claim | bodies.Decline | bodies.Unassigned)
        order_id = gate.order_of(event.body.job, batch)
        if order_id is None and doubt is None:
            doubt = Doubt(Reason.UNKNOWN_JOB, f"there is no job {event.body.job}")
    elif isinstance(event.body, bodies.Assigned) and event.order is not None and gate.is_full(event.body, event.order, batch):
        order_id, doubt = None, Doubt(Reason.TOO_MANY_EVENTS, f"job {event.body.job} has {jobs.ORDERS_MAX} orders")
    about = picked(batch, event, code, when.event_ms) if event_type is E.PICK and doubt is None else NOTHING
    if about.wrong is not None:
        doubt = Doubt(Reason.WRONG_SKU, about.wrong)
    detail = doubt.detail if doubt is not None else about.detail or when.detail
    odd: list[Warn] = []
    if when.warn is not None:
        odd.append(when.warn)
    if about.warn is not None:
        odd.append(about.warn)
    courier = whose_shift(identity.courier, event.body) if event_type is E.SHIFT_ENDED else None
    if courier is not None and (out := still_out(batch, courier, when.event_ms)) is not None:
        odd.append(Warn.STILL_OUT)
        detail = f"{detail}; {out}" if detail else out
    if seq_reused:
        odd.append(Warn.SEQ_REUSED)
    if trimmed is not None and trimmed.has_unknown:
        odd.append(Warn.UNKNOWN_FIELD)
    if trimmed is not None and trimmed.detail is not None:
        detail = f"{detail}; {trimmed.detail}" if detail else trimmed.detail
    if batch.sent_back or not is_by_the_book(event, ledger):
        odd += slips_of(batch, identity.device, event, ledger)
    pos = batch.next_pos()
    if trimmed is not None and trimmed.private is not None:
        keep_private(batch, identity.device, event, trimmed.private, (pos, incoming.received_ms))
    return EventRow(
        pos,
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
        " ".join(odd) or None,
        None,
        order_id,
        code,
        event.at or identity.at,
        doubt.fault.value if doubt else None,
        detail,
        PLAIN[batch.rules.unpaid] if event_type is E.CREATED else None,
        trimmed.payload if trimmed else incoming.payload,
        about.article,
        *(carrying_of(batch.rules.carriers, identity, event, when.event_ms) if event_type in CARRIED else NO_CARRYING),
    )


def keep_private(batch: Batch, device: str, event: Event[Body], private: Private, at: tuple[int, int]) -> None:
    """Seal what was taken out of an event, at (its position in the log, the time of its reception); not if its order was forgotten."""
    (pos, received_ms), order_id, sealer = at, event.order, batch.rules.sealer
    if order_id in batch.forgotten:
        return
    about = about_event(device, event.id)
    batch.writes.keyed(SEALED)[pos] = seal_private(sealer, private, pos=pos, order_id=order_id, received_ms=received_ms, about=about)
    if order_id is not None and "contact" in private.said:
        hashes = hashes_of(sealer, pos, private.said["contact"])
        if hashes is not None:
            batch.writes.keyed(CONTACT_HASHES)[pos] = hashes


def time_of(batch: Batch, incoming: Incoming, event: Event[Body], event_type: EventType, *, seq_reused: bool = False) -> EventTime:
    """When an event happened."""
    received_ms = incoming.received_ms
    if event_type in INSTRUCTIONS:
        return event_time.instruction_time(received_ms=received_ms)
    if incoming.identity.role not in BY_SEQ:
        when = event_time.system_time(at_ms=event.at_ms, received_ms=received_ms)
        batch.saw_clock(incoming.identity.device, _worth(when))
        return when
    clock = batch.device(incoming.identity.device).clock
    if clock.heard(boot=event.sent_boot, sent_mono_ms=event.sent_mono_ms, received_ms=received_ms) and not incoming.dup:
        batch.sent_back.add((incoming.identity.device, event.id))  # a packet that is sent again says what it said the first time (§4.4)
    counted = clock.by_counter(boot=event.boot, mono_ms=event.mono_ms, received_ms=received_ms)
    if counted is None:
        return _by_wall(batch, incoming, event, clock, seq_reused=seq_reused)
    if event.sent_boot == event.boot:
        batch.saw_clock(incoming.identity.device, clock.wall(at_ms=event.at_ms, now_ms=counted.event_ms))
    return counted


def _by_wall(batch: Batch, incoming: Incoming, event: Event[Body], clock: DeviceClock, *, seq_reused: bool) -> EventTime:
    """When an event happened whose boot was never heard: between its neighbours in the log of its device, at the time of the wall clock if that is possible.

    A number that is used again has no neighbours: those of the log are the neighbours of the event that had it first.
    """
    identity, received_ms = incoming.identity, incoming.received_ms
    neighbours = UNBOUNDED if seq_reused else batch.ledger(identity.device, event.log).around(event.seq)
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


def _again(batch: Batch, incoming: Incoming, event: Event[Body], trimmed: Trimmed | None, stored: StoredReceipt) -> Sent:
    """Answer a resent event with its current receipt."""
    if not _is_same(batch, incoming, event, trimmed, (stored.pos, stored.type, stored.event_payload)):
        return refuse(batch, incoming, Reason.ID_REUSED, _ID_REUSED)
    device = incoming.identity.device
    if event.sent_boot == event.boot and incoming.identity.role in BY_SEQ:
        batch.device(device).clock.heard(boot=event.sent_boot, sent_mono_ms=event.sent_mono_ms, received_ms=incoming.received_ms)
    return Sent(device, once_more(stored.receipt, batch.shelf_of(), epoch=batch.rules.epoch))


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


GIVEN_UP: Final = b"given up"
"""Stands in place of a digest in the rows of numbers that a person has given up."""


def give_up(batch: Batch, change: GiveUp) -> None:
    """Count what is missing of a log as received, in a way that a replay finds again."""
    ledger = batch.ledger(change.device, change.log)
    for first, last in ledger.missing(change.last_seq):
        for seq in range(first, last + 1):
            ledger.add(seq)
            batch.writes.rows(REFUSED).append(RefusedRow(batch.no, batch.memory.next_pos, change.device, change.log, seq, GIVEN_UP))
