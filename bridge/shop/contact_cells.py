"""What the cells of a row say about who gets its order. What does not fit is refused with its column and the fix, and is never quoted."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Final

from bridge.shop.contact_map import ENCODED, TEXTS, ContactColumn
from bridge.shop.mapping import ShopMap

Contact = dict[str, str | int]
"""Who gets an order: the fields of `devices.protocol.private.Contact` that the file says, in the order in which they are encoded."""
NOBODY: Final[Contact] = {}

_DEGREES: Final = {"lat": 90, "lon": 180}
_E7: Final = 10_000_000
_HIDDEN: Final = "*"
_SHORTENED: Final = re.compile(r"[-+]?\d+(?:[.,]\d+)?[eE]\+?\d+")
_DECIMAL: Final = re.compile(r"\d+[.,]0+")
_BROKEN: Final = re.compile(r"#{3,}|#(?:N/A|NAME\?|REF!|VALUE!|NUM!|DIV/0!|NULL!)")
_AS_TEXT: Final = re.compile(r'="(.*)"|\'(.+)')
"""How programs mark a number as a text, so that a spreadsheet does not change it."""
_COUNTRY: Final = re.compile("[A-Z]{2}")
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*")
_POSTCODE_DIGITS: Final = {
    **dict.fromkeys(("AU", "NO", "ZA"), 4),
    **dict.fromkeys(("DE", "EE", "ES", "FI", "FR", "HR", "IT", "KR", "LT", "MX", "MY", "TR", "UA", "US"), 5),
    **dict.fromkeys(("CN", "RO", "SG"), 6),
    "JP": 7,
    "BR": 8,
}
"""Countries in which a postcode may begin with a zero, and how many digits it has: a spreadsheet takes the zero away."""
_FROM_SHOP: Final = "export the file again, and do not save it in a spreadsheet"


class ContactReader:
    """Reads the contact of each row of a file.

    Args:
        at: where each column of the file is.
    """

    def __init__(self, shop: ShopMap, at: Mapping[str, int]) -> None:
        self._shop = shop
        fields = sorted(shop.contact.items(), key=lambda field: by_length(ENCODED.get(field[0], field[0])))
        self._places = tuple((name, column, tuple(at[theirs] for theirs in column.columns)) for name, column in fields)
        self._read_before: tuple[tuple[str, ...], str | None] = ((), None)
        self._said: Contact = NOBODY

    def cells(self, row: Sequence[str]) -> tuple[str, ...]:
        """The texts of the mapped columns of a whole row, in the order of `fields`."""
        return tuple([row[at[0]].strip() if len(at) == 1 else " ".join([text for i in at if (text := row[i].strip())]) for _, _, at in self._places])

    @property
    def fields(self) -> tuple[tuple[str, ContactColumn], ...]:
        """The mapped fields, and their columns."""
        return tuple((name, column) for name, column, _ in self._places)

    def read(self, raw: tuple[str, ...], country: str | None) -> Contact:
        """What these cells say, of a row with this country. The rows of an order mostly say the same: that is read once.

        Raises:
            ValueError: if a cell does not fit.
        """
        if (raw, country) != self._read_before:
            self._said = self._read(raw, country)
            self._read_before = raw, country
        return self._said

    def _read(self, raw: tuple[str, ...], country: str | None) -> Contact:
        said: dict[str, str | int] = {}
        for (name, column, _), text in zip(self._places, raw, strict=True):
            if text:
                said[ENCODED.get(name, name)] = _CELLS.get(name, _text)(text, name, column.label, self._shop)
        self._check_place(said)
        self._check_postcode(said, country)
        return {name: value for name, value in said.items() if value != ""}

    def _check_place(self, said: dict[str, str | int]) -> None:
        """A place needs both numbers. Where both are zero, nothing is known: that is in the Atlantic."""
        lat, lon = said.get("lat_e7"), said.get("lon_e7")
        if (lat is None) != (lon is None):
            raise ValueError(f"{self._shop.contact['lon' if lon is None else 'lat'].label} is empty: a place needs latitude and longitude")
        if lat == lon == 0:
            del said["lat_e7"], said["lon_e7"]

    def _check_postcode(self, said: dict[str, str | int], word: str | None) -> None:
        postcode = str(said.get("postcode", ""))
        country = str(said.get("country") or self._shop.countries.get(word or "", word) or self._shop.country)
        if postcode.isdigit() and len(postcode) < _POSTCODE_DIGITS.get(country, 0):
            column = self._shop.contact["postcode"].label
            raise ValueError(f"{column} has fewer digits than a postcode of {country}: did a spreadsheet take its zeros away? {_FROM_SHOP.capitalize()}")


def by_length(name: str) -> tuple[int, str]:
    """By the order of a map's keys in core deterministic encoding (RFC 8949 §4.2.1): the shorter first."""
    return len(name), name


def is_hidden(contact: Contact) -> bool:
    """Whether the shop has hidden who it is behind asterisks, as marketplaces do."""
    return _HIDDEN in str(contact.get("name", "")) or _HIDDEN in str(contact.get("phone", ""))


def _text(text: str, name: str, column: str, shop: ShopMap) -> str:
    """A text in one line."""
    text = " ".join(text.split())
    if _BROKEN.fullmatch(text):
        raise ValueError(f"{column} is the error of a spreadsheet: {_FROM_SHOP}")
    return _fitting(text, name, column)


def _note(text: str, name: str, column: str, shop: ShopMap) -> str:
    return _fitting("\n".join(line.strip() for line in text.splitlines()), name, column)


def _fitting(text: str, name: str, column: str) -> str:
    if len(text) > TEXTS[name]:
        raise ValueError(f"{column} has {len(text)} characters, and {name} has at most {TEXTS[name]}: shorten it, or map another column")
    return text


def _digits(text: str, name: str, column: str, shop: ShopMap) -> str:
    """A phone number or a postcode: digits that a spreadsheet takes for a number."""
    if marked := _AS_TEXT.fullmatch(text):
        text = marked[1] or marked[2] or ""
    text = _text(text, name, column, shop)
    pattern = shop.patterns.get(name)
    if pattern is not None and not pattern.fullmatch(text):
        raise ValueError(f"{column} is not of the form {pattern.pattern}: did a spreadsheet change it?")
    if _SHORTENED.fullmatch(text):
        raise ValueError(f"{column} is a number that a spreadsheet has shortened: {_FROM_SHOP}")
    if _DECIMAL.fullmatch(text):
        raise ValueError(f"{column} has decimals: a spreadsheet took it for a number. {_FROM_SHOP.capitalize()}")
    return text


def _country(text: str, name: str, column: str, shop: ShopMap) -> str:
    found = shop.countries.get(text, text)
    if not _COUNTRY.fullmatch(found):
        raise ValueError(f"{column} is not a code such as DE: map its word in [country]")
    return found


def _locale(text: str, name: str, column: str, shop: ShopMap) -> str:
    found = text.replace("_", "-")
    if not _LOCALE.fullmatch(found) or len(found) > TEXTS[name]:
        raise ValueError(f"{column} is not the tag of a language, such as zh-Hans or de-AT: leave the column out")
    return found


def _degrees(text: str, name: str, column: str, shop: ShopMap) -> int:
    try:
        degrees = Decimal(text.replace(shop.decimal, ".")).quantize(Decimal(1) / _E7)
    except InvalidOperation:
        degrees = None
    if degrees is None or not degrees.is_finite() or abs(degrees) > _DEGREES[name]:
        raise ValueError(f"{column} is not in degrees, such as 48{shop.decimal}2082: correct it, or leave out lat and lon")
    return int(degrees * _E7)


_CELLS: Final[dict[str, Callable[[str, str, str, ShopMap], str | int]]] = {
    "phone": _digits,
    "postcode": _digits,
    "note": _note,
    "country": _country,
    "locale": _locale,
    "lat": _degrees,
    "lon": _degrees,
}
