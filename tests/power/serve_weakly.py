"""A server that does not wait for the disk: `python serve_weakly.py NORMAL serve DIR`. Only for the test that must find it out."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Final

from bridge.cli.main import main
from bridge.store import sql

LEVEL: Final = sys.argv.pop(1)
_connect = sql._connect


def _connect_weakly(path: Path, *, read_only: bool) -> sqlite3.Connection:
    connection = _connect(path, read_only=read_only)
    connection.execute(f"PRAGMA synchronous={LEVEL}")
    return connection


sql._connect = _connect_weakly

if __name__ == "__main__":
    main()
