"""What a device keeps in flash: it survives a power cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from devices.protocol.vocabulary import EventType
from firmware_sim.firmware.actions import Randomness


@dataclass(slots=True, kw_only=True)
class Stored:
    """An event in flash. `plain` is its payload without `sent_boot` and `sent_mono_ms`, which are new at every sending."""

    type: EventType
    plain: dict[str, Any]
    asked_ms: int = 0
    digest: bytes = b""
    """Of its payload as it was sent last: the first 8 bytes of its SHA-256."""

    @property
    def id(self) -> bytes:
        event_id: bytes = self.plain["id"]
        return event_id

    @property
    def seq(self) -> int:
        seq: int = self.plain["seq"]
        return seq


@dataclass(slots=True)
class Flash:
    """The outbox's log, its last seq, the events that are not acknowledged, and those that are acknowledged and wait for their receipt."""

    log: bytes = b""
    last_seq: int = 0
    events: dict[bytes, Stored] = field(default_factory=dict)
    unanswered: dict[bytes, Stored] = field(default_factory=dict)


def uuid7(at_ms: int, rng: Randomness) -> bytes:
    """A UUIDv7 (RFC 9562 §5.7)."""
    tail = bytearray(rng.randbytes(10))
    tail[0] = 0x70 | tail[0] & 0x0F
    tail[2] = 0x80 | tail[2] & 0x3F
    return at_ms.to_bytes(6, "big") + bytes(tail)
