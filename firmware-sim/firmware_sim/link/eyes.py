"""What somebody sees who comes now: a desk's client that subscribes to everything it may, and takes what is retained."""

from __future__ import annotations

import asyncio
from typing import Final, cast

from firmware_sim.link import packets
from firmware_sim.record import Cast

WHAT: Final = ("orders/#", "alerts/#", "devices/+/presence", "couriers/+/assignments/+", "bridge/state")
"""Below `v1/{site}/`: what the role desk may read."""
QUIET_S: Final = 1.0
"""After this long without a message nothing more is taken to come."""
PATIENCE_S: Final = 60.0
NAME: Final = "eyes-1"


async def look(address: tuple[str, int], site: str, device: str, password: str) -> dict[str, bytes]:
    """What is retained at the bridge, by topic.

    Raises:
        OSError: if no server answers.
    """
    loop = asyncio.get_running_loop()
    eyes = _Eyes(f"v1/{site}/", device, password)
    transport, _ = await loop.create_connection(lambda: eyes, *address)
    try:
        end_s = loop.time() + PATIENCE_S
        while not eyes.is_over and loop.time() < end_s and (eyes.granted is None or loop.time() < eyes.heard_s + QUIET_S):  # noqa: ASYNC110 -- for silence
            await asyncio.sleep(QUIET_S / 10)
    finally:
        transport.close()
    if eyes.granted is None or 0x80 in eyes.granted:
        raise ConnectionError("it is not admitted" if eyes.granted is None else f"the bridge grants {eyes.granted.hex(' ')}")
    return eyes.seen


def who_may(cast_of: dict[str, Cast], passwords: dict[str, str]) -> str | None:
    """A device of the role desk that has a password."""
    return next((c.device for c in cast_of.values() if c.role == "desk" and c.device in passwords), None)


class _Eyes(asyncio.Protocol):
    """A clean session under a client id of its own, so that nothing of the device's changes."""

    def __init__(self, base: str, device: str, password: str) -> None:
        self.seen: dict[str, bytes] = {}
        self.granted: bytes | None = None
        self.is_over = False
        self.heard_s = 0.0
        self._filters = [base + what for what in WHAT]
        self._device = device
        self._password = password
        self._cutter = packets.Cutter()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(packets.connect(f"{self._device}-looks", self._device, self._password, is_clean=True))

    def data_received(self, data: bytes) -> None:
        self.heard_s = asyncio.get_running_loop().time()
        answers = []
        for packet in self._cutter.feed(data):
            match packet.first & 0xF0:
                case packets.CONNACK:
                    if packet.body[1]:
                        self.is_over = True
                    answers.append(packets.subscribe(1, *self._filters, qos=1))
                case packets.SUBACK:
                    self.granted = packet.body[2:]
                case packets.PUBLISH:
                    delivery = packets.read_delivery(packet)
                    if delivery.payload:
                        self.seen[delivery.topic] = delivery.payload
                    else:
                        self.seen.pop(delivery.topic, None)
                    if delivery.qos:
                        answers.append(packets.answer(packets.PUBACK, delivery.packet_id))
        if answers:
            self._transport.write(b"".join(answers))

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over = True
