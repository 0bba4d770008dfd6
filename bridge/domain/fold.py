"""The fold: the same facts give the same order, however and whenever they arrived.

`fold(facts)` is the law in one line. `OrderFold` is the same thing kept warm: it takes one fact after the other, applies only the new one if that comes
last in time, and applies all of them again if it does not. Properties in the tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from bridge.domain.facts import APPLIED, DECIDED, Decided, Fact, Verdict, refusal, same_answer
from bridge.domain.members import OUTCOME
from bridge.domain.order import Order, apply
from bridge.domain.order.sending import sending_of
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType, Outcome, Reason, Role

Uid = tuple[str, bytes]

_MAY_VOID_ANY = frozenset({Role.DESK, Role.SYSTEM})
_VOID = EventType.VOID
_CREATED = EventType.CREATED
_NEVER_LATE = frozenset({_CREATED, _VOID, DECIDED, EventType.CLAIM, EventType.DECLINE})
"""Types that are never late: they are decided when they arrive, or change which facts there are."""


class Added(NamedTuple):
    """What adding one fact did: its verdict, and the verdicts of others that changed."""

    verdict: Verdict
    changed: dict[Uid, Verdict]


class Folded(NamedTuple):
    """What a change of the facts did: the verdicts of the facts that were added, and the verdicts of others that changed.

    A fact is `late` if it sorts before the last one, and nothing that is visible now has changed.
    """

    added: dict[Uid, Verdict]
    changed: dict[Uid, Verdict]


def fold(order_id: str, facts: Iterable[Fact]) -> OrderFold:
    """The order that a set of facts makes. Their sequence and repetitions do not matter."""
    whole = OrderFold(order_id)
    whole.load(facts)
    return whole


class OrderFold:
    """The facts of one order sorted by time, the order that they make, and a verdict for each.

    `voided` are the facts that a void has removed.
    """

    __slots__ = ("_latest", "facts", "id", "order", "verdicts", "voided", "voids")

    def __init__(self, order_id: str) -> None:
        self.id = order_id
        self.order = Order(order_id)
        self.facts: list[Fact] = []
        self.voids: list[Fact] = []
        self.voided: set[Uid] = set()
        self.verdicts: dict[Uid, Verdict] = {}
        self._latest: dict[tuple[str, bytes], tuple[int, int]] = {}

    @property
    def size(self) -> int:
        """How many facts it holds, voids included."""
        return len(self.facts) + len(self.voids)

    @property
    def exists(self) -> bool:
        """Whether the order was created. Until then all its facts wait."""
        return self.order.created is not None

    @property
    def created_ms(self) -> int | None:
        """When the order was created first; None if it was not."""
        times = []
        for fact in self.facts:
            if fact.type != _CREATED:
                break  # creations sort first
            if fact.fault is None and fact.uid not in self.voided:
                times.append(fact.event_ms)
        return min(times, default=None)

    def load(self, facts: Iterable[Fact]) -> None:
        """Add many facts at once."""
        for fact in {f.uid: f for f in facts if f.uid not in self.verdicts}.values():
            (self.voids if fact.type == _VOID else self.facts).append(fact)
        self._apply_all()

    def add(self, fact: Fact) -> Added:
        """Add one fact. A fact that is already there changes nothing and gets its verdict again."""
        if (known := self.verdicts.get(fact.uid)) is not None:
            return Added(known, {})
        done = self.change((fact,))
        return Added(done.added[fact.uid], done.changed)

    def change(self, added: Iterable[Fact], removed: Collection[Uid] = ()) -> Folded:
        """Take facts out and add others. Facts that come last in time are applied one after the other; for the others all facts are applied again, once."""
        fresh = {f.uid: f for f in added if f.uid not in self.verdicts or f.uid in removed}
        late = list(fresh.values())
        if not removed:
            self._learn(late)
            late = self._apply_in_time(sorted(late, key=_by_key) if len(late) > 1 else late)
            if not late:
                return Folded({uid: self.verdicts[uid] for uid in fresh}, {})
        before, state_before = self.verdicts, self._signature()
        if removed:
            self.facts = [f for f in self.facts if f.uid not in removed]
            self.voids = [f for f in self.voids if f.uid not in removed]
        for fact in late:
            (self.voids if fact.type == _VOID else self.facts).append(fact)
        self._apply_all()
        is_same = self._signature() == state_before
        verdicts = {uid: self._late(fact, is_same=is_same) for uid, fact in fresh.items()}
        return Folded(verdicts, {uid: verdict for uid, verdict in self.verdicts.items() if uid not in fresh and _differs(before.get(uid), verdict)})

    def _apply_in_time(self, facts: Sequence[Fact]) -> list[Fact]:
        """Apply those that come last, in their order. Returns the others: as soon as one has to go between, those after it may have to as well."""
        for nth, fact in enumerate(facts):
            if not self._place_last(fact):
                return list(facts[nth:])
            self.facts.append(fact)
            self._apply_last(fact)
        return []

    def _late(self, fact: Fact, *, is_same: bool) -> Verdict:
        verdict = self.verdicts[fact.uid]
        is_last = bool(self.facts) and fact is self.facts[-1]
        if verdict.outcome is OUTCOME.APPLIED and fact.type not in _NEVER_LATE and not is_last and is_same:
            return verdict._replace(outcome=Outcome.LATE)
        return verdict

    # --- applying ---------------------------------------------------------------------------------------------------------

    def _place_last(self, fact: Fact) -> bool:
        """Place a fact after all that are applied. Returns False if it does not belong there, so that all have to be applied again."""
        if fact.type in (_VOID, _CREATED):
            return fact.type == _CREATED and not self.facts and not self.voids
        if not self.exists or (self.voids and self._is_voided(fact)):
            return False
        if fact.ordered_by_seq:
            stream = (fact.device, fact.log)
            latest = self._latest.get(stream)
            if latest is not None:
                if fact.seq <= latest[0]:
                    return False
                if latest[1] > fact.event_ms:
                    fact.place(latest[1])
        return (not self.facts or self.facts[-1].key < fact.key) and self.order.takes_last(fact)

    def _is_voided(self, fact: Fact) -> bool:
        """Whether a void that is already there names this fact."""
        return any(isinstance(v.body, bodies.Void) and v.body.ref == fact.id for v in self.voids)

    def _learn(self, facts: Iterable[Fact]) -> None:
        """How couriers' answers have ended: they are known before any fact is applied."""
        for fact in facts:
            if fact.type != DECIDED:
                continue
            assert isinstance(fact.body, Decided)
            self.order.decisions[(fact.body.device, fact.body.ref)] = (fact.body.outcome, fact.body.reason)

    def _apply_last(self, fact: Fact) -> Verdict:
        if fact.ordered_by_seq:
            self._latest[(fact.device, fact.log)] = (fact.seq, fact.order_ms)
        verdict = self.verdicts[fact.uid] = apply(self.order, fact)
        return verdict

    def _place_all(self, voided: set[Uid]) -> None:
        """Give every fact its place: along one device's log, time never runs backwards. A voided fact moves no other."""
        streams: dict[tuple[str, bytes], list[Fact]] = {}
        for fact in self.facts:
            if fact.uid in voided:
                fact.place(fact.event_ms)
            elif fact.ordered_by_seq:
                streams.setdefault((fact.device, fact.log), []).append(fact)
        self._latest = {}
        for stream, facts in streams.items():
            facts.sort(key=_by_seq)
            latest = 0
            for fact in facts:
                latest = max(latest, fact.event_ms)
                if fact.order_ms != latest:
                    fact.place(latest)
            self._latest[stream] = (facts[-1].seq, latest)
        self.facts.sort(key=_by_key)

    def _apply_all(self) -> None:
        self.order = order = Order(self.id)
        self.verdicts = {}
        self._learn(self.facts)
        voided = self.voided = self._judge_voids()
        self._place_all(voided)
        order.open_book(f for f in self.facts if f.uid not in voided)
        created = any(f.type == _CREATED and f.fault is None and f.uid not in voided for f in self.facts)
        for fact in self.facts:
            if fact.uid in voided:
                self.verdicts[fact.uid] = refusal(Outcome.REJECTED, Reason.VOIDED)
            else:
                self.verdicts[fact.uid] = apply(order, fact) if created else _unknown_order(fact)

    def _judge_voids(self) -> set[Uid]:
        """Give each void its verdict. Returns the facts that are voided. A device voids its own facts; desk and system void any."""
        voided: set[Uid] = set()
        void_ids = {f.id for f in self.voids}
        by_id: dict[bytes, list[Fact]] = {}
        for fact in self.facts:
            by_id.setdefault(fact.id, []).append(fact)
        for void in self.voids:
            assert isinstance(void.body, bodies.Void)
            ref = void.body.ref
            targets = by_id.get(ref, [])
            mine = [f for f in targets if f.device == void.device or void.role in _MAY_VOID_ANY]
            if void.fault is not None:
                self.verdicts[void.uid] = refusal(Outcome.REJECTED, Reason(void.fault))
            elif ref in void_ids:
                self.verdicts[void.uid] = refusal(Outcome.REJECTED, Reason.VOID_OF_VOID)
            elif not targets:
                self.verdicts[void.uid] = refusal(Outcome.PARKED, Reason.UNKNOWN_REFERENCE)
            elif not mine:
                self.verdicts[void.uid] = refusal(Outcome.REJECTED, Reason.NOT_YOURS)
            else:
                voided.update(f.uid for f in mine)
                self.verdicts[void.uid] = APPLIED
        return voided

    def _signature(self) -> tuple[object, ...]:
        """What a fact has to change to be `applied` and not `late`, if it sorts before the last one."""
        order = self.order
        parcels = tuple((p.id, p.state, p.where, tuple(order.codes(p)), frozenset(p.flags), sending_of(order, p)) for p in order.parcels.values())
        return (order.created is not None, order.state, order.partial, frozenset(order.flags), frozenset(order.holds), frozenset(parcels))


def _differs(before: Verdict | None, now: Verdict) -> bool:
    return before is not None and before is not now and not same_answer(before.outcome, before.reason, now)


def _by_seq(fact: Fact) -> tuple[int, bytes]:
    return (fact.seq, fact.id)


_by_key = attrgetter("key")


def _unknown_order(fact: Fact) -> Verdict:
    if fact.fault is not None:
        return refusal(Outcome.REJECTED, Reason(fact.fault))
    return refusal(Outcome.PARKED, Reason.UNKNOWN_ORDER)
