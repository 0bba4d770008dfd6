"""An outbox file is deleted, its disk is full, or it belongs to another device: no scan that returned is lost, and whoever holds the device is told what to do.

The broker is a fake on a real socket; files and disks are real.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_broker import FakeBroker
from helpers.full_disk import Quota, SmallDisk, quota, small_disk
from helpers.handhelds import NOBODY, RECEIPTS, Clock, orders, presences, read, receipt_for, settings_of
from helpers.waiting import DEADLINE_S, until

from devices import DiskFull, NotDelivered, OutboxGone, Scanner, WrongOwner
from devices.protocol.vocabulary import Outcome

ROOT = Path(__file__).parents[2]


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as fake:
        yield fake


@pytest.fixture
def at(tmp_path: Path) -> dict[str, Any]:
    return settings_of(tmp_path, Clock())


def delete(outbox: Path, *endings: str) -> None:
    for ending in endings:
        outbox.with_name(outbox.name + ending).unlink()


# --- deleted ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endings", [("", "-wal"), ("",), ("-wal",)], ids=["all", "database", "write-ahead-log"])
def test_a_deleted_outbox_is_noticed_by_the_next_scan_and_nothing_is_lost(broker: FakeBroker, at: dict[str, Any], endings: tuple[str, ...]) -> None:
    with Scanner(**at, port=NOBODY) as scanner:
        first, second = scanner.pack("PO-1"), scanner.pack("PO-2")
        log = scanner._outbox.log
        delete(at["outbox"], *endings)
        with pytest.raises(OutboxGone, match=r"scan it again\. \(what was in it is in a new file, and so will be the next scan\)"):
            scanner.pack("PO-3")
        third = scanner.pack("PO-3")
        assert (first.acknowledged, third.seq, scanner.backlog) == (False, 1, 3)
    with Scanner(**at, port=broker.port) as scanner:
        scanner.drain(DEADLINE_S)
    events = [read(published) for published in broker.events()]
    assert [(event.id, event.seq) for event in events] == [(first.id, 1), (second.id, 2), (third.id, 1)]
    assert [event.log == log for event in events] == [True, True, False], "if the old file is found again, its numbers are not given out twice"


def test_a_receipt_notices_it_too(broker: FakeBroker, at: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with Scanner(**at, port=broker.port) as scanner:
        scan = scanner.pack("PO-1")
        scan.wait_acknowledged(DEADLINE_S)
        delete(at["outbox"], "", "-wal")
        broker.send(RECEIPTS, receipt_for(scan.id))
        scan.receipt(DEADLINE_S)
        assert scanner.pack("PO-2").seq == 1
    assert "was deleted while it was in use: what was in it is in a new file" in caplog.text
    with Scanner(**at, port=NOBODY) as later:
        assert later.receipt_of(scan.id, 0).outcome is Outcome.APPLIED


def test_an_outbox_that_was_replaced_is_left_alone(broker: FakeBroker, at: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """What is at its place now may be a backup that someone has put back. What had been stored is still sent."""
    outbox: Path = at["outbox"]
    broker.connack = 3  # not available: no connection yet
    with Scanner(**at, port=broker.port) as scanner:
        scanner.pack("PO-1")
        delete(outbox, "", "-wal")
        outbox.write_bytes(b"another file")
        for _ in range(2):
            with pytest.raises(OutboxGone, match=r"another file is now at .*scan-07.db: close this device and start it again"):
                scanner.pack("PO-2")
        broker.connack = 0
        scanner.drain(DEADLINE_S)
    assert orders(broker.events()) == ["PO-1"]
    assert outbox.read_bytes() == b"another file"
    assert caplog.text.count("was deleted or replaced while it was in use") == 1


def test_a_folder_that_is_gone_is_waited_for(at: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "card"
    folder.mkdir()
    with Scanner(**{**at, "outbox": folder / "scan-07.db"}, port=NOBODY) as scanner:
        scanner.pack("PO-1")
        shutil.rmtree(folder)
        for _ in range(2):
            with pytest.raises(OutboxGone, match="no new file could be made"):
                scanner.pack("PO-2")
        folder.mkdir()
        with pytest.raises(OutboxGone, match="in a new file"):
            scanner.pack("PO-2")
        scanner.pack("PO-2")
    with Scanner(**{**at, "outbox": folder / "scan-07.db"}, port=NOBODY) as later:
        assert later.backlog == 2


# --- a disk without room ------------------------------------------------------------------------------------------------------


@pytest.fixture(params=[small_disk, quota], ids=["disk", "quota"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk | Quota]:
    folder = tmp_path / "small" if request.param is small_disk else tmp_path
    with request.param(folder) as full:
        yield full


def scan_until_full(scanner: Scanner) -> int:
    """Scans until the disk takes no more; how many scans returned. (SQLite has some room left in its own files.)"""
    for number in range(2_000):
        try:
            scanner.pack(f"PO-{number}")
        except DiskFull:
            return number
    raise AssertionError("the disk took everything")


def test_a_full_disk_takes_no_scans_and_what_it_has_is_sent(broker: FakeBroker, at: dict[str, Any], full: SmallDisk | Quota) -> None:
    outbox = full.folder / "scan-07.db"
    heard: list[bytes] = []
    broker.connack = 3
    with Scanner(**{**at, "outbox": outbox}, port=broker.port, on_receipt=lambda receipt: heard.append(receipt.id or b"")) as scanner:
        first = scanner.pack("PO-first")
        full.fill()
        returned = 1 + scan_until_full(scanner)
        with pytest.raises(DiskFull, match="free some space"):
            scanner.pack("PO-more")
        assert scanner.backlog == returned
        broker.connack = 0
        scanner.drain(DEADLINE_S)
        assert first.acknowledged
        assert len(broker.events()) == returned
        scan_until_full(scanner)  # acknowledged events may have left some room
        scanner.drain(DEADLINE_S)
        full.make_room()
        last = scanner.pack("PO-last")
        scanner.drain(DEADLINE_S)
        broker.send(RECEIPTS, receipt_for(last.id))
        last.receipt(DEADLINE_S)
    seqs = [read(published).seq for published in broker.events()]
    assert seqs == list(range(1, last.seq + 1)), "each once, in order"
    assert heard == [last.id]
    with Scanner(**{**at, "outbox": outbox}, port=NOBODY) as later:
        assert later.backlog == 0


def test_receipts_wait_at_the_server_while_they_cannot_be_stored(broker: FakeBroker, at: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []
    with quota(at["outbox"].parent) as full, Scanner(**at, port=broker.port, on_receipt=lambda receipt: heard.append(receipt.n)) as scanner:
        scan = scanner.pack("PO-1")
        scan.wait_acknowledged(DEADLINE_S)
        full.fill()
        for n in (1, 2):
            broker.send(RECEIPTS, receipt_for(scan.id, n))
        until(lambda: "receipts wait at the server" in caplog.text, "the receipts")
        with pytest.raises(NotDelivered):
            scan.receipt(0)
        assert (broker.pubacks, heard) == (0, [])
        full.make_room()
        broker.until(lambda: broker.pubacks == 2)
        assert (scan.receipt(DEADLINE_S).n, heard) == (2, [1, 2])
    assert caplog.text.count("receipts wait at the server") == 1
    assert broker.connections == 1


def test_what_was_acknowledged_to_a_full_disk_may_be_sent_again_by_the_next_process(broker: FakeBroker, at: dict[str, Any]) -> None:
    """It is the same event, so it counts once."""
    broker.acknowledging = False
    with quota(at["outbox"].parent) as full:
        with Scanner(**at, port=broker.port) as scanner:
            scan = scanner.pack("PO-1")
            broker.until(broker.events)
            full.fill()
            broker.release()
            scanner.drain(DEADLINE_S)
            assert scan.acknowledged
            broker.cut()
            broker.until(lambda: len(presences(broker)) == 2)
            assert presences(broker)[1].backlog == 0
        assert len(broker.events()) == 1, "the same process knows it"
    with Scanner(**at, port=broker.port) as later:
        later.drain(DEADLINE_S)
    first, second = (read(published) for published in broker.events())
    assert (first.id, first.log, first.seq) == (second.id, second.log, second.seq)


# --- another device's -----------------------------------------------------------------------------------------------------------


def test_the_outbox_of_another_device_says_so_and_what_to_do(at: dict[str, Any]) -> None:
    Scanner(**at, port=NOBODY).close()
    with pytest.raises(WrongOwner, match=r"python -m devices move --help.* belongs to ams1/scan-07, not to ams1/scan-08"):
        Scanner(**{**at, "device": "scan-08"}, port=NOBODY)
