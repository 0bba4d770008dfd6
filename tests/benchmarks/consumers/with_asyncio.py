"""A consumer tuned by hand: raw asyncio on uvloop, a commit on a thread while the next batch arrives, one write for all messages that a batch causes."""

from __future__ import annotations

import asyncio
import signal
from collections import deque

from benchmarks.consumers.settling import BATCH, FILTERS, Senders, make_settler, read_job, ready
from benchmarks.load.wire import Client, publish
from bridge.ingest.items import Incoming, Settled
from bridge.interpreter import loop_runner
from bridge.writer import ThreadWriter

OPEN_MAX = 60_000
"""The most publishes that the broker has not acknowledged; there are 65,535 packet ids."""


class Consumer(Client):
    """Takes the messages that arrive, and acknowledges them when their batch is committed and shown."""

    def __init__(self, senders: Senders) -> None:
        super().__init__("consumer", None, FILTERS, clean=False)
        self.senders = senders
        self.waiting: deque[tuple[bytes, Incoming]] = deque()
        self.arrived = asyncio.Event()
        self.room = asyncio.Event()
        self.open = 0
        self._next_id = 0

    def data_received(self, data: bytes) -> None:
        """As in the client, but PUBACK is written later, with the messages that the batch causes."""
        buffer = self.buffer
        buffer += data
        at, size = 0, len(buffer)
        incoming, waiting = self.senders.incoming, self.waiting
        while size - at >= 2:
            first, remaining, start = buffer[at], buffer[at + 1], at + 2
            if remaining & 128:
                if start >= size:
                    break
                remaining = remaining & 127 | (buffer[start] & 127) << 7
                if buffer[start] & 128:
                    if start + 1 >= size:
                        break
                    remaining |= buffer[start + 1] << 14  # no packet here is over 2 MB
                    start += 1
                start += 1
            end = start + remaining
            if end > size:
                break
            kind = first >> 4
            if kind == 3:
                name_end = start + 2 + (buffer[start] << 8 | buffer[start + 1])
                topic = buffer[start + 2 : name_end].decode()
                if first & 6:
                    waiting.append((b"\x40\x02" + buffer[name_end : name_end + 2], incoming(topic, bytes(buffer[name_end + 2 : end]))))
                else:
                    waiting.append((b"", incoming(topic, bytes(buffer[name_end:end]))))
            elif kind == 4:
                self.open -= 1
            elif kind == 2:
                self._connected(buffer[start + 1])
            elif kind == 9:
                self._subscribed(bytes(buffer[start + 2 : end]))
            at = end
        del buffer[:at]
        if waiting:
            self.arrived.set()
        if self.open < OPEN_MAX:
            self.room.set()

    async def take(self) -> list[tuple[bytes, Incoming]]:
        while not self.waiting:
            self.arrived.clear()
            await self.arrived.wait()
        return [self.waiting.popleft() for _ in range(min(len(self.waiting), BATCH))]

    async def show(self, settled: Settled, acknowledgements: list[bytes]) -> None:
        """Publish, then acknowledge, in one write."""
        out = []
        for message in settled.messages:
            packet_id = 0
            if message.qos:
                self._next_id = packet_id = self._next_id % 65_535 + 1
                self.open += 1
            out.append(publish(message.topic.encode(), message.payload, message.qos, packet_id, retain=message.retain))
        self.transport.write(b"".join((*out, *acknowledgements)))
        while self.open >= OPEN_MAX:
            self.room.clear()
            await self.room.wait()


async def consume() -> None:
    job = read_job()
    settler, store = make_settler(job.database)
    writer = ThreadWriter(settler, store)
    consumer = Consumer(Senders(job.roles))
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: consumer, "127.0.0.1", job.port)
    await consumer.ready
    ready()

    async def work() -> None:
        while True:
            batch = await consumer.take()
            while batch:
                settled = await writer.commit([incoming for _, incoming in batch])
                done, batch = batch[: len(settled.outcomes)], batch[len(settled.outcomes) :]
                await consumer.show(settled, [acknowledgement for acknowledgement, _ in done])

    working = loop.create_task(work(), name="consumer")
    loop.add_signal_handler(signal.SIGTERM, working.cancel)
    await asyncio.wait([working])
    if not working.cancelled():
        working.result()
    await writer.close()


if __name__ == "__main__":
    loop_runner()(consume())
