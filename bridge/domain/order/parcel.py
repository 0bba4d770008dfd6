"""One parcel of an order: where it is, what is in it, which milestones it reached."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.lifecycle import IMPLIED, IMPLIED_BY, IN_CUSTODY
from bridge.domain.members import FLAG, PARCEL, E
from devices.protocol.vocabulary import AlertCode, Flag, ParcelState, Waypoint

_FULL: Final = frozenset({PARCEL.PACKED, *(state for state, implied in IMPLIED.items() if PARCEL.PACKED in implied)})
"""A parcel in one of these states was packed, even if no pack event has arrived."""

_AT_HOME: Final = frozenset(ParcelState) - IN_CUSTODY - {PARCEL.LOST, PARCEL.DESTROYED}
"""In these no carrier has it. One that was lost may be found where it was."""

ROAD_FLAGS: Final = frozenset({FLAG.MOVED_ON_HOLD, FLAG.CANCEL_REQUESTED, FLAG.WRONG_CARRIER})
"""Flags of a parcel that someone should stop. They end when it is back, on its way back, or gone."""
CASE_FLAGS: Final = ROAD_FLAGS | {FLAG.WRONG_COURIER}
"""Flags that end when the order is closed: nobody has to do anything about them any more."""


class OwnSending(NamedTuple):
    """What was said of how one parcel alone is sent.

    `tracking` is a number of the carrier `tracked_by`, if that was known; with `label`, only as long as the parcel bears this code.
    """

    carrier: str | None = None
    service: str | None = None
    tracking: str | None = None
    tracked_by: str | None = None
    label: str | None = None


class Load(NamedTuple):
    """The scan by which a parcel was given to a carrier.

    `carrier` is the one that the scan was for, if that was known; `positions` are the places in the event log of the scans that gave it to this one.
    """

    carrier: str | None
    vehicle: str | None
    at_ms: int
    positions: tuple[int, ...]


class Parcel:
    """One parcel. `milestones` maps a state to (when first reached, whether that was inferred).

    `is_packed` says that something is in it, `has_pack_event` that a pack event said so and not only a later scan; `items` is (sku → qty) what is in
    it, if a pack event listed that. `returned` is (sku → qty) what of it came back after its delivery.

    `courier` is the courier who has it; `handed_to` the one to whom another courier handed it over, until it is assigned again. `refused` says that the
    recipient refused it, while it is on its way back. `attempts` counts the failed deliveries of its present way, `attempts_ms` has the times of all of them;
    `arrivals` has (the number of the attempt, when a courier arrived for it).

    `load` is how it was given to a carrier, until it is back in the warehouse. `cases` are alerts that stand until what happened is undone or the order is
    closed.
    """

    __slots__ = (
        "arrivals",
        "at_ms",
        "attempts",
        "attempts_ms",
        "before_lost",
        "cases",
        "collected",
        "courier",
        "customs_direction",
        "flags",
        "handed_to",
        "has_pack_event",
        "id",
        "is_packed",
        "items",
        "load",
        "milestones",
        "refused",
        "returned",
        "state",
        "weight_g",
        "where",
    )

    def __init__(self, parcel_id: str, at_ms: int) -> None:
        self.id = parcel_id
        self.state = PARCEL.PLANNED
        self.before_lost = PARCEL.PLANNED
        self.flags: set[Flag] = set()
        self.cases: set[AlertCode] = set()
        self.where: str | None = None
        self.weight_g: int | None = None
        self.items: dict[str, int] | None = None
        self.is_packed = self.has_pack_event = False
        self.at_ms = at_ms
        self.attempts = 0
        self.attempts_ms: tuple[int, ...] = ()
        self.arrivals: tuple[tuple[int, int], ...] = ()
        self.collected = False
        self.customs_direction: str | None = None
        self.load: Load | None = None
        self.courier: str | None = None
        self.handed_to: str | None = None
        self.refused = False
        self.returned: dict[str, int] = {}
        self.milestones: dict[ParcelState | Waypoint, tuple[int, bool]] = {}

    def enter(self, state: ParcelState, at_ms: int, step: str) -> None:
        """Enter a state by a step, and record the milestones that this reaches and proves."""
        self.state = state
        self.at_ms = at_ms
        self.refused = step == E.REFUSED
        if state in _AT_HOME:
            self.load = None
        if state in _FULL or step in IMPLIED_BY:
            self.is_packed = True
        elif state is PARCEL.PICKING:
            self.is_packed = self.has_pack_event = False
            self.items = self.weight_g = None
        for implied in IMPLIED.get(state) or IMPLIED_BY.get(step, ()):
            if implied not in self.milestones and not (implied is PARCEL.OUT_FOR_DELIVERY and self.collected):
                self.milestones[implied] = (at_ms, True)
        if state not in self.milestones:
            self.milestones[state] = (at_ms, False)

    def close_case(self) -> None:
        """Nothing that was odd about it is anybody's task any more."""
        self.flags -= CASE_FLAGS
        self.cases.clear()

    def mark_packed(self, at_ms: int) -> bool:
        """Record that it was packed, even if it is now off the forward path (on its way back, say). Returns True if this is new."""
        if self.is_packed:
            return False
        self.is_packed = True
        self.milestones.setdefault(PARCEL.PACKED, (at_ms, False))
        return True
