"""MQTT over WebSocket (MQTT 3.1.1 §6): a stream of bytes in binary frames, which may begin and end anywhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from conformance.lab import BINARY, CLOSE, CONTINUATION, TEXT, Lab, WebSocketClient
from helpers.mqtt import PUBACK, SUBACK, connect_packet, publish_packet, subscribe_packet


def test_the_server_answers_with_the_subprotocol_mqtt(lab: Lab) -> None:
    client = lab.websocket()
    assert (client.status, client.headers["sec-websocket-protocol"]) == (101, "mqtt")


def test_mqtt_is_chosen_among_several_subprotocols(lab: Lab) -> None:
    client = lab.websocket(protocols=("chat", "mqtt"))
    assert (client.status, client.headers["sec-websocket-protocol"]) == (101, "mqtt")


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_what_is_published_over_a_websocket_comes_over_tcp_and_the_reverse(lab: Lab, qos: int) -> None:
    there, back = lab.topic("there"), lab.topic("back")
    client = lab.entered_websocket()
    assert client.ask((back, 2)) == [2]
    listener = lab.listener(there)
    client.say(there, b"hello", qos=qos, packet_id=7)
    assert [(p.payload, p.qos) for p in lab.heard(listener)] == [(b"hello", qos)]
    lab.say(back, b"hello yourself", qos=qos)
    packet = client.receive()
    assert (packet.payload, packet.qos) == (b"hello yourself", qos)


def test_the_server_sends_binary_frames_alone(lab: Lab) -> None:
    topic = lab.topic("a")
    client = lab.entered_websocket()
    assert client.ask((topic, 1)) == [1]
    for i in range(5):
        client.say(topic, b"x" * 1_000 * i, packet_id=i + 1)
    assert [len(client.receive().payload) for _ in range(5)] == [0, 1_000, 2_000, 3_000, 4_000]
    assert client.ping() == []
    assert set(client.heard.opcodes) <= {BINARY, CONTINUATION}


def test_a_text_frame_closes_the_connection(lab: Lab) -> None:
    topic = lab.topic("a")
    listener = lab.listener(topic)
    client = lab.entered_websocket()
    client.send_frame(TEXT, publish_packet(topic, b"x", packet_id=0x4141))
    assert client.expect_closed() == []
    assert set(client.heard.opcodes) <= {BINARY, CLOSE}
    assert lab.heard(listener) == []


def test_a_text_frame_instead_of_connect_closes_the_connection(lab: Lab) -> None:
    client = lab.websocket()
    client.send_frame(TEXT, b"hello")
    assert client.expect_closed() == []


def test_a_packet_that_breaks_the_protocol_closes_the_websocket(lab: Lab) -> None:
    client = lab.entered_websocket()
    client.send(b"\x00\x00")
    assert client.expect_closed() == []


# --- where frames end ---------------------------------------------------------------------------------------------------------


def in_one_frame(client: WebSocketClient, data: bytes) -> None:
    client.send(data)


def byte_by_byte(client: WebSocketClient, data: bytes) -> None:
    for byte in data:
        client.send(bytes((byte,)))


def across_packets(client: WebSocketClient, data: bytes) -> None:
    for start in range(0, len(data), 13):
        client.send(data[start : start + 13])


def in_fragments(client: WebSocketClient, data: bytes) -> None:
    """One message in several frames (RFC 6455 §5.4)."""
    third = len(data) // 3
    client.send_frame(BINARY, data[:third], is_last=False)
    client.send_frame(CONTINUATION, data[third : 2 * third], is_last=False)
    client.send_frame(CONTINUATION, data[2 * third :])


def with_empty_frames(client: WebSocketClient, data: bytes) -> None:
    client.send(b"")
    client.send(data[:5])
    client.send(b"")
    client.send(data[5:])


@pytest.mark.parametrize("sent", [in_one_frame, byte_by_byte, across_packets, in_fragments, with_empty_frames])
def test_packets_need_not_begin_or_end_with_a_frame(lab: Lab, sent: Callable[[WebSocketClient, bytes], None]) -> None:
    topic = lab.topic("a")
    client = lab.websocket()
    packets = [
        connect_packet(lab.client_id("a")),
        subscribe_packet([(topic, 1)], 1),
        publish_packet(topic, b"first", packet_id=2),
        publish_packet(topic, b"second" * 30, packet_id=3),
    ]
    sent(client, b"".join(packets))
    first = client.read()
    assert first is not None
    assert first.body == b"\0\0"
    assert client.expect(SUBACK).packet_id == 1
    assert [client.expect(PUBACK).packet_id for _ in range(2)] == [2, 3]
    assert [client.receive().payload for _ in range(2)] == [b"first", b"second" * 30]
