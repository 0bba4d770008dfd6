"""When did it happen? A device's event time from its monotonic clock, as the contract's "Time and order" says.

`event_ms = mono_ms + offset(device, boot)`, the offset being the smallest `received_ms - sent_mono_ms` of the last hour heard: the delay on the way
only ever makes it larger, so the smallest is the closest. All times are in milliseconds since 1970 UTC unless a name says `mono`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

SAMPLE_WINDOW_MS: Final = 3_600_000
JUMP_MS: Final = 5_000
"""A clock that is off by more than this against its own mapping has jumped (its counter stopped in sleep, or its boot id was reused)."""
JUMP_SAMPLES: Final = 5
"""That many samples in a row, over `JUMP_SPAN_MS`, tell a jump from a message that was long on its way."""
JUMP_SPAN_MS: Final = 60_000
BOOTS_MAX: Final = 16
"""Mappings kept for each device; the one heard longest ago goes first."""
SKEW_NOISE_MS: Final = 2_000
"""A wall clock that is off by less than this is taken as right: the way through the network is not known better."""
DRIFT_PPM: Final = 50
BOOT_MS_MIN: Final = 946_684_800_000
"""No device has been running since before 2000: a counter that says so is broken, and would date everything to the beginning of time."""
UNKNOWN_SKEW_ERROR_MS: Final = 86_400_000


class Source(StrEnum):
    """How an event's time is known."""

    MONO = "mono"
    WALL = "wall"
    SYSTEM = "system"
    RECEIVED = "received"


class EventTime(NamedTuple):
    """An event's time, how it was known, by how much it may be wrong, and whether the device's clock had jumped."""

    event_ms: int
    source: Source
    error_ms: int
    jumped: bool = False


class Mapping:
    """One boot's offset. `low` holds (received_ms, offset) of the last hour: rising in both, so the first is the smallest."""

    __slots__ = ("behind", "behind_since_ms", "heard_ms", "jumped", "low")

    def __init__(self) -> None:
        self.low: list[tuple[int, int]] = []
        self.heard_ms = 0
        self.behind = 0
        self.behind_since_ms = 0
        self.jumped = False

    def sample(self, received_ms: int, offset: int) -> None:
        """Take one (received - sent) difference in."""
        self.heard_ms = max(self.heard_ms, received_ms)
        if self.low and offset - self.low[0][1] > JUMP_MS:
            self._late(received_ms)
        else:
            self.behind = 0
        if self.jumped and self.behind == 0 and self.low and offset < self.low[0][1] - JUMP_MS:
            self.jumped = False
        while self.low and self.low[-1][1] >= offset:
            self.low.pop()
        self.low.append((received_ms, offset))
        # The hour is counted back from the last sample, and one sample always stays: an old offset beats none.
        while len(self.low) > 1 and self.low[0][0] < self.heard_ms - SAMPLE_WINDOW_MS:
            self.low.pop(0)

    def _late(self, received_ms: int) -> None:
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
        """Drift since the best sample, plus what the samples of the hour disagree by, at most."""
        age_ms = max(0, received_ms - self.low[0][0])
        return age_ms * DRIFT_PPM // 1_000_000 + min(SKEW_NOISE_MS, self.low[-1][1] - self.low[0][1]) + 1


class DeviceClock:
    """What is known of one device's clocks: a mapping for each boot, and how far its wall clock is off."""

    __slots__ = ("boots", "skew_ms")

    def __init__(self) -> None:
        self.boots: dict[bytes, Mapping] = {}
        self.skew_ms: int | None = None

    def heard(self, *, boot: bytes, sent_mono_ms: int, received_ms: int) -> None:
        """A message of this boot was handed to the network at `sent_mono_ms` and came in at `received_ms`."""
        if received_ms - sent_mono_ms < BOOT_MS_MIN:
            return
        mapping = self.boots.get(boot)
        if mapping is None:
            if len(self.boots) >= BOOTS_MAX:
                del self.boots[min(self.boots, key=lambda b: self.boots[b].heard_ms)]
            mapping = self.boots[boot] = Mapping()
        mapping.sample(received_ms, received_ms - sent_mono_ms)

    def wall(self, *, at_ms: int, received_ms: int) -> None:
        """The device's wall clock stood at `at_ms` when its message came in."""
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
        """Plain data for the store."""
        boots = {b: [m.heard_ms, m.jumped, [list(s) for s in m.low]] for b, m in self.boots.items()}
        return {"skew_ms": self.skew_ms, "boots": boots}

    @classmethod
    def restore(cls, data: dict[str, Any]) -> DeviceClock:
        """The reverse of `dump`."""
        clock = cls()
        clock.skew_ms = data["skew_ms"]
        for boot, (heard_ms, jumped, low) in data["boots"].items():
            mapping = clock.boots[boot] = Mapping()
            mapping.heard_ms, mapping.jumped = heard_ms, jumped
            mapping.low = [(received_ms, offset) for received_ms, offset in low]
        return clock


def system_time(*, at_ms: int, received_ms: int) -> EventTime:
    """A system's fact: its clock is disciplined and it reports what happened elsewhere, so its word is taken."""
    return EventTime(min(at_ms, received_ms), Source.SYSTEM, 0)


def instruction_time(*, received_ms: int) -> EventTime:
    """An instruction binds from when the bridge knew of it."""
    return EventTime(received_ms, Source.RECEIVED, 0)
