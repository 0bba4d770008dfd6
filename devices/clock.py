"""The clocks of a device: which boot it is, a monotonic clock that counts while asleep, and the wall clock.

The bridge turns `(boot, mono_ms)` into the time of an event, so a clock that stops while the device sleeps would date scans wrongly.
"""

from __future__ import annotations

import hashlib
import os
import sys
import time
import uuid
from pathlib import Path
from typing import Protocol

BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")


class Clock(Protocol):
    """What the library asks of time; tests give their own."""

    @property
    def boot(self) -> bytes:
        """8 bytes, the same for everything on one monotonic clock."""
        ...

    def mono_ms(self) -> int:
        """Milliseconds on the monotonic clock of `boot`."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since 1970 UTC, as the device believes it."""
        ...

    def tz_min(self) -> int | None:
        """The present offset from UTC in minutes, where it is known."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def __init__(self, boot_id_file: Path = BOOT_ID_FILE) -> None:
        self._boot = boot_id(boot_id_file)
        self._clock_id = _clock_that_counts_while_asleep()

    @property
    def boot(self) -> bytes:
        return self._boot

    def mono_ms(self) -> int:
        now_ns = time.monotonic_ns() if self._clock_id is None else time.clock_gettime_ns(self._clock_id)
        return now_ns // 1_000_000

    def wall_ms(self) -> int:
        # A clock set before 1970 cannot cross the wire; the monotonic clock carries the event's time then.
        return max(0, time.time_ns() // 1_000_000)

    def tz_min(self) -> int | None:
        return time.localtime().tm_gmtoff // 60


def boot_id(boot_id_file: Path = BOOT_ID_FILE) -> bytes:
    """8 bytes that name this start of the operating system; where it does not tell, this start of the software."""
    try:
        name = uuid.UUID(boot_id_file.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        return os.urandom(8)
    # Hashed, because a UUID's own first bytes are not all random.
    return hashlib.sha256(name.bytes).digest()[:8]


def _clock_that_counts_while_asleep() -> int | None:
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.CLOCK_BOOTTIME
    if sys.platform == "darwin":
        return time.CLOCK_MONOTONIC_RAW  # mach_continuous_time
    return None
