"""What a user does about each verdict."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from devices.protocol.bridge_messages import Receipt
from devices.protocol.vocabulary import Outcome, Reason


class Reaction(StrEnum):
    """What a user does about a verdict."""

    GO_ON = "go_on"
    WAIT = "wait"
    RETRY = "retry"
    GIVE_UP = "give_up"


REACTIONS: Final[dict[Outcome, Reaction]] = {
    Outcome.APPLIED: Reaction.GO_ON,
    Outcome.NOOP: Reaction.GO_ON,
    Outcome.LATE: Reaction.GO_ON,
    Outcome.PARKED: Reaction.WAIT,
    Outcome.BLOCKED: Reaction.RETRY,
    Outcome.LOST_CLAIM: Reaction.GIVE_UP,
    Outcome.REJECTED: Reaction.GIVE_UP,
}


def reaction_to(receipt: Receipt) -> Reaction:
    """A hold passes, a cancellation does not; a wrong label is followed by the right one."""
    if receipt.reason is Reason.CANCELLED:
        return Reaction.GIVE_UP
    if receipt.reason in (Reason.WRONG_SKU, Reason.WRONG_PARCEL, Reason.PARCEL_NEEDED):
        return Reaction.RETRY
    return REACTIONS[receipt.outcome]
