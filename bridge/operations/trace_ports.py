"""What a trace reads beside the events themselves."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct


class WaitingMessages(Struct, frozen=True, kw_only=True):
    """What of an order waits in the message log.

    Args:
        receipts: since when receipts wait, by (device, id of the event).
        statuses_since_ms: since when a status of the order waits for at least one session; None if none does.
        with_session: those of the devices that have a persistent session, for which messages are kept.
    """

    receipts: dict[tuple[str, bytes], int]
    statuses_since_ms: int | None
    with_session: frozenset[str]


class TraceQueries(Protocol):
    """Reads for a trace.

    Raises:
        StoreUnavailable: from every method, if the database can't be read.
    """

    def batch_ends_ms(self, batches: Collection[int]) -> dict[int, int]:
        """By number of a batch, when its last message was received."""
        ...

    def waiting_messages(self, order_id: str, devices: Sequence[str]) -> WaitingMessages:
        """What waits of an order, and of receipts for these devices."""
        ...
