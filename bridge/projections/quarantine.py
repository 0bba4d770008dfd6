"""Quarantine: messages that can't be applied, kept until an operator inspects them and processes them again or drops them.

What a worker can put right is not here, but in `mispicks.py`: `facts.KEPT` has the reasons.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.facts import KEPT, Kept
from bridge.domain.view import digest8
from bridge.ingest.batch import Batch, Refused, Ruled
from bridge.ingest.relation import Deletion, Origin, Relation
from bridge.ingest.seam import Quiet
from devices.protocol.vocabulary import Outcome, Reason


class QuarantineRow(NamedTuple):
    """A message that can't be applied. If the event log has it, `pos` is set and the payload is read there; else `payload` is sealed, or (`is_sealed` is
    False) from before there were keys. `digest` is the start of its payload's SHA-256. `expires_ms` is when it is dropped, None: when there are too many.
    `order_id` is the order that it names, if that can be read.
    """

    device: str
    event_type: str | None
    received_ms: int
    reason: str
    detail: str
    digest: bytes
    pos: int | None
    payload: bytes
    is_sealed: bool
    expires_ms: int | None
    order_id: str | None


QUARANTINE: Final = Relation(
    name="quarantine",
    row=QuarantineRow,
    key=("no",),
    origin=Origin.DERIVED,
    derived_if=("pos", None),
    numbered=True,
    indexes=(("digest", "device"), ("pos",), ("order_id",)),
    note="messages that can't be applied; derived if they are in the event log",
)
QUARANTINE_GONE: Final = Deletion(QUARANTINE, ("pos",))


class Quarantine(Quiet):
    """Keeps refused messages, and rejected events as long as they stay rejected."""

    relations = (QUARANTINE,)
    hears = frozenset({Outcome.REJECTED, Refused})

    def rule(self, heard: Ruled | Refused, batch: Batch) -> None:
        rows = batch.writes.rows(QUARANTINE)
        if isinstance(heard, Refused):
            if heard.is_first:
                rows.append(
                    QuarantineRow(*heard[:3], heard.reason.value, heard.detail, heard.digest, None, heard.sealed, True, heard.expires_ms, heard.order_id)
                )
            return
        row, verdict = heard.row, heard.verdict
        if heard.was == Outcome.REJECTED:
            rows[:] = [r for r in rows if r.pos != row.pos]
            batch.writes.delete(QUARANTINE_GONE, row.pos)
        reason = verdict.reason or Reason.MALFORMED
        if verdict.outcome is Outcome.REJECTED and KEPT[reason] is Kept.QUARANTINE:
            detail = row.detail or ""
            rows.append(
                QuarantineRow(row.device, row.type, row.received_ms, reason.value, detail, digest8(row.payload), row.pos, b"", False, None, row.order_id)
            )

    def sweep(self, batch: Batch) -> None:
        batch.tx.drop_before(QUARANTINE, "expires_ms", batch.now_ms)
        batch.tx.keep_newest(QUARANTINE, batch.rules.quarantine_entries_max)
