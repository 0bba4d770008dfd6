"""Where the parts meet: a site's folder, its store, the pipeline, and, when it serves, the broker.

`Application` is opened by the server and by every command that changes something while no server runs; a lock file sees to it that there is one at a time.
Nothing below this module reads a clock that it was not given.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Protocol, Self

import cbor2
from amqtt.errors import BrokerError
from sqlalchemy import Engine

from bridge import __version__
from bridge.bounds import DAY_MS, door_limits, pipeline_limits, rules_of
from bridge.broker.authenticating import AUTHENTICATIONS_MAX, give_way
from bridge.broker.client import Client
from bridge.broker.codec.amqtt_decoder import FILTERS_MAX, AmqttDecoder
from bridge.broker.codec.events import Connect
from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.door import FrontDoor
from bridge.broker.embedded import EmbeddedBroker, Listener, ListenError
from bridge.broker.logins import Logins
from bridge.broker.restore import restore
from bridge.broker.store_view import StoreView
from bridge.clock import Clock
from bridge.config import CONFIG_NAME, DATABASE_NAME, LOCK_NAME, Settings, load
from bridge.domain.access import Identity
from bridge.domain.jobs import Job
from bridge.domain.words import counted
from bridge.errors import NoSite, SiteError, StoreError
from bridge.ingest.memory import Memory
from bridge.ingest.pipeline import Pipeline, Settler
from bridge.ingest.points import Passed, nobody_looks
from bridge.ingest.ports import Announce, EndSession, Incoming, Message, OpenJobs, Settled, StoreUnavailable
from bridge.site_folder import clock_after, take_lock
from bridge.store import queries
from bridge.store.loop_reader import LoopReader
from bridge.store.message_log import LogReader, Stored
from bridge.store.migrate import migrate
from bridge.store.rebuild import Rebuilt, rebuild
from bridge.store.registry import Registry
from bridge.store.sql import SqlStore, check_writable, open_engine
from bridge.store.statuses import Statuses
from bridge.tls import certificate_ends_ms, load_certificate, server_context
from bridge.writer import SiteWriter, ThreadWriter
from devices.protocol.messages import CONTRACT_VERSION
from devices.protocol.topics import Topics, escape
from devices.protocol.vocabulary import AlertCode

logger = logging.getLogger("dockbridge")

CERTIFICATE_WARNING_DAYS: Final = 30
FAILED_LOGINS_ALERT: Final = 5
"""Failed logins of one device within some minutes that raise an alert."""
STOP_S: Final = 10.0
"""How long an ending server waits for the store to take what was read; what is not stored by then was not acknowledged."""


class SiteBroker(Protocol):
    """What an application needs of a broker; `EmbeddedBroker` is the one of production and says what each of these does."""

    door: FrontDoor
    logins: Logins
    is_stopping: bool

    async def start(self) -> None: ...

    def watch(self, ended: Callable[[asyncio.Task[None]], None]) -> None: ...

    def addresses(self) -> dict[str, tuple[str, int]]: ...

    def flush(self) -> None: ...

    def pause(self, *, paused: bool) -> None: ...

    def stop_listening(self) -> None: ...

    def hang_up(self) -> None: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What an application is put together from, where that is not what production takes: a simulation has a writer without a thread and a broker without
    sockets.

    `passed` is told of each point of the way (`ingest.points`).
    """

    writer: Callable[[Settler, SqlStore], SiteWriter] = ThreadWriter
    broker: Callable[..., SiteBroker] = EmbeddedBroker
    passed: Passed = nobody_looks


PRODUCTION: Final = Parts()


class _Outlet:
    """Shows what was committed: to the broker where there is one, and to those who wait in this process."""

    def __init__(self) -> None:
        self.broker: SiteBroker | None = None
        self._jobs: dict[str, tuple[str, tuple[str, ...]]] = {}
        self._held: dict[str, Counter[str]] = {}
        """Of each courier the orders in open jobs, and in how many."""

    def show(self, settled: Settled) -> None:
        for job in settled.jobs:
            self._put(job)
        if settled.jobs and self.broker is not None:
            for courier in {job.courier for job in settled.jobs}:
                self.broker.door.recheck(courier)
        for effect in settled.effects:
            if not isinstance(effect, Message):
                effect.change.done(effect.result)
            elif self.broker is not None:
                self.broker.door.publish(effect)

    def _put(self, job: Job) -> None:
        """Take a job as it now is; only what it changes is touched, because there can be many jobs."""
        courier, orders = self._jobs.pop(job.id, ("", ()))
        if orders:
            held = self._held[courier]
            held.subtract(orders)
            for order in orders:
                if not held[order]:
                    del held[order]
            if not held:
                del self._held[courier]
        if job.is_open and job.orders:
            self._jobs[job.id] = (job.courier, job.orders)
            self._held.setdefault(job.courier, Counter()).update(job.orders)

    def flush(self) -> None:
        if self.broker is not None:
            self.broker.flush()

    def in_open_job(self, courier: str, order: str) -> bool:
        return order in self._held.get(courier, ())


class Application:
    """A site, opened for writing. Use `Application.open` and close it, or use it as an async context manager.

    Args:
        directory: the site's folder, as `init` made it.
        settings: what its configuration says.
        anybody: the identity of whoever connects, where nobody has to log in (a laboratory).
        parts: what it is put together from.
    """

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        engine: Engine,
        lock: IO[str],
        clock: Clock,
        *,
        anybody: Identity | None = None,
        parts: Parts = PRODUCTION,
    ) -> None:
        self.directory = directory
        self.settings = settings
        self.clock = clock
        self.topics = Topics(settings.site.name)
        self.database = directory / DATABASE_NAME
        self.reader = open_engine(self.database, read_only=True)
        self.registry = Registry(engine, self.reader, settings.site.name)
        self.started_ms = clock.now_ms()
        self.engine = engine
        self._lock = lock
        self._rules = replace(rules_of(settings), is_lab=anybody is not None)
        self._store = SqlStore(engine)
        self._memory = Memory(orders_max=settings.ingest.orders_cached_max, devices_max=settings.ingest.devices_cached_max)
        self._settler = Settler(self._store, self._memory, self._rules, parts.passed)
        self._parts = parts
        self._writer = parts.writer(self._settler, self._store)
        self._outlet = _Outlet()
        self._authenticators = ThreadPoolExecutor(AUTHENTICATIONS_MAX, thread_name_prefix="authenticate", initializer=give_way)
        self._anybody = anybody
        self._on_loop = LoopReader(self.database)
        self._on_loop.open()
        self._statuses = Statuses(self._on_loop, self.topics, self._encode_anew)
        self._log = LogReader(self._on_loop)
        self._alarmed: set[str] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self.pipeline = Pipeline(self._writer, self._outlet, pipeline_limits(settings), self._room, parts.passed)
        self._tls: ssl.SSLContext | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.failed = asyncio.Event()
        """Set when a part that must always run has ended: nothing is acknowledged any more, and the process had better start anew."""

    @classmethod
    async def open(
        cls,
        directory: Path,
        clock: Clock | None = None,
        *,
        anybody: Identity | None = None,
        parts: Parts = PRODUCTION,
    ) -> Self:
        """Open a site: take its lock, migrate its database, start the pipeline.

        Raises:
            NoSite: where there is none.
            SiteInUse: where another process has it open.
            ConfigError: where its configuration is wrong.
            StoreError: where its database can't be used.
        """
        if not (directory / CONFIG_NAME).exists():
            raise NoSite(f"there is no site in {directory}", fix=f"make one with `dockbridge init {directory}`")
        settings = load(directory / CONFIG_NAME)
        lock = take_lock(directory / LOCK_NAME)
        try:
            database = directory / DATABASE_NAME
            engine = open_engine(database, cache_bytes=settings.ingest.database_cache_bytes, log_bytes=settings.ingest.database_log_bytes)
            copy = migrate(engine, database)
            check_writable(engine)
            if clock is None:
                clock = clock_after(engine)
        except StoreUnavailable as error:
            lock.close()
            raise StoreError(f"{directory / DATABASE_NAME} can't be used: {error}", fix=error.fix) from error
        except BaseException:
            lock.close()
            raise
        if copy is not None:
            logger.warning("the database was brought to a newer form; the old one is kept as %s", copy)
        app = cls(directory, settings, engine, lock, clock, anybody=anybody, parts=parts)
        app._spawn("pipeline", app.pipeline.run())
        return app

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("the %s ended: %s: %s", task.get_name(), type(error).__name__, error)
            self.failed.set()

    async def close(self) -> None:
        """Finish what was taken in, acknowledge it, close connections, and let go of the site."""
        broker = self._outlet.broker
        if broker is not None:
            broker.stop_listening()
            self._announce_state(online=False)
            await self._finished()
            broker.door.flush_progress(now=True)
            broker.hang_up()
            await self._finished()
            broker.door.flush_progress(now=True)
            await self._finished()
            await broker.stop()
            self._outlet.broker = None
        await self._finished()
        for task in (*self._tasks, *self._errands):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._errands, return_exceptions=True)
        await self._writer.close()
        self._authenticators.shutdown()
        self._on_loop.close()
        self.engine.dispose()
        self.reader.dispose()
        self._lock.close()

    def abandon(self) -> None:
        """Let go of everything as a process does that is killed: nothing is finished, and nobody is told."""
        for task in (*self._tasks, *self._errands):
            task.cancel()
        self._store.close()
        self._authenticators.shutdown(wait=False)
        self._on_loop.close()
        self.engine.dispose()
        self.reader.dispose()
        self._lock.close()

    async def _finished(self) -> None:
        """What was taken in is finished, unless nothing can be finished: then it was not acknowledged, and its senders keep it."""
        ends = [asyncio.ensure_future(wait) for wait in (self.pipeline.drained(), self.pipeline.failing.wait(), self.failed.wait())]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=STOP_S)
        for end in ends:
            end.cancel()

    # --- serving ----------------------------------------------------------------------------------------------------------

    async def serve(self) -> dict[str, tuple[str, int]]:
        """Start the broker; (host, port) of each listener.

        Raises:
            ConfigError: where the certificate can't be used.
            SiteError: where a listener can't be opened, naming it.
        """
        self._tls = server_context(self.settings.listen, self.directory)
        listeners = _listeners(self.settings, self._tls)
        broker = self._parts.broker(
            listeners,
            authenticate=self._authenticate,
            authenticate_certificate=self._authenticate_certificate,
            remembers=self.registry.remembers,
            on_failed=self._login_failed,
            anybody=self._anybody,
            make_door=self._make_door,
        )
        await self._restore(broker)
        try:
            await broker.start()
        except BrokerError as error:
            self._outlet.broker = None
            raise _cant_listen(error) from error
        broker.watch(self._ended)
        self._spawn("sweep", self._sweep())
        if self._tls is not None:
            self._spawn("certificate watch", self._watch_certificate())
        return broker.addresses()

    async def _restore(self, broker: SiteBroker) -> None:
        """Retained messages, jobs and sessions as the store has them; then what the start itself has to tell."""
        door = broker.door
        for message in self._retained():
            door.retained.put(Outgoing(message.topic, message.payload, message.qos))
        jobs: OpenJobs = await self._writer.run(lambda: self._settler.show_jobs(self.clock.now_ms()))
        for message in jobs.messages:
            door.retained.put(Outgoing(message.topic, message.payload, message.qos))
        self._outlet.show(Settled([], jobs.jobs, []))
        stored: Stored = await self._writer.run(self._stored_sessions)
        enrolled = {d.device: self.registry.identity(d.device) for d in self.registry.list() if d.revoked_ms is None}
        gone = restore(
            door,
            sessions=stored.sessions,
            subscriptions=stored.subscriptions,
            messages=stored.messages,
            incoming_ids=stored.incoming_ids,
            next_pos=stored.next_pos,
            identity_of=lambda device: self._anybody if self._anybody is not None and device == self._anybody.device else enrolled.get(device),
        )
        self._outlet.broker = broker
        for sid in gone:
            self.pipeline.change(EndSession(received_ms=self.clock.now_ms(), sid=sid))
        self._outlet.show(await self._writer.run(lambda: self._settler.everybody_is_away(self.clock.now_ms())))
        for alert in queries.alerts(self.reader):
            if alert["code"] == AlertCode.DROPPED and not door.loses(alert["subject"]):
                door.alarm(AlertCode.DROPPED, alert["subject"], "", "")
        self._announce_state(online=True)
        await self.pipeline.drained()

    def _retained(self) -> Iterator[Message]:
        return queries.retained(self.reader, self.topics, self._encode_anew)

    @property
    def _encode_anew(self) -> Callable[[Any], bytes] | None:
        """How payloads of the tables are published, where that is not as they are."""
        encode = self._rules.encode
        return encode if encode is not cbor2.dumps else None

    def _stored_sessions(self) -> Stored:
        with self._store.transaction() as tx:
            return Stored(tx)

    def announce(self, message: Message) -> None:
        """Publish something of the bridge's own, in its place among what ingest publishes."""
        self.pipeline.change(Announce(received_ms=self.clock.now_ms(), message=message))

    def _make_door(self, authenticate: Callable[[Client, Connect], None]) -> FrontDoor:
        return FrontDoor(
            decoder=AmqttDecoder(max(FILTERS_MAX, self.settings.broker.subscriptions_max)),
            sink=self.pipeline,
            limits=door_limits(self.settings),
            now_ms=self.clock.now_ms,
            now_s=self.clock.now_s,
            authenticate=authenticate,
            in_open_job=self._outlet.in_open_job,
            stored=StoreView(self._statuses, self._log),
        )

    async def _authenticate(self, device: str, secret: str) -> Identity | None:
        return await asyncio.get_running_loop().run_in_executor(self._authenticators, self.registry.verify, device, secret)

    async def _authenticate_certificate(self, device: str, sha256: str) -> Identity | None:
        return await asyncio.get_running_loop().run_in_executor(self._authenticators, self.registry.verify_certificate, device, sha256)

    def reload_certificate(self) -> bool:
        """Show the server's certificate as it now lies in its file to whoever connects from now on; False where nothing here speaks TLS.

        Raises:
            ConfigError: where it can't be used; then the one before stays.
        """
        if self._tls is None:
            return False
        server_context(self.settings.listen, self.directory)  # a trial, so that a key that does not fit leaves the context in use as it is
        load_certificate(self._tls, self.settings.listen, self.directory)
        return True

    async def _watch_certificate(self) -> None:
        while True:
            ends_ms = certificate_ends_ms(self.directory / self.settings.listen.tls_cert_file)
            if ends_ms is not None and (left_ms := ends_ms - self.clock.now_ms()) < CERTIFICATE_WARNING_DAYS * DAY_MS:
                when = "has ended" if left_ms < 0 else f"ends in {counted(left_ms // DAY_MS, 'day')}"
                logger.warning("the server's certificate %s; `dockbridge certificate renew` makes another", when)
            await asyncio.sleep(DAY_MS / 1000)

    def _login_failed(self, name: str, source: str, count: int) -> None:
        """Somebody could not log in: said in the log once, and raised as an alert where it goes on against a device of ours."""
        if count == 1:
            logger.warning("a login as %r from %s was refused", name[:96], source)
        if count >= FAILED_LOGINS_ALERT and name not in self._alarmed:
            errand = asyncio.get_running_loop().create_task(self._alarm_logins(name, source, count), name=f"alert about logins as {name[:96]}")
            self._errands.add(errand)
            errand.add_done_callback(self._errands.discard)

    async def _alarm_logins(self, name: str, source: str, count: int) -> None:
        known = await asyncio.get_running_loop().run_in_executor(self._authenticators, self.registry.is_enrolled, name)
        broker = self._outlet.broker
        if known and broker is not None and name not in self._alarmed:
            self._alarmed.add(name)
            text = f"{count} logins as device {name} failed, the last from {source}."
            fix = f"If it is the device itself, give it the right password (`dockbridge device rotate {name}`); if not, look at who is at that address."
            broker.door.alarm(AlertCode.LOGINS, name, text, fix)

    def _forget_failed_logins(self) -> None:
        broker = self._outlet.broker
        if broker is None:
            return
        broker.logins.forget_old(self.clock.now_s())
        for name in self._alarmed - broker.logins.of_names().keys():
            self._alarmed.discard(name)
            broker.door.alarm(AlertCode.LOGINS, name, "", "")

    @property
    def failed_logins(self) -> dict[str, tuple[int, int, str]]:
        """Of each name that failed to log in lately: how often, when last (ms), and from where."""
        broker = self._outlet.broker
        return {name: (f.times, f.last_ms, f.source) for name, f in broker.logins.of_names().items()} if broker else {}

    @property
    def counters(self) -> dict[str, int]:
        """What happened at the front door since the start, and how much stands there now."""
        broker = self._outlet.broker
        if broker is None:
            return {}
        door = broker.door
        sessions = door.sessions
        now = {
            "connected": len(door.connections),
            "sessions": len(sessions),
            "waiting": sum(s.waiting for s in sessions),
            "in_flight": sum(s.in_flight for s in sessions),
            "retained": len(door.retained),
            "unstored": self.pipeline.waiting,
            "store_failing": int(self.pipeline.store_failing),
        }
        return now | door.counters.plain()

    def _announce_state(self, *, online: bool) -> None:
        """Tell the site's devices whether the bridge is there; a laboratory has none."""
        if not self._rules.is_lab:
            plain = {"online": online, "version": __version__, "contract": CONTRACT_VERSION, "started_ms": self.started_ms}
            self.announce(Message(self.topics.bridge_state, self._rules.encode(plain), 1, True))

    async def _sweep(self) -> None:
        fails = False
        while True:
            try:
                self._outlet.show(await self._writer.run(lambda: self._settler.sweep(self.clock.now_ms())))
                self._outlet.flush()
                self._forget_failed_logins()
                fails = False
            except StoreUnavailable as error:
                if not fails:
                    logger.error("deadlines can't be looked at (%s); it is tried again: %s", error, error.fix)
                fails = True
            await asyncio.sleep(self.settings.orders.sweep_every_s)

    def _room(self) -> None:
        if self._outlet.broker is not None and not self._outlet.broker.is_stopping:
            self._outlet.broker.pause(paused=False)

    @property
    def connected(self) -> set[str]:
        """Devices that are connected now."""
        broker = self._outlet.broker
        return {c.identity.device for c in broker.door.connections if c.identity is not None} if broker else set()

    # --- changes ----------------------------------------------------------------------------------------------------------

    async def submit(self, identity: Identity, events: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
        """Send events in the name of an identity, as (type, payload); their receipts (plain), in the same order."""
        waiting = []
        for event_type, payload in events:
            waiting.append(self.offer(Incoming(identity, "events", event_type, payload, self.clock.now_ms())))
        return list(await asyncio.gather(*waiting))

    def offer(self, incoming: Incoming) -> asyncio.Future[dict[str, Any]]:
        """Hand one message to the pipeline; its receipt, once it is committed."""
        receipt: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def settled(cbor: bytes) -> None:
            if not receipt.done():
                receipt.set_result(cbor2.loads(cbor) if cbor else {})

        self.pipeline.offer(incoming, settled)
        return receipt

    async def on_writer(self, work: Callable[[], Any]) -> Any:
        """Do something between two batches, on the writer's thread."""
        return await self._writer.run(work)

    def disconnect(self, device: str, why: str, *, end_sessions: bool) -> None:
        """Close a device's connections; with `end_sessions` let go of what is kept for it."""
        if self._outlet.broker is not None:
            self._outlet.broker.door.disconnect(device, why, end_sessions=end_sessions)
            self._outlet.broker.flush()

    async def rebuild(self) -> Rebuilt:
        """Make everything that is derived anew from the event log, and compare.

        Raises:
            StoreUnavailable: where the store can't take writes now.
        """

        def work() -> Rebuilt:
            with self._store.transaction() as tx:
                done = rebuild(tx.connection, self._rules, now_ms=self.clock.now_ms())
            self._memory.forget()
            return done

        done: Rebuilt = await self._writer.run(work)
        if self._outlet.broker is not None:
            retained = self._outlet.broker.door.retained
            for message in self._retained():
                if (shown := retained.held(message.topic)) is None or shown.payload != message.payload:
                    self.announce(message)
            for order_id in done.changed:
                for topic in {self.topics.status(order_id), *self._statuses.read_page(f"{self.topics.base}/orders/{escape(order_id)}/#", "").topics}:
                    self.announce(Message(topic, self._statuses.read(topic) or b"", 1, True))
        return done


def _listeners(settings: Settings, tls: ssl.SSLContext | None) -> list[Listener]:
    listen = settings.listen
    every = (
        Listener(name="mqtt", bind=listen.mqtt),
        Listener(name="mqtts", bind=listen.mqtts, tls=tls),
        Listener(name="ws", bind=listen.websocket, websocket=True),
        Listener(name="wss", bind=listen.wss, websocket=True, tls=tls),
    )
    return [x for x in every if x.bind]


def _cant_listen(error: BaseException) -> SiteError:
    """Which listener could not be opened, and why."""
    while not isinstance(error, ListenError) and error.__cause__ is not None:
        error = error.__cause__
    if not isinstance(error, ListenError):
        return SiteError(f"can't listen: {error}", fix="look at [listen] in bridge.toml")
    setting = f"listen.{'websocket' if error.listener == 'ws' else error.listener}"
    return SiteError(f"{setting}: can't listen on {error.bind}: {error.reason}", fix=f"end what has that address, or give {setting} another in bridge.toml")
