"""When the courier of a phone was at work, as the phone has told. Outside of it, nobody may know where it was."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final

from devices.protocol.vocabulary import EventType

NEVER_MS: Final = 2**62
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
    """The last changes of one courier, as phones and the desk told of them, in the order of their times.

    Args:
        longest_ms: a shift that nobody ended ends so long after it began.
    """

    __slots__ = ("_longest_ms", "changes")

    def __init__(self, changes: Iterable[tuple[int, str]] = (), longest_ms: int = NEVER_MS) -> None:
        self.changes = sorted((ms, Duty(duty)) for ms, duty in changes)[-CHANGES_MAX:]
        self._longest_ms = longest_ms

    def at(self, ms: int) -> Duty:
        """What held at a time. A courier who has never told of a shift is always on duty."""
        place = bisect_right(self.changes, ms, key=_ms)
        if not place:
            return self._at_first()
        duty = self.changes[place - 1][1]
        return Duty.OFF if duty is not Duty.OFF and ms - self._begun_ms(place) >= self._longest_ms else duty

    def _begun_ms(self, place: int) -> int:
        """When the shift began that goes on before a place."""
        while place > 1 and self.changes[place - 2][1] is not Duty.OFF:
            place -= 1
        return self.changes[place - 1][0]

    def has_begun(self, ms: int) -> bool:
        """Whether a shift was told of that goes on at a time; a break is part of it."""
        return bool(self.changes) and self.at(ms) is not Duty.OFF

    def _at_first(self) -> Duty:
        """What held before the first change that is known: a break, or the end of a shift, follows on work."""
        is_whole = len(self.changes) < CHANGES_MAX
        return Duty.ON if is_whole and (not self.changes or self.changes[0][1] is not Duty.ON) else Duty.OFF


def _ms(change: tuple[int, Duty]) -> int:
    return change[0]
