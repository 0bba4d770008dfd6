"""The power fails while devices send: whatever was acknowledged by then is on the disk.

SIGKILL leaves the page cache, and so forgives a server that never syncs. Here a shim records what the server writes, syncs and sends; the power is cut
afterwards, at many moments of that one record, and what was not synced is gone, or torn.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Final

import pytest
from a_site import CREATED, DEADLINE_S, PUBACK, PUBCOMP, PUBREC, PUBREL, SITE, TOPICS, MqttWire, event, event_id
from power.power_cut import Did, Disk, Fate, Promise, Sent, build, environment, losses, packets, read_files, read_log

from bridge.config import parse
from bridge.site_folder import make_site
from bridge.store.registry import Registry
from bridge.store.sql import open_engine
from devices.protocol.vocabulary import Role

ORDERS: Final = 80
IN_FLIGHT_MAX: Final = 20
BATCH_MESSAGES_MAX: Final = 2
LOG_BYTES: Final = 1_048_576
"""Both small, so that a short run has many commits, and fills the -wal file twice: SQLite then copies it into the database, and begins it anew."""
CUTS: Final = 40
SEED: Final = 1
WORK: Final[dict[str, tuple[Role, str, dict[str, object]]]] = {
    "shop1": (Role.SYSTEM, "created", CREATED),
    "scan-1": (Role.SCANNER, "pick", {"sku": "pen", "qty": 1}),
    "scan-2": (Role.SCANNER, "pick", {"sku": "4006381333931", "qty": 2}),
    "scan-3": (Role.SCANNER, "pack", {"weight_g": 700}),
    "scan-4": (Role.SCANNER, "stage", {"dock": "dock-1"}),
}
"""What each device says of every order."""
GEAR: Final = "printer"
"""Other gear: it publishes outside v1/, to a client that is subscribed with a persistent session and away."""
AWAY: Final = "reader"
SERVE_WEAKLY: Final = str(Path(__file__).with_name("serve_weakly.py"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """An event that a device publishes, or a message of other gear. The packet id is like no other's: the answer alone says what it acknowledges."""

    packet_id: int
    device: str
    seq: int
    at_ms: int

    @property
    def id(self) -> bytes:
        return b"label-%d" % self.seq if self.device == GEAR else event_id(self.device, self.seq)

    @property
    def qos(self) -> int:
        return 1 + self.seq % 2

    def send(self, wire: MqttWire) -> None:
        if self.device == GEAR:
            wire.publish(f"labels/{self.seq}", self.id, qos=self.qos, packet_id=self.packet_id)
            return
        _, event_type, body = WORK[self.device]
        payload = event(self.device, self.seq, f"PO-{self.seq}", body, at_ms=self.at_ms)
        wire.publish(TOPICS.event(self.device, event_type), payload, qos=self.qos, packet_id=self.packet_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a server did, from its start to its end."""

    database: Path
    before: dict[str, bytes]
    steps: list[Did]
    events: dict[int, Publication]

    def disk(self) -> Disk:
        return Disk(self.database, self.before)

    def acknowledgements(self) -> list[int]:
        """The steps in which events were acknowledged."""
        return [sent.step for sent in packets(self.steps) if self._acknowledged(sent) is not None]

    def _acknowledged(self, sent: Sent) -> Publication | None:
        """What a packet acknowledges, where it is a PUBACK or PUBREC."""
        return self.events[int.from_bytes(sent.body[:2], "big")] if sent.kind in (PUBACK, PUBREC) else None

    def event(self, sent: Sent) -> bytes | None:
        found = self._acknowledged(sent)
        return found.id if found is not None and found.device != GEAR else None

    def message(self, sent: Sent) -> bytes | None:
        found = self._acknowledged(sent)
        return found.id if found is not None and found.device == GEAR else None

    def promises(self) -> list[Promise]:
        return [
            Promise(name="events", made=self.event, found=events_in),
            Promise(name="messages for a client that is away", made=self.message, found=messages_in),
        ]


def events_in(connection: Connection) -> Counter[bytes]:
    return Counter(row[0] for row in connection.execute("SELECT id FROM events"))


def messages_in(connection: Connection) -> Counter[bytes]:
    """Messages that a subscribed session is still owed: without the subscription they would be lost all the same."""
    subscribed = "sessions JOIN subscriptions ON subscriptions.sid = sessions.sid"
    owed = connection.execute(f"SELECT payload FROM message_log JOIN {subscribed} WHERE topic_filter = 'labels/#' AND pos >= next_pos")
    return Counter(row[0] for row in owed)


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled shim. Without a compiler the test says so; where everything must be there (CI), it fails."""
    missing = None if sys.platform == "linux" else "LD_PRELOAD needs Linux"
    missing = missing or (None if shutil.which("cc") else "there is no C compiler (cc)")
    if missing is not None:
        assert not os.environ.get("CI"), missing
        pytest.skip(missing)
    return build(tmp_path_factory.mktemp("shim"))


@pytest.fixture(scope="module")
def run(shim: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of the server as it is."""
    return record_a_run(tmp_path_factory.mktemp("run"), shim, "-m", "bridge.entrypoints.cli.main")


def record_a_run(folder: Path, shim: Path, *serve: str) -> Run:
    """Makes a site, serves it with the shim, lets every device send its events, and ends the server."""
    site, database, log = folder / "site", (folder / "site" / "dockbridge.db").resolve(), folder / "log"
    make_site(
        site,
        parse(
            {"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}, "ingest": {"batch_messages_max": BATCH_MESSAGES_MAX, "database_log_bytes": LOG_BYTES}}
        ),
    )
    engine = open_engine(database)
    registry = Registry(engine, engine, SITE)
    roles = {device: role for device, (role, _, _) in WORK.items()} | {GEAR: Role.LAB, AWAY: Role.LAB}
    secrets = {device: registry.add(device, role, now_ms=0) or "" for device, role in roles.items()}
    engine.dispose()
    before = read_files(database)
    now_ms = int(time.time() * 1000)
    devices = [*WORK, GEAR]
    numbered = enumerate(((device, seq) for device in devices for seq in range(1, ORDERS + 1)), 1)
    events = {n: Publication(packet_id=n, device=device, seq=seq, at_ms=now_ms) for n, (device, seq) in numbered}
    command = [sys.executable, *serve, "serve", str(site), "--json"]
    with subprocess.Popen(command, env=os.environ | environment(shim, database, log), stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            host, _, port = json.loads(server.stdout.readline())["addresses"]["mqtt"].removeprefix("mqtt://").partition(":")
            address = (host, int(port))
            with MqttWire(address) as away:
                assert away.connect(AWAY, AWAY, secrets[AWAY], clean=False)[1] == 0
                away.subscribe("labels/#", qos=2)
                away.goodbye()
            with ThreadPoolExecutor(len(devices)) as pool:
                list(pool.map(lambda device: send_all(address, device, secrets[device], [e for e in events.values() if e.device == device]), devices))
            server.send_signal(signal.SIGTERM)
            assert server.wait(DEADLINE_S) == 0
        finally:
            server.kill()
    return Run(database=database, before=before, steps=read_log(log.read_bytes()), events=events)


def send_all(address: tuple[str, int], device: str, secret: str, events: list[Publication]) -> None:
    """Publishes events, some of them at a time, until all are acknowledged."""
    waiting = iter(events)
    with MqttWire(address) as wire:
        assert wire.connect(device, device, secret)[1] == 0
        in_flight = 0
        done = 0
        while done < len(events):
            while in_flight < IN_FLIGHT_MAX and (following := next(waiting, None)) is not None:
                following.send(wire)
                in_flight += 1
            packet = wire.read()
            assert packet is not None, "the server closed the connection"
            if packet.kind == PUBREC:
                wire.answer(PUBREL, packet.packet_id)
            elif packet.kind in (PUBACK, PUBCOMP):
                in_flight -= 1
                done += 1


def some(steps: list[int], count: int) -> list[int]:
    """Some of them, evenly, and the last."""
    return [*steps[:: max(1, len(steps) // count)], steps[-1]]


def test_every_acknowledged_event_survives_a_power_cut(run: Run, tmp_path: Path) -> None:
    elsewhere = random.Random(SEED).sample(range(len(run.steps)), CUTS // 2)
    cuts = [*some(run.acknowledgements(), CUTS), *elsewhere]
    assert losses(run.disk(), run.steps, cuts, list(Fate), run.promises(), tmp_path / "left", SEED) == []


@pytest.mark.parametrize("level", ["NORMAL", "OFF"])
def test_a_server_that_does_not_wait_for_the_disk_is_found_out(shim: Path, tmp_path: Path, level: str) -> None:
    run = record_a_run(tmp_path, shim, SERVE_WEAKLY, level)
    cuts = some(run.acknowledgements(), CUTS)
    found = losses(run.disk(), run.steps, cuts, [Fate.GONE, Fate.KEPT], run.promises(), tmp_path / "left", SEED)
    assert any(loss.what == "missing events" for loss in found)
    # Killing it would not have found it out: its page cache is all there.
    assert {loss.fate for loss in found} == {Fate.GONE}


def test_the_record_is_whole(run: Run) -> None:
    """Every acknowledgement is in it, and all that was written, also while the -wal file was copied into the database."""
    disk = run.disk()
    acknowledgements = run.acknowledgements()
    assert len(acknowledgements) == len(run.events) == (len(WORK) + 1) * ORDERS
    for did in run.steps[: acknowledgements[-1]]:
        disk.do(did)
    assert disk.after(Fate.GONE, random.Random(SEED))["dockbridge.db"] != run.before["dockbridge.db"], "the run was too short for a checkpoint"
    for did in run.steps[acknowledgements[-1] :]:
        disk.do(did)
    assert disk.after(Fate.KEPT, random.Random(SEED)) == read_files(run.database)
