"""`dockbridge events`: the event log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.entrypoints.cli.output import JsonOption, LimitOption, moment, print_json, print_table
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.operations import events
from devices.protocol.vocabulary import EventType, Outcome

app = typer.Typer(no_args_is_help=True, help="Read the event log.\n\nExample: `dockbridge events list --device scan-07`")


@app.command(name="list")
def list_(
    order: Annotated[str | None, typer.Option(help="Only events of this order.")] = None,
    device: Annotated[str | None, typer.Option(help="Only events of this device.")] = None,
    event_type: Annotated[EventType | None, typer.Option("--type", help="Only events of this type.", show_choices=False)] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only events with this outcome.")] = None,
    limit: LimitOption = 50,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List events with their outcomes, the last arrival first.

    Example: `dockbridge events list --device scan-07 --outcome rejected`
    """
    rows = read(site, events.list_events, order=order, device=device, event_type=event_type, outcome=outcome, limit=limit)
    if as_json:
        print_json(rows)
        return
    columns = ("pos", "event time (UTC)", "device", "type", "order", "outcome", "reason")
    print_table(columns, [(r["pos"], moment(r["event_ms"]), r["device"], r["type"], r["order"], r["outcome"], r["reason"]) for r in rows])
