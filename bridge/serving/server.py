"""A site's broker from its start to its stop, and what operators can ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from amqtt.errors import BrokerError

from bridge.bounds import door_limits
from bridge.broker.client import Client
from bridge.broker.codec.amqtt_decoder import FILTERS_MAX, AmqttDecoder
from bridge.broker.codec.events import Connect
from bridge.broker.door import FrontDoor
from bridge.broker.logins import Logins
from bridge.broker.store_view import StoreView
from bridge.domain.access import Identity
from bridge.ingest.ports import StoreUnavailable
from bridge.operations.figure_ports import ServerFigures
from bridge.operations.ports import FailedLogins
from bridge.serving.backups import make_backups
from bridge.serving.claims import Redeeming
from bridge.serving.figures import server_figures
from bridge.serving.listeners import cant_listen, listeners
from bridge.serving.login_alarms import LoginAlarms
from bridge.serving.notices import NoticeChannel
from bridge.serving.open_site import OpenSite
from bridge.serving.parts import Parts
from bridge.serving.privacy import warn_without_sheet
from bridge.serving.reloading import Reloading
from bridge.serving.reports_rule import note_rule
from bridge.serving.server_certificate import ServerCertificate
from bridge.serving.start import announce_state, start
from bridge.serving.sweeping import sweep

STOP_S: Final = 10.0
"""How long a stopping server waits for the store to take what was read; what is not stored by then was not acknowledged."""


class Server:
    """Serves a site.

    Attributes:
        certificate: the server's certificate.
        notices: sends out what customers are told.
        reloading: applies a changed configuration.

    Raises:
        ConfigError: if the certificate can't be used.
    """

    def __init__(self, site: OpenSite, parts: Parts) -> None:
        self._site = site
        self._makes_backups = parts.makes_backups
        self.certificate = ServerCertificate(site.settings.listen, site.directory, site.clock.now_ms)
        self._alarms = LoginAlarms(site.authentication, site.outlet, site.tasks)
        self._redeeming = Redeeming(site, parts.passed)
        self._broker = parts.broker(
            listeners(site.settings.listen, self.certificate.context),
            authenticate=self._redeeming.by_password,
            authenticate_certificate=site.authentication.by_certificate,
            remembers=site.registry.remembers,
            logins=Logins(site.known_logins, unknown_names_max=site.settings.broker.failed_names_per_address_max),
            on_failed=self._alarms.login_failed,
            anybody=site.lab_identity,
            make_door=self._make_door,
        )
        self.notices = NoticeChannel(site)
        self.reloading = Reloading(site, self._broker, self.certificate)

    async def start(self) -> dict[str, tuple[str, int]]:
        """Restore what the store has, and listen. Returns (host, port) of each listener.

        Raises:
            SiteError: if a listener can't be opened, naming it.
            StoreUnavailable: if the store can't be read or written now.
        """
        try:
            await note_rule(self._site, self._site.settings.people.reports)
            await start(self._site, self._broker)
            await self._broker.start()
        except BrokerError as error:
            self._site.outlet.broker = None
            raise cant_listen(error) from error
        except BaseException:
            self._site.outlet.broker = None
            raise
        self._since_ms = self._site.clock.now_ms()
        tasks = self._site.tasks
        tasks.run_errand("look at the keys", warn_without_sheet(self._site))
        self._broker.watch(tasks.ended)
        tasks.spawn("sweep", sweep(self._site, self._alarms))
        if self._site.lab_identity is None:
            tasks.spawn("notices", self.notices.run())
        if self._makes_backups and self._site.lab_identity is None:
            tasks.spawn("backups", make_backups(self._site))
        if self.certificate.context is not None:
            tasks.spawn("certificate watch", self.certificate.watch())
        return self._broker.addresses()

    async def stop(self) -> None:
        """Finish what was received, acknowledge it, and close the connections."""
        self._broker.stop_listening()
        announce_state(self._site, online=False)
        await finished(self._site)
        self._broker.door.flush_progress(now=True)
        self._broker.hang_up()
        await finished(self._site)
        self._broker.door.flush_progress(now=True)
        await finished(self._site)
        await self._broker.stop()
        self._site.outlet.broker = None
        with suppress(StoreUnavailable):  # some devices are then not known after the next start
            await self._site.known_logins.save()

    def _make_door(self, authenticate: Callable[[Client, Connect], None]) -> FrontDoor:
        site = self._site
        door = FrontDoor(
            decoder=AmqttDecoder(max(FILTERS_MAX, site.settings.broker.subscriptions_max)),
            sink=site.pipeline,
            limits=door_limits(site.settings),
            now_ms=site.clock.now_ms,
            now_s=site.clock.now_s,
            authenticate=authenticate,
            in_open_job=site.outlet.in_open_job,
            stored=StoreView(site.statuses, site.log),
        )
        door.subscribing.redeem = self._redeeming.redeem
        return door

    # --- what operators ask -----------------------------------------------------------------------------------------------

    @property
    def connected(self) -> set[str]:
        """The devices that are connected now."""
        return set(self._broker.door.online)

    @property
    def counters(self) -> dict[str, int]:
        """What the broker has counted since its start, and how much it holds now."""
        door, pipeline = self._broker.door, self._site.pipeline
        sessions = door.sessions
        now = {
            "connected": len(door.connections),
            "sessions": len(sessions),
            "waiting": sum(s.waiting for s in sessions),
            "in_flight": sum(s.in_flight for s in sessions),
            "retained": len(door.retained),
            "unstored": pipeline.waiting,
            "store_failing": int(pipeline.store_failing),
        }
        return now | door.counters.plain()

    @property
    def figures(self) -> ServerFigures:
        """What has been counted since the start, and how much is held now."""
        return server_figures(self._site, self._broker, self.counters, self.notices.now, self._since_ms)

    @property
    def failed_logins(self) -> dict[str, FailedLogins]:
        """Recent failed logins by name."""
        return {name: FailedLogins(f.times, f.last_ms, f.source) for name, f in self._broker.logins.of_names().items()}

    def identify_anew(self, identity: Identity) -> None:
        """A device's enrolment was changed; see `FrontDoor.identify_anew`."""
        self._broker.door.identify_anew(identity)
        self._broker.flush()

    def disconnect(self, device: str, why: str, *, end_sessions: bool) -> None:
        """Close a device's connections, and if asked end its sessions."""
        self._broker.door.disconnect(device, why, end_sessions=end_sessions)
        self._broker.flush()


async def finished(site: OpenSite) -> None:
    """Wait until everything received is finished, unless nothing can be finished: then it was not acknowledged, and its senders keep it."""
    waits = {"drained": site.pipeline.drained(), "failing": site.pipeline.failing.wait(), "failed": site.tasks.failed.wait()}
    ends = [asyncio.create_task(wait, name=f"close: {name}") for name, wait in waits.items()]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED, timeout=STOP_S)
    for end in ends:
        end.cancel()
