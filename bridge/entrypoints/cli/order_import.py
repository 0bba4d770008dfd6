"""`dockbridge orders import`: a shop's files become events. Everything is read before anything is sent."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import typer

from bridge.entrypoints.cli.importing import Import, Tally, described, sorted_file
from bridge.entrypoints.cli.order_map import map_
from bridge.entrypoints.cli.order_watch import watch_folder
from bridge.entrypoints.cli.output import FAILED, STOPPED, JsonOption, Steps, print_json, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.control.client import Caller
from bridge.errors import BridgeError
from bridge.shop import ShopMap, read_map
from bridge.shop.sorting import SortedFile
from bridge.words import counted

BAD_SHOWN_MAX: Final = 50
"""Rows that are printed; more are only counted."""


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="The shop's exports: CSV, TSV or .xlsx; - for standard input.", readable=False)],
    mapping: Annotated[Path, typer.Option("--map", help="TOML: how to read them. `orders map` writes a first one.", readable=False)],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done. Nothing is sent.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Send nothing if anything is wrong.")] = False,
    site: SiteOption = Path(),
    as_json: JsonOption = False,
) -> None:
    """Import orders from a shop's export. Each order comes in whole or not at all: rows that stop one are named, and exit 1 says that orders were left out.

    A file is compared with what the same channel said before: importing it twice changes nothing, and a changed file sends only its changes. Every status
    must be mapped. Orders that are shipped, delivered, completed, returned or cancelled come in as such, and are not picked again.

    Example: `dockbridge orders import orders.csv --map orders.toml --dry-run`
    """
    shop = read_map(mapping)
    if shop.doubt is not None:
        say(shop.doubt)
    tally, sent_nothing = Tally(), True
    try:
        with ExitStack() as life:
            steps = life.enter_context(Steps())
            opened = {path: life.enter_context(sorted_file(path, shop, steps)) for path in dict.fromkeys(files)}
            if dry_run or strict:
                Import(site, shop, steps, tally, None).run(opened)
            if not dry_run and (not strict or tally.is_complete):
                tally, sent_nothing = Tally(), False
                _send(site, shop, steps, opened, tally)
    except KeyboardInterrupt:
        say("Stopped before anything was sent.")
        raise typer.Exit(STOPPED) from None
    _report(tally, as_json=as_json, sent_nothing=sent_nothing)
    if not tally.is_complete:
        raise typer.Exit(FAILED)


def _send(site: Path, shop: ShopMap, steps: Steps, files: dict[Path, SortedFile], tally: Tally) -> None:
    """Send what is new. However it ends early, it is said how much is stored."""
    stored = "{} of {} are stored. Orders that were on their way may be, too. Run the command again to go on: nothing is stored twice."
    total = counted(sum(file.orders for file in files.values()), "order")
    try:
        with Caller(site) as caller:
            Import(site, shop, steps, tally, caller).run(files)
    except KeyboardInterrupt:
        say("Stopped: " + stored.format(tally.orders, total))
        raise typer.Exit(STOPPED) from None
    except (BridgeError, OSError):
        say("Import stopped: " + stored.format(tally.orders, total))
        raise


def _report(tally: Tally, *, as_json: bool, sent_nothing: bool) -> None:
    if as_json:
        print_json(tally.plain(sent=not sent_nothing))
    for line in described(tally, sent=not sent_nothing):
        say(line)


COMMANDS: Final[dict[str, Callable[..., None]]] = {"import": import_, "watch-folder": watch_folder, "map": map_}
"""Commands of `dockbridge orders`, by name."""
