"""When an event happened: the fastest messages of a boot map its clock, however slow the others were and however wrong the wall clock is."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.event_time import (
    BOOTS_MAX,
    JUMP_MS,
    JUMP_SAMPLES,
    JUMP_SPAN_MS,
    SAMPLE_WINDOW_MS,
    SKEW_NOISE_MS,
    UNKNOWN_SKEW_ERROR_MS,
    DeviceClock,
    EventTime,
    Source,
    instruction_time,
    system_time,
)

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


def when(clock: DeviceClock, mono_ms: int, *, boot: bytes = BOOT, at_ms: int = 0, received_ms: int = T0 + 100 * HOUR) -> EventTime:
    return clock.time_of(boot=boot, mono_ms=mono_ms, at_ms=at_ms, received_ms=received_ms)


# --- the monotonic clock --------------------------------------------------------------------------------------------------


def test_the_quickest_message_is_the_closest() -> None:
    clock = clock_with((1_000, 900), (2_000, 40), (3_000, 700))
    assert when(clock, 2_500)[:2] == (T0 + 2_500 + 40, Source.MONO)


def test_an_event_from_before_the_first_message_is_on_the_same_clock() -> None:
    assert when(clock_with((50_000, 40)), 7).event_ms == T0 + 47


def test_a_wall_clock_that_is_years_off_does_not_matter() -> None:
    assert when(clock_with((1_000, 40)), 500, at_ms=7).event_ms == T0 + 540


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


def test_no_event_is_later_than_its_arrival_or_before_1970() -> None:
    clock = clock_with((1_000, 900))
    assert when(clock, 5_000, received_ms=T0 + 5_100).event_ms == T0 + 5_100
    young = DeviceClock()
    young.heard(boot=BOOT, sent_mono_ms=2 * T0, received_ms=T0)
    assert when(young, 0).event_ms == 0


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
    assert (time.event_ms, time.jumped) == (T0 + 20_000 + 60_000, True)


@pytest.mark.parametrize(("count", "step_ms"), [(JUMP_SAMPLES - 1, JUMP_SPAN_MS), (10 * JUMP_SAMPLES, JUMP_SPAN_MS // 1_000)])
def test_a_backlog_of_slow_messages_is_not_a_jump(count: int, step_ms: int) -> None:
    clock = clock_with((1_000, 40))
    slept(clock, count, from_ms=10_000, step_ms=step_ms)
    assert when(clock, 500)[:1] + when(clock, 500)[3:] == (T0 + 540, False)


def test_one_quick_message_between_the_slow_ones_shows_that_nothing_jumped() -> None:
    clock = clock_with((1_000, 40))
    slept(clock, JUMP_SAMPLES - 1, from_ms=10_000, step_ms=JUMP_SPAN_MS)
    hear(clock, 400_000, 45)
    slept(clock, JUMP_SAMPLES - 1, from_ms=500_000, step_ms=JUMP_SPAN_MS)
    assert when(clock, 500) == when(clock, 500)._replace(event_ms=T0 + 540, jumped=False)


def test_up_to_five_seconds_are_no_jump() -> None:
    clock = clock_with((1_000, 0))
    slept(clock, 50, from_ms=10_000, step_ms=JUMP_SPAN_MS, by_ms=JUMP_MS)
    assert when(clock, 500)[:1] + when(clock, 500)[3:] == (T0 + 500, False)


# --- the wall clock -------------------------------------------------------------------------------------------------------


def test_a_boot_that_was_never_heard_falls_back_to_the_wall_clock_and_says_so() -> None:
    assert when(DeviceClock(), 5, at_ms=T0 + 700) == (T0 + 700, Source.WALL, UNKNOWN_SKEW_ERROR_MS, False)


def test_the_last_known_skew_corrects_the_wall_clock() -> None:
    clock = DeviceClock()
    clock.wall(at_ms=T0 - HOUR, received_ms=T0)
    time = when(clock, 5, at_ms=T0 - HOUR - 60_000)
    assert (time.event_ms, time.source) == (T0 - 60_000, Source.WALL)
    assert SKEW_NOISE_MS < time.error_ms < UNKNOWN_SKEW_ERROR_MS


def test_a_small_skew_is_the_way_through_the_network() -> None:
    clock = DeviceClock()
    clock.wall(at_ms=T0 - SKEW_NOISE_MS + 1, received_ms=T0)
    assert when(clock, 5, at_ms=T0 - 60_000).event_ms == T0 - 60_000


def test_a_wall_clock_in_the_future_never_makes_an_event_later_than_its_arrival() -> None:
    assert when(DeviceClock(), 5, at_ms=T0 + 10 * HOUR, received_ms=T0).event_ms == T0
    ahead = DeviceClock()
    ahead.wall(at_ms=T0 + HOUR, received_ms=T0)
    assert when(ahead, 5, at_ms=HOUR - 1, received_ms=T0).event_ms == 0


# --- systems and instructions ---------------------------------------------------------------------------------------------


def test_a_system_is_taken_at_its_word_but_not_about_the_future() -> None:
    assert system_time(at_ms=T0 - HOUR, received_ms=T0) == (T0 - HOUR, Source.SYSTEM, 0, False)
    assert system_time(at_ms=T0 + 1, received_ms=T0).event_ms == T0


def test_an_instruction_binds_from_when_it_was_known() -> None:
    assert instruction_time(received_ms=T0) == (T0, Source.RECEIVED, 0, False)


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
@given(ANY_STEPS, st.integers(0, 2 * HOUR), st.integers(0, 2 * T0))
def test_no_event_is_ever_later_than_its_arrival(steps: list[tuple[bytes, int, int, int]], mono_ms: int, at_ms: int) -> None:
    clock, received_ms = DeviceClock(), T0
    for boot, pause_ms, delay_ms, behind_ms in steps:
        received_ms += pause_ms
        clock.heard(boot=boot, sent_mono_ms=received_ms - T0 + HOUR - min(delay_ms, HOUR), received_ms=received_ms)
        clock.wall(at_ms=received_ms - behind_ms, received_ms=received_ms)
        time = clock.time_of(boot=boot, mono_ms=mono_ms, at_ms=at_ms, received_ms=received_ms)
        assert 0 <= time.event_ms <= received_ms
        assert time.error_ms >= 0
        assert time.source is Source.MONO


@laws
@given(ANY_STEPS, st.integers(0, 2 * HOUR))
def test_a_clock_comes_back_from_the_store_as_it_was(steps: list[tuple[bytes, int, int, int]], mono_ms: int) -> None:
    clock, received_ms = DeviceClock(), T0
    for boot, pause_ms, delay_ms, behind_ms in steps:
        received_ms += pause_ms
        clock.heard(boot=boot, sent_mono_ms=received_ms - T0 + HOUR - delay_ms, received_ms=received_ms)
        clock.wall(at_ms=received_ms - behind_ms, received_ms=received_ms)
    again = DeviceClock.restore(cbor2.loads(cbor2.dumps(clock.dump())))
    for boot in (BOOT, OTHER):
        assert when(again, mono_ms, boot=boot, at_ms=T0) == when(clock, mono_ms, boot=boot, at_ms=T0)


def test_the_boot_heard_longest_ago_is_forgotten_first() -> None:
    clock = DeviceClock()
    boots = [bytes([n]) * 8 for n in range(BOOTS_MAX + 1)]
    for nth, boot in enumerate(boots):
        clock.heard(boot=boot, sent_mono_ms=0, received_ms=T0 + nth)
        clock.heard(boot=boots[0], sent_mono_ms=0, received_ms=T0 + nth)
    assert set(clock.boots) == set(boots) - {boots[1]}
