"""A feed: takes a follower through the log, from its stored cursor on.

What a follower is sent, it is sent in the order of the log, at least once: the cursor is stored after `send` has returned, and a crash in between sends the
same rows again. Nothing on the way of a scan waits for a follower.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import SystemRandom
from typing import Any, NamedTuple, Protocol

from bridge.ingest.cursors import CursorRow
from bridge.ingest.log import EventRow
from bridge.projections.notices import NoticeRow
from bridge.projections.orders import StatusLogRow

logger = logging.getLogger("dockbridge.outbound")

_RANDOM = SystemRandom()


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedLimits:
    """Bounds of a feed. A pause after a failure is a random part of a limit that doubles, from `retry_first_s` to `retry_max_s` ("full jitter")."""

    rows_max: int = 500
    """Rows of each kind in one `send`."""
    poll_s: float = 0.5
    retry_first_s: float = 1.0
    retry_max_s: float = 300.0
    alert_after_s: float = 300.0
    """How long it has to fail before `on_trouble` is called."""


class Followed(NamedTuple):
    """What happened behind a cursor: events, visible changes, the cursor behind them, and what customers were told."""

    events: list[EventRow]
    statuses: list[StatusLogRow]
    cursor: CursorRow
    notices: Sequence[NoticeRow] = ()


class Follower(Protocol):
    """Somewhere that events, visible changes and notices go."""

    @property
    def name(self) -> str:
        """Under which its cursor is stored."""
        ...

    async def send(self, followed: Followed) -> None:
        """Pass on what happened. An exception means that it is tried again, after a pause; `Unwanted` ends the feed."""
        ...


class Source(Protocol):
    """The log, and where cursors are stored."""

    def cursor(self, name: str) -> CursorRow:
        """A follower's stored cursor; the beginning if it has none."""
        ...

    def after(self, cursor: CursorRow, rows_max: int) -> tuple[Any, ...]:
        """The parts of a `Followed`."""
        ...

    async def keep(self, cursor: CursorRow) -> None:
        """Store a cursor."""
        ...


class Unwanted(Exception):
    """The receiver wants nothing any more."""


class Feed:
    """Takes one follower through the log.

    Args:
        on_trouble: called with the last error once it has failed for `alert_after_s`, and with an empty text once it works again.
        aside: calls a function that reads the database, beside the event loop.
        jitter: a random number from 0 to 1.

    Attributes:
        last_error: why it fails now; empty while it works.
    """

    def __init__(
        self,
        source: Source,
        follower: Follower,
        limits: FeedLimits | None = None,
        *,
        on_trouble: Callable[[str], None] | None = None,
        aside: Callable[..., Awaitable[Any]] = asyncio.to_thread,
        jitter: Callable[[], float] = _RANDOM.random,
    ) -> None:
        self._source = source
        self._follower = follower
        self._limits = limits or FeedLimits()
        self._on_trouble = on_trouble
        self._aside = aside
        self._jitter = jitter
        self._cursor: CursorRow | None = None
        self._failing_since_s: float | None = None
        self._is_told = False
        self.last_error = ""

    async def step(self) -> bool:
        """Send what has happened since the last step; False if nothing has.

        Raises:
            Exception: whatever `send` raises; the cursor stays where it is.
        """
        if self._cursor is None:
            self._cursor = await self._aside(self._source.cursor, self._follower.name)
        followed = Followed(*await self._aside(self._source.after, self._cursor, self._limits.rows_max))
        if not followed.events and not followed.statuses and not followed.notices:
            return False
        await self._follower.send(followed)
        await self._source.keep(followed.cursor)
        self._cursor = followed.cursor
        return True

    async def run(self) -> None:
        """Follow until cancelled.

        Raises:
            Unwanted: if the receiver wants nothing any more.
        """
        limit_s = self._limits.retry_first_s
        while True:
            try:
                is_sent = await self.step()
            except Unwanted:
                raise
            except Exception as error:  # noqa: BLE001 -- whatever fails in a follower is tried again, and is no trouble to anything else
                pause_s = self._jitter() * limit_s
                logger.warning("%s could not be sent to (%s: %s); trying again in %.1f s", self._follower.name, type(error).__name__, error, pause_s)
                self._note_failure(f"{error}" or type(error).__name__)
                await asyncio.sleep(pause_s)
                limit_s = min(limit_s * 2, self._limits.retry_max_s)
                continue
            if is_sent or self._failing_since_s is not None:
                self._note_success()
                limit_s = self._limits.retry_first_s
            if not is_sent:
                await asyncio.sleep(self._limits.poll_s)

    def _note_failure(self, error: str) -> None:
        now_s = asyncio.get_running_loop().time()
        self.last_error = error
        if self._failing_since_s is None:
            self._failing_since_s = now_s
        if not self._is_told and self._on_trouble is not None and now_s - self._failing_since_s >= self._limits.alert_after_s:
            self._is_told = True
            self._on_trouble(error)

    def _note_success(self) -> None:
        self.last_error = ""
        self._failing_since_s = None
        if self._is_told and self._on_trouble is not None:
            self._is_told = False
            self._on_trouble("")
