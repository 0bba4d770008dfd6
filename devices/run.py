"""What is handed out on one connection: each event once, fresh ones first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from itertools import islice

from devices.outbox_rows import Entry

Between = Callable[[int, int, int], list[Entry]]
"""The waiting events after one place and up to another, the first so many of them."""
At = Callable[[int], Entry | None]
"""The event at a place, if it is still there."""


class Run:
    """First what was made since the run began; then the backlog and what is sent again, oldest first.

    Args:
        last_place: the last event before the run: everything up to it is backlog.
    """

    def __init__(self, last_place: int) -> None:
        self._start = self._fresh_at = last_place
        self._backlog_at = 0
        self._again: deque[int] = deque()
        self._asked: set[int] = set()

    def take(self, room: int, last_place: int, between: Between, at: At) -> list[Entry]:
        """Up to `room` events to send next."""
        if room <= 0:
            return []
        fresh = between(self._fresh_at, last_place, room)
        if len(fresh) == room:
            self._fresh_at = fresh[-1].place
            return fresh
        self._fresh_at = last_place
        return [*fresh, *self._older(room - len(fresh), between, at)]

    def send_again(self, places: Iterable[int]) -> None:
        """Hands out acknowledged events once more, except those that are on their way already."""
        new = set(places) - self._asked
        self._asked |= new
        self._add(new)

    def release(self, places: Iterable[int]) -> None:
        """Hands out waiting events that were passed over."""
        self._add(place for place in places if place <= self._backlog_at or self._start < place <= self._fresh_at)

    def acknowledge(self, places: Iterable[int]) -> set[int]:
        """Those of some places that were sent again. They may be asked for once more."""
        again = self._asked.intersection(places)
        self._asked -= again
        return again

    def _older(self, room: int, between: Between, at: At) -> list[Entry]:
        backlog = between(self._backlog_at, self._start, room)
        again = islice((entry for place in self._again if (entry := at(place)) is not None), room)
        taken = sorted((*backlog, *again), key=lambda entry: entry.place)[:room]
        if len(taken) < room:  # nothing is left of either
            self._backlog_at = self._start
            self._again.clear()
            return taken
        last = taken[-1].place
        self._backlog_at = max(self._backlog_at, min(last, self._start))
        while self._again and self._again[0] <= last:
            self._again.popleft()
        return taken

    def _add(self, places: Iterable[int]) -> None:
        self._again = deque(sorted({*self._again, *places}))
