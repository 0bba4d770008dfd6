"""What stands between a network connection and its `Connection`: TCP and TLS sockets, and WebSockets. Bytes in, bytes out, and when to read on."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from websockets.exceptions import ConnectionClosed

from bridge.broker.front_door import Connection, State
from bridge.broker.packets import ClientCertificate

if TYPE_CHECKING:
    from bridge.broker.hub import Hub

STUCK_OUTPUT_FACTOR: Final = 4
"""A client that asks for answers and does not read them is closed at so many times broker.output_bytes_max; what it is owed is kept."""


class Wire(ABC):
    """What stands between a network connection and its `Connection`. Reading is held while the store is behind, or the client publishes too fast."""

    connection: Connection

    def __init__(self, broker: Hub) -> None:
        self.broker = broker
        self.is_admitted = False
        self._host = ""
        self._is_paused = False
        self._is_throttled = False
        self._is_early = False

    def arrive(self, peer: tuple[str, int]) -> bool:
        """Count a connection before it is open, while it shakes hands; False where there is no room for one more of its address."""
        if not self._finds_room(peer):
            self._forget_host()
            return False
        self.broker.doorstep.add(self)
        return True

    def leave_doorstep(self) -> None:
        """Its handshake is over, one way or the other."""
        if self in self.broker.doorstep:
            self.broker.doorstep.discard(self)
            self._forget_host()

    def open(self, peer: tuple[str, int], transport: asyncio.BaseTransport) -> None:
        """Let a connection in, where there is room for one more of its address."""
        broker = self.broker
        self.leave_doorstep()
        if not self._finds_room(peer):
            return
        self.is_admitted = True
        self.connection = Connection(broker.door, f"{peer[0]}:{peer[1]}", self.wake)
        self.connection.certificate = _client_certificate(transport.get_extra_info("ssl_object"))
        broker.wires[self] = None

    def _finds_room(self, peer: tuple[str, int]) -> bool:
        broker, limits = self.broker, self.broker.door.limits
        self._host = peer[0]
        broker.hosts[self._host] += 1
        if len(broker.wires) + len(broker.doorstep) < limits.connections_max and broker.hosts[self._host] <= limits.connections_per_address_max:
            return True
        broker.door.counters.turned_away += 1
        why = "there are too many (broker.connections_max, broker.connections_per_address_max)"
        broker.door.notices.say("a connection was turned away", None, f"{peer[0]}:{peer[1]}", why)
        return False

    def _forget_host(self) -> None:
        self.broker.hosts[self._host] -= 1
        if not self.broker.hosts[self._host]:
            del self.broker.hosts[self._host]

    def lost(self) -> None:
        """The network connection is gone."""
        self._forget_host()
        if self.is_admitted:
            self.broker.wires.pop(self, None)
            if not self.broker.wires:
                self.broker.nobody_left.set()
            self.connection.lost()
            self.broker.flush()

    def wake(self, connection: Connection) -> None:
        if self._is_early and not connection.is_early:
            self._is_early = False
            self._hold()
        self.broker.wake(self)

    def received(self, data: bytes) -> None:
        """Bytes came."""
        self.connection.receive(data)
        self.broker.flush()
        if self.connection.is_early and not self._is_early:
            self._is_early = True
            self._hold()
        if self.broker.door.sink.is_full:
            # All of them at once: otherwise each would still read a piece of its own into a queue that is full.
            self.broker.pause(paused=True)
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
        """Write what the connection has collected; end where it is closed."""

    @abstractmethod
    def abort(self) -> None:
        """End without a goodbye."""


class SocketWire(Wire, asyncio.Protocol):
    """A TCP or TLS connection."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.open((transport.get_extra_info("peername") or ("?", 0))[:2], transport)
        if not self.is_admitted:
            self._transport.abort()
        elif self.broker.door.sink.is_full:
            self.pause(paused=True)

    def data_received(self, data: bytes) -> None:
        if self.is_admitted:
            self.received(data)

    def flush(self) -> None:
        data = self.connection.take_output()
        if data:
            self._transport.write(data)
            if self.connection.has_more:
                asyncio.get_running_loop().call_soon(self._send_more)
        if self.connection.state is State.CLOSED:
            self._transport.close()
            if self._transport.get_write_buffer_size():
                # A client that does not read does not hold the connection either.
                asyncio.get_running_loop().call_later(self.broker.door.limits.connect_timeout_s, self._transport.abort)
        elif self._transport.get_write_buffer_size() > STUCK_OUTPUT_FACTOR * self.broker.door.limits.output_bytes_max:
            self.connection.close("the client does not read")
            self._transport.abort()

    def _send_more(self) -> None:
        if not self.connection.is_full:
            self.connection.send_more()
            self.broker.flush()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write; asyncio says so."""
        if self.is_admitted:
            self.connection.is_full = True

    def resume_writing(self) -> None:
        if self.is_admitted:
            self.connection.is_full = False
            self._send_more()

    def read_on(self, go: bool) -> None:
        if not self._transport.is_closing():
            if go:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def abort(self) -> None:
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost()


class WebSocketWire(Wire):
    """A WebSocket connection: one task reads, one writes what was collected."""

    def __init__(self, broker: Hub, websocket: Any) -> None:
        super().__init__(broker)
        self._websocket = websocket
        self._out = bytearray()
        self._written = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self.open(websocket.remote_address[:2], websocket.transport)
        if not self.is_admitted:
            self.lost()
            websocket.transport.abort()
        elif broker.door.sink.is_full:
            self.pause(paused=True)

    async def run(self) -> None:
        connection = self.connection
        writer = asyncio.get_running_loop().create_task(self._write(), name=f"websocket writer {connection.peer}")
        try:
            with suppress(ConnectionClosed):
                while connection.state is not State.CLOSED:
                    await self._may_read.wait()
                    data = await self._websocket.recv()
                    if isinstance(data, str):
                        connection.close("a text frame; MQTT is binary (6.0.0-1)")
                        break
                    self.received(data)
        finally:
            self.lost()
            await writer

    async def _write(self) -> None:
        connection = self.connection
        with suppress(ConnectionClosed):
            while self._out or connection.state is not State.CLOSED:
                await self._written.wait()
                self._written.clear()
                data = bytes(self._out)
                self._out.clear()
                if data:
                    await self._websocket.send(data)
                connection.is_full = False
                connection.send_more()
                self.broker.flush()
        await self._websocket.close()

    def flush(self) -> None:
        limit = self.broker.door.limits.output_bytes_max
        if self.connection.state is State.CLOSED:
            self._may_read.set()
        self._out += self.connection.take_output()
        self.connection.is_full = len(self._out) >= limit
        if len(self._out) > STUCK_OUTPUT_FACTOR * limit:
            self._out.clear()
            self.connection.close("the client does not read")
        self._written.set()

    def read_on(self, go: bool) -> None:
        if go:
            self._may_read.set()
        else:
            self._may_read.clear()

    def abort(self) -> None:
        self._websocket.transport.abort()


def _client_certificate(tls: ssl.SSLObject | None) -> ClientCertificate | None:
    """Who a connection says it is by its certificate, which the handshake has verified. One with another number of names than one says nothing."""
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    if tls is None or not certificate:
        return None
    subject = (tls.getpeercert() or {}).get("subject", ())
    names = [value for part in cast("Any", subject) for key, value in part if key == "commonName"]
    return ClientCertificate(names[0], hashlib.sha256(certificate).hexdigest()) if len(names) == 1 else None
