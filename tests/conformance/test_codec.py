"""The table of wire cases applied to all code that reads or writes packets: the front door, its decoder, our encoders and those of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest
from conformance.wire_cases import (
    BAD,
    GOOD,
    REMAINING_LENGTHS,
    Ack,
    Bad,
    Bare,
    Connack,
    Good,
    Packet,
    Publish,
    Suback,
    Subscribe,
    Unsubscribe,
    Way,
)
from helpers.events import IDENTITIES
from helpers.mqtt import connect_packet, frame, publish_packet, read_packet, subscribe_packet, unsubscribe_packet
from unit.test_connections_that_repeat_stall_and_break import Door, heard

from bridge.broker.codec import v311 as packets
from bridge.broker.codec.amqtt_decoder import AmqttDecoder
from bridge.broker.codec.events import Connect
from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.codec.reasons import ConnectCode, ProtocolError
from bridge.broker.connection import Connection
from bridge.broker.state import State

INCOMING: Final = [case for case in GOOD if case.way is not Way.OUT]
CUTTABLE: Final = [case for case in INCOMING if not isinstance(case.packet, (Publish, Bare))]
"""A PUBLISH that is cut short has a shorter payload, and a packet without a body can't be cut."""
OUTGOING: Final = [case for case in GOOD if case.way is not Way.IN]


def named(case: Good | Bad) -> str:
    return case.name


@pytest.fixture
def door() -> Door:
    return Door()


def test_no_two_cases_have_one_name() -> None:
    names = [case.name for case in (*GOOD, *BAD)]
    assert len(set(names)) == len(names)


def test_every_packet_type_is_in_the_table_in_every_direction_that_it_has() -> None:
    assert {case.wire[0] >> 4 for case in INCOMING} == {1, 3, 4, 5, 6, 7, 8, 10, 12, 14}
    assert {case.wire[0] >> 4 for case in OUTGOING} == {2, 3, 4, 5, 6, 7, 9, 11, 13}


# --- in -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", INCOMING, ids=named)
def test_the_front_door_understands_every_good_packet(door: Door, case: Good) -> None:
    assert understood(door, case.wire) == case.packet


@pytest.mark.parametrize("case", INCOMING, ids=named)
def test_a_packet_that_comes_byte_by_byte_is_understood_the_same(door: Door, case: Good) -> None:
    connection = client_of(door, case.wire)
    for byte in case.wire[:-1]:
        connection.receive(bytes((byte,)))
        assert (heard(connection), door.pipeline.offered) == ([], [])
    connection.receive(case.wire[-1:])
    assert connection.state is not State.CLOSED or case.packet == Bare(packets.DISCONNECT)


@pytest.mark.parametrize("case", BAD, ids=named)
def test_the_front_door_refuses_every_bad_packet_and_says_why(door: Door, case: Bad) -> None:
    connection = door.stranger() if case.first else door.client("scan-1")
    connection.receive(case.wire + publish_packet("v1/ams1/devices/scan-1/events/pack", b"after it"))
    assert connection.state is State.CLOSED
    assert connection.why_closed is not None
    assert case.why in connection.why_closed
    assert connection.take_output() == (b"" if case.code is None else packets.connack(session_present=False, code=case.code))
    assert door.pipeline.offered == []


@pytest.mark.parametrize("case", CUTTABLE, ids=named)
def test_a_good_packet_whose_length_says_one_byte_less_is_refused(door: Door, case: Good) -> None:
    header = packets.read_header(case.wire, 0)
    assert header is not None
    connection = client_of(door, case.wire)
    connection.receive(frame(case.wire[0], case.wire[header.start : -1]))
    assert (connection.state, connection.take_output(), door.pipeline.offered) == (State.CLOSED, b"", [])


def client_of(door: Door, wire: bytes) -> Connection:
    """A connection on which this packet is allowed now."""
    return door.stranger() if wire[0] >> 4 == packets.CONNECT else door.client("scan-1")


def understood(door: Door, wire: bytes) -> Packet:
    """How the front door understands a packet, concluded from what it does."""
    header = packets.read_header(wire, 0)
    assert header is not None
    assert header.end == len(wire)
    return _UNDERSTOOD[wire[0] >> 4](door, wire)


def _connect(door: Door, wire: bytes) -> Packet:
    asked: list[Connect] = []
    door.front.authenticate = lambda connection, connect: asked.append(connect)
    connection = door.stranger()
    connection.receive(wire)
    assert (connection.state, connection.take_output()) == (State.AUTHENTICATING, b"")
    assert asked == [AmqttDecoder().connect(wire)]
    return asked[0]


def _publish(door: Door, wire: bytes) -> Packet:
    """The front door passes on the payload of a PUBLISH; the tests' own client reads topic and flags."""
    connection = door.client("scan-1")
    connection.receive(wire)
    assert connection.state is State.OPEN
    (incoming,) = door.pipeline.offered
    header = packets.read_header(wire, 0)
    assert header is not None
    read = read_packet(wire[0], wire[header.start :])
    assert incoming.payload == read.payload
    assert incoming.identity == IDENTITIES["scan-1"]
    door.pipeline.commit()
    answer = {0: [], 1: [(packets.PUBACK, wire_id(read.packet_id))], 2: [(packets.PUBREC, wire_id(read.packet_id))]}[read.qos]
    assert heard(connection) == answer
    return Publish(read.topic, incoming.payload, read.qos, read.packet_id, read.dup, read.retain)


def _ack(door: Door, wire: bytes) -> Packet:
    kind, packet_id = wire[0] >> 4, int.from_bytes(wire[2:4], "big")
    connection = door.client("scan-1")
    connection.receive(wire)
    answers = {packets.PUBREC: [(packets.PUBREL, wire_id(packet_id))], packets.PUBREL: [(packets.PUBCOMP, wire_id(packet_id))]}
    assert (connection.state, heard(connection)) == (State.OPEN, answers.get(kind, []))
    return Ack(kind, packet_id)


def _subscribe(door: Door, wire: bytes) -> Packet:
    packet_id, subscriptions = AmqttDecoder().subscribe(wire)
    connection = door.client("scan-1")
    connection.receive(wire)
    ((kind, body),) = heard(connection)
    assert (kind, body[:2], len(body)) == (packets.SUBACK, wire_id(packet_id), 2 + len(subscriptions))
    return Subscribe(packet_id, tuple(subscriptions))


def _unsubscribe(door: Door, wire: bytes) -> Packet:
    packet_id, filters = AmqttDecoder().unsubscribe(wire)
    connection = door.client("scan-1")
    connection.receive(wire)
    assert heard(connection) == [(packets.UNSUBACK, wire_id(packet_id))]
    return Unsubscribe(packet_id, tuple(filters))


def _pingreq(door: Door, wire: bytes) -> Packet:
    connection = door.client("scan-1")
    connection.receive(wire)
    assert (connection.state, heard(connection)) == (State.OPEN, [(packets.PINGRESP, b"")])
    return Bare(packets.PINGREQ)


def _disconnect(door: Door, wire: bytes) -> Packet:
    connection = door.client("scan-1")
    connection.receive(wire)
    assert (connection.state, connection.why_closed) == (State.CLOSED, "the client disconnected")
    return Bare(packets.DISCONNECT)


def wire_id(packet_id: int) -> bytes:
    return packet_id.to_bytes(2, "big")


_UNDERSTOOD: Final[dict[int, Callable[[Door, bytes], Packet]]] = {
    packets.CONNECT: _connect,
    packets.PUBLISH: _publish,
    **dict.fromkeys((packets.PUBACK, packets.PUBREC, packets.PUBREL, packets.PUBCOMP), _ack),
    packets.SUBSCRIBE: _subscribe,
    packets.UNSUBSCRIBE: _unsubscribe,
    packets.PINGREQ: _pingreq,
    packets.DISCONNECT: _disconnect,
}


# --- out ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", OUTGOING, ids=named)
def test_our_encoders_make_exactly_these_bytes(case: Good) -> None:
    assert encoded(case.packet) == case.wire


@pytest.mark.parametrize("case", INCOMING, ids=named)
def test_the_clients_of_the_tests_make_exactly_these_bytes(case: Good) -> None:
    assert said(case.packet) == case.wire


@pytest.mark.parametrize("case", OUTGOING, ids=named)
def test_the_clients_of_the_tests_read_what_we_send(case: Good) -> None:
    header = packets.read_header(case.wire, 0)
    assert header is not None
    read = read_packet(case.wire[0], case.wire[header.start :])
    assert (read.kind, read.flags) == (case.wire[0] >> 4, case.wire[0] & 15)
    if isinstance(case.packet, Publish):
        assert Publish(read.topic, read.payload, read.qos, read.packet_id, read.dup, read.retain) == case.packet
    elif isinstance(case.packet, Ack):
        assert read.packet_id == case.packet.packet_id


def encoded(packet: Packet) -> bytes:
    """A packet as the server writes it."""
    match packet:
        case Connack():
            return packets.connack(session_present=packet.session_present, code=packet.code)
        case Publish():
            outgoing = Outgoing(packet.topic, packet.payload, packet.qos)
            made = [outgoing.wire(packet.qos, packet.packet_id, retain=packet.retain, dup=packet.dup) for _ in range(2)]
            assert made[0] == made[1], "what is kept from the first time does not change the second"
            return made[0]
        case Ack():
            if packet.kind == packets.PUBACK:
                return packets.PUBACK_HEAD + packet.packet_id.to_bytes(2, "big")
            writers = {5: packets.pubrec, 6: packets.pubrel, 7: packets.pubcomp, 11: packets.unsuback}
            return writers[packet.kind](packet.packet_id)
        case Suback():
            return packets.suback(packet.packet_id, list(packet.codes))
        case Bare(packets.PINGRESP):
            return packets.PINGRESP_BYTES
        case _:
            raise AssertionError(f"a server does not send {packet}")


def said(packet: Packet) -> bytes:
    """A packet as the clients of the tests write it."""
    match packet:
        case Connect():
            other: dict[str, Any] = {}
            if packet.will is not None:
                other = {"will": (packet.will.topic, packet.will.payload), "will_qos": packet.will.qos, "will_retain": packet.will.retain}
            return connect_packet(packet.client_id, packet.username, packet.password, clean=packet.clean_session, keep_alive_s=packet.keep_alive_s, **other)
        case Publish():
            return publish_packet(packet.topic, packet.payload, qos=packet.qos, packet_id=packet.packet_id, dup=packet.dup, retain=packet.retain)
        case Ack():
            return frame(packet.kind << 4 | (2 if packet.kind == packets.PUBREL else 0), wire_id(packet.packet_id))
        case Subscribe():
            return subscribe_packet(packet.subscriptions, packet.packet_id)
        case Unsubscribe():
            return unsubscribe_packet(packet.filters, packet.packet_id)
        case Bare():
            return frame(packet.kind << 4, b"")
        case _:
            raise AssertionError(f"a client does not send {packet}")


# --- the remaining length -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("length", "digits"), REMAINING_LENGTHS)
def test_a_remaining_length_is_written_and_read_the_same(length: int, digits: str) -> None:
    wire = bytes.fromhex(digits)
    assert packets.remaining_length(length) == wire
    header = packets.read_header(b"\x30" + wire, 0)
    assert header == packets.Header(0x30, 1 + len(wire), 1 + len(wire) + length)
    for cut in range(len(wire)):
        assert packets.read_header(b"\x30" + wire[:cut], 0) is None


@pytest.mark.parametrize(("length", "digits"), [(0, "8000"), (0, "80808000"), (1, "818000"), (127, "ff00")])
def test_a_remaining_length_with_idle_digits_is_read(length: int, digits: str) -> None:
    header = packets.read_header(b"\xc0" + bytes.fromhex(digits), 0)
    assert header is not None
    assert header.end - header.start == length


@pytest.mark.parametrize("digits", ["80808080", "ffffffff", "8080808000", "ffffffff7f"])
def test_a_remaining_length_has_four_digits_at_most(digits: str) -> None:
    with pytest.raises(ProtocolError, match=r"2\.2\.3"):
        packets.read_header(b"\x30" + bytes.fromhex(digits), 0)


def test_every_return_code_has_its_number() -> None:
    assert [int(code) for code in ConnectCode] == [0, 1, 2, 3, 4, 5]
