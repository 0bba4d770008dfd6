"""Order (MQTT 3.1.1 §4.6): the packet that comes first is answered, passed on and sent again first."""

from __future__ import annotations

from typing import Final

import pytest
from conformance.lab import Lab
from helpers.mqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, publish_packet

COUNT: Final = 200


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_messages_of_a_topic_are_delivered_in_the_order_in_which_a_client_sent_them(lab: Lab, qos: int) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic, qos=qos)
    speaker = lab.client("speaker1")
    payloads = [str(i).encode() for i in range(COUNT)]
    for start in range(0, COUNT, 20):
        speaker.send(b"".join(publish_packet(topic, p, qos=qos, packet_id=i) for i, p in enumerate(payloads[start : start + 20], start + 1)))
        for i in range(start + 1, start + 21):
            if qos == 1:
                assert speaker.expect(PUBACK).packet_id == i
            elif qos == 2:
                assert speaker.expect(PUBREC).packet_id == i
                speaker.answer(PUBREL, i)
        if qos == 2:
            assert [speaker.expect(PUBCOMP).packet_id for _ in range(20)] == list(range(start + 1, start + 21))
    speaker.ping()
    assert [p.payload for p in lab.heard(listener)] == payloads


def test_messages_of_two_clients_are_each_in_order(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic, qos=1)
    one, two = lab.client("one"), lab.client("two")
    for i in range(1, 21):
        one.publish(topic, f"one {i:02}".encode(), packet_id=i)
        two.publish(topic, f"two {i:02}".encode(), packet_id=i)
    for client in (one, two):
        assert [client.expect(PUBACK).packet_id for _ in range(20)] == list(range(1, 21))
    heard = [p.payload.decode() for p in lab.heard(listener)]
    for who in ("one", "two"):
        assert [h for h in heard if h.startswith(who)] == [f"{who} {i:02}" for i in range(1, 21)]


def test_every_subscriber_hears_the_same_order(lab: Lab) -> None:
    topic = lab.topic("a")
    listeners = [lab.listener(topic, qos=1, who="one"), lab.listener(lab.topic("#"), qos=1, who="two")]
    for i in range(30):
        lab.say(topic, str(i).encode())
    for listener in listeners:
        assert [p.payload for p in lab.heard(listener) if p.topic == topic] == [str(i).encode() for i in range(30)]


def test_puback_and_pubrec_come_in_the_order_of_the_publishes(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client()
    ids = [9, 3, 12, 1, 700, 5, 65_535, 2, 44, 8]
    client.send(b"".join(publish_packet(topic, b"x", packet_id=i) for i in ids))
    assert [client.expect(PUBACK).packet_id for _ in ids] == ids
    client.send(b"".join(publish_packet(topic, b"x", qos=2, packet_id=i) for i in ids))
    assert [client.expect(PUBREC).packet_id for _ in ids] == ids
    for i in reversed(ids):
        client.answer(PUBREL, i)
    assert [client.expect(PUBCOMP).packet_id for _ in ids] == ids[::-1]


def test_pubrel_comes_in_the_order_of_the_pubrecs(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client()
    assert client.ask((topic, 2)) == [2]
    for i in range(10):
        lab.say(topic, str(i).encode(), qos=2)
    ids = [client.expect(PUBLISH).packet_id for _ in range(10)]
    for i in ids:
        client.answer(PUBREC, i)
    assert [client.expect(PUBREL).packet_id for _ in ids] == ids


def test_acknowledgements_in_another_order_do_no_harm(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client()
    assert client.ask((topic, 1)) == [1]
    for i in range(10):
        lab.say(topic, str(i).encode())
    ids = [client.expect(PUBLISH).packet_id for _ in range(10)]
    for i in reversed(ids):
        client.answer(PUBACK, i)
    assert client.ping() == []
    lab.say(topic, b"next")
    assert client.receive().payload == b"next"
