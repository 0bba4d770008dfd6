"""SQLite: connections as we need them, and its errors in our words.

It runs in WAL mode with `synchronous=FULL`, read back on every connection: a COMMIT that returned is on the disk.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from bridge.ingest.ports import StoreUnavailable

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
