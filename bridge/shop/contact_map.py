"""The section [contact] of a mapping: which columns of a shop's file say who gets an order, and where."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from bridge.shop.identity_numbers import kind_by_name
from bridge.shop.map_checks import Fault

TEXTS: Final = {
    "name": 200,
    "phone": 50,
    "company": 200,
    "street": 200,
    "extra": 200,
    "city": 200,
    "region": 200,
    "postcode": 32,
    "locale": 35,
    "note": 1_000,
    "identity": 200,
}
"""The fields that are texts, and how many characters each may have, as in `devices.protocol.private.Contact`."""
FIELDS: Final = (*TEXTS, "country", "lat", "lon")
"""What [contact] can name."""
ENCODED: Final = {"lat": "lat_e7", "lon": "lon_e7"}
"""Fields that have another name in the contract."""
SEVERAL: Final = ("name", "company", "street", "extra", "city", "region", "note")
"""Fields that may stand in several columns."""
_MEANT: Final = {"zip": "postcode", "address": "street", "address1": "street", "address2": "extra", "state": "region", "province": "region", "tel": "phone"}
CONTACT_FIX: Final = "write it in [contact], which is sealed before it is stored; e-mail addresses can't come in: leave them out"


class ContactColumn(NamedTuple):
    """Where a field stands: in these columns, whose texts are joined with a blank. `sealed` is True if the map says that numbers of identity
    documents, taxpayers, bank accounts or payment cards are meant to be in it."""

    columns: tuple[str, ...]
    sealed: bool = False

    @property
    def label(self) -> str:
        """The columns, for messages."""
        return " + ".join(self.columns)


Contacts = Mapping[str, ContactColumn]


def read_contact(table: Any) -> Contacts | Fault:
    """The section of a map as it is in the TOML file, or what is wrong with it."""
    if not isinstance(table, dict):
        return "contact is not a section", "write [contact] on a line of its own"
    found: dict[str, ContactColumn] = {}
    for name, value in table.items():
        if name not in FIELDS:
            hint = f"did you mean {_MEANT[name]}? " if name in _MEANT else ""
            return f"contact.{name} is not a field", f"{hint}choose one of {', '.join(FIELDS)}"
        column = _column(value)
        if column is None:
            return f"contact.{name} is not a column", f'write {name} = "Column"{_several(name)}, or {name} = {{column = "Column", sealed = true}}'
        found[name] = column
    return next(_faults(found), found)


def _several(name: str) -> str:
    return f', {name} = ["First column", "Second column"]' if name in SEVERAL else ""


def _column(value: Any) -> ContactColumn | None:
    """A column, a list of them, or a table with `column` and `sealed`; None if it is something else."""
    sealed = False
    if isinstance(value, dict):
        if set(value) - {"column", "sealed"} or type(sealed := value.get("sealed", False)) is not bool:
            return None
        value = value.get("column")
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        return None
    return ContactColumn(tuple(names), sealed)


def _faults(found: Contacts) -> Iterator[Fault]:
    for name, column in found.items():
        if len(column.columns) > 1 and name not in SEVERAL:
            yield f"contact.{name} has {len(column.columns)} columns", f"choose one of them; {', '.join(SEVERAL)} may have several"
        if name == "identity" and not column.sealed:
            meant = f"if customs need the number, write {sealed_setting(name, column)}; if not, leave the column out"
            yield "contact.identity is for the number of an identity document or a taxpayer", meant
        for theirs in column.columns:
            if not column.sealed and (fault := by_name(f"contact.{name}", theirs)) is not None:
                yield fault
    if ("lat" in found) != ("lon" in found):
        yield "contact has only one of lat and lon", "name both columns, or none"


def by_name(setting: str, column: str) -> Fault | None:
    """What is wrong with a column whose name says that it has numbers of identity documents, taxpayers, bank accounts or payment cards."""
    kind = kind_by_name(column)
    if kind is None:
        return None
    return f"{setting} = {column!r} looks like a column with the number of {kind}", leave_it(column)


def leave_it(column: str) -> str:
    """What can be done with such a column."""
    return f"leave it out; or, if customs need the number, write in [contact]: {sealed_setting('identity', ContactColumn((column,)))}"


def sealed_setting(name: str, column: ContactColumn) -> str:
    """The line of a map that says that such numbers are meant to be in a field."""
    theirs = json.dumps(column.columns[0] if len(column.columns) == 1 else column.columns, ensure_ascii=False)
    return f"{name} = {{column = {theirs}, sealed = true}}"
