"""Fold each order once for everything that enters and leaves it, and give each event the verdict that follows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import cbor2

from bridge.domain.codes.place import Placing
from bridge.domain.facts import DECIDED, Decided, Fact, Verdict, refusal, same_answer
from bridge.domain.members import OUTCOME
from bridge.domain.refs import Ref, code_ref, event_ref, order_ref
from bridge.ingest.batch import Answer, Arrived, Batch, Ruled
from bridge.ingest.coding import Placed
from bridge.ingest.log import EVENTS, PLAIN, EventRow
from bridge.ingest.memory import OrderEntry
from bridge.ingest.waiting import park, unpark
from bridge.words import counted
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType, Outcome, Reason

_COUNTS_LINES: Final = frozenset({EventType.PICK, EventType.PACK})
"""Events whose receipt lists what is left to pick."""
Uid = tuple[str, bytes]


class Change:
    """What enters and leaves one order."""

    __slots__ = ("added", "removed")

    def __init__(self) -> None:
        self.added: list[Fact] = []
        self.removed: set[Uid] = set()


def fold_all(batch: Batch, arrived: Sequence[Arrived], placed: Placed, changes: dict[str, Change]) -> None:
    """Fold every order that changes. New events get their verdicts in the order of arrival; then those of earlier events are revised."""
    said: dict[str, tuple[OrderEntry, dict[Uid, Verdict]]] = {}
    changed: dict[Uid, tuple[Fact, str]] = {}
    for order_id, change in changes.items():
        entry = batch.orders[order_id] = batch.order(order_id)
        done = entry.fold.change(change.added, change.removed)
        said[order_id] = (entry, done.added)
        if done.changed:
            changed |= {f.uid: (f, order_id) for f in (*entry.fold.facts, *entry.fold.voids) if f.uid in done.changed and f.type != DECIDED}
    for one in arrived:
        _answer(batch, one, placed.fresh[one.fact.pos], said)
    for move in placed.moved:
        changed.pop(move.fact.uid, None)
    revised = [_Revised(fact, _placing(batch, fact, order_id), False) for fact, order_id in changed.values()]
    _revise(batch, revised + [_Revised(m.fact, m.now, m.before.order_ids != m.now.order_ids) for m in placed.moved])


def _answer(batch: Batch, arrived: Arrived, placing: Placing, said: dict[str, tuple[OrderEntry, dict[Uid, Verdict]]]) -> None:
    """Give a new event the verdict that its orders gave it, and pass it to the projections."""
    fact, answer = arrived.fact, arrived.answer
    if answer is None:  # the bridge itself made this decision: no device waits for its verdict
        return
    entries: tuple[OrderEntry, ...]
    if len(placing.orders) == 1:
        entry, verdicts = said[placing.orders[0][0]]
        verdict, entries = verdicts[fact.uid], (entry,)
        of_orders: Sequence[Verdict] = (verdict,)
        answer.entry = entry
        answer.left = fact.type in _COUNTS_LINES
    else:
        entries = tuple(said[order_id][0] for order_id, _ in placing.orders)
        of_orders = [said[order_id][1][fact.uid] for order_id, _ in placing.orders]
        verdict = _verdict(placing, of_orders)
    answer.verdict = verdict
    answer.detail = arrived.detail or (count_moved(placing, of_orders) if fact.code is not None else None)
    if verdict.outcome is OUTCOME.PARKED:
        park(batch, arrived.row, _awaited(fact, placing, verdict), entries[0].fold.id if entries else None, fact.received_ms)
    rule(batch, arrived.row, arrived.body, verdict, entries)


def rule(
    batch: Batch, row: EventRow, body: bodies.Body | Decided, verdict: Verdict, entries: tuple[OrderEntry, ...], n: int = 1, was: str | None = None
) -> None:
    """Pass the verdict of an event to the projections that hear its type, its outcome, or its outcome before."""
    hearers = batch.hearers
    by_type = hearers.by_type.get(row.type, ())
    by_outcome = hearers.by_outcome.get(verdict.outcome, ())
    if was is None and not by_type and not by_outcome:
        return
    if was is not None:
        by_outcome = (*by_outcome, *hearers.by_outcome.get(was, ()))
    if not by_type and not by_outcome:
        return
    ruled = Ruled(row, body, verdict, n, entries, was)
    for hear in dict.fromkeys((*by_type, *by_outcome)):
        hear(ruled, batch)


# --- one verdict of several ---------------------------------------------------------------------------------------------------


def _verdict(placing: Placing, of_orders: Sequence[Verdict]) -> Verdict:
    if len(of_orders) == 1:
        return of_orders[0]
    if not of_orders:
        if placing.reason is None:
            return Verdict(placing.outcome, warn=placing.warn)
        verdict = refusal(placing.outcome, placing.reason)
        return verdict if placing.next is None else verdict._replace(next=placing.next)
    return combined(of_orders)


_WORST_LAST: Final = (Outcome.APPLIED, Outcome.LATE, Outcome.NOOP, Outcome.PARKED, Outcome.BLOCKED, Outcome.LOST_CLAIM, Outcome.REJECTED)


def combined(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict of one scan that is about several orders: it is applied if it is for any of them."""
    found = sorted(verdicts, key=lambda v: _WORST_LAST.index(v.outcome))
    best = found[0]
    refused = next((v for v in found if v.reason is not None), None)
    warn = tuple(dict.fromkeys(w for v in found for w in v.warn))
    return Verdict(best.outcome, best.reason, warn, best.next if refused is None else refused.next)


def _awaited(fact: Fact, placing: Placing, verdict: Verdict) -> Ref:
    """The reference that a parked event waits for."""
    if not placing.orders:
        if isinstance(fact.body, bodies.Void):
            return event_ref(fact.body.ref)
        return code_ref(placing.waits[0] if placing.waits else fact.keys[0])
    if verdict.reason is Reason.UNKNOWN_PARCEL and fact.code is not None:
        return code_ref(fact.code)
    return order_ref(placing.orders[0][0])


def count_moved(placing: Placing, of_orders: Sequence[Verdict]) -> str | None:
    """How many parcels of how many orders the scan of a container has moved, and the first order whose parcels it has not; None if it is no such scan."""
    inside = [(order_id, len(codes), verdict) for (order_id, codes), verdict in zip(placing.orders, of_orders, strict=True) if codes]
    if not inside:
        return None
    moved = [parcels for _, parcels, verdict in inside if verdict.outcome in _MOVED]
    still = next((f"; {order_id} not: {verdict.reason or 'nothing new'}" for order_id, _, verdict in inside if verdict.outcome not in _MOVED), "")
    return f"{counted(sum(moved), 'parcel')} of {counted(len(moved), 'order')} moved{still}"


_MOVED: Final = frozenset({Outcome.APPLIED, Outcome.LATE})


# --- verdicts that change ---------------------------------------------------------------------------------------------------


class _Revised(NamedTuple):
    """An earlier event whose verdict may have changed. `is_elsewhere`: it belongs to another order now, and its device must know that."""

    fact: Fact
    placing: Placing
    is_elsewhere: bool


def _revise(batch: Batch, facts: list[_Revised]) -> None:
    """Apply the verdicts of earlier events that may have changed."""
    if not facts:
        return
    stored = batch.tx.verdicts_of([f.fact.pos for f in facts if f.fact.pos not in batch.revised])
    for fact, placing, is_elsewhere in sorted(facts, key=_by_pos):
        entries = tuple(batch.order(order_id) for order_id in placing.order_ids)
        of_orders = [e.fold.verdicts[fact.uid] for e in entries]
        verdict, counts = _verdict(placing, of_orders), count_moved(placing, of_orders)
        seen = batch.seen.get(fact.uid)
        earlier = batch.revised.get(fact.pos) or (seen.answer if seen is not None else None)
        if earlier is not None:
            # Its receipt is not sent yet, so the one receipt carries the final verdict.
            was, reason, n = earlier.verdict.outcome.value, PLAIN.get(earlier.verdict.reason or ""), earlier.n
            _say(earlier, verdict, entries, counts)
        elif (before := stored.get(fact.pos)) is not None:
            was, reason, n = before.outcome, before.reason, before.n + 1
            if is_elsewhere or not same_answer(was, reason, verdict) or (counts is not None and counts != cbor2.loads(before.receipt).get("detail")):
                answer = batch.revised[fact.pos] = Answer(fact, n=n)
                _say(answer, verdict, entries, counts)
        else:
            continue
        if was == Outcome.PARKED:
            unpark(batch, fact.pos)
        if verdict.outcome is Outcome.PARKED:  # again, if it now waits elsewhere
            park(batch, fact, _awaited(fact, placing, verdict), entries[0].fold.id if entries else None, fact.received_ms)
        if not is_elsewhere and same_answer(was, reason, verdict):
            continue
        _rule_again(batch, fact, verdict, entries, n, was)


def _say(answer: Answer, verdict: Verdict, entries: tuple[OrderEntry, ...], counts: str | None) -> None:
    answer.verdict = verdict
    answer.detail = counts or answer.detail
    answer.entry = entries[0] if len(entries) == 1 else None


def _placing(batch: Batch, fact: Fact, order_id: str) -> Placing:
    """Where an earlier event of an order belongs. The scan of a container, and its void, can belong to several orders; a label that moved has two."""
    if not fact.inside and not isinstance(fact.body, bodies.Void):
        return Placing(((order_id, None),))
    return batch.placing(fact.pos)


def _by_pos(revised: _Revised) -> int:
    return revised.fact.pos


def _rule_again(batch: Batch, fact: Fact, verdict: Verdict, entries: tuple[OrderEntry, ...], n: int, was: str) -> None:
    """Pass a changed verdict to the projections. The row is read only if one of them hears it."""
    hearers = batch.hearers
    if any((hearers.by_type.get(fact.type), hearers.by_outcome.get(verdict.outcome), hearers.by_outcome.get(was))):
        seen = batch.seen.get(fact.uid)
        row = seen.row if seen is not None else batch.tx.rows(EVENTS, pos=fact.pos)[0]
        rule(batch, row, fact.body, verdict, entries, n, was)
