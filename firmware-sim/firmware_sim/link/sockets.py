"""Real MQTT over real sockets: the scenarios of the simulated link, against a production server in its own process, or against a bridge that runs already.

What happens when depends on the machine: the same seed gives the same plan, and never the same record.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bridge.config import DATABASE_NAME
from bridge.site_folder import make_site
from bridge.store.registry import Registry
from bridge.store.sqlite import open_engine
from bridge.vault import KeyFolder, Vault, folder_of_keys
from devices.protocol.vocabulary import Role
from firmware_sim.crew import Crew, Kinds, build, settings_of
from firmware_sim.errors import BadScenario, NoPassword
from firmware_sim.link import eyes, loops
from firmware_sim.link.library import LibraryScanner
from firmware_sim.link.own_server import OwnServer
from firmware_sim.link.progress import Progress
from firmware_sim.link.simulated import read_tables
from firmware_sim.link.socket_run import SocketsRun, Terms
from firmware_sim.link.users import ForeignCourier, ForeignScanner
from firmware_sim.link.weather import Weather, kind_of
from firmware_sim.record import Cast, Record
from firmware_sim.run import new_record
from firmware_sim.scenario import Scenario

TIMEOUT_S: Final = 3_600.0
OURS: Final = Kinds(library=LibraryScanner)
FOREIGN: Final = Kinds(scanner=ForeignScanner, library=ForeignScanner, courier=ForeignCourier)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBridge:
    """A bridge that runs already, and the password of every device that it is to admit."""

    host: str
    port: int
    passwords: dict[str, str]


def run_sockets(
    scenario: Scenario,
    seed: int,
    *,
    speed: float = 1.0,
    load: float = 1.0,
    at: RunningBridge | None = None,
    client: Sequence[str] = (),
    on_progress: Callable[[Progress], None] | None = None,
    timeout_s: float = TIMEOUT_S,
    folder: Path | None = None,
) -> Record:
    """Live through a scenario over real MQTT.

    Args:
        speed: pauses of people and the times of faults are divided by it; what the network needs is not.
        load: the share of the belts' events.
        at: a bridge that runs already; otherwise the run has a site and a server of its own.
        client: a command that runs a program for each scanner and phone; without it they are simulated.
        timeout_s: the run ends after so many seconds, finished or not.
        folder: where its own site is made, and kept; otherwise it is gone afterwards.

    Raises:
        BadScenario: a fault of the scenario is done to the server, and the server is not the run's own.
        SimError: the bridge can't be reached, does not admit a device, or does not come up; a client's program failed.
    """
    crew = build(scenario, seed, speed=speed, load=load, kinds=FOREIGN if client else OURS)
    record = new_record(scenario, seed, crew, "mqtt")
    now_ms = loops.anchored_ms()
    record.started_ms = now_ms()

    terms = Terms(now_ms=now_ms, speed=speed, timeout_s=timeout_s, on_progress=on_progress, client=tuple(client))

    async def live(passwords: dict[str, str], aside: Path, site: Path | None = None) -> None:
        server = OwnServer(site, record, now_ms, speed=speed) if site is not None else None
        address = (at.host, at.port) if at is not None else None
        run = SocketsRun(record, seed, crew.firmwares, passwords, server=server, address=address, terms=terms, folder=aside)

        def weather(world: SocketsRun) -> Weather:
            return Weather(scenario.faults, list(crew.firmwares), world, ends_s=scenario.day_s, now_ms=now_ms, see=record.entries.append)

        try:
            await run.live(weather, day_s=scenario.day_s, patience_s=scenario.patience_s, calm_s=scenario.calm_s)
        finally:
            if server is not None:
                await server.abandon()

    with tempfile.TemporaryDirectory(prefix="dockbridge-sim-") as made:
        if at is not None:
            _check_foreign(scenario, crew, at.passwords)
            _run(live(at.passwords, Path(made)))
        else:
            site = folder or Path(made) / "site"
            _run(live(_make_site(site, scenario, crew), Path(made), site))
            keys = KeyFolder(folder_of_keys(site, ""), settings_of(scenario).site.name)
            record.end.tables = read_tables(site / DATABASE_NAME, Vault(keys.keys))
    record.ended_ms = now_ms()
    return record


def _check_foreign(scenario: Scenario, crew: Crew, passwords: dict[str, str]) -> None:
    """Refuse what can't be done to a server that is not the run's own, before anything is done."""
    for n, fault in enumerate(scenario.faults):
        if fault.NEEDS_SERVER:
            raise BadScenario(
                f"faults[{n}]: {kind_of(fault)} is done to the server, and the one at this address is not the run's own",
                fix="leave the address out, so that the run starts a server of its own; or take the fault out",
            )
    missing = [device for device in crew.firmwares if device not in passwords]
    if missing:
        raise NoPassword(
            f"there is no password for {', '.join(missing)}", fix="enrol the device with `dockbridge device add` and add what it prints to the credentials"
        )


# --- its own site ------------------------------------------------------------------------------------------------------------------


def _make_site(site: Path, scenario: Scenario, crew: Crew) -> dict[str, str]:
    """Make the site, and enrol every device, and a desk that looks at what is retained at the end. Returns their passwords."""
    settings = settings_of(scenario)
    make_site(site, settings)
    engine = open_engine(site / DATABASE_NAME)
    registry = Registry(engine, engine, settings.site.name)
    passwords = {}
    for c in (*crew.cast.values(), Cast(device=eyes.NAME, role=Role.DESK.value)):
        passwords[c.device] = registry.add(c.device, Role(c.role), courier=c.courier, now_ms=time.time_ns() // 1_000_000) or ""
    engine.dispose()
    return passwords


# --- the loop ----------------------------------------------------------------------------------------------------------------------


def _run(work: Coroutine[Any, Any, None]) -> None:
    """A record only grows, and holds no cycles: looking for them all over again would be most of the work."""
    before = gc.get_threshold()
    gc.collect()
    gc.set_threshold(50_000, 50, 1_000)
    try:
        loops.run(work)
    finally:
        gc.set_threshold(*before)
