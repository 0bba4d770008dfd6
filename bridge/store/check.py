"""Check the database: SQLite's pages, the revision that this program expects, and each order's stored hash against its events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Engine

from bridge.domain.fold import fold
from bridge.domain.view import OrderView
from bridge.operations.ports import CheckReport, OnProgress
from bridge.projections.orders import ORDERS
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
        ids = sorted({*stored, *(r[0] for r in driver.execute(_ORDERS))})
        for order_id in differing_orders(SqlTransaction(connection), ids, on_progress):
            if len(faults) < FAULTS_MAX:
                faults.append(f"the stored state of order {order_id} differs from the state that its events give")
    return CheckReport(faults=faults, events=events, orders=len(stored))


def differing_orders(tx: SqlTransaction, ids: Sequence[str], on_progress: OnProgress) -> Iterator[str]:
    """Those of some orders whose stored state is not the one that their events give."""
    for start in range(0, len(ids), CHUNK):
        some = list(ids[start : start + CHUNK])
        stored = {row.order_id: row.hash for row in tx.rows(ORDERS, order_id=some)}
        facts = tx.facts(some)
        for order_id in some:
            whole = fold(order_id, facts.get(order_id, []))
            derived = OrderView(whole.order).hash if whole.exists else b""
            if derived != stored.get(order_id, b""):
                yield order_id
        on_progress(start + len(some), len(ids))


def orders_with_events(tx: SqlTransaction) -> list[str]:
    """Every order that has a row or an event."""
    driver: Any = tx.connection.connection.dbapi_connection
    return sorted({r[0] for r in driver.execute(f"{_ORDERS} UNION SELECT order_id FROM orders")})


def sample_orders(tx: SqlTransaction, orders_max: int) -> list[str]:
    """Some orders: half of them those that the last events were about, the others any."""
    driver: Any = tx.connection.connection.dbapi_connection
    last = driver.execute(
        "SELECT DISTINCT order_id FROM (SELECT order_id FROM events ORDER BY pos DESC LIMIT ?) WHERE order_id IS NOT NULL", (orders_max // 2,)
    )
    others = driver.execute("SELECT order_id FROM orders ORDER BY random() LIMIT ?", (orders_max,))
    return sorted(dict.fromkeys([r[0] for r in (*last, *others)][:orders_max]))
