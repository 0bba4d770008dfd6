"""Every payload that crosses the wire, in one place for a caller: what devices publish, what the bridge publishes, and how both are encoded."""

from __future__ import annotations

from typing import Any

from devices.protocol.bridge_messages import (
    WARNS_MAX,
    Alert,
    Assignment,
    BridgeState,
    Credentials,
    Eta,
    Expected,
    Last,
    Left,
    Limits,
    Milestone,
    OrderStatus,
    ParcelStatus,
    Position,
    Progress,
    Receipt,
    ResendRequest,
    SeqRange,
    Stop,
)
from devices.protocol.device_messages import (
    BOOT_UNKNOWN,
    EVENT_KINDS,
    POINTS_MAX,
    Event,
    LocationBatch,
    Locations,
    Point,
    Presence,
    decode_event,
    decode_locations,
    event_of,
)
from devices.protocol.encoding import (
    BYTES_FIELDS,
    DEPTH_MAX,
    PayloadError,
    convert,
    decode,
    encode,
    encode_cbor,
    encode_json,
    explain,
    json_text,
    load,
    load_cbor,
    load_json,
    plain,
)

CONTRACT_VERSION = "2"
PUBLISH_OVERHEAD_BYTES = 256
"""What a PUBLISH has beside its payload, at most: 5 bytes of fixed header, the longest topic of a device with its length, and the packet id."""
PAYLOAD_BYTES_MAX = 262_144 - PUBLISH_OVERHEAD_BYTES
"""The largest payload that a server takes unless it is set up otherwise; a client that has read `BridgeState` knows better."""

MESSAGES: tuple[Any, ...] = (
    Receipt,
    ResendRequest,
    OrderStatus,
    ParcelStatus,
    Presence,
    LocationBatch,
    Position,
    Eta,
    Assignment,
    Alert,
    BridgeState,
    Credentials,
)
"""Every payload besides `Event`, which has one form for each row of `BODIES`."""

__all__ = [
    "BOOT_UNKNOWN",
    "BYTES_FIELDS",
    "CONTRACT_VERSION",
    "DEPTH_MAX",
    "EVENT_KINDS",
    "MESSAGES",
    "PAYLOAD_BYTES_MAX",
    "POINTS_MAX",
    "PUBLISH_OVERHEAD_BYTES",
    "WARNS_MAX",
    "Alert",
    "Assignment",
    "BridgeState",
    "Credentials",
    "Eta",
    "Event",
    "Expected",
    "Last",
    "Left",
    "Limits",
    "LocationBatch",
    "Locations",
    "Milestone",
    "OrderStatus",
    "ParcelStatus",
    "PayloadError",
    "Point",
    "Position",
    "Presence",
    "Progress",
    "Receipt",
    "ResendRequest",
    "SeqRange",
    "Stop",
    "convert",
    "decode",
    "decode_event",
    "decode_locations",
    "encode",
    "encode_cbor",
    "encode_json",
    "event_of",
    "explain",
    "json_text",
    "load",
    "load_cbor",
    "load_json",
    "plain",
]
