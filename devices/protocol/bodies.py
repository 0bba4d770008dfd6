"""What each event type asks for in its `body`. One struct a type; the field's type says its range and length.

`BODIES` is the whole table. What shops and the desk send is in `shop_bodies.py`, what several bodies share in
`body_parts.py`. Units are in the names: ms, g, mm; money is in minor units (cents) with its ISO 4217 code.
"""

from __future__ import annotations

from typing import Final

from devices.protocol.body_parts import Because as Because
from devices.protocol.body_parts import Body as Body
from devices.protocol.body_parts import Codes, Dimensions, EventIds, Lines
from devices.protocol.body_parts import Line as Line
from devices.protocol.body_parts import Nothing as Nothing
from devices.protocol.choices import CustomsDirection, DamageSeverity, LabelKind, PodMethod, Tender, VoidReason
from devices.protocol.fields import ID_CHARS_MAX as ID_CHARS_MAX
from devices.protocol.fields import UINT_MAX as UINT_MAX
from devices.protocol.fields import Code, Count, Country, Currency, EventId, Grams, Id, ProofHash, Small, Uint, Word
from devices.protocol.private import NoteAdded as NoteAdded
from devices.protocol.shop_bodies import Amended as Amended
from devices.protocol.shop_bodies import Assigned as Assigned
from devices.protocol.shop_bodies import Cancelled as Cancelled
from devices.protocol.shop_bodies import CashCounted as CashCounted
from devices.protocol.shop_bodies import Created as Created
from devices.protocol.shop_bodies import Paid as Paid
from devices.protocol.shop_bodies import Refunded as Refunded
from devices.protocol.shop_bodies import Released as Released
from devices.protocol.shop_bodies import Unassigned as Unassigned
from devices.protocol.vocabulary import EventType


class ShiftStarted(Body, frozen=True):
    """A worker and a device."""

    worker: Word
    """What is on their badge. The server stores a random pseudonym in its place."""


class ShiftEnded(Body, frozen=True):
    """The end of a shift: that of the device's worker, or of the courier whom a desk names."""

    courier: Id | None = None
    """Whose shift it was, if a desk ends one that was forgotten. Others leave it out: a device ends its own."""


class Pick(Body, frozen=True):
    """Goods that were taken."""

    sku: Id
    """The article, as the order names it, or by another of its numbers. `code`, if there is one, is what was scanned, and must be this article."""
    qty: Count
    """How many pieces were taken. With `short`, it does not count."""
    bin: Word | None = None
    """The shelf."""
    short: bool = False
    """True: they are not there. The order is flagged `short`, and nothing is counted as picked."""


class Pack(Body, frozen=True):
    """A packed parcel."""

    items: Lines | None = None
    """What is in it. Needed if the order has several parcels (`items_needed`); without it, everything that is not in the others."""
    weight_g: Grams | None = None
    """Its weight."""
    dims_mm: Dimensions | None = None
    """Length, width and height."""


class Labelled(Body, frozen=True):
    """A label on a parcel."""

    code: Code
    """What the label says when it is scanned."""
    kind: LabelKind
    """What this code is."""
    replaces: Code | None = None
    """The label that was on the parcel before. It is an `old_label` from now on, and says which parcel is meant if nothing else does."""
    carrier: Word | None = None
    """Which carrier the label is of, if it is of one. The parcel goes with this carrier, whichever the order goes with."""
    service: Word | None = None
    """Which service of the carrier. The number under which the carrier follows the parcel is `code`, if `kind` is `waybill`."""


class Aggregated(Body, frozen=True):
    """Labels, order ids or containers were put into a container."""

    parent: Code
    """The code of the container."""
    children: Codes
    """The codes of what was put into it."""


class Disaggregated(Body, frozen=True):
    """Some children, or with `all` everything, were taken out of a container."""

    parent: Code
    """The code of the container."""
    children: Codes | None = None
    """The codes of what was taken out."""
    all: bool = False
    """True: everything was."""


class Stage(Body, frozen=True):
    """A dock."""

    dock: Id
    """The dock."""


class Load(Body, frozen=True):
    """A vehicle."""

    vehicle: Word
    """Its number or name."""
    carrier: Word | None = None
    """Which carrier it belongs to. Without it, the site's settings can say so, by the vehicle, the dock or the device. A parcel for another carrier is
    answered with `stop` and `wrong_carrier`."""


class Unload(Body, frozen=True):
    """A parcel that does not leave after all."""

    reason: Word | None = None
    """Why. Without it, it was simply unloaded."""


class AtHub(Body, frozen=True):
    """A hub: a place between the warehouse and the recipient."""

    hub: Id
    """The hub."""


class CustomsEntered(Body, frozen=True):
    """The beginning of a clearance."""

    country: Country
    """Whose customs."""
    direction: CustomsDirection
    """Why they clear it."""


class CustomsHeld(Body, frozen=True):
    """A parcel that customs keep."""

    country: Country
    """Whose customs."""
    reason: Word
    """Why."""


class AtBorder(Body, frozen=True):
    """A country."""

    country: Country
    """The country."""


class Claim(Body, frozen=True):
    """A job that is accepted."""

    job: Id
    """The job."""
    rev: Uint
    """The `rev` of the assignment that the courier has seen. If it has changed since, the answer is `lost_claim`."""


class Decline(Body, frozen=True):
    """A job that is left to others."""

    job: Id
    """The job."""
    reason: Word
    """Why."""


class Pickup(Body, frozen=True):
    """A parcel in the hands of a courier, or of a carrier's driver."""

    carrier: Word | None = None
    """Which carrier's driver takes it, if it is one; as in `load`."""


class OutForDelivery(Body, frozen=True):
    """The way to a stop."""

    stop_seq: Small | None = None
    """The number of the stop in the courier's tour."""


class StopArrived(Body, frozen=True):
    """A stop."""

    stop: Id
    """The stop, as the assignment names it."""


class AvailableForPickup(Body, frozen=True):
    """A pickup point."""

    point: Id
    """The pickup point."""
    until_ms: Uint | None = None
    """Until when it is kept there, in ms since 1970 UTC."""


class ProofOfDelivery(Body, frozen=True):
    """How a delivery is proved; only the hash of a picture or signature travels, never the thing itself."""

    method: PodMethod
    """How."""
    hash: ProofHash | None = None
    """The hash of the picture, signature or code."""
    consent: bool | None = None
    """Whether the recipient agreed to a place or person other than the door."""


class Collected(Body, frozen=True):
    """Money that the courier took."""

    amount_minor: Uint
    """How much, in minor units (cents)."""
    currency: Currency
    """Its currency."""
    tender: Tender
    """How it was paid."""


class Delivery(Body, frozen=True):
    """A handover."""

    pod: ProofOfDelivery
    """What proves it."""
    collected: Collected | None = None
    """What the recipient paid."""


class Returned(Body, frozen=True):
    """What came back; without `items` it is the whole parcel."""

    dock: Id
    """Where it came back to."""
    items: Lines | None = None
    """What came back, if it is only a part of a delivered parcel."""
    condition: Word | None = None
    """How it looks. `Condition` in `reasons.py` has the words; others are accepted."""


class Damaged(Body, frozen=True):
    """A damage."""

    severity: DamageSeverity
    """How bad it is."""
    reason: Word | None = None
    """What did it."""


class Void(Body, frozen=True):
    """An event that is taken back."""

    ref: EventId
    """Its `id`."""
    reason: VoidReason
    """Why."""
    corrective: EventIds | None = None
    """The `id`s of the events that stand in its place. They are only noted."""


BODIES: Final[dict[EventType, type[Body]]] = {
    EventType.CREATED: Created,
    EventType.PAID: Paid,
    EventType.REFUNDED: Refunded,
    EventType.APPROVED: Nothing,
    EventType.AMENDED: Amended,
    EventType.HELD: Because,
    EventType.RELEASED: Released,
    EventType.CANCELLED: Cancelled,
    EventType.COMPLETED: Nothing,
    EventType.NOTE_ADDED: NoteAdded,
    EventType.SHIFT_STARTED: ShiftStarted,
    EventType.SHIFT_ENDED: ShiftEnded,
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
    EventType.PICKUP: Pickup,
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
