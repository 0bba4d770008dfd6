"""What can go wrong on a device. A class's docstring is the sentence that a user reads; facts are attributes.

DeviceError
├── InvalidEvent           the caller's values break the contract; nothing was stored
├── OutboxError            the outbox file cannot be used
│   ├── OutboxFull
│   └── OutboxLocked
├── NotDelivered           a wait ran out (also a TimeoutError)
│   └── RefusedByServer
└── Closed
"""

from __future__ import annotations


class DeviceError(Exception):
    """Something went wrong on this device."""

    def __init__(self, detail: str = "") -> None:
        sentence = (type(self).__doc__ or "").strip()
        super().__init__(f"{sentence} ({detail})" if detail else sentence)
        self.detail = detail


class InvalidEvent(DeviceError, ValueError):
    """This scan cannot be sent: a value in it breaks the contract."""


class OutboxError(DeviceError):
    """The outbox file on this device cannot be used."""


class OutboxFull(OutboxError):
    """The outbox is full: connect this device to the network before scanning on."""


class OutboxLocked(OutboxError):
    """The outbox is in use by another process; only one may send from it."""


class NotDelivered(DeviceError, TimeoutError):
    """Nothing came from the server in time; what was scanned is safe in the outbox and will be sent."""


class RefusedByServer(NotDelivered):
    """The server refuses this device: check its name and password; what was scanned is safe in the outbox."""


class Closed(DeviceError):
    """This scanner was closed."""
