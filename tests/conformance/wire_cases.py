"""One table of packets on the wire (MQTT 3.1.1 §2, §3): bytes, and what they mean or why they are refused.

It is used in both directions: a decoder must return the packet or refuse it, and an encoder must make exactly these bytes. The bytes are written
by hand, so that no encoder is tested against itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from bridge.broker.codec.events import Connect, Subscription, Will
from bridge.broker.codec.reasons import ConnectCode


class Publish(NamedTuple):
    topic: str
    payload: bytes
    qos: int = 0
    packet_id: int = 0
    dup: bool = False
    retain: bool = False


class Ack(NamedTuple):
    """A packet that consists of a type and a packet id: PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK."""

    kind: int
    packet_id: int


class Subscribe(NamedTuple):
    packet_id: int
    subscriptions: tuple[Subscription, ...]


class Suback(NamedTuple):
    packet_id: int
    codes: tuple[int, ...]


class Unsubscribe(NamedTuple):
    packet_id: int
    filters: tuple[str, ...]


class Connack(NamedTuple):
    session_present: bool
    code: ConnectCode


class Bare(NamedTuple):
    """A packet that consists only of its type: PINGREQ, PINGRESP or DISCONNECT."""

    kind: int


Packet = Connect | Publish | Ack | Subscribe | Suback | Unsubscribe | Connack | Bare


class Way(Enum):
    """Who sends a packet."""

    IN = auto()
    OUT = auto()
    BOTH = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    name: str
    wire: bytes
    packet: Packet
    way: Way = Way.IN


@dataclass(frozen=True, slots=True, kw_only=True)
class Bad:
    """A packet that closes its connection. `why` is a part of the reason that is logged; `code` is the return code of the CONNACK, if there is one."""

    name: str
    wire: bytes
    why: str
    code: ConnectCode | None = None
    first: bool = False
    """Whether it is the first packet of its connection."""


def plain(client_id: str, *, clean_session: bool = True, keep_alive_s: int = 60, will: Will | None = None, **credentials: str) -> Connect:
    """A CONNECT that contains only the given fields."""
    return Connect(
        client_id=client_id,
        clean_session=clean_session,
        keep_alive_s=keep_alive_s,
        username=credentials.get("username"),
        password=credentials.get("password"),
        will=will,
    )


def _hex(text: str) -> bytes:
    """Bytes from hex digits, with texts in quotes between them: `"30 04 0001 'a' 78"`."""
    out = b""
    for place, part in enumerate(text.split("'")):
        out += part.encode() if place % 2 else bytes.fromhex(part)
    return out


PACK: Final = "v1/ams1/devices/scan-1/events/pack"
"""A topic to which a scanner of the tests publishes: 34 bytes."""
assert len(PACK) == 0x22


GOOD: Final = (
    # --- CONNECT (§3.1)
    Good(name="CONNECT", wire=_hex("10 0d 0004 'MQTT' 04 02 003c 0001 'a'"), packet=plain("a")),
    Good(name="CONNECT to a session that is kept", wire=_hex("10 0d 0004 'MQTT' 04 00 003c 0001 'a'"), packet=plain("a", clean_session=False)),
    Good(name="CONNECT without keep-alive", wire=_hex("10 0d 0004 'MQTT' 04 02 0000 0001 'a'"), packet=plain("a", keep_alive_s=0)),
    Good(name="CONNECT with the longest keep-alive", wire=_hex("10 0d 0004 'MQTT' 04 02 ffff 0001 'a'"), packet=plain("a", keep_alive_s=65_535)),
    Good(
        name="CONNECT with username and password",
        wire=_hex("10 17 0004 'MQTT' 04 c2 003c 0001 'a' 0003 'bob' 0003 'pwd'"),
        packet=plain("a", username="bob", password="pwd"),
    ),
    Good(name="CONNECT with a username alone", wire=_hex("10 12 0004 'MQTT' 04 82 003c 0001 'a' 0003 'bob'"), packet=plain("a", username="bob")),
    Good(
        name="CONNECT with an empty username and password",
        wire=_hex("10 11 0004 'MQTT' 04 c2 003c 0001 'a' 0000 0000"),
        packet=plain("a", username="", password=""),
    ),
    Good(
        name="CONNECT with a will at QoS 0",
        wire=_hex("10 15 0004 'MQTT' 04 06 003c 0001 'a' 0003 't/u' 0001 ff"),
        packet=plain("a", will=Will(topic="t/u", payload=b"\xff", qos=0, retain=False)),
    ),
    Good(
        name="CONNECT with a will at QoS 1",
        wire=_hex("10 15 0004 'MQTT' 04 0e 003c 0001 'a' 0003 't/u' 0001 ff"),
        packet=plain("a", will=Will(topic="t/u", payload=b"\xff", qos=1, retain=False)),
    ),
    Good(
        name="CONNECT with a retained will at QoS 2",
        wire=_hex("10 15 0004 'MQTT' 04 36 003c 0001 'a' 0003 't/u' 0001 ff"),
        packet=plain("a", will=Will(topic="t/u", payload=b"\xff", qos=2, retain=True)),
    ),
    Good(
        name="CONNECT with an empty will",
        wire=_hex("10 14 0004 'MQTT' 04 06 003c 0001 'a' 0003 't/u' 0000"),
        packet=plain("a", will=Will(topic="t/u", payload=b"", qos=0, retain=False)),
    ),
    Good(
        name="CONNECT with everything",
        wire=_hex("10 1f 0004 'MQTT' 04 ec 0001 0001 'a' 0003 't/u' 0001 ff 0003 'bob' 0003 'pwd'"),
        packet=plain("a", clean_session=False, keep_alive_s=1, will=Will(topic="t/u", payload=b"\xff", qos=1, retain=True), username="bob", password="pwd"),
    ),
    Good(name="CONNECT with a client id of several bytes", wire=_hex("10 0f 0004 'MQTT' 04 02 003c 0003 e282ac"), packet=plain("€")),
    Good(name="CONNECT with a byte order mark in its client id", wire=_hex("10 10 0004 'MQTT' 04 02 003c 0004 efbbbf 'a'"), packet=plain("\ufeffa")),
    # --- CONNACK (§3.2)
    Good(name="CONNACK", wire=_hex("20 02 00 00"), packet=Connack(False, ConnectCode.ACCEPTED), way=Way.OUT),
    Good(name="CONNACK with a session", wire=_hex("20 02 01 00"), packet=Connack(True, ConnectCode.ACCEPTED), way=Way.OUT),
    *(Good(name=f"CONNACK {code.name}", wire=_hex(f"20 02 00 {code:02x}"), packet=Connack(False, code), way=Way.OUT) for code in ConnectCode if code),
    # --- PUBLISH (§3.3)
    Good(name="PUBLISH at QoS 0", wire=_hex(f"30 27 0022 '{PACK}' 'one'"), packet=Publish(PACK, b"one"), way=Way.BOTH),
    Good(name="PUBLISH at QoS 0, retained", wire=_hex(f"31 27 0022 '{PACK}' 'one'"), packet=Publish(PACK, b"one", retain=True), way=Way.BOTH),
    Good(name="PUBLISH at QoS 1", wire=_hex(f"32 29 0022 '{PACK}' 1234 'one'"), packet=Publish(PACK, b"one", 1, 0x1234), way=Way.BOTH),
    Good(name="PUBLISH at QoS 1, retained", wire=_hex(f"33 29 0022 '{PACK}' 1234 'one'"), packet=Publish(PACK, b"one", 1, 0x1234, retain=True), way=Way.BOTH),
    Good(name="PUBLISH at QoS 1, again", wire=_hex(f"3a 29 0022 '{PACK}' 1234 'one'"), packet=Publish(PACK, b"one", 1, 0x1234, dup=True), way=Way.BOTH),
    Good(name="PUBLISH at QoS 2", wire=_hex(f"34 29 0022 '{PACK}' ffff 'one'"), packet=Publish(PACK, b"one", 2, 0xFFFF), way=Way.BOTH),
    Good(
        name="PUBLISH at QoS 2, retained, again",
        wire=_hex(f"3d 29 0022 '{PACK}' ffff 'one'"),
        packet=Publish(PACK, b"one", 2, 0xFFFF, dup=True, retain=True),
        way=Way.BOTH,
    ),
    Good(name="PUBLISH of nothing at QoS 0", wire=_hex(f"30 24 0022 '{PACK}'"), packet=Publish(PACK, b""), way=Way.BOTH),
    Good(name="PUBLISH of nothing at QoS 1", wire=_hex(f"32 26 0022 '{PACK}' 0001"), packet=Publish(PACK, b"", 1, 1), way=Way.BOTH),
    Good(name="PUBLISH of what looks like an id", wire=_hex(f"30 26 0022 '{PACK}' 0001"), packet=Publish(PACK, b"\0\1"), way=Way.BOTH),
    Good(name="PUBLISH of 127 bytes", wire=_hex(f"32 7f 0022 '{PACK}' 0001") + b"x" * 89, packet=Publish(PACK, b"x" * 89, 1, 1), way=Way.BOTH),
    Good(name="PUBLISH of 128 bytes", wire=_hex(f"32 8001 0022 '{PACK}' 0001") + b"x" * 90, packet=Publish(PACK, b"x" * 90, 1, 1), way=Way.BOTH),
    Good(name="PUBLISH of 16383 bytes", wire=_hex(f"32 ff7f 0022 '{PACK}' 0001") + b"x" * 16_345, packet=Publish(PACK, b"x" * 16_345, 1, 1), way=Way.BOTH),
    Good(name="PUBLISH of 16384 bytes", wire=_hex(f"32 808001 0022 '{PACK}' 0001") + b"x" * 16_346, packet=Publish(PACK, b"x" * 16_346, 1, 1), way=Way.BOTH),
    Good(name="PUBLISH to a topic of one character", wire=_hex("30 03 0001 'a'"), packet=Publish("a", b""), way=Way.BOTH),
    Good(name="PUBLISH to a slash", wire=_hex("30 03 0001 '/'"), packet=Publish("/", b""), way=Way.BOTH),
    Good(name="PUBLISH to a topic in Chinese", wire=_hex("30 08 0006 e8aea2e58d95"), packet=Publish("订单", b""), way=Way.BOTH),
    Good(name="PUBLISH to a topic with a byte order mark", wire=_hex("30 06 0004 efbbbf 'a'"), packet=Publish("\ufeffa", b""), way=Way.BOTH),
    Good(name="PUBLISH to a topic outside the basic plane", wire=_hex("30 06 0004 f09f9a9a"), packet=Publish("🚚", b""), way=Way.BOTH),
    # --- acknowledgements (§3.4 to §3.7, §3.11)
    Good(name="PUBACK", wire=_hex("40 02 1234"), packet=Ack(4, 0x1234), way=Way.BOTH),
    Good(name="PUBREC", wire=_hex("50 02 1234"), packet=Ack(5, 0x1234), way=Way.BOTH),
    Good(name="PUBREL", wire=_hex("62 02 1234"), packet=Ack(6, 0x1234), way=Way.BOTH),
    Good(name="PUBCOMP", wire=_hex("70 02 1234"), packet=Ack(7, 0x1234), way=Way.BOTH),
    Good(name="PUBACK of the last id", wire=_hex("40 02 ffff"), packet=Ack(4, 0xFFFF), way=Way.BOTH),
    Good(name="PUBREC of the first id", wire=_hex("50 02 0001"), packet=Ack(5, 1), way=Way.BOTH),
    Good(name="UNSUBACK", wire=_hex("b0 02 1234"), packet=Ack(11, 0x1234), way=Way.OUT),
    # --- SUBSCRIBE and SUBACK (§3.8, §3.9)
    Good(name="SUBSCRIBE", wire=_hex("82 06 000a 0001 'a' 01"), packet=Subscribe(10, (Subscription("a", 1),))),
    Good(
        name="SUBSCRIBE to three filters",
        wire=_hex("82 14 000a 0003 'a/b' 00 0003 'c/+' 01 0003 'd/#' 02"),
        packet=Subscribe(10, (Subscription("a/b", 0), Subscription("c/+", 1), Subscription("d/#", 2))),
    ),
    Good(name="SUBSCRIBE to everything", wire=_hex("82 06 ffff 0001 '#' 02"), packet=Subscribe(65_535, (Subscription("#", 2),))),
    Good(
        name="SUBSCRIBE to a filter twice",
        wire=_hex("82 0a 0001 0001 'a' 00 0001 'a' 02"),
        packet=Subscribe(1, (Subscription("a", 0), Subscription("a", 2))),
    ),
    Good(name="SUBSCRIBE to a filter in Chinese", wire=_hex("82 0d 0001 0008 e8aea2e58d95 '/+' 01"), packet=Subscribe(1, (Subscription("订单/+", 1),))),
    Good(name="SUBACK", wire=_hex("90 03 000a 01"), packet=Suback(10, (1,)), way=Way.OUT),
    Good(name="SUBACK for four filters", wire=_hex("90 06 000a 00 01 02 80"), packet=Suback(10, (0, 1, 2, 0x80)), way=Way.OUT),
    Good(name="SUBACK of 128 bytes", wire=_hex("90 8001 0001") + b"\1" * 126, packet=Suback(1, (1,) * 126), way=Way.OUT),
    # --- UNSUBSCRIBE (§3.10)
    Good(name="UNSUBSCRIBE", wire=_hex("a2 05 000a 0001 'a'"), packet=Unsubscribe(10, ("a",))),
    Good(name="UNSUBSCRIBE from three filters", wire=_hex("a2 11 000a 0003 'a/b' 0003 'c/+' 0003 'd/#'"), packet=Unsubscribe(10, ("a/b", "c/+", "d/#"))),
    # --- the rest (§3.12 to §3.14)
    Good(name="PINGREQ", wire=_hex("c0 00"), packet=Bare(12)),
    Good(name="PINGRESP", wire=_hex("d0 00"), packet=Bare(13), way=Way.OUT),
    Good(name="DISCONNECT", wire=_hex("e0 00"), packet=Bare(14)),
)


BAD: Final = (
    # --- CONNECT (§3.1)
    Bad(name="CONNECT of nothing", wire=_hex("10 00"), why="3.1.2-1", first=True),
    Bad(name="CONNECT to MQTX", wire=_hex("10 0d 0004 'MQTX' 04 02 003c 0001 'a'"), why="3.1.2-1", first=True),
    Bad(name="CONNECT to mqtt", wire=_hex("10 0d 0004 'mqtt' 04 02 003c 0001 'a'"), why="3.1.2-1", first=True),
    Bad(name="CONNECT of MQTT 3.1", wire=_hex("10 0f 0006 'MQIsdp' 03 02 003c 0001 'a'"), why="3.1", code=ConnectCode.UNACCEPTABLE_PROTOCOL, first=True),
    Bad(name="CONNECT of MQTT 5", wire=_hex("10 0e 0004 'MQTT' 05 02 003c 00 0001 'a'"), why="5", code=ConnectCode.UNACCEPTABLE_PROTOCOL, first=True),
    Bad(name="CONNECT of level 0", wire=_hex("10 0d 0004 'MQTT' 00 02 003c 0001 'a'"), why="0", code=ConnectCode.UNACCEPTABLE_PROTOCOL, first=True),
    Bad(name="CONNECT with reserved flags", wire=_hex("11 0d 0004 'MQTT' 04 02 003c 0001 'a'"), why="2.2.2-2", first=True),
    Bad(name="CONNECT with its reserved flag", wire=_hex("10 0d 0004 'MQTT' 04 03 003c 0001 'a'"), why="3.1.2-3", first=True),
    Bad(name="CONNECT with a will at QoS 3", wire=_hex("10 13 0004 'MQTT' 04 1e 003c 0001 'a' 0001 't' 0001 'x'"), why="3.1.2-11, -14", first=True),
    Bad(name="CONNECT with a will QoS and no will", wire=_hex("10 0d 0004 'MQTT' 04 0a 003c 0001 'a'"), why="3.1.2-11, -14", first=True),
    Bad(name="CONNECT with a retained will and no will", wire=_hex("10 0d 0004 'MQTT' 04 22 003c 0001 'a'"), why="3.1.2-11, -14", first=True),
    Bad(name="CONNECT with a password and no username", wire=_hex("10 12 0004 'MQTT' 04 42 003c 0001 'a' 0003 'pwd'"), why="3.1.2-22", first=True),
    Bad(name="CONNECT without its will", wire=_hex("10 0d 0004 'MQTT' 04 06 003c 0001 'a'"), why="before its fields do", first=True),
    Bad(name="CONNECT without its username", wire=_hex("10 0d 0004 'MQTT' 04 82 003c 0001 'a'"), why="before its fields do", first=True),
    Bad(name="CONNECT without its password", wire=_hex("10 12 0004 'MQTT' 04 c2 003c 0001 'a' 0003 'bob'"), why="before its fields do", first=True),
    Bad(name="CONNECT without a client id", wire=_hex("10 0a 0004 'MQTT' 04 02 003c"), why="before its fields do", first=True),
    Bad(name="CONNECT with a username and no flag", wire=_hex("10 12 0004 'MQTT' 04 02 003c 0001 'a' 0003 'bob'"), why="5 bytes after the end", first=True),
    Bad(
        name="CONNECT to a kept session without an id",
        wire=_hex("10 0c 0004 'MQTT' 04 00 003c 0000"),
        why="3.1.3-8",
        code=ConnectCode.IDENTIFIER_REJECTED,
        first=True,
    ),
    Bad(name="CONNECT with a NUL", wire=_hex("10 0d 0004 'MQTT' 04 02 003c 0001 00"), why="1.5.3-2", first=True),
    Bad(name="CONNECT with a NUL in its username", wire=_hex("10 12 0004 'MQTT' 04 82 003c 0001 'a' 0003 'b' 00 'b'"), why="1.5.3-2", first=True),
    Bad(name="CONNECT that is not UTF-8", wire=_hex("10 0d 0004 'MQTT' 04 02 003c 0001 ff"), why="1.5.3-1", first=True),
    Bad(name="CONNECT with a surrogate", wire=_hex("10 0f 0004 'MQTT' 04 02 003c 0003 eda080"), why="1.5.3-1", first=True),
    Bad(name="CONNECT with a wildcard in its will's topic", wire=_hex("10 13 0004 'MQTT' 04 06 003c 0001 'a' 0001 '#' 0001 'x'"), why="wildcard", first=True),
    Bad(name="PINGREQ before CONNECT", wire=_hex("c0 00"), why="3.1.0-1", first=True),
    Bad(name="PUBLISH before CONNECT", wire=_hex("30 03 0001 'a'"), why="3.1.0-1", first=True),
    Bad(name="HTTP", wire=b"GET / HTTP/1.1\r\nHost: localhost\r\n" + bytes(64), why="3.1.0-1", first=True),
    Bad(name="a second CONNECT", wire=_hex("10 0d 0004 'MQTT' 04 02 003c 0001 'a'"), why="not for a server"),
    # --- the fixed header (§2.2)
    Bad(name="type 0", wire=_hex("00 00"), why="not for a server"),
    Bad(name="type 15", wire=_hex("f0 00"), why="not for a server"),
    Bad(name="CONNACK from a client", wire=_hex("20 02 00 00"), why="not for a server"),
    Bad(name="SUBACK from a client", wire=_hex("90 03 0001 01"), why="not for a server"),
    Bad(name="UNSUBACK from a client", wire=_hex("b0 02 0001"), why="not for a server"),
    Bad(name="PINGRESP from a client", wire=_hex("d0 00"), why="not for a server"),
    Bad(name="a remaining length of five bytes", wire=_hex("30 ffffffff 01"), why="2.2.3"),
    Bad(name="a remaining length of five bytes that is 0", wire=_hex("c0 80808080 00"), why="2.2.3"),
    Bad(name="the longest packet there is", wire=_hex("30 ffffff7f"), why="packet_bytes_max"),
    *(Bad(name=f"{first:#04x} with reserved flags", wire=bytes((first, 2, 0, 1)), why="2.2.2-2") for first in (0x41, 0x52, 0x60, 0x63, 0x6A, 0x78)),
    Bad(name="SUBSCRIBE with reserved flags", wire=_hex("80 06 000a 0001 'a' 01"), why="2.2.2-2"),
    Bad(name="UNSUBSCRIBE with reserved flags", wire=_hex("a0 05 000a 0001 'a'"), why="2.2.2-2"),
    Bad(name="PINGREQ with reserved flags", wire=_hex("c1 00"), why="2.2.2-2"),
    Bad(name="DISCONNECT with reserved flags", wire=_hex("e1 00"), why="2.2.2-2"),
    Bad(name="PINGREQ with a body", wire=_hex("c0 01 00"), why="3.12"),
    Bad(name="DISCONNECT with a body", wire=_hex("e0 01 00"), why="3.14"),
    # --- PUBLISH (§3.3)
    Bad(name="PUBLISH at QoS 3", wire=_hex("36 06 0001 'a' 0001 'x'"), why="3.3.1-4"),
    Bad(name="PUBLISH at QoS 0 with DUP", wire=_hex("38 04 0001 'a' 'x'"), why="3.3.1-2"),
    Bad(name="PUBLISH of nothing", wire=_hex("30 00"), why="before its payload begins"),
    Bad(name="PUBLISH to half a length", wire=_hex("30 01 00"), why="before its payload begins"),
    Bad(name="PUBLISH to an empty topic", wire=_hex("30 02 0000"), why="3.3.2-2"),
    Bad(name="PUBLISH to a wildcard", wire=_hex("30 03 0001 '#'"), why="3.3.2-2"),
    Bad(name="PUBLISH to a wildcard in the middle", wire=_hex("30 07 0005 'a/+/b'"), why="3.3.2-2"),
    Bad(name="PUBLISH to a NUL", wire=_hex("30 05 0003 'a' 00 'b'"), why="3.3.2-2"),
    Bad(name="PUBLISH to what is not UTF-8", wire=_hex("30 03 0001 ff"), why="1.5.3-1"),
    Bad(name="PUBLISH to a slash in two bytes", wire=_hex("30 04 0002 c0af"), why="1.5.3-1"),
    Bad(name="PUBLISH to a surrogate", wire=_hex("30 05 0003 edbfbf"), why="1.5.3-1"),
    Bad(name="PUBLISH that ends in its topic", wire=_hex("32 04 0040 'ab'"), why="before its payload begins"),
    Bad(name="PUBLISH without a packet id", wire=_hex("32 03 0001 'a'"), why="before its payload begins"),
    Bad(name="PUBLISH with half a packet id", wire=_hex("32 04 0001 'a' 01"), why="before its payload begins"),
    Bad(name="PUBLISH with packet id 0 at QoS 1", wire=_hex("32 05 0001 'a' 0000"), why="2.3.1-1"),
    Bad(name="PUBLISH with packet id 0 at QoS 2", wire=_hex("34 05 0001 'a' 0000"), why="2.3.1-1"),
    # --- acknowledgements (§3.4 to §3.7)
    *(Bad(name=f"{first:#04x} without an id", wire=bytes((first, 0)), why="3.4") for first in (0x40, 0x50, 0x62, 0x70)),
    *(Bad(name=f"{first:#04x} of three bytes", wire=bytes((first, 3, 0, 1, 0)), why="3.4") for first in (0x40, 0x50, 0x62, 0x70)),
    # --- SUBSCRIBE (§3.8)
    Bad(name="SUBSCRIBE without a filter", wire=_hex("82 02 000a"), why="3.8.3-3"),
    Bad(name="SUBSCRIBE with packet id 0", wire=_hex("82 06 0000 0001 'a' 01"), why="2.3.1-1"),
    Bad(name="SUBSCRIBE at QoS 3", wire=_hex("82 06 000a 0001 'a' 03"), why="3.8.3-4"),
    Bad(name="SUBSCRIBE with reserved bits", wire=_hex("82 06 000a 0001 'a' 41"), why="3.8.3-4"),
    Bad(name="SUBSCRIBE without a QoS", wire=_hex("82 05 000a 0001 'a'"), why="before its fields do"),
    Bad(name="SUBSCRIBE that ends in its filter", wire=_hex("82 06 000a 0040 'ab'"), why="before its fields do"),
    Bad(name="SUBSCRIBE without anything", wire=_hex("82 00"), why="before its fields do"),
    Bad(name="SUBSCRIBE to nothing", wire=_hex("82 05 000a 0000 01"), why="4.7"),
    Bad(name="SUBSCRIBE to # in the middle", wire=_hex("82 0a 000a 0005 'a/#/b' 01"), why="4.7"),
    Bad(name="SUBSCRIBE to + beside a letter", wire=_hex("82 07 000a 0002 'a+' 01"), why="4.7"),
    Bad(name="SUBSCRIBE to a NUL", wire=_hex("82 06 000a 0001 00 01"), why="4.7"),
    Bad(name="SUBSCRIBE to what is not UTF-8", wire=_hex("82 06 000a 0001 ff 01"), why="1.5.3-1"),
    # --- UNSUBSCRIBE (§3.10)
    Bad(name="UNSUBSCRIBE without a filter", wire=_hex("a2 02 000a"), why="3.10.3-2"),
    Bad(name="UNSUBSCRIBE with packet id 0", wire=_hex("a2 05 0000 0001 'a'"), why="2.3.1-1"),
    Bad(name="UNSUBSCRIBE that ends in its filter", wire=_hex("a2 06 000a 0040 'ab'"), why="before its fields do"),
    Bad(name="UNSUBSCRIBE without anything", wire=_hex("a2 00"), why="before its fields do"),
    Bad(name="UNSUBSCRIBE from what is not UTF-8", wire=_hex("a2 05 000a 0001 ff"), why="1.5.3-1"),
)


REMAINING_LENGTHS: Final = (
    (0, "00"),
    (1, "01"),
    (127, "7f"),
    (128, "8001"),
    (16_383, "ff7f"),
    (16_384, "808001"),
    (2_097_151, "ffff7f"),
    (2_097_152, "80808001"),
    (268_435_455, "ffffff7f"),
)
"""The smallest and largest lengths that take one, two, three and four bytes (§2.2.3)."""
