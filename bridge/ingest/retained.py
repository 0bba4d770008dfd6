"""Retained messages from outside: those of devices below v1/, and all others outside it. The bridge's own are derived from its tables."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ingest.batch import Batch
from bridge.ingest.relation import Deletion, Origin, Relation


class RetainedRow(NamedTuple):
    """The retained message of a topic."""

    topic: str
    payload: bytes
    qos: int


RETAINED: Final = Relation(name="retained", row=RetainedRow, key=("topic",), origin=Origin.KEPT, note="retained messages that came from outside")
RETAINED_GONE: Final = Deletion(RETAINED, ("topic",))


def retained_at(batch: Batch, topic: str) -> bytes:
    """The retained payload of a topic as the batch has left it; empty if there is none. It is read for topics that are never cleared."""
    row = batch.writes.keyed(RETAINED).get(topic) or next(iter(batch.tx.rows(RETAINED, topic=topic)), None)
    return row.payload if row is not None else b""


def retain(batch: Batch, topic: str, payload: bytes, qos: int) -> None:
    """Store the retained message of a topic; an empty payload clears it (MQTT 3.1.1 §3.3.1.3)."""
    rows = batch.writes.keyed(RETAINED)
    if payload:
        rows[topic] = RetainedRow(topic, payload, qos)
    else:
        rows.pop(topic, None)
        batch.writes.delete(RETAINED_GONE, topic)
