"""The fold: the same facts give the same order, however and whenever they arrived.

`fold(facts)` is the law in one line. `OrderFold` is the same thing kept warm: it takes one fact after the other, applies only the new one if that comes
last in time, and applies all of them again if it does not. Properties in the tests hold the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from bridge.domain.facts import APPLIED, DECIDED, Decided, Fact, Verdict, refusal, same_answer
from bridge.domain.order import Order, apply
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType, Outcome, Reason, Role

Uid = tuple[str, bytes]

_MAY_VOID_ANY = frozenset({Role.DESK, Role.SYSTEM})
_VOID = EventType.VOID
_CREATED = EventType.CREATED
_NEVER_LATE = frozenset({_CREATED, _VOID, DECIDED, EventType.CLAIM, EventType.DECLINE})
"""Types that are never late: they are decided when they arrive, or change which facts there are."""


class Folded(NamedTuple):
    """What adding one fact did: its verdict (`late` if it sorts before the last fact and changed nothing), and the verdicts of others that changed."""

    verdict: Verdict
    changed: dict[Uid, Verdict]


def fold(order_id: str, facts: Iterable[Fact]) -> OrderFold:
    """The order that a set of facts makes. Their sequence and repetitions do not matter."""
    whole = OrderFold(order_id)
    whole.load(facts)
    return whole


class OrderFold:
    """The facts of one order sorted by time, the order that they make, and a verdict for each."""

    __slots__ = ("_latest", "facts", "id", "order", "verdicts", "voids")

    def __init__(self, order_id: str) -> None:
        self.id = order_id
        self.order = Order(order_id)
        self.facts: list[Fact] = []
        self.voids: list[Fact] = []
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

    def load(self, facts: Iterable[Fact]) -> None:
        """Add many facts at once."""
        known = set(self.verdicts)
        for fact in facts:
            if fact.uid not in known:
                known.add(fact.uid)
                self._keep(fact)
        self._apply_all()

    def add(self, fact: Fact) -> Folded:
        """Add one fact. A fact that is already there changes nothing and gets its verdict again."""
        known = self.verdicts.get(fact.uid)
        if known is not None:
            return Folded(known, {})
        if self._place_last(fact):
            self._keep(fact)
            return self._apply_last(fact)
        before = self.verdicts
        state_before = self._signature()
        self._keep(fact)
        self._apply_all()
        changed = {
            uid: verdict
            for uid, verdict in self.verdicts.items()
            if uid != fact.uid and (was := before[uid]) is not verdict and not same_answer(was.outcome, was.reason, verdict)
        }
        verdict = self.verdicts[fact.uid]
        if verdict.outcome is Outcome.APPLIED and fact.type not in _NEVER_LATE and fact is not self.facts[-1] and self._signature() == state_before:
            verdict = verdict._replace(outcome=Outcome.LATE)
        return Folded(verdict, changed)

    # --- applying ---------------------------------------------------------------------------------------------------------

    def _keep(self, fact: Fact) -> None:
        if fact.type == _VOID:
            self.voids.append(fact)
        else:
            self.facts.append(fact)

    def _place_last(self, fact: Fact) -> bool:
        """Place a fact after all that are applied. Returns False if it does not belong there, so that all have to be applied again."""
        if fact.type in (_VOID, DECIDED, _CREATED) or self.voids or not self.exists:
            return False
        if fact.ordered_by_seq:
            stream = (fact.device, fact.log)
            latest = self._latest.get(stream)
            if latest is not None:
                if fact.seq <= latest[0]:
                    return False
                if latest[1] > fact.event_ms:
                    fact.place(latest[1])
        return not self.facts or self.facts[-1].key < fact.key

    def _apply_last(self, fact: Fact) -> Folded:
        if fact.ordered_by_seq:
            self._latest[(fact.device, fact.log)] = (fact.seq, fact.order_ms)
        verdict = self.verdicts[fact.uid] = apply(self.order, fact)
        return Folded(verdict, {})

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
        order.decisions = {(f.body.device, f.body.ref): (f.body.outcome, f.body.reason) for f in self.facts if isinstance(f.body, Decided)}
        voided = self._judge_voids()
        self._place_all(voided)
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
            if ref in void_ids:
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
        parcels = tuple((p.id, p.state, p.where, p.code, frozenset(p.flags)) for p in order.parcels.values())
        return (order.created is not None, order.state, order.partial, frozenset(order.flags), frozenset(order.holds), frozenset(parcels))


def _by_seq(fact: Fact) -> tuple[int, bytes]:
    return (fact.seq, fact.id)


def _by_key(fact: Fact) -> tuple[int, int, str, bytes, int, bytes]:
    return fact.key


def _unknown_order(fact: Fact) -> Verdict:
    if fact.fault is not None:
        return refusal(Outcome.REJECTED, Reason(fact.fault))
    return refusal(Outcome.PARKED, Reason.UNKNOWN_ORDER)
