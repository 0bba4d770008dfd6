"""A run in the form in which two versions of the code are compared.

Every field has its name and every table its named columns, so that a column more changes nothing. Sentences for people are replaced by the code that they
belong to: a better sentence is not another run.

Two forms: `exact` keeps everything in its order, `outcomes` only what devices and subscribers can tell apart, each topic and each device by itself, and the
tables at the end. A step that only moves code keeps both; one that reorders work keeps the second.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import cbor2

from devices.protocol import encoding
from devices.protocol.encoding import PayloadError
from firmware_sim.record import Committed, Entry, Lost, Noted, Published, Received, Record, Sent

COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "events": (
        *("pos", "id", "device", "role", "type", "log", "seq", "received_ms", "event_ms", "source", "error_ms"),
        *("order_id", "code", "at", "fault", "warn", "payload"),
    ),
    "placed": ("pos", "order_id", "refusal", "warn", "inside"),
    "receipts": ("pos", "device", "n", "outcome", "reason", "payload"),
    "orders": ("order_id", "rev", "state", "hash", "timed", "at_ms", "updated_ms", "due_ms", "status"),
    "parcels": ("order_id", "parcel", "state", "hash", "codes", "status"),
    "status_log": ("no", "order_id", "rev", "updated_ms", "state", "hash"),
    "parked": ("pos", "ref_kind", "ref", "order_id", "since_ms", "deadline_ms"),
    "quarantine": ("no", "device", "event_type", "received_ms", "reason", "digest", "pos", "payload"),
    "ledger": ("device", "log", "high", "owed", "forgotten", "ranges", "updated_ms"),
    "jobs": ("job", "rev", "state", "courier", "orders"),
    "alerts": ("code", "subject", "severity", "since_ms"),
    "retained": ("topic", "payload", "qos"),
    "sessions": ("sid", "device", "client_id", "next_pos", "next_index", "slots", "dropped", "seen_ms"),
}
"""The columns that count, by table."""


def exact(record: Record) -> Iterator[dict[str, Any]]:
    """Everything that happened, in its order, and the end."""
    yield from (_entry(e) for e in record.entries)
    yield from _end(record)


def outcomes(record: Record) -> Iterator[dict[str, Any]]:
    """What each device sent and was sent, topic by topic, and what was there at the end."""
    lanes: dict[tuple[str, ...], list[bytes]] = {}
    for entry in record.entries:
        if isinstance(entry, Received | Published):
            lanes.setdefault((type(entry).__name__, entry.device, entry.topic), []).append(_payload(entry.topic, entry.payload))
        elif isinstance(entry, Committed):
            for effect in entry.effects:
                if isinstance(effect, Sent):
                    lanes.setdefault(("Sent", effect.topic), []).append(_payload(effect.topic, effect.payload))
    for lane in sorted(lanes):
        yield {"lane": list(lane), "payloads": lanes[lane]}
    yield from _end(record)


def _end(record: Record) -> Iterator[dict[str, Any]]:
    end = record.end
    for table, columns in COLUMNS.items():
        for row in end.tables.get(table, ()):
            yield {"table": table, **{c: _cell(table, c, row) for c in columns}}
    for topic in sorted(end.retained):
        yield {"retained": topic, "payload": _payload(topic, end.retained[topic])}
    yield {"unsent": end.unsent, "unanswered": end.unanswered, "troubles": len(end.troubles)}


def _cell(table: str, column: str, row: dict[str, Any]) -> Any:
    if table == "receipts" and column == "payload":
        return _without_sentences(row[column])
    return row[column]


def _entry(entry: Entry) -> dict[str, Any]:
    match entry:
        case Received(topic=topic, payload=payload) | Published(topic=topic, payload=payload):
            return _named(entry._replace(payload=_payload(topic, payload)))
        case Committed(effects=effects):
            plain = [_named(e._replace(payload=_payload(e.topic, e.payload)) if isinstance(e, Sent) else e) for e in effects]
            return {**_named(entry), "effects": plain}
        case Noted():
            return _named(entry._replace(text=""))
        case Lost():
            return _named(entry._replace(why=""))
        case _:
            return _named(entry)


def _named(entry: Any) -> dict[str, Any]:
    return {"what": type(entry).__name__, **entry._asdict()}


def _payload(topic: str, payload: bytes) -> bytes:
    return _without_sentences(payload) if topic.endswith("/receipts") or "/alerts/" in topic else payload


def _without_sentences(payload: bytes) -> bytes:
    """A receipt or an alert whose sentences are replaced by its reason or its code."""
    try:
        plain = encoding.load(payload)
    except PayloadError:
        return payload
    if not isinstance(plain, dict):
        return payload
    code = plain.get("code", plain.get("reason"))
    return cbor2.dumps({key: code if key in ("detail", "text", "fix") else value for key, value in plain.items()}, canonical=True)
