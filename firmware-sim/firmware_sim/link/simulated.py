"""The simulated link: the whole bridge below the socket, all devices and the network between them, in one thread, in virtual time, from one seed.

What runs here is production code: the application with its pipeline, the front door with its sessions and wires, ingest, fold, and the store on a real SQLite
file. Three things are put in its place from outside: the writer has no thread, but commits that take seeded times and a server that can die at each point of
its way; connections have no sockets; and who a device is says its name, because argon2 proves nothing here. The same seed gives the same record, byte by byte.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any, Final

from bridge.config import DATABASE_NAME
from bridge.ingest.ports import NOT_YET
from bridge.ingest.sealing import about_message
from bridge.vault import Vault
from firmware_sim.firmware import actions
from firmware_sim.firmware.base import Firmware
from firmware_sim.link.client import Numbers
from firmware_sim.link.simulated_device import Phone
from firmware_sim.link.simulated_server import SimulatedSite
from firmware_sim.link.virtual import VirtualLoop
from firmware_sim.link.weather import Weather
from firmware_sim.record import Record, Row

TABLES: Final = (
    "events",
    "placed",
    "code_rules",
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


class SimulatedRun:
    """One run: it owns the loop, the random streams, the record, the server and the devices."""

    def __init__(self, loop: VirtualLoop, seed: int, record: Record, folder: Path, firmwares: dict[str, Firmware]) -> None:
        self.loop = loop
        self.record = record
        self._seed = seed
        self.now_ms = loop.now_ms
        self.see = record.entries.append
        self.numbers = Numbers()
        self.speed = 1.0
        self.rng = self.stream("faults")
        self.site = SimulatedSite(self, folder)
        self.phones = {device: Phone(self, firmware) for device, firmware in firmwares.items()}
        self.weather: Weather
        self._tasks: dict[asyncio.Task[Any], None] = {}

    def stream(self, name: str) -> Random:
        """A random stream of its own: what one device or the disk draws moves nothing for the others."""
        return Random(f"{self._seed} {name}")

    def trouble(self, device: str, text: str) -> None:
        self.record.end.troubles.append(f"{device}: {text}")

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
        """Start the server and the devices, wait until all are finished and the site is calm, and let all of them go."""
        await self.site.start()
        for phone in self.phones.values():
            phone.put()
        await self._until(lambda: self.is_finished, day_s + patience_s)
        await asyncio.sleep(max(0.0, self.weather.ends_s - self.loop.time()))
        self.site.spare()  # a kill that waits for its point outlasts the fault that asked for it
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
        retained = door.retained.every()
        assert retained is not NOT_YET
        self.record.end.retained = {topic: retained[topic].payload for topic in sorted(retained)}
        await self.site.app.close()
        self.record.end.tables = read_tables(self.site.folder / DATABASE_NAME, self.site.vault)

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


def read_tables(path: Path, vault: Vault) -> dict[str, list[Row]]:
    """The rows of a site's database that a record keeps; what is sealed in quarantine, as it came."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        tables = {table: [dict(row) for row in db.execute(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in TABLES}  # noqa: S608 -- names of ours
    for row in tables["quarantine"]:
        if row["is_sealed"]:
            row["payload"] = vault.open(row["payload"], about_message(row["device"], row["digest"]))
    return tables
