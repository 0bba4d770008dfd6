"""What a client publishes: PUBLISH out of the bytes, access, the way into the pipeline, and the acknowledgement after the commit (MQTT 3.1.1 §3.3, §4.3)."""

from __future__ import annotations

from functools import partial
from typing import Final, NamedTuple

from bridge.broker.client import Client
from bridge.broker.codec.reasons import ProtocolError
from bridge.broker.codec.v311 import PUBACK_HEAD, pubrec
from bridge.broker.door import FrontDoor
from bridge.broker.sessions import Received, Session
from bridge.broker.state import State
from bridge.domain.access import Identity, Kind, may_publish
from bridge.ingest.items import Acknowledge, Incoming
from bridge.ingest.sessions import IncomingIdRow
from devices.protocol.vocabulary import Role

TOPICS_CACHED_MAX: Final = 256
"""Topics of one connection whose access answer is remembered."""
NO_PACKET_ID: Final = b"\0\0"


class _Topic(NamedTuple):
    """What a publish to a topic is, see `Incoming`."""

    name: str
    kind: Kind
    event_type: str | None
    why_denied: str | None


class Publishing:
    """What one client publishes, from when it is let in."""

    __slots__ = ("_client", "_door", "_identity", "_pace", "_session", "_shared", "_sink", "_topics")

    def __init__(self, client: Client, door: FrontDoor, *, identity: Identity, session: Session) -> None:
        self._client = client
        self._pace = client.pace
        self._door = door
        self._shared = door.shared
        self._sink = door.shared.sink
        self._identity = identity
        self._session = session
        self._topics: dict[bytes, _Topic] = {}

    def on_publish(self, first: int, data: bytes, start: int, end: int) -> None:
        """Take the PUBLISH in whose first byte this is, and whose body lies between two places of the data.

        Raises:
            ProtocolError: if it is malformed, or not to be answered.
        """
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
        self._pace.may_send -= 1
        payload = data[payload_at:end]
        if qos == 2:
            self._accept_once(topic, payload, packet_id, first)
        elif topic.kind is Kind.PLAIN and not first & 1 and self._door.pass_on(topic.name, payload, qos):
            if qos:
                self._client.write(PUBACK_HEAD + packet_id)
        else:
            acknowledge = partial(self._acknowledge, PUBACK_HEAD + packet_id) if qos else _no_answer
            self._accept(topic, payload, qos, first, None, acknowledge)

    def _look_at_topic(self, name: bytes) -> _Topic:
        try:
            text = name.decode()
        except UnicodeDecodeError as error:
            raise ProtocolError("a topic name that is not UTF-8 (1.5.3-1)") from error
        if not text or "\0" in text or "+" in text or "#" in text:
            raise ProtocolError("a topic name that is empty, or has a wildcard or NUL in it (3.3.2-2)")
        limits = self._shared.limits
        if len(name) > limits.topic_bytes_max or text.count("/") >= limits.topic_levels_max:
            raise ProtocolError("a topic name that is too long (broker.topic_bytes_max, broker.topic_levels_max)")
        if self._identity.redeems is not None:
            raise ProtocolError("a PUBLISH of a client that redeems a claim: it publishes nothing")
        answer, publishing = may_publish(self._identity, text)
        kind, event_type = publishing or (Kind.DENIED, None)
        why_denied = None if publishing is not None and answer.allowed else answer.rule
        topic = _Topic(text, Kind.DENIED if why_denied is not None else kind, event_type, why_denied)
        if len(self._topics) >= TOPICS_CACHED_MAX:
            self._topics.clear()
        self._topics[name] = topic
        return topic

    def _accept_once(self, topic: _Topic, payload: bytes, packet_id: bytes, first: int) -> None:
        """Take a QoS 2 message in, unless it came before; a repeat is answered again once the first is committed (§4.3.3)."""
        session = self._session
        number = int.from_bytes(packet_id, "big")
        state = session.incoming.get(number)
        if state is None:
            session.incoming[number] = Received.OFFERED
            stores = IncomingIdRow(session.sid, number) if session.sid else None
            try:
                self._accept(topic, payload, 2, first, stores, partial(self._stored, number))
            except ProtocolError:
                del session.incoming[number]  # it was refused: when it comes again, it is looked at again
                raise
        elif state is not Received.OFFERED:
            self._client.write(pubrec(number))

    def _accept(self, topic: _Topic, payload: bytes, qos: int, first: int, settles: IncomingIdRow | None, acknowledge: Acknowledge) -> None:
        """Hand a message to the pipeline, which acknowledges it once it is committed. `first` is the first byte of its packet."""
        identity, retain = self._identity, bool(first & 1)
        if topic.why_denied is not None:
            self._shared.counters.denied += 1
        elif retain and topic.kind is Kind.PLAIN and payload and not self._door.has_room_for_retained(topic.name):
            raise ProtocolError("no more retained messages are kept (broker.retained_max)")
        received_ms = self._client.received_ms
        incoming = Incoming(identity, topic.kind, topic.event_type, payload, received_ms, topic.why_denied, topic.name, qos, retain, settles, bool(first & 8))
        self._sink.offer(incoming, acknowledge)
        if topic.why_denied is not None and identity.role is Role.LAB and not identity.reads_everything:
            # It can't read a receipt; an acknowledgement would be a silent success.
            raise ProtocolError(f"a publish that is not allowed: {topic.why_denied}")

    # A message's batch is committed: now, and not before, it is acknowledged (§4.3.2, §4.3.3).

    def _acknowledge(self, puback: bytes, receipt: bytes) -> None:
        if self._client.state is State.OPEN:
            self._client.write(puback)

    def _stored(self, packet_id: int, receipt: bytes) -> None:
        session = self._session
        if session.incoming.get(packet_id) is Received.OFFERED:
            session.incoming[packet_id] = Received.STORED
        if self._client.state is State.OPEN:
            self._client.write(pubrec(packet_id))
        elif session.wire is not None:
            session.wire.write(pubrec(packet_id))  # the client came back over another connection, and sent it again


def _no_answer(receipt: bytes) -> None:
    """A message at QoS 0."""
