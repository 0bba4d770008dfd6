"""Loads for the broker alone: the payloads are not ours, and nothing is stored.

All are closed loops or single operations; topics are outside v1/ (`bench/…`), so that any broker accepts them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from collections import deque
from typing import Any, Final

from benchmarks.load.latency import latency_ms
from benchmarks.load.measured import Busy
from benchmarks.load.wire import Client, enter, leave, publish

PAYLOAD: Final = bytes(100)
FILL_WINDOW: Final = 500
PATIENCE_S: Final = 120.0
STORM_S: Final = 300.0
AGAIN_S: Final = 1.0
"""How long a device waits after it was refused before it tries again."""


class Publisher(Client):
    """Publishes at QoS 1 with a window. PUBACKs have four bytes each and nothing else arrives, so they are counted by length, not read one by one."""

    def __init__(self, name: str, window: int, until_s: float = 0.0) -> None:
        super().__init__(name)
        self.window = window
        self.until_s = until_s
        self.acknowledged = 0
        self.waits: list[float] = []
        self.frames = [publish(f"bench/{name}".encode(), PAYLOAD, 1, n + 1) for n in range(window)]
        self.block = b"".join(self.frames)
        self._pending = 0
        self._sent_s: deque[float] = deque()
        """When the first message of each window was sent. Only these are timed, so that taking the time does not distort the measurement."""
        self._going = False
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def go(self) -> None:
        """Fill the window. Packet ids are reused in turn: an id that is used again was acknowledged, because PUBACKs come in order (§4.6)."""
        self._going = True
        self._sent_s.append(time.perf_counter())
        self.transport.write(self.block)

    def data_received(self, data: bytes) -> None:
        if not self._going:
            super().data_received(data)
            return
        count, self._pending = divmod(self._pending + len(data), 4)
        if not count:
            return
        now_s = time.perf_counter()
        window, before = self.window, self.acknowledged
        self.acknowledged += count
        if (before + window - 1) // window < (self.acknowledged + window - 1) // window:
            self.waits.append(now_s - self._sent_s.popleft())
        if now_s >= self.until_s:
            if not self.ended.done():
                self.ended.set_result(None)
            return
        first = before % window
        last = first + count
        if not first or last > window:
            self._sent_s.append(now_s)
        if count == window:
            self.transport.write(self.block if not first else b"".join((*self.frames[first:], *self.frames[:first])))
        else:
            self.transport.write(b"".join(self.frames[first:last] if last <= window else (*self.frames[first:], *self.frames[: last - window])))


class Arrivals:
    """How many messages some readers have received together."""

    def __init__(self) -> None:
        self.count = 0
        self.awaited = 0
        self.last_s = 0.0
        self.reached = asyncio.Event()

    async def until(self, count: int) -> float:
        """Wait until this many have arrived; returns when the last did."""
        self.awaited = count
        self.reached.clear()
        if self.count < count:
            await asyncio.wait_for(self.reached.wait(), PATIENCE_S)
        return self.last_s


class Reader(Client):
    """Counts the messages that it receives, at QoS 0, so that it need not answer."""

    def __init__(self, name: str, filters: list[str], arrivals: Arrivals) -> None:
        super().__init__(name, None, filters, qos=0)
        self.arrivals = arrivals

    def on_publish(self, topic: bytes, payload: bytes) -> None:
        arrivals = self.arrivals
        arrivals.count += 1
        if arrivals.count == arrivals.awaited:
            arrivals.last_s = self.now_s
            arrivals.reached.set()


class Filler(Client):
    """Publishes retained messages with a window."""

    def __init__(self, topics: int) -> None:
        super().__init__("filler")
        self.topics = topics
        self.sent = 0
        self.acknowledged = 0
        self.done = asyncio.Event()

    def go(self) -> None:
        some = range(self.sent, min(self.topics, self.acknowledged + FILL_WINDOW))
        self.sent += len(some)
        frames = (publish(f"bench/shelf-{n % 100}/box-{n}".encode(), PAYLOAD, 1, n % 60_000 + 1, retain=True) for n in some)
        self.transport.write(b"".join(frames))

    def on_puback(self, packet_id: int) -> None:
        self.acknowledged += 1

    def after_data(self) -> None:
        if self.acknowledged == self.topics:
            self.done.set()
        elif self.sent and self.sent - self.acknowledged <= FILL_WINDOW // 2:
            self.go()


async def acknowledged(*, host: str, port: int, clients: int, window: int, seconds: float) -> dict[str, Any]:
    """PUBACKs per second for QoS 1 publishes without a subscriber."""
    publishers = [Publisher(f"p-{n}", window) for n in range(clients)]
    await enter(publishers, host, port)
    busy = Busy()
    start_s = time.perf_counter()
    for publisher in publishers:
        publisher.until_s = start_s + seconds
        publisher.go()
    await asyncio.wait_for(asyncio.gather(*(p.ended for p in publishers)), seconds + 30)
    took_s = time.perf_counter() - start_s
    generator = busy.plain()
    total = sum(p.acknowledged for p in publishers)
    leave(publishers)
    return {"per_s": round(total / took_s, 1), "answered": total, "ack_ms": latency_ms(w for p in publishers for w in p.waits), "generator": generator}


async def fan_out(*, host: str, port: int, subscribers: int, messages: int) -> dict[str, Any]:
    """One publisher, many subscribers (QoS 0): deliveries per second, and the time from a publish until the last subscriber has it."""
    arrivals = Arrivals()
    publisher = Client("publisher")
    clients = [publisher, *(Reader(f"s-{n}", ["bench/all"], arrivals) for n in range(subscribers))]
    await enter(clients, host, port)
    frame = publish(b"bench/all", PAYLOAD, 0)
    busy = Busy()
    waits = []
    start_s = time.perf_counter()
    for number in range(1, messages + 1):
        sent_s = time.perf_counter()
        publisher.transport.write(frame)
        waits.append(await arrivals.until(subscribers * number) - sent_s)
    took_s = time.perf_counter() - start_s
    generator = busy.plain()
    leave(clients)
    return {"per_s": round(subscribers * messages / took_s, 1), "answered": subscribers * messages, "last_ms": latency_ms(waits), "generator": generator}


async def retained(*, host: str, port: int, topics: int) -> dict[str, Any]:
    """Publish many retained topics, then subscribe to all of them: seconds until the last has arrived."""
    filler = Filler(topics)
    await enter([filler], host, port)
    filler.go()
    await asyncio.wait_for(filler.done.wait(), PATIENCE_S)
    arrivals = Arrivals()
    reader = Reader("reader", ["bench/#"], arrivals)
    busy = Busy()
    start_s = time.perf_counter()
    await enter([reader], host, port)
    took_s = await arrivals.until(topics) - start_s
    generator = busy.plain()
    leave([filler, reader])
    return {"seconds": round(took_s, 3), "per_s": round(topics / took_s, 1), "answered": topics, "generator": generator}


def own_topic(name: str, *, ours: bool) -> str:
    """What a device subscribes to: its receipts on Dockbridge, a topic of its own elsewhere."""
    return f"v1/main/devices/{name}/receipts" if ours else f"bench/{name}"


async def hold(*, host: str, port: int, password: str | None, names: list[str], ours: bool) -> dict[str, Any]:
    """Connect many clients, and keep them until standard input ends; meanwhile the parent process looks at the server's memory."""
    clients = [Client(name, password, [own_topic(name, ours=ours)]) for name in names]
    start_s = time.perf_counter()
    await enter(clients, host, port, at_once=100)
    print(json.dumps({"connected_s": round(time.perf_counter() - start_s, 2)}), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    lost = sum(c.lost for c in clients)
    leave(clients)
    return {"connections": len(clients), "lost": lost}


async def storm(*, host: str, port: int, password: str | None, names: list[str], ours: bool, tls: bool) -> dict[str, Any]:
    """A fleet connects at once, with password and TLS, and each subscribes to its topic: seconds until half of them are ready, and until all are."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the handshake costs the same whether or not the certificate is checked
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    start_s = time.perf_counter()

    async def one(name: str) -> float:
        while True:
            client = Client(name, password, [own_topic(name, ours=ours)])
            try:
                await loop.create_connection(lambda made=client: made, host, port, ssl=context, ssl_handshake_timeout=PATIENCE_S if tls else None)
                await client.ready
            except OSError:
                await asyncio.sleep(AGAIN_S)
            else:
                clients.append(client)
                return time.perf_counter() - start_s

    busy = Busy()
    entered = sorted(await asyncio.wait_for(asyncio.gather(*map(one, names)), STORM_S))
    generator = busy.plain()
    leave(clients)
    return {"half_s": round(entered[len(entered) // 2], 2), "seconds": round(entered[-1], 2), "answered": len(names), "generator": generator}
