"""A site that is served from within this process: its server, its devices, what its shop does, and what its store holds."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import cbor2

from devices.protocol import encoding
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import EventType, Role
from firmware_sim.firmware.by_hand import ByHand
from firmware_sim.firmware.flash import uuid7
from firmware_sim.handheld import TIMEOUT_S, Handheld
from firmware_sim.link.background import BackgroundFleet
from firmware_sim.server_thread import ServerThread

if TYPE_CHECKING:
    from bridge.app import Application

SHOP: Final = "shop"
"""In whose name `create` and `assign` speak."""
LOOK_EVERY_S: Final = 0.01
EVENTS_MAX: Final = 100_000
ANY_PORT: Final = "127.0.0.1:0"


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
        from bridge.config import CONFIG_NAME
        from bridge.config_file import load, parse  # here and below: a caller that only imports this module does not wait for them
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
        self._server = ServerThread(folder, self.name, has_control=has_control)
        self._fleet: BackgroundFleet | None = None
        self._log, self._boot, self._seq = secrets.token_bytes(8), secrets.token_bytes(8), 0
        self._rng = Random(secrets.randbits(64))
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
        return self._server.is_running

    def start(self) -> None:
        """Serve the site; it answers when this returns.

        Raises:
            BridgeError: it can't be served.
        """
        self._server.start()
        self.host, self.port = self._server.address

    def stop(self) -> None:
        """Stop as on Ctrl-C: what was taken in is stored and acknowledged."""
        self._server.stop()

    def kill(self) -> None:
        """Die as with `kill -9`: what is committed stays, nothing more is acknowledged, no client is told. `start` serves it again."""
        self._server.kill()

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

    # --- who --------------------------------------------------------------------------------------------------------------

    def enrol(self, device: str, role: Role | str = Role.SCANNER, courier: str | None = None) -> str:
        """Enrol a device. Returns its password."""
        app = self.app
        return str(self._server.on_loop(app.on_writer(lambda: app.registry.add(device, Role(role), courier=courier, now_ms=app.clock.now_ms()))))

    def enrol_anew(self, device: str, role: Role | str = Role.SCANNER, courier: str | None = None) -> str:
        """Enrol a device, or give it a new password if it is enrolled already. Returns the password."""
        app = self.app
        if any(d.device == device for d in app.registry.list()):
            return str(self._server.on_loop(app.on_writer(lambda: app.registry.rotate(device, now_ms=app.clock.now_ms()))))
        return self.enrol(device, role, courier)

    def device(self, name: str, role: Role | str = Role.SCANNER, courier: str | None = None, **firmware: Any) -> Handheld:
        """A simulated device, enrolled and connected. `firmware`: what `Firmware` takes: `version=1`, `skew_ms=90_000`, `flash_events_max=10`."""
        password = self.enrol(name, role, courier)
        filters = (self.topics.assignments(courier or name),) if Role(role) is Role.COURIER else ()
        if self._fleet is None:
            self._fleet = BackgroundFleet(self.host, self.port)
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
        """The shop's system sends an event, without MQTT between. Returns the receipt."""
        app, kind = self.app, EventType(event_type)

        def known() -> bool:
            return any(d.device == SHOP for d in app.registry.list())

        if not known():
            self._server.on_loop(app.on_writer(lambda: app.registry.add(SHOP, Role.SYSTEM, now_ms=app.clock.now_ms(), with_secret=False)))
        self._seq += 1
        now_ms = app.clock.now_ms()
        clock = {"boot": self._boot, "mono_ms": self._seq, "sent_boot": self._boot, "sent_mono_ms": self._seq, "at_ms": now_ms}
        plain = {"id": uuid7(now_ms, self._rng), "log": self._log, "seq": self._seq, **clock, "body": dict(body or {})}
        payload = encoding.encode_cbor(plain if order is None else {**plain, "order": order})
        receipts: list[dict[str, Any]] = self._server.on_loop(app.submit(app.registry.identity(SHOP), [(kind.value, payload)]))
        return receipts[0]

    # --- what there is ----------------------------------------------------------------------------------------------------

    @property
    def app(self) -> Application:
        """The application itself; its own things are touched on its loop only."""
        return self._server.app

    def status(self, order: str) -> dict[str, Any] | None:
        """An order's status as it stands in the store; None if there is no such order. The store is read directly, also while the site does not run."""

        from bridge.store.queries import Queries

        found = Queries(self.reader, self.topics).order(order)
        return found["status"] if found is not None else None

    def wait_status(self, order: str, state: str, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """An order's status once it shows this state.

        Raises:
            TimeoutError: it does not come.
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
        from bridge.operations.ports import Sought
        from bridge.store.queries import Queries

        return Queries(self.reader, self.topics).quarantine(Sought(device=device), limit=EVENTS_MAX)[::-1]

    @property
    def reader(self) -> Any:
        """The database, for reading."""
        from bridge.config import DATABASE_NAME
        from bridge.store.sqlite import open_engine

        if self._reader is None:
            self._reader = open_engine(self.folder / DATABASE_NAME, read_only=True)
        return self._reader
