"""What operations need of the table of workers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from msgspec import Struct

from bridge.ingest.workers import CourierNameRow, WorkerRow


class EventBy(Struct, frozen=True, kw_only=True):
    """What a worker or a courier did: the event, its order, on which device, where, and when."""

    type: str
    order: str | None
    device: str
    place: str | None
    at_ms: int


class WorkerQueries(Protocol):
    """Reads of whose pseudonym is whose; badges and names are sealed."""

    def workers(self) -> list[WorkerRow]:
        """Every pseudonym that can still be linked to a badge, the newest first."""
        ...

    def orders_of_courier(self, courier: str) -> list[str]:
        """Every order that was ever assigned to a courier, or taken by them. This reads the whole log."""
        ...

    def events_by(
        self, pseudonyms: Collection[str], courier: str | None, *, limit: int, since_ms: int | None = None, until_ms: int | None = None
    ) -> list[EventBy]:
        """What was done under these pseudonyms, or with the phones of a courier, from a time (inclusive) until another (exclusive), in the order of arrival.
        This reads the whole log."""
        ...

    def courier_names(self) -> list[CourierNameRow]:
        """The couriers who have a name, by courier."""
        ...
