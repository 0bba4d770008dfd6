"""A bare MQTT client on asyncio, which keeps to the protocol only as far as its caller wants."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from helpers.mqtt import (
    CONNACK,
    PINGRESP,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBACK,
    UNSUBACK,
    Address,
    Packet,
    answer_packet,
    connect_packet,
    first_packet,
    publish_packet,
    subscribe_packet,
)

Heard = Callable[[str, bytes, int, int], None]
"""Called with topic, payload, QoS and packet id of every PUBLISH that arrives."""
ANSWER_S = 60.0


def nobody_listens(topic: str, payload: bytes, qos: int, packet_id: int) -> None:
    """Ignores incoming messages."""


class Gone(Exception):
    """The connection ended before the answer arrived, or no answer arrived in time."""


class Refused(Exception):
    """CONNACK with a refusal code."""


class Link(asyncio.Protocol):
    """One connection. Clients that do not acknowledge set `acknowledges` to False."""

    def __init__(self, heard: Heard) -> None:
        self.acknowledges = True
        self.session_present = False
        self.closed = asyncio.get_running_loop().create_future()
        self._heard = heard
        self._buffer = bytearray()
        self._waiting: dict[tuple[int, int], asyncio.Future[bytes]] = {}
        self._transport: asyncio.Transport

    @classmethod
    async def open(cls, address: Address, heard: Heard) -> Link:
        """Connect to the server.

        Raises:
            Gone: if that fails.
        """
        try:
            _, link = await asyncio.get_running_loop().create_connection(lambda: cls(heard), *address)
        except OSError as error:
            raise Gone from error
        return link

    # --- the network ------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Gone())
        self._waiting = {}

    @property
    def is_open(self) -> bool:
        return not self.closed.done() and not self._transport.is_closing()

    def cut(self) -> None:
        self._transport.abort()

    def goodbye(self) -> None:
        self.send(b"\xe0\x00")
        self._transport.close()

    def stop_reading(self) -> None:
        if self.is_open:
            self._transport.pause_reading()

    def send(self, data: bytes) -> None:
        if self.is_open:
            self._transport.write(data)

    async def is_closed(self, timeout_s: float) -> bool:
        """Whether the server closes the connection within this time."""
        done, _ = await asyncio.wait([self.closed], timeout=timeout_s)
        return bool(done)

    # --- packets in -------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        at = 0
        while (found := first_packet(self._buffer, at)) is not None:
            packet, at = found
            self._packet(packet)
        del self._buffer[:at]

    def _packet(self, packet: Packet) -> None:
        if packet.kind == PUBLISH:
            self._heard(packet.topic, packet.payload, packet.qos, packet.packet_id)
            if packet.qos and self.acknowledges:
                self.answer(PUBACK if packet.qos == 1 else PUBREC, packet.packet_id)
        elif packet.kind == PUBREL:
            self._heard("", b"", 2, packet.packet_id)
            if self.acknowledges:
                self.answer(PUBCOMP, packet.packet_id)
        elif packet.kind in (CONNACK, PUBACK, PUBREC, PUBCOMP, SUBACK, UNSUBACK, PINGRESP):
            waiting = self._waiting.pop((packet.kind, 0 if packet.kind in (CONNACK, PINGRESP) else packet.packet_id), None)
            if waiting is not None and not waiting.done():
                waiting.set_result(packet.body)

    # --- packets out ------------------------------------------------------------------------------------------------------

    def answer(self, kind: int, packet_id: int) -> None:
        self.send(answer_packet(kind, packet_id))

    async def ask(self, data: bytes, kind: int, packet_id: int = 0) -> bytes:
        """Send a packet and wait for its answer.

        Raises:
            Gone: if none arrives.
        """
        if not self.is_open:
            raise Gone
        answer = self._waiting[(kind, packet_id)] = asyncio.get_running_loop().create_future()
        self.send(data)
        try:
            return await asyncio.wait_for(answer, ANSWER_S)
        except TimeoutError as error:
            self.cut()
            raise Gone from error

    async def login(
        self, client_id: str, device: str, secret: str, *, clean: bool = True, keep_alive_s: int = 60, will: tuple[str, bytes] | None = None
    ) -> None:
        """Log in.

        Raises:
            Gone, Refused: if the server does not accept the login.
        """
        body = await self.ask(connect_packet(client_id, device, secret, clean=clean, keep_alive_s=keep_alive_s, will=will), CONNACK)
        if body[1]:
            raise Refused(str(body[1]))
        self.session_present = bool(body[0])

    async def subscribe(self, *filters: str, qos: int = 1, packet_id: int = 65_535) -> bytes:
        """The return codes."""
        return (await self.ask(subscribe_packet([(f, qos) for f in filters], packet_id), SUBACK, packet_id))[2:]

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, packet_id: int = 1, dup: bool = False, retain: bool = False) -> None:
        """Publish, and wait for PUBACK or PUBREC."""
        data = publish_packet(topic, payload, qos=qos, packet_id=packet_id, dup=dup and qos > 0, retain=retain)
        if qos:
            await self.ask(data, PUBACK if qos == 1 else PUBREC, packet_id)
        else:
            self.send(data)

    async def release(self, packet_id: int) -> None:
        await self.ask(answer_packet(PUBREL, packet_id), PUBCOMP, packet_id)
