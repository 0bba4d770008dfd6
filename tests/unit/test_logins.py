"""Failed logins: who must wait for them and for how long, who need not, and that no entry is kept forever."""

from __future__ import annotations

from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.broker import logins as module
from bridge.broker.logins import DELAY_MAX_S, FORGET_S, FREE, NAMES_MAX, PAIRS_MAX, PLACES, Brake, Failed, Line, Logins

UNKNOWN_NAMES_MAX = 100
HERE, ELSEWHERE = "10.0.0.1", "10.0.0.2"


class Remembered:
    """The pairs of device and address that a test says are known."""

    def __init__(self) -> None:
        self.pairs: set[tuple[str, str]] = set()

    def has(self, device: str, address: str) -> bool:
        return (device, address) in self.pairs

    def add(self, device: str, address: str) -> None:
        self.pairs.add((device, address))


@pytest.fixture
def logins() -> Logins:
    return Logins(Remembered(), unknown_names_max=UNKNOWN_NAMES_MAX)


def fail(logins: Logins, name: str = "scan-1", times: int = 1, *, source: str = HERE, now_s: float = 0.0) -> list[Failed]:
    return [logins.failed(name, source, now_s=now_s, now_ms=0) for _ in range(times)]


def spray(logins: Logins, names: int) -> list[Failed]:
    """Somebody here guesses once under each of many names."""
    return [failed for number in range(names) for failed in fail(logins, f"guess-{number}")]


def delay_s(logins: Logins, name: str = "scan-1", source: str = HERE, now_s: float = 0.0) -> float:
    brake = logins.brake(name, source, now_s)
    return brake.delay_s if brake is not None else 0.0


# --- the brake of a name ------------------------------------------------------------------------------------------------------


def test_a_typing_error_costs_nothing_and_guessing_costs_more_each_time(logins: Logins) -> None:
    fail(logins, times=FREE - 1)
    assert delay_s(logins) == 0
    delays = []
    for _ in range(12):
        fail(logins)
        delays.append(delay_s(logins))
    assert delays[0] > 0
    assert delays == sorted(delays)
    assert delays[-1] == DELAY_MAX_S


def test_a_wrong_password_delays_its_device_at_its_address_and_nobody_else(logins: Logins) -> None:
    fail(logins, times=50)
    assert delay_s(logins) == DELAY_MAX_S
    assert delay_s(logins, "scan-2") == 0
    assert delay_s(logins, source=ELSEWHERE) == 0


def test_what_has_passed_since_the_last_failure_is_not_waited_for_again(logins: Logins) -> None:
    """A client that gives up after five seconds, and comes again, would otherwise never be looked at."""
    fail(logins, times=50)
    assert delay_s(logins, now_s=6.0) == DELAY_MAX_S - 6.0
    assert delay_s(logins, now_s=DELAY_MAX_S) == 0
    fail(logins, now_s=DELAY_MAX_S)
    assert delay_s(logins, now_s=DELAY_MAX_S) == DELAY_MAX_S, "the next failure costs as much again"


def test_a_device_that_is_known_waits_for_its_own_failures(logins: Logins) -> None:
    logins.known.add("scan-1", HERE)
    fail(logins, times=FREE)
    assert delay_s(logins) > 0


# --- the brake of an address --------------------------------------------------------------------------------------------------


def test_guessing_under_ever_new_names_slows_down_every_unknown_name_there(logins: Logins) -> None:
    spray(logins, UNKNOWN_NAMES_MAX - 1)
    assert delay_s(logins, "one-more") == 0
    spray(logins, UNKNOWN_NAMES_MAX + 12)
    assert delay_s(logins, "one-more") == DELAY_MAX_S
    assert delay_s(logins, "one-more", ELSEWHERE) == 0


def test_a_device_that_is_known_does_not_wait_for_those_who_guess_beside_it(logins: Logins) -> None:
    logins.known.add("scan-1", HERE)
    spray(logins, 2 * UNKNOWN_NAMES_MAX)
    assert delay_s(logins, "scan-1") == 0
    assert delay_s(logins, "scan-2") > 0, "unknown here"


def test_one_name_alone_never_slows_down_its_address(logins: Logins) -> None:
    assert fail(logins, times=10 * UNKNOWN_NAMES_MAX)[-1].unknown_names is None
    assert delay_s(logins, "scan-2") == 0


def test_a_wrong_password_on_fifty_new_scanners_delays_no_other_device(logins: Logins) -> None:
    for number in range(50):
        fail(logins, f"scan-{number}", times=20)
    assert all(delay_s(logins, f"scan-{number}") == DELAY_MAX_S for number in range(50))
    assert delay_s(logins, "desk") == 0


def test_a_wrong_password_on_a_thousand_scanners_that_have_worked_here_delays_no_other_device(logins: Logins) -> None:
    for number in range(1_000):
        logins.known.add(f"scan-{number}", HERE)
        fail(logins, f"scan-{number}", times=2)
    assert delay_s(logins, "desk") == 0


def test_that_an_address_is_slowed_down_is_told_once(logins: Logins) -> None:
    told = [failed.unknown_names for failed in spray(logins, 2 * UNKNOWN_NAMES_MAX)]
    assert [t for t in told if t is not None] == [UNKNOWN_NAMES_MAX]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from((HERE, ELSEWHERE)), st.booleans(), st.integers(0, 200)), max_size=40))
def test_an_address_is_slowed_down_while_that_many_unknown_names_have_failed_there_lately(failures: list[tuple[str, str, bool, int]]) -> None:
    known = Remembered()
    logins = Logins(known, unknown_names_max=3)
    last: dict[tuple[str, str], tuple[float, bool]] = {}
    now_s = 0.0
    for name, source, becomes_known, passed_s in failures:
        now_s += passed_s
        if becomes_known:
            known.add(name, source)
        fail(logins, name, source=source, now_s=now_s)
        last[name, source] = (now_s, known.has(name, source))
        unknown = [at_s for (_, where), (at_s, is_known) in last.items() if where == source and not is_known and now_s - at_s <= FORGET_S]
        if now_s in unknown:  # a delay begins
            assert (logins.brake("newcomer", source, now_s) is not None) is (len(unknown) >= 3)
    logins.forget_old(now_s + FORGET_S + 1)
    assert (logins._pairs, logins._unknown, logins.of_names()) == ({}, {}, {})


# --- bounds -------------------------------------------------------------------------------------------------------------------


def test_after_a_while_a_name_and_an_address_start_anew(logins: Logins) -> None:
    spray(logins, 2 * UNKNOWN_NAMES_MAX)
    fail(logins, times=50)
    assert logins.of_names()["scan-1"].times == 50
    assert delay_s(logins, now_s=FORGET_S + 1) == 0
    assert logins.of_names() == {}
    fail(logins, now_s=FORGET_S + 1)
    assert logins.of_names()["scan-1"].times == 1
    assert delay_s(logins, "scan-2", now_s=FORGET_S + 1) == 0


def brakes(logins: Logins, line: Line) -> list[Brake]:
    """One brake more than there are places in a line."""
    fail(logins, times=50)
    if line is Line.UNKNOWN:
        spray(logins, 2 * UNKNOWN_NAMES_MAX)
    names = [f"guess-{number}" if line is not Line.NAME else "scan-1" for number in range(PLACES[line] + 1)]
    found = []
    for name in names:
        fail(logins, name, times=FREE)
        brake = logins.brake(name, HERE, 0.0)
        assert brake is not None
        found.append(brake)
    return found


@pytest.mark.parametrize("line", Line)
def test_so_many_wait_in_a_line_at_a_time_and_no_more(logins: Logins, line: Line) -> None:
    *first, last = brakes(logins, line)
    with ExitStack() as held:
        for brake in first:
            assert logins.has_place(brake)
            held.enter_context(logins.waiting(brake))
        assert not logins.has_place(last)
        fail(logins, "desk", times=FREE, source=ELSEWHERE)
        beside = logins.brake("desk", ELSEWHERE, 0.0)
        assert beside is not None
        assert logins.has_place(beside), "another address has its own lines"
    assert logins.has_place(last)
    assert logins._waiting == {}


def test_what_is_kept_is_bounded_however_many_names_and_addresses_are_tried(logins: Logins) -> None:
    for number in range(PAIRS_MAX + 500):
        logins.failed(f"name-{number}", f"source-{number}", now_s=0.0, now_ms=0)
    assert len(logins.of_names()) == NAMES_MAX
    assert "name-0" not in logins.of_names()
    assert len(logins._pairs) == len(logins._unknown) == PAIRS_MAX


def test_an_address_is_not_slowed_down_for_pairs_that_were_pushed_out(logins: Logins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAIRS_MAX", UNKNOWN_NAMES_MAX // 2)
    spray(logins, 3 * UNKNOWN_NAMES_MAX)
    assert delay_s(logins, "desk") == 0
    assert logins._unknown[HERE].names == UNKNOWN_NAMES_MAX // 2
