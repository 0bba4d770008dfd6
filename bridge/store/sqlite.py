"""SQLite: connections with the settings that we need, and its errors as our own.

It runs in WAL mode with `synchronous=FULL`, verified on every connection: when a COMMIT returns, its data is on the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import NoneType
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from bridge.ingest.ports import StoreUnavailable

BUSY_TIMEOUT_MS: Final = 5_000
FINISH_MS: Final = 200
"""How long a stopping server waits for readers of the database."""
PRIVATE: Final = 0o600
"""The mode of database files."""
READER_CACHE_BYTES: Final = 4_194_304
LOG_BYTES: Final = 4_194_304
"""Size at which the write-ahead log is moved into the database: SQLite's own default."""
PAGE_BYTES: Final = 4_096
_FULL: Final = 2
MEND_DAMAGED: Final = (
    "stop the server, and put a backup in its place with `dockbridge db restore FILE`; without a backup, `dockbridge db salvage FILE` saves what can be read"
)
"""The way out of a damaged database."""
DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_FIXES: Final = {
    sqlite3.SQLITE_FULL: "free some space on the disk",
    sqlite3.SQLITE_READONLY: "let the server write to the site's folder and its files, on a file system that is mounted read-write",
    sqlite3.SQLITE_BUSY: "stop the other program that writes to this database",
    sqlite3.SQLITE_IOERR: "check the disk, its free space and quotas, and the system's log",
    sqlite3.SQLITE_CANTOPEN: "check that the site's folder exists, its permissions, and how many files the server may open (ulimit -n)",
    sqlite3.SQLITE_CORRUPT: MEND_DAMAGED,
    sqlite3.SQLITE_NOTADB: MEND_DAMAGED,
}
"""The fix for each of SQLite's primary result codes."""
PRIMARY: Final = 0xFF
"""The part of a result code that names its kind."""
_NONE: deque[Any] = deque(maxlen=0)
# For each value that is not exactly an int, float, str or bytearray, Python's driver looks for an adapter, and makes two exceptions if there is none: a quarter
# of the time of `executemany`. These two adapters return the value itself; both run without a Python frame.
sqlite3.register_adapter(bytes, bytes)
sqlite3.register_adapter(NoneType, _NONE.append)
_CONTENT: Final = (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)


def open_engine(path: Path, *, read_only: bool = False, cache_bytes: int = READER_CACHE_BYTES, log_bytes: int = LOG_BYTES) -> Engine:
    """An engine on the SQLite file at `path`. Each connection caches `cache_bytes` of it in memory.

    If the write-ahead log is larger than `log_bytes`, a COMMIT moves its pages into the database. A page that was written a hundred times is moved once, so a
    larger log is faster: 64 MB instead of 4 gave 12 % more events per second.

    Raises:
        StoreUnavailable: on first use, if the file can't be opened, or the database does not accept `synchronous=FULL`.
    """
    engine = create_engine("sqlite://", creator=lambda: connect(path, read_only=read_only, cache_bytes=cache_bytes, log_bytes=log_bytes), poolclass=NullPool)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine


def connect(path: Path, *, read_only: bool, cache_bytes: int = READER_CACHE_BYTES, log_bytes: int = LOG_BYTES) -> sqlite3.Connection:
    """A connection of the driver, with the settings that we rely on set and verified.

    Raises:
        sqlite3.Error: if the file can't be opened, or does not accept `synchronous=FULL`.
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
            raise sqlite3.OperationalError("the database does not accept synchronous=FULL")
        connection.execute(f"PRAGMA wal_autocheckpoint={log_bytes // PAGE_BYTES}")
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(f"PRAGMA cache_size=-{cache_bytes // 1024}")
    return connection


def make_private(path: Path) -> None:
    """If the database file does not exist, make it readable only for its owner: it contains hashes of passwords. SQLite gives -wal and -shm the same mode."""
    with suppress(OSError):  # it exists already; on any other error, SQLite reports the cause
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, PRIVATE))


def check_writable(engine: Engine) -> None:
    """Check that the database can be written: SQLite also opens a read-only file, and begins transactions on it.

    Raises:
        StoreUnavailable: if it can't.
    """
    with translated(), engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("DELETE FROM alembic_version WHERE 0")


def pass_over(engine: Engine, away_ms: int) -> None:
    """Don't count a time without a server as age: move the times of disconnected sessions and waiting messages by it.

    Raises:
        StoreUnavailable: if the database can't be written.
    """
    with translated(), engine.connect() as connection, connection.begin():
        connection.exec_driver_sql("UPDATE sessions SET seen_ms = seen_ms + ? WHERE seen_ms > 0", (away_ms,))
        connection.exec_driver_sql("UPDATE message_log SET at_ms = at_ms + ?", (away_ms,))


@contextmanager
def translated() -> Iterator[None]:
    """Translate driver errors: a fault of the content is raised unchanged, a fault of the database becomes `StoreUnavailable`.

    Raises:
        StoreUnavailable: if the disk is full, or the file is locked, read-only or missing.
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
    fix = _FIXES.get(getattr(error, "sqlite_errorcode", 0) & PRIMARY)
    return StoreUnavailable(str(error), fix=fix) if fix is not None else StoreUnavailable(str(error))
