"""Packets that are larger than the server takes. The connection is closed, and a device that sends first what it stored first sends it again for ever."""

from __future__ import annotations

from typing import Final

from bridge.broker.shared import Shared
from bridge.broker.standing import StandingAlert
from devices.protocol.vocabulary import AlertCode

CALM_S: Final = 600.0
"""Seconds without such a packet until the alert is cleared: longer than the pauses in which a device comes back."""


class Oversized:
    """Counts the packets that were too large, and raises an alert about each device that sends them."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._alert = StandingAlert(shared, AlertCode.PACKET_SIZE, calm_s=CALM_S)
        self.look = self._alert.look

    def came(self, device: str, length: int) -> None:
        """A device has sent a packet of `length` bytes."""
        self._shared.counters.too_large += 1
        self._alert.happened(
            device,
            f"Device {device} sends a packet of {length:,} bytes; the server takes {self._shared.limits.packet_bytes_max:,} at most. "
            "It is not stored, and what the device sends after it may wait behind it.",
            "Update the device's software to keep to limits.payload_bytes_max of bridge/state; or raise broker.packet_bytes_max and restart the server.",
        )
