"""Every event is in the orders in which the law of codes has it, in whatever order the events came.

With them go what was in the container, why the event can't count, and what was odd.
"""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.checkers.belonging import Belonging
from firmware_sim.checkers.view import Broken, View, called


def check(view: View) -> Iterator[Broken]:
    for row in view.table("events"):
        pos = row["pos"]
        if pos not in view.by_law:
            continue
        wanted, kept = view.by_law[pos], view.kept(row)
        what = f"{called((row['device'], row['id']))} ({row['type']})"
        if wanted.orders.keys() != kept.orders.keys():
            yield Broken(f"{what} is in {_orders(kept)}; by the law of codes it belongs in {_orders(wanted)}", row["event_ms"])
        elif not wanted.is_voided and row["fault"] is None:
            yield from (Broken(f"{what} of {_orders(kept)}: {text}", row["event_ms"]) for text in _differences(kept, wanted))


def _differences(kept: Belonging, wanted: Belonging) -> Iterator[str]:
    if kept.refusal != wanted.refusal:
        yield f"it is kept as {kept.refusal or 'right'}; by the law of codes it is {wanted.refusal or 'right'}"
    if kept.warnings != wanted.warnings and wanted.orders and wanted.refusal is None:
        yield f"it is warned of {sorted(kept.warnings)}; by the law of codes of {sorted(wanted.warnings)}"
    for order, codes in wanted.orders.items():
        if _as_set(kept.orders[order]) != _as_set(codes):
            yield f"for {order}, {kept.orders[order]} were inside; by the law of codes {codes}"


def _as_set(codes: tuple[str, ...] | None) -> frozenset[str] | None:
    return None if codes is None else frozenset(codes)


def _orders(where: Belonging) -> str:
    return " and ".join(sorted(where.orders)) or "no order"
