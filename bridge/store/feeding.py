"""The log for followers: events and notices are read through a reader's connection, and the writer stores the cursors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from sqlalchemy import Engine

from bridge.ingest.cursors import CURSORS, CursorRow
from bridge.ingest.log import EVENTS, EventRow
from bridge.ingest.relation import Deletion, Update, Writes
from bridge.projections.notices import NOTICES, NOTICES_ASIDE, AsideRow, NoticeRow
from bridge.projections.orders import STATUS_LOG, StatusLogRow
from bridge.store.relations import select
from bridge.store.sql import SqlStore
from bridge.store.sqlite import translated

_SENT: Final = Update(NOTICES, ("sent_ms",), ("order_id", "id"))
_CURSOR_GONE: Final = Deletion(CURSORS, ("name",))


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

    def after(self, cursor: CursorRow, rows_max: int) -> tuple[Any, ...]:
        """Read what happened after a cursor: events, visible changes, and the cursor after them."""
        columns = ", ".join(f'"{c}"' for c in EVENTS.columns)
        events = [EventRow(*r) for r in self._rows(f"SELECT {columns} FROM events WHERE pos > ? ORDER BY pos LIMIT ?", cursor.event_pos, rows_max)]
        changes = self._rows(f"SELECT no, {', '.join(STATUS_LOG.columns)} FROM status_log WHERE no > ? ORDER BY no LIMIT ?", cursor.status_no, rows_max)
        last = CursorRow(cursor.name, events[-1].pos if events else cursor.event_pos, changes[-1][0] if changes else cursor.status_no)
        return events, [StatusLogRow(*c[1:]) for c in changes], last

    async def keep(self, cursor: CursorRow) -> None:
        """Store a cursor."""
        writes = Writes()
        writes.rows(CURSORS).append(cursor)
        await self._write(writes)

    async def _write(self, writes: Writes) -> None:
        def write() -> None:
            with self._store.transaction() as tx:
                tx.write(writes)

        await self._on_writer(write)

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with translated(), self._reader.connect() as connection:
            return list(connection.exec_driver_sql(query, values))


class SqlNotices(SqlLog):
    """The notices after a cursor that the receiver has not taken, and what became of them.

    Args:
        now_ms: the site's clock.
    """

    def __init__(self, reader: Engine, store: SqlStore, on_writer: Callable[[Callable[[], Any]], Awaitable[Any]], now_ms: Callable[[], int]) -> None:
        super().__init__(reader, store, on_writer)
        self._now_ms = now_ms

    async def begin(self, name: str) -> None:
        """Store a cursor behind all notices that there are, unless the follower has one: it is not sent what was told before there was a channel."""
        if not self._rows(select(CURSORS, ("name",)), name):
            ((last,),) = self._rows("SELECT coalesce(max(no), 0) FROM notices")
            await self.keep(CursorRow(name, 0, 0, last))

    async def end(self, name: str) -> None:
        """Forget a follower's cursor: there is no channel any more."""
        if self._rows(select(CURSORS, ("name",)), name):
            writes = Writes()
            writes.delete(_CURSOR_GONE, name)
            await self._write(writes)

    def after(self, cursor: CursorRow, rows_max: int) -> tuple[Any, ...]:
        """Read the notices after a cursor that are still to be sent, and the cursor after them."""
        columns = ", ".join(f'"{c}"' for c in NOTICES.columns)
        is_open = "no > ? AND sent_ms IS NULL AND NOT EXISTS (SELECT 1 FROM notices_aside a WHERE a.id = notices.id)"
        open_ones = f"SELECT no, {columns} FROM notices WHERE {is_open} ORDER BY no LIMIT ?"
        found = self._rows(open_ones, cursor.notice_no, rows_max)
        return [], [], cursor._replace(notice_no=found[-1][0] if found else cursor.notice_no), [NoticeRow(*row[1:]) for row in found]

    async def settle(self, sent: Sequence[NoticeRow], aside: Sequence[tuple[NoticeRow, str]]) -> None:
        """Store which notices the receiver took, and which were put aside, and why."""
        writes, now_ms = Writes(), self._now_ms()
        for row in sent:
            writes.update(_SENT, now_ms, row.order_id, row.id)
        writes.rows(NOTICES_ASIDE).extend(AsideRow(row.id, row.order_id, now_ms, error) for row, error in aside)
        await self._write(writes)
