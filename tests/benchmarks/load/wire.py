"""A raw MQTT 3.1.1 client for loads: an asyncio protocol without a library, which reads what arrives in one pass."""

# Not `helpers.mqtt`, for speed: the generator must not be the bottleneck, so it makes no object for a packet and takes topics as bytes.

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Iterable, Sequence

CONNECT_WAIT_S = 120.0
"""Long enough for thousands of devices to log in one after the other on one core."""


def length(n: int) -> bytes:
    """Remaining length (MQTT 3.1.1 §2.2.3)."""
    out = bytearray()
    while True:
        n, low = n >> 7, n & 127
        out.append(low | (128 if n else 0))
        if not n:
            return bytes(out)


def text(value: bytes) -> bytes:
    """A string preceded by its length (§1.5.3)."""
    return len(value).to_bytes(2, "big") + value


def publish(topic: bytes, payload: bytes, qos: int, packet_id: int = 0, *, retain: bool = False) -> bytes:
    """A whole PUBLISH."""
    head = text(topic) + (packet_id.to_bytes(2, "big") if qos else b"")
    return bytes((0x30 | qos << 1 | retain,)) + length(len(head) + len(payload)) + head + payload


class Client(asyncio.Protocol):
    """CONNECT, SUBSCRIBE, then what the hooks do. The time (`now_s`) is taken once for each piece of data that the socket gives.

    Args:
        name: client id, and username if there is a password.
        filters: subscribed to at `qos` before the client is `ready`.
    """

    def __init__(self, name: str, password: str | None = None, filters: Sequence[str] = (), *, qos: int = 1, clean: bool = True) -> None:
        self.name = name
        self.password = password
        self.filters = filters
        self.qos = qos
        self.clean = clean
        self.now_s = 0.0
        self.buffer = bytearray()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]  # uvloop's is none of asyncio's classes
        name = text(self.name.encode())
        flags = (2 if self.clean else 0) | (0xC0 if self.password is not None else 0)
        login = name + text(self.password.encode()) if self.password is not None else b""
        body = text(b"MQTT") + bytes((4, flags, 0, 0)) + name + login
        self.transport.write(b"\x10" + length(len(body)) + body)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(f"{self.name}: the server hung up"))

    def data_received(self, data: bytes) -> None:
        self.now_s = time.perf_counter()
        buffer = self.buffer
        buffer += data
        at, size = 0, len(buffer)
        answers: list[bytes] = []
        while size - at >= 2:
            first = buffer[at]
            remaining = buffer[at + 1]
            start = at + 2
            if remaining & 128:
                remaining &= 127
                shift = 7
                while start < size and buffer[start] & 128:
                    remaining |= (buffer[start] & 127) << shift
                    start, shift = start + 1, shift + 7
                if start >= size:
                    break
                remaining |= buffer[start] << shift
                start += 1
            end = start + remaining
            if end > size:
                break
            kind = first >> 4
            if kind == 3:
                name_end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
                if first & 6:
                    answers.append(b"\x40\x02" + buffer[name_end : name_end + 2])
                    self.on_publish(bytes(buffer[start + 2 : name_end]), bytes(buffer[name_end + 2 : end]))
                else:
                    self.on_publish(bytes(buffer[start + 2 : name_end]), bytes(buffer[name_end:end]))
            elif kind == 4:
                self.on_puback(buffer[start] << 8 | buffer[start + 1])
            elif kind == 5:
                answers.append(b"\x62\x02" + buffer[start : start + 2])
                self.on_pubrec(buffer[start] << 8 | buffer[start + 1])
            elif kind == 7:
                self.on_pubcomp(buffer[start] << 8 | buffer[start + 1])
            elif kind == 2:
                self._connected(buffer[start + 1])
            elif kind == 9:
                self._subscribed(bytes(buffer[start + 2 : end]))
            at = end
        del buffer[:at]
        if answers:
            self.transport.write(b"".join(answers))
        self.after_data()

    def _connected(self, code: int) -> None:
        if code:
            self.ready.set_exception(ConnectionError(f"{self.name} was refused with {code}"))
        elif self.filters:
            body = b"\0\1" + b"".join(text(f.encode()) + bytes((self.qos,)) for f in self.filters)
            self.transport.write(b"\x82" + length(len(body)) + body)
        else:
            self.ready.set_result(None)

    def _subscribed(self, codes: bytes) -> None:
        if 0x80 in codes:
            self.ready.set_exception(ConnectionError(f"{self.name} may not subscribe to {self.filters}"))
        elif not self.ready.done():
            self.ready.set_result(None)

    def on_publish(self, topic: bytes, payload: bytes) -> None: ...

    def on_puback(self, packet_id: int) -> None: ...

    def on_pubrec(self, packet_id: int) -> None: ...

    def on_pubcomp(self, packet_id: int) -> None: ...

    def after_data(self) -> None:
        """Called once for each piece that arrived, after its packets."""


async def enter(clients: Iterable[Client], host: str, port: int, *, at_once: int = 50, tls: ssl.SSLContext | None = None) -> None:
    """Connect clients and wait until each is ready; only some at a time, because a listener's backlog is short."""
    loop = asyncio.get_running_loop()
    places = asyncio.Semaphore(at_once)

    async def one(client: Client) -> None:
        async with places:
            await loop.create_connection(lambda: client, host, port, ssl=tls)
            await asyncio.wait_for(client.ready, CONNECT_WAIT_S)

    await asyncio.gather(*(one(c) for c in clients))


def leave(clients: Iterable[Client]) -> None:
    """Send DISCONNECT and close."""
    for client in clients:
        if not client.lost:
            client.transport.write(b"\xe0\x00")
            client.transport.close()
