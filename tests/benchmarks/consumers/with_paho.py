"""A consumer as most people would write it: paho-mqtt with manual acknowledgement, batches, and one commit for each.

It drives paho's loop itself. With paho's own thread (`loop_start`) it takes about twice the processor time: both threads wait for the interpreter's lock.
"""

from __future__ import annotations

import select
import signal
import time
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.consumers.settling import BATCH, FILTERS, Senders, make_settler, read_job, ready
from bridge.ingest.items import Incoming
from bridge.writer import CHECKPOINT_EVERY_S

_LOOK_EVERY_S = 0.2


class Consumer:
    """One thread: read the messages that have arrived, commit a batch, publish what it causes, acknowledge."""

    def __init__(self, port: int, senders: Senders) -> None:
        self.stopping = False
        self._senders = senders
        self._waiting: list[tuple[int, int, Incoming]] = []
        self._subscribed = False
        client = self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="consumer", clean_session=False, manual_ack=True)
        client.max_inflight_messages_set(65_535)
        client.max_queued_messages_set(0)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.connect("127.0.0.1", port, keepalive=0)
        while not self._subscribed:
            client.loop(_LOOK_EVERY_S)

    def _on_connect(self, *_: Any) -> None:
        self.client.subscribe([(f, 1) for f in FILTERS])

    def _on_subscribe(self, *_: Any) -> None:
        self._subscribed = True

    def _on_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._waiting.append((message.mid, message.qos, self._senders.incoming(message.topic, bytes(message.payload))))

    @property
    def has_waiting(self) -> bool:
        return bool(self._waiting)

    def take(self) -> list[tuple[int, int, Incoming]]:
        """The messages that have arrived, at most a batch; waits a moment if there are none."""
        wait_s = 0.0 if self._waiting else _LOOK_EVERY_S
        while select.select([self.client.socket()], [], [], wait_s)[0]:
            self.client.loop_read()
            if len(self._waiting) >= BATCH:
                break
            wait_s = 0.0
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        return batch


def consume() -> None:
    job = read_job()
    settler, store = make_settler(job.database)
    consumer = Consumer(job.port, Senders(job.roles))
    signal.signal(signal.SIGTERM, lambda *_: setattr(consumer, "stopping", True))
    client = consumer.client
    checkpointed_s = 0.0
    ready()
    while not consumer.stopping:
        batch = consumer.take()
        while batch:
            settled = settler.commit([incoming for _, _, incoming in batch])
            for message in settled.messages:
                client.publish(message.topic, message.payload, message.qos, message.retain)
            done, batch = batch[: len(settled.outcomes)], batch[len(settled.outcomes) :]
            for mid, qos, _ in done:
                client.ack(mid, qos)
            while client.want_write():
                client.loop_write()
        if not consumer.has_waiting and time.monotonic() - checkpointed_s >= CHECKPOINT_EVERY_S:  # as ThreadWriter does for the others
            store.checkpoint()
            checkpointed_s = time.monotonic()
    client.disconnect()
    store.close()


if __name__ == "__main__":
    consume()
