"""Reads of the event log and the quarantine, for people."""

from __future__ import annotations

from typing import Any, Final

import cbor2
from sqlalchemy import ColumnElement, CompoundSelect, Engine, and_, exists, func, select

from bridge.domain.facts import DECIDED
from bridge.domain.jobs import derived_job_id
from bridge.ingest.codes import placed_fact
from bridge.ingest.log import EventRow
from bridge.operations.ports import Row, Sought, StoredFact
from bridge.store import tables as t
from bridge.store.relations import READ_AT_ONCE
from bridge.store.sqlite import translated
from devices.protocol.vocabulary import EventType, Outcome

_ABOUT_JOBS: Final = (EventType.ASSIGNED, EventType.UNASSIGNED, EventType.CLAIM, EventType.DECLINE, DECIDED)


class EventQueries:
    """The reads of events of `operations.ports.Queries`."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def facts(self, order_id: str) -> list[StoredFact]:
        placed = (t.placed.c.refusal, t.placed.c.warn.label("odd"), t.placed.c.inside)
        query = (
            select(t.events, *placed, t.receipts.c.payload.label("receipt"))
            .join(t.receipts, t.receipts.c.pos == t.events.c.pos, isouter=True)
            .join(t.placed, and_(t.placed.c.pos == t.events.c.pos, t.placed.c.order_id == order_id), isouter=True)
            .where(t.events.c.pos.in_(_positions(order_id)))
            .order_by(t.events.c.pos)
        )
        with translated(), self._reader.connect() as connection:
            found = []
            for row in connection.execute(query):
                event = EventRow(*row[:-4])
                fact = placed_fact(event, row.refusal, row.odd or "", row.inside)
                found.append(StoredFact(fact, event, cbor2.loads(row.receipt) if row.receipt else {}))
            return found

    def events_with_id(self, event_id: bytes) -> list[Row]:
        query = select(t.events.c.device, t.events.c.type, order_of().label("order")).where(t.events.c.id == event_id)
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(query)]

    def event_count(self, order_id: str) -> int:
        with translated(), self._reader.connect() as connection:
            return connection.execute(select(func.count()).select_from(_positions(order_id).subquery())).scalar_one()

    def events(self, *, order_id: str | None, device: str | None, event_type: str | None, outcome: str | None, limit: int) -> list[Row]:
        columns = [c for c in t.events.c if c.name != "payload"]
        query = (
            select(*columns, order_of().label("order"), t.receipts.c.outcome, t.receipts.c.reason)
            .join(t.receipts, t.receipts.c.pos == t.events.c.pos, isouter=True)
            .order_by(t.events.c.pos.desc())
            .limit(limit)
        )
        wanted = ((t.events.c.device, device), (t.events.c.type, event_type), (t.receipts.c.outcome, outcome))
        for column, value in wanted:
            if value is not None:
                query = query.where(column == value)
        if order_id is not None:
            query = query.where(t.events.c.pos.in_(_positions(order_id)))
        if outcome == Outcome.PARKED:  # a frequent query for few of many events: use the short table of parked events
            query = query.where(t.events.c.pos.in_(select(t.parked.c.pos)))
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(query)]

    def about_job(self, job: str) -> list[Row]:
        events, receipts = t.events.c, t.receipts.c
        columns = (events.pos, events.id, events.type, events.device, events.courier, events.event_ms, events.received_ms, events.payload)
        query = (
            select(*columns, order_of().label("order"), receipts.outcome, receipts.reason)
            .join(t.receipts, receipts.pos == events.pos, isouter=True)
            .where(events.type.in_(_ABOUT_JOBS))
            .order_by(events.pos)
        )
        with translated(), self._reader.connect() as connection:
            found = connection.execution_options(yield_per=READ_AT_ONCE).execute(query)
            return [dict(r._mapping) for r in found if job.encode() in r.payload or job == derived_job_id(r.id)]

    def quarantine(self, sought: Sought, *, limit: int) -> list[Row]:
        columns = [c for c in t.quarantine.c if c.name != "payload"]
        query = select(*columns, func.length(t.quarantine.c.payload).label("bytes")).where(*_sought(sought))
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(query.order_by(t.quarantine.c.no.desc()).limit(limit))]

    def quarantine_numbers(self, sought: Sought) -> list[int]:
        with translated(), self._reader.connect() as connection:
            return list(connection.execute(select(t.quarantine.c.no).where(*_sought(sought)).order_by(t.quarantine.c.no)).scalars())

    def quarantined(self, no: int) -> Row | None:
        with translated(), self._reader.connect() as connection:
            query = select(t.quarantine, t.events.c.payload.label("stored")).join(t.events, t.events.c.pos == t.quarantine.c.pos, isouter=True)
            row = connection.execute(query.where(t.quarantine.c.no == no)).one_or_none()
            if row is None:
                return None
            found = dict(row._mapping)
            stored = found.pop("stored")
            return {**found, "payload": stored if stored is not None else found["payload"]}


def _sought(sought: Sought) -> list[ColumnElement[bool]]:
    """The conditions on entries of the quarantine."""
    kept = t.quarantine.c
    found: list[ColumnElement[bool]] = []
    if sought.device is not None:
        found.append(kept.device == sought.device)
    if sought.reason is not None:
        found.append(kept.reason == sought.reason)
    if sought.before_ms is not None:
        found.append(kept.received_ms < sought.before_ms)
    return found


def order_of() -> Any:
    """The orders that an event belongs to now, with blanks between them; None for none."""
    moved = select(func.group_concat(t.placed.c.order_id, " ")).where(t.placed.c.pos == t.events.c.pos).scalar_subquery()
    return func.nullif(func.coalesce(moved, t.events.c.order_id), "")


def _positions(order_id: str) -> CompoundSelect[tuple[int]]:
    """Positions of an order's events in the log. Two look-ups by index: an OR over both tables would read the whole log."""
    own = select(t.events.c.pos).where(t.events.c.order_id == order_id, ~exists().where(t.placed.c.pos == t.events.c.pos))
    return own.union(select(t.placed.c.pos).where(t.placed.c.order_id == order_id))
