"""What the bridge publishes: receipts, statuses, positions, assignments, alerts, its own state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, field

from devices.protocol.fields import NO_NUL, UINT_MAX, Bytes8, Code, Count, EventId, Id, LatE7, LonE7, Metres, Uint, Word
from devices.protocol.vocabulary import (
    ORDER_STATE_WORDS,
    AlertCode,
    EventType,
    Flag,
    JobState,
    Next,
    Outcome,
    ParcelState,
    Reason,
    Severity,
    Tone,
    Warn,
    Waypoint,
)

if TYPE_CHECKING:
    OrderStateWord = str
    StateWord = str
else:
    OrderStateWord = Literal[ORDER_STATE_WORDS]
    StateWord = Literal[tuple(dict.fromkeys((*ORDER_STATE_WORDS, *map(str, ParcelState), *map(str, Waypoint))))]


class Left(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What of an order line is still to be picked or packed, and where it is, if the site has a list of articles."""

    sku: Id
    qty: Count
    bin: Word | None = None
    name: Word | None = None


class Expected(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the bridge would have taken instead: where a device can show it to its worker."""

    order: Id | None = None
    parcel: Id | None = None
    sku: Id | None = None
    rev: Uint | None = None


class Receipt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The bridge's answer to one message. The highest `n` of an `id` holds; `final` says that no other is expected. `type` is the event type as it was sent,
    the last level of its topic, cut to 64 characters (`presence` and `location` name themselves). With `digest`, the first 8 bytes of SHA-256 over the
    payload, that message never became an event: `id`, `log` and `seq` are those that could be read in it, and are left out if another event has that id. With
    `quiet` a device shows the verdict and does not beep: it changed long after the scan, or in another shift.
    """

    n: Annotated[int, Meta(ge=1, le=1_000_000)]
    final: bool
    outcome: Outcome
    tone: Tone
    at_ms: Uint
    type: Word | None = None
    id: EventId | None = None
    digest: Bytes8 | None = None
    log: Bytes8 | None = None
    seq: Annotated[int, Meta(ge=1, le=UINT_MAX)] | None = None
    again: bool = False
    quiet: bool = False
    order: Id | None = None
    parcel: Id | None = None
    state: OrderStateWord | None = None
    rev: Uint | None = None
    reason: Reason | None = None
    detail: Annotated[str, Meta(max_length=200, pattern=NO_NUL)] | None = None
    next: Next | None = None
    left: Annotated[list[Left], Meta(max_length=500)] | None = None
    expected: Expected | None = None
    warn: Annotated[list[Warn], Meta(max_length=8)] | None = None
    epoch: Uint = 0


class SeqRange(Struct, frozen=True, kw_only=True):
    """The events of one log from one number to another, both included."""

    log: Bytes8
    first: Annotated[int, Meta(ge=1, le=UINT_MAX)] = field(name="from")
    last: Annotated[int, Meta(ge=1, le=UINT_MAX)] = field(name="to")


class ResendRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the server lacks of a device after its database was restored: the device sends those events again that it still has, as they were. It comes on
    the receipts topic, where a map with the key `resend` is never a receipt.
    """

    resend: SeqRange
    epoch: Uint = 0


class Progress(Struct, frozen=True, kw_only=True):
    """Counts of parcels. `packed`, `shipped` and `delivered` count parcels that are there or further."""

    parcels: Uint
    packed: Uint
    shipped: Uint
    delivered: Uint
    exceptions: Uint


class Milestone(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A state that was reached. Where it was `inferred` from a later one, `at_ms` is the latest it can have been."""

    state: StateWord
    at_ms: Uint | None = None
    expected_ms: Uint | None = None
    inferred: bool = False


class Last(Struct, frozen=True, kw_only=True):
    type: EventType
    at_ms: Uint


HOLDS_MAX = 16
"""Reasons of holds that a status names."""
Milestones = Annotated[list[Milestone], Meta(max_length=64)]
Flags = Annotated[list[Flag], Meta(max_length=16)]


class Eta(Struct, frozen=True, kw_only=True):
    from_ms: Uint
    to_ms: Uint
    made_ms: Uint
    source: Word


class OrderStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The retained status of an order. `holds` are the reasons of the holds that stand, the first ones in alphabetical order. The highest (`epoch`, `rev`)
    holds.
    """

    order: Id
    state: OrderStateWord
    flags: Flags
    rev: Uint
    at_ms: Uint
    updated_ms: Uint
    progress: Progress
    percent: Annotated[int, Meta(ge=0, le=100)]
    milestones: Milestones
    last: Last
    hash: Bytes8
    eta: Eta | None = None
    holds: Annotated[list[Word], Meta(max_length=HOLDS_MAX)] | None = None
    epoch: Uint = 0


class ParcelStatus(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The retained status of one parcel. `attempts` counts the failed deliveries."""

    parcel: Id
    order: Id
    state: ParcelState
    flags: Flags
    rev: Uint
    at_ms: Uint
    milestones: Milestones
    hash: Bytes8
    codes: Annotated[list[Code], Meta(max_length=500)] | None = None
    where: Id | None = None
    attempts: Uint = 0
    epoch: Uint = 0


class Position(Struct, frozen=True, kw_only=True):
    lat_e7: LatE7
    lon_e7: LonE7
    accuracy_m: Metres
    at_ms: Uint


class Stop(Struct, frozen=True, kw_only=True):
    """One stop of a job, with the codes of its parcels so that a phone can check scans without signal."""

    stop: Id
    orders: Annotated[list[Id], Meta(max_length=500)]
    parcels: Annotated[list[Id], Meta(max_length=500)]
    codes: Annotated[list[Code], Meta(max_length=500)]
    handling: Annotated[list[Word], Meta(max_length=32)]


class Assignment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    job: Id
    rev: Uint
    state: JobState
    stops: Annotated[list[Stop], Meta(max_length=500)]
    lease_until_ms: Uint | None = None
    epoch: Uint = 0


class Alert(Struct, frozen=True, kw_only=True):
    code: AlertCode
    subject: Id
    severity: Severity
    since_ms: Uint
    text: Annotated[str, Meta(max_length=500, pattern=NO_NUL)]
    fix: Annotated[str, Meta(max_length=500, pattern=NO_NUL)]


class Limits(Struct, frozen=True, kw_only=True):
    """What the server takes from one client. A packet that is larger closes the connection; a client that is faster is read more slowly; `window` is how many
    QoS 1 and 2 messages it has in flight to one client. A payload of at most `payload_bytes_max` fits into a packet, whatever its topic.
    """

    packet_bytes_max: Uint
    payload_bytes_max: Uint
    publish_rate_max: Uint
    window: Uint


class BridgeState(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The server's own state. `contract` is the edition of the contract that it speaks; a later one only adds. `epoch` grows by one each time that the
    database is restored from a backup: what was said in an earlier epoch may be undone. It is left out while it is 0, here and in every other message.
    """

    online: bool
    version: Word
    started_ms: Uint
    contract: Word
    epoch: Uint = 0
    limits: Limits | None = None
