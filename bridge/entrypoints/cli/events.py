"""`dockbridge events`: the event log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.entrypoints.cli.output import JsonOption, LimitOption, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment
from bridge.entrypoints.control.client import call
from bridge.operations import events, order_acts
from bridge.operations.order_acts import VoidReason
from devices.protocol.vocabulary import EventType, Outcome

app = typer.Typer(no_args_is_help=True, help="Read the event log, and take events back.\n\nExample: `dockbridge events list --device scan-07`")


@app.command(name="list")
def list_(
    order: Annotated[str | None, typer.Option(help="Only events of this order.")] = None,
    device: Annotated[str | None, typer.Option(help="Only events of this device.")] = None,
    event_type: Annotated[EventType | None, typer.Option("--type", help="Only events of this type.", show_choices=False)] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only events with this outcome.")] = None,
    limit: LimitOption = 50,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """List events with their outcomes, the last arrival first.

    Example: `dockbridge events list --device scan-07 --outcome rejected`
    """
    rows = read(site, events.list_events, order=order, device=device, event_type=event_type, outcome=outcome, limit=limit)
    if as_json:
        print_json(rows)
        return
    if not rows:
        say("no events yet" if (order, device, event_type, outcome) == (None,) * 4 else "no event is like this")
    columns = ("pos", dated("event time"), "device", "type", "order", "outcome", "reason", "warn", "id")
    named = ("device", "type", "order", "outcome", "reason", "warn", "id")
    print_table(columns, [(r["pos"], moment(r["event_ms"]), *(r[name] for name in named)) for r in rows])


@app.command()
def void(
    event: Annotated[str, typer.Argument(help="The event's id, 32 hex digits, as `events list` prints it.")],
    reason: Annotated[VoidReason, typer.Option(help="Why.")] = VoidReason.DID_NOT_OCCUR,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Take back an event, as if it had never been sent: what followed from it is undone, jobs and alerts too.

    Example: `dockbridge events void 0199a8c2e5f17a3b8c4d5e6f70819203 --reason incorrect_data`
    """
    receipt = call(site, order_acts.void, event, reason)
    if as_json:
        print_json(receipt)
    say(f"Event {event} is taken back.")
