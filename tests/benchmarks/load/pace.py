"""The open loop: the time at which each event is due is fixed beforehand, and its latency counts from then, whatever the server does meanwhile.

This avoids coordinated omission: while a server stalls, the events that it delays are still counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Phase(NamedTuple):
    """A period with one rate."""

    per_s: float
    seconds: float

    @property
    def events(self) -> int:
        return round(self.per_s * self.seconds)


def due_s(phases: Sequence[Phase]) -> list[float]:
    """When each event is due, in seconds from the start, evenly spaced within its phase."""
    due = []
    start = 0.0
    for phase in phases:
        due += [start + n / phase.per_s for n in range(phase.events)]
        start += phase.seconds
    return due


def by_second(due: Sequence[float], latency_s: Sequence[float]) -> dict[int, list[float]]:
    """Latencies by the second in which their event was due."""
    found: dict[int, list[float]] = {}
    for at, latency in zip(due, latency_s, strict=True):
        found.setdefault(int(at), []).append(latency)
    return found


def recovered_after_s(p99_by_second: dict[int, float], from_s: int, most: float) -> int | None:
    """Seconds after `from_s` until the p99 of every later second is at most `most`; None if that never happens."""
    late = [second for second, p99 in p99_by_second.items() if second >= from_s and p99 > most]
    if not late:
        return 0
    return max(late) + 1 - from_s if max(late) < max(p99_by_second) else None
