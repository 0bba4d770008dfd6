"""One scan: what an event may say, and what has become of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypedDict

from devices import outbox as ob
from devices.mail import Mail
from devices.protocol import bodies
from devices.protocol.bridge_messages import Receipt
from devices.protocol.vocabulary import EventType


class Scanned(TypedDict, total=False):
    """What every event may say beside its order: ids and text as they were scanned; `at` a place, `by` a worker's pseudonym."""

    parcel: str | None
    code: str | None
    at: str | None
    by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """An event for `send_many`: what `send` takes as arguments."""

    type: EventType
    body: bodies.Body | Mapping[str, Any] = field(default_factory=bodies.Nothing)
    order: str | None = None
    scanned: Scanned = field(default_factory=Scanned)


class Scan:
    """One event of this device: its `id` (16 bytes) and `seq`, and what has become of it."""

    __slots__ = ("_mail", "id", "seq", "type")

    def __init__(self, entry: ob.Entry, mail: Mail) -> None:
        self.id = entry.id
        self.seq = entry.seq
        self.type = entry.type
        self._mail = mail

    def __repr__(self) -> str:
        return f"Scan({self.type}, seq={self.seq}, id={self.id.hex()})"

    @property
    def acknowledged(self) -> bool:
        """Whether the server has stored it."""
        return not self._mail.outbox.holds(self.seq, self.id)

    def wait_acknowledged(self, timeout_s: float | None = None) -> None:
        """Waits until the server has stored it; None waits for ever.

        Raises:
            NotDelivered: not within `timeout_s` seconds (`RefusedByServer` if the server refuses this device).
            Closed: the device was closed.
        """
        self._mail.wait(lambda: self.acknowledged or None, timeout_s)

    def receipt(self, timeout_s: float | None = None) -> Receipt:
        """What the server says of it, waiting for its first answer; a later one (higher `n`) holds as soon as it has come.

        Raises:
            NotDelivered: no receipt within `timeout_s` seconds (`RefusedByServer` if the server refuses this device).
            Closed: the device was closed.
        """
        return self._mail.wait(lambda: self._mail.receipt(self.id), timeout_s)
