"""SUBSCRIBE and SUBACK (MQTT 3.1.1 §3.8, §3.9)."""

from __future__ import annotations

from typing import Final

import pytest
from conformance.lab import REFUSED, Broker, Lab
from helpers.mqtt import frame, subscribe_packet, text

MANY: Final = 256

MALFORMED: Final = {
    "no filter": subscribe_packet([]),
    "a filter without a QoS": frame(0x82, b"\0\1" + text("a")),
    "a filter that is cut off": frame(0x82, b"\0\1\0\x20abc\1"),
    "a second filter that is cut off": frame(0x82, b"\0\1" + text("a") + b"\1\0\x20abc"),
    "no packet id": frame(0x82, b""),
    "half a packet id": frame(0x82, b"\0"),
}


def test_each_filter_is_answered_in_its_place(lab: Lab) -> None:
    client = lab.client()
    wanted = [(lab.topic(str(i)), qos) for i, qos in enumerate((2, 0, 1, 1, 2, 0))]
    assert client.ask(*wanted, packet_id=4_711) == [2, 0, 1, 1, 2, 0]


def test_every_return_code_is_one_that_the_standard_has(lab: Lab) -> None:
    client = lab.client()
    codes = client.ask(*((f, 2) for f in (lab.topic("a"), "$SYS/#", "$share/group/a", "#", "v1/#", "$dockbridge/none/x", "+")))
    assert len(codes) == 7
    assert set(codes) <= {0, 1, 2, REFUSED}


@pytest.mark.parametrize("topic_filter", ["$share/group/a", "$share/group/#", "$share"])
def test_shared_subscriptions_are_refused_and_not_taken_for_filters(ours: Broker, lab: Lab, topic_filter: str) -> None:
    assert lab.client().ask((topic_filter, 1), (lab.topic("a"), 1)) == [REFUSED, 1]


def test_many_filters_in_one_packet_are_answered_one_by_one(lab: Lab) -> None:
    listener = lab.listener()
    codes = listener.ask(*((lab.topic(str(i)), i % 3) for i in range(MANY)))
    assert len(codes) == MANY
    assert all(code in (i % 3, REFUSED) for i, code in enumerate(codes))
    granted = [i for i, code in enumerate(codes) if code != REFUSED]
    assert granted
    for i in (granted[0], granted[-1]):
        lab.say(lab.topic(str(i)), str(i).encode(), qos=2)
        assert [(p.payload, p.qos) for p in lab.heard(listener)] == [(str(i).encode(), i % 3)]


@pytest.mark.parametrize("packet", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_subscribe_closes_the_connection(lab: Lab, packet: bytes) -> None:
    client = lab.client()
    client.send(packet)
    assert client.expect_closed() == []


@pytest.mark.parametrize("options", [3, 4, 8, 0x10, 0x20, 0x40, 0x80, 0xFF])
def test_reserved_bits_beside_a_filter_close_the_connection(lab: Lab, options: int) -> None:
    client = lab.client()
    client.send(subscribe_packet([(lab.topic("a"), 1), (lab.topic("b"), options)]))
    assert client.expect_closed() == []


@pytest.mark.parametrize("subscribed", [0, 1, 2])
@pytest.mark.parametrize("published", [0, 1, 2])
def test_a_message_is_delivered_at_the_lower_of_the_two_qos(lab: Lab, published: int, subscribed: int) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic, qos=subscribed)
    lab.say(topic, b"x", qos=published)
    assert [p.qos for p in lab.heard(listener)] == [min(published, subscribed)]


@pytest.mark.parametrize("after", [0, 1, 2])
@pytest.mark.parametrize("before", [0, 1, 2])
def test_subscribing_to_the_same_filter_replaces_its_qos(lab: Lab, before: int, after: int) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic, qos=before)
    assert listener.ask((topic, after)) == [after]
    lab.say(topic, b"x", qos=2)
    assert [p.qos for p in lab.heard(listener)] == [after]


def test_a_filter_that_comes_twice_in_a_packet_is_held_as_the_last_says(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener()
    codes = listener.ask((topic, 2), (lab.topic("b"), 1), (topic, 0))
    assert len(codes) == 3
    assert codes[2] == 0
    lab.say(topic, b"x", qos=2)
    assert [(p.topic, p.qos) for p in lab.heard(listener)] == [(topic, 0)]


@pytest.mark.parametrize("clean", [True, False])
def test_b3_a_filter_that_comes_three_times_in_a_packet_is_answered_three_times(lab: Lab, clean: bool) -> None:
    topic = lab.topic("kept")
    lab.say(topic, b"kept", qos=2, retain=True)
    listener = lab.listener(clean=clean)
    assert listener.ask((topic, 0), (topic, 2), (topic, 1)) == [0, 2, 1]
    assert [listener.receive().qos for _ in range(3)] == [0, 2, 1]


def test_several_filters_in_a_packet_work_as_several_packets(lab: Lab) -> None:
    for name in ("a", "b"):
        lab.say(lab.topic(name), name.encode(), retain=True)
    listener = lab.listener()
    assert listener.ask((lab.topic("a"), 1), (lab.topic("b"), 0), (lab.topic("c"), 2)) == [1, 0, 2]
    assert sorted((p.topic, p.qos) for p in lab.heard(listener)) == [(lab.topic("a"), 1), (lab.topic("b"), 0)]
    for name in ("c", "b", "a"):
        lab.say(lab.topic(name), name.encode(), qos=2)
    assert sorted((p.topic, p.qos) for p in lab.heard(listener)) == [(lab.topic("a"), 1), (lab.topic("b"), 0), (lab.topic("c"), 2)]


def test_replacing_a_subscription_does_not_interrupt_what_is_published(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    for i in range(20):
        lab.say(topic, str(i).encode())
        listener.send(subscribe_packet([(topic, 2 - i % 2)], 10 + i))
    payloads = [p.payload for p in lab.heard_among_answers(listener)]
    assert payloads == [str(i).encode() for i in range(20)]


def test_filters_with_wildcards_are_granted_and_work(lab: Lab) -> None:
    listener = lab.listener()
    for topic_filter in (lab.topic("+"), lab.topic("#")):
        assert listener.ask((topic_filter, 1)) == [1]
    lab.say(lab.topic("deep", "er"), b"x")
    assert [p.payload for p in lab.heard(listener)] == [b"x"]


def test_a_filter_that_is_not_allowed_is_refused_in_its_place_and_the_others_are_granted(ours: Broker, lab: Lab) -> None:
    listener = lab.listener()
    assert listener.ask((lab.topic("a"), 1), ("$dockbridge/none/x", 2), ("test/nosubscribe", 2), (lab.topic("b"), 0)) == [1, REFUSED, REFUSED, 0]
    lab.say(lab.topic("b"), b"x")
    assert [p.payload for p in lab.heard(listener)] == [b"x"]
