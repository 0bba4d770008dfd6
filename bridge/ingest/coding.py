"""Places the events of a batch, and places earlier events again if what a code means has changed.

The law itself is in `domain.codes`. Here the evidence is found: what is stored about a code is in the orders that know of it, among the events that wait, and
among the events about containers. A new event makes codes dirty; everything that mentions a dirty code is placed again and compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.domain.codes.containers import Containers, children_of, parent_of
from bridge.domain.codes.evidence import CONTAINER_EVENTS, CUSTODY, TERMINAL, key_of, may_void, replaced
from bridge.domain.codes.history import History, history_of
from bridge.domain.codes.place import Placer, Placing
from bridge.domain.codes.rules import COMMON_ORDERS_MAX, DEPTH_MAX
from bridge.domain.facts import Fact
from bridge.domain.refs import event_ref
from bridge.ingest.codes import COMMON, placing_of
from bridge.ingest.log import stored_fact
from bridge.ingest.memory import CodeEntry
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Outcome, Reason

if TYPE_CHECKING:
    from bridge.ingest.batch import Batch

_CLOSING: Final = TERMINAL | {E.UNPACK}
BESIDE: Final = CUSTODY | {E.PICK}
"""A code that such events scan beside more than `COMMON_ORDERS_MAX` orders is a shelf, a dock or a bin."""


class Moved(NamedTuple):
    """An event that belongs elsewhere now."""

    fact: Fact
    before: Placing
    now: Placing


class Placed(NamedTuple):
    """The placings of new events by their position in the log, and the earlier events that have moved."""

    fresh: dict[int, Placing]
    moved: list[Moved]


class Coding:
    """The evidence about codes as one batch sees it (`domain.codes.evidence.Known`), and the placing of its events.

    Args:
        fresh: new events, which no order has yet.
    """

    def __init__(self, batch: Batch, fresh: Sequence[Fact]) -> None:
        self._batch = batch
        self._rules = batch.memory.code_rules
        self._fresh = fresh
        self._by_key: dict[str, list[Fact]] = {}
        self._by_order: dict[str, list[Fact]] = {}
        self._voided: set[tuple[str, bytes]] = set()
        self._voids: dict[bytes, dict[int, Fact]] = {}
        """Voids by the id that they name: new ones, and those that were found on the way."""
        self._targets: dict[int, list[Fact]] = {}
        self._mentions: dict[str, list[Fact]] = {}
        self._before: dict[int, Placing] = {}
        """Where the earlier events belonged that were found on the way."""
        self._common: dict[str, bool] = {}
        self._dirty: set[str] = set()
        self._touched: dict[int, Fact] = {}
        """Events that a new void removes."""
        self._containers = Containers(self)
        self._placer = Placer(self, self._rules, self._containers, self._history)

    # --- placing ----------------------------------------------------------------------------------------------------------

    def place(self) -> Placed:
        """Place the new events, and every earlier one that they move."""
        for fact in self._fresh:
            self._register(fact)
        for fact in self._fresh:
            self._mark(fact)
        self._close()
        again = self._to_place_again()
        placings = {f.pos: self._placing(f) for f in again.values()}
        fresh = {f.pos: placings.get(f.pos) or self._placing(f) for f in self._fresh if f.type != E.VOID}
        moved = [
            Moved(f, self._before[f.pos], placings[f.pos]) for f in again.values() if f.pos not in fresh and not _same(self._before[f.pos], placings[f.pos])
        ]
        self._follow_voids(fresh, moved)
        self._write_codes(fresh, {m.fact.pos: m.now for m in moved})
        return Placed(fresh, moved)

    def _placing(self, fact: Fact) -> Placing:
        if fact.fault is not None:
            orders = ((fact.named, None),) if fact.named is not None else ()
            return Placing(orders, outcome=Outcome.REJECTED, reason=None if orders else Reason(fact.fault))
        if fact.uid in self._voided and not (placing := self._placer.place(fact)).orders:
            return placing._replace(outcome=Outcome.REJECTED, reason=Reason.VOIDED)
        return self._placer.place(fact)

    def _register(self, fact: Fact) -> None:
        for key in fact.keys:
            self._by_key.setdefault(key, []).append(fact)
        if fact.named is not None:
            self._by_order.setdefault(fact.named, []).append(fact)
            if fact.type == E.CREATED and (own := key_of(fact.named)) is not None:
                self._know(own, fact.named, is_beside=False)
        self._find_voids(fact)
        if isinstance(fact.body, bodies.Void):
            self._void(fact, self._targets_of(fact))

    def _void(self, void: Fact, targets: list[Fact]) -> None:
        assert isinstance(void.body, bodies.Void)
        self._voids.setdefault(void.body.ref, {})[void.pos] = void
        self._targets[void.pos] = targets
        if void.fault is None:
            self._voided.update(t.uid for t in targets if may_void(void, t))

    def _targets_of(self, void: Fact) -> list[Fact]:
        """The events with the id that a void names, from any device."""
        assert isinstance(void.body, bodies.Void)
        found = {f.uid: f for f in self._batch.new_facts.get(void.body.ref, ())}
        for row, rows in self._batch.tx.events_named(void.body.ref):
            if (row.device, row.id) not in found:
                fact = found[(row.device, row.id)] = stored_fact(row)
                self._before.setdefault(fact.pos, self._batch.placings.get(fact.pos) or placing_of(row, rows))
        return [found[uid] for uid in sorted(found)]

    # --- what is dirty ----------------------------------------------------------------------------------------------------

    def _mark(self, fact: Fact) -> None:
        """Mark the codes about which a new event may say something new."""
        if fact.type == E.VOID:
            for target in self._targets.get(fact.pos, ()):
                if target.type != E.VOID:
                    self._mark_codes(target)
                    self._touched[target.pos] = target
        elif fact.fault is None:
            self._mark_codes(fact)

    def _mark_codes(self, fact: Fact) -> None:
        self._dirty.update(fact.keys)
        order_id = fact.named
        if order_id is None:
            return
        if fact.type == E.CREATED:
            own = key_of(order_id)
            self._dirty.update(self._codes_of(order_id), () if own is None else (own,))
        elif (fact.type in _CLOSING and fact.code is None) or (fact.type == E.PACK and any(f.parcel is not None for f in self.closings(order_id))):
            self._dirty.update(self._codes_of(order_id))

    def _codes_of(self, order_id: str) -> Iterator[str]:
        yield from self._batch.order(order_id).codes
        for fact in self._by_order.get(order_id, ()):
            yield from fact.keys

    def _close(self) -> None:
        """Add the codes of labels that name no order and take that of a dirty code."""
        open_keys = list(self._dirty)
        while open_keys:
            key = open_keys.pop()
            for fact in self.mentions(key):
                if fact.type == E.LABELLED and fact.named is None and replaced(fact) == key and fact.code is not None and fact.code not in self._dirty:
                    self._dirty.add(fact.code)
                    open_keys.append(fact.code)

    def _to_place_again(self) -> dict[int, Fact]:
        """Everything that mentions a dirty code, and the scans of the containers that hang on one."""
        again = self._touched | {f.pos: f for key in self._dirty for f in self.mentions(key)}
        level, seen = set(self._dirty), set(self._dirty)
        for _ in range(DEPTH_MAX):
            level = {p for key in level for f in self.mentions(key) if f.type in CONTAINER_EVENTS and (p := parent_of(f)) is not None} - seen
            seen |= level
            again |= {f.pos: f for key in level for f in self.mentions(key) if f.type in CUSTODY}
        return {pos: f for pos, f in again.items() if f.fault is None and f.type != E.VOID}

    # --- voids follow what they void ----------------------------------------------------------------------------------------

    def _follow_voids(self, fresh: dict[int, Placing], moved: list[Moved]) -> None:
        now = {m.fact.pos: m.now for m in moved} | fresh
        for move in list(moved):
            for void in self._voids_of(move.fact, move.before):
                if void.pos not in self._targets:
                    self._void(void, self._targets_of(void))
        for voids in self._voids.values():
            for void in voids.values():
                placing = self._placing_of_void(void, now)
                if void in self._fresh:
                    fresh[void.pos] = placing
                elif not _same(before := self._placing_before(void), placing):
                    moved.append(Moved(void, before, placing))

    def _placing_of_void(self, void: Fact, now: dict[int, Placing]) -> Placing:
        if void.fault is not None:
            return Placing(outcome=Outcome.REJECTED, reason=Reason(void.fault))
        targets = self._targets.get(void.pos) or []
        if not targets:
            return Placing(outcome=Outcome.PARKED, reason=Reason.UNKNOWN_REFERENCE)
        if any(t.type == E.VOID for t in targets):
            return Placing(outcome=Outcome.REJECTED, reason=Reason.VOID_OF_VOID)
        orders = tuple((o, None) for o in sorted({o for t in targets for o in (now.get(t.pos) or self._placing_before(t)).order_ids}))
        if orders or any(may_void(void, t) for t in targets):
            return Placing(orders)
        return Placing(outcome=Outcome.REJECTED, reason=Reason.NOT_YOURS)

    def _voids_of(self, fact: Fact, before: Placing) -> Iterable[Fact]:
        """The voids of an event beside it in its orders. Those that wait with it were found with it."""
        for order_id in before.order_ids:
            yield from (v for v in self._batch.order(order_id).fold.voids if isinstance(v.body, bodies.Void) and v.body.ref == fact.id)

    def _placing_before(self, fact: Fact) -> Placing:
        known = self._before.get(fact.pos) or self._batch.placings.get(fact.pos)
        if known is None:
            ((row, rows),) = self._batch.tx.events_at([fact.pos])
            known = placing_of(row, rows)
        self._before[fact.pos] = known
        return known

    # --- the evidence (`domain.codes.evidence.Known`) ------------------------------------------------------------------------

    def code(self, key: str) -> CodeEntry:
        """What is known of a code, read from the store if it is not in memory."""
        return self._batch.memory.code(key, self._batch.tx)

    def mentions(self, key: str) -> Sequence[Fact]:
        found = self._mentions.get(key)
        if found is None:
            found = self._mentions[key] = self._gather(key)
        return found

    def _gather(self, key: str) -> list[Fact]:
        entry = self.code(key)
        found: dict[int, Fact] = {}
        for order_id in entry.orders:
            if order_id != COMMON:
                self._gather_from(order_id, key, found)
        for fact in entry.waiting.values():
            if key in fact.keys:
                self._note(fact, found, self._batch.placings.get(fact.pos) or Placing(outcome=Outcome.PARKED))
        for fact, placing in entry.inside.values():
            self._note(fact, found, placing)
            for order_id in placing.order_ids[:1]:
                if fact.uid in self._batch.order(order_id).fold.voided:
                    self._voided.add(fact.uid)
        for fact in self._by_key.get(key, ()):
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
            if not fact.inside:  # where the scan of a container belongs is known with the container
                self._before.setdefault(fact.pos, Placing(((order_id, fact.inside),), fact.refusal, fact.warn))

    def _note(self, fact: Fact, found: dict[int, Fact], placing: Placing) -> None:
        found.setdefault(fact.pos, fact)
        self._before.setdefault(fact.pos, placing)
        if not placing.orders:
            self._find_voids(fact)

    def _find_voids(self, fact: Fact) -> None:
        """Find the voids that name a new event, or one in no order."""
        if self._batch.memory.awaited and (ref := event_ref(fact.id)) in self._batch.memory.awaited:
            for void in self._batch.waiting_facts(ref).values():
                if void.pos not in self._targets:
                    self._void(void, self._targets_of(void))

    def mentions_of_container(self, key: str) -> Sequence[Fact]:
        return self.mentions(key)

    def put_in(self, key: str) -> Sequence[Fact]:
        return [f for f in self.mentions(key) if f.type == E.AGGREGATED and key in children_of(f)]

    def closings(self, order_id: str) -> Sequence[Fact]:
        return [f for f in self._of_order(order_id) if f.code is None and f.type in _CLOSING and self._counts(f)]

    def packs(self, order_id: str) -> Sequence[Fact]:
        return [f for f in self._of_order(order_id) if f.type == E.PACK and self._counts(f)]

    def created_ms(self, order_id: str) -> int | None:
        times = [f.event_ms for f in self._of_order(order_id) if f.type == E.CREATED and self._counts(f)]
        return min(times, default=None)

    def identity(self, key: str) -> str | None:
        return next((o for o in self.code(key).orders if o != COMMON and key_of(o) == key and self.created_ms(o) is not None), None)

    def is_voided(self, fact: Fact) -> bool:
        return fact.uid in self._voided

    def is_common(self, key: str) -> bool:
        known = self._common.get(key)
        if known is None:
            entry = self.code(key)
            known = entry.is_common or self._count_beside(key, entry) > COMMON_ORDERS_MAX
            self._common[key] = known
        return known

    def _count_beside(self, key: str, entry: CodeEntry) -> int:
        new = {f.named for f in self._by_key.get(key, ()) if f.type in BESIDE and f.named is not None and f.fault is None}
        return len(new | {o for o, is_beside in entry.orders.items() if is_beside}) if new else 0

    def _of_order(self, order_id: str) -> Iterator[Fact]:
        """The events that name an order and are placed in it, and the new ones that name it."""
        fold = self._batch.order(order_id).fold
        self._voided.update(fold.voided)
        yield from (f for f in fold.facts if f.named == order_id)
        yield from self._by_order.get(order_id, ())

    def _counts(self, fact: Fact) -> bool:
        return fact.fault is None and fact.uid not in self._voided

    def _history(self, key: str) -> History:
        entry = self.code(key)
        if entry.history is None or (key in self._dirty and entry.history.known is not self):
            entry.history = history_of(key, self, self._rules)
        entry.history.known = self
        return entry.history

    # --- the indexes ------------------------------------------------------------------------------------------------------

    def _write_codes(self, fresh: dict[int, Placing], moved: dict[int, Placing]) -> None:
        """Keep the index of the orders that know of each dirty code."""
        now = {**self._before, **moved, **fresh}
        for key in sorted(self._dirty):
            entry = self.code(key)
            if entry.is_common:
                continue
            wanted: dict[str, bool] = {o: False for o in entry.orders if key_of(o) == key}
            for fact in self.mentions(key):
                if fact.type in CONTAINER_EVENTS or fact.type == E.VOID or fact.fault is not None:
                    continue
                placing = now.get(fact.pos) or Placing()
                for order_id, inside in placing.orders:
                    if inside is None:
                        wanted.setdefault(order_id, False)
                if fact.named is not None:
                    wanted[fact.named] = wanted.get(fact.named, False) or fact.type in BESIDE
            if self.is_common(key):
                wanted = {COMMON: True} | {o: False for o in wanted if key_of(o) == key}
            for order_id in [o for o in entry.orders if o not in wanted]:
                self._batch.forget_code(key, order_id)
            for order_id, is_beside in wanted.items():
                if entry.orders.get(order_id) is not is_beside:
                    self._batch.know_code(key, order_id, is_beside)

    def _know(self, key: str, order_id: str, *, is_beside: bool) -> None:
        if order_id not in self.code(key).orders:
            self._batch.know_code(key, order_id, is_beside)


def _same(before: Placing, now: Placing) -> bool:
    """Whether nothing has changed for the orders of an event, or for the device that waits for its verdict."""
    return (before.orders, before.outcome) == (now.orders, now.outcome) and (not now.orders or (before.reason, before.warn) == (now.reason, now.warn))
