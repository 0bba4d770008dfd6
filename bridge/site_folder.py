"""A site's folder: make it, lock it, open its database, and find the time from which its clock continues."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from sqlalchemy import Engine

from bridge.clock import Clock, anchored_clock
from bridge.config import CONFIG_NAME, DATABASE_NAME, Settings, render
from bridge.domain.codes.rules import HOUR_MS
from bridge.errors import SiteError, SiteInUse, StoreError
from bridge.ingest.ports import StoreUnavailable
from bridge.store.epochs import claim
from bridge.store.migrate import migrate
from bridge.store.queries import newest_ms
from bridge.store.sqlite import check_writable, open_engine, pass_over

logger = logging.getLogger("dockbridge")

CLOCK_BEHIND_MS: Final = 60_000
"""If the wall clock is behind the newest stored time by more than this, the server logs a warning."""
AWAY_MS: Final = HOUR_MS
"""A longer time without a running server does not count as age: the server moves the time of every waiting row, which takes one write for each."""


def make_site(directory: Path, settings: Settings) -> None:
    """Make a site's folder: its configuration and its database.

    Raises:
        SiteError: if the folder is a site already, or can't be written.
    """
    config = directory / CONFIG_NAME
    if config.exists():
        raise SiteError(f"{directory} is a site already", fix="choose another folder, or use this site")
    if directory.exists() and not directory.is_dir():
        raise SiteError(f"{directory} is a file; a site is a folder", fix="choose another name")
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o750)
        engine = open_engine(directory / DATABASE_NAME)
        migrate(engine, directory / DATABASE_NAME)
        claim(engine, settings.site.name)
        engine.dispose()
        config.write_text(render(settings), encoding="utf-8")
    except (OSError, StoreUnavailable) as error:
        raise SiteError(f"{directory} can't be written: {error}", fix="choose a folder that you may write to") from error


def take_lock(path: Path) -> IO[str]:
    """Lock the site for this process, until the file is closed.

    Raises:
        SiteInUse: if another process has locked it.
        SiteError: if the file can't be written.
    """
    try:
        lock = path.open("a+")
    except OSError as error:
        fix = "run the command as the owner of the site's folder, or check its permissions"
        raise SiteError(f"{path} can't be opened: {error.strerror}", fix=fix) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.seek(0)
        holder = lock.read().strip() or "unknown"
        lock.close()
        raise SiteInUse(f"process {holder} serves this site", fix="use the running server, or stop it first") from None
    with suppress(OSError):  # the disk may be full; the lock also holds without the process id, which only people read
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), str(os.getpid()).encode())
    return lock


def check_present(path: Path) -> None:
    """Make sure that a site's database is there: SQLite would make an empty one, and all orders would be gone without a word.

    Raises:
        StoreError: if it is missing or empty.
    """
    size = path.stat().st_size if path.exists() else None
    if not size:
        raise StoreError(
            f"{path} is {'missing' if size is None else 'empty'}, but {CONFIG_NAME} is here: this site had a database",
            fix=f"put a backup in its place with `dockbridge db restore FILE`; or, to begin anew without its orders and devices, move {CONFIG_NAME} away "
            "and run `dockbridge init`",
        )


def open_database(path: Path, settings: Settings) -> Engine:
    """Open a site's database for writing, and migrate it to this version's form.

    Raises:
        StoreError: if it is not there, was written by a newer version, or belongs to another site.
        StoreUnavailable: if it can't be written.
    """
    check_present(path)
    engine = open_engine(path, cache_bytes=settings.ingest.database_cache_bytes, log_bytes=settings.ingest.database_log_bytes)
    copy = migrate(engine, path)
    check_writable(engine)
    claim(engine, settings.site.name)
    if copy is not None:
        logger.warning("migrated the database to this version's form; %s is a copy of the old one", copy)
    return engine


def clock_after(engine: Engine) -> Clock:
    """A clock that continues from the end of the last run, whatever happened to the wall clock since.

    If the wall clock was set back, times continue from the newest stored one: an order must not be packed before it was picked. Time in which no server ran,
    or by which the wall clock was set forward, does not count as age for sessions and waiting messages.

    Raises:
        StoreUnavailable: if the store can't take writes now.
    """
    stored_ms = newest_ms(engine)
    away_ms = time.time_ns() // 1_000_000 - stored_ms
    if stored_ms and away_ms < -CLOCK_BEHIND_MS:
        logger.warning(
            "the clock is %.1f hours behind the newest time in the database; the server continues from that time. Check the system's clock, then restart",
            -away_ms / HOUR_MS,
        )
    elif stored_ms and away_ms > AWAY_MS:
        logger.warning("the newest time in the database is %.1f hours old; this does not count as age for sessions and waiting messages", away_ms / HOUR_MS)
        pass_over(engine, away_ms)
    return anchored_clock(stored_ms)
