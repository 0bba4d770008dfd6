"""What people have said of alerts: that one is being looked at (acknowledged), or that some are not to disturb for a while (silenced).

An acknowledgement is of one alert, from its `since_ms` on: if the alert ends and comes back, it is new. A silence is of a code, and of one subject or all.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from bridge.ingest.batch import Batch
from bridge.ingest.items import AcknowledgeAlert, SilenceAlerts
from bridge.ingest.ports import Transaction
from bridge.ingest.relation import Deletion, Origin, Relation

EVERY: Final = ""
"""The subject of a silence of a whole code."""


class AckRow(NamedTuple):
    """An alert that somebody looks at. It is of the alert that was raised at `since_ms`."""

    code: str
    subject: str
    since_ms: int
    at_ms: int
    who: str
    reason: str


class SilenceRow(NamedTuple):
    """Alerts that don't disturb until a time; those of every subject if the subject is `EVERY`."""

    code: str
    subject: str
    until_ms: int
    at_ms: int
    who: str
    reason: str


_KEY: Final = ("code", "subject")
ALERT_ACKS: Final = Relation(name="alert_acks", row=AckRow, key=_KEY, origin=Origin.KEPT, note="alerts that somebody looks at")
ALERT_SILENCES: Final = Relation(name="alert_silences", row=SilenceRow, key=_KEY, origin=Origin.KEPT, note="alerts that don't disturb for a while")
_ACK_GONE: Final = Deletion(ALERT_ACKS, _KEY)
_SILENCE_GONE: Final = Deletion(ALERT_SILENCES, _KEY)


class Marks:
    """Every acknowledgement and silence, as the writer knows them."""

    def __init__(self) -> None:
        self.acks: dict[tuple[str, str], AckRow] = {}
        self.silences: dict[tuple[str, str], SilenceRow] = {}

    def load(self, tx: Transaction) -> None:
        self.acks = {(row.code, row.subject): row for row in tx.rows(ALERT_ACKS)}
        self.silences = {(row.code, row.subject): row for row in tx.rows(ALERT_SILENCES)}

    def forget(self) -> None:
        self.acks, self.silences = {}, {}

    def ack_of(self, code: str, subject: str, since_ms: int) -> AckRow | None:
        """The acknowledgement of the alert that was raised at a time."""
        ack = self.acks.get((code, subject))
        return ack if ack is not None and ack.since_ms == since_ms else None

    def silence_of(self, code: str, subject: str) -> SilenceRow | None:
        """The silence that covers an alert, the longest if there are two."""
        found = [row for name in (subject, EVERY) if (row := self.silences.get((code, name))) is not None]
        return max(found, key=lambda row: row.until_ms, default=None)

    def plain(self, code: str, subject: str, since_ms: int) -> dict[str, Any]:
        """The marks of an alert as they are published: without names and reasons, and with keys in deterministic order."""
        ack, silence = self.ack_of(code, subject, since_ms), self.silence_of(code, subject)
        marks = {"acknowledged_ms": ack.at_ms if ack is not None else None, "silenced_until_ms": silence.until_ms if silence is not None else None}
        return {name: value for name, value in marks.items() if value is not None}

    def acknowledge(self, said: AcknowledgeAlert, since_ms: int, batch: Batch) -> None:
        row = AckRow(said.code, said.subject, since_ms, said.received_ms, said.who, said.reason)
        self.acks[row[:2]] = batch.writes.keyed(ALERT_ACKS)[row[:2]] = row

    def silence(self, said: SilenceAlerts, batch: Batch) -> None:
        """Add a silence, or end it if it says no time."""
        if not said.until_ms:
            self._drop(self.silences, ALERT_SILENCES, _SILENCE_GONE, (said.code, said.subject), batch)
            return
        row = SilenceRow(said.code, said.subject, said.until_ms, said.received_ms, said.who, said.reason)
        self.silences[row[:2]] = batch.writes.keyed(ALERT_SILENCES)[row[:2]] = row

    def drop_old(self, raised: dict[tuple[str, str], int], batch: Batch) -> list[tuple[str, str]]:
        """Drop acknowledgements of alerts that have ended, and silences that are over. Returns (code, subject) of these silences.

        Args:
            raised: since when each alert stands.
        """
        for key in [key for key, ack in self.acks.items() if raised.get(key) != ack.since_ms]:
            self._drop(self.acks, ALERT_ACKS, _ACK_GONE, key, batch)
        over = [key for key, row in self.silences.items() if row.until_ms <= batch.now_ms]
        for key in over:
            self._drop(self.silences, ALERT_SILENCES, _SILENCE_GONE, key, batch)
        return over

    def _drop(self, rows: dict[tuple[str, str], Any], relation: Relation, gone: Deletion, key: tuple[str, str], batch: Batch) -> None:
        if rows.pop(key, None) is not None:
            batch.writes.keyed(relation).pop(key, None)
            batch.writes.delete(gone, *key)
