"""An order from its rows: whole, or left out with every row that stops it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from bridge.shop import cells
from bridge.shop.contact_cells import NOBODY, Contact, is_hidden
from bridge.shop.contact_of_order import contact_of
from bridge.shop.mapping import LEAVE_OUT, WAYS, ShopMap
from bridge.shop.rows import NO_SKU, BadRow, Row
from devices.protocol.vocabulary import OrderState

LINES_MAX: Final = 500
_MAY_BE_CANCELLED: Final = frozenset({None, OrderState.PENDING_PAYMENT, OrderState.PAID, OrderState.APPROVED, OrderState.PICKING, OrderState.PACKED})
"""What an order's status may say although it has the time of a cancellation: some shops keep the two apart."""


@dataclass(slots=True, kw_only=True)
class ShopOrder:
    """One order of the file, from one or more rows. Times are in ms since 1970 UTC; None if the file does not have the time.

    `expected` is the order state to which [status] maps the shop's word. `items` may be empty if the order is cancelled.
    Without a currency, payment or country of its own, it has the map's. `odd` names those of `carrier`, `service` and `tracking` of which its rows have
    more than one, so that it comes in without; `sku` if a row has none, although the file has a column for it; and `contact` if the shop has hidden who
    gets it, so that it comes in without, too.
    """

    order: str
    line: int
    created_ms: int
    paid_ms: int | None = None
    approved_ms: int | None = None
    shipped_ms: int | None = None
    delivered_ms: int | None = None
    cancelled_ms: int | None = None
    promised_ms: int | None = None
    amount_minor: int = 0
    status: str = ""
    expected: str | None = None
    currency: str | None = None
    payment: str | None = None
    country: str | None = None
    ship_by_ms: int | None = None
    carrier: str | None = None
    service: str | None = None
    tracking: str | None = None
    contact: Contact = field(default_factory=dict)
    odd: tuple[str, ...] = ()
    items: dict[str, int] = field(default_factory=dict)


class LeftOut(NamedTuple):
    """An order that is not imported: how many rows it has, and those that stop it. `unmapped` is its status, if that is what stops it.

    Without bad rows, the map says that it is to be left out.
    """

    order: str
    rows: int
    bad: list[BadRow]
    unmapped: str | None = None


class _Stops(Exception):
    """A row stops its order."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def assemble(order: str, rows: Sequence[Row], shop: ShopMap) -> ShopOrder | LeftOut:
    """Make an order of its rows."""
    bad = [BadRow(row.line, row.fault) for row in rows if row.fault is not None]
    if bad:
        return LeftOut(order, len(rows), bad)
    try:
        return _whole(order, rows, shop)
    except _Stops as stops:
        return LeftOut(order, len(rows), [BadRow(stops.line, str(stops))])


def _whole(order: str, rows: Sequence[Row], shop: ShopMap) -> ShopOrder | LeftOut:
    if shop.status_per == "row":
        rows = _standing(rows, shop)
    head = _head(order, rows, shop)
    first = rows[0].line
    if head.created_ms is None:
        raise _Stops(first, f"{shop.columns['created']} is empty")
    expected = shop.state_of(head.status)
    if expected == LEAVE_OUT:
        return LeftOut(order, len(rows), [])
    if head.status and expected is None:
        reason = f"{' and '.join(shop.status_columns)} is {head.status!r}, which [status] does not map"
        return LeftOut(order, len(rows), [BadRow(first, reason)], head.status)
    if "cancelled" in head.times and expected in _MAY_BE_CANCELLED:
        expected = OrderState.CANCELLED
    items = _items(order, _counted(rows, shop))
    if not items and expected != OrderState.CANCELLED:
        raise _Stops(first, f"order {order} has no item left: map its status to leave_out, or leave its rows out")
    contact = contact_of(order, rows, shop)
    if isinstance(contact, BadRow):
        raise _Stops(*contact[:2])
    times = {f"{name}_ms": ms for name, ms in head.times.items()}
    ways = {name: {said for row in rows if (said := getattr(row, name))} for name in WAYS}
    return ShopOrder(
        order=order,
        line=first,
        created_ms=head.created_ms,
        **times,
        amount_minor=_amount(order, rows, head.currency or shop.currency, shop),
        status=head.status,
        expected=expected,
        currency=head.currency or None,
        payment=head.payment or None,
        country=head.country or None,
        carrier=_only(ways["carrier"]),
        service=_only(ways["service"]),
        tracking=_only(ways["tracking"]),
        contact=NOBODY if is_hidden(contact) else contact,
        odd=tuple(_odd(ways, items, contact, shop)),
        items=items,
    )


def _odd(ways: Mapping[str, set[str]], items: Mapping[str, int], contact: Contact, shop: ShopMap) -> Iterator[str]:
    yield from (name for name, said in ways.items() if len(said) > 1)
    if NO_SKU in items and "sku" in shop.columns:
        yield "sku"
    if is_hidden(contact):
        yield "contact"


def _only(said: set[str]) -> str | None:
    """What all rows say that say anything; None if they differ."""
    return next(iter(said)) if len(said) == 1 else None


def _standing(rows: Sequence[Row], shop: ShopMap) -> Sequence[Row]:
    """The rows that count if each has a status of its own: what is cancelled or left out does not, beside what is not."""
    states = [shop.state_of(row.status) for row in rows]
    standing = [row for row, state in zip(rows, states, strict=True) if state not in (OrderState.CANCELLED, LEAVE_OUT)]
    return standing or [row for row, state in zip(rows, states, strict=True) if state == OrderState.CANCELLED] or rows


def _head(order: str, rows: Sequence[Row], shop: ShopMap) -> Row:
    """What the rows say about the order. A cell that is empty in a further row is as above, unless the map says that it is empty."""
    head = Row(rows[0].line, status=rows[0].status, created_ms=rows[0].created_ms, times=dict(rows[0].times))
    for row in rows:
        for name in ("created_ms", "status", "currency", "payment", "country"):
            said, known = getattr(row, name), getattr(head, name)
            if not said and (shop.fill_down or not known):
                continue
            if not known:
                setattr(head, name, said)
            elif said != known and not (name == "status" and shop.status_per == "row" and shop.state_of(said) == shop.state_of(known) is not None):
                what = "status or time" if name in ("created_ms", "status") else name
                hint = ': set channel.status_per to "row" if each row has a status of its own' if name == "status" and shop.status_per == "order" else ""
                raise _Stops(row.line, f"order {order} has another {what} in line {head.line}{hint}")
        for name, ms in row.times.items():
            head.times.setdefault(name, ms)
    return head


def _counted(rows: Sequence[Row], shop: ShopMap) -> list[Row]:
    """The rows whose pieces count, by the map's rules."""
    return [row for row in rows if row.qty > 0 or (row.qty < 0 and shop.negative_qty == "subtract")]


def _items(order: str, rows: Sequence[Row]) -> dict[str, int]:
    items: dict[str, int] = {}
    for row in rows:
        if row.sku not in items and len(items) >= LINES_MAX:
            raise _Stops(row.line, f"order {order} has more than {LINES_MAX} items")
        items[row.sku] = items.get(row.sku, 0) + row.qty
        if items[row.sku] > cells.QTY_MAX:
            raise _Stops(row.line, f"order {order} has more than {cells.QTY_MAX} of {row.sku}")
    for sku, qty in items.items():
        if qty < 0:
            raise _Stops(rows[-1].line, f"order {order} has less than none of {sku}")
    return {sku: qty for sku, qty in items.items() if qty}


def _amount(order: str, rows: Sequence[Row], currency: str, shop: ShopMap) -> int:
    """What is to be paid for the order: one amount for each row or each piece, or the same total in all rows."""
    column = shop.columns.get("amount", "")
    counted = rows if shop.amount_per == "order" else _counted(rows, shop)
    said = [(row.line, _minor(row, column, currency, shop) * (abs(row.qty) if shop.amount_per == "piece" else 1)) for row in counted if row.amount]
    different = {minor for _, minor in said}
    if shop.amount_per == "order":
        if len(different) > 1:
            raise _Stops(said[-1][0], f"order {order} has several totals, and channel.amount_per says that {column} is that of the order")
        return said[0][1] if said else 0
    if shop.amount_per is None and 1 < len(said) == len(rows) and len(different) == 1 and different != {0}:
        raise _Stops(rows[0].line, f'every row of order {order} has the same {column}: set channel.amount_per to "order" if it is the total, else to "row"')
    total = sum(minor for _, minor in said)
    if total < 0:
        raise _Stops(rows[-1].line, f"order {order} costs less than nothing")
    return total


def _minor(row: Row, column: str, currency: str, shop: ShopMap) -> int:
    is_back = row.qty < 0 and shop.amount_per != "order"
    try:
        minor = cells.minor_units(row.amount, column, currency, shop, may_be_negative=is_back)
    except ValueError as error:
        raise _Stops(row.line, cells.said(error, (row.amount, currency), shop)) from None
    return -abs(minor) if is_back else minor
