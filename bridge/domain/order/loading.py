"""Who takes a parcel out of the warehouse: the scan that gives it to a carrier, and whether that is the right one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.domain.facts import Fact, Verdict
from bridge.domain.lifecycle import DEAD, IN_CUSTODY, OUTBOUND
from bridge.domain.members import E
from bridge.domain.order.order import Order
from bridge.domain.order.parcel import Load, Parcel
from bridge.domain.order.possession import job_of
from bridge.domain.order.sending import carrier_of, is_same
from devices.protocol import bodies
from devices.protocol.vocabulary import Flag, Next, ParcelState, Warn

LEAVES: Final = frozenset({E.LOAD, E.PICKUP})
"""By these a parcel leaves the warehouse."""
_GOING_OUT: Final = OUTBOUND - {ParcelState.DELIVERED}
_ON_ITS_WAY: Final = IN_CUSTODY - {ParcelState.DELIVERED}
SCANS_KEPT_MAX: Final = 8
"""Scans by which a parcel was given to one carrier that are kept apart; more of them add nothing."""


class Given(NamedTuple):
    """What a scan did: `is_news` if another carrier has a parcel now, or is the right one now; `wrong` are the carriers that were to take them instead."""

    is_news: bool = False
    wrong: tuple[str, ...] = ()


def give(order: Order, fact: Fact, parcels: Iterable[Parcel]) -> Given:
    """Note to which carrier a scan gives these parcels, and flag those that are another carrier's."""
    carrier, vehicle = carrier_meant(fact), fact.body.vehicle if isinstance(fact.body, bodies.Load) else None
    if fact.type == E.PICKUP and carrier is None:
        return Given()  # to a courier of our own
    is_news = False
    wrong: dict[str, None] = {}
    for parcel in parcels:
        if parcel.state not in _GOING_OUT:
            continue  # what comes back may come with any carrier
        right = carrier_of(order, parcel)
        is_news = _note(parcel, Load(carrier, vehicle, fact.event_ms, (fact.pos,)), right) or is_news
        if carrier is not None and right is not None:
            is_right = is_same(carrier, right)
            is_news = is_news or is_right == (Flag.WRONG_CARRIER in parcel.flags)
            (parcel.flags.discard if is_right else parcel.flags.add)(Flag.WRONG_CARRIER)
            if not is_right:
                wrong[right] = None
    return Given(is_news, tuple(wrong))


def carrier_meant(fact: Fact) -> str | None:
    """The carrier that a scan is for: the one that it names, else the one that the site's settings named when it arrived."""
    return fact.carrier or (fact.body.carrier if isinstance(fact.body, bodies.Load | bodies.Pickup) else None)


def _note(parcel: Parcel, load: Load, right: str | None) -> bool:
    """Note the scan. A repeated scan for the same carrier is the same handover. Returns True if another carrier has the parcel now."""
    before = parcel.load
    if before is None:
        parcel.load = load
        return False  # that it left is news of its own
    if load.carrier is None or is_same(load.carrier, before.carrier or right):
        parcel.load = before._replace(carrier=before.carrier or load.carrier, positions=(*before.positions, *load.positions)[:SCANS_KEPT_MAX])
        return False
    parcel.load = load
    return True


def stopped(verdict: Verdict, given: Given) -> Verdict:
    """The answer to a scan for the wrong carrier: it counts, because it happened, and the parcel must come out again."""
    if not given.wrong:
        return verdict
    return verdict._replace(warn=(*verdict.warn, Warn.WRONG_CARRIER), next=Next.UNLOAD, carrier=given.wrong[0] if len(given.wrong) == 1 else None)


def right_carrier(order: Order, parcels: Iterable[Parcel]) -> None:
    """The carriers of these parcels may have changed: those that are with their carrier now are not wrong any more."""
    for parcel in parcels:
        if parcel.load is not None and Flag.WRONG_CARRIER in parcel.flags and is_same(parcel.load.carrier, carrier_of(order, parcel)):
            parcel.flags.discard(Flag.WRONG_CARRIER)


def holder_of(order: Order, parcel: Parcel) -> str | None:
    """The carrier that has a parcel, or is to take it, if no courier of ours has it or is to."""
    if parcel.courier is not None or job_of(order, parcel) is not None:
        return None
    return (parcel.load.carrier if parcel.load is not None else None) or carrier_of(order, parcel)


def is_with_carriers(order: Order) -> bool:
    """Whether carriers have all parcels of an order that are on their way."""
    away = [p for p in order.parcels.values() if p.state in _ON_ITS_WAY]
    return bool(away) and all(holder_of(order, p) is not None for p in away)


def goes_with_carriers(order: Order) -> bool:
    """Whether carriers have all live parcels of an order, or are to take them."""
    live = [p for p in order.parcels.values() if p.state not in DEAD and p.state is not ParcelState.DELIVERED]
    return bool(live) and all(holder_of(order, p) is not None for p in live)
