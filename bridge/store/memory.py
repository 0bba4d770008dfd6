"""A store in memory: for tests of code that uses `ports.Store`, and for trying a batch without storing it. The contract suite runs over it and SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from bridge.domain.facts import Fact
from bridge.ingest.codes import CODES, PLACED, WAITING, PlacedRow, placed_fact
from bridge.ingest.log import BATCHES, EVENTS, EventRow, stored_fact
from bridge.ingest.memory import LEDGER
from bridge.ingest.ports import AtLeast, StoredOrder, StoredReceipt, StoredVerdict
from bridge.ingest.relation import Relation, Writes
from bridge.ingest.sessions import MESSAGE_LOG, SESSIONS, SUBSCRIPTIONS
from bridge.ingest.waiting import PARKED
from bridge.projections.orders import ORDERS, PARCELS
from bridge.projections.quarantine import QUARANTINE
from bridge.projections.receipts import RECEIPTS

_Rows = dict[Any, Any]


class MemoryStore:
    """Rows by relation and key; a transaction that ends with an exception leaves no trace."""

    def __init__(self) -> None:
        self._relations: dict[Relation, _Rows] = {}
        self._numbers: dict[Relation, int] = {}

    @contextmanager
    def transaction(self) -> Iterator[MemoryTransaction]:
        """A transaction that commits at the end of the block."""
        before, numbers = {relation: dict(rows) for relation, rows in self._relations.items()}, dict(self._numbers)
        try:
            yield MemoryTransaction(self._relations, self._numbers)
        except BaseException:
            self._relations, self._numbers = before, numbers
            raise


class MemoryTransaction:
    """An open transaction; see `ports.Transaction`."""

    def __init__(self, relations: dict[Relation, _Rows], numbers: dict[Relation, int]) -> None:
        self._relations = relations
        self._numbers = numbers

    def _of(self, relation: Relation) -> _Rows:
        return self._relations.setdefault(relation, {})

    def rows(self, relation: Relation, **equal: Any) -> list[Any]:
        rows = self._of(relation)
        return [rows[key] for key in sorted(rows) if all(_fits(getattr(rows[key], column), wanted) for column, wanted in equal.items())]

    # --- the log ----------------------------------------------------------------------------------------------------------

    def next_numbers(self) -> tuple[int, int]:
        return max(self._of(EVENTS), default=0) + 1, max(self._of(BATCHES), default=0) + 1

    def known(self, ids: Sequence[bytes]) -> dict[tuple[str, bytes], StoredReceipt]:
        wanted, receipts = set(ids), self._of(RECEIPTS)
        return {
            (e.device, e.id): StoredReceipt(e.pos, e.type, e.payload, receipts[e.pos].n, receipts[e.pos].payload)
            for e in self._of(EVENTS).values()
            if e.id in wanted and e.pos in receipts
        }

    def orders(self, order_ids: Iterable[str]) -> dict[str, StoredOrder]:
        found: dict[str, StoredOrder] = {}
        for order_id in order_ids:
            facts, row = self._facts(order_id), self._of(ORDERS).get(order_id)
            codes = {c.code for c in self._of(CODES).values() if c.order_id == order_id}
            if row is not None:
                parcels = {p.parcel: (p.hash, p.codes) for p in self._of(PARCELS).values() if p.order_id == order_id}
                found[order_id] = StoredOrder(facts, codes, row.rev, row.hash, row.timed, parcels, row.due_ms, row.state)
            elif facts or codes:
                found[order_id] = StoredOrder(facts, codes)
        return found

    def _facts(self, order_id: str) -> list[Fact]:
        placed: dict[int, list[PlacedRow]] = {}
        for row in self._of(PLACED).values():
            placed.setdefault(row.pos, []).append(row)
        found = []
        for event in self.rows(EVENTS):
            if event.pos in placed:
                found += [placed_fact(event, r.refusal, r.warn, r.inside) for r in placed[event.pos] if r.order_id == order_id]
            elif event.order_id == order_id:
                found.append(stored_fact(event))
        return found

    def events_named(self, event_id: bytes) -> list[tuple[EventRow, list[PlacedRow]]]:
        return [(event, self.rows(PLACED, pos=event.pos)) for event in self.rows(EVENTS, id=event_id)]

    def events_at(self, positions: Sequence[int]) -> list[tuple[EventRow, list[PlacedRow]]]:
        return [(self._of(EVENTS)[pos], self.rows(PLACED, pos=pos)) for pos in sorted(positions)]

    def has_rows(self, relation: Relation) -> bool:
        return bool(self._of(relation))

    # --- derived rows -----------------------------------------------------------------------------------------------------

    def waiting_for(self, kind: str, name: str) -> list[EventRow]:
        return sorted(self._of(EVENTS)[w.pos] for w in self.rows(WAITING, ref_kind=kind, ref=name))

    def verdicts_of(self, positions: Iterable[int]) -> dict[int, StoredVerdict]:
        receipts = self._of(RECEIPTS)
        return {pos: StoredVerdict(r.n, r.outcome, r.reason, r.payload) for pos in positions if (r := receipts.get(pos)) is not None}

    def is_quarantined(self, device: str, digest: bytes) -> bool:
        return bool(self.rows(QUARANTINE, device=device, digest=digest, pos=None))

    def due_orders(self, now_ms: int, limit: int) -> list[str]:
        due = sorted((o.due_ms, o.order_id) for o in self._of(ORDERS).values() if o.due_ms is not None and o.due_ms <= now_ms)
        return [order_id for _, order_id in due[:limit]]

    def overdue(self, now_ms: int) -> dict[tuple[str, str], int]:
        return _counts((p.ref_kind, p.ref) for p in self.rows(PARKED) if p.deadline_ms <= now_ms)

    def owing(self, before_ms: int) -> dict[str, int]:
        found: dict[str, int] = {}
        for row in self.rows(LEDGER):
            if row.owed and row.updated_ms <= before_ms:
                found[row.device] = found.get(row.device, 0) + row.owed
        return found

    def quarantine_counts(self) -> dict[str, int]:
        return _counts(q.device for q in self.rows(QUARANTINE))

    # --- sessions ---------------------------------------------------------------------------------------------------------

    def next_message(self) -> int:
        subscriptions = [p for s in self.rows(SUBSCRIPTIONS) for p in (s.from_pos, s.to_pos or 0)]
        return int(max([max(self._of(MESSAGE_LOG), default=0) + 1, *(s.next_pos for s in self.rows(SESSIONS)), *subscriptions]))

    # --- writes -----------------------------------------------------------------------------------------------------------

    def drop_before(self, relation: Relation, column: str, value: int) -> None:
        self._drop(relation, lambda row: getattr(row, column) < value)

    def keep_newest(self, relation: Relation, rows_max: int) -> None:
        rows = self._of(relation)
        last = max(rows, default=0)
        for number in [n for n in rows if n <= last - rows_max]:
            del rows[number]

    def drop_closed_subscriptions(self) -> None:
        sessions = self._of(SESSIONS)
        self._drop(SUBSCRIPTIONS, lambda s: s.to_pos is not None and s.sid in sessions and s.to_pos <= sessions[s.sid].next_pos)

    def _drop(self, relation: Relation, is_unwanted: Any) -> None:
        rows = self._of(relation)
        for key in [key for key, row in rows.items() if is_unwanted(row)]:
            del rows[key]

    def write(self, writes: Writes) -> None:
        for deletion, values in writes.gone.items():
            unwanted = set(values)
            self._drop(deletion.relation, lambda row, d=deletion, u=unwanted: tuple(getattr(row, c) for c in d.where) in u)
        for relation, rows in writes.puts():
            kept = self._of(relation)
            for row in rows:
                key = self._key(relation, row)
                if relation.appends and key in kept:
                    raise ValueError(f"{relation.name} has a row {key} already")
                kept[key] = row
        for update, rows in writes.updates.items():
            self._update(update, rows)

    def _key(self, relation: Relation, row: Any) -> Any:
        if relation.numbered:
            self._numbers[relation] = self._numbers.get(relation, 0) + 1
            return self._numbers[relation]
        values = tuple(getattr(row, column) for column in relation.key)
        return values if len(values) > 1 else values[0]

    def _update(self, update: Any, rows: list[tuple[Any, ...]]) -> None:
        kept = self._of(update.relation)
        for values in rows:
            new, where = values[: len(update.columns)], values[len(update.columns) :]
            for key, row in kept.items():
                if tuple(getattr(row, c) for c in update.where) == where:
                    kept[key] = row._replace(**dict(zip(update.columns, new, strict=True)))


def _counts(keys: Iterable[Any]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for key in keys:
        found[key] = found.get(key, 0) + 1
    return found


def _fits(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, AtLeast):
        return bool(value >= wanted.value)
    return value in wanted if isinstance(wanted, list) else bool(value == wanted)
