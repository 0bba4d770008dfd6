"""What a device still owes: the sequence numbers that arrived from each (device, log), as ranges."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

GAPS_MAX: Final = 1_000
"""Gaps remembered for one log. Beyond that the lowest are given up as lost, and counted in `forgotten`."""


class Ledger:
    """Sequence numbers 1.. of one log. `starts` and `ends` are the closed ranges that arrived, in ascending order; two ranges never touch.

    `reused` counts events whose number had arrived before, with another event: their outbox was restored from a backup, or copied.
    """

    __slots__ = ("ends", "forgotten", "reused", "starts")

    def __init__(self, ranges: list[tuple[int, int]] | None = None, forgotten: int = 0, reused: int = 0) -> None:
        self.starts = [a for a, _ in ranges or []]
        self.ends = [b for _, b in ranges or []]
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
    def gaps(self) -> list[tuple[int, int]]:
        """The closed ranges below `high` that did not arrive."""
        edges = [0, *self.ends]
        return [(end + 1, start - 1) for end, start in zip(edges, self.starts, strict=False) if start > end + 1]

    @property
    def owed(self) -> int:
        """How many numbers below `high` did not arrive."""
        return sum(b - a + 1 for a, b in self.gaps)

    def __contains__(self, seq: int) -> bool:
        place = bisect_right(self.starts, seq) - 1
        return place >= 0 and seq <= self.ends[place]

    def add(self, seq: int) -> bool:
        """Record that `seq` arrived. Returns False if it had arrived before."""
        ends = self.ends
        if ends and seq == ends[-1] + 1:
            ends[-1] = seq
            return True
        if seq in self:
            return False
        starts = self.starts
        place = bisect_right(starts, seq)
        joins_left = place > 0 and ends[place - 1] == seq - 1
        joins_right = place < len(starts) and starts[place] == seq + 1
        if joins_left and joins_right:
            ends[place - 1] = ends[place]
            del starts[place], ends[place]
        elif joins_left:
            ends[place - 1] = seq
        elif joins_right:
            starts[place] = seq
        else:
            starts.insert(place, seq)
            ends.insert(place, seq)
            self._bound()
        return True

    def _bound(self) -> None:
        while len(self.starts) - (self.starts[0] == 1) > GAPS_MAX:
            if self.starts[0] > 1:
                self.forgotten += self.starts[0] - 1
                self.starts[0] = 1
            else:
                self.forgotten += self.starts[1] - self.ends[0] - 1
                del self.starts[1], self.ends[0]
