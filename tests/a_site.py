"""A site for tests: events made by hand, a bench that settles them without a broker, a server in a thread, and a bare MQTT client on a socket."""

from __future__ import annotations

import asyncio
import hashlib
import json
import socket
import sqlite3
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import cbor2
import uvloop

from bridge import certificates
from bridge.app import Application, ingest_of
from bridge.broker.session_log import SessionLog
from bridge.config import IngestSettings, Settings, parse
from bridge.domain.access import Identity, Kind
from bridge.ingest.items import Incoming, Message, Settled
from bridge.ingest.pipeline import Settler
from bridge.ingest.replay import NoSessions
from bridge.ingest.rules import Rules
from bridge.site_folder import make_site
from bridge.store.migrate import migrate
from bridge.store.replaying import Rebuilt, rebuild
from bridge.store.sql import SqlStore
from bridge.store.sqlite import open_engine
from devices.ids import uuid7
from devices.protocol.messages import Alert, Assignment, BridgeState, Eta, OrderStatus, ParcelStatus, Position, Presence, Receipt, encode_cbor, encode_json
from devices.protocol.topics import Topics
from devices.protocol.vocabulary import Role

DEADLINE_S: Final = 10.0
SITE: Final = "ams1"
CACHES: Final = Settings(ingest=IngestSettings(orders_cached_max=100, devices_cached_max=100))
TOPICS: Final = Topics(SITE)
NOW_MS: Final = 1_760_000_000_000
BOOT_MS: Final = NOW_MS - 3_600_000
"""When every device of a test was switched on."""
BOOT: Final = b"boot-one"

LINES: Final = [{"sku": "4006381333931", "qty": 2}, {"sku": "pen", "qty": 1}]
CREATED: Final[dict[str, Any]] = {"channel": "shop1", "lines": LINES, "allow_partial": False, "payment": "prepaid"}
DELIVERY: Final[dict[str, Any]] = {"pod": {"method": "pin"}}

IDENTITIES: Final = {
    i.device: i
    for i in (
        Identity(site=SITE, device="shop1", role=Role.SYSTEM),
        Identity(site=SITE, device="desk", role=Role.DESK),
        Identity(site=SITE, device="scan-1", role=Role.SCANNER, at="dock-3"),
        Identity(site=SITE, device="scan-2", role=Role.SCANNER),
        Identity(site=SITE, device="phone-anna", role=Role.COURIER, courier="anna"),
        Identity(site=SITE, device="phone-ben", role=Role.COURIER, courier="ben"),
    )
}
"""Who is enrolled on the bench."""

BRIDGE_PAYLOADS: Final = (
    ("/receipts", Receipt),
    ("/status", OrderStatus),
    ("/parcels/", ParcelStatus),
    ("/eta", Eta),
    ("/position", Position),
    ("/assignments/", Assignment),
    ("/alerts/", Alert),
    ("/presence", Presence),
    ("/bridge/state", BridgeState),
)


def kind_of(topic: str) -> Any:
    """The message struct of a topic."""
    return next(kind for mark, kind in BRIDGE_PAYLOADS if mark in topic)


def log_of(device: str) -> bytes:
    """The log of a device's only outbox."""
    return hashlib.sha256(device.encode()).digest()[:8]


def event_id(device: str, seq: int, at_ms: int = NOW_MS) -> bytes:
    return uuid7(at_ms, hashlib.sha256(f"{device} {seq}".encode()).digest()[:10])


def event(
    device: str, seq: int, order: str | None = None, body: dict[str, Any] | None = None, *, at_ms: int = NOW_MS, as_json: bool = False, **other: Any
) -> bytes:
    """The payload of an event that a device sent at the moment when it happened. `other` sets further fields, or replaces these."""
    mono_ms = max(0, at_ms - BOOT_MS)
    fields = {
        "id": event_id(device, seq),
        "log": log_of(device),
        "seq": seq,
        "boot": BOOT,
        "mono_ms": mono_ms,
        "at_ms": at_ms,
        "sent_boot": BOOT,
        "sent_mono_ms": mono_ms,
        "order": order,
        "body": body or {},
        **other,
    }
    plain = {k: v for k, v in fields.items() if v is not None}
    return encode_json(plain) if as_json else encode_cbor(plain)


def receipts(settled: Settled) -> list[dict[str, Any]]:
    """The receipts of a batch, plain; an empty one for what has none."""
    return [cbor2.loads(receipt) if receipt else {} for receipt in settled.outcomes]


def commit_all(settler: Settler, batch: Sequence[Incoming]) -> Settled:
    """Commits a batch whole, as the pipeline does: where it is committed in part, the rest follows."""
    whole = Settled([], [], [])
    while batch:
        part = settler.commit(batch)
        whole = Settled(whole.effects + part.effects, whole.jobs + part.jobs, whole.outcomes + part.outcomes)
        batch = batch[len(part.outcomes) :]
    return whole


# --- without a broker -------------------------------------------------------------------------------------------------------


@cache
def empty_database() -> bytes:
    """A database as a new site has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        engine = open_engine(path)
        migrate(engine, path)
        engine.dispose()
        return path.read_bytes()


class Bench:
    """A store and a settler, and what a broker would have been told. A second passes after every batch.

    Args:
        path: the database; it is made where there is none.
        rules: settings of `Rules` that differ from the defaults.
    """

    def __init__(self, path: Path, **rules: Any) -> None:
        if not path.exists():
            path.write_bytes(empty_database())
        self.path = path
        self.engine = open_engine(path)
        self.store = SqlStore(self.engine)
        self.rules = Rules(site=SITE, **rules)
        self.settler = Settler(self.store, ingest_of(self.rules, CACHES, SessionLog()))
        self.now_ms = NOW_MS
        self.shown: list[Message] = []
        self.retained: dict[str, bytes] = {}
        self._seq: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.store.close()
        self.engine.dispose()

    # given

    def draft(self, device: str, event_type: str, order: str | None = None, body: dict[str, Any] | None = None, **other: Any) -> Incoming:
        """A device's next event, ready to be sent: now, unless `at_ms` says otherwise."""
        seq = self._seq[device] = other.pop("seq", self._seq.get(device, 0) + 1)
        return self.message(device, event_type, event(device, seq, order, body, **{"at_ms": self.now_ms, **other}))

    def message(self, device: str, event_type: str | None, payload: bytes, *, kind: Kind = Kind.EVENTS, detail: str | None = None) -> Incoming:
        return Incoming(IDENTITIES[device], kind, event_type, payload, self.now_ms, detail)

    # when

    def send(self, *batch: Incoming) -> list[dict[str, Any]]:
        """Settles messages as one batch; their receipts."""
        settled = self._told(commit_all(self.settler, batch))
        self.now_ms += 1_000
        return receipts(settled)

    def tell(self, device: str, event_type: str, order: str | None = None, body: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
        """A device sends one event; its receipt."""
        (receipt,) = self.send(self.draft(device, event_type, order, body, **other))
        return receipt

    def create(self, *orders: str, **body: Any) -> None:
        """The shop creates orders and says that they are paid."""
        for order in orders:
            assert self.tell("shop1", "created", order, {**CREATED, **body})["outcome"] == "applied"
            if body.get("payment") != "on_delivery":
                self.tell("shop1", "paid", order, {"amount_minor": 1250, "currency": "EUR"})

    def sweep(self, after_ms: int = 0) -> None:
        self.now_ms += after_ms
        self._told(self.settler.sweep(self.now_ms))

    def _told(self, settled: Settled) -> Settled:
        self.shown += settled.messages
        for message in settled.messages:
            if message.retain:
                self.retained[message.topic] = message.payload
        return settled

    def forget(self) -> None:
        """The bridge remembers nothing, as after a batch that did not commit."""
        self.settler.forget()

    def rebuild(self) -> Rebuilt:
        """Makes everything that is derived of the log again."""
        with self.store.transaction() as tx:
            done = rebuild(tx.connection, ingest_of(self.rules, CACHES, NoSessions()), now_ms=self.now_ms)
        self.forget()
        return done

    # then

    def show(self, topic: str) -> dict[str, Any] | None:
        """What is retained at a topic; None where nothing is."""
        payload = self.retained.get(topic, b"")
        return cbor2.loads(payload) if payload else None

    def status(self, order: str) -> dict[str, Any]:
        status = self.show(TOPICS.status(order))
        assert status is not None, f"{order} is not shown"
        return status

    def receipts(self, device: str) -> list[dict[str, Any]]:
        """Every receipt that a device was sent."""
        return [cbor2.loads(m.payload) for m in self.shown if m.topic == TOPICS.receipts(device)]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What stands in the database, read through another connection."""
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def dump(self, *tables: str) -> dict[str, list[tuple[Any, ...]]]:
        return {t: sorted(self.rows(f"SELECT * FROM {t}"), key=repr) for t in tables}


# --- a server -----------------------------------------------------------------------------------------------------------------


class Site:
    """A site in a folder, served by the real application in a thread of its own.

    Args:
        directory: where the site is made, or was made by an earlier `Site`.
        settings: sections of `bridge.toml`, such as `broker={"window": 2}`.
    """

    def __init__(self, directory: Path, **settings: dict[str, Any]) -> None:
        self.directory = directory
        self.secrets: dict[str, str] = {}
        self.addresses: dict[str, tuple[str, int]] = {}
        self._seq = 0
        if not (directory / "bridge.toml").exists():
            make_site(directory, parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}, **settings}))
            if {"mqtts", "wss"} & settings.get("listen", {}).keys():
                now = datetime.now(UTC)
                certificates.make_authority(self.tls, SITE, now)
                certificates.issue_server(self.tls, ["localhost", "127.0.0.1"], now)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="site")
        self._thread.start()
        assert self._ready.wait(DEADLINE_S), "the site did not start"
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(DEADLINE_S)
            assert not self._thread.is_alive(), "the site did not stop"

    def restart(self) -> None:
        self.stop()
        self.start()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the test is to see it
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        async with await Application.open(self.directory) as self.app:
            self.addresses = await self.app.serve()
            self._ready.set()
            await self._stop.wait()

    def on_loop(self, work: Callable[[], Any]) -> Any:
        """Do something on the server's event loop."""

        async def call() -> Any:
            return work()

        return self.wait_for(call())

    def wait_for(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the server's event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE_S)

    def enrol(self, device: str, role: Role = Role.SCANNER, **other: Any) -> str:
        """Enrol a device; its secret."""
        secret = self.wait_for(self.app.on_writer(lambda: self.app.registry.add(device, role, now_ms=self.app.clock.now_ms(), **other)))
        self.secrets[device] = secret
        return str(secret)

    @property
    def tls(self) -> Path:
        """The folder of its certificates; they are made where a listener speaks TLS."""
        return self.directory / certificates.FOLDER_NAME

    def now_ms(self) -> int:
        return self.app.clock.now_ms()

    def event(self, device: str, seq: int, order: str | None = None, body: dict[str, Any] | None = None, **other: Any) -> bytes:
        """The payload of an event that happens now."""
        return event(device, seq, order, body, at_ms=self.now_ms(), **other)

    def tell(self, device: str, role: Role, event_type: str, *events: bytes) -> None:
        """Events from inside the server, as the command line sends them."""
        if device not in self.secrets:
            self.enrol(device, role)
        receipts = self.wait_for(self.app.submit(self.app.registry.identity(device), [(event_type, payload) for payload in events]))
        assert {r["outcome"] for r in receipts} == {"applied"}

    def create(self, *orders: str) -> None:
        """The shop creates orders."""
        self.tell("shop1", Role.SYSTEM, "created", *(self.event("shop1", self._seq + i, order, CREATED) for i, order in enumerate(orders, 1)))
        self._seq += len(orders)

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """What the bridge has to say, at a QoS that it never uses by itself, say."""

        def work() -> None:
            self.app.announce(Message(topic, payload, qos, retain))

        self.on_loop(work)

    def client(self, device: str, client_id: str | None = None, **connect: Any) -> MqttWire:
        """A client that has logged in as a device, enrolled as a scanner where it was not yet."""
        if device not in self.secrets:
            self.enrol(device)
        wire = self.stranger()
        wire.session_present, code = wire.connect(client_id or device, device, self.secrets[device], **connect)
        assert code == 0, f"CONNACK {code}"
        return wire

    def stranger(self) -> MqttWire:
        """A connection that has not said anything."""
        return MqttWire(self.addresses["mqtt"])

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(self.directory / "dockbridge.db")
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()


# --- a client -------------------------------------------------------------------------------------------------------------------

CONNECT, CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = range(1, 15)


class Packet(NamedTuple):
    """A control packet: `flags` are the lower four bits of its first byte. Of a PUBLISH also its parts."""

    kind: int
    packet_id: int
    body: bytes
    topic: str = ""
    payload: bytes = b""
    qos: int = 0
    dup: bool = False
    retain: bool = False
    flags: int = 0

    @property
    def plain(self) -> Any:
        """The payload, decoded."""
        return json.loads(self.payload) if self.payload[:1] == b"{" else cbor2.loads(self.payload)


class MqttWire:
    """MQTT 3.1.1 on a blocking socket: says exactly what it is told, and hears packets in the order in which they come. `tls` None is plain TCP."""

    def __init__(self, address: tuple[str, int], tls: ssl.SSLContext | None = None) -> None:
        self.session_present = False
        self._socket = socket.create_connection(address, DEADLINE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self._socket = tls.wrap_socket(self._socket, server_hostname=address[0])
        self._stream = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.cut()

    def cut(self) -> None:
        """Ends the connection without a word."""
        self._stream.close()
        self._socket.close()

    # speak

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def connect(self, client_id: str, username: str | None = None, password: str | None = None, **other: Any) -> tuple[bool, int]:
        """Logs in; (session present, return code) of the CONNACK."""
        self.send(connect_packet(client_id, username, password, **other))
        answer = self.expect(CONNACK)
        return bool(answer.body[0]), answer.body[1]

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, packet_id: int = 1, **other: Any) -> None:
        self.send(publish_packet(topic, payload, qos=qos, packet_id=packet_id, **other))

    def subscribe(self, *filters: str, qos: int = 1, packet_id: int = 1) -> list[int]:
        """Subscribes; the return codes of the SUBACK."""
        self.send(subscribe_packet([(f, qos) for f in filters], packet_id))
        return list(self.expect(SUBACK).body[2:])

    def answer(self, kind: int, packet_id: int) -> None:
        """Sends a PUBACK, PUBREC, PUBREL or PUBCOMP."""
        self.send(struct.pack("!BBH", kind << 4 | (2 if kind == PUBREL else 0), 2, packet_id))

    def goodbye(self) -> None:
        """Sends DISCONNECT, and waits until the server has closed the connection."""
        self.send(b"\xe0\x00")
        self.expect_closed()

    def ping(self) -> list[Packet]:
        """Sends PINGREQ; what came before its answer. Shows that the server has nothing else to say."""
        self.send(b"\xc0\x00")
        heard = []
        while (packet := self.read()) is not None and packet.kind != PINGRESP:
            heard.append(packet)
        assert packet is not None, "the connection was closed"
        return heard

    # hear

    def read(self) -> Packet | None:
        """The next packet; None where the connection was closed. Fails the test after a deadline."""
        try:
            head = self._stream.read(1)
            if not head:
                return None
            return _packet(head[0], self._stream.read(self._length()))
        except ConnectionError:
            return None

    def expect(self, kind: int) -> Packet:
        packet = self.read()
        assert packet is not None, f"closed instead of a packet of type {kind}"
        assert packet.kind == kind, f"expected type {kind}, heard {packet}"
        return packet

    def expect_closed(self) -> list[Packet]:
        """Waits until the server closes the connection; what came before."""
        heard = []
        while (packet := self.read()) is not None:
            heard.append(packet)
        return heard

    def receive(self) -> Packet:
        """The next PUBLISH; a QoS 1 one is acknowledged."""
        packet = self.expect(PUBLISH)
        if packet.qos == 1:
            self.answer(PUBACK, packet.packet_id)
        return packet

    def _length(self) -> int:
        total = shift = 0
        while True:
            digit = self._stream.read(1)[0]
            total |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                return total


def _packet(first: int, body: bytes) -> Packet:
    kind = first >> 4
    if kind != PUBLISH:
        return Packet(kind, int.from_bytes(body[:2], "big"), body, flags=first & 15)
    end = 2 + int.from_bytes(body[:2], "big")
    qos = first >> 1 & 3
    start = end + (2 if qos else 0)
    return Packet(kind, int.from_bytes(body[end:start], "big"), body, body[2:end].decode(), body[start:], qos, bool(first & 8), bool(first & 1), first & 15)


def frame(first: int, body: bytes) -> bytes:
    """A packet with a right remaining length."""
    length, digits = len(body), bytearray()
    while not digits or length:
        length, low = divmod(length, 128)
        digits.append(low | (0x80 if length else 0))
    return bytes((first,)) + bytes(digits) + body


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("!H", len(data)) + data


def connect_packet(
    client_id: str,
    username: str | None = None,
    password: str | None = None,
    *,
    clean: bool = True,
    keep_alive_s: int = 60,
    will: tuple[str, bytes] | None = None,
    will_qos: int = 1,
    will_retain: bool = True,
    protocol: str = "MQTT",
    level: int = 4,
) -> bytes:
    will_flags = 0x04 | will_qos << 3 | will_retain << 5 if will else 0
    flags = (0x80 if username is not None else 0) | (0x40 if password is not None else 0) | will_flags | (2 if clean else 0)
    fields = [text(client_id), *(text(w) for w in will or ()), *(text(v) for v in (username, password) if v is not None)]
    return frame(CONNECT << 4, text(protocol) + struct.pack("!BBH", level, flags, keep_alive_s) + b"".join(fields))


def publish_packet(topic: str | bytes, payload: bytes, *, qos: int = 1, packet_id: int = 1, dup: bool = False, retain: bool = False) -> bytes:
    packet_id_bytes = packet_id.to_bytes(2, "big") if qos else b""
    return frame(PUBLISH << 4 | dup << 3 | qos << 1 | retain, text(topic) + packet_id_bytes + payload)


def unsubscribe_packet(filters: Sequence[str | bytes], packet_id: int = 1, *, flags: int = 2) -> bytes:
    return frame(UNSUBSCRIBE << 4 | flags, packet_id.to_bytes(2, "big") + b"".join(text(f) for f in filters))


def subscribe_packet(filters: Sequence[tuple[str | bytes, int]], packet_id: int = 1, *, flags: int = 2) -> bytes:
    return frame(SUBSCRIBE << 4 | flags, packet_id.to_bytes(2, "big") + b"".join(text(f) + bytes((qos,)) for f, qos in filters))
