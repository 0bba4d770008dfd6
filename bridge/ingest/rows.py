"""Between events, facts, receipts and the rows they are kept in. Plain maps come with their keys in deterministic order (RFC 8949 §4.2.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import cbor2

from bridge.domain import event_time
from bridge.domain.facts import BRIDGE, DECIDED, Decided, Fact, Verdict, tone_of
from bridge.ingest.ports import AlertRow, EventRow, ReceiptRow
from devices.protocol import bodies, messages
from devices.protocol.vocabulary import EventType, Outcome, Reason

BRIDGE_LOG: Final = b"\0" * 8
"""The log under which the bridge writes its own events; their seq is their place in the event log."""
DETAIL_CHARS_MAX: Final = 200


def receipt_plain(
    *,
    n: int,
    event_id: bytes,
    log: bytes,
    seq: int,
    verdict: Verdict,
    at_ms: int,
    order_id: str | None,
    rev: int = 0,
    left: Sequence[tuple[str, int]] = (),
    detail: str | None = None,
) -> dict[str, Any]:
    """A plain `Receipt`, keys in deterministic order."""
    plain: dict[str, Any] = {"n": n, "id": event_id, "log": log}
    if rev:
        plain["rev"] = rev
    plain["seq"] = seq
    if left:
        plain["left"] = [{"qty": qty, "sku": sku} for sku, qty in left]
    if verdict.next is not None:
        plain["next"] = verdict.next
    plain["tone"] = tone_of(verdict)
    if verdict.warn:
        plain["warn"] = list(verdict.warn)
    plain["at_ms"] = at_ms
    plain["final"] = verdict.outcome is not Outcome.PARKED
    if order_id is not None:
        plain["order"] = order_id
        if verdict.state is not None:
            plain["state"] = verdict.state
    if detail:
        plain["detail"] = detail[:DETAIL_CHARS_MAX]
    if verdict.parcel is not None:
        plain["parcel"] = verdict.parcel
    if verdict.reason is not None:
        plain["reason"] = verdict.reason
    plain["outcome"] = verdict.outcome
    return plain


def receipt_row(pos: int, device: str, plain: dict[str, Any]) -> ReceiptRow:
    """The row of a receipt."""
    return ReceiptRow(pos, device, plain["n"], plain["outcome"], plain.get("reason"), cbor2.dumps(plain))


def fact_of(row: EventRow, body: bodies.Body | Decided, parcel: str | None) -> Fact:
    """A row of the event log as the fold takes it."""
    return Fact(
        id=row.id,
        device=row.device,
        role=row.role,
        type=row.type,
        log=row.log,
        seq=row.seq,
        event_ms=row.event_ms,
        received_ms=row.received_ms,
        body=body,
        parcel=parcel,
        code=row.code,
        at=row.at,
        fault=row.fault,
        misload=bool(row.misload),
        pos=row.pos,
    )


def stored_fact(row: EventRow) -> Fact:
    """A row of the event log, read back, as the fold takes it."""
    if row.type == DECIDED:
        told = cbor2.loads(row.payload)
        reason = Reason(told["reason"]) if told["reason"] else None
        return fact_of(
            row, Decided(device=told["device"], ref=told["ref"], job=told["job"], answer=told["answer"], outcome=Outcome(told["outcome"]), reason=reason), None
        )
    event = messages.decode_event(row.payload, EventType(row.type))
    return fact_of(row, event.body, event.parcel)


def decided_row(pos: int, asked: EventRow, decided: Decided, order_id: str, nth: int) -> EventRow:
    """The bridge's own event about a courier's answer, one for each order of the job."""
    payload = cbor2.dumps(
        {
            "job": decided.job,
            "ref": decided.ref,
            "device": decided.device,
            "answer": decided.answer,
            "reason": decided.reason and decided.reason.value,
            "outcome": decided.outcome.value,
        },
    )
    event_id = hashlib.sha256(b"decided" + asked.device.encode() + b"\0" + asked.id + nth.to_bytes(4, "big")).digest()[:16]
    return EventRow(
        pos,
        event_id,
        BRIDGE,
        BRIDGE,
        DECIDED,
        BRIDGE_LOG,
        pos,
        asked.received_ms,
        asked.received_ms,
        event_time.Source.RECEIVED.value,
        0,
        order_id,
        None,
        None,
        None,
        False,
        payload,
    )


def alert_plain(row: AlertRow) -> dict[str, Any]:
    """An alert as it is published, keys in deterministic order."""
    return {"fix": row.fix, "code": row.code, "text": row.text, "subject": row.subject, "severity": row.severity, "since_ms": row.since_ms}


def same_content(a: bytes, b: bytes) -> bool:
    """Whether two payloads tell the same event; when it was handed to the network does not matter."""
    return a == b or _content(a) == _content(b)


def _content(payload: bytes) -> dict[str, Any]:
    plain: dict[str, Any] = messages.load(payload)
    return {k: v for k, v in plain.items() if k not in ("sent_boot", "sent_mono_ms") and v is not None}


def once_more(receipt: dict[str, Any]) -> dict[str, Any]:
    """A receipt that was given before, keys in deterministic order again."""
    return dict(sorted({**receipt, "again": True}.items(), key=_by_key))


def _by_key(item: tuple[str, Any]) -> tuple[int, str]:
    return (len(item[0]), item[0])
