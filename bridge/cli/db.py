"""`dockbridge db`: the database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.output import JsonOption, SiteOption, emit, progress, reader_of, say
from bridge.config import DATABASE_NAME
from bridge.control import call
from bridge.errors import Refused, StoreError
from bridge.store.check import check_database
from bridge.store.migrate import backup as copy_database
from bridge.words import counted

app = typer.Typer(no_args_is_help=True, help="Rebuild, check and copy the database.\n\nExample: `dockbridge db backup /mnt/backup/ams1.db`")


@app.command()
def rebuild(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Make everything that is derived anew from the event log, and compare each order's hash with what it was.

    Example: `dockbridge db rebuild`
    """
    say("rebuilding from the event log; a running server stores nothing else meanwhile")
    done = call(site, "rebuild")
    if as_json:
        emit(done)
    told = f"{counted(done['events'], 'event')}, {counted(done['orders'], 'order')}"
    if done["changed"]:
        say(f"{told}; another now: {counted(len(done['changed']), 'order')}: {', '.join(done['changed'][:10])}")
        raise typer.Exit(1)
    say(f"{told}: every hash is the same")


@app.command()
def check(site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Check the database: SQLite's own pages, its form, and that each order's stored state is what its events give.

    Example: `dockbridge db check`
    """
    reader, _ = reader_of(site)
    with progress() as bar:
        task = bar.add_task("checking", total=None)
        report = check_database(reader, lambda done, total: bar.update(task, completed=done, total=total))
    if as_json:
        emit(report)
    if report["faults"]:
        raise StoreError("; ".join(report["faults"][:10]), fix="restore a copy, or make the derived tables anew with `dockbridge db rebuild`")
    say(f"sound: {counted(report['events'], 'event')}, {counted(report['orders'], 'order')}")


@app.command()
def backup(to: Annotated[Path, typer.Argument(help="The file to write.")], site: SiteOption = Path()) -> None:
    """Copy the database whole, as of one moment, while the server runs.

    Example: `dockbridge db backup /mnt/backup/ams1.db`
    """
    reader_of(site)
    if to.exists():
        raise Refused(f"{to} is there already", fix="choose another name, or remove it first")
    copy_database(site / DATABASE_NAME, to)
    say(f"copied to {to} ({to.stat().st_size:,} bytes), and checked")
