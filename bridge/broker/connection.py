"""One client's connection: framing, the handshake and the QoS flows of MQTT 3.1.1, without a socket.

A `Connection` takes bytes with `receive` and gives bytes with `take_output`. PUBLISH, the acknowledgements and PINGREQ are handled here byte by byte; PUBACK
and PUBREC leave only when the pipeline says that the message's batch is committed, but for what nothing keeps (`FrontDoor.pass_on`). Sections in comments are
of the OASIS standard, MQTT Version 3.1.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from bridge.broker import packets
from bridge.broker.packets import ClientCertificate, Connect, ConnectCode, ProtocolError, RefusedConnect
from bridge.broker.sessions import Received, Session
from bridge.domain.access import Identity, Kind, may_publish, may_subscribe
from bridge.ingest.items import Acknowledge, Incoming
from devices.protocol.vocabulary import Role

if TYPE_CHECKING:
    from bridge.broker.front_door import FrontDoor

logger = logging.getLogger("dockbridge.broker")

CONNECT_BYTES_MAX: Final = 131_072
TOPICS_CACHED_MAX: Final = 256
"""Topics of one connection whose access answer is remembered."""
EARLY_BYTES_MAX: Final = 16_384
"""Bytes behind a CONNECT that are read before the client is let in."""
NO_PACKET_ID: Final = b"\0\0"
BURST_S: Final = 2.0
"""Seconds at `publish_rate_max` that a client may send at once after it was silent."""


class State(Enum):
    """Where a connection stands. OPENING: it is who it says, and its session is being stored."""

    NEW = auto()
    AUTHENTICATING = auto()
    OPENING = auto()
    OPEN = auto()
    CLOSED = auto()


class _Topic(NamedTuple):
    """What a publish to a topic is, see `Incoming`."""

    name: str
    kind: Kind
    event_type: str | None
    why_denied: str | None


class Connection:
    """One client's connection.

    Args:
        peer: where it comes from, for the log.
        wake: called when there is output to take, or when the connection has closed itself.
    """

    def __init__(self, door: FrontDoor, peer: str, wake: Callable[[Connection], None]) -> None:
        self.door = door
        self.peer = peer
        self.state = State.NEW
        self.identity: Identity | None = None
        self.session: Session | None = None
        self.certificate: ClientCertificate | None = None
        self.claim: tuple[str, str] | None = None
        """(device, client id) that it holds, or is about to."""
        self.why_closed: str | None = None
        self.is_full = False
        """Whether the network takes no more for now; the wire says so."""
        self._wake = wake
        self._buffer = bytearray()
        self._out: list[bytes] = []
        self._out_bytes = 0
        self._connect: Connect | None = None
        self._topics: dict[bytes, _Topic] = {}
        self._keep_alive_s = 0.0
        self._since_s = self._heard_s = door.now_s()
        self._paused = False
        self._is_reading = False
        self._needed = 0
        """Bytes that the packet needs whose beginning is in the buffer, at least."""
        self._received_ms = 0
        self._may_send = door.limits.publish_rate_max * BURST_S
        self._counted_s = self._since_s
        door.connections[self] = None
        door.counters.connections += 1

    @property
    def device(self) -> str | None:
        """Who is connected, or says so and is being checked."""
        if self.identity is not None:
            return self.identity.device
        if self._connect is None:
            return None
        return self._connect.username or (self.certificate.device if self.certificate is not None else None)

    @property
    def _known_device(self) -> str | None:
        """Who is connected, once that is known; what a stranger says of itself is not for the log."""
        return self.identity.device if self.identity is not None else None

    # --- bytes ------------------------------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes in. Whatever breaks the protocol closes the connection and nothing else."""
        self._heard_s = self.door.now_s()
        if self._buffer or self.state not in (State.NEW, State.OPEN):
            self._keep(data)
            self._read_on()
        else:
            self._read(data)

    def _keep(self, data: bytes) -> None:
        """Keep what can't be read yet."""
        self._buffer += data
        if self.state in (State.AUTHENTICATING, State.OPENING) and len(self._buffer) > self.door.limits.packet_bytes_max:
            self._broken("too much sent before CONNACK")

    def _read_on(self) -> None:
        """Read what was kept, once there is enough of it for a packet."""
        if self.state in (State.NEW, State.OPEN) and len(self._buffer) >= self._needed and not self._is_reading:
            data = bytes(self._buffer)
            self._buffer.clear()
            self._read(data)

    def _broken(self, why: str) -> None:
        self.door.counters.protocol_errors += 1
        self.door.notices.say("a connection was closed for breaking the protocol", self._known_device, self.peer, why)
        self.close(why)

    def take_output(self) -> bytes:
        """What is to be written now."""
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        self._out_bytes = 0
        return data

    def write(self, data: bytes) -> None:
        if not self._out:
            self._wake(self)
        self._out.append(data)
        self._out_bytes += len(data)

    @property
    def has_room(self) -> bool:
        """Whether more messages may be written to the client: it reads them, and not too much waits already (broker.output_bytes_max)."""
        return not self.is_full and self._out_bytes < self.door.limits.output_bytes_max

    def _read(self, data: bytes) -> None:
        """Read the packets that have come whole, and keep the rest. Most are PUBLISH and PUBACK: those two are taken out of the bytes without a detour."""
        # Somebody may answer at once what was asked by a packet that is being read: that is no reason to begin anew.
        self._is_reading = True
        self._received_ms = self.door.now_ms()
        at, size, acknowledged = 0, len(data), False
        self._needed = 0
        try:
            while at < size and self.state in (State.NEW, State.OPEN):
                # Nearly every packet has a remaining length of one byte or of two.
                if at + 1 < size and (length := data[at + 1]) < 0x80:
                    start = at + 2
                    end = start + length
                elif at + 2 < size and (high := data[at + 2]) < 0x80:
                    start = at + 3
                    end = start + (high << 7 | length & 0x7F)
                    self._check_size(end - start)
                else:
                    header = packets.read_header(data, at)
                    if header is None:
                        self._needed = size - at + 1
                        break
                    _, start, end = header
                    self._check_size(end - start)
                if end > size:
                    self._needed = end - at
                    break
                first = data[at]
                if self.state is State.NEW:
                    self._first_packet(first, data[at:end])
                elif first >> 4 == packets.PUBLISH:
                    self._on_publish(first, data, start, end)
                elif first == _PUBACK:
                    assert self.session is not None
                    self.session.on_puback(_packet_id(data, start, end))
                    acknowledged = True
                else:
                    if acknowledged:
                        acknowledged = False
                        self._pump()
                    self._packet(first, data[at:end], start - at)
                at = end
            if acknowledged and self.state is State.OPEN:
                self._pump()
        except ProtocolError as error:
            self._broken(str(error))
        except RefusedConnect as error:
            self._refuse(error.code, str(error))
        except Exception as error:  # noqa: BLE001 -- a fault of ours costs the client that found it, and nobody else
            self.door.counters.faults += 1
            logger.error("a fault at the front door, with a packet of %s: %s: %s", self.peer, type(error).__name__, error)
            self.close("the server could not handle a packet")
        self._is_reading = False
        if at < size and self.state is not State.CLOSED:
            self._keep(data[at:])

    def _check_size(self, length: int) -> None:
        limit = CONNECT_BYTES_MAX if self.state is State.NEW else self.door.limits.packet_bytes_max
        if length > limit:
            raise ProtocolError(f"a packet of {length} bytes, {limit} at most (broker.packet_bytes_max)")

    def _first_packet(self, first: int, packet: bytes) -> None:
        if first >> 4 != packets.CONNECT:
            raise ProtocolError("the first packet is not CONNECT (3.1.0-1)")
        self._on_connect(packet)

    def _packet(self, first: int, packet: bytes, start: int) -> None:
        kind = first >> 4
        if kind not in _FLAGS:
            raise ProtocolError(f"packet type {kind} is not for a server")
        if first & 0x0F != _FLAGS[kind]:
            raise ProtocolError(f"packet type {kind} with reserved flags set (2.2.2-2)")
        _HANDLERS[kind](self, packet, start)

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
        connect = self._connect
        self.identity = identity
        try:
            if connect.will is not None and not (answer := may_publish(identity, connect.will.topic)[0]).allowed:
                raise RefusedConnect(ConnectCode.NOT_AUTHORIZED, f"the will's topic is not allowed: {answer.rule}")
            self.state = State.OPENING
            self.door.open_session(self, identity, connect)
        except RefusedConnect as error:
            self._refuse(error.code, str(error))

    def opened(self, session: Session, *, present: bool) -> None:
        """Its session is there, and stored where it has to be."""
        assert self._connect is not None
        if not session.read_in_flight():
            self._refuse(ConnectCode.SERVER_UNAVAILABLE, "what its session is owed can't be read now")
            return
        self.session = session
        self.state = State.OPEN
        self._heard_s = self.door.now_s()
        self._keep_alive_s = self._connect.keep_alive_s * 1.5
        self.write(packets.connack(session_present=present, code=ConnectCode.ACCEPTED))
        session.attach(self)
        session.pump()
        self.door.after_pump(session)
        self._read_on()

    def unavailable(self) -> None:
        """Too many are being checked already; the client may come back later."""
        if self.state is State.AUTHENTICATING:
            self._refuse(ConnectCode.SERVER_UNAVAILABLE, "too many log in at once")

    def _refuse(self, code: ConnectCode, why: str) -> None:
        self.door.counters.refused += 1
        if code is not ConnectCode.BAD_CREDENTIALS:  # those are told with their count; see `logins.py`
            self.door.notices.say("a login was refused", self._known_device, self.peer, why)
        self.write(packets.connack(session_present=False, code=code))
        self._connect = None
        self.close(why)

    # --- PUBLISH ----------------------------------------------------------------------------------------------------------

    def _on_publish(self, first: int, data: bytes, start: int, end: int) -> None:
        qos = first >> 1 & 3
        if qos == 3:
            raise ProtocolError("PUBLISH with QoS 3 (3.3.1-4)")
        if first & 8 and not qos:
            raise ProtocolError("PUBLISH at QoS 0 with DUP (3.3.1-2)")
        body = start + 2 + (data[start] << 8 | data[start + 1]) if start + 2 <= end else end + 1
        payload_at = body + 2 if qos else body
        if payload_at > end:
            raise ProtocolError("PUBLISH ends before its payload begins (3.3.2)")
        name = data[start + 2 : body]
        topic = self._topics.get(name) or self._look_at_topic(name)
        packet_id = data[body:payload_at]
        if packet_id == NO_PACKET_ID:
            raise ProtocolError("packet id 0 (2.3.1-1)")
        self._may_send -= 1
        payload = data[payload_at:end]
        if qos == 2:
            self._accept_once(topic, payload, packet_id, retain=bool(first & 1))
        elif topic.kind is Kind.PLAIN and not first & 1 and self.door.pass_on(topic.name, payload, qos):
            if qos:
                self.write(packets.PUBACK_HEAD + packet_id)
        else:
            acknowledge = partial(self._acknowledge, packets.PUBACK_HEAD + packet_id) if qos else _nobody_waits
            self._accept(topic, payload, qos, bool(first & 1), 0, 0, acknowledge)

    def _look_at_topic(self, name: bytes) -> _Topic:
        assert self.identity is not None
        try:
            text = name.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("a topic name that is not UTF-8 (1.5.3-1)") from error
        if not text or "\0" in text or "+" in text or "#" in text:
            raise ProtocolError("a topic name that is empty, or has a wildcard or NUL in it (3.3.2-2)")
        if len(name) > self.door.limits.topic_bytes_max or text.count("/") >= self.door.limits.topic_levels_max:
            raise ProtocolError("a topic name that is too long (broker.topic_bytes_max, broker.topic_levels_max)")
        answer, publishing = may_publish(self.identity, text)
        kind, event_type = publishing or (Kind.DENIED, None)
        why_denied = None if publishing is not None and answer.allowed else answer.rule
        topic = _Topic(text, Kind.DENIED if why_denied is not None else kind, event_type, why_denied)
        if len(self._topics) >= TOPICS_CACHED_MAX:
            self._topics.clear()
        self._topics[name] = topic
        return topic

    def _accept_once(self, topic: _Topic, payload: bytes, packet_id: bytes, *, retain: bool) -> None:
        """Take a QoS 2 message in, unless it came before; a repeat is answered again once the first is committed (§4.3.3)."""
        assert self.session is not None
        number = int.from_bytes(packet_id, "big")
        state = self.session.incoming.get(number)
        if state is None:
            self.session.incoming[number] = Received.OFFERED
            sid = self.session.sid
            try:
                self._accept(topic, payload, 2, retain, sid, number if sid else 0, partial(self._stored, self.session, number))
            except ProtocolError:
                del self.session.incoming[number]  # it was refused: when it comes again, it is looked at again
                raise
        elif state is not Received.OFFERED:
            self.write(packets.pubrec(number))

    def _accept(self, topic: _Topic, payload: bytes, qos: int, retain: bool, sid: int, packet_id: int, acknowledge: Acknowledge) -> None:
        """Hand a message to the pipeline, which acknowledges it once it is committed."""
        identity = self.identity
        assert identity is not None
        if topic.why_denied is not None:
            self.door.counters.denied += 1
        elif retain and topic.kind is Kind.PLAIN and payload and not self.door.has_room_for_retained(topic.name):
            raise ProtocolError("no more retained messages are kept (broker.retained_max)")
        incoming = Incoming(identity, topic.kind, topic.event_type, payload, self._received_ms, topic.why_denied, topic.name, qos, retain, sid, packet_id)
        self.door.sink.offer(incoming, acknowledge)
        if topic.why_denied is not None and identity.role is Role.LAB and not identity.reads_everything:
            # It can't read a receipt; an acknowledgement would be a silent success.
            raise ProtocolError(f"a publish that is not allowed: {topic.why_denied}")

    # A message's batch is committed: now, and not before, it is acknowledged (§4.3.2, §4.3.3).

    def _acknowledge(self, puback: bytes, receipt: bytes) -> None:
        if self.state is State.OPEN:
            self.write(puback)

    def _stored(self, session: Session, packet_id: int, receipt: bytes) -> None:
        if session.incoming.get(packet_id) is Received.OFFERED:
            session.incoming[packet_id] = Received.STORED
        if self.state is State.OPEN:
            self.write(packets.pubrec(packet_id))
        elif session.wire is not None:
            session.wire.write(packets.pubrec(packet_id))  # the client came back over another connection, and sent it again

    # --- the other packets ------------------------------------------------------------------------------------------------

    def _on_pubrec(self, packet: bytes, start: int) -> None:
        assert self.session is not None
        answer = self.session.on_pubrec(_packet_id(packet, start, len(packet)))
        if answer:
            self.write(answer)

    def _on_pubrel(self, packet: bytes, start: int) -> None:
        """The client knows that its message is stored; the id is free again. Answered also where the id is not known (§4.3.3)."""
        assert self.session is not None
        self.door.release(self, self.session, _packet_id(packet, start, len(packet)))

    def _on_pubcomp(self, packet: bytes, start: int) -> None:
        assert self.session is not None
        self.session.on_pubcomp(_packet_id(packet, start, len(packet)))
        self._pump()

    def _on_subscribe(self, packet: bytes, start: int) -> None:
        assert self.session is not None
        packet_id, subscriptions = self.door.decoder.subscribe(packet)
        self._may_send -= len(subscriptions)
        # The last of several subscriptions to one filter holds (§3.8.4), and each filter's retained messages are looked for once.
        wanted = {s.topic_filter: s.qos for s in subscriptions}
        self.door.subscribe(self, self.session, wanted, packet_id, [s.topic_filter for s in subscriptions])

    def why_not(self, topic_filter: str) -> str:
        """Why a filter is not granted; empty where it is."""
        assert self.identity is not None
        limits = self.door.limits
        if topic_filter.count("/") >= limits.topic_levels_max or len(topic_filter.encode()) > limits.topic_bytes_max:
            return "it is too long (broker.topic_bytes_max, broker.topic_levels_max)"
        if not may_subscribe(self.identity, topic_filter, self.door.in_open_job).allowed:
            return f"its role does not allow it; `dockbridge access why {self.identity.device} subscribe FILTER` names the rule"
        return ""

    def say_refused(self, why: str) -> None:
        """Log that a filter was not granted."""
        self.door.notices.say("a filter was refused", self._known_device, self.peer, why)

    def _on_unsubscribe(self, packet: bytes, start: int) -> None:
        assert self.session is not None
        packet_id, filters = self.door.decoder.unsubscribe(packet)
        self._may_send -= len(filters)
        self.door.unsubscribe(self, self.session, filters, packet_id)

    def _on_pingreq(self, packet: bytes, start: int) -> None:
        _check_no_body(packet, start)
        self.write(packets.PINGRESP_BYTES)

    def _on_disconnect(self, packet: bytes, start: int) -> None:
        _check_no_body(packet, start)
        self._connect = None  # with it goes the will (§3.14.4-3)
        self.close("the client disconnected")

    def _pump(self) -> None:
        assert self.session is not None
        self.session.pump()
        self.door.after_pump(self.session)

    @property
    def has_more(self) -> bool:
        """Whether retained messages wait that need no acknowledgement: they are sent in portions, as fast as the client reads."""
        return self.state is State.OPEN and self.session is not None and self.session.has_more

    def send_more(self) -> None:
        """Send the next portion; called when what was written before is on its way."""
        if self.state is State.OPEN:
            self._pump()

    def charge(self, messages: int) -> None:
        """Count work that was done for the client as so many messages of its own (broker.publish_rate_max)."""
        self._may_send -= messages

    @property
    def is_early(self) -> bool:
        """Whether the client has sent enough for as long as nobody knows who it is; the rest may wait in the network."""
        return self.state in (State.AUTHENTICATING, State.OPENING) and len(self._buffer) > EARLY_BYTES_MAX

    def throttle_s(self) -> float:
        """Seconds for which nothing more is to be read from the client, because it publishes or subscribes faster than it may (broker.publish_rate_max)."""
        rate = self.door.limits.publish_rate_max
        now_s = self.door.now_s()
        self._may_send = min(self._may_send + (now_s - self._counted_s) * rate, rate * BURST_S)
        self._counted_s = now_s
        return -self._may_send / rate if self._may_send < 0 else 0.0

    # --- the end ----------------------------------------------------------------------------------------------------------

    def check_silence(self, now_s: float) -> None:
        """Close the connection where it was silent for too long."""
        limits = self.door.limits
        if self.state is State.NEW and not self._paused and now_s - self._since_s > limits.connect_timeout_s:
            self.close("no CONNECT in time (broker.connect_timeout_s)")
        elif self.state in (State.AUTHENTICATING, State.OPENING) and now_s - self._since_s > limits.authentication_timeout_s:
            self.close("not authenticated in time (broker.authentication_timeout_s)")
        elif self.state is State.OPEN and not self._paused and 0 < self._keep_alive_s < now_s - self._heard_s:
            self.close("silent for one and a half times its keep-alive (3.1.2-24)")

    def pause(self, *, paused: bool) -> None:
        """Nothing is read from the client for a while: its silence is ours."""
        self._paused = paused
        self._heard_s = self.door.now_s()
        if self.state is State.NEW:
            self._since_s = self._heard_s

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
        self._buffer.clear()  # a login that is still being checked keeps the connection, and must not keep what it sent
        self.door.connections.pop(self, None)
        self.door.close_session(self)
        will = self._connect.will if was_open and self._connect is not None else None
        if will is not None and self.identity is not None:
            self._publish_will(self.identity, will)
        self._wake(self)

    def _publish_will(self, identity: Identity, will: packets.Will) -> None:
        answer, publishing = may_publish(identity, will.topic)
        if answer.allowed and publishing is not None:
            kind, event_type = publishing
            retain = will.retain and (kind is not Kind.PLAIN or not will.payload or self.door.has_room_for_retained(will.topic))
            if retain is not will.retain:
                self.door.counters.denied += 1
                self.door.notices.say("a will was not retained", identity.device, self.peer, "no more retained messages are kept (broker.retained_max)")
            incoming = Incoming(identity, kind, event_type, will.payload, self.door.now_ms(), None, will.topic, will.qos, retain)
            self.door.sink.offer(incoming, _nobody_waits)


def _nobody_waits(receipt: bytes) -> None:
    """A message at QoS 0, or a will whose client is gone."""


def _check_no_body(packet: bytes, start: int) -> None:
    if len(packet) != start:
        raise ProtocolError("a packet with a body where there is none (3.12, 3.14)")


def _packet_id(packet: bytes, start: int, end: int) -> int:
    if end != start + 2:
        raise ProtocolError("an acknowledgement is two bytes, its packet id (3.4)")
    packet_id = packet[start] << 8 | packet[start + 1]
    if not packet_id:
        raise ProtocolError("packet id 0 (2.3.1-1)")
    return packet_id


_PUBACK: Final = packets.PUBACK << 4
_FLAGS: Final = dict.fromkeys((packets.PUBACK, packets.PUBREC, packets.PUBCOMP, packets.PINGREQ, packets.DISCONNECT), 0) | dict.fromkeys(
    (packets.PUBREL, packets.SUBSCRIBE, packets.UNSUBSCRIBE), 2
)
"""The types that a server takes after CONNECT, PUBLISH left out, with the flags that they have (§2.2.2)."""
_HANDLERS: Final[dict[int, Callable[[Connection, bytes, int], None]]] = {
    packets.PUBREC: Connection._on_pubrec,
    packets.PUBREL: Connection._on_pubrel,
    packets.PUBCOMP: Connection._on_pubcomp,
    packets.SUBSCRIBE: Connection._on_subscribe,
    packets.UNSUBSCRIBE: Connection._on_unsubscribe,
    packets.PINGREQ: Connection._on_pingreq,
    packets.DISCONNECT: Connection._on_disconnect,
}
