"""Reads the stored evidence about a code into its history, in the order of time."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.domain.codes.evidence import Known, replaced, time_key
from bridge.domain.codes.history import LONG_AGO, History, Place, Uid, place_of
from bridge.domain.codes.rules import CREATED_BEFORE_MS, DatedRules
from bridge.domain.facts import Fact
from bridge.domain.members import E


def history_of(key: str, known: Known, rules: DatedRules, *, before: Fact | None = None, without: Fact | None = None) -> History:
    """The history of a code, from everything that is stored about it.

    Args:
        before: only evidence that comes before this event in time, and every creation (used to find the order of a label that only names what it replaces).
        without: this event is left out.
    """
    history = History(key, known, rules)
    for place, fact, order_id in _steps(history, known, rules, before):
        if fact is not without:
            history.step(fact, order_id, place)
    return history


def _steps(history: History, known: Known, rules: DatedRules, before: Fact | None) -> list[tuple[Place, Fact, str | None]]:
    """Every event of the history, in its order."""
    end = time_key(before) if before is not None else None
    timed: list[tuple[int, Fact, str | None]] = []
    orders: dict[str, None] = {}
    for fact in known.mentions(history.key):
        if fact.fault is not None or fact.type in (E.VOID, E.CREATED) or known.is_voided(fact) or (end is not None and time_key(fact) >= end):
            continue
        order_id = order_named_by(fact, known, rules)
        at_ms = fact.event_ms
        if history.binds(fact, order_id):
            assert order_id is not None
            created_ms = known.created_ms(order_id)
            if created_ms is None:
                continue  # the label of an order that was never created says nothing
            at_ms = max(at_ms, created_ms - CREATED_BEFORE_MS)
            orders[order_id] = None
        timed.append((at_ms, fact, order_id))
    for order_id in orders:
        timed += [(f.event_ms, f, order_id) for f in known.closings(order_id) if end is None or time_key(f) < end]
    latest = _latest(fact for _, fact, _ in timed)
    steps = []
    for at_ms, fact, named in timed:
        at_ms = max(at_ms, latest.get(fact.uid, at_ms))
        steps.append((place_of(fact, at_ms), fact, named))
    steps.sort(key=_by_place)
    return steps


def _latest(facts: Iterable[Fact]) -> dict[Uid, int]:
    """The latest time among the events of the same (device, log) up to each one's seq: one device's events never swap.

    Systems retry and reshuffle, and a number that another event had before orders nothing.
    """
    found: dict[Uid, int] = {}
    top: dict[tuple[str, bytes], int] = {}
    for fact in sorted((f for f in facts if f.ordered_by_seq), key=_by_seq):
        stream = (fact.device, fact.log)
        found[fact.uid] = top[stream] = max(top.get(stream, LONG_AGO), fact.event_ms)
    return found


def order_named_by(fact: Fact, known: Known, rules: DatedRules) -> str | None:
    """The order that an event names. A label without one takes the order of the code that it replaces, by what happened before it."""
    if fact.named is not None or fact.type != E.LABELLED or (old := replaced(fact)) is None:
        return fact.named
    return history_of(old, known, rules, before=fact).holder(fact.event_ms, looks_ahead=True).order_id


def _by_seq(fact: Fact) -> tuple[str, bytes, int, bytes]:
    return (fact.device, fact.log, fact.seq, fact.id)


def _by_place(step: tuple[Place, Fact, str | None]) -> Place:
    return step[0]
