"""MQTT 3.1.1 control packets as bytes: what the front door writes, and the fixed header that it reads (§2, §3).

Hot packets are put together here by hand. CONNECT, SUBSCRIBE and UNSUBSCRIBE are decoded with amqtt's packet classes, behind `Decoder`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14
SUBSCRIPTION_REFUSED: Final = 0x80
PINGRESP_BYTES: Final = b"\xd0\x00"
PUBACK_HEAD: Final = b"\x40\x02"
"""A PUBACK is this and the packet id (§3.4)."""
REMAINING_LENGTH_BYTES_MAX: Final = 4


class ConnectCode(IntEnum):
    """CONNACK return codes (§3.2.2.3)."""

    ACCEPTED = 0
    UNACCEPTABLE_PROTOCOL = 1
    IDENTIFIER_REJECTED = 2
    SERVER_UNAVAILABLE = 3
    BAD_CREDENTIALS = 4
    NOT_AUTHORIZED = 5


class ProtocolError(Exception):
    """The peer broke the protocol: its connection is closed. The text says where, with the section."""


class RefusedConnect(Exception):
    """A CONNECT that is answered with a return code and closed."""

    def __init__(self, code: ConnectCode, why: str) -> None:
        super().__init__(why)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """A CONNECT, decoded and checked. `keep_alive_s` is 0 where the client wants none."""

    client_id: str
    clean_session: bool
    keep_alive_s: int
    username: str | None
    password: str | None
    will: Will | None


class ClientCertificate(NamedTuple):
    """A certificate that a client has shown and that its authority vouches for: the common name, and the SHA-256 of the whole as hex."""

    device: str
    sha256: str


class Subscription(NamedTuple):
    topic_filter: str
    qos: int


class Decoder(Protocol):
    """Turns whole packets (fixed header and body) of the kinds that are not hot into values.

    Raises:
        ProtocolError: where the packet is malformed.
        RefusedConnect: from `connect`, where a return code answers it.
    """

    def connect(self, packet: bytes) -> Connect: ...

    def subscribe(self, packet: bytes) -> tuple[int, list[Subscription]]: ...

    def unsubscribe(self, packet: bytes) -> tuple[int, list[str]]: ...


class Header(NamedTuple):
    """A fixed header: the first byte, where the body starts, and where it ends."""

    first: int
    start: int
    end: int


def read_header(buffer: bytes | bytearray, at: int) -> Header | None:
    """The fixed header at a place of the buffer; None while it has not come whole.

    Raises:
        ProtocolError: where the remaining length takes more than four bytes (§2.2.3).
    """
    length = shift = 0
    place = at + 1
    size = len(buffer)
    while place < size:
        byte = buffer[place]
        length |= (byte & 0x7F) << shift
        place += 1
        if byte < 0x80:
            return Header(buffer[at], place, place + length)
        shift += 7
        if place - at > REMAINING_LENGTH_BYTES_MAX:
            raise ProtocolError("the remaining length takes more than four bytes (2.2.3)")
    return None


def remaining_length(length: int) -> bytes:
    """A remaining length as the wire has it (§2.2.3)."""
    if length < 128:
        return bytes((length,))
    if length < 16_384:
        return bytes((length & 0x7F | 0x80, length >> 7))
    out = bytearray()
    while length:
        length, low = length >> 7, length & 0x7F
        out.append(low | (0x80 if length else 0))
    return bytes(out)


def connack(*, session_present: bool, code: ConnectCode) -> bytes:
    return bytes((CONNACK << 4, 2, session_present, code))


def pubrec(packet_id: int) -> bytes:
    return struct.pack("!BBH", PUBREC << 4, 2, packet_id)


def pubrel(packet_id: int) -> bytes:
    return struct.pack("!BBH", PUBREL << 4 | 2, 2, packet_id)


def pubcomp(packet_id: int) -> bytes:
    return struct.pack("!BBH", PUBCOMP << 4, 2, packet_id)


def suback(packet_id: int, codes: list[int]) -> bytes:
    return b"".join((bytes((SUBACK << 4,)), remaining_length(2 + len(codes)), packet_id.to_bytes(2, "big"), bytes(codes)))


def unsuback(packet_id: int) -> bytes:
    return struct.pack("!BBH", UNSUBACK << 4, 2, packet_id)


class Outgoing:
    """One message on its way out. The bytes that all its subscribers share are made once."""

    __slots__ = ("_head", "_quick", "order", "payload", "qos", "topic")

    def __init__(self, topic: str, payload: bytes, qos: int) -> None:
        self.topic = topic
        self.payload = payload
        self.qos = qos
        self.order = 0
        """Of a retained message: the how many-th it was."""
        self._head: bytes | None = None
        self._quick: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of topic and payload, about."""
        return len(self.topic) + len(self.payload)

    def wire(self, qos: int, packet_id: int, *, retain: bool, dup: bool = False) -> bytes:
        """The PUBLISH packet for one subscriber (§3.3)."""
        if qos == 0 and not retain:
            if self._quick is None:
                self._quick = self._without_id(PUBLISH << 4)
            return self._quick
        first = PUBLISH << 4 | (8 if dup else 0) | qos << 1 | retain
        if self._head is None:
            name = self.topic.encode()
            self._head = b"".join((remaining_length(4 + len(name) + len(self.payload)), len(name).to_bytes(2, "big"), name))
        if qos == 0:
            return self._without_id(first)
        return b"".join((bytes((first,)), self._head, packet_id.to_bytes(2, "big"), self.payload))

    def _without_id(self, first: int) -> bytes:
        name = self.topic.encode()
        return b"".join((bytes((first,)), remaining_length(2 + len(name) + len(self.payload)), len(name).to_bytes(2, "big"), name, self.payload))
