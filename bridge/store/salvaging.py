"""Read what can be read of a damaged database, row by row where need be. Only what can't be derived is taken: the log, and what came from outside."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, Table

from bridge.errors import StoreError
from bridge.ingest.relation import Origin
from bridge.store import tables as t

ROWS_AT_ONCE: Final = 500
STEP_MAX: Final = 2**40
"""Row numbers that are passed over at most, looking for the next row that can be read."""


def salvage_tables(file: Path, into: Engine) -> dict[str, int]:
    """Copy all tables that a rebuild does not make. Returns how many gaps each table has in which rows were unreadable, if it has any.

    Raises:
        StoreError: if the file can't be opened as a database at all.
    """
    gaps: dict[str, int] = {}
    sessions = {table.name for table in t.SESSION_STATE}
    wanted = [t.TABLES[r] for r in t.RELATIONS if r.origin is not Origin.DERIVED and r.name not in sessions and r.name != t.site.name]
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as source:
            for table in (*wanted, t.devices):
                if unreadable := _copy(source, table, into):
                    gaps[table.name] = unreadable
    except sqlite3.Error as error:
        fix = "restore a backup with `dockbridge db restore FILE`; without one, move bridge.toml away and begin anew with `dockbridge init`"
        raise StoreError(f"nothing of {file} can be read: {error}", fix=fix) from error
    return gaps


def _copy(source: sqlite3.Connection, table: Table, into: Engine) -> int:
    known = {row[1] for row in source.execute(f"PRAGMA table_info({table.name})")}
    names = [column.name for column in table.columns if column.name in known]
    if not names:
        return 0
    reading = _Reading(source, table, names)
    with into.begin() as connection:
        rows: list[dict[str, Any]] = []
        for row in reading:
            rows.append(dict(zip(names, row, strict=True)))
            if len(rows) == ROWS_AT_ONCE:
                connection.execute(table.insert().prefix_with("OR IGNORE"), rows)
                rows = []
        if rows:
            connection.execute(table.insert().prefix_with("OR IGNORE"), rows)
    return reading.gaps


class _Reading:
    """Goes through a table by its key, and steps over what can't be read. `gaps` counts the places."""

    def __init__(self, source: sqlite3.Connection, table: Table, names: list[str]) -> None:
        self._source = source
        self._columns = ", ".join(f'"{name}"' for name in names)
        self._table = table.name
        self._is_numbered = bool(table.dialect_options["sqlite"]["with_rowid"])
        self.gaps = 0

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self._by_number() if self._is_numbered else self._in_a_row()

    def _in_a_row(self) -> Iterator[tuple[Any, ...]]:
        """A table without row numbers is read from both ends, up to the damage."""
        seen = 0
        for direction in ("ASC", "DESC"):
            try:
                for row in self._source.execute(f'SELECT {self._columns} FROM "{self._table}" ORDER BY 1 {direction}'):
                    seen += 1
                    yield row
                return
            except sqlite3.DatabaseError:
                self.gaps = 1

    def _by_number(self) -> Iterator[tuple[Any, ...]]:
        last, careful = -1, 0
        while True:
            found = self._after(last, 1 if careful else ROWS_AT_ONCE)
            if found is None and not careful:
                careful = ROWS_AT_ONCE
                continue
            if found is None:
                self.gaps += 1
                last = self._beyond(last)
                continue
            if not found:
                return
            last, careful = found[-1][0], max(0, careful - 1)
            for row in found:
                yield row[1:]

    def _after(self, number: int, rows: int) -> list[tuple[Any, ...]] | None:
        """The rows after a row number; None if one of them can't be read."""
        query = f'SELECT rowid, {self._columns} FROM "{self._table}" WHERE rowid > ? ORDER BY rowid LIMIT {rows}'
        try:
            return self._source.execute(query, (number,)).fetchall()
        except sqlite3.DatabaseError:
            return None

    def _beyond(self, number: int) -> int:
        """The lowest row number behind which a row can be read, or there are no more."""
        bad, good = 0, 1
        while good < STEP_MAX and self._after(number + good, 1) is None:
            bad, good = good, 2 * good
        while good - bad > 1:
            middle = (bad + good) // 2
            if self._after(number + middle, 1) is None:
                bad = middle
            else:
                good = middle
        return number + good
