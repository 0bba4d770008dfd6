"""A server whose disk and clock have the faults that a test sets: `python serve_with_faults.py FOLDER serve DIR`.

While it runs it looks for files in FOLDER: `read_only` makes the database refuse writes, `commit_s` delays every commit by that many seconds, `clock_s` sets
the wall clock off by that many seconds. Two files are read only at the start: `busy_ms` is how long it waits for a locked database, and
`synchronous` (NORMAL, OFF) makes it wait less for the disk.
"""

from __future__ import annotations

import functools
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any, Final

from bridge.entrypoints.cli.main import main
from bridge.store import sqlite

FAULTS: Final = Path(sys.argv.pop(1))
WEAKLY: Final = FAULTS / "synchronous"
connect = sqlite.connect
real_connect = sqlite3.connect
real_time_ns = time.time_ns


def fault(name: str, default: float = 0.0) -> float:
    try:
        return float((FAULTS / name).read_text() or 1)
    except FileNotFoundError:
        return default


def connect_weakly(path: Path, *, read_only: bool, **other: Any) -> sqlite3.Connection:
    connection = connect(path, read_only=read_only, **other)
    connection.execute(f"PRAGMA synchronous={WEAKLY.read_text()}")
    return connection


class Connection(sqlite3.Connection):
    def cursor(self, *args: Any) -> Any:  # type: ignore[override, unused-ignore]
        super().execute(f"PRAGMA query_only = {int(fault('read_only'))}")
        return super().cursor(*args)

    def commit(self) -> None:
        time.sleep(fault("commit_s"))
        super().commit()


sqlite3.connect = functools.partial(real_connect, factory=Connection)  # type: ignore[assignment]
time.time_ns = lambda: real_time_ns() + int(fault("clock_s") * 1e9)
sqlite.BUSY_TIMEOUT_MS = int(fault("busy_ms", sqlite.BUSY_TIMEOUT_MS))  # type: ignore[misc]
if WEAKLY.exists():
    sqlite.connect = connect_weakly

if __name__ == "__main__":
    main()
