"""`dockbridge quarantine`: messages that could not be applied."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.entrypoints.cli.output import JsonOption, LimitOption, print_details, print_json, print_table, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, dated, moment
from bridge.entrypoints.control.client import call
from bridge.operations import quarantine
from devices.protocol import messages
from devices.protocol.vocabulary import Outcome

app = typer.Typer(
    no_args_is_help=True,
    help="Look at messages that could not be applied, judge them again, or drop them.\n\nExample: `dockbridge quarantine list`",
)
Entry = Annotated[int, typer.Argument(help="The entry's number.", min=1)]


@app.command(name="list")
def list_(limit: LimitOption = 50, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List the entries, the latest first.

    Example: `dockbridge quarantine list`
    """
    rows = read(site, quarantine.list_entries, limit=limit)
    if as_json:
        print_json(rows)
        return
    columns = ("no", dated("received"), "device", "type", "reason", "detail")
    print_table(columns, [(r["no"], moment(r["received_ms"]), r["device"], r["event_type"], r["reason"], r["detail"]) for r in rows])


@app.command()
def show(no: Entry, site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """Show one entry with its payload: decoded if possible, otherwise as hex.

    Example: `dockbridge quarantine show 3`
    """
    entry = read(site, quarantine.show_entry, no)
    if as_json:
        print_json({**entry.row, "decoded": entry.decoded})
        return
    print_details({name: value for name, value in entry.row.items() if name != "payload"})
    if entry.decoded is None:
        print(entry.payload.hex())
    else:
        print_json(entry.decoded)


@app.command()
def replay(no: Entry, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Judge an entry again. It leaves the quarantine if it is no longer rejected.

    Example: `dockbridge quarantine replay 3`
    """
    receipt = call(site, quarantine.replay, no)
    if as_json:
        print_json(messages.plain(receipt))
    say(f"entry {no}: {receipt.outcome}" + (f" ({receipt.detail or receipt.reason})" if receipt.reason is not None else ""))
    if receipt.outcome is Outcome.REJECTED:
        raise typer.Exit(1)


@app.command()
def drop(no: Entry, site: SiteOption = Path()) -> None:
    """Delete an entry from the quarantine for good.

    Example: `dockbridge quarantine drop 3`
    """
    call(site, quarantine.drop, no)
    say(f"Dropped entry {no}.")
