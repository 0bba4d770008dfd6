"""What a cell of a shop's file says: a number, a time, an id. What can't be read is refused with the column, the text and the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from bridge.money import minor_digits
from bridge.shop.map_parts import ISO, Layout
from bridge.shop.mapping import WAYS, ShopMap

QTY_MAX: Final = 1_000_000
WHOLE_DIGITS_MAX: Final = 12
TIMES_KEPT_MAX: Final = 4_096
"""Times that are remembered: the rows of an order repeat theirs."""
_SHORTENED: Final = re.compile(r"-?\d+(?:[.,]\d+)?[eE]\+\d+")
"""What a spreadsheet makes of a long number."""
_BLANKS: Final = re.compile(r"[\s\u00a0\u202f]+")
_COUNTRY: Final = re.compile("[A-Z]{2}")


def said(reason: object, texts: Iterable[str], shop: ShopMap) -> str:
    """Why a row can't be used. If the map has a contact, none of its texts is quoted: in a row that is out of place, each may be a customer's."""
    found = str(reason)
    for text in texts if shop.contact else ():
        found = found.replace(repr(text), "'…'") if text else found
    return found


def check_id(text: str, name: str, column: str, layout: Layout) -> None:
    """Check an id against its pattern; without one, against what spreadsheets make of ids.

    Raises:
        ValueError: with the reason.
    """
    pattern = layout.patterns.get(name)
    if pattern is not None:
        if not pattern.fullmatch(text):
            raise ValueError(f"{column} is {text!r}, which is not of the form {pattern.pattern}: did a spreadsheet change it?")
    elif _SHORTENED.fullmatch(text):
        raise ValueError(f"{column} is {text!r}, a number that a spreadsheet has shortened: export the file again, and do not save it in a spreadsheet")


def number(text: str, shop: ShopMap) -> Decimal | None:
    """A number as the shop writes it; None if it is none."""
    for mark in shop.strip:
        text = text.replace(mark, "")
    text = _BLANKS.sub(" ", text).strip()
    is_negative = text.startswith("-") or text.endswith("-")
    text = text.removeprefix("-").removesuffix("-").strip()
    whole, mark, part = text.partition(shop.decimal)
    if shop.thousands and shop.thousands in whole:
        first, *groups = whole.split(shop.thousands)
        if not 1 <= len(first) <= 3 or any(len(g) != 3 for g in groups):
            return None
        whole = first + "".join(groups)
    if not _is_digits(whole) or len(whole) > WHOLE_DIGITS_MAX or (mark and not _is_digits(part)):
        return None
    value = Decimal(f"{whole}.{part or 0}")
    return -value if is_negative else value


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def quantity(text: str, column: str, shop: ShopMap) -> int:
    """A number of pieces; 1 if the cell is empty. It may be zero or negative if the map has a rule for that.

    Raises:
        ValueError: if it is none.
    """
    if not text:
        return 1
    value = number(text, shop)
    if value is None or value != value.to_integral_value() or abs(value) > QTY_MAX:
        raise ValueError(f"{column} is {text!r}, not a quantity{_hint(text, shop)}")
    if value < 0 and shop.negative_qty == "refuse":
        raise ValueError(f"{column} is {text!r}, not a quantity: channel.negative_qty says what is done with such rows")
    if value == 0 and shop.zero_qty == "refuse":
        raise ValueError(f"{column} is {text!r}, not a quantity: channel.zero_qty says what is done with such rows")
    return int(value)


def minor_units(text: str, column: str, currency: str, shop: ShopMap, *, may_be_negative: bool = False) -> int:
    """An amount in the smallest unit of its currency.

    Raises:
        ValueError: if it is none.
    """
    digits = minor_digits(currency)
    if digits is None:
        raise ValueError(f"{currency!r} is not the code of a currency by ISO 4217")
    value = number(text, shop)
    example = f"1{shop.decimal}{'50'.ljust(digits, '0')[:digits]}" if digits else "12"
    scaled = value.scaleb(digits) if value is not None else None
    if scaled is None or scaled != scaled.to_integral_value() or (scaled < 0 and not may_be_negative):
        raise ValueError(f"{column} is {text!r}, not an amount such as {example} {currency}{_hint(text, shop)}")
    return int(scaled)


def _hint(text: str, shop: ShopMap) -> str:
    """The setting that is missing, if the text is a number that is written in another way."""
    other = "," if shop.decimal == "." else "."
    if other in text and shop.thousands != other:
        return f": channel.decimal is {shop.decimal!r}, channel.thousands {shop.thousands!r}"
    if re.search(r"\d", text) and re.search(r"[^\d\s.,'-]", text):
        return ": channel.strip lists what stands beside a number"
    return ""


def time_ms(text: str, column: str, layout: Layout) -> int | None:
    """A time in ms since 1970 UTC; None if the cell is empty.

    Raises:
        ValueError: if it is not a time in the map's format.
    """
    if not text:
        return None
    plain = text
    for said, stands_for in layout.time_words:
        plain = plain.replace(said, stands_for)
    ms = read_time(plain, layout.time_format, layout.timezone)
    if ms is None:
        raise ValueError(f"{column} is {text!r}, not a time in the format {layout.time_format}")
    if ms < 0:
        raise ValueError(f"{column} is {text!r}, before 1970")
    return ms


_ISO_FORMS: Final = {
    "%Y-%m-%d %H:%M:%S": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"),
    "%Y-%m-%d %H:%M": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}"),
    "%Y-%m-%d": re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"),
}
"""Formats of which a text in full is ISO 8601 as well: that is read twenty times as fast."""


def _is_iso(text: str, time_format: str) -> bool:
    form = _ISO_FORMS.get(time_format)
    return form is not None and form.fullmatch(text) is not None


@lru_cache(TIMES_KEPT_MAX)
def read_time(text: str, time_format: str, zone: ZoneInfo) -> int | None:
    """A time in ms since 1970 UTC; None if the text has not this format."""
    try:
        is_iso = time_format == ISO or _is_iso(text, time_format)
        local = datetime.fromisoformat(text) if is_iso else datetime.strptime(text, time_format)  # noqa: DTZ007 -- the next line sets the zone
        local = local if local.tzinfo is not None else local.replace(tzinfo=zone)
        return round(local.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None


def word(text: str, column: str, words: Mapping[str, str], choices: tuple[str, ...], section: str) -> str:
    """One of our words: the text itself, or what the map says that it stands for.

    Raises:
        ValueError: if it stands for none.
    """
    found = words.get(text) or words.get("*") or (text if text in choices else None)
    if found is None:
        raise ValueError(f"{column} is {text!r}, which [{section}] does not map to {' or '.join(choices)}")
    return found


def way_to_send(text: str, name: str, column: str, shop: ShopMap) -> str:
    """A carrier, its service or its number, as the map has it.

    Raises:
        ValueError: if it is too long, or a spreadsheet has changed a number.
    """
    text = shop.carriers.get(text, text) if name == "carrier" else text
    if len(text) > WAYS[name]:
        raise ValueError(f"{column} has {len(text)} characters: a {name} has at most {WAYS[name]}")
    if name == "tracking" and text:
        check_id(text, name, column, shop)
    return text


def country(text: str, column: str, words: Mapping[str, str]) -> str:
    """A country's code of ISO 3166.

    Raises:
        ValueError: if the text is none, and the map does not say for which it stands.
    """
    found = words.get(text, text)
    if not _COUNTRY.fullmatch(found):
        raise ValueError(f"{column} is {text!r}, which is not a code such as DE: map it in [country]")
    return found
