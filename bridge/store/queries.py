"""Reads for operators and for the start of a server: orders, events, receipts, ledgers of devices. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cbor2
from sqlalchemy import CompoundSelect, Engine, and_, exists, func, select

from bridge.domain.articles import Article
from bridge.domain.jobs import Job
from bridge.ingest.codes import placed_fact
from bridge.ingest.items import Message
from bridge.ingest.log import EventRow
from bridge.operations.ports import ArticlePlan, Row, StoredFact
from bridge.projections.alerts import AlertRow, alert_plain
from bridge.projections.mispicks import HOUR_MS
from bridge.store import tables as t
from bridge.store.articles import article_named, articles_page, plan_articles
from bridge.store.relations import chunks
from bridge.store.sqlite import translated
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import OPEN_JOB_STATES, JobState, Outcome


def newest_ms(reader: Engine) -> int:
    """The newest time in the database; 0 if it has none."""
    newest = (
        select(t.events.c.received_ms).order_by(t.events.c.pos.desc()).limit(1),
        select(t.quarantine.c.received_ms).order_by(t.quarantine.c.no.desc()).limit(1),
        select(t.message_log.c.at_ms).order_by(t.message_log.c.pos.desc()).limit(1),
        select(t.status_log.c.updated_ms).order_by(t.status_log.c.no.desc()).limit(1),
        select(func.max(t.sessions.c.seen_ms)),
        select(func.max(t.alerts.c.since_ms)),
        select(func.max(t.ledger.c.updated_ms)),
    )
    with translated(), reader.connect() as connection:
        return max(connection.execute(query).scalar() or 0 for query in newest)


class Queries:
    """Reads of one site's database; the reads of `operations.ports.Queries` are described there.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def __init__(self, reader: Engine, topics: Topics) -> None:
        self._reader = reader
        self._topics = topics

    def retained(self, encode: Callable[[Any], bytes] | None) -> Iterator[Message]:
        """Every retained message except the statuses of orders and parcels (`statuses.py`). `encode` encodes the bridge's own, if they are not CBOR."""
        with translated(), self._reader.connect() as connection:
            for row in connection.execute(select(t.alerts)):
                yield Message(self._topics.alert(row.code, row.subject), (encode or cbor2.dumps)(alert_plain(AlertRow(*row))), 1, True)
            yield from (Message(r.topic, r.payload, r.qos, True) for r in connection.execute(select(t.retained)))

    def orders(self, *, state: str | None, limit: int) -> list[Row]:
        query = select(t.orders).where(t.orders.c.state != "").order_by(t.orders.c.updated_ms.desc(), t.orders.c.order_id).limit(limit)
        if state is not None:
            query = query.where(t.orders.c.state == state)
        with translated(), self._reader.connect() as connection:
            return [cbor2.loads(r.status) for r in connection.execute(query)]

    def order(self, order_id: str) -> Row | None:
        with translated(), self._reader.connect() as connection:
            found = connection.execute(select(t.orders.c.status).where(t.orders.c.order_id == order_id, t.orders.c.state != "")).scalar_one_or_none()
            if found is None:
                return None
            parcels = connection.execute(select(t.parcels.c.status).where(t.parcels.c.order_id == order_id).order_by(t.parcels.c.parcel))
            return {"status": cbor2.loads(found), "parcels": [cbor2.loads(p) for (p,) in parcels]}

    def order_states(self, order_ids: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        with translated(), self._reader.connect() as connection:
            for some in chunks(list(order_ids)):
                rows = connection.execute(select(t.orders.c.order_id, t.orders.c.state).where(t.orders.c.order_id.in_(some), t.orders.c.state != ""))
                found.update((order_id, state) for order_id, state in rows)
        return found

    def order_counts(self) -> dict[str, int]:
        with translated(), self._reader.connect() as connection:
            query = select(t.orders.c.state, func.count()).where(t.orders.c.state != "").group_by(t.orders.c.state)
            return {r[0]: r[1] for r in connection.execute(query)}

    def status_log(self, *, after: int, order_ids: Sequence[str] | None, limit: int) -> list[Row]:
        query = select(t.status_log).where(t.status_log.c.no > after).order_by(t.status_log.c.no).limit(limit)
        if order_ids:
            query = query.where(t.status_log.c.order_id.in_(order_ids))
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(query)]

    def status_log_end(self) -> int:
        with translated(), self._reader.connect() as connection:
            return connection.execute(select(func.max(t.status_log.c.no))).scalar() or 0

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

    def quarantine(self, *, limit: int) -> list[Row]:
        columns = [c for c in t.quarantine.c if c.name != "payload"]
        with translated(), self._reader.connect() as connection:
            query = select(*columns, func.length(t.quarantine.c.payload).label("bytes")).order_by(t.quarantine.c.no.desc()).limit(limit)
            return [dict(r._mapping) for r in connection.execute(query)]

    def quarantined(self, no: int) -> Row | None:
        with translated(), self._reader.connect() as connection:
            query = select(t.quarantine, t.events.c.payload.label("stored")).join(t.events, t.events.c.pos == t.quarantine.c.pos, isouter=True)
            row = connection.execute(query.where(t.quarantine.c.no == no)).one_or_none()
            if row is None:
                return None
            found = dict(row._mapping)
            stored = found.pop("stored")
            return {**found, "payload": stored if stored is not None else found["payload"]}

    def mispicks(self, *, by: str, since_ms: int) -> list[Row]:
        column = {"article": t.mispicks.c.article, "place": t.mispicks.c.place, "hour": t.mispicks.c.hour_ms}[by]
        count = func.count().label("count")
        query = select(column, t.mispicks.c.reason, count).where(t.mispicks.c.hour_ms > since_ms - HOUR_MS).group_by(column, t.mispicks.c.reason)
        query = query.order_by(*([column] if by == "hour" else [count.desc(), column]), t.mispicks.c.reason)
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(query)]

    def ledgers(self, device: str | None = None) -> list[Row]:
        query = select(t.ledger).order_by(t.ledger.c.device, t.ledger.c.log)
        if device is not None:
            query = query.where(t.ledger.c.device == device)
        with translated(), self._reader.connect() as connection:
            return [{**r._mapping, "ranges": cbor2.loads(r.ranges)} for r in connection.execute(query)]

    def presences(self, devices: Iterable[str]) -> dict[str, Row]:
        wanted = {self._topics.presence(device): device for device in devices}
        found = {}
        with translated(), self._reader.connect() as connection:
            for some in chunks(list(wanted)):
                for topic, payload in connection.execute(select(t.retained.c.topic, t.retained.c.payload).where(t.retained.c.topic.in_(some))):
                    if payload[:1] != b"{":
                        found[wanted[topic]] = cbor2.loads(payload)
        return found

    def jobs(self, *, courier: str | None = None, only_open: bool = False) -> list[Job]:
        query = select(t.jobs).order_by(t.jobs.c.job)
        if courier is not None:
            query = query.where(t.jobs.c.courier == courier)
        if only_open:
            query = query.where(t.jobs.c.state.in_(sorted(OPEN_JOB_STATES)))
        with translated(), self._reader.connect() as connection:
            return [_job(row) for row in connection.execute(query)]

    def job(self, job_id: str) -> Job | None:
        with translated(), self._reader.connect() as connection:
            row = connection.execute(select(t.jobs).where(t.jobs.c.job == job_id)).one_or_none()
            return _job(row) if row is not None else None

    def articles(self, *, limit: int) -> list[Article]:
        with translated(), self._reader.connect() as connection:
            return articles_page(connection, limit)

    def article(self, text: str) -> Article | None:
        with translated(), self._reader.connect() as connection:
            return article_named(connection, text)

    def article_plan(self, articles: Sequence[Article], *, articles_max: int) -> ArticlePlan:
        with translated(), self._reader.connect() as connection:
            return plan_articles(connection, articles, articles_max=articles_max)

    def alerts(self) -> list[Row]:
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(select(t.alerts).order_by(t.alerts.c.since_ms))]


def order_of() -> Any:
    """The orders that an event belongs to now, with blanks between them; None for none."""
    moved = select(func.group_concat(t.placed.c.order_id, " ")).where(t.placed.c.pos == t.events.c.pos).scalar_subquery()
    return func.nullif(func.coalesce(moved, t.events.c.order_id), "")


def _positions(order_id: str) -> CompoundSelect[tuple[int]]:
    """Positions of an order's events in the log. Two look-ups by index: an OR over both tables would read the whole log."""
    own = select(t.events.c.pos).where(t.events.c.order_id == order_id, ~exists().where(t.placed.c.pos == t.events.c.pos))
    return own.union(select(t.placed.c.pos).where(t.placed.c.order_id == order_id))


def _job(row: Any) -> Job:
    return Job(id=row.job, rev=row.rev, state=JobState(row.state), courier=row.courier, orders=tuple(cbor2.loads(row.orders)))
