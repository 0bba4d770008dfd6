"""Store, then show, then acknowledge: in that order, whatever the messages contain and however long the store is unavailable."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.bench import MARK, Bench, Fussy, commit_all, receipts, settler_on
from helpers.events import CREATED, IDENTITIES, LINES, NOW_MS, SITE, event
from helpers.waiting import DEADLINE_S

from bridge.domain.access import Kind
from bridge.ingest.items import Incoming, Settled
from bridge.ingest.pipeline import Limits, Pipeline, Settler
from bridge.ingest.ports import Store, StoreUnavailable, Transaction
from bridge.ingest.rules import Rules
from bridge.store import sqlite

IMPATIENT = Limits(retry_first_s=0.001, retry_max_s=0.002)


def message(seq: int, payload: bytes | None = None, *, device: str = "scan-1", event_type: str = "shift_started") -> Incoming:
    return Incoming(IDENTITIES[device], Kind.EVENTS, event_type, payload or event(device, seq, None, {"worker": "w-17"}), NOW_MS + seq)


# --- the order of things ------------------------------------------------------------------------------------------------------


class Desk:
    """A writer and an outlet that record their calls in sequence."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, Any]] = []
        self.failures: list[Exception] = []
        self.gate: asyncio.Event | None = None

    async def commit(self, batch: Sequence[Incoming]) -> Settled:
        if self.gate is not None:
            await self.gate.wait()
        if self.failures:
            self.steps.append(("fail", len(batch)))
            raise self.failures.pop(0)
        self.steps.append(("commit", len(batch)))
        return Settled([], [], [{"received_ms": m.received_ms} for m in batch])

    def show(self, settled: Settled) -> None:
        self.steps.append(("show", len(settled.outcomes)))

    def flush(self) -> None:
        self.steps.append(("flush", None))

    def acknowledge(self, name: str) -> Callable[[bytes], None]:
        return lambda receipt: self.steps.append(("acknowledge", (name, receipt["received_ms"] - NOW_MS)))


def run(story: Awaitable[None]) -> None:
    async def with_deadline() -> None:
        await asyncio.wait_for(story, DEADLINE_S)  # type: ignore[arg-type]

    asyncio.run(with_deadline())


@contextmanager
def running(pipeline: Pipeline) -> Iterator[None]:
    task = asyncio.get_running_loop().create_task(pipeline.run())
    try:
        yield
    finally:
        task.cancel()


def test_a_batch_is_stored_then_shown_then_acknowledged_then_flushed() -> None:
    async def story() -> None:
        desk = Desk()
        pipeline = Pipeline(desk, desk, Limits(batch_messages_max=2))
        for name, seq in (("a", 1), ("b", 2), ("c", 3)):
            pipeline.offer(message(seq), desk.acknowledge(name))
        with running(pipeline):
            await pipeline.drained()
        assert desk.steps == [
            ("commit", 2),
            ("show", 2),
            ("acknowledge", ("a", 1)),
            ("acknowledge", ("b", 2)),
            ("flush", None),
            ("commit", 1),
            ("show", 1),
            ("acknowledge", ("c", 3)),
            ("flush", None),
        ]

    run(story())


def test_what_arrives_while_a_batch_commits_makes_the_next_one() -> None:
    async def story() -> None:
        desk = Desk()
        desk.gate = asyncio.Event()
        pipeline = Pipeline(desk, desk, Limits())
        with running(pipeline):
            pipeline.offer(message(1), desk.acknowledge("a"))
            await asyncio.sleep(0)
            for seq in range(2, 12):
                pipeline.offer(message(seq), desk.acknowledge("b"))
            desk.gate.set()
            await pipeline.drained()
        assert [n for step, n in desk.steps if step == "commit"] == [1, 10]

    run(story())


def test_while_the_store_fails_nothing_is_shown_or_acknowledged_and_it_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        desk = Desk()
        desk.failures = [StoreUnavailable("disk full")] * 5
        pipeline = Pipeline(desk, desk, IMPATIENT)
        pipeline.offer(message(1), desk.acknowledge("a"))
        with running(pipeline):
            await pipeline.drained()
        assert [step for step, _ in desk.steps] == ["fail"] * 5 + ["commit", "show", "acknowledge", "flush"]
        assert not pipeline.store_failing

    run(story())
    assert [(r.levelno, "disk full" in r.getMessage()) for r in caplog.records] == [(logging.ERROR, True), (logging.WARNING, False)]


# --- back-pressure ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "limits", [Limits(queue_messages_max=3, batch_messages_max=1), Limits(queue_bytes_max=3 * len(message(1).payload), batch_messages_max=1)]
)
def test_a_full_queue_says_so_and_says_once_when_there_is_room_again(limits: Limits) -> None:
    async def story() -> None:
        desk = Desk()
        room: list[int] = []
        pipeline = Pipeline(desk, desk, limits, lambda: room.append(len(desk.steps)))
        for seq in range(1, 6):
            assert pipeline.is_full is (seq > 3)
            pipeline.offer(message(seq), desk.acknowledge(str(seq)))
        assert pipeline.is_full
        assert room == []
        with running(pipeline):
            await pipeline.drained()
        assert not pipeline.is_full
        assert len(room) == 1
        assert [name for step, (name, _) in ((s, n) for s, n in desk.steps if s == "acknowledge")] == ["1", "2", "3", "4", "5"]

    run(story())


def test_a_queue_that_was_never_full_reports_no_room() -> None:
    async def story() -> None:
        desk = Desk()
        room: list[int] = []
        pipeline = Pipeline(desk, desk, Limits(), lambda: room.append(1))
        pipeline.offer(message(1), desk.acknowledge("a"))
        assert not pipeline.is_full
        with running(pipeline):
            await pipeline.drained()
        assert room == []

    run(story())


# --- poison -------------------------------------------------------------------------------------------------------------------


class Marked:
    """A store whose writes fail for a marked payload, as if the payload had a value that no table accepts."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.tries = 0

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        self.tries += 1
        with self._store.transaction() as tx:
            yield Fussy(tx)  # type: ignore[misc]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


@pytest.mark.parametrize("poisonous", [[1], [32], [7, 8], [1, 16, 17, 32], list(range(1, 33))], ids=str)
def test_a_poisonous_message_is_found_and_the_others_go_on(bench: Bench, caplog: pytest.LogCaptureFixture, poisonous: list[int]) -> None:
    settler = settler_on(Marked(bench.store), Rules(site=SITE))
    batch = [message(i, event("scan-1", i, None, {"worker": "w"}, at=MARK.decode() if i in poisonous else "dock-1")) for i in range(1, 33)]
    settled = commit_all(settler, batch)
    rejected = [i for i, receipt in enumerate(receipts(settled), 1) if receipt["outcome"] == "rejected"]
    assert rejected == poisonous
    assert {receipts(settled)[i - 1]["reason"] for i in poisonous} == {"poison"}
    assert [seq for (seq,) in bench.rows("SELECT seq FROM events ORDER BY pos")] == [i for i in range(1, 33) if i not in poisonous]
    assert bench.quarantined() == [batch[i - 1].payload for i in poisonous]
    assert len([m for m in settled.messages if m.topic.endswith("/receipts")]) == 32
    assert len(caplog.records) == len(poisonous)


def test_what_comes_after_a_poisonous_message_is_settled_as_if_it_had_not_been(bench: Bench) -> None:
    bench.create("PO-1")
    settler = settler_on(Marked(bench.store), Rules(site=SITE))
    pack = bench.draft("scan-1", "pack", "PO-1")
    stage = bench.draft("scan-2", "stage", "PO-1", {"dock": "d1"})
    poison = bench.draft("scan-1", "load", "PO-1", {"vehicle": "v1"}, at=MARK.decode())
    assert [r["outcome"] for r in receipts(commit_all(settler, [pack, poison, stage]))] == ["applied", "rejected", "applied"]
    assert [r["outcome"] for r in receipts(commit_all(settler, [pack, poison, stage]))] == ["applied", "rejected", "applied"]
    assert bench.rows("SELECT state FROM parcels") == [("staged",)]
    assert len(bench.rows("SELECT 1 FROM quarantine")) == 1


DEEP = 200_000
HOSTILE = {
    "a number over 64 bits in an unknown field": (event("scan-1", 1, "PO-1", as_json=True, extra=2**70), "applied"),
    "a CBOR bignum": (event("scan-1", 1, "PO-1", extra=2**70), "rejected"),
    "a number of 5,000 digits": (b'{"seq": ' + b"9" * 5_000 + b"}", "rejected"),
    "a NUL in an order": (event("scan-1", 1, "PO\x001"), "rejected"),
    "a NUL in an unknown field": (event("scan-1", 1, "PO-1", extra="a\x00b"), "applied"),
    "10 MB of nested CBOR": (b"\x81" * 10_000_000 + b"\x01", "rejected"),
    "deep CBOR maps": (b"\xa1\x61x" * DEEP + b"\x01", "rejected"),
    "deep JSON": (b'{"a":' * DEEP + b"1" + b"}" * DEEP, "rejected"),
    "deep JSON without end": (b'{"a":' + b"[" * DEEP, "rejected"),
    "a JSON text without end": (b'{"a":"' + b"\\" * 99_999, "rejected"),
    "half of a surrogate pair": (b'{"order": "\\ud800"}', "rejected"),
    "a map with a list for a key": (b"\xa1\x81\x01\x01", "rejected"),
    "a length that is not there": (b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "rejected"),
    "an array of 2^60": (b"\x9b\x10\x00\x00\x00\x00\x00\x00\x00", "rejected"),
    "NaN as a number": (event("scan-1", 1, "PO-1", mono_ms=float("nan")), "rejected"),
    "an infinite unknown field": (event("scan-1", 1, "PO-1", extra=float("inf")), "applied"),
    "a tag around everything": (cbor2.dumps(cbor2.CBORTag(55799, {"id": b""})), "rejected"),
    "a shared reference to itself": (b"\xd8\x1c\x81\xd8\x1d\x00", "rejected"),
    "text that is not UTF-8": (b"\xa1\x62id\x62\xff\xfe", "rejected"),
    "the largest sequence number": (event("scan-1", 2**53 - 1, "PO-1"), "applied"),
    "a sequence number beyond it": (event("scan-1", 2**53, "PO-1"), "rejected"),
    "a negative time": (event("scan-1", 1, "PO-1", at_ms=-1, mono_ms=1), "rejected"),
    "500 lines of the same article": (event("scan-1", 1, "PO-1", {"items": [LINES[1]] * 500}), "applied"),
    "501 lines": (event("scan-1", 1, "PO-1", {"items": [LINES[1]] * 501}), "rejected"),
}


@pytest.mark.parametrize(("payload", "outcome"), HOSTILE.values(), ids=HOSTILE.keys())
def test_no_payload_stops_its_neighbours(bench: Bench, payload: bytes, outcome: str) -> None:
    before = message(1, event("shop1", 1, "PO-1", CREATED), device="shop1", event_type="created")
    after = message(1, event("scan-2", 1, "PO-1"), device="scan-2", event_type="pack")
    receipts = bench.send(before, message(1, payload, event_type="pack"), after)
    assert [r["outcome"] for r in receipts[:2]] == ["applied", outcome]
    assert receipts[2]["outcome"] in ("applied", "noop")
    assert receipts[1].get("reason") == ("malformed" if outcome == "rejected" else None)
    if outcome == "rejected":
        assert bench.quarantined() == [payload]


# --- a store that is unavailable ----------------------------------------------------------------------------------------------


class Away:
    """A store that is unavailable for its first transactions: before any read, or at the commit."""

    def __init__(self, store: Store, failures: int, *, at_commit: bool) -> None:
        self._store = store
        self._at_commit = at_commit
        self.failures = failures

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        failing = self.failures > 0
        self.failures -= 1
        if failing and not self._at_commit:
            raise StoreUnavailable("gone fishing")
        with self._store.transaction() as tx:
            yield tx
            if failing:
                raise StoreUnavailable("gone fishing")


@pytest.mark.parametrize("at_commit", [False, True])
def test_a_batch_that_could_not_be_committed_leaves_no_trace_and_is_whole_afterwards(bench: Bench, at_commit: bool) -> None:
    bench.create("PO-1")
    settler = settler_on(Away(bench.store, 3, at_commit=at_commit), Rules(site=SITE))
    batch = [bench.draft("scan-1", "pack", "PO-1"), bench.draft("scan-1", "stage", "PO-1", {"dock": "d1"})]
    before = bench.dump("events", "orders", "receipts", "parcels", "ledger")
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            settler.commit(batch)
        assert bench.dump("events", "orders", "receipts", "parcels", "ledger") == before
    assert [(r["outcome"], r.get("again")) for r in receipts(commit_all(settler, batch))] == [("applied", None), ("applied", None)]
    assert bench.rows("SELECT pos FROM events WHERE device = 'scan-1' ORDER BY pos") == [(3,), (4,)]


class OnThread:
    """The writer of the real pipeline: the settler, off the loop."""

    def __init__(self, settler: Settler) -> None:
        self._settler = settler
        self.failed = asyncio.Event()

    async def commit(self, batch: Sequence[Incoming]) -> Settled:
        try:
            return await asyncio.to_thread(self._settler.commit, batch)
        except StoreUnavailable:
            self.failed.set()
            raise


def test_a_database_that_another_process_holds_stops_acknowledgements_until_it_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 5)
    with Bench(tmp_path / "site.db") as bench, exclusively(bench) as release:
        fails_and_recovers(bench, release)
    assert [r.levelno for r in caplog.records] == [logging.ERROR, logging.WARNING]
    assert "locked" in caplog.records[0].getMessage()


@contextmanager
def exclusively(bench: Bench) -> Iterator[Callable[[], object]]:
    """Another process locks the database until it releases it."""
    other = sqlite3.connect(bench.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield lambda: other.execute("ROLLBACK")
    finally:
        other.close()


def test_a_full_disk_stops_acknowledgements_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    disk = Disk(monkeypatch)
    with Bench(tmp_path / "site.db") as bench:
        fails_and_recovers(bench, disk.make_room, bytes_each=50_000)
    assert [r.levelno for r in caplog.records] == [logging.ERROR, logging.WARNING]
    assert "full" in caplog.records[0].getMessage()


class Disk:
    """A disk on which the database can't grow."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._open: list[sqlite3.Connection] = []
        self._full = True
        self._connect = sqlite.connect
        monkeypatch.setattr(sqlite, "connect", self.connect)

    def connect(self, path: Path, *, read_only: bool, **other: Any) -> sqlite3.Connection:
        connection = self._connect(path, read_only=read_only, **other)
        self._open.append(connection)
        if self._full:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
        return connection

    def make_room(self) -> None:
        self._full = False
        for connection in self._open:
            with suppress(sqlite3.ProgrammingError):  # closed in the meantime
                connection.execute("PRAGMA max_page_count = 1000000")


def fails_and_recovers(bench: Bench, mend: Callable[[], object], bytes_each: int = 0) -> None:
    """Offers three events to a database that can't be written, then repairs it: all are acknowledged."""

    async def story() -> None:
        acknowledged: list[str] = []
        writer = OnThread(bench.settler)
        pipeline = Pipeline(writer, Desk(), IMPATIENT)
        with running(pipeline):
            for seq in (1, 2, 3):
                payload = event("scan-1", seq, None, {"worker": "w"}, note="x" * bytes_each)
                pipeline.offer(message(seq, payload), lambda receipt: acknowledged.append(cbor2.loads(receipt)["outcome"]))
            await writer.failed.wait()
            writer.failed.clear()
            await writer.failed.wait()
            assert acknowledged == []
            assert pipeline.store_failing
            mend()
            await pipeline.drained()
        assert acknowledged == ["applied"] * 3

    run(story())
    assert [seq for (seq,) in bench.rows("SELECT seq FROM events ORDER BY pos")] == [1, 2, 3]


def test_a_poisonous_message_that_not_even_quarantine_takes_is_not_acknowledged(bench: Bench) -> None:
    class Broken(Marked):
        @contextmanager
        def transaction(self) -> Iterator[Transaction]:
            with super().transaction():
                raise ValueError("whatever it is")
            yield

    with pytest.raises(StoreUnavailable, match="the message can't be stored in quarantine either"):
        settler_on(Broken(bench.store), Rules(site=SITE)).commit([message(1)])
