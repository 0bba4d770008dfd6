"""Give orders to couriers, and take jobs back."""

from __future__ import annotations

from msgspec import Struct

from bridge.domain.jobs import Job
from bridge.errors import NotFound
from bridge.operations import events
from bridge.operations.ports import SiteContext, SiteReader
from devices.protocol.vocabulary import EventType


class JobDetails(Struct, frozen=True, kw_only=True):
    """One job, and the state of each of its orders; None for an order that does not exist."""

    job: Job
    states: dict[str, str | None]


async def assign(site: SiteContext, order: str, courier: str, job: str | None = None) -> list[Job]:
    """Give an order to a courier, in a new job or in the named one. Returns the courier's open jobs that contain the order.

    Raises:
        NotFound: if there is no such order.
        Refused: if the order can't be assigned.
    """
    if not site.queries.order_states([order]):
        raise NotFound(f"there is no order {order}", fix="list the orders with `dockbridge orders list`")
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


async def list_jobs(site: SiteReader, *, courier: str | None = None, only_open: bool = False) -> list[Job]:
    return site.queries.jobs(courier=courier, only_open=only_open)


async def show_job(site: SiteReader, job: str) -> JobDetails:
    """One job.

    Raises:
        NotFound: if there is no such job.
    """
    found = _job(site, job)
    states = site.queries.order_states(found.orders)
    return JobDetails(job=found, states={order: states.get(order) for order in found.orders})


def _job(site: SiteReader, job: str) -> Job:
    found = site.queries.job(job)
    if found is None:
        raise NotFound(f"there is no job {job}", fix="list the jobs with `dockbridge jobs list`")
    return found
