"""How batches go is added up once per batch: how large they are, how long each step takes, and the times of the last of them; and how late the loop is."""

from __future__ import annotations

import pytest

from bridge.broker.lag import WINDOW_S, Lag
from bridge.errors import fault_of
from bridge.ingest import steps as module
from bridge.ingest.steps import SECONDS, BatchTimes, Spread, Step, Steps


class Clocks:
    """Two clocks that are set by hand."""

    def __init__(self) -> None:
        self.s = 0.0

    def now_s(self) -> float:
        return self.s

    def now_ms(self) -> int:
        return 1_000_000 + round(self.s * 1_000)


def go(steps: Steps, clocks: Clocks, no: int, commit_s: float) -> None:
    """One batch of three messages: shown in 2 ms, answered in 1 ms."""
    steps.begun()
    clocks.s += commit_s
    steps.committed(no, 3)
    clocks.s += 0.002
    steps.shown()
    clocks.s += 0.001
    steps.answered()


def test_each_step_is_added_up_and_the_times_of_a_logged_batch_are_kept() -> None:
    clocks = Clocks()
    steps = Steps(clocks.now_ms, clocks.now_s)
    go(steps, clocks, 7, 0.010)
    go(steps, clocks, 0, 0.030)  # nothing of it is in the event log
    assert steps.took_s == pytest.approx({Step.COMMIT: 0.040, Step.SHOW: 0.004, Step.ANSWER: 0.002})
    assert steps.of([6, 7, 8, 0]) == [BatchTimes(7, 1_000_000, 10_000, 2_000, 1_000)]
    assert steps.messages.total == 6
    assert sum(steps.commit_s.counts) == 2


def test_a_commit_that_is_tried_again_counts_from_its_last_try_and_is_late_since_the_first() -> None:
    clocks = Clocks()
    steps = Steps(clocks.now_ms, clocks.now_s)
    steps.begun()
    clocks.s += 5
    assert steps.committing_since_s == 0
    go(steps, clocks, 1, 0.010)
    assert steps.committing_since_s is None
    assert steps.of([1])[0].begun_ms == 1_005_000


def test_only_so_many_batches_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECENT_BATCHES_MAX", 3)
    clocks = Clocks()
    steps = Steps(clocks.now_ms, clocks.now_s)
    for no in range(1, 6):
        go(steps, clocks, no, 0.001)
    assert [batch.no for batch in steps.of(range(1, 6))] == [3, 4, 5]


def test_a_value_counts_at_the_first_bound_that_is_not_below_it() -> None:
    spread = Spread((1, 2, 5))
    for value in (0, 1, 1.5, 2, 5, 6):
        spread.add(value)
    assert spread.counts == [2, 2, 1, 1]
    assert spread.total == 15.5
    assert list(SECONDS) == sorted(SECONDS)


def test_the_lag_is_the_worst_of_the_last_window_and_is_forgotten() -> None:
    lag = Lag()
    lag.add(0.2, 1.0)
    lag.add(0.1, 2.0)
    assert lag.worst_s(3.0) == 0.2
    lag.add(0.05, WINDOW_S + 1)
    assert lag.worst_s(WINDOW_S + 2) == 0.2
    assert lag.worst_s(2 * WINDOW_S + 1.5) == 0.05
    assert lag.worst_s(9 * WINDOW_S) == 0.0


def test_an_error_in_the_log_says_where_and_not_what_a_client_sent() -> None:
    try:
        int("Zhang Wei")
    except ValueError as error:
        found = fault_of(error)
    assert found.startswith("ValueError at test_steps_of_batches.py:")
    assert "Zhang" not in found
