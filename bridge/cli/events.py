"""`dockbridge events`: the event log."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.output import JsonOption, LimitOption, SiteOption, emit, moment, reader_of, table
from bridge.store import queries
from devices.protocol.vocabulary import EventType, Outcome

app = typer.Typer(no_args_is_help=True, help="Read the event log.\n\nExample: `dockbridge events list --device scan-07`")


@app.command(name="list")
def list_(
    order: Annotated[str | None, typer.Option(help="Only this order's.")] = None,
    device: Annotated[str | None, typer.Option(help="Only this device's.")] = None,
    event_type: Annotated[EventType | None, typer.Option("--type", help="Only this type.", show_choices=False)] = None,
    outcome: Annotated[Outcome | None, typer.Option(help="Only events that ended so.")] = None,
    limit: LimitOption = 50,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List events with their outcome, the latest arrivals first.

    Example: `dockbridge events list --device scan-07 --outcome rejected`
    """
    reader, _ = reader_of(site)
    rows = queries.events(reader, order_id=order, device=device, event_type=event_type, outcome=outcome, limit=limit)
    if as_json:
        emit(rows)
        return
    columns = ("pos", "event time (UTC)", "device", "type", "order", "outcome", "reason")
    table(columns, [(r["pos"], moment(r["event_ms"]), r["device"], r["type"], r["order"], r["outcome"], r["reason"]) for r in rows])
