"""The packets of MQTT 3.1.1 that these clients need, as bytes. It shares no code with the server, so that it does not share its mistakes."""

from __future__ import annotations

from typing import Final, NamedTuple

CONNECT: Final = 0x10
CONNACK: Final = 0x20
PUBLISH: Final = 0x30
PUBACK: Final = 0x40
PUBREC: Final = 0x50
PUBREL: Final = 0x62
PUBCOMP: Final = 0x70
SUBACK: Final = 0x90
PINGRESP: Final = 0xD0
PINGREQ: Final = b"\xc0\x00"
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
    """A PUBLISH from the server. `packet_id` is 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int
    retain: bool = False
    dup: bool = False


class Will(NamedTuple):
    """What the server publishes when the client is cut off."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


def connect(client_id: str, username: str | None, password: str | None, *, will: Will | None = None, keep_alive_s: int = 0, is_clean: bool = False) -> bytes:
    """CONNECT, of a persistent session unless `is_clean` (MQTT 3.1.1 §3.1.2.4)."""
    flags = 0x02 * is_clean | (0x80 if username is not None else 0) | (0x40 if password is not None else 0)
    last = b""
    if will is not None:
        flags |= 0x04 | will.qos << 3 | will.retain << 5
        last = _text(will.topic) + len(will.payload).to_bytes(2, "big") + will.payload
    names = b"".join(_text(f) for f in (username, password) if f is not None)
    return _packet(CONNECT, b"\x00\x04MQTT\x04" + bytes([flags]) + keep_alive_s.to_bytes(2, "big") + _text(client_id) + last + names)


def publish(topic: str, payload: bytes, *, qos: int, packet_id: int = 0, dup: bool = False, retain: bool = False) -> bytes:
    number = packet_id.to_bytes(2, "big") if qos else b""
    return _packet(PUBLISH | (0x08 if dup else 0) | qos << 1 | retain, _text(topic) + number + payload)


def subscribe(packet_id: int, *filters: str, qos: int) -> bytes:
    return _packet(0x82, packet_id.to_bytes(2, "big") + b"".join(_text(f) + bytes([qos]) for f in filters))


def answer(first: int, packet_id: int) -> bytes:
    """PUBACK, PUBREC, PUBREL or PUBCOMP."""
    return bytes((first, 2, packet_id >> 8, packet_id & 0xFF))


def read_delivery(packet: Packet) -> Delivery:
    """Read a PUBLISH.

    Raises:
        Broken: it is none.
    """
    first, body = packet
    qos = first >> 1 & 3
    end = 2 + int.from_bytes(body[:2], "big")
    start = end + (2 if qos else 0)
    if qos == 3 or len(body) < start:
        raise Broken(f"a PUBLISH with QoS {qos} and {len(body)} bytes")
    return Delivery(body[2:end].decode(), body[start:], qos, int.from_bytes(body[end:start], "big"), bool(first & 1), bool(first & 8))


def read_username(packet: Packet) -> str | None:
    """Who a CONNECT says that it comes from; None where it does not say, or is no CONNECT."""
    first, body = packet
    if first != CONNECT or len(body) < 10 or not body[7] & 0x80:
        return None
    at = _after(body, 10)
    if body[7] & 0x04:
        at = _after(body, _after(body, at))
    return body[at + 2 : _after(body, at)].decode(errors="replace")


def _after(body: bytes, at: int) -> int:
    """Where the field ends that begins here with its length."""
    return at + 2 + int.from_bytes(body[at : at + 2], "big")


def read_packet_id(data: bytes) -> int:
    """The packet id of a whole PUBLISH; 0 at QoS 0."""
    start = 1
    while data[start] & 0x80:
        start += 1
    return read_delivery(Packet(data[0], data[start + 1 :])).packet_id


def read_answer(packet: Packet) -> int:
    """The packet id of an answer.

    Raises:
        Broken: it has none.
    """
    if packet.first not in _ANSWERS or len(packet.body) != 2:
        raise Broken(f"a packet {packet.first:#04x} with {len(packet.body)} bytes")
    return int.from_bytes(packet.body, "big")


class Cutter:
    """Cuts a stream into packets."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> list[Packet]:
        """The packets that are whole now.

        Raises:
            Broken: a length is longer than the protocol has it.
        """
        return [Packet(data[at], data[start:end]) for data, at, start, end in self._cut(data)]

    def whole(self, data: bytes) -> list[bytes]:
        """The packets that are whole now, header and all.

        Raises:
            Broken: a length is longer than the protocol has it.
        """
        return [data[at:end] for data, at, _, end in self._cut(data)]

    def prefix(self, data: bytes) -> bytes:
        """The packets that are whole now, in one piece.

        Raises:
            Broken: a length is longer than the protocol has it.
        """
        data = self._kept + data if self._kept else data
        at, size = 0, len(data)
        while at + 1 < size:
            if (length := data[at + 1]) < 0x80:
                end = at + 2 + length
            elif (found := _header(data, at)) is not None:
                end = found[1]
            else:
                break
            if end > size:
                break
            at = end
        self._kept = data[at:]
        return data[:at] if at < size else data

    def rest(self) -> bytes:
        """What is kept of a packet that is not whole; it is handed out and forgotten."""
        kept, self._kept = self._kept, b""
        return kept

    def _cut(self, data: bytes) -> list[tuple[bytes, int, int, int]]:
        """Of each packet what it lies in, and where it, its body, and what follows begin."""
        data = self._kept + data if self._kept else data
        found = []
        at, size = 0, len(data)
        while at + 1 < size:
            if (length := data[at + 1]) < 0x80:
                start, end = at + 2, at + 2 + length
            elif (header := _header(data, at)) is not None:
                start, end = header
            else:
                break
            if end > size:
                break
            found.append((data, at, start, end))
            at = end
        self._kept = data[at:]
        return found


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
