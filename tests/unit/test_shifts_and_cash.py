"""Shifts, breaks and accounts of couriers: what was told makes the same of them, however it arrived."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.cash import CashState, Entry, EntryKind, accounts_of
from bridge.domain.shifts import SHIFT_EVENTS, EndedBy, Shift, Told, shifts_of
from bridge.errors import Refused
from bridge.money import minor_of, money
from devices.protocol.choices import Tender
from devices.protocol.vocabulary import EventType as E

LONGEST: Final = 100
NOW: Final = 1_000
STARTED, ENDED, BREAK, GOES_ON = E.SHIFT_STARTED, E.SHIFT_ENDED, E.BREAK_STARTED, E.BREAK_ENDED
IN, COUNTED, TOLD = EntryKind.COLLECTED, EntryKind.COUNTED, EntryKind.TOLD


def told(*events: tuple[int, str]) -> list[Told]:
    return [Told(at, bytes([n]), kind) for n, (at, kind) in enumerate(events)]


def shifts(*events: tuple[int, str], now: int = NOW) -> list[tuple[int, int | None, EndedBy | None, list[tuple[int, int | None]]]]:
    return [(s.started_ms, s.ended_ms, s.ended_by, s.breaks) for s in shifts_of(told(*events), now_ms=now, longest_ms=LONGEST)]


BY = EndedBy.COURIER
TABLE: Final = {
    "nothing is known": ((), []),
    "a shift": (((1, STARTED), (9, ENDED)), [(1, 9, BY, [])]),
    "two shifts": (((1, STARTED), (9, ENDED), (20, STARTED), (30, ENDED)), [(1, 9, BY, []), (20, 30, BY, [])]),
    "a break": (((1, STARTED), (3, BREAK), (5, GOES_ON), (9, ENDED)), [(1, 9, BY, [(3, 5)])]),
    "a break that nobody ended ends with the shift": (((1, STARTED), (3, BREAK), (9, ENDED)), [(1, 9, BY, [(3, 9)])]),
    "a break that was begun twice": (((1, STARTED), (3, BREAK), (4, BREAK), (5, GOES_ON), (9, ENDED)), [(1, 9, BY, [(3, 5)])]),
    "a shift that was begun twice": (((1, STARTED), (2, STARTED), (9, ENDED)), [(1, 9, BY, [])]),
    "an end that was told twice": (((1, STARTED), (9, ENDED), (10, ENDED)), [(1, 9, BY, [])]),
    "a break without a shift says nothing": (((3, BREAK), (5, GOES_ON)), []),
    "a shift that nobody ended": (((1, STARTED), (3, BREAK)), [(1, 101, EndedBy.TIME, [(3, 101)])]),
    "the next day begins": (((1, STARTED), (200, STARTED), (210, ENDED)), [(1, 101, EndedBy.TIME, []), (200, 210, BY, [])]),
    "an end that comes after it counts as ended": (((1, STARTED), (200, ENDED)), [(1, 101, EndedBy.TIME, [])]),
}


@pytest.mark.parametrize(("events", "found"), TABLE.values(), ids=TABLE)
def test_what_was_told_makes_shifts(events: tuple[tuple[int, str], ...], found: object) -> None:
    assert shifts(*events) == found


def test_a_shift_goes_on_until_it_was_too_long() -> None:
    assert shifts((1, STARTED), now=100) == [(1, None, None, [])]
    assert shifts((1, STARTED), now=101) == [(1, 101, EndedBy.TIME, [])]


def test_a_desk_ends_a_forgotten_shift() -> None:
    (shift,) = shifts_of([*told((1, STARTED)), Told(50, b"x", ENDED, by_desk=True)], now_ms=NOW, longest_ms=LONGEST)
    assert (shift.ended_ms, shift.ended_by) == (50, EndedBy.DESK)


EVENTS = st.lists(st.builds(Told, st.integers(0, 500), st.binary(min_size=4, max_size=4), st.sampled_from(sorted(SHIFT_EVENTS)), st.booleans()), max_size=25)


@given(EVENTS, st.randoms(use_true_random=False))
def test_shifts_are_the_same_however_they_arrive(events: list[Told], chance: Random) -> None:
    mixed = events.copy()
    chance.shuffle(mixed)
    once = shifts_of(events, now_ms=NOW, longest_ms=LONGEST)
    assert shifts_of(mixed, now_ms=NOW, longest_ms=LONGEST) == once
    ends = [(s.started_ms, s.ended_ms if s.ended_ms is not None else NOW) for s in once]
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends)), "no two at once"
    for shift in once:
        assert all(shift.started_ms <= since <= (until or NOW) <= (shift.ended_ms or NOW) for since, until in shift.breaks)


# --- cash -----------------------------------------------------------------------------------------------------------------------


def entries(*events: tuple[int, EntryKind, int]) -> list[Entry]:
    return [Entry(at, bytes([n]), kind, amount, "EUR", order=f"PO-{n}" if kind is IN else None) for n, (at, kind, amount) in enumerate(events)]


def standing(*events: tuple[int, EntryKind, int]) -> list[tuple[int, int | None, CashState]]:
    """(expected, counted, state) of two shifts, from 10 to 20 and from 30 to 40."""
    found = accounts_of([Shift(10, 20, EndedBy.COURIER), Shift(30, 40, EndedBy.COURIER)], entries(*events))
    return [(a.expected["EUR"], a.counted.get("EUR"), a.state) for a in found if a.shift is not None]


NOTHING = (0, None, CashState.SETTLED)
ACCOUNTS: Final = {
    "nothing was collected": ((), [NOTHING, NOTHING]),
    "to be counted": (((12, IN, 5),), [(5, None, CashState.OPEN), NOTHING]),
    "counted": (((12, IN, 5), (21, COUNTED, 5)), [(5, 5, CashState.UNCONFIRMED), NOTHING]),
    "and confirmed": (((12, IN, 5), (21, COUNTED, 5), (22, TOLD, 5)), [(5, 5, CashState.SETTLED), NOTHING]),
    "the courier tells first": (((12, IN, 5), (20, TOLD, 5), (21, COUNTED, 5)), [(5, 5, CashState.SETTLED), NOTHING]),
    "too little": (((12, IN, 5), (21, COUNTED, 4)), [(5, 4, CashState.DIFFERS), NOTHING]),
    "the courier says another sum": (((12, IN, 5), (21, COUNTED, 5), (22, TOLD, 6)), [(5, 5, CashState.DIFFERS), NOTHING]),
    "counted when the next shift has begun": (((12, IN, 5), (32, COUNTED, 5), (33, IN, 7)), [(5, 5, CashState.UNCONFIRMED), (7, None, CashState.OPEN)]),
    "both, one after the other": (
        ((12, IN, 5), (33, IN, 7), (41, COUNTED, 5), (42, COUNTED, 7)),
        [(5, 5, CashState.UNCONFIRMED), (7, 7, CashState.UNCONFIRMED)],
    ),
    "a part in the middle of the shift": (((12, IN, 5), (13, COUNTED, 3), (14, IN, 2), (21, COUNTED, 4)), [(7, 7, CashState.UNCONFIRMED), NOTHING]),
    "a delivery that is told after the shift": (((25, IN, 5),), [(5, None, CashState.OPEN), NOTHING]),
    "what was missing is handed in the next day": (
        ((12, IN, 5), (21, COUNTED, 4), (33, IN, 7), (34, COUNTED, 1), (41, COUNTED, 7)),
        [(5, 5, CashState.UNCONFIRMED), (7, 7, CashState.UNCONFIRMED)],
    ),
    "the rest of a shift is counted when the next one has begun": (
        ((12, IN, 9), (13, COUNTED, 4), (32, COUNTED, 5), (33, IN, 7)),
        [(9, 9, CashState.UNCONFIRMED), (7, None, CashState.OPEN)],
    ),
    "yesterday's lack is not today's": (
        ((12, IN, 5), (21, COUNTED, 4), (33, IN, 7), (41, COUNTED, 7)),
        [(5, 4, CashState.DIFFERS), (7, 7, CashState.UNCONFIRMED)],
    ),
}


@pytest.mark.parametrize(("events", "found"), ACCOUNTS.values(), ids=ACCOUNTS)
def test_money_belongs_to_a_shift(events: tuple[tuple[int, EntryKind, int], ...], found: object) -> None:
    assert standing(*events) == found


def test_what_is_not_cash_is_nobodys_to_hand_in() -> None:
    (account,) = accounts_of([Shift(10, 20)], [Entry(12, b"a", IN, 5, "EUR", Tender.CARD, "PO-1")])
    assert (account.state, dict(account.expected), dict(account.other)) == (CashState.SETTLED, {}, {(Tender.CARD, "EUR"): 5})


def test_each_currency_is_counted_by_itself() -> None:
    (account,) = accounts_of([Shift(10, 20)], [Entry(12, b"a", IN, 5, "EUR"), Entry(13, b"b", IN, 7, "CNY"), Entry(21, b"c", COUNTED, 5, "EUR")])
    assert (account.state, account.difference("EUR"), account.difference("CNY")) == (CashState.OPEN, 0, -7)


def test_money_from_before_the_first_shift_has_an_account_of_its_own() -> None:
    before, shift = accounts_of([Shift(10, None)], entries((5, IN, 5), (12, IN, 7)))
    assert (before.shift, before.expected["EUR"], before.state) == (None, 5, CashState.OPEN)
    assert (shift.expected["EUR"], shift.state) == (7, CashState.RUNNING)


MONEY = st.lists(
    st.builds(
        Entry,
        st.integers(0, 300),
        st.binary(min_size=4, max_size=4),
        st.sampled_from(EntryKind),
        st.integers(1, 99),
        st.sampled_from(["EUR", "CNY"]),
        st.just(Tender.CASH),
    ),
    max_size=25,
)


@given(EVENTS, MONEY, st.randoms(use_true_random=False))
def test_no_money_is_lost_and_none_is_made(events: list[Told], money_: list[Entry], chance: Random) -> None:
    found = shifts_of(events, now_ms=NOW, longest_ms=LONGEST)
    accounts = accounts_of(found, money_)
    for currency in ("EUR", "CNY"):
        for kind, name in ((IN, "expected"), (COUNTED, "counted"), (TOLD, "told")):
            assert sum(getattr(a, name)[currency] for a in accounts) == sum(e.amount_minor for e in money_ if (e.kind, e.currency) == (kind, currency))
    mixed = money_.copy()
    chance.shuffle(mixed)
    assert accounts_of(found, mixed) == accounts


# --- amounts --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "currency", "minor"), [("12.50", "EUR", 1250), ("12,5", "EUR", 1250), ("12", "EUR", 1200), ("500", "JPY", 500), ("1.234", "KWD", 1234)]
)
def test_amounts_are_read_in_minor_units(typed: str, currency: str, minor: int) -> None:
    assert minor_of(typed, currency) == minor
    assert minor_of(money(minor, currency).partition(" ")[0], currency) == minor


@pytest.mark.parametrize(
    ("typed", "currency", "says"),
    [
        ("12.555", "EUR", "more decimals than EUR"),
        ("1.5", "JPY", "more decimals"),
        ("1,250", "EUR", "more decimals"),
        ("1,000", "JPY", "more decimals"),
        ("1 200", "EUR", "is no amount"),
        ("-5", "EUR", "is no amount"),
        ("5", "EURO", "is no currency"),
    ],
)
def test_what_is_no_amount_is_refused(typed: str, currency: str, says: str) -> None:
    with pytest.raises(Refused, match=says):
        minor_of(typed, currency)
