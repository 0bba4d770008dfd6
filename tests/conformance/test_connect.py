"""CONNECT and CONNACK (MQTT 3.1.1 §3.1, §3.2)."""

from __future__ import annotations

import select
import time
from typing import Final

import pytest
from conformance.lab import Broker, Client, Lab
from helpers.events import IDENTITIES
from helpers.mqtt import CONNACK, PUBACK, SUBACK, connect_packet, frame, publish_packet, subscribe_packet, text, unsubscribe_packet
from unit.test_connections_that_repeat_stall_and_break import Door

from bridge.broker.state import State

ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

BEFORE_CONNECT: Final = {
    "PUBLISH": publish_packet("a", b"x"),
    "PUBACK": b"\x40\x02\0\1",
    "SUBSCRIBE": subscribe_packet([("a", 1)]),
    "UNSUBSCRIBE": unsubscribe_packet(["a"]),
    "PINGREQ": b"\xc0\0",
    "DISCONNECT": b"\xe0\0",
    "CONNACK": b"\x20\x02\0\0",
}


def body(flags: int, *fields: str | bytes, keep_alive_s: int = 60) -> bytes:
    """A CONNECT with these connect flags and these fields, which need not fit together."""
    return frame(0x10, text("MQTT") + bytes((4, flags)) + keep_alive_s.to_bytes(2, "big") + b"".join(text(f) for f in fields))


# --- the first packet ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("packet", BEFORE_CONNECT.values(), ids=BEFORE_CONNECT.keys())
def test_a_connection_that_does_not_begin_with_connect_is_closed(lab: Lab, packet: bytes) -> None:
    client = lab.stranger()
    client.send(packet)
    assert client.expect_closed() == []


def test_a_second_connect_closes_the_connection(lab: Lab) -> None:
    client = lab.client()
    client.send(connect_packet(lab.client_id("a")))
    assert client.expect_closed() == []


def test_the_answer_to_connect_is_connack_and_comes_first(lab: Lab) -> None:
    topic = lab.topic("a")
    lab.say(topic, b"kept", retain=True)
    client = lab.stranger()
    client.send(connect_packet(lab.client_id("a")) + subscribe_packet([(topic, 1)]) + publish_packet(topic, b"x", packet_id=9))
    first = client.read()
    assert first is not None
    assert (first.kind, first.flags, first.body) == (CONNACK, 0, b"\0\0")
    assert client.expect(SUBACK).packet_id == 1
    assert client.expect(PUBACK).packet_id == 9


# --- protocol name and level --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["", "mqtt", "MQTX", "MQT", "MQTTT", "HTTP/1.1"])
def test_another_protocol_is_not_let_in(lab: Lab, protocol: str) -> None:
    client = lab.stranger()
    client.send(connect_packet(lab.client_id("a"), protocol=protocol))
    assert not any(packet.body == b"\0\0" for packet in client.expect_closed())


@pytest.mark.parametrize("level", [0, 1, 2, 6, 0x7F])
def test_a_level_that_is_not_spoken_is_refused_with_code_1_and_closed(lab: Lab, level: int) -> None:
    client = lab.stranger()
    client.send(connect_packet(lab.client_id("a"), level=level))
    assert [(p.kind, p.body) for p in client.expect_closed()] == [(CONNACK, b"\0\1")]


@pytest.mark.parametrize(("protocol", "level"), [("MQIsdp", 3), ("MQTT", 3), ("MQTT", 5)])
def test_other_versions_of_mqtt_are_refused_with_code_1(ours: Broker, lab: Lab, protocol: str, level: int) -> None:
    client = lab.stranger()
    client.send(connect_packet(lab.client_id("a"), protocol=protocol, level=level))
    assert [(p.kind, p.body) for p in client.expect_closed()] == [(CONNACK, b"\0\1")]


# --- connect flags and fields -------------------------------------------------------------------------------------------------

IMPOSSIBLE: Final = {
    "the reserved flag is set": body(0x03, "a"),
    "a will flag without topic and message": body(0x06, "a"),
    "a will flag without message": body(0x06, "a", "topic"),
    "a will QoS of 3": body(0x1E, "a", "topic", "message"),
    "a will QoS of 1 without a will": body(0x0A, "a"),
    "a will QoS of 2 without a will": body(0x12, "a"),
    "a retained will without a will": body(0x22, "a"),
    "topic and message without a will flag": body(0x02, "a", "topic", "message"),
    "a username flag without a username": body(0x82, "a"),
    "a username without its flag": body(0x02, "a", "name"),
    "a password flag without a password": body(0xC2, "a", "name"),
    "a password without its flag": body(0x82, "a", "name", "secret"),
    "a password flag without a username flag": body(0x42, "a", "secret"),
    "no client id": body(0x02),
    "a client id that is cut off": frame(0x10, text("MQTT") + b"\4\2\0\x3c\0\x08abc"),
    "no keep-alive": frame(0x10, text("MQTT") + b"\4\2"),
    "no flags": frame(0x10, text("MQTT") + b"\4"),
    "nothing": frame(0x10, b""),
    "a byte after its end": frame(0x10, body(0x02, "a")[2:] + b"x"),
}
"""CONNECT packets in which flags and fields do not fit together."""


@pytest.mark.parametrize("packet", IMPOSSIBLE.values(), ids=IMPOSSIBLE.keys())
def test_an_impossible_connect_is_closed_without_an_answer(lab: Lab, packet: bytes) -> None:
    client = lab.stranger()
    client.send(packet)
    assert client.expect_closed() == []


def test_fields_are_read_in_their_order(lab: Lab) -> None:
    """Client id, will topic, will message, username and password are identified only by their position."""
    topic = lab.topic("will")
    listener = lab.listener(topic)
    client = lab.stranger()
    client.send(body(0xC6, lab.client_id("a"), topic, "message", "name", "secret"))
    answer = client.expect(CONNACK)
    assert answer.body[1] in (0, 4, 5), "whether this name is known is for the broker to say"
    if answer.body[1] == 0:
        client.cut()
        assert listener.receive().payload == b"message"


# --- the client id ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("client_id", ["a", "Z", "7", ALPHABET[:23], ALPHABET[23:46], ALPHABET[39:]])
def test_client_ids_of_1_to_23_letters_and_digits_are_taken(lab: Lab, client_id: str) -> None:
    with lab.stranger() as client:
        assert client.connect(client_id) == (False, 0)


def test_clients_without_an_id_get_one_each(lab: Lab) -> None:
    one, two = lab.stranger(), lab.stranger()
    assert one.connect("") == (False, 0)
    assert two.connect("") == (False, 0)
    topic = lab.topic("a")
    assert one.ask((topic, 1)) == [1]
    assert two.ask((topic, 1)) == [1]
    lab.say(topic, b"both")
    assert [c.receive().payload for c in (one, two)] == [b"both", b"both"]


def test_an_empty_client_id_without_a_clean_session_is_refused_with_code_2_and_closed(lab: Lab) -> None:
    client = lab.stranger()
    client.send(connect_packet("", clean=False))
    assert [(p.kind, p.body) for p in client.expect_closed()] == [(CONNACK, b"\0\2")]


def test_a_client_id_that_is_too_long_for_us_is_refused_with_code_2_and_closed(ours: Broker, lab: Lab) -> None:
    client = lab.stranger()
    client.send(connect_packet("a" * 257))
    assert [(p.kind, p.body) for p in client.expect_closed()] == [(CONNACK, b"\0\2")]


def test_what_a_refused_client_sends_after_its_connect_is_not_processed(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    lab.will_leave(topic)
    client = lab.stranger()
    client.send(connect_packet("", clean=False) + publish_packet(topic, b"x", retain=True) + subscribe_packet([(topic, 1)]))
    assert [p.kind for p in client.expect_closed()] == [CONNACK]
    assert lab.heard(listener) == []
    assert lab.fetch(topic) == []


def test_state_is_kept_by_client_id(lab: Lab) -> None:
    first, second = lab.client("first", clean=False), lab.client("second", clean=False)
    assert first.ask((lab.topic("first"), 1)) == [1]
    assert second.ask((lab.topic("second"), 1)) == [1]
    first.goodbye()
    second.goodbye()
    lab.say(lab.topic("first"))
    lab.say(lab.topic("second"))
    for who in ("second", "first"):
        client = lab.client(who, clean=False)
        assert client.session_present
        assert client.receive().topic == lab.topic(who)
        assert client.ping() == []


# --- take-over ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("clean", [True, False])
def test_a_second_connection_of_a_client_closes_the_first(lab: Lab, clean: bool) -> None:
    old = lab.client(clean=clean)
    new = lab.client(clean=clean)
    assert old.expect_closed() == []
    assert new.is_open()


def test_a_connection_that_was_taken_over_says_nothing_more(lab: Lab) -> None:
    topic = lab.topic("a")
    old = lab.client()
    assert old.ask((topic, 1)) == [1]
    new = lab.client()
    assert old.expect_closed() == []
    lab.say(topic)
    assert new.ping() == []


# --- session present ----------------------------------------------------------------------------------------------------------


def test_session_present_is_0_if_the_session_is_clean_or_new_and_1_if_it_was_kept(lab: Lab) -> None:
    told = []
    for clean in (False, False, True, True, False, False):
        client = lab.client(clean=clean)
        told.append(client.session_present)
        client.goodbye()
    assert told == [False, True, False, False, False, True]


@pytest.mark.parametrize(
    "packet", [connect_packet("", clean=False), connect_packet("a", level=6), connect_packet("a", clean=False, level=6)], ids=["id", "level", "kept"]
)
def test_a_refusal_says_that_no_session_is_present_and_closes(lab: Lab, packet: bytes) -> None:
    client = lab.stranger()
    client.send(packet)
    (answer,) = client.expect_closed()
    assert (answer.kind, answer.body[0]) == (CONNACK, 0)
    assert answer.body[1] != 0


@pytest.mark.parametrize("qos", [0, 1])
def test_b1_what_a_client_sends_behind_its_connect_counts_even_if_it_has_hung_up_since(lab: Lab, qos: int) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    for nth in range(5):
        client = lab.stranger()
        client.send(connect_packet(lab.client_id(f"brief-{nth}")) + publish_packet(topic, b"%d" % nth, qos=qos, packet_id=1) + b"\xe0\0")
        client.cut()
    assert sorted(listener.receive().payload for _ in range(5)) == [b"0", b"1", b"2", b"3", b"4"]


# --- keep-alive ---------------------------------------------------------------------------------------------------------------


def test_a_client_that_is_silent_for_one_and_a_half_times_its_keep_alive_is_closed_and_its_will_published(lab: Lab) -> None:
    topic = lab.topic("will")
    listener = lab.listener(topic)
    began_s = time.monotonic()
    silent = lab.client("silent", keep_alive_s=1, will=(topic, b"silent"), will_retain=False)
    speaking = lab.client("speaking", keep_alive_s=1, will=(topic, b"speaking"), will_retain=False)
    while not has_something_to_read(silent, 0.2):
        assert speaking.is_open()
    assert silent.expect_closed() == []
    took_s = time.monotonic() - began_s
    assert 1.0 <= took_s < 4.0, "one and a half seconds, and the broker's own granularity"
    assert listener.receive().payload == b"silent"
    assert speaking.is_open()


def test_b2_bytes_of_a_packet_that_does_not_end_are_no_sign_of_life(lab: Lab) -> None:
    client = lab.client("dribbling", keep_alive_s=1)
    whole = publish_packet(lab.topic("a"), bytes(100))
    for sent in range(60):
        if has_something_to_read(client, 0.1):
            break
        client.send(whole[sent : sent + 1])
    else:
        pytest.fail("a byte now and then keeps the connection open")
    assert client.expect_closed() == []


def has_something_to_read(client: Client, wait_s: float) -> bool:
    return bool(select.select([client._socket], [], [], wait_s)[0])


def test_a_keep_alive_of_zero_is_taken_and_asks_for_no_timer(lab: Lab) -> None:
    assert lab.client(keep_alive_s=0).is_open()
    door = Door()  # and without a socket, because a month passes
    client = door.stranger()
    client.receive(connect_packet("scan-1", "scan-1", "secret", keep_alive_s=0))
    client.authenticated(IDENTITIES["scan-1"])
    door.after(30 * 86_400)
    assert client.state is State.OPEN
