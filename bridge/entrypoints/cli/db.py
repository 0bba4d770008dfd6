"""`dockbridge db`: the database."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bridge.config import CONFIG_NAME, DATABASE_NAME
from bridge.config_file import load
from bridge.entrypoints.cli.output import JsonOption, print_json, print_table, progress, ranges, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import dated, moment, zone_name
from bridge.entrypoints.control.asker import check_owner
from bridge.entrypoints.control.client import call
from bridge.errors import Refused, StoreError
from bridge.operations import database
from bridge.operations import missing as operations
from bridge.store.sqlite import MEND_DAMAGED
from bridge.words import counted

app = typer.Typer(no_args_is_help=True, help="Rebuild, check, back up and restore the database.\n\nExample: `dockbridge db backup /mnt/backup/ams1.db`")

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
        damaged = any(fault.startswith("SQLite") for fault in report.faults)
        raise StoreError("; ".join(report.faults[:NAMED_MAX]), fix=MEND_DAMAGED if damaged else "derive the tables again with `dockbridge db rebuild`")
    say(f"No faults: {counted(report.events, 'event')}, {counted(report.orders, 'order')}.")


@app.command()
def backup(
    to: Annotated[
        Path | None, typer.Argument(help="The file to write.", show_default="a new one in backup.folder, like the scheduled ones", readable=False)
    ] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Copy the whole database, as of one moment, while the server runs. The server makes backups by itself, too: see [backup] in bridge.toml.

    The site's folder also holds its certificates, its configuration and credentials.jsonl: keep a copy of those as well.

    Example: `dockbridge db backup /mnt/backup/ams1.db`
    """
    check_owner("db backup")
    if to is None:
        to = _scheduled(site)
    else:
        read(site, database.backup, to)
    size = to.stat().st_size
    if as_json:
        print_json({"file": str(to), "bytes": size})
    say(f"Copied to {to} ({size:,} bytes), and checked the copy.")


def _scheduled(site: Path) -> Path:
    """Make a backup as the server does."""
    from bridge.serving.backups import backups_of

    backups = backups_of(site, load(site / CONFIG_NAME))
    if backups is None:
        raise Refused("backup.folder is empty: this site has no folder for backups", fix="name the file to write, or set backup.folder")
    return backups.make(site / DATABASE_NAME, datetime.now(UTC))


FileArgument = Annotated[Path, typer.Argument(help="The backup.", metavar="FILE", readable=False)]


@app.command()
def verify(file: FileArgument, site: SiteOption = Path(), as_json: JsonOption = False) -> None:
    """Check a backup on a copy of it, as `restore` would: whose it is, SQLite's pages, and each order's state against its events. The site may be running.

    Example: `dockbridge db verify /mnt/backup/ams1.db`
    """
    from bridge import recovery  # here and below: only these commands need what a server is made of

    done = recovery.verify(site, file, _say_step)
    if as_json:
        print_json(done)
    say(f"{file} can be restored: {counted(done.events, 'event')}, {counted(done.orders, 'order')}, until {moment(done.newest_ms)} {zone_name()}.")


@app.command()
def restore(
    file: FileArgument,
    site: SiteOption = Path(),
    derive: Annotated[bool, typer.Option("--derive", help="Derive all orders anew from the backup's events, if its states disagree with them.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put a backup in the place of the site's database. Stop the server first.

    The present database is kept in a folder of its own. Devices are asked to send again what they acknowledged after the backup and still have, as soon as
    they connect; the times of such events may differ a little. Whoever was enrolled, rotated or revoked since the backup stays so.

    Example: `dockbridge db restore /mnt/backup/ams1.db`
    """
    from bridge import recovery
    from bridge.app import ingest_of

    check_owner("db restore")
    done = recovery.restore(site, file, ingest_of, _say_step, derive=derive)
    if as_json:
        print_json(done)
    until = f"{moment(done.newest_ms)} {zone_name()}"
    say(f"Restored {counted(done.events, 'event')} and {counted(done.orders, 'order')}, until {until}. This is epoch {done.epoch}.")
    if done.kept_aside is not None:
        say(f"  The database that was here is in {done.kept_aside}.")
    if done.devices:
        say(f"  {counted(len(done.devices), 'device')} set as last enrolled, rotated or revoked: {', '.join(done.devices[:NAMED_MAX])}")
    if done.forgotten:
        say(f"  {counted(done.forgotten, 'order')} forgotten again: they were forgotten after the backup")
    if done.people:
        say(f"  {counted(len(done.people), 'person', 'people')} set as last added, changed or disabled: {', '.join(done.people[:NAMED_MAX])}")
    if done.lost is None:
        say("  What was stored after the backup can't be told: there was no database that could be read.")
    elif done.lost:
        say("  Stored after the backup, and missing until its devices send it again:")
        if not as_json:
            print_table(("device", "events", dated("received from"), "to"), [(d.device, d.events, moment(d.from_ms), moment(d.to_ms)) for d in done.lost])
    say(f"  next: dockbridge serve {site}; then `dockbridge db missing` says what devices still owe")


@app.command()
def salvage(
    to: Annotated[Path, typer.Argument(help="The file to write.", metavar="FILE", readable=False)],
    site: SiteOption = Path(),
    source: Annotated[Path | None, typer.Option("--from", help="The damaged database, if it is not the site's own.", readable=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a new database of what can be read of a damaged one. Take a backup if you have one: this is for when there is none.

    Example: `dockbridge db salvage saved.db`, then `dockbridge db restore saved.db`
    """
    from bridge import recovery
    from bridge.app import ingest_of

    check_owner("db salvage")
    done = recovery.salvage(site, to, ingest_of, _say_step, file=source)
    if as_json:
        print_json(done)
    say(f"Saved {counted(done.events, 'event')} and {counted(done.orders, 'order')} in {to}.")
    for table, gaps in done.unreadable.items():
        say(f"  {table}: rows were passed over in {counted(gaps, 'place')}")
    say(f"  next: dockbridge db restore {to}")


@app.command()
def missing(
    device: Annotated[str | None, typer.Option(help="Only of this device.", show_default=False)] = None,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """List what devices still owe: events that they have counted and the server lacks.

    Example: `dockbridge db missing`
    """
    found = read(site, operations.missing, device)
    if as_json:
        print_json(found)
        return
    columns = ("device", "log", "events", "numbers", "on its way", dated("heard"))
    print_table(columns, [(m.device, m.log, m.events, ranges(m.ranges), m.on_its_way, moment(m.heard_ms)) for m in found])
    say(
        "  next: connect these devices; what none of them has any more is given up with `dockbridge db give-up DEVICE --reason …`"
        if found
        else "Nothing is missing."
    )


@app.command(name="give-up")
def give_up(
    device: Annotated[str, typer.Argument(help="The device.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Give up what is missing of a device: it is not owed any more, and the alert ends. If it comes after all, it counts.

    Example: `dockbridge db give-up scan-07 --reason "the phone fell into the harbour"`
    """
    found = call(site, operations.give_up, device, reason)
    if as_json:
        print_json(found)
    say(f"{counted(sum(m.events for m in found), 'event')} of {device} given up.")


def _say_step(text: str) -> None:
    say(f"  {text}…")
