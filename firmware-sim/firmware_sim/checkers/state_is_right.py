"""The state of every order and parcel is what its stored events say, read a second time, from the contract alone."""

from __future__ import annotations

from collections.abc import Iterator

from firmware_sim.checkers.model.reading import Expected
from firmware_sim.checkers.view import Broken, Plain, View, untimed
from firmware_sim.record import Row


def check(view: View) -> Iterator[Broken]:
    parcels: dict[str, dict[str, Row]] = {}
    for held in view.table("parcels"):
        parcels.setdefault(held["order_id"], {})[held["parcel"]] = held
    for order, expected in view.expected.items():
        row = view.orders.get(order)
        if expected.exists and (row is None or not row["state"]):
            yield Broken(f"order {order} was created and has no status; its events make it {expected.state}")
        elif not expected.exists and row is not None and row["state"]:
            yield Broken(f"order {order} has the status {row['state']}, and nothing in the log creates it")
        elif expected.exists and row is not None:
            yield from _order(view, row, expected)
            yield from _parcels(view, order, expected, parcels.get(order, {}))
    for order, stray in view.orders.items():
        if order not in view.expected and stray["state"]:
            yield Broken(f"order {order} has the status {stray['state']}, and no event in the log is about it")
    yield from _log(view)


def _order(view: View, row: Row, expected: Expected) -> Iterator[Broken]:
    order, status = row["order_id"], view.plain(row["status"]) or {}
    if row["state"] != expected.state:
        yield Broken(f"order {order} is {row['state']}; its events make it {expected.state}")
    if wrong := (untimed(status.get("flags", [])) ^ expected.flags) - expected.perhaps:
        yield Broken(f"order {order} has the flags {_list(status.get('flags', []))}; its events give it {_list(expected.flags)} (differing: {_list(wrong)})")
    for name in ("state", "rev", "hash"):
        if status.get(name) != row[name]:
            yield Broken(f"the status of order {order} says {name} {_said(status.get(name))}, its row {_said(row[name])}")


def _parcels(view: View, order: str, expected: Expected, rows: dict[str, Row]) -> Iterator[Broken]:
    for parcel in sorted(expected.parcels.keys() | rows.keys()):
        if parcel not in rows:
            yield Broken(f"parcel {parcel} of order {order} is not there; its events make it {expected.parcels[parcel][0]}")
        elif parcel not in expected.parcels:
            yield Broken(f"parcel {parcel} of order {order} is {rows[parcel]['state']}, and no event tells of such a parcel")
        else:
            state, flags = expected.parcels[parcel]
            shown = view.plain(rows[parcel]["status"]) or {}
            yield from _parcel(order, parcel, rows[parcel], shown, state, flags, expected.perhaps)


def _parcel(order: str, parcel: str, row: Row, status: Plain, state: str, flags: frozenset[str], perhaps: frozenset[str]) -> Iterator[Broken]:
    if row["state"] != state or status.get("state") != row["state"]:
        yield Broken(f"parcel {parcel} of order {order} is {row['state']} and shown as {status.get('state')}; its events make it {state}")
    if (untimed(status.get("flags", [])) ^ flags) - perhaps:
        yield Broken(f"parcel {parcel} of order {order} has the flags {_list(status.get('flags', []))}; its events give it {_list(flags)}")


def _log(view: View) -> Iterator[Broken]:
    """The status log grows by one with every visible change, and ends with what stands in the orders' rows."""
    last: dict[str, Row] = {}
    for row in sorted(view.table("status_log"), key=lambda r: r["no"]):
        order = row["order_id"]
        if row["rev"] != (last[order]["rev"] + 1 if order in last else 1):
            yield Broken(f"the status log of order {order} has rev {row['rev']} after {last[order]['rev'] if order in last else 'nothing'}", row["updated_ms"])
        last[order] = row
    for order, row in view.orders.items():
        if order in last and (last[order]["rev"], last[order]["state"], last[order]["hash"]) != (row["rev"], row["state"], row["hash"]):
            yield Broken(f"order {order} is {row['state']} at rev {row['rev']}; its status log ends with {last[order]['state']} at rev {last[order]['rev']}")


def _list(flags: object) -> str:
    return ", ".join(sorted(flags)) or "none" if isinstance(flags, list | frozenset | set) else str(flags)


def _said(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
