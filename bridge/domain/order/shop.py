"""What the shop and the desk report about an order: created, paid, refunded, approved, amended, held, released, cancelled, completed."""

from __future__ import annotations

from msgspec.structs import replace

from bridge.domain.facts import APPLIED, NOOP, Fact, Verdict, refusal
from bridge.domain.lifecycle import OUTBOUND, Step
from bridge.domain.order import promise
from bridge.domain.order.loading import right_carrier
from bridge.domain.order.movement import move_parcels
from bridge.domain.order.order import Order, body_of, close_cases, named_parcel, quantities
from bridge.domain.order.sending import amend_order, amend_parcel
from devices.protocol import bodies
from devices.protocol.reasons import GUARDED_HOLDS
from devices.protocol.vocabulary import Flag, OrderState, Outcome, Reason, Warn

_NOT_PAID = Verdict(Outcome.APPLIED, warn=(Warn.NOT_PAID,))
_STILL_HELD = Verdict(Outcome.NOOP, warn=(Warn.STILL_HELD,))
_STILL_ORDERED = frozenset({"carrier", "service", "tracking", "ship_by", "contact"})
"""Changes of how and to whom an order is sent: it is still what was ordered."""
_TIMES = ("promise_ms", "ship_by_ms")
"""What an amendment changes of an order's creation, besides how it is sent."""


def created(order: Order, fact: Fact) -> Verdict:
    if order.created is not None:
        return NOOP
    body: bodies.Created = body_of(fact)
    order.created = body if fact.carrier is None else replace(body, carrier=fact.carrier)
    order.terms = fact.terms
    order.account.owe(body.amount_minor, body.currency)
    order.lines = quantities(body.lines)
    promise.begin(order, fact)
    return APPLIED


# --- money ----------------------------------------------------------------------------------------------------------------


def paid(order: Order, fact: Fact) -> Verdict:
    body: bodies.Paid = body_of(fact)
    was_paid = order.paid
    order.account.receive(body.amount_minor, body.currency)
    if not order.account.is_settled:
        return _NOT_PAID
    settle(order, fact)
    if not was_paid:
        promise.count_from_payment(order, fact)
    return NOOP if was_paid else APPLIED


def settle(order: Order, fact: Fact) -> None:
    """Record that an order is paid."""
    order.paid = True
    if OrderState.PAID not in order.milestones:
        order.reach(OrderState.PAID, fact.event_ms)


def refunded(order: Order, fact: Fact) -> Verdict:
    body: bodies.Refunded = body_of(fact)
    order.account.refund(body.amount_minor, is_gift=order.is_delivered)
    order.paid = order.account.is_settled
    return APPLIED


# --- approval and changes -------------------------------------------------------------------------------------------------


def approved(order: Order, fact: Fact) -> Verdict:
    confirmed = Flag.NEEDS_CONFIRM in order.flags
    order.flags.discard(Flag.NEEDS_CONFIRM)
    _clear_moved_on_hold(order)
    known = order.milestones.get(OrderState.APPROVED)
    if order.approved and known is not None and not known[1]:
        return APPLIED if confirmed else NOOP
    order.approved = True
    if known is None:
        order.reach(OrderState.APPROVED, fact.event_ms)
    elif known[1]:
        order.milestones[OrderState.APPROVED] = (fact.event_ms, False)  # it was only inferred
    return APPLIED


def amended(order: Order, fact: Fact) -> Verdict:
    body: bodies.Amended = body_of(fact)
    if body.lines is not None or not _STILL_ORDERED.issuperset(body.changed):
        order.flags.add(Flag.AMENDED)
    if body.lines is not None:
        order.lines = quantities(body.lines)
        if order.picked or order.parcels:
            order.flags.add(Flag.NEEDS_CONFIRM)
        order.count_packed()
    parcel, name = named_parcel(order, fact)
    if name is not None:
        amend_parcel(order, parcel, name, fact)
    else:
        before = order.created.carrier if order.created is not None else None
        amend_order(order, fact)
        promise.count_anew(order, before, fact)
    right_carrier(order, order.parcels.values())
    changes = {name: value for name in _TIMES if (value := getattr(body, name)) is not None}
    if changes and order.created is not None:
        order.created = replace(order.created, **changes)
    if body.amount_minor is not None:
        order.account.owe(body.amount_minor, body.currency)
    return APPLIED if parcel is None else Verdict(Outcome.APPLIED, parcel=parcel.id)


# --- holds ----------------------------------------------------------------------------------------------------------------


def held(order: Order, fact: Fact) -> Verdict:
    body: bodies.Because = body_of(fact)
    if body.reason in order.holds:
        return NOOP
    order.holds[body.reason] = fact.device
    order.flags.add(Flag.HELD)
    return APPLIED


def released(order: Order, fact: Fact) -> Verdict:
    """Lift the hold that is named, all of them, or the only one. If it is not clear which, none is lifted, and the answer names those that stand."""
    body: bodies.Released = body_of(fact)
    if not order.holds:
        return NOOP
    if not body.all and (body.reason not in order.holds if body.reason is not None else len(order.holds) > 1):
        return _STILL_HELD
    asked = [body.reason] if body.reason is not None and not body.all else list(order.holds)
    lifted = [reason for reason in asked if reason not in GUARDED_HOLDS or order.holds[reason] == fact.device]
    if not lifted:
        return refusal(Outcome.REJECTED, Reason.NOT_YOURS)
    for reason in lifted:
        del order.holds[reason]
    if not order.holds:
        order.flags.discard(Flag.HELD)
    _clear_moved_on_hold(order)
    return APPLIED if len(lifted) == len(asked) else _STILL_HELD._replace(outcome=Outcome.APPLIED)


def _clear_moved_on_hold(order: Order) -> None:
    """Once nothing forbids moving the order any more, it no longer matters that it moved."""
    if not order.holds and Flag.NEEDS_CONFIRM not in order.flags:
        for parcel in order.parcels.values():
            parcel.flags.discard(Flag.MOVED_ON_HOLD)


# --- ends -----------------------------------------------------------------------------------------------------------------


def cancelled(order: Order, fact: Fact) -> Verdict:
    """Cancel the order, or only the parcel that the fact names. What is on its way is asked back."""
    parcel, name = named_parcel(order, fact)
    if order.cancelled or (name is not None and name in order.cancelled_parcels):
        return NOOP
    if name is None:
        order.cancelled = True
    else:
        order.cancelled_parcels.add(name)
    meant = list(order.parcels.values()) if name is None else [parcel] if parcel is not None else []
    move_parcels(order, meant, Step.CANCELLED_IN_HOUSE, fact, None)
    for of in meant:
        of.cases.clear()  # nobody waits for these goods any more
        if of.state in OUTBOUND:
            of.flags.add(Flag.CANCEL_REQUESTED)
    order.count_packed()
    return Verdict(Outcome.APPLIED, parcel=parcel.id if parcel is not None else None)


def completed(order: Order, fact: Fact) -> Verdict:
    if order.completed:
        return NOOP
    order.completed = True
    if not order.is_delivered:
        return Verdict(Outcome.APPLIED, warn=(Warn.NOT_DELIVERED,))
    close_cases(order)
    return APPLIED


def noted(order: Order, fact: Fact) -> Verdict:
    """A note changes nothing about an order; what it says is sealed, and in no fold."""
    return APPLIED
