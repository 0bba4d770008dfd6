"""When carriers come (截单): by when an order must be in to leave with a pickup, and when that pickup is.

A cutoff is a time of day on the site's clock. When clocks go back, an hour comes twice: the first one is meant. When they go forward, a time that is left out
is as long after midnight as on other days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Final, NamedTuple

DAYS_AHEAD_MAX: Final = 60
"""A carrier that does not come for longer has no next pickup."""
MINUTE_MS: Final = 60_000
MINUTES_CACHED_MAX: Final = 4_096
"""Minutes of which the pickups of all carriers are remembered: many orders are paid in one minute, and all of one minute leave with the same pickup."""
DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Slot(NamedTuple):
    """A pickup of a weekday, in minutes from midnight: until when orders for it may come in, and when the carrier leaves."""

    cutoff_min: int
    pickup_min: int


class Pickup(NamedTuple):
    """One pickup. What was paid before `cutoff_ms` has to leave by `pickup_ms`."""

    day: date
    cutoff_ms: int
    pickup_ms: int


class Week(NamedTuple):
    """A carrier's week, from Monday on, and the days on which it does not come."""

    days: tuple[tuple[Slot, ...], ...]
    holidays: frozenset[date] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """The weeks of all carriers that have cutoffs, by name as the site writes it. `holidays` are those of the site: no carrier comes."""

    zone: tzinfo = UTC
    weeks: Mapping[str, Week] = field(default_factory=dict)
    holidays: frozenset[date] = frozenset()

    def __hash__(self) -> int:
        return hash((*self.weeks, self.holidays))

    def on(self, carrier: str, day: date) -> list[Pickup]:
        """The pickups of a carrier on one day, the earliest first."""
        week = self.weeks.get(carrier)
        if week is None or self.is_holiday(carrier, day):
            return []
        times = ((self._ms(day, slot.cutoff_min), self._ms(day, slot.pickup_min)) for slot in week.days[day.weekday()])
        return [Pickup(day, cutoff_ms, max(cutoff_ms, pickup_ms)) for cutoff_ms, pickup_ms in times]

    def is_holiday(self, carrier: str, day: date) -> bool:
        """Whether a carrier does not come on a day because it is a holiday, its own or the site's."""
        return day in self.holidays or day in self.weeks[carrier].holidays

    def day_of(self, at_ms: int) -> date:
        """The day on the site's calendar."""
        return datetime.fromtimestamp(at_ms / 1000, self.zone).date()

    def pickups(self, carrier: str, first: date, days: int) -> Iterator[Pickup]:
        """The pickups of some days, in their order."""
        for number in range(days):
            yield from self.on(carrier, first + timedelta(days=number))

    def next_after(self, carrier: str, at_ms: int) -> Pickup | None:
        """The first pickup whose cutoff has not passed. What comes in at the very moment of a cutoff is too late for it."""
        return next((p for p in self.pickups(carrier, self.day_of(at_ms), DAYS_AHEAD_MAX) if at_ms < p.cutoff_ms), None)

    def present(self, carrier: str, at_ms: int) -> Pickup | None:
        """The pickup that is being loaded: the last one of today whose cutoff has passed, or else the first of today, or else the last one before."""
        day = self.day_of(at_ms)
        today = self.on(carrier, day)
        passed = [p for p in today if p.cutoff_ms <= at_ms]
        if today:
            return passed[-1] if passed else today[0]
        earlier = (self.on(carrier, day - timedelta(days=number)) for number in range(1, DAYS_AHEAD_MAX))
        return next((pickups[-1] for pickups in earlier if pickups), None)

    def all_after(self, at_ms: int) -> str | None:
        """The next pickup of every carrier, as it is written into the log with what was counted from then: a line `carrier=pickup_ms` for each."""
        return _all_after(self, at_ms // MINUTE_MS) if self.weeks else None

    def _ms(self, day: date, minute: int) -> int:
        hours, minutes = divmod(minute, 60)
        return int(datetime.combine(day, time(hours, minutes), self.zone).timestamp() * 1000)


@lru_cache(MINUTES_CACHED_MAX)
def _all_after(timetable: Timetable, minute: int) -> str | None:
    found = ((carrier, timetable.next_after(carrier, minute * MINUTE_MS)) for carrier in timetable.weeks)
    return "\n".join(f"{carrier}={pickup.pickup_ms}" for carrier, pickup in found if pickup is not None) or None


def pickup_ms_of(pickups: str, carrier: str) -> int | None:
    """The pickup of a carrier in what the log has (`Timetable.all_after`)."""
    wanted = carrier.casefold()
    for line in pickups.split("\n"):
        name, _, pickup_ms = line.rpartition("=")
        if name.casefold() == wanted:
            return int(pickup_ms)
    return None
