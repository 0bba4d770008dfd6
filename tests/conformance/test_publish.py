"""PUBLISH and the flows of its three QoS (MQTT 3.1.1 §3.3 to §3.7, §4.3), in both directions."""

from __future__ import annotations

from typing import Final

import pytest
from conformance.lab import Broker, Lab
from helpers.mqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, frame, publish_packet, text

CUT_OFF: Final = {
    "nothing": b"",
    "half a length": b"\0",
    "a topic that is cut off": b"\0\x20abc",
    "a topic and no packet id": text("abc"),
    "a topic and half a packet id": text("abc") + b"\0",
}


# --- messages in --------------------------------------------------------------------------------------------------------------


def test_each_qos_is_answered_as_it_must_be(lab: Lab) -> None:
    client = lab.client()
    client.publish(lab.topic("a"), b"x", qos=0)
    assert client.ping() == []
    client.publish(lab.topic("a"), b"x", qos=1, packet_id=11)
    assert client.expect(PUBACK).body == b"\0\x0b"
    client.publish(lab.topic("a"), b"x", qos=2, packet_id=12)
    assert client.expect(PUBREC).body == b"\0\x0c"
    client.answer(PUBREL, 12)
    assert client.expect(PUBCOMP).body == b"\0\x0c"
    assert client.ping() == []


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("payload", [b"", b"\0", b"\xff\xfe", bytes(range(256)), b"x" * 200_000], ids=["empty", "NUL", "no text", "every byte", "200 kB"])
def test_a_payload_is_bytes_and_arrives_as_it_was_sent(lab: Lab, qos: int, payload: bytes) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    lab.say(topic, payload, qos=qos)
    assert [(p.topic, p.payload, p.qos) for p in lab.heard(listener)] == [(topic, payload, qos)]


@pytest.mark.parametrize("flags", [0x6, 0x7, 0xE, 0xF])
def test_a_publish_at_qos_3_closes_the_connection(lab: Lab, flags: int) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    client = lab.client()
    client.send(frame(0x30 | flags, text(topic) + b"\0\1x"))
    assert client.expect_closed() == []
    assert lab.heard(listener) == []


@pytest.mark.parametrize("body", CUT_OFF.values(), ids=CUT_OFF.keys())
def test_a_publish_that_ends_too_early_closes_the_connection(lab: Lab, body: bytes) -> None:
    client = lab.client()
    client.send(frame(0x32, body))
    assert client.expect_closed() == []


def test_a_qos_0_publish_with_dup_closes_the_connection(lab: Lab) -> None:
    client = lab.client()
    client.publish(lab.topic("a"), b"x", qos=0, dup=True)
    assert client.expect_closed() == []


@pytest.mark.parametrize("qos", [1, 2])
def test_dup_is_not_passed_on(lab: Lab, qos: int) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    client = lab.client()
    client.say(topic, b"x", qos=qos, packet_id=3, dup=True)
    assert [(p.payload, p.dup) for p in lab.heard(listener)] == [(b"x", False)]


def test_an_id_is_free_again_after_puback_whatever_dup_says(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    client = lab.client()
    client.say(topic, b"first", packet_id=5)
    client.say(topic, b"second", packet_id=5)
    client.say(topic, b"third", packet_id=5, dup=True)
    assert [p.payload for p in lab.heard(listener)] == [b"first", b"second", b"third"]


def test_a_qos_2_publish_that_is_repeated_before_pubrel_is_answered_and_delivered_once(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    client = lab.client()
    for dup in (False, True, True):
        client.publish(topic, b"once", qos=2, packet_id=5, dup=dup)
        assert client.expect(PUBREC).packet_id == 5
    client.answer(PUBREL, 5)
    assert client.expect(PUBCOMP).packet_id == 5
    assert [p.payload for p in lab.heard(listener)] == [b"once"]


def test_a_qos_2_id_is_free_again_after_pubcomp(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    client = lab.client()
    client.say(topic, b"first", qos=2, packet_id=5)
    client.say(topic, b"second", qos=2, packet_id=5)
    client.say(topic, b"third", qos=2, packet_id=5, dup=True)
    assert [p.payload for p in lab.heard(listener)] == [b"first", b"second", b"third"]


def test_pubrel_is_answered_as_often_as_it_comes(lab: Lab) -> None:
    client = lab.client()
    client.publish(lab.topic("a"), b"x", qos=2, packet_id=5)
    assert client.expect(PUBREC).packet_id == 5
    for _ in range(3):
        client.answer(PUBREL, 5)
        assert client.expect(PUBCOMP).packet_id == 5


def test_qos_1_and_qos_2_flows_may_be_interleaved(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    client = lab.client()
    client.publish(topic, b"two", qos=2, packet_id=1)
    client.publish(topic, b"one", qos=1, packet_id=2)
    client.publish(topic, b"two again", qos=2, packet_id=3)
    assert client.expect(PUBREC).packet_id == 1
    assert client.expect(PUBACK).packet_id == 2
    assert client.expect(PUBREC).packet_id == 3
    for packet_id in (1, 3):
        client.answer(PUBREL, packet_id)
        assert client.expect(PUBCOMP).packet_id == packet_id
    assert sorted(p.payload for p in lab.heard(listener)) == [b"one", b"two", b"two again"]


@pytest.mark.parametrize("qos", [1, 2])
def test_a_publish_that_is_not_allowed_is_acknowledged_or_closes_the_connection(lab: Lab, qos: int) -> None:
    """Clients may not publish to a broker's `$SYS`, nor to our `v1/`."""
    topic = f"v1/{lab.name}" if lab.broker.is_ours else f"$SYS/{lab.name}"
    listener = lab.client("listener")
    listener.ask((topic, 2))
    client = lab.client()
    client.publish(topic, b"forged", qos=qos, packet_id=4)
    answer = client.read()
    assert answer is None or (answer.kind, answer.packet_id) == (PUBACK if qos == 1 else PUBREC, 4)
    assert [p for p in listener.ping() if p.kind == PUBLISH] == []


def test_what_we_do_not_allow_is_acknowledged_and_goes_nowhere(ours: Broker, lab: Lab) -> None:
    topic = f"v1/{lab.name}/orders/PO-1/status"
    listener = lab.listener(topic)
    client = lab.client()
    client.say(topic, b"forged", qos=1, packet_id=1, retain=True)
    client.say(topic, b"forged", qos=2, packet_id=2)
    assert lab.heard(listener) == []
    assert lab.fetch(topic) == []


# --- messages out -------------------------------------------------------------------------------------------------------------


def test_a_publisher_receives_its_own_messages_if_it_is_subscribed(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client()
    assert client.ask((topic, 1)) == [1]
    client.say(topic, b"echo")
    assert client.receive().payload == b"echo"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_goes_out_first_without_dup(lab: Lab, qos: int) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    lab.say(topic, b"x", qos=qos)
    (packet,) = lab.heard(listener)
    assert (packet.qos, packet.dup, packet.packet_id != 0) == (qos, False, qos > 0)


def test_a_qos_2_message_goes_out_in_its_four_packets(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client()
    assert client.ask((topic, 2)) == [2]
    lab.say(topic, b"x", qos=2)
    packet = client.expect(PUBLISH)
    assert client.ping() == []
    client.answer(PUBREC, packet.packet_id)
    released = client.expect(PUBREL)
    assert (released.packet_id, released.flags) == (packet.packet_id, 2)
    client.answer(PUBCOMP, packet.packet_id)
    assert client.ping() == []


def test_pubrec_that_is_repeated_is_answered_with_pubrel_and_not_with_the_message(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client()
    assert client.ask((topic, 2)) == [2]
    lab.say(topic, b"x", qos=2)
    packet = client.expect(PUBLISH)
    for _ in range(2):
        client.answer(PUBREC, packet.packet_id)
        assert client.expect(PUBREL).packet_id == packet.packet_id
    client.answer(PUBCOMP, packet.packet_id)
    assert client.ping() == []


def test_nothing_is_sent_again_while_the_connection_lasts(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.client()
    assert client.ask((topic, 2)) == [2]
    lab.say(topic, b"one", qos=1)
    lab.say(topic, b"two", qos=2)
    first, second = client.expect(PUBLISH), client.expect(PUBLISH)
    assert client.ping() == []
    client.complete(first)
    client.complete(second)
    assert client.ping() == []


@pytest.mark.parametrize("kind", [PUBACK, PUBCOMP])
def test_an_acknowledgement_of_nothing_is_passed_over(ours: Broker, lab: Lab, kind: int) -> None:
    client = lab.client()
    client.answer(kind, 4_711)
    assert client.ping() == []


WRONG_ANSWERS: Final = {
    "PUBREC at QoS 1": (1, (PUBREC,)),
    "PUBCOMP at QoS 1": (1, (PUBCOMP,)),
    "PUBACK at QoS 2": (2, (PUBACK,)),
    "PUBCOMP before PUBREC": (2, (PUBCOMP,)),
    "PUBACK after PUBREC": (2, (PUBREC, PUBACK)),
}


@pytest.mark.parametrize(("qos", "answers"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "persistent"])
def test_an_answer_of_another_flow_closes_the_connection_and_the_message_is_still_owed(
    ours: Broker, lab: Lab, qos: int, answers: tuple[int, ...], clean: bool
) -> None:
    topic = lab.topic("a")
    client = lab.client(clean=clean)
    assert client.ask((topic, qos)) == [qos]
    lab.say(topic, b"x", qos=qos)
    packet_id = client.expect(PUBLISH).packet_id
    for kind in answers:
        client.answer(kind, packet_id)
        if kind == PUBREC and qos == 2:
            assert client.expect(PUBREL).packet_id == packet_id
    assert client.expect_closed() == []
    if not clean:
        again = lab.client(clean=False)
        owed = again.read()
        assert owed is not None
        assert (owed.kind, owed.packet_id) == (PUBREL if PUBREC in answers and qos == 2 else PUBLISH, packet_id)


def test_every_topic_that_is_delivered_matches_the_filter(lab: Lab) -> None:
    listener = lab.listener(lab.topic("+", "status"))
    for topic in ("1/status", "1/eta", "status", "2/status", "2/status/x"):
        lab.say(lab.topic(*topic.split("/")))
    assert [p.topic for p in lab.heard(listener)] == [lab.topic("1", "status"), lab.topic("2", "status")]


def test_overlapping_subscriptions_deliver_at_the_highest_qos_among_them(lab: Lab) -> None:
    topic = lab.topic("a", "b")
    listener = lab.listener()
    assert listener.ask((lab.topic("#"), 0), (lab.topic("+", "b"), 2), (topic, 1)) == [0, 2, 1]
    lab.say(topic, b"x", qos=2)
    heard = [p for p in lab.heard(listener) if p.topic == topic]
    assert max(p.qos for p in heard) == 2


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_overlapping_subscriptions_deliver_once(ours: Broker, lab: Lab, qos: int) -> None:
    topic = lab.topic("a", "b")
    listener = lab.listener()
    assert listener.ask((lab.topic("a", "#"), 0), (lab.topic("+", "b"), 2), (topic, 1)) == [0, 2, 1]
    lab.say(topic, b"x", qos=qos)
    assert [(p.topic, p.qos) for p in lab.heard(listener)] == [(topic, qos)]


def test_one_malformed_publish_does_not_take_what_came_before_it(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    client = lab.client()
    client.send(publish_packet(topic, b"good", packet_id=1) + frame(0x36, text(topic) + b"\0\2bad") + publish_packet(topic, b"late", packet_id=3))
    client.expect_closed()
    assert [p.payload for p in lab.heard(listener)] == [b"good"]
