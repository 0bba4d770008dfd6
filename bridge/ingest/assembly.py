"""Everything that acts on a batch, put together: caches, rules, gates and projections, and what they remember between batches."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.ingest.batch import Batch
from bridge.ingest.codes import CODE_RULES, CODES, INSIDE, PLACED, WAITING, rules_row
from bridge.ingest.log import BATCHES, EVENTS, REFUSED
from bridge.ingest.memory import Memory
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Relation
from bridge.ingest.rules import Rules
from bridge.ingest.seam import JobGate, Projection, SessionLog, hearers_of
from bridge.ingest.waiting import PARKED


class Ingest:
    """Everything that processes a batch, and what it remembers between batches.

    Args:
        projections: in the order in which they run.
        gate: decides the answers of couriers.
    """

    def __init__(self, memory: Memory, rules: Rules, projections: Sequence[Projection], gate: JobGate, session_log: SessionLog) -> None:
        self.memory = memory
        self.rules = rules
        self.projections = tuple(projections)
        self.gate = gate
        self.session_log = session_log
        self.hearers = hearers_of(self.projections)
        self._is_loaded = False

    @property
    def relations(self) -> tuple[Relation, ...]:
        """Everything that a batch writes about events."""
        own = (EVENTS, BATCHES, REFUSED, PARKED, PLACED, CODES, WAITING, INSIDE)
        return tuple(dict.fromkeys((*own, *(relation for projection in self.projections for relation in projection.relations))))

    def load(self, tx: Transaction) -> None:
        """Read everything that is remembered, once, and again after `forget`."""
        if self._is_loaded:
            return
        memory = self.memory
        memory.next_pos, memory.next_batch = tx.next_numbers()
        memory.load_waiting(tx)
        self.session_log.load(tx)
        for projection in self.projections:
            projection.load(tx)
        self._is_loaded = True

    def forget(self) -> None:
        """Drop everything that is remembered, because a batch did not commit."""
        self._is_loaded = False
        self.memory.forget()
        self.session_log.forget()
        for projection in self.projections:
            projection.forget()

    def batch(self, tx: Transaction, now_ms: int) -> Batch:
        """A batch to work on."""
        batch = self.look(tx, now_ms)
        self._keep_code_rules(batch)
        return batch

    def look(self, tx: Transaction, now_ms: int) -> Batch:
        """A batch to read with: nothing of it will be written."""
        self.load(tx)
        return Batch(tx, self.memory, self.rules, self.hearers, no=self.memory.next_batch, now_ms=now_ms)

    def _keep_code_rules(self, batch: Batch) -> None:
        """Store the site's rules about codes if they have changed: they hold from now on, the first ones always did."""
        dated = self.memory.code_rules
        if dated.is_empty or dated.newest != self.rules.codes:
            from_ms = 0 if dated.is_empty else batch.now_ms
            self.memory.code_rules = dated.then(from_ms, self.rules.codes)
            batch.writes.rows(CODE_RULES).append(rules_row(from_ms, self.rules.codes))
