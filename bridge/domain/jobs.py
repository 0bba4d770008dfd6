"""Couriers' jobs: who carries which orders. A job changes one step at a time, and a courier's answer counts only against the rev it saw.

Decisions fall once, in the order of arrival, and the bridge writes them into the log as events of its own (`decided`): two couriers who claim the
same job get different answers, whatever their clocks say.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from devices.protocol.vocabulary import OPEN_JOB_STATES, JobState, Outcome, ParcelState, Reason

ORDERS_MAX: Final = 500
"""Orders in one job."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A courier's job. `rev` grows by one with every change."""

    id: str
    rev: int
    state: JobState
    courier: str
    orders: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        return self.state in OPEN_JOB_STATES


class Decision(NamedTuple):
    """How a request about a job ended: the job as it is now, and the verdict."""

    job: Job | None
    outcome: Outcome
    reason: Reason | None = None


def derived_job_id(event_id: bytes) -> str:
    """The id of a job that nobody named."""
    return "j-" + event_id.hex()


_TOUR: Final = re.compile(r"t-[0-9a-f]{32}")


def tour_id(event_id: bytes, nth: int) -> str:
    """The id of a job that begins with the event by which a courier took parcels along; of the `nth` one, if they are more than one job takes."""
    return "t-" + (hashlib.sha256(event_id + nth.to_bytes(4, "big")).hexdigest()[:32] if nth else event_id.hex())


def is_tour(job_id: str) -> bool:
    """Whether a courier has made a job by taking parcels along: nobody has to accept it."""
    return _TOUR.fullmatch(job_id) is not None


def assign(job: Job | None, *, job_id: str, courier: str, order: str) -> Decision:
    """Give an order to a courier: in a new job, or in one that is open and the courier's own.

    An open job of another courier is handed over whole: the dispatcher's word counts, and the new courier accepts afresh.
    """
    if job is None or not job.is_open:
        state = JobState.ACCEPTED if is_tour(job_id) else JobState.ASSIGNED
        return Decision(Job(id=job_id, rev=(job.rev if job else 0) + 1, state=state, courier=courier, orders=(order,)), Outcome.APPLIED)
    if job.courier == courier and order in job.orders:
        return Decision(job, Outcome.NOOP)
    orders = job.orders if order in job.orders else (*job.orders, order)
    if len(orders) > ORDERS_MAX:
        return Decision(job, Outcome.REJECTED, Reason.TOO_MANY_EVENTS)
    state = job.state if job.courier == courier else JobState.ASSIGNED
    return Decision(replace(job, rev=job.rev + 1, state=state, courier=courier, orders=orders), Outcome.APPLIED)


def claim(job: Job | None, *, courier: str | None, rev: int) -> Decision:
    """A courier accepts a job. Compare-and-set: only against the rev that the job has now."""
    return _answer(job, courier, rev, JobState.ACCEPTED)


def decline(job: Job | None, *, courier: str | None) -> Decision:
    """A courier refuses a job, or gives it back."""
    return _answer(job, courier, None, JobState.DECLINED)


def _answer(job: Job | None, courier: str | None, rev: int | None, to: JobState) -> Decision:
    if job is None:
        return Decision(None, Outcome.REJECTED, Reason.UNKNOWN_JOB)
    if job.courier != courier:
        return Decision(job, Outcome.LOST_CLAIM, Reason.HELD_BY_ANOTHER)
    if job.state is to:
        return Decision(job, Outcome.NOOP)
    if not job.is_open:
        return Decision(job, Outcome.REJECTED, Reason.JOB_CLOSED)
    if rev is not None and rev != job.rev:
        return Decision(job, Outcome.LOST_CLAIM, Reason.STALE_REV)
    return Decision(replace(job, rev=job.rev + 1, state=to), Outcome.APPLIED)


def release(job: Job | None) -> Decision:
    """The dispatcher takes a job back."""
    if job is None:
        return Decision(None, Outcome.PARKED, Reason.UNKNOWN_JOB)
    if not job.is_open:
        return Decision(job, Outcome.NOOP)
    return Decision(replace(job, rev=job.rev + 1, state=JobState.RELEASED), Outcome.APPLIED)


def without(job: Job, order: str) -> Job:
    """The job without one of its orders; with none left it is released."""
    orders = tuple(o for o in job.orders if o != order)
    return replace(job, rev=job.rev + 1, orders=orders or job.orders, state=job.state if orders else JobState.RELEASED)


_CARRIED_OUT: Final = frozenset(
    {ParcelState.DELIVERED, ParcelState.RETURNED, ParcelState.LOST, ParcelState.DESTROYED, ParcelState.CANCELLED, ParcelState.AVAILABLE_FOR_PICKUP},
)


_ENDED: Final = _CARRIED_OUT - {ParcelState.LOST}


def carried_out(states: tuple[ParcelState, ...]) -> bool:
    """Whether a courier has nothing more to do for an order with parcels in these states."""
    return bool(states) and all(s in _CARRIED_OUT for s in states)


def is_to_bring(state: ParcelState, reached: Collection[str]) -> bool:
    """Whether a courier still has to bring a parcel in this state that has reached these states before.

    What came back after its end, on a return say, is another task than the one that was done. To be lost is no end: what is found is to be brought.
    """
    return state not in _CARRIED_OUT and state is not ParcelState.RETURNING and not _ENDED & set(reached)


def done(job: Job) -> Job:
    """The job closes: every order in it is carried out."""
    return replace(job, rev=job.rev + 1, state=JobState.DONE)
