"""Failed logins: which clients are slowed down and for how long, and that no entry is kept forever."""

from __future__ import annotations

from bridge.broker.logins import DELAY_MAX_S, FORGET_S, FREE, NAMES_MAX, WAITING_MAX, Logins


def fail(logins: Logins, times: int, *, source: str = "10.0.0.1", name: str = "scan-1", now_s: float = 0.0) -> None:
    for _ in range(times):
        logins.failed(name, source, now_s=now_s, now_ms=0)


def test_a_typing_error_costs_nothing_and_guessing_costs_more_each_time() -> None:
    logins = Logins()
    fail(logins, FREE - 1)
    assert logins.delay_s("10.0.0.1", 0.0) == 0
    delays = []
    for _ in range(12):
        fail(logins, 1)
        delays.append(logins.delay_s("10.0.0.1", 0.0))
    assert delays[0] > 0
    assert delays == sorted(delays)
    assert delays[-1] == DELAY_MAX_S


def test_only_the_address_that_failed_is_slowed_down() -> None:
    logins = Logins()
    fail(logins, 50)
    assert logins.delay_s("10.0.0.2", 0.0) == 0


def test_after_a_while_an_address_and_a_name_start_anew() -> None:
    logins = Logins()
    fail(logins, 50)
    assert logins.delay_s("10.0.0.1", FORGET_S + 1) == 0
    assert logins.forget_old(FORGET_S + 1) == ["scan-1"]
    assert logins.of_names() == {}


def test_so_many_wait_at_a_time_and_no_more() -> None:
    logins = Logins()
    held = [logins.waiting("10.0.0.1") for _ in range(WAITING_MAX)]
    for place in held:
        assert logins.has_place("10.0.0.1")
        place.__enter__()
    assert not logins.has_place("10.0.0.1")
    held[0].__exit__(None, None, None)
    assert logins.has_place("10.0.0.1")


def test_what_is_kept_is_bounded_however_many_names_and_addresses_are_tried() -> None:
    logins = Logins()
    for number in range(NAMES_MAX + 500):
        logins.failed(f"name-{number}", f"source-{number}", now_s=0.0, now_ms=0)
    assert len(logins.of_names()) == NAMES_MAX
    assert "name-0" not in logins.of_names()
