"""A site's folder: make it, lock it, open its database, and find the time from which its clock continues."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Final

from sqlalchemy import Engine

from bridge.clock import Clock, anchored_clock
from bridge.config import CERTIFICATES_NAME, CONFIG_NAME, DATABASE_NAME, Settings
from bridge.config_file import render
from bridge.domain.codes.rules import HOUR_MS
from bridge.errors import SiteError, SiteInUse, StoreError
from bridge.ingest.ports import StoreUnavailable
from bridge.store.epochs import claim
from bridge.store.migrate import migrate
from bridge.store.queries import newest_ms
from bridge.store.sqlite import check_writable, open_engine, pass_over
from bridge.vault import KeyFolder

logger = logging.getLogger("dockbridge")

CLOCK_BEHIND_MS: Final = 60_000
"""If the wall clock is behind the newest stored time by more than this, the server logs a warning."""
HALF_MADE: Final = ".init"
"""The end of the name of a folder in which a site is being made."""
AWAY_MS: Final = HOUR_MS
"""A longer time without a running server does not count as age: the server moves the time of every waiting row, which takes one write for each."""


def make_site(directory: Path, settings: Settings, also: Callable[[Path], object] | None = None) -> None:
    """Make a site's folder, whole or not at all: its configuration and its database; and its first key, outside of it.

    Everything is made in a folder beside its place, and moved when it is complete; the configuration comes last, because it makes the folder a site.

    Args:
        also: makes what else belongs into the folder that it is given.

    Raises:
        SiteError: if the folder is a site already, has another database, or can't be written.
    """
    if directory.exists() and not directory.is_dir():
        raise SiteError(f"{directory} is a file; a site is a folder", fix="choose another name")
    if (directory / CONFIG_NAME).exists():
        raise SiteError(f"{directory} is a site already", fix="choose another folder, or use this site")
    half = half_made(directory)
    keys = KeyFolder.of(directory, settings)
    try:
        _clear_half_made(directory, half)
        if (path := directory / DATABASE_NAME).exists() and path.stat().st_size:
            fix = f"put the copy of its {CONFIG_NAME} back, or choose another folder"
            raise SiteError(f"{directory} has a database, but no {CONFIG_NAME}: it was a site", fix=fix)
        half.mkdir(parents=True, mode=0o750)
        if (directory / CERTIFICATES_NAME).is_dir():
            shutil.copytree(directory / CERTIFICATES_NAME, half / CERTIFICATES_NAME)  # devices trust this authority already
        engine = open_engine(half / DATABASE_NAME)
        migrate(engine, half / DATABASE_NAME)
        claim(engine, settings.site.name)
        engine.dispose()
        if also is not None:
            also(half)
        (half / CONFIG_NAME).write_text(render(settings), encoding="utf-8")
        _move_whole(half, directory)
        if not keys.keys():
            keys.make(now_ms=time.time_ns() // 1_000_000)
    except (OSError, StoreUnavailable) as error:
        raise SiteError(f"{directory} can't be written: {error}", fix="choose a folder that you may write to") from error
    finally:
        with suppress(OSError):
            _clear_half_made(directory, half)


def half_made(directory: Path) -> Path:
    """Where a site is made before it is complete; such a folder is left only if `init` was killed."""
    directory = directory.absolute()
    return directory / HALF_MADE if directory.is_dir() else directory.with_name(f".{directory.name}{HALF_MADE}")


def _move_whole(half: Path, directory: Path) -> None:
    if half.parent != directory.absolute():
        half.rename(directory)
        return
    for path in sorted(half.iterdir(), key=lambda path: path.name == CONFIG_NAME):
        if path.is_dir() and (there := directory / path.name).is_dir():
            for file in path.iterdir():
                file.replace(there / file.name)
        else:
            path.replace(directory / path.name)


def _clear_half_made(directory: Path, half: Path) -> None:
    """Remove what an `init` that was killed has left; also the database if it was moved already: without the configuration nothing can have used it."""
    if (half / CONFIG_NAME).exists() and not (half / DATABASE_NAME).exists():
        (directory / DATABASE_NAME).unlink(missing_ok=True)
    if half.exists():
        shutil.rmtree(half)


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
