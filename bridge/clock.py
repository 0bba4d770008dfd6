"""Time from outside: what a server, and a command in its place, take the time from."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Time from outside: `now_ms` is the wall clock at the start plus what the monotonic clock has counted since."""

    now_ms: Callable[[], int]
    now_s: Callable[[], float]


def anchored_clock() -> Clock:
    """A clock that no step of the wall clock moves: stored times stay in order, whatever the time daemon does."""
    anchor_ns = time.time_ns() - time.monotonic_ns()
    return Clock(lambda: (anchor_ns + time.monotonic_ns()) // 1_000_000, time.monotonic)
