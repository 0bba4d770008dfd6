"""Records made by hand and by small stories, for the checkers: each device is a few lines, and time passes only when a story says so."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from helpers.bench import Bench, receipts
from helpers.events import BOOT, CREATED, DELIVERY, IDENTITIES, SITE, TOPICS, log_of

from bridge.domain.access import Kind
from bridge.ingest import items
from bridge.ingest.items import Done, EndSession, Incoming, Message, OpenSession, Settled, Subscribe, Unsubscribe
from devices.protocol.messages import encode_cbor
from devices.protocol.topics import matches
from firmware_sim.record import (
    Acknowledged,
    Cast,
    Committed,
    Connected,
    Effect,
    End,
    FiltersAdded,
    FiltersRemoved,
    Published,
    Received,
    Record,
    Sent,
    ServerStarted,
    SessionEnded,
    SessionOpened,
    Subscribed,
)

TABLES: Final = (
    *("events", "placed", "code_rules", "receipts", "orders", "parcels", "status_log", "parked", "quarantine", "ledger"),
    *("jobs", "alerts", "retained", "sessions"),
)

READS: Final = {
    "shop1": (TOPICS.receipts("shop1"), f"{TOPICS.base}/orders/#"),
    "shop-a": (TOPICS.receipts("shop-a"),),
    "shop-b": (TOPICS.receipts("shop-b"),),
    "dhl": (TOPICS.receipts("dhl"),),
    "desk": (TOPICS.receipts("desk"), f"{TOPICS.base}/orders/#", f"{TOPICS.base}/orders/+/status", f"{TOPICS.base}/alerts/#"),
    "scan-1": (TOPICS.receipts("scan-1"),),
    "scan-2": (TOPICS.receipts("scan-2"),),
    "phone-anna": (TOPICS.receipts("phone-anna"), TOPICS.assignments("anna")),
    "phone-ben": (TOPICS.receipts("phone-ben"), TOPICS.assignments("ben")),
}
"""What each device subscribes to, at QoS 1; some of the desk's filters overlap."""


class Run:
    """A bench that records every step as a simulation would."""

    def __init__(self, path: Path, **rules: Any) -> None:
        self.bench = Bench(path, **rules)
        self.record = Record(scenario="by_hand", seed=1, site=SITE, link="none", started_ms=self.now_ms, status_keep_ms=self.bench.rules.status_keep_ms)
        self.note = self.record.entries.append
        self._filters: dict[str, tuple[int, dict[str, int]]] = {}
        for device, identity in IDENTITIES.items():
            secrets = tuple(s for s in (identity.courier, "worker-77" if device == "scan-1" else None) if s)
            self.record.cast[device] = Cast(device=device, role=identity.role, courier=identity.courier, secrets=secrets)
        self.note(ServerStarted(self.now_ms, ()))
        for device in IDENTITIES:
            self.join(device)

    @property
    def now_ms(self) -> int:
        return self.bench.now_ms

    def join(self, device: str, *filters: str) -> None:
        """A device connects with a persistent session, subscribes and publishes its presence."""
        self.note(Connected(self.now_ms, device, False))
        self._commit(OpenSession(received_ms=self.now_ms, device=device, client_id=device, clean=False))
        self._commit(items.Connected(received_ms=self.now_ms, device=device))
        sid, _ = self._filters[device]
        asked = tuple((f, 1) for f in filters or READS[device])
        self._commit(Subscribe(received_ms=self.now_ms, sid=sid, filters=asked))
        self.note(Subscribed(self.now_ms, device, asked))
        presence = {"online": True, "boot": BOOT, "log": log_of(device), "at_ms": self.now_ms, "mono_ms": 1_000}
        self.publish(device, TOPICS.presence(device), self.bench.message(device, None, encode_cbor(presence), kind=Kind.PRESENCE), retain=True)

    def tell(self, device: str, event_type: str, order: str | None = None, body: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
        """A device publishes one event; it is stored, shown and acknowledged."""
        draft = self.bench.draft(device, event_type, order, body, **other)
        return self.publish(device, TOPICS.event(device, event_type), draft)

    def publish(self, device: str, topic: str, incoming: Incoming, *, retain: bool = False) -> dict[str, Any]:
        no = len(self.record.entries)
        self.note(Published(self.now_ms, device, no, topic, incoming.payload, 1, retain))
        settled = self._commit(incoming)
        self.note(Acknowledged(self.now_ms, device, no))
        self.bench.now_ms += 1_000
        return receipts(settled)[0]

    def sweep(self, after_ms: int = 0) -> None:
        self.bench.now_ms += after_ms
        self._show(self.bench.settler.sweep(self.now_ms), 0)

    def _commit(self, *batch: Any) -> Settled:
        settled = self.bench.settler.commit(batch)
        self._show(settled, len(batch))
        return settled

    def _show(self, settled: Settled, messages: int) -> None:
        effects = tuple(e for told in settled.effects if (e := _effect(told)) is not None)
        if effects:
            self.note(Committed(self.now_ms, messages, 0, effects))
        for effect in effects:
            self._take(effect)

    def _take(self, effect: Effect) -> None:
        match effect:
            case SessionOpened(sid, device, _):
                self._filters.setdefault(device, (sid, {}))
            case FiltersAdded(sid, filters):
                next(held for s, held in self._filters.values() if s == sid).update(filters)
            case Sent(topic, payload, qos, retain):
                if retain:
                    self.bench.retained[topic] = payload
                for device, (_, filters) in self._filters.items():
                    if granted := [q for f, q in filters.items() if matches(f, topic)]:
                        self.note(Received(self.now_ms, device, topic, payload, min(qos, max(granted)), False, False))
            case _:
                raise AssertionError(effect)

    def finish(self, **expected: str) -> Record:
        """The record, with the present content of the database and the broker."""
        with sqlite3.connect(self.bench.path) as connection:
            connection.row_factory = sqlite3.Row
            tables = {t: [dict(r) for r in connection.execute(f"SELECT * FROM {t}")] for t in TABLES}
        for row, payload in zip((r for r in tables["quarantine"] if r["pos"] is None), self.bench.quarantined(), strict=True):
            row["payload"] = payload
        connection.close()
        self.record.ended_ms = self.now_ms
        self.record.expected.update(expected)
        held = {topic: payload for topic, payload in self.bench.retained.items() if payload}
        nothing = dict.fromkeys(IDENTITIES, 0)
        self.record.end = End(tables=tables, retained=held, unsent=dict(nothing), unanswered=dict(nothing))
        return self.record


def _effect(told: object) -> Effect | None:
    match told:
        case Message(topic, payload, qos, retain):
            return Sent(topic, payload, qos, retain)
        case Done(OpenSession(device=device, client_id=client_id), sid):
            return SessionOpened(sid, device, client_id)
        case Done(EndSession(sid=sid)):
            return SessionEnded(sid)
        case Done(Subscribe(sid=sid, filters=filters)):
            return FiltersAdded(sid, filters)
        case Done(Unsubscribe(sid=sid, filters=filters)):
            return FiltersRemoved(sid, filters)
        case _:
            return None


def a_shift(run: Run) -> None:
    """A morning: an order that is delivered, one that waits at the dock, one on hold, one that is cancelled; and a scan of an order that is created later."""
    tell = run.tell
    tell("scan-1", "shift_started", None, {"worker": "worker-77"}, by="worker-77")
    tell("scan-2", "stage", "o-5", {"dock": "d2"})
    for order in ("o-1", "o-2", "o-3", "o-4", "o-5"):
        tell("shop1", "created", order, CREATED)
        tell("shop1", "paid", order, {"amount_minor": 1250, "currency": "EUR"})
    for order in ("o-1", "o-2"):
        tell("scan-1", "pick", order, {"sku": "pen", "qty": 1})
        tell("scan-1", "pack", order, {})
        tell("scan-1", "labelled", order, {"code": f"C-{order}", "kind": "plain"})
        tell("scan-2", "stage", order, {"dock": "d1"})
    tell("desk", "assigned", "o-1", {"courier": "anna", "job": "j-1"})
    tell("phone-anna", "claim", None, {"job": "j-1", "rev": 1})
    for event_type in ("pickup", "out_for_delivery"):
        tell("phone-anna", event_type, "o-1")
    tell("phone-anna", "delivery", None, DELIVERY, code="C-o-1")
    tell("desk", "held", "o-3", {"reason": "fraud"})
    tell("scan-1", "pick", "o-3", {"sku": "pen", "qty": 1})
    tell("scan-1", "pick", "o-2", {"sku": "hat", "qty": 1})
    tell("desk", "cancelled", "o-4", {"reason": "asked"})
    tell("desk", "assigned", "o-2", {"courier": "ben", "job": "j-2"})
    again = run.bench.draft("scan-1", "load", "o-2", {"vehicle": "van-3"})
    for _ in range(2):  # the PUBACK was lost once
        run.publish("scan-1", TOPICS.event("scan-1", "load"), again)
    run.publish("scan-1", TOPICS.event("scan-1", "stage"), run.bench.draft("scan-1", "stage", "o-2", {"dock": 7}))  # no contract allows that
    tell("scan-1", "shift_ended")


def a_good_record(path: Path, story: Callable[[Run], None] = a_shift) -> Record:
    """The record of a story on a new site."""
    run = Run(path)
    try:
        story(run)
        return run.finish()
    finally:
        run.bench.store.close()
        run.bench.engine.dispose()
