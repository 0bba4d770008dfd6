"""Time from outside: the clock of a server, or of a command that runs without one."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Time from outside: `now_ms` is the wall clock at the start plus what the monotonic clock has counted since.

    `wall_ms` is the system's own clock, which may be set meanwhile: for what is compared with the clocks of others. None if it is the same as `now_ms`.
    """

    now_ms: Callable[[], int]
    now_s: Callable[[], float]
    wall_ms: Callable[[], int] | None = None

    def phone_ms(self) -> int:
        """What a phone's clock shows, if it goes right: they follow the network's time, and the system's clock does."""
        return self.wall_ms() if self.wall_ms is not None else self.now_ms()


def anchored_clock(not_before_ms: int = 0) -> Clock:
    """A clock that ignores changes of the wall clock: stored times stay in order, whatever the time daemon does.

    Args:
        not_before_ms: the start of the clock if the wall clock is behind it.
    """
    anchor_ns = max(time.time_ns(), not_before_ms * 1_000_000) - time.monotonic_ns()
    return Clock(lambda: (anchor_ns + time.monotonic_ns()) // 1_000_000, time.monotonic, lambda: time.time_ns() // 1_000_000)
