"""MQTT over TCP: a socket's bytes, in and out. TLS uses the same, see `tls.py`."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final, cast

from bridge.broker.hub import Hub
from bridge.broker.listeners.wire import STUCK_OUTPUT_FACTOR, Wire
from bridge.broker.state import State

BACKLOG: Final = 1_024


async def listen_for_sockets(hub: Hub, host: str | None, port: int) -> asyncio.Server:
    """Listen.

    Raises:
        OSError: if the address can't be had.
    """
    return await asyncio.get_running_loop().create_server(partial(SocketWire, hub), host, port, backlog=BACKLOG)


class SocketWire(Wire, asyncio.Protocol):
    """A TCP or TLS connection."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.open((transport.get_extra_info("peername") or ("?", 0))[:2], transport)
        self._transport.set_write_buffer_limits(high=self.hub.door.limits.output_bytes_max)
        if not self.is_admitted:
            self._transport.abort()
        elif self.hub.door.sink.is_full:
            self.pause(paused=True)

    def data_received(self, data: bytes) -> None:
        if self.is_admitted:
            self.received(data)

    def flush(self) -> None:
        data = self.connection.take_output()
        if data and not self._transport.is_closing():
            self._transport.write(data)
            self.hub.sent_bytes += len(data)
            if self.connection.has_more:
                asyncio.get_running_loop().call_soon(self._send_more)
        if self.connection.state is State.CLOSED:
            self._transport.close()
            if self._transport.get_write_buffer_size():
                # A client that does not read does not hold the connection either.
                asyncio.get_running_loop().call_later(self.hub.door.limits.connect_timeout_s, self._transport.abort)
        elif self._transport.get_write_buffer_size() > STUCK_OUTPUT_FACTOR * self.hub.door.limits.output_bytes_max:
            self.connection.close("the client does not read")
            self._transport.abort()

    def _send_more(self) -> None:
        if not self.connection.is_full:
            self.connection.send_more()
            self.hub.flush()

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
