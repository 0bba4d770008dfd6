"""An import as it runs: files are sorted, each order is compared with what the channel said of it before, and what is new is sent.

While the server stores a portion, the next one is read and compared: the two work at the same time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Timer
from typing import Any, Final, NamedTuple

from bridge.entrypoints.cli.output import Steps, say
from bridge.entrypoints.cli.times import now_ms
from bridge.entrypoints.control.client import Caller
from bridge.operations import imports
from bridge.operations.imports import ImportedEvent
from bridge.shop import BadRow, ShopMap, ShopOrder, sort_file
from bridge.shop.mapping import WAYS
from bridge.shop.sorting import SortedFile
from bridge.site_reader import ReadableSite
from bridge.words import counted
from devices.protocol.vocabulary import Outcome

BAD_SHOWN_MAX: Final = 50
"""Rows that are named in sentences; more are only counted."""
BAD_KEPT_MAX: Final = 10_000
"""Rows that are named in data."""
PORTION_ORDERS_MAX: Final = 200
"""Orders that are compared with what was said before, and sent, at once."""
WAITING_AFTER_S: Final = 10.0
_AHEAD_MS: Final = 86_400_000
"""An order that was made later than this is no matter of time zones: day and month may have been taken for each other."""
_ODD: Final = {
    **dict.fromkeys(WAYS, "{orders} came in without {what}: the rows of each have several, and an order has one"),
    "sku": '{orders} with a row without an article number: pieces of "item" stand for it',
    "contact": "{orders} came in without a contact: the shop hides names or phone numbers behind *",
    "future": "{orders} made in the future, as the file says: is channel.time_format right?",
}
"""What is said of orders that are odd."""


@dataclass(slots=True)
class Tally:
    """What became of the files: whole orders and their events, how many were known already, and all that was left out.

    `odd` counts the orders that came in with something odd: see `ShopOrder`; and with `future` those that say they were made later than now.
    """

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
    rows_left_out_by_map: int = 0
    unmapped: Counter[str] = field(default_factory=Counter)
    odd: Counter[str] = field(default_factory=Counter)

    def add_bad(self, file: Path, rows: list[BadRow]) -> None:
        self.bad_rows += len(rows)
        self.bad += [(file, row) for row in rows[: BAD_KEPT_MAX - len(self.bad)]]

    def leave_out(self, file: Path, rows: int, bad: list[BadRow]) -> None:
        self.left_out_orders += 1
        self.left_out_rows += rows
        self.add_bad(file, bad)

    def plain(self, *, sent: bool) -> dict[str, Any]:
        """The numbers as data."""
        return {
            "orders": self.orders,
            "events": self.events,
            "again": self.known,
            "outcomes": dict(self.outcomes),
            "new": dict(self.types),
            "left_out": {"orders": self.left_out_orders, "rows": self.left_out_rows},
            "left_out_by_map": self.left_out_by_map,
            "rows_left_out_by_map": self.rows_left_out_by_map,
            "unmapped": dict(self.unmapped),
            "odd": dict(self.odd),
            "bad_rows": [{"file": str(file), **row._asdict()} for file, row in self.bad],
            "sent": sent,
        }

    @property
    def is_complete(self) -> bool:
        """Whether nothing was left out that the map does not leave out."""
        return not self.bad_rows and not self.outcomes[Outcome.REJECTED] and bool(self.orders or self.left_out_by_map)


class _Portion(NamedTuple):
    """Orders that are sent together: how many, and their new events."""

    orders: int
    events: Sequence[ImportedEvent]


class Import:
    """One run: the files in their order, each order compared with what the channel said of it before.

    Args:
        caller: sends what is new; None if nothing is to be sent.
    """

    def __init__(self, site: Path, shop: ShopMap, steps: Steps, tally: Tally, caller: Caller | None) -> None:
        self._site = site
        self._shop = shop
        self._steps = steps
        self._tally = tally
        self._caller = caller

    def run(self, files: dict[Path, SortedFile]) -> None:
        """Go through the files."""
        if self._caller is not None:
            self._caller.call(imports.open_channel, self._shop.channel)
        total = sum(file.orders for file in files.values())
        with asyncio.Runner() as runner, ThreadPoolExecutor(1) as sender:
            try:
                for path, file in files.items():
                    self._run_file(path, file, total, runner, sender)
                    if self._caller is not None:
                        self._caller.call(imports.note_file, self._shop.channel, path.name)
            except KeyboardInterrupt:
                if self._caller is not None:
                    self._caller.hang_up()  # the server may not answer for long: nobody waits for the portion that is under way
                raise

    def _run_file(self, path: Path, file: SortedFile, total: int, runner: asyncio.Runner, sender: ThreadPoolExecutor) -> None:
        reader = ReadableSite(self._site)
        tally = self._tally
        _tally_loose(path, file, tally)
        orders = _whole_orders(path, file, tally)
        under_way: Future[None] | None = None
        # A file has each order once: the next portion does not depend on what the one under way changes. The next file does.
        while found := list(islice(orders, PORTION_ORDERS_MAX)):
            portion = self._compare(path, found, runner.run(imports.plan(reader, self._shop, found)))
            if under_way is not None:
                under_way.result()
            if self._caller is not None and self._caller.is_remote:
                under_way = sender.submit(self._send, portion)
            else:
                self._send(portion)
            done = tally.orders + tally.left_out_orders + tally.left_out_by_map
            self._steps.show("importing" if self._caller is not None else "checking", done, total)
        if under_way is not None:
            under_way.result()

    def _compare(self, path: Path, orders: list[ShopOrder], found: list[Any]) -> _Portion:
        events, whole = [], 0
        for order, news in zip(orders, found, strict=True):
            if news.problem is not None:
                self._tally.leave_out(path, 1, [BadRow(order.line, f"order {order.order}: {news.problem}")])
                continue
            whole += 1
            self._tally.events += news.known + len(news.events)
            self._tally.known += news.known
            events += [ImportedEvent(kind, payload) for kind, payload in news.events]
        return _Portion(whole, events)

    def _send(self, portion: _Portion) -> None:
        """Send a portion, and count its orders once they are stored."""
        if self._caller is not None:
            for start in range(0, len(portion.events), imports.PORTION_EVENTS_MAX):
                done = patiently(self._caller, self._shop.channel, portion.events[start : start + imports.PORTION_EVENTS_MAX])
                self._tally.outcomes += Counter(done.outcomes)
                self._tally.known += done.again
        self._tally.types += Counter(event.type.value for event in portion.events)
        self._tally.orders += portion.orders


def described(tally: Tally, *, sent: bool) -> Iterator[str]:
    """What became of the files, in sentences: first the rows that stop orders, then the counts, then what is to be done."""
    yield from (f"{file}, line {row.line}: {row.reason}" for file, row in tally.bad[:BAD_SHOWN_MAX])
    if tally.bad_rows > BAD_SHOWN_MAX:
        yield f"and {tally.bad_rows - min(len(tally.bad), BAD_SHOWN_MAX)} more"
    kinds = ", ".join(f"{n} {kind}" for kind, n in tally.types.items())
    new = f"{tally.events - tally.known} new" + (f" ({kinds})" if not sent and kinds else "")
    what = f"{counted(tally.orders, 'order')}, {counted(tally.events, 'event')}"
    yield f"{'Imported' if sent else 'Would import'} {what}: {new}, {tally.known} known already"
    by_map = ((tally.left_out_by_map, "order"), (tally.rows_left_out_by_map, "row"))
    if any(n for n, _ in by_map):
        yield f"Left out as the map says: {', '.join(counted(n, noun) for n, noun in by_map if n)}"
    yield from _left_out(tally)
    if not sent:
        yield "Nothing was sent."
    if not (tally.orders or tally.left_out_by_map or tally.bad_rows):
        yield "There is no order in it."


def _left_out(tally: Tally) -> Iterator[str]:
    if tally.left_out_orders or tally.left_out_rows:
        orders, rows = counted(tally.left_out_orders, "order"), counted(tally.left_out_rows, "row")
        yield f"LEFT OUT: {orders} ({rows}). Mend the file or the map, and import the file again: what is stored stays as it is."
    if tally.unmapped:
        words = ", ".join(f'"{word}" ({counted(n, "order")})' for word, n in tally.unmapped.most_common(BAD_SHOWN_MAX))
        yield f'Statuses that the map does not name: {words}. Add each to [status] in the map: "word" = "approved", or another state, or "leave_out".'
    yield from (_ODD[what].format(what=what, orders=counted(n, "order")) for what, n in tally.odd.items() if n)
    for file, row in tally.bad:
        if row.ends_file:
            why = "No order of it came in: each may have more rows behind it."
            yield f"{file}: Import stopped at line {row.line}. Fix the file and run the import again. {why}"
    if rejected := tally.outcomes[Outcome.REJECTED]:
        yield f"{counted(rejected, 'event')} rejected: see `dockbridge quarantine list`"


def sorted_file(path: Path, shop: ShopMap, steps: Steps) -> AbstractContextManager[SortedFile]:
    """A file, read and sorted, showing how far it is."""
    return sort_file(path, shop, lambda rows: steps.show(f"reading {path}", rows))


def _whole_orders(path: Path, file: SortedFile, tally: Tally) -> Iterator[ShopOrder]:
    latest_ms = now_ms() + _AHEAD_MS
    for found in file.read():
        if isinstance(found, ShopOrder):
            tally.odd.update(found.odd)
            tally.odd["future"] += found.created_ms > latest_ms
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
    tally.rows_left_out_by_map += file.rows_left_out
    if file.stopped is not None:
        tally.add_bad(path, [file.stopped])
        tally.left_out_orders += file.orders
        tally.left_out_rows += file.rows


def patiently(caller: Caller, channel: str, events: Sequence[ImportedEvent]) -> imports.Submitted:
    """Send events, and say so if there is no answer for long."""
    said = f"The server has not stored anything for {WAITING_AFTER_S:.0f} s. It goes on as soon as it can: see its log; is its disk full?"
    timer = Timer(WAITING_AFTER_S, say, [said])
    timer.daemon = True
    timer.start()
    try:
        return caller.call(imports.submit, channel, list(events))
    finally:
        timer.cancel()
