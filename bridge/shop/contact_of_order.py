"""Who gets an order, from all of its rows."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.shop.contact_cells import Contact, by_length
from bridge.shop.contact_map import ENCODED, TEXTS
from bridge.shop.mapping import ShopMap
from bridge.shop.rows import BadRow, Row


def contact_of(order: str, rows: Sequence[Row], shop: ShopMap) -> Contact | BadRow:
    """What the rows say together, or the row that contradicts one above it. Notes that differ are all kept: shops have them for each item."""
    first = rows[0].contact
    if all(row.contact == first or (shop.fill_down and not row.contact) for row in rows):
        return first
    found = dict(first)
    for row in rows[1:]:
        for name in _said(row, found, shop):
            said, known = row.contact.get(name), found.get(name)
            if known is None:
                found[name] = row.contact[name]
            elif name == "note":
                found[name] = known if said is None or str(said) in str(known) else f"{known}\n{said}"
            elif said != known:
                column = next(column.label for field, column in shop.contact.items() if ENCODED.get(field, field) == name)
                return BadRow(row.line, f"order {order} has another {column} in line {rows[0].line}: an order has one recipient")
    if len(str(found.get("note", ""))) > TEXTS["note"]:
        return BadRow(rows[-1].line, f"order {order} has notes of more than {TEXTS['note']} characters: shorten them, or leave out contact.note")
    return {name: found[name] for name in sorted(found, key=by_length)}


def _said(row: Row, found: Contact, shop: ShopMap) -> list[str]:
    """The fields that count in a further row: those that it says; an empty one is as above, unless the map says that it is empty."""
    return [name for name in {**found, **row.contact} if name in row.contact or not shop.fill_down]
