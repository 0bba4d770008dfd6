"""What the fold takes and gives: facts in, verdicts out, and the sequence in which facts are applied.

Sort key: (order_ms, device, log, seq, id). One device's events never swap: for devices `order_ms` is the largest event time among this
order's facts of the same (device, log) with a seq up to its own. Systems retry and reshuffle, so their seq never orders; neither does a number that another
event of its log had before, because its outbox was restored or copied.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from devices.protocol.bodies import Body
from devices.protocol.vocabulary import DEVELOPER_WARNINGS, Next, Outcome, Reason, Role, Tone, Warn

BRIDGE = "bridge"
"""The device name under which the bridge writes events of its own."""
DECIDED = "decided"
"""The bridge's own event type: how a courier's claim or refusal of a job ended, in which job a parcel is that a courier took along, or that a delivered order
is completed. Never sent by a device."""


class Unpaid(StrEnum):
    """What a prepaid order that is not paid may do: the site's setting `payments.unpaid`, stored with the order's creation."""

    WARN = "warn"
    BLOCK_PICK = "block_pick"


FactKey = tuple[int, int, str, bytes, int, bytes]
"""(0 for `created` and 1 for others, order_ms, device, log, seq, id). An order's creation is applied first, whatever the shop's clock says."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The body of `decided`: which answer of a courier (`claim` or `decline`), by its device and event id, it settles, and how.

    With the answer `completed` it says that a delivered order is completed by itself; it then settles no event and has no job. With `assigned` it says that
    `courier`, who took `parcel` along, has it in `job`.
    """

    device: str
    ref: bytes
    job: str
    answer: str
    outcome: Outcome
    reason: Reason | None
    courier: str | None = None
    parcel: str | None = None


BY_SEQ: Final = frozenset({Role.SCANNER, Role.COURIER})
"""Roles whose seq numbers are a promise; a ledger tracks which of them came. Systems, carriers and desks retry and reorder, so their numbers prove nothing.

A number never identifies an event. The ledger counts and warns of one that another event had before: its outbox was restored from a backup, or copied. For a
system it is not even counted: the import of a shop's file has one log per order, which is more logs than there can be ledgers.
"""
_NO_UID: Final = ("", b"")
_NO_KEY: Final[FactKey] = (0, 0, "", b"", 0, b"")


class Fact(Struct, kw_only=True, eq=False, gc=False):
    """One stored event as the fold sees it. A struct that the garbage collector passes over, because millions are made and none refers to another.

    `fault` is the reason of a rejection that the event itself shows (an unreadable code, say): it proves nothing, and the fold rejects it. `pos` is its place
    in the event log. `named` is the order that the device named, `code` the normal form of the scanned code, `keys` are all codes that it mentions.
    `doubt` is what was odd about it on arrival (words of `Warn`, with blanks between them), for its receipts; no verdict depends on it. `seq_reused` says that
    another event of its log had its number before. `courier` is the courier that the device was bound to; `terms` is the site's rule for unpaid orders when the
    event was stored (an `Unpaid`), None for events of the first edition. `article` is the SKU of the article that a pick scanned, if the site's list of
    articles had it on arrival. `carrier` is the carrier that the event means, as the site's settings had it on arrival, if it names one in another spelling
    or is the scan at a vehicle or dock of one; `pickups` are the next pickups of all carriers after it, if an order may count from it.

    `arrived_in` is the order that it belonged to when it arrived. The rest is its placing in this order, which may change: `refusal` is why it can't count
    here, `warn` what is odd about it, and `inside` the codes of the order's parcels in the container that was scanned, or the code that a label of another
    order took from a parcel of this one.

    The last four follow from the others and are not given: `uid` is its identity within a site, `order_ms` and `key` are its place.
    """

    id: bytes
    device: str
    role: str
    type: str
    log: bytes
    seq: int
    event_ms: int
    received_ms: int
    body: Body | Decided
    parcel: str | None = None
    code: str | None = None
    at: str | None = None
    courier: str | None = None
    terms: str | None = None
    fault: str | None = None
    named: str | None = None
    keys: tuple[str, ...] = ()
    pos: int = 0
    doubt: str | None = None
    article: str | None = None
    carrier: str | None = None
    pickups: str | None = None
    seq_reused: bool = False
    arrived_in: str | None = None
    refusal: Reason | None = None
    warn: tuple[Warn, ...] = ()
    inside: tuple[str, ...] | None = None
    uid: tuple[str, bytes] = _NO_UID
    ordered_by_seq: bool = False
    order_ms: int = 0
    key: FactKey = _NO_KEY

    def __post_init__(self) -> None:
        self.uid = (self.device, self.id)
        self.ordered_by_seq = self.role in BY_SEQ and not self.seq_reused
        self.place(self.event_ms)

    def place(self, order_ms: int) -> None:
        """Give the fact its place among the facts of its device."""
        self.order_ms = order_ms
        self.key = (0 if self.type == "created" else 1, order_ms, self.device, self.log, self.seq, self.id)

    def copy(self) -> Fact:
        """The same event, to be placed in another order."""
        return copy(self)

    @property
    def takes_label(self) -> bool:
        """Whether it is the label of another order, which this order's parcel bore before."""
        return self.inside is not None and self.type == "labelled"


COUNTED: Final = frozenset({Outcome.APPLIED, Outcome.LATE, Outcome.NOOP})
"""Outcomes of an event that counts as having happened."""


class Verdict(NamedTuple):
    """What the fold says of one fact. `state` is the order's state right after it, `carrier` the one that was expected instead of the one that was meant."""

    outcome: Outcome
    reason: Reason | None = None
    warn: tuple[Warn, ...] = ()
    next: Next | None = None
    state: str | None = None
    parcel: str | None = None
    carrier: str | None = None


APPLIED = Verdict(Outcome.APPLIED)
NOOP = Verdict(Outcome.NOOP)

NEXT_STEP: dict[Reason, Next] = {
    Reason.MALFORMED: Next.UPDATE_FIRMWARE,
    Reason.UNKNOWN_TYPE: Next.UPDATE_FIRMWARE,
    Reason.FORBIDDEN: Next.CALL_DESK,
    Reason.ID_REUSED: Next.UPDATE_FIRMWARE,
    Reason.UNREADABLE_CODE: Next.SCAN_AGAIN,
    Reason.CHECK_DIGIT: Next.SCAN_AGAIN,
    Reason.CONTAINER: Next.SCAN_PARCEL,
    Reason.WRONG_PARCEL: Next.PUT_BACK,
    Reason.WRONG_SKU: Next.PUT_BACK,
    Reason.ITEMS_NEEDED: Next.NAME_ITEMS,
    Reason.PARCEL_NEEDED: Next.SCAN_PARCEL,
    Reason.ORDER_NEEDED: Next.NAME_ORDER,
    Reason.CODE_TAKEN: Next.CALL_DESK,
    Reason.VOID_OF_VOID: Next.CALL_DESK,
    Reason.NOT_YOURS: Next.CALL_DESK,
    Reason.JOB_CLOSED: Next.REFRESH_JOBS,
    Reason.TOO_MANY_EVENTS: Next.CALL_DESK,
    Reason.POISON: Next.CALL_DESK,
    Reason.UNKNOWN_ORDER: Next.SET_ASIDE,
    Reason.UNKNOWN_PARCEL: Next.SET_ASIDE,
    Reason.UNKNOWN_REFERENCE: Next.WAIT,
    Reason.UNKNOWN_JOB: Next.REFRESH_JOBS,
    Reason.HELD: Next.SET_ASIDE,
    Reason.CANCELLED: Next.PUT_BACK,
    Reason.NEEDS_CONFIRM: Next.CALL_DESK,
    Reason.NOT_PAID: Next.SET_ASIDE,
    Reason.STALE_REV: Next.REFRESH_JOBS,
    Reason.HELD_BY_ANOTHER: Next.REFRESH_JOBS,
}
"""The instruction that a device gets with each reason."""


class Kept(StrEnum):
    """Where a refused event is kept, apart from the log."""

    QUARANTINE = "quarantine"
    """An operator has to look at it: it can't be understood, may not be sent, or could not be processed."""
    MISPICK = "mispick"
    """The worker was told and put it right: it is only counted (`dockbridge report mispicks`)."""
    NOWHERE = "nowhere"
    """It never happened."""


KEPT: Final[dict[Reason, Kept]] = {
    **dict.fromkeys((Reason.MALFORMED, Reason.UNKNOWN_TYPE, Reason.FORBIDDEN, Reason.ID_REUSED, Reason.TOO_MANY_EVENTS, Reason.POISON), Kept.QUARANTINE),
    **dict.fromkeys((Reason.UNREADABLE_CODE, Reason.CHECK_DIGIT, Reason.CONTAINER), Kept.MISPICK),
    **dict.fromkeys((Reason.WRONG_PARCEL, Reason.WRONG_SKU, Reason.ITEMS_NEEDED, Reason.PARCEL_NEEDED, Reason.ORDER_NEEDED), Kept.MISPICK),
    **dict.fromkeys((Reason.CODE_TAKEN, Reason.VOID_OF_VOID, Reason.NOT_YOURS, Reason.JOB_CLOSED, Reason.UNKNOWN_JOB), Kept.MISPICK),
    **dict.fromkeys((Reason.HELD, Reason.CANCELLED, Reason.NEEDS_CONFIRM, Reason.NOT_PAID), Kept.MISPICK),
    **dict.fromkeys((Reason.VOIDED, Reason.REPEATED), Kept.NOWHERE),
}
"""Every reason of a rejected or blocked event, and where it is kept."""


def same_answer(outcome: str, reason: str | None, verdict: Verdict) -> bool:
    """Whether a verdict is the answer that was sent before. `late` and `applied` differ only in when the event arrived."""
    told = Outcome.APPLIED if outcome == Outcome.LATE else outcome
    return told == verdict.outcome and reason == verdict.reason


_STOP_WARNS = frozenset({Warn.MOVED_ON_HOLD, Warn.MOVED_AFTER_CANCEL, Warn.MISLOAD, Warn.LABEL_MOVED, Warn.WRONG_CARRIER})
_TONES = {Outcome.APPLIED: Tone.OK, Outcome.NOOP: Tone.OK, Outcome.LATE: Tone.OK, Outcome.PARKED: Tone.WARN}


def refusal(outcome: Outcome, reason: Reason, parcel: str | None = None) -> Verdict:
    """A verdict that is not `applied`, with the instruction that belongs to its reason."""
    return Verdict(outcome, reason, next=NEXT_STEP.get(reason), parcel=parcel)


def tone_of(verdict: Verdict) -> Tone:
    """The beep for a verdict: stop if a person must act, warn if something was odd. An event that counts and still has an instruction is a stop."""
    tone = _TONES.get(verdict.outcome, Tone.STOP)
    if verdict.next is not None and tone is Tone.OK:
        return Tone.STOP
    if not verdict.warn or DEVELOPER_WARNINGS.issuperset(verdict.warn):
        return tone
    if tone is Tone.STOP or any(w in _STOP_WARNS for w in verdict.warn):
        return Tone.STOP
    return Tone.WARN
