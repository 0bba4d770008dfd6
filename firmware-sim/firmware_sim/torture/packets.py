"""The packets of MQTT 3.1.1 that these clients need, as bytes. It shares no code with the server, so that it does not share its mistakes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
PUBREC: Final = 0x50
PUBREL: Final = 0x62
PUBCOMP: Final = 0x70
SUBACK: Final = 0x90
DISCONNECT: Final = b"\xe0\x00"

_ANSWERS: Final = (PUBACK, PUBREC, PUBREL, PUBCOMP)
_LENGTH_BYTES_MAX: Final = 4


class Broken(ValueError):
    """The server sent what is no MQTT 3.1.1."""


class Packet(NamedTuple):
    """`first` is the whole first byte: type and flags."""

    first: int
    body: bytes


class Delivery(NamedTuple):
    """A PUBLISH from the server."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int


def connect(client_id: str, username: str | None, password: str | None) -> bytes:
    """CONNECT of a persistent session (clean session 0, MQTT 3.1.1 §3.1.2.4), without keep-alive: a killed server closes its sockets."""
    flags = (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    fields = [client_id, *(f for f in (username, password) if f is not None)]
    return _packet(0x10, b"\x00\x04MQTT\x04" + bytes([flags]) + b"\x00\x00" + b"".join(_text(f) for f in fields))


def publish(topic: str, payload: bytes, *, qos: int, packet_id: int, dup: bool) -> bytes:
    return _packet(PUBLISH | (0x08 if dup else 0) | qos << 1, _text(topic) + packet_id.to_bytes(2, "big") + payload)


def subscribe(packet_id: int, topic_filter: str, qos: int) -> bytes:
    return _packet(0x82, packet_id.to_bytes(2, "big") + _text(topic_filter) + bytes([qos]))


def answer(first: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""
    return bytes((first, 2, packet_id >> 8, packet_id & 0xFF))


def read_delivery(packet: Packet) -> Delivery:
    """Read a PUBLISH with QoS 1 or 2.

    Raises:
        Broken: where it is none.
    """
    first, body = packet
    qos = first >> 1 & 3
    start = 2 + int.from_bytes(body[:2], "big")
    if qos not in (1, 2) or len(body) < start + 2:
        raise Broken(f"a PUBLISH with QoS {qos} and {len(body)} bytes")
    return Delivery(body[2:start].decode(), body[start + 2 :], qos, int.from_bytes(body[start : start + 2], "big"))


def read_answer(packet: Packet) -> int:
    """The packet id of an answer.

    Raises:
        Broken: where it has none.
    """
    if packet.first not in _ANSWERS or len(packet.body) != 2:
        raise Broken(f"a packet {packet.first:#04x} with {len(packet.body)} bytes")
    return int.from_bytes(packet.body, "big")


class Cutter:
    """Cuts a stream into packets."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are whole now.

        Raises:
            Broken: where a length is longer than the protocol has it.
        """
        data = self._kept + data
        at = 0
        while (found := _header(data, at)) is not None and found[1] <= len(data):
            start, end = found
            yield Packet(data[at], data[start:end])
            at = end
        self._kept = data[at:]


def _header(data: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet begins and ends; None where its header is not whole."""
    length = 0
    for n in range(_LENGTH_BYTES_MAX):
        if at + 1 + n >= len(data):
            return None
        byte = data[at + 1 + n]
        length |= (byte & 0x7F) << 7 * n
        if byte < 0x80:
            return at + 2 + n, at + 2 + n + length
    raise Broken("a remaining length of more than four bytes")


def _packet(first: int, body: bytes) -> bytes:
    length, rest = bytearray(), len(body)
    while True:
        rest, byte = rest >> 7, rest & 0x7F
        length.append(byte | (0x80 if rest else 0))
        if not rest:
            return bytes([first]) + bytes(length) + body


def _text(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded
