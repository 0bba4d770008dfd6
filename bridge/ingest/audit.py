"""The rows of the audit log."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.ingest.relation import Origin, Relation


class AuditRow(NamedTuple):
    """An act. `who` is the user of the operating system, and `person` the one whose token came with it.

    `sealed` is what was typed, sealed: a map in CBOR with `reason`, `details` (the other arguments) and `failed` (why it was not done); None if nothing was, or
    it was forgotten. The columns of these names are from before there were keys; but `reason` also has words from closed lists, and `failed` is empty, not
    None, if it was not done. `chain` is SHA-256 over the chain of the entry before and this entry's other fields, without `sealed`, and without `person` and
    `sealed_sha256` if they are None: so the chain holds when what was typed is forgotten.
    """

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
    sealed: bytes | None
    sealed_sha256: bytes | None


class AuditStartRow(NamedTuple):
    """The last entry whose time to be kept was over: its number, and its chain, from which the first entry that is left follows."""

    no: int
    chain: bytes


AUDIT_START: Final = Relation(
    name="audit_start", row=AuditStartRow, key=("no",), origin=Origin.KEPT, note="the last entry of the audit log whose time to be kept was over"
)
AUDIT: Final = Relation(name="audit", row=AuditRow, key=("no",), origin=Origin.KEPT, note="append-only: what people did, chained by hash")
