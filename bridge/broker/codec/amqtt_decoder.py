"""CONNECT, SUBSCRIBE and UNSUBSCRIBE through amqtt's packet classes, with the checks that amqtt leaves out.

amqtt decodes from a stream, in coroutines. Over a buffer that is complete they never wait, so they are run here to their end at once.
"""

from __future__ import annotations

import uuid
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from amqtt.adapters import BufferReader
from amqtt.errors import AMQTTError
from amqtt.mqtt.connect import ConnectPacket
from amqtt.mqtt.packet import MQTTFixedHeader
from amqtt.mqtt.subscribe import SubscribePacket
from amqtt.mqtt.unsubscribe import UnsubscribePacket

from bridge.broker.codec.events import Connect, Subscribe, Subscription, Unsubscribe, Will
from bridge.broker.codec.reasons import ConnectCode, ProtocolError, RefusedConnect
from bridge.broker.codec.v311 import read_header
from devices.protocol.topics import topic_filter_fault, topic_name_fault

T = TypeVar("T")

PROTOCOL_LEVEL: Final = 4
CLIENT_ID_CHARS_MAX: Final = 256
FILTERS_MAX: Final = 1_000
"""Filters in one packet: each takes some 20 µs, for which every other client waits."""


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    coroutine.close()
    raise ProtocolError("a packet that ends before its fields do")


def _decode(packet_class: Any, packet: bytes) -> Any:
    try:
        reader = BufferReader(packet)
        header = _run(MQTTFixedHeader.from_stream(reader))
        decoded = _run(packet_class.from_stream(reader, fixed_header=header))
        rest = _run(reader.read(-1))
    except ProtocolError:
        raise
    except (AMQTTError, ValueError, IndexError, TypeError, AttributeError, EOFError) as error:
        raise ProtocolError(f"a malformed {packet_class.__name__} ({type(error).__name__})") from error
    except Exception as error:  # amqtt raises its own kinds for short reads
        raise ProtocolError(f"a malformed {packet_class.__name__} ({type(error).__name__})") from error
    if rest:
        raise ProtocolError(f"{len(rest)} bytes after the end of a {packet_class.__name__}")
    return decoded


class AmqttDecoder:
    """`v311.Decoder` on amqtt's packet classes.

    Args:
        filters_max: filters that one SUBSCRIBE or UNSUBSCRIBE may hold.
    """

    def __init__(self, filters_max: int = FILTERS_MAX) -> None:
        self._filters_max = filters_max

    def connect(self, packet: bytes) -> Connect:
        _check_protocol(packet)
        _walk_connect(packet)
        decoded = _decode(ConnectPacket, packet)
        header = decoded.variable_header
        _check_connect_flags(header)
        client_id = decoded.client_id or ""
        if decoded.payload.client_id_is_random:
            client_id = "" if not decoded.clean_session_flag else uuid.uuid4().hex
        if len(client_id) > CLIENT_ID_CHARS_MAX:
            raise RefusedConnect(ConnectCode.IDENTIFIER_REJECTED, f"a client id has at most {CLIENT_ID_CHARS_MAX} characters")
        return Connect(
            client_id=client_id,
            clean_session=decoded.clean_session_flag,
            keep_alive_s=decoded.keep_alive,
            username=decoded.username if header.username_flag else None,
            password=decoded.password if header.password_flag else None,
            will=_will(decoded),
        )

    def subscribe(self, packet: bytes) -> Subscribe:
        _walk_filters(packet, options=1, most=self._filters_max)
        decoded = _decode(SubscribePacket, packet)
        subscriptions = [Subscription(topic_filter, qos) for topic_filter, qos in decoded.payload.topics]
        if not subscriptions:
            raise ProtocolError("SUBSCRIBE without a filter (3.8.3-3)")
        for subscription in subscriptions:
            if subscription.qos not in (0, 1, 2):
                raise ProtocolError("SUBSCRIBE with reserved bits or QoS 3 (3.8.3-4)")
            _check_filter(subscription.topic_filter)
        return Subscribe(_packet_id(decoded), subscriptions)

    def unsubscribe(self, packet: bytes) -> Unsubscribe:
        _walk_filters(packet, options=0, most=self._filters_max)
        decoded = _decode(UnsubscribePacket, packet)
        filters: list[str] = list(decoded.payload.topics)
        if not filters:
            raise ProtocolError("UNSUBSCRIBE without a filter (3.10.3-2)")
        for topic_filter in filters:
            _check_filter(topic_filter)
        return Unsubscribe(_packet_id(decoded), filters)


def _field(packet: bytes, at: int, *, is_text: bool = True) -> int:
    """Where a field with a length before it ends; amqtt passes over fields that are cut off, and over bytes that are no text (§1.5.3)."""
    end = at + 2 + int.from_bytes(packet[at : at + 2], "big")
    if at + 2 > len(packet) or end > len(packet):
        raise ProtocolError("a packet that ends before its fields do")
    if is_text:
        try:
            packet[at + 2 : end].decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("a text that is not UTF-8 (1.5.3-1)") from error
    return end


def _walk_filters(packet: bytes, *, options: int, most: int) -> None:
    at = _body(packet) + 2
    count = 0
    while at < len(packet):
        at = _field(packet, at) + options
        count += 1
        if count > most:
            raise ProtocolError(f"more than {most} filters in one packet")
    if at != len(packet):
        raise ProtocolError("a packet that ends before its fields do")


def _walk_connect(packet: bytes) -> None:
    start = _body(packet)
    flags = packet[start + 7]
    at = _field(packet, start + 10)
    if b"\0" in packet[start + 12 : at]:
        raise ProtocolError("a client id with a NUL in it (1.5.3-2)")
    if flags & 0x04:
        at = _field(packet, _field(packet, at), is_text=False)
    if flags & 0x80:
        username, at = at, _field(packet, at)
        if b"\0" in packet[username + 2 : at]:
            raise ProtocolError("a username with a NUL in it (1.5.3-2)")
    if flags & 0x40:
        at = _field(packet, at, is_text=False)
    if at != len(packet):
        raise ProtocolError(f"{len(packet) - at} bytes after the end of a CONNECT")


def _body(packet: bytes) -> int:
    header = read_header(packet, 0)
    assert header is not None
    return header.start


def _check_filter(topic_filter: str) -> None:
    if fault := topic_filter_fault(topic_filter):
        raise ProtocolError(f"{fault} (4.7)")


def _packet_id(decoded: Any) -> int:
    packet_id: int = decoded.variable_header.packet_id
    if not packet_id:
        raise ProtocolError("packet id 0 (2.3.1-1)")
    return packet_id


def _check_protocol(packet: bytes) -> None:
    """Name and level (§3.1.2.1, §3.1.2.2); looked at first, because other versions put their fields elsewhere."""
    header = read_header(packet, 0)
    assert header is not None
    if header.first & 0x0F:
        raise ProtocolError("CONNECT with reserved flags set (2.2.2-2)")
    body = packet[header.start :]
    if body[:6] == b"\0\4MQTT" and len(body) >= 10:
        if body[6] != PROTOCOL_LEVEL:
            raise RefusedConnect(ConnectCode.UNACCEPTABLE_PROTOCOL, f"MQTT protocol level {body[6]}; level {PROTOCOL_LEVEL} (3.1.1) is spoken here")
    elif body[:8] == b"\0\6MQIsdp":
        raise RefusedConnect(ConnectCode.UNACCEPTABLE_PROTOCOL, "MQTT 3.1; 3.1.1 is spoken here")
    else:
        raise ProtocolError("not an MQTT CONNECT (3.1.2-1)")


def _check_connect_flags(header: Any) -> None:
    if header.reserved_flag:
        raise ProtocolError("CONNECT with its reserved flag set (3.1.2-3)")
    if header.will_qos == 3 or (not header.will_flag and (header.will_qos or header.will_retain_flag)):
        raise ProtocolError("CONNECT with impossible will flags (3.1.2-11, -14)")
    if header.password_flag and not header.username_flag:
        raise ProtocolError("CONNECT with a password and no username (3.1.2-22)")


def _will(decoded: Any) -> Will | None:
    if not decoded.will_flag:
        return None
    topic = decoded.will_topic or ""
    if fault := topic_name_fault(topic):
        raise ProtocolError(f"the will's topic: {fault}")
    return Will(topic=topic, payload=bytes(decoded.will_message or b""), qos=decoded.will_qos, retain=decoded.will_retain_flag)
