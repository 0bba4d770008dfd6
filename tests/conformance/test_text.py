"""Text in packets (MQTT 3.1.1 §1.5.3): well-formed UTF-8 without NUL; any other text is left unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from conformance.lab import Lab
from helpers.mqtt import frame, publish_packet, subscribe_packet, text, unsubscribe_packet

ILL_FORMED: Final = {
    "a continuation byte alone": b"a\x80",
    "a character that is cut off": b"a\xe2\x82",
    "a slash in two bytes": b"a\xc0\xaf",
    "NUL in two bytes": b"a\xc0\x80",
    "half of a surrogate pair": b"a\xed\xa0\x80",
    "a surrogate pair": b"a\xed\xa0\xbd\xed\xb8\x80",
    "a code point above U+10FFFF": b"a\xf4\x90\x80\x80",
    "a character of five bytes": b"a\xf8\x88\x80\x80\x80",
    "a byte that UTF-8 never has": b"a\xff",
}

FIELDS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "topic name": lambda bad: publish_packet(bad, b"x"),
    "topic filter": lambda bad: subscribe_packet([(bad, 1)]),
    "filter of UNSUBSCRIBE": lambda bad: unsubscribe_packet([bad]),
}

CONNECT_FIELDS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "client id": lambda bad: frame(0x10, text("MQTT") + b"\x04\x02\x00\x3c" + text(bad)),
    "will topic": lambda bad: frame(0x10, text("MQTT") + b"\x04\x06\x00\x3c" + text("a") + text(bad) + text("x")),
    "username": lambda bad: frame(0x10, text("MQTT") + b"\x04\x82\x00\x3c" + text("a") + text(bad)),
}


@pytest.mark.parametrize("bad", ILL_FORMED.values(), ids=ILL_FORMED.keys())
@pytest.mark.parametrize("field", FIELDS)
def test_ill_formed_text_closes_the_connection(lab: Lab, field: str, bad: bytes) -> None:
    client = lab.client()
    client.send(FIELDS[field](bad))
    assert client.expect_closed() == []


@pytest.mark.parametrize("bad", ILL_FORMED.values(), ids=ILL_FORMED.keys())
@pytest.mark.parametrize("field", CONNECT_FIELDS)
def test_ill_formed_text_in_a_connect_closes_the_connection_without_an_answer(lab: Lab, field: str, bad: bytes) -> None:
    client = lab.stranger()
    client.send(CONNECT_FIELDS[field](bad))
    assert client.expect_closed() == []


@pytest.mark.parametrize("field", FIELDS)
def test_a_nul_closes_the_connection(lab: Lab, field: str) -> None:
    client = lab.client()
    client.send(FIELDS[field](b"a\0b"))
    assert client.expect_closed() == []


@pytest.mark.parametrize("field", CONNECT_FIELDS)
def test_a_nul_in_a_connect_closes_the_connection(lab: Lab, field: str) -> None:
    client = lab.stranger()
    client.send(CONNECT_FIELDS[field](b"a\0b"))
    assert not any(packet.body == b"\0\0" for packet in client.expect_closed())


def test_a_byte_order_mark_is_a_character_like_any_other(lab: Lab) -> None:
    marked = lab.topic("\ufeffdock\ufeff")
    listener = lab.listener(marked, lab.topic("dock"))
    lab.say(marked, b"marked")
    assert [(p.topic, p.payload) for p in lab.heard(listener)] == [(marked, b"marked")]
    lab.say(lab.topic("dock"), b"plain")
    assert [(p.topic, p.payload) for p in lab.heard(listener)] == [(lab.topic("dock"), b"plain")]


@pytest.mark.parametrize("name", ["a", "ß", "€", "😀", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\U00010000"])
def test_characters_of_every_length_arrive_as_they_were_sent(lab: Lab, name: str) -> None:
    topic = lab.topic(name)
    listener = lab.listener(topic)
    lab.say(topic)
    assert [p.topic for p in lab.heard(listener)] == [topic]
