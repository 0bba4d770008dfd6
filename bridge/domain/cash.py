"""Couriers' cash: what was collected in a shift, what was counted at its end, and what is open. A difference is shown, and never charged to anyone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from bridge.domain.shifts import Shift
from devices.protocol.choices import Tender


class EntryKind(StrEnum):
    """What happened to money."""

    COLLECTED = "collected"
    COUNTED = "counted"
    """The desk has counted what the courier handed in."""
    TOLD = "told"
    """The courier says how much it was."""


class Entry(NamedTuple):
    """Money of one courier, at `at_ms` (event time, ms since 1970 UTC), in minor units of `currency`. `id` is the event's."""

    at_ms: int
    id: bytes
    kind: EntryKind
    amount_minor: int
    currency: str
    tender: Tender = Tender.CASH
    order: str | None = None
    reason: str | None = None


class CashState(StrEnum):
    """How an account stands."""

    RUNNING = "running"
    """The shift goes on."""
    OPEN = "open"
    """The shift has ended, and its cash was not counted."""
    DIFFERS = "differs"
    """What was counted is not what was collected, or the courier says another sum."""
    UNCONFIRMED = "unconfirmed"
    """What was counted is what was collected. The courier has not said so yet."""
    SETTLED = "settled"


@dataclass(slots=True)
class Account:
    """The account of one shift, by currency. `shift` is None for money from before the first shift that is known.

    `other` is what was collected in other ways than in cash: it is nobody's to hand in. `orders` are those with cash. `reasons` are what the desk has said of a
    difference, and `counted_ms` is when it counted last.
    """

    shift: Shift | None
    expected: Counter[str] = field(default_factory=Counter)
    counted: Counter[str] = field(default_factory=Counter)
    told: Counter[str] = field(default_factory=Counter)
    other: Counter[tuple[Tender, str]] = field(default_factory=Counter)
    reasons: list[str] = field(default_factory=list)
    orders: list[str] = field(default_factory=list)
    counted_ms: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.expected or self.counted or self.told or self.other)

    def difference(self, currency: str) -> int:
        """What was counted too much, in minor units; negative if it was too little."""
        return self.counted[currency] - self.expected[currency]

    @property
    def state(self) -> CashState:
        if self.shift is not None and self.shift.ended_ms is None:
            return CashState.RUNNING
        currencies = self.expected.keys() | self.counted.keys()
        if any(self.expected[c] and c not in self.counted for c in currencies):
            return CashState.OPEN
        if any(self.difference(c) for c in currencies) or any(self.told[c] != self.counted[c] for c in self.told):
            return CashState.DIFFERS
        return CashState.SETTLED if self.told.keys() >= self.counted.keys() else CashState.UNCONFIRMED


def accounts_of(shifts: Sequence[Shift], entries: Iterable[Entry]) -> list[Account]:
    """The accounts of one courier, one for each shift, the oldest first.

    What is collected belongs to the shift that began last. What is counted belongs to the oldest shift that lacks just this sum: what was missing is handed in.
    Else it belongs to the oldest shift that has ended and whose cash was not counted: that of yesterday is often counted when the next shift has begun. What
    the courier tells belongs to what was counted last, and was not told.
    """
    before = Account(None)
    accounts = [before, *map(Account, shifts)]
    for entry in sorted(entries, key=_by_time):
        begun = [a for a in accounts if a.shift is None or a.shift.started_ms <= entry.at_ms]
        if entry.kind is EntryKind.COLLECTED:
            _collect(begun[-1], entry)
        elif entry.kind is EntryKind.COUNTED:
            account = next((a for a in begun if _lacks_sum(a, entry)), None) or next((a for a in begun if _lacks_count(a, entry)), begun[-1])
            account.counted[entry.currency] += entry.amount_minor
            account.counted_ms = entry.at_ms
            account.reasons += [entry.reason] if entry.reason is not None else []
        else:
            counted = [a for a in begun if entry.currency in a.counted and entry.currency not in a.told]
            account = max(counted, key=lambda a: a.counted_ms) if counted else begun[-1]
            account.told[entry.currency] += entry.amount_minor
    return [account for account in accounts if account.shift is not None or not account.is_empty]


def _by_time(entry: Entry) -> tuple[object, ...]:
    return (entry.at_ms, entry.id, entry.kind, entry.amount_minor, entry.currency)


def _collect(account: Account, entry: Entry) -> None:
    if entry.tender is not Tender.CASH:
        account.other[(entry.tender, entry.currency)] += entry.amount_minor
        return
    account.expected[entry.currency] += entry.amount_minor
    if entry.order is not None:
        account.orders.append(entry.order)


def _lacks_sum(account: Account, entry: Entry) -> bool:
    """Whether what is counted is just what an account of an ended shift lacks of a count before."""
    return _has_ended(account, entry) and entry.currency in account.counted and account.difference(entry.currency) == -entry.amount_minor


def _has_ended(account: Account, entry: Entry) -> bool:
    shift = account.shift
    return shift is None or (shift.ended_ms is not None and shift.ended_ms <= entry.at_ms)


def _lacks_count(account: Account, entry: Entry) -> bool:
    """Whether the cash of an account was to be counted at the time of an entry, and was not."""
    return _has_ended(account, entry) and account.expected[entry.currency] > 0 and entry.currency not in account.counted
