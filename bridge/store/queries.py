"""What is read for people and at the start: orders, events, receipts, devices' ledgers. Nothing here writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cbor2
from sqlalchemy import CompoundSelect, Engine, func, select

from bridge.domain.facts import Fact
from bridge.ingest.items import Message
from bridge.ingest.log import EventRow, stored_fact
from bridge.projections.alerts import AlertRow, alert_plain
from bridge.store import tables as t
from bridge.store.relations import chunks
from bridge.store.sqlite import translated
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Outcome

Row = dict[str, Any]


def retained(reader: Engine, topics: Topics, encode: Callable[[Any], bytes] | None) -> Iterator[Message]:
    """Every retained message but the statuses of orders and parcels (`statuses.py`); those of the bridge are encoded with `encode` where it is given."""
    with translated(), reader.connect() as connection:
        for row in connection.execute(select(t.alerts)):
            yield Message(topics.alert(row.code, row.subject), (encode or cbor2.dumps)(alert_plain(AlertRow(*row))), 1, True)
        yield from (Message(r.topic, r.payload, r.qos, True) for r in connection.execute(select(t.retained)))


def newest_ms(reader: Engine) -> int:
    """The newest time at which a server did something, as far as its database says; 0 where it has done nothing."""
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


def orders(reader: Engine, *, state: str | None, limit: int) -> list[Row]:
    """Orders as they stand, the ones that changed last first."""
    query = select(t.orders).where(t.orders.c.state != "").order_by(t.orders.c.updated_ms.desc(), t.orders.c.order_id).limit(limit)
    if state is not None:
        query = query.where(t.orders.c.state == state)
    with translated(), reader.connect() as connection:
        return [cbor2.loads(r.status) for r in connection.execute(query)]


def order(reader: Engine, order_id: str) -> Row | None:
    """One order's status and parcels, plain."""
    with translated(), reader.connect() as connection:
        found = connection.execute(select(t.orders.c.status).where(t.orders.c.order_id == order_id, t.orders.c.state != "")).scalar_one_or_none()
        if found is None:
            return None
        parcels = connection.execute(select(t.parcels.c.status, t.parcels.c.code).where(t.parcels.c.order_id == order_id).order_by(t.parcels.c.parcel))
        return {"status": cbor2.loads(found), "parcels": [{**cbor2.loads(p), "code": code} for p, code in parcels]}


def order_counts(reader: Engine) -> dict[str, int]:
    """How many orders are in each state."""
    with translated(), reader.connect() as connection:
        query = select(t.orders.c.state, func.count()).where(t.orders.c.state != "").group_by(t.orders.c.state)
        return {r[0]: r[1] for r in connection.execute(query)}


def status_log(reader: Engine, *, after: int, order_ids: list[str] | None, limit: int) -> list[Row]:
    """Visible changes after an entry of the status log, oldest first."""
    query = select(t.status_log).where(t.status_log.c.no > after).order_by(t.status_log.c.no).limit(limit)
    if order_ids:
        query = query.where(t.status_log.c.order_id.in_(order_ids))
    with translated(), reader.connect() as connection:
        return [dict(r._mapping) for r in connection.execute(query)]


def status_log_end(reader: Engine) -> int:
    """The last entry of the status log, 0 where there is none."""
    with translated(), reader.connect() as connection:
        return connection.execute(select(func.max(t.status_log.c.no))).scalar() or 0


def _positions(order_id: str) -> CompoundSelect[tuple[int]]:
    """Places in the log of an order's events: two look-ups by index, where an OR over both tables would read the whole log."""
    own = select(t.events.c.pos).where(t.events.c.order_id == order_id)
    return own.union(select(t.placed.c.pos).where(t.placed.c.order_id == order_id))


def facts(reader: Engine, order_id: str) -> list[tuple[Fact, EventRow, Row]]:
    """An order's facts in the order of arrival, each with its row and its receipt."""
    query = (
        select(t.events, t.receipts.c.payload.label("receipt"))
        .join(t.receipts, t.receipts.c.pos == t.events.c.pos, isouter=True)
        .where(t.events.c.pos.in_(_positions(order_id)))
        .order_by(t.events.c.pos)
    )
    with translated(), reader.connect() as connection:
        found = []
        for row in connection.execute(query):
            event = EventRow(*row[:-1])
            found.append((stored_fact(event), event, cbor2.loads(row.receipt) if row.receipt else {}))
        return found


def events(reader: Engine, *, order_id: str | None, device: str | None, event_type: str | None, outcome: str | None, limit: int) -> list[Row]:
    """Events with their outcome, the latest first."""
    columns = [c for c in t.events.c if c.name != "payload"]
    query = (
        select(*columns, func.coalesce(t.events.c.order_id, t.placed.c.order_id).label("order"), t.receipts.c.outcome, t.receipts.c.reason)
        .join(t.receipts, t.receipts.c.pos == t.events.c.pos, isouter=True)
        .join(t.placed, t.placed.c.pos == t.events.c.pos, isouter=True)
        .order_by(t.events.c.pos.desc())
        .limit(limit)
    )
    wanted = ((t.events.c.device, device), (t.events.c.type, event_type), (t.receipts.c.outcome, outcome))
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    if order_id is not None:
        query = query.where(t.events.c.pos.in_(_positions(order_id)))
    if outcome == Outcome.PARKED:  # few of many, and asked for often: their table is short
        query = query.where(t.events.c.pos.in_(select(t.parked.c.pos)))
    with translated(), reader.connect() as connection:
        return [dict(r._mapping) for r in connection.execute(query)]


def outcome_counts(reader: Engine) -> dict[str, int]:
    """How many events ended in each outcome."""
    with translated(), reader.connect() as connection:
        return {r[0]: r[1] for r in connection.execute(select(t.receipts.c.outcome, func.count()).group_by(t.receipts.c.outcome))}


def event_counts(reader: Engine) -> dict[str, int]:
    """How many events of each type are stored."""
    with translated(), reader.connect() as connection:
        return {r[0]: r[1] for r in connection.execute(select(t.events.c.type, func.count()).group_by(t.events.c.type))}


def quarantine(reader: Engine, *, limit: int) -> list[Row]:
    """Quarantined messages without their payloads, the latest first."""
    columns = [c for c in t.quarantine.c if c.name != "payload"]
    with translated(), reader.connect() as connection:
        query = select(*columns, func.length(t.quarantine.c.payload).label("bytes")).order_by(t.quarantine.c.no.desc()).limit(limit)
        return [dict(r._mapping) for r in connection.execute(query)]


def quarantined(reader: Engine, no: int) -> Row | None:
    """One quarantined message, whole."""
    with translated(), reader.connect() as connection:
        query = select(t.quarantine, t.events.c.payload.label("stored")).join(t.events, t.events.c.pos == t.quarantine.c.pos, isouter=True)
        row = connection.execute(query.where(t.quarantine.c.no == no)).one_or_none()
        if row is None:
            return None
        found = dict(row._mapping)
        stored = found.pop("stored")
        return {**found, "payload": stored if stored is not None else found["payload"]}


def ledgers(reader: Engine, device: str | None = None) -> list[Row]:
    """What came of each device's logs: the high-water mark and what is owed below it."""
    query = select(t.ledger).order_by(t.ledger.c.device, t.ledger.c.log)
    if device is not None:
        query = query.where(t.ledger.c.device == device)
    with translated(), reader.connect() as connection:
        return [{**r._mapping, "ranges": cbor2.loads(r.ranges)} for r in connection.execute(query)]


def presences(reader: Engine, topics: Topics, devices: Sequence[str]) -> dict[str, Row]:
    """The last presence of some devices, plain, for those that have one."""
    wanted = {topics.presence(device): device for device in devices}
    found = {}
    with translated(), reader.connect() as connection:
        for some in chunks(list(wanted)):
            for topic, payload in connection.execute(select(t.retained.c.topic, t.retained.c.payload).where(t.retained.c.topic.in_(some))):
                if payload[:1] != b"{":
                    found[wanted[topic]] = cbor2.loads(payload)
    return found


def jobs(reader: Engine, *, courier: str | None = None, only_open: bool = False) -> list[Row]:
    """Couriers' jobs."""
    query = select(t.jobs).order_by(t.jobs.c.job)
    if courier is not None:
        query = query.where(t.jobs.c.courier == courier)
    if only_open:
        query = query.where(t.jobs.c.state.in_(["assigned", "accepted"]))
    with translated(), reader.connect() as connection:
        return [{**r._mapping, "orders": cbor2.loads(r.orders)} for r in connection.execute(query)]


def alerts(reader: Engine) -> list[Row]:
    """Alerts that stand."""
    with translated(), reader.connect() as connection:
        return [dict(r._mapping) for r in connection.execute(select(t.alerts).order_by(t.alerts.c.since_ms))]
