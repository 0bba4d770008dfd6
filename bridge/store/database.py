"""The database as a file: what an operator does with the whole of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import Engine, delete

from bridge.errors import Refused
from bridge.operations.ports import CheckReport, OnProgress
from bridge.store.check import check_database
from bridge.store.migrate import backup
from bridge.store.relations import chunks
from bridge.store.sqlite import translated
from bridge.store.tables import quarantine


class DatabaseFile:
    """A site's database, read through `reader`."""

    def __init__(self, path: Path, reader: Engine) -> None:
        self.path = path
        self._reader = reader

    def check(self, on_progress: OnProgress) -> CheckReport:
        """Compare all derived rows with the events, in their state at one moment."""
        return check_database(self._reader, on_progress)

    def backup(self, to: Path) -> None:
        """Copy the whole database, in its state at one moment, and check the copy.

        Raises:
            Refused: if the file exists already.
            StoreError: if the copy can't be written, or is damaged.
        """
        if to.exists():
            raise Refused(f"{to} exists already", fix="choose another name, or remove it first")
        backup(self.path, to)


def drop_quarantined(engine: Engine, nos: Sequence[int]) -> None:
    """Delete entries from the quarantine, all of them at once."""
    with translated(), engine.begin() as connection:
        for some in chunks(list(nos)):
            connection.execute(delete(quarantine).where(quarantine.c.no.in_(some)))
