"""The outbox and the small modules around it: messages are kept in order and numbered until they are acknowledged."""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Iterable, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.clock import SystemClock, boot_id
from devices.connection import backoff_s
from devices.errors import Closed, DiskFull, InvalidEvent, OutboxError, OutboxFull, OutboxLocked, WrongOwner
from devices.ids import uuid7
from devices.outbox import LOGS_MAX, Made, Outbox, OutboxLimits
from devices.outbox_rows import Answer, Entry
from devices.run import Run

OWNER = "ams1/scan-07"
NOW_MS = 1_760_000_000_000
HOUR_MS = 3_600_000
IDS = count(1)


def event(size: int = 4) -> Made:
    return Made(next(IDS).to_bytes(16, "big"), "pack", lambda log, seq: log + bytes(size - 4) + seq.to_bytes(4, "big"))


def seqs(entries: list[Entry]) -> list[int]:
    return [entry.seq for entry in entries]


def settle(outbox: Outbox, *places: int, answers: Sequence[Answer] = (), now_ms: int = NOW_MS, **more: Any) -> list[Answer]:
    return outbox.settle(places, answers, now_ms=now_ms, **more)


def answer(event_id: bytes, n: int, payload: bytes = b"r", *, epoch: int = 0) -> Answer:
    return Answer(id=event_id, epoch=epoch, n=n, payload=payload)


def again(outbox: Outbox, first: int = 1, last: int = 1_000, *, log: bytes | None = None) -> list[int]:
    """What is sent again in a new run, if the server asks for it."""
    outbox.start_run()
    outbox.send_again(log or outbox.log, first, last)
    return seqs(outbox.take(1_000))


def test_an_event_and_its_number_survive_a_restart(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put(event())
    outbox.put(event())
    log = outbox.log
    settle(outbox, 1, 2)
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
    outbox.put_many([event() for _ in range(5)])
    settle(outbox, 1, 2, 3, 4, 5)
    outbox.close()

    again = Outbox(tmp_path / "o.db", owner=OWNER)
    assert again.put(event()).seq == 6
    again.close()


def test_a_new_log_begins_and_what_waits_keeps_its_numbers(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    old = [outbox.put(event()), outbox.put(event())]
    old_log = outbox.log
    settle(outbox, 1, new_log=True)
    assert (outbox.log != old_log, outbox.last_seq) == (True, 0)
    outbox.start_run()
    new = outbox.put(event())
    assert (new.seq, new.payload[:8], outbox.take(10)) == (1, outbox.log, [new, old[1]])
    assert [outbox.waits(entry.place) for entry in (*old, new)] == [False, True, True]
    assert [(log.last_seq, log.backlog) for log in outbox.logs()] == [(2, 1), (1, 1)]
    new_log = outbox.log
    outbox.close()

    later = Outbox(tmp_path / "o.db", owner=OWNER)
    assert (later.log, later.last_seq, later.backlog) == (new_log, 1, 2)
    assert again(later, log=old_log) == [1, 2, 1], "what was acknowledged in the old log, then what waits"
    later.close()


def test_fresh_events_go_before_the_backlog(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put_many([event() for _ in range(5)])
    outbox.start_run()
    assert seqs(outbox.take(2)) == [1, 2]
    outbox.put_many([event() for _ in range(2)])
    assert seqs(outbox.take(3)) == [6, 7, 3]
    assert seqs(outbox.take(10)) == [4, 5]
    assert outbox.take(10) == []
    outbox.close()


def test_what_was_not_acknowledged_is_backlog_in_the_next_run(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put_many([event() for _ in range(3)])
    outbox.start_run()
    outbox.take(3)
    settle(outbox, 2)
    outbox.start_run()
    outbox.put(event())
    assert seqs(outbox.take(10)) == [4, 1, 3]
    assert [outbox.waits(place) for place in (1, 2, 3, 4)] == [True, False, True, True]
    outbox.close()


def test_a_full_outbox_says_so_and_stores_nothing(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER, limits=OutboxLimits(events_max=2))
    outbox.put(event())
    with pytest.raises(OutboxFull):
        outbox.put_many([event() for _ in range(2)])
    assert (outbox.backlog, outbox.last_seq) == (1, 1)
    outbox.put(event())
    settle(outbox, 1)
    assert outbox.put(event()).seq == 3
    outbox.close()


def test_a_batch_with_a_bad_event_is_not_stored_at_all(tmp_path: Path) -> None:
    def bad(_log: bytes, _seq: int) -> bytes:
        raise ValueError("bad")

    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    with pytest.raises(ValueError, match="bad"):
        outbox.put_many([event(), Made(bytes(16), "pack", bad)])
    assert outbox.put(event()).seq == 1
    outbox.close()


def test_the_highest_epoch_and_n_of_a_receipt_hold(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    event_id = b"i" * 16
    parked, applied, restored = answer(event_id, 1, b"parked"), answer(event_id, 2, b"applied"), answer(event_id, 1, b"restored", epoch=1)
    assert outbox.receipt(event_id) is None
    assert settle(outbox, answers=[parked]) == [parked]
    assert settle(outbox, answers=[applied, parked, applied]) == [applied]
    assert outbox.receipt(event_id) == b"applied"
    assert settle(outbox, answers=[restored, applied]) == [restored]
    assert outbox.receipt(event_id) == b"restored"
    outbox.close()


def test_only_the_last_receipts_are_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER, limits=OutboxLimits(receipts_max=3))
    ids = [bytes([i]) * 16 for i in range(5)]
    for event_id in ids:
        settle(outbox, answers=[answer(event_id, 1)])
    assert [outbox.receipt(event_id) is not None for event_id in ids] == [False, False, True, True, True]
    outbox.close()


# --- what was acknowledged, and the server asks for again -------------------------------------------------------------------------


def test_acknowledged_events_are_sent_again_when_the_server_asks(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    events = [outbox.put(event()) for _ in range(6)]
    settle(outbox, 1, 2, 3, 5)
    assert (outbox.backlog, outbox.logs()) == (2, [(outbox.log, 6, 2)])
    outbox.start_run()
    assert outbox.take(1) == [events[3]]
    outbox.send_again(outbox.log, 2, 5)
    fresh = outbox.put(event())
    assert seqs(outbox.take(3)) == [fresh.seq, 2, 3], "fresh first, then oldest first, whether it waits or is sent again"
    outbox.send_again(outbox.log, 1, 5)
    assert seqs(outbox.take(10)) == [1, 5, 6], "what is on its way is not sent twice"
    assert outbox.take(10) == []
    settle(outbox, 2, 7)
    assert outbox.backlog == 2, "an event that was sent again did not wait"
    outbox.send_again(outbox.log, 2, 2)
    assert outbox.take(10) == [events[1]], "it may be asked for once more"
    outbox.close()


def test_what_is_not_kept_is_not_sent_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put_many([event() for _ in range(3)])
    settle(outbox, 1, 2)
    assert again(outbox, 3, 2**63 - 1) == [3], "it waits, and comes anyway"
    assert again(outbox, 4, 9) == [3]
    assert again(outbox, log=b"anotherl") == [3]
    outbox.close()


def test_acknowledged_events_are_kept_over_a_restart_and_a_request_is_not(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.put_many([event() for _ in range(2)])
    settle(outbox, 1, 2)
    outbox.send_again(outbox.log, 1, 2)
    outbox.close()
    later = Outbox(tmp_path / "o.db", owner=OWNER)
    later.start_run()
    assert later.take(10) == [], "the server asks again after the next presence"
    assert again(later) == [1, 2]
    later.close()


def test_only_the_newest_events_are_kept(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER, limits=OutboxLimits(kept_max=3))
    outbox.put_many([event() for _ in range(5)])
    settle(outbox, 1, 2, 3, 4, 5)
    assert again(outbox) == [3, 4, 5]
    outbox.put(event())
    settle(outbox)
    assert again(outbox) == [4, 5, 6]
    outbox.close()


def test_what_was_asked_for_and_is_forgotten_meanwhile_is_passed_over(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER, limits=OutboxLimits(kept_max=5))
    outbox.put_many([event() for _ in range(5)])
    settle(outbox, 1, 2, 3, 4, 5)
    outbox.start_run()
    outbox.send_again(outbox.log, 1, 5)
    outbox.put_many([event() for _ in range(3)])
    settle(outbox, 6, 7, 8)
    assert [seqs(outbox.take(1)) for _ in range(3)] == [[4], [5], []]
    outbox.close()


@pytest.mark.parametrize("limits", [OutboxLimits(kept_max=0), OutboxLimits(resend_h=0)])
def test_a_device_may_keep_nothing(tmp_path: Path, limits: OutboxLimits) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER, limits=limits)
    outbox.put(event())
    settle(outbox, 1)
    assert again(outbox) == []
    outbox.close()


def test_events_are_forgotten_after_their_time_and_logs_with_them(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER, limits=OutboxLimits(resend_h=48))
    outbox.put_many([event() for _ in range(3)])
    old_log = outbox.log
    settle(outbox, 1, 2)
    settle(outbox, 3, now_ms=NOW_MS + 24 * HOUR_MS, new_log=True)
    settle(outbox, now_ms=NOW_MS + 48 * HOUR_MS)
    assert again(outbox, log=old_log) == [3]
    settle(outbox, now_ms=NOW_MS + 72 * HOUR_MS)
    assert (again(outbox, log=old_log), [log.log for log in outbox.logs()]) == ([], [outbox.log])
    outbox.close()


def test_an_event_that_was_sent_again_is_kept_from_then_on(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER, limits=OutboxLimits(resend_h=48))
    outbox.put(event())
    settle(outbox, 1)
    assert again(outbox) == [1]
    settle(outbox, 1, now_ms=NOW_MS + 47 * HOUR_MS)
    settle(outbox, now_ms=NOW_MS + 94 * HOUR_MS)
    assert again(outbox) == [1]
    outbox.close()


def test_many_logs_are_announced_by_their_newest(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    for place in range(1, LOGS_MAX + 5):
        outbox.put(event())
        settle(outbox, place, new_log=True)
    logs = outbox.logs()
    assert (len(logs), logs[-1].log, {log.last_seq for log in logs[:-1]}) == (LOGS_MAX, outbox.log, {1})
    outbox.close()


steps = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(1, 3)),
        st.tuples(st.just("take"), st.integers(1, 5)),
        st.tuples(st.just("acknowledge"), st.integers(1, 9)),
        st.tuples(st.just("again"), st.integers(1, 9)),
        st.tuples(st.just("connect"), st.none()),
    ),
    min_size=5,
    max_size=25,
)


@given(steps=steps)
def test_a_run_hands_out_everything_once_and_in_order(steps: list[tuple[str, Any]]) -> None:
    """Held against sets: what waits, what was acknowledged, what is on its way, and what the server asked for."""
    waiting: set[int] = set()
    sent: set[int] = set()
    away: set[int] = set()
    asked: set[int] = set()
    last, run, began = 0, Run(0), 0

    def entries(places: Iterable[int]) -> list[Entry]:
        return [Entry(place=place, seq=place, id=b"", type="", payload=b"") for place in sorted(places)]

    def take(room: int) -> list[int]:
        taken = [
            entry.place
            for entry in run.take(
                room,
                last,
                lambda after, until, most: entries(place for place in waiting if after < place <= until)[: max(0, most)],
                lambda place: next(iter(entries((waiting | sent) & {place})), None),
            )
        ]
        owed = (waiting | asked) - away
        assert taken == [*sorted(p for p in owed if p > began and p in waiting), *sorted(p for p in owed if p <= began or p in sent)][:room]
        away.update(taken)
        return taken

    for step, value in steps:
        if step == "put":
            waiting.update(range(last + 1, last + 1 + value))
            last += value
        elif step == "take":
            take(value)
        elif step == "acknowledge":
            done = set(sorted(away)[:value])
            assert run.acknowledge(done) == done & asked
            waiting -= done
            sent |= done
            away -= done
            asked -= done
        elif step == "again":
            found = {place for place in sent if place <= value}
            run.send_again(found)
            asked |= found
        else:
            run, began = Run(last), last
            away.clear()
            asked.clear()
    assert take(0) == []
    while take(3):
        pass
    assert away == waiting | asked


def test_kept_events_give_way_to_new_ones_when_there_is_no_more_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    settle(outbox, *(entry.place for entry in outbox.put_many([event(2_000) for _ in range(100)])))
    (pages,) = outbox._file.rows("PRAGMA page_count")[0]
    outbox._file.rows(f"PRAGMA max_page_count = {pages}")
    for _ in range(80):
        outbox.put(event(2_000))
    assert outbox.backlog == 80
    outbox.send_again(outbox.log, 1, 100)
    assert seqs(outbox.take(1_000)) == list(range(101, 181))
    assert caplog.text.count("gave way") == 1
    with pytest.raises(DiskFull, match="database or disk is full"):
        outbox.put_many([event(2_000) for _ in range(300)])
    assert (outbox.backlog, outbox.last_seq) == (80, 180)
    outbox.close()


# --- a server that takes less ----------------------------------------------------------------------------------------------------


def test_an_event_that_is_too_large_is_refused_before_it_is_stored(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    outbox.limit_payload(108)
    assert outbox.put(event(92)).seq == 1, "100 bytes, and 8 for the clock when it is sent"
    with pytest.raises(InvalidEvent, match=r"it may take 109 bytes, and the server takes at most 108 \(payload_bytes_max\)"):
        outbox.put_many([event(), event(93)])
    assert (outbox.backlog, outbox.last_seq) == (1, 1)
    outbox.close()


def test_an_event_that_no_longer_fits_is_set_aside_until_it_does(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    small, large, larger = outbox.put(event(10)), outbox.put(event(200)), outbox.put(event(400))
    outbox.start_run()
    assert [(event.id, event.size) for event in outbox.limit_payload(100)] == [(large.id, 208), (larger.id, 408)]
    assert (outbox.backlog, outbox.take(10)) == (1, [small])
    assert (outbox.is_too_large(large.id), outbox.is_too_large(small.id)) == (True, False)
    assert outbox.limit_payload(100) == outbox.limit_payload(90) == [], "each is named once"
    fresh = outbox.put(event(10))
    assert outbox.take(10) == [fresh]
    assert outbox.limit_payload(300) == []
    assert (outbox.backlog, outbox.take(10)) == (3, [large])
    settle(outbox, small.place, large.place, fresh.place)
    assert (outbox.backlog, outbox.waits(larger.place)) == (0, True)
    outbox.close()

    later = Outbox(tmp_path / "o.db", owner=OWNER)
    assert [event.place for event in later.limit_payload(300)] == [larger.place]
    later.start_run()
    assert later.take(10) == []
    assert again(later) == [small.seq, large.seq, fresh.seq]
    later.limit_payload(100)
    assert again(later) == [small.seq, fresh.seq], "what was acknowledged and no longer fits is not sent again, either"
    later.close()


# --- the file ---------------------------------------------------------------------------------------------------------------------


def test_one_outbox_has_one_owner_and_one_user(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "o.db", owner=OWNER)
    with pytest.raises(OutboxLocked):
        Outbox(tmp_path / "o.db", owner=OWNER, lock_wait_s=0)
    outbox.close()
    with pytest.raises(WrongOwner, match=r"`python -m devices move --help`.*belongs to ams1/scan-07, not to ams1/scan-08"):
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


VERSION_1 = """
    CREATE TABLE outbox (owner TEXT NOT NULL, log BLOB NOT NULL, last_seq INTEGER NOT NULL);
    CREATE TABLE events (seq INTEGER PRIMARY KEY, id BLOB NOT NULL, type TEXT NOT NULL, payload BLOB NOT NULL);
    CREATE TABLE receipts (place INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, n INTEGER NOT NULL, payload BLOB NOT NULL);
    CREATE TABLE kept (topic TEXT PRIMARY KEY, payload BLOB NOT NULL);
    INSERT INTO outbox VALUES ('ams1/scan-07', x'0102030405060708', 9);
    INSERT INTO events VALUES (7, zeroblob(16), 'pack', x'07'), (9, zeroblob(16), 'stage', x'09');
    INSERT INTO receipts VALUES (1, x'1111', 2, x'aa');
    INSERT INTO kept VALUES ('v1/ams1/couriers/anna/assignments/job-1', x'bb');
    PRAGMA user_version = 1;
"""


@pytest.fixture
def of_version_1(tmp_path: Path) -> Path:
    with closing(sqlite3.connect(tmp_path / "o.db")) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(VERSION_1)
    return tmp_path / "o.db"


def test_the_file_of_an_older_version_goes_on_as_it_was(of_version_1: Path) -> None:
    outbox = Outbox(of_version_1, owner=OWNER)
    assert (outbox.log, outbox.last_seq, outbox.backlog) == (bytes(range(1, 9)), 9, 2)
    assert (outbox.receipt(b"\x11\x11"), outbox.retained()) == (b"\xaa", {"v1/ams1/couriers/anna/assignments/job-1": b"\xbb"})
    outbox.start_run()
    assert [(entry.seq, entry.type, entry.payload) for entry in outbox.take(10)] == [(7, "pack", b"\x07"), (9, "stage", b"\x09")]
    settle(outbox, 7, answers=[answer(b"\x11\x11", 1, epoch=1)])
    assert (outbox.put(event()).seq, outbox.receipt(b"\x11\x11")) == (10, b"r")
    outbox.close()
    later = Outbox(of_version_1, owner=OWNER)
    assert again(later) == [7, 9, 10]
    later.close()


def test_the_file_of_an_older_version_and_another_device_stays_as_it_was(of_version_1: Path) -> None:
    with pytest.raises(WrongOwner):
        Outbox(of_version_1, owner="ams1/scan-08")
    with closing(sqlite3.connect(of_version_1)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (1,)


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
    spread_s = backoff_s(attempt, first_s=0.5, max_s=30.0, jitter=lambda: jitter, spread_s=3.0)
    assert spread_s == pytest.approx(jitter * max(3.0, min(30.0, 0.5 * 2 ** min(attempt, 10))))


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
