"""A stream through the real ingest, and what it comes to: everything that may not depend on the order of the arrival.

The times of a stream are fixed, as they are in the log, so the clocks of its devices are not asked. Everything after that gate is the product.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import pytest

from bridge.app import ingest_of
from bridge.broker.session_log import SessionLog
from bridge.config import IngestSettings, Settings
from bridge.domain.access import Identity, Kind, may_send
from bridge.domain.codes.rules import CodeRules
from bridge.domain.event_time import EventTime, Source
from bridge.domain.fold import fold
from bridge.domain.view import OrderView
from bridge.ingest import accept as accepting
from bridge.ingest import settle as settling
from bridge.ingest.codes import CODES, INSIDE, PLACED, WAITING, PlacedRow, placing_of
from bridge.ingest.items import Incoming
from bridge.ingest.log import EVENTS, EventRow
from bridge.ingest.ports import Store, Transaction
from bridge.ingest.rules import Rules
from bridge.ingest.waiting import PARKED
from bridge.projections.orders import ORDERS
from bridge.projections.quarantine import QUARANTINE
from bridge.projections.receipts import RECEIPTS
from devices.protocol.messages import encode_cbor
from devices.protocol.vocabulary import Outcome, Role
from firmware_sim.checkers.model.codes.told import Told
from helpers.bench import VAULT
from helpers.events import SITE
from helpers.streams.writing import CONTAINERS

Uid = tuple[str, bytes]
"""(device, id): an event's identity within a site."""

RULES: Final = Rules(site=SITE, sealer=VAULT, codes=CodeRules(containers=CONTAINERS))
USUAL: Final = Settings()
FORGETFUL: Final = Settings(ingest=IngestSettings(orders_cached_max=1, devices_cached_max=1))
"""Caches that hold next to nothing between batches."""
_BOOT: Final = {"boot": b"boot-one", "mono_ms": 0, "sent_boot": b"boot-one", "sent_mono_ms": 0}


class Answer(NamedTuple):
    """Where an event belongs, with the codes inside a scanned container for each order, and its verdict. `late` is `applied` here."""

    orders: tuple[tuple[str, tuple[str, ...] | None], ...]
    refusal: str | None
    warns: frozenset[str]
    outcome: str
    reason: str | None

    @property
    def order_ids(self) -> frozenset[str]:
        return frozenset(order_id for order_id, _ in self.orders)


class Comes(NamedTuple):
    """What a stream comes to. Left out is what may differ: n, rev, at_ms, left and detail."""

    answers: Mapping[Uid, Answer]
    orders: Mapping[str, tuple[str, bytes]]
    """State and hash."""
    stale: frozenset[str]
    """Orders whose hash is not what their stored facts make, folded all at once: there must be none."""
    codes: frozenset[tuple[str, str, bool]]
    waiting: frozenset[tuple[str, str, Uid]]
    inside: frozenset[tuple[str, str, Uid]]
    parked: frozenset[tuple[Uid, str | None, str, str]]
    quarantined: frozenset[tuple[str, str | None, str, bytes]]


# --- in ---------------------------------------------------------------------------------------------------------------------


def each_once(events: Iterable[Told]) -> list[Told]:
    """Without the events whose device used their id before: which of the two is the event depends on the arrival, by the contract."""
    once: dict[Uid, Told] = {}
    for e in events:
        once.setdefault((e.device, e.id), e)
    return list(once.values())


def incoming(e: Told) -> Incoming:
    """The message that a device sends for an event."""
    said = {"id": e.id, "log": e.log, "seq": e.seq, "at_ms": e.event_ms, **_BOOT, "order": e.order, "parcel": e.parcel, "code": e.code}
    payload = encode_cbor({k: v for k, v in said.items() if v is not None} | {"body": {k: v for k, v in e.body.items() if v is not None}})
    identity = Identity(site=SITE, device=e.device, role=Role(e.role))
    asked = may_send(identity.role, e.type)
    if not asked.allowed:
        return Incoming(identity, Kind.DENIED, e.type, payload, e.received_ms, asked.rule)
    return Incoming(identity, Kind.EVENTS, e.type, payload, e.received_ms)


@contextmanager
def times_of(events: Iterable[Told]) -> Iterator[None]:
    """The gate of times answers what the stream says."""
    times = {(e.device, e.id): EventTime(e.event_ms, Source.SYSTEM, 0) for e in events}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accepting, "time_of", lambda batch, message, event, event_type, *, seq_reused=False: times[message.identity.device, event.id])
        yield


def arrive(store: Store, way: Iterable[Sequence[Told]], *, chance: random.Random | None = None) -> Comes:
    """Commit batches one after the other. With `chance`, the bridge now and then forgets what it remembers between them, or remembers little."""
    settings = FORGETFUL if chance is not None and chance.random() < 0.3 else USUAL
    ingest = ingest_of(RULES, settings, SessionLog())
    for batch in way:
        with store.transaction() as tx:
            settling.settle([incoming(e) for e in batch], tx, ingest)
        if chance is not None and chance.random() < 0.2:
            ingest.forget()
    with store.transaction() as tx:
        return comes_to(tx)


# --- out --------------------------------------------------------------------------------------------------------------------


def comes_to(tx: Transaction) -> Comes:
    """Read what the store says."""
    log: dict[int, EventRow] = {e.pos: e for e in tx.rows(EVENTS)}
    uids = {pos: (e.device, e.id) for pos, e in log.items()}
    answers = _answers(tx, log)
    orders = {o.order_id: (o.state, o.hash) for o in tx.rows(ORDERS) if o.hash}
    folded = _folded(tx, {order_id for a in answers.values() for order_id in a.order_ids})
    return Comes(
        answers=answers,
        orders=orders,
        stale=frozenset(o for o in orders.keys() | folded.keys() if orders.get(o, ("", b""))[1] != folded.get(o)),
        codes=frozenset((c.code, c.order_id, bool(c.is_beside)) for c in tx.rows(CODES)),
        waiting=frozenset((w.ref_kind, w.ref, uids[w.pos]) for w in tx.rows(WAITING)),
        inside=frozenset((i.parent, i.child, uids[i.pos]) for i in tx.rows(INSIDE)),
        parked=frozenset((uids[p.pos], p.order_id, p.ref_kind, p.ref) for p in tx.rows(PARKED)),
        quarantined=frozenset((q.device, q.event_type, q.reason, q.digest if q.pos is None else log[q.pos].id) for q in tx.rows(QUARANTINE)),
    )


def _answers(tx: Transaction, log: Mapping[int, EventRow]) -> dict[Uid, Answer]:
    rows: dict[int, list[PlacedRow]] = {}
    for row in tx.rows(PLACED):
        rows.setdefault(row.pos, []).append(row)
    receipts = {r.pos: r for r in tx.rows(RECEIPTS)}
    answers = {}
    for pos, e in log.items():
        placing, receipt = placing_of(e, rows.get(pos, [])), receipts[pos]
        outcome = Outcome.APPLIED.value if receipt.outcome == Outcome.LATE else receipt.outcome
        answers[e.device, e.id] = Answer(tuple(sorted(placing.orders)), placing.reason, frozenset(placing.warn), outcome, receipt.reason)
    return answers


def _folded(tx: Transaction, order_ids: set[str]) -> dict[str, bytes]:
    folds = {o: fold(o, stored.facts) for o, stored in tx.orders(sorted(order_ids)).items()}
    return {o: OrderView(whole.order).hash for o, whole in folds.items() if whole.exists}


def differences(one: Comes, other: Comes) -> dict[str, Any]:
    """What differs, by the field of `Comes`."""
    found: dict[str, Any] = {}
    for name, a, b in zip(Comes._fields, one, other, strict=True):
        if a != b:
            found[name] = {k: (a.get(k), b.get(k)) for k in a.keys() | b.keys() if a.get(k) != b.get(k)} if isinstance(a, dict) else (a - b, b - a)
    return found
