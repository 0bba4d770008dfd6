"""MQTT 3.1.1 clients with persistent sessions that come back whenever the server does, and keep the client's half of QoS 1 and 2 (§4.3, §4.4).

Where the server still has the session, what is unanswered is sent again in its order, with DUP. Where it has lost it, the client forgets its state too, as
§4.1 says: QoS 1 is published anew; QoS 2 without PUBREC is given up, because nobody can know whether it was taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from random import Random
from typing import Final, NamedTuple

from firmware_sim.link import packets
from firmware_sim.link.packets import Broken, Cutter, Delivery, Packet
from firmware_sim.torture.ledger import Book, Id
from firmware_sim.torture.plan import Message, Taker

WINDOW: Final = 20
"""Messages of one publisher in flight."""
BACK_FIRST_S: Final = 0.02
BACK_MAX_S: Final = 0.25
"""A client comes back after a random time between these."""
CONNECT_TIMEOUT_S: Final = 10.0
_PACKET_ID_MAX: Final = 65_535
_SERVER_UNAVAILABLE: Final = 3
_REFUSED_SUBSCRIPTION: Final = 0x80
_SUBSCRIBE_ID: Final = 1


class Login(NamedTuple):
    """Where and as whom a client connects."""

    host: str
    port: int
    client_id: str
    username: str | None
    password: str | None


class _Link(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, client: Client) -> None:
        self.lost = asyncio.Event()
        self.transport: asyncio.Transport
        self._client = client
        self._cutter = Cutter()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._client.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._client.link is not self:
            return
        try:
            for packet in self._cutter.feed(data):
                self._client.take(packet)
        except (Broken, UnicodeDecodeError) as error:
            self._client.trouble = f"{self._client.name}: the server sent {error}"
            self.transport.abort()
        self._client.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self._client.closed(self)


class Client:
    """A client that is connected whenever that is possible. Subclasses say what they do with a session and with packets."""

    def __init__(self, login: Login, name: str, book: Book, rng: Random) -> None:
        self.name = name
        self.login = login
        self.link: _Link | None = None
        self.is_online = False
        """CONNACK has come."""
        self.packets = 0
        """Packets that came, to see whether anything still comes."""
        self.trouble: str | None = None
        """What makes the run pointless."""
        self.book = book
        self._rng = rng
        self._has_session = False
        self._out = bytearray()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._keep_connected(), name=f"torture {self.name}")

    async def stop(self) -> None:
        """Leave without a word; the server keeps the session."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        if self.link is not None:
            self.link.transport.abort()

    # --- what a kind of client adds ---------------------------------------------------------------------------------------

    def on_session(self, *, is_kept: bool, is_lost: bool) -> None:
        """CONNACK has come. `is_kept`: the server has the session; `is_lost`: it had it, and has it no more."""
        raise NotImplementedError

    def on_packet(self, packet: Packet) -> None:
        raise NotImplementedError

    # --- for links --------------------------------------------------------------------------------------------------------

    def opened(self, link: _Link) -> None:
        self.link = link
        self._out.clear()
        link.transport.write(packets.connect(self.login.client_id, self.login.username, self.login.password))

    def closed(self, link: _Link) -> None:
        if self.link is link:
            self.link = None
            self.is_online = False

    def take(self, packet: Packet) -> None:
        self.packets += 1
        if packet.first == packets.CONNACK:
            self._on_connack(packet)
        elif self.is_online:
            self.on_packet(packet)
        else:
            raise Broken(f"a packet {packet.first:#04x} before CONNACK")

    def write(self, data: bytes) -> None:
        self._out += data

    def flush(self) -> None:
        if self._out and self.link is not None:
            self.link.transport.write(bytes(self._out))
            self._out.clear()

    # --- helpers ----------------------------------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    _, link = await loop.create_connection(lambda: _Link(self), self.login.host, self.login.port)
                await link.lost.wait()
            await asyncio.sleep(self._rng.uniform(BACK_FIRST_S, BACK_MAX_S))

    def _on_connack(self, packet: Packet) -> None:
        if len(packet.body) != 2:
            raise Broken(f"a CONNACK with {len(packet.body)} bytes")
        is_kept, code = bool(packet.body[0] & 1), packet.body[1]
        if code:
            if code != _SERVER_UNAVAILABLE:
                self.trouble = f"the server does not admit {self.name} (CONNACK {code})"
            if self.link is not None:
                self.link.transport.abort()
            return
        is_lost = self._has_session and not is_kept
        self.book.sessions_lost += is_lost
        self._has_session = self.is_online = True
        self.on_session(is_kept=is_kept, is_lost=is_lost)


@dataclass(slots=True)
class Gate:
    """How many messages all publishers may send together, so that each kill falls into work that is left for it."""

    allowed: int = 0
    used: int = 0


@dataclass(frozen=True, slots=True)
class _Flight:
    """A message that is not finished. `is_received`: PUBREC has come, and PUBREL is what is sent from now on."""

    message: Message
    is_received: bool = False


class Publisher(Client):
    """Publishes its messages in order, at most `WINDOW` at a time."""

    def __init__(self, login: Login, name: str, book: Book, rng: Random, messages: Iterable[Message], gate: Gate) -> None:
        super().__init__(login, name, book, rng)
        self._waiting = deque(messages)
        self._anew: deque[Message] = deque()
        self._gate = gate
        self._flights: dict[int, _Flight] = {}
        self._packet_id = 0

    @property
    def is_finished(self) -> bool:
        return not (self._waiting or self._anew or self._flights)

    def pump(self) -> None:
        """Send what may be sent now."""
        if not self.is_online:
            return
        while len(self._flights) < WINDOW and (message := self._next()) is not None:
            packet_id = self._free_id()
            self._flights[packet_id] = _Flight(message)
            self._send(packet_id, message, dup=False)
        self.flush()

    def on_session(self, *, is_kept: bool, is_lost: bool) -> None:
        if is_kept:
            # [MQTT-4.4.0-1]: PUBLISH and PUBREL that are not answered are sent again with their packet ids, [MQTT-4.6.0-1] in their order.
            for packet_id, flight in self._flights.items():
                if flight.is_received:
                    self.write(packets.answer(packets.PUBREL, packet_id))
                else:
                    self._send(packet_id, flight.message, dup=True)
        else:
            self._forget()
        self.pump()

    def on_packet(self, packet: Packet) -> None:
        packet_id = packets.read_answer(packet)
        flight = self._flights.get(packet_id)
        qos = flight.message.group.qos if flight is not None else None
        if packet.first == packets.PUBREC and qos != 1:
            self._on_pubrec(packet_id, flight)
        elif flight is not None and (packet.first, qos) in ((packets.PUBACK, 1), (packets.PUBCOMP, 2)):
            del self._flights[packet_id]
            self.book.acknowledged.add(flight.message.id)
        elif flight is not None:
            raise Broken(f"a packet {packet.first:#04x} for a message with QoS {qos}")
        self.pump()

    def _on_pubrec(self, packet_id: int, flight: _Flight | None) -> None:
        if flight is not None and not flight.is_received:
            self.book.acknowledged.add(flight.message.id)
            self._flights[packet_id] = replace(flight, is_received=True)
        self.write(packets.answer(packets.PUBREL, packet_id))

    def _forget(self) -> None:
        """The session is gone, and with it what the packet ids meant."""
        for flight in self._flights.values():
            if flight.message.group.qos == 1:
                self._anew.append(flight.message)
            elif not flight.is_received:
                self.book.given_up.add(flight.message.id)
        self._flights.clear()

    def _next(self) -> Message | None:
        if self._anew:
            return self._anew.popleft()
        if not self._waiting or self._gate.used >= self._gate.allowed:
            return None
        self._gate.used += 1
        message = self._waiting.popleft()
        self.book.sent[message.id] = message.group
        return message

    def _send(self, packet_id: int, message: Message, *, dup: bool) -> None:
        self.write(packets.publish(message.topic, message.payload, qos=message.group.qos, packet_id=packet_id, dup=dup))

    def _free_id(self) -> int:
        while True:
            self._packet_id = self._packet_id % _PACKET_ID_MAX + 1
            if self._packet_id not in self._flights:
                return self._packet_id


class Subscriber(Client):
    """Takes what one filter brings, and says who sent it.

    Args:
        identify: the message behind a delivery; None where nobody sent it.
    """

    def __init__(self, login: Login, taker: Taker, book: Book, rng: Random, identify: Callable[[Delivery], Id | None]) -> None:
        super().__init__(login, taker.name, book, rng)
        self.is_subscribed = False
        self._taker = taker
        self._identify = identify
        self._open: set[int] = set()
        """Packet ids of QoS 2 that are received and not released (§4.3.3, method B)."""
        book.subscribe(taker.name, taker.subscription)

    @property
    def is_settled(self) -> bool:
        """Whether no QoS 2 exchange is under way."""
        return self.is_online and self.is_subscribed and not self._open

    def on_session(self, *, is_kept: bool, is_lost: bool) -> None:
        if not is_kept:
            self._open.clear()
            self.is_subscribed = False
        if not self.is_subscribed:
            self.write(packets.subscribe(_SUBSCRIBE_ID, self._taker.topic_filter, qos=self._taker.subscription.qos))

    def on_packet(self, packet: Packet) -> None:
        match packet.first & 0xF0:
            case packets.PUBLISH:
                self._on_delivery(packets.read_delivery(packet))
            case packets.SUBACK:
                self.is_subscribed = True
                if packet.body[-1] == _REFUSED_SUBSCRIPTION:
                    self.trouble = f"the server does not let {self.name} subscribe to {self._taker.topic_filter}"
            case _:
                packet_id = packets.read_answer(packet)
                if packet.first != packets.PUBREL:
                    raise Broken(f"a packet {packet.first:#04x} for a subscriber")
                self._open.discard(packet_id)
                self.write(packets.answer(packets.PUBCOMP, packet_id))

    def _on_delivery(self, delivery: Delivery) -> None:
        if delivery.qos == 1:
            self._hand_over(delivery)
            self.write(packets.answer(packets.PUBACK, delivery.packet_id))
            return
        if delivery.packet_id not in self._open:
            self._open.add(delivery.packet_id)
            self._hand_over(delivery)
        self.write(packets.answer(packets.PUBREC, delivery.packet_id))

    def _hand_over(self, delivery: Delivery) -> None:
        identity = self._identify(delivery)
        if identity is None or identity not in self.book.sent:
            self.book.foreign.append(f"{delivery.topic} {delivery.payload!r} at {self.name}")
        else:
            self.book.arrive(self.name, identity, delivery.qos)
