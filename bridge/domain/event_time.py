"""When did it happen? A device's event time from its monotonic clock, as the contract's "Time and order" says.

`event_ms = mono_ms + offset(device, boot)`. The offset is the smallest `received_ms - sent_mono_ms` of the last hour in which the device was heard: the
network's delay can only make it larger, so the smallest is the closest. All times are in milliseconds since 1970 UTC unless a name says `mono`.

An event of a boot that was never heard has only the device's wall clock, which may be wrong by any amount. It is believed if it lies between what is known of
the device's other events (`Bounds`); otherwise the event has the latest time that is possible. That is the safe side: the event then comes after every
instruction that it may have come after.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, NamedTuple

from bridge.domain.members import members
from devices.protocol.vocabulary import Warn

SAMPLE_WINDOW_MS: Final = 3_600_000
JUMP_MS: Final = 5_000
"""A clock that differs by more than this from its own mapping has jumped (its counter stopped in sleep, or its boot id was reused)."""
JUMP_SAMPLES: Final = 5
"""This many samples in a row, over `JUMP_SPAN_MS`, distinguish a jump from a message that the network delayed."""
JUMP_SPAN_MS: Final = 60_000
AHEAD_MS: Final = 1_000
"""What happened later than this after it was sent breaks the contract. A device may read its counter for the one before it reads it for the other."""
COUNTER_BACK_MS: Final = 3_600_000
"""A counter that goes back by this much is a new counter at once. A message can wait in a network's buffers for minutes, but not for an hour."""
BOOTS_MAX: Final = 16
"""Mappings kept for each device. The one that was heard longest ago goes first."""
SKEW_NOISE_MS: Final = 2_000
"""A wall clock that is off by less than this counts as right: the network's delay is not known more exactly."""
DRIFT_PPM: Final = 50
EARLIEST_MS: Final = 1_577_836_800_000
"""2020-01-01. A wall clock before it was never set, and a counter that began before it is broken."""
LATEST_MS: Final = 4_102_444_800_000
"""2100-01-01. A wall clock after it counts in another unit."""
BOUND_SLACK_MS: Final = 60_000
"""A wall clock that is beyond a bound by less than this is set to the bound; beyond it by more, it is wrong."""
CLOCK_OFF_MS: Final = 3_600_000
"""A device whose wall clock is off by this much has a wrong clock, which a person should set."""
WALL_ERROR_MS_MAX: Final = 86_400_000
"""How wrong a believable wall clock of a boot that was never heard may be, if its bounds allow more. It may have been set to the time of the last shutdown."""
_UNITS: Final = (("seconds", 1_000, 1), ("microseconds", 1, 1_000), ("nanoseconds", 1, 1_000_000))
"""Other units of wall clocks: (unit, factor, divisor) to milliseconds. Between 2020 and 2100, no number can be read in two units."""


class Source(StrEnum):
    """Where an event's time comes from."""

    MONO = "mono"
    WALL = "wall"
    SYSTEM = "system"
    RECEIVED = "received"
    SEQ = "seq"
    """The device's later events: it happened before them."""


class EventTime(NamedTuple):
    """An event's time, where it comes from, by how much it may be wrong, a doubt about the device's clock, and a sentence about it."""

    event_ms: int
    source: Source
    error_ms: int
    warn: Warn | None = None
    detail: str | None = None


class Shown(StrEnum):
    """What a device's wall clock is worth."""

    RIGHT = "right"
    UNSET = "unset"
    """It shows a time before 2020, or none."""
    OFF = "off"
    UNIT = "unit"
    """It does not count in milliseconds."""
    CONTRADICTED = "contradicted"
    """The device's enrolment, its other events or the reception show that it was wrong in an earlier boot."""


_SOURCE: Final = members(Source)
SHOWN: Final = members(Shown)


class Bounds(NamedTuple):
    """The earliest and the latest moment at which an event can have happened."""

    from_ms: int
    to_ms: int


UNBOUNDED: Final = Bounds(0, 2**62)


def span(event_ms: int, error_ms: int, received_ms: int) -> tuple[int, int]:
    """The earliest and the latest moment at which an event with this time can have happened."""
    to_ms = event_ms + error_ms
    return event_ms - error_ms, to_ms if to_ms < received_ms else received_ms


def bounds(neighbours: Bounds, *, enrolled_ms: int, received_ms: int) -> Bounds:
    """The bounds of an event: after its device was enrolled, between the neighbours in its log, and before it was received.

    Args:
        enrolled_ms: 0 if it is not known.
    """
    to_ms = min(neighbours.to_ms, received_ms)
    return Bounds(min(max(neighbours.from_ms, enrolled_ms, EARLIEST_MS), to_ms), to_ms)


def read_wall(at_ms: int) -> tuple[int | None, str | None]:
    """What a wall clock shows, in milliseconds, and its unit if that is another one. (None, None) if it can't be a time between 2020 and 2100."""
    if EARLIEST_MS <= at_ms < LATEST_MS:
        return at_ms, None
    for unit, factor, divisor in _UNITS:
        if EARLIEST_MS <= (shown_ms := at_ms * factor // divisor) < LATEST_MS:
            return shown_ms, unit
    return None, None


class Mapping:
    """The offset of one boot. `low` holds (received_ms, offset) of the last hour. Both rise, so the first offset is the smallest.

    `before` is the offset before the last jump: an event from before the jump may still arrive.
    """

    __slots__ = ("before", "behind", "behind_since_ms", "heard_ms", "jumped", "low")

    def __init__(self) -> None:
        self.before: int | None = None
        self.low: list[tuple[int, int]] = []
        self.heard_ms = 0
        self.behind = 0
        self.behind_since_ms = 0
        self.jumped = False

    def sample(self, received_ms: int, offset: int, *, is_fresh: bool) -> bool:
        """Add one sample: `offset` is the difference received - sent. Returns whether the message was sent before the last one, by the same counter."""
        went_back = False
        if received_ms > self.heard_ms:
            self.heard_ms = received_ms
        if self.low and offset - self.low[0][1] > JUMP_MS:  # also if the counter went back by more than that: time did not
            went_back_ms = self._went_back_ms(received_ms, offset)
            if went_back_ms >= (JUMP_MS if is_fresh else COUNTER_BACK_MS) and self._can_be_new(offset):
                self._start_anew()
            else:
                went_back = went_back_ms > JUMP_MS
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
        return went_back

    def _went_back_ms(self, received_ms: int, offset: int) -> int:
        """How much lower the counter is than in the last message."""
        heard_ms, last = self.low[-1]
        return (heard_ms - last) - (received_ms - offset)

    def _can_be_new(self, offset: int) -> bool:
        """Whether a counter can have reached its value from 0 since the boot was last heard.

        A late message of an old counter also seems to go back, but such a counter would have begun long before the boot was last heard.
        """
        return offset >= self.low[-1][0] - JUMP_MS

    def _count_late(self, received_ms: int) -> None:
        if self.behind == 0:
            self.behind_since_ms = received_ms
        self.behind += 1
        if self.behind >= JUMP_SAMPLES and received_ms - self.behind_since_ms >= JUMP_SPAN_MS:
            self._start_anew()

    def _start_anew(self) -> None:
        self.before = self.low[0][1]
        self.low = []
        self.behind = 0
        self.jumped = True

    @property
    def offset(self) -> int:
        return self.low[0][1]

    def error_ms(self, received_ms: int) -> int:
        """The drift since the best sample, plus the spread of the hour's samples (`SKEW_NOISE_MS` at most)."""
        best_ms, best = self.low[0]
        age_ms = received_ms - best_ms if received_ms > best_ms else 0
        spread = self.low[-1][1] - best
        return age_ms * DRIFT_PPM // 1_000_000 + (spread if spread < SKEW_NOISE_MS else SKEW_NOISE_MS) + 1


class DeviceClock:
    """What is known of one device's clocks: a mapping for each boot, and by how much its wall clock is off."""

    __slots__ = ("boots", "skew_ms")

    def __init__(self) -> None:
        self.boots: dict[bytes, Mapping] = {}
        self.skew_ms: int | None = None

    def heard(self, *, boot: bytes, sent_mono_ms: int, received_ms: int, is_fresh: bool = False) -> bool:
        """Learn from a message of this boot that the device sent at `sent_mono_ms` and the bridge received at `received_ms`.

        Returns True if `sent_mono_ms` is lower than in the message before, by more than `JUMP_MS`, although the counter did not begin again.

        Args:
            is_fresh: it can't have waited in the device and be sent again, so that a counter that is lower than before has begun again.
        """
        if received_ms - sent_mono_ms < EARLIEST_MS:
            return False
        mapping = self.boots.get(boot)
        if mapping is None:
            if len(self.boots) >= BOOTS_MAX:
                del self.boots[min(self.boots, key=lambda b: self.boots[b].heard_ms)]
            mapping = self.boots[boot] = Mapping()
        return mapping.sample(received_ms, received_ms - sent_mono_ms, is_fresh=is_fresh)

    def wall(self, *, at_ms: int, now_ms: int) -> Shown:
        """Learn that the device's wall clock showed `at_ms` at `now_ms`. Returns what it is worth."""
        if EARLIEST_MS <= at_ms < LATEST_MS:
            skew_ms = self.skew_ms = now_ms - at_ms
            return SHOWN.RIGHT if -CLOCK_OFF_MS < skew_ms < CLOCK_OFF_MS else Shown.OFF
        shown_ms, _ = read_wall(at_ms)
        self.skew_ms = now_ms - shown_ms if shown_ms is not None else None
        return Shown.UNIT if shown_ms is not None else Shown.UNSET

    def by_counter(self, *, boot: bytes, mono_ms: int, received_ms: int) -> EventTime | None:
        """The time of an event by the counter of its boot; never later than `received_ms`. None if the boot, or its counter at that time, was never heard."""
        mapping = self.boots.get(boot)
        if mapping is None:
            return None
        event_ms = mono_ms + mapping.offset
        if event_ms > received_ms + JUMP_MS:
            # It happened before the counter began again.
            if mapping.before is None or mono_ms + mapping.before > received_ms:
                return None
            return EventTime(mono_ms + mapping.before, Source.MONO, SKEW_NOISE_MS, Warn.CLOCK_JUMP)
        warn = Warn.CLOCK_JUMP if mapping.jumped else None
        return EventTime(event_ms if event_ms < received_ms else received_ms, _SOURCE.MONO, mapping.error_ms(received_ms), warn)

    def by_wall(self, *, at_ms: int, possible: Bounds, received_ms: int) -> EventTime:
        """The time of an event by the device's wall clock, corrected by its last known skew, if that is possible; otherwise the latest possible time."""
        shown_ms, unit = read_wall(at_ms)
        skew_ms = 0 if self.skew_ms is None or abs(self.skew_ms) < SKEW_NOISE_MS else self.skew_ms
        if shown_ms is None or not possible.from_ms - BOUND_SLACK_MS <= shown_ms + skew_ms <= possible.to_ms + BOUND_SLACK_MS:
            source = Source.SEQ if possible.to_ms < received_ms else Source.RECEIVED
            return EventTime(possible.to_ms, source, max(SKEW_NOISE_MS, possible.to_ms - possible.from_ms), Warn.CLOCK_UNKNOWN)
        event_ms = max(possible.from_ms, min(shown_ms + skew_ms, possible.to_ms))
        error_ms = max(event_ms - possible.from_ms, possible.to_ms - event_ms)
        return EventTime(event_ms, Source.WALL, max(SKEW_NOISE_MS, min(WALL_ERROR_MS_MAX, error_ms)), None, _unit_detail(unit))

    def dump(self) -> dict[str, Any]:
        """The clock as plain data for the store."""
        boots = {b: [m.heard_ms, m.jumped, [list(s) for s in m.low], m.before] for b, m in self.boots.items()}
        return {"skew_ms": self.skew_ms, "boots": boots}

    @classmethod
    def restore(cls, data: dict[str, Any]) -> DeviceClock:
        """The clock that `dump` gave."""
        clock = cls()
        clock.skew_ms = data["skew_ms"]
        for boot, (heard_ms, jumped, low, *before) in data["boots"].items():
            mapping = clock.boots[boot] = Mapping()
            mapping.heard_ms, mapping.jumped = heard_ms, jumped
            mapping.before = before[0] if before else None  # version 0.1 did not keep it
            mapping.low = [(received_ms, offset) for received_ms, offset in low]
        return clock


def system_time(*, at_ms: int, received_ms: int) -> EventTime:
    """The time of a system's fact. A system has a synchronised clock and reports what happened elsewhere, so its time is used as it is, if it is possible."""
    if EARLIEST_MS <= at_ms <= received_ms:
        return EventTime(at_ms, _SOURCE.SYSTEM, 0)
    shown_ms, unit = read_wall(at_ms)
    if shown_ms is None or shown_ms > received_ms + BOUND_SLACK_MS:
        return EventTime(received_ms, Source.RECEIVED, received_ms - EARLIEST_MS, Warn.CLOCK_UNKNOWN)
    return EventTime(min(shown_ms, received_ms), Source.SYSTEM, 1_000 if unit == "seconds" else 0, None, _unit_detail(unit))


def _unit_detail(unit: str | None) -> str | None:
    return f"at_ms is in {unit}; it must be in milliseconds" if unit is not None else None


def instruction_time(*, received_ms: int) -> EventTime:
    """The time of an instruction: it takes effect when the bridge receives it."""
    return EventTime(received_ms, Source.RECEIVED, 0)
