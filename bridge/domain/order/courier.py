"""Which courier is to bring a parcel and which one has it: assignments, couriers' answers, and what time decides. Jobs are decided in `domain.jobs`."""

from __future__ import annotations

from bridge.domain.facts import APPLIED, NOOP, Decided, Fact, Verdict, refusal
from bridge.domain.jobs import derived_job_id
from bridge.domain.lifecycle import DEAD, IN_CUSTODY
from bridge.domain.members import E
from bridge.domain.order.order import CourierJob, Order, body_of, close_cases, named_parcel
from bridge.domain.order.parcel import Parcel
from bridge.domain.order.possession import job_of
from devices.protocol import bodies
from devices.protocol.vocabulary import Flag, Outcome, ParcelState, Reason


def assigned(order: Order, fact: Fact) -> Verdict:
    """Give the order to a courier, or only the parcel that the fact names."""
    body: bodies.Assigned = body_of(fact)
    given = CourierJob(body.courier, body.job or derived_job_id(fact.id))
    parcel, name = named_parcel(order, fact)
    if name is not None:
        if order.parcel_jobs.get(name) == given:
            return NOOP
        order.parcel_jobs[name] = given
    else:
        if order.assigned == given and not order.parcel_jobs:
            return NOOP
        order.assigned = given
        order.parcel_jobs.clear()
    for of in [parcel] if parcel is not None else order.parcels.values() if name is None else ():
        of.handed_to = None
        of.flags.discard(Flag.WRONG_COURIER)
    _judge_assigned(order)
    return APPLIED


def _judge_assigned(order: Order) -> None:
    if all(job_of(order, p) is not None for p in order.parcels.values() if p.state not in DEAD):
        order.flags.discard(Flag.UNASSIGNED)


def unassigned(order: Order, fact: Fact) -> Verdict:
    body: bodies.Unassigned = body_of(fact)
    return APPLIED if _take_back(order, body.job) else NOOP


def answered(order: Order, fact: Fact) -> Verdict:
    """A claim or a refusal of a job gets the verdict that was decided once, when it arrived."""
    outcome, reason = order.decisions.get(fact.uid, (Outcome.REJECTED, Reason.UNKNOWN_JOB))
    if outcome is Outcome.NOOP:
        return NOOP
    return APPLIED if outcome is Outcome.APPLIED else refusal(outcome, reason or Reason.UNKNOWN_JOB)


def decided(order: Order, fact: Fact) -> Verdict:
    """What the bridge decided: that a courier's refusal of a job counts, in which job a parcel is that was taken along, or that time has completed an order."""
    body: Decided = body_of(fact)
    if body.answer == E.ASSIGNED:
        return APPLIED if _take_along(order, body) else NOOP
    if body.answer == E.COMPLETED:
        if not may_complete(order):
            return NOOP
        order.completed = True
        close_cases(order)
        return APPLIED
    if body.answer == E.CLAIM or body.outcome is not Outcome.APPLIED:
        return NOOP
    return APPLIED if _take_back(order, body.job) else NOOP


def _take_along(order: Order, body: Decided) -> bool:
    """Put a parcel into the job of the courier who has it, if it is in no job, or was handed to them on the road. Returns True if that is new."""
    parcel = next((p for p in order.parcels.values() if body.parcel in order.book.names(p.id)), None)
    if parcel is None or body.courier is None or parcel.courier != body.courier:
        return False  # the scan was taken back, or is about another parcel
    held = job_of(order, parcel)
    if held is not None and (held.job == body.job or parcel.handed_to != body.courier):
        return False
    order.parcel_jobs[parcel.id] = CourierJob(body.courier, body.job)
    parcel.handed_to = None
    _judge_assigned(order)
    return True


def may_complete(order: Order) -> bool:
    """Whether time alone may complete an order: it is delivered, and nobody has to decide on it."""
    return order.is_delivered and not (order.completed or order.cancelled or order.holds or _misses_a_parcel(order))


def _misses_a_parcel(order: Order) -> bool:
    """Whether goods were lost on the way, and neither sent again nor given up."""
    return Flag.SHORT in order.flags and any(p.state is ParcelState.LOST and not order.is_cancelled(p) for p in order.parcels.values())


def _take_back(order: Order, job: str) -> bool:
    """Take a job back from its courier. Returns True if the order or one of its parcels was in it."""
    names = [name for name, held in order.parcel_jobs.items() if held is not None and held.job == job]
    for name in names:
        order.parcel_jobs[name] = None
    is_whole = order.assigned is not None and order.assigned.job == job
    if is_whole:
        order.assigned = None
    if names or is_whole:
        order.flags.add(Flag.UNASSIGNED)
    return bool(names) or is_whole


def duties(order: Order) -> dict[CourierJob, list[Parcel]]:
    """The jobs in which an order is, each with the parcels that are in it; a parcel that is not packed yet can't be named."""
    jobs: dict[CourierJob, list[Parcel]] = {}
    if order.assigned is None and not order.parcel_jobs:
        return jobs
    if order.cancelled and not any(p.state in IN_CUSTODY for p in order.parcels.values()):
        return jobs
    for parcel in order.parcels.values():
        held = job_of(order, parcel)
        if held is not None and parcel.state is not ParcelState.CANCELLED:
            jobs.setdefault(held, []).append(parcel)
    if order.assigned is not None and not order.parcels:
        jobs.setdefault(order.assigned, [])
    known = {name for p in order.parcels.values() for name in order.book.names(p.id)}
    for name, held in order.parcel_jobs.items():
        if held is not None and name not in known:
            jobs.setdefault(held, [])
    return jobs
