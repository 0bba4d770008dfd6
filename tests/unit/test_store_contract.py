"""What every store must do: one suite over SQLite and the store in memory. A batch is written whole or not at all, and reads back as it was written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import commit_all, empty_database, receipts, settler_on
from helpers.events import CREATED, DELIVERY, IDENTITIES, NOW_MS, SITE, event, event_id
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.access import Kind
from bridge.ingest.items import Incoming, OpenSession, Settled, Subscribe
from bridge.ingest.log import EVENTS
from bridge.ingest.memory import LEDGER, LEDGER_GONE, LedgerRow
from bridge.ingest.pipeline import Settler
from bridge.ingest.ports import AtLeast, Store
from bridge.ingest.relation import Writes
from bridge.ingest.rules import Rules
from bridge.ingest.sessions import HANDED_OVER, SUBSCRIPTIONS, SubscriptionRow
from bridge.projections.quarantine import QUARANTINE, QuarantineRow
from bridge.store.memory import MemoryStore
from bridge.store.sql import SqlStore
from bridge.store.sqlite import open_engine
from bridge.store.tables import RELATIONS


@contextmanager
def sqlite_store() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "site.db"
        path.write_bytes(empty_database())
        engine = open_engine(path)
        store = SqlStore(engine)
        yield store
        store.close()
        engine.dispose()


@contextmanager
def memory_store() -> Iterator[Store]:
    yield MemoryStore()


STORES = {"sqlite": sqlite_store, "memory": memory_store}


@pytest.fixture(params=STORES.values(), ids=STORES.keys())
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with request.param() as made:
        yield made


def write(store: Store, fill: Callable[[Writes], object]) -> None:
    writes = Writes()
    fill(writes)
    with store.transaction() as tx:
        tx.write(writes)


def ledger_row(device: str, high: int, *, owed: int = 0, log: bytes = b"12345678", updated_ms: int = 5) -> LedgerRow:
    return LedgerRow(device, log, high, owed, 0, b"\x80", updated_ms)


def test_a_row_replaces_the_one_with_its_key_and_is_found_by_its_columns(store: Store) -> None:
    write(store, lambda w: w.rows(LEDGER).extend([ledger_row("a", 1), ledger_row("b", 2)]))
    write(store, lambda w: w.rows(LEDGER).append(ledger_row("a", 3)))
    with store.transaction() as tx:
        assert tx.rows(LEDGER) == [ledger_row("a", 3), ledger_row("b", 2)]
        assert tx.rows(LEDGER, device="b", high=2) == [ledger_row("b", 2)]
        assert tx.rows(LEDGER, device="c") == []


def test_rows_are_found_from_a_value_on(store: Store) -> None:
    write(store, lambda w: w.rows(LEDGER).extend([ledger_row("a", 1), ledger_row("b", 2), ledger_row("b", 3, log=b"87654321")]))
    with store.transaction() as tx:
        assert [row.high for row in tx.rows(LEDGER, high=AtLeast(2))] == [2, 3]
        assert [row.high for row in tx.rows(LEDGER, device="b", high=AtLeast(3))] == [3]
        assert tx.rows(LEDGER, device="a", high=AtLeast(2)) == []


def test_a_row_that_is_deleted_and_written_in_one_batch_is_there(store: Store) -> None:
    write(store, lambda w: w.rows(LEDGER).append(ledger_row("a", 1)))

    def anew(w: Writes) -> None:
        w.rows(LEDGER).append(ledger_row("a", 9))
        w.delete(LEDGER_GONE, "a", b"12345678")

    write(store, anew)
    with store.transaction() as tx:
        assert tx.rows(LEDGER) == [ledger_row("a", 9)]


def test_an_update_comes_after_the_rows_of_its_batch(store: Store) -> None:
    def subscribed(w: Writes) -> None:
        w.update(HANDED_OVER, "v1/x", 1, "#", 4)
        w.keyed(SUBSCRIPTIONS)[1] = SubscriptionRow(1, "#", 4, None, 1, "")

    write(store, subscribed)
    with store.transaction() as tx:
        assert tx.rows(SUBSCRIPTIONS) == [SubscriptionRow(1, "#", 4, None, 1, "v1/x")]


def test_a_batch_that_fails_leaves_no_trace(store: Store) -> None:
    class Failed(Exception):
        pass

    def half() -> None:
        with store.transaction() as tx:
            writes = Writes()
            writes.rows(LEDGER).append(ledger_row("a", 1))
            tx.write(writes)
            raise Failed

    with pytest.raises(Failed):
        half()
    with store.transaction() as tx:
        assert [r for relation in RELATIONS for r in tx.rows(relation)] == []


def quarantined(device: str) -> QuarantineRow:
    return QuarantineRow(device, "pack", 1, "malformed", "", b"digest-1", None, b"x", True, None, None)


def test_of_a_numbered_relation_the_newest_rows_are_kept(store: Store) -> None:
    write(store, lambda w: w.rows(QUARANTINE).extend(quarantined(d) for d in "abcd"))
    with store.transaction() as tx:
        tx.keep_newest(QUARANTINE, 2)
    with store.transaction() as tx:
        assert [r.device for r in tx.rows(QUARANTINE)] == ["c", "d"]
        assert tx.quarantine_counts() == {"c": 1, "d": 1}
        assert (tx.is_quarantined("c", b"digest-1"), tx.is_quarantined("a", b"digest-1")) == (True, False)


def test_what_devices_owe_is_counted_over_their_logs(store: Store) -> None:
    rows = [ledger_row("a", 5, owed=2), ledger_row("a", 9, owed=1, log=b"another "), ledger_row("b", 1), ledger_row("c", 7, owed=4, updated_ms=50)]
    write(store, lambda w: w.rows(LEDGER).extend(rows))
    with store.transaction() as tx:
        assert (tx.owing(10), tx.owing(50)) == ({"a": 3}, {"a": 3, "c": 4})
        tx.drop_before(LEDGER, "updated_ms", 50)
    with store.transaction() as tx:
        assert [r.device for r in tx.rows(LEDGER)] == ["c"]


# --- the same day on every store --------------------------------------------------------------------------------------------

ACTIONS: tuple[tuple[str, str, str | None, dict[str, Any], dict[str, Any]], ...] = (
    ("shop1", "created", "PO-1", CREATED, {}),
    ("shop1", "created", "PO-2", {**CREATED, "promise_ms": NOW_MS + 4_000}, {}),
    ("scan-1", "pack", "PO-1", {}, {"code": "WB-1"}),
    ("scan-1", "pick", "PO-1", {"sku": "ink", "qty": 1}, {}),
    ("scan-2", "stage", None, {"dock": "d1"}, {"code": "WB-1"}),
    ("scan-2", "stage", None, {"dock": "d1"}, {"code": "WB-9"}),
    ("scan-2", "load", "PO-2", {"vehicle": "v1"}, {"code": "WB-1"}),
    ("scan-1", "void", None, {"ref": event_id("scan-1", 1), "reason": "did_not_occur"}, {}),
    ("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"}, {}),
    ("desk", "unassigned", None, {"job": "j1", "reason": "sick"}, {}),
    ("phone-anna", "claim", None, {"job": "j1", "rev": 1}, {}),
    ("phone-anna", "delivery", "PO-1", DELIVERY, {"seq_skip": 3}),
    ("desk", "held", "PO-2", {"reason": "fraud"}, {}),
)


def day(store: Store, steps: list[tuple[int, bool, bool]]) -> tuple[list[Any], list[Any], dict[str, list[Any]]]:
    """Receipts, messages, and rows by relation, after some steps: (action, whether a batch ends, whether the bridge forgets its memory)."""
    settler = settler_on(store, Rules(site=SITE))
    seqs = dict.fromkeys(IDENTITIES, 0)
    answers: list[Any] = []
    messages: list[Any] = []
    now_ms = NOW_MS
    waiting: list[Incoming] = []

    def commit() -> None:
        settled = commit_all(settler, waiting)
        answers.extend(receipts(settled))
        messages.extend(settled.messages)
        waiting.clear()

    settler.commit([OpenSession(received_ms=now_ms, device="desk", client_id="screen", clean=False)])  # type: ignore[list-item]
    settler.commit([Subscribe(received_ms=now_ms, sid=1, filters=(("v1/#", 1),))])  # type: ignore[list-item]
    for number, ends, forgets in steps:
        device, kind, order, body, other = ACTIONS[number % len(ACTIONS)]
        other = dict(other)
        seqs[device] += 1 + other.pop("seq_skip", 0)
        waiting.append(Incoming(IDENTITIES[device], Kind.EVENTS, kind, event(device, seqs[device], order, body, at_ms=now_ms, **other), now_ms))
        if ends:
            commit()
            now_ms += 3_000
            messages.extend(settler.sweep(now_ms).messages)
        if forgets:
            settler.forget()
    commit()
    with store.transaction() as tx:
        return answers, messages, {relation.name: tx.rows(relation) for relation in RELATIONS}


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(ACTIONS) - 1), st.booleans(), st.booleans()), max_size=20))
def test_the_same_day_gives_the_same_on_every_store(steps: list[tuple[int, bool, bool]]) -> None:
    found = []
    for make in STORES.values():
        with make() as made:
            found.append(day(made, steps))
    assert found[0] == found[1]


def test_the_log_has_each_event_once(store: Store) -> None:
    settler: Settler = settler_on(store, Rules(site=SITE))
    created = Incoming(IDENTITIES["shop1"], Kind.EVENTS, "created", event("shop1", 1, "PO-1", CREATED), NOW_MS)
    first: Settled = settler.commit([created])
    again: Settled = settler.commit([created])
    assert [receipts(s)[0].get("again") for s in (first, again)] == [None, True]
    with store.transaction() as tx:
        assert [e.order_id for e in tx.rows(EVENTS)] == ["PO-1"]
