"""What devices publish: events, presence, locations."""

from __future__ import annotations

from functools import lru_cache
from types import new_class
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar, cast

from msgspec import Meta, Struct

from devices.protocol.bodies import BODIES, Body
from devices.protocol.encoding import PayloadError, convert, convert_valid, load
from devices.protocol.fields import (
    Bytes8,
    Code,
    EventId,
    Id,
    LatE7,
    LonE7,
    Metres,
    OffsetMin,
    Percent,
    Positive,
    Small,
    Uint,
    WallClock,
    Word,
)
from devices.protocol.topics import escape
from devices.protocol.vocabulary import EventType

POINTS_MAX: Final = 500
"""Fixes in one batch of locations."""

B = TypeVar("B")


class Event(Struct, Generic[B], frozen=True, kw_only=True, omit_defaults=True):
    """Something that happened, as the device tells it. `Event[Pack]` is an event with the body of a pack."""

    id: EventId
    """Made once, with the event, and the same in every resend: site, device and `id` are its identity. The same `id` with other content is `id_reused`."""
    log: Bytes8
    """The device's log: random bytes, made when its outbox is created, and kept until the outbox is lost."""
    seq: Positive
    """The place in `log`: 1, 2, 3, … without a gap, over restarts too. It shows the server what is missing. A repeated number is `seq_reused`."""
    boot: Bytes8
    """Random bytes that name this start of the operating system; of the software, if that is all that can be known. `mono_ms` counts within it."""
    mono_ms: Uint
    """The monotonic clock of `boot` at the event, in ms. It must go on while the device sleeps: Android elapsedRealtime, Linux CLOCK_BOOTTIME,
    iOS mach_continuous_time. It gives the event its time, whatever the wall clock shows."""
    at_ms: WallClock
    """The wall clock at the event, as the device believes it. It counts only if no counter says more: 0 if the device has no clock."""
    sent_boot: Bytes8
    """`boot` when this copy is handed to the network. New in every resend."""
    sent_mono_ms: Uint
    """The monotonic clock of `sent_boot` when this copy is handed to the network. The server compares it with its own clock. New in every resend."""
    body: B
    """What the event type asks for. An empty map if it asks for nothing."""
    tz_min: OffsetMin | None = None
    """The device's time zone at the event, for reports. It may differ in a resend."""
    order: Id | None = None
    """The order, if the device knows it."""
    parcel: Id | None = None
    """The parcel, if the device knows it: its id as a `pack` named it, or as a status or assignment shows it."""
    code: Code | None = None
    """The scanned text, untouched. It says which order and parcel are meant. If it contradicts `order`, the scan is the truth."""
    at: Id | None = None
    """Where it happened: a station, dock or hub. Without it, the place with which the device was enrolled."""
    by: Word | None = None
    """Who acted: what is on their badge. The server stores a random pseudonym in its place. It may differ in a resend. `shift_started` makes it needless."""


class Presence(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A device is there, or (its will) no longer. Published on every connect, before events: it gives the first clock sample. What is retained is what the
    device said last, with `online` as its connections say. It has no clock if a connection was lost, or nothing was said since it began."""

    online: bool
    """True after each connect. False in the will, and before a DISCONNECT. For readers: whether a connection of the device stands."""
    boot: Bytes8
    """The present start, as in events. For readers: eight zero bytes if the device has never published its presence."""
    log: Bytes8 | None = None
    """The log of the outbox, as in events. Not in the will."""
    last_seq: Uint | None = None
    """The highest `seq` that was made in `log`; 0 if none was. Not in the will."""
    backlog: Uint | None = None
    """How many events of `log` the server has not acknowledged yet. Not in the will."""
    battery_percent: Percent | None = None
    """The charge of the battery."""
    firmware: Word | None = None
    """The name and version of the firmware, for the desk."""
    at_ms: WallClock | None = None
    """The wall clock now. Not in the will: it would show when the device connected."""
    mono_ms: Uint | None = None
    """The monotonic clock of `boot` now. Not in the will."""


BOOT_UNKNOWN: Final = bytes(8)
"""The boot of a device that has never published its presence."""


class Point(Struct, frozen=True, array_like=True):
    """One fix, as an array: `[mono_ms, lat_e7, lon_e7, accuracy_m, speed_dm_s or null]`."""

    mono_ms: Uint
    """The monotonic clock of the batch's `boot` at the fix."""
    lat_e7: LatE7
    """Where it was."""
    lon_e7: LonE7
    """Where it was."""
    accuracy_m: Metres
    """The radius of the uncertainty, as the phone gives it, rounded up."""
    speed_dm_s: Small | None
    """The speed in tenths of a metre per second, or null if it is not known."""

    @property
    def has_fix(self) -> bool:
        """False for 0, 0, a place in the Atlantic Ocean: there, receivers say that they do not know yet where they are."""
        return self.lat_e7 != 0 or self.lon_e7 != 0


Points = Annotated[list[Point], Meta(min_length=1, max_length=POINTS_MAX)]
"""Fixes, oldest first."""


class LocationBatch(Struct, frozen=True, kw_only=True):
    """Where a courier's phone was, as fixes since the last batch. QoS 0; QoS 1 for fixes that were kept while there was no network. A fix that cannot be used
    does not spoil the others."""

    log: Bytes8
    """The log of the outbox, as in events."""
    boot: Bytes8
    """The start in which all these fixes were made."""
    sent_mono_ms: Uint
    """The monotonic clock of `boot` when the batch is handed to the network."""
    points: Points
    """The fixes, oldest first."""


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


class Locations(NamedTuple):
    """A location batch as it was received: with the points that keep to the contract, how many do not, and what is wrong with the first of these."""

    batch: LocationBatch
    broken: int = 0
    fault: str | None = None


def decode_locations(payload: bytes) -> Locations:
    """A location batch, without the points that break the contract.

    Raises:
        PayloadError: the payload breaks the contract outside its points.
    """
    plain = load(payload)
    try:
        return Locations(convert(plain, LocationBatch))
    except PayloadError as error:
        envelope = convert(plain, _Envelope)
        points = convert_valid(envelope.points, Point)
        batch = LocationBatch(log=envelope.log, boot=envelope.boot, sent_mono_ms=envelope.sent_mono_ms, points=points)
        return Locations(batch, len(envelope.points) - len(points), str(error))


class _Envelope(Struct, frozen=True, kw_only=True):
    """A `LocationBatch` whose points may be anything."""

    log: Bytes8
    boot: Bytes8
    sent_mono_ms: Uint
    points: Annotated[list[Any], Meta(min_length=1, max_length=POINTS_MAX)]


_NAMES_TOPICS = frozenset({EventType.ASSIGNED, EventType.UNASSIGNED, EventType.CLAIM, EventType.DECLINE})


@lru_cache(maxsize=4096)
def _check_level(name: str, value: str) -> None:
    try:
        escape(value)
    except ValueError as error:
        raise PayloadError(f"{name}: {error}") from error
