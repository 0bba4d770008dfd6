"""What couriers and the desk have told of shifts, breaks and money. `projections/couriers.py` keeps it.

Only what was told is stored; shifts and accounts are folded from it where they are read (`domain.shifts`, `domain.cash`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from bridge.domain.cash import Account, Entry, EntryKind, accounts_of
from bridge.domain.shifts import Shift, Told, shifts_of
from bridge.ingest.ports import AtLeast, Transaction
from bridge.ingest.relation import Deletion, Origin, Relation, Writes
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


def rows_about(relation: Relation, gone: Deletion, courier: str, tx: Transaction, writes: Writes, *, since_ms: int = 0) -> list[Any]:
    """What was told of a courier from a time on: what is stored, and what this batch writes and takes back."""
    stored = {row.pos: row for row in tx.rows(relation, courier=courier, at_ms=AtLeast(since_ms))}
    for (pos,) in writes.gone.get(gone, ()):
        stored.pop(pos, None)
    stored |= {pos: row for pos, row in writes.keyed(relation).items() if row.courier == courier}
    return [row for row in stored.values() if row.at_ms >= since_ms]


def told_and_cash(courier: str, tx: Transaction, writes: Writes, *, since_ms: int = 0) -> tuple[list[ToldRow], list[CashRow]]:
    """What was told of a courier's shifts, and of money; see `rows_about`."""
    return rows_about(TOLD, TOLD_GONE, courier, tx, writes, since_ms=since_ms), rows_about(CASH, CASH_GONE, courier, tx, writes, since_ms=since_ms)


def standing_of(told: Iterable[ToldRow], cash: Iterable[CashRow], now_ms: int, longest_ms: int) -> tuple[list[Shift], list[Account]]:
    """The shifts and the accounts of one courier, from the rows about them."""
    shifts = shifts_of((Told(row.at_ms, bytes(row.id), row.type, bool(row.by_desk)) for row in told), now_ms=now_ms, longest_ms=longest_ms)
    return shifts, accounts_of(shifts, map(entry_of, cash))


def entry_of(row: CashRow) -> Entry:
    """A stored row as the fold reads it."""
    return Entry(row.at_ms, bytes(row.id), EntryKind(row.kind), row.amount_minor, row.currency, Tender(row.tender), row.order_id, row.reason)
