"""The clients of `dockbridge torture` without a network: what they send again, what they forget, and what they never send twice (MQTT 3.1.1 §4.3, §4.4)."""

from __future__ import annotations

from random import Random

import pytest

from firmware_sim.link import packets
from firmware_sim.link.packets import PUBACK, PUBCOMP, PUBREC, PUBREL, Broken, Cutter, Delivery, Packet, answer
from firmware_sim.torture.clients import Client, Gate, Login, Publisher, Subscriber
from firmware_sim.torture.ledger import Book, Class, Id, Subscription
from firmware_sim.torture.plan import Message, Taker, plan_run

LOGIN = Login("nowhere", 0, "client", None, None)


def message(seq: int, qos: int) -> Message:
    return Message(Id("p0", "a", seq), Class("message", qos), "t", f"{seq}".encode())


class Wire:
    """The server's end: what the client has written, as packets in short form."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.sent: list[str] = []
        client.link = self  # type: ignore[assignment]
        self.transport = self

    def write(self, data: bytes) -> None:
        for packet in Cutter().feed(data):
            if packet.first & 0xF0 == packets.PUBLISH:
                found = packets.read_delivery(packet)
                self.sent.append(f"PUBLISH {found.payload.decode()} #{found.packet_id}{' dup' if packet.first & 8 else ''}")
            elif packet.first == 0x82:
                self.sent.append("SUBSCRIBE")
            else:
                name = {PUBACK: "PUBACK", PUBREC: "PUBREC", PUBREL: "PUBREL", PUBCOMP: "PUBCOMP"}[packet.first]
                self.sent.append(f"{name} #{packets.read_answer(packet)}")

    def abort(self) -> None:
        pass

    def connack(self, *, present: bool) -> list[str]:
        return self.say(Packet(packets.CONNACK, bytes([present, 0])))

    def say(self, *said: Packet) -> list[str]:
        """The server sends a packet; returns the client's answer."""
        self.sent.clear()
        for packet in said:
            self.client.take(packet)
        self.client.flush()
        return list(self.sent)


def answered(first: int, packet_id: int) -> Packet:
    return Packet(first, packet_id.to_bytes(2, "big"))


def publisher(*messages: Message) -> tuple[Publisher, Wire, Book]:
    book = Book()
    made = Publisher(LOGIN, "p0", book, Random(1), messages, Gate(allowed=100))
    return made, Wire(made), book


def reconnected(client: Client) -> Wire:
    client.is_online = False
    return Wire(client)


def test_what_is_unanswered_is_sent_again_in_its_order_with_its_ids() -> None:
    client, wire, book = publisher(message(1, 2), message(2, 1), message(3, 2), message(4, 1))
    assert wire.connack(present=False) == ["PUBLISH 1 #1", "PUBLISH 2 #2", "PUBLISH 3 #3", "PUBLISH 4 #4"]
    assert wire.say(answered(PUBREC, 1), answered(PUBACK, 2)) == ["PUBREL #1"]
    assert reconnected(client).connack(present=True) == ["PUBREL #1", "PUBLISH 3 #3 dup", "PUBLISH 4 #4 dup"]
    assert book.acknowledged == {Id("p0", "a", 1), Id("p0", "a", 2)}
    assert book.sessions_lost == 0


def test_a_lost_session_is_counted_and_qos_2_is_never_sent_anew() -> None:
    client, wire, book = publisher(message(1, 2), message(2, 1), message(3, 2))
    wire.connack(present=False)
    wire.say(answered(PUBREC, 1))
    assert reconnected(client).connack(present=False) == ["PUBLISH 2 #4"]
    assert book.sessions_lost == 1
    assert book.given_up == {Id("p0", "a", 3)}
    assert book.unanswered == 1


def test_a_publisher_is_finished_when_every_exchange_is() -> None:
    client, wire, book = publisher(message(1, 2), message(2, 1))
    wire.connack(present=False)
    wire.say(answered(PUBACK, 2), answered(PUBREC, 1))
    assert not client.is_finished
    assert len(book.acknowledged) == 2
    wire.say(answered(PUBCOMP, 1))
    assert client.is_finished


def test_a_wrong_answer_is_an_error_of_the_server() -> None:
    _, wire, _ = publisher(message(1, 2))
    wire.connack(present=False)
    with pytest.raises(Broken):
        wire.say(answered(PUBACK, 1))


def test_the_gate_holds_back_what_is_not_allowed_yet() -> None:
    gate = Gate(allowed=1)
    client = Publisher(LOGIN, "p0", Book(), Random(1), [message(1, 1), message(2, 1)], gate)
    wire = Wire(client)
    assert wire.connack(present=False) == ["PUBLISH 1 #1"]
    wire.sent.clear()
    gate.allowed = 2
    client.pump()
    assert wire.sent == ["PUBLISH 2 #2"]


def subscriber() -> tuple[Subscriber, Wire, Book]:
    book = Book(sent={Id("p0", "a", 1): Class("message", 2)})
    taker = Taker("s0", "t", Subscription(publishers=frozenset({"p0"}), qos=2))

    def identify(delivery: Delivery) -> Id | None:
        return Id("p0", "a", int(delivery.payload))

    made = Subscriber(LOGIN, taker, book, Random(1), identify)
    wire = Wire(made)
    assert wire.connack(present=False) == ["SUBSCRIBE"]
    wire.say(Packet(packets.SUBACK, b"\x00\x01\x02"))
    return made, wire, book


def delivered(seq: int, packet_id: int, *, qos: int = 2, dup: bool = False) -> Packet:
    (packet,) = Cutter().feed(packets.publish("t", f"{seq}".encode(), qos=qos, packet_id=packet_id, dup=dup))
    return packet


def test_qos_2_is_handed_over_once_while_its_id_is_open() -> None:
    client, wire, book = subscriber()
    assert wire.say(delivered(1, 7)) == ["PUBREC #7"]
    again = reconnected(client)
    assert again.connack(present=True) == []
    assert again.say(delivered(1, 7, dup=True)) == ["PUBREC #7"]
    assert len(book.arrivals["s0"]) == 1
    assert not client.is_settled
    assert again.say(answered(PUBREL, 7)) == ["PUBCOMP #7"]
    assert client.is_settled


def test_qos_2_that_begins_again_after_its_end_is_handed_over_again() -> None:
    _, wire, book = subscriber()
    wire.say(delivered(1, 7), answered(PUBREL, 7), delivered(1, 7, dup=True))
    assert len(book.arrivals["s0"]) == 2


def test_a_subscription_whose_suback_did_not_come_is_made_again() -> None:
    client, _, book = subscriber()
    assert reconnected(client).connack(present=False) == ["SUBSCRIBE"]
    assert reconnected(client).connack(present=True) == ["SUBSCRIBE"]
    assert book.sessions_lost == 1


def test_what_nobody_sent_is_noted() -> None:
    _, wire, book = subscriber()
    wire.say(delivered(9, 1, qos=1))
    assert book.foreign == ["t b'9' at s0"]


def test_packets_are_cut_wherever_the_stream_is() -> None:
    stream = packets.publish("t", b"x" * 300, qos=1, packet_id=5, dup=False) + answer(PUBREL, 9) + packets.DISCONNECT
    cutter = Cutter()
    found = [packet for n in range(len(stream)) for packet in cutter.feed(stream[n : n + 1])]
    assert [p.first for p in found] == [0x32, PUBREL, 0xE0]
    assert packets.read_delivery(found[0]).payload == b"x" * 300


def test_a_seed_is_a_plan() -> None:
    def planned(seed: int, labels: tuple[str, ...] = ("one", "two")) -> object:
        return plan_run(seed, kills=9, events=400, publishers=3, subscribers=5, labels=labels, site="main", now_ms=1)

    plan = plan_run(1, kills=9, events=400, publishers=3, subscribers=5, labels=("one", "two"), site="main", now_ms=1)
    assert planned(1) == plan != planned(2)
    assert plan.total == 400
    assert [k.label for k in plan.kills] == [None, "one", None, "two", None, "one", None, "two"]
    assert all(before.allowed <= after.answered <= after.allowed <= 400 for before, after in zip(plan.kills, plan.kills[1:], strict=False))
    assert len({m.id for own in plan.messages.values() for m in own}) == 400
