"""A server that does not wait for the disk: `python serve_weakly.py NORMAL serve DIR`. Only for the test that must find it out."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any, Final

from bridge.entrypoints.cli.main import main
from bridge.store import sql

LEVEL: Final = sys.argv.pop(1)
connect = sql.connect


def _connect_weakly(path: Path, *, read_only: bool, **other: Any) -> sqlite3.Connection:
    connection = connect(path, read_only=read_only, **other)
    connection.execute(f"PRAGMA synchronous={LEVEL}")
    return connection


sql.connect = _connect_weakly

if __name__ == "__main__":
    main()
