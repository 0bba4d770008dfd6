"""An import of a carrier's status files as it runs: rows become events of its channel, a portion at a time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import Any, Final

from bridge.carrier.mapping import CarrierMap
from bridge.carrier.rows import Reader, StatusRow
from bridge.entrypoints.cli.importing import BAD_KEPT_MAX, BAD_SHOWN_MAX, patiently
from bridge.entrypoints.cli.output import Steps
from bridge.entrypoints.cli.times import moment, now_ms, zone_name
from bridge.entrypoints.control.client import Caller
from bridge.operations import carrier_files, imports
from bridge.operations.carrier_files import Contradicted
from bridge.shop.rows import BadRow
from bridge.shop.table import Stopped, open_table
from bridge.site_reader import ReadableSite
from bridge.words import counted
from devices.protocol.vocabulary import Outcome

PORTION_ROWS_MAX: Final = 500
"""Rows that are compared with what is stored, and sent, at once."""
NAMED_MAX: Final = 10
"""Rows about parcels of others that are named in a sentence; data names up to `BAD_KEPT_MAX`."""
_AHEAD_MS: Final = 86_400_000
"""A status that is later than this is no matter of time zones: day and month may have been taken for each other."""


@dataclass(slots=True)
class Tally:
    """What became of the files: rows and their events, and all that was left out.

    `foreign` are rows about parcels of others: file, column and line. Their numbers are not kept: in a file that is out of place they may be telephone numbers.
    """

    rows: int = 0
    known: int = 0
    denied: int = 0
    types: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    bad: list[tuple[Path, BadRow]] = field(default_factory=list)
    bad_rows: int = 0
    foreign: list[tuple[Path, str, int]] = field(default_factory=list)
    foreign_rows: int = 0
    unknown: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    rows_left_out_by_map: int = 0
    contradicted: dict[str, list[Contradicted]] = field(default_factory=dict)

    def add_bad(self, file: Path, row: BadRow) -> None:
        self.bad_rows += 1
        if len(self.bad) < BAD_KEPT_MAX:
            self.bad.append((file, row))

    def add_foreign(self, file: Path, column: str, line: int) -> None:
        self.foreign_rows += 1
        if len(self.foreign) < BAD_KEPT_MAX:
            self.foreign.append((file, column, line))

    def add_contradictions(self, found: dict[str, list[Contradicted]]) -> None:
        """Take what is contradictory in some orders now in the place of what was before."""
        for order, contradictions in found.items():
            if contradictions:
                self.contradicted[order] = contradictions
            else:
                self.contradicted.pop(order, None)

    @property
    def contradictions(self) -> list[Contradicted]:
        return [c for found in self.contradicted.values() for c in found]

    @property
    def new(self) -> int:
        return sum(self.types.values())

    @property
    def is_complete(self) -> bool:
        """Whether every row is stored that the map does not leave out, but for those about parcels of others."""
        return not self.bad_rows and not self.unknown and not self.outcomes[Outcome.REJECTED]

    def plain(self, *, sent: bool) -> dict[str, Any]:
        """The numbers as data."""
        return {
            "rows": self.rows,
            "new": dict(self.types),
            "again": self.known,
            "outcomes": dict(self.outcomes),
            "not_received": self.denied,
            "unknown_statuses": dict(self.unknown),
            "left_out_by_map": dict(self.left_out),
            "rows_left_out_by_map": self.rows_left_out_by_map,
            "of_others": {"rows": self.foreign_rows, "lines": [{"file": str(file), "column": column, "line": line} for file, column, line in self.foreign]},
            "bad_rows": [{"file": str(file), **row._asdict()} for file, row in self.bad],
            "contradictions": self.contradictions,
            "sent": sent,
        }


class CarrierImport:
    """One run over files of one carrier.

    Args:
        caller: sends what is new; None if nothing is to be sent.
        denials_max: how many parcels are remembered that a carrier says it does not have.
    """

    def __init__(self, site: Path, carrier: CarrierMap, steps: Steps, tally: Tally, caller: Caller | None, denials_max: int) -> None:
        self._reader = ReadableSite(site)
        self._map = carrier
        self._steps = steps
        self._tally = tally
        self._caller = caller
        self._denials_max = denials_max

    def run(self, files: list[Path]) -> None:
        """Go through the files, row by row."""
        with asyncio.Runner() as runner:
            for path in files:
                self._run_file(path, runner)
                if self._caller is not None:
                    self._caller.call(imports.note_file, self._map.channel, path.name)

    def _run_file(self, path: Path, runner: asyncio.Runner) -> None:
        tally = self._tally
        with open_table(path, self._map) as table:
            if self._caller is not None:
                self._caller.call(carrier_files.open_channel, self._map.channel)
            reader = Reader(self._map, table.header)
            rows = self._statuses(path, reader, table.rows)
            while portion := list(islice(rows, PORTION_ROWS_MAX)):
                self._take_in(path, portion, runner)
                self._steps.show("importing" if self._caller is not None else "checking", tally.rows)
            tally.unknown += reader.unknown
            tally.left_out += reader.left_out
            tally.rows_left_out_by_map += reader.rows_left_out

    def _statuses(self, path: Path, reader: Reader, rows: Iterator[tuple[int, list[str]]]) -> Iterator[StatusRow]:
        latest_ms = now_ms() + _AHEAD_MS
        try:
            for line, cells in rows:
                said = reader.read(line, cells)
                if isinstance(said, StatusRow) and said.at_ms > latest_ms:
                    self._tally.add_bad(path, BadRow(line, f"it lies in the future ({moment(said.at_ms)} {zone_name()}): is channel.time_format right?"))
                elif isinstance(said, StatusRow):
                    yield said
                elif said is not None:
                    self._tally.add_bad(path, said)
        except Stopped as stopped:
            self._tally.add_bad(path, BadRow(stopped.line, str(stopped), ends_file=True))

    def _take_in(self, path: Path, rows: list[StatusRow], runner: asyncio.Runner) -> None:
        """Compare a portion with what is stored, and send what is new."""
        tally = self._tally
        plan = runner.run(carrier_files.plan(self._reader, self._map, rows, now_ms=now_ms()))
        if self._caller is not None:
            for start in range(0, len(plan.events), imports.PORTION_EVENTS_MAX):
                done = patiently(self._caller, self._map.channel, plan.events[start : start + imports.PORTION_EVENTS_MAX])
                tally.outcomes += Counter(done.outcomes)
            if plan.denials:
                self._caller.call(carrier_files.deny, plan.denials, self._denials_max)
        tally.rows += len(rows)
        tally.known += plan.known
        tally.denied += plan.denied
        tally.types += Counter(event.type.value for event in plan.events)
        for row in plan.foreign:
            tally.add_foreign(path, " + ".join(self._map.columns["tracking" if row.number is not None else "order"]), row.line)
        for bad in plan.unclear:
            tally.add_bad(path, bad)
        tally.add_contradictions(plan.contradicted)
        if self._caller is not None and plan.doubtful:  # the server has the last word on when something happened
            tally.add_contradictions(runner.run(carrier_files.contradictions_of_orders(self._reader, plan.doubtful)))


def described(tally: Tally, *, sent: bool) -> Iterator[str]:
    """What became of the files, in sentences: first the rows that can't be used, then the counts, then what is to be done."""
    yield from (f"{file}, line {row.line}: {row.reason}" for file, row in tally.bad[:BAD_SHOWN_MAX])
    if tally.bad_rows > BAD_SHOWN_MAX:
        yield f"and {tally.bad_rows - BAD_SHOWN_MAX} more"
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(tally.types.items()))
    yield f"{'Imported' if sent else 'Would import'} {counted(tally.new, 'event')}" + (f" ({kinds})" if kinds else "") + f"; {tally.known} known already"
    if tally.denied:
        yield f"{counted(tally.denied, 'status', 'statuses')} say that the carrier does not have the parcel yet."
    left_out = tally.left_out.total() + tally.rows_left_out_by_map
    if left_out:
        words = ", ".join(f'"{word}" ({n})' for word, n in tally.left_out.most_common(NAMED_MAX))
        yield f"Left out as the map says: {counted(left_out, 'row')}" + (f": {words}" if words else "")
    yield from _left_out(tally)
    yield from contradiction_lines(tally.contradictions)
    if not sent:
        yield "Nothing was sent."


def _left_out(tally: Tally) -> Iterator[str]:
    if tally.foreign_rows:
        places = groupby(tally.foreign[:NAMED_MAX], key=itemgetter(0, 1))
        named = "; ".join(f"{file}, {column} in line {', '.join(str(line) for *_, line in rows)}" for (file, column), rows in places)
        named += f" and {tally.foreign_rows - NAMED_MAX} more" if tally.foreign_rows > NAMED_MAX else ""
        yield f"LEFT OUT: {counted(tally.foreign_rows, 'row')} about parcels that are not known here: {named}. If they are yours, import their orders first."
    if tally.unknown:
        words = ", ".join(f'"{word}" ({n})' for word, n in tally.unknown.most_common(BAD_SHOWN_MAX))
        example = '"word" = { event = "arrive" }, or "leave_out"'
        yield f"LEFT OUT: {counted(tally.unknown.total(), 'row')} with statuses that the map does not name: {words}. Add each to [status]: {example}."
    if tally.bad_rows:
        yield f"LEFT OUT: {counted(tally.bad_rows, 'row')} that can't be used. Mend the file or the map, and import the file again: nothing is stored twice."
    for file, row in tally.bad:
        if row.ends_file:
            yield f"{file}: Import stopped at line {row.line}. The rows before it came in. Fix the file and run the import again."
    if rejected := tally.outcomes[Outcome.REJECTED]:
        yield f"{counted(rejected, 'event')} rejected: see `dockbridge quarantine list`"


def contradiction_lines(found: list[Contradicted]) -> Iterator[str]:
    """Contradictions as sentences: what the carrier says, what we say."""
    if not found:
        return
    yield f"{counted(len(found), 'contradiction')} between the carrier and our own scans (times in {zone_name()}); nothing of ours was overwritten:"
    for c in found[:BAD_SHOWN_MAX]:
        number = f" ({c.number or c.parcel})" if c.number or c.parcel else ""
        yield f"  order {c.order}{number}: {c.carrier} says {c.said} at {moment(c.said_ms)}; {c.device} says {c.scan} at {moment(c.scan_ms)} ({c.kind})"
    if len(found) > BAD_SHOWN_MAX:
        yield f"  and {len(found) - BAD_SHOWN_MAX} more"
    yield "`dockbridge carriers contradictions` has the commands that take back what is wrong."
