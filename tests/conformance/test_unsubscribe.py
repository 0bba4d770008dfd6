"""UNSUBSCRIBE and UNSUBACK (MQTT 3.1.1 §3.10, §3.11)."""

from __future__ import annotations

from typing import Final

import pytest
from conformance.lab import Lab
from helpers.mqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, UNSUBACK, frame, text, unsubscribe_packet

MALFORMED: Final = {
    "no filter": unsubscribe_packet([]),
    "a filter that is cut off": frame(0xA2, b"\0\1\0\x20abc"),
    "a second filter that is cut off": frame(0xA2, b"\0\1" + text("a") + b"\0\x20abc"),
    "half a length": frame(0xA2, b"\0\1" + text("a") + b"\0"),
    "no packet id": frame(0xA2, b""),
    "half a packet id": frame(0xA2, b"\0"),
}


@pytest.mark.parametrize("packet", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_unsubscribe_closes_the_connection(lab: Lab, packet: bytes) -> None:
    client = lab.client()
    client.send(packet)
    assert client.expect_closed() == []


def test_after_unsubscribe_nothing_more_comes(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    lab.say(topic, b"before")
    assert [p.payload for p in lab.heard(listener)] == [b"before"]
    listener.unsubscribe(topic, packet_id=4_711)
    lab.say(topic, b"after")
    assert lab.heard(listener) == []


def test_a_filter_that_was_not_subscribed_to_is_answered_too(lab: Lab) -> None:
    client = lab.client()
    client.unsubscribe(lab.topic("never"), packet_id=9)
    assert client.ping() == []


def test_filters_are_compared_as_text_and_not_by_what_they_match(lab: Lab) -> None:
    listener = lab.listener(lab.topic("+", "status"))
    listener.unsubscribe(lab.topic("1", "status"), lab.topic("#"), lab.topic("+", "STATUS"), lab.topic("+", "status", ""), lab.topic("+", "+"))
    lab.say(lab.topic("1", "status"), b"x")
    assert [p.payload for p in lab.heard(listener)] == [b"x"]
    listener.unsubscribe(lab.topic("+", "status"))
    lab.say(lab.topic("1", "status"), b"x")
    assert lab.heard(listener) == []


def test_several_filters_in_a_packet_are_answered_once_and_all_go(lab: Lab) -> None:
    names = ["a", "b", "c", "d"]
    listener = lab.listener(*(lab.topic(n) for n in names))
    listener.unsubscribe(lab.topic("a"), lab.topic("never"), lab.topic("c"), lab.topic("a"), packet_id=12)
    assert listener.ping() == []
    for name in names:
        lab.say(lab.topic(name), name.encode())
    assert [p.payload for p in lab.heard(listener)] == [b"b", b"d"]


def test_one_of_two_overlapping_subscriptions_may_go_alone(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener()
    assert listener.ask((lab.topic("+"), 0), (topic, 2)) == [0, 2]
    listener.unsubscribe(topic)
    lab.say(topic, b"x", qos=2)
    assert [(p.topic, p.qos) for p in lab.heard(listener) if p.topic == topic] == [(topic, 0)]


def test_a_delivery_that_has_begun_is_completed(lab: Lab) -> None:
    topic = lab.topic("a")
    with lab.client(clean=False) as client:
        assert client.ask((topic, 2)) == [2]
        lab.say(topic, b"one", qos=1)
        lab.say(topic, b"two", qos=2)
        one, two = client.expect(PUBLISH), client.expect(PUBLISH)
        client.send(unsubscribe_packet([topic], 9))
        assert client.expect(UNSUBACK).packet_id == 9
        client.answer(PUBREC, two.packet_id)
        assert client.expect(PUBREL).packet_id == two.packet_id
    with lab.client(clean=False) as client:
        again = client.expect(PUBLISH)
        assert (again.payload, again.packet_id, again.dup) == (b"one", one.packet_id, True)
        assert client.expect(PUBREL).packet_id == two.packet_id
        client.answer(PUBACK, one.packet_id)
        client.answer(PUBCOMP, two.packet_id)
        assert client.ping() == []
    assert lab.client(clean=False).ping() == []


def test_what_was_unsubscribed_stays_so_in_the_session(lab: Lab) -> None:
    with lab.listener(lab.topic("a"), lab.topic("b"), clean=False) as listener:
        listener.unsubscribe(lab.topic("a"))
    again = lab.client("listener", clean=False)
    assert again.session_present
    lab.say(lab.topic("a"), b"a")
    lab.say(lab.topic("b"), b"b")
    assert [p.payload for p in lab.heard(again)] == [b"b"]
