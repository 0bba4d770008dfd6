"""The closed lists of the contract: every word that crosses the wire, and what it means.

Adding a word here is a change of the contract: `contract.cddl` is generated from these lists and a test compares the two.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


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
    CLOCK_JUMP = "clock_jump"
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
    FORBIDDEN = "forbidden"
    QUARANTINE = "quarantine"
    DROPPED = "dropped"
    LOGINS = "logins"


class Words(NamedTuple):
    """One state in other vocabularies.

    Sources: GS1 CBV 2.0 §7.1 (business steps) and §7.2 (dispositions); the public status lists of AfterShip, EasyPost and Shopify's fulfilment events.
    """

    cbv_step: str | None
    cbv_disposition: str | None
    aftership: str
    easypost: str
    shopify: str | None
    zh: str
    en: str


STATE_WORDS: dict[ParcelState | OrderState, Words] = {
    OrderState.PENDING_PAYMENT: Words(None, None, "Pending", "unknown", None, "待支付", "Awaiting payment"),
    OrderState.PAID: Words(None, None, "Pending", "unknown", None, "已支付", "Paid"),
    OrderState.APPROVED: Words(None, None, "Pending", "unknown", "confirmed", "已审核", "Approved"),
    OrderState.PICKING: Words("picking", "in_progress", "Pending", "unknown", "confirmed", "拣货中", "Picking"),
    OrderState.PACKED: Words("packing", "in_progress", "InfoReceived", "pre_transit", "label_printed", "已打包", "Packed"),
    OrderState.SHIPPED: Words("shipping", "in_transit", "InTransit", "in_transit", "in_transit", "已发货", "Shipped"),
    OrderState.CUSTOMS: Words("inspecting", "in_transit", "InTransit", "in_transit", "in_transit", "清关中", "In customs"),
    OrderState.ENTERED: Words("arriving", "in_transit", "InTransit", "in_transit", "in_transit", "已入境", "Entered the country"),
    OrderState.OUT_FOR_DELIVERY: Words("transporting", "in_transit", "OutForDelivery", "out_for_delivery", "out_for_delivery", "派送中", "Out for delivery"),
    OrderState.DELIVERED: Words("accepting", "completeness_verified", "Delivered", "delivered", "delivered", "已签收", "Delivered"),
    OrderState.COMPLETED: Words("accepting", "completeness_verified", "Delivered", "delivered", "delivered", "已完成", "Completed"),
    OrderState.CANCELLED: Words(None, "inactive", "Exception", "cancelled", None, "已取消", "Cancelled"),
    OrderState.RETURNING: Words("shipping", "in_transit", "Exception", "return_to_sender", "failure", "退回中", "On its way back"),
    OrderState.RETURNED: Words("receiving", "returned", "Exception", "return_to_sender", "failure", "已退回", "Returned"),
    OrderState.EXCEPTION: Words(None, "unavailable", "Exception", "failure", "failure", "异常", "Exception"),
    ParcelState.PLANNED: Words(None, None, "Pending", "unknown", None, "待拣货", "Planned"),
    ParcelState.STAGED: Words("staging_outbound", "in_progress", "InfoReceived", "pre_transit", "label_printed", "待发运", "Staged at the dock"),
    ParcelState.IN_TRANSIT: Words("transporting", "in_transit", "InTransit", "in_transit", "in_transit", "运输中", "In transit"),
    ParcelState.ATTEMPT_FAILED: Words(None, "in_transit", "AttemptFail", "failure", "attempted_delivery", "派送失败", "Delivery attempt failed"),
    ParcelState.AVAILABLE_FOR_PICKUP: Words(
        "holding", "in_transit", "AvailableForPickup", "available_for_pickup", "ready_for_pickup", "待自提", "Ready for pickup"
    ),
    ParcelState.LOST: Words(None, "unknown", "Exception", "failure", "failure", "丢失", "Lost"),
    ParcelState.DESTROYED: Words("destroying", "destroyed", "Exception", "failure", "failure", "已销毁", "Destroyed"),
}
"""Each state in the words of others. A parcel state that an order shares (same text) is found under the order's."""


def words_for(state: ParcelState | OrderState) -> Words:
    """The row of `STATE_WORDS` for a state; `StrEnum` members of the same text share one row."""
    return STATE_WORDS[state]
