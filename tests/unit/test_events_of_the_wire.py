"""Bytes become events: every packet type with every combination of flags, and a table says what the connection does for each event."""

from __future__ import annotations

from typing import Final, get_args

import pytest
from helpers.mqtt import connect_packet, frame, subscribe_packet, unsubscribe_packet

from bridge.broker import connection
from bridge.broker.codec import events, v311
from bridge.broker.codec.amqtt_decoder import AmqttDecoder
from bridge.broker.codec.reasons import ProtocolError

FIVE: Final = b"\0\5"
SUBSCRIBE: Final = FIVE + b"\0\1a\1"
EVENTS: Final = {
    0x50: (FIVE, events.Pubrec(5)),
    0x62: (FIVE, events.Pubrel(5)),
    0x70: (FIVE, events.Pubcomp(5)),
    0x82: (SUBSCRIBE, events.Subscribe(5, [events.Subscription("a", 1)])),
    0xA2: (FIVE + b"\0\1a", events.Unsubscribe(5, ["a"])),
    0xC0: (b"", events.Pingreq()),
    0xE0: (b"", events.Disconnect()),
}
"""The first byte of every packet that is an event after CONNECT, with a body and its meaning."""
HOT: Final = {first for first in range(256) if first >> 4 == v311.PUBLISH} | {v311.PUBACK << 4}
"""These are parsed by their handlers."""


def read(first: int, body: bytes) -> events.Event:
    packet = frame(first, body)
    return v311.read_event(AmqttDecoder(), packet, len(packet) - len(body))


@pytest.mark.parametrize("first", EVENTS, ids=lambda first: f"{first:02x}")
def test_a_packet_is_its_event(first: int) -> None:
    body, event = EVENTS[first]
    assert read(first, body) == event
    assert type(read(first, body)) is type(event)


@pytest.mark.parametrize("first", sorted(set(range(256)) - EVENTS.keys() - HOT), ids=lambda first: f"{first:02x}")
def test_any_other_first_byte_breaks_the_protocol(first: int) -> None:
    for body in (b"", FIVE, SUBSCRIBE):
        with pytest.raises(ProtocolError):
            read(first, body)


@pytest.mark.parametrize(
    "packet", [subscribe_packet([("a", 1)]), unsubscribe_packet(["a"]), b"\xc0\0", b"\x30\3\0\1a"], ids=["SUBSCRIBE", "UNSUBSCRIBE", "PINGREQ", "PUBLISH"]
)
def test_a_client_begins_with_connect(packet: bytes) -> None:
    assert v311.read_first(AmqttDecoder(), connect_packet("desk")).client_id == "desk"
    with pytest.raises(ProtocolError, match=r"3\.1\.0-1"):
        v311.read_first(AmqttDecoder(), packet)


def test_the_server_acts_on_every_event() -> None:
    assert connection._ACTIONS.keys() == set(get_args(events.Event))
