"""Reads of couriers: shifts, money, and what they have on board."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, Table, select

from bridge.ingest.couriers import CashRow, ToldRow
from bridge.store import tables as t
from bridge.store.sqlite import translated


class CourierQueries:
    """See `operations.courier_ports.CourierQueries`."""

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def told(self, courier: str | None = None) -> list[ToldRow]:
        return [ToldRow(*row) for row in self._rows(t.courier_shifts, courier, "pos")]

    def cash(self, courier: str | None = None) -> list[CashRow]:
        return [CashRow(*row) for row in self._rows(t.cash, courier, "pos")]

    def on_board(self, courier: str | None = None) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for row in self._rows(t.carried, courier, "order_id"):
            found.setdefault(row.courier, []).append(row.order_id)
        return found

    def _rows(self, table: Table, courier: str | None, then_by: str) -> list[Any]:
        query = select(table).order_by(table.c.courier, table.c[then_by])
        if courier is not None:
            query = query.where(table.c.courier == courier)
        with translated(), self._reader.connect() as connection:
            return list(connection.execute(query))
