"""A load of real MQTT devices in one process of its own: raw asyncio, payloads made beforehand, so that it is not what is measured.

Each device sends its events in order with at most `window` unacknowledged (closed loop), and is subscribed to its receipts; one watcher is subscribed to every
order. Latencies are taken from the moment of the send to PUBACK, and to the arrival of the retained status that the event caused.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import cbor2

from devices.protocol import messages
from devices.protocol.topics import Topics

EVENTS_PER_ORDER = 25
SKUS = [f"sku-{n}" for n in range(10)]


def order_story() -> list[tuple[str, str, dict[str, object]]]:
    """(who, type, body) of the 25 events of one order, from paid to delivered."""
    lines = [{"sku": sku, "qty": 1} for sku in SKUS]
    return [
        ("shop", "created", {"channel": "shop", "lines": lines, "allow_partial": False, "payment": "prepaid"}),
        ("shop", "paid", {"amount_minor": 4200, "currency": "EUR"}),
        ("shop", "approved", {}),
        *(("scanner", "pick", {"sku": sku, "qty": 1}) for sku in SKUS),
        ("scanner", "pack", {"weight_g": 1250}),
        ("scanner", "labelled", {"kind": "waybill"}),
        ("scanner", "stage", {"dock": "d1"}),
        ("scanner", "load", {"vehicle": "v1"}),
        ("scanner", "depart", {"hub": "h1"}),
        ("scanner", "arrive", {"hub": "h2"}),
        ("scanner", "depart", {"hub": "h2"}),
        ("scanner", "arrive", {"hub": "h3"}),
        ("scanner", "depart", {"hub": "h3"}),
        ("scanner", "arrive", {"hub": "h4"}),
        ("scanner", "damaged", {"severity": "minor"}),
        ("scanner", "delivery", {"pod": {"method": "scan"}}),
    ]


@dataclass
class Device:
    """One simulated device: what it still has to send, as (event id, topic, payload)."""

    name: str
    password: str
    todo: deque[tuple[bytes, bytes, bytes]] = field(default_factory=deque)


def plan(devices: int, orders: int, passwords: dict[str, str], seed: int = 1) -> list[Device]:
    """Devices with their events. Every order goes through one shop and one scanner, so that each tells its events in order."""
    rng = random.Random(seed)
    topics = Topics("main")
    half = max(1, devices // 2)
    fleet = {name: Device(name, passwords[name]) for name in (*(f"shop-{n}" for n in range(half)), *(f"scan-{n}" for n in range(devices - half)))}
    seqs = dict.fromkeys(fleet, 0)
    boot = rng.randbytes(8)
    base = time.time_ns() // 1_000_000 - 60_000
    story = order_story()
    for block in range(0, orders, devices):
        for step, (who, kind, body) in enumerate(story):
            for order in range(block, min(block + devices, orders)):
                device = fleet[f"shop-{order % half}" if who == "shop" else f"scan-{order % (devices - half)}"]
                seqs[device.name] += 1
                event_id = (base + step).to_bytes(6, "big") + b"\x70" + rng.randbytes(9)
                event = {
                    "id": event_id,
                    "log": device.name.encode().ljust(8, b"\0")[:8],
                    "seq": seqs[device.name],
                    "boot": boot,
                    "mono_ms": 60_000 + step,
                    "at_ms": base + step,
                    "sent_boot": boot,
                    "sent_mono_ms": 60_000 + step,
                    "order": f"b-{order}",
                    "body": {**body, "code": f"WB-{order}"} if kind == "labelled" else body,
                }
                device.todo.append((event_id, topics.event(device.name, kind).encode(), messages.encode_cbor(event)))
    return list(fleet.values())


def _length(n: int) -> bytes:
    out = bytearray()
    while True:
        n, low = n >> 7, n & 127
        out.append(low | (128 if n else 0))
        if not n:
            return bytes(out)


def _text(value: bytes) -> bytes:
    return len(value).to_bytes(2, "big") + value


class Client(asyncio.Protocol):
    """A raw MQTT client: CONNECT, SUBSCRIBE, then whatever `on_publish` and `on_puback` make of it."""

    def __init__(self, name: str, password: str, filters: list[str]) -> None:
        self.name, self.password, self.filters = name.encode(), password.encode(), filters
        self.buffer = bytearray()
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        body = _text(b"MQTT") + b"\x04\xc2\x00\x00" + _text(self.name) + _text(self.name) + _text(self.password)
        self.transport.write(b"\x10" + _length(len(body)) + body)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        buffer, at, size = self.buffer, 0, len(self.buffer)
        acks = []
        while size - at >= 2:
            length, place, shift = 0, at + 1, 0
            while place < size and buffer[place] & 128:
                length |= (buffer[place] & 127) << shift
                place, shift = place + 1, shift + 7
            if place >= size:
                break
            length |= buffer[place] << shift
            end = place + 1 + length
            if end > size:
                break
            kind = buffer[at] >> 4
            if kind == 3:
                acks.append(self.publish(buffer[at], bytes(buffer[place + 1 : end])))
            elif kind == 4:
                self.on_puback(int.from_bytes(buffer[place + 1 : end], "big"))
            elif kind == 2:
                self.subscribe(bytes(buffer[place + 1 : end]))
            elif kind == 9:
                self.ready.set_result(None)
            at = end
        del buffer[:at]
        if acks:
            self.transport.write(b"".join(acks))
        self.pump()

    def subscribe(self, connack: bytes) -> None:
        if connack[1]:
            self.ready.set_exception(ConnectionError(f"{self.name!r} refused with {connack[1]}"))
            return
        body = b"\0\1" + b"".join(_text(f.encode()) + b"\1" for f in self.filters)
        self.transport.write(b"\x82" + _length(len(body)) + body)

    def publish(self, first: int, body: bytes) -> bytes:
        name_end = 2 + int.from_bytes(body[:2], "big")
        qos = first >> 1 & 3
        self.on_publish(body[2:name_end], body[name_end + (2 if qos else 0) :])
        return b"\x40\x02" + body[name_end : name_end + 2] if qos else b""

    def on_publish(self, topic: bytes, payload: bytes) -> None: ...

    def on_puback(self, packet_id: int) -> None: ...

    def pump(self) -> None: ...


class Sender(Client):
    """A device that sends its events with a window."""

    def __init__(self, device: Device, run: Run, window: int) -> None:
        super().__init__(device.name, device.password, [Topics("main").receipts(device.name)])
        self.todo, self.run, self.window = device.todo, run, window
        self.flying: dict[int, bytes] = {}
        self.next_id = 0
        self.going = False

    def pump(self) -> None:
        if not self.going or not self.todo or len(self.flying) >= self.window:
            return
        out = []
        now = time.perf_counter()
        while self.todo and len(self.flying) < self.window:
            event_id, topic, payload = self.todo.popleft()
            self.next_id = self.next_id % 65_535 + 1
            self.flying[self.next_id] = event_id
            self.run.sent[event_id] = now
            out.append(b"\x32" + _length(4 + len(topic) + len(payload)) + _text(topic) + self.next_id.to_bytes(2, "big") + payload)
        self.transport.write(b"".join(out))

    def on_puback(self, packet_id: int) -> None:
        self.run.acknowledged(self.flying.pop(packet_id))

    def on_publish(self, topic: bytes, payload: bytes) -> None:
        self.run.receipts.append(payload)
        self.run.check()


class Watcher(Client):
    """Sees every order's status."""

    def __init__(self, name: str, password: str, run: Run) -> None:
        super().__init__(name, password, ["v1/main/orders/+/status"])
        self.run = run

    def on_publish(self, topic: bytes, payload: bytes) -> None:
        self.run.statuses.append((time.perf_counter(), payload))


class Run:
    """What happens during one measurement."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.sent: dict[bytes, float] = {}
        self.acks: dict[bytes, float] = {}
        self.receipts: list[bytes] = []
        self.statuses: list[tuple[float, bytes]] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def acknowledged(self, event_id: bytes) -> None:
        self.acks[event_id] = time.perf_counter()
        self.check()

    def check(self) -> None:
        if len(self.acks) == self.events and len(self.receipts) >= self.events and not self.done.done():
            self.done.set_result(None)


async def measure(host: str, port: int, devices: int, orders: int, window: int, passwords: dict[str, str]) -> dict[str, object]:
    """One closed-loop measurement."""
    fleet = plan(devices, orders, passwords)
    run = Run(sum(len(d.todo) for d in fleet))
    loop = asyncio.get_running_loop()
    watcher = Watcher("watcher", passwords["watcher"], run)
    senders = [Sender(d, run, window) for d in fleet]
    for client in (watcher, *senders):
        await loop.create_connection(lambda c=client: c, host, port)  # type: ignore[misc]
        await client.ready
    start = time.perf_counter()
    for sender in senders:
        sender.going = True
        sender.pump()
    await run.done
    acknowledged_s = time.perf_counter() - start
    delivered = sum(1 for _ in range(0))
    while delivered < orders:
        await asyncio.sleep(0.01)
        delivered = sum(1 for _, p in run.statuses if b"idelivered" in p)
    shown_s = run.statuses[-1][0] - start
    for client in (watcher, *senders):
        client.transport.close()
    return {**_report(run), "devices": devices, "acknowledged_per_s": round(run.events / acknowledged_s), "shown_per_s": round(run.events / shown_s)}


def _report(run: Run) -> dict[str, object]:
    receipts = [cbor2.loads(p) for p in run.receipts]
    shown = {}
    for at, payload in run.statuses:
        status = cbor2.loads(payload)
        shown[(status["order"], status["rev"])] = at
    to_status = [shown[(r["order"], r["rev"])] - run.sent[r["id"]] for r in receipts if r["outcome"] == "applied" and (r["order"], r.get("rev")) in shown]
    outcomes: dict[str, int] = {}
    for r in receipts:
        outcomes[r["outcome"]] = outcomes.get(r["outcome"], 0) + 1
    to_ack = sorted(run.acks[i] - run.sent[i] for i in run.acks)
    return {
        "events": run.events,
        "receipts": outcomes,
        "statuses": len(run.statuses),
        "puback_ms": {"p50": _at(to_ack, 0.5), "p99": _at(to_ack, 0.99)},
        "status_ms": {"p50": _at(sorted(to_status), 0.5), "p99": _at(sorted(to_status), 0.99)},
    }


def _at(values: list[float], share: float) -> float:
    return round(values[min(len(values) - 1, int(len(values) * share))] * 1000, 1) if values else 0.0


def main() -> None:
    """Read the job from standard input as JSON, print the figures as JSON."""
    job = json.load(sys.stdin)
    if job.get("cpu") is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {job["cpu"]})
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    print(json.dumps(run(measure(job["host"], job["port"], job["devices"], job["orders"], job["window"], job["passwords"]))))


if __name__ == "__main__":
    main()
