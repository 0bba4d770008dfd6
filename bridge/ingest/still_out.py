"""What a courier still has when their shift ends: parcels that are with them, and cash that was not counted."""

from __future__ import annotations

from typing import Final

from bridge.domain.order.possession import holders
from bridge.ingest.batch import Batch
from bridge.ingest.couriers import standing_of, told_and_cash
from bridge.money import money
from bridge.words import counted

NAMED_MAX: Final = 5
"""Orders that are named."""


def still_out(batch: Batch, courier: str, at_ms: int) -> str | None:
    """What a courier has at the end of a shift, as a sentence; None if it is nothing. What has arrived before must be in its orders (`entering.flush`)."""
    known = sorted({*batch.memory.aboard.of_courier(courier), *batch.orders})
    orders = [order_id for order_id in known if courier in holders(batch.order(order_id).fold.order)]
    found = []
    if orders:
        more = f" and {len(orders) - NAMED_MAX} more" if len(orders) > NAMED_MAX else ""
        found.append(f"parcels of {counted(len(orders), 'order')} are still with {courier}: {', '.join(orders[:NAMED_MAX])}{more}")
    if sums := _uncounted(batch, courier, at_ms):
        found.append(f"cash to hand in: {', '.join(money(amount, currency) for currency, amount in sums.items())}")
    return "; ".join(found) or None


def _uncounted(batch: Batch, courier: str, at_ms: int) -> dict[str, int]:
    """The cash of the last shift that was not counted, in minor units by currency."""
    told, cash = told_and_cash(courier, batch.tx, batch.writes)
    until = [row for row in told if row.at_ms <= at_ms], [row for row in cash if row.at_ms <= at_ms]
    _, accounts = standing_of(*until, at_ms, batch.rules.shift_longest_ms)
    if not accounts:
        return {}
    last = accounts[-1]
    return {currency: -last.difference(currency) for currency in sorted(last.expected) if last.difference(currency) < 0}
