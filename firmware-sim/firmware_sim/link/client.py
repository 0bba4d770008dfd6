"""A device's MQTT 3.1.1 client, without a socket: a firmware's actions become bytes, and what comes becomes its inbox and the record.

It keeps to the protocol and repeats nothing by itself: what is sent again is the firmware's business. Sections in comments are of MQTT Version 3.1.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from firmware_sim.firmware.actions import Acknowledged, Connect, Connected, Item, Publish, Received
from firmware_sim.link import packets
from firmware_sim.record import Acknowledged as SawAcknowledged
from firmware_sim.record import Connected as SawConnected
from firmware_sim.record import Entry
from firmware_sim.record import Published as SawPublished
from firmware_sim.record import Received as SawReceived
from firmware_sim.record import Refused as SawRefused
from firmware_sim.record import Subscribed as SawSubscribed

KEEP_ALIVE_S: Final = 30
PACKET_ID_MAX: Final = 65_535


class Numbers:
    """Counts the publishes of a run."""

    def __init__(self) -> None:
        self.last = 0

    def next(self) -> int:
        self.last += 1
        return self.last


class Client:
    """One connection of one device, from CONNECT to its end.

    Args:
        send: takes a whole packet, towards the server; with the number of the PUBLISH, 0 where it is none.
        see: takes what goes into the record.
        clean: whether its session ends with the connection.
    """

    def __init__(
        self,
        device: str,
        password: str,
        numbers: Numbers,
        send: Callable[[bytes, int], None],
        see: Callable[[Entry], None],
        *,
        clean: bool = False,
    ) -> None:
        self.device = device
        self.is_open = False
        self.is_over = False
        self._password = password
        self._numbers = numbers
        self._send = send
        self._see = see
        self._clean = clean
        self._cutter = packets.Cutter()
        self._packet_id = 0
        self._waiting: dict[int, tuple[int, int | None]] = {}
        """Number in the run and token of each PUBLISH that waits for its PUBACK, by packet id."""
        self._asked: dict[int, tuple[str, ...]] = {}

    def number_of(self, packet_id: int) -> int | None:
        """The number in the run of a PUBLISH that waits for its PUBACK."""
        waiting = self._waiting.get(packet_id)
        return waiting[0] if waiting is not None else None

    # --- out --------------------------------------------------------------------------------------------------------------

    def connect(self, connect: Connect) -> None:
        will = packets.Will(connect.will.topic, connect.will.payload, connect.will.qos, connect.will.retain)
        self._send(packets.connect(self.device, self.device, self._password, will=will, keep_alive_s=KEEP_ALIVE_S, is_clean=self._clean), 0)

    def publish(self, publish: Publish, now_ms: int) -> int:
        """Send a message; its number in the run."""
        no = self._numbers.next()
        packet_id = self._next_id() if publish.qos else 0
        if publish.qos:
            self._waiting[packet_id] = (no, publish.token)
        self._see(SawPublished(now_ms, self.device, no, publish.topic, publish.payload, publish.qos, publish.retain))
        self._send(packets.publish(publish.topic, publish.payload, qos=publish.qos, packet_id=packet_id, retain=publish.retain), no)
        return no

    def subscribe(self, filters: tuple[str, ...]) -> None:
        packet_id = self._next_id()
        self._asked[packet_id] = filters
        self._send(packets.subscribe(packet_id, *filters, qos=1), 0)

    def ping(self) -> None:
        self._send(packets.PINGREQ, 0)

    def disconnect(self) -> None:
        self._send(packets.DISCONNECT, 0)

    def _next_id(self) -> int:
        """A packet id that is not in use (§2.3.1)."""
        while True:
            self._packet_id = self._packet_id % PACKET_ID_MAX + 1
            if self._packet_id not in self._waiting and self._packet_id not in self._asked:
                return self._packet_id

    # --- in ---------------------------------------------------------------------------------------------------------------

    def feed(self, data: bytes, now_ms: int) -> list[Item]:
        """Take bytes in; what the firmware is to know of them.

        Raises:
            Broken: the server does not keep to the protocol.
        """
        return [item for packet in self._cutter.feed(data) if (item := self._take(packet, now_ms)) is not None]

    def _take(self, packet: packets.Packet, now_ms: int) -> Item | None:
        kind = packet.first & 0xF0
        if not self.is_open and kind != packets.CONNACK:
            raise packets.Broken(f"a packet {packet.first:#04x} before CONNACK")
        if kind == packets.PUBLISH:
            return self._on_publish(packet, now_ms)
        if kind == packets.PUBACK:
            return self._on_puback(packets.read_answer(packet), now_ms)
        if kind == packets.CONNACK:
            return self._on_connack(packet.body, now_ms)
        if kind == packets.SUBACK:
            asked = self._asked.pop(int.from_bytes(packet.body[:2], "big"), None)
            if asked is None or len(asked) != len(packet.body) - 2:
                raise packets.Broken("a SUBACK for nothing that was asked")
            self._see(SawSubscribed(now_ms, self.device, tuple(zip(asked, packet.body[2:], strict=True))))
        elif kind != packets.PINGRESP:
            raise packets.Broken(f"a packet {packet.first:#04x}")
        return None

    def _on_connack(self, body: bytes, now_ms: int) -> Item | None:
        if self.is_open or len(body) != 2:
            raise packets.Broken("a CONNACK that nobody waits for")
        if body[1]:
            self._see(SawRefused(now_ms, self.device, body[1]))
            return None
        self.is_open = True
        self._see(SawConnected(now_ms, self.device, bool(body[0])))
        return Connected()

    def _on_publish(self, packet: packets.Packet, now_ms: int) -> Item:
        delivery = packets.read_delivery(packet)
        self._see(SawReceived(now_ms, self.device, delivery.topic, delivery.payload, delivery.qos, delivery.retain, delivery.dup))
        if delivery.qos == 1:
            self._send(packets.answer(packets.PUBACK, delivery.packet_id), 0)
        elif delivery.qos:
            raise packets.Broken("a PUBLISH at QoS 2 where 1 was asked for")
        return Received(delivery.topic, delivery.payload)

    def _on_puback(self, packet_id: int, now_ms: int) -> Item | None:
        found = self._waiting.pop(packet_id, None)
        if found is None:
            return None  # a repeat of what a fault doubled
        no, token = found
        self._see(SawAcknowledged(now_ms, self.device, no))
        return Acknowledged(token) if token is not None else None
