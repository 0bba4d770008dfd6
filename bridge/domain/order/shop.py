"""What the shop and the desk report about an order: created, paid, approved, amended, held, released, cancelled, completed."""

from __future__ import annotations

from bridge.domain.facts import APPLIED, NOOP, Fact, Verdict
from bridge.domain.lifecycle import IN_CUSTODY, Step
from bridge.domain.order.movement import move_parcels
from bridge.domain.order.order import Order, body_of, quantities
from devices.protocol import bodies
from devices.protocol.vocabulary import Flag, OrderState, Outcome, Warn


def created(order: Order, fact: Fact) -> Verdict:
    if order.created is not None:
        return NOOP
    body: bodies.Created = body_of(fact)
    order.created = body
    order.lines = quantities(body.lines)
    return APPLIED


def paid(order: Order, fact: Fact) -> Verdict:
    return _record_once(order, "paid", OrderState.PAID, fact)


def approved(order: Order, fact: Fact) -> Verdict:
    confirmed = Flag.NEEDS_CONFIRM in order.flags
    order.flags.discard(Flag.NEEDS_CONFIRM)
    _clear_moved_on_hold(order)
    verdict = _record_once(order, "approved", OrderState.APPROVED, fact)
    return APPLIED if confirmed else verdict


def _record_once(order: Order, field: str, milestone: OrderState, fact: Fact) -> Verdict:
    """Record a fact that stays true once it happened. It replaces a milestone that was only inferred."""
    known = order.milestones.get(milestone)
    if getattr(order, field) and known is not None and not known[1]:
        return NOOP
    setattr(order, field, True)
    if known is None:
        order.reach(milestone, fact)
    elif known[1]:
        order.milestones[milestone] = (fact.event_ms, False)
    return APPLIED


def amended(order: Order, fact: Fact) -> Verdict:
    body: bodies.Amended = body_of(fact)
    order.flags.add(Flag.AMENDED)
    if body.lines is not None:
        order.lines = quantities(body.lines)
        if order.picked or order.parcels:
            order.flags.add(Flag.NEEDS_CONFIRM)
        order.count_packed()
    return APPLIED


def held(order: Order, fact: Fact) -> Verdict:
    body: bodies.Because = body_of(fact)
    if body.reason in order.holds:
        return NOOP
    order.holds.add(body.reason)
    order.flags.add(Flag.HELD)
    return APPLIED


def released(order: Order, fact: Fact) -> Verdict:
    body: bodies.Because = body_of(fact)
    if body.reason not in order.holds:
        return NOOP
    order.holds.discard(body.reason)
    if not order.holds:
        order.flags.discard(Flag.HELD)
    _clear_moved_on_hold(order)
    return APPLIED


def _clear_moved_on_hold(order: Order) -> None:
    """Once nothing forbids moving the order any more, it no longer matters that it moved."""
    if not order.holds and Flag.NEEDS_CONFIRM not in order.flags:
        order.flags.discard(Flag.MOVED_ON_HOLD)


def cancelled(order: Order, fact: Fact) -> Verdict:
    if order.cancelled:
        return NOOP
    order.cancelled = True
    move_parcels(order, order.parcels.values(), Step.CANCELLED_IN_HOUSE, fact, None)
    if any(p.state in IN_CUSTODY for p in order.parcels.values()):
        order.flags.add(Flag.CANCEL_REQUESTED)
    order.count_packed()
    return APPLIED


def completed(order: Order, fact: Fact) -> Verdict:
    if order.completed:
        return NOOP
    order.completed = True
    return APPLIED if order.state is OrderState.DELIVERED and not order.partial else Verdict(Outcome.APPLIED, warn=(Warn.NOT_DELIVERED,))
