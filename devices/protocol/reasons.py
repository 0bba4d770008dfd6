"""The closed lists of reasons: why an attempt failed, why an order is held, and so on.

On the wire, `reason` of a body is any short word, so that old firmware and other systems lose no scan, and it is stored as it came: a hold is keyed by it.
These lists are what documents, labels, reports and the methods of the device library use; `known` reads a word that is not on a list as `other`.
What is no word, but a name or a sentence, may be about a person: the server seals it, and `stored_as` stands in its place.
"""

from __future__ import annotations

import re
from enum import StrEnum
from hashlib import sha256
from types import MappingProxyType
from typing import Final, TypeVar

from devices.protocol.vocabulary import EventType


class AttemptReason(StrEnum):
    """Why a parcel could not be handed over (`attempt_failed`)."""

    NOT_HOME = "not_home"
    NO_ANSWER = "no_answer"
    CLOSED = "closed"
    NO_ACCESS = "no_access"
    ADDRESS_NOT_FOUND = "address_not_found"
    ADDRESS_INCOMPLETE = "address_incomplete"
    RECIPIENT_MOVED = "recipient_moved"
    RESCHEDULED = "rescheduled"
    WRONG_CODE = "wrong_code"
    NO_ID = "no_id"
    PAYMENT_MISSING = "payment_missing"
    LOCKER_FULL = "locker_full"
    PARCEL_MISSING = "parcel_missing"
    DANGEROUS = "dangerous"
    WEATHER = "weather"
    VEHICLE = "vehicle"
    OUT_OF_TIME = "out_of_time"
    OTHER = "other"


class RefusalReason(StrEnum):
    """Why a recipient does not take a parcel (`refused`)."""

    NOT_WANTED = "not_wanted"
    NOT_ORDERED = "not_ordered"
    DAMAGED = "damaged"
    WRONG_ITEM = "wrong_item"
    INCOMPLETE = "incomplete"
    LATE = "late"
    PAYMENT = "payment"
    DUTIES = "duties"
    NO_INSPECTION = "no_inspection"
    OTHER = "other"


class DamageReason(StrEnum):
    """What damaged a parcel, or what is wrong with it (`damaged`)."""

    DROPPED = "dropped"
    CRUSHED = "crushed"
    WET = "wet"
    LEAKING = "leaking"
    BROKEN = "broken"
    TORN = "torn"
    OPENED = "opened"
    CONTAMINATED = "contaminated"
    TEMPERATURE = "temperature"
    BAD_PACKING = "bad_packing"
    MACHINE = "machine"
    ACCIDENT = "accident"
    OTHER = "other"


class CancelReason(StrEnum):
    """Why an order, or a parcel of it, is not wanted any more (`cancelled`)."""

    CUSTOMER_REQUEST = "customer_request"
    PAYMENT = "payment"
    FRAUD = "fraud"
    STOCK = "stock"
    ADDRESS = "address"
    DUPLICATE = "duplicate"
    MISTAKE = "mistake"
    LATE = "late"
    DAMAGED = "damaged"
    UNDELIVERABLE = "undeliverable"
    OTHER = "other"


class HoldReason(StrEnum):
    """Why an order may not move (`held`, and `released` that lifts it)."""

    FRAUD = "fraud"
    PAYMENT = "payment"
    CHARGEBACK = "chargeback"
    CUSTOMS = "customs"
    ADDRESS = "address"
    STOCK = "stock"
    CUSTOMER_REQUEST = "customer_request"
    QUALITY = "quality"
    OK_NEEDED = "ok_needed"
    DELIVERY_DATE = "delivery_date"
    DOCUMENTS = "documents"
    RECALL = "recall"
    OTHER = "other"


GUARDED_HOLDS: Final = frozenset({HoldReason.FRAUD, HoldReason.PAYMENT, HoldReason.CHARGEBACK, HoldReason.CUSTOMS})
"""Holds that only the device that set them may lift."""


class ReturnReason(StrEnum):
    """Why a parcel goes back (`return_started`)."""

    NOT_WANTED = "not_wanted"
    DOES_NOT_FIT = "does_not_fit"
    NOT_AS_DESCRIBED = "not_as_described"
    DEFECTIVE = "defective"
    DAMAGED = "damaged"
    WRONG_ITEM = "wrong_item"
    LATE = "late"
    REFUSED = "refused"
    UNDELIVERABLE = "undeliverable"
    ATTEMPTS_USED = "attempts_used"
    UNCLAIMED = "unclaimed"
    CANCELLED = "cancelled"
    CUSTOMS = "customs"
    RECALL = "recall"
    OTHER = "other"


class UnpackReason(StrEnum):
    """Why a parcel was opened again (`unpack`)."""

    WRONG_BOX = "wrong_box"
    WRONG_ITEM = "wrong_item"
    MISSING_ITEM = "missing_item"
    DAMAGED = "damaged"
    INSPECTION = "inspection"
    ORDER_CHANGED = "order_changed"
    CANCELLED = "cancelled"
    OTHER = "other"


class UnloadReason(StrEnum):
    """Why a parcel was taken out of a vehicle again (`unload`); without a reason it was simply unloaded."""

    WRONG_VEHICLE = "wrong_vehicle"
    NO_SPACE = "no_space"
    HELD = "held"
    CANCELLED = "cancelled"
    DAMAGED = "damaged"
    LABEL = "label"
    VEHICLE = "vehicle"
    OTHER = "other"


class DestroyReason(StrEnum):
    """Why a parcel was destroyed (`destroyed`)."""

    DAMAGED = "damaged"
    SPOILED = "spoiled"
    CONTAMINATED = "contaminated"
    RECALL = "recall"
    CUSTOMS = "customs"
    UNCLAIMED = "unclaimed"
    CUSTOMER_REQUEST = "customer_request"
    OTHER = "other"


class CustomsReason(StrEnum):
    """Why customs keep a parcel (`customs_held`)."""

    PAPERS_MISSING = "papers_missing"
    PAPERS_WRONG = "papers_wrong"
    DUTIES_UNPAID = "duties_unpaid"
    VALUE = "value"
    RECIPIENT_ID = "recipient_id"
    INSPECTION = "inspection"
    LICENCE = "licence"
    QUARANTINE = "quarantine"
    PROHIBITED = "prohibited"
    COUNTERFEIT = "counterfeit"
    OTHER = "other"


class UnassignReason(StrEnum):
    """Why a job was taken from a courier (`unassigned`)."""

    REPLANNED = "replanned"
    ILL = "ill"
    SHIFT_OVER = "shift_over"
    VEHICLE = "vehicle"
    OVERLOAD = "overload"
    NO_CONTACT = "no_contact"
    CANCELLED = "cancelled"
    OTHER = "other"


class DeclineReason(StrEnum):
    """Why a courier leaves a job to others (`decline`)."""

    FULL = "full"
    TOO_FAR = "too_far"
    TOO_HEAVY = "too_heavy"
    SHIFT_ENDING = "shift_ending"
    VEHICLE = "vehicle"
    ILL = "ill"
    OTHER = "other"


class RefundReason(StrEnum):
    """Why money was paid back (`refunded`)."""

    CANCELLED = "cancelled"
    RETURNED = "returned"
    LOST = "lost"
    DAMAGED = "damaged"
    LATE = "late"
    OVERPAID = "overpaid"
    GOODWILL = "goodwill"
    OTHER = "other"


class CashReason(StrEnum):
    """Why the cash of a shift is not what was collected (`cash_counted`)."""

    CHANGE = "change"
    TIP = "tip"
    ROUNDED = "rounded"
    COUNTERFEIT = "counterfeit"
    LOST = "lost"
    STOLEN = "stolen"
    NOT_COLLECTED = "not_collected"
    HANDED_IN_LATER = "handed_in_later"
    OTHER = "other"


class Condition(StrEnum):
    """How a returned parcel looks (`condition` of `returned`)."""

    UNOPENED = "unopened"
    OPENED = "opened"
    USED = "used"
    DAMAGED = "damaged"
    DEFECTIVE = "defective"
    INCOMPLETE = "incomplete"
    WRONG_ITEM = "wrong_item"
    OTHER = "other"


REASONS: Final[MappingProxyType[EventType, type[StrEnum]]] = MappingProxyType(
    {
        EventType.HELD: HoldReason,
        EventType.RELEASED: HoldReason,
        EventType.CANCELLED: CancelReason,
        EventType.REFUNDED: RefundReason,
        EventType.CASH_COUNTED: CashReason,
        EventType.UNPACK: UnpackReason,
        EventType.UNLOAD: UnloadReason,
        EventType.CUSTOMS_HELD: CustomsReason,
        EventType.UNASSIGNED: UnassignReason,
        EventType.DECLINE: DeclineReason,
        EventType.ATTEMPT_FAILED: AttemptReason,
        EventType.REFUSED: RefusalReason,
        EventType.RETURN_STARTED: ReturnReason,
        EventType.DAMAGED: DamageReason,
        EventType.DESTROYED: DestroyReason,
    }
)
"""The list of each event type whose body has a free `reason`. Each list has `other`. Other words stay free: a channel, a vehicle, what was `changed`."""


FREE_WORDS: Final[MappingProxyType[EventType, str]] = MappingProxyType(
    {**dict.fromkeys(REASONS, "reason"), EventType.RETURNED: "condition", EventType.CREATED: "mode", EventType.AMENDED: "changed"}
)
"""The field of a body that takes any word, or list of words, for each event type that has one."""
_WORD: Final = re.compile(r"(?!.*[0-9]{5})[a-z][a-z0-9_.-]*")


def stored_as(word: str) -> str:
    """How the server stores a word that the sender chose: as it is if it looks like one, in small letters without blanks, and without five digits in a row.

    Else `other_` and four hex digits of its SHA-256: two of them stay two, and nobody can tell what was said.
    """
    return word if _WORD.fullmatch(word) else f"other_{sha256(word.encode()).hexdigest()[:4]}"


W = TypeVar("W", bound=StrEnum)


def known(words: type[W], word: str) -> W:
    """The member of a closed list that a word of the wire is; `other` if the word is not on the list."""
    try:
        return words(word)
    except ValueError:
        return words("other")
