"""Parked events, events whose order became known later, and the labels that they wait for."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.facts import Fact
from bridge.domain.refs import Ref
from bridge.ingest.batch import Batch
from bridge.ingest.log import EventRow
from bridge.ingest.placing import LABELS
from bridge.ingest.relation import Deletion, Origin, Relation


class ParkedRow(NamedTuple):
    """An event that waits, and the reference that it waits for. `order_id` is set if its order is known but not created yet."""

    pos: int
    ref_kind: str
    ref: str
    order_id: str | None
    since_ms: int
    deadline_ms: int


class PlacedRow(NamedTuple):
    """The order of an event that was parked before its order was known."""

    pos: int
    order_id: str


class LabelRow(NamedTuple):
    """The order whose parcel has a code, and the event that put it there."""

    code: str
    order_id: str
    pos: int


PARKED: Final = Relation(name="parked", row=ParkedRow, key=("pos",), origin=Origin.DERIVED, indexes=(("ref", "ref_kind"),), note="derived: events that wait")
PARKED_GONE: Final = Deletion(PARKED, ("pos",))
PLACED: Final = Relation(
    name="placed",
    row=PlacedRow,
    key=("pos",),
    origin=Origin.DERIVED,
    indexes=(("order_id",),),
    note="derived: orders of events that were parked before their order was known",
)
LABEL_ROWS: Final = Relation(name="labels", row=LabelRow, key=("code",), origin=Origin.DERIVED, note="derived: which order's parcel bears a code")
LABEL_GONE: Final = Deletion(LABEL_ROWS, ("code", "pos"))


# --- parked events ----------------------------------------------------------------------------------------------------------


def park(batch: Batch, row: EventRow | Fact, ref: Ref, order_id: str | None, since_ms: int) -> None:
    """Park an event until a reference is known."""
    deadline_ms = since_ms + batch.rules.parked_deadline_ms
    batch.writes.keyed(PARKED)[row.pos] = ParkedRow(row.pos, ref.kind.value, ref.name, order_id, since_ms, deadline_ms)
    if order_id is None:
        batch.memory.awaited.add(ref)


def unpark(batch: Batch, pos: int) -> None:
    """End the waiting of an event."""
    batch.writes.keyed(PARKED).pop(pos, None)
    batch.writes.delete(PARKED_GONE, pos)


def take_waiting(batch: Batch, ref: Ref, order_id: str) -> list[EventRow]:
    """Place the events that waited for a reference in the order that it belongs to. Returns them; the caller folds them."""
    if ref not in batch.memory.awaited:
        return []
    batch.memory.awaited.discard(ref)
    seen = {s.row.pos: s.row for s in batch.seen.values()}
    parked = batch.writes.keyed(PARKED).values()
    here = [seen[p.pos] for p in parked if (p.ref_kind, p.ref) == ref and p.order_id is None and p.pos in seen]
    rows = [*batch.tx.waiting_for(ref.kind, ref.name), *here]
    for row in rows:
        batch.writes.rows(PLACED).append(PlacedRow(row.pos, order_id))
        unpark(batch, row.pos)
        batch.events[row.id] = order_id
    return rows


# --- labels -----------------------------------------------------------------------------------------------------------------


def put_label(batch: Batch, code: str, row: EventRow) -> None:
    """Record that an event puts a code on a parcel of its order."""
    assert row.order_id is not None
    batch.labels[code] = row.order_id
    batch.writes.keyed(LABEL_ROWS)[code] = LabelRow(code, row.order_id, row.pos)


def free_label(batch: Batch, event: EventRow | Fact) -> None:
    """Free the code of an event that put it on a parcel but was voided or does not count."""
    code = event.code
    if code is None or event.type not in LABELS:
        return
    rows = batch.writes.keyed(LABEL_ROWS)
    if code in rows and rows[code].pos == event.pos:
        del rows[code]
    batch.writes.delete(LABEL_GONE, code, event.pos)
    batch.labels.pop(code, None)
    batch.labels_freed.add(code)
