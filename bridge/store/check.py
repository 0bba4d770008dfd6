"""Check the database: SQLite's pages, the revision that this program expects, and each order's stored hash against its events."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine

from bridge.domain.fold import fold
from bridge.domain.view import OrderView
from bridge.operations.ports import CheckReport, OnProgress
from bridge.store.migrate import NEWEST, current_revision
from bridge.store.sql import SqlTransaction
from bridge.store.sqlite import translated

CHUNK = 200
_ORDERS = "SELECT DISTINCT order_id FROM events WHERE order_id IS NOT NULL UNION SELECT DISTINCT order_id FROM placed WHERE order_id <> ''"
FAULTS_MAX = 1_000


def check_database(reader: Engine, on_progress: OnProgress) -> CheckReport:
    """Check a database, in its state at one moment."""
    faults: list[str] = []
    with translated(), reader.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        faults += [f"SQLite: {r[0]}" for r in driver.execute("PRAGMA integrity_check").fetchall() if r[0] != "ok"]
        revision = current_revision(connection)
        if revision != NEWEST:
            faults.append(f"the database is at revision {revision}; this program needs {NEWEST}")
            return CheckReport(faults=faults, events=0, orders=0)
        stored = {r[0]: r[1] for r in driver.execute("SELECT order_id, hash FROM orders")}
        (events,) = driver.execute("SELECT count(*) FROM events").fetchone()
        tx = SqlTransaction(connection)
        ids = sorted({*stored, *(r[0] for r in driver.execute(_ORDERS))})
        for start in range(0, len(ids), CHUNK):
            some = ids[start : start + CHUNK]
            for order_id, facts in tx.facts(some).items():
                whole = fold(order_id, facts)
                derived = OrderView(whole.order).hash if whole.exists else b""
                if derived != stored.get(order_id, b"") and len(faults) < FAULTS_MAX:
                    faults.append(f"the stored state of order {order_id} differs from the state that its events give")
            on_progress(start + len(some), len(ids))
    return CheckReport(faults=faults, events=events, orders=len(stored))
