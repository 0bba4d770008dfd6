"""The server of the simulated link: the production application in a site's folder, which dies at the points that a run asks for, and is started again.

What is put in from outside: a writer without a thread, whose commits take seeded times, and a broker without listeners, to which a device's name is enough.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final, Protocol

from sqlalchemy import Engine

from bridge.app import Application
from bridge.broker.client import Client
from bridge.broker.codec.events import Connect as ConnectPacket
from bridge.broker.door import FrontDoor
from bridge.broker.hub import Hub
from bridge.broker.logins import Logins
from bridge.clock import Clock
from bridge.config import DATABASE_NAME
from bridge.domain.access import Identity
from bridge.errors import NotFound
from bridge.ingest.items import Done, EndSession, Item, Message, OpenSession, Settled, Subscribe, Unsubscribe
from bridge.ingest.pipeline import Settler
from bridge.ingest.ports import StoreUnavailable
from bridge.serving.parts import Parts
from bridge.store.registry import Registry
from bridge.store.sql import SqlStore
from bridge.vault import ID_BYTES, KEY_BYTES, SiteKey, Vault
from firmware_sim.link.virtual import VirtualLoop
from firmware_sim.record import (
    Committed,
    Effect,
    Entry,
    FiltersAdded,
    FiltersRemoved,
    Sent,
    ServerKilled,
    ServerStarted,
    SessionEnded,
    SessionOpened,
)

COMMIT_MS: Final = (1, 9)
LOGIN_MS: Final = 3
START_RETRY_S: Final = 2.0
"""Between two starts of a server that could not start."""


class Surroundings(Protocol):
    """What a simulated server needs of the run that it is in."""

    loop: VirtualLoop

    def stream(self, name: str) -> Random:
        """A random stream of its own."""
        ...

    def see(self, entry: Entry) -> None: ...

    def spawn(self, work: Any) -> None:
        """Run a coroutine as a task that the run owns."""
        ...

    def server_died(self) -> None:
        """Tell the devices that the server's machine closes its sockets."""
        ...


class Killed(BaseException):
    """The server dies here. No `except Exception` of the server's may catch it."""


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

    def __init__(self, site: SimulatedSite, make_door: Callable[[Callable[[Client, ConnectPacket], None]], FrontDoor], logins: Logins) -> None:
        super().__init__(make_door(self._authenticate))
        self.logins = logins
        self._site = site
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

    def _authenticate(self, client: Client, connect: ConnectPacket) -> None:
        asyncio.get_running_loop().call_later(LOGIN_MS / 1000, self._authenticated, client, connect)

    def _authenticated(self, client: Client, connect: ConnectPacket) -> None:
        name = connect.username or ""
        try:
            identity = self._site.app.registry.identity(name)
        except NotFound:
            identity = None
        client.authenticated(identity if connect.password == password_of(name) else None)
        self.flush()


class Enrolled(Registry):
    """Devices are neither enrolled nor revoked during a run: what one life of the server has read of them, the next one need not read again."""

    def __init__(self, engine: Engine, reader: Engine, site: str, known: dict[str, Identity]) -> None:
        super().__init__(engine, reader, site)
        self._known = known

    def identity(self, device: str) -> Identity:
        if device not in self._known:
            self._known[device] = super().identity(device)
        return self._known[device]


async def _at_once(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """A simulation has no threads: what takes long takes no time."""
    return work(*arguments, **named)


class SimulatedSite:
    """A site's folder, and the server that lives in it, dies, and is started again."""

    def __init__(self, run: Surroundings, folder: Path) -> None:
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
        self._disk = run.stream("disk")
        self.vault = Vault(lambda: [SiteKey(bytes(ID_BYTES), "simulated", bytes(KEY_BYTES), 0, 1)], run.stream("seal").randbytes)
        self._identities: dict[str, Identity] = {}
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
            parts = Parts(
                writer=lambda settler, store: SimulatedWriter(self, settler, store),
                broker=self._make_broker,
                registry=lambda engine, reader, site, _log: Enrolled(engine, reader, site, self._identities),
                vault=lambda _keys, _now_ms: self.vault,
                passed=self._passed,
                aside=_at_once,
                makes_backups=False,
            )
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

    def _make_broker(self, _listeners: Any, *, make_door: Any, logins: Logins, **_: Any) -> SimulatedBroker:
        self.broker = SimulatedBroker(self, make_door, logins)
        return self.broker

    def stored(self) -> tuple[tuple[str, bytes], ...]:
        """The events in the log, as (device, id)."""
        with closing(sqlite3.connect(self.folder / DATABASE_NAME)) as db:
            return tuple(db.execute("SELECT device, id FROM events ORDER BY pos"))

    # --- dying ------------------------------------------------------------------------------------------------------------

    def kill(self, point: str, down_ms: int) -> None:
        """Die at the next pass of a point, or now."""
        if point != "anywhere":
            self._armed = (point, down_ms)
        elif self.is_up and not self._is_dying:
            self._die(point, down_ms)

    def spare(self) -> None:
        """Let it live from now on, whatever it was to die of."""
        self._armed = None

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
        ms = self._disk.uniform(*COMMIT_MS) / 2 + (self.commit_ms + self._disk.uniform(0, self.jitter_ms)) / 2
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
    assert isinstance(effect, Done)
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


def password_of(device: str) -> str:
    return f"of-{device}"
