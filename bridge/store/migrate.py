"""Migrations: the server runs them when it starts. If one changes the database, the server copies the database first.

Alembic is imported only if there is something to migrate: loading it takes longer than everything else that a command does.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, inspect

from bridge.errors import StoreError
from bridge.ingest.ports import StoreUnavailable
from bridge.store.sqlite import DAMAGED, MEND_DAMAGED, PRIMARY, make_private, translated

NEWEST: Final = "0020"
"""The revision that this program needs: the last one in `migrations/versions`; a test compares them."""


def current_revision(connection: Connection) -> str | None:
    """The revision of a database; None if it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revision: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one_or_none()
    return revision


def migrate(engine: Engine, path: Path, *, keeps_copy: bool = True) -> Path | None:
    """Migrate a database to the newest revision. Returns the path of the copy that was made first; None if none was needed, or wanted.

    Raises:
        StoreError: if a newer version wrote the database, or it can't be copied.
        StoreUnavailable: if it can't be written.
    """
    with translated():
        with engine.connect() as connection:
            current = current_revision(connection)
        if current == NEWEST:
            return None
        if current is not None and current not in known_revisions():
            raise _too_new(current, path)
        copy = backup(path, _copy_before(NEWEST, path)) if current is not None and keeps_copy else None
        with engine.connect() as connection, connection.begin():
            _upgrade(connection)
        return copy


def check_current(engine: Engine, path: Path) -> None:
    """Make sure that a database has the form of this version, before something reads it.

    Raises:
        StoreError: if a newer version wrote it, or this version has not upgraded it yet.
    """
    try:
        with translated(), engine.connect() as connection:
            current = current_revision(connection)
    except StoreUnavailable:
        return  # whatever reads it says why
    if current in (NEWEST, None):
        return
    if current not in known_revisions():
        raise _too_new(current, path)
    raise StoreError(
        f"the database has the form of an older version (revision {current}; this one needs {NEWEST})",
        fix="start the server with this version: `dockbridge serve` copies the database, and then upgrades it",
    )


def _copy_before(revision: str, path: Path) -> Path:
    """The copy that an upgrade to a revision makes first."""
    return path.with_name(f"{path.stem}-before-{revision}.db")


def _too_new(current: str, path: Path) -> StoreError:
    fix = "install the version of dockbridge that wrote it, or a newer one"
    if (copy := _copy_before(current, path)).exists():
        fix += f"; or go back to the copy from before its upgrade, without what was stored since: `dockbridge db restore {copy}`"
    return StoreError(f"the database is at revision {current}, which this version does not know: a newer version has upgraded it", fix=fix)


def known_revisions() -> list[str]:
    """Every revision that this program knows, newest first."""
    from alembic.script import ScriptDirectory

    return [s.revision for s in ScriptDirectory.from_config(_config()).walk_revisions()]


def _upgrade(connection: Connection) -> None:
    from alembic import command

    command.upgrade(_config(connection), "head")


def _config(connection: Connection | None = None) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def backup(path: Path, to: Path) -> Path:
    """Copy a whole live SQLite database, in its state at one moment, and check the copy. The copy is one file.

    Raises:
        StoreError: if the database can't be read, or the copy can't be written, or is damaged.
    """
    partial = to.with_name(to.name + ".part")
    try:
        partial.unlink(missing_ok=True)
        source = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            make_private(partial)
            target = sqlite3.connect(partial)
            try:
                source.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")
                sound = target.execute("PRAGMA quick_check").fetchone()[0]
            finally:
                target.close()
        finally:
            source.close()
        if sound == "ok":
            shutil.move(partial, to)
    except (OSError, sqlite3.Error) as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if getattr(error, "sqlite_errorcode", 0) & PRIMARY in DAMAGED:
            raise StoreError(f"{path} can't be read: {error}", fix=MEND_DAMAGED) from error
        raise StoreError(f"{to} can't be written: {error}", fix="choose a folder that exists, that you may write to, and that has enough free space") from error
    if sound != "ok":
        partial.unlink(missing_ok=True)
        raise StoreError(f"{path} is damaged: {sound}", fix=MEND_DAMAGED)
    return to
