"""The rows of a file, sorted by order on disk: rows of an order may be far apart, and a file may be larger than the memory."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Final

from msgspec import msgpack

from bridge.shop.assembly import LeftOut, ShopOrder, assemble
from bridge.shop.mapping import MapError, ShopMap
from bridge.shop.rows import BadRow, Reader, Row
from bridge.shop.table import Stopped, open_table

PORTION_ROWS_MAX: Final = 2_000
LOOSE_ROWS_MAX: Final = 1_000
"""Rows without an order that are named; more are only counted."""
_CACHE_KIB: Final = 16_384

OnRows = Callable[[int], None]
"""Called with the number of rows that were read."""


class SortedFile:
    """A file that was read once.

    `orders` counts its orders, `rows` the rows that belong to one, `loose_rows` those that belong to none; `loose` are the first of these.
    `rows_left_out` are those that the map leaves out.

    If the file can't be read to its end, `stopped` says why, and no order is known to be whole: `read` gives none.
    """

    def __init__(self, database: sqlite3.Connection, shop: ShopMap) -> None:
        self._database = database
        self._shop = shop
        self.rows = self.orders = self.loose_rows = self.rows_left_out = 0
        self.loose: list[BadRow] = []
        self.stopped: BadRow | None = None

    def fill(self, path: Path, on_rows: OnRows) -> None:
        """Read the file."""
        self._database.execute("BEGIN")
        self._database.execute("CREATE TABLE rows (key TEXT, line INTEGER, created INTEGER, data BLOB)")
        with open_table(path, self._shop) as table:
            reader = Reader(self._shop, table.header)
            portion: list[tuple[str, int, int | None, bytes]] = []
            try:
                for line, cells in table.rows:
                    said = reader.read(line, cells)
                    if said is None:
                        continue
                    order, row = said
                    if order is None:
                        self._keep_loose(row)
                        continue
                    portion.append((order, line, row.created_ms, msgpack.encode(row)))
                    if len(portion) == PORTION_ROWS_MAX:
                        self._write(portion)
                        on_rows(self.rows)
            except Stopped as stopped:
                self.stopped = BadRow(stopped.line, str(stopped), ends_file=True)
            self.rows_left_out = reader.left_out
            self._write(portion)
        if (suspect := reader.suspect) is not None:
            raise MapError(f"{path}: most cells of the column {suspect.column!r} look like the number of {suspect.kind}", fix=suspect.fix)
        self._database.execute("COMMIT")
        self._sort()

    def _keep_loose(self, row: Row) -> None:
        self.loose_rows += 1
        if len(self.loose) < LOOSE_ROWS_MAX:
            self.loose.append(BadRow(row.line, row.fault or ""))

    def _write(self, portion: list[tuple[str, int, int | None, bytes]]) -> None:
        self._database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?)", portion)
        self.rows += len(portion)
        portion.clear()

    def _sort(self) -> None:
        """By creation, then by id. The id alone would do, but the log is easier to read if orders come as they came to the shop."""
        self._database.execute("CREATE INDEX by_order ON rows (key, line)")
        self._database.execute("CREATE TABLE orders AS SELECT key FROM rows GROUP BY key ORDER BY min(created), key")
        self.orders = self._database.execute("SELECT count(*) FROM orders").fetchone()[0]

    def read(self) -> Iterator[ShopOrder | LeftOut]:
        """The orders, by their time of creation: each whole, or left out. It can be read several times."""
        if self.stopped is not None:
            return
        rows = self._database.execute("SELECT r.key, r.data FROM orders o CROSS JOIN rows r ON r.key = o.key ORDER BY o.rowid, r.line")
        decode = msgpack.Decoder(Row).decode
        for key, group in groupby(rows, lambda row: row[0]):
            yield assemble(key, [decode(data) for _, data in group], self._shop)


def _ignore(_: int) -> None:
    return


@contextmanager
def sort_file(path: Path, shop: ShopMap, on_rows: OnRows = _ignore) -> Iterator[SortedFile]:
    """Read a shop's file (`-` is standard input) into a temporary database. It has no name on the disk: SQLite removes that before anything is in the file, and
    so nothing of it can be opened after a crash.

    Raises:
        MapError: if the file can't be read, a mapped column is missing, or there is no room for the temporary database.
    """
    database = sqlite3.connect("", isolation_level=None)  # https://sqlite.org/inmemorydb.html: temporary databases; they are where TMPDIR says
    try:
        # The database is gone after the import, whatever happens: nothing in it has to survive a crash.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "temp_store = FILE", f"cache_size = -{_CACHE_KIB}", "locking_mode = EXCLUSIVE"):
            database.execute(f"PRAGMA {pragma}")
        found = SortedFile(database, shop)
        found.fill(path, on_rows)
        yield found
    except sqlite3.Error as error:
        raise MapError(f"there is no room to sort {path}: {error}", fix="free some disk space, or set TMPDIR to a folder with more") from error
    finally:
        database.close()


def read_orders(path: Path, shop: ShopMap) -> tuple[list[ShopOrder], list[BadRow]]:
    """Read a small file at once: its whole orders, by their time of creation, and the rows that stop others.

    Raises:
        MapError: if the file can't be read, or a mapped column is missing.
    """
    with sort_file(path, shop) as file:
        bad = list(file.loose) + ([file.stopped] if file.stopped is not None else [])
        orders = []
        for found in file.read():
            if isinstance(found, ShopOrder):
                orders.append(found)
            else:
                bad.extend(found.bad)
        return orders, sorted(bad)
