"""Reading on the event loop: look-ups by key that take some ten microseconds, and never wait for the writer (WAL)."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bridge.ingest.ports import StoreUnavailable
from bridge.store.sqlite import connect


class LoopReader:
    """A connection for reading, opened when it is wanted and let go of after a fault, so that the next look-up begins anew."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file now, so that it is there when descriptors are short."""
        with suppress(StoreUnavailable):
            self.rows("SELECT 1 FROM message_log LIMIT 0", ())

    def rows(self, query: str, parameters: Sequence[Any]) -> list[Any]:
        """The rows of a query.

        Raises:
            StoreUnavailable: where the file can't be read now.
        """
        try:
            if self._connection is None:
                self._connection = connect(self._path, read_only=True)
            return self._connection.execute(query, parameters).fetchall()
        except sqlite3.Error as error:
            self.close()
            raise StoreUnavailable(str(error)) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
