"""What stands between a network connection and its `Connection`, whatever the listener: who is let in, and when to read on."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from abc import ABC, abstractmethod
from typing import Any, Final, cast

from bridge.broker.connection import Connection
from bridge.broker.hub import Hub
from bridge.broker.state import ClientCertificate

STUCK_OUTPUT_FACTOR: Final = 4
"""A client that asks for answers and does not read them is closed at so many times broker.output_bytes_max; what it is owed is kept."""


class Wire(ABC):
    """What stands between a network connection and its `Connection`. Reading is held while the store is behind, or the client publishes too fast."""

    connection: Connection

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.is_admitted = False
        self._host = ""
        self._is_paused = False
        self._is_throttled = False
        self._is_early = False

    def arrive(self, peer: tuple[str, int]) -> bool:
        """Count a connection before it is open, while it shakes hands. False if there is no room for one more of its address."""
        if not self._finds_room(peer):
            self._forget_host()
            return False
        self.hub.doorstep.add(self)
        return True

    def leave_doorstep(self) -> None:
        """Its handshake is over, one way or the other."""
        if self in self.hub.doorstep:
            self.hub.doorstep.discard(self)
            self._forget_host()

    def open(self, peer: tuple[str, int], transport: asyncio.BaseTransport) -> None:
        """Let a connection in, if there is room for one more of its address."""
        hub = self.hub
        self.leave_doorstep()
        if not self._finds_room(peer):
            return
        self.is_admitted = True
        self.connection = Connection(hub.door, f"{peer[0]}:{peer[1]}", self.wake)
        self.connection.certificate = _client_certificate(transport.get_extra_info("ssl_object"))
        hub.wires[self] = None

    def _finds_room(self, peer: tuple[str, int]) -> bool:
        hub, limits = self.hub, self.hub.door.limits
        self._host = peer[0]
        hub.hosts[self._host] += 1
        if len(hub.wires) + len(hub.doorstep) < limits.connections_max and hub.hosts[self._host] <= limits.connections_per_address_max:
            return True
        hub.door.counters.turned_away += 1
        why = "there are too many (broker.connections_max, broker.connections_per_address_max)"
        hub.door.notices.say("a connection was turned away", None, f"{peer[0]}:{peer[1]}", why)
        return False

    def _forget_host(self) -> None:
        self.hub.hosts[self._host] -= 1
        if not self.hub.hosts[self._host]:
            del self.hub.hosts[self._host]

    def lost(self) -> None:
        """The network connection is gone."""
        self._forget_host()
        if self.is_admitted:
            self.hub.wires.pop(self, None)
            if not self.hub.wires:
                self.hub.all_gone.set()
            self.connection.lost()
            self.hub.flush()

    def wake(self, connection: Connection) -> None:
        if self._is_early and not connection.is_early:
            self._is_early = False
            self._hold()
        self.hub.wake(self)

    def received(self, data: bytes) -> None:
        """Bytes came."""
        self.hub.received_bytes += len(data)
        self.connection.receive(data)
        self.hub.flush()
        if self.connection.is_early and not self._is_early:
            self._is_early = True
            self._hold()
        if self.hub.door.sink.is_full:
            # All of them at once: otherwise each would still read a piece of its own into a queue that is full.
            self.hub.pause(paused=True)
        delay_s = self.connection.throttle_s()
        if delay_s and not self._is_throttled:
            self._is_throttled = True
            self._hold()
            asyncio.get_running_loop().call_later(delay_s, self._unthrottle)

    def _unthrottle(self) -> None:
        self._is_throttled = False
        self._hold()

    def pause(self, *, paused: bool) -> None:
        self._is_paused = paused
        self._hold()

    def _hold(self) -> None:
        held = self._is_paused or self._is_throttled or self._is_early
        self.connection.pause(paused=held)
        self.read_on(not held)

    @abstractmethod
    def read_on(self, go: bool) -> None:
        """Go on reading, or read nothing more for now."""

    @abstractmethod
    def flush(self) -> None:
        """Write what the connection has collected; end if it is closed."""

    @abstractmethod
    def abort(self) -> None:
        """End without a goodbye."""


def _client_certificate(tls: ssl.SSLObject | None) -> ClientCertificate | None:
    """Who a connection says it is by its certificate, which the handshake has verified. One with another number of names than one says nothing."""
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    if tls is None or not certificate:
        return None
    subject = (tls.getpeercert() or {}).get("subject", ())
    names = [value for part in cast("Any", subject) for key, value in part if key == "commonName"]
    return ClientCertificate(names[0], hashlib.sha256(certificate).hexdigest()) if len(names) == 1 else None
