"""A whole run of `dockbridge torture` against a correct broker of thirty lines, and against the same broker with one fault: the ledger finds each fault."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from signal import SIGKILL

import cbor2
import pytest

from firmware_sim.link.packets import CONNACK, PUBACK, PUBCOMP, PUBLISH, PUBREC, PUBREL, SUBACK, Cutter, Packet, answer, publish, read_answer, read_delivery
from firmware_sim.torture import clients, run
from firmware_sim.torture.plan import plan_run
from firmware_sim.torture.run import Tortured, torture

LABELS = ("early", "late")
KILLS = 5
EVENTS = 400


@dataclass
class Session:
    """What a correct broker keeps of a client."""

    subscription: tuple[str, int] | None = None
    received: set[int] = field(default_factory=set)
    unfinished: dict[int, tuple[str, bytes, int, bool]] = field(default_factory=dict)
    next_id: int = 0
    wire: Wire | None = None


class Wire(asyncio.Protocol):
    """A connection of the broker."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.session = Session()
        self.cutter = Cutter()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.broker.wires.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.broker.wires.discard(self)
        if self.session.wire is self:
            self.session.wire = None

    def data_received(self, data: bytes) -> None:
        for packet in self.cutter.feed(data):
            if not self.transport.is_closing():
                self.broker.take(self, packet)

    def write(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)


class Broker:
    """A broker in this process. A kill cuts its connections; what it must keep stays in memory. `fault` is what it does wrong."""

    def __init__(self, fault: str = "") -> None:
        self.address = ("127.0.0.1", 0)
        self.is_dead = True
        self.fault = fault
        self.sessions: dict[str, Session] = {}
        self.wires: set[Wire] = set()
        self.log: list[bytes] = []
        self.kills = 0
        self.published = 0
        self._kill_at = ("", 0)
        self._held: dict[tuple[str, int], bytes] = {}

    # --- a server to be killed --------------------------------------------------------------------------------------------

    async def listen(self) -> asyncio.Server:
        server = await asyncio.get_running_loop().create_server(lambda: Wire(self), *self.address)
        self.address = server.sockets[0].getsockname()[:2]
        return server

    async def start(self, kill_at: str | None) -> bool:
        label, _, nth = (kill_at or ":0").partition(":")
        self._kill_at = (label, int(nth))
        self.is_dead = False
        return True

    def kill(self) -> int:
        self.is_dead = True
        self.kills += 1
        for wire in self.wires:
            wire.transport.abort()
        if self.fault == "sessions":
            self.sessions.clear()
        return -SIGKILL

    def stop(self) -> None:
        self.is_dead = True

    def stored(self) -> Counter[bytes]:
        return Counter(self.log)

    def passes(self, label: str) -> bool:
        """Whether the broker dies at this point."""
        at, left = self._kill_at
        if at == label and not self.is_dead:
            self._kill_at = (at, left - 1)
            if left <= 1:
                self.kill()
        return self.is_dead

    # --- MQTT -------------------------------------------------------------------------------------------------------------

    def take(self, wire: Wire, packet: Packet) -> None:
        if self.is_dead:
            wire.transport.abort()
            return
        kind = packet.first & 0xF0
        if kind == 0x10:
            self._on_connect(wire, packet.body[12 : 12 + packet.body[11]].decode())
        elif kind == PUBLISH:
            self._on_publish(wire, packet)
        elif packet.first == 0x82:
            end = 4 + int.from_bytes(packet.body[2:4], "big")
            wire.session.subscription = packet.body[4:end].decode(), packet.body[end]
            wire.write(bytes((SUBACK, 3)) + packet.body[:2] + packet.body[end:])
        else:
            self._on_answer(wire, packet.first, read_answer(packet))

    def _on_connect(self, wire: Wire, client_id: str) -> None:
        present = client_id in self.sessions
        wire.session = self.sessions.setdefault(client_id, Session())
        wire.session.wire = wire
        wire.write(bytes((CONNACK, 2, present, 0)))
        for packet_id, (topic, payload, qos, is_released) in wire.session.unfinished.items():
            wire.write(answer(PUBREL, packet_id) if is_released else publish(topic, payload, qos=qos, packet_id=packet_id, dup=True))

    def _on_publish(self, wire: Wire, packet: Packet) -> None:
        topic, payload, qos, packet_id = read_delivery(packet)[:4]
        if self.passes("early"):
            return
        if packet_id not in wire.session.received:
            self._store(topic, payload, qos)
        if qos == 2:
            wire.session.received.add(packet_id)
        if not self.passes("late"):
            wire.write(answer(PUBACK if qos == 1 else PUBREC, packet_id))

    def _store(self, topic: str, payload: bytes, qos: int) -> None:
        self.published += 1
        if topic.startswith("v1/"):
            event = cbor2.loads(payload)
            if event["id"] not in self.log and (self.fault != "log" or self.published % 10):
                self.log += [event["id"]] * (2 if self.fault == "stores twice" else 1)
            topic, qos = f"v1/main/orders/{event['order']}/status", 1
        held = self._held.pop((topic, qos), None)
        if self.fault == "order" and held is None and self.published % 3 == 0:
            self._held[(topic, qos)] = payload
            return
        if self.fault != "delivery" or self.published % 10:
            self._deliver(topic, payload, qos)
        if held is not None:
            self._deliver(topic, held, qos)

    def _deliver(self, topic: str, payload: bytes, qos: int) -> None:
        for session in self.sessions.values():
            if session.subscription is not None and _matches(topic, session.subscription[0]):
                granted = min(qos, session.subscription[1])
                session.next_id += 1
                session.unfinished[session.next_id] = topic, payload, granted, False
                if session.wire is not None:
                    session.wire.write(publish(topic, payload, qos=granted, packet_id=session.next_id, dup=False))

    def _on_answer(self, wire: Wire, first: int, packet_id: int) -> None:
        unfinished = wire.session.unfinished
        if first == PUBREL:
            wire.session.received.discard(packet_id)
            wire.write(answer(PUBCOMP, packet_id))
        elif first == PUBREC:
            if packet_id in unfinished:
                unfinished[packet_id] = *unfinished[packet_id][:3], True
            wire.write(answer(PUBREL, packet_id))
        elif packet_id in unfinished:
            message = unfinished.pop(packet_id)
            if self.fault == "ends of QoS 2" and message[2] == 2:
                unfinished[packet_id] = *message[:3], False


def _matches(topic: str, topic_filter: str) -> bool:
    have, want = topic.split("/"), topic_filter.split("/")
    if want[-1] == "#":
        return have[: len(want) - 1] == want[:-1]
    return len(have) == len(want) and all(w in ("+", h) for h, w in zip(have, want, strict=True))


@pytest.fixture
def tortured(monkeypatch: pytest.MonkeyPatch) -> Callable[[Broker], Tortured]:
    monkeypatch.setattr(run, "QUIET_S", 0.3)
    monkeypatch.setattr(run, "REST_QUIET_S", 0.2)
    monkeypatch.setattr(clients, "BACK_MAX_S", 0.05)
    plan = plan_run(3, kills=KILLS, events=EVENTS, publishers=3, subscribers=3, labels=LABELS, site="main", now_ms=1)

    async def carry_out(broker: Broker) -> Tortured:
        server = await broker.listen()
        async with server:
            return await torture(plan, broker, {}, token="test")

    return lambda broker: asyncio.run(carry_out(broker))


def test_a_right_broker_has_a_clean_ledger(tortured: Callable[[Broker], Tortured]) -> None:
    result = tortured(Broker())
    assert result.ledger.ok, result.ledger
    assert sum(c.sent for c in result.ledger.classes.values()) == EVENTS
    assert all(c.due == c.delivered and not c.given_up for c in result.ledger.classes.values())
    assert result.kills == {"random": 2, "early": 1, "late": 1, "at rest": 1}


@pytest.mark.parametrize(
    ("fault", "column"),
    [
        ("delivery", "lost_delivered"),
        ("log", "lost_stored"),
        ("stores twice", "stored_twice"),
        ("ends of QoS 2", "delivered_twice"),
        ("order", "out_of_order"),
    ],
)
def test_a_broker_with_a_fault_has_it_in_its_ledger(tortured: Callable[[Broker], Tortured], fault: str, column: str) -> None:
    ledger = tortured(Broker(fault)).ledger
    assert sum(getattr(c, column) or 0 for c in ledger.classes.values()), ledger
    assert ledger.examples[column]


def test_a_broker_that_forgets_sessions_is_not_waited_for(tortured: Callable[[Broker], Tortured]) -> None:
    ledger = tortured(Broker("sessions")).ledger
    assert ledger.sessions_lost
    assert sum(c.lost_delivered for c in ledger.classes.values())
    assert sum(c.given_up for c in ledger.classes.values())
    assert not sum(c.unanswered for c in ledger.classes.values())
