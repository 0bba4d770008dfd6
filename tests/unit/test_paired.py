"""One checkout measured against another: the interval of the median, when B counts as slower, and which checkout runs first."""

from __future__ import annotations

import math
from itertools import product
from pathlib import Path

import pytest
from benchmarks import paired
from benchmarks.paired import Interval, Taken, interval, measured, pair, verdict

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("n", "low", "high", "confidence"),
    [(1, 1, 1, 0.0), (5, 1, 5, 0.9375), (6, 1, 6, 0.96875), (9, 2, 8, 0.9609), (15, 4, 12, 0.9648), (20, 6, 15, 0.9586)],
)
def test_the_interval_is_of_the_ranks_in_the_tables_of_the_sign_test(n: int, low: int, high: int, confidence: float) -> None:
    found = interval([*range(n, 0, -1)])
    assert found == (pytest.approx((n + 1) / 2), low, high, pytest.approx(confidence, abs=1e-4))


@pytest.mark.parametrize("n", range(1, 13))
def test_the_interval_has_the_true_median_as_often_as_it_says(n: int) -> None:
    """Counted over all ways in which n values can be below (-) or above (+) the true median, here 0."""
    spread = [interval([sign * (1 + at) for at, sign in enumerate(signs)]) for signs in product((-1, 1), repeat=n)]
    inside = sum(found.low < 0 < found.high for found in spread)
    assert inside / len(spread) == pytest.approx(spread[0].confidence)
    assert spread[0].confidence >= 0.95 or n < 6


@pytest.mark.parametrize("n", range(6, 13))
def test_no_narrower_interval_would_do(n: int) -> None:
    found = interval(range(n))
    narrower = 1 - 2 * sum(math.comb(n, k) for k in range(int(found.low) + 2)) / 2**n
    assert narrower < 0.95


def between(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.96)


@pytest.mark.parametrize(
    ("rate", "cpu", "words"),
    [
        (between(0.9, 1.1), between(0.9, 1.1), []),
        (between(0.5, 0.98), between(1.02, 1.5), []),
        (between(0.5, 0.979), between(0.9, 1.1), ["fewer events"]),
        (between(0.9, 1.1), between(1.021, 1.5), ["processor time"]),
        (between(0.5, 0.9), between(1.1, 1.5), ["fewer events", "processor time"]),
        (between(1.1, 1.5), between(0.5, 0.9), []),
    ],
    ids=["alike", "at the bound", "slower", "dearer", "slower and dearer", "faster"],
)
def test_b_is_slower_only_if_a_whole_interval_is_beyond_its_bound(rate: Interval, cpu: Interval, words: list[str]) -> None:
    found = verdict(rate, cpu, rate_min=0.98, cpu_max=1.02)
    assert len(found) == len(words)
    assert all(word in text for word, text in zip(words, found, strict=True))


def test_the_two_take_turns_in_being_first(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = Path("a"), Path("b")
    order: list[Path] = []

    def record(checkout: Path, events: int) -> Taken:
        order.append(checkout)
        return Taken(events, 1.0, 1.0 if checkout == a else 2.0)

    monkeypatch.setattr(paired, "measured", record)
    for number in range(3):
        of_a, of_b = pair(number, a, b, 100)
        assert (of_a.cpu_us, of_b.cpu_us) == (10_000, 20_000)
    assert order == [a, b, b, a, a, b]


def test_this_checkout_can_be_measured() -> None:
    found = measured(ROOT, 2_500)
    assert found.events == 2_500
    assert 0 < found.cpu_us < math.inf


def test_a_folder_that_is_no_checkout_is_named(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=f"{tmp_path} can't be measured"):
        measured(tmp_path, 2_500)
