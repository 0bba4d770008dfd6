"""What the bridge's answers mean, in words for a trainee."""

from __future__ import annotations

from typing import Any, Final

from devices.protocol.vocabulary import Next, Outcome, Reason, Tone, Warn

TONES: Final[dict[Tone, str]] = {
    Tone.OK: "a short beep: go on",
    Tone.WARN: "two beeps: look at the screen",
    Tone.STOP: "a long low tone: stop",
}
OUTCOMES: Final[dict[Outcome, str]] = {
    Outcome.APPLIED: "it counts",
    Outcome.NOOP: "true, and known already: nothing changes",
    Outcome.LATE: "it counts in its place in time; something newer is known",
    Outcome.PARKED: "it is kept, and waits for something that is not known yet",
    Outcome.BLOCKED: "it does not count now",
    Outcome.LOST_CLAIM: "another courier has this job",
    Outcome.REJECTED: "it can never count",
}
REASONS: Final[dict[Reason, str]] = {
    Reason.MALFORMED: "the payload breaks the contract",
    Reason.UNKNOWN_TYPE: "there is no such event type",
    Reason.FORBIDDEN: "this device may not say that",
    Reason.ID_REUSED: "another event had this id, or this log and seq: each event has its own",
    Reason.UNREADABLE_CODE: "the code could not be read",
    Reason.CHECK_DIGIT: "the code's check digit is wrong",
    Reason.CONTAINER: "this is the label of a pallet, not of a parcel",
    Reason.WRONG_PARCEL: "this parcel belongs to another order",
    Reason.WRONG_SKU: "this is not the article that was said",
    Reason.ITEMS_NEEDED: "the order has several parcels: what is in this one?",
    Reason.PARCEL_NEEDED: "which parcel is it?",
    Reason.ORDER_NEEDED: "which order is it?",
    Reason.CODE_TAKEN: "another parcel has this label already",
    Reason.VOIDED: "it was taken back",
    Reason.VOID_OF_VOID: "what takes something back can't be taken back itself",
    Reason.NOT_YOURS: "that was told by another device",
    Reason.JOB_CLOSED: "the job is closed",
    Reason.TOO_MANY_EVENTS: "the order has too many events",
    Reason.POISON: "the bridge could not handle it, and says so",
    Reason.UNKNOWN_JOB: "there is no such job yet",
    Reason.UNKNOWN_ORDER: "there is no such order yet",
    Reason.UNKNOWN_PARCEL: "there is no such parcel yet",
    Reason.UNKNOWN_REFERENCE: "the event that it refers to has not come yet",
    Reason.HELD: "the shop holds the order",
    Reason.CANCELLED: "the order was cancelled",
    Reason.NEEDS_CONFIRM: "the shop must confirm the order first",
    Reason.STALE_REV: "the job has changed since",
    Reason.HELD_BY_ANOTHER: "another courier has the job",
}
INSTRUCTIONS: Final[dict[Next, str]] = {
    Next.WAIT: "wait: another receipt follows",
    Next.SET_ASIDE: "set it aside, and scan it again later",
    Next.CALL_DESK: "call the desk",
    Next.SCAN_AGAIN: "scan it again",
    Next.PUT_BACK: "put it back",
    Next.NAME_ITEMS: "name the items: body.items",
    Next.NAME_ORDER: "name the order",
    Next.SCAN_PARCEL: "scan the parcel's own label",
    Next.REFRESH_JOBS: "look at your jobs again",
    Next.UPDATE_FIRMWARE: "mend the firmware",
}
WARNINGS: Final[dict[Warn, str]] = {
    Warn.DOUBLE_SCAN: "the same scan, twice in a moment",
    Warn.MISLOAD: "this parcel is not where it belongs",
    Warn.INCOMPLETE: "the order is not complete",
    Warn.MOVED_ON_HOLD: "it moved while it was held",
    Warn.MOVED_AFTER_CANCEL: "it moved after it was cancelled",
    Warn.NOT_PAID: "it is not paid",
    Warn.NOT_DELIVERED: "it is not delivered",
    Warn.NOT_ORDERED: "this was not ordered",
    Warn.TOO_MANY: "more than was ordered",
    Warn.CLOCK_JUMP: "the device's clock jumped",
    Warn.SEQ_REUSED: "its number was used before: the outbox was restored or copied",
    Warn.UNKNOWN_FIELD: "a field of it is not in the contract",
}


def in_words(receipt: dict[str, Any]) -> str:
    """A receipt for a person: tone, what became of it, why, and what to do."""
    why = [REASONS[Reason(receipt["reason"])]] if "reason" in receipt else []
    why += [WARNINGS[Warn(w)] for w in receipt.get("warn", ())]
    said = f"{TONES[Tone(receipt['tone'])]}. {OUTCOMES[Outcome(receipt['outcome'])].capitalize()}"
    said += f": {'; '.join(why)}" if why else ""
    said += f" ({receipt['detail']})" if receipt.get("detail") else ""
    return f"{said}. {INSTRUCTIONS[Next(receipt['next'])].capitalize()}." if "next" in receipt else f"{said}."
