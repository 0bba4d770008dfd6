"""Twenty devices scan while the server is killed, its disk is lost and a backup is put in its place: whatever was acknowledged, and a device still keeps, is
there again, and what no device keeps any more is listed (a real server process, the real command, the device library)."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.server import ServerProcess, enrol, free_port
from helpers.shell import Shell
from helpers.waiting import until

from bridge.config_file import parse
from bridge.site_folder import make_site
from devices import Scanner
from devices.protocol.vocabulary import Role
from devices.scan import Scan

SITE: Final = "ams1"
SECRET: Final = "one-password-for-all"
FLEET: Final = [f"scan-{n:02}" for n in range(20)]
FORGETFUL: Final = FLEET[7]
"""Its flash is small: when the server comes back, it keeps nothing of what was acknowledged."""
SETTLED_S: Final = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServerProcess]:
    site = tmp_path / SITE
    make_site(site, parse({"site": {"name": SITE}, "listen": {"mqtt": f"127.0.0.1:{free_port()}"}}))
    enrol(site / "dockbridge.db", dict.fromkeys(FLEET, Role.SCANNER), secret=SECRET)
    with ServerProcess(site, log=tmp_path / "serve.log") as server:
        yield server


class Fleet:
    """The devices, each with a thread that scans as long as the floor is open."""

    def __init__(self, folder: Path, address: tuple[str, int]) -> None:
        self._folder, self._address = folder, address
        self.scans: dict[str, list[Scan]] = defaultdict(list)
        self.devices: dict[str, Scanner] = {}
        self._closed = threading.Event()
        self._threads: list[threading.Thread] = []

    def connect(self, device: str, life: ExitStack) -> None:
        host, port = self._address
        patience: dict[str, Any] = {"debounce_ms": 0, "backoff_first_s": 0.05, "backoff_max_s": 0.5}
        outbox = self._folder / f"{device}.db"
        self.devices[device] = life.enter_context(Scanner(site=SITE, device=device, password=SECRET, host=host, port=port, outbox=outbox, **patience))

    def open(self, devices: list[str]) -> None:
        self._closed.clear()
        self._threads = [threading.Thread(target=self._work, args=(device,)) for device in devices]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Nobody scans any more."""
        self._closed.set()
        for thread in self._threads:
            thread.join()

    def _work(self, device: str) -> None:
        while not self._closed.wait(0.02):
            self.scans[device].append(self.devices[device].pack(f"{device}-{len(self.scans[device])}"))

    @property
    def acknowledged(self) -> int:
        return sum(len(scans) for scans in self.scans.values()) - sum(device.backlog for device in self.devices.values())


def stored(site: Path) -> dict[str, set[bytes]]:
    """The ids of each device's events in the database."""
    found = defaultdict(set)
    with closing(sqlite3.connect(f"file:{site / 'dockbridge.db'}?mode=ro", uri=True)) as database:
        for device, event_id in database.execute("SELECT device, id FROM events"):
            found[device].add(event_id)
    return found


@pytest.mark.slow
def test_nothing_that_a_device_still_keeps_is_missing(server: ServerProcess, tmp_path: Path) -> None:
    site, shell = tmp_path / SITE, Shell(tmp_path / SITE)
    fleet = Fleet(tmp_path, server.address)
    with ExitStack() as life:
        for device in FLEET:
            fleet.connect(device, life)
        fleet.open(FLEET)
        until(lambda: fleet.acknowledged > 400, "the floor works")
        shell("db", "backup", tmp_path / "backup.db")
        until(lambda: fleet.acknowledged > 1_000, "work that is not in the backup")
        server.end(signal.SIGKILL)
        for file in site.glob("dockbridge.db*"):
            file.unlink()
        fleet.close()

        fleet.devices[FORGETFUL].close()
        with closing(sqlite3.connect(tmp_path / f"{FORGETFUL}.db")) as outbox, outbox:
            outbox.execute("DELETE FROM sent")
            waiting = {event_id for (event_id,) in outbox.execute("SELECT id FROM events")}
        forgotten = {scan.id for scan in fleet.scans.pop(FORGETFUL)} - waiting
        shell("db", "restore", tmp_path / "backup.db")
        server.start()
        fleet.connect(FORGETFUL, life)
        fleet.open(FLEET)  # while the lost events are asked for, work goes on
        until(lambda: all(len(fleet.scans[device]) > 10 for device in FLEET), "the floor works again", deadline_s=SETTLED_S)
        fleet.close()
        until(lambda: not any(device.backlog for device in fleet.devices.values()), "every outbox is empty", deadline_s=SETTLED_S)
        kept = {device: {scan.id for scan in scans} for device, scans in fleet.scans.items()}
        until(lambda: all(ids <= stored(site)[device] for device, ids in kept.items()), "what was lost is there again", deadline_s=SETTLED_S)

    lost = forgotten - stored(site)[FORGETFUL]
    assert lost, "some of its scans were acknowledged after the backup"
    (missing,) = shell.data("db", "missing")
    assert (missing["device"], missing["events"]) == (FORGETFUL, len(lost))
    shell("db", "give-up", FORGETFUL, "--reason", "its flash holds too little")
    assert shell.data("db", "missing") == []
    shell("db", "check")
