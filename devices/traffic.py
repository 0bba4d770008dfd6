"""What a connection carries: messages out, messages in, and the `Traffic` that makes and takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to publish. `ticket` tells the traffic what it was when its PUBACK comes; a presence has none."""

    topic: str
    payload: bytes
    qos: int
    retain: bool = False
    ticket: object = None


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message that came in. It is acknowledged after `Traffic.settle` has stored it."""

    topic: str
    payload: bytes
    retain: bool = False
    """It was retained, and comes because of a subscription."""


class Traffic(Protocol):
    """What a connection carries. Its methods are called in the connection's thread."""

    def filters(self) -> Sequence[str]:
        """Topic filters to subscribe to, the most important first."""
        ...

    def presence(self, *, online: bool) -> Sequence[Outgoing]:
        """The retained messages that say that the device is there, or gone; the last one stays."""
        ...

    def will(self) -> Outgoing:
        """The message that the server publishes when the device is cut off."""
        ...

    def connected(self, *, session_present: bool) -> None:
        """A new connection is open: hand over again what was handed over before and not settled."""
        ...

    def subscribed(self, denied: Sequence[str]) -> None:
        """The server has granted the filters, except for some."""
        ...

    def take(self, room: int) -> Sequence[Outgoing]:
        """What to publish next: at most `room` messages of QoS 1."""
        ...

    def settle(self, acknowledged: Sequence[Outgoing], incoming: Sequence[Incoming]) -> bool:
        """Stores what was acknowledged and what came in. False if it cannot be stored now: then the messages that came in are handed over again."""
        ...

    def changed(self) -> None:
        """`Connection.connected` or `Connection.refused` has changed."""
        ...
