"""What each event type does and may be answered, from the tables of the domain."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bridge.domain.access import MAY_SEND
from bridge.domain.codes.evidence import CONTAINER_EVENTS, CUSTODY
from bridge.domain.codes.place import WITHOUT_ORDER
from bridge.domain.facts import NEXT_STEP
from bridge.domain.lifecycle import FORBIDS, INSTRUCTIONS, MOVES, PARCEL_TABLE
from bridge.domain.order.flags import ALERT_LIFE, FLAG_LIFE
from bridge.ingest.accept import ABOUT_JOBS, SCANNING
from devices.protocol.vocabulary import AlertCode, Flag, Next, ParcelState, Reason, Role
from devices.protocol.vocabulary import EventType as E

WITHOUT_AN_ORDER: Final = WITHOUT_ORDER | CONTAINER_EVENTS | ABOUT_JOBS | {E.VOID}
"""Events that name no order: they are about a device, a container, a job or another event."""
BY_SCAN: Final = CUSTODY | {E.LABELLED}
"""Events that are about an order and need not name it, if what they scan does."""
ABOUT_A_PARCEL: Final = SCANNING | {E.ASSIGNED, E.CANCELLED}
"""Events for which it makes a difference which parcel they name."""

_OWN: Final[dict[E, tuple[Reason, ...]]] = {
    E.RELEASED: (Reason.NOT_YOURS,),
    E.PICK: (Reason.WRONG_SKU, Reason.WRONG_PARCEL),
    E.PACK: (Reason.ITEMS_NEEDED, Reason.WRONG_PARCEL),
    E.UNPACK: (Reason.WRONG_PARCEL,),
    E.LABELLED: (Reason.PARCEL_NEEDED, Reason.CODE_TAKEN, Reason.CONTAINER),
    E.STAGE: (Reason.WRONG_PARCEL,),
    E.AGGREGATED: (Reason.UNREADABLE_CODE,),
    E.DISAGGREGATED: (Reason.UNREADABLE_CODE,),
    E.UNASSIGNED: (Reason.UNKNOWN_JOB,),
    E.CLAIM: (Reason.UNKNOWN_JOB, Reason.JOB_CLOSED, Reason.STALE_REV, Reason.HELD_BY_ANOTHER),
    E.DECLINE: (Reason.UNKNOWN_JOB, Reason.JOB_CLOSED, Reason.HELD_BY_ANOTHER),
    E.VOID: (Reason.UNKNOWN_REFERENCE, Reason.VOID_OF_VOID, Reason.NOT_YOURS),
}
"""What only some event types may be answered. A test provokes each of these answers."""


ON_JOBS: Final[dict[E, str]] = {
    E.ASSIGNED: "job: a new one is `assigned`; an open one of this courier stays as it is and gets the order; one of another courier is handed over whole",
    E.UNASSIGNED: "job: `assigned` or `accepted` → `released`, and it is cleared from the phone",
    E.CLAIM: "job: `assigned` → `accepted`, if `rev` is the present one",
    E.DECLINE: "job: `assigned` or `accepted` → `declined`, and it is cleared from the phone",
}


def senders(event_type: E) -> list[Role]:
    """The roles that may send it."""
    return [role for role in Role if event_type in MAY_SEND[role]]


def is_instruction(event_type: E) -> bool:
    """Whether it binds from when the server receives it; every other event counts at the time when it happened."""
    return event_type in INSTRUCTIONS


def moves(event_type: E) -> Iterator[tuple[str, list[ParcelState], ParcelState]]:
    """(the case, the states of a parcel that it leads out of, the state that it leads to)."""
    for step, move in MOVES.items():
        name, _, case = step.partition(" ")
        if name == event_type:
            yield case.strip("()"), [state for state in ParcelState if PARCEL_TABLE.get((state, step)) is move.to], move.to


def flags(event_type: E) -> tuple[list[Flag], list[Flag]]:
    """(the flags that it may raise, those that it may end)."""
    return [f for f, life in FLAG_LIFE.items() if event_type in life.raised_by], [f for f, life in FLAG_LIFE.items() if event_type in life.ended_by]


def alerts(event_type: E) -> tuple[list[AlertCode], list[AlertCode]]:
    """(the alerts that it may raise, those that it may end)."""
    return [a for a, life in ALERT_LIFE.items() if event_type in life.raised_by], [a for a, life in ALERT_LIFE.items() if event_type in life.ended_by]


def reasons(event_type: E) -> list[Reason]:
    """The usual reasons for which it may not count, or not yet."""
    found = [reason for reason, forbidden in FORBIDS.items() if event_type in forbidden]
    if event_type not in WITHOUT_AN_ORDER:
        found += [Reason.ORDER_NEEDED] if event_type is E.CREATED else [Reason.UNKNOWN_ORDER, Reason.ORDER_NEEDED]
    if event_type in CUSTODY:
        found.append(Reason.UNKNOWN_PARCEL)
    if event_type in SCANNING:
        found += [Reason.UNREADABLE_CODE, Reason.CHECK_DIGIT]
    return list(dict.fromkeys((*_OWN.get(event_type, ()), *found)))


def next_of(reason: Reason) -> Next | None:
    """What the receipt tells the worker to do."""
    return NEXT_STEP.get(reason)
