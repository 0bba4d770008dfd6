"""Order events from a fleet of devices, each subscribed to its receipts, and one watcher of every order's status: closed loop, or open loop with phases."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Final, Literal

import cbor2

from benchmarks.load.latency import latency_ms
from benchmarks.load.measured import Busy
from benchmarks.load.pace import Phase, by_second, due_s
from benchmarks.load.phones import Phone, phone_name, tell_locations
from benchmarks.load.story import SITE, WATCHER, Device, Plan, Planned, plan
from benchmarks.load.wire import Client, enter, leave, publish
from devices.protocol.topics import Topics

_ID = b"\x62id\x50"
"""How `id` begins in a CBOR receipt: the key, and bytes(16). To decode each receipt whole would cost the generator a third of its time."""
_LOOK_EVERY_S = 0.01
QUIET_S: Final = 1.0
FIRST_QUIET_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class OrdersJob:
    """What is sent, and how.

    `window_by` says what makes room in a device's window of the closed loop: its receipt (the event is stored and answered) or its PUBACK, which from a broker
    alone means no more than "received". `phases` makes it an open loop. `phones` send their location
    meanwhile. With `contacts`, each order says who gets it. `deadline_s` ends a run that does not end by itself.
    """

    host: str
    port: int
    devices: int
    orders: int
    qos: int = 1
    window: int = 20
    window_by: Literal["receipt", "ack"] = "receipt"
    phases: tuple[Phase, ...] = ()
    password: str | None = None
    deadline_s: float = 60.0
    prefix: str = "b"
    seed: int = 1
    phones: int = 0
    contacts: bool = False


class Run:
    """When each event was sent, acknowledged and answered, in seconds of the monotonic clock."""

    def __init__(self, events: int) -> None:
        self.events = events
        self.sent: dict[bytes, float] = {}
        self.acks: dict[bytes, float] = {}
        self.answers: dict[bytes, float] = {}
        self.complete = 0
        """Events whose exchange has ended: PUBACK at QoS 1, PUBCOMP at QoS 2."""
        self.receipts: list[bytes] = []
        self.statuses: list[tuple[float, bytes]] = []
        self.done = asyncio.Event()

    def check(self) -> None:
        if self.complete >= self.events and len(self.answers) >= self.events:
            self.done.set()


class Sender(Client):
    """A device that sends its events: as its window allows, or when each is due."""

    def __init__(self, device: Device, job: OrdersJob, run: Run) -> None:
        super().__init__(device.name, job.password, [Topics(SITE).receipts(device.name)])
        self.run = run
        self.qos_out = job.qos
        self.window = job.window
        self.by_receipt = job.window_by == "receipt"
        self.frames: deque[tuple[bytes, int, bytes]] = deque()
        self.unacknowledged: dict[int, bytes] = {}
        self.unanswered: set[bytes] = set()
        self.paced = False
        self._next_id = 0

    def load(self, events: list[Planned]) -> None:
        """Encode the events to be sent. Packet ids are reused in turn; a window is far smaller than their number."""
        for planned in events:
            self._next_id = self._next_id % 65_535 + 1
            self.frames.append((planned.event_id, self._next_id, publish(planned.topic, planned.payload, self.qos_out, self._next_id)))

    def send(self, count: int, now_s: float) -> None:
        """Send the next events; `now_s` is when they are sent (closed loop) or were due (open loop)."""
        out = []
        for _ in range(min(count, len(self.frames))):
            event_id, packet_id, frame = self.frames.popleft()
            self.unacknowledged[packet_id] = event_id
            self.unanswered.add(event_id)
            self.run.sent[event_id] = now_s
            out.append(frame)
        self.transport.write(out[0] if len(out) == 1 else b"".join(out))

    def after_data(self) -> None:
        if not self.paced and self.frames:
            room = self.window - len(self.unanswered if self.by_receipt else self.unacknowledged)
            if room > 0:
                self.send(room, time.perf_counter())

    def on_puback(self, packet_id: int) -> None:
        self.on_pubrec(packet_id)
        self.on_pubcomp(packet_id)

    def on_pubrec(self, packet_id: int) -> None:
        self.run.acks[self.unacknowledged[packet_id]] = self.now_s

    def on_pubcomp(self, packet_id: int) -> None:
        del self.unacknowledged[packet_id]
        self.run.complete += 1
        self.run.check()

    def on_publish(self, topic: bytes, payload: bytes) -> None:
        at = payload.find(_ID) + 4
        event_id = payload[at : at + 16]
        self.run.receipts.append(payload)
        if event_id in self.unanswered:  # a later receipt of the same event (parked, then applied) answers nothing new
            self.unanswered.discard(event_id)
            self.run.answers[event_id] = self.now_s
            self.run.check()


class Watcher(Client):
    """Receives the status of every order."""

    def __init__(self, job: OrdersJob) -> None:
        super().__init__(WATCHER, job.password, [f"v1/{SITE}/orders/+/status"])
        self.statuses: list[tuple[float, bytes]] = []

    def on_publish(self, topic: bytes, payload: bytes) -> None:
        self.statuses.append((self.now_s, payload))

    async def caught_up(self) -> None:
        """Wait until the statuses that were already retained have arrived, so that they do not disturb the measurement. MQTT does not mark their end."""
        seen = -1
        while seen != len(self.statuses):
            seen = len(self.statuses)
            await asyncio.sleep(QUIET_S if seen else FIRST_QUIET_S)
        self.statuses.clear()


async def send_orders(job: OrdersJob) -> dict[str, Any]:
    """One measurement."""
    made = plan(job.devices, job.orders, now_ms=time.time_ns() // 1_000_000, prefix=job.prefix, seed=job.seed, contacts=job.contacts)
    watcher = Watcher(job)
    first = Run(sum(len(d.before) for d in made.fleet))
    senders = {d.name: Sender(d, job, first) for d in made.fleet}
    phones = [Phone(phone_name(n), job.password) for n in range(job.phones)]
    clients = [watcher, *senders.values(), *phones]
    await enter(clients, job.host, job.port)
    await watcher.caught_up()
    telling = asyncio.create_task(tell_locations(phones), name="phones")
    try:
        await _prepare(made, senders, first, job)
        run = Run(made.events)
        watcher.statuses = run.statuses
        for device in made.fleet:
            sender = senders[device.name]
            sender.run = run
            sender.load(device.todo)
        busy = Busy()
        deadline_s = time.perf_counter() + job.deadline_s
        start_s = time.perf_counter()
        lateness = await _open_loop(made, senders, job, run) if job.phases else _closed_loop(senders, run)
        ended_s = await _answered(run, deadline_s, clients)
        generator = busy.plain()
        figures = {**_figures(run, start_s, ended_s), "prepared": first.events, "locations": sum(p.told for p in phones), "generator": generator}
        return {**figures, **_phases(job, run, lateness)} if job.phases else figures
    finally:
        telling.cancel()
        leave(clients)


async def _prepare(made: Plan, senders: dict[str, Sender], first: Run, job: OrdersJob) -> None:
    """Create the orders of the first block, and wait until they are answered."""
    for device in made.fleet:
        sender = senders[device.name]
        sender.load(device.before)
        sender.after_data()
    if first.events:
        await asyncio.wait_for(first.done.wait(), job.deadline_s)


def _closed_loop(senders: dict[str, Sender], run: Run) -> list[float]:
    for sender in senders.values():
        sender.after_data()
    return []


async def _open_loop(made: Plan, senders: dict[str, Sender], job: OrdersJob, run: Run) -> list[float]:
    """Send each event when it is due. Returns how late each was written."""
    due = due_s(job.phases)[: made.events]
    run.events = len(due)
    for sender in senders.values():
        sender.paced = True
    lateness = []
    start_s = time.perf_counter()
    at = 0
    while at < len(due):
        now_s = time.perf_counter()
        while at < len(due) and start_s + due[at] <= now_s:
            senders[made.sequence[at].name].send(1, start_s + due[at])
            lateness.append(now_s - start_s - due[at])
            at += 1
        if at < len(due):
            await asyncio.sleep(max(0.0, start_s + due[at] - time.perf_counter()))
    return lateness


async def _answered(run: Run, deadline_s: float, clients: list[Client]) -> float:
    """Wait until every event is answered and the last status of every order was seen, or until the deadline. Returns the moment at which that was."""
    ended = None
    while time.perf_counter() < deadline_s and not any(c.lost for c in clients):
        try:
            await asyncio.wait_for(run.done.wait(), 0.5)
            ended = max(max(run.answers.values()), max(run.acks.values()))
            break
        except TimeoutError:
            continue
    if ended is None:
        return time.perf_counter()
    revs: dict[str, int] = {}
    for payload in run.receipts:
        receipt = cbor2.loads(payload)
        if receipt.get("rev"):
            revs[receipt["order"]] = max(revs.get(receipt["order"], 0), receipt["rev"])
    looked = 0
    while revs and time.perf_counter() < deadline_s:
        for at_s, payload in run.statuses[looked:]:
            status = cbor2.loads(payload)
            if status["rev"] >= revs.get(status["order"], 1 << 62):
                del revs[status["order"]]
                ended = max(ended, at_s)
        looked = len(run.statuses)
        await asyncio.sleep(_LOOK_EVERY_S if revs else 0)
    return ended


def _figures(run: Run, start_s: float, ended_s: float) -> dict[str, Any]:
    receipts = [cbor2.loads(p) for p in run.receipts]
    shown: dict[tuple[str, int], float] = {}
    for at_s, payload in run.statuses:
        status = cbor2.loads(payload)
        shown[(status["order"], status["rev"])] = at_s
    to_status = [shown[key] - run.sent[r["id"]] for r in receipts if r["id"] in run.sent and (key := (r.get("order", ""), r.get("rev", 0))) in shown]
    seconds = ended_s - start_s
    return {
        "events": run.events,
        "answered": len(run.answers),
        "complete": run.done.is_set(),
        "seconds": round(seconds, 3),
        "per_s": round(len(run.answers) / seconds, 1),
        "outcomes": dict(Counter(r["outcome"] for r in receipts)),
        "statuses": len(run.statuses),
        "ack_ms": latency_ms(at - run.sent[i] for i, at in run.acks.items()),
        "receipt_ms": latency_ms(at - run.sent[i] for i, at in run.answers.items()),
        "status_ms": latency_ms(to_status),
    }


def _phases(job: OrdersJob, run: Run, lateness: list[float]) -> dict[str, Any]:
    """The latencies of each phase and of each second, by when an event was due. For an event that was never answered, the latency counts until the end."""
    end_s = time.perf_counter()
    by_due = sorted(run.sent.items(), key=lambda item: item[1])
    start_s = by_due[0][1]
    due = [sent_s - start_s for _, sent_s in by_due]
    to_ack = [run.acks.get(event_id, end_s) - sent_s for event_id, sent_s in by_due]
    to_receipt = [run.answers.get(event_id, end_s) - sent_s for event_id, sent_s in by_due]
    phases = []
    begin = 0
    for phase in job.phases:
        end = begin + phase.events
        phases.append({**phase._asdict(), "ack_ms": latency_ms(to_ack[begin:end]), "receipt_ms": latency_ms(to_receipt[begin:end])})
        begin = end
    seconds = {second: latency_ms(some)["p99"] for second, some in by_second(due, to_receipt).items()}
    return {"phases": phases, "receipt_p99_ms_by_second": seconds, "written_late_ms": latency_ms(lateness)}
