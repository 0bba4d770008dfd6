"""A site that is served from within this process: the real application, its database and its listeners, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
import warnings
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import cbor2

from devices.protocol import messages
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import EventType, Role
from firmware_sim.errors import SimError
from firmware_sim.firmware.base import uuid7
from firmware_sim.firmware.by_hand import ByHand
from firmware_sim.handheld import TIMEOUT_S, Handheld
from firmware_sim.link.live import Fleet

if TYPE_CHECKING:
    from bridge.app import Application
    from bridge.broker.embedded import EmbeddedBroker
    from bridge.ingest.pipeline import Settler
    from bridge.store.sql import SqlStore
    from bridge.writer import ThreadWriter

SHOP: Final = "shop"
"""In whose name `create` and `assign` speak."""
START_S: Final = 30.0
LOOK_EVERY_S: Final = 0.01
EVENTS_MAX: Final = 100_000
ANY_PORT: Final = "127.0.0.1:0"

T = TypeVar("T")


class Site:
    """A site in a folder. Use it as a context manager, or `start` and `close` it.

    Args:
        folder: where the site is made, or was made before.
        name: the site's name, the tenant in every topic.
        listen: host:port of MQTT over TCP. A free port is taken once and kept, so that devices find the site again after a restart.
        settings: sections of `bridge.toml`: `{"broker": {"window": 2}}`.
        has_control: whether `dockbridge` commands reach it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        name: str = "test",
        listen: str = ANY_PORT,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
        has_control: bool = False,
    ) -> None:
        from bridge.config import CONFIG_NAME, load, parse  # here and below: whoever only imports this module does not wait for a server's parts
        from bridge.site_folder import make_site

        self.folder = folder
        self.host, self.port = "", 0
        if not (folder / CONFIG_NAME).exists():
            sections = {"site": {"name": name}, "listen": {"mqtt": listen}}
            for section, values in (settings or {}).items():
                sections[section] = {**sections.get(section, {}), **values}
            make_site(folder, parse(sections))
        self.name: str = load(folder / CONFIG_NAME).site.name
        self.topics = Topics(self.name)
        self.devices: dict[str, Handheld] = {}
        self._has_control = has_control
        self._fleet: Fleet | None = None
        self._log, self._boot, self._seq = secrets.token_bytes(8), secrets.token_bytes(8), 0
        self._rng = Random(secrets.randbits(64))
        self._thread: threading.Thread | None = None
        self._reader: Any = None

    def __repr__(self) -> str:
        return f"<site {self.name} at {self.host}:{self.port}, {'running' if self.is_running else 'stopped'}, in {self.folder}>"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # --- running ----------------------------------------------------------------------------------------------------------

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Serve the site; it answers when this returns.

        Raises:
            BridgeError: where it can't be served.
        """
        if self.is_running:
            return
        with warnings.catch_warnings():  # amqtt warns of its own names while it is imported; that is not the business of whoever tests a device
            warnings.simplefilter("ignore", DeprecationWarning)
            import bridge.app  # noqa: F401
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"site {self.name}", daemon=True)
        self._thread.start()
        if not self._ready.wait(START_S):
            raise SimError(f"the site did not start within {START_S:g} s", fix="see whether the machine is busy")
        if self._failure is not None:
            self._thread.join()
            raise self._failure

    def stop(self) -> None:
        """Stop as on Ctrl-C: what was taken in is stored and acknowledged."""
        self._end_with(self._stop_asked)

    def kill(self) -> None:
        """Die as with `kill -9`: what is committed stays, nothing more is acknowledged, nobody is told. `start` serves it again."""
        self._end_with(self._kill_asked)

    def restart(self) -> None:
        """Stop, and serve again at the same address."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Let its devices go, and stop."""
        try:
            if self._fleet is not None:
                self._fleet.close()
        finally:
            self.stop()
            if self._reader is not None:
                self._reader.dispose()
                self._reader = None

    def _end_with(self, flag: Callable[[], asyncio.Event]) -> None:
        if self._thread is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(flag().set)
            self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _stop_asked(self) -> asyncio.Event:
        return self._stopping

    def _kill_asked(self) -> asyncio.Event:
        return self._dying

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 -- whoever started it is told
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        from bridge.app import Application
        from bridge.entrypoints.control.server import ControlServer
        from bridge.serving.parts import Parts

        self._loop = asyncio.get_running_loop()
        self._stopping, self._dying = asyncio.Event(), asyncio.Event()
        self._app = await Application.open(self.folder, parts=Parts(broker=self._make_broker, writer=self._make_writer))
        control = ControlServer(self._app, self.folder)
        try:
            self.host, self.port = (await self._app.serve())["mqtt"]
            self._keep_port()
            if self._has_control:
                await control.start()
            self._ready.set()
            ends = [asyncio.ensure_future(event.wait()) for event in (self._stopping, self._dying, self._app.failed)]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for end in ends:
                end.cancel()
            if self._app.failed.is_set():
                raise SimError("the server ended by itself", fix="see its log: logger `dockbridge`")
        finally:
            if self._has_control:
                await control.stop()
            if self._dying.is_set():
                await self._die()
            else:
                await self._app.close()

    def _make_broker(self, *args: Any, **more: Any) -> EmbeddedBroker:
        from bridge.broker.embedded import EmbeddedBroker

        self._broker = EmbeddedBroker(*args, **more)
        return self._broker

    def _make_writer(self, settler: Settler, store: SqlStore) -> ThreadWriter:
        from bridge.writer import ThreadWriter

        self._writer = ThreadWriter(settler, store)
        return self._writer

    def _keep_port(self) -> None:
        from bridge.config import CONFIG_NAME, load, render

        path = self.folder / CONFIG_NAME
        settings = load(path)
        if settings.listen.mqtt.endswith(":0"):
            listen = replace(settings.listen, mqtt=f"{self.host}:{self.port}")
            path.write_text(render(replace(settings, listen=listen)), encoding="utf-8")

    async def _die(self) -> None:
        """The writer comes to the end of the commit that it is in: a crash right after it. Then everything is dropped as it stands."""
        broker = self._broker
        broker.stop_listening()
        # The writer's thread must be out of the database before that is closed under it; this loop waits, so that nobody gives it more.
        self._writer.abandon()
        self._app.abandon()
        for wire in list(broker.wires):
            wire.abort()
        await asyncio.sleep(0)
        await broker.shutdown()  # amqtt's own tasks make a noise in the log where they are only cancelled
        every = asyncio.all_tasks() - {asyncio.current_task()}
        for task in every:
            task.cancel()
        await asyncio.gather(*every, return_exceptions=True)

    # --- who --------------------------------------------------------------------------------------------------------------

    def enrol(self, device: str, role: Role | str = Role.SCANNER, courier: str | None = None) -> str:
        """Enrol a device; its password."""
        app = self.app
        return str(self._on_loop(app.on_writer(lambda: app.registry.add(device, Role(role), courier=courier, now_ms=app.clock.now_ms()))))

    def enrol_anew(self, device: str, role: Role | str = Role.SCANNER, courier: str | None = None) -> str:
        """Enrol a device, or give one that is enrolled already a new password."""
        app = self.app
        if any(d.device == device for d in app.registry.list()):
            return str(self._on_loop(app.on_writer(lambda: app.registry.rotate(device, now_ms=app.clock.now_ms()))))
        return self.enrol(device, role, courier)

    def device(self, name: str, role: Role | str = Role.SCANNER, courier: str | None = None, **firmware: Any) -> Handheld:
        """A simulated device, enrolled and connected. `firmware`: what `Firmware` takes: `version=1`, `skew_ms=90_000`, `flash_events_max=10`."""
        password = self.enrol(name, role, courier)
        filters = (self.topics.assignments(courier or name),) if Role(role) is Role.COURIER else ()
        if self._fleet is None:
            self._fleet = Fleet(self.host, self.port)
        made = Handheld(self._fleet, ByHand(site=self.name, device=name, filters=filters, **firmware), password)
        self.devices[name] = made
        return made.connect()

    # --- what the shop does -----------------------------------------------------------------------------------------------

    def create(self, order: str, lines: Mapping[str, int] | None = None, *, is_paid: bool = True, **body: Any) -> None:
        """The shop creates an order of `lines` ({sku: qty}), paid and approved. `body`: further fields of `created`, or others than usual."""
        bought = [{"sku": sku, "qty": qty} for sku, qty in (lines or {"SKU-1": 1}).items()]
        self.tell("created", order=order, body={"channel": SHOP, "lines": bought, "allow_partial": False, "payment": "prepaid", **body})
        if is_paid:
            self.tell("paid", order=order, body={"amount_minor": 1_995, "currency": "EUR"})
            self.tell("approved", order=order)

    def assign(self, order: str, courier: str, *, job: str | None = None) -> None:
        """Give an order to a courier."""
        self.tell("assigned", order=order, body={"courier": courier, **({"job": job} if job else {})})

    def tell(self, event_type: str, *, order: str | None = None, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The shop's system tells something, without MQTT between; the receipt."""
        app, kind = self.app, EventType(event_type)

        def known() -> bool:
            return any(d.device == SHOP for d in app.registry.list())

        if not known():
            self._on_loop(app.on_writer(lambda: app.registry.add(SHOP, Role.SYSTEM, now_ms=app.clock.now_ms(), with_secret=False)))
        self._seq += 1
        now_ms = app.clock.now_ms()
        clock = {"boot": self._boot, "mono_ms": self._seq, "sent_boot": self._boot, "sent_mono_ms": self._seq, "at_ms": now_ms}
        plain = {"id": uuid7(now_ms, self._rng), "log": self._log, "seq": self._seq, **clock, "body": dict(body or {})}
        payload = messages.encode_cbor(plain if order is None else {**plain, "order": order})
        receipts: list[dict[str, Any]] = self._on_loop(app.submit(app.registry.identity(SHOP), [(kind.value, payload)]))
        return receipts[0]

    # --- what there is ----------------------------------------------------------------------------------------------------

    @property
    def app(self) -> Application:
        """The application itself; its own things are touched on its loop only."""
        if not self.is_running:
            raise SimError("the site does not run", fix="`start` it")
        return self._app

    def status(self, order: str) -> dict[str, Any] | None:
        """An order's status as it stands in the store; None where there is no such order. The store is read directly, also while nothing runs."""
        from bridge.store.queries import Queries

        found = Queries(self.reader, self.topics).order(order)
        return found["status"] if found is not None else None

    def wait_status(self, order: str, state: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """An order's status once it shows this state.

        Raises:
            TimeoutError: where it does not come.
        """
        ends_s = time.monotonic() + timeout_s
        while (status := self.status(order)) is None or status["state"] != state:
            if time.monotonic() > ends_s:
                raise TimeoutError(f"{order} is {status['state'] if status else 'unknown'} and not {state} after {timeout_s:g} s")
            time.sleep(LOOK_EVERY_S)
        return status

    def receipts(self, device: str) -> list[dict[str, Any]]:
        """The receipt that holds for each of a device's events, in the order in which they came."""
        from sqlalchemy import select

        from bridge.store.tables import receipts

        with self.reader.connect() as connection:
            rows = connection.execute(select(receipts.c.payload).where(receipts.c.device == device).order_by(receipts.c.pos))
            return [cbor2.loads(row.payload) for row in rows]

    def events(self, device: str | None = None) -> list[dict[str, Any]]:
        """What is in the log, in the order in which it came, each with its outcome."""
        from bridge.store.queries import Queries

        return Queries(self.reader, self.topics).events(order_id=None, device=device, event_type=None, outcome=None, limit=EVENTS_MAX)[::-1]

    def refused(self, device: str | None = None) -> list[dict[str, Any]]:
        """What was put into quarantine, in the order in which it came."""
        from bridge.store.queries import Queries

        rows = Queries(self.reader, self.topics).quarantine(limit=EVENTS_MAX)[::-1]
        return [row for row in rows if device in (None, row["device"])]

    @property
    def reader(self) -> Any:
        """The database, for reading."""
        from bridge.config import DATABASE_NAME
        from bridge.store.sql import open_engine

        if self._reader is None:
            self._reader = open_engine(self.folder / DATABASE_NAME, read_only=True)
        return self._reader

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(TIMEOUT_S)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
