"""Which columns of a shop's file say who gets an order, by their names; and which look like numbers that must not come in."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from bridge.shop.contact_map import ContactColumn, sealed_setting
from bridge.shop.identity_numbers import Kind, certain, kind_by_name, likely

_NAMES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "name": (
        ("shipping name",),
        ("shipping first name", "shipping last name"),
        ("first name shipping", "last name shipping"),
        ("ship to name",),
        ("ship name",),
        ("recipient name",),
        ("recipient",),
        ("receiver name",),
        ("delivery address name",),
        ("delivery address first name", "delivery address last name"),
        ("firstname", "lastname"),
        ("contact name",),
        ("customer name",),
        ("comprador",),
        ("empfänger",),
        ("收件人",),
        ("收件人姓名",),
        ("收货人",),
        ("收货人姓名",),
    ),
    "phone": (
        ("shipping phone",),
        ("phone shipping",),
        ("ship to phone",),
        ("ship phone number",),
        ("recipient phone number",),
        ("buyer phone number",),
        ("customer phone number",),
        ("phone billing",),
        ("delivery address phone",),
        ("delivery address phone number",),
        ("phone number",),
        ("phone mobile",),
        ("phone",),
        ("mobile",),
        ("telefon",),
        ("teléfono",),
        ("telefone",),
        ("手机",),
        ("手机号",),
        ("联系电话",),
        ("电话",),
    ),
    "company": (("shipping company",), ("company shipping",), ("ship to company",), ("delivery address company",), ("company",), ("firma",), ("公司",)),
    "street": (
        ("shipping address1",),
        ("shipping street",),
        ("shipping street 1",),
        ("shipping address",),
        ("address 1 2 shipping",),
        ("ship to address 1",),
        ("ship address1",),
        ("ship address 1",),
        ("customer shipping address",),
        ("delivery address street",),
        ("detail address",),
        ("delivery address",),
        ("address1",),
        ("address",),
        ("domicilio",),
        ("straße",),
        ("详细地址",),
        ("收货地址",),
        ("地址",),
    ),
    "extra": (
        ("shipping street 2",),
        ("shipping address2",),
        ("ship to address 2",),
        ("ship address2",),
        ("ship address 2", "ship address 3"),
        ("ship address 2",),
        ("delivery address street2",),
        ("additional address information",),
        ("address2",),
    ),
    "city": (
        ("shipping city",),
        ("city shipping",),
        ("ship to city",),
        ("ship city",),
        ("shipping suburb",),
        ("delivery address city",),
        ("district", "city"),
        ("city",),
        ("ort",),
        ("ciudad",),
        ("cidade",),
        ("区", "市"),
        ("城市",),
    ),
    "region": (
        ("shipping province name",),
        ("shipping province",),
        ("shipping region",),
        ("shipping state",),
        ("state code shipping",),
        ("ship to state",),
        ("ship state",),
        ("delivery address state",),
        ("state province",),
        ("province",),
        ("state",),
        ("省",),
        ("省份",),
    ),
    "postcode": (
        ("shipping zip",),
        ("shipping post code",),
        ("shipping postcode",),
        ("postcode shipping",),
        ("ship to zip",),
        ("ship postal code",),
        ("ship zipcode",),
        ("delivery address zip",),
        ("delivery address zip code",),
        ("zipcode",),
        ("zip code",),
        ("zip",),
        ("post code",),
        ("postcode",),
        ("postal code",),
        ("plz",),
        ("código postal",),
        ("cep",),
        ("邮编",),
    ),
    "country": (
        ("shipping country",),
        ("shipping country code",),
        ("country code shipping",),
        ("ship to country",),
        ("ship country",),
        ("delivery address country",),
        ("delivery address country iso",),
        ("country code",),
        ("country",),
        ("land",),
        ("国家",),
    ),
    "locale": (("customer locale",), ("locale",), ("language",)),
    "note": (
        ("delivery instructions",),
        ("customer note",),
        ("customer message",),
        ("customer comment",),
        ("buyer note",),
        ("buyer message",),
        ("remark from buyer",),
        ("message from buyer",),
        ("notes",),
        ("bemerkung",),
        ("买家留言",),
        ("备注",),
    ),
}
"""The names that shops give to these columns, as `plain` has them; the first that a file has is taken: where it is sent, before where the bill goes."""


def guess_contact(plain: Mapping[str, str], taken: Collection[str], numbers: Collection[str]) -> dict[str, ContactColumn]:
    """The fields of a contact that a file has.

    Args:
        plain: its columns, by their names in lower case and without marks.
        taken: columns that are mapped already. Only a country may be both.
        numbers: columns that look like such numbers.
    """
    found = {}
    for field, choices in _NAMES.items():
        for names in choices:
            columns = tuple(plain[name] for name in names if name in plain)
            if len(columns) == len(names) and not set(columns) & set(numbers) and (field == "country" or not set(columns) & set(taken)):
                found[field] = ContactColumn(columns)
                break
    return found


def number_columns(cells: Mapping[str, Sequence[str]], taken: Collection[str]) -> dict[str, Kind]:
    """The columns that look like numbers of identity documents, taxpayers, bank accounts or payment cards, by their names or by what is in them."""
    return {name: kind for name, texts in cells.items() if (kind := kind_by_name(name) or _kind_of(texts, is_taken=name in taken)) is not None}


def _kind_of(texts: Sequence[str], *, is_taken: bool) -> Kind | None:
    """Of what most texts of a column are the numbers. Order numbers and the like must certainly be some."""
    said = [text for text in texts if text]
    kinds = [kind for text in said if (kind := certain(text) or (None if is_taken else likely(text))) is not None]
    return kinds[0] if kinds and len(kinds) * 2 > len(said) else None


def contact_lines(contact: Mapping[str, ContactColumn], numbers: Mapping[str, Kind], *, has_country_words: bool) -> list[str]:
    """The section [contact] of a mapping, and which columns are left out of it; nothing if there is none of either."""
    if not contact and not numbers:
        return []
    lines = ["", "# Personal data: who gets an order, and where. It is sealed before it is stored. Leave out what is not needed to deliver.", "[contact]"]
    for field, column in contact.items():
        line = f"{field} = {json.dumps(column.columns[0] if len(column.columns) == 1 else column.columns, ensure_ascii=False)}"
        lines.append(f"# {line}   # map its words in [country] first" if field == "country" and has_country_words else line)
    lines += [
        f"# {name!r} is left out: it looks like the number of {kind}. If customs need it: {sealed_setting('identity', _one(name))}"
        for name, kind in numbers.items()
    ]
    return lines


def _one(name: str) -> ContactColumn:
    return ContactColumn((name,))
