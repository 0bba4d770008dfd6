"""`dockbridge quarantine`: messages that can't be applied."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.output import JsonOption, LimitOption, SiteOption, details, emit, moment, reader_of, say, table
from bridge.control import call
from bridge.errors import NotFound
from bridge.store import queries
from devices.protocol import messages

app = typer.Typer(no_args_is_help=True, help="Look at messages that can't be applied; judge them again, or drop them.\n\nExample: `dockbridge quarantine list`")
Entry = Annotated[int, typer.Argument(help="The entry's number.", min=1)]


@app.command(name="list")
def list_(limit: LimitOption = 50, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """List what is in quarantine, the latest first.

    Example: `dockbridge quarantine list`
    """
    reader, _ = reader_of(site)
    rows = queries.quarantine(reader, limit=limit)
    if as_json:
        emit(rows)
        return
    columns = ("no", "received (UTC)", "device", "type", "reason", "detail")
    table(columns, [(r["no"], moment(r["received_ms"]), r["device"], r["event_type"], r["reason"], r["detail"]) for r in rows])


@app.command()
def show(no: Entry, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Show one entry with its payload: decoded where that is possible, else as hex.

    Example: `dockbridge quarantine show 3`
    """
    reader, _ = reader_of(site)
    row = queries.quarantined(reader, no)
    if row is None:
        raise NotFound(f"there is no entry {no} in quarantine", fix="see them with `dockbridge quarantine list`")
    try:
        decoded = messages.load(row["payload"])
    except messages.PayloadError:
        decoded = None
    if as_json:
        emit({**row, "decoded": decoded})
        return
    details({name: value for name, value in row.items() if name != "payload"})
    if decoded is None:
        print(row["payload"].hex())
    else:
        emit(decoded)


@app.command()
def replay(no: Entry, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Judge an entry again; it leaves quarantine where it is no longer rejected.

    Example: `dockbridge quarantine replay 3`
    """
    receipt = call(site, "quarantine_replay", no=no)
    if as_json:
        emit(receipt)
    say(f"entry {no}: {receipt['outcome']}" + (f" ({receipt.get('detail') or receipt['reason']})" if "reason" in receipt else ""))
    if receipt["outcome"] == "rejected":
        raise typer.Exit(1)


@app.command()
def drop(no: Entry, site: SiteOption = Path()) -> None:
    """Take an entry out of quarantine for good.

    Example: `dockbridge quarantine drop 3`
    """
    call(site, "quarantine_drop", no=no)
    say(f"entry {no} is dropped")
