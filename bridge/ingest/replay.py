"""Replay: run the projections over the log. A rebuild, a what-if and a new read model all use this code.

A replay goes through the log transaction by transaction, each at its own time. The gates do not decide again: times, places, faults and couriers' answers are
read from the rows. Everything after the gates is the same code that runs live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from bridge.domain.event_time import span
from bridge.domain.facts import BY_SEQ, DECIDED
from bridge.ingest.accept import needs_all_before
from bridge.ingest.assembly import Ingest
from bridge.ingest.batch import Arrived, Batch
from bridge.ingest.entering import flush
from bridge.ingest.items import Change, Effect, Message
from bridge.ingest.log import BATCHES, BatchRow, EventRow, RefusedRow, is_seq_reused, stored_fact
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Relation, Writes
from bridge.ingest.sessions import IncomingIdRow
from bridge.ingest.settle import enter, finish
from devices.protocol import messages
from devices.protocol.vocabulary import EventType

Progress = Callable[[int, int], None]
"""Called with the number of events that are done, and with the total."""
REBUILD: Final = "rebuild"
"""The kind of a batch in which a rebuild showed orders anew, because an earlier version had shown them otherwise."""


class LoggedBatch(NamedTuple):
    """One transaction of the log, and the revisions that orders got in it."""

    no: int
    now_ms: int
    kind: str
    events: list[EventRow]
    refused: list[RefusedRow]
    revs: dict[str, int]


class LastShown(NamedTuple):
    """The revision in the last entry of an order in the status log, and whether its row in the tables still shows the same state."""

    order_id: str
    rev: int
    is_same: bool


class ReplayTransaction(Transaction, Protocol):
    """A transaction in which the log is read again. Reads of the log end at the position of the replay; writes do not change the log."""

    log_end: int

    def reset(self, relations: Sequence[Relation]) -> None:
        """Delete what of these relations is derived."""
        ...

    def log(self) -> Iterator[LoggedBatch]:
        """The log, transaction by transaction."""
        ...

    def event_count(self) -> int: ...

    def last_shown(self) -> list[LastShown]:
        """Orders whose rows in the tables differ from their last entry in the status log."""
        ...

    def finish(self) -> None:
        """After everything was read, restore what a replay can't derive, such as the numbers of the quarantine's entries."""
        ...

    def write_all(self, writes: Writes) -> None:
        """Write a batch, including the log."""
        ...


class NoSessions:
    """The session log of a replay: nothing is sent to clients."""

    def load(self, tx: Transaction) -> None: ...

    def forget(self) -> None: ...

    def received(self, packet: IncomingIdRow, writes: Writes) -> None: ...

    def take(self, effects: Sequence[Message | Change], writes: Writes, now_ms: int) -> list[Effect]:
        return []


def replay(tx: ReplayTransaction, ingest: Ingest, *, now_ms: int, on_progress: Progress | None = None) -> int:
    """Rebuild everything that is derived from the log, inside an open transaction. Returns the number of events.

    Args:
        ingest: fresh projections, with `NoSessions`.
        now_ms: the time of changes that the replay finds.
    """
    total = tx.event_count()
    done = 0
    tx.reset(ingest.relations)
    for logged in tx.log():
        if logged.events:
            tx.log_end = logged.events[0].pos
        _replay_batch(tx, ingest, logged)
        done += len(logged.events)
        if logged.events:
            tx.log_end = logged.events[-1].pos + 1
        if on_progress is not None:
            on_progress(done, total)
    _go_on_from_status_log(tx, ingest, now_ms)
    tx.finish()
    return total


def _replay_batch(tx: ReplayTransaction, ingest: Ingest, logged: LoggedBatch) -> None:
    ingest.load(tx)
    decisions: dict[tuple[str, bytes], list[EventRow]] = {}
    for row in logged.events:
        if row.type == DECIDED:
            body = stored_fact(row).body
            decisions.setdefault((body.device, body.ref), []).append(row)  # type: ignore[union-attr]
    batch = Batch(tx, ingest.memory, ingest.rules, ingest.hearers, no=logged.no, now_ms=logged.now_ms, logged=decisions, revs=logged.revs)
    refused = iter(logged.refused)
    waiting = next(refused, None)
    for row in logged.events:
        while waiting is not None and waiting.pos <= row.pos:
            batch.ledger(waiting.device, waiting.log).add(waiting.seq)
            waiting = next(refused, None)
        if row.type != DECIDED:
            event = messages.decode_event(row.payload, EventType(row.type))
            if row.role in BY_SEQ:
                ledger = batch.ledger(row.device, row.log)
                ledger.add(row.seq, *span(row.event_ms, row.error_ms, row.received_ms))
                ledger.reused += is_seq_reused(row)
            if needs_all_before(row.type, row.role):
                flush(batch)
            batch.answers.append(enter(batch, row, event, ingest))
    while waiting is not None:
        batch.ledger(waiting.device, waiting.log).add(waiting.seq)
        waiting = next(refused, None)
    flush(batch)
    for row in [r for rows in decisions.values() for r in rows]:  # decisions of an earlier version about events that this version does not decide
        fact = stored_fact(row)
        batch.arrive(Arrived(row, fact.body, fact, None))
    if logged.kind == REBUILD:
        _show_again(batch, logged.revs)
    if logged.kind == "sweep":
        for projection in ingest.projections:
            projection.sweep(batch)
    finish(batch, ingest, logged.kind)


def _go_on_from_status_log(tx: ReplayTransaction, ingest: Ingest, now_ms: int) -> None:
    """Continue the revisions of the status log: an order with the same state keeps its revision, an order with another state gets the next one."""
    same: dict[str, int] = {}
    other: dict[str, int] = {}
    for last in tx.last_shown():
        (same if last.is_same else other)[last.order_id] = last.rev
    if same:
        tx.write(_shown_anew(tx, ingest, same, now_ms, revs=same).writes)
    if other:
        batch = _shown_anew(tx, ingest, other, now_ms, revs=None)
        batch.writes.rows(BATCHES).append(BatchRow(batch.no, now_ms, REBUILD))
        tx.write_all(batch.writes)


def _shown_anew(tx: ReplayTransaction, ingest: Ingest, shown: dict[str, int], now_ms: int, *, revs: dict[str, int] | None) -> Batch:
    """Show some orders again, from the revision that each was shown with last."""
    batch = Batch(tx, ingest.memory, ingest.rules, ingest.hearers, no=tx.next_numbers()[1], now_ms=now_ms, logged={}, revs=revs)
    for order_id, rev in shown.items():
        batch.order(order_id).rev = rev
    _show_again(batch, shown)
    for projection in ingest.projections:
        projection.finish(batch)
    return batch


def _show_again(batch: Batch, order_ids: Iterable[str]) -> None:
    """Let orders be shown again, whatever was shown of them."""
    for order_id in order_ids:
        entry = batch.orders[order_id] = batch.order(order_id)
        entry.hash, entry.parcels = b"another", {}
