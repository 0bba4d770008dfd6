"""How long each event of an order took on its way, step by step: from what is stored, and from what the running server remembers of its batches.

What can't be known is None: two clocks in two places do not measure a one-way trip, and a server remembers only what it has stored itself, and not for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from bridge.domain.event_time import Source
from bridge.domain.facts import DECIDED
from bridge.errors import NotFound
from bridge.ingest.log import EventRow
from bridge.ingest.steps import BatchTimes
from bridge.operations.ports import SiteReader, StoredFact
from bridge.operations.trace_ports import WaitingMessages
from devices.protocol.messages import decode_event
from devices.protocol.vocabulary import EventType


class Delivery(StrEnum):
    """Whether the receipt has reached the device."""

    WAITS = "waits"
    NOTHING_WAITS = "nothing_waits"
    """The device has a session, and no receipt of the event waits for it: it has acknowledged it, or was not subscribed."""
    UNKNOWN = "unknown"
    """Nothing is kept for the device: it has no persistent session."""


class EventTrace(Struct, frozen=True, kw_only=True):
    """One event on its way. What is not known is None.

    Args:
        batch: the number of the transaction that stored it.
        on_device_ms: from the event until the device handed over the copy that is stored, by the device's own clock.
        network_ms: how much longer it took to the server than the fastest message of the device around that time. The fastest one's own time is unknown.
        queue_ms: from its reception until the writer got its batch.
        queue_ms_min: at least so long, if `queue_ms` is not known.
        commit_us, show_us, answer_us: how long its whole batch took to be settled and committed; for its messages to go into the sessions; and to be
            acknowledged and written to the sockets.
        receipt: whether the device has its receipt.
        receipt_since_ms: since when the receipt waits.
    """

    id: str
    type: str
    device: str
    outcome: str
    at_ms: int
    received_ms: int
    batch: int
    on_device_ms: int | None
    network_ms: int | None
    queue_ms: int | None
    queue_ms_min: int | None
    commit_us: int | None
    show_us: int | None
    answer_us: int | None
    receipt: Delivery
    receipt_since_ms: int | None


class Trace(Struct, frozen=True, kw_only=True):
    """An order's events, in the order of their arrival.

    `status_since_ms` is since when a status of the order waits for at least one session; None if none does.
    """

    order: str
    events: list[EventTrace]
    status_since_ms: int | None


async def batches_of(site: SiteReader, order: str) -> list[int]:
    """The transactions that stored an order's events.

    Raises:
        NotFound: if nothing is known of the order.
    """
    return sorted({stored.row.batch for stored in _facts(site, order)})


async def trace(site: SiteReader, order: str, times: list[BatchTimes]) -> Trace:
    """Trace an order's events. `times` is what the running server remembers of `batches_of` the order; empty if none runs.

    Raises:
        NotFound: if nothing is known of the order.
    """
    found = _facts(site, order)
    waiting = site.queries.waiting_messages(order, sorted({stored.row.device for stored in found}))
    ends_ms = site.queries.batch_ends_ms({stored.row.batch for stored in found})
    of_batch = {batch.no: batch for batch in times}
    events = [_traced(stored, of_batch.get(stored.row.batch), ends_ms, waiting) for stored in found]
    return Trace(order=order, events=events, status_since_ms=waiting.statuses_since_ms)


def _facts(site: SiteReader, order: str) -> list[StoredFact]:
    found = [stored for stored in site.queries.facts(order) if stored.row.type != DECIDED]
    if not found:
        raise NotFound(f"nothing is known of order {order}", fix="list the orders with `dockbridge orders list`")
    return found


def _traced(stored: StoredFact, batch: BatchTimes | None, ends_ms: Mapping[int, int], waiting: WaitingMessages) -> EventTrace:
    row = stored.row
    on_device_ms = _on_device_ms(row)
    since_ms = waiting.receipts.get((row.device, row.id))
    return EventTrace(
        id=row.id.hex(),
        type=row.type,
        device=row.device,
        outcome=str(stored.receipt.get("outcome", "")),
        at_ms=row.event_ms,
        received_ms=row.received_ms,
        batch=row.batch,
        on_device_ms=on_device_ms,
        network_ms=_network_ms(row, on_device_ms),
        queue_ms=max(0, batch.begun_ms - row.received_ms) if batch is not None else None,
        queue_ms_min=max(0, ends_ms[row.batch] - row.received_ms) if batch is None and row.batch in ends_ms else None,
        commit_us=batch.commit_us if batch is not None else None,
        show_us=batch.show_us if batch is not None else None,
        answer_us=batch.answer_us if batch is not None else None,
        receipt=_delivery(row.device, since_ms, waiting),
        receipt_since_ms=since_ms,
    )


def _on_device_ms(row: EventRow) -> int | None:
    """Both counters are of one boot, or nothing is known: a device that was restarted in between does not know how long it was off."""
    event = decode_event(row.payload, EventType(row.type))
    return max(0, event.sent_mono_ms - event.mono_ms) if event.boot == event.sent_boot else None


def _network_ms(row: EventRow, on_device_ms: int | None) -> int | None:
    """Known if the event has its time from the counter: that was compared with the server's clock by the fastest message (`domain.event_time`)."""
    if on_device_ms is None or row.source != Source.MONO:
        return None
    return max(0, row.received_ms - row.event_ms - on_device_ms)


def _delivery(device: str, since_ms: int | None, waiting: WaitingMessages) -> Delivery:
    if since_ms is not None:
        return Delivery.WAITS
    return Delivery.NOTHING_WAITS if device in waiting.with_session else Delivery.UNKNOWN
