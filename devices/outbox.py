"""The outbox: every event is on disk before `put` returns, and stays there until the server has acknowledged it.

One SQLite file (WAL, synchronous=FULL) of one device, used by one process. It also keeps what the server answered, so that
a receipt can be read after its event has left, and after a restart.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devices.errors import Closed, OutboxError, OutboxFull, OutboxLocked

EVENTS_MAX = 100_000
RECEIPTS_MAX = 20_000
LOCK_WAIT_S = 1.0
LOG_BYTES = 8

_SCHEMA_VERSION = 1
_SCHEMA = (
    "CREATE TABLE outbox (owner TEXT NOT NULL, log BLOB NOT NULL, last_seq INTEGER NOT NULL)",
    "CREATE TABLE events (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, type TEXT NOT NULL, payload BLOB NOT NULL)",
    # `place` is the order of arrival: the oldest are forgotten first.
    "CREATE TABLE receipts (place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, n INTEGER NOT NULL, payload BLOB NOT NULL)",
    "CREATE TABLE kept (topic TEXT PRIMARY KEY, payload BLOB NOT NULL)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An event in the outbox. `payload` is its content as it was when it happened; `sent_*` are set again at each sending."""

    seq: int
    id: bytes
    type: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A receipt to keep: `id` of its event, its `n`, and the payload as it came."""

    id: bytes
    n: int
    payload: bytes


class Outbox:
    """A durable queue of one device's events. Safe to use from several threads.

    `owner` names the site and device that the file belongs to: events never leave under another's name.

    Raises:
        OutboxLocked: another process has it open.
        OutboxError: it cannot be opened, belongs to another device, or was written by a newer version.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        owner: str,
        events_max: int = EVENTS_MAX,
        receipts_max: int = RECEIPTS_MAX,
        lock_wait_s: float = LOCK_WAIT_S,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.path = Path(path)
        self._events_max = events_max
        self._receipts_max = receipts_max
        self._random_bytes = random_bytes
        self._log = b""
        self._last_seq = 0
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        with self._translated():
            self._db = sqlite3.connect(self.path, timeout=lock_wait_s, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(owner)
            except BaseException:
                self._db.close()
                raise
        # Where the two runs of hand-outs stand: everything up to `_run_start` is backlog, everything after it is fresh.
        self._run_start = self._last_seq
        self._backlog_at = 0
        self._fresh_at = self._last_seq

    @property
    def log(self) -> bytes:
        """8 bytes, random when the file was created or its numbers began anew; `seq` is contiguous within it."""
        return self._log

    @property
    def last_seq(self) -> int:
        """The highest `seq` given out in this log; 0 in a new one."""
        return self._last_seq

    @property
    def backlog(self) -> int:
        """How many events have not been acknowledged."""
        return self._count

    def put(self, make: Callable[[int], Entry]) -> Entry:
        """Stores the event that `make` builds for the next `seq`. It is on disk when this returns.

        Raises:
            OutboxFull: `events_max` events wait already.
            OutboxError: it could not be stored.
        """
        return self.put_many([make])[0]

    def put_many(self, makes: Sequence[Callable[[int], Entry]]) -> list[Entry]:
        """Like `put` for many events in one commit: all of them are stored, or none."""
        with self._lock:
            if self._count + len(makes) > self._events_max:
                raise OutboxFull(f"{self._count} of {self._events_max} events wait")
            entries = [make(seq) for seq, make in enumerate(makes, start=self._last_seq + 1)]
            with self._transaction() as db:
                db.executemany("INSERT INTO events VALUES (?, ?, ?, ?)", [(e.seq, e.id, e.type, e.payload) for e in entries])
                db.execute("UPDATE outbox SET last_seq = last_seq + ?", (len(entries),))
            self._last_seq += len(entries)
            self._count += len(entries)
        return entries

    def start_run(self) -> None:
        """Begins a new run of hand-outs, on a new connection: whatever was not acknowledged is backlog now."""
        with self._lock:
            self._run_start = self._fresh_at = self._last_seq
            self._backlog_at = 0

    def take(self, room: int) -> list[Entry]:
        """Up to `room` events to send next, each once a run: first those made since the run began, then the backlog, oldest first."""
        with self._lock:
            taken = self._between(self._fresh_at, self._last_seq, room)
            if taken:
                self._fresh_at = taken[-1].seq
            backlog = self._between(self._backlog_at, self._run_start, room - len(taken))
            if backlog:
                self._backlog_at = backlog[-1].seq
        return taken + backlog

    def settle(self, acknowledged: Sequence[int], answers: Sequence[Answer] = (), *, end_log: bool = False) -> list[Answer]:
        """Lets acknowledged events (by `seq`) go and keeps receipts, in one commit. Returns the receipts that were news: the highest `n` holds.

        With `end_log` a new log begins, with `seq` from 1, unless an event of the present one still waits: for an outbox that was restored from a backup or
        copied, and would give out numbers that another event has.
        """
        with self._lock:
            with self._transaction() as db:
                gone = sum(db.execute("DELETE FROM events WHERE seq = ?", (seq,)).rowcount for seq in acknowledged)
                news = [answer for answer in answers if _keep_answer(db, answer)]
                if news:
                    db.execute("DELETE FROM receipts WHERE place <= (SELECT max(place) FROM receipts) - ?", (self._receipts_max,))
                fresh_log = self._random_bytes(LOG_BYTES) if end_log and self._count == gone else None
                if fresh_log is not None:
                    db.execute("UPDATE outbox SET log = ?, last_seq = 0", (fresh_log,))
            self._count -= gone
            if fresh_log is not None:
                self._log, self._last_seq = fresh_log, 0
                self._run_start = self._fresh_at = self._backlog_at = 0
        return news

    def holds(self, seq: int, event_id: bytes) -> bool:
        """Whether the event still waits for its acknowledgement. After a new log began, another event may have its number."""
        return bool(self._rows("SELECT 1 FROM events WHERE seq = ? AND id = ?", seq, event_id))

    def receipt(self, event_id: bytes) -> bytes | None:
        """The payload of the receipt with the highest `n` of an event; None before the first, and once it is one of more than `receipts_max`."""
        rows = self._rows("SELECT payload FROM receipts WHERE id = ?", event_id)
        return rows[0][0] if rows else None

    def keep(self, topic: str, payload: bytes) -> None:
        """Keeps what was retained on a topic for a restart without signal; an empty payload forgets it."""
        with self._lock, self._transaction() as db:
            if payload:
                db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (topic, payload))
            else:
                db.execute("DELETE FROM kept WHERE topic = ?", (topic,))

    def kept(self) -> dict[str, bytes]:
        """What was kept, by topic."""
        return dict(self._rows("SELECT topic, payload FROM kept"))

    def forget_kept(self) -> None:
        """Forgets everything that was kept."""
        with self._lock, self._transaction() as db:
            db.execute("DELETE FROM kept")

    def close(self) -> None:
        """Closes the file; what is in it stays. Closing twice is harmless."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    # --- below: SQLite ---------------------------------------------------------------------------------------------------

    def _prepare(self, owner: str) -> None:
        db = self._open_db()
        # Exclusive: SQLite holds the file's lock until close, and the system frees it when the process dies.
        db.execute("PRAGMA locking_mode = EXCLUSIVE")
        mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        # FULL: in WAL mode only this makes a commit outlive a power cut.
        db.execute("PRAGMA synchronous = FULL")
        if mode != "wal" or db.execute("PRAGMA synchronous").fetchone()[0] != 2:
            raise OutboxError(f"{self.path} is not on a file system that keeps what was written")
        with self._transaction():
            self._create_or_check(db, owner)
        found_owner, self._log, self._last_seq = db.execute("SELECT owner, log, last_seq FROM outbox").fetchone()
        if found_owner != owner:
            raise OutboxError(f"{self.path} belongs to {found_owner}, not to {owner}")
        self._count: int = db.execute("SELECT count(*) FROM events").fetchone()[0]

    def _create_or_check(self, db: sqlite3.Connection, owner: str) -> None:
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            raise OutboxError(f"{self.path} was written by a newer version of this library")
        if version == 0:
            for statement in _SCHEMA:
                db.execute(statement)
            db.execute("INSERT INTO outbox VALUES (?, ?, 0)", (owner, self._random_bytes(LOG_BYTES)))
            db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def _between(self, after: int, last: int, room: int) -> list[Entry]:
        if after >= last or room <= 0:
            return []
        with self._translated():
            rows = self._open_db().execute("SELECT seq, id, type, payload FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?", (after, last, room))
            return [Entry(seq=seq, id=event_id, type=event_type, payload=payload) for seq, event_id, event_type, payload in rows]

    def _rows(self, sql: str, *values: object) -> list[Any]:
        with self._lock, self._translated():
            return self._open_db().execute(sql, values).fetchall()

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise Closed
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._open_db()
        with self._translated():
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # The low byte is the primary code of an extended one.
            locked = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY
            raise (OutboxLocked if locked else OutboxError)(f"{self.path}: {error}") from error


def _keep_answer(db: sqlite3.Connection, answer: Answer) -> bool:
    cursor = db.execute(
        "INSERT INTO receipts (id, n, payload) VALUES (?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET n = excluded.n, payload = excluded.payload WHERE excluded.n > receipts.n",
        (answer.id, answer.n, answer.payload),
    )
    return cursor.rowcount > 0
