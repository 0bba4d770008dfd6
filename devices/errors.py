"""What can go wrong on a device. A class's docstring is the sentence that a user reads; facts are attributes.

DeviceError
├── InvalidEvent           the caller's values break the contract; nothing was stored
├── OutboxError            the outbox file cannot be used; nothing was stored
│   ├── OutboxFull
│   ├── OutboxLocked
│   ├── OutboxGone
│   ├── WrongOwner
│   └── DiskFull
├── NotDelivered           a wait ran out (also a TimeoutError)
│   └── RefusedByServer
├── EventTooLarge          what was stored is larger than the server takes
├── ClaimError             a claim could not be redeemed
│   ├── InvalidClaim
│   ├── ClaimRefused
│   ├── WrongServer
│   ├── ServerNotReached
│   └── ClaimStoreError
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


class OutboxGone(OutboxError):
    """The outbox file was deleted or replaced while it was in use, and this scan was not stored: scan it again."""


class WrongOwner(OutboxError):
    """The outbox belongs to another device. If this device has a new name, move the outbox: `python -m devices move --help` says when that is safe."""


class DiskFull(OutboxError):
    """This device's disk takes no more data, and this was not stored: free some space. What was stored before is safe and goes on being sent."""


class NotDelivered(DeviceError, TimeoutError):
    """Nothing came from the server in time; what was scanned is safe in the outbox and will be sent."""


class RefusedByServer(NotDelivered):
    """The server refuses this device: check its site, name and password; what was scanned is safe in the outbox."""


class EventTooLarge(DeviceError):
    """The server takes no event as large as this one. It stays in the outbox, and is sent once the server's limit (broker.packet_bytes_max) is raised."""


class ClaimError(DeviceError):
    """The claim could not be redeemed."""


class InvalidClaim(ClaimError, ValueError):
    """This is not a claim: scan the whole code again, or type all of it."""


class ClaimRefused(ClaimError):
    """The server does not take this claim: ask for a new one (`dockbridge device enrol DEVICE`)."""


class WrongServer(ClaimError):
    """The server is not the one that this claim is of; nothing was said to it. Check the network, and the claim's address."""


class ServerNotReached(ClaimError):
    """No server answers at the claim's address. The claim can be tried again."""


class ClaimStoreError(ClaimError):
    """The file for the password cannot be used; the claim can be redeemed again."""


class Closed(DeviceError):
    """This scanner was closed."""
