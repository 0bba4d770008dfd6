"""A server in pieces, its database, and clients that keep to the protocol, all in one thread and without sockets.

The front door, the settler and the database file are the real ones. The subscriber is a client that keeps to the protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge.broker.codec import v311 as packets
from bridge.broker.codec.amqtt_decoder import AmqttDecoder
from bridge.broker.codec.outgoing import Outgoing
from bridge.broker.connection import Connection
from bridge.broker.door import FrontDoor
from bridge.broker.limits import DoorLimits
from bridge.broker.restore import restore
from bridge.broker.state import State
from bridge.broker.store_view import StoreView
from bridge.domain.access import Identity
from bridge.ingest.items import Incoming, Item, Message
from bridge.ingest.retained import RETAINED
from bridge.ingest.rules import Rules
from bridge.store.loop_reader import LoopReader
from bridge.store.message_log import LogReader, Stored
from bridge.store.sql import SqlStore
from bridge.store.sqlite import open_engine
from devices.protocol.vocabulary import Role
from helpers.bench import empty_database, settler_on
from helpers.mqtt import connect_packet, publish_packet, subscribe_packet

LAB = Identity(site="ams1", device="gear", role=Role.LAB)
NOW_MS = 1_760_000_000_000
TOPICS = ("t/a", "t/b")
FILTER = "t/+"


class World:
    """A server in pieces, and its database."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.path = folder / "site.db"
        self.path.write_bytes(empty_database())
        self.limits = DoorLimits(**{"window": 3, "recent_bytes_max": 40, **limits})
        self.now_s = 0.0
        self.store_failing = False
        self.queue: list[tuple[Item, Callable[[bytes], None]]] = []
        self.start()

    @property
    def is_full(self) -> bool:
        return False

    @property
    def is_idle(self) -> bool:
        return not self.queue

    def offer(self, incoming: Incoming, acknowledge: Callable[[bytes], None]) -> None:
        self.queue.append((incoming, acknowledge))

    def change(self, change: Any) -> None:
        self.queue.append((change, lambda receipt: None))

    def start(self) -> None:
        self.engine = open_engine(self.path)
        self.store = SqlStore(self.engine)
        self.settler = settler_on(self.store, Rules(site="ams1"))
        self.on_loop = LoopReader(self.path)
        self.reader = LogReader(self.on_loop)
        self.door = FrontDoor(
            decoder=AmqttDecoder(),
            sink=self,
            limits=self.limits,
            now_ms=lambda: NOW_MS,
            now_s=lambda: self.now_s,
            authenticate=lambda connection, connect: connection.authenticated(LAB),
            in_open_job=lambda courier, order: False,
            stored=StoreView(messages=self.reader),
        )
        with self.store.transaction() as tx:
            stored = Stored(tx)
            for topic, payload, qos in tx.rows(RETAINED):
                self.door.retained.put(Outgoing(topic, payload, qos))
        restore(
            self.door,
            sessions=stored.sessions,
            subscriptions=stored.subscriptions,
            messages=stored.messages,
            incoming_ids=stored.incoming_ids,
            next_pos=stored.next_pos,
            identity_of=lambda device: LAB,
        )
        for will in stored.wills:
            self.door.wills.publish_stored(will, LAB)

    def commit(self, *, crash: str = "") -> None:
        """Settle the waiting messages as the pipeline does, or die halfway."""
        self.door.flush_progress()
        while self.queue:
            batch, self.queue = self.queue[:4], self.queue[4:]
            if crash == "before":
                break
            settled = self.settler.commit([item for item, _ in batch])
            if crash == "after":
                break
            for effect in settled.effects:
                if isinstance(effect, Message):
                    self.door.publish(effect)
                else:
                    effect.change.done(effect.result)
            for (_, acknowledge), outcome in zip(batch, settled.outcomes, strict=True):
                acknowledge(outcome)
            self.door.flush_progress()
        if crash:
            self.close()
            self.start()

    def close(self) -> None:
        self.queue = []
        self.on_loop.close()
        self.store.close()
        self.engine.dispose()

    def rows(self, table: str) -> int:
        with self.engine.connect() as connection:
            return int(connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())


class Client:
    """A client that keeps its state across connections, as the protocol requires (§4.4)."""

    def __init__(self, world: World, client_id: str) -> None:
        self.world = world
        self.client_id = client_id
        self.connection: Connection | None = None
        self.present: bool | None = None
        self.heard: list[tuple[str, bytes, int, bool]] = []
        """Topic, payload, QoS and DUP of every message that counts: repeats at QoS 2 do not."""
        self.again = 0
        self.unanswered: list[bytes] = []
        self.acknowledged: set[int] = set()
        self.completed: set[int] = set()
        self.retained_seen: list[bytes] = []
        self._received: set[int] = set()

    def connect(self) -> None:
        self.connection = Connection(self.world.door, "1.2.3.4:5", lambda connection: None)
        self.unanswered = []
        self.connection.receive(connect_packet(self.client_id, clean=False))
        self.world.commit()
        self.listen()
        assert self.present is not None

    def cut(self) -> None:
        if self.connection is not None:
            self.connection.lost()
            self.connection = None

    def send(self, data: bytes) -> None:
        if self.connection is not None and self.connection.state is State.OPEN:
            self.connection.receive(data)

    def listen(self) -> None:
        """Read what the server has written; answers are held back until `answer`."""
        if self.connection is None:
            return
        data = self.connection.take_output()
        at = 0
        while at < len(data):
            header = packets.read_header(data, at)
            assert header is not None
            self._packet(header.first, data[header.start : header.end])
            at = header.end

    def _packet(self, first: int, body: bytes) -> None:
        kind = first >> 4
        packet_id = int.from_bytes(body[:2], "big")
        if kind == packets.CONNACK:
            self.present = bool(body[0])
            if not self.present:
                self._received.clear()
        elif kind == packets.PUBLISH:
            self._publish(first, body)
        elif kind == packets.PUBREL:
            self._received.discard(packet_id)
            self.unanswered.append(packets.pubcomp(packet_id))
        elif kind in (packets.PUBACK, packets.PUBREC):
            self.acknowledged.add(packet_id)
        elif kind == packets.PUBCOMP:
            self.completed.add(packet_id)

    def _publish(self, first: int, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        topic = body[2:end].decode()
        qos = first >> 1 & 3
        packet_id = int.from_bytes(body[end : end + 2], "big")
        payload = body[end + 2 :] if qos else body[end:]
        if qos == 2 and packet_id in self._received:
            self.again += 1
        else:
            if qos == 2:
                self._received.add(packet_id)
            self.heard.append((topic, payload, qos, bool(first & 8)))
            if first & 1:
                self.retained_seen.append(payload)
        if qos:
            self.unanswered.append(packets.PUBACK_HEAD + packet_id.to_bytes(2, "big") if qos == 1 else packets.pubrec(packet_id))

    def answer(self, count: int = 1_000) -> None:
        self.listen()
        now, self.unanswered = self.unanswered[:count], self.unanswered[count:]
        for packet in now:
            self.send(packet)
        self.listen()


class Life:
    """A publisher, a subscriber and a server, step by step."""

    def __init__(self, folder: Path, qos: int, **limits: Any) -> None:
        self.world = World(folder, **limits)
        self.publisher = Client(self.world, "publisher")
        self.subscriber = Client(self.world, "subscriber")
        self.sent: dict[bytes, tuple[str, int]] = {}
        self.pending: dict[int, bytes] = {}
        self.released: set[int] = set()
        self.qos = qos
        self.publisher.connect()
        self.subscriber.connect()
        self.subscribe(qos)

    def subscribe(self, qos: int) -> None:
        self.subscriber.send(subscribe_packet([(FILTER, qos)], 9))
        self.world.commit()
        self.subscriber.listen()

    def step(self, name: str) -> None:
        match name.split():
            case ["publish1" | "publish2" as publish]:
                number = len(self.sent) + 1
                payload = b"%05d" % number
                topic = TOPICS[number % 2]
                self.sent[payload] = (topic, int(publish[-1]))
                self.pending[number] = payload
                self._publish(number)
            case ["commit"]:
                self.world.commit()
            case ["answer1"]:
                self.subscriber.answer(1)
            case ["answer"]:
                self.subscriber.answer()
            case ["flush"]:
                self.world.door.flush_progress(now=True)
                self.world.commit()
            case ["cut"]:
                self.subscriber.listen()
                self.subscriber.cut()
            case ["connect"]:
                if self.subscriber.connection is None:
                    self.subscriber.connect()
                    assert self.subscriber.present
            case ["forget"]:
                self.world.settler.forget()  # as after a commit that failed
            case ["resubscribe"]:
                self.subscribe(self.qos)
            case ["crash", *where]:
                self.crash(where[0] if where else "")
        self.publisher.listen()
        self.subscriber.listen()
        self.settle_publishes()

    def _publish(self, number: int, *, dup: bool = False) -> None:
        payload = self.pending[number]
        topic, qos = self.sent[payload]
        self.publisher.send(publish_packet(topic, payload, qos=qos, packet_id=number, dup=dup))

    def settle_publishes(self) -> None:
        for number in sorted(self.publisher.acknowledged & self.pending.keys()):
            if self.sent[self.pending[number]][1] == 2:
                self.released.add(number)
                self.publisher.send(packets.pubrel(number))
            del self.pending[number]
        self.released -= self.publisher.completed

    def crash(self, where: str) -> None:
        """The server is killed: what it had already written to the sockets may have arrived."""
        self.publisher.listen()
        self.subscriber.listen()
        if where:
            self.world.commit(crash=where)
        else:
            self.world.close()
            self.world.start()
        was_there = self.subscriber.connection is not None
        self.publisher.connection = self.subscriber.connection = None
        self.settle_publishes()
        self.publisher.connect()
        assert self.publisher.present
        if was_there:
            self.subscriber.connect()
            assert self.subscriber.present
        for number in sorted(self.pending):
            self._publish(number, dup=True)
        for number in sorted(self.released):
            self.publisher.send(packets.pubrel(number))

    def finish(self) -> None:
        """Commit everything, connect both clients, and let them fetch all messages."""
        if self.subscriber.connection is None:
            self.subscriber.connect()
        for _ in range(4 * len(self.sent) + 5):
            self.world.commit()
            self.publisher.listen()
            self.settle_publishes()
            self.subscriber.answer()
        self.world.door.flush_progress(now=True)
        self.world.commit()
