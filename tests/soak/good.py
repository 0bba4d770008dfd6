"""Clients that keep to the protocol, connect and disconnect, and record which of their messages were acknowledged and what they received."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import cbor2
from helpers.events import BOOT, BOOT_MS, CREATED, SITE, TOPICS, event, event_id, log_of
from helpers.mqtt import Address
from helpers.server import SECRET
from soak.wire import Gone, Heard, Link, Refused, nobody_listens

from devices.protocol.messages import encode_cbor

BACK_AFTER_S: Final = 1.0
LEAVES_EVERY: Final = 25
"""A good client drops its connection once in this many messages, on average."""
EVENT_EVERY_S: Final = 4.0
GEAR_EVERY_S: Final = 5.0
LOCATION_EVERY_S: Final = 15.0
DESK_STAYS_S: Final = 90.0
PENS: Final = {**CREATED, "lines": [{"sku": "pen", "qty": 1}]}


@dataclass
class Book:
    """What was acknowledged and received, how long it took, and how often things happened."""

    events: dict[bytes, str] = field(default_factory=dict)
    """Acknowledged events, by id."""
    receipts: set[bytes] = field(default_factory=set)
    sent: dict[tuple[str, int], int] = field(default_factory=dict)
    """The QoS of acknowledged messages of laboratory gear, by (receiver, number)."""
    heard: Counter[tuple[str, int]] = field(default_factory=Counter)
    latencies_ms: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Place:
    """The address of the server, and what all clients share."""

    address: Address
    book: Book
    rng: random.Random
    ending: asyncio.Event
    links: set[Link] = field(default_factory=set)
    """Open connections."""

    async def open(self, heard: Heard = nobody_listens) -> Link:
        """Connect to the server.

        Raises:
            Gone: if that fails.
        """
        link = await Link.open(self.address, heard)
        self.links.add(link)
        link.closed.add_done_callback(lambda closed: self.links.discard(link))
        return link

    async def hang_up(self) -> None:
        """Cut the connections that are still open."""
        for link in list(self.links):
            link.cut()
        await asyncio.gather(*(link.closed for link in list(self.links)))

    async def pause(self, seconds: float) -> bool:
        """Wait about this long; returns whether the run continues."""
        try:
            await asyncio.wait_for(self.ending.wait(), seconds * self.rng.uniform(0.5, 1.5))
        except TimeoutError:
            return True
        return False


class Good:
    """A client that reconnects, and sends unacknowledged messages again."""

    filters: tuple[str, ...] = ()
    clean = False
    qos = 1

    def __init__(self, place: Place, device: str) -> None:
        self.place = place
        self.device = device
        self.link: Link | None = None
        self._packet_id = 0
        self._held: set[int] = set()

    async def live(self) -> None:
        """Work until it is time to end."""
        while await self.work():
            if self.link is not None and self.place.rng.random() < 1 / LEAVES_EVERY:
                self.place.book.counts["good reconnects"] += 1
                (self.link.cut if self.place.rng.random() < 0.5 else self.link.goodbye)()

    async def work(self) -> bool:
        """Do one piece of work; returns whether there is more."""
        raise NotImplementedError

    async def connected(self) -> Link:
        while self.link is None or not self.link.is_open:
            try:
                link = await self.place.open(self._heard)
                await link.login(self.device, self.device, SECRET, clean=self.clean, will=self.will)
                if self.filters and not link.session_present:
                    codes = await link.subscribe(*self.filters, qos=self.qos)
                    assert 0x80 not in codes, f"{self.device} may not read {self.filters}"
                self.link = link
                await self.arrived(link)
            except (Gone, Refused):
                self.place.book.counts["good logins refused"] += 1
                await asyncio.sleep(BACK_AFTER_S)
        return self.link

    will: tuple[str, bytes] | None = None

    async def arrived(self, link: Link) -> None:
        """The first messages of a device."""

    async def send(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Publish until the message is acknowledged, and at QoS 2 completed."""
        self._packet_id = self._packet_id % 60_000 + 1
        dup = received = False
        while True:
            link = await self.connected()
            begun_s = time.perf_counter()
            try:
                if not received:
                    await link.publish(topic, payload, qos=qos, packet_id=self._packet_id, dup=dup)
                    if qos:
                        self.place.book.latencies_ms.append((time.perf_counter() - begun_s) * 1_000)
                received = True
                if qos == 2:
                    await link.release(self._packet_id)
                return
            except Gone:
                dup = True

    def _heard(self, topic: str, payload: bytes, qos: int, packet_id: int) -> None:
        self.place.book.counts["heard"] += 1
        if qos == 2:
            if not topic:
                self._held.discard(packet_id)
                return
            if packet_id in self._held:
                return
            self._held.add(packet_id)
        self.hear(topic, payload)

    def hear(self, topic: str, payload: bytes) -> None:
        """A message arrived; each QoS 2 message is passed here once."""


class Worker(Good):
    """A device that sends events in order, and records its receipts."""

    def __init__(self, place: Place, device: str) -> None:
        super().__init__(place, device)
        self.filters = (TOPICS.receipts(device),)
        self._seq = 0

    async def tell(self, kind: str, order: str | None, body: dict[str, Any], **other: Any) -> None:
        self._seq += 1
        now_ms = time.time_ns() // 1_000_000
        payload = event(self.device, self._seq, order, body, at_ms=now_ms, **other)
        await self.send(TOPICS.event(self.device, kind), payload)
        self.place.book.events[event_id(self.device, self._seq)] = self.device
        self.place.book.counts["events"] += 1

    def hear(self, topic: str, payload: bytes) -> None:
        receipt = cbor2.loads(payload)
        if topic == TOPICS.receipts(self.device) and "id" in receipt:
            self.place.book.receipts.add(receipt["id"])
            self.place.book.counts[f"receipts {receipt['outcome']}"] += 1


class Shop(Worker):
    """Creates the orders that the scanners need."""

    def __init__(self, place: Place, device: str) -> None:
        super().__init__(place, device)
        self.asked: asyncio.Queue[tuple[str, asyncio.Event]] = asyncio.Queue()

    async def work(self) -> bool:
        while self.asked.empty():
            if not await self.place.pause(0.2):
                return False
        order, created = self.asked.get_nowait()
        await self.tell("created", order, PENS)
        await self.tell("paid", order, {"amount_minor": 100, "currency": "EUR"})
        created.set()
        return True


class Scanner(Worker):
    """Packs one order after the other, and hands each to a courier."""

    def __init__(self, place: Place, device: str, shop: Shop, courier: Courier) -> None:
        super().__init__(place, device)
        self.shop = shop
        self.courier = courier
        self._steps: deque[Callable[[], Any]] = deque()
        self._orders = 0

    async def work(self) -> bool:
        if not self._steps:
            await self._next_order()
        if not self._steps or not await self.place.pause(EVENT_EVERY_S):
            return False
        await self._steps.popleft()()
        return True

    async def _next_order(self) -> None:
        self._orders += 1
        order = f"{self.device}-{self._orders}"
        code = f"WB-{order}"
        created = asyncio.Event()
        self.shop.asked.put_nowait((order, created))
        while not created.is_set():
            if not await self.place.pause(0.3):
                return
        told: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
            ("pick", {"sku": "pen", "qty": 1}, {}),
            ("pack", {"weight_g": 700}, {"code": code}),
            ("stage", {"dock": "d1"}, {"code": code}),
            ("load", {"vehicle": "van-1"}, {"code": code}),
            ("depart", {"hub": "hub-1"}, {"code": code}),
        ]
        self._steps.extend(lambda k=kind, b=body, o=other: self.tell(k, order, b, **o) for kind, body, other in told)  # type: ignore[misc]
        self._steps.append(lambda: self.courier.fetch(order))


class Courier(Worker):
    """Delivers the orders that it is assigned, and sends its location."""

    def __init__(self, place: Place, device: str) -> None:
        super().__init__(place, device)
        self.filters = (TOPICS.receipts(device), TOPICS.assignments(device))
        self.will = (TOPICS.presence(device), encode_cbor({"online": False, "boot": BOOT}))
        self._fetched: deque[str] = deque()
        self._located_s = 0.0

    async def fetch(self, order: str) -> None:
        self._fetched.append(order)

    async def arrived(self, link: Link) -> None:
        await link.publish(TOPICS.presence(self.device), encode_cbor({"online": True, "boot": BOOT}), packet_id=65_000, retain=True)

    async def work(self) -> bool:
        if time.monotonic() - self._located_s > LOCATION_EVERY_S:
            self._located_s = time.monotonic()
            mono_ms = time.time_ns() // 1_000_000 - BOOT_MS
            points = [[mono_ms, 523_700_000, 48_900_000, 5, None]]
            location = {"log": log_of(self.device), "boot": BOOT, "sent_mono_ms": mono_ms, "points": points}
            await self.send(TOPICS.location(self.device), encode_cbor(location), 0)
        if self._fetched:
            order = self._fetched.popleft()
            for kind, body in (("pickup", {}), ("out_for_delivery", {}), ("delivery", {"pod": {"method": "pin"}})):
                await self.tell(kind, order, body, code=f"WB-{order}")
        return await self.place.pause(EVENT_EVERY_S)

    def hear(self, topic: str, payload: bytes) -> None:
        if payload and topic == TOPICS.receipts(self.device):
            super().hear(topic, payload)


class Gear(Good):
    """Laboratory gear: sends numbered messages to one neighbour at QoS 0, 1 and 2, and receives those of the other neighbour."""

    qos = 2

    def __init__(self, place: Place, device: str, neighbour: str) -> None:
        super().__init__(place, device)
        self.filters = (f"lab/to/{device}/+",)
        self.neighbour = neighbour
        self._number = 0

    async def work(self) -> bool:
        if not await self.place.pause(GEAR_EVERY_S):
            return False
        self._number += 1
        qos = self._number % 3
        await self.send(f"lab/to/{self.neighbour}/{self.device}", b"%d" % self._number, qos)
        self.place.book.counts[f"gear messages at QoS {qos}"] += 1
        if qos:
            self.place.book.sent[(self.neighbour, self._number)] = qos
        return True

    def hear(self, topic: str, payload: bytes) -> None:
        self.place.book.heard[(self.device, int(payload))] += 1


class Desk(Good):
    """Watches every order; it receives the retained messages again each time it reconnects."""

    filters = (f"v1/{SITE}/orders/#", f"v1/{SITE}/alerts/#")
    clean = True

    async def work(self) -> bool:
        await self.connected()
        return await self.place.pause(DESK_STAYS_S / LEAVES_EVERY)
