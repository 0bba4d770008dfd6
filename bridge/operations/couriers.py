"""Couriers: who is at work, what they have on board, how their day went, and what became of the cash."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, TypeVar

from msgspec import Struct

from bridge.domain.cash import Account, CashState
from bridge.domain.duty import Duty
from bridge.domain.shifts import EndedBy, Shift
from bridge.errors import Refused
from bridge.ingest.couriers import CashRow, ToldRow, standing_of
from bridge.operations import events
from bridge.operations.names import check_courier
from bridge.operations.ports import SiteContext, SiteReader
from bridge.operations.worker_ports import EventBy
from devices.protocol.choices import Tender
from devices.protocol.messages import Receipt
from devices.protocol.vocabulary import EventType

R = TypeVar("R", ToldRow, CashRow)
EVENTS_MAX: Final = 2_000
"""Events of one day that are shown."""


class Sum(Struct, frozen=True, kw_only=True):
    """Money of one account in one currency, in minor units: what was collected in cash, what the desk has counted, and what the courier tells; None: nothing
    was. `difference` is counted less expected, None as long as nothing was counted."""

    currency: str
    expected: int
    counted: int | None
    told: int | None
    difference: int | None


class OtherSum(Struct, frozen=True, kw_only=True):
    """What was collected in another way than in cash, in minor units."""

    tender: Tender
    currency: str
    amount: int


class CashAccount(Struct, frozen=True, kw_only=True):
    """The account of one shift. `started_ms` is None for money from before the first shift that is known; `reasons` are what the desk has said of a difference.
    `orders` are those with cash."""

    courier: str
    started_ms: int | None
    ended_ms: int | None
    state: CashState
    sums: list[Sum]
    other: list[OtherSum]
    reasons: list[str]
    orders: list[str]


class CourierNow(Struct, frozen=True, kw_only=True):
    """A courier: the phones, what they do since when (None: no shift is known), the orders on board, the open jobs, and the accounts that are not settled."""

    courier: str
    phones: list[str]
    duty: Duty | None
    since_ms: int | None
    on_board: list[str]
    jobs: list[str]
    accounts: list[CashAccount]


class ShiftShown(Struct, frozen=True, kw_only=True):
    """A shift with its breaks, as (from, until); None: it goes on."""

    started_ms: int
    ended_ms: int | None
    ended_by: EndedBy | None
    breaks: list[tuple[int, int | None]]


class Day(Struct, frozen=True, kw_only=True):
    """What a courier did from one time until another: shifts that reach into it, the events, and the accounts of these shifts."""

    courier: str
    shifts: list[ShiftShown]
    events: list[EventBy]
    accounts: list[CashAccount]


async def list_couriers(site: SiteReader, *, now_ms: int, longest_ms: int) -> list[CourierNow]:
    """Every courier who has a phone that may log in, or something on board, or cash that was not settled."""
    queries = site.queries
    told, cash = _by_courier(queries.told()), _by_courier(queries.cash())
    on_board = queries.on_board()
    phones: dict[str, list[str]] = {}
    for device in site.registry.list():
        if device.courier is not None and device.is_admitted:
            phones.setdefault(device.courier, []).append(device.device)
    jobs: dict[str, list[str]] = {}
    for job in queries.jobs(only_open=True):
        jobs.setdefault(job.courier, []).append(job.id)
    found = [
        _now(
            courier,
            told.get(courier, []),
            cash.get(courier, []),
            phones.get(courier, []),
            on_board.get(courier, []),
            jobs.get(courier, []),
            now_ms,
            longest_ms,
        )
        for courier in sorted({*phones, *on_board, *told, *cash})
    ]
    return [now for now in found if now.phones or now.on_board or now.accounts]


async def show_courier(site: SiteReader, courier: str, *, now_ms: int, longest_ms: int) -> CourierNow:
    """One courier.

    Raises:
        NotFound: if there is no such courier.
    """
    check_courier(site, courier)
    queries = site.queries
    phones = [device.device for device in site.registry.list() if device.courier == courier and device.is_admitted]
    jobs = [job.id for job in queries.jobs(courier=courier, only_open=True)]
    return _now(courier, queries.told(courier), queries.cash(courier), phones, queries.on_board(courier).get(courier, []), jobs, now_ms, longest_ms)


async def look(site: SiteContext, courier: str, reason: str = "") -> None:
    """Someone looks at the day of a courier: an act, for those who may see which worker did what.

    Raises:
        NotFound: if there is no such courier.
    """
    check_courier(site, courier)


async def day(site: SiteReader, courier: str, since_ms: int, until_ms: int, *, now_ms: int, longest_ms: int) -> Day:
    """What a courier did from a time (inclusive) until another (exclusive). It is about one person, and reads the whole log: `look` comes first."""
    shifts, accounts = standing_of(site.queries.told(courier), site.queries.cash(courier), now_ms, longest_ms)
    within = [s for s in shifts if s.started_ms < until_ms and (s.ended_ms or now_ms) >= since_ms]
    done = site.queries.events_by([], courier, limit=EVENTS_MAX, since_ms=since_ms, until_ms=until_ms)
    return Day(
        courier=courier,
        shifts=[ShiftShown(started_ms=s.started_ms, ended_ms=s.ended_ms, ended_by=s.ended_by, breaks=s.breaks) for s in within],
        events=sorted(done, key=lambda event: event.at_ms),
        accounts=[shown_account(courier, a) for a in accounts if a.shift in within and not a.is_empty],
    )


async def cash_report(site: SiteReader, *, since_ms: int, until_ms: int, now_ms: int, longest_ms: int) -> list[CashAccount]:
    """The accounts of the shifts that began from a time (inclusive) until another (exclusive), and all that are open; by courier."""
    found = []
    told = _by_courier(site.queries.told())
    for courier, rows in _by_courier(site.queries.cash()).items():
        _, accounts = standing_of(told.get(courier, []), rows, now_ms, longest_ms)
        for account in accounts:
            begun_ms = account.shift.started_ms if account.shift is not None else None
            is_within = begun_ms is not None and since_ms <= begun_ms < until_ms
            if not account.is_empty and (is_within or account.state is CashState.OPEN):
                found.append(shown_account(courier, account))
    return found


async def count(site: SiteContext, courier: str, amount_minor: int, currency: str, reason: str = "") -> Receipt:
    """Say how much cash a courier handed in, in minor units; `reason` is why it is not what was collected.

    Raises:
        NotFound: if there is no such courier.
    """
    check_courier(site, courier)
    body = {"courier": courier, "amount_minor": amount_minor, "currency": currency, **({"reason": reason} if reason else {})}
    return await events.send(site, EventType.CASH_COUNTED, None, body)


async def end_shift(site: SiteContext, courier: str, longest_ms: int, reason: str = "") -> Receipt:
    """End the shift that a courier has forgotten to end.

    Raises:
        NotFound: if there is no such courier.
        Refused: if no shift of theirs goes on.
    """
    check_courier(site, courier)
    shifts, _ = standing_of(site.queries.told(courier), [], site.clock.now_ms(), longest_ms)
    if not shifts or shifts[-1].ended_ms is not None:
        raise Refused(f"no shift of {courier} goes on", fix=f"`dockbridge couriers show {courier}` says what is known")
    return await events.send(site, EventType.SHIFT_ENDED, None, {"courier": courier})


# --- below ----------------------------------------------------------------------------------------------------------------------


def _by_courier(rows: Iterable[R]) -> dict[str, list[R]]:
    """Rows that come by courier, each courier's together."""
    return {courier: list(some) for courier, some in groupby(rows, lambda row: row.courier)}


def _now(
    courier: str, told: list[ToldRow], cash: list[CashRow], phones: list[str], on_board: list[str], jobs: list[str], now_ms: int, longest_ms: int
) -> CourierNow:
    shifts, accounts = standing_of(told, cash, now_ms, longest_ms)
    duty, since_ms = _duty(shifts)
    return CourierNow(
        courier=courier,
        phones=phones,
        duty=duty,
        since_ms=since_ms,
        on_board=on_board,
        jobs=jobs,
        accounts=[shown_account(courier, account) for account in accounts if is_unsettled(account)],
    )


def is_unsettled(account: Account) -> bool:
    """Whether somebody has still to do something about an account, or it goes on."""
    return not account.is_empty and account.state is not CashState.SETTLED


def shown_account(courier: str, account: Account) -> CashAccount:
    """An account as people read it."""
    shift = account.shift
    currencies = sorted(account.expected.keys() | account.counted.keys() | account.told.keys())
    return CashAccount(
        courier=courier,
        started_ms=shift.started_ms if shift is not None else None,
        ended_ms=shift.ended_ms if shift is not None else None,
        state=account.state,
        sums=[_sum(account, currency) for currency in currencies],
        other=[OtherSum(tender=tender, currency=currency, amount=amount) for (tender, currency), amount in sorted(account.other.items())],
        reasons=account.reasons,
        orders=list(dict.fromkeys(account.orders)),
    )


def _sum(account: Account, currency: str) -> Sum:
    counted = account.counted.get(currency)
    return Sum(
        currency=currency,
        expected=account.expected[currency],
        counted=counted,
        told=account.told.get(currency),
        difference=account.difference(currency) if counted is not None else None,
    )


def _duty(shifts: Sequence[Shift]) -> tuple[Duty | None, int | None]:
    """(what somebody does now, since when)."""
    if not shifts:
        return None, None
    last = shifts[-1]
    if last.ended_ms is not None:
        return Duty.OFF, last.ended_ms
    if last.in_break:
        return Duty.BREAK, last.breaks[-1][0]
    return Duty.ON, last.breaks[-1][1] if last.breaks else last.started_ms
