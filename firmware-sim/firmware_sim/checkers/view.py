"""A record, looked at: every payload decoded once, and what several checkers ask for."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

import cbor2

from devices.protocol import device_messages, encoding
from devices.protocol.topics import Topics, unescape
from devices.protocol.vocabulary import TIMED_FLAGS, EventType, OrderState
from firmware_sim.checkers.belonging import Belonging, as_stored, by_the_law, patterns_of
from firmware_sim.checkers.model.events import Happened
from firmware_sim.checkers.model.reading import Expected, read_order
from firmware_sim.record import Acknowledged, Committed, Mangled, Published, Received, Record, Row, Sent

Plain = dict[str, Any]

SETTLED: Final = frozenset({OrderState.DELIVERED, OrderState.COMPLETED, OrderState.CANCELLED, OrderState.RETURNED, OrderState.EXCEPTION})
"""States in which nothing more is expected: their topics are cleared after a while."""
BRIDGE: Final = "bridge"
"""The device name under which the bridge writes events of its own."""
MAY_CHANGE: Final = frozenset({"sent_boot", "sent_mono_ms", "tz_min", "by"})
"""What may differ when an event is sent again; fields that the contract does not have may differ too."""


class Broken(NamedTuple):
    """A sentence about what is wrong, and when it shows (0: at the end)."""

    text: str
    at_ms: int = 0


class Receipted(NamedTuple):
    """A receipt that came to a device."""

    at_ms: int
    plain: Plain


class View:
    """What checkers read. Everything is worked out when it is first asked for; nothing of it changes."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self.end = record.end
        self.topics = Topics(record.site)
        self._plain: dict[bytes, Plain | None] = {}
        self._levels: dict[str, list[str]] = {}
        self._event_types: dict[str, str | None] = {}

    def table(self, name: str) -> list[Row]:
        """The rows of a table at the end; none if the record has no such table."""
        return self.end.tables.get(name, [])

    def plain(self, payload: bytes) -> Plain | None:
        """A payload as a map; None if it is not one."""
        try:
            return self._plain[payload]
        except KeyError:
            found = self._plain[payload] = _decoded(payload)
            return found

    def is_well(self, device: str) -> bool:
        """Whether nothing of this device may be missing at the end."""
        cast = self.record.cast.get(device)
        return cast is not None and cast.is_well

    def levels(self, topic: str) -> list[str]:
        """The levels of a topic below this site; none if it belongs to another site."""
        found = self._levels.get(topic)
        if found is None:
            base = self.topics.base + "/"
            found = self._levels[topic] = topic[len(base) :].split("/") if topic.startswith(base) else []
        return found

    # --- entries ----------------------------------------------------------------------------------------------------------

    @cached_property
    def published(self) -> dict[int, Published]:
        """Every PUBLISH by its number."""
        return {e.no: e for e in self.record.entries if type(e) is Published}

    @cached_property
    def mangled(self) -> frozenset[int]:
        """Numbers of what a fault changed on its way."""
        return frozenset(e.no for e in self.record.entries if type(e) is Mangled)

    @cached_property
    def acknowledged(self) -> list[tuple[Acknowledged, Published]]:
        """What was acknowledged as its device meant it, in the order of the PUBACKs."""
        pairs = ((e, self.published.get(e.no)) for e in self.record.entries if type(e) is Acknowledged and e.no not in self.mangled)
        return [(e, p) for e, p in pairs if p is not None]

    @cached_property
    def received(self) -> list[Received]:
        return [e for e in self.record.entries if type(e) is Received]

    @cached_property
    def commits(self) -> list[Committed]:
        """None over real MQTT: what rests on them is not judged then."""
        return [e for e in self.record.entries if type(e) is Committed]

    @cached_property
    def sent(self) -> list[tuple[int, Sent]]:
        """What the bridge was bound to send, with the time of its commit."""
        return [(c.at_ms, effect) for c in self.commits for effect in c.effects if type(effect) is Sent]

    def event_type(self, topic: str) -> str | None:
        """The event type of a topic that events are published to."""
        try:
            return self._event_types[topic]
        except KeyError:
            levels = self.levels(topic)
            is_event = len(levels) == 4 and levels[0] == "devices" and levels[2] == "events"
            found = self._event_types[topic] = levels[3] if is_event else None
            return found

    @cached_property
    def receipts(self) -> dict[str, list[Receipted]]:
        """By device: what came on its receipts topic."""
        found: dict[str, list[Receipted]] = defaultdict(list)
        own = {device: self.topics.receipts(device) for device in self.record.cast}
        for e in self.received:
            if e.topic == own.get(e.device) and (plain := self.plain(e.payload)) is not None:
                found[e.device].append(Receipted(e.at_ms, plain))
        return found

    # --- tables -----------------------------------------------------------------------------------------------------------

    @cached_property
    def stored(self) -> dict[tuple[str, bytes], Row]:
        """Stored events by (device, id)."""
        return {(r["device"], r["id"]): r for r in self.table("events")}

    @cached_property
    def reused(self) -> frozenset[int]:
        """By place in the log: events whose number another event of their log has, which came before them."""
        first: dict[tuple[str, bytes, int], int] = {}
        for row in sorted(self.table("events"), key=lambda r: int(r["pos"])):
            first.setdefault((row["device"], row["log"], row["seq"]), row["pos"])
        return frozenset(r["pos"] for r in self.table("events") if first[(r["device"], r["log"], r["seq"])] != r["pos"])

    @cached_property
    def shifts(self) -> dict[str, list[Row]]:
        """By device: the events that start and end a shift."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.table("events"):
            if row["type"] in ("shift_started", "shift_ended"):
                found[row["device"]].append(row)
        return found

    @cached_property
    def refused(self) -> set[tuple[str, bytes]]:
        """(device, digest) of messages that never became an event and are kept in quarantine."""
        return {(r["device"], r["digest"]) for r in self.table("quarantine") if r["pos"] is None}

    @cached_property
    def stored_receipts(self) -> dict[int, tuple[Row, Plain]]:
        """By place in the log: the receipt that holds."""
        return {r["pos"]: (r, self.plain(r["payload"]) or {}) for r in self.table("receipts")}

    @cached_property
    def orders(self) -> dict[str, Row]:
        return {r["order_id"]: r for r in self.table("orders")}

    @cached_property
    def shown(self) -> dict[str, Row]:
        """Orders whose status is still to be seen: those that ended are taken down in the end, those whose creation was voided at once."""
        return {o: r for o, r in self.orders.items() if r["state"] and not (r["state"] in SETTLED and r["due_ms"] is None)}

    @cached_property
    def by_law(self) -> dict[int, Belonging]:
        """By place in the log: the orders in which an event belongs, decided from all stored events. Those that name a job are not here."""
        told = ((row, self.plain(row["payload"])) for row in self.table("events"))
        return by_the_law(((row, plain) for row, plain in told if plain is not None), patterns_of(self.table("code_rules")))

    @cached_property
    def _placed(self) -> dict[int, list[Row]]:
        found: dict[int, list[Row]] = defaultdict(list)
        for row in self.table("placed"):
            found[row["pos"]].append(row)
        return found

    def kept(self, row: Row) -> Belonging:
        """The orders in which the bridge has an event."""
        return as_stored(row, self._placed.get(row["pos"], ()))

    def belongs(self, row: Row) -> Belonging:
        return self.by_law.get(row["pos"]) or self.kept(row)

    @cached_property
    def expected(self) -> dict[str, Expected]:
        """Every order as the contract wants it, from the stored events that belong in it."""
        events: dict[str, list[Happened]] = defaultdict(list)
        for row in self.table("events"):
            told = self.plain(row["payload"])
            if told is None:
                continue
            where = self.belongs(row)
            for order, inside in where.orders.items():
                body: Mapping[str, Any] = told if row["type"] == "decided" else told.get("body") or {}
                events[order].append(
                    Happened(
                        *(row["device"], row["role"], row["type"], row["log"], row["seq"], row["id"], row["event_ms"], row["received_ms"], body),
                        *(told.get("parcel"), row["code"], row["at"], row["fault"], row["courier"], row["terms"]),
                        article=row.get("article"),
                        carrier=row.get("carrier"),
                        seq_reused=row["pos"] in self.reused,
                        refusal=where.refusal,
                        inside=inside,
                    ),
                )
        return {order: read_order(order, told) for order, told in events.items()}


def _decoded(payload: bytes) -> Plain | None:
    """CBOR, or JSON if the first byte is `{`. Strictness is the bridge's business; here it is only read."""
    try:
        value = encoding.load_json(payload) if payload[:1] == b"{" else cbor2.loads(payload)
    except (encoding.PayloadError, cbor2.CBORDecodeError, ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def untimed(flags: list[str]) -> frozenset[str]:
    """Flags without those that depend on the present time."""
    return frozenset(f for f in flags if f not in TIMED_FLAGS)


def unescaped(level: str) -> str | None:
    """The id behind a topic level; None if no id could have made it."""
    try:
        return unescape(level)
    except ValueError:
        return None


def as_frozen(plain: Plain | None, event_type: str) -> Plain | None:
    """What makes an event that event, whenever and however it is sent; None if it is not an event of this type."""
    try:
        event = device_messages.event_of(plain, EventType(event_type))
    except ValueError:
        return None
    frozen = {name: value for name, value in encoding.plain(event).items() if name not in MAY_CHANGE}
    if event_type == EventType.SHIFT_STARTED:
        del frozen["body"]  # it has a badge and nothing else, which is stored as a pseudonym
    return frozen


def texts(value: Any) -> Iterator[str]:
    """Every text in a plain value, keys too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


def says(text: str, secret: str) -> bool:
    """Whether a text holds a secret as a word of its own."""
    return re.search(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", text) is not None


def called(uid: tuple[str, bytes]) -> str:
    """An event as people look for it."""
    return f"event {uid[1].hex()[:12]} of {uid[0]}"
