"""Replay: run the projections over the log. A rebuild, a what-if and a new read model all use this code.

A replay goes through the log transaction by transaction, each at its own time. The gates do not decide again: times, places, faults and couriers' answers are
read from the rows. Everything after the gates is the same code that runs live.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from bridge.domain.facts import DECIDED
from bridge.ingest import placing
from bridge.ingest.accept import BY_SEQ
from bridge.ingest.assembly import Ingest
from bridge.ingest.batch import Batch
from bridge.ingest.entering import enter
from bridge.ingest.folding import fold_in
from bridge.ingest.items import Change, Effect, Message
from bridge.ingest.log import EventRow, RefusedRow, stored_fact
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Relation, Writes
from bridge.ingest.settle import finish
from devices.protocol import messages
from devices.protocol.vocabulary import EventType

Progress = Callable[[int, int], None]
"""Called with the number of events that are done, and with the total."""


class LoggedBatch(NamedTuple):
    """One transaction of the log, and the revisions that orders got in it."""

    no: int
    now_ms: int
    kind: str
    events: list[EventRow]
    refused: list[RefusedRow]
    revs: dict[str, int]


class LastShown(NamedTuple):
    """The last entry of an order in the status log, and its current row in the tables."""

    order_id: str
    rev: int
    hash: bytes
    now_rev: int
    now_hash: bytes


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

    def received(self, sid: int, packet_id: int, writes: Writes) -> None: ...

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
                batch.ledger(row.device, row.log).add(row.seq)
            batch.answers.append(enter(batch, row, event, placing.logged(row, event, batch), ingest.gate))
    while waiting is not None:
        batch.ledger(waiting.device, waiting.log).add(waiting.seq)
        waiting = next(refused, None)
    for row in [r for rows in decisions.values() for r in rows]:  # decisions of an earlier version about events that this version does not decide
        assert row.order_id is not None
        fold_in(batch, row, stored_fact(row).body, None, row.order_id)
    if logged.kind == "sweep":
        for projection in ingest.projections:
            projection.sweep(batch)
    finish(batch, ingest, logged.kind)


def _go_on_from_status_log(tx: ReplayTransaction, ingest: Ingest, now_ms: int) -> None:
    """Continue the revisions of the status log: an order with the same state keeps its revision, an order with another state gets the next one."""
    revs: dict[str, int] = {}
    other: dict[str, int] = {}
    for last in tx.last_shown():
        (revs if last.hash == last.now_hash else other)[last.order_id] = last.rev
    for found, is_same in ((revs, True), (other, False)):
        if not found:
            continue
        batch = Batch(tx, ingest.memory, ingest.rules, ingest.hearers, no=tx.next_numbers()[1], now_ms=now_ms, logged={}, revs=revs if is_same else None)
        for order_id, rev in found.items():
            entry = batch.order(order_id)
            entry.rev, entry.hash, entry.parcels = rev, b"another", {}
            batch.orders[order_id] = entry
        for projection in ingest.projections:
            projection.finish(batch)
        if is_same:
            tx.write(batch.writes)
        else:
            tx.write_all(batch.writes)
