"""The ledger of a device log, compared with a plain set of numbers."""

from __future__ import annotations

from random import Random

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bridge.domain import ledger as ledger_module
from bridge.domain.event_time import UNBOUNDED
from bridge.domain.ledger import GAPS_MAX, Ledger

laws = settings(derandomize=True, deadline=None, max_examples=200)

SEQS = st.lists(st.integers(1, 40), max_size=60)


def ranges_of(numbers: set[int]) -> list[tuple[int, int]]:
    starts = sorted(n for n in numbers if n - 1 not in numbers)
    ends = sorted(n for n in numbers if n + 1 not in numbers)
    return list(zip(starts, ends, strict=True))


@laws
@given(SEQS)
@example([1, 3, 2])
@example([2, 1])
@example([3, 1, 2, 2])
def test_a_ledger_is_a_set_of_numbers(seqs: list[int]) -> None:
    ledger, model = Ledger(), set[int]()
    for seq in seqs:
        assert ledger.add(seq) is (seq not in model)
        model.add(seq)
        missing = set(range(1, max(model))) - model
        assert ledger.ranges == ranges_of(model)
        assert ledger.gaps == ranges_of(missing)
        assert ledger.owed == len(missing)
        assert ledger.high == max(model)
        assert [n in ledger for n in range(42)] == [n in model for n in range(42)]
    assert ledger.forgotten == 0


@laws
@given(SEQS, SEQS)
def test_a_ledger_goes_on_where_it_was_stored(before: list[int], after: list[int]) -> None:
    straight, stored = Ledger(), Ledger()
    for seq in before:
        straight.add(seq)
        stored.add(seq)
    again = Ledger(stored.stored, stored.forgotten)
    for seq in after:
        assert again.add(seq) is straight.add(seq)
    assert again.ranges == straight.ranges


@laws
@given(st.dictionaries(st.integers(1, 40), st.tuples(st.integers(0, 99), st.integers(0, 99))), st.randoms(use_true_random=False))
def test_a_missing_event_happened_between_those_with_lower_and_higher_numbers(times: dict[int, tuple[int, int]], chance: Random) -> None:
    ledger = Ledger()
    for seq in chance.sample(sorted(times), len(times)):
        ledger.add(seq, *times[seq])
    for missing in set(range(1, 42)) - set(times):
        lower = [after for seq, (after, _) in times.items() if seq < missing]
        higher = [before for seq, (_, before) in times.items() if seq > missing]
        assert ledger.around(missing) == (max(lower, default=UNBOUNDED.from_ms), min(higher, default=UNBOUNDED.to_ms))


def test_a_number_that_came_already_is_bounded_by_the_other_ranges_only() -> None:
    ledger = Ledger([(1, 3, 10, 5), (7, 8, 20, 15), (11, 11, 30, 25)])
    assert ledger.around(7) == (10, 25)


def test_a_ledger_of_an_earlier_version_knows_no_times() -> None:
    ledger = Ledger([(1, 3), (7, 8)])
    assert ledger.around(5) == UNBOUNDED
    assert ledger.ranges == [(1, 3), (7, 8)]


@laws
@given(st.permutations(range(1, 21)))
def test_when_everything_came_nothing_is_owed(seqs: list[int]) -> None:
    ledger = Ledger()
    for seq in seqs:
        ledger.add(seq)
    assert (ledger.ranges, ledger.gaps, ledger.owed) == ([(1, 20)], [], 0)


def test_an_empty_ledger_owes_nothing() -> None:
    ledger = Ledger()
    assert (ledger.high, ledger.ranges, ledger.gaps, ledger.owed, 1 in ledger) == (0, [], [], 0, False)


def test_fresh_scans_overtake_the_backlog() -> None:
    ledger = Ledger()
    for seq in (7, 8, 9):
        assert ledger.add(seq)
    assert (ledger.gaps, ledger.owed) == ([(1, 6)], 6)


def test_the_gaps_of_a_log_are_bounded_and_the_lowest_are_taken_as_lost() -> None:
    ledger = Ledger()
    for seq in range(1, 2 * GAPS_MAX + 2, 2):
        ledger.add(seq)
    assert (len(ledger.gaps), ledger.owed, ledger.forgotten) == (GAPS_MAX, GAPS_MAX, 0)
    ledger.add(2 * GAPS_MAX + 3)
    assert (len(ledger.gaps), ledger.owed, ledger.forgotten) == (GAPS_MAX, GAPS_MAX, 1)
    assert ledger.gaps[0] == (4, 4)
    assert 2 in ledger, "what was given up counts as come: it is not asked for again"
    assert ledger.high == 2 * GAPS_MAX + 3


@laws
@given(SEQS)
def test_nothing_is_ever_counted_twice_by_a_ledger_that_forgets(seqs: list[int]) -> None:
    kept = ledger_module.GAPS_MAX
    ledger_module.GAPS_MAX = 3  # type: ignore[misc]
    try:
        ledger, came = Ledger(), set[int]()
        for seq in seqs:
            ledger.add(seq)
            came.add(seq)
            assert all(n in ledger for n in came)
            assert len(ledger.ranges) <= 3 + 1
            assert ledger.ranges == sorted(ledger.ranges)
            assert ledger.high == max(came)
            assert ledger.owed + ledger.forgotten + len(came) >= max(came)
    finally:
        ledger_module.GAPS_MAX = kept  # type: ignore[misc]
