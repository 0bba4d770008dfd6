"""The front door: framing, the handshake and the QoS flows of MQTT 3.1.1, without a socket.

A `Connection` takes bytes with `receive` and gives bytes with `take_output`; `FrontDoor` is what all connections share. PUBLISH, the acknowledgements and
PINGREQ are handled here byte by byte; PUBACK and PUBREC leave only when the pipeline says that the message's batch is committed.
Sections in comments are of the OASIS standard, MQTT Version 3.1.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, NamedTuple, Protocol

from bridge.broker import packets
from bridge.broker.packets import ClientCertificate, Connect, ConnectCode, Decoder, Outgoing, ProtocolError, RefusedConnect
from bridge.broker.retained import Retained
from bridge.broker.sessions import Session
from bridge.broker.topic_tree import FilterTree
from bridge.domain.access import Answer, Identity, OpenOrders, Publishing, may_publish, may_subscribe
from bridge.ingest.ports import Incoming, Message

logger = logging.getLogger("dockbridge.broker")

CONNECT_BYTES_MAX: Final = 131_072
TOPIC_LEVELS_MAX: Final = 16
"""Levels of a topic filter; the contract's own have seven at most."""
TOPICS_CACHED_MAX: Final = 256
"""Topics of one connection whose access answer is remembered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """Bounds of a connection; see `config/bridge.toml` for the sentences."""

    packet_bytes_max: int = 262_144
    window: int = 64
    session_queue_max: int = 10_000
    sessions_max: int = 20_000
    sessions_per_device_max: int = 8
    subscriptions_max: int = 100
    connect_timeout_s: float = 5.0
    authentication_timeout_s: float = 60.0


class Sink(Protocol):
    """Where accepted messages go: the ingest pipeline."""

    @property
    def is_full(self) -> bool: ...

    def offer(self, incoming: Incoming, acknowledge: Callable[[dict[str, Any]], None]) -> None: ...


class Counters:
    """What happened at the door since the start."""

    __slots__ = ("connections", "denied", "dropped", "protocol_errors", "refused")

    def __init__(self) -> None:
        self.connections = self.refused = self.denied = self.protocol_errors = self.dropped = 0


class State(Enum):
    """Where a connection stands."""

    NEW = auto()
    AUTHENTICATING = auto()
    OPEN = auto()
    CLOSED = auto()


class _Topic(NamedTuple):
    name: str
    answer: Answer
    publishing: Publishing | None


class FrontDoor:
    """What all connections share: sessions, subscriptions, retained messages, and the way into the pipeline.

    Args:
        now_ms: the server's monotonic time, anchored to the wall clock at its start.
        now_s: a monotonic clock for timers.
        authenticate: starts to check credentials; whoever checks calls `Connection.authenticated` when it is done.
        in_open_job: whether an order is in an open job of a courier.
    """

    def __init__(
        self,
        *,
        decoder: Decoder,
        sink: Sink,
        limits: DoorLimits,
        now_ms: Callable[[], int],
        now_s: Callable[[], float],
        authenticate: Callable[[Connection, Connect], None],
        in_open_job: OpenOrders,
    ) -> None:
        self.decoder = decoder
        self.sink = sink
        self.limits = limits
        self.now_ms = now_ms
        self.now_s = now_s
        self.authenticate = authenticate
        self.in_open_job = in_open_job
        self.retained = Retained()
        self.counters = Counters()
        self.connections: set[Connection] = set()
        self._subscribers: FilterTree[Session, int] = FilterTree()
        self._sessions: dict[tuple[str, str], Session] = {}
        self._of_device: dict[str, dict[str, Session]] = {}
        self._holders: dict[Session, Connection] = {}

    # --- messages out -----------------------------------------------------------------------------------------------------

    def publish(self, message: Message) -> None:
        """Send a message to every subscriber, once each, at the lower of the two QoS (§3.3.5, §3.8.4)."""
        outgoing = Outgoing(message.topic, message.payload, message.qos)
        if message.retain:
            self.retained.put(outgoing)
        best: dict[Session, int] = {}
        for session, qos in self._subscribers.match(message.topic):
            if best.get(session, -1) < qos:
                best[session] = qos
        for session, qos in best.items():
            before = session.dropped
            session.deliver(outgoing, min(qos, message.qos))
            if session.dropped != before:
                self._count_dropped(session)

    def _count_dropped(self, session: Session) -> None:
        self.counters.dropped += 1
        if session.dropped == 1:
            logger.warning("the queue of %s is full; its oldest messages are dropped", session.client_id)

    # --- sessions ---------------------------------------------------------------------------------------------------------

    def open_session(self, connection: Connection, identity: Identity, connect: Connect) -> bool:
        """Give a connection its session; True where one was there (§3.2.2.2). An older connection of the same client is closed (§3.1.4).

        Sessions are kept by (device, client id): a client id belongs to the identity that uses it, and nobody else can reach what is behind it.

        Raises:
            RefusedConnect: where no more sessions are kept.
        """
        key = (identity.device, connect.client_id)
        session = self._sessions.get(key)
        if session is not None and (holder := self._holders.get(session)) is not None:
            holder.close("another connection of the same client took over")
            session = self._sessions.get(key)
        if session is not None and (connect.clean_session or session.clean):
            self._end_session(session)
            session = None
        present = session is not None
        if session is None:
            self._make_room(identity.device)
            session = Session(
                identity,
                connect.client_id,
                clean=connect.clean_session,
                window=self.limits.window,
                queue_max=self.limits.session_queue_max,
            )
            self._sessions[key] = session
            self._of_device.setdefault(identity.device, {})[connect.client_id] = session
        session.identity = identity
        self._holders[session] = connection
        connection.session = session
        return present

    def _make_room(self, device: str) -> None:
        """Before a new session: a device that has its share gives up its oldest that is not connected.

        Raises:
            RefusedConnect: where there is none to give up, or no more sessions are kept at all.
        """
        own = self._of_device.get(device, {})
        if len(own) >= self.limits.sessions_per_device_max:
            away = next((s for s in own.values() if s not in self._holders), None)
            if away is None:
                raise RefusedConnect(ConnectCode.SERVER_UNAVAILABLE, "the device has too many connections (broker.sessions_per_device_max)")
            self._end_session(away)
        if len(self._sessions) >= self.limits.sessions_max:
            raise RefusedConnect(ConnectCode.SERVER_UNAVAILABLE, "no more sessions are kept (broker.sessions_max)")

    def close_session(self, connection: Connection, session: Session) -> None:
        """The connection of a session is gone; a clean session goes with it (§3.1.2.4)."""
        if self._holders.get(session) is connection:
            del self._holders[session]
            session.write = None
            if session.clean:
                self._end_session(session)

    def _end_session(self, session: Session) -> None:
        for topic_filter in session.subscriptions:
            self._subscribers.remove(topic_filter, session)
        device = session.identity.device
        self._sessions.pop((device, session.client_id), None)
        own = self._of_device.get(device, {})
        own.pop(session.client_id, None)
        if not own:
            self._of_device.pop(device, None)

    def forget_device(self, device: str) -> None:
        """A device was revoked: its connections are closed and its sessions end, now."""
        for connection in [c for c in self.connections if c.device == device]:
            connection.close("the device was revoked")
        for session in list(self._of_device.get(device, {}).values()):
            self._end_session(session)

    def recheck(self, courier: str) -> None:
        """A courier's jobs changed: subscriptions that are no longer allowed end."""
        for session in [s for s in self._sessions.values() if s.identity.courier == courier]:
            for topic_filter in list(session.subscriptions):
                if not may_subscribe(session.identity, topic_filter, self.in_open_job).allowed:
                    self.unsubscribe(session, topic_filter)

    def subscribe(self, session: Session, topic_filter: str, qos: int) -> None:
        """Grant a filter; an earlier subscription to the same filter is replaced (§3.8.4), and its retained messages are sent again."""
        session.subscriptions[topic_filter] = qos
        self._subscribers.put(topic_filter, session, qos)
        session.owe_retained([(topic, qos) for topic in self.retained.match(topic_filter)])

    def unsubscribe(self, session: Session, topic_filter: str) -> None:
        if session.subscriptions.pop(topic_filter, None) is not None:
            self._subscribers.remove(topic_filter, session)

    # --- timers -----------------------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Close what was silent for too long: half a handshake, or one and a half times the keep-alive (§3.1.2.10)."""
        now_s = self.now_s()
        for connection in list(self.connections):
            connection.check_silence(now_s)


class Connection:
    """One client's connection.

    Args:
        peer: where it comes from, for the log.
        wake: called when there is output to take, or when the connection has closed itself.
    """

    def __init__(self, door: FrontDoor, peer: str, wake: Callable[[Connection], None]) -> None:
        self.door = door
        self.peer = peer
        self.certificate: ClientCertificate | None = None
        self.state = State.NEW
        self.identity: Identity | None = None
        self.session: Session | None = None
        self.why_closed: str | None = None
        self._wake = wake
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._connect: Connect | None = None
        self._topics: dict[bytes, _Topic] = {}
        self._keep_alive_s = 0.0
        self._since_s = self._heard_s = door.now_s()
        self._paused = False
        door.connections.add(self)
        door.counters.connections += 1

    @property
    def device(self) -> str | None:
        """Who is connected, or says so and is being checked."""
        if self.identity is not None:
            return self.identity.device
        if self._connect is None:
            return None
        return self._connect.username or (self.certificate.device if self.certificate is not None else None)

    # --- bytes ------------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes in. Whatever breaks the protocol closes the connection and nothing else."""
        self._heard_s = self.door.now_s()
        self._buffer += data
        self._read()

    def take_output(self) -> bytes:
        """What is to be written now."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _write(self, data: bytes) -> None:
        if not self._out:
            self._wake(self)
        self._out.append(data)

    def _read(self) -> None:
        buffer = self._buffer
        at = 0
        try:
            while self.state in (State.NEW, State.OPEN):
                header = packets.read_header(buffer, at)
                if header is None:
                    break
                self._check_size(header.end - header.start)
                if len(buffer) < header.end:
                    break
                self._packet(header, bytes(buffer[at : header.end]), header.start - at)
                at = header.end
            if self.state is State.AUTHENTICATING and len(buffer) - at > self.door.limits.packet_bytes_max:
                raise ProtocolError("too much sent before CONNACK")
        except ProtocolError as error:
            self.door.counters.protocol_errors += 1
            self.close(str(error))
        except RefusedConnect as error:
            self._refuse(error.code, str(error))
        if self.state is State.CLOSED:
            buffer.clear()
        else:
            del buffer[:at]

    def _check_size(self, length: int) -> None:
        limit = CONNECT_BYTES_MAX if self.state is State.NEW else self.door.limits.packet_bytes_max
        if length > limit:
            raise ProtocolError(f"a packet of {length} bytes, {limit} at most (broker.packet_bytes_max)")

    def _packet(self, header: packets.Header, packet: bytes, start: int) -> None:
        kind = header.first >> 4
        if self.state is State.NEW:
            if kind != packets.CONNECT:
                raise ProtocolError("the first packet is not CONNECT (3.1.0-1)")
            self._on_connect(packet)
        elif kind == packets.PUBLISH:
            self._on_publish(header.first, packet, start)
        else:
            handler = _HANDLERS.get(kind)
            if handler is None:
                raise ProtocolError(f"packet type {kind} is not for a server")
            if header.first & 0x0F != _FLAGS.get(kind, 0):
                raise ProtocolError(f"packet type {kind} with reserved flags set (2.2.2-2)")
            handler(self, packet, start)

    # --- the handshake ----------------------------------------------------------------------------------------------------

    def _on_connect(self, packet: bytes) -> None:
        connect = self.door.decoder.connect(packet)
        if not connect.client_id and not connect.clean_session:
            raise RefusedConnect(ConnectCode.IDENTIFIER_REJECTED, "an empty client id needs a clean session (3.1.3-8)")
        if self.certificate is not None and connect.username not in (None, self.certificate.device):
            raise RefusedConnect(ConnectCode.NOT_AUTHORIZED, f"the username is not {self.certificate.device}, as the certificate says")
        if self.door.sink.is_full:
            raise RefusedConnect(ConnectCode.SERVER_UNAVAILABLE, "the store is behind; come back later")
        self._connect = connect
        self.state = State.AUTHENTICATING
        self._since_s = self.door.now_s()
        self.door.authenticate(self, connect)

    def authenticated(self, identity: Identity | None) -> None:
        """The credentials were checked. Only now is session state looked at."""
        if self.state is not State.AUTHENTICATING or self._connect is None:
            return
        if identity is None:
            self._refuse(ConnectCode.BAD_CREDENTIALS, "wrong username, password or certificate")
            return
        try:
            self._open(identity, self._connect)
        except RefusedConnect as error:
            self._refuse(error.code, str(error))
            return
        self._read()

    def _open(self, identity: Identity, connect: Connect) -> None:
        if connect.will is not None and not (answer := may_publish(identity, connect.will.topic)[0]).allowed:
            raise RefusedConnect(ConnectCode.NOT_AUTHORIZED, f"the will's topic is not allowed: {answer.rule}")
        self.identity = identity
        present = self.door.open_session(self, identity, connect)
        self.state = State.OPEN
        self._heard_s = self.door.now_s()
        self._keep_alive_s = connect.keep_alive_s * 1.5
        self._write(packets.connack(session_present=present, code=ConnectCode.ACCEPTED))
        assert self.session is not None
        self.session.write = self._write
        self.session.resume()
        self._pump()

    def unavailable(self) -> None:
        """Too many are being checked already; the client may come back later."""
        if self.state is State.AUTHENTICATING:
            self._refuse(ConnectCode.SERVER_UNAVAILABLE, "too many log in at once ")

    def _refuse(self, code: ConnectCode, why: str) -> None:
        self.door.counters.refused += 1
        self._write(packets.connack(session_present=False, code=code))
        self._connect = None
        self.close(why)

    # --- PUBLISH ----------------------------------------------------------------------------------------------------------

    def _on_publish(self, first: int, packet: bytes, start: int) -> None:
        qos = first >> 1 & 3
        if qos == 3:
            raise ProtocolError("PUBLISH with QoS 3 (3.3.1-4)")
        body = start + 2 + int.from_bytes(packet[start : start + 2], "big")
        name = packet[start + 2 : body]
        payload_at = body + 2 if qos else body
        if payload_at > len(packet):
            raise ProtocolError("PUBLISH ends before its payload begins (3.3.2)")
        topic = self._topics.get(name) or self._look_at_topic(name)
        packet_id = 0
        if qos:
            packet_id = packet[body] << 8 | packet[body + 1]
            if not packet_id:
                raise ProtocolError("packet id 0 (2.3.1-1)")
        payload = packet[payload_at:]
        if qos == 2 and not self._is_new(packet_id):
            return
        self._accept(topic, payload, qos, packet_id)

    def _look_at_topic(self, name: bytes) -> _Topic:
        assert self.identity is not None
        try:
            text = name.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("a topic name that is not UTF-8 (1.5.3-1)") from error
        if not text or "\0" in text or "+" in text or "#" in text:
            raise ProtocolError("a topic name that is empty, or has a wildcard or NUL in it (3.3.2-2)")
        topic = _Topic(text, *may_publish(self.identity, text))
        if len(self._topics) >= TOPICS_CACHED_MAX:
            self._topics.clear()
        self._topics[name] = topic
        return topic

    def _is_new(self, packet_id: int) -> bool:
        """Whether a QoS 2 message has not come before; a repeat is answered again once the first is committed (§4.3.3)."""
        assert self.session is not None
        state = self.session.incoming.get(packet_id)
        if state is None:
            self.session.incoming[packet_id] = False
            return True
        if state:
            self._write(packets.pubrec(packet_id))
        return False

    def _accept(self, topic: _Topic, payload: bytes, qos: int, packet_id: int) -> None:
        assert self.identity is not None
        if topic.publishing is None:
            self.door.counters.denied += 1
            kind, event_type, detail = "denied", None, topic.answer.rule
        elif not topic.answer.allowed:
            self.door.counters.denied += 1
            kind, event_type, detail = "denied", topic.publishing.event_type, topic.answer.rule
        else:
            kind, event_type, detail = topic.publishing.kind, topic.publishing.event_type, None
        incoming = Incoming(self.identity, kind, event_type, payload, self.door.now_ms(), detail)
        assert self.session is not None
        self.door.sink.offer(incoming, _Stored(self, self.session, qos, packet_id))

    def stored(self, session: Session, qos: int, packet_id: int) -> None:
        """A message's batch is committed: now, and not before, it is acknowledged (§4.3.2, §4.3.3)."""
        if qos == 2:
            session.incoming[packet_id] = True
        if self.state is State.OPEN:
            self._write(packets.puback(packet_id) if qos == 1 else packets.pubrec(packet_id))
        elif qos == 2 and session.write is not None:
            session.write(packets.pubrec(packet_id))  # the client came back over another connection, and sent it again

    # --- the other packets ------------------------------------------------------------------------------------------------

    def _on_puback(self, packet: bytes, start: int) -> None:
        assert self.session is not None
        self.session.on_puback(_packet_id(packet, start))
        self._pump()

    def _on_pubrec(self, packet: bytes, start: int) -> None:
        assert self.session is not None
        self._write(self.session.on_pubrec(_packet_id(packet, start)))

    def _on_pubrel(self, packet: bytes, start: int) -> None:
        """The client knows that its message is stored; the id is free again. Answered also where the id is not known (§4.3.3)."""
        assert self.session is not None
        packet_id = _packet_id(packet, start)
        self.session.incoming.pop(packet_id, None)
        self._write(packets.pubcomp(packet_id))

    def _on_pubcomp(self, packet: bytes, start: int) -> None:
        assert self.session is not None
        self.session.on_pubcomp(_packet_id(packet, start))
        self._pump()

    def _on_subscribe(self, packet: bytes, start: int) -> None:
        assert self.session is not None
        packet_id, subscriptions = self.door.decoder.subscribe(packet)
        # The last of several subscriptions to one filter holds (§3.8.4), and each filter's retained messages are looked for once.
        wanted = {s.topic_filter: s.qos for s in subscriptions}
        granted = {topic_filter: self._grant(topic_filter, qos) for topic_filter, qos in wanted.items()}
        codes = [granted[s.topic_filter] for s in subscriptions]
        self._write(packets.suback(packet_id, codes))
        self._pump()

    def _grant(self, topic_filter: str, qos: int) -> int:
        assert self.identity is not None
        assert self.session is not None
        answer = may_subscribe(self.identity, topic_filter, self.door.in_open_job)
        held = self.session.subscriptions
        room = topic_filter in held or len(held) < self.door.limits.subscriptions_max
        room = room and topic_filter.count("/") < TOPIC_LEVELS_MAX
        if not (answer.allowed and room):
            self.door.counters.denied += 1
            return packets.SUBSCRIPTION_REFUSED
        self.door.subscribe(self.session, topic_filter, qos)
        return qos

    def _on_unsubscribe(self, packet: bytes, start: int) -> None:
        assert self.session is not None
        packet_id, filters = self.door.decoder.unsubscribe(packet)
        for topic_filter in filters:
            self.door.unsubscribe(self.session, topic_filter)
        self._write(packets.unsuback(packet_id))

    def _on_pingreq(self, packet: bytes, start: int) -> None:
        self._write(packets.PINGRESP_BYTES)

    def _on_disconnect(self, packet: bytes, start: int) -> None:
        self._connect = None  # with it goes the will (§3.14.4-3)
        self.close("the client disconnected")

    def _pump(self) -> None:
        assert self.session is not None
        self.session.pump(self.door.retained.get)

    @property
    def has_more(self) -> bool:
        """Whether retained messages wait that need no acknowledgement: they are sent in portions, as fast as the client reads."""
        return self.state is State.OPEN and self.session is not None and self.session.has_more

    def send_more(self) -> None:
        """Send the next portion; called when what was written before is on its way."""
        if self.has_more:
            self._pump()

    # --- the end ----------------------------------------------------------------------------------------------------------

    def check_silence(self, now_s: float) -> None:
        """Close the connection where it was silent for too long."""
        limits = self.door.limits
        if self.state is State.NEW and now_s - self._since_s > limits.connect_timeout_s:
            self.close("no CONNECT in time (broker.connect_timeout_s)")
        elif self.state is State.AUTHENTICATING and now_s - self._since_s > limits.authentication_timeout_s:
            self.close("not authenticated in time (broker.authentication_timeout_s)")
        elif self.state is State.OPEN and not self._paused and 0 < self._keep_alive_s < now_s - self._heard_s:
            self.close("silent for one and a half times its keep-alive (3.1.2-24)")

    def pause(self, *, paused: bool) -> None:
        """Nothing is read from the client for a while: its silence is ours."""
        self._paused = paused
        self._heard_s = self.door.now_s()

    def lost(self) -> None:
        """The network connection is gone."""
        self.close("the connection was lost")

    def close(self, why: str) -> None:
        """End the connection; its will is published unless the client said goodbye (§3.1.2.5)."""
        if self.state is State.CLOSED:
            return
        was_open = self.state is State.OPEN
        self.state = State.CLOSED
        self.why_closed = why
        self.door.connections.discard(self)
        if self.session is not None:
            self.door.close_session(self, self.session)
        will = self._connect.will if was_open and self._connect is not None else None
        if will is not None and self.identity is not None:
            self._publish_will(self.identity, will)
        self._wake(self)

    def _publish_will(self, identity: Identity, will: packets.Will) -> None:
        answer, publishing = may_publish(identity, will.topic)
        if answer.allowed and publishing is not None:
            incoming = Incoming(identity, publishing.kind, publishing.event_type, will.payload, self.door.now_ms())
            self.door.sink.offer(incoming, _nobody_waits)


class _Stored:
    """Acknowledges one message; a small object instead of a closure, because there is one for every message."""

    __slots__ = ("_connection", "_packet_id", "_qos", "_session")

    def __init__(self, connection: Connection, session: Session, qos: int, packet_id: int) -> None:
        self._connection = connection
        self._session = session
        self._qos = qos
        self._packet_id = packet_id

    def __call__(self, receipt: dict[str, Any]) -> None:
        if self._qos:
            self._connection.stored(self._session, self._qos, self._packet_id)


def _nobody_waits(receipt: dict[str, Any]) -> None:
    """A will's client is gone."""


def _packet_id(packet: bytes, start: int) -> int:
    if len(packet) != start + 2:
        raise ProtocolError("an acknowledgement is two bytes, its packet id (3.4)")
    return packet[start] << 8 | packet[start + 1]


_FLAGS: Final = {packets.PUBREL: 2, packets.SUBSCRIBE: 2, packets.UNSUBSCRIBE: 2}
_HANDLERS: Final[dict[int, Callable[[Connection, bytes, int], None]]] = {
    packets.PUBACK: Connection._on_puback,
    packets.PUBREC: Connection._on_pubrec,
    packets.PUBREL: Connection._on_pubrel,
    packets.PUBCOMP: Connection._on_pubcomp,
    packets.SUBSCRIBE: Connection._on_subscribe,
    packets.UNSUBSCRIBE: Connection._on_unsubscribe,
    packets.PINGREQ: Connection._on_pingreq,
    packets.DISCONNECT: Connection._on_disconnect,
}
