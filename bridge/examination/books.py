"""A site's database as a doctor looks at it: read only, and as much of it as can be read."""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Sequence
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection

from bridge.config import CREDENTIALS_NAME, DATABASE_NAME
from bridge.examination.machine import open_files
from bridge.ingest.ports import StoreUnavailable
from bridge.operations.doctor.patient import DatabaseState, Holder, LostChange
from bridge.operations.ports import OnProgress
from bridge.projections.alerts import ORDER_ALERTS
from bridge.store.check import differing_orders, orders_with_events, sample_orders
from bridge.store.credentials import CredentialsLog
from bridge.store.epochs import current_epoch
from bridge.store.migrate import NEWEST
from bridge.store.queries import newest_ms
from bridge.store.registry import device_of
from bridge.store.relations import marks
from bridge.store.sql import SqlTransaction
from bridge.store.sqlite import MEND_DAMAGED, open_engine, translated
from bridge.store.tables import metadata
from devices.protocol.topics import Topics

_PAGES_MAX: Final = 100
"""Faults of pages that are named."""
_TOPICS_MAX: Final = 1_000
_LOG_HEADER: Final = struct.Struct("=IIIBBHI")
"""The beginning of SQLite's index of its write-ahead log (sqlite.org/walformat.html §2): version, …, page size, number of the last frame."""
_LOG_MOVED: Final = struct.Struct("=I")
_LOG_MOVED_AT: Final = 96
"""Where that index says how many frames are in the database already."""
_STRAY_PARCELS: Final = """
    SELECT p.order_id, p.parcel FROM parcels p LEFT JOIN orders o ON o.order_id = p.order_id WHERE o.order_id IS NULL OR o.state = '' LIMIT ?
"""
_STRAY_ALERTS: Final = f"""
    SELECT a.code, a.subject FROM alerts a LEFT JOIN orders o ON o.order_id = a.subject
    WHERE a.code IN ({marks(ORDER_ALERTS)}) AND (o.order_id IS NULL OR o.state = '') LIMIT ?
"""  # noqa: S608 -- placeholders only


class SiteDatabase:
    """See `operations.doctor.patient.Database`.

    Args:
        site: the site's name, as the configuration says it.
        server: the process that has locked the site.
    """

    def __init__(self, directory: Path, site: str, server: int | None) -> None:
        self._path = directory / DATABASE_NAME
        self._credentials = CredentialsLog(directory / CREDENTIALS_NAME)
        self._site = site
        self._server = server
        self._reader = open_engine(self._path, read_only=True)
        self.fix: str | None = None

    @cached_property
    def _found(self) -> tuple[DatabaseState, str]:
        if not self._path.exists():
            return DatabaseState.MISSING, ""
        if not self._path.stat().st_size:
            return DatabaseState.EMPTY, ""
        try:
            with translated(), closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                return self._state_of(connection)
        except StoreUnavailable as error:
            self.fix = error.fix if error.fix != MEND_DAMAGED else None
            return DatabaseState.UNREADABLE, str(error)

    def _state_of(self, connection: sqlite3.Connection) -> tuple[DatabaseState, str]:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        if "alembic_version" not in tables:
            return DatabaseState.UNREADABLE, "it is not a database of dockbridge"
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        if row is None:
            return DatabaseState.UNREADABLE, "it was not made whole"
        (revision,) = row
        if revision != NEWEST:
            return (DatabaseState.OLDER if revision < NEWEST else DatabaseState.NEWER), revision
        owner = connection.execute("SELECT name FROM site").fetchone()
        if owner is not None and owner[0] != self._site:
            return DatabaseState.FOREIGN, str(owner[0])
        return DatabaseState.READABLE, ""

    @property
    def state(self) -> DatabaseState:
        return self._found[0]

    @property
    def detail(self) -> str:
        return self._found[1]

    def page_faults(self, *, deep: bool) -> Sequence[str]:
        check = "integrity_check" if deep else "quick_check"
        try:
            with translated(), self._reader.connect() as connection:
                return [r[0] for r in _driver(connection).execute(f"PRAGMA {check}({_PAGES_MAX})") if r[0] != "ok"]
        except StoreUnavailable as error:
            if error.fix != MEND_DAMAGED:
                raise
            return [str(error)]

    def differing_orders(self, *, orders_max: int | None, on_progress: OnProgress) -> Sequence[str]:
        with translated(), self._reader.connect() as connection, connection.begin():
            tx = SqlTransaction(connection)
            ids = sample_orders(tx, orders_max) if orders_max is not None else orders_with_events(tx)
            return list(differing_orders(tx, ids, on_progress))

    def shown_without_order(self) -> Sequence[str]:
        topics = Topics(self._site)
        codes = [alert.code.value for alert in ORDER_ALERTS]
        with translated(), self._reader.connect() as connection:
            driver = _driver(connection)
            parcels = driver.execute(_STRAY_PARCELS, (_TOPICS_MAX,)).fetchall()
            alerts = driver.execute(_STRAY_ALERTS, (*codes, _TOPICS_MAX)).fetchall()
        return [*(topics.parcel(order, parcel) for order, parcel in parcels), *(topics.alert(code, order) for code, order in alerts)]

    def lost_changes(self) -> Sequence[LostChange]:
        with translated(), self._reader.connect() as connection:
            known = {r[0] for r in _driver(connection).execute("SELECT device FROM devices")}
            lost = self._credentials.lost(connection)
        return [LostChange(device_of(row), row["device"] in known) for row in lost]

    def schema(self) -> list[str]:
        """The statements that make its tables and indexes."""
        with translated(), self._reader.connect() as connection:
            return [f"{r[0]};" for r in _driver(connection).execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")]

    def table_counts(self) -> dict[str, int]:
        """How many rows each table has."""
        with translated(), self._reader.connect() as connection:
            driver = _driver(connection)
            return {name: driver.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in metadata.tables}  # noqa: S608 -- names of ours

    @property
    def unmoved_log_bytes(self) -> int:
        try:
            index = self._path.with_name(f"{DATABASE_NAME}-shm").read_bytes()
            *_, page_bytes, frames = _LOG_HEADER.unpack_from(index)
            (moved,) = _LOG_MOVED.unpack_from(index, _LOG_MOVED_AT)
        except (OSError, struct.error):
            return 0
        return int(max(0, frames - moved) * (page_bytes if page_bytes > 1 else 65_536))

    def readers(self) -> Sequence[Holder]:
        path, own = str(self._path.resolve()), (os.getpid(), self._server)
        return [Holder(pid, name) for pid, name in dict.fromkeys((pid, name) for pid, name, file in open_files() if file == path) if pid not in own]

    @property
    def newest_ms(self) -> int:
        return newest_ms(self._reader)

    @property
    def first_ms(self) -> int | None:
        with translated(), self._reader.connect() as connection:
            row = _driver(connection).execute("SELECT now_ms FROM batches ORDER BY no LIMIT 1").fetchone()
            return int(row[0]) if row is not None else None

    @property
    def epoch(self) -> int:
        return current_epoch(self._reader)


def _driver(connection: Connection) -> Any:
    return connection.connection.dbapi_connection
