"""Reads of orders, for people: filtered, sorted, page by page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import cbor2
from sqlalchemy import ColumnElement, Connection, Engine, and_, func, literal, or_, select

from bridge.domain.facts import Fact
from bridge.operations.order_ports import Row, Seeking, SentEvent, Sort, Wanted
from bridge.operations.waits import ENDED
from bridge.store import tables as t
from bridge.store.carrier_queries import CarrierQueries
from bridge.store.handovers import HandoverQueries
from bridge.store.relations import chunks
from bridge.store.sql import SqlTransaction
from bridge.store.sqlite import translated
from devices.protocol.vocabulary import OPEN_JOB_STATES

_NO_PROMISE_MS: Final = 2**62
"""Orders without a promise come after all others."""


class _Key(NamedTuple):
    """A column that orders are sorted by; `falls`: the highest first."""

    column: ColumnElement[Any]
    falls: bool = False


_BY_ID: Final = _Key(t.orders.c.order_id)
_SORTS: Final[dict[Sort, tuple[_Key, ...]]] = {
    Sort.CHANGED: (_Key(t.orders.c.updated_ms, falls=True), _BY_ID),
    Sort.SINCE: (_Key(t.orders.c.at_ms), _BY_ID),
    Sort.PROMISE: (_Key(func.coalesce(t.orders.c.promise_ms, _NO_PROMISE_MS)), _BY_ID),
    Sort.ORDER: (_BY_ID,),
}


class OrderQueries(HandoverQueries, CarrierQueries):
    """The reads of `operations.order_ports.OrderQueries`."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def orders(self, wanted: Wanted, *, sort: Sort, after: str | None, limit: int) -> list[Row]:
        keys = _SORTS[sort]
        with translated(), self._reader.connect() as connection:
            query = select(t.orders.c.order_id).where(t.orders.c.state != "", *_conditions(wanted, self._orders_of(connection, wanted.courier)))
            if after is not None:
                place = connection.execute(select(*(k.column for k in keys)).where(t.orders.c.order_id == after)).one()
                query = query.where(_follows(keys, place))
            # The statuses are large: only those that are printed are read.
            ids = query.order_by(*(k.column.desc() if k.falls else k.column for k in keys)).limit(limit)
            found = [order_id for (order_id,) in connection.execute(ids)]
            rows = {}
            for some in chunks(found):
                columns = (t.orders.c.order_id, t.orders.c.status, t.orders.c.channel, t.orders.c.carrier, t.orders.c.promise_ms, t.orders.c.ship_by_ms)
                for order_id, status, channel, carrier, promise_ms, ship_by_ms in connection.execute(select(*columns).where(t.orders.c.order_id.in_(some))):
                    about = {"channel": channel, "carrier": carrier or None, "promise_ms": promise_ms, "ship_by_ms": ship_by_ms}
                    rows[order_id] = {**cbor2.loads(status), **about}
            return [rows[order_id] for order_id in found]

    def _orders_of(self, connection: Connection, courier: str | None) -> list[str] | None:
        """The orders in a courier's open jobs; None if any courier is meant."""
        if courier is None:
            return None
        jobs = select(t.jobs.c.orders).where(t.jobs.c.courier == courier, t.jobs.c.state.in_(sorted(OPEN_JOB_STATES)))
        return [order for (orders,) in connection.execute(jobs) for order in cbor2.loads(orders)]

    def waiting_orders(self, seeking: Seeking) -> list[str]:
        orders = t.orders.c
        flagged = [and_(_has_flag(*flags), orders.state.not_in(ended)) for flags, ended in seeking.flags]
        late = [and_(orders.state == state, orders.at_ms <= before_ms) for state, before_ms in seeking.states.items()]
        with translated(), self._reader.connect() as connection:
            query = select(orders.order_id, orders.at_ms).where(orders.state != "", or_(and_(orders.flags != "", or_(*flagged)), *late))
            found: dict[str, int] = {row.order_id: row.at_ms for row in connection.execute(query)}
            parcels = select(t.parcels.c.order_id, t.parcels.c.state, t.parcels.c.status).where(t.parcels.c.state.in_(seeking.parcels))
            for order_id, state, status in connection.execute(parcels):
                if (at_ms := cbor2.loads(status)["at_ms"]) <= seeking.parcels[state]:
                    found.setdefault(order_id, at_ms)
        return sorted(found, key=lambda order_id: (found[order_id], order_id))

    def parked(self, *, limit: int) -> list[Row]:
        parked = t.parked.c
        since, events = func.min(parked.since_ms).label("since_ms"), func.count().label("events")
        query = select(parked.ref_kind, parked.ref, func.min(parked.order_id).label("order_id"), events, since).group_by(parked.ref_kind, parked.ref)
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(query.order_by(since, parked.ref).limit(limit))]

    def quarantine_groups(self, *, limit: int) -> list[Row]:
        kept = t.quarantine.c
        since, no, messages = func.min(kept.received_ms).label("since_ms"), func.min(kept.no).label("no"), func.count().label("messages")
        query = select(kept.device, kept.reason, messages, no, since).group_by(kept.device, kept.reason)
        with translated(), self._reader.connect() as connection:
            return [dict(r._mapping) for r in connection.execute(query.order_by(since, kept.device).limit(limit))]

    def quarantine_count(self) -> int:
        with translated(), self._reader.connect() as connection:
            return connection.execute(select(func.count()).select_from(t.quarantine)).scalar_one()

    def channels(self) -> list[str]:
        with translated(), self._reader.connect() as connection:
            return sorted(connection.execute(select(t.orders.c.channel).where(t.orders.c.state != "").distinct()).scalars())

    def carriers(self) -> list[str]:
        with translated(), self._reader.connect() as connection:
            carriers = t.orders.c.carrier
            return sorted(connection.execute(select(carriers).where(t.orders.c.state != "", carriers != "").distinct()).scalars())

    def order(self, order_id: str) -> Row | None:
        with translated(), self._reader.connect() as connection:
            found = connection.execute(select(t.orders.c.status).where(t.orders.c.order_id == order_id, t.orders.c.state != "")).scalar_one_or_none()
            if found is None:
                return None
            parcels = connection.execute(select(t.parcels.c.status).where(t.parcels.c.order_id == order_id).order_by(t.parcels.c.parcel))
            return {"status": cbor2.loads(found), "parcels": [cbor2.loads(p) for (p,) in parcels]}

    def stories(self, order_ids: Sequence[str]) -> dict[str, tuple[Row, list[Fact]]]:
        found: dict[str, tuple[Row, list[Fact]]] = {}
        with translated(), self._reader.connect() as connection:
            tx = SqlTransaction(connection)
            for some in chunks(list(order_ids)):
                rows = connection.execute(select(t.orders.c.order_id, t.orders.c.status).where(t.orders.c.order_id.in_(some), t.orders.c.state != ""))
                statuses = {order_id: cbor2.loads(status) for order_id, status in rows}
                found.update((order_id, (statuses[order_id], facts)) for order_id, facts in tx.facts(some).items() if order_id in statuses)
        return found

    def order_states(self, order_ids: Iterable[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        with translated(), self._reader.connect() as connection:
            for some in chunks(list(order_ids)):
                rows = connection.execute(select(t.orders.c.order_id, t.orders.c.state).where(t.orders.c.order_id.in_(some), t.orders.c.state != ""))
                found.update((order_id, state) for order_id, state in rows)
        return found

    def sent(self, device: str, order_ids: Iterable[str]) -> list[SentEvent]:
        query = select(t.events.c.order_id, t.events.c.type, t.events.c.payload).where(t.events.c.device == device).order_by(t.events.c.pos)
        found = []
        with translated(), self._reader.connect() as connection:
            for some in chunks(list(order_ids)):
                found += [SentEvent(*row) for row in connection.execute(query.where(t.events.c.order_id.in_(some)))]
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


def _conditions(wanted: Wanted, orders_of_courier: list[str] | None) -> list[ColumnElement[bool]]:
    orders = t.orders.c
    found: list[ColumnElement[bool]] = []
    if wanted.states:
        found.append(orders.state.in_(wanted.states))
    if wanted.flags:
        found.append(_has_flag(*wanted.flags))
    if wanted.since_before_ms is not None:
        found.append(orders.at_ms < wanted.since_before_ms)
    if wanted.channel is not None:
        found.append(orders.channel == wanted.channel)
    if wanted.carrier is not None:
        found.append(func.lower(orders.carrier) == wanted.carrier.lower())
    if orders_of_courier is not None:
        found.append(orders.order_id.in_(orders_of_courier))
    if wanted.device is not None:
        found.append(orders.order_id.in_(_orders_with_events_of(wanted.device)))
    if wanted.text is not None:
        with_code = select(t.parcels.c.order_id).where(func.instr(func.lower(t.parcels.c.codes), wanted.text.lower()) > 0)
        found.append(or_(func.instr(func.lower(orders.order_id), wanted.text.lower()) > 0, orders.order_id.in_(with_code)))
    if wanted.promise_before_ms is not None:
        found.append(and_(orders.promise_ms < wanted.promise_before_ms, orders.state.not_in(ENDED)))
    return found


def _has_flag(*flags: str) -> ColumnElement[bool]:
    """Whether an order has one of these flags."""
    return or_(*(func.instr(literal(" ") + t.orders.c.flags + " ", f" {flag} ") > 0 for flag in flags))


def _orders_with_events_of(device: str) -> Any:
    own = select(t.events.c.order_id).where(t.events.c.device == device, t.events.c.order_id.is_not(None))
    moved = select(t.placed.c.order_id).join(t.events, t.events.c.pos == t.placed.c.pos).where(t.events.c.device == device)
    return own.union(moved)


def _follows(keys: Sequence[_Key], place: Sequence[Any]) -> ColumnElement[bool]:
    """Whether a row comes after a place in the sequence of these keys."""
    found: list[ColumnElement[bool]] = []
    for number, (key, value) in enumerate(zip(keys, place, strict=True)):
        same = [k.column == v for k, v in zip(keys[:number], place, strict=False)]
        found.append(and_(*same, key.column < value if key.falls else key.column > value))
    return or_(*found)
