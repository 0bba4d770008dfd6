"""The file of an outbox: SQLite, opened by one process; every commit is on disk when it returns (WAL, synchronous=FULL).

Its tables: `events` wait for their acknowledgement, `sent` have it and are kept in case that the server asks for them again. Their `place` counts all events
that the file has had, over all its logs: the number of an event in its log (`seq`) is its place less the log's `base`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, TypeVar

from devices.errors import Closed, DiskFull, OutboxError, OutboxGone, OutboxLocked, WrongOwner

SCHEMA_VERSION: Final = 2
_LOGS: Final = "CREATE TABLE logs (base INTEGER PRIMARY KEY, log BLOB NOT NULL, last_seq INTEGER NOT NULL)"
_SENT: Final = """
    CREATE TABLE sent (place INTEGER PRIMARY KEY, id BLOB NOT NULL, type TEXT NOT NULL, payload BLOB NOT NULL, acknowledged_ms INTEGER NOT NULL)
"""
_SCHEMA: Final = (
    "CREATE TABLE outbox (owner TEXT NOT NULL)",
    _LOGS,
    "CREATE TABLE events (place INTEGER PRIMARY KEY, id BLOB NOT NULL, type TEXT NOT NULL, payload BLOB NOT NULL)",
    _SENT,
    # Here, `place` is the order of arrival: the oldest are forgotten first.
    "CREATE TABLE receipts (place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, n INTEGER NOT NULL, payload BLOB NOT NULL, epoch INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE kept (topic TEXT PRIMARY KEY, payload BLOB NOT NULL)",
)
_FROM_VERSION_1: Final = (
    _LOGS,
    _SENT,
    "INSERT INTO logs SELECT 0, log, last_seq FROM outbox",
    "ALTER TABLE outbox RENAME TO outbox_1",
    "CREATE TABLE outbox (owner TEXT NOT NULL)",
    "INSERT INTO outbox SELECT owner FROM outbox_1",
    "DROP TABLE outbox_1",
    "ALTER TABLE events RENAME COLUMN seq TO place",
    "ALTER TABLE receipts ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0",
)

_NO_OUTBOX: Final = "the file is not an outbox"
_SET_VERSION: Final = f"PRAGMA user_version = {SCHEMA_VERSION}"

T = TypeVar("T")


class OutboxFile:
    """The file of an outbox. Not thread-safe: its user holds a lock.

    Args:
        must_exist: it is an outbox already; none is made.

    Raises:
        OutboxLocked: another process has it open.
        OutboxError: it cannot be opened, or is on a file system that keeps nothing.
    """

    def __init__(self, path: str | Path, *, lock_wait_s: float, must_exist: bool = False) -> None:
        self.path = Path(path)
        self._lock_wait_s = lock_wait_s
        # SQLite puts its write-ahead log beside the file that a symbolic link points to.
        real = self.path.resolve()
        self._names = (real, real.with_name(f"{real.name}-wal"))
        if must_exist and not real.is_file():
            raise OutboxError(f"there is no file {path}")
        self._must_exist = must_exist
        self._db: sqlite3.Connection | None = self._connect()
        self._is_ours = self._identities()

    def prepare(self, owner: str, new_log: bytes) -> None:
        """Makes the tables in a new file, or those of today out of an older version's.

        Raises:
            WrongOwner: the file belongs to another device; nothing was changed.
            OutboxError: a newer version of this library wrote it.
        """

        def work(db: sqlite3.Connection) -> None:
            make_tables(db, owner, new_log)
            (found,) = db.execute("SELECT owner FROM outbox").fetchone()
            if found != owner:
                raise WrongOwner(f"{self.path} belongs to {found}, not to {owner}")

        self.commit(work)
        self._is_ours = self._identities()

    @property
    def is_there(self) -> bool:
        """Whether the files that are written to are still those under their names."""
        return self._identities() == self._is_ours

    def commit(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Does `work` in one transaction, which is on disk when this returns.

        Raises:
            DiskFull, OutboxError: nothing of it was done.
        """
        db = self._open_db()
        with self._translated():
            db.execute("BEGIN IMMEDIATE")
            try:
                result = work(db)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
            return result

    def rows(self, sql: str, *values: object) -> list[Any]:
        with self._translated():
            return self._open_db().execute(sql, values).fetchall()

    def make_room(self) -> int:
        """Uses what the file has of the disk already: the write-ahead log begins anew, and events that are only kept give way to new ones."""
        with suppress(sqlite3.Error):
            self._open_db().execute("PRAGMA wal_checkpoint(RESTART)")
        return self.commit(lambda db: db.execute("DELETE FROM sent").rowcount)

    def make_anew(self) -> None:
        """Writes everything into a new file under the old name: of a file that was deleted, this process is the last that can read it.

        Raises:
            OutboxGone: it is not safe, or does not succeed.
        """
        db, (real, _) = self._open_db(), self._names
        try:
            with self._translated():
                if self._identities()[0] == self._is_ours[0]:
                    # Only the write-ahead log was deleted: what it held goes into the file.
                    if db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]:
                        raise OutboxError("its write-ahead log was deleted")
                    self.close()
                else:
                    _copy(db, real)
                self._db = self._connect()
                db.close()
                self._is_ours = self._identities()
        except FileExistsError as error:
            raise OutboxGone(f"another file is now at {self.path}: close this device and start it again") from error
        except (OSError, OutboxError) as error:
            raise OutboxGone(f"no new file could be made: {error}") from error

    def copy_in_memory(self) -> sqlite3.Connection:
        """A copy to look into, with the tables of today; the file stays as it is."""
        copy = sqlite3.connect(":memory:", isolation_level=None)
        with self._translated():
            self._open_db().backup(copy)
            upgrade(copy)
        return copy

    def close(self) -> None:
        """Closes the file; what is in it stays. Closing twice is harmless."""
        if self._db is not None:
            self._db.close()
            self._db = None

    # --- below -----------------------------------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        with self._translated():
            db = sqlite3.connect(self.path, timeout=self._lock_wait_s, isolation_level=None, check_same_thread=False)
            try:
                # Exclusive: SQLite holds the file's lock until close, and the system frees it when the process dies.
                db.execute("PRAGMA locking_mode = EXCLUSIVE")
                if self._must_exist and not _version(db):
                    raise OutboxError(_NO_OUTBOX)
                mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
                # FULL: in WAL mode only this makes a commit outlive a power cut.
                db.execute("PRAGMA synchronous = FULL")
                if mode != "wal" or db.execute("PRAGMA synchronous").fetchone()[0] != 2:
                    raise OutboxError(f"{self.path} is not on a file system that keeps what was written")
            except BaseException:
                db.close()
                raise
            return db

    def _open_db(self) -> sqlite3.Connection:
        if self._db is None:
            raise Closed
        return self._db

    def _identities(self) -> tuple[object, ...]:
        return tuple(_identity(name) for name in self._names)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise _kind_of(error)(f"{self.path}: {error}") from error


def make_tables(db: sqlite3.Connection, owner: str, new_log: bytes) -> None:
    """Makes the tables of today, in a new file or out of an older version's.

    Raises:
        OutboxError: a newer version of this library wrote them.
    """
    if _version(db):
        upgrade(db)
        return
    for statement in _SCHEMA:
        db.execute(statement)
    db.execute("INSERT INTO outbox VALUES (?)", (owner,))
    db.execute("INSERT INTO logs VALUES (0, ?, 0)", (new_log,))
    db.execute(_SET_VERSION)


def upgrade(db: sqlite3.Connection) -> None:
    """Makes the tables of today out of an older version's.

    Raises:
        OutboxError: they are not an outbox, or a newer version of this library wrote them.
    """
    version = _version(db)
    if not version:
        raise OutboxError(_NO_OUTBOX)
    if version > SCHEMA_VERSION:
        raise OutboxError("a newer version of this library wrote the file")
    if version < SCHEMA_VERSION:
        for statement in _FROM_VERSION_1:
            db.execute(statement)
        db.execute(_SET_VERSION)


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def _copy(db: sqlite3.Connection, path: Path) -> None:
    """Copies a database into a file that does not exist yet.

    Raises:
        FileExistsError: it does.
    """
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o644))
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as copy:
            copy.execute("PRAGMA synchronous = FULL")
            db.backup(copy)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _kind_of(error: sqlite3.Error) -> type[OutboxError]:
    code = getattr(error, "sqlite_errorcode", 0)
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE):  # a quota that is used up is an error of input and output
        return DiskFull
    # The low byte is the primary code of an extended one.
    return OutboxLocked if code & 0xFF == sqlite3.SQLITE_BUSY else OutboxError
