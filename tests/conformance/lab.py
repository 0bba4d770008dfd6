"""A broker under test, and clients that send exactly what a test says.

Sessions and retained messages that a test leaves in the broker are removed at its end, so that a broker that outlives the tests can
be tested twice.
"""

from __future__ import annotations

import base64
import itertools
import os
import socket
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from io import BufferedReader
from types import TracebackType
from typing import Any, Final, Self

import pytest
from helpers.mqtt import (
    CONNACK,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    Address,
    MqttWire,
    Packet,
    connect_packet,
    subscribe_packet,
    unsubscribe_packet,
)

REFUSED: Final = 0x80
FENCE_ID: Final = 65_000
"""Packet id of the packets that a lab sends for its own purposes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broker:
    """Where a broker listens. `is_ours`: it is Dockbridge, so that our decisions where the standard leaves a choice are asserted too."""

    address: Address
    websocket: Address | None
    is_ours: bool


class Client(MqttWire):
    """A client that may receive a PUBLISH at any time, and keeps it while it waits for another answer."""

    def __init__(self, address: Address) -> None:
        super().__init__(address)
        self._kept: deque[Packet] = deque()

    def read(self) -> Packet | None:
        return self._kept.popleft() if self._kept else super().read()

    def expect(self, kind: int) -> Packet:
        if kind == PUBLISH:
            return super().expect(kind)
        while (packet := super().read()) is not None and packet.kind == PUBLISH:
            self._kept.append(packet)
        assert packet is not None, f"closed instead of a packet of type {kind}"
        assert packet.kind == kind, f"expected type {kind}, heard {packet}"
        return packet

    def receive(self) -> Packet:
        """The next PUBLISH, with its flow completed."""
        packet = self.expect(PUBLISH)
        self.complete(packet)
        return packet

    def complete(self, packet: Packet) -> None:
        """Completes the flow of a received PUBLISH."""
        if packet.qos == 1:
            self.answer(PUBACK, packet.packet_id)
        elif packet.qos == 2:
            self.answer(PUBREC, packet.packet_id)
            assert self.expect(PUBREL).packet_id == packet.packet_id
            self.answer(PUBCOMP, packet.packet_id)

    def say(self, topic: str, payload: bytes, *, qos: int = 1, packet_id: int = FENCE_ID, **other: Any) -> None:
        """Publishes, and completes the flow. At QoS 0 a PINGREQ shows that the message was read."""
        self.publish(topic, payload, qos=qos, packet_id=packet_id, **other)
        if qos == 0:
            self._kept.extend(self.ping())
        elif qos == 1:
            assert self.expect(PUBACK).packet_id == packet_id
        else:
            assert self.expect(PUBREC).packet_id == packet_id
            self.answer(PUBREL, packet_id)
            assert self.expect(PUBCOMP).packet_id == packet_id

    def ask(self, *wanted: tuple[str | bytes, int], packet_id: int = 1) -> list[int]:
        """Subscribes to each filter with its QoS; returns the return codes."""
        self.send(subscribe_packet(wanted, packet_id))
        answer = self.expect(SUBACK)
        assert answer.packet_id == packet_id
        return list(answer.body[2:])

    def unsubscribe(self, *filters: str, packet_id: int = 1) -> None:
        self.send(unsubscribe_packet(filters, packet_id))
        answer = self.expect(UNSUBACK)
        assert (answer.packet_id, len(answer.body)) == (packet_id, 2)

    def end_writing(self) -> None:
        """Ends this side of the connection; the other side can still be read."""
        self._socket.shutdown(socket.SHUT_WR)

    def is_not_let_in(self, client_id: str, **connect: Any) -> bool:
        """Whether CONNECT is answered with a refusal or not at all, and the connection is closed."""
        self.send(connect_packet(client_id, **connect))
        return not any(packet.kind == CONNACK and packet.body[1] == 0 for packet in self.expect_closed())

    def is_open(self) -> bool:
        """Whether the broker still answers."""
        self._kept.extend(self.ping())
        return True


class Lab:
    """The clients of one test, and names that are not used by other tests."""

    _numbers = itertools.count(1)
    _run = os.urandom(3).hex()

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.name = f"t{self._run}n{next(self._numbers)}"
        self._clients: list[Client] = []
        self._sessions: set[str] = set()
        self._retained: set[str] = set()
        self._speaker: Client | None = None
        self._fences = itertools.count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    # given

    def topic(self, *levels: str) -> str:
        return "/".join((self.name, *levels))

    def client_id(self, who: str) -> str:
        return self.name + who

    def stranger(self) -> Client:
        """A connection on which nothing has been sent."""
        return self._tracked(Client(self.broker.address))

    def client(self, who: str = "a", *, clean: bool = True, **connect: Any) -> Client:
        """A client that was accepted."""
        return self.enter(self.stranger(), who, clean=clean, **connect)

    def enter(self, client: Client, who: str = "a", *, clean: bool = True, **connect: Any) -> Client:
        """Sends CONNECT over a new connection."""
        if not clean:
            self._sessions.add(self.client_id(who))
        client.session_present, code = client.connect(self.client_id(who), clean=clean, **connect)
        assert code == 0, f"CONNACK {code}"
        return client

    def websocket(self, *, protocols: Sequence[str] = ("mqtt",)) -> WebSocketClient:
        """A WebSocket on which nothing has been sent; the test is skipped if the broker has none."""
        if self.broker.websocket is None:
            pytest.skip("no address for WebSockets was given")
        client = WebSocketClient(self.broker.websocket, protocols=protocols)
        self._tracked(client)
        return client

    def entered_websocket(self, who: str = "web") -> WebSocketClient:
        """A client that was accepted over a WebSocket."""
        client = self.websocket()
        self.enter(client, who)
        return client

    def listener(self, *filters: str, qos: int = 2, who: str = "listener", clean: bool = True) -> Client:
        """A subscribed client whose messages `heard` returns."""
        client = self.client(who, clean=clean)
        wanted = [(self._fence, 1), *((f, qos) for f in filters)]
        assert client.ask(*wanted) == [granted for _, granted in wanted]
        return client

    # when

    def say(self, topic: str, payload: bytes = b"x", *, qos: int = 1, retain: bool = False) -> None:
        """Another client publishes; returns when the broker has the message."""
        if retain:
            self._retained.add(topic)
        if self._speaker is None:
            self._speaker = self.client("speaker")
        self._speaker.say(topic, payload, qos=qos, retain=retain)

    # then

    def heard(self, listener: Client) -> list[Packet]:
        """The messages that a listener has been sent so far, with completed flows: those that come before a message that is published now."""
        mark = str(next(self._fences)).encode()
        self.say(self._fence, mark)
        heard = []
        while ((packet := listener.receive()).topic, packet.payload) != (self._fence, mark):
            heard.append(packet)
        return heard

    def heard_among_answers(self, listener: Client) -> list[Packet]:
        """As `heard`, for a listener that has sent other packets meanwhile: their answers are skipped."""
        mark = str(next(self._fences)).encode()
        self.say(self._fence, mark)
        heard: list[Packet] = []
        while True:
            packet = listener.read()
            assert packet is not None, "the connection was closed"
            if packet.kind == PUBLISH:
                listener.complete(packet)
                if (packet.topic, packet.payload) == (self._fence, mark):
                    return heard
                heard.append(packet)

    def fetch(self, *filters: str, qos: int = 2) -> list[Packet]:
        """The retained messages at these filters, as a new subscriber is sent them."""
        reader = self.client("reader")
        with reader:
            assert reader.ask((self._fence, 1), *((f, qos) for f in filters))
            return self.heard(reader)

    # the end

    @property
    def _fence(self) -> str:
        return self.topic("fence")

    def _tracked(self, client: Client) -> Client:
        self._clients.append(client)
        return client

    def will_leave(self, topic: str) -> None:
        """A topic at which a test leaves a retained message without `say`: with a will or a packet made by hand."""
        self._retained.add(topic)

    def close(self) -> None:
        for client in self._clients:
            client.cut()
        for client_id in self._sessions:
            with Client(self.broker.address) as again:
                again.connect(client_id, clean=True)
                again.goodbye()
        if self._retained:
            with Client(self.broker.address) as cleaner:
                cleaner.connect(self.client_id("cleaner"))
                for topic in self._retained:
                    cleaner.say(topic, b"", retain=True)
                cleaner.goodbye()


# --- websockets ---------------------------------------------------------------------------------------------------------------

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_KEY: Final = base64.b64encode(bytes(16)).decode()


class WebSocketClient(Client):
    """MQTT in binary frames of a WebSocket (RFC 6455), only as much of it as MQTT needs. `headers` are the server's answer to the upgrade."""

    def __init__(self, address: Address, *, protocols: Sequence[str] = ("mqtt",)) -> None:
        super().__init__(address)
        lines = (
            "GET /mqtt HTTP/1.1",
            f"Host: {address[0]}:{address[1]}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {_KEY}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {', '.join(protocols)}",
        )
        self._socket.sendall("\r\n".join((*lines, "", "")).encode())
        self.status = int(self._stream.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._stream.readline().strip():
            name, _, value = line.decode().partition(":")
            self.headers[name.lower()] = value.strip()
        self.heard = _Messages(self._stream)
        self._stream = self.heard  # type: ignore[assignment]

    def send(self, data: bytes) -> None:
        self.send_frame(BINARY, data)

    def send_frame(self, opcode: int, data: bytes, *, is_last: bool = True) -> None:
        """One frame; a client's are masked, and a mask of zeros leaves them as they are."""
        first = (0x80 if is_last else 0) | opcode
        if len(data) < 126:
            head = struct.pack("!BB", first, 0x80 | len(data))
        elif len(data) < 65_536:
            head = struct.pack("!BBH", first, 0x80 | 126, len(data))
        else:
            head = struct.pack("!BBQ", first, 0x80 | 127, len(data))
        self._socket.sendall(head + bytes(4) + data)


class _Messages:
    """The bytes in the frames that arrive, in their order; `opcodes` lists the kinds of the frames."""

    def __init__(self, stream: BufferedReader) -> None:
        self.opcodes: list[int] = []
        self._stream = stream
        self._buffer = bytearray()
        self._is_closed = False

    def read(self, size: int) -> bytes:
        while len(self._buffer) < size and not self._is_closed:
            self._read_frame()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def close(self) -> None:
        self._stream.close()

    def _read_frame(self) -> None:
        head = self._stream.read(2)
        if len(head) < 2:
            self._is_closed = True
            return
        size = head[1] & 0x7F
        if size == 126:
            size = int.from_bytes(self._stream.read(2), "big")
        elif size == 127:
            size = int.from_bytes(self._stream.read(8), "big")
        data = self._stream.read(size)
        self.opcodes.append(head[0] & 0x0F)
        if self.opcodes[-1] == CLOSE:
            self._is_closed = True
        else:
            self._buffer += data
