"""Wills (MQTT 3.1.1 §3.1.2.5 to §3.1.2.7): published when a connection ends in any way but DISCONNECT."""

from __future__ import annotations

import pytest
from conformance.lab import Lab


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_will_of_a_client_that_is_cut_off_is_published_at_its_qos(lab: Lab, qos: int) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic, qos=2)
    lab.client(will=(topic, b"gone"), will_qos=qos, will_retain=False).cut()
    will = listener.receive()
    assert (will.topic, will.payload, will.qos, will.retain) == (topic, b"gone", qos, False)
    assert lab.heard(listener) == []


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_retained_will_is_retained(lab: Lab, qos: int) -> None:
    topic = lab.topic("will")
    lab.will_leave(topic)
    listener = lab.listener(topic)
    lab.client(will=(topic, b"gone"), will_qos=qos, will_retain=True).cut()
    live = listener.receive()
    assert (live.payload, live.retain) == (b"gone", False)
    assert [(p.payload, p.qos, p.retain) for p in lab.fetch(topic)] == [(b"gone", qos, True)]


def test_a_will_that_is_not_retained_leaves_what_is_retained_alone(lab: Lab) -> None:
    topic = lab.topic("will")
    lab.say(topic, b"there", retain=True)
    listener = lab.listener(topic)
    assert listener.receive().payload == b"there"
    lab.client(will=(topic, b"gone"), will_retain=False).cut()
    assert listener.receive().payload == b"gone"
    assert [p.payload for p in lab.fetch(topic)] == [b"there"]


def test_a_will_may_be_empty(lab: Lab) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic)
    lab.client(will=(topic, b""), will_retain=False).cut()
    assert listener.receive().payload == b""


def test_a_client_that_says_disconnect_leaves_no_will(lab: Lab) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic)
    lab.client(will=(topic, b"gone")).goodbye()
    assert lab.heard(listener) == []
    lab.client().cut()
    assert lab.heard(listener) == [], "a will does not outlive its connection"
    assert lab.fetch(topic) == []


def test_a_client_without_a_will_leaves_none(lab: Lab) -> None:
    listener = lab.listener(lab.topic("#"))
    lab.client().cut()
    assert lab.heard(listener) == []


def test_a_will_is_published_once(lab: Lab) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic)
    lab.client(clean=False, will=(topic, b"gone"), will_retain=False).cut()
    assert listener.receive().payload == b"gone"
    lab.client(clean=False).cut()
    assert lab.heard(listener) == []


@pytest.mark.parametrize("clean", [True, False])
def test_the_will_of_a_connection_that_is_taken_over_is_published(lab: Lab, clean: bool) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic)
    old = lab.client(clean=clean, will=(topic, b"old"), will_retain=False)
    new = lab.client(clean=clean, will=(topic, b"new"), will_retain=False)
    assert old.expect_closed() == []
    assert listener.receive().payload == b"old"
    assert lab.heard(listener) == []
    new.goodbye()
    assert lab.heard(listener) == []


def test_the_will_of_a_client_that_breaks_the_protocol_is_published(lab: Lab) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic)
    client = lab.client(will=(topic, b"gone"), will_retain=False)
    client.send(b"\x00\x00")
    assert client.expect_closed() == []
    assert listener.receive().payload == b"gone"


def test_the_will_of_a_client_that_ends_its_side_without_disconnect_is_published(lab: Lab) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic)
    client = lab.client(will=(topic, b"gone"), will_retain=False)
    client.end_writing()
    assert client.expect_closed() == []
    assert listener.receive().payload == b"gone"


@pytest.mark.parametrize("topic", ["a/#", "+", ""])
def test_a_will_without_a_proper_topic_name_is_not_taken(lab: Lab, topic: str) -> None:
    client = lab.stranger()
    assert client.is_not_let_in(lab.client_id("a"), will=(topic, b"gone"))
