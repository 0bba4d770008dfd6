"""The fixed header and packet ids (MQTT 3.1.1 §2)."""

from __future__ import annotations

from typing import Final

import pytest
from conformance.lab import Lab
from helpers.mqtt import (
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    connect_packet,
    frame,
    publish_packet,
    subscribe_packet,
    text,
    unsubscribe_packet,
)

FLAGS: Final = {
    "PUBACK": (PUBACK << 4, b"\0\1", 0),
    "PUBREC": (PUBREC << 4, b"\0\1", 0),
    "PUBREL": (PUBREL << 4, b"\0\1", 2),
    "PUBCOMP": (PUBCOMP << 4, b"\0\1", 0),
    "SUBSCRIBE": (0x80, b"\0\1" + text("a") + b"\1", 2),
    "UNSUBSCRIBE": (0xA0, b"\0\1" + text("a"), 2),
    "PINGREQ": (0xC0, b"", 0),
    "DISCONNECT": (0xE0, b"", 0),
}
"""Each packet type with reserved flags: first byte without them, body, and the flags that it must have."""

WRONG = [(kind, flags) for kind, (_, _, right) in FLAGS.items() for flags in (0, 1, 2, 4, 8, 15) if flags != right]


@pytest.mark.parametrize(("kind", "flags"), WRONG)
def test_reserved_flags_that_are_not_as_they_must_be_close_the_connection(lab: Lab, kind: str, flags: int) -> None:
    first, body, _ = FLAGS[kind]
    client = lab.client()
    client.send(frame(first | flags, body))
    assert client.expect_closed() == []


@pytest.mark.parametrize("flags", [1, 2, 4, 8])
def test_reserved_flags_of_connect_close_the_connection(lab: Lab, flags: int) -> None:
    client = lab.stranger()
    client.send(frame(0x10 | flags, connect_packet(lab.client_id("a"))[2:]))
    assert client.expect_closed() == []


def test_what_the_server_sends_has_the_flags_that_it_must_have(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client()
    client.send(subscribe_packet([(topic, 2)], 1))
    assert client.expect(SUBACK).flags == 0
    client.publish(topic, b"x", packet_id=2)
    assert client.expect(PUBACK).flags == 0
    assert client.receive().qos == 1
    client.publish(topic, b"x", qos=2, packet_id=3)
    assert client.expect(PUBREC).flags == 0
    client.answer(PUBREL, 3)
    assert client.expect(PUBCOMP).flags == 0
    sent = client.expect(PUBLISH)
    client.answer(PUBREC, sent.packet_id)
    assert client.expect(PUBREL).flags == 2
    client.answer(PUBCOMP, sent.packet_id)
    client.send(unsubscribe_packet([topic], 4))
    assert client.expect(UNSUBACK).flags == 0


@pytest.mark.parametrize("first", [0x00, 0x0F, 0xF0, 0xFF, 0x20, 0x90, 0xB0, 0xD0], ids=hex)
def test_a_packet_type_that_is_not_for_a_server_closes_the_connection(lab: Lab, first: int) -> None:
    client = lab.client()
    client.send(frame(first, b"\0\0"))
    assert client.expect_closed() == []


@pytest.mark.parametrize("length", [b"\xff\xff\xff\xff\x01", b"\x80\x80\x80\x80\x00"])
def test_a_remaining_length_of_more_than_four_bytes_closes_the_connection(lab: Lab, length: bytes) -> None:
    client = lab.client()
    client.send(b"\x30" + length)
    assert client.expect_closed() == []


@pytest.mark.parametrize("length", [127, 128, 16_383, 16_384])
def test_packets_at_the_borders_of_the_remaining_length_arrive_whole(lab: Lab, length: int) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    payload = bytes(i % 251 for i in range(length - len(text(topic)) - 2))
    packet = publish_packet(topic, payload)
    assert packet[-length - 1] < 0x80
    lab.say(topic, payload)
    assert [p.payload for p in lab.heard(listener)] == [payload]


def test_packets_may_come_byte_by_byte_or_many_at_once(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client()
    for byte in subscribe_packet([(topic, 1)]) + publish_packet(topic, b"slow", packet_id=7):
        client.send(bytes((byte,)))
    assert client.expect(SUBACK).packet_id == 1
    assert client.expect(PUBACK).packet_id == 7
    assert client.receive().payload == b"slow"
    client.send(b"".join(publish_packet(topic, str(i).encode(), packet_id=i) for i in range(1, 11)))
    assert [client.expect(PUBACK).packet_id for _ in range(10)] == list(range(1, 11))
    assert [client.receive().payload for _ in range(10)] == [str(i).encode() for i in range(1, 11)]


# --- packet ids ---------------------------------------------------------------------------------------------------------------

WITHOUT_ID: Final = {
    "PUBLISH at QoS 1": publish_packet("a", b"x", qos=1, packet_id=0),
    "PUBLISH at QoS 2": publish_packet("a", b"x", qos=2, packet_id=0),
    "SUBSCRIBE": subscribe_packet([("a", 1)], 0),
    "UNSUBSCRIBE": unsubscribe_packet(["a"], 0),
    "PUBACK": b"\x40\x02\0\0",
    "PUBREC": b"\x50\x02\0\0",
    "PUBREL": b"\x62\x02\0\0",
    "PUBCOMP": b"\x70\x02\0\0",
}


@pytest.mark.parametrize("packet", WITHOUT_ID.values(), ids=WITHOUT_ID.keys())
def test_a_packet_id_of_zero_closes_the_connection(lab: Lab, packet: bytes) -> None:
    client = lab.client()
    client.send(packet)
    assert client.expect_closed() == []


def test_the_server_numbers_its_publishes_with_ids_that_are_free(lab: Lab) -> None:
    client = lab.client()
    assert client.ask((lab.topic("#"), 2)) == [2]
    for i in range(10):
        lab.say(lab.topic("a"), str(i).encode(), qos=1 + i % 2)
    sent = [client.expect(PUBLISH) for _ in range(10)]
    assert all(p.packet_id for p in sent)
    assert len({p.packet_id for p in sent}) == 10


def test_a_qos_0_publish_has_no_packet_id(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    lab.say(topic, b"\0\7payload", qos=0)
    (packet,) = lab.heard(listener)
    assert (packet.qos, packet.body) == (0, text(topic) + b"\0\7payload")


@pytest.mark.parametrize("packet_id", [1, 2, 255, 256, 65_535])
def test_every_answer_has_the_packet_id_of_what_it_answers(lab: Lab, packet_id: int) -> None:
    topic = lab.topic("a")
    client = lab.client()
    client.send(subscribe_packet([(lab.topic("b"), 1)], packet_id))
    assert client.expect(SUBACK).packet_id == packet_id
    client.send(unsubscribe_packet([lab.topic("b")], packet_id))
    assert client.expect(UNSUBACK).packet_id == packet_id
    client.publish(topic, b"x", qos=1, packet_id=packet_id)
    assert client.expect(PUBACK).packet_id == packet_id
    client.publish(topic, b"x", qos=2, packet_id=packet_id)
    assert client.expect(PUBREC).packet_id == packet_id
    client.answer(PUBREL, packet_id)
    assert client.expect(PUBCOMP).packet_id == packet_id
