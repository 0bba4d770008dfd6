"""The store on SQLAlchemy: one writer, which commits each batch as a whole.

Connections, transactions and tables are SQLAlchemy's. Inside a batch, the statements are texts built once from the relations, and rows go directly to the
driver, which takes a third of the time of Core's own insert path.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from bridge.config import LOG_PINNED_FACTOR
from bridge.domain.facts import Fact
from bridge.ingest.codes import PLACED, PlacedRow, placed_fact
from bridge.ingest.log import EventRow
from bridge.ingest.ports import AtLeast, StoredOrder, StoredReceipt, StoredVerdict
from bridge.ingest.relation import Origin, Relation, Writes
from bridge.store.relations import EVENT_COLUMNS, chunks, marks, select, select_any, select_from, write
from bridge.store.sqlite import FINISH_MS, PAGE_BYTES, translated

_END_OF_LOG: Final = 2**62
"""A position that no event has."""


class SqlStore:
    """The writing side of the store: one connection, used by one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """A transaction that commits at the end of the block.

        Raises:
            StoreUnavailable: if the database can't take writes now.
        """
        with translated():
            try:
                if self._connection is None:
                    self._connection = self._engine.connect()
                with self._connection.begin():
                    yield SqlTransaction(self._connection)
            except (DBAPIError, sqlite3.Error):
                self.close()
                raise

    def checkpoint(self) -> int:
        """Move committed pages from the write-ahead log into the database, between two transactions. Pages that can't be moved now stay in the log, where
        they are safe.

        Only the writer may do this: in SQLite before 3.51.3, a second connection that checkpoints while this one restarts the log can damage the database
        (sqlite.org/wal.html, "the WAL-reset bug").

        Returns:
            The bytes of the log that a reader pins; 0 if it holds no more than a server under load leaves there.
        """
        if self._connection is not None:
            with suppress(sqlite3.Error):
                ((_, pages, moved),) = self._driver().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
                ((pages_under_load,),) = self._driver().execute("PRAGMA wal_autocheckpoint").fetchall()
                if pages - moved > LOG_PINNED_FACTOR * pages_under_load:
                    return int(pages - moved) * PAGE_BYTES
        return 0

    def try_commit(self) -> None:
        """Commit a page that is as it was before, through to the disk.

        Raises:
            StoreUnavailable: if the database can't take writes now.
        """
        with self.transaction() as tx:
            version = tx.connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            tx.connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")

    def finish(self) -> None:
        """Empty the write-ahead log and close the connection: otherwise, the next process that opens the database would have to read the log first."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._driver().execute(f"PRAGMA busy_timeout={FINISH_MS}")
                self._driver().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.close()

    def _driver(self) -> Any:
        assert self._connection is not None
        return self._connection.connection.dbapi_connection

    def close(self) -> None:
        """Close the connection; the next transaction opens another."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


_NOT_REVOKED: Final = "device NOT IN (SELECT device FROM devices WHERE revoked_ms IS NOT NULL)"


class SqlTransaction:
    """An open transaction; see `ports.Transaction`.

    Attributes:
        log_end: events from this position on are invisible: a replay reads the log as it was at that time.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.log_end = _END_OF_LOG
        # The driver's own cursor: a look-up by key takes 3 µs with it and 70 µs through SQLAlchemy's result objects.
        self._driver: Any = connection.connection.dbapi_connection

    def _rows(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
        return cast("Sequence[Any]", self._driver.execute(statement, parameters).fetchall())

    def _one(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        return self._driver.execute(statement, parameters).fetchone()

    def rows(self, relation: Relation, **equal: Any) -> list[Any]:
        for column, values in equal.items():
            if isinstance(values, list):
                return [relation.row(*r) for some in chunks(values) for r in self._rows(select_any(relation, column, len(some)), some)]
            if isinstance(values, AtLeast):
                others = {name: value for name, value in equal.items() if name != column}
                return [relation.row(*r) for r in self._rows(select_from(relation, column, tuple(others)), (*others.values(), values.value))]
        return [relation.row(*r) for r in self._rows(select(relation, tuple(equal)), tuple(equal.values()))]

    # --- the log ----------------------------------------------------------------------------------------------------------

    def next_numbers(self) -> tuple[int, int]:
        pos, batch = self._one("SELECT coalesce((SELECT max(pos) FROM events), 0) + 1, coalesce((SELECT max(no) FROM batches), 0) + 1")
        return int(pos), int(batch)

    def known(self, ids: Sequence[bytes]) -> dict[tuple[str, bytes], StoredReceipt]:
        statement = f"""
            SELECT e.device, e.id, e.pos, e.type, e.payload, r.n, r.payload FROM events e JOIN receipts r ON r.pos = e.pos WHERE e.id IN ({marks(ids)})
        """
        return {(r[0], bytes(r[1])): StoredReceipt(r[2], r[3], r[4], r[5], r[6]) for r in self._rows(statement, ids)}

    def orders(self, order_ids: Iterable[str]) -> dict[str, StoredOrder]:
        found: dict[str, StoredOrder] = {}
        for some in chunks(list(order_ids)):
            these = f"IN ({marks(some)})"
            facts = self.facts(some)
            codes: dict[str, set[str]] = {}
            for order_id, code in self._rows(f"SELECT order_id, code FROM codes WHERE order_id {these}", some):
                codes.setdefault(order_id, set()).add(code)
            for order_id in facts.keys() | codes.keys():
                found[order_id] = StoredOrder(facts.get(order_id, []), codes.get(order_id, set()))
            rows = self._rows(f"SELECT order_id, rev, hash, timed, due_ms, state FROM orders WHERE order_id {these}", some)
            parcels: dict[str, dict[str, tuple[bytes, str]]] = {}
            held = self._rows(f"SELECT order_id, parcel, hash, codes FROM parcels WHERE order_id {these}", some) if rows else ()
            for order_id, parcel, digest, held_codes in held:
                parcels.setdefault(order_id, {})[parcel] = (digest, held_codes)
            for order_id, rev, digest, timed, due_ms, state in rows:
                known = facts.get(order_id, []), codes.get(order_id, set())
                found[order_id] = StoredOrder(*known, rev, digest, timed, parcels.get(order_id, {}), due_ms, state)
        return found

    def facts(self, order_ids: Sequence[str]) -> dict[str, list[Fact]]:
        """The facts of some orders, in the order of arrival: the events that arrived in them and have not moved, and those that were placed in them."""
        these, values = f"IN ({marks(order_ids)}) AND e.pos < ?", (*order_ids, self.log_end)
        stayed = "NOT EXISTS (SELECT 1 FROM placed p WHERE p.pos = e.pos)"
        own = self._rows(f"SELECT e.order_id, NULL, '', NULL, {EVENT_COLUMNS} FROM events e WHERE e.order_id {these} AND {stayed} ORDER BY e.pos", values)
        placed = "p.order_id, p.refusal, p.warn, p.inside"
        moved = self._rows(f"SELECT {placed}, {EVENT_COLUMNS} FROM placed p JOIN events e ON e.pos = p.pos WHERE p.order_id {these}", values)
        facts: dict[str, list[Fact]] = {}
        for row in sorted((*own, *moved), key=_by_pos) if moved else own:
            facts.setdefault(row[0], []).append(placed_fact(EventRow(*row[4:]), *row[1:4]))
        return facts

    def events_named(self, event_id: bytes) -> list[tuple[EventRow, list[PlacedRow]]]:
        return _placed(self, self._rows(f"SELECT {EVENT_COLUMNS} FROM events e WHERE e.id = ? AND e.pos < ? ORDER BY e.pos", (event_id, self.log_end)))

    def events_at(self, positions: Sequence[int]) -> list[tuple[EventRow, list[PlacedRow]]]:
        found: list[Any] = []
        for some in chunks(list(positions)):
            found += self._rows(f"SELECT {EVENT_COLUMNS} FROM events e WHERE e.pos IN ({marks(some)}) ORDER BY e.pos", some)
        return _placed(self, found)

    def has_rows(self, relation: Relation) -> bool:
        return self._one(f"SELECT 1 FROM {relation.name} LIMIT 1") is not None

    # --- derived rows -----------------------------------------------------------------------------------------------------

    def waiting_for(self, kind: str, name: str) -> list[EventRow]:
        waiting = "SELECT pos FROM waiting WHERE ref = ? AND ref_kind = ?"
        return [EventRow(*r) for r in self._rows(f"SELECT {EVENT_COLUMNS} FROM events e WHERE e.pos IN ({waiting}) ORDER BY e.pos", (name, kind))]

    def verdicts_of(self, positions: Iterable[int]) -> dict[int, StoredVerdict]:
        found = {}
        for some in chunks(list(positions)):
            for pos, *verdict in self._rows(f"SELECT pos, n, outcome, reason, payload FROM receipts WHERE pos IN ({marks(some)})", some):
                found[pos] = StoredVerdict(*verdict)
        return found

    def is_quarantined(self, device: str, digest: bytes) -> bool:
        return self._one("SELECT 1 FROM quarantine WHERE digest = ? AND device = ? AND pos IS NULL", (digest, device)) is not None

    def due_orders(self, now_ms: int, limit: int) -> list[str]:
        return [r[0] for r in self._rows("SELECT order_id FROM orders WHERE due_ms <= ? ORDER BY due_ms, order_id LIMIT ?", (now_ms, limit))]

    def overdue(self, now_ms: int) -> dict[tuple[str, str], int]:
        rows = self._rows("SELECT ref_kind, ref, count(*) FROM parked WHERE deadline_ms <= ? GROUP BY ref_kind, ref", (now_ms,))
        return {(r[0], r[1]): r[2] for r in rows}

    def owing(self, before_ms: int) -> dict[str, int]:
        query = f"SELECT device, total(owed) FROM ledger WHERE owed > 0 AND updated_ms <= ? AND {_NOT_REVOKED} GROUP BY device"
        return {r[0]: int(r[1]) for r in self._rows(query, (before_ms,))}

    def quarantine_counts(self) -> dict[str, int]:
        return {r[0]: r[1] for r in self._rows(f"SELECT device, count(*) FROM quarantine WHERE {_NOT_REVOKED} GROUP BY device")}

    # --- sessions ---------------------------------------------------------------------------------------------------------

    def next_message(self) -> int:
        # Messages are deleted once no session waits for them; a position that a session or a subscription still refers to must not be used again.
        row = self._one("""
            SELECT max(coalesce((SELECT max(pos) FROM message_log), 0) + 1, coalesce((SELECT max(next_pos) FROM sessions), 1),
                       coalesce((SELECT max(max(from_pos, coalesce(to_pos, 0))) FROM subscriptions), 1))
        """)
        return int(row[0])

    def message_heads(self) -> list[tuple[int, str, int, int | None, int]]:
        """The message log without its payloads: position, topic, QoS, sid, time."""
        return [tuple(r) for r in self._rows("SELECT pos, topic, qos, sid, at_ms FROM message_log ORDER BY pos")]

    # --- writes -----------------------------------------------------------------------------------------------------------

    def drop_before(self, relation: Relation, column: str, value: int) -> None:
        self._driver.execute(f"DELETE FROM {relation.name} WHERE {column} < ?", (value,))

    def keep_newest(self, relation: Relation, rows_max: int) -> None:
        number = relation.key[0]
        self._driver.execute(f"DELETE FROM {relation.name} WHERE {number} <= (SELECT max({number}) FROM {relation.name}) - ?", (rows_max,))

    def drop_closed_subscriptions(self) -> None:
        self._driver.execute(
            "DELETE FROM subscriptions WHERE to_pos IS NOT NULL AND to_pos <= (SELECT next_pos FROM sessions WHERE sessions.sid = subscriptions.sid)",
        )

    def write(self, writes: Writes) -> None:
        write(self._driver, writes)

    def write_derived(self, writes: Writes) -> None:
        """Write only derived rows: in a replay, the log exists already."""
        write(self._driver, writes, only=Origin.DERIVED)


def _placed(tx: SqlTransaction, rows: Sequence[Any]) -> list[tuple[EventRow, list[PlacedRow]]]:
    """Events with the rows that say where they belong."""
    return [(EventRow(*row), tx.rows(PLACED, pos=row[0])) for row in rows]


def _by_pos(row: Any) -> int:
    return int(row[4])
