"""Give orders to couriers, and take jobs back."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from bridge.domain.facts import DECIDED
from bridge.domain.jobs import Job, derived_job_id
from bridge.errors import NotFound, Refused
from bridge.operations import events
from bridge.operations.names import check_courier
from bridge.operations.ports import Row, SiteContext, SiteReader
from bridge.operations.waits import ENDED
from devices.protocol.messages import load
from devices.protocol.vocabulary import EventType

COURIERS_NAMED_MAX: Final = 10
MOVED_CHARS_MAX: Final = 60
"""How much of a job's id the job has that it is moved to."""


class JobStep(Struct, frozen=True, kw_only=True):
    """Something that happened to a job: `type` of the event, whose it was, about which order, and what came of it. `decided` is the bridge's own: `answer` says
    what it decided, and `parcel` what was taken along."""

    at_ms: int
    type: str
    device: str
    courier: str | None
    order: str | None
    outcome: str | None
    reason: str | None
    answer: str | None = None
    parcel: str | None = None


class JobStory(Struct, frozen=True, kw_only=True):
    """A job, and what happened to it, in the order of arrival."""

    job: Job
    steps: list[JobStep]


class JobDetails(Struct, frozen=True, kw_only=True):
    """One job, and the state of each of its orders; None for an order that does not exist."""

    job: Job
    states: dict[str, str | None]


async def assign(site: SiteContext, order: str, courier: str, job: str | None = None) -> list[Job]:
    """Give an order to a courier, in a new job or in the named one. Returns the courier's open jobs that contain the order.

    Raises:
        NotFound: if there is no such order.
        Refused: if the order has ended, nobody is this courier, or the job is closed or another courier's.
    """
    state = site.queries.order_states([order]).get(order)
    if state is None:
        raise NotFound(f"there is no order {order}", fix="list the orders with `dockbridge orders list`")
    if state in ENDED:
        raise Refused(f"order {order} is {state}: there is nothing to bring", fix=f"`dockbridge orders explain {order}` says why")
    _check_courier(site, courier)
    known = site.queries.job(job) if job is not None else None
    if known is not None and known.courier != courier:
        raise Refused(f"job {job} is {known.courier}'s", fix=f"leave --job out, or move it with `dockbridge jobs move {job} {courier}`")
    if known is not None and not known.is_open:
        raise Refused(f"job {job} is {known.state}", fix="leave --job out: the order gets a new job")
    await events.send(site, EventType.ASSIGNED, order, {"courier": courier, **({"job": job} if job else {})})
    return [held for held in site.queries.jobs(courier=courier, only_open=True) if order in held.orders]


async def release(site: SiteContext, job: str, reason: str) -> bool:
    """Take a job back from its courier. Returns False if it was closed already.

    Raises:
        NotFound: if there is no such job.
        Refused: if it can't be taken back.
    """
    if not _job(site, job).is_open:
        return False
    await events.send(site, EventType.UNASSIGNED, None, {"job": job, "reason": reason})
    return True


async def move(site: SiteContext, job: str, courier: str, reason: str) -> list[Job]:
    """Take a job from its courier and give its orders to another one, in one new job. Returns the other courier's open jobs that have them.

    Raises:
        NotFound: if there is no such job.
        Refused: if it is closed, nobody is the other courier, or it is that courier's already.
    """
    found = _job(site, job)
    if not found.is_open:
        raise Refused(f"job {job} is {found.state}", fix="give its orders to a courier with `dockbridge jobs assign`")
    if found.courier == courier:
        raise Refused(f"job {job} is {courier}'s already", fix=f"`dockbridge jobs show {job}` shows it")
    _check_courier(site, courier)
    await events.send(site, EventType.UNASSIGNED, None, {"job": job, "reason": reason})
    new = f"{job[:MOVED_CHARS_MAX]}-{site.clock.now_ms():x}"
    for order in found.orders:
        await events.send(site, EventType.ASSIGNED, order, {"courier": courier, "job": new})
    return [held for held in site.queries.jobs(courier=courier, only_open=True) if held.id == new]


def _check_courier(site: SiteReader, courier: str) -> None:
    """Raises:
    Refused: if no phone that may log in belongs to this courier.
    """
    if not site.registry.has_courier(courier):
        couriers = {d.courier for d in site.registry.list() if d.courier is not None and d.is_admitted}
        known = ", ".join(sorted(couriers)[:COURIERS_NAMED_MAX]) or "none yet"
        raise Refused(f"nobody is courier {courier}", fix=f"the couriers are {known}; enrol a phone with `dockbridge device add NAME --role courier`")


async def list_jobs(site: SiteReader, *, courier: str | None = None, only_open: bool = False) -> list[Job]:
    """Jobs by their id.

    Raises:
        NotFound: if there is no such courier.
    """
    found = site.queries.jobs(courier=courier, only_open=only_open)
    if courier is not None and not found:
        check_courier(site, courier)
    return found


async def show_job(site: SiteReader, job: str) -> JobDetails:
    """One job.

    Raises:
        NotFound: if there is no such job.
    """
    found = _job(site, job)
    states = site.queries.order_states(found.orders)
    return JobDetails(job=found, states={order: states.get(order) for order in found.orders})


async def explain(site: SiteReader, job: str) -> JobStory:
    """What happened to a job: who was given it, who has answered what, and what was decided.

    Raises:
        NotFound: if there is no such job.
    """
    found = _job(site, job)
    return JobStory(job=found, steps=[step for row in site.queries.about_job(job) if (step := _step(job, row)) is not None])


def _step(job: str, row: Row) -> JobStep | None:
    """An event about a job as people read it; None if it is about another one."""
    said = load(row["payload"])
    body = said if row["type"] == DECIDED else said["body"]
    if (body.get("job") or derived_job_id(row["id"])) != job:
        return None
    is_decided = row["type"] == DECIDED
    return JobStep(
        at_ms=row["received_ms"],
        type=row["type"],
        device=row["device"],
        courier=row["courier"] or body.get("courier"),
        order=row["order"],
        outcome=body["outcome"] if is_decided else row["outcome"],
        reason=body.get("reason") if is_decided else row["reason"] or body.get("reason"),
        answer=body["answer"] if is_decided else None,
        parcel=body.get("parcel") if is_decided else said.get("parcel"),
    )


def _job(site: SiteReader, job: str) -> Job:
    found = site.queries.job(job)
    if found is None:
        raise NotFound(f"there is no job {job}", fix="list the jobs with `dockbridge jobs list`")
    return found
