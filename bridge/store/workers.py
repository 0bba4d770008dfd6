"""Workers and couriers in the database: badges and names, sealed."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Engine, and_, delete, func, insert, or_, select, update

from bridge.domain.order.possession import TAKES
from bridge.ingest.workers import ABOUT_NAME, CourierNameRow, WorkerRow, about_courier, hashes_of, row_of
from bridge.operations.worker_ports import EventBy
from bridge.store import tables as t
from bridge.store.forgetting import secure
from bridge.store.relations import READ_AT_ONCE
from bridge.store.sqlite import translated
from bridge.vault import Vault
from devices.protocol.messages import load
from devices.protocol.vocabulary import EventType


class WorkerQueries:
    """See `operations.worker_ports.WorkerQueries`."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def workers(self) -> list[WorkerRow]:
        with translated(), self._reader.connect() as connection:
            query = select(t.workers).order_by(t.workers.c.since_ms.desc(), t.workers.c.pseudonym)
            return [WorkerRow(*row) for row in connection.execute(query)]

    def orders_of_courier(self, courier: str) -> list[str]:
        events = t.events.c
        order = func.coalesce(t.placed.c.order_id, events.order_id)
        query = select(order, events.type, events.payload).join(t.placed, t.placed.c.pos == events.pos, isouter=True)
        mentions = or_(events.type == EventType.ASSIGNED, and_(events.courier == courier, events.type.in_(TAKES)))
        with translated(), self._reader.connect() as connection:
            found = connection.execute(query.where(mentions))
            return sorted({order_id for order_id, kind, payload in found if order_id and (kind in TAKES or load(payload)["body"]["courier"] == courier)})

    def events_by(
        self, pseudonyms: Collection[str], courier: str | None, *, limit: int, since_ms: int | None = None, until_ms: int | None = None
    ) -> list[EventBy]:
        events = t.events.c
        order = func.coalesce(t.placed.c.order_id, events.order_id)
        columns = (events.pos, events.type, order, events.device, events.at, events.event_ms, events.payload)
        query = select(*columns).join(t.placed, t.placed.c.pos == events.pos, isouter=True).order_by(events.pos)
        needles = [pseudonym.encode() for pseudonym in pseudonyms]
        if not needles:
            query = query.where(events.courier == courier)
        if since_ms is not None:
            query = query.where(events.event_ms >= since_ms)
        if until_ms is not None:
            query = query.where(events.event_ms < until_ms)
        found: dict[int, EventBy] = {}
        with translated(), self._reader.connect() as connection:
            for pos, kind, order_id, device, at, event_ms, payload in connection.execution_options(yield_per=READ_AT_ONCE).execute(query):
                if not needles or any(needle in payload for needle in needles):
                    found.setdefault(pos, EventBy(type=kind, order=order_id or None, device=device, place=at, at_ms=event_ms))
                    if len(found) >= limit:
                        break
        return list(found.values())

    def courier_names(self) -> list[CourierNameRow]:
        with translated(), self._reader.connect() as connection:
            return [CourierNameRow(*row) for row in connection.execute(select(t.courier_names).order_by(t.courier_names.c.courier))]


def name_worker(engine: Engine, vault: Vault, badge: str, name: str, now_ms: int) -> str:
    """Give a badge a name, in the place of an earlier one. Returns the pseudonym that stands for it last; a badge that was never used gets one."""
    sealed = vault.seal(name.encode(), ABOUT_NAME)
    of_badge = t.workers.c.badge_hash.in_(hashes_of(vault, badge))
    with translated(), engine.begin() as connection:
        pseudonym: str | None = connection.execute(
            select(t.workers.c.pseudonym).where(of_badge).order_by(t.workers.c.since_ms.desc()).limit(1)
        ).scalar_one_or_none()
        if pseudonym is not None:
            connection.execute(update(t.workers).where(of_badge).values(name=sealed))
            return pseudonym
        row = row_of(vault, badge, sealed, now_ms)
        connection.execute(insert(t.workers).values(**row._asdict()))
        return row.pseudonym


def rows_of_worker(engine: Engine, vault: Vault, who: str) -> list[WorkerRow]:
    """All that links pseudonyms to a badge, given the badge or one of them."""
    by_pseudonym = select(t.workers.c.badge_hash).where(t.workers.c.pseudonym == who)
    these = t.workers.c.badge_hash.in_(by_pseudonym) | t.workers.c.badge_hash.in_(hashes_of(vault, who))
    with translated(), engine.connect() as connection:
        return [WorkerRow(*row) for row in connection.execute(select(t.workers).where(these).order_by(t.workers.c.since_ms))]


def name_courier(engine: Engine, vault: Vault, courier: str, name: str, now_ms: int) -> None:
    """Give a courier a name, in the place of an earlier one."""
    row = CourierNameRow(courier, vault.seal(name.encode(), about_courier(courier)), now_ms)
    with secure(engine) as connection:
        connection.execute(delete(t.courier_names).where(t.courier_names.c.courier == courier))
        connection.execute(insert(t.courier_names).values(**row._asdict()))


def has_unused(reader: Engine, before_ms: int) -> bool:
    """Whether any badge was used last before a time."""
    with translated(), reader.connect() as connection:
        return connection.execute(select(t.workers.c.pseudonym).where(t.workers.c.last_ms < before_ms).limit(1)).first() is not None


def drop_unused(engine: Engine, before_ms: int) -> int:
    """Delete what links pseudonyms to badges that were used last before a time. Returns how many."""
    with secure(engine) as connection:
        return connection.execute(delete(t.workers).where(t.workers.c.last_ms < before_ms)).rowcount
