"""Fold an event into its order, and revise the verdicts of other events that this changes."""

from __future__ import annotations

from typing import Final

from bridge.domain.facts import DECIDED, Decided, Fact, Verdict, same_answer
from bridge.domain.refs import Ref, code_ref, order_ref
from bridge.ingest.batch import Answer, Batch, Ruled
from bridge.ingest.log import EVENTS, EventRow, fact_of
from bridge.ingest.memory import OrderEntry
from bridge.ingest.waiting import free_label, park, unpark
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType, Outcome, Reason

_COUNTS_LINES: Final = frozenset({EventType.PICK, EventType.PACK})
"""Events whose receipt lists what is left to pick."""


def fold_in(
    batch: Batch, row: EventRow, body: bodies.Body | Decided, parcel: str | None, order_id: str, *, n: int = 1, was: str | None = None
) -> tuple[Answer, bool]:
    """Fold an event into an order. Returns its answer, and whether this event created the order. Other events whose outcome changes get another receipt.

    Args:
        n, was: see `Ruled`; set for an event that waited.
    """
    entry = batch.order(order_id)
    fold = entry.fold
    existed = fold.exists
    verdict, changed = fold.add(fact_of(row, body, parcel))
    batch.orders[order_id] = entry
    if changed:
        _revise(batch, entry, changed)
    is_created = fold.exists and not existed
    if row.type != DECIDED:  # the bridge itself made this decision: no device waits for its verdict
        if verdict.outcome is Outcome.PARKED:
            park(batch, row, _awaited(row.code, verdict, order_id), order_id, row.received_ms)
        if row.type in batch.hearers.by_type or verdict.outcome in batch.hearers.by_outcome:
            rule(batch, row, body, verdict, (entry,), n, was)
    return Answer(row, verdict, entry, n=n, left=row.type in _COUNTS_LINES), is_created


def rule(
    batch: Batch, row: EventRow, body: bodies.Body | Decided, verdict: Verdict, entries: tuple[OrderEntry, ...], n: int = 1, was: str | None = None
) -> None:
    """Pass the verdict of an event that has entered its order to the projections."""
    by_type = batch.hearers.by_type.get(row.type, ())
    by_outcome = batch.hearers.by_outcome.get(verdict.outcome, ())
    ruled = Ruled(row, body, verdict, n, entries, was)
    for hear in by_type:
        hear(ruled, batch)
    for hear in by_outcome:
        if hear not in by_type:
            hear(ruled, batch)


def _awaited(code: str | None, verdict: Verdict, order_id: str) -> Ref:
    """The reference that a parked event of a known order waits for."""
    return code_ref(code) if verdict.reason is Reason.UNKNOWN_PARCEL and code is not None else order_ref(order_id)


# --- verdicts that change ---------------------------------------------------------------------------------------------------


def _revise(batch: Batch, entry: OrderEntry, changed: dict[tuple[str, bytes], Verdict]) -> None:
    """Apply the changed verdicts of other events of the order."""
    facts = [f for f in (*entry.fold.facts, *entry.fold.voids) if f.uid in changed and f.type != DECIDED]
    stored = batch.tx.verdicts_of([f.pos for f in facts if f.pos not in batch.revised])
    for fact in facts:
        verdict = changed[fact.uid]
        seen = batch.seen.get(fact.uid)
        earlier = batch.revised.get(fact.pos) or (seen.answer if seen is not None else None)
        if earlier is not None:
            # Its receipt is not sent yet, so the one receipt carries the final verdict.
            was, reason, n = earlier.verdict.outcome.value, earlier.verdict.reason, earlier.n
            if same_answer(was, reason, verdict):
                continue
            earlier.verdict = verdict
        elif (before := stored.get(fact.pos)) is not None:
            was, n = before.outcome, before.n + 1
            if same_answer(was, before.reason, verdict):
                continue
            batch.revised[fact.pos] = Answer(fact, verdict, entry, n=n)
        else:
            continue
        if was == Outcome.PARKED:
            unpark(batch, fact.pos)
        if verdict.outcome is Outcome.PARKED:
            park(batch, fact, order_ref(entry.fold.id), entry.fold.id, batch.now_ms)
        if verdict.outcome in (Outcome.REJECTED, Outcome.BLOCKED):
            free_label(batch, fact)
        _rule_again(batch, entry, fact, verdict, n, was)


def _rule_again(batch: Batch, entry: OrderEntry, fact: Fact, verdict: Verdict, n: int, was: str) -> None:
    """Pass a changed verdict to the projections that hear the event's type, the new outcome or the old outcome."""
    hearers = batch.hearers
    hear_it = dict.fromkeys((*hearers.by_type.get(fact.type, ()), *hearers.by_outcome.get(verdict.outcome, ()), *hearers.by_outcome.get(was, ())))
    if hear_it:
        seen = batch.seen.get(fact.uid)
        row = seen.row if seen is not None else batch.tx.rows(EVENTS, pos=fact.pos)[0]
        ruled = Ruled(row, fact.body, verdict, n, (entry,), was)
        for hear in hear_it:
            hear(ruled, batch)
