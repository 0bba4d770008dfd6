"""How to read a shop's file: a mapping in TOML, checked as a whole before anything is read with it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from bridge.money import minor_digits
from bridge.shop.contact_map import CONTACT_FIX, FIELDS, ContactColumn, by_name, read_contact
from bridge.shop.map_checks import doubt_of
from bridge.shop.map_parts import (
    COUNTRY,
    READING,
    Setting,
    channel_of,
    check_sections,
    countries_of,
    is_text,
    is_texts,
    leave_out_of,
    load_toml,
    one_of,
    patterns_of,
    texts_of,
    time_words_of,
    zone_of,
)
from bridge.shop.map_parts import ISO as ISO
from bridge.shop.map_parts import MapError as MapError
from devices.protocol.vocabulary import OrderState

TIMES: Final = ("created", "paid", "approved", "shipped", "delivered", "cancelled", "promised", "ship_by")
WAYS: Final = {"carrier": 64, "service": 64, "tracking": 96}
"""How an order is sent: our columns, and how many characters each may have."""
COLUMNS: Final = ("order", "status", *TIMES, "sku", "qty", "amount", "currency", "payment", "country", *WAYS)
"""What a shop's columns can contain. `order` and `created` are required."""
_CONTACT_COLUMNS: Final = frozenset({*FIELDS, "recipient", "customer", "contact", "email", "address", "zip"}) - {"country"}
"""What belongs into [contact]."""
_CONTACT_HEADER: Final = re.compile(r"e-?mail|phone|(?:^|[\W_])(?:tel|fax|street|address\d?|recipient|buyer[-_ ]name|postcode|zip)(?:$|[\W_])", re.IGNORECASE)
LEAVE_OUT: Final = "leave_out"
"""What [status] says of orders that are not to be imported."""
STATES: Final = (
    OrderState.PENDING_PAYMENT,
    OrderState.PAID,
    OrderState.APPROVED,
    OrderState.PICKING,
    OrderState.PACKED,
    OrderState.SHIPPED,
    OrderState.OUT_FOR_DELIVERY,
    OrderState.DELIVERED,
    OrderState.COMPLETED,
    OrderState.RETURNING,
    OrderState.RETURNED,
    OrderState.CANCELLED,
)
"""The order states that a file can say. The others need more than a word: customs need a country, a part needs its parcels."""
PAYMENTS: Final = ("prepaid", "on_delivery")
WILDCARD: Final = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopMap:
    """How to read a shop's file.

    `columns` maps our names to the file's, `status` the shop's words to order states; a status in several columns is their words with "/" between.
    `contact` maps the fields of who gets an order. `time_format` is a format of `strptime` or `ISO`, in `timezone` unless a time has its own zone. A time that
    stands in several columns is in `joined`; its cells are read with a blank between them. `time_words` are texts in times and what stands for them, the
    longest first.
    """

    channel: str
    prefix: str
    timezone: ZoneInfo
    columns: Mapping[str, str]
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    status_columns: tuple[str, ...] = ()
    contact: Mapping[str, ContactColumn] = field(default_factory=dict)
    status: Mapping[str, str] = field(default_factory=dict)
    payments: Mapping[str, str] = field(default_factory=dict)
    countries: Mapping[str, str] = field(default_factory=dict)
    carriers: Mapping[str, str] = field(default_factory=dict)
    time_words: tuple[tuple[str, str], ...] = ()
    leave_out: Mapping[str, frozenset[str]] = field(default_factory=dict)
    patterns: Mapping[str, re.Pattern[str]] = field(default_factory=dict)
    time_format: str = "%Y-%m-%d %H:%M:%S"
    currency: str = "EUR"
    payment: str = "prepaid"
    country: str | None = None
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    quote: str = '"'
    skip_lines: int = 0
    sheet: str | None = None
    fill_down: bool = True
    amount_per: str | None = None
    status_per: str = "order"
    decimal: str = "."
    thousands: str = ""
    strip: tuple[str, ...] = ()
    zero_qty: str = "refuse"
    negative_qty: str = "refuse"

    @property
    def file_columns(self) -> tuple[str, ...]:
        """Every column of the file that is read."""
        one = [theirs for ours, theirs in self.columns.items() if ours not in self.joined]
        several = [*self.joined.values(), *(column.columns for column in self.contact.values())]
        return (*one, *(name for names in several for name in names), *self.status_columns, *self.leave_out)

    @property
    def doubt(self) -> str | None:
        """A sentence about settings that may be meant, but are probably not."""
        return doubt_of(self.currency, self.strip) if "amount" in self.columns and "currency" not in self.columns else None

    def state_of(self, status: str) -> str | None:
        """The order state for which a status of the file stands; None if it is not mapped."""
        found = self.status.get(status)
        if found is not None or not status:
            return found
        parts = status.split("/")
        for words, state in self.status.items():
            if WILDCARD in words and _fits(words.split("/"), parts):
                return state
        return None


def _fits(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(p in (WILDCARD, part) for p, part in zip(pattern, parts, strict=True))


_EXAMPLE: Final = 'for example name = "shop1", prefix = "shop1-", timezone = "Europe/Berlin"'
_QTY_RULE: Final = one_of("refuse", "leave_out")
_SETTINGS: Final[dict[str, Setting]] = {
    "name": Setting(is_text, _EXAMPLE),
    "prefix": Setting(is_text, _EXAMPLE),
    "currency": Setting(lambda v: isinstance(v, str) and minor_digits(v) is not None, 'use the code of ISO 4217, for example "EUR"'),
    "payment": one_of(*PAYMENTS),
    "country": COUNTRY,
    **READING,
    "fill_down": Setting(lambda v: type(v) is bool, "choose true or false"),
    "amount_per": one_of("row", "order", "piece"),
    "status_per": one_of("order", "row"),
    "thousands": one_of("", ".", ",", " ", "'"),
    "strip": Setting(lambda v: isinstance(v, list) and all(map(is_text, v)), 'list the texts beside numbers, for example strip = ["€", "EUR"]'),
    "zero_qty": _QTY_RULE,
    "negative_qty": one_of("refuse", "leave_out", "subtract"),
}
_REQUIRED: Final = ("name", "prefix", "timezone")
_SECTIONS: Final = ("channel", "columns", "contact", "status", "payment", "country", "carrier", "time_words", "leave_out", "patterns")
_PATTERN_COLUMNS: Final = ("order", "sku", "tracking", "phone", "postcode")


def read_map(path: Path) -> ShopMap:
    """Read a mapping file.

    Raises:
        MapError: if a setting is wrong. It names the setting and the fix.
    """
    return _parse_map(path, load_toml(path, f"`dockbridge orders map FILE --out {path}` writes a first one"))


def _parse_map(path: Path, data: dict[str, Any]) -> ShopMap:
    check_sections(path, data, _SECTIONS)
    columns, joined, status_columns = _columns(path, data)
    channel = channel_of(path, data, _SETTINGS, _REQUIRED, _EXAMPLE)
    words = {name: texts_of(path, data, name) for name in ("status", "payment", "carrier")}
    _check_words(path, "status", words["status"], (*STATES, LEAVE_OUT), "which an import can't say")
    _check_words(path, "payment", words["payment"], PAYMENTS, "which is not a way to pay")
    chosen = {k: v for k, v in channel.items() if k not in ("name", "prefix", "timezone", "strip")}
    return ShopMap(
        channel=channel["name"],
        prefix=channel["prefix"],
        timezone=zone_of(path, "channel", channel["timezone"]),
        columns=columns,
        joined=joined,
        contact=_contact(path, data),
        status_columns=status_columns,
        status=words["status"],
        payments=words["payment"],
        countries=countries_of(path, data),
        carriers=words["carrier"],
        time_words=time_words_of(path, data),
        leave_out=leave_out_of(path, data),
        patterns=patterns_of(path, data, _PATTERN_COLUMNS),
        strip=tuple(channel.get("strip", ())),
        **chosen,
    )


def _columns(path: Path, data: dict[str, Any]) -> tuple[dict[str, str], dict[str, tuple[str, ...]], tuple[str, ...]]:
    """(our name → the file's, but for the status; our times → the file's columns, if they are several; the columns of the status)."""
    given = dict(data.get("columns", {}))
    status = given.pop("status", [])
    status = [status] if isinstance(status, str) else status
    if not isinstance(status, list) or not all(isinstance(s, str) for s in status):
        raise MapError(f"{path}: columns.status must be a string or a list of strings", fix='write status = "Status", or status = ["Paid", "Sent"]')
    joined = {name: tuple(theirs) for name, theirs in given.items() if name in TIMES and is_texts(theirs)}
    columns = texts_of(path, {"columns": {name: " + ".join(joined[name]) if name in joined else theirs for name, theirs in given.items()}}, "columns")
    for name, theirs in (*columns.items(), *(("status", s) for s in status)):
        if name in _CONTACT_COLUMNS or (name in COLUMNS and _CONTACT_HEADER.search(theirs)):
            raise MapError(f"{path}: columns.{name} = {theirs!r} would take in who the customer is", fix=CONTACT_FIX)
        if (fault := by_name(f"columns.{name}", theirs)) is not None:
            raise MapError(f"{path}: {fault[0]}", fix=fault[1])
        if name not in COLUMNS:
            raise MapError(f"{path}: columns.{name} is not a known column", fix=f"choose one of {', '.join(COLUMNS)}")
    for name in ("order", "created"):
        if name not in columns:
            raise MapError(f"{path}: columns.{name} is missing", fix="give the name of the file's column")
    return columns, joined, tuple(status)


def _contact(path: Path, data: dict[str, Any]) -> Mapping[str, ContactColumn]:
    found = read_contact(data.get("contact", {}))
    if isinstance(found, tuple):
        raise MapError(f"{path}: {found[0]}", fix=found[1])
    return found


def _check_words(path: Path, section: str, table: Mapping[str, str], choices: tuple[str, ...], what: str) -> None:
    for word, ours in table.items():
        if ours not in choices:
            raise MapError(f"{path}: {section}.{word} is {ours!r}, {what}", fix=f"choose one of {', '.join(choices)}")
