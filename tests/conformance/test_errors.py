"""Errors (MQTT 3.1.1 §4.8): a connection that breaks the protocol is closed, and no other client is affected."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from conformance.lab import Broker, Lab
from conformance.wire_cases import BAD, Bad
from helpers.mqtt import connect_packet, publish_packet
from helpers.site import Site
from unit.test_connections_that_repeat_stall_and_break import Door

from bridge.broker.codec import v311 as packets
from bridge.broker.codec.reasons import ConnectCode
from bridge.broker.state import State

OF_ANY_SIZE: Final = [case for case in BAD if "packet_bytes_max" not in case.why]
"""A laboratory accepts packets of any size."""


@pytest.mark.parametrize("case", OF_ANY_SIZE, ids=lambda case: case.name)
def test_a_packet_that_breaks_the_protocol_closes_its_connection_and_nothing_else(ours: Broker, lab: Lab, case: Bad) -> None:
    topic = lab.topic("a")
    bystander = lab.listener(topic)
    client = lab.stranger() if case.first else lab.client()
    client.send(case.wire + publish_packet(topic, b"after it"))
    answers = client.expect_closed()
    assert [p.body for p in answers] == ([] if case.code is None else [bytes((0, case.code))])
    assert lab.heard(bystander) == []


def test_a_connection_that_ends_in_the_middle_of_a_packet_is_forgotten(lab: Lab) -> None:
    topic = lab.topic("a")
    bystander = lab.listener(topic)
    with lab.client() as client:
        client.send(publish_packet(topic, b"whole", packet_id=1) + publish_packet(topic, b"half", packet_id=2)[:-1])
    assert [p.payload for p in lab.heard(bystander)] == [b"whole"]


def test_a_packet_over_our_limit_closes_the_connection_before_it_has_come_whole(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site, site.client("scan-1") as client:
        client.send(b"\x32\x80\x80\x80\x64")  # 200 MiB are announced, and nothing follows
        assert client.expect_closed() == []


def test_a_connect_that_cannot_be_served_now_is_refused_with_code_3_and_closed() -> None:
    """Without a socket: the store stays behind for as long as a client may take to connect."""
    door = Door(connect_timeout_s=5.0)
    door.pipeline.is_full = True
    connection = door.stranger()
    connection.receive(connect_packet("a"))
    door.after(5)
    assert connection.take_output() == b""
    door.after(1)
    assert connection.state is State.CLOSED
    assert connection.take_output() == packets.connack(session_present=False, code=ConnectCode.SERVER_UNAVAILABLE)
