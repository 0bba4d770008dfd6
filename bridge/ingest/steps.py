"""How batches go: how many, how large, and how long each step took. It adds up once per batch, never per event.

The steps follow one another without a gap: a batch is *committed* (handed to the writer, settled, COMMIT, back on the loop), *shown* (its messages go into the
sessions), and *answered* (acknowledged, and everything written to the sockets).
"""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

RECENT_BATCHES_MAX: Final = 10_000
"""Batches whose times are kept for `dockbridge trace`; about 300 bytes each."""
SECONDS: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000)


class Step(StrEnum):
    """What the server does with a batch, in this order."""

    COMMIT = "commit"
    SHOW = "show"
    ANSWER = "answer"


class BatchTimes(NamedTuple):
    """One batch of the event log: when the writer got it (server time), and how long each step took, in µs."""

    no: int
    begun_ms: int
    commit_us: int
    show_us: int
    answer_us: int


class Spread:
    """How values are spread: `counts[i]` of them are at most `bounds[i]` and more than the bound before; the last count is of those beyond all bounds."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


def _no_ms() -> int:
    return 0


def _no_s() -> float:
    return 0.0


class Steps:
    """Hears from the pipeline how far the batch in hand is.

    Args:
        now_ms: the server's time, in which messages are received.
        now_s: a monotonic clock.
    """

    def __init__(self, now_ms: Callable[[], int] = _no_ms, now_s: Callable[[], float] = _no_s) -> None:
        self._now_ms = now_ms
        self._now_s = now_s
        self.commit_s = Spread(SECONDS)
        self.messages = Spread(SIZES)
        self.took_s = dict.fromkeys(Step, 0.0)
        """Seconds in all, by step."""
        self.committing_since_s: float | None = None
        """When the writer got the batch that it has now; None if it has none."""
        self._recent: OrderedDict[int, BatchTimes] = OrderedDict()
        self._no = self._begun_ms = 0
        self._begun_s = self._committed_s = self._shown_s = 0.0
        self._commit_us = 0

    def begun(self) -> None:
        """The writer gets a batch, for the first time or again after a failure."""
        self._begun_ms = self._now_ms()
        self._begun_s = self._now_s()
        if self.committing_since_s is None:
            self.committing_since_s = self._begun_s

    def committed(self, no: int, messages: int) -> None:
        """It is committed: as the batch `no` of the event log (0 if it is not in it), with so many messages and changes."""
        self.committing_since_s = None
        self._committed_s = self._now_s()
        took_s = self._committed_s - self._begun_s
        self.commit_s.add(took_s)
        self.messages.add(messages)
        self.took_s[Step.COMMIT] += took_s
        self._no, self._commit_us = no, round(took_s * 1e6)

    def shown(self) -> None:
        self._shown_s = self._now_s()
        self.took_s[Step.SHOW] += self._shown_s - self._committed_s

    def answered(self) -> None:
        now_s = self._now_s()
        self.took_s[Step.ANSWER] += now_s - self._shown_s
        if self._no:
            show_us, answer_us = round((self._shown_s - self._committed_s) * 1e6), round((now_s - self._shown_s) * 1e6)
            self._recent[self._no] = BatchTimes(self._no, self._begun_ms, self._commit_us, show_us, answer_us)
            if len(self._recent) > RECENT_BATCHES_MAX:
                self._recent.popitem(last=False)

    def of(self, batches: Sequence[int]) -> list[BatchTimes]:
        """The times of those of these batches of the event log that are still known."""
        return [self._recent[no] for no in batches if no in self._recent]
