"""Movements: what all of them have in common (`apply_movement`), and the events that do more than move a parcel.

How a parcel moves is in `lifecycle.PARCEL_TABLE`. A movement is never refused because of a hold or a cancellation: it happened, so it is applied and flagged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from bridge.domain.facts import APPLIED, NOOP, Fact, Unpaid, Verdict, refusal
from bridge.domain.lifecycle import CUSTODY_FACTS, DEAD, MOVES, OUTBOUND, PARCEL_TABLE, PREPARATION, SHOWN_AS, Step
from bridge.domain.members import FLAG, ORDER, OUTCOME, PARCEL, E
from bridge.domain.order.loading import LEAVES, give, stopped
from bridge.domain.order.order import Handler, Order, body_of, close_cases, known_parcel, quantities
from bridge.domain.order.parcel import ROAD_FLAGS, Parcel
from bridge.domain.order.possession import CHANGES_HANDS, take
from devices.protocol import bodies
from devices.protocol.vocabulary import (
    AlertCode,
    CustomsDirection,
    DamageSeverity,
    Flag,
    Next,
    ParcelState,
    Payment,
    Reason,
    Role,
    Tender,
    Warn,
    Waypoint,
)

DEBOUNCE_MS: Final = 1500
"""The same scan of the same device within this time is a double scan; it adds nothing."""


# --- every movement -------------------------------------------------------------------------------------------------------


def apply_movement(order: Order, fact: Fact, step: str | None = None, where: str | None = None) -> Verdict:
    """Find the parcels that a movement is about, move them, and warn of anything odd. The step is the event type unless another is given."""
    parcels, contradicts = order.find_or_add(fact)
    if contradicts and fact.type in PREPARATION:
        return refusal(OUTCOME.REJECTED, Reason.WRONG_PARCEL)
    warn: tuple[Warn, ...] = (Warn.MISLOAD,) if contradicts else ()
    before = order.all_packed
    changed = move_parcels(order, parcels, step or fact.type, fact, where or fact.at)
    if fact.type in CHANGES_HANDS:
        changed_hands, odd = take(order, fact, parcels)
        changed, warn = changed or changed_hands, warn + odd
    if changed and fact.type in CUSTODY_FACTS:
        warn += _flag_odd_custody(order, fact, parcels, was_packed=before)
    if fact.type == E.UNLOAD:
        move_parcels(order, [p for p in parcels if order.is_cancelled(p)], Step.CANCELLED_IN_HOUSE, fact, None)
    order.count_packed()
    if fact.type not in LEAVES:
        return judge_scan(order, fact, changed, parcels, warn)
    given = give(order, fact, parcels)
    verdict = stopped(judge_scan(order, fact, changed or given.is_news, parcels, warn), given)
    return _stop_unpaid(order, verdict) if changed else verdict


def _stop_unpaid(order: Order, verdict: Verdict) -> Verdict:
    """A prepaid order that leaves unpaid is warned of; under the site's rule it is stopped."""
    if not order.owes_before_shipping:
        return verdict
    following = verdict.next or (Next.CALL_DESK if order.terms == Unpaid.BLOCK_PICK else None)
    return verdict._replace(warn=(*verdict.warn, Warn.NOT_PAID), next=following)


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
            _enter(order, parcel, to, fact, step, where)
            changed = True
        elif step in MOVES and _confirm_inferred_milestone(order, parcel, MOVES[step].to, fact.event_ms):
            changed = True
        if where is not None and parcel.where != where and parcel.state not in (PARCEL.DELIVERED, PARCEL.DESTROYED):
            parcel.where = where
            changed = True
    return changed


def _enter(order: Order, parcel: Parcel, to: ParcelState, fact: Fact, step: str, where: str | None) -> None:
    """Enter a state, and drop the flags whose cause this ends."""
    if parcel.state is PARCEL.RETURNED and to in OUTBOUND:
        parcel.attempts = 0  # it goes out anew
    parcel.enter(to, fact.event_ms, step)
    if to is PARCEL.DELIVERED:
        parcel.where = where  # it is no longer where it was last seen
    if parcel.cases:
        parcel.cases -= _ENDED_BY.get(to, _LOST_CASE) | (_DAMAGE_CASE | _LABEL_CASE if step == E.UNPACK else frozenset())
    if parcel.flags:
        parcel.flags.discard(FLAG.LOST)
        if to not in OUTBOUND:
            parcel.flags -= ROAD_FLAGS
        if to is PARCEL.DELIVERED or to in DEAD:
            parcel.flags.discard(FLAG.CUSTOMS_HOLD)
        if step == E.UNPACK:
            parcel.flags.discard(FLAG.DAMAGED)
    if step == E.UNPACK:
        order.flags.discard(FLAG.DAMAGED)


ENDED: Final = DEAD | {PARCEL.DELIVERED}
"""Nobody has to do anything more about a parcel in these states."""
_LOST_CASE: Final = frozenset({AlertCode.LOST})
_DAMAGE_CASE: Final = frozenset({AlertCode.DAMAGED})
_LABEL_CASE: Final = frozenset({AlertCode.LABEL_MOVED})
_ENDED_BY: Final = dict.fromkeys(ENDED, _LOST_CASE | _LABEL_CASE) | {
    PARCEL.LOST: _LABEL_CASE,
    PARCEL.RETURNED: _LOST_CASE | _DAMAGE_CASE | _LABEL_CASE,
}
"""What a parcel's new state ends; every other state but `lost` ends that it is lost."""


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
    return Verdict(base.outcome, None, warn, None, None, parcels[0].id if len(parcels) == 1 else None)


def _flag_odd_custody(order: Order, fact: Fact, parcels: list[Parcel], *, was_packed: bool) -> tuple[Warn, ...]:
    """A hold or a cancellation does not undo what happened: the fact is applied, flagged, and answered with `stop`. What is on its way back may move."""
    warn: tuple[Warn, ...] = ()
    outbound = [p for p in parcels if p.state in OUTBOUND]
    if outbound and (order.holds or FLAG.NEEDS_CONFIRM in order.flags):
        for parcel in outbound:
            parcel.flags.add(FLAG.MOVED_ON_HOLD)
        warn += (Warn.MOVED_ON_HOLD,)
    if order.cancelled or order.cancelled_parcels:
        unwanted = [p for p in outbound if order.is_cancelled(p)]
        for parcel in unwanted:
            parcel.flags.add(FLAG.CANCEL_REQUESTED)
        warn += (Warn.MOVED_AFTER_CANCEL,) if unwanted else ()
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
    """Flag what customs can hold: neither what was delivered, nor what is gone."""
    parcels = [p for p in order.find_or_add(fact)[0] if p.state is not PARCEL.DELIVERED and p.state not in DEAD]
    verdict = apply_movement(order, fact)
    return _set_flag(order, parcels, FLAG.CUSTOMS_HOLD, verdict) if parcels else verdict


def customs_cleared(order: Order, fact: Fact) -> Verdict:
    body: bodies.AtBorder = body_of(fact)
    parcels = order.find_or_add(fact)[0]
    destination = order.created.dest_country if order.created is not None else None
    # Goods are often cleared before they come. Without a known destination only an entry says in which direction they were cleared.
    arrived = body.country == destination if destination is not None else all(p.customs_direction == CustomsDirection.IMPORT for p in parcels)
    unflagged = any(FLAG.CUSTOMS_HOLD in p.flags for p in parcels)
    for parcel in parcels:
        parcel.flags.discard(FLAG.CUSTOMS_HOLD)
    verdict = apply_movement(order, fact, Step.CLEARED_AT_DESTINATION if arrived else Step.CLEARED_ON_THE_WAY)
    return verdict._replace(outcome=OUTCOME.APPLIED) if unflagged else verdict


def border_entered(order: Order, fact: Fact) -> Verdict:
    """A milestone without rank: only the parcel's place changes."""
    body: bodies.AtBorder = body_of(fact)
    verdict = apply_movement(order, fact, where=body.country)
    passed = [p for p in order.find_or_add(fact)[0] if Waypoint.BORDER_ENTERED not in p.milestones]
    for parcel in passed:
        parcel.milestones[Waypoint.BORDER_ENTERED] = (fact.event_ms, False)
    return verdict._replace(outcome=OUTCOME.APPLIED) if passed else verdict


# --- at the recipient's door ----------------------------------------------------------------------------------------------


def attempt_failed(order: Order, fact: Fact) -> Verdict:
    verdict = apply_movement(order, fact)
    if verdict.outcome is OUTCOME.APPLIED:
        for parcel in order.find_or_add(fact)[0]:
            if parcel.state is PARCEL.ATTEMPT_FAILED:
                parcel.attempts += 1
                parcel.attempts_ms = (*parcel.attempts_ms, fact.event_ms)
    return verdict


def stop_arrived(order: Order, fact: Fact) -> Verdict:
    """A courier is where parcels go. Each attempt to deliver has one arrival, the first."""
    body: bodies.StopArrived = body_of(fact)
    verdict = apply_movement(order, fact, where=body.stop)
    for parcel in order.find_or_add(fact)[0]:
        attempt = len(parcel.attempts_ms) + 1
        if parcel.state in _ON_THE_WAY and not (parcel.arrivals and parcel.arrivals[-1][0] == attempt):
            parcel.arrivals = (*parcel.arrivals, (attempt, fact.event_ms))
    return verdict


def available_for_pickup(order: Order, fact: Fact) -> Verdict:
    body: bodies.AvailableForPickup = body_of(fact)
    verdict = apply_movement(order, fact, where=body.point)
    for parcel in order.find_or_add(fact)[0]:
        parcel.collected = parcel.collected or parcel.state is PARCEL.AVAILABLE_FOR_PICKUP
    return verdict


def delivery(order: Order, fact: Fact) -> Verdict:
    body: bodies.Delivery = body_of(fact)
    # A courier who types an order's number delivers what is still in the hall, too; a counter hands over what lies there.
    is_unseen = fact.parcel is None and fact.code is None and fact.role != Role.SCANNER
    parcels = order.find_or_add(fact)[0]
    warn: tuple[Warn, ...] = (Warn.NOT_SCANNED,) if is_unseen and any(p.state in _IN_THE_HALL for p in parcels) else ()
    if fact.role == Role.SCANNER:
        for parcel in parcels:
            parcel.collected = parcel.collected or parcel.state is not PARCEL.DELIVERED
    verdict = apply_movement(order, fact)
    is_news = body.collected is not None and not order.paid
    if body.collected is not None and is_news:
        _collect(order, fact, body.collected)
    if _is_all_delivered(order):
        if order.completed:
            close_cases(order)
        if not order.paid and (order.terms is not None or (order.created is not None and order.created.payment == Payment.ON_DELIVERY)):
            warn += (Warn.NOT_PAID,)  # as long as a parcel is to come, its courier may bring the money
    return verdict._replace(outcome=OUTCOME.APPLIED if is_news else verdict.outcome, warn=verdict.warn + warn)


_ON_THE_WAY: Final = OUTBOUND - {PARCEL.DELIVERED}
_IN_THE_HALL: Final = frozenset({PARCEL.PACKED, PARCEL.STAGED})


def _collect(order: Order, fact: Fact, collected: bodies.Collected) -> None:
    if collected.amount_minor:
        order.account.receive(collected.amount_minor, collected.currency, in_cash=collected.tender == Tender.CASH)
    if order.account.is_settled:
        order.paid = True
        order.milestones[ORDER.PAID] = (fact.event_ms, False)


def _is_all_delivered(order: Order) -> bool:
    return all(p.state is PARCEL.DELIVERED for p in order.parcels.values() if p.state not in DEAD)


# --- the way back ---------------------------------------------------------------------------------------------------------


def returned(order: Order, fact: Fact) -> Verdict:
    """What came back: whole parcels, or only some of the goods of parcels that were delivered. The rest stays delivered."""
    body: bodies.Returned = body_of(fact)
    if body.items is not None:
        parcels = [p for p in order.find_or_add(fact)[0] if p.state in _AFTER_DELIVERY and PARCEL.DELIVERED in p.milestones]
        if parcels:
            return _return_part(order, fact, parcels, body)
    verdict = apply_movement(order, fact, where=body.dock)
    for parcel in order.parcels.values():
        if parcel.state is PARCEL.RETURNED:
            parcel.flags.discard(FLAG.PART_RETURNED)
    return verdict


_AFTER_DELIVERY: Final = frozenset({PARCEL.DELIVERED, PARCEL.RETURNING})


def _return_part(order: Order, fact: Fact, parcels: list[Parcel], body: bodies.Returned) -> Verdict:
    back = quantities(body.items or ())
    for parcel in parcels:
        contents = parcel.items if parcel.items is not None else order.contents().rest_of(order.parcels.values())
        for sku, qty in contents.items():
            part = min(back.get(sku, 0), qty - parcel.returned.get(sku, 0))
            if part > 0:
                parcel.returned[sku] = parcel.returned.get(sku, 0) + part
                back[sku] -= part
        if all(parcel.returned.get(sku, 0) >= qty for sku, qty in contents.items()):
            move_parcels(order, [parcel], E.RETURNED, fact, body.dock)
            take(order, fact, [parcel])
            parcel.flags.discard(FLAG.PART_RETURNED)
        elif parcel.returned:
            if parcel.state is PARCEL.RETURNING:
                parcel.enter(PARCEL.DELIVERED, fact.event_ms, fact.type)
            parcel.flags.add(FLAG.PART_RETURNED)
    order.count_packed()
    warn = (Warn.TOO_MANY,) if any(qty > 0 for qty in back.values()) else ()
    return Verdict(OUTCOME.APPLIED, warn=warn, parcel=parcels[0].id if len(parcels) == 1 else None)


# --- damage and loss ------------------------------------------------------------------------------------------------------


def damaged(order: Order, fact: Fact) -> Verdict:
    body: bodies.Damaged = body_of(fact)
    parcels = order.find_or_add(fact)[0]  # before the move: if it leaves no live parcel, those that were gone before are not meant
    verdict = apply_movement(order, fact, Step.DAMAGED_BEYOND_USE) if body.severity == DamageSeverity.TOTAL else apply_movement(order, fact)
    for parcel in parcels:
        if parcel.state is not PARCEL.RETURNED:
            parcel.cases.add(AlertCode.DAMAGED)
    return _set_flag(order, parcels, FLAG.DAMAGED, verdict)


def lost(order: Order, fact: Fact) -> Verdict:
    parcels = [p for p in order.find_or_add(fact)[0] if p.state is not PARCEL.LOST]
    for parcel in parcels:
        parcel.before_lost = parcel.state
    verdict = apply_movement(order, fact)
    for parcel in parcels:
        if parcel.state is PARCEL.LOST:
            parcel.flags.add(FLAG.LOST)
            parcel.cases.add(AlertCode.LOST)
    return verdict


def found(order: Order, fact: Fact) -> Verdict:
    """Lead lost parcels back to the state that they had: the one that is named, or all of them if the fact names none."""
    named = known_parcel(order, fact)
    names_none = fact.parcel is None and fact.code is None
    candidates = [named] if named is not None else list(order.parcels.values()) if names_none else []
    parcels = [p for p in candidates if p.state is PARCEL.LOST]
    for parcel in parcels:
        parcel.state = parcel.before_lost
        parcel.at_ms = fact.event_ms
        parcel.flags.discard(FLAG.LOST)
        parcel.cases.discard(AlertCode.LOST)
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
    return verdict._replace(outcome=OUTCOME.APPLIED) if fresh else verdict
