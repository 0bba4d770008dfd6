"""A row of a carrier's file: one status of one parcel, and when and where that was."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from unicodedata import category

from bridge.carrier.mapping import COUNTRIES, LEAVE_OUT, NOT_RECEIVED, CarrierMap, Meaning, body_of
from bridge.domain.barcodes import Key, tracking_key
from bridge.domain.event_time import EARLIEST_MS
from bridge.shop import cells
from bridge.shop.rows import ORDER_ID_CHARS_MAX, BadRow
from devices.protocol.topics import escape
from devices.protocol.vocabulary import EventType

PLACE_CHARS_MAX: Final = 96
_CODE: Final = re.compile(r"[A-Za-z0-9._-]{1,32}")
"""A status that may be shown and stored as it is written. Any other may be a sentence, and who signed may be in it."""
STATUSES_MAX: Final = 1_000
"""Different statuses that are counted one by one: in a file that is out of place, there are as many as rows."""


class StatusRow(NamedTuple):
    """What a row says. `number` is the carrier's number in its normal form, `order` the order's id: at least one is there.

    `event` is None if the carrier says that it does not have the parcel yet. `status` is the carrier's code, or the map's word for it if it is no code.
    """

    line: int
    number: str | None
    order: str | None
    at_ms: int
    status: str
    event: EventType | None
    body: dict[str, Any]

    @property
    def parcel_named(self) -> str:
        """How the row names its parcel, for people and for the id of its event."""
        return self.number or self.order or ""


class Reader:
    """Reads the rows of one file. `left_out` counts statuses that the map leaves out, `unknown` those that it does not name, `rows_left_out` other rows.

    Args:
        header: the names of the file's columns.
    """

    def __init__(self, carrier: CarrierMap, header: Sequence[str]) -> None:
        self._map = carrier
        self._width = len(header)
        at = {name: i for i, name in enumerate(header)}
        self._at = {ours: tuple(at[name] for name in names) for ours, names in carrier.columns.items()}
        self._leave_out_at = tuple((at[name], words) for name, words in carrier.leave_out.items())
        self.left_out: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.rows_left_out = 0

    def read(self, line: int, row: Sequence[str]) -> StatusRow | BadRow | None:
        """What a row says, or why it can't be used. None if it is empty, the map leaves it out, or its status is not known."""
        if not any(map(str.strip, row)):
            return None
        if any(at < len(row) and row[at].strip() in words for at, words in self._leave_out_at):
            self.rows_left_out += 1
            return None
        if len(row) != self._width:
            return BadRow(line, f"the row has more or fewer fields than the header: {len(row)}, not {self._width}")
        try:
            return self._say(line, row)
        except ValueError as error:
            return BadRow(line, self._unquoted(str(error), row))

    def _say(self, line: int, row: Sequence[str]) -> StatusRow | None:
        status = next((text for at in self._at["status"] if (text := row[at].strip())), "")
        if not status:
            raise ValueError(f"{' and '.join(self._map.columns['status'])} is empty")
        word = self._map.word_of(status)
        shown = status if _CODE.fullmatch(status) else word
        if shown is None:
            raise ValueError(f"{self._column('status')} has a status that the map does not name, and that is no code: look at it there, and add it to [status]")
        meaning = self._map.statuses[word] if word is not None else None
        if meaning is None or meaning == LEAVE_OUT:
            self._count(self.unknown if meaning is None else self.left_out, shown)
            return None
        number, order = self._number(row), self._order(row)
        if number is None and order is None:
            raise ValueError(f"{self._column('tracking' if 'tracking' in self._at else 'order')} is empty")
        at_ms = cells.time_ms(self._time(row), self._column("at"), self._map)
        if at_ms is None:
            raise ValueError(f"{self._column('at')} is empty")
        if at_ms < EARLIEST_MS:  # the server would not believe it, and take the time at which it came in
            raise ValueError(f"{self._column('at')} lies before 2020: is channel.time_format right?")
        if isinstance(meaning, str):
            assert meaning == NOT_RECEIVED
            return StatusRow(line, number, order, at_ms, shown, None, {})
        return StatusRow(line, number, order, at_ms, shown, meaning.event, self._body(meaning, row))

    def _body(self, meaning: Meaning, row: Sequence[str]) -> dict[str, Any]:
        country = self._cell("country", row)
        code: str | None = cells.country(country, self._column("country"), self._map.countries) if country else self._map.country
        if meaning.event in COUNTRIES and code is None and "country" not in meaning.body:
            raise ValueError(f"{meaning.event} needs a country: map a column to it (country), or set channel.country")
        place = "".join(c for c in self._cell("place", row) if c.isprintable())[:PLACE_CHARS_MAX]
        return body_of(meaning.event, meaning.body, place=place or self._map.carrier, country=code)

    def _number(self, row: Sequence[str]) -> str | None:
        text = self._id("tracking", row)
        if not text:
            return None
        key = tracking_key(text)
        if isinstance(key, Key):
            return key.text
        raise ValueError(f"{self._column('tracking')} is {text!r}, which can't be a carrier's number: it is too long, or has characters that can't be printed")

    def _order(self, row: Sequence[str]) -> str | None:
        text = self._id("order", row)
        if not text:
            return None
        order = self._map.prefix + text
        if len(order) > ORDER_ID_CHARS_MAX:
            raise ValueError(f"{self._column('order')}: an order id has at most {ORDER_ID_CHARS_MAX} characters, including its prefix")
        escape(order)
        return order

    def _id(self, name: str, row: Sequence[str]) -> str:
        text = self._cell(name, row)
        if any(category(c) in ("Cf", "Cc") for c in text):
            raise ValueError(f"{self._column(name)} is {text!r}, with a character that is not seen: another text would look the same")
        if text:
            cells.check_id(text, name, self._column(name), self._map)
        return text

    def _cell(self, name: str, row: Sequence[str]) -> str:
        return row[self._at[name][0]].strip() if name in self._at else ""

    def _time(self, row: Sequence[str]) -> str:
        return " ".join(text for at in self._at["at"] if (text := row[at].strip()))

    def _column(self, name: str) -> str:
        return " + ".join(self._map.columns[name])

    def _unquoted(self, reason: str, row: Sequence[str]) -> str:
        """Why a row can't be used, without its cells: in a row that is out of place, each may be a customer's."""
        for text in (self._time(row), *map(str.strip, row)):
            reason = reason.replace(repr(text), "'…'") if text else reason
        return reason

    def _count(self, counts: Counter[str], status: str) -> None:
        counts[status if status in counts or len(counts) < STATUSES_MAX else "…"] += 1
