"""A second reading of the packets that a client may send (MQTT 3.1.1 §2, §3), written independently of the first: a difference between the two is a finding.

It reads whole packets and ignores sessions, rights and limits.
"""

from __future__ import annotations

from typing import NamedTuple

CONNECT, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, UNSUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 5, 6, 7, 8, 10, 12, 14
FLAGS = {CONNECT: 0, PUBACK: 0, PUBREC: 0, PUBREL: 2, PUBCOMP: 0, SUBSCRIBE: 2, UNSUBSCRIBE: 2, PINGREQ: 0, DISCONNECT: 0}
CLIENT_ID_CHARS_MAX = 256


class Fault(Exception):
    """The packet breaks the protocol, or is a CONNECT that is refused."""


class Read(NamedTuple):
    """The content of a packet, as far as other clients learn of it."""

    kind: int
    packet_id: int = 0
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    retain: bool = False


def length_of(stream: bytes) -> tuple[int, int] | None:
    """(bytes of the fixed header, remaining length) of the first packet of a stream; None if it is not complete.

    Raises:
        Fault: if the remaining length has more than four bytes.
    """
    length = 0
    for place, digit in enumerate(stream[1:5]):
        length += (digit & 0x7F) * 128**place
        if digit < 0x80:
            return place + 2, length
    if len(stream) > 4:
        raise Fault("a remaining length of five bytes")
    return None


def read(first: int, body_bytes: bytes) -> Read:
    """The content of a packet, from its first byte and its body.

    Raises:
        Fault: if the packet closes the connection.
    """
    kind, flags = first >> 4, first & 15
    body = _Body(body_bytes)
    found = Read(kind)
    if kind == PUBLISH:
        found = _publish(flags, body)
    elif kind not in FLAGS or flags != FLAGS[kind]:
        raise Fault("a type or flags that no client sends")
    elif kind == CONNECT:
        found = _connect(body)
    elif kind in (SUBSCRIBE, UNSUBSCRIBE):
        _filters(kind, body)
    elif kind in (PUBACK, PUBREC, PUBREL, PUBCOMP):
        found = Read(kind, body.number())
        if not found.packet_id:
            raise Fault("packet id 0")
    body.end()
    return found


class _Body:
    """The rest of a packet."""

    def __init__(self, left: bytes) -> None:
        self.left = left

    def take(self, count: int) -> bytes:
        if len(self.left) < count:
            raise Fault("it ends too early")
        taken, self.left = self.left[:count], self.left[count:]
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def binary(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        try:
            return self.binary().decode()
        except UnicodeDecodeError as error:
            raise Fault("no UTF-8") from error

    def end(self) -> None:
        if self.left:
            raise Fault("it goes on where it ends")


def _publish(flags: int, body: _Body) -> Read:
    qos = flags >> 1 & 3
    topic = body.text()
    if qos == 3 or (flags & 8 and not qos) or not topic or any(c in topic for c in "+#\0"):
        raise Fault("flags or a topic that can't be")
    packet_id = body.number() if qos else 0
    if qos and not packet_id:
        raise Fault("packet id 0")
    return Read(PUBLISH, packet_id, topic, body.take(len(body.left)), qos, bool(flags & 1))


def _filters(kind: int, body: _Body) -> None:
    if body.number() == 0 or not body.left:
        raise Fault("packet id 0, or no filter")
    while body.left:
        levels = body.text().split("/")
        if levels == [""] or any("\0" in x or (x != "+" and "+" in x) or (x != "#" and "#" in x) for x in levels) or "#" in levels[:-1]:
            raise Fault("no topic filter")
        if kind == SUBSCRIBE and body.byte() > 2:
            raise Fault("a QoS that can't be")


def _connect(body: _Body) -> Read:
    """The will of a CONNECT is the part that other clients may receive."""
    if body.binary() != b"MQTT" or body.byte() != 4:
        raise Fault("another protocol")
    flags = body.byte()
    body.number()
    will, will_qos = flags & 4, flags >> 3 & 3
    if flags & 1 or will_qos == 3 or (not will and flags & 0x38) or flags & 0xC0 == 0x40:
        raise Fault("flags that can't be")
    client_id = body.text()
    if (not client_id and not flags & 2) or len(client_id) > CLIENT_ID_CHARS_MAX or "\0" in client_id:
        raise Fault("a client id that is turned down")
    found = Read(CONNECT)
    if will:
        topic, payload = body.text(), body.binary()
        found = Read(CONNECT, 0, topic, payload, will_qos, bool(flags & 0x20))
        if not topic or any(c in topic for c in "+#\0"):
            raise Fault("a will that can't be published")
    if flags & 0x80 and "\0" in body.text():
        raise Fault("a NUL in the username")
    if flags & 0x40:
        body.binary()
    return found
