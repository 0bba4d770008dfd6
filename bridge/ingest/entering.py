"""An event enters its order. The steps are the same for a new event, for an event that waited, and for an event that a replay reads from the log."""

from __future__ import annotations

from typing import Final

from bridge.domain.facts import Verdict, refusal
from bridge.domain.refs import Ref, RefKind, code_ref, event_ref
from bridge.ingest.batch import Answer, Batch
from bridge.ingest.folding import fold_in, rule
from bridge.ingest.log import EventRow
from bridge.ingest.placing import Placement
from bridge.ingest.seam import JobGate
from bridge.ingest.waiting import free_label, park, put_label, take_waiting
from devices.protocol import bodies, messages
from devices.protocol.messages import Event
from devices.protocol.vocabulary import EventType, Outcome, Reason, Warn

_ANSWERS: Final = frozenset({EventType.CLAIM, EventType.DECLINE})
_UNCOUNTED: Final = (Outcome.REJECTED, Outcome.BLOCKED)


def enter(batch: Batch, row: EventRow, event: Event[bodies.Body], placement: Placement, gate: JobGate) -> Answer:
    """Add a logged event to its order. The returned answer becomes its receipt."""
    if row.order_id is None:
        return _without_order(batch, row, event.body, placement)
    if placement.label and placement.code is not None:
        put_label(batch, placement.code, row)
        place_waiting(batch, code_ref(placement.code), row.order_id)
    if row.type in _ANSWERS:
        gate.decide(row, event.body, batch)
    answer, is_created = fold_in(batch, row, event.body, event.parcel, row.order_id)
    if is_created:
        place_waiting(batch, code_ref(row.order_id), row.order_id)
    answer.detail = placement.detail
    # Remember it first: events that waited for this one may change its verdict before its receipt is written.
    batch.remember(row, answer)
    if placement.label and answer.verdict.outcome in _UNCOUNTED:
        free_label(batch, row)
    batch.events[row.id] = row.order_id
    if batch.memory.awaited:
        place_waiting(batch, event_ref(row.id), row.order_id)
    return answer if row.warn is None else _warned(answer, row.warn)


def place_waiting(batch: Batch, ref: Ref, order_id: str) -> None:
    """Add the events that waited for a reference to the order, and then the events that waited for those."""
    for row in take_waiting(batch, ref, order_id):
        event = messages.decode_event(row.payload, EventType(row.type))
        seen = batch.seen.get((row.device, row.id))
        n = seen.answer.n if seen is not None else batch.tx.verdicts_of([row.pos])[row.pos].n + 1
        answer, is_created = fold_in(batch, row, event.body, event.parcel, order_id, n=n, was=Outcome.PARKED)
        if is_created:
            place_waiting(batch, code_ref(order_id), order_id)
        if seen is not None:
            seen.answer.verdict, seen.answer.entry = answer.verdict, answer.entry
        else:
            batch.revised[row.pos] = answer
        place_waiting(batch, event_ref(row.id), order_id)


def _without_order(batch: Batch, row: EventRow, body: bodies.Body, placement: Placement) -> Answer:
    if (ref := placement.awaits) is not None:
        park(batch, row, ref, None, row.received_ms)
        verdict = refusal(Outcome.PARKED, Reason.UNKNOWN_REFERENCE if ref.kind is RefKind.EVENT else Reason.UNKNOWN_PARCEL)
    else:
        verdict = Verdict(Outcome.APPLIED) if placement.fault is None else refusal(Outcome.REJECTED, placement.fault)
    rule(batch, row, body, verdict, ())
    answer = Answer(row, verdict, None)
    answer.detail = placement.detail
    batch.remember(row, answer)
    return answer if row.warn is None else _warned(answer, row.warn)


def _warned(answer: Answer, warn: str) -> Answer:
    answer.verdict = answer.verdict._replace(warn=(*answer.verdict.warn, *map(Warn, warn.split())))
    return answer
