"""The rows of the audit log."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ingest.relation import Origin, Relation


class AuditRow(NamedTuple):
    """An act. `who` is the user of the operating system, and `person` the one whose token came with it. `details` are its other arguments, in CBOR; `chain` is
    SHA-256 over the chain of the entry before and this entry's other fields, without `person` if it is None."""

    no: int
    at_ms: int
    who: str
    act: str
    subject: str | None
    reason: str | None
    failed: str | None
    details: bytes
    person: str | None
    chain: bytes


AUDIT: Final = Relation(name="audit", row=AuditRow, key=("no",), origin=Origin.KEPT, note="append-only: what people did, chained by hash")
