"""`dockbridge orders import`: a shop's files become events. Everything is read before anything is sent."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Timer
from typing import Annotated, Any, Final

import typer

from bridge.entrypoints.cli.order_map import map_
from bridge.entrypoints.cli.output import JsonOption, Steps, print_json, say
from bridge.entrypoints.cli.reading import SiteOption
from bridge.entrypoints.control.client import Caller
from bridge.errors import BridgeError
from bridge.operations import imports
from bridge.operations.imports import ImportedEvent
from bridge.shop import BadRow, ShopMap, ShopOrder, read_map, sort_file
from bridge.shop.events import News
from bridge.shop.sorting import SortedFile
from bridge.site_reader import ReadableSite
from bridge.words import counted
from devices.protocol.vocabulary import Outcome

FAILED: Final = 1
STOPPED: Final = 130
"""The exit code after Ctrl-C (128 + SIGINT)."""
BAD_SHOWN_MAX: Final = 50
"""Rows that are printed; more are only counted."""
BAD_KEPT_MAX: Final = 10_000
PORTION_ORDERS_MAX: Final = 200
"""Orders that are compared with what was said before, and sent, at once."""
WAITING_AFTER_S: Final = 10.0


@dataclass(slots=True)
class Tally:
    """What became of the files: whole orders and their events, how many were known already, and all that was left out."""

    orders: int = 0
    events: int = 0
    known: int = 0
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    types: Counter[str] = field(default_factory=Counter)
    bad: list[tuple[Path, BadRow]] = field(default_factory=list)
    bad_rows: int = 0
    left_out_orders: int = 0
    left_out_rows: int = 0
    left_out_by_map: int = 0
    unmapped: Counter[str] = field(default_factory=Counter)

    def add_bad(self, file: Path, rows: list[BadRow]) -> None:
        self.bad_rows += len(rows)
        self.bad += [(file, row) for row in rows[: BAD_KEPT_MAX - len(self.bad)]]

    def leave_out(self, file: Path, rows: int, bad: list[BadRow]) -> None:
        self.left_out_orders += 1
        self.left_out_rows += rows
        self.add_bad(file, bad)

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out that the map does not leave out."""
        return not self.bad_rows and not self.outcomes[Outcome.REJECTED] and bool(self.orders or self.left_out_by_map)


class Import:
    """One run of the command: the files in their order, each order compared with what the channel said of it before."""

    def __init__(self, site: Path, shop: ShopMap, steps: Steps) -> None:
        self._site = site
        self._shop = shop
        self._steps = steps

    def open(self, path: Path) -> Any:
        return sort_file(path, self._shop, lambda rows: self._steps.show(f"reading {path}", rows))

    def run(self, files: dict[Path, SortedFile], tally: Tally, caller: Caller | None) -> None:
        """Go through the files. Without a caller nothing is sent."""
        if caller is not None:
            caller.call(imports.open_channel, self._shop.channel)
        reader = ReadableSite(self._site)
        total, done = sum(file.orders for file in files.values()), 0
        with asyncio.Runner() as runner:
            for path, file in files.items():
                _tally_loose(path, file, tally)
                orders = _whole_orders(path, file, tally)
                while portion := list(islice(orders, PORTION_ORDERS_MAX)):
                    self._take(path, portion, runner.run(imports.plan(reader, self._shop, portion)), tally, caller)
                    done = tally.orders + tally.left_out_orders + tally.left_out_by_map
                    self._steps.show("importing" if caller is not None else "checking", done, total)

    def _take(self, path: Path, orders: list[ShopOrder], found: list[News], tally: Tally, caller: Caller | None) -> None:
        events = []
        whole = 0
        for order, news in zip(orders, found, strict=True):
            if news.problem is not None:
                tally.leave_out(path, 1, [BadRow(order.line, f"order {order.order}: {news.problem}")])
                continue
            whole += 1
            tally.events += news.known + len(news.events)
            tally.known += news.known
            events += [ImportedEvent(kind, payload) for kind, payload in news.events]
        if caller is not None:
            for start in range(0, len(events), imports.PORTION_EVENTS_MAX):
                done = _patiently(caller, self._shop.channel, events[start : start + imports.PORTION_EVENTS_MAX])
                tally.outcomes += Counter(done.outcomes)
                tally.known += done.again
        tally.types += Counter(event.type.value for event in events)
        tally.orders += whole


def _whole_orders(path: Path, file: SortedFile, tally: Tally) -> Iterator[ShopOrder]:
    for found in file.read():
        if isinstance(found, ShopOrder):
            yield found
        elif found.bad:
            tally.leave_out(path, found.rows, found.bad)
            if found.unmapped is not None:
                tally.unmapped[found.unmapped] += 1
        else:
            tally.left_out_by_map += 1


def _tally_loose(path: Path, file: SortedFile, tally: Tally) -> None:
    tally.add_bad(path, file.loose)
    tally.bad_rows += file.loose_rows - len(file.loose)
    tally.left_out_rows += file.loose_rows
    if file.stopped is not None:
        tally.add_bad(path, [file.stopped])
        tally.left_out_orders += file.orders
        tally.left_out_rows += file.rows


def _patiently(caller: Caller, channel: str, events: list[ImportedEvent]) -> imports.Submitted:
    """Send events, and say so if there is no answer for long."""
    said = f"The server has not stored anything for {WAITING_AFTER_S:.0f} s. It goes on as soon as it can: see its log; is its disk full?"
    timer = Timer(WAITING_AFTER_S, say, [said])
    timer.daemon = True
    timer.start()
    try:
        return caller.call(imports.submit, channel, events)
    finally:
        timer.cancel()


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
    tally, sent_nothing = Tally(), True
    try:
        with ExitStack() as life:
            run = Import(site, shop, life.enter_context(Steps()))
            opened = {path: life.enter_context(run.open(path)) for path in dict.fromkeys(files)}
            if dry_run or strict:
                run.run(opened, tally, None)
            if not dry_run and (not strict or tally.is_complete):
                tally, sent_nothing = Tally(), False
                _send(run, opened, tally, site)
    except KeyboardInterrupt:
        say("Stopped before anything was sent.")
        raise typer.Exit(STOPPED) from None
    _report(tally, as_json=as_json, sent_nothing=sent_nothing)
    if not tally.is_complete:
        raise typer.Exit(FAILED)


def _send(run: Import, files: dict[Path, SortedFile], tally: Tally, site: Path) -> None:
    """Send what is new. However it ends early, it is said how much is stored."""
    stored = "{} of {} are stored. Run the command again to go on: nothing is stored twice."
    total = counted(sum(file.orders for file in files.values()), "order")
    try:
        with Caller(site) as caller:
            run.run(files, tally, caller)
    except KeyboardInterrupt:
        say("Stopped: " + stored.format(tally.orders, total))
        raise typer.Exit(STOPPED) from None
    except (BridgeError, OSError):
        say("Import stopped: " + stored.format(tally.orders, total))
        raise


def _report(tally: Tally, *, as_json: bool, sent_nothing: bool) -> None:
    for file, row in tally.bad[:BAD_SHOWN_MAX]:
        say(f"{file}, line {row.line}: {row.reason}")
    if tally.bad_rows > BAD_SHOWN_MAX:
        say(f"and {tally.bad_rows - min(len(tally.bad), BAD_SHOWN_MAX)} more")
    if as_json:
        print_json(_plain(tally, sent_nothing=sent_nothing))
    kinds = ", ".join(f"{n} {kind}" for kind, n in tally.types.items())
    new = f"{tally.events - tally.known} new" + (f" ({kinds})" if sent_nothing and kinds else "")
    what = f"{counted(tally.orders, 'order')}, {counted(tally.events, 'event')}"
    say(f"{'Would import' if sent_nothing else 'Imported'} {what}: {new}, {tally.known} known already")
    if tally.left_out_by_map:
        say(f"Left out as the map says: {counted(tally.left_out_by_map, 'order')}")
    if tally.left_out_orders or tally.left_out_rows:
        rows = counted(tally.left_out_rows, "row")
        say(
            f"LEFT OUT: {counted(tally.left_out_orders, 'order')} ({rows}). Mend the file or the map, and import the file again: what is stored stays as it is."
        )
    if tally.unmapped:
        words = ", ".join(f'"{word}" ({counted(n, "order")})' for word, n in tally.unmapped.most_common(BAD_SHOWN_MAX))
        say(f'Statuses that the map does not name: {words}. Add each to [status] in the map: "word" = "approved", or another state, or "leave_out".')
    for file, row in tally.bad:
        if row.ends_file:
            say(f"{file}: Import stopped at line {row.line}. Fix the file and run the import again. No order of it came in: each may have more rows behind it.")
    if rejected := tally.outcomes[Outcome.REJECTED]:
        say(f"{counted(rejected, 'event')} rejected: see `dockbridge quarantine list`")
    if sent_nothing:
        say("Nothing was sent.")
    if not (tally.orders or tally.left_out_by_map or tally.bad_rows):
        say("There is no order in it.")


def _plain(tally: Tally, *, sent_nothing: bool) -> dict[str, Any]:
    return {
        "orders": tally.orders,
        "events": tally.events,
        "again": tally.known,
        "outcomes": dict(tally.outcomes),
        "new": dict(tally.types),
        "left_out": {"orders": tally.left_out_orders, "rows": tally.left_out_rows},
        "left_out_by_map": tally.left_out_by_map,
        "unmapped": dict(tally.unmapped),
        "bad_rows": [{"file": str(file), **row._asdict()} for file, row in tally.bad],
        "sent": not sent_nothing,
    }


COMMANDS: Final[dict[str, Callable[..., None]]] = {"import": import_, "map": map_}
"""Commands of `dockbridge orders`, by name."""
