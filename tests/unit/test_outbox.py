"""The outbox and the small modules around it: messages are kept in order and numbered until they are acknowledged."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.clock import SystemClock, boot_id
from devices.connection import backoff_s
from devices.errors import Closed, OutboxError, OutboxFull, OutboxLocked
from devices.ids import uuid7
from devices.outbox import Answer, Entry, Outbox

OWNER = "ams1/scan-07"


def event(name: str = "pack") -> Callable[[int], Entry]:
    return lambda seq: Entry(seq=seq, id=seq.to_bytes(16, "big"), type="pack", payload=f"{name}-{seq}".encode())


def seqs(entries: list[Entry]) -> list[int]:
    return [entry.seq for entry in entries]


def test_an_event_and_its_number_survive_a_restart(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put(event())
    outbox.put(event())
    log = outbox.log
    outbox.settle([1, 2])
    last = outbox.put(event())
    outbox.close()

    again = Outbox(tmp_path / "o.db", owner=OWNER)
    assert (again.log, again.last_seq, again.backlog) == (log, 3, 1)
    again.start_run()
    assert again.take(10) == [last]
    assert again.put(event()).seq == 4
    again.close()


def test_numbers_go_on_though_everything_has_left(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put_many([event()] * 5)
    outbox.settle([1, 2, 3, 4, 5])
    outbox.close()

    again = Outbox(tmp_path / "o.db", owner=OWNER)
    assert again.put(event()).seq == 6
    again.close()


def test_a_new_log_begins_once_nothing_of_the_old_one_waits(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put_many([event()] * 2)
    old, first = outbox.log, outbox.take(2)[0]
    outbox.settle([1], end_log=True)
    assert outbox.log == old, "event 2 still waits, under its number of the old log"
    outbox.settle([2], end_log=True)
    assert (outbox.log != old, outbox.last_seq) == (True, 0)
    entry = outbox.put(lambda seq: Entry(seq=seq, id=b"another event id", type="pack", payload=b""))
    assert (entry.seq, outbox.take(10)) == (1, [entry])
    assert outbox.holds(1, entry.id)
    assert not outbox.holds(1, first.id), "that one has left"
    new = outbox.log
    outbox.close()

    again = Outbox(tmp_path / "o.db", owner=OWNER)
    assert (again.log, again.last_seq, again.backlog) == (new, 1, 1)
    again.close()


def test_fresh_events_go_before_the_backlog(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put_many([event()] * 5)
    outbox.start_run()
    assert seqs(outbox.take(2)) == [1, 2]
    outbox.put_many([event()] * 2)
    assert seqs(outbox.take(3)) == [6, 7, 3]
    assert seqs(outbox.take(10)) == [4, 5]
    assert outbox.take(10) == []
    outbox.close()


def test_what_was_not_acknowledged_is_backlog_in_the_next_run(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put_many([event()] * 3)
    outbox.start_run()
    outbox.take(3)
    outbox.settle([2])
    outbox.start_run()
    outbox.put(event())
    assert seqs(outbox.take(10)) == [4, 1, 3]
    assert [outbox.holds(seq, seq.to_bytes(16, "big")) for seq in (1, 2, 3, 4)] == [True, False, True, True]
    outbox.close()


def test_a_full_outbox_says_so_and_stores_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER, events_max=2)
    outbox.put(event())
    with pytest.raises(OutboxFull):
        outbox.put_many([event()] * 2)
    assert (outbox.backlog, outbox.last_seq) == (1, 1)
    outbox.put(event())
    outbox.settle([1])
    assert outbox.put(event()).seq == 3
    outbox.close()


def test_a_batch_with_a_bad_event_is_not_stored_at_all(tmp_path: Path) -> None:
    def bad(_seq: int) -> Entry:
        raise ValueError("bad")

    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    with pytest.raises(ValueError, match="bad"):
        outbox.put_many([event(), bad])
    assert outbox.put(event()).seq == 1
    outbox.close()


def test_the_highest_n_of_a_receipt_holds(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    parked, applied = Answer(id=b"i" * 16, n=1, payload=b"parked"), Answer(id=b"i" * 16, n=2, payload=b"applied")
    assert outbox.receipt(b"i" * 16) is None
    assert outbox.settle([], [parked]) == [parked]
    assert outbox.settle([], [applied, parked, applied]) == [applied]
    assert outbox.receipt(b"i" * 16) == b"applied"
    outbox.close()


def test_only_the_last_receipts_are_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER, receipts_max=3)
    ids = [bytes([i]) * 16 for i in range(5)]
    for event_id in ids:
        outbox.settle([], [Answer(id=event_id, n=1, payload=b"r")])
    assert [outbox.receipt(event_id) is not None for event_id in ids] == [False, False, True, True, True]
    outbox.close()


def test_one_outbox_has_one_owner_and_one_user(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    with pytest.raises(OutboxLocked):
        Outbox(tmp_path / "o.db", owner=OWNER, lock_wait_s=0)
    outbox.close()
    with pytest.raises(OutboxError, match=r"belongs to ams1/scan-07, not to ams1/scan-08"):
        Outbox(tmp_path / "o.db", owner="ams1/scan-08")
    Outbox(tmp_path / "o.db", owner=OWNER).close()


def test_a_closed_outbox_says_so(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.close()
    outbox.close()
    with pytest.raises(Closed):
        outbox.put(event())


def test_a_file_that_is_not_an_outbox_is_refused(tmp_path: Path) -> None:
    (tmp_path / "o.db").write_bytes(b"not a database" * 100)
    with pytest.raises(OutboxError):
        Outbox(tmp_path / "o.db", owner=OWNER)


def test_an_outbox_that_cannot_be_durable_is_refused() -> None:
    with pytest.raises(OutboxError, match="keeps what was written"):
        Outbox(":memory:", owner=OWNER)


def test_the_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    Outbox(tmp_path / "o.db", owner=OWNER).close()
    db = sqlite3.connect(tmp_path / "o.db")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(OutboxError, match="newer"):
        Outbox(tmp_path / "o.db", owner=OWNER)


@given(at_ms=st.integers(0, 2**48 - 1), randomness=st.binary(min_size=10, max_size=10))
def test_ids_are_version_7_and_sort_by_time(at_ms: int, randomness: bytes) -> None:
    value = uuid.UUID(bytes=uuid7(at_ms, randomness))
    assert (value.version, value.variant, value.int >> 80) == (7, uuid.RFC_4122, at_ms)


def test_ids_keep_every_random_bit_that_the_layout_leaves() -> None:
    assert uuid7(0, b"\x00" * 10).hex() == "00000000000070008000000000000000"
    assert uuid7(0, b"\xff" * 10).hex() == "0000000000007fffbfffffffffffffff"


@settings(max_examples=50)
@given(attempt=st.integers(0, 5_000), jitter=st.floats(0, 1, exclude_max=True))
def test_backoff_is_jittered_over_a_growing_span_and_bounded(attempt: int, jitter: float) -> None:
    wait_s = backoff_s(attempt, first_s=0.5, max_s=30.0, jitter=lambda: jitter)
    assert wait_s == pytest.approx(jitter * min(30.0, 0.5 * 2 ** min(attempt, 10)))


def test_the_boot_id_is_the_systems_or_one_per_start(tmp_path: Path) -> None:
    file = tmp_path / "boot_id"
    file.write_text("6b2d3a5e-0f5f-4a8e-9f3b-8f9d6f2f7c11\n")
    assert SystemClock(file).boot == boot_id(file)
    assert len(boot_id(file)) == 8
    assert boot_id(tmp_path / "none") != boot_id(tmp_path / "none")


def test_the_system_clock_goes_forward() -> None:
    clock = SystemClock()
    assert 0 <= clock.mono_ms() <= clock.mono_ms()
    assert clock.wall_ms() > 1_600_000_000_000
    assert -1440 <= (clock.tz_min() or 0) <= 1440
