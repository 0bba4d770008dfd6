"""Badges leave events before they are stored: pseudonyms stand in their place (`workers.py`)."""

from __future__ import annotations

from msgspec.structs import replace

from bridge.ingest.batch import Batch
from bridge.ingest.decoding import Trimmed
from bridge.ingest.items import Incoming
from bridge.ingest.workers import Known
from devices.protocol import messages
from devices.protocol.bodies import Body, ShiftStarted
from devices.protocol.messages import Event


def without_badges(batch: Batch, incoming: Incoming, event: Event[Body], trimmed: Trimmed | None) -> Trimmed:
    """An event that names a worker, as it is stored."""
    if trimmed is None:
        trimmed = Trimmed(event, incoming.payload, None, None)
    by = _known(batch, event.by, incoming.received_ms) if event.by is not None else None
    if not isinstance(event.body, ShiftStarted):
        worker = None
    else:
        worker = _known(batch, event.body.worker, incoming.received_ms)
        event = replace(event, body=ShiftStarted(worker=worker.pseudonym))
    private = trimmed.private
    if private is not None and private.whole is not None:
        private = private._replace(whole=_hidden(private.whole, by, worker))
    return Trimmed(event, _hidden(trimmed.payload, by, worker), trimmed.detail, private)


def _known(batch: Batch, badge: str, now_ms: int) -> Known:
    return batch.memory.workers.find(badge, now_ms, batch.rules, batch.tx, batch.writes)


def _hidden(payload: bytes, by: Known | None, worker: Known | None) -> bytes:
    """A payload with pseudonyms. If a badge stands in it only once, and behind the key `by`, it is exchanged there: nothing else can be meant."""
    if worker is None and by is not None and payload.count(by.raw) == 1 and by.before in payload:
        return payload.replace(by.before, by.after)
    plain = messages.load(payload)
    if by is not None:
        plain["by"] = by.pseudonym
    if worker is not None:
        plain["body"]["worker"] = worker.pseudonym
    return messages.encode_cbor(plain)
