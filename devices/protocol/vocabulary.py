"""The closed lists of the contract, in one place to import from: every word that crosses the wire.

The words of a receipt are in `verdicts.py`, those of a status in `states.py`, those in bodies in `choices.py`. The closed lists of reasons are in `reasons.py`,
the words for people in `labels.py`, and those of other vocabularies in `words.py`.

Adding a word is a change of the contract: `contract.cddl` is generated from these lists and a test compares the two. The text below a word describes it for
developers of devices; the documents for other languages print it, and a test asks for it.
"""

from __future__ import annotations

from enum import StrEnum

from devices.protocol.choices import Audience, CustomsDirection, DamageSeverity, LabelKind, Payment, PodMethod, Tender, VoidReason
from devices.protocol.states import (
    OPEN_JOB_STATES,
    ORDER_STATE_WORDS,
    PARTIAL_STATES,
    TIMED_FLAGS,
    AlertCode,
    Flag,
    JobState,
    Moment,
    OrderState,
    ParcelState,
    Severity,
    Waypoint,
    partially,
)
from devices.protocol.verdicts import DEVELOPER_WARNINGS, Next, Outcome, PointFault, Reason, Tone, Warn


class Role(StrEnum):
    """What a device is, given to it when it is enrolled. What a role may send and read is in `bridge.domain.access`."""

    SCANNER = "scanner"
    """A handheld or fixed scanner in a warehouse, at a hub or at a counter."""
    COURIER = "courier"
    """A phone, bound to one courier. Only this role sends locations and has assignments."""
    SYSTEM = "system"
    """A shop, an ERP or another program with a disciplined clock. It serves all orders of the site, or those whose id begins with its prefix."""
    CARRIER = "carrier"
    """The feed of a carrier: what happens to parcels that were handed to it."""
    DESK = "desk"
    """A screen of the staff: it reads everything about orders and devices, and gives instructions."""
    LAB = "lab"
    """Other MQTT equipment of the warehouse: it sends and reads outside `v1/` only, and nothing of it is an event."""


class EventType(StrEnum):
    """What happened: the last level of the topic. By who usually sends it; the role table decides."""

    # order
    CREATED = "created"
    """The shop has a new order: `pending_payment`. Events about it that came before wait for this one, and count then."""
    PAID = "paid"
    """Money for the order came in. The order is `paid` once enough did: partial payments add up."""
    REFUNDED = "refunded"
    """Money was paid back. Once everything was, the order is unpaid again, unless it is delivered."""
    APPROVED = "approved"
    """The shop has checked the order: `approved`, if work on it has not begun. It also confirms a changed order."""
    AMENDED = "amended"
    """The shop has changed the order. With `lines`, these replace the old ones, and an order on which work has begun waits for `approved`."""
    HELD = "held"
    """The order must not be picked, packed or staged until it is released. Each reason is a hold of its own."""
    RELEASED = "released"
    """A hold, or all of them, is lifted."""
    CANCELLED = "cancelled"
    """The order, or only the named parcel, is not wanted any more: `cancelled`, if it is still in the house. What is on its way is to come back."""
    COMPLETED = "completed"
    """The shop closes a delivered order: `completed`. The server does so itself after some days."""
    NOTE_ADDED = "note_added"
    """Someone wrote something about an order. The server seals the text, and shows it only to those for whom it is."""
    # whose hands a device is in
    SHIFT_STARTED = "shift_started"
    """A worker takes the device. What it sends from now on was done by them. It also makes receipts of earlier scans `quiet`."""
    SHIFT_ENDED = "shift_ended"
    """The worker has laid the device down."""
    BREAK_STARTED = "break_started"
    """The worker takes a break."""
    BREAK_ENDED = "break_ended"
    """The worker is back from a break."""
    # warehouse
    PICK = "pick"
    """Goods were taken from their shelf for an order. Each `pick` adds: three pieces are one event with `qty` 3 or three with 1."""
    PACK = "pack"
    """A parcel was packed. Its `code`, if it has one, is the label that is on it from now on."""
    UNPACK = "unpack"
    """A parcel was opened again: its contents are to be picked and packed anew, and its label is free. Name the order: the label alone is not enough."""
    LABELLED = "labelled"
    """A label was put on a parcel. Scans of its code are scans of this parcel from now on."""
    AGGREGATED = "aggregated"
    """Parcels, orders or containers were put into a container. From now on a scan of the container is a scan of everything in it."""
    DISAGGREGATED = "disaggregated"
    """They were taken out of the container again."""
    STAGE = "stage"
    """A parcel was put at its dock."""
    LOAD = "load"
    """A parcel was put into a vehicle and leaves the warehouse."""
    UNLOAD = "unload"
    """A parcel was taken out of the vehicle again, before it left for good."""
    # line haul and customs
    DEPART = "depart"
    """A parcel left a hub."""
    ARRIVE = "arrive"
    """A parcel arrived at a hub, also after a failed delivery."""
    CUSTOMS_ENTERED = "customs_entered"
    """Customs have begun to clear a parcel."""
    CUSTOMS_HELD = "customs_held"
    """Customs keep a parcel."""
    CUSTOMS_CLEARED = "customs_cleared"
    """Customs have cleared a parcel. In the country of its destination it has then `entered`; elsewhere it goes on."""
    BORDER_ENTERED = "border_entered"
    """A parcel crossed the border of a country. It is a milestone, and no state."""
    # dispatch
    ASSIGNED = "assigned"
    """An order, or only the named parcel, is given to a courier, in a job. Orders with one `job` form a round."""
    UNASSIGNED = "unassigned"
    """A job is taken from its courier."""
    CASH_COUNTED = "cash_counted"
    """The cash that a courier handed in was counted."""
    # courier
    CLAIM = "claim"
    """The courier accepts a job, as it was at `rev`."""
    DECLINE = "decline"
    """The courier does not take a job, or gives it back."""
    PICKUP = "pickup"
    """A courier took a parcel into their hands."""
    OUT_FOR_DELIVERY = "out_for_delivery"
    """A courier is on the way to the recipient. From now on the order has a position."""
    STOP_ARRIVED = "stop_arrived"
    """A courier is at a stop."""
    ATTEMPT_FAILED = "attempt_failed"
    """A parcel could not be handed over. The server counts the attempts."""
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    """A parcel waits for its recipient at a pickup point."""
    DELIVERY = "delivery"
    """A parcel was handed over, at the door or over a counter."""
    REFUSED = "refused"
    """The recipient does not take a parcel: it goes back."""
    RETURN_STARTED = "return_started"
    """A parcel is on its way back."""
    RETURNED = "returned"
    """A parcel came back to a dock; with `items`, only some of the goods of a delivered one."""
    # anyone, by the role table
    DAMAGED = "damaged"
    """A parcel is damaged."""
    LOST = "lost"
    """A parcel cannot be found."""
    FOUND = "found"
    """A lost parcel is there again, in the state that it had before. Without a parcel, all lost parcels of the order."""
    DESTROYED = "destroyed"
    """A parcel does not exist any more."""
    VOID = "void"
    """An earlier event is taken back, as if it had never been sent. A device takes back its own; systems and the desk any."""


__all__ = [
    "DEVELOPER_WARNINGS",
    "OPEN_JOB_STATES",
    "ORDER_STATE_WORDS",
    "PARTIAL_STATES",
    "TIMED_FLAGS",
    "AlertCode",
    "Audience",
    "CustomsDirection",
    "DamageSeverity",
    "EventType",
    "Flag",
    "JobState",
    "LabelKind",
    "Moment",
    "Next",
    "OrderState",
    "Outcome",
    "ParcelState",
    "Payment",
    "PodMethod",
    "PointFault",
    "Reason",
    "Role",
    "Severity",
    "Tender",
    "Tone",
    "VoidReason",
    "Warn",
    "Waypoint",
    "partially",
]
