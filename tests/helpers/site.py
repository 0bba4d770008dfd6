"""The one server in this process: the real application, its database and its listeners, in a thread with an event loop of its own.

Users of Dockbridge test their devices with another class, `firmware_sim.served.Site`, which tests/simulation/test_plugin.py tests.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import uvloop

from bridge import certificates
from bridge.app import Application
from bridge.config_file import parse
from bridge.ingest.items import Message
from devices.protocol.vocabulary import Role
from helpers.events import CREATED, SITE, event
from helpers.mqtt import MqttWire
from helpers.new_site import new_site
from helpers.waiting import DEADLINE_S


class Site:
    """A site in a folder, served by the real application in a thread of its own.

    Args:
        directory: the folder in which the site is made, or was made by an earlier `Site`.
        settings: sections of `bridge.toml`, such as `broker={"window": 2}`.
    """

    def __init__(self, directory: Path, **settings: dict[str, Any]) -> None:
        self.directory = directory
        self.secrets: dict[str, str] = {}
        self.addresses: dict[str, tuple[str, int]] = {}
        self._seq = 0
        if not (directory / "bridge.toml").exists():
            new_site(directory, parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}, **settings}))
            if {"mqtts", "wss"} & settings.get("listen", {}).keys():
                now = datetime.now(UTC)
                certificates.make_authority(self.tls, SITE, now)
                certificates.issue_server(self.tls, ["localhost", "127.0.0.1"], now)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="site")
        self._thread.start()
        assert self._ready.wait(DEADLINE_S), "the site did not start"
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(DEADLINE_S)
            assert not self._thread.is_alive(), "the site did not stop"

    def restart(self) -> None:
        self.stop()
        self.start()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 -- the test must see any error
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        async with await Application.open(self.directory) as self.app:
            self.addresses = await self.app.serve()
            self._ready.set()
            await self._stop.wait()

    def on_loop(self, work: Callable[[], Any]) -> Any:
        """Call a function on the server's event loop."""

        async def call() -> Any:
            return work()

        return self.wait_for(call())

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def enrol(self, device: str, role: Role = Role.SCANNER, **other: Any) -> str:
        """Enrol a device; returns its secret."""
        secret = self.wait_for(self.app.on_writer(lambda: self.app.registry.add(device, role, now_ms=self.app.clock.now_ms(), **other)))
        self.secrets[device] = secret
        return str(secret)

    @property
    def tls(self) -> Path:
        """The folder of its certificates, which are made if a listener uses TLS."""
        return self.directory / certificates.FOLDER_NAME

    def now_ms(self) -> int:
        return self.app.clock.now_ms()

    def event(self, device: str, seq: int, order: str | None = None, body: dict[str, Any] | None = None, **other: Any) -> bytes:
        """The payload of an event that happens now."""
        return event(device, seq, order, body, at_ms=self.now_ms(), **other)

    def tell(self, device: str, role: Role, event_type: str, *events: bytes) -> None:
        """Sends events from inside the server, as the command line does."""
        if device not in self.secrets:
            self.enrol(device, role)
        receipts = self.wait_for(self.app.submit(self.app.registry.identity(device), [(event_type, payload) for payload in events]))
        assert {r["outcome"] for r in receipts} == {"applied"}

    def create(self, *orders: str) -> None:
        """The shop creates orders."""
        self.tell("shop1", Role.SYSTEM, "created", *(self.event("shop1", self._seq + i, order, CREATED) for i, order in enumerate(orders, 1)))
        self._seq += len(orders)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Publish as the bridge does; the QoS may be one that the bridge itself never uses."""

        def work() -> None:
            self.app.announce(Message(topic, payload, qos, retain))

        self.on_loop(work)

    def client(self, device: str, client_id: str | None = None, **connect: Any) -> MqttWire:
        """A client that has logged in as a device, which is enrolled as a scanner if it was not."""
        if device not in self.secrets:
            self.enrol(device)
        wire = self.stranger()
        wire.session_present, code = wire.connect(client_id or device, device, self.secrets[device], **connect)
        assert code == 0, f"CONNACK {code}"
        return wire

    def stranger(self) -> MqttWire:
        """A connection on which nothing has been sent."""
        return MqttWire(self.addresses["mqtt"])

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.directory / "dockbridge.db")
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()
