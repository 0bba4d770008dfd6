"""The log for followers: events are read through a reader's connection, and the writer stores the cursors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Engine

from bridge.ingest.cursors import CURSORS, CursorRow
from bridge.ingest.log import EVENTS, EventRow
from bridge.ingest.relation import Writes
from bridge.projections.orders import STATUS_LOG, StatusLogRow
from bridge.store.relations import select
from bridge.store.sql import SqlStore
from bridge.store.sqlite import translated


class SqlLog:
    """The events and the status log after a cursor, and the cursors.

    Args:
        on_writer: runs a function on the writer's thread, the only one that writes to the database.
    """

    def __init__(self, reader: Engine, store: SqlStore, on_writer: Callable[[Callable[[], Any]], Awaitable[Any]]) -> None:
        self._reader = reader
        self._store = store
        self._on_writer = on_writer

    def cursor(self, name: str) -> CursorRow:
        """A follower's stored cursor; the start of the log if it has none."""
        found = self._rows(select(CURSORS, ("name",)), name)
        return CursorRow(*found[0]) if found else CursorRow(name, 0, 0)

    def after(self, cursor: CursorRow, rows_max: int) -> tuple[list[EventRow], list[StatusLogRow], CursorRow]:
        """Read what happened after a cursor: events, visible changes, and the cursor after them."""
        columns = ", ".join(f'"{c}"' for c in EVENTS.columns)
        events = [EventRow(*r) for r in self._rows(f"SELECT {columns} FROM events WHERE pos > ? ORDER BY pos LIMIT ?", cursor.event_pos, rows_max)]
        changes = self._rows(f"SELECT no, {', '.join(STATUS_LOG.columns)} FROM status_log WHERE no > ? ORDER BY no LIMIT ?", cursor.status_no, rows_max)
        last = CursorRow(cursor.name, events[-1].pos if events else cursor.event_pos, changes[-1][0] if changes else cursor.status_no)
        return events, [StatusLogRow(*c[1:]) for c in changes], last

    async def keep(self, cursor: CursorRow) -> None:
        """Store a cursor."""

        def write() -> None:
            writes = Writes()
            writes.rows(CURSORS).append(cursor)
            with self._store.transaction() as tx:
                tx.write(writes)

        await self._on_writer(write)

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with translated(), self._reader.connect() as connection:
            return list(connection.exec_driver_sql(query, values))
