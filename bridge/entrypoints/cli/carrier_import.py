"""`dockbridge carriers import`: what carriers report of the parcels that were handed to them, and where our own scans contradict it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.carrier.mapping import CarrierMap, read_carrier_map
from bridge.config import CONFIG_NAME
from bridge.config_file import load
from bridge.entrypoints.cli.carrier_importing import CarrierImport, Tally, described
from bridge.entrypoints.cli.output import FAILED, STOPPED, JsonOption, Steps, print_command, print_json, print_lines, say
from bridge.entrypoints.cli.reading import SiteOption, read
from bridge.entrypoints.cli.times import TzOption, moment, zone_name
from bridge.entrypoints.control.client import Caller
from bridge.errors import BridgeError
from bridge.operations import carrier_files
from bridge.operations.carrier_files import Contradicted
from bridge.words import counted

_MEANING: Final = {
    "on_our_dock": "the carrier has it, and a later scan of ours has it in the warehouse",
    "before_packed": "the carrier had it before we packed it",
    "not_loaded": "the carrier delivers it, and it stands at our dock",
    "delivered_twice": "delivered at two times",
    "never_received": "the carrier does not have it, and we loaded it",
}


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The carrier's status files: CSV, TSV or .xlsx; - for standard input.", readable=False)],
    mapping: Annotated[Path, typer.Option("--map", help="TOML: how to read them. config/samples/carriers has some.", readable=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done. Nothing is sent.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
    tz: TzOption = None,
) -> None:
    """Import a carrier's status file. Each row is an event of its parcel, which is found by the carrier's number or by the order; the same file twice changes
    nothing.

    Statuses that the map does not name, and rows about parcels that are not known here, are named and left out. What contradicts our own scans is named, too.
    Exit 1 says that rows could not be used.

    Example: `dockbridge carriers import status.csv --map config/samples/carriers/dhl.toml --dry-run`
    """
    carrier = read_carrier_map(mapping)
    limits = load(site / CONFIG_NAME).imports
    tally = Tally()
    with Steps() as steps:
        if dry_run:
            CarrierImport(site, carrier, steps, tally, None, limits.denials_max).run(list(dict.fromkeys(files)))
        else:
            _send(site, carrier, steps, list(dict.fromkeys(files)), tally, limits.denials_max)
    if as_json:
        print_json(tally.plain(sent=not dry_run))
    for line in described(tally, sent=not dry_run):
        say(line)
    if not tally.is_complete:
        raise typer.Exit(FAILED)


def _send(site: Path, carrier: CarrierMap, steps: Steps, files: list[Path], tally: Tally, denials_max: int) -> None:
    """Send what is new. However it ends early, it is said how much is stored."""
    stored = "{} are stored. Rows that were on their way may be, too. Run the command again to go on: nothing is stored twice."
    try:
        with Caller(site) as caller:
            CarrierImport(site, carrier, steps, tally, caller, denials_max).run(files)
    except KeyboardInterrupt:
        say("Stopped: the events of " + stored.format(counted(tally.rows, "row")))
        raise typer.Exit(STOPPED) from None
    except (BridgeError, OSError):
        if tally.rows:
            say("Import stopped: the events of " + stored.format(counted(tally.rows, "row")))
        raise


def contradictions(site: SiteOption = Path(), as_json: JsonOption = False, tz: TzOption = None) -> None:
    """List where carriers and our own scans contradict each other. Find out what is true, and void the event that is wrong; completed orders are left out.

    Example: `dockbridge carriers contradictions`
    """
    found = read(site, carrier_files.contradictions)
    if as_json:
        print_json(found)
        return
    for c in found:
        _print(c)
    if found:
        say(f"{counted(len(found), 'contradiction')}. Find out which is true, and void the other. Times are {zone_name()}.")
    else:
        say("No carrier contradicts our scans.")


def _print(c: Contradicted) -> None:
    width = max(len(c.carrier), len(c.device))
    sides = ((c.carrier, c.said, c.said_ms, c.void_said), (c.device, c.scan, c.scan_ms, c.void_scan))
    print_lines(f"{c.order}  {c.number or c.parcel or ''}  {_MEANING[c.kind]}", *(f"{who:{width}}  {moment(ms)}  {what}" for who, what, ms, _ in sides))
    for who, what, _, event in sides:
        if event is not None:
            print_command(f"dockbridge events void {event} --reason did_not_occur  # if {who}'s {what} is wrong")


COMMANDS: Final[dict[str, Callable[..., None]]] = {"import": import_, "contradictions": contradictions}
"""Commands of `dockbridge carriers`, by name."""
