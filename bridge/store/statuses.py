"""The retained statuses of orders and parcels, read one at a time from the tables: the broker's `StoredRetained`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import cbor2

from bridge.domain.view import SETTLED
from bridge.ingest.ports import NOT_YET, PAGE_END, NotYet, Page, StoreUnavailable
from bridge.store.loop_reader import LoopReader
from bridge.store.relations import marks
from devices.protocol.topics import Topics, matches, unescape

PAGE_ORDERS: Final = 256
"""Orders that are read before another client gets its turn; this takes about two milliseconds."""
_SHOWN: Final = f"rev > 0 AND state <> '' AND (due_ms IS NOT NULL OR state NOT IN ({', '.join(repr(s.value) for s in sorted(SETTLED))}))"
_STATUS: Final = f"SELECT status FROM orders WHERE order_id = ? AND {_SHOWN}"
_PARCEL: Final = f"SELECT status FROM parcels WHERE order_id = ? AND parcel = ? AND order_id IN (SELECT order_id FROM orders WHERE order_id = ? AND {_SHOWN})"


class Statuses:
    """Reads statuses on the event loop.

    Args:
        topics: the topics of the site.
        encode: encodes payloads for the site if its format is not CBOR.
    """

    def __init__(self, reader: LoopReader, topics: Topics, encode: Callable[[Any], bytes] | None) -> None:
        self._reader = reader
        self._topics = topics
        self._encode = encode
        self._base = topics.status("x").removesuffix("x/status")
        self._levels = self._base.rstrip("/").split("/")

    def covers(self, topic: str) -> bool:
        """Whether a topic is an order's or a parcel's status."""
        return topic.startswith(self._base) and (topic.endswith("/status") or "/parcels/" in topic)

    def get(self, topic: str) -> bytes | NotYet | None:
        """See `StoredRetained.get`."""
        try:
            return self.read(topic)
        except StoreUnavailable:
            return NOT_YET

    def page(self, topic_filter: str, after: str) -> Page | NotYet:
        """See `StoredRetained.page`. Orders are sorted by id; a page ends with a whole order."""
        try:
            return self.read_page(topic_filter, after)
        except StoreUnavailable:
            return NOT_YET

    def read(self, topic: str) -> bytes | None:
        """As `get`.

        Raises:
            StoreUnavailable: if the tables can't be read now.
        """
        levels = topic.removeprefix(self._base).split("/")
        try:
            ids = [unescape(levels[0]), *map(unescape, levels[2:])]
        except ValueError:
            return None
        if levels[1:2] != (["status"] if len(levels) == 2 else ["parcels"]) or len(levels) > 3:
            return None
        rows = self._reader.rows(_STATUS, ids) if len(ids) == 1 else self._reader.rows(_PARCEL, (*ids, ids[0]))
        if not rows:
            return None
        payload: bytes = rows[0][0]
        return self._encode(cbor2.loads(payload)) if self._encode is not None else payload

    def read_page(self, topic_filter: str, after: str) -> Page:
        """As `page`.

        Raises:
            StoreUnavailable: if the tables can't be read now.
        """
        wanted = _below(topic_filter.split("/"), self._levels)
        if not wanted or not (with_status := _fits(wanted, "status")) | (with_parcels := _fits(wanted, "parcels")):
            return Page((), None)
        orders = self._orders(wanted[0], after)
        topics: dict[str, list[str]] = {o: [self._topics.status(o)] if with_status else [] for o in orders}
        if with_parcels:
            for order, parcel in self._reader.rows(f"SELECT order_id, parcel FROM parcels WHERE order_id IN ({marks(orders)}) ORDER BY 1, 2", orders):
                topics[order].append(self._topics.parcel(order, parcel))
        found = [t for of_order in topics.values() for t in of_order if matches(topic_filter, t)]
        is_last = wanted[0] not in ("+", "#") or len(orders) < PAGE_ORDERS
        return Page(found, None if is_last else self._topics.status(orders[-1]) + PAGE_END)

    def _orders(self, wanted: str, after: str) -> list[str]:
        """Ids of shown orders: those after the end of a page, or those from a topic's order on."""
        if wanted not in ("+", "#"):
            try:
                return [r[0] for r in self._reader.rows(f"SELECT order_id FROM orders WHERE order_id = ? AND {_SHOWN}", (unescape(wanted),))]
            except ValueError:
                return []
        from_id = unescape(after.removeprefix(self._base).split("/")[0]) if after else ""
        beyond = ">" if after.endswith(PAGE_END) else ">="
        query = f"SELECT order_id FROM orders WHERE order_id {beyond} ? AND {_SHOWN} ORDER BY order_id LIMIT {PAGE_ORDERS}"
        return [r[0] for r in self._reader.rows(query, (from_id,))]


def _below(wanted: list[str], base: list[str]) -> list[str]:
    """The levels of a filter below the levels of `base`; empty if the filter matches nothing there."""
    for place, level in enumerate(base):
        if place >= len(wanted) or wanted[place] not in (level, "+", "#"):
            return []
        if wanted[place] == "#":
            return ["#"]
    return wanted[len(base) :]


def _fits(wanted: list[str], kind: str) -> bool:
    """Whether a filter, below `orders/`, can match statuses (`ORDER/status`) or those of parcels (`ORDER/parcels/PARCEL`)."""
    shape = ["", kind] if kind == "status" else ["", kind, ""]
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(shape) or (shape[place] and level not in (shape[place], "+")):
            return False
    return len(wanted) == len(shape)
