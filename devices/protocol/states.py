"""The words of a status: where a parcel, an order and a job are, and what stands beside the state."""

from __future__ import annotations

from enum import StrEnum


class ParcelState(StrEnum):
    """Where a parcel is; ranks are in `bridge.domain.lifecycle`."""

    PLANNED = "planned"
    """It was named, and nothing is in it yet."""
    PICKING = "picking"
    """Its goods are being picked, or it was opened again."""
    PACKED = "packed"
    """It is packed, and in the warehouse."""
    STAGED = "staged"
    """It stands at its dock."""
    SHIPPED = "shipped"
    """It left the warehouse: a vehicle, a courier or a carrier has it."""
    IN_TRANSIT = "in_transit"
    """It is between hubs, or at one."""
    CUSTOMS = "customs"
    """It is being cleared."""
    ENTERED = "entered"
    """Customs of its destination have cleared it."""
    OUT_FOR_DELIVERY = "out_for_delivery"
    """A courier is on the way to the recipient with it."""
    DELIVERED = "delivered"
    """The recipient has it."""
    ATTEMPT_FAILED = "attempt_failed"
    """A courier was there and could not hand it over. The next step decides what follows."""
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    """It waits for its recipient at a pickup point."""
    RETURNING = "returning"
    """It is on its way back."""
    RETURNED = "returned"
    """It is back at a dock."""
    LOST = "lost"
    """Nobody can find it."""
    DESTROYED = "destroyed"
    """It does not exist any more."""
    CANCELLED = "cancelled"
    """It was cancelled before it left the warehouse."""


class OrderState(StrEnum):
    """Where an order is: as far as its least advanced live parcel. If its parcels differ, the status says `partially_…`."""

    PENDING_PAYMENT = "pending_payment"
    """It was created, and is not paid."""
    PAID = "paid"
    """It is paid; work on it has not begun."""
    APPROVED = "approved"
    """The shop has approved it; work on it has not begun."""
    PICKING = "picking"
    """Its goods are being picked."""
    PACKED = "packed"
    """All of it is packed, and in the warehouse."""
    SHIPPED = "shipped"
    """It left the warehouse."""
    CUSTOMS = "customs"
    """It is being cleared."""
    ENTERED = "entered"
    """Customs of its destination have cleared it."""
    OUT_FOR_DELIVERY = "out_for_delivery"
    """A courier is on the way to the recipient, was there in vain, or has left it at a pickup point."""
    DELIVERED = "delivered"
    """The recipient has it."""
    COMPLETED = "completed"
    """It is delivered and closed: by the shop, or by time."""
    CANCELLED = "cancelled"
    """It was cancelled, and nothing of it is on its way."""
    RETURNING = "returning"
    """It is on its way back."""
    RETURNED = "returned"
    """It came back."""
    EXCEPTION = "exception"
    """None of its parcels is left: they are lost or destroyed. A person has to decide."""


class Waypoint(StrEnum):
    """Milestones of a parcel that are not states."""

    BORDER_ENTERED = "border_entered"
    """It crossed a border."""


PARTIAL_STATES: tuple[OrderState, ...] = (
    OrderState.PICKING,
    OrderState.PACKED,
    OrderState.SHIPPED,
    OrderState.CUSTOMS,
    OrderState.ENTERED,
    OrderState.OUT_FOR_DELIVERY,
    OrderState.RETURNING,
)
"""The states that can be shown as `partially_…`: those that a live parcel can have while another is further."""


def partially(state: OrderState) -> str:
    """The word for "parcels differ, and this is the least advanced"."""
    return f"partially_{state}"


ORDER_STATE_WORDS: tuple[str, ...] = (*(str(s) for s in OrderState), *(partially(s) for s in PARTIAL_STATES))


class Flag(StrEnum):
    """What stands beside the state of an order or a parcel, and never changes it."""

    HELD = "held"
    """The order is on hold: it must not be picked, packed or staged. `holds` has the reasons."""
    CUSTOMS_HOLD = "customs_hold"
    """Customs keep the parcel."""
    NEEDS_CONFIRM = "needs_confirm"
    """The shop changed the lines after work had begun, and has to approve the order again."""
    SHORT = "short"
    """Something was missing at its shelf, or was in a parcel that is gone, and has not come since."""
    DAMAGED = "damaged"
    """The parcel was reported as damaged, and was not packed anew since."""
    LOST = "lost"
    """The parcel is lost."""
    SILENT = "silent"
    """Nothing was heard of a shipped order for longer than the site allows."""
    LATE_RISK = "late_risk"
    """The promised time is near, or past, and the order is not there yet."""
    AMENDED = "amended"
    """The shop changed the order. The flag stays."""
    CANCEL_REQUESTED = "cancel_requested"
    """It was cancelled while it was on its way: bring it back."""
    MOVED_ON_HOLD = "moved_on_hold"
    """It left while it was on hold: stop it."""
    UNASSIGNED = "unassigned"
    """Its courier was taken off, or has declined, and it has no other one yet."""
    NOT_PAID = "not_paid"
    """It left, or was delivered, and is not paid."""
    WRONG_COURIER = "wrong_courier"
    """Another courier than the assigned one has it, or had it."""
    WRONG_CARRIER = "wrong_carrier"
    """It was loaded for another carrier than its own."""
    PART_RETURNED = "part_returned"
    """Some of its goods came back after delivery."""


TIMED_FLAGS: frozenset[Flag] = frozenset({Flag.SILENT, Flag.LATE_RISK})
"""Flags that depend on the present time, and so are no part of the hash."""


class JobState(StrEnum):
    """Where a courier's job stands. Only an open job (`assigned`, `accepted`) has a retained assignment."""

    ASSIGNED = "assigned"
    """It was given to the courier, who has not answered."""
    ACCEPTED = "accepted"
    """The courier has claimed it."""
    DECLINED = "declined"
    """The courier has declined it."""
    RELEASED = "released"
    """The desk has taken it back, or nothing is left in it."""
    DONE = "done"
    """Nothing in it is left to do."""


OPEN_JOB_STATES: frozenset[JobState] = frozenset({JobState.ASSIGNED, JobState.ACCEPTED})


class Severity(StrEnum):
    """How soon a person should look at an alert."""

    INFO = "info"
    """Good to know."""
    WARNING = "warning"
    """Look at it today."""
    CRITICAL = "critical"
    """Act now: goods are going where they must not go."""


class AlertCode(StrEnum):
    """What an alert is about. Each code has at most one alert for each subject, retained until its cause has ended."""

    PARKED = "parked"
    """Events wait for an order, a label or an event, for longer than the site allows. Subject: the order, or a short form of the code or event."""
    GAP = "gap"
    """A device is silent and owes events: numbers of its log are missing. Subject: the device."""
    MOVED_ON_HOLD = "moved_on_hold"
    """A parcel left while its order was on hold. Subject: the order."""
    MOVED_AFTER_CANCEL = "moved_after_cancel"
    """A parcel is on its way although it was cancelled. Subject: the order."""
    NOT_YOUR_JOB = "not_your_job"
    """A parcel is, or was, with another courier than the assigned one. Subject: the order."""
    WRONG_CARRIER = "wrong_carrier"
    """A parcel was loaded for another carrier than its own. Subject: the order."""
    LABEL_MOVED = "label_moved"
    """The label of a parcel was put on a parcel of another order. Subject: the order that lost it."""
    LOST = "lost"
    """A parcel is lost. Subject: the order."""
    DAMAGED = "damaged"
    """A parcel is damaged. Subject: the order."""
    REFUSED = "refused"
    """A recipient refused a parcel. Subject: the order."""
    ATTEMPTS = "attempts"
    """A parcel could not be delivered too often. Subject: the order."""
    FORBIDDEN = "forbidden"
    """A device published what it may not send. Subject: the device."""
    QUARANTINE = "quarantine"
    """Messages of a device are in quarantine. Subject: the device."""
    DROPPED = "dropped"
    """The server dropped messages that waited too long, or were too many, for a client. Subject: its device."""
    LOGINS = "logins"
    """Logins as a device, or with its claim, failed again and again. Subject: the device; if it was its claim, with `claim:` in front."""
    CLIENT_ID = "client_id"
    """Two programs use one client id and end each other's connections. Subject: the device."""
    PACKET_SIZE = "packet_size"
    """A device sent a packet that is larger than the server takes, and was cut off. Subject: the device."""
    BACKUP = "backup"
    """The server could not back up its database. Subject: the site."""
    CLOCK = "clock"
    """The wall clock of a device is not set, is wrong by an hour or more, or does not count in milliseconds. Subject: the device."""
    NO_POSITION = "no_position"
    """No point that a courier's phone sent for some time could be used. Subject: the device."""
    SHIFT_OPEN = "shift_open"
    """The shift of a courier was not ended for so long that it counts as ended. Subject: the courier."""
    CASH_OPEN = "cash_open"
    """The cash of a courier's shift was not counted in time. Subject: the courier."""
    CONTRADICTION = "contradiction"
    """What a carrier says of a parcel and what was scanned here can't both be true. Subject: the order."""
    STALE_CHANNEL = "stale_channel"
    """The last file of a channel is older than the site allows. Subject: the channel."""
    NOTICES = "notices"
    """Notices for customers could not be sent out for some time, or the receiver wants no more. Subject: the site."""


class Moment(StrEnum):
    """What a notice tells a customer. Readers take other words, and pass over what they do not know."""

    PACKED = "packed"
    """A parcel is packed."""
    COLLECTED = "collected"
    """A parcel has left the warehouse: a courier or a carrier has it."""
    ARRIVED = "arrived"
    """The courier is at the stop of a parcel."""
    ATTEMPT_FAILED = "attempt_failed"
    """A parcel could not be handed over."""
    DELIVERED = "delivered"
    """The recipient has a parcel."""
    LATE = "late"
    """An order will be later than promised, or is."""
    CANCELLED = "cancelled"
    """An order was cancelled."""
