"""Movements: what all of them have in common (`apply_movement`), and the events that do more than move a parcel.

How a parcel moves is in `lifecycle.PARCEL_TABLE`. A movement is never refused because of a hold or a cancellation: it happened, so it is applied and flagged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bridge.domain.facts import APPLIED, NOOP, Fact, Verdict, refusal
from bridge.domain.lifecycle import CUSTODY_FACTS, MOVES, PARCEL_TABLE, PREPARATION, SHOWN_AS, Step
from bridge.domain.order.order import Handler, Order, body_of
from bridge.domain.order.parcel import Parcel
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, OrderState, Outcome, ParcelState, Reason, Role, Warn, Waypoint

DEBOUNCE_MS: Final = 1500
"""The same scan of the same device within this time is a double scan; it adds nothing."""


# --- every movement -------------------------------------------------------------------------------------------------------


def apply_movement(order: Order, fact: Fact, step: str | None = None, where: str | None = None) -> Verdict:
    """Find the parcels that a movement is about, move them, and warn of anything odd. The step is the event type unless another is given."""
    parcels, contradicts = order.find_or_add(fact)
    if contradicts and fact.type in PREPARATION:
        return refusal(Outcome.REJECTED, Reason.WRONG_PARCEL)
    warn: tuple[Warn, ...] = (Warn.MISLOAD,) if contradicts else ()
    before = order.all_packed
    changed = move_parcels(order, parcels, step or fact.type, fact, where or fact.at)
    if changed and fact.type in CUSTODY_FACTS:
        warn += _flag_odd_custody(order, fact, was_packed=before)
    order.count_packed()
    return judge_scan(order, fact, changed, parcels, warn)


def movement_to(field: str) -> Handler:
    """The handler of a movement whose body names the new place in `field`."""

    def handler(order: Order, fact: Fact) -> Verdict:
        return apply_movement(order, fact, where=getattr(fact.body, field))

    return handler


def move_parcels(order: Order, parcels: Iterable[Parcel], step: str, fact: Fact, where: str | None) -> bool:
    """Move parcels by the table. Returns True if anything about them changed."""
    changed = False
    for parcel in parcels:
        to = PARCEL_TABLE.get((parcel.state, step))
        if to is not None:
            parcel.enter(to, fact.event_ms, step)
            parcel.flags.discard(Flag.LOST)
            changed = True
        elif step in MOVES and _confirm_inferred_milestone(order, parcel, MOVES[step].to, fact.event_ms):
            changed = True
        if where is not None and parcel.where != where and parcel.state not in (ParcelState.DELIVERED, ParcelState.DESTROYED):
            parcel.where = where
            changed = True
    return changed


def _confirm_inferred_milestone(order: Order, parcel: Parcel, state: ParcelState, at_ms: int) -> bool:
    """Confirm a milestone that was only inferred from a fact of the same moment, which sorts before this one. Returns True if there was one."""
    if parcel.milestones.get(state) != (at_ms, True):
        return False
    parcel.milestones[state] = (at_ms, False)
    shown = SHOWN_AS.get(state)
    if shown is not None and order.milestones.get(shown) == (at_ms, True):
        order.milestones[shown] = (at_ms, False)
    return True


def judge_scan(order: Order, fact: Fact, changed: bool, parcels: list[Parcel], warn: tuple[Warn, ...] = ()) -> Verdict:
    """`applied` or `noop`. If the same device repeats the same scan within the debounce time, the verdict warns of a double scan."""
    scan = (fact.device, fact.type, fact.code or fact.parcel)
    before = order.last_scans.get(scan)
    order.last_scans[scan] = fact.event_ms
    if not changed and before is not None and 0 <= fact.event_ms - before <= DEBOUNCE_MS:
        warn = (*warn, Warn.DOUBLE_SCAN)
    base = APPLIED if changed else NOOP
    return Verdict(base.outcome, warn=warn, parcel=parcels[0].id if len(parcels) == 1 else None)


def _flag_odd_custody(order: Order, fact: Fact, *, was_packed: bool) -> tuple[Warn, ...]:
    """A hold or a cancellation does not undo what happened: the fact is applied, flagged, and answered with `stop`."""
    warn: tuple[Warn, ...] = ()
    if order.holds or Flag.NEEDS_CONFIRM in order.flags:
        order.flags.add(Flag.MOVED_ON_HOLD)
        warn += (Warn.MOVED_ON_HOLD,)
    if order.cancelled:
        order.flags.add(Flag.CANCEL_REQUESTED)
        warn += (Warn.MOVED_AFTER_CANCEL,)
    if fact.type == E.LOAD and not was_packed and order.created is not None and not order.created.allow_partial:
        warn += (Warn.INCOMPLETE,)
    return warn


# --- customs and borders --------------------------------------------------------------------------------------------------


def customs_entered(order: Order, fact: Fact) -> Verdict:
    body: bodies.CustomsEntered = body_of(fact)
    verdict = apply_movement(order, fact)
    for parcel in order.find_or_add(fact)[0]:
        parcel.customs_direction = body.direction
    return verdict


def customs_held(order: Order, fact: Fact) -> Verdict:
    parcels = order.find_or_add(fact)[0]
    return _set_flag(order, parcels, Flag.CUSTOMS_HOLD, apply_movement(order, fact))


def customs_cleared(order: Order, fact: Fact) -> Verdict:
    body: bodies.AtBorder = body_of(fact)
    parcels = order.find_or_add(fact)[0]
    destination = order.created.dest_country if order.created is not None else None
    arrived = body.country == destination if destination is not None else all(p.customs_direction == "import" for p in parcels)
    unflagged = any(Flag.CUSTOMS_HOLD in p.flags for p in parcels)
    for parcel in parcels:
        parcel.flags.discard(Flag.CUSTOMS_HOLD)
    verdict = apply_movement(order, fact, Step.CLEARED_AT_DESTINATION if arrived else Step.CLEARED_ON_THE_WAY)
    return verdict._replace(outcome=Outcome.APPLIED) if unflagged else verdict


def border_entered(order: Order, fact: Fact) -> Verdict:
    """A milestone without rank: only the parcel's place changes."""
    body: bodies.AtBorder = body_of(fact)
    verdict = apply_movement(order, fact, where=body.country)
    passed = [p for p in order.find_or_add(fact)[0] if Waypoint.BORDER_ENTERED not in p.milestones]
    for parcel in passed:
        parcel.milestones[Waypoint.BORDER_ENTERED] = (fact.event_ms, False)
    return verdict._replace(outcome=Outcome.APPLIED) if passed else verdict


# --- at the recipient's door ----------------------------------------------------------------------------------------------


def attempt_failed(order: Order, fact: Fact) -> Verdict:
    verdict = apply_movement(order, fact)
    if verdict.outcome is Outcome.APPLIED:
        for parcel in order.find_or_add(fact)[0]:
            parcel.attempts += parcel.state is ParcelState.ATTEMPT_FAILED
    return verdict


def available_for_pickup(order: Order, fact: Fact) -> Verdict:
    body: bodies.AvailableForPickup = body_of(fact)
    verdict = apply_movement(order, fact, where=body.point)
    for parcel in order.find_or_add(fact)[0]:
        parcel.collected = parcel.collected or parcel.state is ParcelState.AVAILABLE_FOR_PICKUP
    return verdict


def delivery(order: Order, fact: Fact) -> Verdict:
    body: bodies.Delivery = body_of(fact)
    news = False
    for parcel in order.find_or_add(fact)[0]:
        if fact.role == Role.SCANNER and parcel.state is not ParcelState.DELIVERED:
            parcel.collected = True  # handed over at a counter
        if Flag.CUSTOMS_HOLD in parcel.flags:
            parcel.flags.discard(Flag.CUSTOMS_HOLD)
            news = True
    verdict = apply_movement(order, fact)
    if body.collected is not None and not order.paid:
        order.paid = news = True
        order.milestones[OrderState.PAID] = (fact.event_ms, False)
    return verdict._replace(outcome=Outcome.APPLIED) if news else verdict


# --- damage and loss ------------------------------------------------------------------------------------------------------


def damaged(order: Order, fact: Fact) -> Verdict:
    body: bodies.Damaged = body_of(fact)
    parcels = order.find_or_add(fact)[0]  # before the move: if it leaves no live parcel, those that were gone before are not meant
    verdict = apply_movement(order, fact, Step.DAMAGED_BEYOND_USE) if body.severity == "total" else apply_movement(order, fact)
    return _set_flag(order, parcels, Flag.DAMAGED, verdict)


def lost(order: Order, fact: Fact) -> Verdict:
    parcels, _ = order.find_or_add(fact)
    for parcel in parcels:
        if parcel.state is not ParcelState.LOST:
            parcel.before_lost = parcel.state
    verdict = apply_movement(order, fact)
    for parcel in parcels:
        if parcel.state is ParcelState.LOST:
            parcel.flags.add(Flag.LOST)
    return verdict


def found(order: Order, fact: Fact) -> Verdict:
    """Lead lost parcels back to the state that they had: the one that is named, or all of them if the fact names none."""
    named, _ = order.named_by(fact)
    names_none = fact.parcel is None and fact.code is None
    candidates = [named] if named is not None else list(order.parcels.values()) if names_none else []
    parcels = [p for p in candidates if p.state is ParcelState.LOST]
    for parcel in parcels:
        parcel.state = parcel.before_lost
        parcel.at_ms = fact.event_ms
        parcel.flags.discard(Flag.LOST)
    order.count_packed()
    return judge_scan(order, fact, bool(parcels), parcels)


def _set_flag(order: Order, parcels: list[Parcel], flag: Flag, verdict: Verdict) -> Verdict:
    """Flag the parcels, or the order if it has none. The verdict becomes `applied` if the flag is new."""
    fresh = not parcels and flag not in order.flags
    if not parcels:
        order.flags.add(flag)
    for parcel in parcels:
        fresh = fresh or flag not in parcel.flags
        parcel.flags.add(flag)
    return verdict._replace(outcome=Outcome.APPLIED) if fresh else verdict
