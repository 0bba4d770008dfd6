"""The event of a row. Its id derives from what the row says: the same status in a later file is the same event."""

from __future__ import annotations

from typing import Final

import cbor2

from bridge.carrier.rows import StatusRow
from bridge.shop.events import derived_event_id, derived_log
from devices.protocol.vocabulary import EventType

_FIRST: Final = (
    *(EventType.PICKUP, EventType.DEPART, EventType.BORDER_ENTERED, EventType.ARRIVE, EventType.CUSTOMS_ENTERED, EventType.CUSTOMS_HELD),
    *(EventType.CUSTOMS_CLEARED, EventType.OUT_FOR_DELIVERY, EventType.ATTEMPT_FAILED, EventType.AVAILABLE_FOR_PICKUP, EventType.DELIVERY),
    *(EventType.REFUSED, EventType.RETURN_STARTED, EventType.RETURNED),
)
"""Statuses of the same second follow each other as they do on the way: carriers give their times without fractions."""
_SEQ: Final = {kind: seq for seq, kind in enumerate((*_FIRST, *sorted(set(EventType) - set(_FIRST))), 1)}


def event_id(row: StatusRow, channel: str) -> bytes:
    """The id of a row's event."""
    assert row.event is not None
    return derived_event_id(row.at_ms, "carrier", channel, row.parcel_named, row.event)


def payload(row: StatusRow, channel: str, order: str, parcel: str | None) -> bytes:
    """A row's event in core deterministic encoding, once it is known which parcel of which order it is about; without a parcel it is the order's only one."""
    assert row.event is not None
    log = derived_log("carrier", channel, row.parcel_named)
    event = {
        "id": event_id(row, channel),
        "log": log,
        "seq": _SEQ[row.event],
        "boot": log,
        "mono_ms": row.at_ms,
        "at_ms": row.at_ms,
        "sent_boot": log,
        "sent_mono_ms": row.at_ms,
        "order": order,
        **({"parcel": parcel} if parcel is not None else {}),
        "body": row.body,
    }
    return cbor2.dumps(event, canonical=True)
