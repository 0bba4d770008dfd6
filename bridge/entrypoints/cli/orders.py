"""`dockbridge orders`: the group, and `import`; what reads is in `order_reads.py`, what a dispatcher does in `order_acts.py`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from bridge.entrypoints.cli.output import JsonOption, print_json, progress, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.control.client import Caller
from bridge.operations import imports
from bridge.operations.imports import ImportedEvent
from bridge.shop_file import order_events, read_map, read_orders
from bridge.words import counted
from devices.protocol.vocabulary import Outcome

app = typer.Typer(no_args_is_help=True, help="Import orders, look at them, see why they are where they are.\n\nExample: `dockbridge orders explain PO-17`")

FAILED = 1
OrderArgument = Annotated[str, typer.Argument(help="The order's id.")]


class Tally(NamedTuple):
    """How imported events ended: how many with each outcome, and how many were known already."""

    outcomes: Counter[Outcome]
    again: int


@app.command(name="import")
def import_(
    file: Annotated[Path, typer.Argument(help="The shop's export, CSV.")],
    mapping: Annotated[Path, typer.Option("--map", help="TOML: the channel, its columns and its status words.")],
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Import orders from a shop's export. Importing it twice changes nothing; bad rows are reported, good rows are kept.

    Example: `dockbridge orders import orders.csv --map orders.toml`
    """
    shop = read_map(mapping)
    orders, bad = read_orders(file, shop)
    events = [ImportedEvent(kind, payload) for order in orders for kind, payload in order_events(order, shop)]
    tally = _submit(site, shop.channel, events)
    for row in bad:
        say(f"{file}, line {row.line}: {row.reason}")
    if as_json:
        bad_rows = [row._asdict() for row in bad]
        print_json({"orders": len(orders), "events": len(events), "again": tally.again, "outcomes": dict(tally.outcomes), "bad_rows": bad_rows})
    else:
        known = f"{len(events) - tally.again} new, {tally.again} known already"
        say(f"{counted(len(orders), 'order')}, {counted(len(events), 'event')}: {known}; {counted(len(bad), 'row')} not used")
    stopped = next((row for row in bad if row.ends_file), None)
    if stopped is not None:
        say(f"Import stopped at line {stopped.line}. Fix the file and run the import again.")
        raise typer.Exit(FAILED)
    if rejected := tally.outcomes[Outcome.REJECTED]:
        say(f"{counted(rejected, 'event')} rejected: see `dockbridge quarantine list`")
        raise typer.Exit(FAILED)


def _submit(site: Path, channel: str, events: list[ImportedEvent]) -> Tally:
    tally = Tally(Counter(), 0)
    with Caller(site) as caller, progress() as bar:
        task = bar.add_task("importing", total=len(events))
        caller.call(imports.open_channel, channel)
        for start in range(0, len(events), imports.PORTION_EVENTS_MAX):
            portion = events[start : start + imports.PORTION_EVENTS_MAX]
            done = caller.call(imports.submit, channel, portion)
            tally = Tally(tally.outcomes + Counter(done.outcomes), tally.again + done.again)
            bar.advance(task, len(portion))
    return tally
