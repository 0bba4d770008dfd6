"""Events made by hand: their payloads, and the names and times that the tests share."""

from __future__ import annotations

import hashlib
import time
from typing import Any, Final

from bridge.domain.access import Identity
from devices.ids import uuid7
from devices.protocol.messages import (
    Alert,
    Assignment,
    BridgeState,
    Eta,
    Notice,
    OrderStatus,
    ParcelStatus,
    Position,
    Presence,
    Receipt,
    encode_cbor,
    encode_json,
)
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Role

SITE: Final = "ams1"
TOPICS: Final = Topics(SITE)
NOW_MS: Final = 1_760_000_000_000
BOOT_MS: Final = NOW_MS - 3_600_000
"""When every device of a test was switched on."""
BOOT: Final = b"boot-one"

LINES: Final = [{"sku": "4006381333931", "qty": 2}, {"sku": "pen", "qty": 1}]
CREATED: Final[dict[str, Any]] = {"channel": "shop1", "lines": LINES, "allow_partial": False, "payment": "prepaid"}
DELIVERY: Final[dict[str, Any]] = {"pod": {"method": "pin"}}

IDENTITIES: Final = {
    i.device: i
    for i in (
        Identity(site=SITE, device="shop1", role=Role.SYSTEM),
        Identity(site=SITE, device="shop-a", role=Role.SYSTEM, orders_prefix="a-"),
        Identity(site=SITE, device="shop-b", role=Role.SYSTEM, orders_prefix="b-"),
        Identity(site=SITE, device="dhl", role=Role.CARRIER),
        Identity(site=SITE, device="desk", role=Role.DESK),
        Identity(site=SITE, device="scan-1", role=Role.SCANNER, at="dock-3"),
        Identity(site=SITE, device="scan-2", role=Role.SCANNER),
        Identity(site=SITE, device="phone-anna", role=Role.COURIER, courier="anna"),
        Identity(site=SITE, device="phone-ben", role=Role.COURIER, courier="ben"),
    )
}
"""The devices that are enrolled on the bench."""

BRIDGE_PAYLOADS: Final = (
    ("/receipts", Receipt),
    ("/status", OrderStatus),
    ("/parcels/", ParcelStatus),
    ("/eta", Eta),
    ("/position", Position),
    ("/notices", Notice),
    ("/assignments/", Assignment),
    ("/alerts/", Alert),
    ("/presence", Presence),
    ("/bridge/state", BridgeState),
)


def kind_of(topic: str) -> Any:
    """The message struct of a topic."""
    return next(kind for mark, kind in BRIDGE_PAYLOADS if mark in topic)


def log_of(device: str) -> bytes:
    """The log of a device's only outbox."""
    return hashlib.sha256(device.encode()).digest()[:8]


def event_id(device: str, seq: int, at_ms: int = NOW_MS) -> bytes:
    return uuid7(at_ms, hashlib.sha256(f"{device} {seq}".encode()).digest()[:10])


def event(
    device: str, seq: int, order: str | None = None, body: dict[str, Any] | None = None, *, at_ms: int = NOW_MS, as_json: bool = False, **other: Any
) -> bytes:
    """The payload of an event that a device sent at the moment when it happened. `other` sets further fields, or replaces these."""
    mono_ms = max(0, at_ms - BOOT_MS)
    fields = {
        "id": event_id(device, seq),
        "log": log_of(device),
        "seq": seq,
        "boot": BOOT,
        "mono_ms": mono_ms,
        "at_ms": at_ms,
        "sent_boot": BOOT,
        "sent_mono_ms": mono_ms,
        "order": order,
        "body": body or {},
        **other,
    }
    plain = {k: v for k, v in fields.items() if v is not None}
    return encode_json(plain) if as_json else encode_cbor(plain)


def shift(device: str, seq: int, **other: Any) -> bytes:
    """The payload of an event that happens now and belongs to no order."""
    return event(device, seq, None, {"worker": "w-17"}, at_ms=time.time_ns() // 1_000_000, **other)
