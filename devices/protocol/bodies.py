"""What each event type asks for in its `body`. One struct a type; the field's type says its range and length.

`BODIES` is the whole table. Units are in the names: ms, g, mm; money is in minor units (cents) with its ISO 4217 code.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from devices.protocol.fields import UINT_MAX as UINT_MAX
from devices.protocol.fields import Code, Count, Country, Currency, EventId, Id, Millimetres, Uint, Word
from devices.protocol.vocabulary import EventType, PodMethod

Words = Annotated[list[Word], Meta(min_length=1, max_length=64)]


class Body(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Root of all bodies: frozen; a field with a default may be left out."""


class Line(Body, frozen=True):
    sku: Id
    qty: Count


Lines = Annotated[list[Line], Meta(min_length=1, max_length=500)]


class Created(Body, frozen=True):
    """An order. `amount_minor` in `currency` is what has to be paid for it; without it, every payment is enough."""

    channel: Word
    lines: Lines
    allow_partial: bool
    payment: Literal["prepaid", "on_delivery"]
    dest_country: Country | None = None
    promise_ms: Uint | None = None
    mode: Word | None = None
    stops: Annotated[list[Id], Meta(max_length=64)] | None = None
    amount_minor: Uint | None = None
    currency: Currency | None = None


class Paid(Body, frozen=True):
    amount_minor: Uint
    currency: Currency


class Refunded(Body, frozen=True):
    amount_minor: Uint
    currency: Currency
    reason: Word


class CashCounted(Body, frozen=True):
    """The cash that a courier handed in."""

    courier: Id
    amount_minor: Uint
    currency: Currency


class Nothing(Body, frozen=True):
    """A body without fields of its own."""


class Amended(Body, frozen=True):
    changed: Words
    lines: Lines | None = None


class Because(Body, frozen=True):
    """A body that only gives its reason: a short word, never a sentence with a person in it.

    `REASONS` in `reasons.py` has the words of each event type; others are accepted, and stored as they are.
    """

    reason: Word


class Released(Body, frozen=True):
    """The end of a hold: of the one for this reason, of `all`, or, with neither, of the only one."""

    reason: Word | None = None
    all: bool = False


class Cancelled(Body, frozen=True):
    """A cancellation. It binds from when the bridge knows it; `since_ms` is when the shop cancelled, and is shown, if the bridge learns of it later."""

    reason: Word
    since_ms: Uint | None = None


class ShiftStarted(Body, frozen=True):
    worker: Word


class Pick(Body, frozen=True):
    sku: Id
    qty: Count
    bin: Word | None = None
    short: bool = False


class Pack(Body, frozen=True):
    items: Lines | None = None
    weight_g: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    dims_mm: Annotated[list[Millimetres], Meta(min_length=3, max_length=3)] | None = None


class Labelled(Body, frozen=True):
    code: Code
    kind: Literal["sscc", "waybill", "plain"]
    replaces: Code | None = None


Codes = Annotated[list[Code], Meta(min_length=1, max_length=500)]


class Aggregated(Body, frozen=True):
    """Labels, order ids or containers were put into a container."""

    parent: Code
    children: Codes


class Disaggregated(Body, frozen=True):
    """Some children, or with `all` everything, were taken out of a container."""

    parent: Code
    children: Codes | None = None
    all: bool = False


class Stage(Body, frozen=True):
    dock: Id


class Load(Body, frozen=True):
    vehicle: Word


class Unload(Body, frozen=True):
    reason: Word | None = None


class AtHub(Body, frozen=True):
    hub: Id


class CustomsEntered(Body, frozen=True):
    country: Country
    direction: Literal["export", "import", "transit"]


class CustomsHeld(Body, frozen=True):
    country: Country
    reason: Word


class AtBorder(Body, frozen=True):
    country: Country


class Assigned(Body, frozen=True):
    courier: Id
    job: Id | None = None


class Unassigned(Body, frozen=True):
    job: Id
    reason: Word


class Claim(Body, frozen=True):
    job: Id
    rev: Uint


class Decline(Body, frozen=True):
    job: Id
    reason: Word


class OutForDelivery(Body, frozen=True):
    stop_seq: Annotated[int, Meta(ge=0, le=10_000)] | None = None


class StopArrived(Body, frozen=True):
    stop: Id


class AvailableForPickup(Body, frozen=True):
    point: Id
    until_ms: Uint | None = None


class ProofOfDelivery(Body, frozen=True):
    """How a delivery is proved; only the hash of a picture or signature travels, never the thing itself.

    `consent` says that the recipient agreed to a place or person other than the door.
    """

    method: PodMethod
    hash: Annotated[bytes, Meta(min_length=8, max_length=64)] | None = None
    consent: bool | None = None


class Collected(Body, frozen=True):
    amount_minor: Uint
    currency: Currency
    tender: Literal["cash", "card", "wallet", "other"]


class Delivery(Body, frozen=True):
    pod: ProofOfDelivery
    collected: Collected | None = None


class Returned(Body, frozen=True):
    """What came back; without `items` it is the whole parcel.

    `Condition` in `reasons.py` has the words for its condition; others are accepted.
    """

    dock: Id
    items: Lines | None = None
    condition: Word | None = None


class Damaged(Body, frozen=True):
    severity: Literal["minor", "major", "total"]
    reason: Word | None = None


class Void(Body, frozen=True):
    ref: EventId
    reason: Literal["did_not_occur", "incorrect_data"]
    corrective: Annotated[list[EventId], Meta(max_length=16)] | None = None


BODIES: dict[EventType, type[Body]] = {
    EventType.CREATED: Created,
    EventType.PAID: Paid,
    EventType.REFUNDED: Refunded,
    EventType.APPROVED: Nothing,
    EventType.AMENDED: Amended,
    EventType.HELD: Because,
    EventType.RELEASED: Released,
    EventType.CANCELLED: Cancelled,
    EventType.COMPLETED: Nothing,
    EventType.SHIFT_STARTED: ShiftStarted,
    EventType.SHIFT_ENDED: Nothing,
    EventType.BREAK_STARTED: Nothing,
    EventType.BREAK_ENDED: Nothing,
    EventType.PICK: Pick,
    EventType.PACK: Pack,
    EventType.UNPACK: Because,
    EventType.LABELLED: Labelled,
    EventType.AGGREGATED: Aggregated,
    EventType.DISAGGREGATED: Disaggregated,
    EventType.STAGE: Stage,
    EventType.LOAD: Load,
    EventType.UNLOAD: Unload,
    EventType.DEPART: AtHub,
    EventType.ARRIVE: AtHub,
    EventType.CUSTOMS_ENTERED: CustomsEntered,
    EventType.CUSTOMS_HELD: CustomsHeld,
    EventType.CUSTOMS_CLEARED: AtBorder,
    EventType.BORDER_ENTERED: AtBorder,
    EventType.ASSIGNED: Assigned,
    EventType.UNASSIGNED: Unassigned,
    EventType.CASH_COUNTED: CashCounted,
    EventType.CLAIM: Claim,
    EventType.DECLINE: Decline,
    EventType.PICKUP: Nothing,
    EventType.OUT_FOR_DELIVERY: OutForDelivery,
    EventType.STOP_ARRIVED: StopArrived,
    EventType.ATTEMPT_FAILED: Because,
    EventType.AVAILABLE_FOR_PICKUP: AvailableForPickup,
    EventType.DELIVERY: Delivery,
    EventType.REFUSED: Because,
    EventType.RETURN_STARTED: Because,
    EventType.RETURNED: Returned,
    EventType.DAMAGED: Damaged,
    EventType.LOST: Nothing,
    EventType.FOUND: Nothing,
    EventType.DESTROYED: Because,
    EventType.VOID: Void,
}
"""The body of every event type. A test proves that no type is missing."""
