"""The simulated link: the whole bridge below the socket, all devices and the network between them, in one thread, in virtual time, from one random generator.

What runs here is production code: the application with its pipeline, the front door with its sessions and wires, ingest, fold, and the store on a real SQLite
file. Three things are put in its place from outside: the writer has no thread, but commits that take seeded times and a server that can die at each point of
its way; connections have no sockets; and who a device is says its name, because argon2 proves nothing here. The same seed gives the same record, byte by byte.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final

from bridge.app import Application, Parts
from bridge.broker.front_door import Connection, FrontDoor
from bridge.broker.hub import Hub
from bridge.broker.logins import Logins
from bridge.broker.packets import Connect as ConnectPacket
from bridge.broker.wires import SocketWire
from bridge.clock import Clock
from bridge.domain.access import Identity
from bridge.errors import NotFound
from bridge.ingest.pipeline import Settler
from bridge.ingest.ports import EndSession, Item, Message, OpenSession, Settled, StoreUnavailable, Subscribe, Told, Unsubscribe
from bridge.store.sql import SqlStore
from firmware_sim.faults import Direction, Packet
from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.link import packets
from firmware_sim.link.client import Client, Numbers
from firmware_sim.link.player import Wired
from firmware_sim.link.weather import Weather
from firmware_sim.record import (
    Committed,
    Effect,
    FiltersAdded,
    FiltersRemoved,
    Lost,
    Mangled,
    Record,
    Row,
    Sent,
    ServerKilled,
    ServerStarted,
    SessionEnded,
    SessionOpened,
)

NETWORK_MS: Final = (1, 12)
"""How long a packet takes when nothing is wrong."""
APART_MS: Final = 0.01
"""Between two packets of a line: a loop's timers of the same time have no order."""
COMMIT_MS: Final = (1, 9)
LOGIN_MS: Final = 3
START_RETRY_S: Final = 2.0
"""Between two starts of a server that could not start."""
OUTPUT_HIGH: Final = 65_536
"""Bytes on their way to a device above which the server is told to write no more, as asyncio's transports do."""
TABLES: Final = (
    "events",
    "receipts",
    "orders",
    "parcels",
    "status_log",
    "parked",
    "quarantine",
    "ledger",
    "jobs",
    "alerts",
    "retained",
    "sessions",
)


class Killed(BaseException):
    """The server dies here. No `except Exception` of the server's may catch it."""


# --- the server's outside ------------------------------------------------------------------------------------------------------


class SimulatedWriter:
    """A `SiteWriter` without a thread: one thing at a time, each taking its seeded time before and after it is done."""

    def __init__(self, site: SimulatedSite, settler: Settler, store: SqlStore) -> None:
        self._site = site
        self._settler = settler
        self._store = store
        self._one_at_a_time = asyncio.Lock()

    async def commit(self, batch: Sequence[Item]) -> Settled:
        async with self._one_at_a_time:
            await self._site.pass_time()
            settled = self._settler.commit(batch)
            self._site.committed(len(settled.outcomes), settled)
            self._site.passed("committed")
            await self._site.pass_time()
            return settled

    async def run(self, work: Callable[[], Any]) -> Any:
        async with self._one_at_a_time:
            await self._site.pass_time()
            result = work()
            if isinstance(result, Settled):
                self._site.committed(0, result)
                self._site.passed("committed")
            return result

    async def close(self) -> None:
        self._store.close()


class SimulatedBroker(Hub):
    """A broker without listeners: devices reach it through `connect`."""

    def __init__(self, site: SimulatedSite, make_door: Callable[[Callable[[Connection, ConnectPacket], None]], FrontDoor]) -> None:
        super().__init__(make_door(self._authenticate))
        self.logins = Logins()
        self._site = site
        self._identities: dict[str, Identity | None] = {}
        self._ticker: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._ticker = asyncio.create_task(self.tick(), name="broker-ticker")

    def watch(self, ended: Callable[[asyncio.Task[None]], None]) -> None:
        assert self._ticker is not None
        self._ticker.add_done_callback(ended)

    def addresses(self) -> dict[str, tuple[str, int]]:
        return {}

    def stop_listening(self) -> None:
        self.is_stopping = True
        self.pause(paused=True)

    async def stop(self) -> None:
        self.abandon()
        self.hang_up()
        await self.goodbyes()

    def abandon(self) -> None:
        if self._ticker is not None:
            self._ticker.cancel()

    def _authenticate(self, connection: Connection, connect: ConnectPacket) -> None:
        asyncio.get_running_loop().call_later(LOGIN_MS / 1000, self._authenticated, connection, connect)

    def _authenticated(self, connection: Connection, connect: ConnectPacket) -> None:
        name = connect.username or ""
        if name not in self._identities:
            try:
                self._identities[name] = self._site.app.registry.identity(name)
            except NotFound:
                self._identities[name] = None
        connection.authenticated(self._identities[name] if connect.password == password_of(name) else None)
        self.flush()


class Pipe(asyncio.Transport):
    """The server's end of a connection: a transport whose bytes go to a device's line."""

    def __init__(self, site: SimulatedSite, phone: Phone) -> None:
        super().__init__()
        self._site = site
        self._phone = phone
        self._cutter = packets.Cutter()
        self._held: list[bytes] | None = None
        self._on_the_way = 0
        self._is_told = False
        self.is_over = False
        self.protocol = SocketWire(site.broker)
        self.life = site.life
        self.protocol.connection_made(self)

    @property
    def is_alive(self) -> bool:
        """Whether its server is the one that runs now, and it has not closed the connection."""
        return not self.is_over and self.life == self._site.life

    # --- as asyncio's transports --------------------------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return (self._phone.device, 1) if name == "peername" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_alive:
            return
        for packet in self._cutter.whole(bytes(data)):
            self._on_the_way += len(packet)
            self._phone.down(packet, self)
        if self._on_the_way > OUTPUT_HIGH and not self._is_told:
            self._is_told = True
            self.protocol.pause_writing()

    def arrived(self, size: int) -> None:
        """So many bytes have reached the device."""
        self._on_the_way -= size
        if self._is_told and self._on_the_way <= OUTPUT_HIGH // 4 and self.is_alive:
            self._is_told = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return self._on_the_way

    def is_closing(self) -> bool:
        return self.is_over

    def pause_reading(self) -> None:
        if self._held is None:
            self._held = []

    def resume_reading(self) -> None:
        held, self._held = self._held, None
        for data in held or ():
            self.received(data)

    def close(self) -> None:
        if self.is_alive:
            self._phone.closed_by_server(self)
            self.lost()

    def abort(self) -> None:
        self.close()

    # --- from the device ----------------------------------------------------------------------------------------------------

    def received(self, data: bytes) -> None:
        if not self.is_alive:
            return
        if self._held is not None:
            self._held.append(data)
        else:
            self.protocol.data_received(data)

    def lost(self) -> None:
        if self.is_alive:
            self.is_over = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        if self.life == self._site.life:
            self.protocol.connection_lost(None)


class SimulatedSite:
    """A site's folder, and the server that lives in it, dies, and is started again."""

    def __init__(self, run: SimulatedRun, folder: Path) -> None:
        self.folder = folder
        self.life = 0
        """Counts starts: whatever belongs to an earlier life is dead."""
        self.is_up = False
        self.app: Application
        self.broker: SimulatedBroker
        self.commit_ms = 0
        self.jitter_ms = 0
        self.is_full = False
        self._run = run
        self._armed: tuple[str, int] | None = None
        self._is_dying = False
        self._starting: asyncio.Task[Any] | None = None

    async def start(self) -> None:
        """Start the server; one that can't start is tried again."""
        loop = self._run.loop
        self.life += 1
        self._is_dying = False
        self._starting = asyncio.current_task()
        app = None
        try:
            parts = Parts(writer=lambda settler, store: SimulatedWriter(self, settler, store), broker=self._make_broker, passed=self._passed)
            self.app = app = await Application.open(self.folder, Clock(loop.now_ms, loop.time), parts=parts)
            await app.serve()
        except (Killed, StoreUnavailable) as error:
            if app is not None:
                app.abandon()
            if isinstance(error, StoreUnavailable):
                loop.call_later(START_RETRY_S, self._run.spawn, self.start())
            return
        finally:
            self._starting = None
        self.is_up = True
        self._run.see(ServerStarted(loop.now_ms(), self.stored()))

    def _make_broker(self, _listeners: Any, *, make_door: Any, **_: Any) -> SimulatedBroker:
        self.broker = SimulatedBroker(self, make_door)
        return self.broker

    def stored(self) -> tuple[tuple[str, bytes], ...]:
        """The events in the log, as (device, id)."""
        with closing(sqlite3.connect(self.folder / "dockbridge.db")) as db:
            return tuple(db.execute("SELECT device, id FROM events ORDER BY pos"))

    # --- dying ------------------------------------------------------------------------------------------------------------

    def kill(self, point: str, down_ms: int) -> None:
        """Die at the next pass of a point, or now."""
        if point != "anywhere":
            self._armed = (point, down_ms)
        elif self.is_up and not self._is_dying:
            self._die(point, down_ms)

    def _passed(self, label: str) -> None:
        """The bridge passes a point. `committed` is passed when what was committed is in the record."""
        if label != "committed":
            self.passed(label)

    def passed(self, label: str) -> None:
        if self._is_dying:
            raise Killed(label)
        if label == "written" and self.is_full:
            raise StoreUnavailable("database or disk is full", fix="make room on the disk")
        if self._armed is not None and self._armed[0] == label:
            _, down_ms = self._armed
            self._armed = None
            self._die(label, down_ms)
            raise Killed(label)

    def _die(self, point: str, down_ms: int) -> None:
        """From here on nothing of this life reaches anybody."""
        self._is_dying = True
        self.is_up = False
        self.life += 1
        self._run.see(ServerKilled(self._run.loop.now_ms(), point))
        self._run.loop.call_soon(self._bury, self.app, down_ms)

    def _bury(self, app: Application, down_ms: int) -> None:
        if self._starting is not None:
            self._starting.cancel()  # it waits for a pipeline that is gone
        self.broker.abandon()
        app.abandon()
        self._run.server_died()
        self._run.loop.call_later(down_ms / 1000, self._run.spawn, self.start())

    # --- what the writer asks for -----------------------------------------------------------------------------------------

    async def pass_time(self) -> None:
        rng = self._run.rng
        ms = rng.uniform(*COMMIT_MS) / 2 + (self.commit_ms + rng.uniform(0, self.jitter_ms)) / 2
        life = self.life
        await asyncio.sleep(ms / 1000)
        if life != self.life:
            raise Killed("anywhere")

    def committed(self, messages: int, settled: Settled) -> None:
        effects = tuple(e for e in map(_effect, settled.effects) if e is not None)
        self._run.see(Committed(self._run.loop.now_ms(), messages, self.app.pipeline.waiting, effects))


def _effect(effect: Any) -> Effect | None:
    if isinstance(effect, Message):
        return Sent(effect.topic, effect.payload, effect.qos, effect.retain)
    assert isinstance(effect, Told)
    match effect.change:
        case OpenSession(device=device, client_id=client_id):
            return SessionOpened(effect.result or 0, device, client_id)
        case EndSession(sid=sid):
            return SessionEnded(sid)
        case Subscribe(sid=sid, filters=filters):
            return FiltersAdded(sid, filters)
        case Unsubscribe(sid=sid, filters=removed):
            return FiltersRemoved(sid, removed)
        case _:
            return None


# --- devices -------------------------------------------------------------------------------------------------------------------


class Phone(Wired):
    """A device with its firmware, its line and its present connection."""

    def __init__(self, run: SimulatedRun, firmware: Firmware) -> None:
        super().__init__(run, firmware)
        self.pipe: Pipe | None = None
        self._run = run
        self._client: Client | None = None
        self._up_ms = 0.0
        self._down_ms = 0.0
        self._heard_s = 0.0

    @property
    def client(self) -> Client | None:
        return self._client

    @property
    def line(self) -> Pipe | None:
        return self.pipe

    @property
    def heard_s(self) -> float:
        return self._heard_s

    def connect(self, connect: actions.Connect) -> None:
        if not self._run.site.is_up:
            self._run.see(Lost(self._run.now_ms(), self.device, "nobody answers"))
            self.put(actions.Disconnected())
            return
        client = self._client = Client(self.device, password_of(self.device), self._run.numbers, self._up, self._run.see)
        self._heard_s = self._run.loop.time()
        self.pipe = Pipe(self._run.site, self)
        client.connect(connect)
        self.watch()

    def flush(self) -> None:
        """A packet is on its way as soon as it is made."""

    def _up(self, data: bytes, no: int) -> None:
        pipe = self.pipe
        if pipe is None:
            return
        for packet in self._run.weather.carry(self.device, Packet(Direction.UP, data)):
            if packet.is_mangled:
                self._run.see(Mangled(self._run.now_ms(), self.device, no))
            at_ms = self._due(packet, self._up_ms)
            if not packet.overtakes:
                self._up_ms = at_ms
            self._run.loop.call_at(at_ms / 1000, pipe.received, packet.data)

    def down(self, data: bytes, pipe: Pipe) -> None:
        """The server sends a packet."""
        for packet in self._run.weather.carry(self.device, Packet(Direction.DOWN, data)):
            self._down_ms = self._due(packet, self._down_ms)
            self._run.loop.call_at(self._down_ms / 1000, self._arrive, packet.data, pipe)

    def _due(self, packet: Packet, not_before_ms: float) -> float:
        at_ms: float = self._run.loop.time() * 1000 + self._run.rng.uniform(*NETWORK_MS) + packet.delay_ms
        return at_ms if packet.overtakes else max(at_ms, not_before_ms + APART_MS)

    def _arrive(self, data: bytes, pipe: Pipe) -> None:
        if self.pipe is not pipe or self._client is None:
            return
        pipe.arrived(len(data))
        self._heard_s = self._run.loop.time()
        try:
            items = self._client.feed(data, self._run.now_ms())
        except packets.Broken as error:
            self._run.trouble(f"{self.device}: {error}")
            self.end("the server broke the protocol")
            return
        if items:
            self.put(*items)

    def closed_by_server(self, pipe: Pipe) -> None:
        """The end of the stream follows what was written before it."""
        at_ms = max(self._run.loop.time() * 1000 + NETWORK_MS[1], self._down_ms + APART_MS)
        self._run.loop.call_at(at_ms / 1000, self._closed, pipe, "the server hung up")

    def server_died(self) -> None:
        """Its machine closes the sockets of a process that is gone."""
        if self.pipe is not None:
            self._run.loop.call_later(NETWORK_MS[1] / 1000, self._closed, self.pipe, "the server died")

    def _closed(self, pipe: Pipe, why: str) -> None:
        if self.pipe is pipe:
            self.end(why)

    def cut(self, why: str = "the line was cut") -> None:
        if self.pipe is not None:
            self.end(why)

    def end(self, why: str, *, tell: bool = True) -> None:
        """The connection is over here; the server learns it a moment later."""
        pipe, self.pipe, self._client = self.pipe, None, None
        if pipe is not None:
            at_ms = max(self._run.loop.time() * 1000 + NETWORK_MS[1], self._up_ms + APART_MS)
            self._run.loop.call_at(at_ms / 1000, pipe.lost)
            self._run.see(Lost(self._run.now_ms(), self.device, why))
            if tell:
                self.put(actions.Disconnected())


def password_of(device: str) -> str:
    return f"of-{device}"


# --- the run -------------------------------------------------------------------------------------------------------------------


class SimulatedRun:
    """One run: it owns the loop, the random generator, the record, the server and the devices."""

    def __init__(self, loop: Any, rng: Random, record: Record, folder: Path, firmwares: dict[str, Firmware]) -> None:
        self.loop = loop
        self.rng = rng
        self.record = record
        self.now_ms = loop.now_ms
        self.see = record.entries.append
        self.numbers = Numbers()
        self.speed = 1.0
        self.site = SimulatedSite(self, folder)
        self.phones = {device: Phone(self, firmware) for device, firmware in firmwares.items()}
        self.weather: Weather
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def trouble(self, text: str) -> None:
        self.record.end.troubles.append(text)

    def hand(self, to: str, item: actions.Handed) -> None:
        self.phones[to].put(item)

    def spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self._tasks[task] = None
        task.add_done_callback(lambda t: self._tasks.pop(t, None))

    def server_died(self) -> None:
        for phone in self.phones.values():
            phone.server_died()

    # --- the world, for faults --------------------------------------------------------------------------------------------

    def after(self, delay_ms: float, call: Callable[[], None]) -> None:
        self.loop.call_later(delay_ms / 1000, call)

    def cut(self, device: str) -> None:
        self.phones[device].cut()

    def reboot(self, device: str, *, loses_clock: bool) -> None:
        self.phones[device].reboot(loses_clock=loses_clock)

    def set_clock(self, device: str, by_ms: int) -> None:
        self.phones[device].put(actions.ClockSet(by_ms))

    def slow_disk(self, commit_ms: int, jitter_ms: int) -> None:
        self.site.commit_ms, self.site.jitter_ms = commit_ms, jitter_ms

    def fill_disk(self, *, full: bool) -> None:
        self.site.is_full = full

    def kill_server(self, point: str, down_ms: int) -> None:
        self.site.kill(point, down_ms)

    # --- from start to end ------------------------------------------------------------------------------------------------

    async def live(self, *, day_s: float, patience_s: float, calm_s: float) -> None:
        """Start the server and the devices, wait until everybody is finished and the site is calm, and let everybody go."""
        await self.site.start()
        for phone in self.phones.values():
            phone.put()
        await self._until(lambda: self.is_finished, day_s + patience_s)
        await asyncio.sleep(max(0.0, self.weather.ends_s - self.loop.time()))
        await self._until(lambda: self.is_finished, patience_s)
        await asyncio.sleep(calm_s)
        for phone in self.phones.values():
            self.record.end.unsent[phone.device] = len(phone.firmware.flash.events)
            self.record.end.unanswered[phone.device] = len(phone.firmware.flash.unanswered)
            self.record.end.troubles += phone.firmware.troubles
            phone.put(actions.SwitchOff())
        await self._until(lambda: all(phone.client is None for phone in self.phones.values()), 10.0)
        await asyncio.sleep(5.0)
        door = self.site.broker.door
        self.record.end.retained = {t: m.payload for t in sorted(door.retained.match("#")) if (m := door.retained.get(t)) is not None}
        await self.site.app.close()
        self.record.end.tables = read_tables(self.site.folder / "dockbridge.db")

    @property
    def is_finished(self) -> bool:
        return self.site.is_up and all(phone.is_finished for phone in self.phones.values())

    async def _until(self, done: Callable[[], bool], patience_s: float) -> bool:
        deadline_s = self.loop.time() + patience_s
        while not done():
            if self.loop.time() >= deadline_s:
                return False
            await asyncio.sleep(1.0)
        return True


def read_tables(path: Path) -> dict[str, list[Row]]:
    """The rows of a site's database that a record keeps."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return {table: [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in TABLES}  # noqa: S608 -- names of ours
