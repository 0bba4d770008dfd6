"""Couriers' phones that send their location: QoS 0, a batch every ten seconds, evenly spread over the fleet."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

from benchmarks.load.story import SITE
from benchmarks.load.wire import Client, publish
from devices.protocol import messages
from devices.protocol.topics import Topics

EVERY_S: Final = 10.0
POINTS: Final = 5
"""A point every two seconds, as from a phone in a moving van."""


def phone_name(number: int) -> str:
    return f"phone-{number}"


class Phone(Client):
    """One phone; it is subscribed to its receipts, as every device is."""

    def __init__(self, name: str, password: str | None) -> None:
        super().__init__(name, password, [Topics(SITE).receipts(name)])
        rng = random.Random(name)
        self.told = 0
        self._topic = Topics(SITE).location(name).encode()
        self._log, self._boot = rng.randbytes(8), rng.randbytes(8)
        self._at = (rng.randrange(500_000_000, 530_000_000), rng.randrange(80_000_000, 130_000_000))

    def tell(self) -> None:
        now_ms = time.monotonic_ns() // 1_000_000
        lat, lon = self._at
        points = [[now_ms - 2_000 * n, lat + n * 50, lon + n * 80, 8, 120] for n in reversed(range(POINTS))]
        payload = messages.encode_cbor({"log": self._log, "boot": self._boot, "sent_mono_ms": now_ms, "points": points})
        self.transport.write(publish(self._topic, payload, 0))
        self.told += 1


async def tell_locations(phones: Sequence[Phone]) -> None:
    """One phone after the other, until cancelled, so that each sends once every `EVERY_S`."""
    if not phones:
        return
    start_s = time.perf_counter()
    number = 0
    while True:
        due_s = start_s + number * EVERY_S / len(phones)
        wait_s = due_s - time.perf_counter()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        phones[number % len(phones)].tell()
        number += 1
