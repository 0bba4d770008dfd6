"""What /metrics reads of the database and the disk: on a thread, and not more often than it is worth, however many ask."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from bridge.ingest.ports import StoreUnavailable
from bridge.operations.figure_ports import StoredFigures
from bridge.operations.notice_ports import NoticeCounts
from bridge.operations.ports import SiteContext
from bridge.operations.stuck import count_stuck
from bridge.surroundings import Surroundings, look_around

STUCK_EVERY_S: Final = 60.0
"""How old the number of stuck orders may be: of all figures it is the one that takes longest."""
EVENTS_AT_ONCE_MAX: Final = 250_000
"""Events whose outcomes are counted in one read, 0.2 s of work. After a long time without a reader it takes several reads."""


class Gauges(NamedTuple):
    """What was read. `outcomes` counts events since the start of the process."""

    stored: StoredFigures
    outcomes: Counter[str]
    stuck: int
    surroundings: Surroundings
    notices: NoticeCounts
    read_ms: int


class GaugeReader:
    """Reads.

    Args:
        directory: the site's folder.
        every_s: how old what is read may be.
    """

    def __init__(self, site: SiteContext, directory: Path, *, every_s: float) -> None:
        self._site = site
        self._directory = directory
        self._every_s = every_s
        self._lock = asyncio.Lock()
        self._outcomes: Counter[str] = Counter()
        self._counted = site.queries.last_event()
        self._stuck = 0
        self._stuck_s = self._read_s = float("-inf")
        self._last: Gauges | None = None

    async def read(self) -> Gauges | None:
        """What was read last, not longer ago than `every_s`; None if the database can't be read now."""
        async with self._lock:
            now_s = self._site.clock.now_s()
            if self._last is None or now_s - self._read_s >= self._every_s:
                self._read_s = now_s
                self._last = await asyncio.to_thread(self._read, now_s)
            return self._last

    def _read(self, now_s: float) -> Gauges | None:
        try:
            stored = self._site.queries.figures(after=self._counted, events_max=EVENTS_AT_ONCE_MAX)
            notices = self._site.queries.notice_counts()
            if now_s - self._stuck_s >= STUCK_EVERY_S:
                self._stuck_s = now_s
                self._stuck = count_stuck(self._site.queries, now_ms=self._site.clock.now_ms())
        except StoreUnavailable:
            return None
        self._outcomes.update(stored.outcomes)
        self._counted = stored.end
        return Gauges(stored, self._outcomes.copy(), self._stuck, look_around(self._directory), notices, self._site.clock.now_ms())
