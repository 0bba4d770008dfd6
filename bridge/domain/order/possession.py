"""Who has a parcel: couriers take it, hand it over on the road, and bring it home."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bridge.domain.facts import Fact
from bridge.domain.lifecycle import IN_CUSTODY
from bridge.domain.members import E
from bridge.domain.order.order import CourierJob, Order
from bridge.domain.order.parcel import Parcel
from devices.protocol.vocabulary import Flag, ParcelState, Warn

TAKES: Final = frozenset({E.PICKUP, E.OUT_FOR_DELIVERY})
"""By these a courier says that he has the parcel."""
OF_COURIERS: Final = TAKES | {E.DELIVERY, E.ATTEMPT_FAILED}
"""These are for the courier to whom the parcel is assigned, or handed over."""
BRINGS_HOME: Final = frozenset({E.UNLOAD, E.ARRIVE, E.RETURNED, E.LOST, E.DESTROYED})
"""After these no courier has the parcel."""
CHANGES_HANDS: Final = OF_COURIERS | BRINGS_HOME
_CARRIED: Final = IN_CUSTODY - {ParcelState.DELIVERED}
_ON_THE_ROAD: Final = frozenset({ParcelState.OUT_FOR_DELIVERY, ParcelState.ATTEMPT_FAILED})


def job_of(order: Order, parcel: Parcel) -> CourierJob | None:
    """The job in which a parcel is."""
    if order.parcel_jobs:
        for name in order.book.names(parcel.id):
            if name in order.parcel_jobs:
                return order.parcel_jobs[name]
    return order.assigned


def take(order: Order, fact: Fact, parcels: Iterable[Parcel]) -> tuple[bool, tuple[Warn, ...]]:
    """Note which courier has these parcels after a fact. Returns (whether that is new, warnings)."""
    warn: dict[Warn, None] = {}
    is_new = False
    for parcel in parcels:
        if fact.type in BRINGS_HOME:
            _bring_home(parcel)
        elif fact.courier is not None and fact.type in OF_COURIERS:
            is_new = _take_one(order, fact.courier, fact.type, parcel, warn) or is_new
        if parcel.state is ParcelState.DELIVERED:
            parcel.courier = None  # its recipient has it; in whose hands it was before stays flagged
    return is_new, tuple(warn)


def _take_one(order: Order, courier: str, kind: str, parcel: Parcel, warn: dict[Warn, None]) -> bool:
    if parcel.state not in (_CARRIED if kind in TAKES else IN_CUSTODY):
        return False  # a scan after the end gives nobody the parcel
    before = parcel.courier
    expected = _expected(order, parcel)
    if kind in TAKES and before not in (None, courier):
        warn[Warn.HANDED_OVER] = None
        if expected == before:
            parcel.handed_to = expected = courier
    if kind in TAKES:
        parcel.courier = courier
    if expected is not None and courier != expected:
        warn[Warn.NOT_YOUR_JOB] = None
        is_flagged = Flag.WRONG_COURIER in parcel.flags
        parcel.flags.add(Flag.WRONG_COURIER)
        return before != parcel.courier or not is_flagged
    if kind in TAKES and Flag.WRONG_COURIER in parcel.flags:
        parcel.flags.discard(Flag.WRONG_COURIER)
        return True
    return before != parcel.courier


def _expected(order: Order, parcel: Parcel) -> str | None:
    """The courier who is to have a parcel; without an assignment the one who has it."""
    if parcel.handed_to is not None:
        return parcel.handed_to
    held = job_of(order, parcel)
    return held.courier if held is not None else parcel.courier


def _bring_home(parcel: Parcel) -> None:
    if parcel.state is not ParcelState.DELIVERED:
        parcel.courier = parcel.handed_to = None
        parcel.flags.discard(Flag.WRONG_COURIER)


def holders(order: Order) -> frozenset[str]:
    """The couriers who have a parcel on board, from when they took it until it is delivered, or brought home."""
    return frozenset(p.courier for p in order.parcels.values() if p.courier is not None and p.state in _CARRIED)


def carriers(order: Order) -> frozenset[str]:
    """The couriers whose position is that of the order while it is out for delivery: those who have its parcels, or, if no courier took one, were to."""
    on_the_road = [p for p in order.parcels.values() if p.state in _ON_THE_ROAD]
    holders = frozenset(p.courier for p in on_the_road if p.courier is not None)
    if holders:
        return holders
    return frozenset(held.courier for p in on_the_road if (held := job_of(order, p)) is not None)
