"""What operations need to read of couriers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bridge.ingest.couriers import CashRow, ToldRow
from bridge.operations.order_ports import Row


class CourierQueries(Protocol):
    """Reads of couriers' shifts, money and parcels.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def told(self, courier: str | None = None) -> list[ToldRow]:
        """What was told of shifts and breaks, of one courier or of all, by courier."""
        ...

    def cash(self, courier: str | None = None) -> list[CashRow]:
        """What was collected, counted and told of money, of one courier or of all, by courier."""
        ...

    def about_job(self, job: str) -> list[Row]:
        """The events that may be about a job, in the order of arrival, with order and outcome; some only have its id in another field. This reads the whole
        log."""
        ...

    def on_board(self, courier: str | None = None) -> Mapping[str, list[str]]:
        """The orders of which couriers have parcels, by courier."""
        ...
