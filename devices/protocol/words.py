"""Our states and events in the words of others, with a Chinese and an English label: one row for each state, each event type and each flag.

An order's or a parcel's status is said with `words_for_status`, a step of its history with `words_for_event`. The vocabularies are in `foreign.py`.

What the rows follow from:
- CBV has no word for "delivered". It is `accepting`, as possession moves to the recipient, and so is a courier's pickup. The disposition is `in_progress`, the
  default of objects that proceed: without one, `in_transit` would stand for ever, and `completeness_verified` speaks of a case's contents.
- EasyPost's `failure` is final. A failed attempt that will be repeated, and a stop in customs, are `in_transit`.
- AfterShip's `Expired` and Shopify's `DELAYED` are not states of ours: the flags `silent`, `late_risk` and `customs_hold` stand for them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from devices.protocol.foreign import AfterShip, AfterShipSubtag, BizStep, Disposition, EasyPost, Shopify, Track17, Track17Sub
from devices.protocol.reasons import AttemptReason
from devices.protocol.vocabulary import EventType, Flag, OrderState, ParcelState, PodMethod


class Words(NamedTuple):
    """One state, event or flag in other vocabularies; None where a vocabulary has no word for it."""

    cbv_step: BizStep | None
    cbv_disposition: Disposition | None
    aftership_subtag: AfterShipSubtag | None
    easypost: EasyPost | None
    shopify: Shopify | None
    track17_sub: Track17Sub | None
    zh: str
    en: str

    @property
    def aftership(self) -> AfterShip | None:
        """AfterShip's tag: a sub-status begins with it."""
        return None if self.aftership_subtag is None else AfterShip(self.aftership_subtag.partition("_")[0])

    @property
    def track17(self) -> Track17 | None:
        """17TRACK's main status: a sub-status begins with it."""
        return None if self.track17_sub is None else Track17(self.track17_sub.partition("_")[0])

    def over(self, other: Words) -> Words:
        """These words, and the other's where there are none here. The labels are the other's."""
        return Words(
            self.cbv_step or other.cbv_step,
            self.cbv_disposition or other.cbv_disposition,
            self.aftership_subtag or other.aftership_subtag,
            self.easypost or other.easypost,
            self.shopify or other.shopify,
            self.track17_sub or other.track17_sub,
            other.zh,
            other.en,
        )


def _only(zh: str, en: str) -> Words:
    """A row for what concerns us alone."""
    return Words(None, None, None, None, None, None, zh, en)


B, D, A, P, S, T = BizStep, Disposition, AfterShipSubtag, EasyPost, Shopify, Track17Sub

STATE_WORDS: Final[Mapping[ParcelState | OrderState, Words]] = {
    OrderState.PENDING_PAYMENT: Words(None, None, A.PENDING, P.UNKNOWN, None, T.NOT_FOUND, "待支付", "Awaiting payment"),
    OrderState.PAID: Words(None, None, A.PENDING, P.UNKNOWN, None, T.NOT_FOUND, "已支付", "Paid"),
    OrderState.APPROVED: Words(None, None, A.PENDING, P.UNKNOWN, S.CONFIRMED, T.NOT_FOUND, "已审核", "Approved"),
    OrderState.PICKING: Words(B.PICKING, D.IN_PROGRESS, A.PENDING, P.UNKNOWN, S.CONFIRMED, T.NOT_FOUND, "拣货中", "Picking"),
    OrderState.PACKED: Words(B.PACKING, D.IN_PROGRESS, A.INFO_RECEIVED, P.PRE_TRANSIT, S.LABEL_PRINTED, T.INFO_RECEIVED, "已打包", "Packed"),
    OrderState.SHIPPED: Words(B.SHIPPING, D.IN_TRANSIT, A.ACCEPTANCE_SCAN, P.IN_TRANSIT, S.CARRIER_PICKED_UP, T.PICKED_UP, "已发货", "Shipped"),
    OrderState.CUSTOMS: Words(B.INSPECTING, D.IN_TRANSIT, A.CUSTOMS_STARTED, P.IN_TRANSIT, S.IN_TRANSIT, T.CUSTOMS_PROCESSING, "清关中", "In customs"),
    OrderState.ENTERED: Words(B.ARRIVING, D.IN_TRANSIT, A.CUSTOMS_COMPLETED, P.IN_TRANSIT, S.IN_TRANSIT, T.CUSTOMS_RELEASED, "已入境", "Entered the country"),
    OrderState.OUT_FOR_DELIVERY: Words(
        B.TRANSPORTING, D.IN_TRANSIT, A.OUT_FOR_DELIVERY, P.OUT_FOR_DELIVERY, S.OUT_FOR_DELIVERY, T.OUT_FOR_DELIVERY, "派送中", "Out for delivery"
    ),
    OrderState.DELIVERED: Words(B.ACCEPTING, D.IN_PROGRESS, A.DELIVERED, P.DELIVERED, S.DELIVERED, T.DELIVERED, "已签收", "Delivered"),
    OrderState.COMPLETED: Words(B.ACCEPTING, D.IN_PROGRESS, A.DELIVERED, P.DELIVERED, S.DELIVERED, T.DELIVERED, "已完成", "Completed"),
    OrderState.CANCELLED: Words(None, D.INACTIVE, A.CANCELLED, P.CANCELLED, None, T.CANCELLED, "已取消", "Cancelled"),
    OrderState.RETURNING: Words(B.SHIPPING, D.IN_TRANSIT, A.RETURNING, P.RETURN_TO_SENDER, S.FAILURE, T.RETURNING, "退回中", "On its way back"),
    OrderState.RETURNED: Words(B.RECEIVING, D.RETURNED, A.RETURNED, P.RETURN_TO_SENDER, S.FAILURE, T.RETURNED, "已退回", "Returned"),
    OrderState.EXCEPTION: Words(None, D.UNAVAILABLE, A.EXCEPTION, P.FAILURE, S.FAILURE, T.EXCEPTION, "异常", "Exception"),
    ParcelState.PLANNED: Words(None, None, A.PENDING, P.UNKNOWN, None, T.NOT_FOUND, "待拣货", "Planned"),
    ParcelState.STAGED: Words(
        B.STAGING_OUTBOUND, D.IN_PROGRESS, A.INFO_RECEIVED, P.PRE_TRANSIT, S.LABEL_PRINTED, T.INFO_RECEIVED, "待发运", "Staged at the dock"
    ),
    ParcelState.IN_TRANSIT: Words(B.TRANSPORTING, D.IN_TRANSIT, A.IN_TRANSIT, P.IN_TRANSIT, S.IN_TRANSIT, T.IN_TRANSIT, "运输中", "In transit"),
    ParcelState.ATTEMPT_FAILED: Words(
        B.TRANSPORTING, D.IN_TRANSIT, A.ATTEMPT_FAILED, P.IN_TRANSIT, S.ATTEMPTED_DELIVERY, T.FAILURE, "派送失败", "Delivery attempt failed"
    ),
    ParcelState.AVAILABLE_FOR_PICKUP: Words(
        B.HOLDING, D.IN_TRANSIT, A.AVAILABLE_FOR_PICKUP, P.AVAILABLE_FOR_PICKUP, S.READY_FOR_PICKUP, T.AVAILABLE_FOR_PICKUP, "待自提", "Ready for pickup"
    ),
    ParcelState.LOST: Words(None, D.UNKNOWN, A.LOST, P.FAILURE, S.FAILURE, T.LOST, "丢失", "Lost"),
    ParcelState.DESTROYED: Words(B.DESTROYING, D.DESTROYED, A.DISPOSED, P.FAILURE, S.FAILURE, T.DESTROYED, "已销毁", "Destroyed"),
}
"""A parcel state that an order shares (same text) is found under the order's."""

E = EventType
_BACK: Final = (A.RETURNING, P.RETURN_TO_SENDER, S.FAILURE, T.RETURNING)

EVENT_WORDS: Final[Mapping[EventType, Words]] = {
    E.CREATED: Words(None, None, A.PENDING, P.UNKNOWN, None, T.NOT_FOUND, "订单已创建", "Order created"),
    E.PAID: Words(None, None, A.PENDING, P.UNKNOWN, None, T.NOT_FOUND, "已收到付款", "Payment received"),
    E.REFUNDED: _only("已退款", "Refunded"),
    E.CASH_COUNTED: _only("已清点现金", "Cash counted"),
    E.APPROVED: Words(None, None, A.PENDING, P.UNKNOWN, S.CONFIRMED, T.NOT_FOUND, "订单已审核", "Order approved"),
    E.AMENDED: _only("订单已修改", "Order changed"),
    E.HELD: _only("订单已暂停", "Order put on hold"),
    E.RELEASED: _only("订单已恢复", "Hold lifted"),
    E.CANCELLED: Words(None, D.INACTIVE, A.CANCELLED, P.CANCELLED, None, T.CANCELLED, "订单已取消", "Order cancelled"),
    E.NOTE_ADDED: _only("已添加备注", "Note added"),
    E.COMPLETED: _only("订单已完成", "Order completed"),
    E.SHIFT_STARTED: _only("开始当班", "Shift started"),
    E.SHIFT_ENDED: _only("结束当班", "Shift ended"),
    E.BREAK_STARTED: _only("开始休息", "Break started"),
    E.BREAK_ENDED: _only("结束休息", "Break ended"),
    E.PICK: Words(B.PICKING, D.IN_PROGRESS, A.PENDING, P.UNKNOWN, S.CONFIRMED, T.NOT_FOUND, "已拣货", "Picked"),
    E.PACK: Words(B.PACKING, D.IN_PROGRESS, A.INFO_RECEIVED, P.PRE_TRANSIT, S.LABEL_PRINTED, T.INFO_RECEIVED, "已打包", "Packed"),
    E.UNPACK: Words(B.UNPACKING, D.IN_PROGRESS, A.PENDING, P.UNKNOWN, S.CONFIRMED, T.NOT_FOUND, "已拆包", "Unpacked"),
    E.LABELLED: Words(B.COMMISSIONING, D.ACTIVE, A.INFO_RECEIVED, P.PRE_TRANSIT, S.LABEL_PRINTED, T.INFO_RECEIVED, "已贴标签", "Labelled"),
    E.AGGREGATED: Words(B.LOADING, D.IN_PROGRESS, A.INFO_RECEIVED, P.PRE_TRANSIT, None, T.INFO_RECEIVED, "已装入容器", "Put into a container"),
    E.DISAGGREGATED: Words(B.UNLOADING, D.IN_PROGRESS, A.INFO_RECEIVED, P.PRE_TRANSIT, None, T.INFO_RECEIVED, "已从容器取出", "Taken out of a container"),
    E.STAGE: Words(B.STAGING_OUTBOUND, D.IN_PROGRESS, A.INFO_RECEIVED, P.PRE_TRANSIT, S.LABEL_PRINTED, T.INFO_RECEIVED, "已到发货月台", "Staged at the dock"),
    E.LOAD: Words(B.LOADING, D.IN_PROGRESS, A.ACCEPTANCE_SCAN, P.IN_TRANSIT, S.CARRIER_PICKED_UP, T.PICKED_UP, "已装车", "Loaded"),
    E.UNLOAD: Words(B.UNLOADING, D.IN_PROGRESS, A.INFO_RECEIVED, P.PRE_TRANSIT, S.LABEL_PRINTED, T.INFO_RECEIVED, "已卸车", "Unloaded"),
    # 17TRACK's Departure and Arrival are the ports of two countries, not hubs on the way.
    E.DEPART: Words(B.DEPARTING, D.IN_TRANSIT, A.DEPARTURE_SCAN, P.IN_TRANSIT, S.IN_TRANSIT, T.IN_TRANSIT, "已离开站点", "Left the hub"),
    E.ARRIVE: Words(B.ARRIVING, D.IN_PROGRESS, A.ARRIVAL_SCAN, P.IN_TRANSIT, S.IN_TRANSIT, T.IN_TRANSIT, "已到达站点", "Arrived at the hub"),
    E.CUSTOMS_ENTERED: Words(
        B.INSPECTING, D.IN_TRANSIT, A.CUSTOMS_STARTED, P.IN_TRANSIT, S.IN_TRANSIT, T.CUSTOMS_PROCESSING, "开始清关", "Customs clearance started"
    ),
    E.CUSTOMS_HELD: Words(B.HOLDING, D.IN_TRANSIT, A.CUSTOMS_DELAY, P.IN_TRANSIT, S.DELAYED, T.SECURITY, "海关扣留", "Held by customs"),
    E.CUSTOMS_CLEARED: Words(B.INSPECTING, D.IN_TRANSIT, A.CUSTOMS_COMPLETED, P.IN_TRANSIT, S.IN_TRANSIT, T.CUSTOMS_RELEASED, "清关完成", "Cleared by customs"),
    E.BORDER_ENTERED: Words(B.ARRIVING, D.IN_TRANSIT, A.ARRIVED_IN_COUNTRY, P.IN_TRANSIT, S.IN_TRANSIT, T.ARRIVAL, "已过境", "Crossed the border"),
    E.ASSIGNED: _only("已派单", "Assigned to a courier"),
    E.UNASSIGNED: _only("已撤回派单", "Taken from the courier"),
    E.CLAIM: _only("已接单", "Job claimed"),
    E.DECLINE: _only("已拒单", "Job declined"),
    E.PICKUP: Words(B.ACCEPTING, D.IN_TRANSIT, A.ACCEPTANCE_SCAN, P.IN_TRANSIT, S.CARRIER_PICKED_UP, T.PICKED_UP, "已揽收", "Collected by the courier"),
    E.OUT_FOR_DELIVERY: Words(
        B.TRANSPORTING, D.IN_TRANSIT, A.OUT_FOR_DELIVERY, P.OUT_FOR_DELIVERY, S.OUT_FOR_DELIVERY, T.OUT_FOR_DELIVERY, "开始派送", "Out for delivery"
    ),
    E.STOP_ARRIVED: Words(
        B.ARRIVING, D.IN_TRANSIT, A.OUT_FOR_DELIVERY, P.OUT_FOR_DELIVERY, S.OUT_FOR_DELIVERY, T.OUT_FOR_DELIVERY, "配送员已到达", "Courier at the stop"
    ),
    E.ATTEMPT_FAILED: Words(B.OTHER, D.IN_TRANSIT, A.ATTEMPT_FAILED, P.IN_TRANSIT, S.ATTEMPTED_DELIVERY, T.FAILURE, "派送失败", "Delivery attempt failed"),
    E.AVAILABLE_FOR_PICKUP: Words(
        B.HOLDING, D.IN_TRANSIT, A.AVAILABLE_FOR_PICKUP, P.AVAILABLE_FOR_PICKUP, S.READY_FOR_PICKUP, T.AVAILABLE_FOR_PICKUP, "可自提", "Ready for pickup"
    ),
    E.DELIVERY: Words(B.ACCEPTING, D.IN_PROGRESS, A.DELIVERED, P.DELIVERED, S.DELIVERED, T.DELIVERED, "已签收", "Delivered"),
    E.REFUSED: Words(B.OTHER, D.IN_TRANSIT, A.REFUSED, P.RETURN_TO_SENDER, S.FAILURE, T.REJECTED, "收件人拒收", "Refused by the recipient"),
    E.RETURN_STARTED: Words(B.SHIPPING, D.IN_TRANSIT, *_BACK, "开始退回", "Return started"),
    E.RETURNED: Words(B.RECEIVING, D.RETURNED, A.RETURNED, P.RETURN_TO_SENDER, S.FAILURE, T.RETURNED, "已退回", "Returned"),
    E.DAMAGED: Words(B.INSPECTING, D.DAMAGED, A.DAMAGED, None, None, T.DAMAGE, "包裹破损", "Damaged"),
    E.LOST: Words(None, D.UNKNOWN, A.LOST, P.FAILURE, S.FAILURE, T.LOST, "包裹丢失", "Lost"),
    E.FOUND: Words(B.OTHER, D.IN_PROGRESS, None, None, None, None, "包裹已找回", "Found again"),
    E.DESTROYED: Words(B.DESTROYING, D.DESTROYED, A.DISPOSED, P.FAILURE, S.FAILURE, T.DESTROYED, "包裹已销毁", "Destroyed"),
    E.VOID: _only("已撤销", "Taken back"),
}
"""What each event is to others. Orders, shifts and jobs have rows with labels alone."""

FLAG_WORDS: Final[Mapping[Flag, Words]] = {
    Flag.HELD: _only("已暂停", "On hold"),
    Flag.CUSTOMS_HOLD: Words(B.HOLDING, None, A.CUSTOMS_DELAY, None, S.DELAYED, T.SECURITY, "海关扣留", "Held by customs"),
    Flag.NEEDS_CONFIRM: _only("待确认", "Needs confirmation"),
    Flag.SHORT: _only("缺件", "Items missing"),
    Flag.DAMAGED: Words(None, D.DAMAGED, None, None, None, None, "破损", "Damaged"),
    Flag.LOST: Words(None, D.UNKNOWN, A.LOST, P.FAILURE, S.FAILURE, T.LOST, "丢失", "Lost"),
    Flag.SILENT: Words(None, None, A.EXPIRED, None, S.DELAYED, T.EXPIRED, "长时间无动态", "No news"),
    Flag.LATE_RISK: Words(None, None, A.DELAY, None, S.DELAYED, T.DELAYED, "可能延误", "May be late"),
    Flag.AMENDED: _only("已修改", "Changed"),
    Flag.CANCEL_REQUESTED: _only("已申请取消", "Cancellation requested"),
    Flag.MOVED_ON_HOLD: _only("暂停期间被移动", "Moved while on hold"),
    Flag.UNASSIGNED: _only("无配送员", "No courier assigned"),
    Flag.NOT_PAID: _only("未付款", "Not paid"),
    Flag.WRONG_COURIER: _only("配送员不符", "With the wrong courier"),
    Flag.WRONG_CARRIER: _only("承运商不符", "With the wrong carrier"),
    Flag.PART_RETURNED: _only("部分退回", "Partly returned"),
}
"""What a flag puts in place of the state's words; None leaves the state's. A damaged parcel goes on: only its condition is told."""

FLAGS_BY_WEIGHT: Final = (Flag.LOST, Flag.CUSTOMS_HOLD, Flag.SILENT, Flag.LATE_RISK, Flag.DAMAGED)
"""Flags that others have words for. If several stand, the first one that has a word in a column says it."""

ENDED: Final = frozenset(
    {OrderState.DELIVERED, OrderState.COMPLETED, OrderState.CANCELLED, OrderState.RETURNED, OrderState.EXCEPTION, ParcelState.LOST, ParcelState.DESTROYED}
)
"""States that no flag outweighs: a parcel that was late, or damaged on its way, is delivered all the same."""

SHIPPING_EVENTS: Final = frozenset({E.LOAD, E.DEPART, E.PICKUP})
"""Events whose `void` is a step of its own for GS1: `void_shipping`. Any other void is an error declaration of EPCIS, which has the same two reasons."""

POD_WORDS: Final[Mapping[PodMethod, tuple[AfterShipSubtag, Shopify]]] = {
    PodMethod.CODE: (A.DELIVERED, S.DELIVERED),
    PodMethod.PHOTO: (A.DELIVERED, S.DELIVERED),
    PodMethod.SIGNATURE: (A.SIGNED, S.DELIVERED),
    PodMethod.LEFT_SAFE: (A.DELIVERED, S.DELIVERED),
    PodMethod.NEIGHBOUR: (A.LEFT_WITH_NEIGHBOUR, S.DELIVERED),
    PodMethod.LOCKER: (A.DELIVERED, S.DELIVERED),
    PodMethod.STATION: (A.DELIVERED, S.DELIVERED),
    PodMethod.COUNTER: (A.PICKED_UP_BY_CUSTOMER, S.PICKED_UP),
    PodMethod.PIN: (A.DELIVERED, S.DELIVERED),
    PodMethod.SCAN: (A.DELIVERED, S.DELIVERED),
    PodMethod.NONE: (A.DELIVERED, S.DELIVERED),
}
"""AfterShip and Shopify say how a parcel was handed over. In a locker or at a station the courier left it; at a counter the recipient took it."""

ATTEMPT_WORDS: Final[Mapping[AttemptReason, tuple[AfterShipSubtag, Track17Sub]]] = {
    AttemptReason.NOT_HOME: (A.NOT_AVAILABLE, T.FAILURE_NOBODY),
    AttemptReason.NO_ANSWER: (A.NOT_AVAILABLE, T.FAILURE_NOBODY),
    AttemptReason.CLOSED: (A.BUSINESS_CLOSED, T.FAILURE_NOBODY),
    AttemptReason.ADDRESS_NOT_FOUND: (A.ATTEMPT_FAILED, T.FAILURE_ADDRESS),
    AttemptReason.ADDRESS_INCOMPLETE: (A.ATTEMPT_FAILED, T.FAILURE_ADDRESS),
    AttemptReason.RECIPIENT_MOVED: (A.ATTEMPT_FAILED, T.FAILURE_ADDRESS),
}
"""Reasons of a failed attempt that AfterShip or 17TRACK know; the others are said without their reason.

All are AfterShip's AttemptFail: its Exception_002 (moved) and Exception_007 (address) mean that no one will try again.
"""


def words_for(state: ParcelState | OrderState) -> Words:
    """The words for a state; members of the two enums with the same text share a row."""
    return STATE_WORDS[state]


def words_for_event(event_type: EventType) -> Words:
    """The words for a step of a parcel's history."""
    return EVENT_WORDS[event_type]


def words_for_flag(flag: Flag) -> Words:
    """The words of a flag; `words_for_status` says which of them count."""
    return FLAG_WORDS[flag]


def words_for_status(state: ParcelState | OrderState, flags: Collection[Flag]) -> Words:
    """The words for a status: those of its state, and of its flags where they outweigh the state. The labels are the state's."""
    words = STATE_WORDS[state]
    if state in ENDED:
        return words
    for flag in reversed(FLAGS_BY_WEIGHT):
        if flag in flags:
            words = FLAG_WORDS[flag].over(words)
    return words


def words_for_void(of: EventType) -> Words:
    """The words for a `void`, by the type of the event that it takes back."""
    words = EVENT_WORDS[E.VOID]
    return words._replace(cbv_step=B.VOID_SHIPPING, cbv_disposition=D.IN_PROGRESS) if of in SHIPPING_EVENTS else words


def words_for_delivery(method: PodMethod) -> Words:
    """The words for a delivery, by how it was proved."""
    subtag, shopify = POD_WORDS[method]
    return EVENT_WORDS[E.DELIVERY]._replace(aftership_subtag=subtag, shopify=shopify)


def words_for_attempt(reason: AttemptReason) -> Words:
    """The words for a failed attempt, by its reason."""
    words = EVENT_WORDS[E.ATTEMPT_FAILED]
    subtag, sub = ATTEMPT_WORDS.get(reason, (words.aftership_subtag, words.track17_sub))
    return words._replace(aftership_subtag=subtag, track17_sub=sub)
