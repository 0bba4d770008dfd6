"""A store and a settler without a broker: batches go in, receipts and messages come out."""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import cbor2

from bridge.app import ingest_of
from bridge.broker.session_log import SessionLog
from bridge.config import IngestSettings, Settings
from bridge.domain.access import Kind
from bridge.ingest.items import Incoming, Message, Settled
from bridge.ingest.log import EVENTS
from bridge.ingest.pipeline import Settler
from bridge.ingest.ports import Store, Transaction
from bridge.ingest.relation import Writes
from bridge.ingest.replay import NoSessions
from bridge.ingest.rules import Rules
from bridge.ingest.sealing import about_message
from bridge.store.migrate import migrate
from bridge.store.replaying import Rebuilt, rebuild
from bridge.store.sql import SqlStore
from bridge.store.sqlite import open_engine
from bridge.vault import ID_BYTES, KEY_BYTES, SiteKey, Vault
from helpers.events import CREATED, IDENTITIES, NOW_MS, SITE, TOPICS, event

_CACHES = Settings(ingest=IngestSettings(orders_cached_max=100, devices_cached_max=100))


def settler_on(store: Store, rules: Rules, caches: Settings = _CACHES) -> Settler:
    """The settler of production, with small caches."""
    return Settler(store, ingest_of(replace(rules, sealer=VAULT), caches, SessionLog()))


VAULT = Vault(lambda: [SiteKey(bytes(ID_BYTES), "ams1", bytes(range(KEY_BYTES)), 1)])
"""Seals and opens in tests."""


MARK = b"skull and crossbones"


class Fussy:
    """A transaction that writes no payload with a mark, as if it had a value that no table accepts."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tx, name)

    def write(self, writes: Writes) -> None:
        if any(MARK in e.payload for e in writes.rows(EVENTS)):
            raise ValueError("what is this?")
        self._tx.write(writes)


def receipts(settled: Settled) -> list[dict[str, Any]]:
    """The decoded receipts of a batch; an empty one for a message without a receipt."""
    return [cbor2.loads(receipt) if receipt else {} for receipt in settled.outcomes]


def commit_all(settler: Settler, batch: Sequence[Incoming]) -> Settled:
    """Commits a whole batch, as the pipeline does: if only a part is committed, the rest follows."""
    whole = Settled([], [], [])
    while batch:
        part = settler.commit(batch)
        whole = Settled(whole.effects + part.effects, whole.jobs + part.jobs, whole.outcomes + part.outcomes)
        batch = batch[len(part.outcomes) :]
    return whole


@cache
def empty_database() -> bytes:
    """The database of a new site."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        engine = open_engine(path)
        migrate(engine, path)
        engine.dispose()
        return path.read_bytes()


class Bench:
    """A store and a settler, and the messages that a broker would get. A second passes after every batch.

    Args:
        path: the database; it is made if there is none.
        rules: settings of `Rules` that differ from the defaults.
    """

    def __init__(self, path: Path, **rules: Any) -> None:
        if not path.exists():
            path.write_bytes(empty_database())
        self.path = path
        self.engine = open_engine(path)
        self.store = SqlStore(self.engine)
        self.rules = Rules(site=SITE, sealer=VAULT, **rules)
        self.settler = settler_on(self.store, self.rules)
        self.now_ms = NOW_MS
        self.shown: list[Message] = []
        self.retained: dict[str, bytes] = {}
        self._seq: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.store.close()
        self.engine.dispose()

    # given

    def draft(self, device: str, event_type: str, order: str | None = None, body: dict[str, Any] | None = None, **other: Any) -> Incoming:
        """A device's next event, ready to be sent. It happens now unless `at_ms` is given."""
        seq = self._seq[device] = other.pop("seq", self._seq.get(device, 0) + 1)
        return self.message(device, event_type, event(device, seq, order, body, **{"at_ms": self.now_ms, **other}))

    def message(self, device: str, event_type: str | None, payload: bytes, *, kind: Kind = Kind.EVENTS, detail: str | None = None) -> Incoming:
        return Incoming(IDENTITIES[device], kind, event_type, payload, self.now_ms, detail)

    # when

    def send(self, *batch: Incoming) -> list[dict[str, Any]]:
        """Settles messages as one batch; returns their receipts."""
        settled = self._told(commit_all(self.settler, batch))
        self.now_ms += 1_000
        return receipts(settled)

    def tell(self, device: str, event_type: str, order: str | None = None, body: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
        """A device sends one event; returns its receipt."""
        (receipt,) = self.send(self.draft(device, event_type, order, body, **other))
        return receipt

    def create(self, *orders: str, **body: Any) -> None:
        """The shop creates orders and reports them as paid."""
        for order in orders:
            assert self.tell("shop1", "created", order, {**CREATED, **body})["outcome"] == "applied"
            if body.get("payment") != "on_delivery":
                self.tell("shop1", "paid", order, {"amount_minor": 1250, "currency": "EUR"})

    def sweep(self, after_ms: int = 0) -> None:
        self.now_ms += after_ms
        self._told(self.settler.sweep(self.now_ms))

    def _told(self, settled: Settled) -> Settled:
        self.shown += settled.messages
        for message in settled.messages:
            if message.retain:
                self.retained[message.topic] = message.payload
        return settled

    def forget(self) -> None:
        """The bridge forgets what it has in memory, as after a batch that did not commit."""
        self.settler.forget()

    def rebuild(self) -> Rebuilt:
        """Derives everything again from the event log."""
        with self.store.transaction() as tx:
            done = rebuild(tx.connection, ingest_of(self.rules, _CACHES, NoSessions()), now_ms=self.now_ms)
        self.forget()
        return done

    # then

    def show(self, topic: str) -> dict[str, Any] | None:
        """The retained message of a topic; None if there is none."""
        payload = self.retained.get(topic, b"")
        return cbor2.loads(payload) if payload else None

    def status(self, order: str) -> dict[str, Any]:
        status = self.show(TOPICS.status(order))
        assert status is not None, f"{order} is not shown"
        return status

    def receipts(self, device: str) -> list[dict[str, Any]]:
        """Every receipt that a device was sent."""
        return [cbor2.loads(m.payload) for m in self.shown if m.topic == TOPICS.receipts(device)]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of the database, read through another connection."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def quarantined(self) -> list[bytes]:
        """What is in quarantine and in no log, as it came."""
        rows = self.rows("SELECT device, digest, payload FROM quarantine WHERE pos IS NULL ORDER BY no")
        return [VAULT.open(sealed, about_message(device, digest)) for device, digest, sealed in rows]

    def dump(self, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
        return {t: sorted(self.rows(f"SELECT * FROM {t}"), key=repr) for t in tables}
