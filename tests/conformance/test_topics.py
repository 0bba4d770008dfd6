"""Topic names and topic filters (MQTT 3.1.1 §4.7)."""

from __future__ import annotations

import unicodedata
from typing import Final

import pytest
from conformance.lab import Broker, Lab
from helpers.mqtt import publish_packet, subscribe_packet, unsubscribe_packet

MATCHING: Final = [
    # (filter, topics that it matches, topics that it does not match), each below a level that only this test uses
    ("a", ["a"], ["A", "a/", "/a", "a/b", "aa", "b"]),
    ("a/b", ["a/b"], ["a", "a//b", "a/b/", "a/B"]),
    ("a/", ["a/"], ["a", "a//"]),
    ("a//b", ["a//b"], ["a/b", "a/x/b"]),
    ("+", ["a", ""], ["a/b", "a/", "/a"]),
    ("+/+", ["a/b", "/", "a/"], ["a", "a/b/c"]),
    ("a/+", ["a/b", "a/"], ["a", "a/b/c", "b/b"]),
    ("+/b", ["a/b", "/b"], ["b", "a/b/c"]),
    ("a/+/c", ["a/b/c", "a//c"], ["a/c", "a/b/b/c", "a/b/c/d"]),
    ("#", ["a", "a/b", "a/b/c/d/e", "", "/"], []),
    ("a/#", ["a", "a/", "a/b", "a/b/c"], ["b", "aa", "b/a"]),
    ("a/b/#", ["a/b", "a/b/c"], ["a", "a/c"]),
    ("+/#", ["a", "a/b", "/x", ""], []),
    ("+/b/#", ["a/b", "a/b/c"], ["a", "b", "a/c/b"]),
    ("a b", ["a b"], ["a  b", "ab"]),
    ("a/$b", ["a/$b"], ["a/b"]),
    ("a/+", ["a/$b"], []),
]

INVALID_FILTERS: Final = ["", "a#", "#a", "a/#/b", "#/", "a/b#", "##", "#/#", "a+", "+a", "a/b+", "a/+b/c", "++", "+#", "a/+#", "#+"]
INVALID_NAMES: Final = ["", "#", "+", "a/#", "a/+", "a/+/b", "a#", "+a"]


@pytest.mark.parametrize(("topic_filter", "yes", "no"), MATCHING, ids=[f"{f!r}-{i}" for i, (f, _, _) in enumerate(MATCHING)])
def test_a_filter_matches_what_it_says_and_nothing_else(lab: Lab, topic_filter: str, yes: list[str], no: list[str]) -> None:
    listener = lab.client("listener")
    assert listener.ask((lab.topic("x", topic_filter), 1)) == [1]
    for name in no + yes:
        lab.say(lab.topic("x", name))
    assert [listener.receive().topic for _ in yes] == [lab.topic("x", name) for name in yes]
    assert listener.ping() == []


def test_a_filter_with_a_wildcard_in_its_first_level_matches(lab: Lab) -> None:
    listener = lab.client("listener")
    for topic_filter in ("+/x", f"/{lab.name}", "+/+/y", f"+/{lab.name}"):
        assert listener.ask((topic_filter, 1)) == [1]
    for name in (lab.topic("x"), f"/{lab.name}", lab.topic("z", "y")):
        lab.say(name)
        assert listener.receive().topic == name


def test_the_first_level_may_be_empty(lab: Lab) -> None:
    listener = lab.client("listener")
    assert listener.ask((f"/{lab.name}/#", 1)) == [1]
    lab.say(lab.topic("x"))
    lab.say(f"/{lab.name}/x")
    assert [p.topic for p in listener.ping()] == [f"/{lab.name}/x"]


@pytest.mark.parametrize("topic_filter", ["#", "+/#", "+/{name}", "+/+"])
def test_a_filter_that_begins_with_a_wildcard_does_not_match_a_topic_that_begins_with_a_dollar(lab: Lab, topic_filter: str) -> None:
    """The broker decides whether clients may publish to a `$` topic at all."""
    listener = lab.client("listener")
    listener.ask((topic_filter.format(name=lab.name), 1))
    with lab.client("other") as client:
        client.send(publish_packet(f"$conformance/{lab.name}", b"x", qos=1))
        client.read()
    lab.say(f"conformance/{lab.name}")
    heard = [p.topic for p in listener.ping()]
    assert f"$conformance/{lab.name}" not in heard
    assert not any(topic.startswith("$") for topic in heard)


def test_a_retained_topic_that_begins_with_a_dollar_does_not_come_to_a_leading_wildcard(lab: Lab) -> None:
    for topic_filter in ("#", "+/#", "+/+/#"):
        assert not any(p.topic.startswith("$") for p in lab.fetch(topic_filter))


@pytest.mark.parametrize("topic_filter", INVALID_FILTERS)
@pytest.mark.parametrize("kind", ["SUBSCRIBE", "UNSUBSCRIBE"])
def test_a_filter_that_breaks_the_rules_closes_the_connection(lab: Lab, kind: str, topic_filter: str) -> None:
    client = lab.client()
    client.send(subscribe_packet([(topic_filter, 1)]) if kind == "SUBSCRIBE" else unsubscribe_packet([topic_filter]))
    assert client.expect_closed() == []


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("name", INVALID_NAMES)
def test_a_topic_name_that_is_empty_or_has_a_wildcard_closes_the_connection(lab: Lab, name: str, qos: int) -> None:
    listener = lab.client("listener")
    listener.ask(("#", 1))
    client = lab.client()
    client.publish(name, lab.name.encode(), qos=qos)
    assert client.expect_closed() == []
    assert lab.name.encode() not in [p.payload for p in listener.ping()]


def test_names_and_filters_are_not_normalized(lab: Lab) -> None:
    composed, decomposed = unicodedata.normalize("NFC", "é"), unicodedata.normalize("NFD", "é")
    names = [composed, decomposed, "E", "e", " e", "e ", "e/../f", "f", "./e", "%65", "~65", "e\u200b", "\uff45"]
    for i, name in enumerate(names):
        listener = lab.listener(lab.topic("x", name), who=f"l{i}")
        for other in names:
            lab.say(lab.topic("x", other))
        assert [p.topic for p in lab.heard(listener)] == [lab.topic("x", name)]


def test_a_topic_may_have_65535_bytes(lab: Lab) -> None:
    topic = lab.topic("x" * (65_535 - len(lab.name) - 1))
    assert len(topic.encode()) == 65_535
    listener = lab.listener(topic)
    lab.say(topic, b"long")
    assert [(p.topic, p.payload) for p in lab.heard(listener)] == [(topic, b"long")]


def test_a_topic_may_have_many_levels(lab: Lab) -> None:
    topic = lab.topic(*"abcdefghijklmno")
    listener = lab.listener(topic)
    lab.say(topic, b"deep")
    assert [(p.topic, p.payload) for p in lab.heard(listener)] == [(topic, b"deep")]


def test_a_topic_may_have_as_many_levels_as_fit_into_it(ours: Broker, lab: Lab) -> None:
    topic = lab.topic() + "/" * 65_000
    listener = lab.listener(topic, lab.topic("#"), qos=1)
    lab.say(topic, b"deep", retain=True)
    assert [p.payload for p in lab.heard(listener)] == [b"deep"]
    for topic_filter in (topic, lab.topic("#"), lab.topic() + "/+" * 30_000 + "/#"):
        assert [p.payload for p in lab.fetch(topic_filter)] == [b"deep"]
    lab.say(topic, b"", retain=True)
    assert lab.fetch(topic) == []
