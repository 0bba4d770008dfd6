"""Backups that the server makes by itself: into a folder, at an interval, the newest few. If one fails, an alert says so until the next one succeeds."""

from __future__ import annotations

import asyncio
import logging
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bridge.config import DATABASE_NAME, BackupSettings, Settings
from bridge.errors import StoreError
from bridge.store.migrate import backup
from devices.protocol.topics import escape
from devices.protocol.vocabulary import AlertCode

if TYPE_CHECKING:
    from bridge.serving.open_site import OpenSite  # a command that only lists backups does not load a server

logger = logging.getLogger("dockbridge")

LOOK_EVERY_S: Final = 60.0
FIRST_AFTER_S: Final = 3_600.0
"""A site that has no backup yet gets its first one after this time: one that is served for a moment needs none."""
RETRY_S: Final = 3_600.0
ROOM: Final = 1.5
"""Free space that must be there, as a multiple of the database's size."""
_STAMP: Final = "%Y%m%dT%H%M%SZ"


class Backups:
    """The backups of one site, in their folder.

    Args:
        site: its name.
        keep: how many are kept.
    """

    def __init__(self, site: str, folder: Path, *, keep: int) -> None:
        self.folder = folder
        self._prefix = f"{escape(site)}-"
        self._keep = keep

    def made(self) -> list[tuple[datetime, Path]]:
        """When each backup in the folder was made, oldest first. Other files are not looked at."""
        found = []
        for path in self.folder.glob(f"{self._prefix}*.db") if self.folder.is_dir() else ():
            try:
                at = datetime.strptime(path.stem.removeprefix(self._prefix), _STAMP).replace(tzinfo=UTC)
            except ValueError:
                continue
            found.append((at, path))
        return sorted(found)

    def make(self, database: Path, now: datetime) -> Path:
        """Make a backup, and remove the oldest ones.

        Raises:
            StoreError: if it can't be made.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise StoreError(f"{self.folder} can't be used: {error.strerror}", fix="set backup.folder to a folder that the server may write to") from error
        needed = round(ROOM * database.stat().st_size)
        if free < needed:
            raise StoreError(
                f"{self.folder} has {free // 2**20:,} MB free; a backup needs {needed // 2**20:,} MB",
                fix="free some space there, lower backup.keep, or set backup.folder to another disk",
            )
        made = backup(database, self.folder / f"{self._prefix}{now:{_STAMP}}.db")
        for _, old in self.made()[: -self._keep]:
            old.unlink(missing_ok=True)
        return made


def backups_of(directory: Path, settings: Settings) -> Backups | None:
    """The backups of the site in a folder; None if it makes none."""
    folder = settings.backup.folder
    return Backups(settings.site.name, directory / folder, keep=settings.backup.keep) if folder else None


async def make_backups(site: OpenSite) -> None:
    """Make a backup whenever one is due by the settings of the moment, until cancelled."""
    first_due = _now(site) + timedelta(seconds=FIRST_AFTER_S)
    failed: tuple[BackupSettings, datetime] | None = None
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        now, settings, backups = _now(site), site.settings.backup, backups_of(site.directory, site.settings)
        retry_due = failed[1] if failed is not None and failed[0] == settings else None
        if backups is None or now < (retry_due or _due(site, backups) or first_due):
            continue
        try:
            await asyncio.to_thread(backups.make, site.directory / DATABASE_NAME, now)
        except StoreError as error:
            logger.error("the backup failed: %s; %s", error, error.fix)
            _alarm(site, f"The scheduled backup failed: {error}.", str(error.fix))
            failed = settings, now + min(_every(site), timedelta(seconds=RETRY_S))
        else:
            _alarm(site, "", "")
            failed = None


def _due(site: OpenSite, backups: Backups) -> datetime | None:
    """When the next backup is due; None if there is none yet."""
    made = backups.made()
    return made[-1][0] + _every(site) if made else None


def _every(site: OpenSite) -> timedelta:
    return timedelta(hours=site.settings.backup.every_h)


def _now(site: OpenSite) -> datetime:
    return datetime.fromtimestamp(site.clock.now_ms() / 1000, UTC)


def _alarm(site: OpenSite, text: str, fix: str) -> None:
    if site.outlet.broker is not None:
        site.outlet.broker.door.alarm(AlertCode.BACKUP, site.settings.site.name, text, fix)
