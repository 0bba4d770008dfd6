"""`dockbridge db`: the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.entrypoints.cli.output import JsonOption, print_json, progress, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.control.client import call
from bridge.errors import StoreError
from bridge.operations import database
from bridge.words import counted

app = typer.Typer(no_args_is_help=True, help="Rebuild, check and copy the database.\n\nExample: `dockbridge db backup /mnt/backup/ams1.db`")

NAMED_MAX = 10
"""Orders or faults that a message names."""


@app.command()
def rebuild(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Derive everything again from the event log, and compare each order's hash with what it was.

    Example: `dockbridge db rebuild`
    """
    say("Rebuilding from the event log. Meanwhile a running server stores nothing else.")
    with progress() as bar:
        task = bar.add_task("rebuilding: events", total=None)
        done = call(site, database.rebuild, lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        print_json(done)
    read_back = f"{counted(done.events, 'event')}, {counted(done.orders, 'order')}"
    if done.changed:
        say(f"{read_back}: {counted(len(done.changed), 'order')} changed: {', '.join(done.changed[:NAMED_MAX])}")
        raise typer.Exit(1)
    say(f"{read_back}: every hash is the same")


@app.command()
def check(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Check the database: SQLite's own pages, its schema, and each order's stored state against its events.

    Example: `dockbridge db check`
    """
    with progress() as bar:
        task = bar.add_task("checking", total=None)
        report = read(site, database.check, lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        print_json(report)
    if report.faults:
        raise StoreError("; ".join(report.faults[:NAMED_MAX]), fix="restore a copy, or derive the tables again with `dockbridge db rebuild`")
    say(f"No faults: {counted(report.events, 'event')}, {counted(report.orders, 'order')}.")


@app.command()
def backup(to: Annotated[Path, typer.Argument(help="The file to write.")], site: SiteOption = Path()) -> None:
    """Copy the whole database, as of one moment, while the server runs.

    Example: `dockbridge db backup /mnt/backup/ams1.db`
    """
    read(site, database.backup, to)
    say(f"Copied to {to} ({to.stat().st_size:,} bytes), and checked the copy.")
