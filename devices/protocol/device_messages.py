"""What devices publish: events, presence, locations."""

from __future__ import annotations

from functools import lru_cache
from types import new_class
from typing import Annotated, Any, Final, Generic, TypeVar, cast

from msgspec import Meta, Struct

from devices.protocol.bodies import BODIES, Body
from devices.protocol.encoding import PayloadError, convert, load
from devices.protocol.fields import UINT_MAX, Bytes8, Code, EventId, Id, LatE7, LonE7, Metres, Uint, WallClock, Word
from devices.protocol.topics import escape
from devices.protocol.vocabulary import EventType

POINTS_MAX: Final = 500

B = TypeVar("B")


class Event(Struct, Generic[B], frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened, as the device tells it. `Event[Pack]` is an event with the body of a pack."""

    id: EventId
    log: Bytes8
    seq: Annotated[int, Meta(ge=1, le=UINT_MAX)]
    boot: Bytes8
    mono_ms: Uint
    at_ms: WallClock
    sent_boot: Bytes8
    sent_mono_ms: Uint
    body: B
    tz_min: Annotated[int, Meta(ge=-1440, le=1440)] | None = None
    order: Id | None = None
    parcel: Id | None = None
    code: Code | None = None
    at: Id | None = None
    by: Word | None = None


class Presence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A device is there, or (its will) no longer. Published on every connect, before events: it gives the first clock sample."""

    online: bool
    boot: Bytes8
    log: Bytes8 | None = None
    last_seq: Uint | None = None
    backlog: Uint | None = None
    battery_percent: Annotated[int, Meta(ge=0, le=100)] | None = None
    firmware: Word | None = None
    at_ms: WallClock | None = None
    mono_ms: Uint | None = None


class Point(Struct, frozen=True, array_like=True):
    """One fix, as an array: `[mono_ms, lat_e7, lon_e7, accuracy_m, speed_dm_s or null]`."""

    mono_ms: Uint
    lat_e7: LatE7
    lon_e7: LonE7
    accuracy_m: Metres
    speed_dm_s: Annotated[int, Meta(ge=0, le=10_000)] | None


class LocationBatch(Struct, frozen=True, kw_only=True):
    log: Bytes8
    boot: Bytes8
    sent_mono_ms: Uint
    points: Annotated[list[Point], Meta(min_length=1, max_length=POINTS_MAX)]


def _event_kind(body: Any) -> type[Event[Any]]:
    """`Event[body]` as a class of its own: msgspec finds what it knows of a class without a call into Python, a third faster than of an alias."""
    options = {"frozen": True, "kw_only": True, "omit_defaults": True}
    return cast("type[Event[Any]]", new_class("Event", (Event[body],), options))


EVENT_KINDS: Final[dict[EventType, type[Event[Any]]]] = {t: _event_kind(body) for t, body in BODIES.items()}
"""The whole payload of every event type."""


def decode_event(payload: bytes, event_type: EventType) -> Event[Body]:
    """An event's payload, its body as its type asks.

    Raises:
        PayloadError: the payload breaks the contract.
    """
    return event_of(load(payload), event_type)


def event_of(plain: Any, event_type: EventType) -> Event[Body]:
    """An event from its plain value.

    Raises:
        PayloadError: the value breaks the contract.
    """
    event = convert(plain, EVENT_KINDS[event_type])
    if event.order is not None:
        _check_level("order", event.order)
    if event.parcel is not None:
        _check_level("parcel", event.parcel)
    if event.at is not None:
        _check_level("at", event.at)
    if event_type in _NAMES_TOPICS:
        for name in ("courier", "job"):
            value = getattr(event.body, name, None)
            if value is not None:
                _check_level(f"body.{name}", value)
    return event


_NAMES_TOPICS = frozenset({EventType.ASSIGNED, EventType.UNASSIGNED, EventType.CLAIM, EventType.DECLINE})


@lru_cache(maxsize=4096)
def _check_level(name: str, value: str) -> None:
    try:
        escape(value)
    except ValueError as error:
        raise PayloadError(f"{name}: {error}") from error
