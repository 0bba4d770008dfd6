"""A scanner's outbox is restored from a backup, or copied to a second device: both go on, and no scan is lost (real broker, device library)."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.events import SITE
from helpers.site import Site
from helpers.waiting import DEADLINE_S

from bridge.operations import devices
from devices import Scanner, SystemClock
from devices.protocol.messages import Receipt

Open = Callable[..., Scanner]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as site:
        site.create("PO-1", "PO-2")
        yield site


@pytest.fixture
def open_as(site: Site, tmp_path: Path) -> Open:
    """Opens an outbox file as the scanner."""
    password = site.enrol("scan-02")
    host, port = site.addresses["mqtt"]

    def scanner(file: str, **more: Any) -> Scanner:
        return Scanner(site=SITE, device="scan-02", password=password, host=host, port=port, outbox=tmp_path / file, debounce_ms=0, **more)

    return scanner


class StoppedClock(SystemClock):
    """A wall clock that stands still."""

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self._now_ms = now_ms

    def wall_ms(self) -> int:
        return self._now_ms


def outcome(receipt: Receipt) -> tuple[str, list[str]]:
    return str(receipt.outcome), [str(w) for w in receipt.warn or ()]


def test_the_copy_and_the_original_both_go_on(site: Site, open_as: Open, tmp_path: Path) -> None:
    """Field case 14: original, copy, original, copy; each scans once."""
    with open_as("original.db") as original:
        assert outcome(original.shift_started("w-1").receipt(DEADLINE_S)) == ("applied", [])
    shutil.copy(tmp_path / "original.db", tmp_path / "copy.db")
    told = []
    for turn, file in enumerate(("original.db", "copy.db", "original.db", "copy.db")):
        with open_as(file) as scanner:
            scan = scanner.shift_started(f"w-{turn}")
            told.append((scan.seq, *outcome(scan.receipt(DEADLINE_S))))
    assert told == [
        (2, "applied", []),
        (2, "applied", ["seq_reused"]),
        (3, "applied", []),
        (1, "applied", []),
    ], "after one warning, the copy has a log of its own"
    assert site.rows("SELECT count(*) FROM events WHERE device = 'scan-02'") == [(5,)]
    assert site.rows("SELECT count(*) FROM quarantine") == [(0,)]
    shown = site.wait_for(devices.show_device(site.app, "scan-02", (), {}))
    assert sorted((log.high, log.owes, log.reused) for log in shown.logs) == [(1, 0, 0), (3, 0, 1)], "an operator sees it"


def test_a_copy_that_makes_the_ids_of_the_original_loses_no_later_scan(site: Site, open_as: Open, tmp_path: Path) -> None:
    """Both have the same clock and the same source of randomness, as after a restored snapshot of a whole phone. One scan is refused, and says so."""
    clock = StoppedClock(site.now_ms())

    def same() -> Callable[[int], bytes]:
        return random.Random(1).randbytes

    open_as("original.db").close()
    shutil.copy(tmp_path / "original.db", tmp_path / "copy.db")
    with open_as("original.db", clock=clock, random_bytes=same()) as original:
        first = original.shift_started("w-1")
        assert outcome(first.receipt(DEADLINE_S)) == ("applied", [])
    with open_as("copy.db", clock=clock, random_bytes=same()) as copy:
        clash, later = copy.shift_started("w-2"), copy.shift_started("w-3")
        assert clash.id == first.id
        assert clash.receipt(DEADLINE_S).reason == "id_reused"
        assert outcome(later.receipt(DEADLINE_S)) == ("applied", [])
        copy.drain(DEADLINE_S)
    assert site.rows("SELECT count(*) FROM events WHERE device = 'scan-02'") == [(2,)]
    assert site.rows("SELECT count(*) FROM quarantine") == [(1,)]


def test_what_waited_in_a_backup_and_was_sent_since_counts_once(site: Site, open_as: Open, tmp_path: Path) -> None:
    site.stop()
    with open_as("scan-02.db") as offline:
        offline.pack("PO-1")
    shutil.copy(tmp_path / "scan-02.db", tmp_path / "backup.db")
    site.start()
    for file in ("scan-02.db", "backup.db"):
        with Scanner(
            site=SITE, device="scan-02", password=site.secrets["scan-02"], host="127.0.0.1", port=site.addresses["mqtt"][1], outbox=tmp_path / file
        ) as scanner:
            scanner.drain(DEADLINE_S)
    assert site.rows("SELECT type, seq FROM events WHERE device = 'scan-02'") == [("pack", 1)]
