"""MQTT 3.1.1 control packets as bytes: events out of what a client sends, and bytes of what the server answers (§2, §3).

CONNECT, SUBSCRIBE and UNSUBSCRIBE, which have fields of their own, are read by a `Decoder`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from bridge.broker.codec import events
from bridge.broker.codec.reasons import ConnectCode, ProtocolError

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP = 1, 2, 3, 4, 5, 6, 7
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 8, 9, 10, 11, 12, 13, 14
PINGRESP_BYTES: Final = b"\xd0\x00"
PUBACK_HEAD: Final = b"\x40\x02"
"""A PUBACK is this and the packet id (§3.4)."""
REMAINING_LENGTH_BYTES_MAX: Final = 4


class Decoder(Protocol):
    """Reads whole packets (fixed header and body) that have fields of their own.

    Raises:
        ProtocolError: if the packet is malformed.
        RefusedConnect: from `connect`, if a return code answers it.
    """

    def connect(self, packet: bytes) -> events.Connect: ...

    def subscribe(self, packet: bytes) -> events.Subscribe: ...

    def unsubscribe(self, packet: bytes) -> events.Unsubscribe: ...


# --- in -------------------------------------------------------------------------------------------------------------------


class Header(NamedTuple):
    """A fixed header: the first byte, where the body starts, and where it ends."""

    first: int
    start: int
    end: int


def read_header(buffer: bytes | bytearray, at: int) -> Header | None:
    """The fixed header at a place of the buffer; None while it has not come whole.

    Raises:
        ProtocolError: if the remaining length takes more than four bytes (§2.2.3).
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


def read_packet_id(packet: bytes, start: int, end: int) -> int:
    """The packet id of an acknowledgement, whose body it is.

    Raises:
        ProtocolError: if the body is anything else.
    """
    if end != start + 2:
        raise ProtocolError("an acknowledgement is two bytes, its packet id (3.4)")
    packet_id = packet[start] << 8 | packet[start + 1]
    if not packet_id:
        raise ProtocolError("packet id 0 (2.3.1-1)")
    return packet_id


_OTHER_PROTOCOLS: Final = {
    b"\x16\x03": "it begins with a TLS handshake, and this listener is without TLS: use the port of listen.mqtts (3.1.0-1)",
    b"GE": "it begins with HTTP, and this listener is for MQTT: use the port of listen.websocket or listen.wss (3.1.0-1)",
}
"""What clients of other protocols begin with, on a port that is not theirs."""


def read_first(decoder: Decoder, packet: bytes) -> events.Connect:
    """The packet with which a client begins.

    Raises:
        ProtocolError: if it is not a CONNECT, or malformed.
        RefusedConnect: if a return code answers it.
    """
    if (other := _OTHER_PROTOCOLS.get(bytes(packet[:2]))) is not None:
        raise ProtocolError(other)
    if packet[0] >> 4 != CONNECT:
        raise ProtocolError("the first packet is not CONNECT (3.1.0-1)")
    return decoder.connect(packet)


def read_event(decoder: Decoder, packet: bytes, start: int) -> events.Event:
    """What a client says with a whole packet after its CONNECT; not for PUBLISH and PUBACK, which are read where they are handled.

    Args:
        start: where the packet's body starts.

    Raises:
        ProtocolError: if the packet is malformed, or not for a server.
    """
    kind = packet[0] >> 4
    if kind not in _FLAGS:
        raise ProtocolError(f"packet type {kind} is not for a server")
    if packet[0] & 0x0F != _FLAGS[kind]:
        raise ProtocolError(f"packet type {kind} with reserved flags set (2.2.2-2)")
    return _READERS[kind](decoder, packet, start)


def _acknowledgement(event: type[events.Pubrec | events.Pubrel | events.Pubcomp]) -> _Reader:
    return lambda decoder, packet, start: event(read_packet_id(packet, start, len(packet)))


def _without_body(event: events.Event) -> _Reader:
    def read(decoder: Decoder, packet: bytes, start: int) -> events.Event:
        if len(packet) != start:
            raise ProtocolError("a packet with a body, although its type has none (3.12, 3.14)")
        return event

    return read


_Reader = Callable[[Decoder, bytes, int], events.Event]
_FLAGS: Final = dict.fromkeys((PUBACK, PUBREC, PUBCOMP, PINGREQ, DISCONNECT), 0) | dict.fromkeys((PUBREL, SUBSCRIBE, UNSUBSCRIBE), 2)
"""The types that a server takes after CONNECT, PUBLISH left out, with the flags that they have (§2.2.2)."""
_READERS: Final[dict[int, _Reader]] = {
    PUBREC: _acknowledgement(events.Pubrec),
    PUBREL: _acknowledgement(events.Pubrel),
    PUBCOMP: _acknowledgement(events.Pubcomp),
    SUBSCRIBE: lambda decoder, packet, start: decoder.subscribe(packet),
    UNSUBSCRIBE: lambda decoder, packet, start: decoder.unsubscribe(packet),
    PINGREQ: _without_body(events.Pingreq()),
    DISCONNECT: _without_body(events.Disconnect()),
}


# --- out ------------------------------------------------------------------------------------------------------------------


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
