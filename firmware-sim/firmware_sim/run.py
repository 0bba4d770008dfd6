"""A scenario is lived through on a link, and what happened is its record."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final

from bridge.config import CONFIG_NAME, DATABASE_NAME
from bridge.config_file import parse, render
from bridge.site_folder import make_site
from bridge.store.registry import Registry
from bridge.store.sqlite import open_engine
from devices.protocol.vocabulary import Role
from firmware_sim.crew import Crew, build, settings_of, site_of
from firmware_sim.errors import BadScenario
from firmware_sim.link.simulated import SimulatedRun
from firmware_sim.link.virtual import VirtualLoop
from firmware_sim.link.weather import Weather
from firmware_sim.record import SERVER, Noted, Record
from firmware_sim.scenario import Scenario

STARTS_MS: Final = 1_767_600_000_000
"""When simulated days begin: the fifth of January 2026, 08:00 UTC."""
QUICK_DISK: Final = Path("/dev/shm")  # noqa: S108 -- a file system in memory: SQLite's own work is real, the disk's is simulated


def run_simulated(scenario: Scenario, seed: int, *, load: float | None = None, folder: Path | None = None) -> Record:
    """Live through a scenario in virtual time. The same seed gives the same record.

    Args:
        load: the share of the belts' events; `scenario.simulated_load` if not given.
        folder: where the site's folder is made, and kept; otherwise it is gone afterwards.
    """
    _check_kinds(scenario)
    crew = build(scenario, seed, load=load if load is not None else scenario.simulated_load)
    record = new_record(scenario, seed, crew, "simulated")
    loop = VirtualLoop(STARTS_MS)
    record.started_ms = loop.now_ms()
    with _site_folder(folder) as site, _server_log(record, loop):
        _lay_out(site, scenario, crew)
        run = SimulatedRun(loop, seed, record, site, crew.firmwares)
        run.weather = Weather(scenario.faults, list(crew.firmwares), run, ends_s=scenario.day_s, now_ms=loop.now_ms, see=run.see)
        try:
            loop.run_until_complete(run.live(day_s=scenario.day_s, patience_s=scenario.patience_s, calm_s=scenario.calm_s))
        finally:
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
            loop.close()
    record.ended_ms = loop.now_ms()
    return record


def _check_kinds(scenario: Scenario) -> None:
    for n, group in enumerate(scenario.scanners):
        if group.kind == "library":
            raise BadScenario(
                f"scanners[{n}].kind: the device library has sockets and threads of its own, which have no place in virtual time",
                fix='take --link mqtt, or kind = "simulated"',
            )


def new_record(scenario: Scenario, seed: int, crew: Crew, link: str) -> Record:
    """A record with nothing in it yet."""
    return Record(
        scenario=scenario.name,
        seed=seed,
        site=site_of(scenario),
        link=link,
        cast=crew.cast,
        expected=crew.expected,
        alerts=tuple((code, subject or "*") for code, _, subject in (pattern.partition("/") for pattern in scenario.expect.standing)),
        alerts_due=tuple(code.value for code in scenario.expect.raised),
    )


# --- the site ------------------------------------------------------------------------------------------------------------------


def _lay_out(site: Path, scenario: Scenario, crew: Crew) -> None:
    """Make the site's folder, with every device enrolled. A sweep does it thousands of times: the database is made once and copied."""
    settings = settings_of(scenario)
    enrolled = tuple((c.device, c.role, c.courier) for c in crew.cast.values())
    database = _database(settings.site.name, enrolled)
    (site / CONFIG_NAME).write_text(render(settings), encoding="utf-8")
    (site / DATABASE_NAME).write_bytes(database)


@lru_cache(maxsize=8)
def _database(name: str, enrolled: tuple[tuple[str, str, str | None], ...]) -> bytes:
    with tempfile.TemporaryDirectory(prefix="dockbridge-sim-") as folder:
        made = Path(folder) / "site"
        make_site(made, parse({"site": {"name": name}}))
        engine = open_engine(made / DATABASE_NAME)
        registry = Registry(engine, engine, name)
        for device, role, courier in enrolled:
            registry.add(device, Role(role), courier=courier, now_ms=STARTS_MS, with_secret=False)
        engine.dispose()  # the last connection's end brings the whole of it into one file
        return (made / DATABASE_NAME).read_bytes()


@contextmanager
def _site_folder(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="dockbridge-sim-", dir=QUICK_DISK if QUICK_DISK.is_dir() else None) as made:
        yield Path(made)


@contextmanager
def _server_log(record: Record, loop: VirtualLoop) -> Iterator[None]:
    """What the server says in its log goes into the record instead of onto the terminal."""
    logger = logging.getLogger("dockbridge")
    handler = _IntoRecord(record, loop)
    propagates, level = logger.propagate, logger.level
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagates
        logger.setLevel(level)


class _IntoRecord(logging.Handler):
    def __init__(self, record: Record, loop: VirtualLoop) -> None:
        super().__init__()
        self._record = record
        self._loop = loop

    def emit(self, record: logging.LogRecord) -> None:
        self._record.entries.append(Noted(self._loop.now_ms(), SERVER, f"{record.levelname.lower()}: {record.getMessage()}"))
