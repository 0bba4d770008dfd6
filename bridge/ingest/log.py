"""The event log: its rows, and the facts made from them. The log is append-only and the source of truth; everything derived can be rebuilt from it.

A row contains what was decided when its event arrived (its time, its place, a fault, a courier's answer), so that a replay reads it and never decides again.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import cbor2

from bridge.domain import barcodes, event_time
from bridge.domain.codes.evidence import keys_mentioned
from bridge.domain.codes.history import is_article
from bridge.domain.facts import BRIDGE, DECIDED, Decided, Fact, Unpaid
from bridge.ingest.relation import Origin, Relation
from devices.protocol import bodies, messages
from devices.protocol.vocabulary import EventType, OrderState, Outcome, ParcelState, Reason, Role, Warn

BRIDGE_LOG: Final = b"\0" * 8
"""The log id of the bridge's own events; their seq is their position in the event log."""


PLAIN: Final[dict[str, str]] = {
    word: word.value for words in (Role, EventType, event_time.Source, Outcome, Reason, OrderState, ParcelState, Unpaid) for word in words
}
"""Each word as a plain `str`: the database driver takes three times as long for an enum member."""


class EventRow(NamedTuple):
    """One event. `pos` is its position in the log, the order of arrival; `batch` is the number of its transaction.

    `courier` is the courier that the device was bound to, `warn` what was odd about it on arrival (words of `Warn`, with blanks between them), `stream` its
    subject if that is not an order; `article` is the SKU of the article that a pick scanned, as the list of articles was then. `code` is the normal form of
    what was scanned; `fault` says why it can't count, if the event itself shows it, and `detail` is a sentence for its receipt. `order_id` is the order that
    it belonged to when it arrived: if a later event moves it, the relation `placed` says where it belongs now. `terms` is the site's rule for unpaid orders at
    that time, if the event creates an order: an order keeps it, whatever the setting becomes. `carrier` is the carrier that the event means by the site's
    settings at that time, if it does not name it so itself; `pickups` are the next pickups of all carriers after it (`Timetable.all_after`).
    """

    pos: int
    batch: int
    id: bytes
    device: str
    role: str
    courier: str | None
    type: str
    log: bytes
    seq: int
    received_ms: int
    event_ms: int
    source: str
    error_ms: int
    warn: str | None
    stream: str | None
    order_id: str | None
    code: str | None
    at: str | None
    fault: str | None
    detail: str | None
    terms: str | None
    payload: bytes
    article: str | None = None
    carrier: str | None = None
    pickups: str | None = None


class BatchRow(NamedTuple):
    """A transaction that changed something. Revisions and receipts carry its time.

    Its kind: a `commit` of messages, a `sweep`, the `start` of a server, or a `rebuild`.
    """

    no: int
    now_ms: int
    kind: str


class RefusedRow(NamedTuple):
    """A message that never became an event, but whose number counts in the device's ledger. It arrived before the event at `pos`."""

    batch: int
    pos: int
    device: str
    log: bytes
    seq: int
    digest: bytes


EVENTS: Final = Relation(
    name="events",
    row=EventRow,
    key=("pos",),
    origin=Origin.LOG,
    appends=True,
    # The id comes first: ids start with their time (UUIDv7), so that the index grows at its end.
    unique=(("id", "device"),),
    indexes=(("order_id", "pos"),),
    note="append-only: every event, in the order of arrival",
)
BATCHES: Final = Relation(name="batches", row=BatchRow, key=("no",), origin=Origin.LOG, appends=True, note="append-only: transactions and their times")
REFUSED: Final = Relation(
    name="refused",
    row=RefusedRow,
    key=("no",),
    origin=Origin.LOG,
    numbered=True,
    appends=True,
    note="append-only: refused messages, which count in the ledger of their device",
)


_PLACED_FAULTS: Final = frozenset({Reason.WRONG_PARCEL, Reason.CODE_TAKEN})
"""Earlier versions decided these on arrival. They follow from the codes, and are no part of the event."""


def fact_of(row: EventRow, body: bodies.Body | Decided, named: str | None, parcel: str | None) -> Fact:
    """Convert a row of the event log to a fact for the fold.

    Args:
        named, parcel: the order and the parcel that the device named.
    """
    fact = Fact(
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
        courier=row.courier,
        terms=row.terms,
        fault=None if row.fault in _PLACED_FAULTS else row.fault,
        named=named,
        keys=_keys_of(row, body) if row.code is not None or row.type in _WITH_CODES else (),
        pos=row.pos,
        doubt=row.warn,
        article=row.article,
        carrier=row.carrier,
        pickups=row.pickups,
        seq_reused=row.warn is not None and is_seq_reused(row),
    )
    fact.arrived_in = row.order_id
    return fact


def _keys_of(row: EventRow, body: bodies.Body | Decided) -> tuple[str, ...]:
    if row.type in _WITH_CODES:
        return keys_mentioned(row.code, body)
    if row.code is None or row.article is not None or (row.type in _ARTICLES and is_article(row.code)):
        return ()
    return (row.code,)


_ARTICLES: Final = frozenset({EventType.PICK, EventType.PACK})
"""An article that they scan says nothing about an order: they are never placed by it."""
_WITH_CODES: Final = frozenset({EventType.AGGREGATED, EventType.DISAGGREGATED, EventType.LABELLED})
"""Types whose body names codes."""


def is_seq_reused(row: EventRow) -> bool:
    """Whether another event of its log had the number of this event before it arrived."""
    return row.warn is not None and Warn.SEQ_REUSED in row.warn.split()


def stored_fact(row: EventRow) -> Fact:
    """Decode a stored row of the event log into a fact for the fold."""
    if row.type == DECIDED:
        logged = cbor2.loads(row.payload)
        reason = Reason(logged["reason"]) if logged["reason"] else None
        return fact_of(
            row,
            Decided(
                device=logged["device"],
                ref=logged["ref"],
                job=logged["job"],
                answer=logged["answer"],
                outcome=Outcome(logged["outcome"]),
                reason=reason,
                courier=logged.get("courier"),
                parcel=logged.get("parcel"),
            ),
            row.order_id,
            None,
        )
    event = messages.decode_event(row.payload, EventType(row.type))
    return fact_of(row, event.body, event.order or order_in_code(event.code), event.parcel)


def order_in_code(code: str | None) -> str | None:
    """The order number that a label carries (GS1 AI 400): the label names the order, if the device does not."""
    if code is None:
        return None
    scanned = barcodes.read(code)
    return scanned.order if isinstance(scanned, barcodes.Scanned) else None


class Asked(NamedTuple):
    """What a decision of the bridge is about, if that is not an event: time itself."""

    device: str
    id: bytes
    received_ms: int


def decided_row(pos: int, batch: int, asked: EventRow | Fact | Asked, decided: Decided, order_id: str, nth: tuple[int, int]) -> EventRow:
    """The bridge's own event about a decision. `nth` is the number of the order in the job, and the batch, which distinguishes a repeated decision."""
    payload = cbor2.dumps(
        {
            "job": decided.job,
            "ref": decided.ref,
            "device": decided.device,
            "answer": decided.answer,
            "reason": decided.reason and decided.reason.value,
            "outcome": decided.outcome.value,
            **({"courier": decided.courier, "parcel": decided.parcel} if decided.courier is not None else {}),
        },
    )
    order_no, again = nth
    number = order_no.to_bytes(4, "big") + (again.to_bytes(8, "big") if again else b"")
    event_id = hashlib.sha256(b"decided" + asked.device.encode() + b"\0" + asked.id + number).digest()[:16]
    return EventRow(
        pos=pos,
        batch=batch,
        id=event_id,
        device=BRIDGE,
        role=BRIDGE,
        courier=None,
        type=DECIDED,
        log=BRIDGE_LOG,
        seq=pos,
        received_ms=asked.received_ms,
        event_ms=asked.received_ms,
        source=event_time.Source.RECEIVED.value,
        error_ms=0,
        warn=None,
        stream=None,
        order_id=order_id,
        code=None,
        at=None,
        fault=None,
        detail=None,
        terms=None,
        payload=payload,
    )
