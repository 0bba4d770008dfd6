"""A row of a shop's file, read on its own: what it says about its order, and its item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from unicodedata import category

from msgspec import Struct

from bridge.shop import cells
from bridge.shop.contact_cells import NOBODY, Contact, ContactReader
from bridge.shop.mapping import PAYMENTS, TIMES, WAYS, ShopMap
from bridge.shop.number_watch import NumberWatch, Suspect
from devices.protocol.topics import escape

ORDER_ID_CHARS_MAX: Final = 96
SKU_CHARS_MAX: Final = 96
NO_SKU: Final = "item"
"""The SKU of a row without one."""


_SEEN: Final = ("order", "sku", "tracking")
"""Columns whose texts people compare with what they see."""
_INVISIBLE: Final = "\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u00ad\u00a0 \t"
"""What programs leave at the ends of cells."""


class BadRow(NamedTuple):
    """A row that can't be used: its line in the file, and the reason. With `ends_file`, the file can't be read beyond it."""

    line: int
    reason: str
    ends_file: bool = False


class Row(Struct, array_like=True, omit_defaults=True):
    """What a row says. A cell that is empty is None or empty: the order's other rows say it. With a `fault`, the row can't be used."""

    line: int
    fault: str | None = None
    created_ms: int | None = None
    times: dict[str, int] = {}
    status: str = ""
    sku: str = NO_SKU
    qty: int = 1
    amount: str = ""
    currency: str = ""
    payment: str = ""
    country: str = ""
    carrier: str = ""
    service: str = ""
    tracking: str = ""
    contact: Contact = {}


class Reader:
    """Reads the rows of one file. `left_out` counts those that the map leaves out.

    Args:
        header: the names of the file's columns.
    """

    def __init__(self, shop: ShopMap, header: Sequence[str]) -> None:
        self._shop = shop
        self._width = len(header)
        at = {name: i for i, name in enumerate(header)}
        self._at = {ours: at[theirs] for ours, theirs in shop.columns.items() if ours not in shop.joined}
        self._joined_at = {ours: tuple(at[name] for name in names) for ours, names in shop.joined.items()}
        self._status_at = tuple(at[name] for name in shop.status_columns)
        self._leave_out_at = tuple((at[name], words) for name, words in shop.leave_out.items())
        self._contact = ContactReader(shop, at)
        self._watch = NumberWatch(shop, self._contact.fields)
        self._times = tuple((name, shop.columns[name]) for name in TIMES if name in shop.columns)
        self._above: str | None = None
        self.left_out = 0

    @property
    def suspect(self) -> Suspect | None:
        """A column that is one of numbers of identity documents, taxpayers, bank accounts or payment cards, once all rows were read."""
        return self._watch.suspect

    def read(self, line: int, row: Sequence[str]) -> tuple[str | None, Row] | None:
        """(the order to which a row belongs, what it says). None if the map leaves it out, or it is empty; no order if it is not clear to which it belongs."""
        if not any(map(str.strip, row)):
            return None
        if any(at < len(row) and row[at].strip() in words for at, words in self._leave_out_at):
            self.left_out += 1
            return None
        cell = {ours: row[at].strip() if at < len(row) else "" for ours, at in self._at.items()}
        for ours, places in self._joined_at.items():
            cell[ours] = " ".join(text for at in places if at < len(row) and (text := row[at].strip()))
        status = [row[at].strip() if at < len(row) else "" for at in self._status_at]
        for ours in _SEEN:
            if not (seen := cell.get(ours, "")).isprintable():
                cell[ours] = seen.strip(_INVISIBLE)
        order = self._shop.prefix + cell["order"] if cell["order"] else None
        contact = self._contact.cells(row) if len(row) == self._width else ()
        fault = self._unusable(row, cell, contact) or self._watch.fault(cell, status, contact) or self._fault(cell, order)
        if order is None:
            is_further = not cell["created"] and not any(status)
            if is_further and not (self._shop.fill_down and cell.get("sku")):
                fault = fault or f"{self._shop.columns['order']} is empty"
            if not is_further:
                return None, Row(line, fault=fault or f"{self._shop.columns['order']} is empty")
            order = self._above
            if order is None:
                return None, Row(line, fault=f"{self._shop.columns['order']} is empty")
        self._above = order
        if fault is not None:
            return order, Row(line, fault=cells.said(fault, cell.values(), self._shop))
        try:
            return order, self._say(line, cell, status, contact)
        except ValueError as error:
            return order, Row(line, fault=self._watch.fault_if_quoted(cell) or cells.said(error, cell.values(), self._shop))

    def _unusable(self, row: Sequence[str], cell: Mapping[str, str], contact: Sequence[str]) -> str | None:
        """What makes a row unusable whatever it says."""
        if len(row) != self._width:
            return f"the row has more or fewer fields than the header: {len(row)}, not {self._width}"
        if "\0" in "".join((*cell.values(), *contact)):
            return "the row contains a NUL character"
        return None

    def _fault(self, cell: Mapping[str, str], order: str | None) -> str | None:
        """What makes a row unusable for its ids."""
        for ours in _SEEN:
            text = cell.get(ours, "")
            hidden = None if text.isprintable() else next((c for c in text if category(c) == "Cf"), None)
            if hidden is not None:
                return f"{self._shop.columns[ours]} is {text!r}, with a character that is not seen (U+{ord(hidden):04X}): another text would look the same"
        if order is None:
            return None
        if len(order) > ORDER_ID_CHARS_MAX:
            return f"{self._shop.columns['order']}: an order id has at most {ORDER_ID_CHARS_MAX} characters, including its prefix"
        try:
            escape(order)
            cells.check_id(cell["order"], "order", self._shop.columns["order"], self._shop)
        except ValueError as error:
            return str(error)
        return None

    def _say(self, line: int, cell: Mapping[str, str], status: list[str], raw: tuple[str, ...]) -> Row:
        shop, columns = self._shop, self._shop.columns
        contact = self._contact.read(raw, cell.get("country")) if raw else NOBODY
        sku = cell.get("sku") or NO_SKU
        if len(sku) > SKU_CHARS_MAX:
            raise ValueError(f"a sku has at most {SKU_CHARS_MAX} characters")
        if "sku" in columns:
            cells.check_id(sku, "sku", columns["sku"], shop)
        way = {name: cells.way_to_send(cell.get(name, ""), name, columns[name], shop) for name in WAYS if name in columns}
        times: dict[str, int] = {name: ms for name, column in self._times if (ms := cells.time_ms(cell[name], column, shop)) is not None}
        payment, country = cell.get("payment", ""), cell.get("country", "")
        return Row(
            line=line,
            created_ms=times.pop("created", None),
            times=times,
            status="/".join(status) if any(status) else "",
            sku=sku,
            qty=cells.quantity(cell.get("qty", ""), columns.get("qty", ""), shop),
            amount=cell.get("amount", ""),
            currency=cell.get("currency", ""),
            payment=cells.word(payment, columns["payment"], shop.payments, PAYMENTS, "payment") if payment else "",
            country=cells.country(country, columns["country"], shop.countries) if country else "",
            **way,
            contact=contact,
        )
