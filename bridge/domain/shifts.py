"""A courier's shifts and breaks, from what their phones and the desk have told: the same events give the same shifts, however they arrived."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from bridge.domain.members import E


class Told(NamedTuple):
    """That a shift or a break began or ended, at `at_ms` (event time, ms since 1970 UTC). `by_desk`: not by the courier's phone. `id` is the event's."""

    at_ms: int
    id: bytes
    type: str
    by_desk: bool = False


class EndedBy(StrEnum):
    """Who ended a shift."""

    COURIER = "courier"
    DESK = "desk"
    TIME = "time"
    """Nobody did, for so long that it must have been forgotten."""


@dataclass(slots=True)
class Shift:
    """A shift: from when until when, and its breaks in the same way. None: it goes on."""

    started_ms: int
    ended_ms: int | None = None
    ended_by: EndedBy | None = None
    breaks: list[tuple[int, int | None]] = field(default_factory=list)

    @property
    def in_break(self) -> bool:
        return bool(self.breaks) and self.breaks[-1][1] is None

    def end(self, at_ms: int, by: EndedBy) -> None:
        self.end_break(at_ms)
        self.ended_ms, self.ended_by = at_ms, by

    def end_break(self, at_ms: int) -> None:
        if self.in_break:
            self.breaks[-1] = (self.breaks[-1][0], at_ms)


SHIFT_EVENTS: Final = frozenset({E.SHIFT_STARTED, E.SHIFT_ENDED, E.BREAK_STARTED, E.BREAK_ENDED})


def shifts_of(told: Iterable[Told], *, now_ms: int, longest_ms: int) -> list[Shift]:
    """The shifts of one courier, the oldest first. A shift that nobody ended ends `longest_ms` after it began.

    A shift that begins within another one is the same: a second phone, or a finger that tapped twice. What ends something that has not begun says nothing.
    """
    found: list[Shift] = []
    for one in sorted(told):
        running = _running(found, one.at_ms, longest_ms)
        if one.type == E.SHIFT_STARTED:
            if running is None:
                found.append(Shift(one.at_ms))
        elif running is None:
            continue
        elif one.type == E.SHIFT_ENDED:
            running.end(one.at_ms, EndedBy.DESK if one.by_desk else EndedBy.COURIER)
        elif one.type == E.BREAK_ENDED:
            running.end_break(one.at_ms)
        elif not running.in_break:
            running.breaks.append((one.at_ms, None))
    _running(found, now_ms, longest_ms)
    return found


def _running(found: list[Shift], at_ms: int, longest_ms: int) -> Shift | None:
    """The shift that goes on at a time; one that has lasted too long ends now."""
    last = found[-1] if found else None
    if last is None or last.ended_ms is not None:
        return None
    if at_ms - last.started_ms >= longest_ms:
        last.end(last.started_ms + longest_ms, EndedBy.TIME)
        return None
    return last
