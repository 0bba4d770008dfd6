"""What a device did and saw, read off its line: for devices that keep no record themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from firmware_sim.link import packets
from firmware_sim.link.client import Numbers
from firmware_sim.record import Acknowledged, Connected, Entry, Lost, Published, Received, Refused, Subscribed

_SUBSCRIBE: Final = 0x80


class Tap:
    """Reads one connection of a device. A publish counts when it leaves the device, an answer when it reaches it."""

    def __init__(self, device: str, numbers: Numbers, now_ms: Callable[[], int], see: Callable[[Entry], None]) -> None:
        self.device = device
        self._numbers = numbers
        self._now_ms = now_ms
        self._see = see
        self._waiting: dict[int, int] = {}
        self._asked: dict[int, tuple[str, ...]] = {}

    def number_of(self, packet_id: int) -> int | None:
        """The number in the run of a PUBLISH that waits for its PUBACK."""
        return self._waiting.get(packet_id)

    def up(self, packet: bytes) -> None:
        (whole,) = packets.Cutter().feed(packet)
        kind = whole.first & 0xF0
        if kind == packets.PUBLISH:
            sent = packets.read_delivery(whole)
            no = self._numbers.next()
            if sent.qos:
                self._waiting[sent.packet_id] = no
            self._see(Published(self._now_ms(), self.device, no, sent.topic, sent.payload, sent.qos, sent.retain))
        elif kind == _SUBSCRIBE:
            self._asked[int.from_bytes(whole.body[:2], "big")] = _filters(whole.body[2:])

    def down(self, packet: bytes) -> None:
        (whole,) = packets.Cutter().feed(packet)
        now_ms, body = self._now_ms(), whole.body
        match whole.first & 0xF0:
            case packets.CONNACK if body[1]:
                self._see(Refused(now_ms, self.device, body[1]))
            case packets.CONNACK:
                self._see(Connected(now_ms, self.device, bool(body[0])))
            case packets.SUBACK:
                asked = self._asked.pop(int.from_bytes(body[:2], "big"), ())
                self._see(Subscribed(now_ms, self.device, tuple(zip(asked, body[2:], strict=False))))
            case packets.PUBACK:
                no = self._waiting.pop(int.from_bytes(body, "big"), None)
                if no is not None:
                    self._see(Acknowledged(now_ms, self.device, no))
            case packets.PUBLISH:
                got = packets.read_delivery(whole)
                self._see(Received(now_ms, self.device, got.topic, got.payload, got.qos, got.retain, got.dup))

    def ended(self) -> None:
        self._see(Lost(self._now_ms(), self.device, "its connection ended"))


def _filters(rest: bytes) -> tuple[str, ...]:
    found = []
    while rest:
        end = 2 + int.from_bytes(rest[:2], "big")
        found.append(rest[2:end].decode())
        rest = rest[end + 1 :]
    return tuple(found)
