"""Reads for operators and for the start of a server; those of orders, events and reports are in
`order_queries.py`, `event_queries.py` and `report_queries.py`. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import cbor2
from sqlalchemy import Engine, func, select

from bridge.domain.articles import Article
from bridge.domain.jobs import Job
from bridge.domain.places import Place
from bridge.ingest.imported_files import ImportedFileRow
from bridge.ingest.items import Message
from bridge.operations.place_ports import PlacePlan, StoredVisit
from bridge.operations.ports import ArticlePlan, Row
from bridge.store import tables as t
from bridge.store.alert_queries import AlertQueries
from bridge.store.articles import article_named, articles_page, plan_articles
from bridge.store.courier_queries import CourierQueries
from bridge.store.event_queries import EventQueries, order_of
from bridge.store.figure_queries import FigureQueries
from bridge.store.imported_files import file_with
from bridge.store.notice_queries import NoticeQueries
from bridge.store.order_queries import OrderQueries
from bridge.store.places import all_places, plan_places, visits_page
from bridge.store.privacy_queries import PrivacyQueries
from bridge.store.relations import chunks
from bridge.store.report_queries import ReportQueries
from bridge.store.sqlite import translated
from bridge.store.trace_queries import TraceQueries
from bridge.store.workers import WorkerQueries
from devices.protocol.messages import load
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import OPEN_JOB_STATES, JobState


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


class Queries(
    OrderQueries, NoticeQueries, EventQueries, AlertQueries, FigureQueries, TraceQueries, ReportQueries, PrivacyQueries, WorkerQueries, CourierQueries
):
    """Reads of one site's database; the reads of `operations.ports.Queries` are described there.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def __init__(self, reader: Engine, topics: Topics) -> None:
        OrderQueries.__init__(self, reader)
        AlertQueries.__init__(self, reader, topics)

    def retained(self, encode: Callable[[Any], bytes] | None) -> Iterator[Message]:
        """Every retained message except the statuses of orders and parcels (`statuses.py`). `encode` encodes the bridge's own, if they are not CBOR."""
        yield from self.retained_alerts(encode)
        with translated(), self._reader.connect() as connection:
            yield from (Message(r.topic, r.payload, r.qos, True) for r in connection.execute(select(t.retained)))

    def ledgers(self, device: str | None = None) -> list[Row]:
        query = select(t.ledger).order_by(t.ledger.c.device, t.ledger.c.log)
        if device is not None:
            query = query.where(t.ledger.c.device == device)
        with translated(), self._reader.connect() as connection:
            return [{**r._mapping, "ranges": cbor2.loads(r.ranges)} for r in connection.execute(query)]

    def dropped_points(self, device: str) -> list[Row]:
        query = select(t.dropped_points).where(t.dropped_points.c.device == device).order_by(t.dropped_points.c.reason)
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(query)]

    def presences(self, devices: Iterable[str]) -> dict[str, Row]:
        wanted = {self._topics.presence(device): device for device in devices}
        found = {}
        with translated(), self._reader.connect() as connection:
            for some in chunks(list(wanted)):
                for topic, payload in connection.execute(select(t.retained.c.topic, t.retained.c.payload).where(t.retained.c.topic.in_(some))):
                    found[wanted[topic]] = load(payload)
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

    def places(self) -> list[Place]:
        with translated(), self._reader.connect() as connection:
            return all_places(connection)

    def place_plan(self, places: Sequence[Place], *, removes_others: bool, places_max: int) -> PlacePlan:
        with translated(), self._reader.connect() as connection:
            return plan_places(connection, places, removes_others=removes_others, places_max=places_max)

    def visits(self, *, place: str | None, device: str | None, limit: int) -> list[StoredVisit]:
        with translated(), self._reader.connect() as connection:
            return visits_page(connection, place=place, device=device, limit=limit)

    def imported_file(self, channel: str, sha256: str) -> ImportedFileRow | None:
        with translated(), self._reader.connect() as connection:
            return file_with(connection, channel, sha256)


def _job(row: Any) -> Job:
    return Job(id=row.job, rev=row.rev, state=JobState(row.state), courier=row.courier, orders=tuple(cbor2.loads(row.orders)))


__all__ = ["Queries", "newest_ms", "order_of"]
