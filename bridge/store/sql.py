"""The store on SQLAlchemy: one writer that commits batches whole, and readers beside it.

Connections, transactions and tables are SQLAlchemy's; inside a batch the statements are texts made once from those tables, and rows go straight to the
driver, which takes a third of the time of Core's own insert path. SQLite runs in WAL mode with `synchronous=FULL`, read back on every connection: a COMMIT
that returned is on the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, cast

import cbor2
from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from bridge.domain.facts import Fact
from bridge.domain.jobs import Job
from bridge.ingest.ports import (
    EventRow,
    LedgerRow,
    ReceiptRow,
    SessionRow,
    StoredOrder,
    StoredReceipt,
    StoreUnavailable,
    SubscriptionRow,
    Writes,
)
from bridge.ingest.rows import stored_fact
from bridge.store import tables
from devices.protocol.vocabulary import OPEN_JOB_STATES, JobState

BUSY_TIMEOUT_MS: Final = 5_000
FINISH_MS: Final = 200
"""How long a server that stops waits for somebody who reads."""
PRIVATE: Final = 0o600
"""The mode of database files."""
READER_CACHE_BYTES: Final = 4_194_304
LOG_BYTES: Final = 4_194_304
"""Of the write-ahead log, where nobody says otherwise: SQLite's own default."""
_PAGE_BYTES: Final = 4_096
_FULL: Final = 2
_FIXES: Final = {
    sqlite3.SQLITE_FULL: "make room on the disk",
    sqlite3.SQLITE_READONLY: "let the server write the site's folder and its files, on a file system that is mounted for writing",
    sqlite3.SQLITE_BUSY: "end the other program that writes this database",
    sqlite3.SQLITE_IOERR: "check the disk, its room and its quotas, and the system's log",
    sqlite3.SQLITE_CANTOPEN: "check that the site's folder is there, its rights, and how many files the server may have open (ulimit -n)",
    sqlite3.SQLITE_CORRUPT: "stop the server and run `dockbridge db check`",
    sqlite3.SQLITE_NOTADB: "stop the server and run `dockbridge db check`",
}
"""What to do, by SQLite's primary result code."""
_PRIMARY: Final = 0xFF
_CONTENT: Final = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


def open_engine(path: Path, *, read_only: bool = False, cache_bytes: int = READER_CACHE_BYTES, log_bytes: int = LOG_BYTES) -> Engine:
    """An engine on the SQLite file at `path`, with so much of it kept in memory for each connection.

    A COMMIT that finds more than `log_bytes` in the write-ahead log moves them into the database. A page that was written a hundred times is moved once, so
    that gathering more is faster: 64 MB instead of 4 gave 12 % more events a second.

    Raises:
        StoreUnavailable: on first use, where the file can't be opened, or the disk does not take `synchronous=FULL`.
    """
    engine = create_engine("sqlite://", creator=lambda: connect(path, read_only=read_only, cache_bytes=cache_bytes, log_bytes=log_bytes), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def connect(path: Path, *, read_only: bool, cache_bytes: int = READER_CACHE_BYTES, log_bytes: int = LOG_BYTES) -> sqlite3.Connection:
    """A connection of the driver's own, with what we rely on set and read back.

    Raises:
        sqlite3.Error: where the file can't be opened, or does not keep `synchronous=FULL`.
    """
    mode = "?mode=ro" if read_only else ""
    if not read_only:
        make_private(path)
    connection = sqlite3.connect(f"{path.absolute().as_uri()}{mode}", uri=True, check_same_thread=False, isolation_level=None, cached_statements=256)
    connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
    if not read_only:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        if connection.execute("PRAGMA synchronous").fetchone()[0] != _FULL:
            connection.close()
            raise sqlite3.OperationalError("the database does not keep synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={log_bytes // _PAGE_BYTES}")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(f"PRAGMA cache_size=-{cache_bytes // 1024}")
    return connection


def make_private(path: Path) -> None:
    """Make a database file where there is none, which only its owner may read: it holds hashes of passwords. SQLite gives its -wal and -shm the same mode."""
    with suppress(OSError):  # there already; or SQLite finds out why not, and says so in its own words
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, PRIVATE))


def check_writable(engine: Engine) -> None:
    """See whether the database takes writes: SQLite opens a file that may not be written all the same, and begins transactions on it.

    Raises:
        StoreUnavailable: where it does not.
    """
    with translated(), engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("DELETE FROM alembic_version WHERE 0")


def pass_over(engine: Engine, away_ms: int) -> None:
    """Count no time as passed for sessions whose client is away, and for what waits for them.

    Raises:
        StoreUnavailable: where the database does not take it.
    """
    with translated(), engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE sessions SET seen_ms = seen_ms + ? WHERE seen_ms > 0", (away_ms,))
        connection.exec_driver_sql("UPDATE message_log SET at_ms = at_ms + ?", (away_ms,))


@contextmanager
def translated() -> Iterator[None]:
    """Driver errors in our words: what is the content's fault passes as it is, what is the database's is `StoreUnavailable`.

    Raises:
        StoreUnavailable: disk full, locked, read-only, gone.
    """
    try:
        yield
    except DBAPIError as error:
        if isinstance(error.orig, _CONTENT):
            raise
        raise _unavailable(error.orig) from error
    except sqlite3.Error as error:
        if isinstance(error, _CONTENT):
            raise
        raise _unavailable(error) from error


def _unavailable(error: BaseException | None) -> StoreUnavailable:
    fix = _FIXES.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY)
    return StoreUnavailable(str(error), fix=fix) if fix is not None else StoreUnavailable(str(error))


class SqlStore:
    """The writing side of the store: one connection, used by one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        """A transaction that commits at the end of the block.

        Raises:
            StoreUnavailable: where the database can't take writes now.
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

    def checkpoint(self) -> None:
        """Move what is committed from the write-ahead log into the database, between two transactions. What can't be moved now stays where it is safe.

        Nobody but the writer may do this: in SQLite before 3.51.3 a second connection that checkpoints while this one begins the log anew can damage the
        database (sqlite.org/wal.html, "the WAL-reset bug").
        """
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._driver().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def finish(self) -> None:
        """Let go of the connection and leave an empty log behind: whoever opens the database while no server runs would have to read it first."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._driver().execute(f"PRAGMA busy_timeout={FINISH_MS}")
                self._driver().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        self.close()

    def _driver(self) -> Any:
        assert self._connection is not None
        return self._connection.connection.dbapi_connection

    def close(self) -> None:
        """Let go of the connection; the next transaction opens another."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            connection.close()


class SqlTransaction:
    """An open transaction; see `ports.Transaction`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        # The driver's own cursor: a look-up by key takes 3 µs with it and 70 µs through SQLAlchemy's result objects.
        self._driver: Any = connection.connection.dbapi_connection

    def _rows(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Any]:
        return cast("Sequence[Any]", self._driver.execute(statement, parameters).fetchall())

    def _one(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        return self._driver.execute(statement, parameters).fetchone()

    # --- reads ------------------------------------------------------------------------------------------------------------

    def next_pos(self) -> int:
        return int(self._one("SELECT coalesce(max(pos), 0) + 1 FROM events")[0])

    def known(self, ids: Sequence[bytes]) -> dict[tuple[str, bytes], StoredReceipt]:
        statement = f"""
            SELECT e.device, e.id, e.pos, e.type, e.payload, r.n, r.payload FROM events e JOIN receipts r ON r.pos = e.pos WHERE e.id IN ({marks(ids)})
        """
        return {(r[0], bytes(r[1])): StoredReceipt(r[2], r[3], r[4], r[5], r[6]) for r in self._rows(statement, ids)}

    def orders(self, order_ids: Iterable[str]) -> dict[str, StoredOrder]:
        ids = list(order_ids)
        found: dict[str, StoredOrder] = {}
        for some in chunks(ids):
            for order_id, facts in self.facts(some).items():
                found[order_id] = StoredOrder(facts, 0, b"", "", {}, None, "")
            rows = self._rows(f"SELECT order_id, rev, hash, timed, due_ms, state FROM orders WHERE order_id IN ({marks(some)})", some)
            parcels: dict[str, dict[str, tuple[bytes, str | None]]] = {}
            held = self._rows(f"SELECT order_id, parcel, hash, code FROM parcels WHERE order_id IN ({marks(some)})", some) if rows else ()
            for order_id, parcel, digest, code in held:
                parcels.setdefault(order_id, {})[parcel] = (digest, code)
            for order_id, rev, digest, timed, due_ms, state in rows:
                facts = found[order_id].facts if order_id in found else []
                found[order_id] = StoredOrder(facts, rev, digest, timed, parcels.get(order_id, {}), due_ms, state)
        return found

    def facts(self, order_ids: Sequence[str]) -> dict[str, list[Fact]]:
        """The facts of some orders, in the order of arrival."""
        these = f"IN ({marks(order_ids)})"
        rows = self._rows(f"SELECT e.order_id, {EVENT_COLUMNS} FROM events e WHERE e.order_id {these} ORDER BY e.pos", order_ids)
        moved = self._rows(f"SELECT p.order_id, {EVENT_COLUMNS} FROM placed p JOIN events e ON e.pos = p.pos WHERE p.order_id {these}", order_ids)
        facts: dict[str, list[Fact]] = {}
        for row in sorted((*rows, *moved), key=_by_pos) if moved else rows:
            facts.setdefault(row[0], []).append(stored_fact(EventRow(*row[1:])))
        return facts

    def device(self, device: str) -> tuple[bytes | None, list[LedgerRow]]:
        clock = self._one("SELECT data FROM clocks WHERE device = ?", (device,))
        rows = self._rows("SELECT device, log, high, owed, forgotten, ranges, updated_ms FROM ledger WHERE device = ?", (device,))
        return (clock[0] if clock else None), [LedgerRow(*r) for r in rows]

    def label_order(self, code: str) -> str | None:
        row = self._one("SELECT order_id FROM labels WHERE code = ?", (code,))
        return row[0] if row else None

    def event_order(self, event_id: bytes) -> str | None:
        row = self._one(
            "SELECT coalesce(e.order_id, p.order_id) FROM events e LEFT JOIN placed p ON p.pos = e.pos WHERE e.id = ? ORDER BY e.pos LIMIT 1",
            (event_id,),
        )
        return row[0] if row else None

    def waiting_for(self, ref: str) -> list[EventRow]:
        rows = self._rows(
            f"SELECT {EVENT_COLUMNS} FROM events e WHERE e.pos IN (SELECT pos FROM parked WHERE ref = ? AND order_id IS NULL) ORDER BY e.pos",
            (ref,),
        )
        return [EventRow(*r) for r in rows]

    def receipts_of(self, positions: Iterable[int]) -> dict[int, ReceiptRow]:
        wanted = list(positions)
        found = {}
        for some in chunks(wanted):
            for row in self._rows(f"SELECT pos, device, n, outcome, reason, payload FROM receipts WHERE pos IN ({marks(some)})", some):
                found[row[0]] = ReceiptRow(*row)
        return found

    def job(self, job_id: str) -> Job | None:
        row = self._one("SELECT job, rev, state, courier, orders FROM jobs WHERE job = ?", (job_id,))
        return _job(row) if row else None

    def open_jobs(self) -> list[Job]:
        states = sorted(OPEN_JOB_STATES)
        return [_job(r) for r in self._rows(f"SELECT job, rev, state, courier, orders FROM jobs WHERE state IN ({marks(states)})", states)]

    def awaited(self) -> set[str]:
        return {r[0] for r in self._rows("SELECT DISTINCT ref FROM parked WHERE order_id IS NULL")}

    def quarantined(self, device: str, digest: bytes) -> bool:
        return self._one("SELECT 1 FROM quarantine WHERE digest = ? AND device = ? AND pos IS NULL", (digest, device)) is not None

    def alerts(self) -> set[tuple[str, str]]:
        return {(r[0], r[1]) for r in self._rows("SELECT code, subject FROM alerts")}

    def due_orders(self, now_ms: int, limit: int) -> list[str]:
        return [r[0] for r in self._rows("SELECT order_id FROM orders WHERE due_ms <= ? ORDER BY due_ms LIMIT ?", (now_ms, limit))]

    def overdue(self, now_ms: int) -> dict[str, int]:
        return {r[0]: r[1] for r in self._rows("SELECT ref, count(*) FROM parked WHERE deadline_ms <= ? GROUP BY ref", (now_ms,))}

    def owing(self, before_ms: int) -> dict[str, int]:
        return {r[0]: int(r[1]) for r in self._rows("SELECT device, total(owed) FROM ledger WHERE owed > 0 AND updated_ms <= ? GROUP BY device", (before_ms,))}

    def retained(self) -> list[tuple[str, bytes, int]]:
        return [tuple(r) for r in self._rows("SELECT topic, payload, qos FROM retained")]

    def next_message(self) -> int:
        # Messages leave the log when nobody is owed them; a place that a session or a subscription still counts from must not be given again.
        row = self._one("""
            SELECT max(coalesce((SELECT max(pos) FROM message_log), 0) + 1, coalesce((SELECT max(next_pos) FROM sessions), 1),
                       coalesce((SELECT max(max(from_pos, coalesce(to_pos, 0))) FROM subscriptions), 1))
        """)
        return int(row[0])

    def sessions(self) -> list[SessionRow]:
        return [SessionRow(*r) for r in self._rows("SELECT sid, device, client_id, next_pos, next_index, slots, dropped, seen_ms FROM sessions")]

    def message_heads(self) -> list[tuple[int, str, int, int | None, int]]:
        """The message log without its payloads: place, topic, QoS, sid, time."""
        return [tuple(r) for r in self._rows("SELECT pos, topic, qos, sid, at_ms FROM message_log ORDER BY pos")]

    def incoming_ids(self) -> list[tuple[int, int]]:
        """(sid, packet id) of QoS 2 messages that clients have not released."""
        return [tuple(r) for r in self._rows("SELECT sid, packet_id FROM incoming_ids")]

    def subscriptions(self) -> list[SubscriptionRow]:
        return [SubscriptionRow(*r) for r in self._rows("SELECT sid, topic_filter, from_pos, to_pos, qos, retained_after FROM subscriptions")]

    def quarantine_counts(self) -> dict[str, int]:
        return {r[0]: r[1] for r in self._rows("SELECT device, count(*) FROM quarantine GROUP BY device")}

    def trim(self, *, quarantine_entries_max: int, positions_before_ms: int) -> None:
        self._driver.execute("DELETE FROM quarantine WHERE no <= (SELECT max(no) FROM quarantine) - ?", (quarantine_entries_max,))
        self._driver.execute("DELETE FROM positions WHERE event_ms < ?", (positions_before_ms,))
        # Subscriptions that ended and from whose time nothing waits any more.
        self._driver.execute(
            "DELETE FROM subscriptions WHERE to_pos IS NOT NULL AND to_pos <= (SELECT next_pos FROM sessions WHERE sessions.sid = subscriptions.sid)",
        )

    # --- the write --------------------------------------------------------------------------------------------------------

    def write(self, writes: Writes) -> None:
        self._many(_INSERT[tables.events], writes.events)
        self._many(_UPSERT[tables.receipts], list(writes.receipts.values()))
        self._many(_UPSERT[tables.orders], writes.orders)
        self._many(_UPSERT[tables.parcels], writes.parcels)
        self._many(_INSERT_STATUS_LOG, writes.status_log)
        self._many("DELETE FROM ledger WHERE device = ? AND log = ?", writes.ledgers_gone)
        self._many(_UPSERT[tables.ledger], writes.ledgers)
        self._many(_UPSERT[tables.clocks], writes.clocks)
        self._many("DELETE FROM parcels WHERE order_id = ? AND parcel = ?", writes.parcels_gone)
        self._many("UPDATE orders SET due_ms = ? WHERE order_id = ?", writes.due)
        self._many("DELETE FROM labels WHERE pos = ?", writes.labels_gone)
        self._many(_UPSERT[tables.labels], writes.labels)
        self._many("DELETE FROM parked WHERE pos = ?", [(p,) for p in writes.unparked])
        self._many(_UPSERT[tables.parked], list(writes.parked.values()))
        self._many(_UPSERT[tables.placed], writes.placed)
        self._many("DELETE FROM quarantine WHERE pos = ?", [(p,) for p in writes.unquarantined])
        self._many(_INSERT_QUARANTINE, writes.quarantine)
        self._many(_UPSERT[tables.jobs], [(j.id, j.rev, j.state.value, j.courier, cbor2.dumps(list(j.orders))) for j in writes.jobs.values()])
        self._many(_UPSERT[tables.alerts], [a for a in writes.alerts.values() if a is not None])
        self._many("DELETE FROM alerts WHERE code = ? AND subject = ?", [key for key, a in writes.alerts.items() if a is None])
        self._many(_UPSERT[tables.positions], writes.positions)
        self._many(_UPSERT[tables.retained], [(t, p, qos) for t, (p, qos) in writes.retained.items() if p])
        self._many("DELETE FROM retained WHERE topic = ?", [(t,) for t, (p, _) in writes.retained.items() if not p])
        self._many(_INSERT[tables.message_log], writes.messages)
        self._write_sessions(writes)

    def _write_sessions(self, writes: Writes) -> None:
        # First: the same client may have begun a session anew in this batch.
        for table in ("sessions", "subscriptions", "incoming_ids"):
            self._many(f"DELETE FROM {table} WHERE sid = ?", writes.sessions_gone)
        self._many(_UPSERT[tables.sessions], writes.sessions)
        self._many("UPDATE sessions SET next_pos = ?, next_index = ?, slots = ?, dropped = ?, seen_ms = ? WHERE sid = ?", writes.progress)
        self._many("DELETE FROM message_log WHERE pos = ?", writes.messages_gone)
        self._many("UPDATE subscriptions SET to_pos = ? WHERE sid = ? AND topic_filter = ? AND to_pos IS NULL", writes.subscriptions_closed)
        self._many(_UPSERT[tables.subscriptions], writes.subscriptions)
        self._many("UPDATE subscriptions SET retained_after = ? WHERE sid = ? AND topic_filter = ? AND to_pos IS NULL", writes.handed_over)
        self._many(_UPSERT[tables.incoming_ids], writes.incoming_ids)
        self._many("DELETE FROM incoming_ids WHERE sid = ? AND packet_id = ?", writes.incoming_ids_gone)

    def _many(self, statement: str, rows: Sequence[Any]) -> None:
        if rows:
            self._driver.executemany(statement, rows)


def marks(values: Sequence[Any]) -> str:
    """Placeholders for so many values."""
    return ", ".join("?" * len(values))


def _quoted(column: str) -> str:
    return f'"{column}"'


def _insert(table: Table, *without: str) -> str:
    """One row, in the order of the table's columns."""
    columns = [c.name for c in table.columns if c.name not in without]
    return f"INSERT INTO {table.name} ({', '.join(map(_quoted, columns))}) VALUES ({marks(columns)})"


def _upsert(table: Table) -> str:
    """Insert a row, or replace the one with the same primary key (SQLite and PostgreSQL speak the same words here)."""
    keys = [c.name for c in table.primary_key]
    others = [c.name for c in table.columns if c.name not in keys]
    update = f"UPDATE SET {', '.join(f'{_quoted(c)} = excluded.{_quoted(c)}' for c in others)}" if others else "NOTHING"
    return f"{_insert(table)} ON CONFLICT ({', '.join(keys)}) DO {update}"


def chunks(values: list[Any], size: int = 500) -> Iterator[list[Any]]:
    """Values in portions that a statement takes as placeholders."""
    for start in range(0, len(values), size):
        yield values[start : start + size]


def _by_pos(row: Any) -> int:
    return int(row[1])


def _job(row: Any) -> Job:
    return Job(id=row[0], rev=row[1], state=JobState(row[2]), courier=row[3], orders=tuple(cbor2.loads(row[4])))


EVENT_COLUMNS: Final = ", ".join(f"e.{_quoted(c.name)}" for c in tables.events.columns)
_INSERT: Final = {t: _insert(t) for t in (tables.events, tables.message_log)}
_INSERT_STATUS_LOG: Final = _insert(tables.status_log, "no")
_INSERT_QUARANTINE: Final = _insert(tables.quarantine, "no")
_UPSERT: Final = {t: _upsert(t) for t in tables.metadata.sorted_tables if t not in (tables.events, tables.message_log, tables.status_log, tables.quarantine)}
