"""What reports need to read: rows of the log within a time, and counts of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from bridge.operations.order_ports import Row


class Worked(NamedTuple):
    """One event: when and where it happened, its order, the parcel that it was about, if any, and who did it with which device, as far as it is known.

    `worker` is the pseudonym that the event names, else that of the shift of its device. `courier` is whose phone the device is.
    """

    event_ms: int
    place: str | None
    order: str | None
    parcel: str | None
    device: str
    worker: str | None
    courier: str | None


class DeviceTraffic(NamedTuple):
    """What arrived from one device, whenever it happened.

    `refused` are events that were rejected or blocked, and messages that never became events. `guessed` are events whose time the device could not tell.
    `delay_ms` is the longest time from an event to its arrival, `error_ms` by how much the time of an event may be wrong at most.
    """

    device: str
    events: int = 0
    refused: int = 0
    guessed: int = 0
    delay_ms: int = 0
    error_ms: int = 0


class ReportQueries(Protocol):
    """Reads of what happened from one time (inclusive) to another (exclusive).

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def worked(self, *, since_ms: int, until_ms: int, also_refused: bool = False) -> Iterator[Worked]:
        """Events of scanners and couriers that were not refused; with `also_refused` all of them."""
        ...

    def traffic(self, *, since_ms: int, until_ms: int) -> list[DeviceTraffic]:
        """What arrived from each device that sent something."""
        ...

    def mispicks(self, *, by: str, since_ms: int, until_ms: int) -> list[Row]:
        """Refused scans in the hours that begin before the end and end after the beginning, counted by `article`, `place` or `hour`, and by reason; the most
        frequent first, hours in their order."""
        ...
