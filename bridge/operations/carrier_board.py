"""The board of carriers: what each is to take today, what it has, and when its next cutoff is."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta

from msgspec import Struct

from bridge.domain.carriers import CarrierRules, folded
from bridge.domain.cutoffs import Timetable
from bridge.operations.handovers import is_due, loaded_for, missing_of
from bridge.operations.ports import SiteReader


class CarrierNow(Struct, frozen=True, kw_only=True):
    """A carrier now. `expected` are its parcels of the present pickup, loaded or not, and the orders that have to leave with it and are not packed.

    `loaded` are those since its last list was closed (`closed_ms`), `missing` those that are packed and not loaded, `unpacked` the orders; `wrong` were loaded
    for it and are another carrier's. The next cutoff and its pickup are None for a carrier without cutoffs.
    """

    carrier: str
    expected: int
    loaded: int
    missing: int
    unpacked: int
    wrong: int
    due_ms: int | None
    cutoff_ms: int | None
    cutoff_in_s: int | None
    pickup_ms: int | None
    closed_ms: int | None


class CutoffDay(Struct, frozen=True, kw_only=True):
    """A carrier on one day: its pickups, each with its cutoff; or `holiday`."""

    day: str
    carrier: str
    pickups: list[tuple[int, int]]
    holiday: bool


async def list_carriers(site: SiteReader, rules: CarrierRules, *, loaded_since_ms: int, now_ms: int) -> list[CarrierNow]:
    """Every carrier of the settings, and every other one for which a parcel waits or was loaded."""
    given, ready = site.queries.given(since_ms=loaded_since_ms), site.queries.ready()
    closed = site.queries.last_handovers()
    names = _names(rules, (*(one.given_to for one in given), *(one.carrier for one in ready)))
    due = {name: due_ms_of(rules.timetable, name, now_ms) for name in names}
    unpacked = site.queries.unpacked(due_ms=max((ms for ms in due.values() if ms is not None), default=now_ms))
    found = []
    for name in names:
        own, wrong = loaded_for(name, given)
        missing = missing_of(name, given, ready, due[name])
        to_pack = sum(folded(carrier) == folded(name) and is_due(ship_by_ms, due[name]) for carrier, ship_by_ms in unpacked)
        coming = rules.timetable.next_after(name, now_ms)
        found.append(
            CarrierNow(
                carrier=name,
                expected=len(own) + len(missing) + to_pack,
                loaded=len(own),
                missing=len(missing),
                unpacked=to_pack,
                wrong=len(wrong),
                due_ms=due[name],
                cutoff_ms=coming.cutoff_ms if coming is not None else None,
                cutoff_in_s=(coming.cutoff_ms - now_ms) // 1000 if coming is not None else None,
                pickup_ms=coming.pickup_ms if coming is not None else None,
                closed_ms=max((ms for carrier, ms in closed.items() if folded(carrier) == folded(name)), default=None),
            )
        )
    return found


def due_ms_of(timetable: Timetable, carrier: str, now_ms: int) -> int | None:
    """Up to when what leaves belongs to the present pickup; None if the carrier has no cutoffs."""
    pickup = timetable.present(carrier, now_ms)
    return pickup.pickup_ms if pickup is not None else None


def _names(rules: CarrierRules, seen: Iterable[str]) -> list[str]:
    names = {folded(name): name for name in (*rules.names.values(), *rules.timetable.weeks)}
    for name in seen:
        names.setdefault(folded(name), name)
    return sorted(names.values(), key=folded)


def cutoff_days(timetable: Timetable, *, now_ms: int, days: int) -> list[CutoffDay]:
    """The next days of every carrier with cutoffs, by day; a day on which it does not come has no pickups."""
    first = timetable.day_of(now_ms)
    return [_day(timetable, carrier, first + timedelta(days=number)) for number in range(days) for carrier in sorted(timetable.weeks, key=folded)]


def _day(timetable: Timetable, carrier: str, day: date) -> CutoffDay:
    pickups = [(p.cutoff_ms, p.pickup_ms) for p in timetable.on(carrier, day)]
    return CutoffDay(day=day.isoformat(), carrier=carrier, pickups=pickups, holiday=timetable.is_holiday(carrier, day))
