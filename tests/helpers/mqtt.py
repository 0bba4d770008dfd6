"""The small MQTT 3.1.1 client of the tests: packets made by hand, and a blocking socket that sends exactly what a test says."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

import cbor2

from helpers.waiting import DEADLINE_S

Address = tuple[str, int]
"""Host and port."""

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = range(1, 15)


class Packet(NamedTuple):
    """A control packet: `flags` are the lower four bits of its first byte. A PUBLISH is also split into its parts."""

    kind: int
    packet_id: int
    body: bytes
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    dup: bool = False
    retain: bool = False
    flags: int = 0

    @property
    def plain(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload) if self.payload[:1] == b"{" else cbor2.loads(self.payload)


class MqttWire:
    """MQTT 3.1.1 on a blocking socket: sends exactly what a test says, and reads packets in the order in which they come. `tls` None is plain TCP."""

    def __init__(self, address: Address, tls: ssl.SSLContext | None = None, *, deadline_s: float = DEADLINE_S) -> None:
        self.session_present = False
        self._socket = socket.create_connection(address, deadline_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=address[0])
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cut()

    def cut(self) -> None:
        """Ends the connection without DISCONNECT."""
        self._stream.close()
        self._socket.close()

    # send

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def connect(self, client_id: str, username: str | None = None, password: str | None = None, **other: Any) -> tuple[bool, int]:
        """Logs in; returns (session present, return code) of the CONNACK."""
        self.send(connect_packet(client_id, username, password, **other))
        answer = self.expect(CONNACK)
        return bool(answer.body[0]), answer.body[1]

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, packet_id: int = 1, **other: Any) -> None:
        self.send(publish_packet(topic, payload, qos=qos, packet_id=packet_id, **other))

    def subscribe(self, *filters: str, qos: int = 1, packet_id: int = 1) -> list[int]:
        """Subscribes; returns the return codes of the SUBACK."""
        self.send(subscribe_packet([(f, qos) for f in filters], packet_id))
        return list(self.expect(SUBACK).body[2:])

    def answer(self, kind: int, packet_id: int) -> None:
        """Sends a PUBACK, PUBREC, PUBREL or PUBCOMP."""
        self.send(answer_packet(kind, packet_id))

    def goodbye(self) -> None:
        """Sends DISCONNECT, and waits until the server has closed the connection."""
        self.send(b"\xe0\x00")
        self.expect_closed()

    def ping(self) -> list[Packet]:
        """Sends PINGREQ; returns the packets that came before its answer. Shows that the server has nothing else to send."""
        self.send(b"\xc0\x00")
        heard = []
        while (packet := self.read()) is not None and packet.kind != PINGRESP:
            heard.append(packet)
        assert packet is not None, "the connection was closed"
        return heard

    # receive

    def read(self) -> Packet | None:
        """The next packet; None if the connection was closed. Fails the test after a deadline."""
        try:
            head = self._stream.read(1)
            if not head:
                return None
            return read_packet(head[0], self._stream.read(remaining_length(self._stream.read)))
        except ConnectionError:
            return None

    def expect(self, kind: int) -> Packet:
        packet = self.read()
        assert packet is not None, f"closed instead of a packet of type {kind}"
        assert packet.kind == kind, f"expected type {kind}, heard {packet}"
        return packet

    def expect_closed(self) -> list[Packet]:
        """Waits until the server closes the connection; returns the packets that came before."""
        heard = []
        while (packet := self.read()) is not None:
            heard.append(packet)
        return heard

    def receive(self) -> Packet:
        """The next PUBLISH; it is acknowledged at QoS 1."""
        packet = self.expect(PUBLISH)
        if packet.qos == 1:
            self.answer(PUBACK, packet.packet_id)
        return packet


def remaining_length(read: Callable[[int], bytes]) -> int:
    """Reads the remaining length of a packet (MQTT 3.1.1 §2.2.3)."""
    total = shift = 0
    while True:
        digit = read(1)[0]
        total |= (digit & 0x7F) << shift
        shift += 7
        if digit < 0x80:
            return total


def first_packet(data: bytes | bytearray, start: int = 0) -> tuple[Packet, int] | None:
    """The packet that begins at `start`, and where it ends. None if it is not complete yet."""
    length = 0
    for at in range(start + 1, min(start + 5, len(data))):
        length |= (data[at] & 0x7F) << 7 * (at - start - 1)
        if data[at] < 0x80:
            end = at + 1 + length
            return (read_packet(data[start], bytes(data[at + 1 : end])), end) if end <= len(data) else None
    return None


def read_packet(first: int, body: bytes) -> Packet:
    """The packet with this first byte, and this body after the remaining length."""
    kind = first >> 4
    if kind != PUBLISH:
        return Packet(kind, int.from_bytes(body[:2], "big"), body, flags=first & 15)
    end = 2 + int.from_bytes(body[:2], "big")
    qos = first >> 1 & 3
    start = end + (2 if qos else 0)
    return Packet(kind, int.from_bytes(body[end:start], "big"), body, body[2:end].decode(), body[start:], qos, bool(first & 8), bool(first & 1), first & 15)


def frame(first: int, body: bytes) -> bytes:
    """A packet with the right remaining length."""
    length, digits = len(body), bytearray()
    while not digits or length:
        length, low = divmod(length, 128)
        digits.append(low | (0x80 if length else 0))
    return bytes((first,)) + bytes(digits) + body


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def connect_packet(
    client_id: str,
    username: str | None = None,
    password: str | None = None,
    *,
    clean: bool = True,
    keep_alive_s: int = 60,
    will: tuple[str, bytes] | None = None,
    will_qos: int = 1,
    will_retain: bool = True,
    protocol: str = "MQTT",
    level: int = 4,
) -> bytes:
    will_flags = 0x04 | will_qos << 3 | will_retain << 5 if will else 0
    flags = (0x80 if username is not None else 0) | (0x40 if password is not None else 0) | will_flags | (2 if clean else 0)
    fields = [text(client_id), *(text(w) for w in will or ()), *(text(v) for v in (username, password) if v is not None)]
    return frame(CONNECT << 4, text(protocol) + struct.pack("!BBH", level, flags, keep_alive_s) + b"".join(fields))


def publish_packet(topic: str | bytes, payload: bytes, *, qos: int = 1, packet_id: int = 1, dup: bool = False, retain: bool = False) -> bytes:
    packet_id_bytes = packet_id.to_bytes(2, "big") if qos else b""
    return frame(PUBLISH << 4 | dup << 3 | qos << 1 | retain, text(topic) + packet_id_bytes + payload)


def answer_packet(kind: int, packet_id: int) -> bytes:
    """A PUBACK, PUBREC, PUBREL or PUBCOMP."""
    return struct.pack("!BBH", kind << 4 | (2 if kind == PUBREL else 0), 2, packet_id)


def unsubscribe_packet(filters: Sequence[str | bytes], packet_id: int = 1, *, flags: int = 2) -> bytes:
    return frame(UNSUBSCRIBE << 4 | flags, packet_id.to_bytes(2, "big") + b"".join(text(f) for f in filters))


def subscribe_packet(filters: Sequence[tuple[str | bytes, int]], packet_id: int = 1, *, flags: int = 2) -> bytes:
    return frame(SUBSCRIBE << 4 | flags, packet_id.to_bytes(2, "big") + b"".join(text(f) + bytes((qos,)) for f, qos in filters))
