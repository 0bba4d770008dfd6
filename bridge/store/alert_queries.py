"""Reads of alerts, with what people have said of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import cbor2
from sqlalchemy import Connection, Engine, select

from bridge.ingest.items import Message
from bridge.operations.ports import Row
from bridge.projections.alert_marks import AckRow, Marks, SilenceRow
from bridge.projections.alerts import AlertRow, alert_plain
from bridge.store import tables as t
from bridge.store.sqlite import translated
from devices.protocol.topics import Topics


class AlertQueries:
    """See `operations.ports.Queries`."""

    def __init__(self, reader: Engine, topics: Topics) -> None:
        self._reader = reader
        self._topics = topics

    def alerts(self) -> list[Row]:
        with translated(), self._reader.connect() as connection:
            marks = _marks(connection)
            return [row._asdict() | _said(marks, row) for row in _alerts(connection)]

    def silences(self) -> list[Row]:
        with translated(), self._reader.connect() as connection:
            return [row._asdict() for _, row in sorted(_marks(connection).silences.items())]

    def retained_alerts(self, encode: Callable[[Any], bytes] | None) -> Iterator[Message]:
        """Each alert as it is retained. `encode` encodes it, if not as CBOR."""
        with translated(), self._reader.connect() as connection:
            marks = _marks(connection)
            for row in _alerts(connection):
                plain = alert_plain(row) | marks.plain(row.code, row.subject, row.since_ms)
                yield Message(self._topics.alert(row.code, row.subject), (encode or cbor2.dumps)(plain), 1, True)


def _alerts(connection: Connection) -> list[AlertRow]:
    return [AlertRow(*row) for row in connection.execute(select(t.alerts).order_by(t.alerts.c.since_ms, t.alerts.c.code, t.alerts.c.subject))]


def _marks(connection: Connection) -> Marks:
    marks = Marks()
    marks.acks = {row[:2]: row for row in (AckRow(*r) for r in connection.execute(select(t.alert_acks)))}
    marks.silences = {row[:2]: row for row in (SilenceRow(*r) for r in connection.execute(select(t.alert_silences)))}
    return marks


def _said(marks: Marks, row: AlertRow) -> Row:
    ack, silence = marks.ack_of(row.code, row.subject, row.since_ms), marks.silence_of(row.code, row.subject)
    return {
        "acknowledged_ms": ack.at_ms if ack is not None else None,
        "acknowledged_by": ack.who if ack is not None else None,
        "acknowledged_why": ack.reason if ack is not None else None,
        "silenced_until_ms": silence.until_ms if silence is not None else None,
        "silenced_by": silence.who if silence is not None else None,
        "silenced_why": silence.reason if silence is not None else None,
    }
