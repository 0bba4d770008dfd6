"""When the courier of a phone was at work, as the phone has told. Outside of it, nobody may know where it was."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from devices.protocol.vocabulary import EventType

CHANGES_MAX: Final = 32
"""Changes that are remembered: those of a week, and points come with a backlog of hours."""


class Duty(StrEnum):
    """What a change begins."""

    ON = "on"
    BREAK = "break"
    OFF = "off"


DUTY_AFTER: Final[Mapping[str, Duty]] = {
    EventType.SHIFT_STARTED: Duty.ON,
    EventType.BREAK_STARTED: Duty.BREAK,
    EventType.BREAK_ENDED: Duty.ON,
    EventType.SHIFT_ENDED: Duty.OFF,
}
"""What each event begins."""


class Duties:
    """The last changes of one phone, in the order of their times, whatever the order in which they arrived."""

    __slots__ = ("changes",)

    def __init__(self, changes: Iterable[tuple[int, str]] = ()) -> None:
        self.changes = [(ms, Duty(duty)) for ms, duty in changes]

    def add(self, ms: int, duty: Duty) -> bool:
        """Take a change at a time (ms since 1970 UTC). Returns whether it is new."""
        if (ms, duty) in self.changes:
            return False
        insort(self.changes, (ms, duty))
        del self.changes[:-CHANGES_MAX]
        return True

    def at(self, ms: int) -> Duty:
        """What held at a time. A phone that has never told of a shift is always on duty."""
        place = bisect_right(self.changes, ms, key=_ms)
        return self.changes[place - 1][1] if place else self._at_first()

    def has_begun(self, ms: int) -> bool:
        """Whether a shift was told of that goes on at a time; a break is part of it."""
        return bool(self.changes) and self.at(ms) is not Duty.OFF

    def _at_first(self) -> Duty:
        """What held before the first change that is known: a break, or the end of a shift, follows on work."""
        is_whole = len(self.changes) < CHANGES_MAX
        return Duty.ON if is_whole and (not self.changes or self.changes[0][1] is not Duty.ON) else Duty.OFF


def _ms(change: tuple[int, Duty]) -> int:
    return change[0]
