"""What couriers and the desk have told of shifts, breaks and money. `projections/couriers.py` keeps it.

Only what was told is stored; shifts and accounts are folded from it where they are read (`domain.shifts`, `domain.cash`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.domain.cash import Account, Entry, EntryKind, accounts_of
from bridge.domain.shifts import Shift, Told, shifts_of
from bridge.ingest.relation import Deletion, Origin, Relation
from devices.protocol.choices import Tender


class ToldRow(NamedTuple):
    """That a shift or break of a courier began or ended; see `domain.shifts.Told`."""

    pos: int
    courier: str
    at_ms: int
    id: bytes
    type: str
    by_desk: bool


class CashRow(NamedTuple):
    """Money that a courier collected, or that was counted or told; see `domain.cash.Entry`."""

    pos: int
    courier: str
    at_ms: int
    id: bytes
    kind: str
    amount_minor: int
    currency: str
    tender: str
    order_id: str | None
    reason: str | None


TOLD: Final = Relation(
    name="courier_shifts",
    row=ToldRow,
    key=("pos",),
    origin=Origin.DERIVED,
    indexes=(("courier",), ("at_ms",)),
    note="derived: when couriers' shifts and breaks began and ended, as it was told",
)
TOLD_GONE: Final = Deletion(TOLD, ("pos",))
CASH: Final = Relation(
    name="cash",
    row=CashRow,
    key=("pos",),
    origin=Origin.DERIVED,
    indexes=(("courier",), ("at_ms",)),
    note="derived: money that couriers collected, and that was counted",
)
CASH_GONE: Final = Deletion(CASH, ("pos",))


def standing_of(told: Iterable[ToldRow], cash: Iterable[CashRow], now_ms: int, longest_ms: int) -> tuple[list[Shift], list[Account]]:
    """The shifts and the accounts of one courier, from the rows about them."""
    shifts = shifts_of((Told(row.at_ms, bytes(row.id), row.type, bool(row.by_desk)) for row in told), now_ms=now_ms, longest_ms=longest_ms)
    return shifts, accounts_of(shifts, map(entry_of, cash))


def entry_of(row: CashRow) -> Entry:
    """A stored row as the fold reads it."""
    return Entry(row.at_ms, bytes(row.id), EntryKind(row.kind), row.amount_minor, row.currency, Tender(row.tender), row.order_id, row.reason)
