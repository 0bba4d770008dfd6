"""`dockbridge jobs`: give orders to couriers, and take jobs back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.domain.jobs import Job
from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.control.client import call
from bridge.operations import jobs

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
def release(
    job: JobArgument,
    reason: Annotated[str, typer.Option(help="Why, in one word.")] = "dispatcher",
    site: SiteOption = Path(),
) -> None:
    """Take a job back from its courier. It disappears from the courier's phone.

    Example: `dockbridge jobs release j-0199… --reason sick`
    """
    was_open = call(site, jobs.release, job, reason)
    say(f"Job {job} is released." if was_open else f"Job {job} was closed already.")


def _row(job: Job) -> dict[str, Any]:
    return {"job": job.id, "rev": job.rev, "state": job.state, "courier": job.courier, "orders": job.orders}
