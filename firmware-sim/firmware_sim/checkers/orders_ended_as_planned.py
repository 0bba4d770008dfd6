"""Every order ends in the state in which the scenario wants it."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.checkers.view import Broken, View


def check(view: View) -> Iterator[Broken]:
    for order, planned in view.record.expected.items():
        row = view.orders.get(order)
        state = row["state"] if row is not None else ""
        if state != planned:
            yield Broken(f"order {order} was to end {planned} and {f'is {state}' if state else 'is not there'}")
