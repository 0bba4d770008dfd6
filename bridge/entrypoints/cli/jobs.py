"""`dockbridge jobs`: give orders to couriers, and take jobs back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.domain.jobs import Job
from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment
from bridge.entrypoints.control.client import call
from bridge.operations import jobs
from bridge.operations.jobs import JobStep
from bridge.words import counted
from devices.protocol.reasons import UnassignReason
from devices.protocol.vocabulary import EventType

app = typer.Typer(no_args_is_help=True, help="Give orders to couriers, and take jobs back.\n\nExample: `dockbridge jobs assign PO-17 anna`")

JobArgument = Annotated[str, typer.Argument(help="The job's id.")]
UNKNOWN = "unknown"
"""What is printed as the state of an order that does not exist."""


@app.command()
def assign(
    order: Annotated[str, typer.Argument(help="The order's id.")],
    courier: Annotated[str, typer.Argument(help="The courier.")],
    job: Annotated[str | None, typer.Option(help="Add the order to this job (default: a new one).")] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Give an order to a courier. The job appears on the courier's phone.

    Example: `dockbridge jobs assign PO-17 anna`
    """
    held = call(site, jobs.assign, order, courier, job)
    if as_json:
        print_json([_row(job) for job in held])
    for found in held:
        say(f"{courier} has {order} in job {found.id} (rev {found.rev})")


@app.command(name="list")
def list_(
    courier: Annotated[str | None, typer.Option(help="Only jobs of this courier.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only open jobs.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List jobs.

    Example: `dockbridge jobs list --open`
    """
    found = read(site, jobs.list_jobs, courier=courier, only_open=open_only)
    if as_json:
        print_json([_row(job) for job in found])
    elif not found:
        say(f"no {'open ' if open_only else ''}jobs" + (f" of {courier}" if courier is not None else ""))
    else:
        print_table(("job", "courier", "state", "rev", "orders"), [(j.id, j.courier, j.state, j.rev, " ".join(j.orders)) for j in found])


@app.command()
def show(job: JobArgument, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show one job and the state of its orders.

    Example: `dockbridge jobs show j-0199…`
    """
    found = read(site, jobs.show_job, job)
    row, states = _row(found.job), {order: state or UNKNOWN for order, state in found.states.items()}
    if as_json:
        print_json({**row, "orders": states})
        return
    print_table(("", ""), [(name, row[name]) for name in ("job", "courier", "state", "rev")])
    print_table(("order", "state"), states.items())


@app.command()
def explain(job: JobArgument, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Explain a job: who was given it, who has answered what, and what was decided, in the order in which the server learned of it.

    Example: `dockbridge jobs explain j-0199…`
    """
    found = read(site, jobs.explain, job)
    if as_json:
        print_json({"job": _row(found.job), "steps": found.steps})
        return
    rows = [(moment(s.at_ms), _said(s), s.order or "", s.parcel or "", s.courier or "", s.device, s.outcome or "", s.reason or "") for s in found.steps]
    print_table((dated("time"), "event", "order", "parcel", "courier", "device", "outcome", "reason"), rows)
    say(f"{found.job.id} of {found.job.courier} is {found.job.state} (rev {found.job.rev}), with {counted(len(found.job.orders), 'order')}.")


def _said(step: JobStep) -> str:
    if step.answer is None:
        return step.type
    return "taken along" if step.answer == EventType.ASSIGNED else f"{step.answer}: decided"


ReasonOption = Annotated[UnassignReason, typer.Option(help="Why.")]


@app.command()
def release(
    job: Annotated[str | None, typer.Argument(help="The job's id.", show_default=False)] = None,
    courier: Annotated[str | None, typer.Option(help="Every open job of this courier.", show_default=False)] = None,
    reason: ReasonOption = UnassignReason.OTHER,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take a job back from its courier, or all of a courier's. It disappears from the courier's phone, and its orders wait for another courier.

    Example: `dockbridge jobs release j-0199… --reason ill`, or `dockbridge jobs release --courier anna --reason ill`
    """
    if (job is None) == (courier is None):
        raise typer.BadParameter("name a job, or a --courier", param_hint="JOB")
    ids = [job] if job is not None else [held.id for held in read(site, jobs.list_jobs, courier=courier, only_open=True)]
    released = [one for one in ids if call(site, jobs.release, one, reason.value)]
    if as_json:
        print_json({"released": released})
    if job is not None:
        say(f"Job {job} is released." if released else f"Job {job} was closed already.")
    else:
        say(f"{counted(len(released), 'job')} of {courier} released.")


@app.command()
def move(
    job: JobArgument,
    courier: Annotated[str, typer.Argument(help="The courier who gets it.")],
    reason: ReasonOption = UnassignReason.OTHER,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take a job from its courier and give its orders to another one.

    Example: `dockbridge jobs move j-0199… ben --reason ill`
    """
    moved = call(site, jobs.move, job, courier, reason.value)
    if as_json:
        print_json([_row(held) for held in moved])
    for held in moved:
        say(f"{courier} has {counted(len(held.orders), 'order')} in job {held.id}")


def _row(job: Job) -> dict[str, Any]:
    return {"job": job.id, "rev": job.rev, "state": job.state, "courier": job.courier, "orders": job.orders}
