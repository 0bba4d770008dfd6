"""The closed lists of the contract: every word that crosses the wire, and what it means.

The closed lists of reasons are in `reasons.py`, the words for people in `labels.py`, and those of other vocabularies in `words.py`.

Adding a word here is a change of the contract: `contract.cddl` is generated from these lists and a test compares the two.
"""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """Who speaks. What a role may send and read is in `bridge.domain.access`."""

    SCANNER = "scanner"
    COURIER = "courier"
    SYSTEM = "system"
    CARRIER = "carrier"
    DESK = "desk"
    LAB = "lab"


class EventType(StrEnum):
    """Every event a device can send, by who usually sends it."""

    # order
    CREATED = "created"
    PAID = "paid"
    REFUNDED = "refunded"
    APPROVED = "approved"
    AMENDED = "amended"
    HELD = "held"
    RELEASED = "released"
    CANCELLED = "cancelled"
    COMPLETED = "completed"
    # whose hands a device is in
    SHIFT_STARTED = "shift_started"
    SHIFT_ENDED = "shift_ended"
    BREAK_STARTED = "break_started"
    BREAK_ENDED = "break_ended"
    # warehouse
    PICK = "pick"
    PACK = "pack"
    UNPACK = "unpack"
    LABELLED = "labelled"
    AGGREGATED = "aggregated"
    DISAGGREGATED = "disaggregated"
    STAGE = "stage"
    LOAD = "load"
    UNLOAD = "unload"
    # line haul and customs
    DEPART = "depart"
    ARRIVE = "arrive"
    CUSTOMS_ENTERED = "customs_entered"
    CUSTOMS_HELD = "customs_held"
    CUSTOMS_CLEARED = "customs_cleared"
    BORDER_ENTERED = "border_entered"
    # dispatch
    ASSIGNED = "assigned"
    UNASSIGNED = "unassigned"
    CASH_COUNTED = "cash_counted"
    # courier
    CLAIM = "claim"
    DECLINE = "decline"
    PICKUP = "pickup"
    OUT_FOR_DELIVERY = "out_for_delivery"
    STOP_ARRIVED = "stop_arrived"
    ATTEMPT_FAILED = "attempt_failed"
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    DELIVERY = "delivery"
    REFUSED = "refused"
    RETURN_STARTED = "return_started"
    RETURNED = "returned"
    # anyone, by the role table
    DAMAGED = "damaged"
    LOST = "lost"
    FOUND = "found"
    DESTROYED = "destroyed"
    VOID = "void"


class Outcome(StrEnum):
    """What became of an event."""

    APPLIED = "applied"
    NOOP = "noop"
    LATE = "late"
    PARKED = "parked"
    BLOCKED = "blocked"
    LOST_CLAIM = "lost_claim"
    REJECTED = "rejected"


class Tone(StrEnum):
    """One beep for gloved hands."""

    OK = "ok"
    WARN = "warn"
    STOP = "stop"


class Reason(StrEnum):
    """Why an event was parked, blocked or rejected."""

    # rejected
    MALFORMED = "malformed"
    UNKNOWN_TYPE = "unknown_type"
    FORBIDDEN = "forbidden"
    ID_REUSED = "id_reused"
    UNREADABLE_CODE = "unreadable_code"
    CHECK_DIGIT = "check_digit"
    CONTAINER = "container"
    WRONG_PARCEL = "wrong_parcel"
    WRONG_SKU = "wrong_sku"
    ITEMS_NEEDED = "items_needed"
    PARCEL_NEEDED = "parcel_needed"
    ORDER_NEEDED = "order_needed"
    CODE_TAKEN = "code_taken"
    VOIDED = "voided"
    VOID_OF_VOID = "void_of_void"
    NOT_YOURS = "not_yours"
    JOB_CLOSED = "job_closed"
    TOO_MANY_EVENTS = "too_many_events"
    REPEATED = "repeated"
    POISON = "poison"
    UNKNOWN_JOB = "unknown_job"
    # parked
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_PARCEL = "unknown_parcel"
    UNKNOWN_REFERENCE = "unknown_reference"
    # blocked
    HELD = "held"
    CANCELLED = "cancelled"
    NEEDS_CONFIRM = "needs_confirm"
    NOT_PAID = "not_paid"
    # lost_claim
    STALE_REV = "stale_rev"
    HELD_BY_ANOTHER = "held_by_another"


class Next(StrEnum):
    """The one instruction that goes with a tone that is not ok."""

    WAIT = "wait"
    SET_ASIDE = "set_aside"
    CALL_DESK = "call_desk"
    SCAN_AGAIN = "scan_again"
    PUT_BACK = "put_back"
    NAME_ITEMS = "name_items"
    NAME_ORDER = "name_order"
    SCAN_PARCEL = "scan_parcel"
    REFRESH_JOBS = "refresh_jobs"
    UPDATE_FIRMWARE = "update_firmware"


class Warn(StrEnum):
    """What was odd about an event that counts all the same."""

    DOUBLE_SCAN = "double_scan"
    MISLOAD = "misload"
    INCOMPLETE = "incomplete"
    MOVED_ON_HOLD = "moved_on_hold"
    MOVED_AFTER_CANCEL = "moved_after_cancel"
    NOT_PAID = "not_paid"
    NOT_DELIVERED = "not_delivered"
    NOT_ORDERED = "not_ordered"
    TOO_MANY = "too_many"
    NOT_LISTED = "not_listed"
    PICKED_AFTER = "picked_after"
    NOT_SCANNED = "not_scanned"
    NOT_YOUR_JOB = "not_your_job"
    HANDED_OVER = "handed_over"
    STILL_HELD = "still_held"
    CLOCK_JUMP = "clock_jump"
    ARTICLE_SCANNED = "article_scanned"
    ARTICLE_UNKNOWN = "article_unknown"
    LABEL_MOVED = "label_moved"
    OLD_LABEL = "old_label"
    SOME_UNKNOWN = "some_unknown"
    UNKNOWN_CODE = "unknown_code"
    CONTAINER_REOPENED = "container_reopened"
    CLOCK_UNKNOWN = "clock_unknown"
    SEQ_REUSED = "seq_reused"
    UNKNOWN_FIELD = "unknown_field"


class ParcelState(StrEnum):
    """Where a parcel is; ranks are in `bridge.domain.lifecycle`."""

    PLANNED = "planned"
    PICKING = "picking"
    PACKED = "packed"
    STAGED = "staged"
    SHIPPED = "shipped"
    IN_TRANSIT = "in_transit"
    CUSTOMS = "customs"
    ENTERED = "entered"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    ATTEMPT_FAILED = "attempt_failed"
    AVAILABLE_FOR_PICKUP = "available_for_pickup"
    RETURNING = "returning"
    RETURNED = "returned"
    LOST = "lost"
    DESTROYED = "destroyed"
    CANCELLED = "cancelled"


class OrderState(StrEnum):
    """What an order's status shows; `partially_…` forms are in `ORDER_STATE_WORDS`."""

    PENDING_PAYMENT = "pending_payment"
    PAID = "paid"
    APPROVED = "approved"
    PICKING = "picking"
    PACKED = "packed"
    SHIPPED = "shipped"
    CUSTOMS = "customs"
    ENTERED = "entered"
    OUT_FOR_DELIVERY = "out_for_delivery"
    DELIVERED = "delivered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    RETURNING = "returning"
    RETURNED = "returned"
    EXCEPTION = "exception"


class Waypoint(StrEnum):
    """Milestones of a parcel that are no states."""

    BORDER_ENTERED = "border_entered"


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
    """What stands beside an order's or parcel's state and never multiplies it."""

    HELD = "held"
    CUSTOMS_HOLD = "customs_hold"
    NEEDS_CONFIRM = "needs_confirm"
    SHORT = "short"
    DAMAGED = "damaged"
    LOST = "lost"
    SILENT = "silent"
    LATE_RISK = "late_risk"
    AMENDED = "amended"
    CANCEL_REQUESTED = "cancel_requested"
    MOVED_ON_HOLD = "moved_on_hold"
    UNASSIGNED = "unassigned"
    NOT_PAID = "not_paid"
    WRONG_COURIER = "wrong_courier"
    PART_RETURNED = "part_returned"


TIMED_FLAGS: frozenset[Flag] = frozenset({Flag.SILENT, Flag.LATE_RISK})
"""Flags that depend on the present time, and so are no part of the hash."""


class JobState(StrEnum):
    """Where a courier's job stands."""

    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    RELEASED = "released"
    DONE = "done"


OPEN_JOB_STATES: frozenset[JobState] = frozenset({JobState.ASSIGNED, JobState.ACCEPTED})


class PodMethod(StrEnum):
    """How a delivery was proved. `pin`, `scan` and `none` are older words that are still accepted; say `code` for a pin."""

    CODE = "code"
    PHOTO = "photo"
    SIGNATURE = "signature"
    LEFT_SAFE = "left_safe"
    NEIGHBOUR = "neighbour"
    LOCKER = "locker"
    STATION = "station"
    COUNTER = "counter"
    PIN = "pin"
    SCAN = "scan"
    NONE = "none"


class Severity(StrEnum):
    """How soon somebody should look at an alert."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class AlertCode(StrEnum):
    """What an alert topic can be about."""

    PARKED = "parked"
    GAP = "gap"
    MOVED_ON_HOLD = "moved_on_hold"
    MOVED_AFTER_CANCEL = "moved_after_cancel"
    NOT_YOUR_JOB = "not_your_job"
    LABEL_MOVED = "label_moved"
    LOST = "lost"
    DAMAGED = "damaged"
    REFUSED = "refused"
    ATTEMPTS = "attempts"
    FORBIDDEN = "forbidden"
    QUARANTINE = "quarantine"
    DROPPED = "dropped"
    LOGINS = "logins"
    CLIENT_ID = "client_id"
    PACKET_SIZE = "packet_size"
    BACKUP = "backup"
    CLOCK = "clock"
