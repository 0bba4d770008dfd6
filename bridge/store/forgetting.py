"""What forgets: orders whose personal data is destroyed, those that must not be forgotten yet, and what is kept long enough.

Call everything that writes on the writer's thread, between two batches: what comes later finds its order forgotten.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Engine, Table, and_, delete, exists, insert, or_, select, update

from bridge.ingest.sealing import about_message
from bridge.operations.waits import ENDED
from bridge.store import tables as t
from bridge.store.json_lines import JsonLines
from bridge.store.relations import chunks
from bridge.store.sqlite import translated
from bridge.vault import SealError, Vault

_FORGOTTEN: Final = "forgotten"
_HELD: Final = "held"
_LIFTED: Final = "lifted"
_REQUESTED: Final = "requested"
_WORKER: Final = "forgotten_worker"
_BADGE: Final = "badge_hashes"
_COURIER: Final = "forgotten_courier"
_PHONES: Final = "phones"


class PrivacyLog:
    """What was forgotten, held and asked for, in a file beside the database: a restore of an older backup applies it again."""

    def __init__(self, path: Path) -> None:
        self._lines = JsonLines(path)

    def forgotten(self, orders: Iterable[str], at_ms: int) -> None:
        self._append(_FORGOTTEN, orders, at_ms)

    def held(self, order: str, at_ms: int) -> None:
        self._append(_HELD, [order], at_ms)

    def lifted(self, order: str, at_ms: int) -> None:
        self._append(_LIFTED, [order], at_ms)

    def requested(self, orders: Iterable[str], at_ms: int) -> None:
        self._append(_REQUESTED, orders, at_ms)

    def worker_forgotten(self, pseudonyms: Sequence[str], badge_hashes: Sequence[bytes], at_ms: int) -> None:
        """An older backup may know the badge under pseudonyms that are gone by now: it is recognised by its hashes, too."""
        self._lines.append([{_WORKER: list(pseudonyms), _BADGE: [each.hex() for each in badge_hashes], "at_ms": at_ms}])

    def courier_forgotten(self, courier: str, phones: Sequence[str], at_ms: int) -> None:
        self._lines.append([{_COURIER: courier, _PHONES: list(phones), "at_ms": at_ms}])

    def _append(self, what: str, orders: Iterable[str], at_ms: int) -> None:
        self._lines.append([{what: order, "at_ms": at_ms} for order in orders])

    def _entries(self) -> list[dict[str, Any]]:
        return [entry for entry in self._lines.entries() if type(entry.get("at_ms")) is int]

    @staticmethod
    def _last(entries: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
        """What holds now, by kind: the orders, each with its time."""
        found: dict[str, dict[str, int]] = {_FORGOTTEN: {}, _HELD: {}, _REQUESTED: {}}
        for entry in entries:
            at_ms = entry["at_ms"]
            for what in (_FORGOTTEN, _HELD, _REQUESTED):
                if isinstance(order := entry.get(what), str):
                    found[what][order] = at_ms
            if isinstance(order := entry.get(_LIFTED), str):
                found[_HELD].pop(order, None)
        return found

    def apply(self, connection: Connection) -> list[str]:
        """Make a database know what it does not know yet. Returns the orders that were forgotten now."""
        entries = self._entries()
        last = self._last(entries)
        known = set(connection.execute(select(t.forgotten.c.order_id)).scalars())
        new = {order: at_ms for order, at_ms in last[_FORGOTTEN].items() if order not in known}
        if new:
            connection.exec_driver_sql("PRAGMA secure_delete = ON")
            _forget(connection, new)
        _replace(connection, t.legal_holds, last[_HELD])
        done = known | new.keys()
        _replace(connection, t.forget_requests, {order: at_ms for order, at_ms in last[_REQUESTED].items() if order not in done})
        for entry in entries:
            at_ms = entry["at_ms"]
            if isinstance(pseudonyms := entry.get(_WORKER), list):
                unlink(connection, pseudonyms, [bytes.fromhex(each) for each in entry.get(_BADGE, ())], at_ms)
            elif isinstance(courier := entry.get(_COURIER), str):
                drop_courier_name(connection, courier, at_ms)
                drop_positions(connection, entry.get(_PHONES, []), at_ms)
        return sorted(new)


def _replace(connection: Connection, table: Table, rows: Mapping[str, int]) -> None:
    connection.execute(delete(table))
    if rows:
        connection.execute(insert(table), [{"order_id": order, "at_ms": at_ms} for order, at_ms in rows.items()])


@contextmanager
def secure(engine: Engine) -> Iterator[Connection]:
    """A transaction in which SQLite overwrites what it deletes."""
    with translated(), engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA secure_delete = ON")
        yield connection


def forget_orders(engine: Engine, orders: Sequence[str], at_ms: int) -> None:
    """Destroy the personal data of orders: sealed parts with their keys, keyed hashes, and what of them is in quarantine."""
    with secure(engine) as connection:
        _forget(connection, dict.fromkeys(orders, at_ms))


def _forget(connection: Connection, orders: Mapping[str, int]) -> None:
    for some in chunks(list(orders)):
        parts = select(t.sealed.c.pos).where(t.sealed.c.order_id.in_(some))
        connection.execute(delete(t.contact_hashes).where(t.contact_hashes.c.pos.in_(parts)))
        connection.execute(delete(t.sealed).where(t.sealed.c.order_id.in_(some)))
        connection.execute(delete(t.quarantine).where(t.quarantine.c.order_id.in_(some), t.quarantine.c.pos.is_(None)))
        connection.execute(delete(t.forget_requests).where(t.forget_requests.c.order_id.in_(some)))
        connection.execute(delete(t.forgotten).where(t.forgotten.c.order_id.in_(some)))
        connection.execute(insert(t.forgotten), [{"order_id": order, "at_ms": orders[order]} for order in some])
        # Scans may name only a code; what they had that the contract does not know is sealed without an order.
        arrived = select(t.events.c.pos).where(t.events.c.order_id.in_(some))
        placed = select(t.placed.c.pos).where(t.placed.c.order_id.in_(some))
        connection.execute(delete(t.sealed).where(t.sealed.c.pos.in_(arrived.union(placed)), t.sealed.c.order_id.is_(None)))


def unlink(connection: Connection, pseudonyms: Sequence[str], badge_hashes: Sequence[bytes], at_ms: int) -> None:
    """Delete what links these pseudonyms to a badge, and what linked it to others before a time: from then on it has new ones."""
    workers = t.workers.c
    connection.execute(delete(t.workers).where(or_(workers.pseudonym.in_(pseudonyms), and_(workers.badge_hash.in_(badge_hashes), workers.since_ms < at_ms))))


def drop_courier_name(connection: Connection, courier: str, at_ms: int) -> None:
    """Delete the name that a courier had at a time."""
    names = t.courier_names.c
    connection.execute(delete(t.courier_names).where(names.courier == courier, names.at_ms <= at_ms))


def drop_positions(connection: Connection, devices: Sequence[str], at_ms: int) -> None:
    """Delete where phones were until a time, and when at which places."""
    positions, visits = t.positions.c, t.visits.c
    connection.execute(delete(t.positions).where(positions.device.in_(devices), positions.event_ms <= at_ms))
    connection.execute(delete(t.visits).where(visits.device.in_(devices), visits.arrived_ms <= at_ms))


def drop_quarantined_with(engine: Engine, vault: Vault, texts: Sequence[str]) -> int:
    """Destroy messages in quarantine that have one of these texts, as they may stand in a payload. Returns how many."""
    needles = [form for text in texts for form in (text.encode(), text.encode("utf-16-le"), text.encode("utf-16-be"), json.dumps(text)[1:-1].encode())]
    q = t.quarantine.c
    with secure(engine) as connection:
        rows = connection.execute(select(q.no, q.device, q.digest, q.payload).where(q.is_sealed.is_(True)).order_by(q.no)).all()
        gone = []
        for row in rows:
            with suppress(SealError):
                payload = vault.open(row.payload, about_message(row.device, row.digest))
                if any(needle in payload for needle in needles):
                    gone.append(row.no)
        for some in chunks(gone):
            connection.execute(delete(t.quarantine).where(q.no.in_(some)))
    return len(gone)


FORGOTTEN_WORDS: Final = "(forgotten)"


def forget_words(engine: Engine, is_about: Callable[[str], bool]) -> int:
    """Destroy what people have said of alerts, if it is about somebody. Returns how many."""
    gone = 0
    with secure(engine) as connection:
        for table in (t.alert_acks, t.alert_silences):
            for row in connection.execute(select(table.c.code, table.c.subject, table.c.reason)).all():
                if is_about(row.reason):
                    these = (table.c.code == row.code, table.c.subject == row.subject)
                    connection.execute(update(table).where(*these).values(reason=FORGOTTEN_WORDS))
                    gone += 1
    return gone


def hold(engine: Engine, order: str, at_ms: int) -> None:
    """Keep an order from being forgotten."""
    with translated(), engine.begin() as connection:
        connection.execute(delete(t.legal_holds).where(t.legal_holds.c.order_id == order))
        connection.execute(insert(t.legal_holds).values(order_id=order, at_ms=at_ms))


def lift(engine: Engine, order: str) -> None:
    """End what keeps an order from being forgotten."""
    with translated(), engine.begin() as connection:
        connection.execute(delete(t.legal_holds).where(t.legal_holds.c.order_id == order))


def request(engine: Engine, orders: Sequence[str], at_ms: int) -> None:
    """Note orders that are to be forgotten as soon as they may be."""
    with translated(), engine.begin() as connection:
        known = set(connection.execute(select(t.forget_requests.c.order_id).where(t.forget_requests.c.order_id.in_(orders))).scalars())
        new = [{"order_id": order, "at_ms": at_ms} for order in orders if order not in known]
        if new:
            connection.execute(insert(t.forget_requests), new)


# --- what is kept long enough ------------------------------------------------------------------------------------------------


class Due(NamedTuple):
    """Orders whose contact was kept long enough since their end, and orders that were asked to be forgotten and may be now."""

    old: list[str]
    requested: list[str]


def due(reader: Engine, before_ms: int, *, limit: int) -> Due:
    """What is due. Only what came before `before_ms` is looked at: nothing that ended before then came later."""
    orders, held = t.orders.c, exists().where(t.legal_holds.c.order_id == t.sealed.c.order_id)
    old = (
        select(t.sealed.c.order_id)
        .join(t.orders, orders.order_id == t.sealed.c.order_id)
        .where(t.sealed.c.received_ms < before_ms, orders.state.in_(ENDED), orders.at_ms < before_ms, ~held)
        .distinct()
        .limit(limit)
    )
    asked = t.forget_requests.c.order_id
    requested = (
        select(asked)
        .join(t.orders, orders.order_id == asked, isouter=True)
        .where(or_(orders.state.in_(ENDED), orders.state.is_(None)), ~exists().where(t.legal_holds.c.order_id == asked))
        .limit(limit)
    )
    with translated(), reader.connect() as connection:
        return Due(list(connection.execute(old).scalars()), list(connection.execute(requested).scalars()))


def loose(reader: Engine, before_ms: int, *, limit: int) -> list[int]:
    """Positions of sealed parts that belong to no order that exists, and came before a time."""
    no_order = or_(t.sealed.c.order_id.is_(None), ~exists().where(t.orders.c.order_id == t.sealed.c.order_id, t.orders.c.state != ""))
    old = select(t.sealed.c.pos).where(t.sealed.c.received_ms < before_ms, no_order).limit(limit)
    with translated(), reader.connect() as connection:
        return list(connection.execute(old).scalars())


def drop_parts(engine: Engine, positions: Sequence[int]) -> None:
    """Destroy sealed parts."""
    with secure(engine) as connection:
        for some in chunks(list(positions)):
            for table in (t.contact_hashes, t.sealed):
                connection.execute(delete(table).where(table.c.pos.in_(some)))


def empty_log(engine: Engine) -> bool:
    """Move the write-ahead log into the database, and empty it. Returns False if a reader kept it from being emptied."""
    with translated():
        driver = engine.raw_connection()
        try:
            (busy, _, _) = driver.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            driver.close()
    return not busy


def sealed_of(reader: Engine, orders: Sequence[str]) -> list[bytes]:
    """The sealed parts of orders."""
    query = select(t.sealed.c.sealed)
    with translated(), reader.connect() as connection:
        return [part for some in chunks(list(orders)) for part in connection.execute(query.where(t.sealed.c.order_id.in_(some))).scalars()]
