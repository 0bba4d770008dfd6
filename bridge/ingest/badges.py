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
    now_ms = incoming.received_ms
    by = None
    if event.by is not None:
        by = batch.memory.workers.known.get(event.by)
        if by is None or now_ms >= by.until_ms:
            by = _find(batch, event.by, now_ms)
        if trimmed is None and event.body.__class__ is not ShiftStarted:
            return Trimmed(event, _hidden(incoming.payload, by, None), None, None)
    worker = None
    if isinstance(event.body, ShiftStarted):
        worker = _find(batch, event.body.worker, now_ms)
        event = replace(event, body=ShiftStarted(worker=worker.pseudonym))
    trimmed = trimmed or Trimmed(event, incoming.payload, None, None)
    private = trimmed.private
    if private is not None and private.whole is not None:
        private = private._replace(whole=_hidden(private.whole, by, worker))
    return trimmed._replace(event=event, payload=_hidden(trimmed.payload, by, worker), private=private)


def _find(batch: Batch, badge: str, now_ms: int) -> Known:
    return batch.memory.workers.find(badge, now_ms, batch.rules, batch.tx, batch.writes)


def _hidden(payload: bytes, by: Known | None, worker: Known | None) -> bytes:
    """A payload with pseudonyms. If a badge stands in it only once, and behind the key `by`, it is exchanged there: nothing else can be meant."""
    if worker is None and by is not None:
        at = payload.find(by.raw)
        if payload.rfind(by.raw) == at and payload.startswith(by.head, at - len(by.head)):
            return b"".join((payload[: at - len(by.head)], by.stored, payload[at + len(by.raw) :]))
    plain = messages.load(payload)
    if by is not None:
        plain["by"] = by.pseudonym
    if worker is not None:
        plain["body"]["worker"] = worker.pseudonym
    return messages.encode_cbor(plain)
