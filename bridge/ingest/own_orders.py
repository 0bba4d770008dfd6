"""May a system that serves only some orders send this event? Every order that the event could change must be its own."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.domain import event_time
from bridge.domain.access import may_send_about
from bridge.domain.codes.containers import Containers
from bridge.domain.codes.history import History
from bridge.domain.codes.place import Placer
from bridge.domain.codes.reading import history_of
from bridge.domain.facts import Fact
from bridge.ingest.accept import SCANNING, code_of
from bridge.ingest.batch import Batch
from bridge.ingest.codes import placing_of
from bridge.ingest.entering import flush
from bridge.ingest.evidence import Evidence
from bridge.ingest.items import Incoming
from bridge.ingest.log import order_in_code
from bridge.ingest.seam import JobGate
from devices.protocol import bodies
from devices.protocol.bodies import Body
from devices.protocol.messages import Event
from devices.protocol.vocabulary import EventType

Orders = Sequence[str | None]
"""Orders that an event could change; None is one that is not known yet."""


def fault_of_access(batch: Batch, incoming: Incoming, event: Event[Body], event_type: EventType, gate: JobGate) -> str | None:
    """Why a system may not send this event; None if it may.

    It must name its order: a code alone, or an event that is not known yet, would let the event enter whichever order that turns out to be. An order that it
    names, one in which the scan of its code counts, those of the job and those of the event that it takes back must all be its own.
    """
    orders: list[str | None] = [event.order] if event.order is not None else []
    if isinstance(event.body, bodies.Void):
        orders += _voided(batch, event.body.ref)
    elif isinstance(event.body, bodies.Unassigned):
        orders += gate.orders_of(event.body.job, batch)
    else:
        orders += _scanned(batch, incoming, event, event_type)
        if isinstance(event.body, bodies.Assigned) and event.body.job is not None:
            flush(batch)  # what has arrived before may change the job
            orders += gate.orders_of(event.body.job, batch)
    answers = (may_send_about(incoming.identity, order) for order in orders)
    return next((answer.rule for answer in answers if not answer.allowed), None)


def _voided(batch: Batch, ref: bytes) -> Orders:
    """The orders of the events with this id."""
    flush(batch)  # it may have arrived in this batch
    new = batch.new_facts(ref)
    found = [batch.placings[fact.pos] for fact in new]
    found += [batch.placings.get(row.pos) or placing_of(row, rows) for row, rows in batch.tx.events_named(ref)]
    return [order_id for placing in found for order_id in placing.order_ids or (None,)] or [None]


def _scanned(batch: Batch, incoming: Incoming, event: Event[Body], event_type: EventType) -> Orders:
    """The order that an event names, or those in which its scan counts by what is known now."""
    named = event.order or order_in_code(event.code)
    code, doubt = code_of(event, event_type)
    if named is None or code is None or doubt is not None or event_type not in SCANNING:
        return [named]
    flush(batch)  # what has arrived before may say whose the code is
    fact = Fact(
        id=event.id,
        device=incoming.identity.device,
        role=incoming.identity.role,
        type=event_type,
        log=event.log,
        seq=event.seq,
        event_ms=event_time.system_time(at_ms=event.at_ms, received_ms=incoming.received_ms).event_ms,
        received_ms=incoming.received_ms,
        body=event.body,
        parcel=event.parcel,
        code=code,
        named=named,
        keys=(code,),
        pos=batch.memory.next_pos,
    )
    evidence, rules = Evidence(batch, [fact]), batch.memory.code_rules
    histories: dict[str, History] = {}

    def history(key: str) -> History:
        if key not in histories:
            histories[key] = history_of(key, evidence, rules)
        return histories[key]

    placing = Placer(evidence, rules, Containers(evidence), history).place(fact)
    return [named, *(placing.order_ids or (None,)), *(placing.loser or ())[:1]]
