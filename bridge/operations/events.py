"""Read the event log, and send events as the operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bridge.errors import Refused
from bridge.operations import devices
from bridge.operations.console import CONSOLE
from bridge.operations.names import check_device, check_order
from bridge.operations.ports import Row, SiteContext, SiteReader
from bridge.operations.who import WHO
from devices.protocol.messages import Receipt, convert
from devices.protocol.vocabulary import EventType, Outcome, Role

_WITHOUT_EFFECT: Final = frozenset({Outcome.REJECTED, Outcome.PARKED, Outcome.BLOCKED})


async def list_events(
    site: SiteReader,
    *,
    order: str | None = None,
    device: str | None = None,
    event_type: EventType | None = None,
    outcome: Outcome | None = None,
    limit: int,
) -> list[Row]:
    """Events with their outcomes, the last arrival first.

    Raises:
        NotFound: if none is found, and the order or the device is unknown.
    """
    found = site.queries.events(order_id=order, device=device, event_type=event_type, outcome=outcome, limit=limit)
    if not found and order is not None:
        check_order(site, order)
    if not found and device is not None:
        check_device(site, device)
    return found


async def send(site: SiteContext, event_type: EventType, order: str | None, body: Mapping[str, Any], *, parcel: str | None = None) -> Receipt:
    """Send one event as the operator, who has the role of a desk. `by` of the event is who acts.

    Raises:
        Refused: if the event has no effect.
    """
    await devices.ensure_channel(site, CONSOLE, Role.DESK)
    payload = site.console.next_event(now_ms=site.clock.now_ms(), order=order, body=body, parcel=parcel, by=WHO.get())
    (answer,) = await site.submit(site.registry.identity(CONSOLE), [(event_type, payload)])
    receipt = convert(answer, Receipt)
    if receipt.outcome in _WITHOUT_EFFECT:
        raise Refused(f"{receipt.outcome}: {receipt.detail or receipt.reason}")
    return receipt
