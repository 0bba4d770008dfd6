"""A client that reads slowly, or not at all, uses up only its own window and queue: other clients do not wait for it, and the server's memory stays bounded."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from helpers.events import TOPICS, shift
from helpers.mqtt import PUBACK, PUBLISH, SUBACK, MqttWire, Packet, publish_packet, subscribe_packet
from helpers.server import Server
from helpers.waiting import until

from devices.protocol.vocabulary import Role

PAYLOAD = bytes(200)
MEGABYTE = 1_048_576
EVERYTHING = "lab/#"
DROPPED = TOPICS.alert("dropped", "sleeper")
needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")


@contextmanager
def served(server: Server) -> Iterator[Server]:
    server.enrol(Role.SCANNER, "scan-1")
    server.enrol(Role.LAB, "sleeper", "reader", "gauge")
    server.enrol(Role.DESK, "desk")
    with server:
        yield server
    assert not server.said("Traceback")


# --- many retained topics -----------------------------------------------------------------------------------------------------


class Stream(threading.Thread):
    """A client that reads every retained topic, and acknowledges a few at a time, only when they have all arrived."""

    def __init__(self, wire: MqttWire, expected: int) -> None:
        super().__init__(name="stream")
        self.wire = wire
        self.expected = expected
        self.topics: list[str] = []
        self.is_over = False

    def run(self) -> None:
        self.wire.send(subscribe_packet([(EVERYTHING, 1)]))
        waiting: list[Packet] = []
        while len(self.topics) < self.expected and (packet := self.wire.read()) is not None:
            if packet.kind != PUBLISH:
                assert packet.kind == SUBACK
                continue
            assert packet.retain
            self.topics.append(packet.topic)
            waiting.append(packet)
            if len(waiting) == 16 or len(self.topics) == self.expected:
                for held in waiting:
                    self.wire.answer(PUBACK, held.packet_id)
                waiting.clear()
        self.is_over = True


@needs_proc
@pytest.mark.parametrize("many", [20_000, pytest.param(50_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("clean", [True, False], ids=["clean", "persistent"])
def test_thousands_of_retained_topics_stream_past_a_scanner_that_is_answered(tmp_path: Path, clean: bool, many: int) -> None:
    server = Server(tmp_path / "site")
    topics = [f"lab/shelf-{n % 100}/box-{n}" for n in range(many)]
    server.write("INSERT INTO retained (topic, payload, qos) VALUES (?, ?, 1)", [(t, PAYLOAD) for t in topics])
    with served(server), server.client("reader", clean=clean) as reader, server.client("scan-1") as scanner:
        before = server.memory_bytes()
        stream = Stream(reader, many)
        stream.start()
        scans = 0
        while not stream.is_over:
            scans += 1
            scanner.publish(TOPICS.event("scan-1", "shift_started"), shift("scan-1", scans), packet_id=scans)
            assert scanner.expect(PUBACK).packet_id == scans
        stream.join()
        # If the stream blocked the event loop until its end, the scanner would get one answer. How many it gets otherwise depends on
        # the machine; `tests/benchmarks/retained_stream.py` measures it.
        assert scans > 3
        assert sorted(stream.topics) == sorted(topics)
        assert reader.ping() == []
        assert server.memory_bytes() - before < 100 * MEGABYTE


# --- clients that do not read -------------------------------------------------------------------------------------------------


@needs_proc
@pytest.mark.parametrize(
    ("qos", "clean"), [(0, True), pytest.param(1, True, marks=pytest.mark.slow), (1, False)], ids=["at QoS 0", "at QoS 1", "with a persistent session"]
)
def test_a_client_that_does_not_read_costs_its_own_queue_and_nobody_elses_messages(tmp_path: Path, qos: int, clean: bool) -> None:
    broker = {"session_queue_max": 100, "output_bytes_max": 65_536}
    with (
        served(Server(tmp_path / "site", broker=broker)) as server,
        server.client("sleeper", clean=clean) as sleeper,
        server.client("reader") as reader,
        server.client("gauge") as gauge,
        server.client("desk") as desk,
    ):
        desk.subscribe(f"{TOPICS.base}/alerts/#")
        sleeper.subscribe(EVERYTHING, qos=qos)
        reader.subscribe(EVERYTHING)
        before = server.memory_bytes()
        # From here on the sleeper does not read. The other clients get every message, one by one.
        messages = 600
        for n in range(messages):
            gauge.publish("lab/gauge", n.to_bytes(2, "big") + bytes(40_000), packet_id=1 + n)
            assert reader.receive().payload[:2] == n.to_bytes(2, "big")
            assert gauge.expect(PUBACK).packet_id == 1 + n
        assert server.memory_bytes() - before < 16 * MEGABYTE  # of the 24 that were published
        alert = desk.receive()
        assert (alert.topic, alert.retain) == (DROPPED, False)
        assert "sleeper" in alert.plain["text"]
        assert len(server.said("messages for sleeper")) == 1
        assert server.counters()["dropped"] == 1
        assert "dropped" in server.status()
        # It wakes up: it is still connected, its messages are in order, and the alert is cleared when it has caught up.
        heard = [int.from_bytes(p.payload[:2], "big") for p in read_on(sleeper, gauge, messages)]
        assert heard == sorted(set(heard))
        assert 0 < len(heard) < messages
        if qos:
            # A full queue drops some messages at once; the newest are kept.
            assert heard[-75:] == list(range(messages - 75, messages))
        assert desk.receive().payload == b""
        until(lambda: not server.rows("SELECT 1 FROM alerts"), "the end of the alert")


def read_on(sleeper: MqttWire, gauge: MqttWire, messages: int) -> list[Packet]:
    """Reads all messages that waited: until one arrives that was published after it began to read again."""
    heard: list[Packet] = []
    heard += sleeper_reads(sleeper)
    gauge.send(publish_packet("lab/gauge", messages.to_bytes(2, "big"), packet_id=1 + messages))
    gauge.expect(PUBACK)
    while True:
        last = sleeper.receive()
        if last.payload == messages.to_bytes(2, "big"):
            return heard
        heard.append(last)


def sleeper_reads(sleeper: MqttWire) -> list[Packet]:
    """The messages that arrive before the answer to a ping. Each acknowledgement lets the server send more."""
    heard = sleeper.ping()
    for packet in heard:
        if packet.qos:
            sleeper.answer(PUBACK, packet.packet_id)
    return heard
