"""`dockbridge jobs`: give orders to couriers, and take them back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.cli.output import JsonOption, SiteOption, emit, reader_of, say, table
from bridge.control import call
from bridge.errors import NotFound, Refused
from bridge.store import queries

app = typer.Typer(no_args_is_help=True, help="Give orders to couriers, and take them back.\n\nExample: `dockbridge jobs assign PO-17 anna`")


@app.command()
def assign(
    order: Annotated[str, typer.Argument(help="The order's id.")],
    courier: Annotated[str, typer.Argument(help="The courier.")],
    job: Annotated[str | None, typer.Option(help="Add it to this job (default: a new one).")] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Give an order to a courier: the job appears on the courier's phone.

    Example: `dockbridge jobs assign PO-17 anna`
    """
    reader, _ = reader_of(site)
    if queries.order(reader, order) is None:
        raise NotFound(f"there is no order {order}", fix="see them with `dockbridge orders list`")
    receipt = call(site, "tell", event_type="assigned", order=order, body={"courier": courier, **({"job": job} if job else {})})
    _check(receipt)
    held = [j for j in queries.jobs(reader, courier=courier, only_open=True) if order in j["orders"]]
    if as_json:
        emit(held)
    for found in held:
        say(f"{courier} has {order} in job {found['job']} (rev {found['rev']})")


@app.command(name="list")
def list_(
    courier: Annotated[str | None, typer.Option(help="Only this courier's.")] = None,
    open_only: Annotated[bool, typer.Option("--open", help="Only jobs that are open.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List jobs.

    Example: `dockbridge jobs list --open`
    """
    reader, _ = reader_of(site)
    rows = queries.jobs(reader, courier=courier, only_open=open_only)
    if as_json:
        emit(rows)
        return
    table(("job", "courier", "state", "rev", "orders"), [(r["job"], r["courier"], r["state"], r["rev"], " ".join(r["orders"])) for r in rows])


@app.command()
def show(job: str, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show one job and the state of its orders.

    Example: `dockbridge jobs show j-0199…`
    """
    found = _job(site, job)
    reader, _ = reader_of(site)
    states = [(o, (queries.order(reader, o) or {"status": {"state": "unknown"}})["status"]["state"]) for o in found["orders"]]
    if as_json:
        emit({**found, "orders": dict(states)})
        return
    table(("", ""), [(k, found[k]) for k in ("job", "courier", "state", "rev")])
    table(("order", "state"), states)


@app.command()
def release(
    job: str,
    reason: Annotated[str, typer.Option(help="Why, in one word.")] = "dispatcher",
    site: SiteOption = Path(),
) -> None:
    """Take a job back from its courier; it leaves the phone.

    Example: `dockbridge jobs release j-0199… --reason sick`
    """
    if _job(site, job)["state"] not in ("assigned", "accepted"):
        say(f"job {job} is closed already")
        return
    _check(call(site, "tell", event_type="unassigned", order=None, body={"job": job, "reason": reason}))
    say(f"job {job} is taken back")


def _job(site: Path, job: str) -> dict[str, Any]:
    reader, _ = reader_of(site)
    for row in queries.jobs(reader):
        if row["job"] == job:
            return row
    raise NotFound(f"there is no job {job}", fix="see them with `dockbridge jobs list`")


def _check(receipt: dict[str, Any]) -> None:
    if receipt["outcome"] in ("rejected", "parked", "blocked"):
        raise Refused(f"{receipt['outcome']}: {receipt.get('detail') or receipt.get('reason')}")
