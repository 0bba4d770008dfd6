"""A first mapping for a file: what its first rows show, and what they do not."""

from __future__ import annotations

import codecs
import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from bridge.money import minor_digits
from bridge.shop.cells import read_time
from bridge.shop.contact_guessing import contact_lines, guess_contact, number_columns
from bridge.shop.contact_map import ContactColumn
from bridge.shop.identity_numbers import Kind
from bridge.shop.mapping import ISO, MapError, ShopMap
from bridge.shop.table import named, open_table

ROWS_MAX: Final = 5_000
"""Rows at which a guess looks."""
_PEEK_BYTES: Final = 65_536
_DELIMITERS: Final = "\t;,|"

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "order": (
        "order number",
        "order id",
        "amazon order id",
        "increment id",
        "order reference",
        "order no",
        "order",
        "po",
        "name",
        "number",
        "transaction id",
        "reference",
    ),
    "created": (
        "created at",
        "order date",
        "purchase date",
        "order creation date",
        "creation date",
        "sale date",
        "purchased",
        "created",
        "create time",
        "created time",
        "order date time",
        "date add",
        "date",
    ),
    "paid": ("payment time", "order paid time", "paid on date", "paid date", "paid time", "date paid", "paid at", "paid"),
    "shipped": ("shipped on date", "fulfilled at", "ship time", "handed to carrier", "shipped time", "date shipped", "shipped at", "shipped"),
    "delivered": ("order complete time", "delivered at", "delivered"),
    "cancelled": ("cancelled at", "canceled at", "cancelled"),
    "promised": ("maximum estimated delivery date", "latest delivery date", "delivery date", "estimated delivery", "promised"),
    "sku": (
        "lineitem sku",
        "sku",
        "sku reference no",
        "custom label",
        "sku code",
        "order lines product internal reference",
        "item sku",
        "seller sku",
        "product sku",
        "product number",
        "product reference",
        "article",
    ),
    "qty": ("lineitem quantity", "quantity", "qty", "qty ordered", "quantity refund", "order lines quantity", "product quantity", "units"),
    "amount": (
        "order total amount",
        "grand total",
        "total",
        "order amount",
        "item price",
        "product subtotal",
        "sold for",
        "row total",
        "paid price",
        "total paid",
        "order total inc tax",
        "amount total",
        "gross sales",
        "amount",
    ),
    "currency": ("currency", "order currency code"),
    "carrier": ("shipping carrier", "carrier name", "carrier", "shipping provider", "shipping provider name"),
    "service": ("ship service level", "shipping service", "shipping option", "delivery option", "shipping method"),
    "tracking": ("tracking number", "tracking code", "tracking id", "shipping number", "tracking"),
    "ship_by": ("estimated ship out date", "latest ship date", "ship by date", "ship by"),
    "country": ("ship country", "country code shipping", "ship to country", "country code", "shipping country"),
}
"""The names that shops give to our columns, in lower case and without marks; the first that a file has is taken."""
_STATUS: Final = ("financial status", "order status", "status", "state")
_SECOND_STATUS: Final = "fulfillment status"

_TO_SEND: Final = ("awaiting fulfillment", "awaiting pickup", "acknowledged", "packed", "ready to ship")
_WORDS: Final[dict[str, str]] = {
    **dict.fromkeys(("pending", "pending payment", "unpaid", "awaiting payment", "created", "new", "on hold", "holded", "authorized"), "pending_payment"),
    **dict.fromkeys(("paid", "processing", "unshipped", "to ship", "awaiting shipment", "sales order", "approved", "confirmed", *_TO_SEND), "approved"),
    **dict.fromkeys(("shipped", "shipping", "fulfilled", "sent", "complete", "awaiting confirmation"), "shipped"),
    **dict.fromkeys(("delivered",), "delivered"),
    **dict.fromkeys(("finished", "completed"), "completed"),
    **dict.fromkeys(("cancelled", "canceled", "voided", "failed", "closed"), "cancelled"),
    **dict.fromkeys(("returned",), "returned"),
    **dict.fromkeys(("draft", "quotation", "quotation sent", "incomplete"), "leave_out"),
}
_TIME_FORMATS: Final = (
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S %z",
    "%Y-%m-%d %H:%M:%S.%f",
    ISO,
    "%Y-%m-%d",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d/%m/%y",
    "%m/%d/%y",
    "%b-%d-%y",
    "%d %b %Y %H:%M",
)


_AMBIGUOUS: Final = tuple(frozenset({f"%d/%m/{rest}", f"%m/%d/{rest}"}) for rest in ("%Y %H:%M:%S", "%Y %H:%M", "%Y", "%y"))
"""Formats of which the rows may show nothing but that it is one of them."""
_NO_ARTICLES: Final = {"lineitem requires shipping": ["false"], "fulfillment channel": ["Amazon"], "product type": ["configurable", "bundle"]}
"""Words of columns whose rows are not sent by the shop, or are no articles."""
_CURRENCIES: Final = {"€": "EUR", "£": "GBP", "US $": "USD", "R$": "BRL", "zł": "PLN", "Kč": "CZK"}
_UTC: Final = ZoneInfo("UTC")


@dataclass(slots=True, kw_only=True)
class Guess:
    """What a file shows. `unknown` are its statuses of which it is not clear what they mean, with the number of rows that have each. `numbers` are the columns
    that look like numbers of identity documents, taxpayers, bank accounts or payment cards, which are not mapped."""

    channel: dict[str, Any]
    columns: dict[str, str | list[str]]
    times: list[str]
    status: dict[str, str] = field(default_factory=dict)
    unknown: Counter[str] = field(default_factory=Counter)
    leave_out: dict[str, list[str]] = field(default_factory=dict)
    contact: dict[str, ContactColumn] = field(default_factory=dict)
    has_country_words: bool = False
    numbers: dict[str, Kind] = field(default_factory=dict)

    @property
    def questions(self) -> list[str]:
        """The settings that the file does not show."""
        has_zones = bool(self.times) and (self.times[0] == ISO or "%z" in self.times[0])
        needs_currency = "currency" not in self.columns and "amount" in self.columns and "currency" not in self.channel
        is_clear = len(self.times) > 0 and not any(pair <= set(self.times) for pair in _AMBIGUOUS)
        asked = {"name": True, "timezone": not has_zones, "currency": needs_currency, "time_format": not is_clear}
        return [name for name, is_asked in asked.items() if is_asked]


def guess_map(path: Path, encoding: str | None = None) -> Guess:
    """Look at the beginning of a file.

    Raises:
        MapError: if it can't be read, or does not show which column is the order number, or when it was made.
    """
    channel = _form(path, encoding)
    shop = ShopMap(channel="", prefix="", timezone=_UTC, columns={}, **channel)
    with open_table(path, shop) as table:
        header = table.header
        rows = [row for _, row in islice(table.rows, ROWS_MAX) if len(row) == len(header)]
    plain = {_plain(name): name for name in reversed(header)}
    columns = _columns(path, header, plain)
    cells = {name: [row[at].strip() for row in rows] for at, name in enumerate(header)}
    created, order = str(columns["created"]), str(columns["order"])
    is_described = not _time_formats(cells[created]) and bool(_time_formats(cells[created][1:]))
    described = cells[order][:1] if is_described else []
    if is_described:  # the second line explains the columns
        cells = {name: said[1:] for name, said in cells.items()}
    texts = cells[created]
    if _plain(created) == "date" and "time" in plain:
        columns["created"] = [created, plain["time"]]
        texts = [f"{day} {time}" for day, time in zip(texts, cells[plain["time"]], strict=True)]
    guess = Guess(channel=channel, columns=columns, times=_time_formats(texts))
    if "amount" in columns:
        guess.channel |= _marks(cells[str(columns["amount"])]) | _amount_per(cells, columns)
    if "qty" in columns and any(re.fullmatch(r"0([.,]0*)?", text) for text in cells[str(columns["qty"])]):
        guess.channel["zero_qty"] = "leave_out"
    guess.leave_out = {plain[name]: words for name, words in _NO_ARTICLES.items() if name in plain and set(words) & set(cells[plain[name]])}
    if described:
        guess.leave_out[order] = described
    _guess_contact(guess, plain, cells)
    columns = guess.columns
    if "country" in columns and not _are_codes(cells[str(columns["country"])]):
        del columns["country"]  # words would need [country]
    if "status" not in columns and "paid" in columns:
        columns["approved"] = columns.pop("paid")  # nothing else in the file approves an order
    _sort_statuses(guess, cells)
    return guess


def _guess_contact(guess: Guess, plain: Mapping[str, str], cells: Mapping[str, Sequence[str]]) -> None:
    taken = {name for names in guess.columns.values() for name in ([names] if isinstance(names, str) else names)}
    guess.numbers = number_columns(cells, taken)
    guess.columns = {ours: theirs for ours, theirs in guess.columns.items() if str(theirs) not in guess.numbers or ours in ("order", "created")}
    guess.contact = guess_contact(plain, taken, guess.numbers)
    if "country" in guess.contact:
        guess.has_country_words = not _are_codes(cells[guess.contact["country"].columns[0]])


def _are_codes(texts: Sequence[str]) -> bool:
    """Whether all countries are codes of ISO 3166."""
    return all(re.fullmatch("[A-Z]{2}|", text) for text in texts)


def _plain(name: str) -> str:
    """A name in lower case, its words apart: `orderNumber` and `Order_Number` are `order number`."""
    return re.sub(r"[\W_]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()).strip()


def _form(path: Path, encoding: str | None) -> dict[str, Any]:
    """The settings of a file's form that are not the default."""
    try:
        with path.open("rb") as file:
            start = file.read(_PEEK_BYTES)
    except OSError as error:
        raise MapError(f"{path} can't be read: {error.strerror}", fix="give the path of the shop's export") from error
    if start.startswith((b"PK", b"\xd0\xcf")):
        return {}
    if encoding is None and start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        text = codecs.getincrementaldecoder(encoding or "utf-8-sig")().decode(start)
    except (UnicodeError, LookupError):
        raise MapError(f"{path} is not in {encoding or 'UTF-8'}", fix="say in what with --encoding, for example cp1252, shift_jis or gb18030") from None
    lines = text.splitlines()
    at, delimiter = next(((i, d) for i, line in enumerate(lines) if (d := max(_DELIMITERS, key=line.count)) and line.count(d) > 1), (0, ","))
    found = {"encoding": encoding, "delimiter": delimiter, "quote": "" if delimiter == "\t" else '"', "skip_lines": at}
    defaults = {"encoding": None, "delimiter": ",", "quote": '"', "skip_lines": 0}
    return {name: value for name, value in found.items() if value != defaults[name]}


def _columns(path: Path, header: Sequence[str], plain: Mapping[str, str]) -> dict[str, str | list[str]]:
    columns: dict[str, str | list[str]] = {ours: plain[n] for ours, names in _NAMES.items() if (n := next((n for n in names if n in plain), None))}
    for ours in ("order", "created"):
        if ours not in columns:
            fix = f"{named(header)}; write the mapping by hand, from config/samples/orders.toml"
            raise MapError(f"{path} does not show which column is {ours!r}", fix=fix)
    status = next((plain[n] for n in _STATUS if n in plain), None)
    if status is not None:
        columns["status"] = [status, plain[_SECOND_STATUS]] if _SECOND_STATUS in plain else status
    return columns


def _time_formats(texts: Sequence[str]) -> list[str]:
    """The formats that fit every time."""
    said = {text for text in texts if text}
    return [f for f in _TIME_FORMATS if said and all(read_time(text, f, _UTC) is not None for text in said)]


def _marks(texts: Sequence[str]) -> dict[str, Any]:
    """How amounts are written."""
    found: dict[str, Any] = {}
    beside = {mark.strip() for text in texts for mark in re.findall(r"[^\d.,'-]+", text) if mark.strip()}
    if beside:
        found["strip"] = sorted(beside)
    if len(beside) == 1 and minor_digits(currency := _CURRENCIES.get(mark := beside.pop(), mark)) is not None:
        found["currency"] = currency
    ends = Counter(m[1] for text in texts if (m := re.search(r"([.,])\d{1,2}\D*$", text)))
    if ends[","] > ends["."]:
        found["decimal"] = ","
    other = "." if "decimal" in found else ","
    if any(re.search(rf"\d\{other}\d{{3}}(?!\d)", text) for text in texts):
        found["thousands"] = other
    return found


def _amount_per(cells: Mapping[str, Sequence[str]], columns: Mapping[str, str | list[str]]) -> dict[str, Any]:
    """Whether amounts are those of rows, or of orders, if orders with several rows show it."""
    amounts: dict[str, list[str]] = defaultdict(list)
    above = ""
    for order, amount in zip(cells[str(columns["order"])], cells[str(columns["amount"])], strict=True):
        above = order or above
        amounts[above].append(amount)
    several = [said for said in amounts.values() if len(said) > 1]
    if not several:
        return {}
    return {"amount_per": "order" if all(len(set(filter(None, said))) < 2 for said in several) else "row"}


def _sort_statuses(guess: Guess, cells: Mapping[str, Sequence[str]]) -> None:
    named = guess.columns.get("status", [])
    names = [named] if isinstance(named, str) else named
    words = Counter(word for parts in zip(*(cells[name] for name in names), strict=True) if (word := "/".join(parts)).strip("/"))
    for word, rows in words.items():
        state = _state(word.split("/"))
        if state is None:
            guess.unknown[word] = rows
        else:
            guess.status[word] = state


def _state(parts: Sequence[str]) -> str | None:
    first, second = _WORDS.get(_plain(parts[0])), _plain(parts[-1]) if len(parts) > 1 else ""
    if second == "fulfilled" and first != "cancelled":
        return "shipped"
    return first if second in ("", "unfulfilled") or first == "cancelled" else None


def map_text(guess: Guess, source: str) -> str:
    """A mapping as TOML. Statuses that are not clear stand in it as comments."""
    lines = [f"# How to read {json.dumps(source, ensure_ascii=False)}. Check every line, then try it with --dry-run.", "", "[channel]"]
    lines += [f"{name} = {_toml(value)}" for name, value in guess.channel.items()]
    lines += ["", "[columns]", *(f"{name} = {_toml(value)}" for name, value in guess.columns.items())]
    lines += contact_lines(guess.contact, guess.numbers, has_country_words=guess.has_country_words)
    if guess.status or guess.unknown:
        lines += ["", "[status]", *(f"{_toml(word)} = {_toml(state)}" for word, state in guess.status.items())]
        lines += [f'# {_toml(word)} = "..."   # in {rows} rows' for word, rows in guess.unknown.items()]
    if guess.leave_out:
        lines += ["", "[leave_out]", *(f"{_toml(name)} = {_toml(words)}" for name, words in guess.leave_out.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A string, number, boolean or list: JSON writes these as TOML does."""
    return json.dumps(value, ensure_ascii=False)
