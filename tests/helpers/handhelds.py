"""Handhelds and phones of the device library beside a `FakeBroker`: their clock, their settings, and what goes over the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from devices.protocol.messages import BridgeState, Event, Limits, Presence, Receipt, decode, decode_event, encode
from devices.protocol.vocabulary import EventType, Outcome, Tone
from helpers.fake_broker import FakeBroker, Published

RECEIPTS = "v1/ams1/devices/scan-07/receipts"
PRESENCE = "v1/ams1/devices/scan-07/presence"
STATE = "v1/ams1/bridge/state"
NOBODY = 9  # the discard port: it has no listener


class Clock:
    """A clock that stands still until it is moved; each boot has a new one."""

    boot = b"boot-one"

    def __init__(self) -> None:
        self.now_ms = 5_000

    def mono_ms(self) -> int:
        return self.now_ms

    def wall_ms(self) -> int:
        return 1_760_000_000_000 + self.now_ms

    def tz_min(self) -> int | None:
        return 120


def settings_of(folder: Path, clock: Clock) -> dict[str, Any]:
    """The settings of a device: its folder; it reconnects at once, and takes every call as a new scan."""
    return {
        "site": "ams1",
        "device": "scan-07",
        "password": "secret",
        "host": "127.0.0.1",
        "outbox": folder / "scan-07.db",
        "clock": clock,
        "debounce_ms": 0,
        "backoff_first_s": 0.02,
        "backoff_max_s": 0.05,
        "refused_retry_s": 0.02,
        "close_timeout_s": 0.1,
    }


def read(published: Published) -> Event[Any]:
    return decode_event(published.payload, EventType(published.topic.rsplit("/", 1)[1]))


def orders(published: list[Published]) -> list[str | None]:
    return [read(p).order for p in published]


def presences(broker: FakeBroker) -> list[Presence]:
    return [decode(p.payload, Presence) for p in broker.published if p.topic == PRESENCE]


def receipt_for(event_id: bytes | None, n: int = 1, outcome: Outcome = Outcome.APPLIED, **more: Any) -> bytes:
    return encode(Receipt(id=event_id, n=n, final=True, outcome=outcome, tone=Tone.OK, at_ms=1, **more))


def state_of_server(*, epoch: int = 0, payload_bytes_max: int | None = None) -> bytes:
    """What the server says of itself; without limits, it is of an older edition."""
    limits = (
        None
        if payload_bytes_max is None
        else Limits(packet_bytes_max=payload_bytes_max + 256, payload_bytes_max=payload_bytes_max, publish_rate_max=1, window=1)
    )
    return encode(BridgeState(online=True, version="1", started_ms=1, contract="2", epoch=epoch, limits=limits))
