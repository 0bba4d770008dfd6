"""A consumer inside plain amqtt: a plugin event of the broker hands messages over, and the messages that a batch causes are broadcast without a socket.

An internal client would pay for the protocol once more. amqtt acknowledges before anything is stored; a plugin can't change that.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from typing import Any

from amqtt.broker import Broker
from amqtt.contexts import BrokerConfig, ListenerConfig, ListenerType
from amqtt.plugins.base import BasePlugin

from benchmarks.consumers.settling import BATCH, Senders, make_settler, read_job, ready
from bridge.ingest.items import Incoming
from bridge.interpreter import loop_runner
from bridge.writer import ThreadWriter


class _Inbox:
    """The queue from the plugin to the consumer; amqtt makes its plugins itself, by name."""

    def __init__(self) -> None:
        self.senders: Senders | None = None
        self.waiting: deque[Incoming] = deque()
        self.arrived = asyncio.Event()


INBOX = _Inbox()


class Hand(BasePlugin[Any]):
    """Hands over every message that a client publishes to a device's topics."""

    async def on_broker_message_received(self, *, client_id: str, message: Any) -> None:
        if message is not None and message.topic.startswith("v1/") and INBOX.senders is not None:
            INBOX.waiting.append(INBOX.senders.incoming(message.topic, bytes(message.data)))
            INBOX.arrived.set()


async def consume() -> None:
    # By its own name, not as __main__: amqtt imports its plugins.
    from benchmarks.consumers import with_amqtt as here

    logging.disable(logging.CRITICAL)
    job = read_job()
    settler, store = make_settler(job.database)
    writer = ThreadWriter(settler, store)
    here.INBOX.senders = Senders(job.roles)
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}, "benchmarks.consumers.with_amqtt.Hand": {}}
    listener = ListenerConfig(type=ListenerType.TCP, bind=f"127.0.0.1:{job.port}")
    broker = Broker(BrokerConfig(listeners={"default": listener}, plugins=plugins))
    await broker.start()
    ready()

    async def work() -> None:
        inbox = here.INBOX
        while True:
            while not inbox.waiting:
                inbox.arrived.clear()
                await inbox.arrived.wait()
            batch = [inbox.waiting.popleft() for _ in range(min(len(inbox.waiting), BATCH))]
            while batch:
                settled = await writer.commit(batch)
                for message in settled.messages:
                    if message.retain:
                        await broker.retain_message(None, message.topic, message.payload, message.qos)
                    await broker.internal_message_broadcast(message.topic, message.payload, message.qos)
                batch = batch[len(settled.outcomes) :]

    loop = asyncio.get_running_loop()
    working = loop.create_task(work(), name="consumer")
    loop.add_signal_handler(signal.SIGTERM, working.cancel)
    await asyncio.wait([working])
    if not working.cancelled():
        working.result()
    await broker.shutdown()
    await writer.close()


if __name__ == "__main__":
    loop_runner()(consume())
