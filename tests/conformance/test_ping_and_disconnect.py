"""PINGREQ and DISCONNECT (MQTT 3.1.1 §3.12 to §3.14)."""

from __future__ import annotations

import pytest
from conformance.lab import Lab
from helpers.mqtt import PINGRESP, frame, publish_packet


def test_pingreq_is_answered_with_pingresp(lab: Lab) -> None:
    client = lab.client()
    client.send(b"\xc0\x00" * 3)
    for _ in range(3):
        answer = client.expect(PINGRESP)
        assert (answer.flags, answer.body) == (0, b"")


@pytest.mark.parametrize("kind", [0xC0, 0xE0], ids=["PINGREQ", "DISCONNECT"])
def test_a_packet_without_a_body_that_has_one_closes_the_connection(lab: Lab, kind: int) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic)
    client = lab.client(will=(topic, b"gone"), will_retain=False)
    client.send(frame(kind, b"x"))
    assert client.expect_closed() == []
    assert listener.receive().payload == b"gone"


@pytest.mark.parametrize("flags", [1, 2, 4, 8, 15])
def test_a_disconnect_with_reserved_flags_closes_the_connection_and_the_will_is_published(lab: Lab, flags: int) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic)
    client = lab.client(will=(topic, b"gone"), will_retain=False)
    client.send(bytes((0xE0 | flags, 0)))
    assert client.expect_closed() == []
    assert listener.receive().payload == b"gone"


def test_after_disconnect_the_server_closes_and_reads_nothing_more(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    client = lab.client(will=(topic, b"gone"), will_retain=False)
    client.send(b"\xe0\x00" + publish_packet(topic, b"late"))
    assert client.expect_closed() == []
    assert lab.heard(listener) == []
