"""Retained messages (MQTT 3.1.1 §3.3.1.3): the last one of each topic, for later subscribers."""

from __future__ import annotations

import pytest
from conformance.lab import Broker, Lab


@pytest.mark.parametrize("subscribed", [0, 1, 2])
@pytest.mark.parametrize("published", [0, 1, 2])
def test_a_retained_message_is_kept_with_its_qos_for_a_later_subscriber(lab: Lab, published: int, subscribed: int) -> None:
    topic = lab.topic("a")
    lab.say(topic, b"kept", qos=published, retain=True)
    assert [(p.topic, p.payload, p.qos, p.retain) for p in lab.fetch(topic, qos=subscribed)] == [(topic, b"kept", min(published, subscribed), True)]


def test_a_retained_message_outlives_the_client_that_sent_it_and_its_session(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.will_leave(topic)
    sender = lab.client("sender", clean=True)
    sender.say(topic, b"kept", retain=True)
    sender.goodbye()
    assert [p.payload for p in lab.fetch(topic)] == [b"kept"]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_the_last_one_replaces_what_was_retained_before(lab: Lab, qos: int) -> None:
    topic = lab.topic("a")
    lab.say(topic, b"first", qos=2, retain=True)
    lab.say(topic, b"last", qos=qos, retain=True)
    assert [(p.payload, p.qos) for p in lab.fetch(topic)] == [(b"last", qos)]


def test_each_topic_that_a_new_filter_matches_sends_its_last_message(lab: Lab) -> None:
    for name in ("a", "b", "a/b", "c/b"):
        lab.say(lab.topic(*name.split("/")), name.encode(), retain=True)
    assert sorted(p.payload for p in lab.fetch(lab.topic("+"))) == [b"a", b"b"]
    assert sorted(p.payload for p in lab.fetch(lab.topic("+", "b"))) == [b"a/b", b"c/b"]
    assert sorted(p.payload for p in lab.fetch(lab.topic("#"))) == [b"a", b"a/b", b"b", b"c/b"]


def test_retain_is_clear_on_what_comes_live_and_set_on_what_was_there_before(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    for qos in (0, 1, 2):
        lab.say(topic, b"kept", qos=qos, retain=True)
    assert [(p.qos, p.retain) for p in lab.heard(listener)] == [(0, False), (1, False), (2, False)]
    assert [(p.qos, p.retain) for p in lab.fetch(topic)] == [(2, True)]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_empty_retained_message_is_delivered_and_clears_its_topic(lab: Lab, qos: int) -> None:
    topic = lab.topic("a")
    lab.say(topic, b"kept", retain=True)
    listener = lab.listener(topic)
    assert listener.receive().payload == b"kept"
    lab.say(topic, b"", qos=qos, retain=True)
    assert [(p.payload, p.qos, p.retain) for p in lab.heard(listener)] == [(b"", qos, False)]
    assert lab.fetch(topic) == []


def test_an_empty_retained_message_is_not_kept_if_nothing_was(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.say(topic, b"", retain=True)
    assert lab.fetch(topic) == []


@pytest.mark.parametrize("payload", [b"passing", b""])
def test_a_message_without_retain_neither_replaces_nor_clears_what_is_retained(lab: Lab, payload: bytes) -> None:
    topic = lab.topic("a")
    lab.say(topic, b"kept", retain=True)
    lab.say(topic, payload, retain=False)
    assert [p.payload for p in lab.fetch(topic)] == [b"kept"]


def test_a_message_without_retain_is_not_kept(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.say(topic, b"passing", retain=False)
    assert lab.fetch(topic) == []


def test_subscribing_again_sends_what_is_retained_again(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.say(topic, b"kept", retain=True)
    listener = lab.listener(topic)
    assert [(p.payload, p.retain) for p in lab.heard(listener)] == [(b"kept", True)]
    for qos in (2, 1, 0):
        assert listener.ask((topic, qos)) == [qos]
        assert [(p.payload, p.retain, p.qos) for p in lab.heard(listener)] == [(b"kept", True, min(qos, 1))]


def test_coming_back_to_a_session_sends_nothing_retained_again(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.say(topic, b"kept", retain=True)
    with lab.listener(topic, clean=False) as listener:
        assert listener.receive().payload == b"kept"
        assert lab.heard(listener) == []
    again = lab.client("listener", clean=False)
    assert again.session_present
    assert lab.heard(again) == []


@pytest.mark.parametrize("clean", [True, False])
def test_what_is_retained_does_not_come_after_what_has_replaced_it(lab: Lab, clean: bool) -> None:
    topic = lab.topic("a")
    for i in range(5):
        lab.say(topic, b"old", retain=True)
        listener = lab.listener(topic, who=f"l{i}", clean=clean)
        lab.say(topic, b"new", retain=True)
        heard = [p.payload for _ in range(2) for p in lab.heard(listener)]
        assert heard in ([b"old", b"new"], [b"new"])


def test_a_client_that_has_not_subscribed_is_sent_nothing(lab: Lab) -> None:
    lab.say(lab.topic("a"), b"kept", retain=True)
    lab.listener(lab.topic("a"))
    assert lab.client("new").ping() == []


def test_what_is_retained_does_not_come_to_another_filter(lab: Lab) -> None:
    lab.say(lab.topic("a"), b"kept", retain=True)
    assert lab.fetch(lab.topic("b"), lab.topic("a", "+"), lab.topic("A")) == []


def test_nothing_is_retained_that_nobody_published(ours: Broker, lab: Lab) -> None:
    """A laboratory publishes nothing of its own, not even that a publish was denied: other projects' tests count the messages that `#` matches."""
    lab.say("v1/lab/bridge/state")
    assert [p.topic for p in lab.fetch("#") if p.topic.startswith("v1/")] == []
