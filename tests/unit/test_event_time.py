"""When an event happened: the fastest messages of a boot map its clock, however slow the others were and however wrong the wall clock is."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.event_time import (
    BOOTS_MAX,
    BOUND_SLACK_MS,
    CLOCK_OFF_MS,
    EARLIEST_MS,
    JUMP_MS,
    JUMP_SAMPLES,
    JUMP_SPAN_MS,
    LATEST_MS,
    SAMPLE_WINDOW_MS,
    SKEW_NOISE_MS,
    UNBOUNDED,
    WALL_ERROR_MS_MAX,
    Bounds,
    DeviceClock,
    EventTime,
    Shown,
    Source,
    bounds,
    instruction_time,
    read_wall,
    span,
    system_time,
)
from devices.protocol.vocabulary import Warn

laws = settings(derandomize=True, deadline=None, max_examples=200)

T0 = 1_790_000_000_000
BOOT, OTHER = b"\x01" * 8, b"\x02" * 8
HOUR = 3_600_000


def clock_with(*samples: tuple[int, int], boot: bytes = BOOT) -> DeviceClock:
    """A clock with samples: (the boot's counter when it sent, how long the message took). The boot started at T0."""
    clock = DeviceClock()
    for sent_mono_ms, delay_ms in samples:
        hear(clock, sent_mono_ms, delay_ms, boot)
    return clock


def hear(clock: DeviceClock, sent_mono_ms: int, delay_ms: int, boot: bytes = BOOT) -> None:
    clock.heard(boot=boot, sent_mono_ms=sent_mono_ms, received_ms=T0 + sent_mono_ms + delay_ms)


def when(clock: DeviceClock, mono_ms: int, *, boot: bytes = BOOT, received_ms: int = T0 + 2_000 * HOUR) -> EventTime:
    time = clock.by_counter(boot=boot, mono_ms=mono_ms, received_ms=received_ms)
    assert time is not None
    return time


# --- the monotonic clock --------------------------------------------------------------------------------------------------


def test_the_quickest_message_is_the_closest() -> None:
    clock = clock_with((1_000, 900), (2_000, 40), (3_000, 700))
    assert when(clock, 2_500)[:2] == (T0 + 2_500 + 40, Source.MONO)


def test_an_event_from_before_the_first_message_is_on_the_same_clock() -> None:
    assert when(clock_with((50_000, 40)), 7).event_ms == T0 + 47


def test_only_samples_of_the_same_boot_count() -> None:
    clock = clock_with((1_000, 800))
    clock.heard(boot=OTHER, sent_mono_ms=5, received_ms=T0 + 6)
    assert when(clock, 1_000).event_ms == T0 + 1_800
    assert when(clock, 5, boot=OTHER).event_ms == T0 + 6


def test_samples_count_for_an_hour() -> None:
    clock = clock_with((0, 10), (HOUR // 2, 500))
    assert when(clock, 0).event_ms == T0 + 10
    hear(clock, HOUR + 1, 900)
    assert when(clock, 0).event_ms == T0 + 500


def test_a_device_that_was_away_for_days_starts_from_its_first_word() -> None:
    clock = clock_with((0, 10))
    hear(clock, 72 * HOUR, 2_000)
    assert when(clock, 0).event_ms == T0 + 2_000


def test_no_event_is_later_than_its_arrival() -> None:
    clock = clock_with((1_000, 900))
    assert when(clock, 5_000, received_ms=T0 + 5_100).event_ms == T0 + 5_100


def test_a_counter_that_began_before_2020_is_not_believed() -> None:
    young = DeviceClock()
    young.heard(boot=BOOT, sent_mono_ms=T0 - EARLIEST_MS + 1, received_ms=T0)
    assert young.by_counter(boot=BOOT, mono_ms=0, received_ms=T0) is None


def test_the_error_grows_with_age_and_with_what_the_samples_disagree_by() -> None:
    sure, doubtful, old = clock_with((1_000, 40)), clock_with((1_000, 40), (2_000, 1_040)), clock_with((1_000, 40))
    received_ms = T0 + 2_000 + 1_040
    assert when(sure, 0, received_ms=received_ms).error_ms < when(doubtful, 0, received_ms=received_ms).error_ms
    assert when(sure, 0, received_ms=received_ms).error_ms < when(old, 0, received_ms=T0 + 24 * HOUR).error_ms


# --- jumps ----------------------------------------------------------------------------------------------------------------


def slept(clock: DeviceClock, count: int, *, from_ms: int, step_ms: int, by_ms: int = 60_000) -> None:
    """The counter stood still for `by_ms`: from now on every message seems that much later."""
    for nth in range(count):
        hear(clock, from_ms + nth * step_ms, by_ms)


def test_a_counter_that_stood_still_starts_a_new_mapping_and_is_flagged() -> None:
    clock = clock_with((1_000, 40))
    slept(clock, JUMP_SAMPLES, from_ms=10_000, step_ms=JUMP_SPAN_MS // (JUMP_SAMPLES - 1))
    time = when(clock, 20_000)
    assert (time.event_ms, time.warn) == (T0 + 20_000 + 60_000, Warn.CLOCK_JUMP)


@pytest.mark.parametrize(("count", "step_ms"), [(JUMP_SAMPLES - 1, JUMP_SPAN_MS), (10 * JUMP_SAMPLES, JUMP_SPAN_MS // 1_000)])
def test_a_backlog_of_slow_messages_is_not_a_jump(count: int, step_ms: int) -> None:
    clock = clock_with((1_000, 40))
    slept(clock, count, from_ms=10_000, step_ms=step_ms)
    assert (when(clock, 500).event_ms, when(clock, 500).warn) == (T0 + 540, None)


def test_one_quick_message_between_the_slow_ones_shows_that_nothing_jumped() -> None:
    clock = clock_with((1_000, 40))
    slept(clock, JUMP_SAMPLES - 1, from_ms=10_000, step_ms=JUMP_SPAN_MS)
    hear(clock, 400_000, 45)
    slept(clock, JUMP_SAMPLES - 1, from_ms=500_000, step_ms=JUMP_SPAN_MS)
    assert when(clock, 500) == when(clock, 500)._replace(event_ms=T0 + 540, warn=None)


def test_up_to_five_seconds_are_no_jump() -> None:
    clock = clock_with((1_000, 0))
    slept(clock, 50, from_ms=10_000, step_ms=JUMP_SPAN_MS, by_ms=JUMP_MS)
    assert (when(clock, 500).event_ms, when(clock, 500).warn) == (T0 + 500, None)


# --- a counter that begins again ------------------------------------------------------------------------------------------

WRAP = 2**32
DAYS_UP = T0 + WRAP
"""When a counter of 32 bits wraps that began at T0: 49.7 days later."""


def test_a_counter_that_wraps_is_a_new_counter_from_that_message_on() -> None:
    clock = clock_with((WRAP - 2_500, 40))
    clock.heard(boot=BOOT, sent_mono_ms=500, received_ms=DAYS_UP + 540)
    assert when(clock, 500, received_ms=DAYS_UP + 540) == (DAYS_UP + 540, Source.MONO, 1, Warn.CLOCK_JUMP, None)


def test_a_reboot_that_kept_its_boot_id_is_a_new_counter_from_that_message_on() -> None:
    clock = clock_with((5 * HOUR, 40))
    clock.heard(boot=BOOT, sent_mono_ms=8_000, received_ms=T0 + 9 * HOUR)
    time = when(clock, 3_000, received_ms=T0 + 9 * HOUR)
    assert (time.event_ms, time.warn) == (T0 + 9 * HOUR - 5_000, Warn.CLOCK_JUMP)


def test_a_presence_shows_a_new_counter_however_little_it_went_back() -> None:
    """A device publishes its presence when it has connected: unlike an event, it never waits in an outbox."""
    clock = clock_with((600_000, 40))
    received_ms = T0 + 660_000
    clock.heard(boot=BOOT, sent_mono_ms=9_000, received_ms=received_ms, is_fresh=True)
    time = when(clock, 8_000, received_ms=received_ms)
    assert (time.event_ms, time.warn) == (received_ms - 1_000, Warn.CLOCK_JUMP)


def test_an_event_from_before_the_wrap_is_dated_by_the_counter_of_that_time() -> None:
    clock = clock_with((WRAP - HOUR, 40))
    clock.heard(boot=BOOT, sent_mono_ms=HOUR, received_ms=DAYS_UP + HOUR + 40)
    time = when(clock, WRAP - 60_000, received_ms=DAYS_UP + HOUR + 40)
    assert (time.event_ms, time.warn) == (DAYS_UP - 60_000 + 40, Warn.CLOCK_JUMP)
    assert time.error_ms >= SKEW_NOISE_MS


def test_an_event_that_no_counter_can_have_shown_has_no_time() -> None:
    assert clock_with((1_000, 40)).by_counter(boot=BOOT, mono_ms=9 * HOUR, received_ms=T0 + HOUR) is None


@pytest.mark.parametrize("delay_ms", [JUMP_MS + 1, 20 * 60_000, 5 * HOUR])
def test_a_late_message_is_not_a_new_counter(delay_ms: int) -> None:
    """It was handed to the network before the messages that overtook it: its counter would have begun long before those were heard."""
    clock = clock_with((HOUR, 40), (HOUR + delay_ms - 1_000, 40))
    hear(clock, HOUR, delay_ms)
    assert when(clock, HOUR) == when(clock, HOUR)._replace(event_ms=T0 + HOUR + 40, warn=None)


def test_a_message_that_waited_while_the_device_was_away_is_not_a_new_counter() -> None:
    clock = clock_with((HOUR, 40))
    hear(clock, HOUR + 5, 5 * HOUR)
    assert when(clock, HOUR).warn is None


def test_one_message_of_the_counter_that_did_not_begin_again_sets_it_right() -> None:
    """The first message of a boot was lost, and came again hours later, just after another."""
    clock = clock_with((5 * HOUR, 40))
    clock.heard(boot=BOOT, sent_mono_ms=1_000, received_ms=T0 + 5 * HOUR + 50)
    assert when(clock, 5 * HOUR, received_ms=T0 + 5 * HOUR + 60).warn is Warn.CLOCK_JUMP
    hear(clock, 5 * HOUR + 100, 45)
    assert when(clock, 5 * HOUR)[:2] == (T0 + 5 * HOUR + 45, Source.MONO)
    assert when(clock, 5 * HOUR).warn is None


# --- the wall clock -------------------------------------------------------------------------------------------------------

DAY = 24 * HOUR
WEEK = Bounds(T0 - 7 * DAY, T0)
"""The device was enrolled, or last heard, a week before its event was received at T0."""


def shown(at_ms: int, clock: DeviceClock | None = None, possible: Bounds = WEEK, received_ms: int = T0) -> EventTime:
    return (clock or DeviceClock()).by_wall(at_ms=at_ms, possible=possible, received_ms=received_ms)


def off_by(skew_ms: int) -> DeviceClock:
    """A device whose wall clock was `skew_ms` behind when it was heard in another boot."""
    clock = DeviceClock()
    clock.wall(at_ms=T0 - skew_ms, now_ms=T0)
    return clock


def test_a_boot_that_was_never_heard_falls_back_to_the_wall_clock_and_says_so() -> None:
    assert shown(T0 - 3 * DAY) == (T0 - 3 * DAY, Source.WALL, WALL_ERROR_MS_MAX, None, None)


def test_a_wall_clock_of_another_boot_may_be_as_wrong_as_its_bounds_allow() -> None:
    assert shown(T0 - 10 * HOUR, off_by(0), Bounds(T0 - 12 * HOUR, T0)) == (T0 - 10 * HOUR, Source.WALL, 10 * HOUR, None, None)
    assert shown(T0 - 10 * HOUR, off_by(0)).error_ms == WALL_ERROR_MS_MAX


def test_the_last_known_skew_corrects_the_wall_clock() -> None:
    assert shown(T0 - HOUR - 60_000, off_by(HOUR))[:2] == (T0 - 60_000, Source.WALL)


def test_a_small_skew_is_the_way_through_the_network() -> None:
    assert shown(T0 - 60_000, off_by(SKEW_NOISE_MS - 1)).event_ms == T0 - 60_000


@pytest.mark.parametrize(
    "at_ms",
    [
        pytest.param(0, id="no clock"),
        pytest.param(45_000, id="1970"),
        pytest.param(EARLIEST_MS - 1, id="before 2020"),
        pytest.param(T0 - 1024 * 7 * DAY, id="1024 weeks back: the date of a GPS receiver that counts weeks in ten bits"),
        pytest.param(T0 - 7 * DAY - BOUND_SLACK_MS - 1, id="before it was enrolled"),
        pytest.param(T0 + BOUND_SLACK_MS + 1, id="after it was received"),
        pytest.param(LATEST_MS, id="2100"),
    ],
)
def test_a_wall_clock_that_cannot_be_right_is_unknown(at_ms: int) -> None:
    assert shown(at_ms, off_by(0)) == (T0, Source.RECEIVED, 7 * DAY, Warn.CLOCK_UNKNOWN, None)


def test_an_event_before_later_ones_of_its_device_is_not_later_than_they_are() -> None:
    assert shown(45_000, possible=Bounds(T0 - 3 * HOUR, T0 - HOUR)) == (T0 - HOUR, Source.SEQ, 2 * HOUR, Warn.CLOCK_UNKNOWN, None)


def test_a_wall_clock_just_beyond_a_bound_is_at_the_bound() -> None:
    assert shown(T0 + BOUND_SLACK_MS)[:2] == (T0, Source.WALL)
    assert shown(WEEK.from_ms - BOUND_SLACK_MS)[:2] == (WEEK.from_ms, Source.WALL)


def test_a_clock_that_was_never_set_teaches_no_skew() -> None:
    clock = off_by(HOUR)
    assert clock.wall(at_ms=45_000, now_ms=T0) is Shown.UNSET
    assert shown(T0 - 2 * HOUR, clock).event_ms == T0 - 2 * HOUR


@pytest.mark.parametrize(
    ("at_ms", "worth"),
    [
        (T0, Shown.RIGHT),
        (T0 - CLOCK_OFF_MS + 1, Shown.RIGHT),
        (T0 - CLOCK_OFF_MS, Shown.OFF),
        (T0 + CLOCK_OFF_MS, Shown.OFF),
        (45_000, Shown.UNSET),
        (T0 // 1_000, Shown.UNIT),
    ],
)
def test_what_a_wall_clock_is_worth(at_ms: int, worth: Shown) -> None:
    assert DeviceClock().wall(at_ms=at_ms, now_ms=T0) is worth


# --- units ----------------------------------------------------------------------------------------------------------------

UNITS = [(T0 // 1_000, "seconds"), (T0 * 1_000, "microseconds"), (T0 * 1_000_000, "nanoseconds")]


@pytest.mark.parametrize(("at_ms", "unit"), UNITS)
def test_another_unit_is_recognised_and_said(at_ms: int, unit: str) -> None:
    """Its time is right, so that `clock_unknown` would be wrong: a worker can do nothing about it. The detail and the alert are for those who can."""
    assert shown(at_ms)[:2] == (T0, Source.WALL)
    assert system_time(at_ms=at_ms, received_ms=T0)[:2] == (T0, Source.SYSTEM)
    for time in (shown(at_ms), system_time(at_ms=at_ms, received_ms=T0)):
        assert time.warn is None
        assert f"in {unit};" in (time.detail or "")


@laws
@given(st.integers(0, 2**63 - 1))
def test_a_number_can_be_read_in_one_unit_only(at_ms: int) -> None:
    readings = [ms for ms in (at_ms, at_ms * 1_000, at_ms // 1_000, at_ms // 1_000_000) if EARLIEST_MS <= ms < LATEST_MS]
    assert read_wall(at_ms)[0] == (readings[0] if readings else None)
    assert len(readings) <= 1


# --- what bounds an event -------------------------------------------------------------------------------------------------


def test_the_enrolment_and_the_reception_bound_every_event() -> None:
    assert bounds(UNBOUNDED, enrolled_ms=T0 - DAY, received_ms=T0) == (T0 - DAY, T0)
    assert bounds(UNBOUNDED, enrolled_ms=0, received_ms=T0) == (EARLIEST_MS, T0)


def test_neighbours_bound_an_event_more_closely() -> None:
    assert bounds(Bounds(T0 - HOUR, T0 - 5), enrolled_ms=T0 - DAY, received_ms=T0) == (T0 - HOUR, T0 - 5)


def test_neighbours_that_contradict_each_other_leave_the_upper_bound() -> None:
    assert bounds(Bounds(T0 - 5, T0 - HOUR), enrolled_ms=0, received_ms=T0) == (T0 - HOUR, T0 - HOUR)


def test_a_time_bounds_others_by_no_more_than_it_is_sure_of() -> None:
    assert span(T0 - HOUR, 20, T0) == (T0 - HOUR - 20, T0 - HOUR + 20)
    assert span(T0, 7 * DAY, T0) == (T0 - 7 * DAY, T0)


# --- systems and instructions ---------------------------------------------------------------------------------------------


def test_a_system_is_taken_at_its_word_but_not_about_the_future() -> None:
    assert system_time(at_ms=T0 - HOUR, received_ms=T0) == (T0 - HOUR, Source.SYSTEM, 0, None, None)
    assert system_time(at_ms=T0 + 1, received_ms=T0)[:3] == (T0, Source.SYSTEM, 0)


@pytest.mark.parametrize("at_ms", [0, 45_000, EARLIEST_MS - 1, T0 + BOUND_SLACK_MS + 1])
def test_a_system_whose_clock_cannot_be_right_is_dated_by_the_reception(at_ms: int) -> None:
    assert system_time(at_ms=at_ms, received_ms=T0) == (T0, Source.RECEIVED, T0 - EARLIEST_MS, Warn.CLOCK_UNKNOWN, None)


def test_an_instruction_binds_from_when_it_was_known() -> None:
    assert instruction_time(received_ms=T0) == (T0, Source.RECEIVED, 0, None, None)


# --- over any samples -----------------------------------------------------------------------------------------------------

STEPS = st.lists(st.tuples(st.integers(0, HOUR // 2), st.integers(0, JUMP_MS)), min_size=1, max_size=30)


@laws
@given(STEPS)
def test_the_offset_is_the_smallest_of_the_last_hour_heard(steps: list[tuple[int, int]]) -> None:
    clock, samples, received_ms = DeviceClock(), list[tuple[int, int]](), T0
    for pause_ms, delay_ms in steps:
        received_ms += pause_ms
        clock.heard(boot=BOOT, sent_mono_ms=received_ms - T0 - delay_ms + JUMP_MS, received_ms=received_ms)
        samples.append((received_ms, T0 + delay_ms - JUMP_MS))
        recent = [offset for heard_ms, offset in samples if heard_ms >= received_ms - SAMPLE_WINDOW_MS]
        assert clock.boots[BOOT].offset == min(recent)
        assert when(clock, 9_000).event_ms == 9_000 + min(recent)
        assert not clock.boots[BOOT].jumped


ANY_STEPS = st.lists(
    st.tuples(st.sampled_from([BOOT, OTHER]), st.integers(0, HOUR), st.sampled_from([0, 40, 4_000, 20_000, HOUR]), st.integers(0, HOUR)),
    max_size=25,
)


@laws
@given(ANY_STEPS, st.integers(0, 2 * HOUR))
def test_no_event_is_ever_later_than_its_arrival(steps: list[tuple[bytes, int, int, int]], mono_ms: int) -> None:
    clock, received_ms = DeviceClock(), T0
    for boot, pause_ms, delay_ms, behind_ms in steps:
        received_ms += pause_ms
        sent_mono_ms = received_ms - T0 + HOUR - min(delay_ms, HOUR)
        clock.heard(boot=boot, sent_mono_ms=sent_mono_ms, received_ms=received_ms)
        clock.wall(at_ms=received_ms - behind_ms, now_ms=received_ms)
        time = clock.by_counter(boot=boot, mono_ms=min(mono_ms, sent_mono_ms), received_ms=received_ms)
        assert time is not None
        assert EARLIEST_MS <= time.event_ms <= received_ms
        assert time.error_ms >= 0
        assert time.source is Source.MONO


TIMES = st.one_of(st.integers(0, 2**63 - 1), st.integers(T0 - 30 * DAY, T0 + 30 * DAY), st.integers(0, 10**8))
NEIGHBOURS = st.tuples(st.integers(0, T0 + DAY), st.integers(T0 - 30 * DAY, T0 + DAY)).map(lambda pair: Bounds(*pair))


@laws
@given(TIMES, NEIGHBOURS, st.sampled_from([0, T0 - 10 * DAY]), st.one_of(st.none(), st.integers(-30 * DAY, 30 * DAY)))
def test_a_time_by_the_wall_clock_is_within_its_bounds_and_its_error_is_within_them(
    at_ms: int, neighbours: Bounds, enrolled_ms: int, skew_ms: int | None
) -> None:
    clock = DeviceClock() if skew_ms is None else off_by(skew_ms)
    possible = bounds(neighbours, enrolled_ms=enrolled_ms, received_ms=T0)
    time = shown(at_ms, clock, possible)
    assert EARLIEST_MS <= possible.from_ms <= time.event_ms <= possible.to_ms <= T0
    assert SKEW_NOISE_MS <= time.error_ms <= max(SKEW_NOISE_MS, possible.to_ms - possible.from_ms)
    if time.warn is not None:
        assert time.event_ms - time.error_ms <= possible.from_ms, "an unknown time may be anywhere between its bounds"


@laws
@given(TIMES)
def test_a_system_is_never_dated_before_2020_or_after_the_reception(at_ms: int) -> None:
    assert EARLIEST_MS <= system_time(at_ms=at_ms, received_ms=T0).event_ms <= T0


@laws
@given(ANY_STEPS, st.integers(0, 2 * HOUR))
def test_a_clock_comes_back_from_the_store_as_it_was(steps: list[tuple[bytes, int, int, int]], mono_ms: int) -> None:
    clock, received_ms = DeviceClock(), T0
    for boot, pause_ms, delay_ms, behind_ms in steps:
        received_ms += pause_ms
        clock.heard(boot=boot, sent_mono_ms=received_ms - T0 + HOUR - delay_ms, received_ms=received_ms)
        clock.wall(at_ms=received_ms - behind_ms, now_ms=received_ms)
    again = DeviceClock.restore(cbor2.loads(cbor2.dumps(clock.dump())))
    for boot in (BOOT, OTHER):
        asked = {"boot": boot, "mono_ms": mono_ms, "received_ms": T0 + 100 * HOUR}
        assert again.by_counter(**asked) == clock.by_counter(**asked)
    assert shown(T0 - HOUR, again) == shown(T0 - HOUR, clock)


def test_the_boot_heard_longest_ago_is_forgotten_first() -> None:
    clock = DeviceClock()
    boots = [bytes([n]) * 8 for n in range(BOOTS_MAX + 1)]
    for nth, boot in enumerate(boots):
        clock.heard(boot=boot, sent_mono_ms=0, received_ms=T0 + nth)
        clock.heard(boot=boots[0], sent_mono_ms=0, received_ms=T0 + nth)
    assert set(clock.boots) == set(boots) - {boots[1]}
