"""Put a backup in the place of a site's database: check it, keep the present one aside, swap whole, and say what is missing since.

The copy is made ready beside the present database, under another name. Only then the two are renamed, so that a crash leaves the old one, the new one, or
none (and then the server says so); never a mixture. SQLite's `-wal` and `-shm` go with the database that they belong to.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from msgspec import Struct
from sqlalchemy import Engine

from bridge.bounds import rules_of
from bridge.config import CONFIG_NAME, CREDENTIALS_NAME, DATABASE_NAME, LOCK_NAME, NAME_A_SITE, PRIVACY_NAME, Settings
from bridge.config_file import load
from bridge.durable import sync_folder
from bridge.errors import NoSite, StoreError
from bridge.ingest.ports import StoreUnavailable
from bridge.ingest.replay import NoSessions
from bridge.operations.ports import CheckReport
from bridge.serving.open_site import IngestOf
from bridge.site_folder import take_lock
from bridge.store.check import check_database
from bridge.store.credentials import CredentialsLog
from bridge.store.epochs import begin_epoch, claim, current_epoch
from bridge.store.forgetting import PrivacyLog
from bridge.store.migrate import backup, migrate
from bridge.store.queries import newest_ms
from bridge.store.replaying import rebuild
from bridge.store.salvaging import salvage_tables
from bridge.store.sqlite import PRIVATE, open_engine

READY_NAME: Final = "restoring.db"
BESIDE: Final = ("", "-wal", "-shm")
"""The files of one SQLite database."""
FAULTS_NAMED_MAX: Final = 5

OnStep = Callable[[str], None]
"""Called with what begins now."""


class Verified(Struct, frozen=True, kw_only=True):
    """What a backup holds."""

    file: str
    events: int
    orders: int
    newest_ms: int
    epoch: int


class LostSince(Struct, frozen=True, kw_only=True):
    """Events of one device that the replaced database had and the restored one lacks; when they were received."""

    device: str
    events: int
    from_ms: int
    to_ms: int


class Restored(Struct, frozen=True, kw_only=True):
    """What a restore has done. `lost` is None if the replaced database could not be read. `devices` and `people` are those whose credentials were set as they
    were last; `forgotten` counts the orders that were forgotten since the backup, and are again."""

    epoch: int
    events: int
    orders: int
    newest_ms: int
    kept_aside: str | None
    lost: list[LostSince] | None
    devices: list[str]
    people: list[str]
    forgotten: int


class Salvaged(Struct, frozen=True, kw_only=True):
    """What could be read of a damaged database. `unreadable` counts the gaps: places at which rows were passed over, by table."""

    file: str
    events: int
    orders: int
    unreadable: dict[str, int]


def verify(directory: Path, file: Path, on_step: OnStep) -> Verified:
    """Check a backup as a restore would, on a copy; the site is not touched, and may be running.

    Raises:
        StoreError: if it can't be restored, and why.
    """
    with ExitStack() as life:
        settings = _settings(directory)
        ready = _Ready(directory / f"verify-{os.getpid()}.db", settings, life)
        ready.take(file, on_step)
        report = ready.prove(on_step)
        newest = newest_ms(ready.engine)
        return Verified(file=str(file), events=report.events, orders=report.orders, newest_ms=newest, epoch=current_epoch(ready.engine))


def restore(directory: Path, file: Path, ingest_of: IngestOf, on_step: OnStep, *, derive: bool = False) -> Restored:
    """Put a backup in the place of a site's database, and begin a new epoch. No server may run.

    Args:
        derive: derive all orders anew from the events of the backup, instead of refusing a backup in which the two disagree.

    Raises:
        NoSite, SiteInUse: see `OpenSite`.
        StoreError: if the backup can't be restored, and why; nothing has changed then.
    """
    with ExitStack() as life:
        settings = _settings(directory)
        life.enter_context(take_lock(directory / LOCK_NAME))
        present, log = directory / DATABASE_NAME, CredentialsLog(directory / CREDENTIALS_NAME)
        ready = _Ready(directory / READY_NAME, settings, life)
        ready.take(file, on_step)
        if derive:
            ready.derive(ingest_of, on_step)
        report = ready.prove(on_step)
        newest = newest_ms(ready.engine)
        on_step("comparing it with the present database")
        lost = _lost_since(present, ready.path)
        with ready.engine.begin() as connection:
            devices, people = log.apply(connection), log.apply_people(connection, _now_ms())
            forgotten = PrivacyLog(directory / PRIVACY_NAME).apply(connection)
        epoch = begin_epoch(ready.engine, now_ms=_now_ms(), after=max(log.epoch(), _epoch_of(present)))
        log.append_epoch(epoch)
        ready.close()
        aside = _put_aside(directory)
        os.replace(ready.path, present)
        sync_folder(directory)
        return Restored(
            epoch=epoch,
            events=report.events,
            orders=report.orders,
            newest_ms=newest,
            kept_aside=str(aside) if aside is not None else None,
            lost=lost,
            devices=devices,
            people=people,
            forgotten=len(forgotten),
        )


def salvage(directory: Path, to: Path, ingest_of: IngestOf, on_step: OnStep, *, file: Path | None = None) -> Salvaged:
    """Make a new database of what can be read of a damaged one, by default the site's own, and derive all orders from its events. The damaged one stays.

    Raises:
        NoSite, SiteInUse: see `OpenSite`.
        StoreError: if nothing of it can be read, or the new file exists.
        OSError: if the new file can't be written.
    """
    with ExitStack() as life:
        settings = _settings(directory)
        life.enter_context(take_lock(directory / LOCK_NAME))
        if to.exists():
            raise StoreError(f"{to} exists already", fix="choose another name, or remove it first")
        new = _Ready(to.with_name(f"{to.name}.part"), settings, life)
        on_step("reading what can be read")
        unreadable = salvage_tables(file or directory / DATABASE_NAME, new.empty())
        new.derive(ingest_of, on_step)
        report = new.prove(on_step)
        new.close()
        os.replace(new.path, to)
        sync_folder(to.parent)
        return Salvaged(file=str(to), events=report.events, orders=report.orders, unreadable=unreadable)


class _Ready:
    """A database that is being made ready, in a file of its own; removed in the end, unless it was renamed."""

    def __init__(self, path: Path, settings: Settings, life: ExitStack) -> None:
        self.path = path
        self._settings = settings
        life.callback(self._remove)
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        if self._engine is None:
            self._engine = open_engine(self.path)
        return self._engine

    def empty(self) -> Engine:
        """An empty database of this version."""
        self._remove()
        self.path.touch(mode=PRIVATE)
        migrate(self.engine, self.path)
        claim(self.engine, self._settings.site.name)
        return self.engine

    def take(self, file: Path, on_step: OnStep) -> None:
        """Copy a backup, and bring it to this version's form."""
        on_step(f"copying {file}")
        if not file.is_file() or not file.stat().st_size:
            raise StoreError(f"{file} is {'empty' if file.is_file() else 'not a file'}", fix="name a file that `dockbridge db backup` has written")
        self._remove()
        backup(file, self.path)
        try:
            migrate(self.engine, self.path, keeps_copy=False)
            claim(self.engine, self._settings.site.name)
        except StoreUnavailable as error:
            raise StoreError(f"{file} is not a database of dockbridge: {error}", fix="name a file that `dockbridge db backup` has written") from error

    def derive(self, ingest_of: IngestOf, on_step: OnStep) -> None:
        """Derive everything anew from the events."""
        on_step("deriving all orders from their events")
        rules = replace(rules_of(self._settings, self.path.parent), epoch=current_epoch(self.engine))
        now_ms = newest_ms(self.engine)
        with self.engine.begin() as connection:
            rebuild(connection, ingest_of(rules, self._settings, NoSessions()), now_ms=now_ms)

    def prove(self, on_step: OnStep) -> CheckReport:
        """Check it: SQLite's pages, and each order's state against its events.

        Raises:
            StoreError: naming faults.
        """
        on_step("checking each order against its events")
        report = check_database(self.engine, lambda _done, _all: None)
        if report.faults:
            more = f" and {len(report.faults) - FAULTS_NAMED_MAX} more" if len(report.faults) > FAULTS_NAMED_MAX else ""
            raise StoreError(
                f"the backup is not sound: {'; '.join(report.faults[:FAULTS_NAMED_MAX])}{more}",
                fix="take an older backup; or, if only states differ, restore it with --derive, which derives them anew from the events",
            )
        return report

    def close(self) -> None:
        """Let go of the file; SQLite then moves its write-ahead log into it."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def _remove(self) -> None:
        self.close()
        for end in BESIDE:
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)


def _settings(directory: Path) -> Settings:
    if not (directory / CONFIG_NAME).exists():
        raise NoSite(f"{directory.absolute()} is not a site", fix=NAME_A_SITE)
    return load(directory / CONFIG_NAME)


def _put_aside(directory: Path) -> Path | None:
    """Move the present database, with what belongs to it, into a folder of its own; None if there is none."""
    names = [DATABASE_NAME + end for end in BESIDE]
    if not any((directory / name).exists() for name in names):
        return None
    aside = directory / f"replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    aside.mkdir(mode=0o700)
    for name in names:
        if (directory / name).exists():
            os.replace(directory / name, aside / name)
    sync_folder(aside)
    sync_folder(directory)
    return aside


def _lost_since(present: Path, restored: Path) -> list[LostSince] | None:
    """What the present database has and the restored one lacks; None if it can't be read. The log is append-only, so that this is its end."""
    if not present.exists():
        return None
    query = (
        "SELECT device, count(*), min(received_ms), max(received_ms) FROM events AS e WHERE role <> 'bridge' AND pos > ? "
        "AND NOT EXISTS (SELECT 1 FROM restored.events AS r WHERE r.id = e.id AND r.device = e.device) GROUP BY device ORDER BY device"
    )
    try:
        with closing(sqlite3.connect(f"{present.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("ATTACH ? AS restored", (f"{restored.absolute().as_uri()}?mode=ro",))
            (from_pos,) = connection.execute("SELECT coalesce(max(r.pos), 0) FROM restored.events AS r JOIN events AS e USING (pos, id, device)").fetchone()
            return [LostSince(device=d, events=n, from_ms=a, to_ms=b) for d, n, a, b in connection.execute(query, (from_pos,))]
    except sqlite3.Error:
        return None


def _epoch_of(present: Path) -> int:
    """The epoch of the present database; 0 if it can't be read."""
    try:
        with closing(sqlite3.connect(f"{present.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (epoch,) = connection.execute("SELECT coalesce(max(epoch), 0) FROM epochs").fetchone()
            return int(epoch)
    except sqlite3.Error:
        return 0


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)
