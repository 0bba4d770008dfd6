"""A site in figures, counted by SQLite itself: no row is made for what is only counted."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Engine, Select, and_, func, or_, select

from bridge.operations.figure_ports import StoredFigures
from bridge.store import tables as t
from bridge.store.sqlite import translated


class FigureQueries:
    """The reads of `operations.figure_ports.FigureQueries`."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def figures(self, *, after: int, events_max: int) -> StoredFigures:
        receipts, orders, ledger, devices = t.receipts.c, t.orders.c, t.ledger.c, t.devices.c
        can_log_in = and_(devices.revoked_ms.is_(None), or_(devices.password_hash.is_not(None), devices.certificate_sha256.is_not(None)))
        with translated(), self._reader.begin() as connection:
            newest = connection.execute(select(func.max(t.events.c.pos))).scalar() or 0
            end = max(after, min(newest, after + events_max))
            outcomes = select(receipts.outcome, func.count()).where(receipts.pos > after, receipts.pos <= end).group_by(receipts.outcome)
            states = select(orders.state, func.count()).where(orders.state != "").group_by(orders.state)
            alerts = select(t.alerts.c.code, func.count()).group_by(t.alerts.c.code)
            owing, owed = connection.execute(select(func.count(ledger.device.distinct()), func.coalesce(func.sum(ledger.owed), 0)).where(ledger.owed > 0)).one()
            return StoredFigures(
                outcomes=_counted(connection, outcomes),
                end=end,
                orders=_counted(connection, states),
                alerts=_counted(connection, alerts),
                quarantined=connection.execute(select(func.count()).select_from(t.quarantine)).scalar_one(),
                parked=connection.execute(select(func.count()).select_from(t.parked)).scalar_one(),
                devices=connection.execute(select(func.count()).select_from(t.devices).where(can_log_in)).scalar_one(),
                owing=owing,
                owed=owed,
            )

    def last_event(self) -> int:
        with translated(), self._reader.connect() as connection:
            return connection.execute(select(func.max(t.events.c.pos))).scalar() or 0


def _counted(connection: Connection, query: Select[Any]) -> dict[str, int]:
    """How many there are of each word."""
    return {row[0]: row[1] for row in connection.execute(query)}
