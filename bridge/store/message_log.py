"""The message log for reading: payloads when their turn comes, and at the start who was owed what."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge.ingest.ports import MessageRow, SessionRow, StoreUnavailable, SubscriptionRow
from bridge.store.sql import SqlTransaction, connect, marks

Found = dict[int, tuple[str, bytes, int]]
"""Topic, payload and QoS by place."""


class LogReader:
    """Reads on the event loop: a look-up by place takes some ten microseconds, and never waits for the writer (WAL)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def fetch(self, positions: Sequence[int]) -> Found | None:
        """Messages by their places; None where the file can't be read now."""
        try:
            rows = self._execute(f"SELECT pos, topic, payload, qos FROM message_log WHERE pos IN ({marks(positions)})", positions)  # noqa: S608
            return {pos: (topic, payload, qos) for pos, topic, payload, qos in rows}
        except sqlite3.Error:
            self.close()
            return None

    def is_older(self, pos: int, before_ms: int) -> bool:
        """Whether a message was published before a time; not so where that can't be said now."""
        try:
            found = self._execute("SELECT at_ms FROM message_log WHERE pos = ?", (pos,)).fetchone()
        except sqlite3.Error:
            self.close()
            return False
        return found is None or found[0] < before_ms

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


__all__ = ["LogReader", "StoreUnavailable", "Stored"]
