"""One batch, one transaction: this module defines the order of effects.

First the gates, then the fold, then the projections with their rows and messages. The caller then commits, shows `Settled.effects`, and acknowledges. This
module uses no clock and no database: each message carries its time, and `ports.Transaction` gives access to the tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from bridge.domain.members import E
from bridge.ingest.accept import ABOUT_JOBS, OF_STAFF, admit, count_refused, fault_of_staff, give_up, needs_all_before, row_of
from bridge.ingest.assembly import Ingest
from bridge.ingest.badges import without_badges
from bridge.ingest.batch import Answer, Arrived, Batch, PresenceHeard, Sent, Started
from bridge.ingest.decoding import EVENT_TYPES, Decoded, Trimmed, decode
from bridge.ingest.entering import flush
from bridge.ingest.items import Change, DropWill, GiveUp, Incoming, Item, Message, OpenJobs, Settled
from bridge.ingest.locating import locate
from bridge.ingest.log import BATCHES, BatchRow, EventRow, fact_of, order_in_code
from bridge.ingest.own_orders import fault_of_access
from bridge.ingest.ports import Transaction
from bridge.ingest.refusing import refuse
from bridge.ingest.relation import Origin
from bridge.ingest.retained import retain
from bridge.ingest.sealing import FORGOTTEN
from bridge.ingest.sessions import IncomingIdRow
from devices.protocol.bodies import Body
from devices.protocol.messages import Event, Locations, Presence
from devices.protocol.vocabulary import EventType, Reason


def settle(items: Sequence[Item], tx: Transaction, ingest: Ingest) -> Settled:
    """Settle a batch inside an open transaction.

    Raises:
        Exception: any error that a poison message or a failing store causes. The caller must then roll back and call `ingest.forget()`.
    """
    batch = ingest.batch(tx, max(i.received_ms for i in items))
    messages = [decode(i) if isinstance(i, Incoming) else None for i in items]
    events = [m.event if isinstance(m, Trimmed) else m for m in messages if isinstance(m, (Event, Trimmed))]
    batch.known = tx.known([e.id for e in events]) if events else {}
    if about := [m.event.order for m in messages if isinstance(m, Trimmed) and m.private is not None and m.event.order is not None]:
        batch.forgotten = {row.order_id for row in tx.rows(FORGOTTEN, order_id=about)}
    batch.memory.load_orders({e.order for e in events if e.order is not None}, tx)
    for item, message in zip(items, messages, strict=True):
        if isinstance(item, Incoming):
            if item.settles is not None:
                _settle_with(item.settles, batch, ingest)
            batch.answers.append(_message(batch, item, message, ingest))
        else:
            _change(batch, item)
            batch.answers.append(None)
    return finish(batch, ingest, "commit")


def sweep(now_ms: int, tx: Transaction, ingest: Ingest) -> Settled:
    """Apply what changes only because time passes: timed flags, statuses that were retained long enough, and alerts about missing events."""
    batch = ingest.batch(tx, now_ms)
    for projection in ingest.projections:
        projection.sweep(batch)
    tx.drop_closed_subscriptions()
    return finish(batch, ingest, "sweep")


def show_jobs(now_ms: int, tx: Transaction, ingest: Ingest) -> OpenJobs:
    """Every open job in its current state, to be retained at the start of the server. This contains nothing new for couriers, and nothing is written."""
    batch = ingest.look(tx, now_ms)
    jobs = ingest.gate.show_all(batch)
    return OpenJobs(jobs, [m for m in batch.published if isinstance(m, Message)])


def mark_all_devices_offline(now_ms: int, tx: Transaction, ingest: Ingest) -> Settled:
    """At the start of the server no device is connected, whatever the presences of the last run say."""
    batch = ingest.batch(tx, now_ms)
    batch.heard(Started())
    return finish(batch, ingest, "start")


def finish(batch: Batch, ingest: Ingest, kind: str) -> Settled:
    """Put what has arrived into its orders, collect the rows and messages of the projections, and write the batch."""
    flush(batch)
    for projection in ingest.projections:
        projection.finish(batch)
    writes = batch.writes
    is_logged = writes.touches(Origin.LOG, Origin.DERIVED)
    if is_logged:
        writes.rows(BATCHES).append(BatchRow(batch.no, batch.now_ms, kind))
        ingest.memory.next_batch = batch.no + 1
    published = batch.published
    if batch.rules.is_lab:
        published = [p for p in published if isinstance(p, Change) or not p.topic.startswith("v1/")]
    effects = ingest.session_log.take(published, writes, batch.now_ms)
    batch.tx.write(writes)
    ingest.memory.trim()
    return Settled(effects, list(batch.jobs_changed.values()), batch.outcomes, batch.no if is_logged else 0)


def _message(batch: Batch, incoming: Incoming, message: Decoded, ingest: Ingest) -> Answer | Sent | None:
    if isinstance(message, Event):
        return _event(batch, incoming, message, ingest)
    if isinstance(message, Trimmed):
        return _event(batch, incoming, message.event, ingest, message)
    if isinstance(message, Presence):
        batch.heard(PresenceHeard(incoming.identity, message, incoming.payload, incoming.received_ms))
    elif isinstance(message, Locations):
        return locate(batch, incoming, message)
    elif message is not None:
        reason, detail = message
        count_refused(batch, incoming)
        return refuse(batch, incoming, reason, detail)
    else:
        if incoming.retain:
            retain(batch, incoming.topic, incoming.payload, incoming.qos)
        batch.published.append(Message(incoming.topic, incoming.payload, incoming.qos, incoming.retain))
    return None


def _settle_with(settles: IncomingIdRow | DropWill, batch: Batch, ingest: Ingest) -> None:
    if isinstance(settles, DropWill):
        batch.published.append(settles)  # in its place among the changes: its will may be stored in the same batch
    else:
        ingest.session_log.received(settles, batch.writes)


def _event(batch: Batch, incoming: Incoming, event: Event[Body], ingest: Ingest, trimmed: Trimmed | None = None) -> Answer | Sent:
    if (answer := admit(batch, incoming, event, trimmed)) is not None:
        return answer
    event_type = EVENT_TYPES[incoming.event_type or ""]
    if needs_all_before(event_type, incoming.identity.role):
        flush(batch)
    if event_type in OF_STAFF and (refused := fault_of_staff(incoming.identity, event.body)) is not None:
        return refuse(batch, incoming, *refused, trimmed and trimmed.payload)
    if incoming.identity.orders_prefix is not None and (fault := fault_of_access(batch, incoming, event, event_type, ingest.gate)) is not None:
        return refuse(batch, incoming, Reason.FORBIDDEN, fault, trimmed and trimmed.payload)
    if event.by is not None or event_type is E.SHIFT_STARTED:
        trimmed = without_badges(batch, incoming, event, trimmed)
        event = trimmed.event
    row = row_of(batch, incoming, event, event_type, ingest.gate, trimmed)
    return enter(batch, row, event, ingest)


def enter(batch: Batch, row: EventRow, event: Event[Body], ingest: Ingest) -> Answer:
    """Take a logged event. Its answer gets the verdict when `flush` puts it into its orders."""
    named = row.order_id if row.type in ABOUT_JOBS else event.order or order_in_code(event.code)
    answer = Answer(row)
    batch.arrive(Arrived(row, event.body, fact_of(row, event.body, named, event.parcel), answer, row.detail))
    if row.type in _ANSWERS and row.order_id is not None:
        ingest.gate.decide(row, event.body, batch)
    return answer


_ANSWERS: Final = frozenset({EventType.CLAIM, EventType.DECLINE})


def _change(batch: Batch, change: Change) -> None:
    batch.heard(change)
    if isinstance(change, GiveUp):
        give_up(batch, change)
    batch.published.append(change)
