"""A feed: takes a follower through the log, from its stored cursor on.

What a follower is sent, it is sent in the order of the log, at least once: the cursor is stored after `send` has returned, and a crash in between sends the
same rows again. Nothing on the way of a scan waits for a follower.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from bridge.ingest.cursors import CursorRow
from bridge.ingest.log import EventRow
from bridge.projections.orders import StatusLogRow

logger = logging.getLogger("dockbridge.outbound")


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """Bounds of a feed."""

    rows_max: int = 500
    """Rows of each kind in one `send`."""
    poll_s: float = 0.5
    retry_first_s: float = 1.0
    retry_max_s: float = 300.0


class Followed(NamedTuple):
    """What happened behind a cursor: events, visible changes, and the cursor behind them."""

    events: list[EventRow]
    statuses: list[StatusLogRow]
    cursor: CursorRow


class Follower(Protocol):
    """Somewhere that events and visible changes go."""

    @property
    def name(self) -> str:
        """Under which its cursor is stored."""
        ...

    async def send(self, followed: Followed) -> None:
        """Pass on what happened. An exception means that it is tried again, after a pause."""
        ...


class Source(Protocol):
    """The log, and where cursors are stored."""

    def cursor(self, name: str) -> CursorRow:
        """A follower's stored cursor; the beginning if it has none."""
        ...

    def after(self, cursor: CursorRow, rows_max: int) -> tuple[list[EventRow], list[StatusLogRow], CursorRow]:
        """The parts of a `Followed`."""
        ...

    async def keep(self, cursor: CursorRow) -> None:
        """Store a cursor."""
        ...


class Feed:
    """Takes one follower through the log."""

    def __init__(self, source: Source, follower: Follower, limits: FeedLimits | None = None) -> None:
        self._source = source
        self._follower = follower
        self._limits = limits or FeedLimits()
        self._cursor: CursorRow | None = None

    async def step(self) -> bool:
        """Send what has happened since the last step; False if nothing has.

        Raises:
            Exception: whatever `send` raises; the cursor stays where it is.
        """
        if self._cursor is None:
            self._cursor = self._source.cursor(self._follower.name)
        followed = Followed(*self._source.after(self._cursor, self._limits.rows_max))
        if not followed.events and not followed.statuses:
            return False
        await self._follower.send(followed)
        await self._source.keep(followed.cursor)
        self._cursor = followed.cursor
        return True

    async def run(self) -> None:
        """Follow until cancelled."""
        pause_s = self._limits.retry_first_s
        while True:
            try:
                if not await self.step():
                    await asyncio.sleep(self._limits.poll_s)
                pause_s = self._limits.retry_first_s
            except Exception as error:  # noqa: BLE001 -- whatever fails in a follower is tried again, and is no trouble to anything else
                logger.warning("%s could not be sent to (%s: %s); trying again in %.0f s", self._follower.name, type(error).__name__, error, pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, self._limits.retry_max_s)
