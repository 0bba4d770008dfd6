"""A shop's export (CSV) as orders: any column names, mapped in a TOML file; explicit time zones; each bad row is reported with line and reason.

Event ids derive from the channel, the order and the event type: importing a row twice sends the same events again and changes nothing.
"""

from __future__ import annotations

import csv
import hashlib
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from bridge.errors import BridgeError
from devices.protocol import messages
from devices.protocol.topics import escape
from devices.protocol.vocabulary import ORDER_STATE_WORDS, EventType, OrderState

COLUMNS: Final = ("order", "status", "created", "paid", "approved", "shipped", "delivered", "cancelled", "promised", "sku", "qty", "amount")
"""What a shop's columns can contain. `order` and `created` are required."""
ORDER_ID_CHARS_MAX: Final = 96
SKU_CHARS_MAX: Final = 96
LINES_MAX: Final = 500
QTY_MAX: Final = 1_000_000
CURRENCY: Final = re.compile("[A-Z]{3}")
ROWS_MAX: Final = 5_000_000


class MapError(BridgeError):
    """The mapping file can't be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShopMap:
    """How to read a shop's file.

    `columns` maps our names to the file's, `status` the shop's words to order states; `time_format` is a format of `strptime`, in `timezone`.
    """

    channel: str
    prefix: str
    timezone: ZoneInfo
    columns: dict[str, str]
    status: dict[str, str] = field(default_factory=dict)
    time_format: str = "%Y-%m-%d %H:%M:%S"
    currency: str = "EUR"
    payment: str = "prepaid"
    encoding: str = "utf-8-sig"
    delimiter: str = ","


class BadRow(NamedTuple):
    """A row that can't be used: its line in the file, and the reason. With `ends_file`, import stopped there."""

    line: int
    reason: str
    ends_file: bool = False


@dataclass(slots=True, kw_only=True)
class ShopOrder:
    """One order of the file, from one or more rows. Times are in ms since 1970 UTC; None if the file does not have the time.

    `expected` is the order state to which [status] maps the shop's word.
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
    items: dict[str, int] = field(default_factory=dict)


def read_map(path: Path) -> ShopMap:
    """Read a mapping file.

    Raises:
        MapError: if a setting is wrong. It names the setting and the fix.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MapError(f"{path} does not exist", fix="see config/samples/orders.toml for an example") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MapError(f"{path}: {error}", fix="fix that line") from error
    return _parse_map(path, data)


def _parse_map(path: Path, data: dict[str, Any]) -> ShopMap:
    channel, columns, status = (_table(path, data, name) for name in ("channel", "columns", "status"))
    unknown = sorted(set(data) - {"channel", "columns", "status"})
    if unknown:
        raise MapError(f"{path}: [{unknown[0]}] is not a section", fix="the sections are [channel], [columns] and [status]")
    for name in columns:
        if name not in COLUMNS:
            raise MapError(f"{path}: columns.{name} is not a known column", fix=f"choose one of {', '.join(COLUMNS)}")
    for name in ("order", "created"):
        if name not in columns:
            raise MapError(f"{path}: columns.{name} is missing", fix="give the name of the file's column")
    for word, state in status.items():
        if state not in ORDER_STATE_WORDS:
            raise MapError(f"{path}: status.{word} is {state!r}, which is not an order state", fix=f"choose one of {', '.join(ORDER_STATE_WORDS)}")
    known = {"name", "prefix", "timezone", "time_format", "currency", "payment", "encoding", "delimiter"}
    for name in channel:
        if name not in known:
            raise MapError(f"{path}: channel.{name} is not a setting", fix=f"choose one of {', '.join(sorted(known))}")
    for name in ("name", "prefix", "timezone"):
        if not channel.get(name):
            raise MapError(f"{path}: channel.{name} is missing", fix='for example name = "shop1", prefix = "shop1-", timezone = "Europe/Berlin"')
    try:
        zone = ZoneInfo(channel["timezone"])
    except (OSError, ValueError, KeyError):
        raise MapError(f"{path}: channel.timezone {channel['timezone']!r} is not a known time zone", fix='use an IANA name, such as "Europe/Berlin"') from None
    if len(channel.get("delimiter", ",")) != 1:
        raise MapError(f"{path}: channel.delimiter must be one character", fix='for example delimiter = ";"')
    if channel.get("payment", "prepaid") not in ("prepaid", "on_delivery"):
        raise MapError(f"{path}: channel.payment is {channel['payment']!r}", fix="choose prepaid or on_delivery")
    if not CURRENCY.fullmatch(channel.get("currency", "EUR")):
        raise MapError(f"{path}: channel.currency is {channel['currency']!r}", fix='use the code of ISO 4217, for example "EUR"')
    optional = {k: channel[k] for k in ("time_format", "currency", "payment", "encoding", "delimiter") if k in channel}
    return ShopMap(channel=channel["name"], prefix=channel["prefix"], timezone=zone, columns=columns, status=status, **optional)


def _table(path: Path, data: dict[str, Any], name: str) -> dict[str, str]:
    table = data.get(name, {})
    if not isinstance(table, dict) or not all(isinstance(v, str) for v in table.values()):
        raise MapError(f"{path}: every value in [{name}] must be a string", fix='write name = "value"')
    return table


def read_orders(path: Path, shop: ShopMap) -> tuple[list[ShopOrder], list[BadRow]]:
    """Read a shop's file: its orders, sorted by their time of creation, and the rows that can't be used.

    Raises:
        MapError: if the file can't be read, or a mapped column is missing.
    """
    bad: list[BadRow] = []
    orders: dict[str, ShopOrder] = {}
    try:
        with path.open(encoding=shop.encoding, newline="") as file:
            reader = csv.DictReader(file, delimiter=shop.delimiter, strict=True)
            _check_header(path, reader.fieldnames or [], shop)
            for number, row in _rows(reader, bad):
                try:
                    _take(orders, _one(row, number, shop))
                except ValueError as error:
                    bad.append(BadRow(number, str(error)))
    except FileNotFoundError:
        raise MapError(f"{path} does not exist", fix="give the path of the shop's export") from None
    except (OSError, csv.Error) as error:
        raise MapError(f"{path} can't be read: {error}", fix="give a CSV file whose first line names its columns") from error
    except (UnicodeDecodeError, LookupError) as error:
        raise MapError(f"{path} is not in {shop.encoding}", fix="set channel.encoding, for example latin-1") from error
    return sorted(orders.values(), key=_by_creation), bad


def _rows(reader: csv.DictReader[str], bad: list[BadRow]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, row). A row that is not CSV ends the file, because the start of the next row is then unknown."""
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad.append(BadRow(reader.reader.line_num, f"not CSV, so import stopped here: {error}", ends_file=True))
            return
        line = reader.reader.line_num
        if line > ROWS_MAX:
            bad.append(BadRow(line, f"more than {ROWS_MAX} lines: split the file", ends_file=True))
            return
        yield line, row


def _check_header(path: Path, header: Iterable[str], shop: ShopMap) -> None:
    missing = [c for c in shop.columns.values() if c not in header]
    if missing:
        raise MapError(f"{path} has no column {missing[0]!r}", fix=f"its columns are {', '.join(header)}; correct [columns] in the mapping")


_TIMES: Final = ("created", "paid", "approved", "shipped", "delivered", "cancelled", "promised")


def _one(row: dict[str, str], line: int, shop: ShopMap) -> ShopOrder:
    """Convert one row to an order.

    Raises:
        ValueError: with the reason, if the row can't be used.
    """
    if None in row or None in row.values():
        raise ValueError("the row has more or fewer fields than the header")
    cell = {ours: (row[theirs] or "").strip() for ours, theirs in shop.columns.items()}
    if not cell["order"]:
        raise ValueError(f"{shop.columns['order']} is empty")
    order_id = shop.prefix + cell["order"]
    if len(order_id) > ORDER_ID_CHARS_MAX:
        raise ValueError(f"{shop.columns['order']}: an order id has at most {ORDER_ID_CHARS_MAX} characters, including its prefix")
    escape(order_id)
    sku = cell.get("sku") or "item"
    if len(sku) > SKU_CHARS_MAX:
        raise ValueError(f"a sku has at most {SKU_CHARS_MAX} characters")
    if any("\0" in c for c in cell.values()):
        raise ValueError("the row contains a NUL character")
    times = {name: _time(cell.get(name, ""), shop.columns.get(name, name), shop) for name in _TIMES}
    if times["created"] is None:
        raise ValueError(f"{shop.columns['created']} is empty")
    status = cell.get("status", "")
    if status and shop.status and status not in shop.status:
        raise ValueError(f"{shop.columns['status']} is {status!r}, which [status] does not map")
    return ShopOrder(
        order=order_id,
        line=line,
        created_ms=times["created"],
        paid_ms=times["paid"],
        approved_ms=times["approved"],
        shipped_ms=times["shipped"],
        delivered_ms=times["delivered"],
        cancelled_ms=times["cancelled"],
        promised_ms=times["promised"],
        amount_minor=_minor(cell.get("amount", ""), shop.columns.get("amount", "")),
        status=status,
        expected=shop.status.get(status),
        items={sku: _quantity(cell.get("qty", ""), shop.columns.get("qty", ""))},
    )


def _time(text: str, column: str, shop: ShopMap) -> int | None:
    if not text:
        return None
    try:
        local = datetime.strptime(text, shop.time_format)  # noqa: DTZ007 -- the next line sets the time zone
        local = local if local.tzinfo is not None else local.replace(tzinfo=shop.timezone)
    except ValueError:
        raise ValueError(f"{column} is {text!r}, not a time in the format {shop.time_format}") from None
    ms = round(local.timestamp() * 1000)
    if ms < 0:
        raise ValueError(f"{column} is {text!r}, before 1970")
    return ms


def _minor(text: str, column: str) -> int:
    if not text:
        return 0
    whole, _, cents = text.partition(".")
    if not (whole.isascii() and whole.isdigit()) or (cents and not (cents.isascii() and cents.isdigit())) or len(cents) > 2 or len(whole) > 12:
        raise ValueError(f"{column} is {text!r}, not an amount such as 12.50")
    return int(whole) * 100 + int(cents.ljust(2, "0") or 0)


def _quantity(text: str, column: str) -> int:
    if not text:
        return 1
    if not (text.isascii() and text.isdigit()) or not 1 <= int(text) <= QTY_MAX:
        raise ValueError(f"{column} is {text!r}, not a quantity")
    return int(text)


def _take(orders: dict[str, ShopOrder], fresh: ShopOrder) -> None:
    """Add a row to its order: each further row of an order is a further item."""
    known = orders.setdefault(fresh.order, fresh)
    if known is fresh:
        return
    if known.created_ms != fresh.created_ms or known.status != fresh.status:
        raise ValueError(f"order {fresh.order} has another status or time in line {known.line}")
    (sku, qty), *_ = fresh.items.items()
    if sku not in known.items and len(known.items) >= LINES_MAX:
        raise ValueError(f"order {fresh.order} has more than {LINES_MAX} items")
    if known.items.get(sku, 0) + qty > QTY_MAX:
        raise ValueError(f"order {fresh.order} has more than {QTY_MAX} of {sku}")
    known.items[sku] = known.items.get(sku, 0) + qty
    known.amount_minor += fresh.amount_minor


def _by_creation(order: ShopOrder) -> tuple[int, str]:
    return (order.created_ms, order.order)


# --- events -----------------------------------------------------------------------------------------------------------------


def derived_event_id(at_ms: int, *parts: str) -> bytes:
    """A UUIDv7 (RFC 9562 §5.7) with a hash as its random bits: the same row always gives the same id."""
    digest = bytearray(hashlib.sha256("\0".join(parts).encode()).digest()[:10])
    digest[0] = 0x70 | digest[0] & 0x0F
    digest[2] = 0x80 | digest[2] & 0x3F
    return at_ms.to_bytes(6, "big") + bytes(digest)


def derived_log(*parts: str) -> bytes:
    """The log id of events that are derived from a file."""
    return hashlib.sha256("\0".join(("log", *parts)).encode()).digest()[:8]


def order_events(order: ShopOrder, shop: ShopMap) -> list[tuple[EventType, bytes]]:
    """The events that follow from an order, as (type, CBOR payload): created, paid, approved, and cancelled or completed if its status says so.

    Each order has its own log, so that rows may come from any file and in any order.
    """
    rows: list[tuple[EventType, int, dict[str, Any]]] = [(EventType.CREATED, order.created_ms, _created(order, shop))]
    paid_ms = order.paid_ms if order.paid_ms is not None else order.approved_ms
    if paid_ms is not None and shop.payment == "prepaid":
        rows.append((EventType.PAID, paid_ms, {"amount_minor": order.amount_minor, "currency": shop.currency}))
    if order.approved_ms is not None:
        rows.append((EventType.APPROVED, order.approved_ms, {}))
    if order.expected == OrderState.CANCELLED:
        # It binds from today, because until now nobody in the warehouse knew; it is shown as of when the shop cancelled, as far as the file says.
        since_ms = order.cancelled_ms if order.cancelled_ms is not None else order.created_ms
        rows.append((EventType.CANCELLED, order.created_ms, {"reason": order.status[:64] or "cancelled", "since_ms": since_ms}))
    if order.expected == OrderState.COMPLETED:
        rows.append((EventType.COMPLETED, order.delivered_ms or rows[-1][1], {}))
    log = derived_log(shop.channel, order.order)
    return [(kind, _payload(kind, at_ms, body, order.order, shop.channel, log)) for kind, at_ms, body in rows]


_SEQ: Final = {EventType.CREATED: 1, EventType.PAID: 2, EventType.APPROVED: 3, EventType.CANCELLED: 4, EventType.COMPLETED: 5}
"""One seq for each type, so that a later export of an order can add events that the first did not contain."""
_SECOND_EDITION: Final = {EventType.CREATED: "amount_minor", EventType.CANCELLED: "since_ms"}
"""Fields that the first edition did not send. With one of them an event has another id: under the old one, an order that was imported before would be
`id_reused`; this way its second creation or cancellation changes nothing."""


def _created(order: ShopOrder, shop: ShopMap) -> dict[str, Any]:
    lines = [{"sku": sku, "qty": qty} for sku, qty in order.items.items()]
    body: dict[str, Any] = {"channel": shop.channel, "lines": lines, "allow_partial": False, "payment": shop.payment}
    if order.amount_minor:
        body |= {"amount_minor": order.amount_minor, "currency": shop.currency}
    if order.promised_ms is not None:
        body["promise_ms"] = order.promised_ms
    return body


def _payload(kind: EventType, at_ms: int, body: dict[str, Any], order: str, channel: str, log: bytes) -> bytes:
    boot = log
    event = {
        "id": derived_event_id(at_ms, channel, order, kind, *(field for k, field in _SECOND_EDITION.items() if k is kind and field in body)),
        "log": log,
        "seq": _SEQ[kind],
        "boot": boot,
        "mono_ms": at_ms,
        "at_ms": at_ms,
        "sent_boot": boot,
        "sent_mono_ms": at_ms,
        "order": order,
        "body": body,
    }
    return messages.encode_cbor(event)
