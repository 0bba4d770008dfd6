"""The targets of the fuzzers: the front door without sockets, its reading of single packets, and the payloads that a device can send.

Each target takes bytes, and raises an `AssertionError` or any other exception if something is wrong. A story of the front door is a list of steps; it is
written as bytes, so that a coverage-guided fuzzer can change it and a file can store it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from fuzz import grammar
from helpers.bench import Bench, commit_all, receipts, settler_on
from helpers.events import IDENTITIES, NOW_MS, TOPICS, event, kind_of
from helpers.mqtt import connect_packet, frame, subscribe_packet

from bridge.broker.client import Client as DoorClient
from bridge.broker.codec import v311 as packets
from bridge.broker.codec.amqtt_decoder import AmqttDecoder
from bridge.broker.codec.events import Connect
from bridge.broker.connection import CONNECT_BYTES_MAX, Connection
from bridge.broker.door import FrontDoor
from bridge.broker.limits import DoorLimits
from bridge.broker.publishing import TOPICS_CACHED_MAX
from bridge.broker.session_log import SessionLog
from bridge.broker.sessions import Session
from bridge.broker.state import State
from bridge.broker.store_view import StoreView
from bridge.config import IngestSettings, Settings
from bridge.domain.access import Identity, Kind, may_send
from bridge.ingest.items import Announce, Change, Connected, Disconnected, DropWill, Incoming, Message
from bridge.ingest.pipeline import Settler
from bridge.ingest.ports import StoreUnavailable, Transaction
from bridge.ingest.relation import Writes
from bridge.ingest.rules import Rules
from bridge.ingest.sessions import MESSAGE_GONE, MESSAGE_LOG, WILL_GONE, WILLS, IncomingIdRow, WillRow
from devices.protocol import messages
from devices.protocol.vocabulary import EventType, Reason, Role

LAB: Final = Identity(site="ams1", device="gear", role=Role.LAB)
PROBE: Final = Identity(site="ams1", device="probe", role=Role.LAB, reads_everything=True)
DEVICES: Final = {**IDENTITIES, "gear": LAB, "probe": PROBE}
SECRET: Final = "s"
BYSTANDER: Final = "desk"
"""A client that keeps to the protocol, and must not be affected by what the others do."""
HOSTILE: Final = ("scan-1", "phone-anna", "gear", "probe")
LIMITS: Final = DoorLimits(
    packet_bytes_max=2_048,
    window=4,
    session_queue_max=8,
    session_queue_bytes_max=4_096,
    sessions_max=12,
    sessions_per_device_max=2,
    subscriptions_max=6,
    topic_levels_max=8,
    topic_bytes_max=128,
    output_bytes_max=4_096,
    recent_bytes_max=512,
    retained_max=3,
)

OWN_TOPICS: Final = (TOPICS.status("PO-1"), TOPICS.receipts("scan-1"), "lab/a", TOPICS.alert("dropped", "bystander"))
"""Topics that the bridge itself publishes to."""
HEADER_BYTES_MAX: Final = 5


class Act(IntEnum):
    """What a step does. BYTES feeds bytes to a connection unchanged; PACKET inserts the right remaining length between a first byte and a body."""

    BYTES = 0
    PACKET = 1
    CONNECT = 2
    CHECK = 3
    COMMIT = 4
    CUT = 5
    PUBLISH = 6
    WAIT = 7


class Step(NamedTuple):
    """One step of one of the four clients."""

    act: Act
    who: int
    data: bytes = b""


Story = Sequence[Step]
STEP_BYTES_MAX: Final = 0x7FFF
_HAS_DATA: Final = frozenset({Act.BYTES, Act.PACKET, Act.CONNECT, Act.PUBLISH, Act.WAIT})


def write_story(story: Story) -> bytes:
    """A story as bytes: act and client in one byte; if the act has data, its length in one or two bytes, and the data."""
    out = bytearray()
    for act, who, data in story:
        out.append(act << 2 | who)
        if act in _HAS_DATA:
            size = len(data)
            out += bytes((size,)) if size < 0x80 else bytes((0x80 | size >> 8, size & 0xFF))
            out += data
    return bytes(out)


def read_story(script: bytes) -> list[Step]:
    """Read any bytes as a story."""
    story = []
    at = 0
    while at < len(script):
        act, who = Act(script[at] >> 2 & 7), script[at] & 3
        at += 1
        data = b""
        if act in _HAS_DATA and at < len(script):
            size = script[at]
            at += 1
            if size & 0x80:
                size = (size & 0x7F) << 8 | (script[at] if at < len(script) else 0)
                at += 1
            data = script[at : at + size]
            at += size
        story.append(Step(act, who, data))
    return story


class Sink:
    """The pipeline without a store: it numbers messages as the writer does, and commits on request."""

    is_full = is_idle = store_failing = False

    def __init__(self, world: World) -> None:
        self.world = world
        self.subscribers = SessionLog()
        self.log: dict[int, tuple[str, bytes, int]] = {}
        self.wills: dict[tuple[str, str], WillRow] = {}
        self.online: set[str] = set()
        self.queue: list[tuple[Incoming | Change, Callable[[bytes], None]]] = []

    def offer(self, incoming: Incoming, acknowledge: Callable[[bytes], None]) -> None:
        assert incoming.identity.device in self.world.let_in, f"a message of {incoming.identity.device}, who was never let in"
        assert len(incoming.payload) <= LIMITS.packet_bytes_max
        self.queue.append((incoming, acknowledge))

    def change(self, change: Change) -> None:
        self.queue.append((change, _nobody))

    def fetch(self, positions: Sequence[int]) -> dict[int, tuple[str, bytes, int]]:
        return {p: self.log[p] for p in positions if p in self.log}

    def young_from(self, before_ms: int) -> int:
        return 0

    def commit(self) -> None:
        door = self.world.door
        while True:
            door.flush_progress()
            if not self.queue:
                return
            batch, self.queue = self.queue, []
            foreign = self.foreign_retained()
            is_full = len(door.retained) >= LIMITS.retained_max
            writes = Writes()
            shown = [e for item, _ in batch for e in (_shown(item) if isinstance(item, Incoming) else [item])]
            told = self.subscribers.take(shown, writes, NOW_MS)
            self.log.update((m.pos, (m.topic, m.payload, m.qos)) for m in writes.rows(MESSAGE_LOG))
            for key in writes.gone.get(WILL_GONE, ()):
                self.wills.pop((key[0], key[1]), None)
            self.wills.update(writes.keyed(WILLS))
            for effect in told:
                if isinstance(effect, Message):
                    door.publish(effect)
                else:
                    self._count(effect.change)
                    effect.change.done(effect.result)
            for _, acknowledge in batch:
                acknowledge(b"")
            for (pos,) in writes.gone.get(MESSAGE_GONE, ()):
                self.log.pop(pos, None)
            assert not is_full or self.foreign_retained() <= foreign, "retained messages grow"

    def _count(self, change: Change) -> None:
        if isinstance(change, Connected):
            assert change.device not in self.online
            self.online.add(change.device)
        elif isinstance(change, Disconnected):
            self.online.remove(change.device)

    def foreign_retained(self) -> int:
        """Retained topics that the bridge itself does not publish to."""
        return sum(1 for topic in self.world.door.retained.match("#") if topic not in OWN_TOPICS)


def _nobody(receipt: object) -> None:
    pass


def _shown(incoming: Incoming) -> list[Message | Change]:
    dropped: list[Message | Change] = [incoming.settles] if isinstance(incoming.settles, DropWill) else []
    if incoming.kind is Kind.PLAIN:
        return [*dropped, Message(incoming.topic, incoming.payload, incoming.qos, incoming.retain)]
    return [*dropped, Message(TOPICS.receipts(incoming.identity.device), b"receipt", 1, False)]


class Client:
    """A connection and the client at its other end, which reads and checks what it is sent."""

    def __init__(self, world: World, peer: str) -> None:
        self.world = world
        self.connection = Connection(world.door, peer, lambda connection: None)
        self.accepted = False
        self.counted = False
        self.heard: list[tuple[str, bytes]] = []
        self.sent: list[bytes] = []

    def receive(self, data: bytes) -> None:
        self.connection.receive(data)
        limit = CONNECT_BYTES_MAX if self.connection.state is State.NEW else LIMITS.packet_bytes_max
        assert len(self.connection._buffer) <= limit + HEADER_BYTES_MAX, "its buffer grows"
        self.listen()

    def listen(self) -> None:
        """Read what it was sent: whole packets, and none before a CONNACK."""
        data = self.connection.take_output()
        at = 0
        while at < len(data):
            header = packets.read_header(data, at)
            assert header is not None
            assert header.end <= len(data), "half a packet was written"
            self._hear(header.first, data[header.start : header.end])
            at = header.end
        if self.connection.state is State.OPEN:
            self.world.let_in.add(self.connection.device or "")

    def _hear(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == packets.CONNACK:
            assert not self.accepted, "a second CONNACK"
            self.accepted = body[1] == 0
            assert self.accepted or self.connection.state is State.CLOSED, "refused, and not closed"
            return
        assert self.accepted, f"a packet of type {kind} for somebody who was not let in"
        if kind == packets.PUBLISH:
            end = 2 + int.from_bytes(body[:2], "big")
            qos = first >> 1 & 3
            self.heard.append((body[2:end].decode(), body[end + (2 if qos else 0) :]))
            if qos:
                assert body[end : end + 2] != b"\0\0"
                self.sent.append(bytes(((packets.PUBACK if qos == 1 else packets.PUBREC) << 4, 2)) + body[end : end + 2])
        elif kind == packets.PUBREL:
            self.sent.append(packets.pubcomp(int.from_bytes(body, "big")))
        else:
            assert kind in _ANSWERS, f"a packet of type {kind} from a server"

    def answer(self) -> None:
        """Acknowledge the messages that it was sent."""
        self.listen()
        while self.sent:
            self.receive(self.sent.pop(0))


_ANSWERS: Final = frozenset({packets.PUBACK, packets.PUBREC, packets.PUBCOMP, packets.SUBACK, packets.UNSUBACK, packets.PINGRESP})
_OTHER_ENDS: Final = ("disconnected", "was lost", "took over", "in time", "silent")
"""Reasons for closing a connection that are not the fault of the client, or only a timeout."""


class World:
    """A front door, four clients that may do anything, and a bystander."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.let_in: set[str] = set()
        self.pending: list[tuple[DoorClient, Connect]] = []
        self.sink = Sink(self)
        self.door = FrontDoor(
            decoder=AmqttDecoder(),
            sink=self.sink,
            limits=LIMITS,
            now_ms=lambda: NOW_MS + int(self.now_s * 1_000),
            now_s=lambda: self.now_s,
            authenticate=lambda connection, connect: self.pending.append((connection, connect)),
            in_open_job=lambda courier, order: order == "PO-1",
            stored=StoreView(messages=self.sink),
        )
        self.faults = 0
        self.published = 0
        self.gone: list[Client] = []
        self.clients = [Client(self, f"10.0.0.{n}:1") for n in range(4)]
        self.bystander = Client(self, "10.0.1.1:1")
        self.bystander.receive(connect_packet(BYSTANDER, BYSTANDER, SECRET, clean=False, keep_alive_s=0))
        self.check()
        self.settle()
        self.bystander.receive(subscribe_packet([(f"{TOPICS.base}/alerts/+/bystander", 1)]))
        self.settle()
        assert self.bystander.connection.state is State.OPEN

    # --- steps ------------------------------------------------------------------------------------------------------------

    def take(self, step: Step) -> None:
        act, who, data = step
        client = self.clients[who]
        if client.connection.state is State.CLOSED:
            self.gone = [*self.gone[-3:], client]
            client = self.clients[who] = Client(self, f"10.0.0.{who}:1")
        flags = data[0] if data else 0
        match act:
            case Act.BYTES:
                client.receive(data)
            case Act.PACKET:
                client.receive(frame(flags, data[1:]))
            case Act.CONNECT:
                device, client_id = HOSTILE[flags >> 1 & 3], f"c{flags >> 3 & 3}"
                secret = "wrong" if flags & 0x80 else SECRET
                will = ("lab/will" if device in ("gear", "probe") else TOPICS.presence(device), b"gone") if flags & 0x40 else None
                client.receive(connect_packet(client_id, device, secret, clean=bool(flags & 1), keep_alive_s=flags & 0x20, will=will) + data[1:])
            case Act.CHECK:
                self.check()
            case Act.COMMIT:
                self.settle()
            case Act.CUT:
                client.connection.lost()
            case Act.PUBLISH:
                self._publish(flags, data[1:])
            case Act.WAIT:
                self.now_s += flags / 4
                client.connection.is_full = data[1:2] == b"\1"
                client.connection.send_more()
                self.door.tick()
                self.door.tick_progress()
        self.look()

    def check(self) -> None:
        """Check the credentials of all clients that wait for it."""
        waiting, self.pending = self.pending, []
        for connection, connect in waiting:
            identity = DEVICES.get(connect.username or "") if connect.password == SECRET else None
            if identity is not None and connection.state is State.AUTHENTICATING:
                self.let_in.add(identity.device)
            connection.authenticated(identity)

    def settle(self) -> None:
        """Commit everything that waits; the bystander acknowledges its messages."""
        self.sink.commit()
        self.bystander.answer()

    def _publish(self, flags: int, payload: bytes) -> None:
        """The bridge publishes a message: to its subscribers, or a numbered one to the bystander."""
        topic = OWN_TOPICS[flags >> 3 & 3]
        message = Message(topic, payload, min(flags & 3, 2), bool(flags & 4))
        if flags >> 3 & 3 == 3:
            self.published += 1
            message = Message(topic, b"%d" % self.published, 1, False)
        self.sink.change(Announce(received_ms=NOW_MS, done=_nobody, message=message))
        if self.published - len(self.bystander.heard) >= LIMITS.session_queue_max:
            self.settle()

    # --- what must always hold --------------------------------------------------------------------------------------------

    def look(self) -> None:
        door = self.door
        for client in self.gone:
            assert not client.connection.take_output(), "written to after its end"
        for client in (*self.clients, self.bystander):
            client.listen()
            connection = client.connection
            is_closed = connection.state is State.CLOSED
            assert is_closed is (connection not in door.connections)
            assert not client.accepted or len(connection.publishing._topics) <= TOPICS_CACHED_MAX
            if is_closed:
                assert not connection._buffer, "a closed connection keeps what it was sent"
                self.faults += not client.counted and not any(end in (connection.why_closed or "") for end in _OTHER_ENDS)
                client.counted = True
        assert not door.counters.faults, "the door caught a fault of its own"
        assert door.counters.protocol_errors + door.counters.refused == self.faults, "a connection was closed and not counted"
        assert self.bystander.connection.state is State.OPEN, self.bystander.connection.why_closed
        if not self.sink.queue:
            assert set(self.sink.wills) == {c.stored_will for c in door.connections if c.stored_will is not None}, "a will outlives its connection"
        is_open = {c.device for c in door.connections if c.state is State.OPEN}
        assert is_open <= set(door.online) <= is_open | {c.device for c in door.connections if c.state is State.OPENING}
        for device in DEVICES:
            own = [s for s in door.sessions if s.identity.device == device]
            assert len(own) <= LIMITS.sessions_per_device_max
            for session in own:
                _look_at(session)

    def finish(self) -> None:
        """All clients leave: the door keeps nothing of them, and the bystander has received every message once and in order."""
        self.check()
        self.settle()
        for client in self.clients:
            client.connection.lost()
            client.listen()
        self.settle()
        door = self.door
        assert [s for s in door.sessions if s.clean] == [], "a clean session outlives its connection"
        for device in HOSTILE:
            door.disconnect(device, "was lost", end_sessions=True)
        door.flush_progress(now=True)
        self.settle()
        door.flush_progress(now=True)
        self.settle()
        self.look()
        assert self.bystander.heard == [(TOPICS.alert("dropped", "bystander"), b"%d" % (n + 1)) for n in range(self.published)]
        assert [s.identity.device for s in door.sessions] == [BYSTANDER]
        assert (self.sink.online, list(door.online._clients), self.sink.wills) == ({BYSTANDER}, [BYSTANDER], {})
        assert list(door.connections) == [self.bystander.connection]
        assert (list(door.book._claims), list(door.book._of_device), door.book._opening) == ([(BYSTANDER, BYSTANDER)], [BYSTANDER], {})
        assert (len(self.sink.subscribers._keys), len(door.log), self.sink.log) == (1, 0, {}), "messages stay that nobody is owed"
        assert _filters(door.subscribing.subscribers._tree._root) == 1, "a subscription outlives its session"
        assert not door.log._recent_bytes


def _look_at(session: Session) -> None:
    assert session.in_flight <= LIMITS.window
    assert len(session.queue) <= LIMITS.session_queue_max
    assert len(session.subscriptions) <= LIMITS.subscriptions_max
    assert len(session.todo) <= LIMITS.subscriptions_max


def _filters(node: Any) -> int:
    return len(node.values) + sum(_filters(child) for child in node.children.values())


def door(script: bytes) -> None:
    """A story of four clients at one door."""
    world = World()
    for step in read_story(script):
        world.take(step)
    world.finish()


# --- packets ----------------------------------------------------------------------------------------------------------------


class Taken:
    """A sink that records what it is offered, and commits at once."""

    is_full = is_idle = store_failing = False

    def __init__(self) -> None:
        self.offered: list[grammar.Read] = []

    def offer(self, incoming: Incoming, acknowledge: Callable[[bytes], None]) -> None:
        packet_id = incoming.settles.packet_id if isinstance(incoming.settles, IncomingIdRow) else 0
        self.offered.append(grammar.Read(packets.PUBLISH, packet_id, incoming.topic, incoming.payload, incoming.qos, incoming.retain))
        acknowledge(b"")

    def change(self, change: Change) -> None:
        change.done(0)


WIDE: Final = DoorLimits(packet_bytes_max=CONNECT_BYTES_MAX, topic_levels_max=65_535, topic_bytes_max=65_535)


def packet(data: bytes) -> None:
    """A stream of bytes of one client, read by the front door and by `grammar`. The first byte says whether it has logged in, and where the stream is cut."""
    if not data:
        return
    flags, stream = data[0], data[1:]
    sink = Taken()
    front = FrontDoor(
        decoder=AmqttDecoder(),
        sink=sink,
        limits=WIDE,
        now_ms=lambda: NOW_MS,
        now_s=lambda: 0.0,
        authenticate=lambda connection, connect: connection.authenticated(PROBE),
        in_open_job=lambda courier, order: False,
    )
    connection = Connection(front, "10.0.0.1:1", lambda connection: None)
    if flags & 1:
        connection.receive(connect_packet("probe", "probe", SECRET))
    size = flags >> 1 or len(data)
    for start in range(0, len(stream), size):
        connection.receive(stream[start : start + size])
    said, end = _grammar_says(stream, is_open=bool(flags & 1))
    faults = front.counters.protocol_errors + front.counters.refused
    seen = "fault" if faults else "bye" if connection.state is State.CLOSED else "open"
    assert not front.counters.faults, f"the door caught a fault of its own: {stream.hex()}"
    assert (seen, faults) == (end, int(end == "fault")), f"{connection.why_closed}: {stream.hex()}"
    assert sink.offered == said


def _grammar_says(stream: bytes, *, is_open: bool) -> tuple[list[grammar.Read], str]:
    """What is published, and how the connection ends: fault, bye or open."""
    said: list[grammar.Read] = []
    held: set[int] = set()
    will: list[grammar.Read] = []
    try:
        while stream and (header := grammar.length_of(stream)) is not None:
            start, length = header
            if length > CONNECT_BYTES_MAX:
                raise grammar.Fault("too long")
            if len(stream) < start + length:
                break
            if not is_open and stream[0] >> 4 != grammar.CONNECT:
                raise grammar.Fault("no CONNECT")
            found = grammar.read(stream[0], stream[start : start + length])
            if is_open and found.kind == grammar.CONNECT:
                raise grammar.Fault("a second CONNECT")
            if found.kind == grammar.CONNECT and found.topic:
                will = [found._replace(kind=grammar.PUBLISH)]
            is_open = True
            stream = stream[start + length :]
            if found.kind == grammar.DISCONNECT:
                return said, "bye"
            if found.kind == grammar.PUBREL:
                held.discard(found.packet_id)
            if found.kind == grammar.PUBLISH and (found.qos < 2 or found.packet_id not in held):
                said.append(found._replace(packet_id=0))
                if found.qos == 2:
                    held.add(found.packet_id)
    except grammar.Fault:
        return said + will, "fault"
    return said, "open"


# --- payloads ---------------------------------------------------------------------------------------------------------------

SENDERS: Final = ("scan-1", "phone-anna", "shop1", "desk")
KINDS: Final = (*((Kind.EVENTS, t.value) for t in EventType), (Kind.PRESENCE, None), (Kind.LOCATION, None))


FEW: Final = Settings(ingest=IngestSettings(orders_cached_max=4, devices_cached_max=4))


class _Undo(Exception):
    """Raised at the end of a trial, so that nothing of it is stored."""


class Trial:
    """A bench whose database is as it was after each trial."""

    def __init__(self, folder: Path) -> None:
        self.bench = Bench(folder / "site.db")
        self.bench.create("PO-1")
        assert self.bench.tell("scan-1", "pack", "PO-1", {"items": [{"sku": "pen", "qty": 1}]}, code="WB-1")["outcome"] == "applied"
        assert self.bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "job-1"})["outcome"] == "applied"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bench.__exit__(kind, error, trace)

    @contextmanager
    def settler(self, *, as_json: bool) -> Iterator[Settler]:
        rules = Rules(site="ams1", encode=messages.encode_json) if as_json else Rules(site="ams1")
        try:
            with self.bench.store.transaction() as tx:
                yield settler_on(_Within(tx), rules, FEW)
                raise _Undo
        except _Undo:
            pass


class _Within:
    """A store whose transactions are parts of one that is never committed."""

    def __init__(self, tx: Any) -> None:
        self._tx = tx

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self._tx.connection.begin_nested():
            yield self._tx


def payload(trial: Trial, data: bytes) -> None:
    """A batch that devices send: for each message a byte for its sender, one for its kind, two for its length, and its payload."""
    if not data:
        return
    batch = [i for i in _messages(data[1:], trial.bench.now_ms) if _may_come(i)]
    for incoming in batch:
        _decode(incoming)
    good = [trial.bench.message("scan-2", "shift_started", event("scan-2", n, None, {"worker": "w"}, at_ms=trial.bench.now_ms)) for n in (1, 2)]
    with trial.settler(as_json=bool(data[0] & 1)) as settler:
        try:
            settled = commit_all(settler, [good[0], *batch, good[1]])
        except StoreUnavailable as error:
            raise AssertionError("the message would be tried again for ever") from error
    first, *between, last = receipts(settled)
    assert (first["outcome"], last["outcome"]) == ("applied", "applied"), "its neighbours do not count"
    for incoming, receipt in zip(batch, between, strict=True):
        assert receipt.get("reason") != Reason.POISON, f"it could not be settled: {incoming}"
        assert receipt or incoming.kind is not Kind.EVENTS, "an event without a receipt"
    for message in settled.messages:
        if message.payload and not message.topic.endswith("/presence"):
            messages.decode(message.payload, kind_of(message.topic))


def _decode(incoming: Incoming) -> None:
    try:
        if incoming.kind is Kind.EVENTS:
            messages.decode_event(incoming.payload, EventType(incoming.event_type or ""))
        elif incoming.kind is Kind.PRESENCE:
            messages.decode(incoming.payload, messages.Presence)
        else:
            messages.decode_locations(incoming.payload)
    except messages.PayloadError as error:
        str(error).encode()


def _may_come(incoming: Incoming) -> bool:
    """The front door refuses messages that the role of a device may not send."""
    return incoming.kind is not Kind.EVENTS or may_send(incoming.identity.role, incoming.event_type or "").allowed


def _messages(data: bytes, now_ms: int) -> Iterator[Incoming]:
    for sender, number, body in split_payloads(data):
        kind, event_type = KINDS[number % len(KINDS)]
        yield Incoming(IDENTITIES[SENDERS[sender % len(SENDERS)]], kind, event_type, body, now_ms)


def split_payloads(data: bytes) -> list[tuple[int, int, bytes]]:
    """(sender, kind, payload) of each message."""
    found = []
    at = 0
    while at + 4 <= len(data):
        end = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
        found.append((data[at], data[at + 1], data[at + 4 : end]))
        at = end
    return found


def join_payloads(parts: Sequence[tuple[int, int, bytes]]) -> bytes:
    return b"".join(bytes((sender, kind)) + len(body).to_bytes(2, "big") + body for sender, kind, body in parts)


def write_payloads(batch: Sequence[tuple[str, str, bytes]], *, as_json: bool = False) -> bytes:
    """A batch as bytes, each message as (device, event type or kind, payload)."""
    names = [event_type or kind for kind, event_type in KINDS]
    return bytes((as_json,)) + join_payloads([(SENDERS.index(d), names.index(k), p) for d, k, p in batch])


# --- seeds ------------------------------------------------------------------------------------------------------------------

SEEDS: Final = Path(__file__).parent / "seeds"
"""A file for each target: one input a line, as hex; text after a # is a comment."""


def seeds(target: str) -> list[bytes]:
    """The stored inputs of a target."""
    path = SEEDS / f"{target}.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [bytes.fromhex(line.partition("#")[0]) for line in lines if line.partition("#")[0].strip()]
