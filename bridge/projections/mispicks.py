"""Mispicks: scans that were refused for a reason of business. Their worker was told and put it right; here they are only counted, without a person."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.facts import KEPT, Kept
from bridge.ingest.batch import Batch, Ruled
from bridge.ingest.relation import Deletion, Origin, Relation
from bridge.ingest.seam import Quiet
from devices.protocol import bodies
from devices.protocol.vocabulary import Outcome

HOUR_MS: Final = 3_600_000


class MispickRow(NamedTuple):
    """A refused event, the hour in which it happened, the article that was picked, and the place. One row each, so that it can be taken back."""

    pos: int
    hour_ms: int
    article: str | None
    place: str | None
    reason: str


MISPICKS: Final = Relation(
    name="mispicks",
    row=MispickRow,
    key=("pos",),
    origin=Origin.DERIVED,
    indexes=(("hour_ms",),),
    note="derived: refused scans that their worker put right",
)
MISPICK_GONE: Final = Deletion(MISPICKS, ("pos",))
_REFUSED: Final = frozenset({Outcome.REJECTED, Outcome.BLOCKED})


class Mispicks(Quiet):
    """Counts an event as long as it stays refused."""

    relations = (MISPICKS,)
    hears = _REFUSED

    def rule(self, heard: Ruled, batch: Batch) -> None:
        row, verdict = heard.row, heard.verdict
        rows = batch.writes.keyed(MISPICKS)
        if heard.was in _REFUSED:
            rows.pop(row.pos, None)
            batch.writes.delete(MISPICK_GONE, row.pos)
        reason = verdict.reason if verdict.outcome in _REFUSED else None
        if reason is not None and KEPT[reason] is Kept.MISPICK:
            article = heard.body.sku if isinstance(heard.body, bodies.Pick) else None
            rows[row.pos] = MispickRow(row.pos, row.event_ms // HOUR_MS * HOUR_MS, article, row.at, reason.value)

    def sweep(self, batch: Batch) -> None:
        batch.tx.drop_before(MISPICKS, "hour_ms", batch.now_ms - batch.rules.mispicks_keep_ms - HOUR_MS)
