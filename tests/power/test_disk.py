"""The simulated disk is as harsh as a real one: records made by hand, with known results."""

from __future__ import annotations

import random
import sqlite3
import struct
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from power.power_cut import Change, Did, Disk, Fate, Loss, Promise, Sent, What, losses, packets, read_log

DATABASE: Final = Path("/site/a.db")
OLD: Final = b"old" * 1000
NEW: Final = b"new" * 1000
OTHER: Final = b"xyz" * 1000
CONNACK: Final = b"\x20\x02\x00\x00"
PUBACK: Final = b"\x40\x02\x00\x07"

OPEN: Final = Did(What.OPEN, 5, 1, b"/site/a.db")
WRITE: Final = Did(What.WRITE, 5, 0, NEW)
BEGIN: Final = Did(What.SYNC_BEGINS, 5)
END: Final = Did(What.SYNC_ENDS, 5)
OPEN_WAL: Final = Did(What.OPEN, 6, 1, b"/site/a.db-wal")
OPEN_FOLDER: Final = Did(What.OPEN, 7, 0, b"/site")
UNLINK: Final = Did(What.UNLINK, -1, 0, b"/site/a.db")


def after(*steps: Did, fate: Fate = Fate.GONE, seed: int = 0) -> dict[str, bytes]:
    disk = Disk(DATABASE, {"a.db": OLD})
    for did in steps:
        disk.do(did)
    return disk.after(fate, random.Random(seed))


def on(did: Did, *, thread: int = 0, fd: int | None = None) -> Did:
    return did._replace(thread=thread, fd=did.fd if fd is None else fd)


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        pytest.param([OPEN, WRITE], OLD, id="never-synced"),
        pytest.param([OPEN, WRITE, BEGIN], OLD, id="the-sync-has-not-ended"),
        pytest.param([OPEN, WRITE, BEGIN, END], NEW, id="synced"),
        pytest.param([OPEN, BEGIN, WRITE, END], OLD, id="written-while-the-sync-ran"),
        pytest.param([OPEN, WRITE, BEGIN, END, on(WRITE)._replace(data=OTHER)], NEW, id="written-after-the-sync"),
        pytest.param([OPEN, BEGIN, WRITE, on(BEGIN, thread=1), on(END, thread=1), END], NEW, id="another-thread's-later-sync"),
        pytest.param([OPEN, on(BEGIN, thread=1), WRITE, BEGIN, on(END, thread=1)], OLD, id="another-thread's-earlier-sync"),
        pytest.param([OPEN, WRITE, OPEN_WAL, on(BEGIN, fd=6), on(END, fd=6)], OLD, id="another-file's-sync"),
        pytest.param([OPEN, on(OPEN, fd=8), WRITE, on(BEGIN, fd=8), on(END, fd=8)], NEW, id="synced-through-another-descriptor"),
        pytest.param([OPEN, WRITE, Did(What.CLOSE, 5)], OLD, id="closing-syncs-nothing"),
        pytest.param([OPEN, Did(What.TRUNCATE, 5, 3)], OLD, id="truncated"),
        pytest.param([OPEN, Did(What.TRUNCATE, 5, 3), BEGIN, END], b"old", id="truncated-and-synced"),
        pytest.param([OPEN._replace(at=2), BEGIN, END], b"", id="emptied-when-opened"),
        pytest.param([OPEN, Did(What.WRITE, 5, 3002, b"!"), BEGIN, END], OLD + b"\0\0!", id="written-beyond-the-end"),
    ],
)
def test_what_is_left_of_a_file(steps: list[Did], left: bytes) -> None:
    assert after(*steps)["a.db"] == left


def test_a_new_file_is_there_when_its_folder_was_synced() -> None:
    made = [OPEN_WAL, on(WRITE, fd=6), on(BEGIN, fd=6), on(END, fd=6)]
    assert "a.db-wal" not in after(*made)
    assert after(*made, fate=Fate.KEPT)["a.db-wal"] == NEW
    assert after(*made, OPEN_FOLDER, on(BEGIN, fd=7), on(END, fd=7))["a.db-wal"] == NEW


def test_a_deleted_file_is_gone_when_its_folder_was_synced() -> None:
    assert after(UNLINK) == {"a.db": OLD}
    assert after(UNLINK, fate=Fate.KEPT) == {}
    assert after(UNLINK, OPEN_FOLDER, on(BEGIN, fd=7), on(END, fd=7)) == {}


def test_a_file_made_anew_is_another_one() -> None:
    assert after(OPEN, UNLINK, on(OPEN, fd=8), WRITE, BEGIN, END, fate=Fate.KEPT) == {"a.db": b""}


def test_each_sector_of_an_unsynced_write_is_kept_or_not() -> None:
    left = [after(OPEN, Did(What.WRITE, 5, 100, NEW[:2000]), fate=Fate.TORN, seed=seed)["a.db"] for seed in range(40)]
    whole = OLD[:100] + NEW[:2000] + OLD[2100:]
    edges = [100, 512, 1024, 1536, 2048, 2100]
    for start, end in pairwise(edges):
        assert {content[start:end] for content in left} == {OLD[start:end], whole[start:end]}
    assert {content[:100] + content[2100:] for content in left} == {OLD[:100] + OLD[2100:]}


def test_a_change_is_torn_at_sectors() -> None:
    assert [(c.at, len(c.data or b"")) for c in Change(500, bytes(600)).torn()] == [(500, 12), (512, 512), (1024, 76)]


# --- what was sent ---------------------------------------------------------------------------------------------------------------------


def logged(*steps: Did) -> bytes:
    """The bytes that the shim writes."""
    return b"".join(struct.pack("=cxxxIiIq", d.what.value.encode(), d.thread, d.fd, len(d.data), d.at) + d.data for d in steps)


def test_a_message_that_was_taken_in_part_is_sent_once() -> None:
    log = logged(
        Did(What.SEND, 9, 33, CONNACK + PUBACK, thread=1),
        on(OPEN, thread=2),
        Did(What.SENT_LESS, 9, 6, thread=1),
        Did(What.SEND, 9, 33, PUBACK[2:], thread=1),
    )
    assert packets(read_log(log)) == [Sent(0, 33, 2, b"\0\0"), Sent(2, 33, 4, b"\0\7")]


def test_packets_are_told_apart_by_socket_and_other_sockets_are_passed_over() -> None:
    steps = [Did(What.SEND, 9, 33, CONNACK + PUBACK[:1]), Did(What.SEND, 9, 34, CONNACK), Did(What.SEND, 9, 35, PUBACK), Did(What.SEND, 9, 33, PUBACK[1:])]
    assert [(s.step, s.socket, s.kind) for s in packets(steps)] == [(0, 33, 2), (1, 34, 2), (3, 33, 4)]


def test_a_long_packet_is_read_whole() -> None:
    publish = b"\x30\xac\x02" + bytes(300)
    assert packets([Did(What.SEND, 9, 33, CONNACK + publish)])[1] == Sent(0, 33, 3, bytes(300))


# --- what is lost ----------------------------------------------------------------------------------------------------------------------


def database(path: Path, *rows: bytes) -> bytes:
    """The bytes of a database with some rows."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE events (id BLOB, filler BLOB)")
    connection.executemany("INSERT INTO events VALUES (?, zeroblob(3000))", [(row,) for row in rows])
    connection.commit()
    connection.close()
    content = path.read_bytes()
    path.unlink()
    return content


PROMISE: Final = Promise(
    name="rows",
    made=lambda sent: sent.body if sent.kind == 4 else None,
    found=lambda connection: Counter(row[0] for row in connection.execute("SELECT id FROM events")),
)


def lost(folder: Path, steps: list[Did], *rows: bytes, fate: Fate = Fate.GONE, seed: int = 0) -> list[Loss]:
    """What is lost if the power fails after steps in which some rows are written."""
    new = database(folder / "new", *rows)
    written = [did._replace(data=new) if did.what is What.WRITE else did for did in steps]
    disk = Disk(DATABASE, {"a.db": database(folder / "old")})
    return losses(disk, written, [len(steps) - 1], [fate], [PROMISE], folder / "left", seed)


SAY: Final = Did(What.SEND, 9, 33, CONNACK + PUBACK)
SEVEN: Final = b"\0\7"


@pytest.mark.parametrize(
    ("steps", "is_lost"),
    [
        pytest.param([OPEN, WRITE, BEGIN, END, SAY], False, id="synced-then-acknowledged"),
        pytest.param([OPEN, WRITE, BEGIN, SAY], True, id="acknowledged-before-the-sync-ended"),
        pytest.param([OPEN, WRITE, SAY], True, id="acknowledged-without-a-sync"),
        pytest.param([OPEN, WRITE, SAY._replace(data=CONNACK)], False, id="not-acknowledged"),
    ],
)
def test_an_acknowledged_row_must_be_there(tmp_path: Path, steps: list[Did], is_lost: bool) -> None:
    expected = [Loss(len(steps) - 1, Fate.GONE, "missing rows", frozenset({SEVEN}))] if is_lost else []
    assert lost(tmp_path, steps, SEVEN) == expected
    assert lost(tmp_path, steps, SEVEN, fate=Fate.KEPT) == []


def test_a_row_must_not_be_there_twice(tmp_path: Path) -> None:
    assert lost(tmp_path, [OPEN, WRITE, BEGIN, END, SAY], SEVEN, SEVEN) == [Loss(4, Fate.GONE, "double rows", frozenset({SEVEN}))]


def test_a_torn_database_is_found_out(tmp_path: Path) -> None:
    found = {loss.what.partition(":")[0] for seed in range(20) for loss in lost(tmp_path, [OPEN, WRITE], SEVEN, fate=Fate.TORN, seed=seed)}
    assert "integrity" in found


@pytest.mark.parametrize("steps", [[OPEN, Did(What.TRUNCATE, 5, 100), BEGIN, END], [UNLINK, OPEN_FOLDER, on(BEGIN, fd=7), on(END, fd=7)]])
def test_a_database_that_is_gone_is_found_out(tmp_path: Path, steps: list[Did]) -> None:
    (loss,) = lost(tmp_path, steps)
    assert loss.what.startswith("unreadable")
