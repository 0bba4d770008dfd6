"""Reads of the message log: payloads when they are sent, and at the start the messages that wait for each session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from bridge.ingest.ports import NOT_YET, NotYet, StoreUnavailable
from bridge.ingest.sessions import INCOMING_IDS, SESSIONS, SUBSCRIPTIONS, WILLS, MessageRow, SessionRow, SubscriptionRow, WillRow
from bridge.store.loop_reader import LoopReader
from bridge.store.relations import marks
from bridge.store.sql import SqlTransaction

AT_ONCE: Final = 500
"""Positions in one statement; SQLite limits the number of placeholders."""

Found = dict[int, tuple[str, bytes, int]]
"""Topic, payload and QoS by position."""


class LogReader:
    """Messages and their ages, read on the event loop: the broker's `StoredMessages`."""

    def __init__(self, reader: LoopReader) -> None:
        self._reader = reader

    def fetch(self, positions: Sequence[int]) -> Found | NotYet:
        """See `StoredMessages.fetch`."""
        found: Found = {}
        try:
            for start in range(0, len(positions), AT_ONCE):
                some = positions[start : start + AT_ONCE]
                rows = self._reader.rows(f"SELECT pos, topic, payload, qos FROM message_log WHERE pos IN ({marks(some)})", some)
                found.update((pos, (topic, payload, qos)) for pos, topic, payload, qos in rows)
        except StoreUnavailable:
            return NOT_YET
        return found

    def young_from(self, before_ms: int) -> int | NotYet:
        """See `StoredMessages.young_from`. It scans messages that are too old, but only once, because they are then deleted."""
        try:
            found = self._reader.rows("SELECT pos FROM message_log WHERE at_ms >= ? ORDER BY pos LIMIT 1", (before_ms,))
            newest = self._reader.rows("SELECT max(pos) FROM message_log", ())
        except StoreUnavailable:
            return NOT_YET
        return int(found[0][0]) if found else int(newest[0][0] or 0) + 1


class Stored:
    """Sessions, subscriptions, messages and wills, as read in one transaction at the start."""

    def __init__(self, tx: SqlTransaction) -> None:
        self.sessions: list[SessionRow] = tx.rows(SESSIONS)
        self.subscriptions: list[SubscriptionRow] = tx.rows(SUBSCRIPTIONS)
        self.messages: list[MessageRow] = list(_messages(tx))
        self.next_pos = tx.next_message()
        self.incoming_ids: list[tuple[int, int]] = [tuple(i) for i in tx.rows(INCOMING_IDS)]
        self.wills: list[WillRow] = tx.rows(WILLS)


def _messages(tx: SqlTransaction) -> Iterator[MessageRow]:
    """The whole message log in order, without payloads."""
    for pos, topic, qos, sid, at_ms in tx.message_heads():
        yield MessageRow(pos, topic, b"", qos, sid, at_ms)
