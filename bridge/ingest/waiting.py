"""Events that wait: parked in an order, or in no order until a code or an event becomes known."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from bridge.domain.facts import Fact
from bridge.domain.refs import Ref
from bridge.ingest.batch import Batch
from bridge.ingest.codes import WAITING, WAITING_GONE, WaitingRow
from bridge.ingest.log import EventRow
from bridge.ingest.relation import Deletion, Origin, Relation


class ParkedRow(NamedTuple):
    """An event that waits, and the reference that it waits for. `order_id` is set if its order is known but not created yet."""

    pos: int
    ref_kind: str
    ref: str
    order_id: str | None
    since_ms: int
    deadline_ms: int


PARKED: Final = Relation(name="parked", row=ParkedRow, key=("pos",), origin=Origin.DERIVED, indexes=(("ref", "ref_kind"),), note="derived: events that wait")
PARKED_GONE: Final = Deletion(PARKED, ("pos",))


def park(batch: Batch, row: EventRow | Fact, ref: Ref, order_id: str | None, since_ms: int) -> None:
    """Park an event until a reference is known."""
    deadline_ms = since_ms + batch.rules.parked_deadline_ms
    batch.writes.keyed(PARKED)[row.pos] = ParkedRow(row.pos, ref.kind.value, ref.name, order_id, since_ms, deadline_ms)


def unpark(batch: Batch, pos: int) -> None:
    """End the waiting of an event."""
    batch.writes.keyed(PARKED).pop(pos, None)
    batch.writes.delete(PARKED_GONE, pos)


def wait_for(batch: Batch, fact: Fact, refs: Iterable[Ref]) -> None:
    """Keep an event in no order where the evidence about these references finds it."""
    for ref in refs:
        batch.waiting_facts(ref)[fact.pos] = fact
        batch.memory.awaited.add(ref)
        batch.writes.keyed(WAITING)[(ref, fact.pos)] = WaitingRow(ref.name, ref.kind.value, fact.pos)


def stop_waiting(batch: Batch, fact: Fact, refs: Iterable[Ref]) -> None:
    """The event is in an order now, or waits for something else."""
    for ref in refs:
        batch.waiting_facts(ref).pop(fact.pos, None)
        batch.writes.keyed(WAITING).pop((ref, fact.pos), None)
    batch.writes.delete(WAITING_GONE, fact.pos)
