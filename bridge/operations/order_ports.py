"""What operations need to read of orders: which ones, in which order, and what waits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from bridge.domain.facts import Fact
from bridge.ingest.log import EventRow
from bridge.operations.carrier_ports import CarrierQueries
from bridge.operations.handover_ports import HandoverQueries
from devices.protocol.vocabulary import Flag, Reason

Row = dict[str, Any]
"""A document of the contract (a status, a presence), or a row of a table with its columns as keys."""


class SentEvent(NamedTuple):
    """One event of an order, as its device sent it."""

    order: str
    type: str
    payload: bytes


class StoredFact(NamedTuple):
    """One event of an order: what it says, its row in the log, and its receipt (empty if it has none)."""

    fact: Fact
    row: EventRow
    receipt: Row


class Sort(StrEnum):
    """How orders are sorted: the last changed first, the longest in their state first, the earliest promise first, or by id."""

    CHANGED = "changed"
    SINCE = "since"
    PROMISE = "promise"
    ORDER = "order"


class Wanted(Struct, frozen=True, kw_only=True):
    """Which orders: those that meet every condition that is given.

    Args:
        states, flags: any of these.
        since_before_ms: in their state since before this time.
        channel: the shop's channel that they came through.
        carrier: the carrier that takes them; upper and lower case are the same.
        courier: in an open job of this courier.
        device: with an event of this device.
        text: part of their id, or of a code on one of their parcels; upper and lower case are the same.
        promise_before_ms: promised for before this time, and not delivered yet.
    """

    states: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    since_before_ms: int | None = None
    channel: str | None = None
    courier: str | None = None
    device: str | None = None
    text: str | None = None
    promise_before_ms: int | None = None
    carrier: str | None = None


class Sought(Struct, frozen=True, kw_only=True):
    """Which messages in quarantine: those that meet every condition that is given.

    Args:
        device: sent by this device.
        reason: refused for this reason.
        before_ms: received before this time.
    """

    device: str | None = None
    reason: Reason | None = None
    before_ms: int | None = None


class Seeking(Struct, frozen=True, kw_only=True):
    """Which orders may wait for a person: any of these is enough.

    Args:
        flags: some flags, and the states in which they do not count.
        states, parcels: states of the order or of a parcel, each with the time before which it began.
    """

    flags: list[tuple[tuple[str, ...], tuple[str, ...]]]
    states: dict[str, int]
    parcels: dict[str, int]


class OrderQueries(HandoverQueries, CarrierQueries, Protocol):
    """Reads of orders, of what carriers take of them, and of what their files and those of shops need.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def orders(self, wanted: Wanted, *, sort: Sort, after: str | None, limit: int) -> list[Row]:
        """Statuses of orders, each with its `channel`, `carrier`, `promise_ms` and `ship_by_ms`.

        With `after`, those that follow this order, which has to exist.
        """
        ...

    def waiting_orders(self, seeking: Seeking) -> list[str]:
        """Ids of orders that may wait for a person, the longest in their state first."""
        ...

    def parked(self, *, limit: int) -> list[Row]:
        """What events wait for, the longest first: `ref_kind`, `ref`, `order_id`, how many `events`, and `since_ms`."""
        ...

    def quarantine_groups(self, *, limit: int) -> list[Row]:
        """Quarantined messages by `device` and `reason`: the first `no`, how many `messages`, and `since_ms`."""
        ...

    def quarantine_count(self) -> int: ...

    def order(self, order_id: str) -> Row | None:
        """One order: its `status`, and the statuses of its `parcels`."""
        ...

    def stories(self, order_ids: Sequence[str]) -> dict[str, tuple[Row, list[Fact]]]:
        """Statuses and facts of those of these orders that exist."""
        ...

    def order_states(self, order_ids: Iterable[str]) -> dict[str, str]:
        """The states of those of these orders that exist."""
        ...

    def sent(self, device: str, order_ids: Iterable[str]) -> list[SentEvent]:
        """The events that a device sent of these orders, in the order of their arrival."""
        ...

    def order_counts(self) -> dict[str, int]:
        """How many orders are in each state."""
        ...

    def channels(self) -> list[str]:
        """The channels that orders came through."""
        ...

    def carriers(self) -> list[str]:
        """The carriers that orders have."""
        ...

    def status_log(self, *, after: int, order_ids: Sequence[str] | None, limit: int) -> list[Row]:
        """Visible changes after entry number `after`, the oldest first."""
        ...

    def status_log_end(self) -> int:
        """The number of the last entry; 0 if there is none."""
        ...
