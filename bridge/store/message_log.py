"""The message log for reading: payloads when their turn comes, and at the start who was owed what."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from bridge.ingest.ports import MessageRow, SessionRow, SubscriptionRow
from bridge.store.sql import SqlTransaction, connect, marks

AT_ONCE: Final = 500
"""Places in one statement; SQLite bounds them."""

Found = dict[int, tuple[str, bytes, int]]
"""Topic, payload and QoS by place."""


class LogReader:
    """Reads on the event loop: a look-up by place takes some ten microseconds, and never waits for the writer (WAL)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> None:
        """Open the file now, so that it is there when descriptors are short."""
        with suppress(sqlite3.Error):
            self._execute("SELECT 1 FROM message_log LIMIT 0", ())

    def fetch(self, positions: Sequence[int]) -> Found | None:
        """Messages by their places; None where the file can't be read now."""
        found: Found = {}
        try:
            for start in range(0, len(positions), AT_ONCE):
                some = positions[start : start + AT_ONCE]
                rows = self._execute(f"SELECT pos, topic, payload, qos FROM message_log WHERE pos IN ({marks(some)})", some)  # noqa: S608
                found.update((pos, (topic, payload, qos)) for pos, topic, payload, qos in rows)
        except sqlite3.Error:
            self.close()
            return None
        return found

    def young_from(self, before_ms: int) -> int:
        """The place of the first message that was published at a time or later: all before it are older. 0 where that can't be said now.

        Reads what is too old, once, because it is let go of then.
        """
        try:
            found = self._execute("SELECT pos FROM message_log WHERE at_ms >= ? ORDER BY pos LIMIT 1", (before_ms,)).fetchone()
            newest = self._execute("SELECT max(pos) FROM message_log", ()).fetchone()
        except sqlite3.Error:
            self.close()
            return 0
        return int(found[0]) if found is not None else int(newest[0] or 0) + 1

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _execute(self, statement: str, parameters: Sequence[int]) -> sqlite3.Cursor:
        if self._connection is None:
            self._connection = connect(self._path, read_only=True)
        return self._connection.execute(statement, parameters)


class Stored:
    """Sessions, subscriptions and messages as a transaction of the start sees them."""

    def __init__(self, tx: SqlTransaction) -> None:
        self.sessions: list[SessionRow] = tx.sessions()
        self.subscriptions: list[SubscriptionRow] = tx.subscriptions()
        self.messages: list[MessageRow] = list(_messages(tx))
        self.next_pos = tx.next_message()
        self.incoming_ids: list[tuple[int, int]] = tx.incoming_ids()


def _messages(tx: SqlTransaction) -> Iterator[MessageRow]:
    """The whole log in its order, without payloads."""
    for pos, topic, qos, sid, at_ms in tx.message_heads():
        yield MessageRow(pos, topic, b"", qos, sid, at_ms)
