"""What the door reads from the store while it serves: retained messages that are in tables, and the message log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from bridge.ingest.ports import Page, StoredMessages, StoredRetained


class _NoTables:
    def covers(self, topic: str) -> bool:
        return False

    def get(self, topic: str) -> bytes | None:
        return None

    def page(self, topic_filter: str, after: str) -> Page:
        return Page((), None)


class _NoMessages:
    def fetch(self, positions: Sequence[int]) -> dict[int, tuple[str, bytes, int]]:
        return {}

    def young_from(self, before_ms: int) -> int:
        return 0


class StoreView(NamedTuple):
    """Both ports. Each may answer `NOT_YET`; once it can answer, `FrontDoor.ask_again` has it asked again."""

    retained: StoredRetained = _NoTables()
    messages: StoredMessages = _NoMessages()


NOTHING_STORED: Final = StoreView()
"""The view of a broker without a store: everything is in memory."""
