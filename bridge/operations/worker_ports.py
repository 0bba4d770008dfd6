"""What operations need of the table of workers."""

from __future__ import annotations

from typing import Protocol

from bridge.ingest.workers import CourierNameRow, WorkerRow


class WorkerQueries(Protocol):
    """Reads of whose pseudonym is whose; badges and names are sealed."""

    def workers(self) -> list[WorkerRow]:
        """Every pseudonym that can still be linked to a badge, the newest first."""
        ...

    def orders_of_courier(self, courier: str) -> list[str]:
        """Every order that was ever assigned to a courier, or taken by them. This reads the whole log."""
        ...

    def courier_names(self) -> list[CourierNameRow]:
        """The couriers who have a name, by courier."""
        ...
