"""What can go wrong around a server: a full disk, a database that can't be written or that another process locks, a clock that jumps, no file descriptors left.

Each time no acknowledged message is lost, no message is acknowledged before it is stored, the log says once what is wrong and what to do, and
when the cause is gone the server continues by itself.
"""

from __future__ import annotations

import ctypes
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest
from helpers.events import CREATED, TOPICS, event, shift
from helpers.mqtt import CONNACK, PUBACK, MqttWire, connect_packet, publish_packet
from helpers.server import SECRET, Server
from helpers.site import Site
from helpers.waiting import until

from bridge import writer
from bridge.config import DATABASE_NAME
from bridge.entrypoints.control.client import call
from bridge.errors import Refused
from bridge.operations import devices
from devices.protocol.messages import encode_cbor
from devices.protocol.vocabulary import Role

STARTED = TOPICS.event("scan-1", "shift_started")
LIBC = ctypes.CDLL(None)
STATUSES = f"{TOPICS.base}/orders/+/status"
PRESENCES = [TOPICS.presence(device) for device in ("scan-1", "scan-2")]
GONE = encode_cbor({"online": False, "boot": b"boot-one"})
THERE = encode_cbor({"online": True, "boot": b"boot-one"})
FAILING = "the store can't take writes"
AGAIN = "the store takes writes again"
HOUR_S = 3_600
YEAR_S = 365 * 24 * HOUR_S


@contextmanager
def served(server: Server) -> Iterator[Server]:
    server.enrol(Role.SCANNER, "scan-1", "scan-2")
    server.enrol(Role.DESK, "desk")
    with server:
        yield server
    assert not server.said("Traceback")


def scan(wire: MqttWire, *seqs: int, device: str = "scan-1", size: int = 0) -> None:
    """Publishes events without waiting for an answer. The packet id is the sequence number."""
    for seq in seqs:
        wire.publish(TOPICS.event(device, "shift_started"), shift(device, seq, note=b"x" * size), packet_id=seq)


def acknowledged(wire: MqttWire, *seqs: int) -> None:
    """Waits for the acknowledgements of events, in this order."""
    assert [wire.expect(PUBACK).packet_id for _ in seqs] == list(seqs)


# --- a disk without room ------------------------------------------------------------------------------------------------------


class FullDisk:
    """A small file system of its own, filled by another file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, server: Server) -> None:
        with suppress(OSError), self._ballast.open("wb", buffering=0) as ballast:
            while True:
                ballast.write(bytes(65_536))

    def make_room(self, server: Server) -> None:
        self._ballast.unlink()


class FullQuota:
    """The server can't make any file longer than its longest one now. This needs no privileges."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, server: Server) -> None:
        longest = max(f.stat().st_size for f in server.directory.iterdir() if f.is_file())
        self._limit(server, longest)

    def make_room(self, server: Server) -> None:
        self._limit(server, resource.RLIM_INFINITY)

    def _limit(self, server: Server, size: int) -> None:
        assert server.process is not None
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[FullDisk]:
    small = tmp_path / "small"
    small.mkdir()
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "none", str(small)], capture_output=True, check=False) if shutil.which("mount") else None
    if mount is None or mount.returncode:
        pytest.skip("only root may mount a file system; the quota tells the same story")
    try:
        yield FullDisk(small)
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.fixture(params=["disk", "quota"])
def full(request: pytest.FixtureRequest, tmp_path: Path) -> FullDisk | FullQuota:
    return FullQuota(tmp_path) if request.param == "quota" else request.getfixturevalue("small_disk")


def test_a_full_disk_stops_acknowledgements_and_nothing_else(full: FullDisk | FullQuota, tmp_path: Path) -> None:
    with served(Server(full.folder / "site", aside=tmp_path)) as server, server.client("scan-1") as scanner, server.client("desk") as desk:
        desk.subscribe(TOPICS.presence("scan-2"))
        scan(scanner, 1)
        acknowledged(scanner, 1)
        full.fill(server)
        scan(scanner, *range(2, 200), size=40_000)
        until(lambda: bool(server.said(FAILING)), "word of the full disk")
        # The events before the disk was full were acknowledged and are stored; from the first one that was not acknowledged, none is.
        answered = [p.packet_id for p in scanner.ping()]
        assert answered == list(range(2, 2 + len(answered)))
        assert server.stored("scan-1") == [1, *answered]
        assert [p for p in scanner.ping() if p.kind == PUBACK] == []
        assert desk.ping() == []
        assert server.counters()["store_failing"] == 1
        assert "store_failing" in server.status()
        full.make_room(server)
        acknowledged(scanner, *range(2 + len(answered), 200))
        with server.client("scan-2", will=(TOPICS.presence("scan-2"), GONE)) as other:
            other.publish(TOPICS.presence("scan-2"), THERE, retain=True)
            other.expect(PUBACK)
            hears(desk, 1)
        assert desk.receive().payload == GONE
        assert server.counters()["store_failing"] == 0
        assert server.stored("scan-1") == list(range(1, 200))
    told = server.said(FAILING)
    assert len(told) == 1
    assert "space" in told[0]
    assert len(server.said(AGAIN)) == 1


def test_a_server_that_finds_a_full_disk_at_its_start_says_so_and_ends(small_disk: FullDisk, tmp_path: Path) -> None:
    server = Server(small_disk.folder / "site", aside=tmp_path)
    small_disk.fill(server)
    server.launch()
    assert server.ended() == 1
    (error,) = server.said("error: ")
    assert str(server.directory / "dockbridge.db") in error
    (fix,) = server.said("fix: ")
    assert "free space" in fix
    small_disk.make_room(server)
    with server:
        assert server.end() == 0


@pytest.mark.slow
def test_a_server_that_is_killed_with_a_full_disk_has_lost_nothing_that_it_acknowledged(full: FullDisk | FullQuota, tmp_path: Path) -> None:
    with served(Server(full.folder / "site", aside=tmp_path)) as server:
        with server.client("scan-1") as scanner:
            full.fill(server)
            scan(scanner, *range(1, 200), size=40_000)
            until(lambda: bool(server.said(FAILING)), "word of the full disk")
            answered = [p.packet_id for p in scanner.ping()]
            server.end(signal.SIGKILL)
        if isinstance(full, FullDisk):
            full.make_room(server)
        server.start()
        assert server.stored("scan-1") == answered
        with server.client("scan-1") as scanner:
            scan(scanner, *range(1, 200), size=40_000)
            acknowledged(scanner, *range(1, 200))
        assert server.stored("scan-1") == list(range(1, 200))


# --- a database that can't be written -----------------------------------------------------------------------------------------


def test_a_database_that_becomes_read_only_stops_acknowledgements_until_it_can_be_written(tmp_path: Path) -> None:
    with served(Server(tmp_path / "site", with_faults=True)) as server, server.client("scan-1") as scanner:
        scan(scanner, 1)
        acknowledged(scanner, 1)
        server.fault("read_only")
        scan(scanner, 2, 3)
        until(lambda: bool(server.said(FAILING)), "word of the database")
        assert scanner.ping() == []
        with pytest.raises(Refused, match="can't take writes") as refused:
            call(server.directory, devices.add, "scan-3", Role.SCANNER)
        assert "mounted read-write" in str(refused.value.fix)
        server.fault("read_only", None)
        acknowledged(scanner, 2, 3)
        assert server.stored("scan-1") == [1, 2, 3]
    assert len(server.said(FAILING)) == 1
    assert "mounted read-write" in server.said(FAILING)[0]


def test_a_stop_while_nothing_can_be_written_ends_in_time_and_acknowledges_nothing(tmp_path: Path) -> None:
    with served(Server(tmp_path / "site", with_faults=True)) as server, server.client("scan-1") as scanner:
        server.fault("read_only")
        scan(scanner, 1)
        until(lambda: bool(server.said(FAILING)), "word of the database")
        assert server.end() == 0
        assert [p for p in scanner.expect_closed() if p.kind == PUBACK] == []
        assert server.stored("scan-1") == []


def obey_rights() -> None:
    """Root may write any file: take that right away from the processes that this one starts (prctl(2), PR_CAPBSET_DROP of CAP_DAC_OVERRIDE)."""
    LIBC.prctl(24, 1, 0, 0, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="capabilities are Linux's")
@pytest.mark.parametrize(("name", "mode"), [("dockbridge.db", 0o444), (".", 0o555)], ids=["the database", "the folder"])
def test_a_site_that_may_not_be_written_is_said_at_the_start(tmp_path: Path, name: str, mode: int) -> None:
    server = Server(tmp_path / "site", prepare=obey_rights)
    where = server.directory / name
    where.chmod(mode)
    server.launch()
    assert server.ended() == 1
    for path in (server.directory, *server.directory.iterdir()):  # SQLite gave the files beside the database the mode of the database
        path.chmod(0o755)
    (error,) = server.said("error: ")
    assert str(server.directory) in error
    (fix,) = server.said("fix: ")
    assert "permissions" in fix or "write" in fix
    assert not server.said("Traceback")
    with server:
        assert server.end() == 0


# --- a database that another process locks ------------------------------------------------------------------------------------


@contextmanager
def locked(server: Server) -> Iterator[None]:
    """Another process locks the database."""
    connection = sqlite3.connect(server.directory / "dockbridge.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


def test_a_database_that_is_locked_for_long_stops_acknowledgements_until_it_is_free(tmp_path: Path) -> None:
    server = Server(tmp_path / "site", with_faults=True)
    server.fault("busy_ms", 50)
    with served(server), server.client("scan-1") as scanner:
        with locked(server):
            scan(scanner, 1, 2)
            until(lambda: bool(server.said(FAILING)), "word of the lock")
            assert scanner.ping() == []
            # Connected clients stay connected, new ones can connect, and the status shows the failure.
            with server.client("scan-2") as other:
                assert other.ping() == []
            assert server.counters()["store_failing"] == 1
        acknowledged(scanner, 1, 2)
        assert server.stored("scan-1") == [1, 2]
    assert len(server.said(FAILING)) == 1
    assert "locked" in server.said(FAILING)[0]
    assert "other program" in server.said(FAILING)[0]


def test_a_server_that_finds_its_database_locked_says_so_and_ends(tmp_path: Path) -> None:
    server = Server(tmp_path / "site", with_faults=True)
    server.fault("busy_ms", 50)
    with locked(server):
        server.launch()
        assert server.ended() == 1
    assert len(server.said("error: ")) == 1
    assert "locked" in server.said("error: ")[0]
    assert not server.said("Traceback")


def test_a_program_that_pins_the_write_ahead_log_is_said_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(writer, "CHECKPOINT_EVERY_S", 0.0)
    with Site(tmp_path / "site", ingest={"database_log_bytes": 1_048_576}) as site, closing(sqlite3.connect(site.directory / DATABASE_NAME)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM events").fetchall() == [(0,)]
        site.enrol("printer", Role.LAB)
        with site.client("printer") as printer:
            for no in range(1, 16):
                printer.publish(f"labels/{no}", bytes(200_000), packet_id=no, retain=True)
            acknowledged(printer, *range(1, 16))
        site.create("PO-1")
        until(lambda: "MB of the write-ahead log can't be moved into the database" in caplog.text, "word of the reader")
        reader.rollback()
        site.create("PO-2")
        until(lambda: "the write-ahead log is moved into the database again" in caplog.text, "word of its end")
    assert caplog.text.count("can't be moved") == 1


# --- a slow database ----------------------------------------------------------------------------------------------------------


def test_while_the_database_is_slow_reading_pauses_and_everything_is_acknowledged_late(tmp_path: Path) -> None:
    ingest = {"queue_messages_max": 40, "batch_messages_max": 20}
    with served(Server(tmp_path / "site", with_faults=True, ingest=ingest)) as server, server.client("scan-1") as scanner, server.client("scan-2") as other:
        server.fault("commit_s", 0.05)
        sent = range(1, 301)
        packets = b"".join(publish_packet(STARTED, shift("scan-1", seq, note=b"x" * 20_000), packet_id=seq) for seq in sent)
        writer = threading.Thread(target=scanner.send, args=(packets,))
        writer.start()
        most = 0
        heard: list[int] = []
        while len(heard) < len(sent):
            heard.append(scanner.expect(PUBACK).packet_id)
            # Every acknowledged event is stored.
            assert server.stored("scan-1")[-1] >= heard[-1]
            most = max(most, server.counters()["unstored"])
        writer.join()
        assert heard == list(sent)
        # At most the queue, and the messages of one more read of the socket.
        assert 0 < most < 100
        assert server.counters()["store_failing"] == 0
        scan(other, 1, device="scan-2")
        acknowledged(other, 1)


# --- a clock that jumps -------------------------------------------------------------------------------------------------------


def times(server: Server, device: str = "scan-1") -> list[int]:
    """When the events of a device arrived, by the server's clock."""
    return [ms for (ms,) in server.rows("SELECT received_ms FROM events WHERE device = ? ORDER BY pos", device)]


def test_a_clock_that_jumps_while_the_server_runs_moves_nothing(tmp_path: Path) -> None:
    with served(Server(tmp_path / "site", with_faults=True)) as server, server.client("scan-1") as scanner:
        for seq, offset_s in enumerate((0, 5 * HOUR_S, -9 * HOUR_S, 40 * YEAR_S), 1):
            server.fault("clock_s", offset_s)
            scan(scanner, seq)
            acknowledged(scanner, seq)
        assert scanner.ping() == []
        came = times(server)
        assert came == sorted(came)
        assert came[-1] - came[0] < HOUR_S * 1_000


def test_a_clock_that_is_set_back_between_two_runs_leaves_times_in_order(tmp_path: Path) -> None:
    server = Server(tmp_path / "site", with_faults=True)
    server.fault("clock_s", 3 * HOUR_S)
    server.enrol(Role.SYSTEM, "shop1")
    with served(server):
        with server.client("shop1") as shop, server.client("scan-1") as scanner, server.client("desk", clean=False) as desk:
            desk.subscribe(STATUSES)
            now_ms = time.time_ns() // 1_000_000
            shop.publish(TOPICS.event("shop1", "created"), event("shop1", 1, "PO-1", CREATED, at_ms=now_ms))
            acknowledged(shop, 1)
            scanner.publish(TOPICS.event("scan-1", "pack"), event("scan-1", 1, "PO-1", at_ms=now_ms))
            acknowledged(scanner, 1)
        server.end()
        server.fault("clock_s", 0)
        server.start()
        with server.client("scan-1") as scanner, server.client("desk", clean=False) as desk:
            assert desk.session_present
            scanner.publish(TOPICS.event("scan-1", "stage"), event("scan-1", 2, "PO-1", {"dock": "d1"}, at_ms=now_ms + 1_000), packet_id=2)
            acknowledged(scanner, 2)
            while desk.receive().plain["rev"] < 3:
                pass  # older statuses that are still owed to the desk
        came = times(server)
        assert came == sorted(came)
        happened = [ms for (ms,) in server.rows("SELECT event_ms FROM events WHERE device = 'scan-1' ORDER BY pos")]
        assert happened == sorted(happened)
    (warning,) = server.said("behind the newest time")
    assert "3.0 hours" in warning


def test_a_clock_that_is_set_forward_by_years_between_two_runs_wipes_no_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Site(tmp_path / "site") as site:
        site.enrol("desk", Role.DESK)
        with site.client("desk", clean=False) as desk:
            desk.subscribe(STATUSES)
        site.create("PO-1", "PO-2")
        site.stop()
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + 3 * YEAR_S * 1_000_000_000)
        site.start()
        keep_house(site, 0)
        with site.client("desk", clean=False) as desk:
            assert desk.session_present
            assert [desk.receive().topic for _ in range(2)] == [TOPICS.status("PO-1"), TOPICS.status("PO-2")]
        until(lambda: not site.app.connected, "the desk's leaving")
        # Time in which the server runs counts as usual.
        keep_house(site, 31)
        with site.client("desk", clean=False) as desk:
            assert not desk.session_present


def keep_house(site: Site, in_days: int) -> None:
    broker = site.app.broker
    assert broker is not None
    site.on_loop(lambda: broker.door.keep_house(site.now_ms() + in_days * 86_400_000))


# --- no file descriptors ------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")
def test_without_descriptors_who_is_in_goes_on_and_who_comes_is_turned_away(tmp_path: Path) -> None:
    with served(Server(tmp_path / "site", limits={resource.RLIMIT_NOFILE: 64})) as server, server.client("scan-1") as scanner:
        (warning,) = server.said("file descriptors")
        assert "64" in warning
        assert "enough for 16 connections" in warning
        others = [server.client("scan-2", f"gun-{n}") for n in range(7)]
        strangers = [MqttWire(server.address) for _ in range(8)]
        for _ in range(20):
            late = MqttWire(server.address)
            assert late.expect_closed() == []
            late.cut()
        assert server.counters()["turned_away"] == 20
        # Many clients at once, more than there are file descriptors.
        crowd = [socket.socket() for _ in range(150)]
        for one in crowd:
            one.setblocking(False)
            one.connect_ex(server.address)
        scan(scanner, *range(1, 101))
        acknowledged(scanner, *range(1, 101))
        used_s, began_s = server.cpu_s(), time.monotonic()
        for other in others:
            assert other.ping() == []
        assert server.counters()["connected"] == 16
        assert "turned_away" in server.status()
        # However long that took, the server used hardly any processor time.
        assert server.cpu_s() - used_s < 0.5 * (time.monotonic() - began_s) + 0.1
        for one in crowd:
            one.close()
        for wire in (*strangers, *others):
            wire.cut()
        until(lambda: server.counters()["connected"] == 1, "room for others")
        with server.client("scan-2") as back:
            scan(back, 1, device="scan-2")
            acknowledged(back, 1)
        assert server.stored("scan-1") == list(range(1, 101))
    assert len(server.said("turned away")) == 1


# --- presence -----------------------------------------------------------------------------------------------------------------


def test_a_device_whose_connection_is_cut_is_offline_at_once(tmp_path: Path) -> None:
    with served(Server(tmp_path / "site")) as server, server.client("desk") as desk:
        desk.subscribe(TOPICS.presence("scan-1"))
        with online(server, "scan-1"):
            hears(desk, 1)
        assert desk.receive().payload == GONE


def test_after_a_crash_of_the_server_every_device_is_offline_until_it_is_back(tmp_path: Path) -> None:
    with served(Server(tmp_path / "site")) as server:
        with server.client("desk", clean=False) as desk:
            desk.subscribe(*PRESENCES)
            with online(server, "scan-1"), online(server, "scan-2"):
                hears(desk, 2)
                server.restart(signal.SIGKILL)
        with server.client("desk", clean=False) as desk:
            assert desk.session_present
            told = [desk.receive() for _ in range(2)]
            # Messages in flight when the server was killed may come again; the current presence comes last.
            while told[-1].plain["online"] or told[-2].plain["online"]:
                told.append(desk.receive())
            assert {p.topic for p in told[-2:]} == set(PRESENCES)
        with server.client("desk", "another screen") as screen:
            screen.subscribe(*PRESENCES)
            assert [(p.retain, p.plain["online"]) for p in (screen.receive(), screen.receive())] == [(True, False)] * 2
            with online(server, "scan-1"):
                assert screen.receive().plain["online"]


def hears(desk: MqttWire, devices: int) -> None:
    """Wait until so many devices have said themselves that they are there; before that, the server may say it of them."""
    there: set[str] = set()
    while len(there) < devices:
        presence = desk.receive()
        assert presence.plain["online"]
        if presence.payload == THERE:
            there.add(presence.topic)


@contextmanager
def online(server: Server, device: str) -> Iterator[MqttWire]:
    """A device that is online as with the device library, and is cut off at the end."""
    with server.client(device, will=(TOPICS.presence(device), GONE)) as wire:
        wire.publish(TOPICS.presence(device), THERE, retain=True)
        wire.expect(PUBACK)
        yield wire


# --- a fleet that comes back --------------------------------------------------------------------------------------------------


def test_a_fleet_that_comes_back_at_once_gets_in_while_others_scan(tmp_path: Path) -> None:
    fleet = [f"phone-{n}" for n in range(60)]
    server = Server(tmp_path / "site")
    server.enrol(Role.SCANNER, *fleet)
    with served(server), server.client("scan-1") as scanner, ExitStack() as open_wires:
        wires = [open_wires.enter_context(MqttWire(server.address)) for _ in fleet]
        for device, wire in zip(fleet, wires, strict=True):
            wire.send(connect_packet(device, device, SECRET))
        scan(scanner, *range(1, 101))
        acknowledged(scanner, *range(1, 101))
        assert [wire.expect(CONNACK).body[1] for wire in wires] == [0] * len(fleet)
        assert server.counters()["connected"] == len(fleet) + 1
