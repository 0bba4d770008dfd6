"""What a device still owes: the sequence numbers that arrived from each (device, log), as ranges, and between which times a missing one must have happened."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from bridge.domain.event_time import UNBOUNDED, Bounds

GAPS_MAX: Final = 1_000
"""Gaps remembered for one log. Beyond that the lowest are given up as lost, and counted in `forgotten`."""


class Ledger:
    """Sequence numbers 1.. of one log. `starts` and `ends` are the closed ranges that arrived, in ascending order; two ranges never touch.

    A device counts its events as they happen, so the events of a range bound those outside it: what has a higher number happened at or after `after_ms`,
    what has a lower number at or before `before_ms`. `reused` counts events whose number had arrived before, with another event: their outbox was restored
    from a backup, or copied, and their times bound nothing.

    Args:
        ranges: (first, last, after_ms, before_ms) as `stored` gives them, or (first, last) if nothing is known of their times.
    """

    __slots__ = ("after_ms", "before_ms", "ends", "forgotten", "reused", "starts")

    def __init__(self, ranges: Sequence[Sequence[int]] = (), forgotten: int = 0, reused: int = 0) -> None:
        self.starts = [r[0] for r in ranges]
        self.ends = [r[1] for r in ranges]
        self.after_ms = [r[2] if len(r) > 2 else UNBOUNDED.from_ms for r in ranges]
        self.before_ms = [r[3] if len(r) > 2 else UNBOUNDED.to_ms for r in ranges]
        self.forgotten = forgotten
        self.reused = reused

    @property
    def high(self) -> int:
        """The highest number that arrived, 0 if none did."""
        return self.ends[-1] if self.ends else 0

    @property
    def ranges(self) -> list[tuple[int, int]]:
        return list(zip(self.starts, self.ends, strict=True))

    @property
    def stored(self) -> list[tuple[int, int, int, int]]:
        """The ranges with their times, for the store."""
        return list(zip(self.starts, self.ends, self.after_ms, self.before_ms, strict=True))

    @property
    def gaps(self) -> list[tuple[int, int]]:
        """The closed ranges below `high` that did not arrive."""
        edges = [0, *self.ends]
        return [(end + 1, start - 1) for end, start in zip(edges, self.starts, strict=False) if start > end + 1]

    def missing(self, last_seq: int) -> list[tuple[int, int]]:
        """The closed ranges up to `last_seq` that did not arrive."""
        below = [(first, min(last, last_seq)) for first, last in self.gaps if first <= last_seq]
        return [*below, (self.high + 1, last_seq)] if last_seq > self.high else below

    @property
    def owed(self) -> int:
        """How many numbers below `high` did not arrive."""
        return sum(b - a + 1 for a, b in self.gaps)

    def __contains__(self, seq: int) -> bool:
        ends = self.ends
        if not ends or seq > ends[-1]:
            return False
        place = bisect_right(self.starts, seq) - 1
        return place >= 0 and seq <= self.ends[place]

    def around(self, seq: int) -> Bounds:
        """When an event with this number can have happened, by those with other numbers."""
        place = bisect_right(self.starts, seq) - 1
        below = place if seq in self else place + 1
        return Bounds(max(self.after_ms[:below], default=UNBOUNDED.from_ms), min(self.before_ms[place + 1 :], default=UNBOUNDED.to_ms))

    def add(self, seq: int, from_ms: int = UNBOUNDED.from_ms, to_ms: int = UNBOUNDED.to_ms) -> bool:
        """Record that `seq` arrived, and between which times it can have happened. Returns False if it had arrived before."""
        ends = self.ends
        if ends and seq == ends[-1] + 1:  # nearly always
            ends[-1] = seq
            self._date(-1, from_ms, to_ms)
            return True
        if seq in self:
            return False
        starts = self.starts
        place = bisect_right(starts, seq)
        joins_left = place > 0 and ends[place - 1] == seq - 1
        joins_right = place < len(starts) and starts[place] == seq + 1
        if joins_left and joins_right:
            self._join(place)
            self._date(place - 1, from_ms, to_ms)
        elif joins_left:
            ends[place - 1] = seq
            self._date(place - 1, from_ms, to_ms)
        elif joins_right:
            starts[place] = seq
            self._date(place, from_ms, to_ms)
        else:
            starts.insert(place, seq)
            ends.insert(place, seq)
            self.after_ms.insert(place, from_ms)
            self.before_ms.insert(place, to_ms)
            self._bound()
        return True

    def _date(self, place: int, from_ms: int, to_ms: int) -> None:
        if from_ms > self.after_ms[place]:
            self.after_ms[place] = from_ms
        if to_ms < self.before_ms[place]:
            self.before_ms[place] = to_ms

    def _join(self, place: int) -> None:
        """Make one range of this one and the one before."""
        self.ends[place - 1] = self.ends[place]
        self._date(place - 1, self.after_ms[place], self.before_ms[place])
        del self.starts[place], self.ends[place], self.after_ms[place], self.before_ms[place]

    def _bound(self) -> None:
        while len(self.starts) - (self.starts[0] == 1) > GAPS_MAX:
            if self.starts[0] > 1:
                self.forgotten += self.starts[0] - 1
                self.starts[0] = 1
            else:
                self.forgotten += self.starts[1] - self.ends[0] - 1
                self._join(1)
