"""The life of each flag and alert: the events that raise it and those that end it.

The tables are what the code of this package does, event by event; a test plays a story for each of their entries. A void of what raised a flag or alert ends
it too, and so does a void of what created the order.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.lifecycle import CUSTODY_FACTS, RANK
from bridge.domain.order.order import Order
from devices.protocol.vocabulary import AlertCode, Flag, ParcelState
from devices.protocol.vocabulary import EventType as E


class Life(NamedTuple):
    """What raises a flag or an alert, and what ends it."""

    raised_by: frozenset[E]
    ended_by: frozenset[E]


_CUSTODY: Final = frozenset(E(e) for e in CUSTODY_FACTS)
_HOME: Final = frozenset({E.UNLOAD, E.RETURNED})
_GONE: Final = frozenset({E.LOST, E.DESTROYED, E.DAMAGED})
_CLOSED: Final = frozenset({E.COMPLETED, E.DELIVERY})
"""A completion of a delivered order closes it, and so does the delivery of an order that was completed too early."""
_BACK: Final = frozenset({E.REFUSED, E.RETURN_STARTED}) | _HOME | _GONE

FLAG_LIFE: Final[dict[Flag, Life]] = {
    Flag.HELD: Life(frozenset({E.HELD}), frozenset({E.RELEASED})),
    Flag.CUSTOMS_HOLD: Life(frozenset({E.CUSTOMS_HELD}), frozenset({E.CUSTOMS_CLEARED, E.DELIVERY, E.RETURNED, E.CANCELLED}) | _GONE),
    Flag.NEEDS_CONFIRM: Life(frozenset({E.AMENDED}), frozenset({E.APPROVED})),
    Flag.SHORT: Life(frozenset({E.PICK, E.PACK, E.AMENDED}) | _GONE, frozenset({E.PICK, E.PACK, E.AMENDED, E.FOUND, E.CANCELLED}) | _CUSTODY),
    Flag.DAMAGED: Life(frozenset({E.DAMAGED}), frozenset({E.UNPACK})),
    Flag.LOST: Life(frozenset({E.LOST}), frozenset({E.FOUND, E.DESTROYED}) | _CUSTODY),
    Flag.AMENDED: Life(frozenset({E.AMENDED}), frozenset()),
    Flag.CANCEL_REQUESTED: Life(frozenset({E.CANCELLED}) | _CUSTODY, _BACK | _CLOSED),
    Flag.MOVED_ON_HOLD: Life(_CUSTODY, _BACK | _CLOSED | {E.RELEASED, E.APPROVED}),
    Flag.UNASSIGNED: Life(frozenset({E.UNASSIGNED, E.DECLINE}), frozenset({E.ASSIGNED})),
    Flag.NOT_PAID: Life(_CUSTODY | _BACK | {E.REFUNDED, E.CANCELLED, E.AMENDED, E.PICK, E.PACK}, frozenset({E.PAID, E.DELIVERY}) | _BACK),
    Flag.WRONG_COURIER: Life(
        frozenset({E.PICKUP, E.OUT_FOR_DELIVERY, E.DELIVERY, E.ATTEMPT_FAILED}),
        frozenset({E.ASSIGNED, E.PICKUP, E.OUT_FOR_DELIVERY, E.ARRIVE}) | _HOME | _GONE | _CLOSED,
    ),
    Flag.WRONG_CARRIER: Life(frozenset({E.LOAD, E.PICKUP}), frozenset({E.LOAD, E.PICKUP, E.AMENDED, E.LABELLED}) | _BACK | _CLOSED),
    Flag.PART_RETURNED: Life(frozenset({E.RETURNED}), frozenset({E.RETURNED})),
}
"""Every flag that events raise; `silent` and `late_risk` come and go with time. `amended` stays: it says that the order is another than the one ordered.

`not_paid` is raised by whatever leaves the last parcel of an order delivered: its delivery, or the loss of the one that was still to come.
"""

ALERT_LIFE: Final[dict[AlertCode, Life]] = {
    AlertCode.MOVED_ON_HOLD: FLAG_LIFE[Flag.MOVED_ON_HOLD],
    AlertCode.MOVED_AFTER_CANCEL: FLAG_LIFE[Flag.CANCEL_REQUESTED],
    AlertCode.NOT_YOUR_JOB: FLAG_LIFE[Flag.WRONG_COURIER],
    AlertCode.WRONG_CARRIER: FLAG_LIFE[Flag.WRONG_CARRIER],
    AlertCode.LABEL_MOVED: Life(frozenset({E.LABELLED}), frozenset({E.LABELLED, E.PACK, E.UNPACK, E.DELIVERY, E.RETURNED, E.CANCELLED}) | _GONE | _CLOSED),
    AlertCode.LOST: Life(FLAG_LIFE[Flag.LOST].raised_by, FLAG_LIFE[Flag.LOST].ended_by | {E.CANCELLED} | _CLOSED),
    AlertCode.DAMAGED: Life(FLAG_LIFE[Flag.DAMAGED].raised_by, FLAG_LIFE[Flag.DAMAGED].ended_by | {E.RETURNED, E.CANCELLED} | _CLOSED),
    AlertCode.CONTRADICTION: Life(
        _CUSTODY | _HOME | {E.PACK, E.UNPACK, E.STAGE, E.ATTEMPT_FAILED, E.AVAILABLE_FOR_PICKUP, E.REFUSED},
        _CUSTODY | _HOME | {E.REFUSED, E.RETURN_STARTED, E.COMPLETED},
    ),
    AlertCode.REFUSED: Life(frozenset({E.REFUSED}), frozenset({E.RETURNED, E.DELIVERY}) | _GONE),
    AlertCode.ATTEMPTS: Life(frozenset({E.ATTEMPT_FAILED}), frozenset({E.DELIVERY, E.AVAILABLE_FOR_PICKUP, E.REFUSED, E.RETURN_STARTED, E.RETURNED}) | _GONE),
}
"""Every alert about an order."""


def standing_alerts(order: Order, *, attempts_max: int) -> frozenset[AlertCode]:
    """The alerts that an order gives cause for now."""
    standing: set[AlertCode] = set()
    if Flag.DAMAGED in order.flags and not (order.cancelled or order.completed):
        standing.add(AlertCode.DAMAGED)  # before any parcel of it was known
    for parcel in order.parcels.values():
        standing |= parcel.cases
        if parcel.flags:
            standing.update(code for flag, code in _BY_FLAG.items() if flag in parcel.flags)
        if parcel.refused:
            standing.add(AlertCode.REFUSED)
        if parcel.attempts >= attempts_max and RANK.get(parcel.state, _POINT) < _POINT:
            standing.add(AlertCode.ATTEMPTS)
    return frozenset(standing)


_BY_FLAG: Final = {
    Flag.MOVED_ON_HOLD: AlertCode.MOVED_ON_HOLD,
    Flag.CANCEL_REQUESTED: AlertCode.MOVED_AFTER_CANCEL,
    Flag.WRONG_COURIER: AlertCode.NOT_YOUR_JOB,
    Flag.WRONG_CARRIER: AlertCode.WRONG_CARRIER,
}
_POINT: Final = RANK[ParcelState.AVAILABLE_FOR_PICKUP]
"""From here on nobody tries to deliver any more."""
