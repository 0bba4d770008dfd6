"""A run over real sockets: one event loop drives every device and the network between them and the bridge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from random import Random
from typing import Final

from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.firmware.dispatcher import Screen
from firmware_sim.link import eyes, loops, packets
from firmware_sim.link.client import Client
from firmware_sim.link.fleet import Fleet
from firmware_sim.link.foreign import ForeignHandset
from firmware_sim.link.handset import Handset
from firmware_sim.link.library import LibraryHandset, LibraryScanner
from firmware_sim.link.own_server import OwnServer
from firmware_sim.link.progress import Progress, Reporter
from firmware_sim.link.proxy import Proxy
from firmware_sim.link.tap import Tap
from firmware_sim.link.users import Remote
from firmware_sim.link.weather import Weather
from firmware_sim.record import Mangled, Record, Refused

LOOK_EVERY_S: Final = 0.1
PROGRESS_EVERY_S: Final = 0.5
GOODBYE_S: Final = 10.0
SETTLE_S: Final = 0.3
"""What devices said last is stored within this time, or the server stores it before it ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How a run goes on: `speed` divides pauses and the times of faults; after `timeout_s` the run ends, finished or not. `client` is the command that runs
    the program of a scanner or phone, if these are not simulated."""

    now_ms: Callable[[], int]
    speed: float
    timeout_s: float
    on_progress: Callable[[Progress], None] | None
    client: tuple[str, ...]


AnyHandset = Handset | LibraryHandset | ForeignHandset


class SocketsRun(Fleet[AnyHandset]):
    """One run: it owns the record, the random streams, the devices and the network.

    Args:
        passwords: by device.
        server: the run's own; None if the bridge at `address` runs already.
        folder: for what devices keep on a disk.
    """

    def __init__(
        self,
        record: Record,
        seed: int,
        firmwares: dict[str, Firmware],
        passwords: dict[str, str],
        *,
        server: OwnServer | None,
        address: tuple[str, int] | None,
        terms: Terms,
        folder: Path,
    ) -> None:
        super().__init__(terms.now_ms, look_every_s=LOOK_EVERY_S, speed=terms.speed)
        self._seed = seed
        self.rng = self.stream("faults")
        self.record = record
        self.see = record.entries.append
        self.handsets = {device: _handset(self, firmware, passwords[device], terms.client, folder) for device, firmware in firmwares.items()}
        self.weather: Weather
        self.proxy: Proxy
        self._passwords = passwords
        self._server = server
        self._foreign = address
        self._entrance: tuple[str, int] | None = None
        self._clients: dict[int, Client | Tap] = {}
        self._faults: list[asyncio.TimerHandle] = []
        self._deadline_s = self.loop.time() + terms.timeout_s
        self._began_s = 0.0
        self._seen = 0
        self._screen = next((f for f in firmwares.values() if isinstance(f, Screen)), None)
        self._reporter = Reporter(self.handsets, self._screen, record.expected, terms.on_progress, every_s=PROGRESS_EVERY_S)

    # --- the stage, for devices ---------------------------------------------------------------------------------------------

    def address(self) -> tuple[str, int] | None:
        return self._entrance

    def stream(self, name: str) -> Random:
        return Random(f"{self._seed} {name}")

    def trouble(self, device: str, text: str) -> None:
        self.record.end.troubles.append(f"{device}: {text}")

    def opened(self, port: int, client: Client) -> None:
        self._clients[port] = client

    # --- the network ----------------------------------------------------------------------------------------------------------

    def _bridge(self) -> tuple[str, int] | None:
        return self._server.address if self._server is not None else self._foreign

    def _tap(self, device: str, port: int) -> Tap | None:
        """The library and programs keep no record of what they send."""
        handset = self.handsets.get(device)
        if isinstance(handset, Handset) or handset is None:
            return None
        see = handset.eye() if isinstance(handset, ForeignHandset) else self.see
        tap = self._clients[port] = Tap(device, self.numbers, self.now_ms, see)
        return tap

    def _mangled(self, port: int, packet: bytes) -> None:
        client = self._clients.get(port)
        no = client.number_of(packets.read_packet_id(packet)) if client is not None else None
        if client is not None and no is not None:
            self.see(Mangled(self.now_ms(), client.device, no))

    # --- the world, for faults ------------------------------------------------------------------------------------------------

    def after(self, delay_ms: float, call: Callable[[], None]) -> None:
        self._faults.append(self.loop.call_later(delay_ms / 1000 / self.speed, call))

    def cut(self, device: str) -> None:
        self.proxy.cut(device)

    def reboot(self, device: str, *, loses_clock: bool) -> None:
        self.handsets[device].reboot(loses_clock=loses_clock)

    def set_clock(self, device: str, by_ms: int) -> None:
        self.handsets[device].put(actions.ClockSet(by_ms))

    def slow_disk(self, commit_ms: int, jitter_ms: int) -> None:
        if self._server is not None:
            self._server.slow(commit_ms, jitter_ms)

    def fill_disk(self, *, full: bool) -> None:
        if self._server is not None:
            self._server.fill(full=full)

    def kill_server(self, point: str, down_ms: int) -> None:
        if self._server is not None:
            self._server.kill(point, down_ms)

    # --- from start to end ----------------------------------------------------------------------------------------------------

    async def live(self, make_weather: Callable[[SocketsRun], Weather], *, day_s: float, patience_s: float, calm_s: float) -> None:
        """Start the server and the devices, wait until all are finished and the site is calm, and let all of them go.

        Raises:
            NotAdmitted: the bridge refuses a device.
            NotReachable: nothing listens at the bridge's address.
            ServerEnded: the run's own server does not come up.
        """
        if self._server is not None:
            await self._server.start()
        else:
            assert self._foreign is not None
            await loops.knock(*self._foreign)
        self._began_s = self.loop.time()
        self.weather = make_weather(self)
        self.proxy = Proxy(self.weather, self._bridge, on_mangled=self._mangled, tap=self._tap)
        try:
            self._entrance = await self.proxy.start()
            self.switch_on()
            await self._within(lambda: self.is_finished, (day_s + patience_s) / self.speed)
            ends_s = self._began_s + self.weather.ends_s / self.speed + LOOK_EVERY_S
            await self._within(lambda: self.loop.time() >= ends_s, self.weather.ends_s / self.speed + 1.0)
            self._calm_down()
            await self._within(lambda: self.is_finished, patience_s / self.speed)
            if not self.is_finished:
                late = [handset.device for handset in self.handsets.values() if not handset.is_finished]
                self.record.end.troubles.append(f"not finished in time: {', '.join(late) or 'the server'}")
            await self._within(self._is_calm, calm_s if self._server is not None else calm_s / self.speed)
            await self._end()
        finally:
            await self.close()

    async def close(self) -> None:
        for timer in self._faults:
            timer.cancel()
        await super().close()
        await self.proxy.close()

    @property
    def is_finished(self) -> bool:
        return self._bridge() is not None and all(handset.is_finished for handset in self.handsets.values())

    def _calm_down(self) -> None:
        """The scenario's faults are over: what they left pending does not come any more."""
        for timer in self._faults:
            timer.cancel()
        if self._server is not None:
            self._server.spare()

    def _is_calm(self) -> bool:
        """Whether no alert stands that may not."""
        if self._server is None or not self._server.is_up:
            return False
        standing = self._server.alerts()
        return all(any(code == c and fnmatchcase(subject, s) for c, s in self.record.alerts) for code, subject in standing)

    async def _end(self) -> None:
        """The devices leave, and the server stops. What there is then is the end of the record."""
        end = self.record.end
        if self._screen is not None:
            self._screen.statuses  # noqa: B018 -- it reads what it has not read, and complains of what it can't
        self._reporter.report()
        for handset in self.handsets.values():
            end.unsent[handset.device] = handset.unsent
            end.unanswered[handset.device] = len(handset.firmware.flash.unanswered)
            end.troubles += handset.firmware.troubles
            if isinstance(handset, ForeignHandset):
                end.troubles += await handset.look_at_receipts()
        await self.say_goodbye(GOODBYE_S)
        await asyncio.sleep(SETTLE_S)
        looker = eyes.NAME if self._server is not None else eyes.who_may(self.record.cast, self._passwords)
        address = self._bridge()
        if looker is not None and address is not None:
            try:
                end.retained = await eyes.look(address, self.record.site, looker, self._passwords[looker])
            except OSError as error:
                self.trouble(looker, f"could not look at what is retained: {error}")
        if self._server is not None:
            await self._server.stop()

    async def _within(self, done: Callable[[], bool], patience_s: float) -> bool:
        return await self.until(done, self.loop.time() + patience_s)

    async def until(self, done: Callable[[], bool], ends_s: float) -> bool:
        return await super().until(done, min(ends_s, self._deadline_s))

    def look(self) -> None:
        """Check that the server lives and admits the devices, and report how far the run is."""
        if self._server is None:
            self._look_at_logins()
        elif self._server.failed is not None:
            raise self._server.failed
        for handset in self.handsets.values():
            if isinstance(handset, ForeignHandset) and handset.failed is not None:
                raise handset.failed
        self._reporter.report_if_due(self.loop.time())

    def _look_at_logins(self) -> None:
        """A bridge that is not the run's own may know other passwords."""
        entries = self.record.entries
        for n in range(self._seen, len(entries)):
            entry = entries[n]
            if isinstance(entry, Refused) and entry.code in loops.BAD_LOGIN:
                raise loops.not_admitted(entry.device)
        self._seen = len(entries)


def _handset(run: SocketsRun, firmware: Firmware, password: str, client: tuple[str, ...], folder: Path) -> AnyHandset:
    site = run.record.site
    if isinstance(firmware, LibraryScanner):
        return LibraryHandset(run, firmware, password, site=site, folder=folder, cut=run.cut)
    if isinstance(firmware, Remote):
        return ForeignHandset(
            run, firmware, password, client, site=site, folder=folder, cut=run.cut, darken=lambda device, is_dark: run.proxy.darken(device, is_dark=is_dark)
        )
    return Handset(run, firmware, password)
