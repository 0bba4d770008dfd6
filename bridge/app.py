"""The one place where the parts meet: a site's folder, its store, the pipeline, and, if it serves, the broker.

`Application` is opened by the server, and by every command that changes something while no server runs; a lock file makes sure that there is only one.
Nothing below this module reads a clock that it was not given.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import cbor2

from bridge.bounds import login_rules
from bridge.clock import Clock
from bridge.config import DATABASE_NAME, Settings
from bridge.domain.access import Identity, Kind
from bridge.errors import Refused
from bridge.ingest import seam
from bridge.ingest.assembly import Ingest
from bridge.ingest.items import Incoming, Message, OperatorChange
from bridge.ingest.memory import Memory
from bridge.ingest.rules import Rules
from bridge.ingest.steps import BatchTimes
from bridge.operations.console import Console
from bridge.operations.figure_ports import ServerFigures
from bridge.operations.login_brake import LoginBrake
from bridge.operations.ports import FailedLogins, OnProgress, Reloaded
from bridge.projections import (
    alerts,
    consignments,
    couriers,
    devices,
    jobs,
    mispicks,
    notices,
    orders,
    positions,
    presence,
    quarantine,
    receipts,
    resending,
    tracking_numbers,
    visits,
)
from bridge.serving.open_site import OpenSite
from bridge.serving.parts import PRODUCTION, Parts, SiteBroker
from bridge.serving.privacy import SitePrivacy
from bridge.serving.rebuilding import rebuild_site
from bridge.serving.server import Server, finished
from bridge.serving.upkeep import StoreUpkeep
from bridge.store.database import DatabaseFile
from bridge.store.people import People
from bridge.store.replaying import Rebuilt

T = TypeVar("T")


def ingest_of(rules: Rules, settings: Settings, session_log: seam.SessionLog) -> Ingest:
    """Everything that acts on a batch. The order of the projections is the order of their effects."""
    held = jobs.Jobs()
    carried = (consignments.Consignments(), tracking_numbers.TrackingNumbers())
    shown = (orders.Orders(), *carried, held, positions.Positions(held), visits.Visits(), presence.Presences(), resending.Resending(), notices.Notices())
    projections = (*shown, quarantine.Quarantine(), mispicks.Mispicks(), couriers.Couriers(), alerts.Alerts(), receipts.Receipts(), devices.Devices())
    caches = settings.ingest
    memory = Memory(
        orders_max=caches.orders_cached_max,
        devices_max=caches.devices_cached_max,
        codes_max=caches.codes_cached_max,
        articles_max=caches.articles_cached_max,
        badges_max=caches.badges_cached_max,
    )
    return Ingest(memory, rules, projections, held, session_log)


class Application:
    """A site, opened for writing: the `SiteContext` of every operation. Use `Application.open` and close it, or use it as an async context manager.

    Attributes:
        failed: set when a part that must run has ended with an error: nothing is acknowledged any more, and the process should be started again.
    """

    def __init__(self, site: OpenSite, parts: Parts, life: AsyncExitStack) -> None:
        self._site = site
        self._parts = parts
        self._life = life
        self._server: Server | None = None
        self.serving_since_ms: int | None = None
        self.clock = site.clock
        self.registry = site.registry
        self.claims = site.claims
        self.people = People(site.engine, site.reader, site.credentials)
        self.queries = site.queries
        self.vault = site.vault
        self.privacy = SitePrivacy(site, self.people)
        self.upkeep = StoreUpkeep(site)
        self.audit = site.audit
        self.database = DatabaseFile(site.directory / DATABASE_NAME, site.reader)
        self.console = Console(secrets.token_bytes)
        self.pipeline = site.pipeline
        self.settings = site.settings
        self.settings_changed = site.settings_changed
        self.logins = LoginBrake(login_rules(site.settings))
        site.settings_changed.append(self._use_login_rules)
        self.failed = site.tasks.failed

    @classmethod
    async def open(
        cls,
        directory: Path,
        clock: Clock | None = None,
        *,
        lab_identity: Identity | None = None,
        parts: Parts = PRODUCTION,
    ) -> Self:
        """Open a site: take its lock, migrate its database, start the pipeline.

        Args:
            directory: the site's folder, as `init` made it.
            clock: the site's own if it is None.
            lab_identity: the identity of every client, if clients need not log in (a laboratory).
            parts: how the parts are made.

        Raises:
            NoSite: if there is no site in the folder.
            SiteInUse: if another process has it open.
            ConfigError: if its configuration is wrong.
            StoreError: if its database can't be used.
        """
        async with AsyncExitStack() as life:
            site = OpenSite(directory, clock, lab_identity, parts, ingest_of, life)
            life.push_async_callback(finished, site)
            return cls(site, parts, life.pop_all())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def serve(self) -> dict[str, tuple[str, int]]:
        """Start the broker. Returns (host, port) of each listener.

        Raises:
            ConfigError: if the certificate can't be used.
            SiteError: if a listener can't be opened, naming it.
        """
        server = Server(self._site, self._parts)
        addresses = await server.start()
        self._server = server
        self.serving_since_ms = self.clock.now_ms()
        self._life.push_async_callback(server.stop)
        return addresses

    async def close(self) -> None:
        """Finish what was received, acknowledge it, close connections, and let go of the site."""
        await self._life.aclose()

    def abandon(self) -> None:
        """Let go of everything as a killed process does: nothing is finished, and no client is told."""
        self._site.abandon()

    # --- what operations ask ----------------------------------------------------------------------------------------------

    async def submit(self, identity: Identity, events: Sequence[tuple[str, bytes]]) -> list[dict[str, Any]]:
        """Send events as an identity, as (type, payload). Returns their receipts (plain), in the same order."""
        receipts: list[dict[str, Any]] = [{}] * len(events)
        left, done = len(events), asyncio.get_running_loop().create_future()

        def settled(at: int, cbor: bytes) -> None:
            nonlocal left
            receipts[at] = cbor2.loads(cbor) if cbor else {}
            left -= 1
            if not left and not done.done():
                done.set_result(None)

        for at, (event_type, payload) in enumerate(events):
            self.pipeline.offer(Incoming(identity, Kind.EVENTS, event_type, payload, self.clock.now_ms()), partial(settled, at))
        if events:
            await done
        return receipts

    def offer(self, incoming: Incoming) -> asyncio.Future[dict[str, Any]]:
        """Hand one message to the pipeline. The future gets its receipt (plain) once it is committed."""
        receipt: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

        def settled(cbor: bytes) -> None:
            if not receipt.done():
                receipt.set_result(cbor2.loads(cbor) if cbor else {})

        self.pipeline.offer(incoming, settled)
        return receipt

    def announce(self, message: Message) -> None:
        """Publish a message of the bridge's own, in its place among what ingest publishes."""
        self._site.announce(message)

    async def change(self, change: OperatorChange) -> None:
        """See `SiteContext.change`."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.pipeline.change(replace(change, done=done.set_result))
        await done

    async def on_writer(self, work: Callable[[], T]) -> T:
        """Call a function on the writer's thread, between two batches."""
        return await self._site.writer.run(work)

    async def off_loop(self, work: Callable[[], T]) -> T:
        """See `SiteContext.off_loop`."""
        return await self._site.authentication.off_loop(work)

    def _use_login_rules(self, settings: Settings) -> None:
        self.logins.rules = login_rules(settings)

    async def rebuild(self, on_progress: OnProgress) -> Rebuilt:
        """Derive everything again from the event log, and compare. `on_progress` is called on the writer's thread.

        Raises:
            StoreUnavailable: if the store can't take writes now.
        """
        return await rebuild_site(self._site, on_progress)

    def identify_anew(self, device: str) -> None:
        """See `SiteContext.identify_anew`."""
        if self._server is not None:
            self._server.identify_anew(self.registry.identity(device))

    def disconnect(self, device: str, why: str, *, end_sessions: bool) -> None:
        """Close a device's connections, and if asked end its sessions."""
        if self._server is not None:
            self._server.disconnect(device, why, end_sessions=end_sessions)

    def reload_certificate(self) -> bool:
        """Use the server's certificate as it now is in its file. Returns False if no listener here uses TLS.

        Raises:
            ConfigError: if it can't be used; the present one stays in use.
        """
        return self._server is not None and self._server.certificate.reload()

    async def reload_settings(self) -> Reloaded:
        """Read the site's configuration again, and apply what can be applied without a restart.

        Raises:
            ConfigError: if it can't be used; the present one stays in use.
            Refused: if no server runs here.
        """
        if self._server is None:
            raise Refused("no server runs for this site", fix="a server reads bridge.toml when it starts: `dockbridge serve`")
        done = await self._server.reloading.reload()
        self.settings = self._site.settings
        return done

    @property
    def broker(self) -> SiteBroker | None:
        """The broker, while it runs."""
        return self._site.outlet.broker

    @property
    def connected(self) -> set[str]:
        """The devices that are connected now."""
        return self._server.connected if self._server is not None else set()

    @property
    def counters(self) -> dict[str, int]:
        """What the broker has counted since its start, and how much it holds now; empty if none runs."""
        return self._server.counters if self._server is not None else {}

    @property
    def figures(self) -> ServerFigures | None:
        """The running server in figures; None if none runs."""
        return self._server.figures if self._server is not None else None

    def batch_times(self, batches: Sequence[int]) -> list[BatchTimes]:
        """See `SiteContext.batch_times`."""
        return self.pipeline.steps.of(batches)

    @property
    def failed_logins(self) -> dict[str, FailedLogins]:
        """Recent failed logins by name."""
        return self._server.failed_logins if self._server is not None else {}
