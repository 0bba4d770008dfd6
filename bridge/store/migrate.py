"""Migrations: run when the server starts, after a copy of the database where one changes it."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from bridge.errors import StoreError
from bridge.store.sql import translated


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def newest_revision() -> str:
    """The revision that this program works with."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


def current_revision(connection: Connection) -> str | None:
    """The revision of a database; None where it is empty."""
    return MigrationContext.configure(connection).get_current_revision()


def migrate(engine: Engine, path: Path) -> Path | None:
    """Bring a database to the newest revision; the copy that was made before, where there was something to copy.

    Raises:
        StoreError: where the database was written by a newer program.
        StoreUnavailable: where it can't be written.
    """
    with translated():
        with engine.connect() as connection:
            current = current_revision(connection)
        if current == newest_revision():
            return None
        if current is not None and current not in {s.revision for s in ScriptDirectory.from_config(_config()).walk_revisions()}:
            raise StoreError(
                f"the database is at revision {current}, which this version does not know",
                fix="install the version of dockbridge that wrote it, or a newer one",
            )
        copy = backup(path, path.with_name(f"{path.stem}-before-{newest_revision()}.db")) if current is not None else None
        with engine.connect() as connection, connection.begin():
            command.upgrade(_config(connection), "head")
        return copy


def backup(path: Path, to: Path) -> Path:
    """Copy a live SQLite database whole, as of one moment, and check the copy.

    Raises:
        StoreError: where the copy is not sound.
    """
    partial = to.with_name(to.name + ".part")
    partial.unlink(missing_ok=True)
    source = sqlite3.connect(path)
    target = sqlite3.connect(partial)
    try:
        source.backup(target)
        sound = target.execute("PRAGMA quick_check").fetchone()[0]
    finally:
        target.close()
        source.close()
    if sound != "ok":
        raise StoreError(f"the copy of {path} is damaged: {sound}", fix="check the disk, then run `dockbridge db check`")
    shutil.move(partial, to)
    return to
