"""Every closed list of the contract in words for people: Chinese and English, for pages, prints, reports and training.

States, event types and flags have their labels in `words.py`, reasons of events in `reason_labels.py`; `LABELS` has them all, by enum.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, NamedTuple

from devices.protocol.reason_labels import REASON_LABELS
from devices.protocol.vocabulary import (
    PARTIAL_STATES,
    AlertCode,
    Audience,
    CustomsDirection,
    DamageSeverity,
    EventType,
    Flag,
    JobState,
    LabelKind,
    Moment,
    Next,
    OrderState,
    Outcome,
    ParcelState,
    Payment,
    PodMethod,
    PointFault,
    Reason,
    Role,
    Severity,
    Tender,
    Tone,
    VoidReason,
    Warn,
    Waypoint,
    partially,
)
from devices.protocol.words import EVENT_WORDS, FLAG_WORDS, STATE_WORDS


class Label(NamedTuple):
    zh: str
    en: str


UNKNOWN: Final = Label("其他", "Other")
"""The label of a word that is not on its list: it comes from a newer server, or from a device that says its own."""

_RECEIPT_LABELS: Final[dict[type[StrEnum], dict[Any, tuple[str, str]]]] = {
    Tone: {
        Tone.OK: ("短鸣一声：继续", "A short beep: go on"),
        Tone.WARN: ("短鸣两声：看屏幕", "Two beeps: look at the screen"),
        Tone.STOP: ("低沉长鸣：停止", "A long low tone: stop"),
    },
    Outcome: {
        Outcome.APPLIED: ("已生效", "It counts"),
        Outcome.NOOP: ("属实，但早已记录，无变化", "True, and known already: nothing changes"),
        Outcome.LATE: ("已按发生时间补记，当前状态不变", "It counts in its place in time; something newer is known"),
        Outcome.PARKED: ("已保存，等待相关信息", "It is kept, and waits for something that is not known yet"),
        Outcome.BLOCKED: ("现在不生效", "It does not count now"),
        Outcome.LOST_CLAIM: ("该任务已被其他配送员接走", "Another courier has this job"),
        Outcome.REJECTED: ("无法生效", "It can never count"),
    },
    Reason: {
        Reason.MALFORMED: ("数据不符合协议", "The payload breaks the contract"),
        Reason.UNKNOWN_TYPE: ("没有这种事件类型", "There is no such event type"),
        Reason.FORBIDDEN: ("此设备无权上报", "This device may not send that"),
        Reason.ID_REUSED: ("该编号已被另一个事件使用", "Another event had this id: each event has its own"),
        Reason.UNREADABLE_CODE: ("条码无法识别", "The code could not be read"),
        Reason.CHECK_DIGIT: ("条码校验位错误", "The code's check digit is wrong"),
        Reason.CONTAINER: ("这是托盘标签，不是包裹标签", "This is the code of a container, not of a parcel"),
        Reason.WRONG_PARCEL: ("该包裹属于另一个订单", "This parcel belongs to another order"),
        Reason.WRONG_SKU: ("商品与所报不符", "This is not the article that was named"),
        Reason.ITEMS_NEEDED: ("订单有多个包裹，请说明此包裹的内容", "The order has several parcels: what is in this one?"),
        Reason.PARCEL_NEEDED: ("请指明是哪个包裹", "Which parcel is it?"),
        Reason.ORDER_NEEDED: ("请指明是哪个订单", "Which order is it?"),
        Reason.CODE_TAKEN: ("该标签已贴在另一个包裹上", "Another parcel has this label already"),
        Reason.VOIDED: ("已被撤销", "It was taken back"),
        Reason.VOID_OF_VOID: ("撤销本身不能再撤销", "A void cannot be taken back itself"),
        Reason.NOT_YOURS: ("该事件由另一台设备上报", "Another device sent that event"),
        Reason.JOB_CLOSED: ("任务已关闭", "The job is closed"),
        Reason.TOO_MANY_EVENTS: ("此设备对该订单上报的事件过多", "This device has sent too many events of the order"),
        Reason.REPEATED: ("此设备已多次上报相同内容", "This device has said the same too often"),
        Reason.POISON: ("服务器无法处理此事件", "The server could not handle it"),
        Reason.UNKNOWN_JOB: ("没有此任务", "There is no such job"),
        Reason.UNKNOWN_ORDER: ("暂无此订单", "There is no such order yet"),
        Reason.UNKNOWN_PARCEL: ("暂无此包裹", "There is no such parcel yet"),
        Reason.UNKNOWN_REFERENCE: ("所引用的事件尚未收到", "The event that it refers to has not come yet"),
        Reason.HELD: ("订单已被商家暂停", "The shop holds the order"),
        Reason.CANCELLED: ("订单已取消", "The order was cancelled"),
        Reason.NOT_PAID: ("订单尚未付款", "The order is not paid yet"),
        Reason.NEEDS_CONFIRM: ("订单需商家先确认", "The shop must confirm the order first"),
        Reason.STALE_REV: ("任务已有变动", "The job has changed since"),
        Reason.HELD_BY_ANOTHER: ("任务由另一名配送员持有", "Another courier holds the job"),
    },
    Next: {
        Next.WAIT: ("请等待：随后会有新的回执", "Wait: another receipt follows"),
        Next.SET_ASIDE: ("放到一旁，稍后再扫", "Set it aside, and scan it again later"),
        Next.CALL_DESK: ("联系调度台", "Call the desk"),
        Next.SCAN_AGAIN: ("请重新扫描", "Scan it again"),
        Next.PUT_BACK: ("放回原处", "Put it back"),
        Next.NAME_ITEMS: ("请说明包裹内的商品（body.items）", "Name the items: body.items"),
        Next.NAME_ORDER: ("请指明订单", "Name the order"),
        Next.SCAN_PARCEL: ("请扫描包裹自身的标签", "Scan the parcel's own label"),
        Next.UNLOAD: ("请卸下包裹并扫描卸车", "Unload it, and scan the unload"),
        Next.REFRESH_JOBS: ("请重新查看任务列表", "Look at your jobs again"),
        Next.UPDATE_FIRMWARE: ("请更新设备固件", "Update the firmware"),
    },
    Warn: {
        Warn.DOUBLE_SCAN: ("短时间内重复扫描", "The same scan, twice in a moment"),
        Warn.MISLOAD: ("包裹装错地方", "This parcel is not where it belongs"),
        Warn.INCOMPLETE: ("订单不齐", "The order is not complete"),
        Warn.MOVED_ON_HOLD: ("暂停期间被移动", "It moved while it was held"),
        Warn.MOVED_AFTER_CANCEL: ("取消后仍被移动", "It moved after it was cancelled"),
        Warn.WRONG_CARRIER: ("装错承运商的车", "It was loaded for the wrong carrier"),
        Warn.NOT_PAID: ("尚未付款", "It is not paid"),
        Warn.NOT_DELIVERED: ("尚未送达", "It is not delivered"),
        Warn.NOT_ORDERED: ("订单中没有此商品", "This was not ordered"),
        Warn.TOO_MANY: ("超出订购数量", "More than was ordered"),
        Warn.CLOCK_JUMP: ("设备时钟跳变", "The device's clock jumped"),
        Warn.NOT_LISTED: ("未列明内容，可能缺件", "What is in it? A list would show what is missing"),
        Warn.PICKED_AFTER: ("订单已发出后才拣货", "The order has left already, with all of it"),
        Warn.NOT_SCANNED: ("包裹仍在仓库，未经扫描出库", "The parcel was never scanned out of the hall"),
        Warn.NOT_YOUR_JOB: ("此包裹派给了另一名配送员", "The parcel is assigned to another courier"),
        Warn.STILL_OUT: ("当班已结束，但仍有包裹或现金未交回", "Parcels or cash are still out after the shift"),
        Warn.HANDED_OVER: ("已由另一名配送员转交", "Another courier has handed it over"),
        Warn.STILL_HELD: ("仍有其他暂停原因", "Other holds still stand"),
        Warn.CLOCK_UNKNOWN: ("设备时钟不可信", "The device's clock can't be right"),
        Warn.ARTICLE_SCANNED: ("扫到的是商品码，不是面单", "An article's barcode was scanned, not a label"),
        Warn.ARTICLE_UNKNOWN: ("商品资料中没有此条码", "No article has this code"),
        Warn.LABEL_MOVED: ("面单已从另一个包裹移来", "The label was on another parcel"),
        Warn.OLD_LABEL: ("这是已被替换的旧面单", "This label has been replaced"),
        Warn.SOME_UNKNOWN: ("容器内有未知的条码", "Some codes in the container are unknown"),
        Warn.UNKNOWN_CODE: ("该条码不属于此订单的任何包裹", "The code is on no parcel of the order"),
        Warn.CONTAINER_REOPENED: ("容器被视为已清空后重新装载", "The container counts as emptied before it was filled again"),
        Warn.SEQ_REUSED: ("序号曾被使用：发件箱被恢复或复制", "Its number was used before: the outbox was restored or copied"),
        Warn.UNKNOWN_FIELD: ("含有协议中没有的字段", "A field of it is not in the contract"),
        Warn.ID_NOT_UUID7: ("事件编号不是 UUIDv7", "Its id is not a UUIDv7"),
        Warn.SEQ_TOO_HIGH: ("序号过大：应从 1 开始连续计数", "Its number is too high: a log counts its events from 1"),
        Warn.MONO_AHEAD: ("mono_ms 晚于 sent_mono_ms", "Its mono_ms is later than its sent_mono_ms"),
        Warn.SENT_BACK: ("sent_mono_ms 倒退：每次发送时都要重新读取", "Its sent_mono_ms went back: read the counter anew for each sending"),
        Warn.POINTS_DROPPED: ("部分定位点未被采用", "Some of its points were not used"),
    },
}

_OTHER_LABELS: Final[dict[type[StrEnum], dict[Any, tuple[str, str]]]] = {
    AlertCode: {
        AlertCode.PARKED: ("有扫描等待相关信息", "Scans wait for something unknown"),
        AlertCode.GAP: ("设备有扫描未送达", "A device owes scans"),
        AlertCode.MOVED_ON_HOLD: ("暂停期间被移动", "Moved while on hold"),
        AlertCode.MOVED_AFTER_CANCEL: ("取消后仍被移动", "Moved after it was cancelled"),
        AlertCode.FORBIDDEN: ("设备越权上报", "A device sent what it may not send"),
        AlertCode.QUARANTINE: ("有事件被隔离", "Events are in quarantine"),
        AlertCode.DROPPED: ("有数据被丢弃", "Messages were dropped"),
        AlertCode.NOT_YOUR_JOB: ("包裹在错误的配送员手中", "A parcel is with the wrong courier"),
        AlertCode.WRONG_CARRIER: ("包裹交错承运商", "A parcel is with the wrong carrier"),
        AlertCode.LABEL_MOVED: ("包裹的面单被贴到了其他订单的包裹上", "A parcel's label is on another order's parcel"),
        AlertCode.LOST: ("包裹丢失", "A parcel is lost"),
        AlertCode.DAMAGED: ("包裹破损", "A parcel is damaged"),
        AlertCode.REFUSED: ("收件人拒收", "The recipient refused a parcel"),
        AlertCode.ATTEMPTS: ("多次派送失败", "Too many failed attempts"),
        AlertCode.CLOCK: ("设备时钟错误", "A device's clock is wrong"),
        AlertCode.LOGINS: ("登录失败过多", "Too many failed logins"),
        AlertCode.CLIENT_ID: ("两个程序使用同一个客户端标识", "Two programs use one client id"),
        AlertCode.PACKET_SIZE: ("报文过大", "A packet is too large"),
        AlertCode.BACKUP: ("备份失败", "The backup failed"),
        AlertCode.SHIFT_OPEN: ("配送员忘记结束当班", "A courier's shift was not ended"),
        AlertCode.CASH_OPEN: ("配送员的现金尚未清点", "A courier's cash was not counted"),
        AlertCode.NO_POSITION: ("配送员手机没有可用的定位", "A courier's phone sends no usable position"),
        AlertCode.CONTRADICTION: ("承运商状态与本地扫描矛盾", "A carrier and our scans contradict each other"),
        AlertCode.STALE_CHANNEL: ("渠道长时间没有新文件", "No file of a channel for too long"),
        AlertCode.NOTICES: ("客户通知无法发送", "Notices for customers can't be sent"),
    },
    Moment: {
        Moment.PACKED: ("已打包", "Packed"),
        Moment.COLLECTED: ("已取件", "Collected"),
        Moment.ARRIVED: ("配送员已到达", "The courier is there"),
        Moment.ATTEMPT_FAILED: ("派送未成功", "The delivery failed"),
        Moment.DELIVERED: ("已签收", "Delivered"),
        Moment.LATE: ("将会延误", "Late"),
        Moment.CANCELLED: ("已取消", "Cancelled"),
    },
    PointFault: {
        PointFault.MALFORMED: ("数据不符合协议", "It breaks the contract"),
        PointFault.NO_FIX: ("尚未定位：坐标为 0, 0", "No fix yet: it lies at 0, 0"),
        PointFault.NO_TIME: ("时间无法确定", "Its time can't be known"),
        PointFault.INACCURATE: ("定位精度不足", "It is not accurate enough"),
        PointFault.OFF_SHIFT: ("未在当班时间内", "Outside a shift"),
        PointFault.ON_BREAK: ("休息中", "In a break"),
        PointFault.NOTHING_ON_BOARD: ("车上没有包裹", "No parcel on board"),
        PointFault.OUTDATED: ("上传过晚", "It came too late"),
        PointFault.DUPLICATE: ("重复上传", "It was sent before"),
        PointFault.TOO_FAST: ("移动速度不可能", "No vehicle gets there so fast"),
    },
    Severity: {
        Severity.INFO: ("提示", "Info"),
        Severity.WARNING: ("警告", "Warning"),
        Severity.CRITICAL: ("严重", "Critical"),
    },
    JobState: {
        JobState.ASSIGNED: ("已派单", "Assigned"),
        JobState.ACCEPTED: ("已接单", "Accepted"),
        JobState.DECLINED: ("已拒单", "Declined"),
        JobState.RELEASED: ("已撤回", "Withdrawn"),
        JobState.DONE: ("已完成", "Done"),
    },
    Role: {
        Role.SCANNER: ("扫描枪", "Scanner"),
        Role.COURIER: ("配送员", "Courier"),
        Role.SYSTEM: ("业务系统", "System"),
        Role.CARRIER: ("承运商", "Carrier"),
        Role.DESK: ("调度台", "Desk"),
        Role.LAB: ("其他 MQTT 设备", "Other MQTT gear"),
    },
    Waypoint: {
        Waypoint.BORDER_ENTERED: ("已过境", "Crossed the border"),
    },
    PodMethod: {
        PodMethod.CODE: ("收货码", "Code"),
        PodMethod.PHOTO: ("拍照", "Photo"),
        PodMethod.SIGNATURE: ("签名", "Signature"),
        PodMethod.LEFT_SAFE: ("放在约定的安全位置", "Left in a safe place"),
        PodMethod.NEIGHBOUR: ("邻居代收", "Left with a neighbour"),
        PodMethod.LOCKER: ("快递柜", "Parcel locker"),
        PodMethod.STATION: ("驿站代收", "Pickup station"),
        PodMethod.COUNTER: ("柜台自提", "Collected at a counter"),
        PodMethod.PIN: ("取件密码", "PIN"),
        PodMethod.SCAN: ("扫码", "Scan"),
        PodMethod.NONE: ("无凭证", "Nothing"),
    },
    Payment: {
        Payment.PREPAID: ("先付款", "Prepaid"),
        Payment.ON_DELIVERY: ("货到付款", "Paid on delivery"),
    },
    Audience: {
        Audience.DESK: ("内部人员", "The people of the site"),
        Audience.COURIER: ("配送员也可见", "The courier, too"),
        Audience.CUSTOMER: ("收件人也可见", "The recipient, too"),
    },
    LabelKind: {
        LabelKind.SSCC: ("物流单元条码（SSCC）", "SSCC"),
        LabelKind.WAYBILL: ("快递单号", "Waybill"),
        LabelKind.PLAIN: ("其他文字", "Other text"),
    },
    CustomsDirection: {
        CustomsDirection.EXPORT: ("出口", "Export"),
        CustomsDirection.IMPORT: ("进口", "Import"),
        CustomsDirection.TRANSIT: ("过境", "Transit"),
    },
    Tender: {
        Tender.CASH: ("现金", "Cash"),
        Tender.CARD: ("银行卡", "Card"),
        Tender.WALLET: ("移动支付", "Payment app"),
        Tender.OTHER: ("其他方式", "Something else"),
    },
    DamageSeverity: {
        DamageSeverity.MINOR: ("轻微：仅外包装", "Minor: the box only"),
        DamageSeverity.MAJOR: ("严重：内物可能受损", "Major: the contents may be damaged"),
        DamageSeverity.TOTAL: ("全损", "Total: nothing can be used"),
    },
    VoidReason: {
        VoidReason.DID_NOT_OCCUR: ("并未发生", "It did not happen"),
        VoidReason.INCORRECT_DATA: ("数据有误", "The data was wrong"),
    },
}


def _table(rows: Mapping[Any, tuple[str, str]]) -> dict[str, Label]:
    return {str(word): Label(zh, en) for word, (zh, en) in rows.items()}


LABELS: Final[dict[type[StrEnum], dict[str, Label]]] = {
    **{words: _table(rows) for words, rows in (*_RECEIPT_LABELS.items(), *_OTHER_LABELS.items(), *REASON_LABELS.items())},
    EventType: _table({event: (row.zh, row.en) for event, row in EVENT_WORDS.items()}),
    Flag: _table({flag: (row.zh, row.en) for flag, row in FLAG_WORDS.items()}),
    ParcelState: _table({state: (STATE_WORDS[state].zh, STATE_WORDS[state].en) for state in ParcelState}),
    OrderState: _table({state: (STATE_WORDS[state].zh, STATE_WORDS[state].en) for state in OrderState}),
}
"""Enum → word → label."""

ORDER_STATE_LABELS: Final[dict[str, Label]] = {
    **LABELS[OrderState],
    **{partially(s): Label("部分" + STATE_WORDS[s].zh, "Partially " + STATE_WORDS[s].en.lower()) for s in PARTIAL_STATES},
}
"""Every word of an order's status, the `partially_…` forms among them."""


KEPT_ASIDE: Final = Label("放到一旁：不必重扫，会自动生效", "Set it aside: do not scan it again")
"""The label of `set_aside` in a receipt that is not final."""


def next_label(word: str, *, final: bool) -> Label:
    """What a worker is told to do by a receipt."""
    return KEPT_ASIDE if word == Next.SET_ASIDE and not final else label_of(Next, word)


def label_of(words: type[StrEnum], word: str) -> Label:
    """The label of a word of a closed list; `UNKNOWN` if the word is not on the list."""
    return LABELS[words].get(word, UNKNOWN)
