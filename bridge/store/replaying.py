"""The log for a replay: it is read transaction by transaction, while the derived tables are rebuilt."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from bridge.domain.codes.rules import CodeRules
from bridge.ingest.assembly import Ingest
from bridge.ingest.codes import CODE_RULES, rules_row
from bridge.ingest.cursors import CURSORS
from bridge.ingest.log import EVENTS, BatchRow, EventRow, RefusedRow
from bridge.ingest.relation import Deletion, Origin, Relation, Writes
from bridge.ingest.replay import LastShown, LoggedBatch, Progress, replay
from bridge.store.relations import EVENT_COLUMNS, reset
from bridge.store.sql import SqlStore, SqlTransaction

logger = logging.getLogger("dockbridge.store")

ROWS_AT_ONCE: Final = 1_000
"""Rows of each part of the log that are read at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """The result of a rebuild. `changed` names the orders whose hash was different before."""

    events: int
    orders: int
    changed: list[str]


def rebuild(connection: Connection, ingest: Ingest, *, now_ms: int, on_progress: Progress | None = None) -> Rebuilt:
    """Rebuild everything that is derived from the log, inside an open transaction. The caller commits.

    Args:
        ingest: fresh projections, with `replay.NoSessions`.
    """
    tx = SqlReplay(connection)
    before = tx.hashes()
    events = replay(tx, ingest, now_ms=now_ms, on_progress=on_progress)
    after = tx.hashes()
    changed = [order_id for order_id in before.keys() | after.keys() if before.get(order_id, b"") != after.get(order_id, b"")]
    return Rebuilt(events=events, orders=sum(bool(digest) for digest in after.values()), changed=sorted(changed))


DERIVE: Final = "derive"
"""The name in the table of cursors by which a migration asks to derive everything anew."""
_ASKED: Final = Deletion(CURSORS, ("name",))


def derive_after_upgrade(store: SqlStore, ingest: Ingest, now_ms: int) -> None:
    """Derive everything from the log if it was written by a version that did not yet know where scans belong, or if a migration asks for it. Nothing to do
    otherwise.

    Args:
        ingest: fresh projections, with `replay.NoSessions`.
    """
    with store.transaction() as tx:
        knows_codes, is_asked = tx.has_rows(CODE_RULES), bool(tx.rows(CURSORS, name=DERIVE))
        if not tx.has_rows(EVENTS) or (knows_codes and not is_asked):
            return
        logger.warning("deriving all orders again from the event log, as this version reads it; this takes a minute for a million events")
        writes = Writes()
        if not knows_codes:
            writes.rows(CODE_RULES).append(rules_row(0, CodeRules()))
        writes.delete(_ASKED, DERIVE)
        tx.write(writes)
        done = rebuild(tx.connection, ingest, now_ms=now_ms)
        logger.warning("%s of %s orders look different now", len(done.changed), done.orders)


class SqlReplay(SqlTransaction):
    """See `replay.ReplayTransaction`."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self._numbers: list[tuple[int, int]] = []

    def hashes(self) -> dict[str, bytes]:
        """Each order's hash from its row, or, if the row was lost, from its last visible change."""
        shown = "SELECT order_id, hash FROM status_log WHERE no IN (SELECT max(no) FROM status_log GROUP BY order_id)"
        return dict(self._rows(shown)) | dict(self._rows("SELECT order_id, hash FROM orders"))

    def reset(self, relations: Sequence[Relation]) -> None:
        self._numbers = [(no, pos) for no, pos in self._rows("SELECT no, pos FROM quarantine WHERE pos IS NOT NULL")]
        for relation in relations:
            if relation.origin is Origin.DERIVED:
                reset(self._driver, relation)

    def event_count(self) -> int:
        return int(self._one("SELECT count(*) FROM events")[0])

    def log(self) -> Iterator[LoggedBatch]:
        # Every part of the log is in the order of its batches, so four readers in parallel need no index.
        events = _Reader(self, f"SELECT {EVENT_COLUMNS} FROM events e WHERE e.pos > ? ORDER BY e.pos LIMIT ?", "pos", EventRow)
        refused = _Reader(self, "SELECT no, batch, pos, device, log, seq, digest FROM refused WHERE no > ? ORDER BY no LIMIT ?", "no", _NumberedRefused)
        shown = _Reader(self, "SELECT no, batch, order_id, rev FROM status_log WHERE no > ? ORDER BY no LIMIT ?", "no", _Shown)
        for batch in _Reader(self, "SELECT no, now_ms, kind FROM batches WHERE no > ? ORDER BY no LIMIT ?", "no", BatchRow):
            revs = {row.order_id: row.rev for row in shown.of_batch(batch.no)}
            numbered = [RefusedRow(*row[1:]) for row in refused.of_batch(batch.no)]
            yield LoggedBatch(batch.no, batch.now_ms, batch.kind, events.of_batch(batch.no), numbered, revs)

    def read(self, query: str, after: int) -> list[Any]:
        """The next rows after a position."""
        return list(self._rows(query, (after, ROWS_AT_ONCE)))

    def last_shown(self) -> list[LastShown]:
        return [
            LastShown(order_id, rev, bool(is_same))
            for order_id, rev, is_same in self._rows("""
                SELECT s.order_id, s.rev, s.hash = coalesce(o.hash, x'')
                FROM status_log s LEFT JOIN orders o ON o.order_id = s.order_id
                WHERE s.no IN (SELECT max(no) FROM status_log GROUP BY order_id) AND (o.order_id IS NULL OR o.rev <> s.rev OR o.hash <> s.hash)
                ORDER BY s.order_id
            """)
        ]

    def finish(self) -> None:
        # The replay has numbered the entries, too, and perhaps in another order: its numbers are moved out of the way first.
        self._driver.execute("UPDATE quarantine SET no = -no WHERE pos IS NOT NULL")
        self._driver.executemany("UPDATE quarantine SET no = ? WHERE pos = ?", self._numbers)
        (last,) = self._one("SELECT coalesce(max(no), 0) FROM quarantine WHERE no > 0")
        self._driver.execute("UPDATE quarantine SET no = ? - no WHERE no < 0", (last,))

    def write(self, writes: Writes) -> None:
        self.write_derived(writes)

    def write_all(self, writes: Writes) -> None:
        super().write(writes)

    # A replay does not trim what is kept.

    def drop_before(self, relation: Relation, column: str, value: int) -> None: ...

    def keep_newest(self, relation: Relation, rows_max: int) -> None: ...

    def drop_closed_subscriptions(self) -> None: ...


class _Shown(NamedTuple):
    no: int
    batch: int
    order_id: str
    rev: int


class _NumberedRefused(NamedTuple):
    no: int
    batch: int
    pos: int
    device: str
    log: bytes
    seq: int
    digest: bytes


class _Reader:
    """One part of the log, in order, read in portions."""

    def __init__(self, tx: SqlReplay, query: str, place: str, row: type[Any]) -> None:
        self._tx = tx
        self._query = query
        self._place = place
        self._row = row
        self._rows: deque[Any] = deque()
        self._after = 0
        self._is_over = False

    def __iter__(self) -> Iterator[Any]:
        while (row := self._first()) is not None:
            self._rows.popleft()
            yield row

    def of_batch(self, no: int) -> list[Any]:
        """The rows of a batch. Call it for the batches in their order."""
        found = []
        while (row := self._first()) is not None and row.batch <= no:
            found.append(self._rows.popleft())
        return found

    def _first(self) -> Any | None:
        if not self._rows and not self._is_over:
            self._rows.extend(self._row(*r) for r in self._tx.read(self._query, self._after))
            if self._rows:
                self._after = getattr(self._rows[-1], self._place)
            self._is_over = not self._rows
        return self._rows[0] if self._rows else None
