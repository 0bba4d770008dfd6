"""Placing: the orders that an event belongs to, from what it says itself and from the histories of the codes that it scans.

One table: the kind of event, and whether it names no order, the order that holds the code, or another one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from bridge.domain.codes.containers import Containers, children_of, parent_of
from bridge.domain.codes.evidence import BACKWARD, CUSTODY, Known, replaced, time_key
from bridge.domain.codes.history import History, Holder
from bridge.domain.codes.reading import order_named_by
from bridge.domain.codes.rules import NEAR_MS, DatedRules
from bridge.domain.facts import Fact
from bridge.domain.members import E
from devices.protocol.vocabulary import Next, Outcome, Reason, Warn

_PREPARATION: Final = frozenset({E.PICK, E.PACK, E.UNPACK})
WITHOUT_ORDER: Final = frozenset({E.SHIFT_STARTED, E.SHIFT_ENDED, E.BREAK_STARTED, E.BREAK_ENDED, E.CASH_COUNTED})
Codes = tuple[str, ...]


class Placing(NamedTuple):
    """Where an event belongs.

    `orders` are the orders, each with the codes inside the scanned container that are parcels of it; None for an event that is about no container. `reason` is
    why the event can't count, `warn` what was odd about it. `waits` are the codes that would have to become known. `outcome` is the verdict of an event in no
    order. `loser` is the order from whose parcel a label took its code, and that code: it must hear of it, and has no say.
    """

    orders: tuple[tuple[str, Codes | None], ...] = ()
    reason: Reason | None = None
    warn: tuple[Warn, ...] = ()
    waits: Codes = ()
    outcome: Outcome = Outcome.APPLIED
    next: Next | None = None
    loser: tuple[str, str] | None = None

    @property
    def order_ids(self) -> tuple[str, ...]:
        return tuple(order_id for order_id, _ in self.orders)


def _waits(*keys: str, next_step: Next | None = None) -> Placing:
    return Placing(waits=keys, outcome=Outcome.PARKED, reason=Reason.UNKNOWN_PARCEL, next=next_step)


ORDER_NEEDED: Final = Placing(outcome=Outcome.REJECTED, reason=Reason.ORDER_NEEDED)


class Placer:
    """Places events by the histories of their codes.

    Args:
        history: the history of a code; the caller remembers it.
    """

    __slots__ = ("_containers", "_history", "_known", "_rules")

    def __init__(self, known: Known, rules: DatedRules, containers: Containers, history: Callable[[str], History]) -> None:
        self._known = known
        self._rules = rules
        self._containers = containers
        self._history = history

    def place(self, fact: Fact) -> Placing:
        """Place an event that has no fault and is not a void."""
        if fact.type in (E.AGGREGATED, E.DISAGGREGATED):
            return self._container_event(fact)
        if fact.type == E.LABELLED:
            return self._label(fact)
        if fact.code is None:
            if fact.named is not None:
                return _named(fact)
            return Placing() if fact.type in WITHOUT_ORDER else ORDER_NEEDED
        history = self._history(fact.code)
        is_container = history.is_container(fact.event_ms)
        if fact.type in (E.PICK, E.PACK) and (history.is_article or fact.article is not None or is_container):
            if fact.named is None:
                return ORDER_NEEDED
            if is_container:
                return Placing(((fact.named, ()),))
            return _named(fact, *((Warn.ARTICLE_SCANNED,) if fact.type == E.PACK else ()))
        if fact.type in CUSTODY and (inside := self._containers.contents(fact.code, time_key(fact))):
            return self._scan_of_container(fact, history, inside)
        if fact.named is not None:
            return Placing(((fact.named, ()),)) if is_container and history.identity(fact.event_ms) is None else self._named_and_scanned(fact, history)
        return _scanned(history.holder(history.at(fact), looks_ahead=fact.type not in BACKWARD), history, fact.code)

    # --- the rows of the table --------------------------------------------------------------------------------------------

    def _label(self, fact: Fact) -> Placing:
        order_id = order_named_by(fact, self._known, self._rules)
        if order_id is None:
            old = replaced(fact)
            return _waits(old) if old is not None else ORDER_NEEDED
        assert fact.code is not None
        history = self._history(fact.code)
        orders = ((order_id, None),)
        if history.is_container(fact.event_ms):
            return Placing(orders, Reason.CONTAINER)
        if fact.uid in history.refused:
            return Placing(orders, Reason.CODE_TAKEN)
        if (loser := history.moved.get(fact.uid)) is not None:
            return Placing(orders, warn=(Warn.LABEL_MOVED,), loser=(loser, fact.code))
        return Placing(orders)

    def _named_and_scanned(self, fact: Fact, history: History) -> Placing:
        at_ms = history.at(fact)
        if fact.type == E.PACK:
            identity = history.identity(at_ms)
            is_wrong = fact.uid in history.refused or identity not in (None, fact.named)
            return _named(fact, reason=Reason.WRONG_PARCEL) if is_wrong else _named(fact)
        bound = history.bound(at_ms, NEAR_MS, looks_ahead=fact.type not in BACKWARD)
        if bound.order_id is not None and bound.order_id != fact.named:
            if fact.type in _PREPARATION:
                return _named(fact, reason=Reason.WRONG_PARCEL)
            return Placing(((bound.order_id, None),), warn=(Warn.MISLOAD,))
        return _named(fact, *((Warn.ARTICLE_SCANNED,) if history.is_article and bound.order_id is None else ()))

    def _container_event(self, fact: Fact) -> Placing:
        """`aggregated` and `disaggregated` are in no order. Unknown children wait for their labels."""
        parent = parent_of(fact)
        if parent is None:
            return Placing(outcome=Outcome.REJECTED, reason=Reason.UNREADABLE_CODE)
        unknown = self._unknown(fact, children_of(fact))
        warn: tuple[Warn, ...] = (Warn.SOME_UNKNOWN,) if unknown else ()
        if fact.type == E.AGGREGATED and self._containers.was_reopened(fact):
            warn += (Warn.CONTAINER_REOPENED,)
        return Placing(warn=warn, waits=unknown)

    def _unknown(self, fact: Fact, children: Iterable[str]) -> Codes:
        return tuple(key for key in children if self._holder(fact, key).order_id is None and not self._was_filled(key, fact))

    def _scan_of_container(self, fact: Fact, history: History, inside: list[str]) -> Placing:
        """A scan of a container is a scan of everything that is inside. The container may itself be a parcel: two orders in one box."""
        codes: dict[str, list[str]] = {}
        own = self._holder(fact, history.key)
        if own.order_id is not None and not own.is_hint:
            codes[own.order_id] = [history.key]
        unknown = []
        for key in inside:
            order_id = self._holder(fact, key).order_id
            if order_id is not None:
                codes.setdefault(order_id, []).append(key)
            elif not self._was_filled(key, fact):
                unknown.append(key)
        warn: tuple[Warn, ...] = (Warn.MISLOAD,) if fact.named is not None and fact.named not in codes else ()
        if unknown:
            warn += (Warn.SOME_UNKNOWN,)
        if not codes:
            return _waits(history.key, *unknown)
        return Placing(tuple((order_id, tuple(keys)) for order_id, keys in sorted(codes.items())), warn=warn, waits=tuple(unknown))

    def _holder(self, fact: Fact, key: str) -> Holder:
        history = self._history(key)
        return history.holder(history.at(fact), looks_ahead=fact.type not in BACKWARD)

    def _was_filled(self, key: str, by: Fact) -> bool:
        """Whether something had been put into this code before an event: then it is a container, not an unknown label."""
        end, known = time_key(by), self._known
        fillings = (f for f in known.mentions(key) if f.type == E.AGGREGATED and f.fault is None and not known.is_voided(f) and time_key(f) <= end)
        return any(parent_of(f) == key for f in fillings)


def _named(fact: Fact, *warn: Warn, reason: Reason | None = None) -> Placing:
    assert fact.named is not None
    return Placing(((fact.named, None),), reason, warn)


def _scanned(holder: Holder, history: History, key: str) -> Placing:
    if holder.order_id is not None:
        return Placing(((holder.order_id, None),), warn=(Warn.OLD_LABEL,) if holder.is_old else ())
    is_ambiguous = holder.is_many or history.is_article
    return _waits(key, next_step=Next.SCAN_PARCEL if is_ambiguous else None)
