"""The server's disk breaks, and its database is restored from last night's backup. The scanners send again what it lost, and nobody has to know
(real broker, real database, device library)."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.events import SITE
from helpers.server import free_port
from helpers.site import Site
from helpers.waiting import DEADLINE_S, until

from bridge import recovery
from bridge.app import ingest_of
from devices import Courier, Scanner
from devices.protocol.vocabulary import Role

EVENTS = "SELECT device, seq, type FROM events WHERE device IN ('scan-02', 'scan-03', 'phone-1') ORDER BY device, log, seq"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A site that has the same address after a restart, with orders that are paid."""
    with Site(tmp_path / "site", listen={"mqtt": f"127.0.0.1:{free_port()}"}) as site:
        site.create("PO-1", "PO-2", "PO-3")
        site.tell("shop1", Role.SYSTEM, "paid", *(site.event("shop1", 10 + n, f"PO-{n}", {"amount_minor": 1, "currency": "EUR"}) for n in (1, 2, 3)))
        for scanner in ("scan-02", "scan-03"):
            site.enrol(scanner)
        site.enrol("phone-1", Role.COURIER, courier="anna")
        yield site


def settings_of(site: Site, device: str, outbox: Path) -> dict[str, Any]:
    host, port = site.addresses["mqtt"]
    more = {"courier": "anna"} if device == "phone-1" else {}
    patience = {"debounce_ms": 0, "backoff_first_s": 0.02, "backoff_max_s": 0.1}
    return {"site": SITE, "host": host, "port": port, "device": device, "password": site.secrets[device], "outbox": outbox, **patience, **more}


def assign(site: Site, seq: int, order: str, job: str) -> None:
    site.tell("desk", Role.DESK, "assigned", site.event("desk", seq, order, {"courier": "anna", "job": job}))


def test_devices_send_again_what_the_backup_lacks(site: Site, tmp_path: Path) -> None:
    """One scanner and a phone are on the floor, and come back by themselves. Another scanner is off; its outbox has an earlier log, and a scan that waits."""
    off = settings_of(site, "scan-03", tmp_path / "scan-03.db")
    with Scanner(**off) as scan_03:
        scan_03.shift_started("w-1").receipt(DEADLINE_S)
    shutil.copy(tmp_path / "scan-03.db", tmp_path / "copy.db")
    with (
        Scanner(**settings_of(site, "scan-02", tmp_path / "scan-02.db")) as scan_02,
        Courier(**settings_of(site, "phone-1", tmp_path / "phone.db")) as phone,
    ):
        scan_02.pack("PO-1").receipt(DEADLINE_S)
        assign(site, 1, "PO-1", "tour-1")
        phone.wait_job(DEADLINE_S, job="tour-1")
        saved = tmp_path / "backup.db"
        site.app.database.backup(saved)
        lost = [scan_02.pack("PO-2"), scan_02.stage("PO-2", dock="d1"), phone.claim("tour-1")]
        assert [scan.receipt(DEADLINE_S).outcome for scan in lost] == ["applied"] * 3
        assign(site, 2, "PO-3", "tour-2")
        phone.wait_job(DEADLINE_S, job="tour-2")
        for file in ("scan-03.db", "copy.db"):  # the second one has used its numbers before, and goes on with a new log
            with Scanner(**{**off, "outbox": tmp_path / file}) as scan_03:
                scan_03.break_started().receipt(DEADLINE_S)
                scan_03.break_ended().receipt(DEADLINE_S)
        with Scanner(**{**off, "outbox": tmp_path / "copy.db", "port": 9}) as scan_03:
            scan_03.shift_ended()

        site.stop()
        assert recovery.restore(site.directory, saved, ingest_of, lambda _step: None).epoch == 1
        site.start()

        until(lambda: all(scan.receipt(DEADLINE_S).epoch == 1 for scan in lost), "receipts of the new epoch")
        assert [(str(r.outcome), r.n, r.again) for r in (scan.receipt() for scan in lost)] == [("applied", 1, False)] * 3
        until(lambda: list(phone.jobs) == ["tour-1"] and phone.jobs["tour-1"].state == "accepted", "the list of jobs, without the lost one")
        assert (scan_02.backlog, phone.jobs["tour-1"].epoch) == (0, 1)
        assert scan_02.bridge_state is not None
        assert scan_02.bridge_state.epoch == 1
    with Scanner(**{**off, "outbox": tmp_path / "copy.db"}) as scan_03:
        scan_03.drain(DEADLINE_S)
        until(lambda: len(site.rows(EVENTS)) == 8, "the events of both logs")
    assert sorted(site.rows(EVENTS)) == [
        ("phone-1", 1, "claim"),
        ("scan-02", 1, "pack"),
        ("scan-02", 2, "pack"),
        ("scan-02", 3, "stage"),
        ("scan-03", 1, "break_ended"),
        ("scan-03", 1, "shift_started"),
        ("scan-03", 2, "break_started"),
        ("scan-03", 2, "shift_ended"),
    ]
