"""Cutoffs as a table: weekdays, holidays, the very moment of a cutoff, several pickups a day, and the days on which clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.cutoffs import DAYS_AHEAD_MAX, Slot, Timetable, Week, pickup_ms_of

AMSTERDAM = ZoneInfo("Europe/Amsterdam")


def at(text: str, zone: ZoneInfo = AMSTERDAM) -> int:
    """A moment on the site's clock, in ms since 1970 UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def shown(ms: int | None, zone: ZoneInfo = AMSTERDAM) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms / 1000, zone).strftime("%a %Y-%m-%d %H:%M")


WORKDAY = (Slot(14 * 60, 17 * 60 + 30),)
TWICE = (Slot(11 * 60, 12 * 60), Slot(16 * 60, 18 * 60))
NIGHT = (Slot(2 * 60 + 30, 3 * 60),)
TIMETABLE = Timetable(
    zone=AMSTERDAM,
    weeks={
        "DHL": Week((*[WORKDAY] * 5, (Slot(10 * 60, 12 * 60),), ()), frozenset({date(2026, 12, 24)})),
        "UPS": Week((*[TWICE] * 5, (), ())),
        "NIGHT": Week((NIGHT,) * 7),
        "NEVER": Week(((),) * 7),
    },
    holidays=frozenset({date(2026, 12, 25), date(2026, 12, 26)}),
)

# 2026-12-07 is a Monday. Carrier, paid at, leaves with.
PAID = [
    ("DHL", "2026-12-07T09:00:00", "Mon 2026-12-07 17:30"),
    ("DHL", "2026-12-07T13:59:59.999", "Mon 2026-12-07 17:30"),
    ("DHL", "2026-12-07T14:00:00", "Tue 2026-12-08 17:30"),
    ("DHL", "2026-12-07T23:59:59.999", "Tue 2026-12-08 17:30"),
    ("DHL", "2026-12-11T14:00:00", "Sat 2026-12-12 12:00"),
    ("DHL", "2026-12-12T10:00:00", "Mon 2026-12-14 17:30"),
    ("DHL", "2026-12-13T00:00:00", "Mon 2026-12-14 17:30"),
    ("DHL", "2026-12-23T14:00:00", "Mon 2026-12-28 17:30"),
    ("UPS", "2026-12-23T16:00:00", "Thu 2026-12-24 12:00"),
    ("UPS", "2026-12-07T10:59:00", "Mon 2026-12-07 12:00"),
    ("UPS", "2026-12-07T11:00:00", "Mon 2026-12-07 18:00"),
    ("UPS", "2026-12-07T16:00:00", "Tue 2026-12-08 12:00"),
    ("UPS", "2026-12-24T16:00:00", "Mon 2026-12-28 12:00"),
    ("NEVER", "2026-12-07T09:00:00", None),
    ("DHL", "2026-03-28T11:00:00", "Mon 2026-03-30 17:30"),
    ("DHL", "2026-10-24T11:00:00", "Mon 2026-10-26 17:30"),
    ("NIGHT", "2026-03-29T01:59:00", "Sun 2026-03-29 03:30"),
    ("NIGHT", "2026-10-25T01:00:00", "Sun 2026-10-25 03:00"),
]


@pytest.mark.parametrize(("carrier", "paid", "leaves"), PAID)
def test_what_is_paid_before_a_cutoff_leaves_with_that_pickup_and_else_with_the_next(carrier: str, paid: str, leaves: str | None) -> None:
    pickup = TIMETABLE.next_after(carrier, at(paid))
    assert shown(pickup.pickup_ms if pickup is not None else None) == leaves
    written = TIMETABLE.all_after(at(paid))
    assert written is not None
    assert shown(pickup_ms_of(written, carrier.lower())) == leaves, "the log has the same, whatever the case of the name"


def test_when_clocks_go_back_the_first_of_the_two_hours_is_meant() -> None:
    first = int(datetime(2026, 10, 25, 0, 30, tzinfo=UTC).timestamp() * 1000)
    (pickup,) = TIMETABLE.on("NIGHT", date(2026, 10, 25))
    assert pickup.cutoff_ms == first
    assert TIMETABLE.next_after("NIGHT", first - 1) == pickup
    following = TIMETABLE.next_after("NIGHT", first)
    assert following is not None
    assert shown(following.pickup_ms) == "Mon 2026-10-26 03:00"


def test_when_clocks_go_forward_a_time_that_is_left_out_is_as_long_after_midnight_as_ever() -> None:
    (pickup,) = TIMETABLE.on("NIGHT", date(2026, 3, 29))
    assert pickup.cutoff_ms == int(datetime(2026, 3, 29, 1, 30, tzinfo=UTC).timestamp() * 1000)
    assert pickup.pickup_ms == pickup.cutoff_ms, "03:00 would be half an hour earlier"


PRESENT = [
    ("DHL", "2026-12-07T09:00:00", "Mon 2026-12-07 17:30"),
    ("DHL", "2026-12-07T17:50:00", "Mon 2026-12-07 17:30"),
    ("UPS", "2026-12-07T12:05:00", "Mon 2026-12-07 12:00"),
    ("UPS", "2026-12-07T15:59:00", "Mon 2026-12-07 12:00"),
    ("UPS", "2026-12-07T16:00:00", "Mon 2026-12-07 18:00"),
    ("UPS", "2026-12-07T08:00:00", "Mon 2026-12-07 12:00"),
    ("DHL", "2026-12-13T12:00:00", "Sat 2026-12-12 12:00"),
    ("DHL", "2026-12-27T12:00:00", "Wed 2026-12-23 17:30"),
    ("NEVER", "2026-12-07T09:00:00", None),
]


@pytest.mark.parametrize(("carrier", "now", "loads"), PRESENT)
def test_the_pickup_that_is_being_loaded_is_that_of_the_last_cutoff_of_the_day(carrier: str, now: str, loads: str | None) -> None:
    pickup = TIMETABLE.present(carrier, at(now))
    assert shown(pickup.pickup_ms if pickup is not None else None) == loads


def test_a_carrier_that_does_not_come_for_two_months_has_no_next_pickup() -> None:
    start = date(2026, 6, 1)
    closed = frozenset(date.fromordinal(start.toordinal() + n) for n in range(DAYS_AHEAD_MAX))
    timetable = Timetable(zone=AMSTERDAM, weeks={"DHL": Week((WORKDAY,) * 7)}, holidays=closed)
    assert timetable.next_after("DHL", at("2026-06-01T08:00")) is None
    assert timetable.all_after(at("2026-06-01T08:00")) is None


def test_a_site_without_cutoffs_writes_nothing() -> None:
    assert Timetable().all_after(0) is None
    assert pickup_ms_of("DHL=5\nUPS=7", "GLS") is None


@given(st.integers(at("2026-01-01T00:00"), at("2027-01-01T00:00")), st.sampled_from(["DHL", "UPS", "NIGHT"]))
def test_the_next_pickup_is_the_first_whose_cutoff_lies_ahead(now_ms: int, carrier: str) -> None:
    day = TIMETABLE.day_of(now_ms)
    every = list(TIMETABLE.pickups(carrier, day, 20))
    assert every == sorted(every, key=lambda p: p.cutoff_ms)
    assert TIMETABLE.next_after(carrier, now_ms) == next(p for p in every if p.cutoff_ms > now_ms)
