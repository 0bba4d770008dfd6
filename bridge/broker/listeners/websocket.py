"""MQTT over WebSocket, plain or with TLS: its binary messages are a stream of bytes (MQTT 3.1.1 §6)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

from websockets.asyncio.server import Server, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from bridge.broker.hub import Hub
from bridge.broker.limits import DoorLimits
from bridge.broker.listeners.wire import STUCK_OUTPUT_FACTOR, Wire
from bridge.broker.state import State

WEBSOCKET_MESSAGE_BYTES_MAX: Final = 1_048_576
"""A WebSocket message may hold many packets; and it may always be as long as the longest packet."""
PACKET_HEADER_BYTES_MAX: Final = 5


async def listen_for_websockets(
    connected: Callable[[Any], Awaitable[None]],
    host: str | None,
    port: int,
    limits: DoorLimits,
    tls: ssl.SSLContext | None,
) -> Server:
    """Listen. `connected` is awaited for each WebSocket, see `serve_websocket`.

    Raises:
        OSError: if the address can't be had.
    """
    # A handshake that does not end, and a goodbye that is not answered, get the time that a CONNECT gets.
    patience_s = limits.connect_timeout_s
    return await serve(
        connected,
        host,
        port,
        subprotocols=[Subprotocol("mqtt")],
        open_timeout=patience_s,
        close_timeout=patience_s,
        max_size=max(WEBSOCKET_MESSAGE_BYTES_MAX, limits.packet_bytes_max + PACKET_HEADER_BYTES_MAX),
        ssl=tls,
        ssl_handshake_timeout=patience_s if tls is not None else None,
        ssl_shutdown_timeout=patience_s if tls is not None else None,
    )


async def serve_websocket(hub: Hub, websocket: Any) -> None:
    """Serve one WebSocket to its end."""
    wire = WebSocketWire(hub, websocket)
    if wire.is_admitted:
        await wire.run()


class WebSocketWire(Wire):
    """A WebSocket connection: one task reads, one writes what was collected."""

    def __init__(self, hub: Hub, websocket: Any) -> None:
        super().__init__(hub)
        self._websocket = websocket
        self._out = bytearray()
        self._written = asyncio.Event()
        self._may_read = asyncio.Event()
        self._may_read.set()
        self.open(websocket.remote_address[:2], websocket.transport)
        if not self.is_admitted:
            self.lost()
            websocket.transport.abort()
        elif hub.door.sink.is_full:
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
                    self.hub.sent_bytes += len(data)
                connection.is_full = False
                connection.send_more()
                self.hub.flush()
        await self._websocket.close()

    def flush(self) -> None:
        limit = self.hub.door.limits.output_bytes_max
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
