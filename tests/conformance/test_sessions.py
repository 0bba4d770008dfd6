"""Sessions (MQTT 3.1.1 §3.1.2.4, §4.1, §4.4, §4.5): what survives the end of a connection, and what does not."""

from __future__ import annotations

import pytest
from conformance.lab import Lab
from helpers.mqtt import PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL


def test_a_session_keeps_its_subscriptions_and_what_comes_meanwhile_in_order(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.listener(topic, clean=False).goodbye()
    for i in range(10):
        lab.say(topic, str(i).encode(), qos=1 + i % 2)
    again = lab.client("listener", clean=False)
    assert again.session_present
    heard = lab.heard(again)
    assert [(p.payload, p.qos, p.dup, p.retain) for p in heard] == [(str(i).encode(), 1 + i % 2, False, False) for i in range(10)]


def test_what_comes_meanwhile_is_kept_whether_the_client_left_politely_or_not(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.listener(topic, clean=False).cut()
    lab.say(topic, b"meanwhile")
    assert [p.payload for p in lab.heard(lab.client("listener", clean=False))] == [b"meanwhile"]


def test_a_retained_message_that_comes_meanwhile_is_delivered_as_live(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.listener(topic, clean=False).goodbye()
    lab.say(topic, b"meanwhile", retain=True)
    assert [(p.payload, p.retain) for p in lab.heard(lab.client("listener", clean=False))] == [(b"meanwhile", False)]


def test_a_clean_session_begins_with_nothing_and_leaves_nothing(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.listener(topic, clean=False).goodbye()
    lab.say(topic, b"meanwhile")
    clean = lab.client("listener", clean=True)
    assert not clean.session_present
    assert clean.ping() == []
    lab.say(topic, b"live")
    assert clean.ping() == []
    assert clean.ask((topic, 1)) == [1]
    clean.goodbye()
    lab.say(topic, b"after")
    again = lab.client("listener", clean=False)
    assert not again.session_present
    assert again.ping() == []


def test_a_clean_session_does_not_give_back_what_was_in_flight(lab: Lab) -> None:
    topic = lab.topic("a")
    with lab.client(clean=False) as client:
        assert client.ask((topic, 2)) == [2]
        lab.say(topic, b"one", qos=1)
        lab.say(topic, b"two", qos=2)
        client.expect(PUBLISH)
        client.answer(PUBREC, client.expect(PUBLISH).packet_id)
        client.expect(PUBREL)
    assert lab.client(clean=True).ping() == []


def test_after_a_clean_session_the_same_id_gets_a_session_that_lasts(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.client("listener", clean=True)
    kept = lab.listener(topic, clean=False)
    assert not kept.session_present
    kept.goodbye()
    lab.say(topic, b"meanwhile")
    again = lab.client("listener", clean=False)
    assert again.session_present
    assert [p.payload for p in lab.heard(again)] == [b"meanwhile"]


def test_a_session_that_is_taken_over_goes_on_at_once(lab: Lab) -> None:
    topic = lab.topic("a")
    old = lab.listener(topic, clean=False)
    new = lab.client("listener", clean=False)
    assert new.session_present
    assert old.expect_closed() == []
    lab.say(topic, b"x")
    assert [p.payload for p in lab.heard(new)] == [b"x"]


def test_a_session_lasts_as_long_as_its_connection(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic, clean=True)
    for i in range(20):
        lab.say(topic, str(i).encode())
        lab.client(f"other{i}", clean=True).goodbye()
    assert [p.payload for p in lab.heard(listener)] == [str(i).encode() for i in range(20)]


def test_a_client_that_breaks_the_protocol_keeps_its_session(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic, clean=False)
    listener.send(b"\x00\x00")
    assert listener.expect_closed() == []
    lab.say(topic, b"meanwhile")
    again = lab.client("listener", clean=False)
    assert again.session_present
    assert [p.payload for p in lab.heard(again)] == [b"meanwhile"]


# --- what was in flight -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("qos", [1, 2])
def test_what_was_not_acknowledged_is_sent_again_with_its_id_and_dup(lab: Lab, qos: int) -> None:
    topic = lab.topic("a")
    with lab.client(clean=False) as client:
        assert client.ask((topic, qos)) == [qos]
        lab.say(topic, b"x", qos=qos)
        first = client.expect(PUBLISH)
        assert not first.dup
    for _ in range(2):
        with lab.client(clean=False) as client:
            again = client.expect(PUBLISH)
            assert (again.packet_id, again.payload, again.qos, again.dup) == (first.packet_id, b"x", qos, True)
    with lab.client(clean=False) as client:
        client.receive()
        assert client.ping() == []
    assert lab.client(clean=False).ping() == []


def test_what_was_in_flight_is_sent_again_in_its_order_and_what_was_acknowledged_is_not(lab: Lab) -> None:
    topic = lab.topic("a")
    with lab.client(clean=False) as client:
        assert client.ask((topic, 2)) == [2]
        for i in range(8):
            lab.say(topic, str(i).encode(), qos=1 + i % 2)
        sent = [client.expect(PUBLISH) for _ in range(8)]
        client.answer(PUBACK, sent[2].packet_id)
        client.answer(PUBREC, sent[5].packet_id)
        assert client.expect(PUBREL).packet_id == sent[5].packet_id
        client.answer(PUBCOMP, sent[5].packet_id)
        assert client.ping() == []
    again = lab.client(clean=False)
    left = [p for i, p in enumerate(sent) if i not in (2, 5)]
    assert [(p.packet_id, p.payload, p.dup) for p in (again.expect(PUBLISH) for _ in left)] == [(p.packet_id, p.payload, True) for p in left]
    assert again.ping() == []


def test_after_pubrec_only_pubrel_is_sent_again(lab: Lab) -> None:
    topic = lab.topic("a")
    with lab.client(clean=False) as client:
        assert client.ask((topic, 2)) == [2]
        lab.say(topic, b"x", qos=2)
        packet = client.expect(PUBLISH)
        client.answer(PUBREC, packet.packet_id)
        assert client.expect(PUBREL).packet_id == packet.packet_id
    for _ in range(2):
        with lab.client(clean=False) as client:
            released = client.read()
            assert released is not None
            assert (released.kind, released.packet_id, released.flags) == (PUBREL, packet.packet_id, 2)
            assert client.ping() == []
    with lab.client(clean=False) as client:
        client.answer(PUBCOMP, client.expect(PUBREL).packet_id)
        assert client.ping() == []
    assert lab.client(clean=False).ping() == []


def test_what_comes_after_a_reconnect_follows_what_is_sent_again(lab: Lab) -> None:
    topic = lab.topic("a")
    with lab.client(clean=False) as client:
        assert client.ask((topic, 1)) == [1]
        lab.say(topic, b"before")
        client.expect(PUBLISH)
    lab.say(topic, b"meanwhile")
    client = lab.client(clean=False)
    lab.say(topic, b"after")
    assert [(p.payload, p.dup) for p in (client.receive() for _ in range(3))] == [(b"before", True), (b"meanwhile", False), (b"after", False)]


def test_ids_that_are_in_flight_are_not_given_again_after_a_reconnect(lab: Lab) -> None:
    topic = lab.topic("a")
    with lab.client(clean=False) as client:
        assert client.ask((topic, 1)) == [1]
        lab.say(topic, b"one")
        one = client.expect(PUBLISH)
    client = lab.client(clean=False)
    assert client.expect(PUBLISH).packet_id == one.packet_id
    lab.say(topic, b"two")
    assert client.expect(PUBLISH).packet_id not in (0, one.packet_id)


def test_a_qos_2_publish_that_was_half_way_goes_on_after_a_reconnect(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    with lab.client(clean=False) as client:
        client.publish(topic, b"once", qos=2, packet_id=5)
        assert client.expect(PUBREC).packet_id == 5
    with lab.client(clean=False) as client:
        assert client.session_present
        client.publish(topic, b"once", qos=2, packet_id=5, dup=True)
        assert client.expect(PUBREC).packet_id == 5
        client.answer(PUBREL, 5)
        assert client.expect(PUBCOMP).packet_id == 5
    with lab.client(clean=False) as client:
        client.answer(PUBREL, 5)
        assert client.expect(PUBCOMP).packet_id == 5
    assert [p.payload for p in lab.heard(listener)] == [b"once"]


def test_a_qos_2_publish_of_a_clean_session_is_forgotten_with_it(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    with lab.client(clean=True) as client:
        client.publish(topic, b"first", qos=2, packet_id=5)
        assert client.expect(PUBREC).packet_id == 5
    with lab.client(clean=True) as client:
        client.say(topic, b"second", qos=2, packet_id=5)
    assert b"second" in [p.payload for p in lab.heard(listener)]


def test_a_message_goes_to_every_session_that_is_subscribed_present_or_not(lab: Lab) -> None:
    topic = lab.topic("a")
    for who in ("away1", "away2"):
        lab.listener(topic, who=who, clean=False).goodbye()
    present = lab.listener(topic, who="present")
    lab.say(topic, b"x")
    assert [p.payload for p in lab.heard(present)] == [b"x"]
    for who in ("away1", "away2"):
        heard = lab.heard(lab.client(who, clean=False))
        assert [p.payload for p in heard if p.topic == topic] == [b"x"]
