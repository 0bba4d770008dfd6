"""When did it happen? A device's event time from its monotonic clock, as the contract's "Time and order" says.

`event_ms = mono_ms + offset(device, boot)`. The offset is the smallest `received_ms - sent_mono_ms` of the last hour in which the device was heard: the
network's delay can only make it larger, so the smallest is the closest. All times are in milliseconds since 1970 UTC unless a name says `mono`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

SAMPLE_WINDOW_MS: Final = 3_600_000
JUMP_MS: Final = 5_000
"""A clock that differs by more than this from its own mapping has jumped (its counter stopped in sleep, or its boot id was reused)."""
JUMP_SAMPLES: Final = 5
"""This many samples in a row, over `JUMP_SPAN_MS`, distinguish a jump from a message that the network delayed."""
JUMP_SPAN_MS: Final = 60_000
BOOTS_MAX: Final = 16
"""Mappings kept for each device. The one that was heard longest ago goes first."""
SKEW_NOISE_MS: Final = 2_000
"""A wall clock that is off by less than this counts as right: the network's delay is not known more exactly."""
DRIFT_PPM: Final = 50
BOOT_MS_MIN: Final = 946_684_800_000
"""No device has been running since before 2000. A counter that says so is broken, and would date every event much too early."""
UNKNOWN_SKEW_ERROR_MS: Final = 86_400_000


class Source(StrEnum):
    """Where an event's time comes from."""

    MONO = "mono"
    WALL = "wall"
    SYSTEM = "system"
    RECEIVED = "received"


class EventTime(NamedTuple):
    """An event's time, where it comes from, by how much it may be wrong, and whether the device's clock had jumped."""

    event_ms: int
    source: Source
    error_ms: int
    jumped: bool = False


class Mapping:
    """The offset of one boot. `low` holds (received_ms, offset) of the last hour. Both rise, so the first offset is the smallest."""

    __slots__ = ("behind", "behind_since_ms", "heard_ms", "jumped", "low")

    def __init__(self) -> None:
        self.low: list[tuple[int, int]] = []
        self.heard_ms = 0
        self.behind = 0
        self.behind_since_ms = 0
        self.jumped = False

    def sample(self, received_ms: int, offset: int) -> None:
        """Add one sample: `offset` is the difference received - sent."""
        self.heard_ms = max(self.heard_ms, received_ms)
        if self.low and offset - self.low[0][1] > JUMP_MS:
            self._count_late(received_ms)
        else:
            self.behind = 0
        if self.jumped and self.behind == 0 and self.low and offset < self.low[0][1] - JUMP_MS:
            self.jumped = False
        while self.low and self.low[-1][1] >= offset:
            self.low.pop()
        self.low.append((received_ms, offset))
        # The hour is counted back from the last sample, and one sample always stays: an old offset is better than none.
        while len(self.low) > 1 and self.low[0][0] < self.heard_ms - SAMPLE_WINDOW_MS:
            self.low.pop(0)

    def _count_late(self, received_ms: int) -> None:
        if self.behind == 0:
            self.behind_since_ms = received_ms
        self.behind += 1
        if self.behind >= JUMP_SAMPLES and received_ms - self.behind_since_ms >= JUMP_SPAN_MS:
            self.low = []
            self.behind = 0
            self.jumped = True

    @property
    def offset(self) -> int:
        return self.low[0][1]

    def error_ms(self, received_ms: int) -> int:
        """The drift since the best sample, plus the spread of the hour's samples (`SKEW_NOISE_MS` at most)."""
        age_ms = max(0, received_ms - self.low[0][0])
        return age_ms * DRIFT_PPM // 1_000_000 + min(SKEW_NOISE_MS, self.low[-1][1] - self.low[0][1]) + 1


class DeviceClock:
    """What is known of one device's clocks: a mapping for each boot, and by how much its wall clock is off."""

    __slots__ = ("boots", "skew_ms")

    def __init__(self) -> None:
        self.boots: dict[bytes, Mapping] = {}
        self.skew_ms: int | None = None

    def heard(self, *, boot: bytes, sent_mono_ms: int, received_ms: int) -> None:
        """Learn from a message of this boot that the device sent at `sent_mono_ms` and the bridge received at `received_ms`."""
        if received_ms - sent_mono_ms < BOOT_MS_MIN:
            return
        mapping = self.boots.get(boot)
        if mapping is None:
            if len(self.boots) >= BOOTS_MAX:
                del self.boots[min(self.boots, key=lambda b: self.boots[b].heard_ms)]
            mapping = self.boots[boot] = Mapping()
        mapping.sample(received_ms, received_ms - sent_mono_ms)

    def wall(self, *, at_ms: int, received_ms: int) -> None:
        """Learn that the device's wall clock showed `at_ms` when its message was received."""
        self.skew_ms = received_ms - at_ms

    def time_of(self, *, boot: bytes, mono_ms: int, at_ms: int, received_ms: int) -> EventTime:
        """The event's time; never later than `received_ms`."""
        mapping = self.boots.get(boot)
        if mapping is not None:
            event_ms = max(0, min(mono_ms + mapping.offset, received_ms))
            return EventTime(event_ms, Source.MONO, mapping.error_ms(received_ms), mapping.jumped)
        skew = 0 if self.skew_ms is None or abs(self.skew_ms) < SKEW_NOISE_MS else self.skew_ms
        error = UNKNOWN_SKEW_ERROR_MS if self.skew_ms is None else SKEW_NOISE_MS + abs(skew) // 10
        return EventTime(max(0, min(at_ms + skew, received_ms)), Source.WALL, error)

    def dump(self) -> dict[str, Any]:
        """The clock as plain data for the store."""
        boots = {b: [m.heard_ms, m.jumped, [list(s) for s in m.low]] for b, m in self.boots.items()}
        return {"skew_ms": self.skew_ms, "boots": boots}

    @classmethod
    def restore(cls, data: dict[str, Any]) -> DeviceClock:
        """The clock that `dump` gave."""
        clock = cls()
        clock.skew_ms = data["skew_ms"]
        for boot, (heard_ms, jumped, low) in data["boots"].items():
            mapping = clock.boots[boot] = Mapping()
            mapping.heard_ms, mapping.jumped = heard_ms, jumped
            mapping.low = [(received_ms, offset) for received_ms, offset in low]
        return clock


def system_time(*, at_ms: int, received_ms: int) -> EventTime:
    """The time of a system's fact. A system has a synchronised clock and reports what happened elsewhere, so its time is used as it is."""
    return EventTime(min(at_ms, received_ms), Source.SYSTEM, 0)


def instruction_time(*, received_ms: int) -> EventTime:
    """The time of an instruction: it takes effect when the bridge receives it."""
    return EventTime(received_ms, Source.RECEIVED, 0)
