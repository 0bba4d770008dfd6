"""The evidence about codes as one batch sees it: what is stored, and the events that have just arrived."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Final

from bridge.domain.codes.containers import children_of
from bridge.domain.codes.evidence import CUSTODY, TERMINAL, key_of, may_void
from bridge.domain.codes.place import Placing
from bridge.domain.codes.rules import COMMON_ORDERS_MAX
from bridge.domain.facts import Fact
from bridge.domain.members import E
from bridge.domain.refs import event_ref
from bridge.ingest.codes import COMMON, placing_of
from bridge.ingest.log import stored_fact
from bridge.ingest.memory import CodeEntry
from devices.protocol import bodies
from devices.protocol.vocabulary import Outcome, Warn

if TYPE_CHECKING:
    from bridge.ingest.batch import Batch

CLOSING: Final = TERMINAL | {E.UNPACK}
"""Events that say something about the codes of their order even if they scan none."""
BESIDE: Final = CUSTODY | {E.PICK}
"""A code that such events scan beside more than `COMMON_ORDERS_MAX` orders is a shelf, a dock or a bin."""
Uid = tuple[str, bytes]


def _is_creation(fact: Fact) -> bool:
    return fact.type == E.CREATED


class Evidence:
    """See `domain.codes.evidence.Known`.

    Args:
        fresh: new events, which no order has yet.

    Attributes:
        before: where earlier events belonged that were found on the way, by position in the log.
        voids: voids by the id that they name: new ones, and those that were found on the way.
        targets: the events that each void names, by the void's position.
    """

    def __init__(self, batch: Batch, fresh: Sequence[Fact]) -> None:
        self._batch = batch
        self._by_key: dict[str, list[Fact]] = {}
        self._by_order: dict[str, list[Fact]] = {}
        self._voided: set[Uid] = set()
        self._mentions: dict[str, list[Fact]] = {}
        self._common: dict[str, bool] = {}
        self.before: dict[int, Placing] = {}
        self.voids: dict[bytes, dict[int, Fact]] = {}
        self.targets: dict[int, list[Fact]] = {}
        for fact in fresh:
            for key in fact.keys:
                self._by_key.setdefault(key, []).append(fact)
            if fact.named is not None:
                self._by_order.setdefault(fact.named, []).append(fact)

    def code(self, key: str) -> CodeEntry:
        """What is known of a code, read from the store if it is not in memory."""
        return self._batch.memory.code(key, self._batch.tx)

    def new(self, key: str) -> Sequence[Fact]:
        """The new events that mention a code."""
        return self._by_key.get(key, ())

    def new_of(self, order_id: str) -> Sequence[Fact]:
        """The new events that name an order."""
        return self._by_order.get(order_id, ())

    def codes_of(self, order_id: str) -> Iterator[str]:
        """The codes that an order knows of, and those that new events name beside it."""
        yield from self._batch.order(order_id).codes
        for fact in self._by_order.get(order_id, ()):
            yield from fact.keys

    # --- as the law reads it ----------------------------------------------------------------------------------------------

    def mentions(self, key: str) -> Sequence[Fact]:
        found = self._mentions.get(key)
        if found is None:
            found = self._mentions[key] = self._gather(key)
        return found

    def put_in(self, key: str) -> Sequence[Fact]:
        return [f for f in self.mentions(key) if f.type == E.AGGREGATED and key in children_of(f)]

    def closings(self, order_id: str) -> Sequence[Fact]:
        return [f for f in self._of_order(order_id) if f.code is None and f.type in CLOSING and self._counts(f)]

    def packs(self, order_id: str) -> Sequence[Fact]:
        return [f for f in self._of_order(order_id) if f.type == E.PACK and self._counts(f)]

    def created_ms(self, order_id: str) -> int | None:
        fold = self._batch.order(order_id).fold
        self._voided.update(fold.voided)
        stored = takewhile(_is_creation, fold.facts)  # creations sort first
        new = filter(_is_creation, self._by_order.get(order_id, ()))
        return min((f.event_ms for f in (*stored, *new) if self._counts(f)), default=None)

    def identity(self, key: str) -> str | None:
        return next((o for o in self.code(key).orders if o != COMMON and key_of(o) == key and self.created_ms(o) is not None), None)

    def is_voided(self, fact: Fact) -> bool:
        return fact.uid in self._voided

    def is_common(self, key: str) -> bool:
        known = self._common.get(key)
        if known is None:
            entry = self.code(key)
            known = self._common[key] = entry.is_common or self._count_beside(key, entry) > COMMON_ORDERS_MAX
        return known

    def _count_beside(self, key: str, entry: CodeEntry) -> int:
        new = {f.named for f in self.new(key) if f.type in BESIDE and f.named is not None and f.fault is None}
        return len(new | {o for o, is_beside in entry.orders.items() if is_beside}) if new else 0

    def _of_order(self, order_id: str) -> Iterator[Fact]:
        """The events that name an order and are placed in it, and the new ones that name it."""
        fold = self._batch.order(order_id).fold
        self._voided.update(fold.voided)
        yield from (f for f in fold.facts if f.named == order_id)
        yield from self._by_order.get(order_id, ())

    def _counts(self, fact: Fact) -> bool:
        return fact.fault is None and fact.uid not in self._voided

    # --- gathering --------------------------------------------------------------------------------------------------------

    def _gather(self, key: str) -> list[Fact]:
        entry = self.code(key)
        found: dict[int, Fact] = {}
        for order_id in entry.orders:
            if order_id != COMMON:
                self._gather_from(order_id, key, found)
        for fact in list(entry.waiting.values()):
            if key in fact.keys:
                self._note(fact, found, self._batch.placings.get(fact.pos) or Placing(outcome=Outcome.PARKED))
        for fact, placing in list(entry.inside.values()):
            self._note(fact, found, placing)
            for order_id in placing.order_ids[:1]:
                if fact.uid in self._batch.order(order_id).fold.voided:
                    self._voided.add(fact.uid)
        for fact in self.new(key):
            found[fact.pos] = fact
        return list(found.values())

    def _gather_from(self, order_id: str, key: str, found: dict[int, Fact]) -> None:
        fold = self._batch.order(order_id).fold
        for fact in fold.facts:
            if key not in fact.keys:
                continue
            found.setdefault(fact.pos, fact)
            if fact.uid in fold.voided:
                self._voided.add(fact.uid)
            if not fact.inside and Warn.LABEL_MOVED not in fact.warn:  # of others it is stored, or known with the container
                self.before.setdefault(fact.pos, Placing(((order_id, fact.inside),), fact.refusal, fact.warn))

    def _note(self, fact: Fact, found: dict[int, Fact], placing: Placing) -> None:
        found.setdefault(fact.pos, fact)
        self.before.setdefault(fact.pos, placing)
        if not placing.orders:
            self.find_voids(fact)

    # --- voids ------------------------------------------------------------------------------------------------------------

    def has_voids(self, fact: Fact) -> bool:
        """Whether a void waits for an event."""
        return event_ref(fact.id) in self._batch.memory.awaited

    def find_voids(self, fact: Fact) -> None:
        """Find the voids that name a new event, or one in no order."""
        if self._batch.memory.awaited and self.has_voids(fact):
            for void in list(self._batch.waiting_facts(event_ref(fact.id)).values()):
                if void.pos not in self.targets:
                    self.void(void)

    def void(self, void: Fact) -> None:
        """Take a void into account."""
        assert isinstance(void.body, bodies.Void)
        targets = self._named_by(void.body.ref)
        self.voids.setdefault(void.body.ref, {})[void.pos] = void
        self.targets[void.pos] = targets
        if void.fault is None:
            self._voided.update(t.uid for t in targets if may_void(void, t))

    def _named_by(self, ref: bytes) -> list[Fact]:
        """The events with an id, from any device."""
        found = {f.uid: f for f in self._batch.new_facts(ref)}
        for row, rows in self._batch.tx.events_named(ref):
            if (row.device, row.id) not in found:
                fact = found[(row.device, row.id)] = stored_fact(row)
                self.before.setdefault(fact.pos, self._batch.placings.get(fact.pos) or placing_of(row, rows))
        return [found[uid] for uid in sorted(found)]

    def voids_of(self, fact: Fact, before: Placing) -> Iterable[Fact]:
        """The voids of an event beside it in its orders. Those that wait with it were found with it."""
        for order_id in before.order_ids:
            yield from (v for v in self._batch.order(order_id).fold.voids if isinstance(v.body, bodies.Void) and v.body.ref == fact.id)

    def placing_before(self, fact: Fact) -> Placing:
        """Where an event belonged before this flush."""
        known = self.before.get(fact.pos)
        if known is None:
            known = self.before[fact.pos] = self._batch.placing(fact.pos)
        return known
