"""An outbox file is deleted, its disk is full, or it belongs to another device: no scan that returned is lost, and whoever holds the device is told what to do.

The broker is a fake on a real socket; files and disks are real.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_broker import FakeBroker
from helpers.full_disk import Quota, SmallDisk, quota, small_disk
from helpers.handhelds import NOBODY, RECEIPTS, STATE, Clock, orders, presences, read, receipt_for, settings_of, state_of_server
from helpers.waiting import DEADLINE_S, until

from devices import DiskFull, NotDelivered, OutboxGone, Scanner, WrongOwner
from devices.__main__ import main
from devices.protocol.vocabulary import Outcome, Reason

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


def test_an_outbox_that_was_filled_under_a_wrong_name_is_moved(broker: FakeBroker, at: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """scan-70 was a slip of the pen. What the server had answered stays out; the rest keeps its ids and gets the numbers of a new log."""
    wrong = {**at, "device": "scan-70"}
    broker.retained["v1/ams1/bridge/state"] = state_of_server(epoch=3, payload_bytes_max=50_000)
    broker.acknowledging = False
    receipts = RECEIPTS.replace("scan-07", "scan-70")
    with Scanner(**wrong, port=broker.port) as scanner:
        answered, refused = scanner.pack("PO-1"), scanner.pack("PO-2")
        broker.until(lambda: len(broker.events()) == 2)
        broker.send(receipts, receipt_for(answered.id))
        broker.send(receipts, receipt_for(refused.id, outcome=Outcome.REJECTED, digest=b"refused!", reason=Reason.FORBIDDEN))
        for scan in (answered, refused):
            scan.receipt(DEADLINE_S)
    with Scanner(**wrong, port=NOBODY) as scanner:
        waiting = [refused, scanner.pack("PO-3")]
        waiting.append(scanner.void(waiting[-1]))
        log = scanner._outbox.log
    assert main(["move", str(at["outbox"]), "--site", "ams1", "--device", "scan-07"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{at['outbox']} belongs to ams1/scan-07 now, not to ams1/scan-70. Events that wait: 3.",
        "Left out, because the server had stored them for ams1/scan-70: 1.",
    ]
    broker.acknowledging = True
    with Scanner(**at, port=broker.port) as scanner:
        assert scanner.bridge_state is None or scanner.bridge_state.epoch == 3
        scanner.drain(DEADLINE_S)
        assert scanner.pack("PO-4").seq == 4
    moved = [published for published in broker.events() if "/scan-07/" in published.topic]
    assert [(read(p).id, read(p).seq, read(p).order) for p in moved[:3]] == [
        (waiting[0].id, 1, "PO-2"),
        (waiting[1].id, 2, "PO-3"),
        (waiting[2].id, 3, None),
    ]
    assert read(moved[2]).body.ref == waiting[1].id, "what one event says of another is still true"
    assert log not in {read(p).log for p in moved}


def test_show_says_what_is_in_an_outbox(broker: FakeBroker, at: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    broker.retained[STATE] = state_of_server(epoch=3, payload_bytes_max=50_000)
    with Scanner(**at, port=broker.port) as scanner:
        scan = scanner.pack("PO-1")
        scan.wait_acknowledged(DEADLINE_S)
        broker.send(RECEIPTS, receipt_for(scan.id))
        scan.receipt(DEADLINE_S)
        log = scanner._outbox.log.hex()
        assert main(["show", str(at["outbox"])]) == 1
        assert "another process" in capsys.readouterr().err
    with Scanner(**at, port=NOBODY) as scanner:
        scanner.stage("PO-2", dock="d1")
        scanner.pack("PO-3", by="w" * 60)
    before = at["outbox"].read_bytes()
    assert main(["show", str(at["outbox"])]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "owner     ams1/scan-07",
        f"log       {log}, 3 events made",
        "backlog   2 events wait for the server",
        "oldest    stage, number 2, 2025-10-09 08:53:25 UTC",
        "kept      1 acknowledged events, in case the server asks for them again",
        "receipts  1",
        "server    1, contract 2, epoch 3, payloads up to 50,000 bytes",
    ]
    assert main(["show", "--json", str(at["outbox"])]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown.pop("server")["limits"]["payload_bytes_max"] == 50_000
    assert shown == {
        "owner": "ams1/scan-07",
        "log": log,
        "last_seq": 3,
        "backlog": 2,
        "too_large": 0,
        "oldest": {"seq": 2, "type": "stage", "at_ms": 1_760_000_005_000},
        "kept": 1,
        "receipts": 1,
    }
    assert at["outbox"].read_bytes() == before


def test_what_is_no_outbox_is_neither_shown_nor_moved(at: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.db").write_text("not a database " * 100)
    (tmp_path / "empty.db").touch()
    Scanner(**at, port=NOBODY).close()
    to = ["--site", "ams1", "--device"]
    for command, said in (
        (["show", "missing.db"], "there is no file"),
        (["show", "text.db"], "not a database"),
        (["show", "empty.db"], "not an outbox"),
        (["move", "empty.db", *to, "scan-08"], "not an outbox"),
        (["move", "scan-07.db", *to, "scan-07"], "belongs to ams1/scan-07 already"),
        (["move", "scan-07.db", *to, ""], "device: expected 1 to 96 characters"),
    ):
        command[1] = str(tmp_path / command[1])
        assert main(command) == 1
        assert said in capsys.readouterr().err
    assert (tmp_path / "empty.db").stat().st_size == 0
    assert not (tmp_path / "missing.db").exists()


def test_the_command_line_needs_nothing_but_python_and_says_when_moving_is_safe() -> None:
    done = subprocess.run([sys.executable, "-m", "devices", "move", "--help"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "The server knows an event by its site, its device and its id." in done.stdout
