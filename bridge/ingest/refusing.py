"""Refused messages: they never become events. Each is answered with a receipt that names its digest, and kept in quarantine once."""

from __future__ import annotations

from typing import Any, Final

from bridge.domain.access import Kind
from bridge.domain.facts import NEXT_STEP
from bridge.domain.view import digest8
from bridge.ingest.batch import Batch, Refused, Sent
from bridge.ingest.epochs import in_epoch
from bridge.ingest.items import Incoming
from bridge.ingest.log import BRIDGE_LOG
from bridge.ingest.receipt import DETAIL_CHARS_MAX
from bridge.ingest.sealing import OF_PEOPLE, about_message
from devices.protocol import bodies, messages
from devices.protocol.messages import PayloadError
from devices.protocol.vocabulary import Outcome, Reason, Tone

ID_BYTES: Final = 16
TYPE_CHARS_MAX: Final = 64


def refuse(batch: Batch, incoming: Incoming, reason: Reason, detail: str, kept: bytes | None = None) -> Sent:
    """Refuse a message: it never becomes an event. Its receipt names its digest, and the quarantine keeps it once.

    Args:
        kept: what the quarantine keeps, if it is not the payload as it came.
    """
    device = incoming.identity.device
    digest = digest8(incoming.payload)
    again = (device, digest) in batch.refused or batch.tx.is_quarantined(device, digest)
    batch.refused.add((device, digest))
    event_type = _type_of(incoming)
    payload = incoming.payload if kept is None else kept
    if event_type == Kind.LOCATION.value:
        payload = b""  # nobody may know where the phone was
    sealed = b"" if again else batch.rules.sealer.seal(payload, about_message(device, digest))
    expires_ms = incoming.received_ms + batch.rules.quarantine_keep_ms if incoming.identity.role in OF_PEOPLE else None
    batch.heard(Refused(device, incoming.event_type, incoming.received_ms, reason, detail, digest, sealed, expires_ms, order_of(payload), not again))
    next_step = NEXT_STEP.get(reason)
    plain: dict[str, Any] = {
        **_free_ids(batch, incoming, reason),
        "n": 1,
        "final": True,
        "outcome": Outcome.REJECTED.value,
        "reason": reason.value,
        "tone": Tone.STOP.value,
        "at_ms": batch.now_ms,
        "digest": digest,
        "type": event_type,
        "next": next_step and next_step.value,
        "again": again or None,
        "detail": detail[:DETAIL_CHARS_MAX] or None,
    }
    said = {name: value for name, value in plain.items() if value is not None}
    return Sent(device, messages.encode_cbor(in_epoch(said, batch.rules.epoch)))


def _type_of(incoming: Incoming) -> str | None:
    """What a message is, as its sender named it in the topic: an event type, `presence` or `location`. Also if the topic is that of another device."""
    above, _, last = incoming.topic.rpartition("/")
    named = incoming.event_type or (last if above.endswith("/events") else None)
    if named is None:
        named = next((name for name in (incoming.kind.value, last) if name in (Kind.PRESENCE, Kind.LOCATION)), None)
    return named[:TYPE_CHARS_MAX] if named else None


def _free_ids(batch: Batch, incoming: Incoming, reason: Reason) -> dict[str, Any]:
    """The ids of a refused event, if they can be read and no stored event has its id: the receipts of that one are about the same id."""
    if reason is Reason.ID_REUSED or incoming.kind in (Kind.PRESENCE, Kind.LOCATION):
        return {}
    ids = readable_ids(incoming.payload)
    event_id, uid = ids.get("id"), (incoming.identity.device, ids.get("id"))
    is_taken = event_id is not None and (uid in batch.seen or uid in batch.tx.known([event_id]))
    return {} if is_taken else ids


def order_of(payload: bytes) -> str | None:
    """The order that a refused message names, if that can be read: it is forgotten with the order."""
    try:
        plain = messages.load(payload)
    except PayloadError:
        return None
    order = plain.get("order") if isinstance(plain, dict) else None
    return order if isinstance(order, str) and 0 < len(order) <= bodies.ID_CHARS_MAX else None


def readable_ids(payload: bytes) -> dict[str, Any]:
    """`id`, `log` and `seq` of a message that breaks the contract or is not allowed: those of them that can be read."""
    try:
        plain = messages.load(payload)
    except PayloadError:
        return {}
    if not isinstance(plain, dict):
        return {}
    found = {name: plain.get(name) for name in ("id", "log", "seq")}
    return {name: value for name, value in found.items() if _is_id(name, value)}


def _is_id(name: str, value: object) -> bool:
    if name == "seq":
        return type(value) is int and 1 <= value <= bodies.UINT_MAX
    return isinstance(value, bytes) and len(value) == (ID_BYTES if name == "id" else len(BRIDGE_LOG))
