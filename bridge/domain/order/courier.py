"""Which courier carries an order: assigned, unassigned, and couriers' answers. What becomes of a job is decided in `domain.jobs`."""

from __future__ import annotations

from bridge.domain.facts import APPLIED, NOOP, Decided, Fact, Verdict, refusal
from bridge.domain.jobs import derived_job_id
from bridge.domain.order.order import Order, body_of
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, Outcome, Reason


def assigned(order: Order, fact: Fact) -> Verdict:
    body: bodies.Assigned = body_of(fact)
    courier_and_job = (body.courier, body.job or derived_job_id(fact.id))
    if order.assigned == courier_and_job:
        return NOOP
    order.assigned = courier_and_job
    order.flags.discard(Flag.UNASSIGNED)
    return APPLIED


def unassigned(order: Order, fact: Fact) -> Verdict:
    body: bodies.Unassigned = body_of(fact)
    if order.assigned is None or order.assigned[1] != body.job:
        return NOOP
    _remove_courier(order)
    return APPLIED


def answered(order: Order, fact: Fact) -> Verdict:
    """A claim or a refusal of a job gets the verdict that was decided once, when it arrived."""
    outcome, reason = order.decisions.get(fact.uid, (Outcome.REJECTED, Reason.UNKNOWN_JOB))
    if outcome is Outcome.NOOP:
        return NOOP
    return APPLIED if outcome is Outcome.APPLIED else refusal(outcome, reason or Reason.UNKNOWN_JOB)


def decided(order: Order, fact: Fact) -> Verdict:
    """What the bridge decided about a courier's answer. A refusal that was accepted leaves the order without a courier."""
    body: Decided = body_of(fact)
    if body.answer == E.CLAIM or body.outcome is not Outcome.APPLIED or order.assigned is None or order.assigned[1] != body.job:
        return NOOP
    _remove_courier(order)
    return APPLIED


def _remove_courier(order: Order) -> None:
    order.assigned = None
    order.flags.add(Flag.UNASSIGNED)
