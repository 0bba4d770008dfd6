"""Between events, facts, receipts and the rows they are kept in. Plain maps come with their keys in deterministic order (RFC 8949 §4.2.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import cbor2

from bridge.domain import event_time
from bridge.domain.encoding import FALSE, TRUE, array, integer, map_head, octets, text
from bridge.domain.facts import BRIDGE, DECIDED, Decided, Fact, Verdict, tone_of
from bridge.ingest.ports import AlertRow, EventRow
from devices.protocol import bodies, messages
from devices.protocol.vocabulary import EventType, Next, Outcome, Reason, Warn

BRIDGE_LOG: Final = b"\0" * 8
"""The log under which the bridge writes its own events; their seq is their place in the event log."""
DETAIL_CHARS_MAX: Final = 200


class _Told(NamedTuple):
    """What a receipt says of a verdict, encoded: how many keys that are, and their pieces in their order."""

    keys: int
    next_tone_warn: bytes
    final: bytes
    reason_outcome: bytes


@lru_cache(1_024)
def _told(outcome: Outcome, reason: Reason | None, warn: tuple[Warn, ...], next_step: Next | None) -> _Told:
    tone = tone_of(Verdict(outcome, reason, warn))
    first = {"next": next_step} if next_step is not None else {}
    last = {"reason": reason} if reason is not None else {}
    return _Told(
        3 + len(first) + len(last) + bool(warn),
        b"".join(text(k) + text(v) for k, v in first.items()) + text("tone") + text(tone) + (text("warn") + array([text(w) for w in warn]) if warn else b""),
        text("final") + (FALSE if outcome is Outcome.PARKED else TRUE),
        b"".join(text(k) + text(v) for k, v in last.items()) + text("outcome") + text(outcome),
    )


def receipt_cbor(
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
) -> bytes:
    """A `Receipt` in CBOR, keys in deterministic order."""
    outcome, reason, warn, next_step, state, parcel = verdict
    keys, next_tone_warn, final, reason_outcome = _told(outcome, reason, warn, next_step)
    keys += 5
    pieces = [b"", _N, integer(n), _ID, octets(event_id), _LOG, octets(log)]
    if rev:
        keys += 1
        pieces += (_REV, integer(rev))
    pieces += (_SEQ, integer(seq))
    if left:
        keys += 1
        pieces += (_LEFT, array([b"".join((_QTY, integer(qty), _SKU, text(sku))) for sku, qty in left]))
    pieces += (next_tone_warn, _AT_MS, integer(at_ms), final)
    if order_id is not None:
        keys += 1
        pieces += (_ORDER, text(order_id))
        if state is not None:
            keys += 1
            pieces += (_STATE, text(state))
    if detail:
        keys += 1
        pieces += (_DETAIL, text(detail[:DETAIL_CHARS_MAX]))
    if parcel is not None:
        keys += 1
        pieces += (_PARCEL, text(parcel))
    pieces.append(reason_outcome)
    pieces[0] = map_head(keys)
    return b"".join(pieces)


_N, _ID, _LOG, _REV, _SEQ, _LEFT = map(text, ("n", "id", "log", "rev", "seq", "left"))
_AT_MS, _ORDER, _STATE, _DETAIL, _PARCEL = map(text, ("at_ms", "order", "state", "detail", "parcel"))
_QTY, _SKU = map_head(2) + text("qty"), text("sku")


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


def decided_row(pos: int, asked: EventRow | Fact, decided: Decided, order_id: str, nth: int) -> EventRow:
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


def once_more(receipt: bytes) -> bytes:
    """A receipt that was given before, keys in deterministic order again."""
    return cbor2.dumps(dict(sorted({**cbor2.loads(receipt), "again": True}.items(), key=_by_key)))


def _by_key(item: tuple[str, Any]) -> tuple[int, str]:
    return (len(item[0]), item[0])
