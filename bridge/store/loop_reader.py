"""Reads on the event loop: look-ups by key, which take about ten microseconds and never wait for the writer (WAL)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge.ingest.ports import StoreUnavailable
from bridge.store.sqlite import connect


class LoopReader:
    """A read connection that opens on first use and closes after an error, so that the next look-up opens it again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file now, so that it is open if file descriptors run out."""
        with suppress(StoreUnavailable):
            self.rows("SELECT 1 FROM message_log LIMIT 0", ())

    def rows(self, query: str, parameters: Sequence[Any]) -> list[Any]:
        """The rows of a query.

        Raises:
            StoreUnavailable: if the file can't be read now.
        """
        try:
            if self._connection is None:
                self._connection = connect(self._path, read_only=True)
            return self._connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            self.close()
            raise StoreUnavailable(str(error)) from error

    def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
