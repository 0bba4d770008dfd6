"""Places the events of a batch, and places earlier events again if what a code means has changed.

The law itself is in `domain.codes`. A new event makes codes dirty; everything that mentions a dirty code is placed again and compared. Nearly all of the
traffic needs none of that: an event without a code, the first scan of a new code, or a scan of a known label that comes later than all else about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.domain.codes.containers import Containers, parent_of
from bridge.domain.codes.evidence import CONTAINER_EVENTS, CUSTODY, TERMINAL, key_of, may_void, replaced
from bridge.domain.codes.history import History, is_article, is_asset, place_of
from bridge.domain.codes.place import Placer, Placing
from bridge.domain.codes.reading import history_of
from bridge.domain.codes.rules import CREATED_BEFORE_MS, DEPTH_MAX, matches
from bridge.domain.facts import Fact
from bridge.domain.members import E
from bridge.domain.refs import code_ref
from bridge.ingest.codes import COMMON
from bridge.ingest.evidence import BESIDE, CLOSING, Evidence
from devices.protocol.vocabulary import Outcome, Reason

if TYPE_CHECKING:
    from bridge.ingest.batch import Batch

_BINDING: Final = frozenset({E.PACK, E.LABELLED})
_MAY_TELL: Final = CLOSING | _BINDING | CONTAINER_EVENTS | {E.CREATED}
"""Events that may say something about codes even if they scan none."""


class Moved(NamedTuple):
    """An event that belongs elsewhere now."""

    fact: Fact
    before: Placing
    now: Placing


class Placed(NamedTuple):
    """The placings of new events by their position in the log, and the earlier events that have moved."""

    fresh: dict[int, Placing]
    moved: list[Moved]


def place_all(batch: Batch, fresh: Sequence[Fact]) -> Placed:
    """Place new events, and every earlier one that they move."""
    return Coding(batch, fresh).place()


class Coding:
    """The placing of the events of one flush.

    Args:
        fresh: new events, which no order has yet.
    """

    def __init__(self, batch: Batch, fresh: Sequence[Fact]) -> None:
        self._batch = batch
        self._rules = batch.memory.code_rules
        self._fresh = fresh
        self._evidence = Evidence(batch, fresh)
        self._placer = Placer(self._evidence, self._rules, Containers(self._evidence), self._history)
        self._histories: list[History] = []
        self._dirty: set[str] = set()
        self._in_orders: dict[str, Placing] = {}
        """The placing of an event that names its order and no code, by the order."""
        self._touched: dict[int, Fact] = {}
        """Events that a new void removes."""

    def place(self) -> Placed:
        """Place the new events, and every earlier one that they move."""
        self._read_codes()
        fresh: dict[int, Placing] = {}
        hard: list[Fact] = []
        for fact in self._fresh:
            placing = self._quickly(fact)
            if placing is not None:
                fresh[fact.pos] = placing
            else:
                hard.append(fact)
                if fact.fault is None:
                    self._dirty.update(fact.keys)
        moved = self._place_slowly(hard, fresh) if hard else []
        for history in self._histories:
            history.known = None
        del self._placer  # it refers to this object: without it the batch is freed at once
        return Placed(fresh, moved)

    def _read_codes(self) -> None:
        """Read what is known of the codes that the new events mention, in one query."""
        keys = {key for fact in self._fresh for key in fact.keys}
        keys.update(own for fact in self._fresh if fact.type == E.CREATED and fact.named is not None and (own := key_of(fact.named)) is not None)
        self._batch.memory.load_codes(keys, self._batch.tx)

    # --- quickly ----------------------------------------------------------------------------------------------------------

    def _quickly(self, fact: Fact) -> Placing | None:
        """The placing of an event that moves no other; None if it may move some."""
        if fact.type == E.VOID or (self._batch.memory.awaited and self._is_awaited(fact)):
            return None
        if fact.code is None and fact.named is not None and fact.type not in _MAY_TELL and fact.fault is None:
            return self._in_orders.get(fact.named) or self._in_order(fact.named)  # nearly every event
        if fact.fault is not None:
            return self._placing(fact)
        if fact.named is None:
            return self._scan(fact) if fact.type in CUSTODY and len(fact.keys) == 1 else None
        if len(fact.keys) == 1:
            return self._scan(fact) if fact.type in CUSTODY or fact.type in _BINDING else None
        if fact.keys:
            return None
        here = self._in_order(fact.named)
        if fact.type == E.CREATED:
            return here if self._create(fact.named) else None
        if fact.code is None and (fact.type in CLOSING or fact.type == E.PACK) and self._batch.order(fact.named).codes:
            return here if fact.type in TERMINAL and self._close_quickly(fact) else None
        return None if fact.code is not None and fact.type in _BINDING else here

    def _in_order(self, order_id: str) -> Placing:
        placing = self._in_orders[order_id] = Placing(((order_id, None),))
        return placing

    def _is_awaited(self, fact: Fact) -> bool:
        """Whether something waits for the event itself or for a code that it mentions."""
        awaited = self._batch.memory.awaited
        return any(code_ref(key) in awaited for key in fact.keys) or self._evidence.has_voids(fact)

    def _create(self, order_id: str) -> bool:
        """Record the creation of an order that no code knows of. Returns False if there may be more to it."""
        own, entry, memory = key_of(order_id), self._batch.order(order_id), self._batch.memory
        if own is None:
            return not entry.codes
        if entry.codes or own in self._dirty or self._evidence.new(own) or code_ref(own) in memory.awaited or memory.has_containers:
            return False
        if self._evidence.code(own).orders or any(f.keys for f in self._evidence.new_of(order_id)):
            return False
        self._batch.know_code(own, order_id, is_beside=False)
        return True

    def _scan(self, fact: Fact) -> Placing | None:
        """The placing of a scan of a new code by an event that names its order, or of a known label by the latest event about it."""
        (key,) = fact.keys
        if key in self._dirty or self._batch.memory.has_containers:
            return None
        entry = self._evidence.code(key)
        if entry.waiting or entry.is_common:
            return None
        history = entry.history
        if history is None:
            return self._first_scan(fact, key) if not entry.orders and fact.named is not None else self._again(fact, key)
        return self._later_scan(fact, key, history)

    def _again(self, fact: Fact, key: str) -> Placing | None:
        """Make the history of a known code from what is stored, if this is the only new event about it."""
        if len(self._evidence.new(key)) > 1 or fact.type not in CUSTODY:
            return None
        history = history_of(key, self._evidence, self._rules, without=fact)
        self._keep(key, history)
        return self._later_scan(fact, key, history)

    def _first_scan(self, fact: Fact, key: str) -> Placing | None:
        assert fact.named is not None
        at_ms = fact.event_ms
        if is_article(key) or is_asset(key) or matches(self._rules.at(at_ms).containers, key) or key == key_of(fact.named) or fact.type not in _BINDING:
            return None
        created_ms = self._evidence.created_ms(fact.named)
        if created_ms is None:
            return None
        if fact.type == E.PACK and any(f.parcel is not None for f in self._evidence.closings(fact.named)):
            return None
        history = History(key, self._evidence, self._rules)
        history.step(fact, fact.named, place_of(fact, max(at_ms, created_ms - CREATED_BEFORE_MS)))
        self._keep(key, history)
        self._batch.know_code(key, fact.named, is_beside=False)
        return Placing(((fact.named, None),))

    def _later_scan(self, fact: Fact, key: str, history: History) -> Placing | None:
        current = history.current
        if current is None or fact.type not in CUSTODY or fact.named not in (None, current.order_id) or history.has_identity:
            return None
        place = history.place_last(fact)
        if place is None:
            return None
        self._borrow(history)
        history.step(fact, fact.named, place)
        if fact.named is not None and not self._evidence.code(key).orders.get(fact.named):
            self._batch.know_code(key, fact.named, is_beside=True)
        return Placing(((current.order_id, None),))

    def _close_quickly(self, fact: Fact) -> bool:
        """Take a delivery, return or destruction without a scan as a sign of each code of its order, if it comes after all else about them."""
        assert fact.named is not None
        steps = []
        for key in self._batch.order(fact.named).codes:
            history = self._evidence.code(key).history
            if key in self._dirty or history is None or (place := history.place_last(fact)) is None:
                return False
            steps.append((history, place))
        for history, place in steps:
            self._borrow(history)
            history.step(fact, fact.named, place)
        return True

    # --- slowly -----------------------------------------------------------------------------------------------------------

    def _place_slowly(self, hard: list[Fact], fresh: dict[int, Placing]) -> list[Moved]:
        """Place again everything that the events may move, and follow with the voids and the indexes."""
        evidence = self._evidence
        for fact in hard:
            evidence.find_voids(fact)
            if fact.type == E.VOID:
                evidence.void(fact)
            elif fact.type == E.CREATED and fact.named is not None and fact.fault is None:
                own = key_of(fact.named)
                if own is not None and fact.named not in evidence.code(own).orders:
                    self._batch.know_code(own, fact.named, is_beside=False)
        for fact in hard:
            self._mark(fact)
        self._close()
        for key in self._dirty:
            evidence.code(key).history = None
        again = self._to_place_again()
        placings = {f.pos: self._placing(f) for f in again.values()}
        is_new = {f.pos for f in self._fresh}
        before = {pos: evidence.placing_before(f) for pos, f in again.items() if pos not in is_new}
        moved = [Moved(again[pos], was, placings[pos]) for pos, was in before.items() if not _same(was, placings[pos])]
        fresh |= {pos: placing for pos, placing in placings.items() if pos in is_new}
        fresh |= {f.pos: self._placing(f) for f in hard if f.type != E.VOID and f.pos not in placings}
        self._follow_voids(fresh, moved)
        self._write_codes(fresh, {m.fact.pos: m.now for m in moved})
        return moved

    def _placing(self, fact: Fact) -> Placing:
        if fact.fault is not None:
            if fact.named is not None and fact.arrived_in is not None:
                return Placing(((fact.named, None),))  # its order rejects it
            reason = Reason(fact.fault)
            return Placing(outcome=Outcome.NOOP if reason is Reason.REPEATED else Outcome.REJECTED, reason=reason)
        placing = self._placer.place(fact)
        if not placing.orders and self._evidence.is_voided(fact):
            return placing._replace(outcome=Outcome.REJECTED, reason=Reason.VOIDED)
        return placing

    def _mark(self, fact: Fact) -> None:
        """Mark the codes about which a new event may say something new."""
        if fact.type == E.VOID:
            for target in self._evidence.targets.get(fact.pos, ()):
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
            self._dirty.update(self._evidence.codes_of(order_id), () if own is None else (own,))
        elif (fact.type in CLOSING and fact.code is None) or (fact.type == E.PACK and any(f.parcel is not None for f in self._evidence.closings(order_id))):
            self._dirty.update(self._evidence.codes_of(order_id))

    def _close(self) -> None:
        """Add the codes of labels that name no order and take that of a dirty code."""
        open_keys = list(self._dirty)
        while open_keys:
            key = open_keys.pop()
            for fact in self._evidence.mentions(key):
                if fact.type == E.LABELLED and fact.named is None and replaced(fact) == key and fact.code is not None and fact.code not in self._dirty:
                    self._dirty.add(fact.code)
                    open_keys.append(fact.code)

    def _to_place_again(self) -> dict[int, Fact]:
        """Everything that mentions a dirty code, and the scans of the containers that hang on one."""
        mentions = self._evidence.mentions
        again = self._touched | {f.pos: f for key in self._dirty for f in mentions(key)}
        level, seen = set(self._dirty), set(self._dirty)
        for _ in range(DEPTH_MAX):
            level = {p for key in level for f in mentions(key) if f.type in CONTAINER_EVENTS and (p := parent_of(f)) is not None} - seen
            seen |= level
            again |= {f.pos: f for key in level for f in mentions(key) if f.type in CUSTODY}
        return {pos: f for pos, f in again.items() if f.fault is None and f.type != E.VOID}

    def _history(self, key: str) -> History:
        entry = self._evidence.code(key)
        if entry.history is None:
            self._keep(key, history_of(key, self._evidence, self._rules))
        assert entry.history is not None
        self._borrow(entry.history)
        return entry.history

    def _keep(self, key: str, history: History) -> None:
        self._evidence.code(key).history = history
        self._histories.append(history)

    def _borrow(self, history: History) -> None:
        """Let a history that was kept read this batch's evidence, until the end of the flush."""
        if history.known is not self._evidence:
            history.known = self._evidence
            self._histories.append(history)

    # --- voids follow what they void ----------------------------------------------------------------------------------------

    def _follow_voids(self, fresh: dict[int, Placing], moved: list[Moved]) -> None:
        evidence = self._evidence
        now = {m.fact.pos: m.now for m in moved} | fresh
        for move in list(moved):
            for void in evidence.voids_of(move.fact, move.before):
                if void.pos not in evidence.targets:
                    evidence.void(void)
        is_new = {f.pos for f in self._fresh}
        for voids in evidence.voids.values():
            for void in voids.values():
                placing = self._placing_of_void(void, now)
                if void.pos in is_new:
                    fresh[void.pos] = placing
                elif not _same(before := evidence.placing_before(void), placing):
                    moved.append(Moved(void, before, placing))

    def _placing_of_void(self, void: Fact, now: dict[int, Placing]) -> Placing:
        if void.fault is not None:
            return Placing(outcome=Outcome.REJECTED, reason=Reason(void.fault))
        targets = self._evidence.targets.get(void.pos) or []
        if not targets:
            return Placing(outcome=Outcome.PARKED, reason=Reason.UNKNOWN_REFERENCE)
        if any(t.type == E.VOID for t in targets):
            return Placing(outcome=Outcome.REJECTED, reason=Reason.VOID_OF_VOID)
        orders = {o for t in targets for o in (now.get(t.pos) or self._evidence.placing_before(t)).order_ids}
        if orders or any(may_void(void, t) for t in targets):
            return Placing(tuple((o, None) for o in sorted(orders)))
        return Placing(outcome=Outcome.REJECTED, reason=Reason.NOT_YOURS)

    # --- the index ----------------------------------------------------------------------------------------------------------

    def _write_codes(self, fresh: dict[int, Placing], moved: dict[int, Placing]) -> None:
        """Keep the index of the orders that know of each dirty code."""
        now = {**self._evidence.before, **moved, **fresh}
        for key in sorted(self._dirty):
            entry = self._evidence.code(key)
            if entry.is_common:
                continue
            wanted = {o: False for o in entry.orders if key_of(o) == key}
            for fact in self._evidence.mentions(key):
                if fact.type in CONTAINER_EVENTS or fact.type == E.VOID or fact.fault is not None:
                    continue
                for order_id, inside in now.get(fact.pos, Placing()).orders:
                    if inside is None:
                        wanted.setdefault(order_id, False)
                if fact.named is not None:
                    wanted[fact.named] = wanted.get(fact.named, False) or fact.type in BESIDE
            if self._evidence.is_common(key):
                wanted = {COMMON: True} | {o: False for o in wanted if key_of(o) == key}
            for order_id in [o for o in entry.orders if o not in wanted]:
                self._batch.forget_code(key, order_id)
            for order_id, is_beside in wanted.items():
                if entry.orders.get(order_id) is not is_beside:
                    self._batch.know_code(key, order_id, is_beside=is_beside)


def _same(before: Placing, now: Placing) -> bool:
    """Whether nothing has changed for the orders of an event, or for the device that waits for its verdict."""
    if (before.orders, before.outcome, before.loser) != (now.orders, now.outcome, now.loser):
        return False
    return not now.orders or (before.reason, before.warn) == (now.reason, now.warn)
