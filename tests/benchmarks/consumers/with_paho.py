"""A consumer as most would write it: paho-mqtt with manual acknowledgement, batches, and one commit for each."""

from __future__ import annotations

import queue
import signal
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.consumers.settling import BATCH, FILTERS, Senders, make_settler, read_job, ready
from bridge.ingest.ports import Incoming

_LOOK_EVERY_S = 0.2


def consume() -> None:
    job = read_job()
    settler, store = make_settler(job.database)
    senders = Senders(job.roles)
    arrived: queue.SimpleQueue[tuple[int, int, Incoming]] = queue.SimpleQueue()
    subscribed, stop = threading.Event(), threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="consumer", clean_session=False, manual_ack=True)
    client.max_inflight_messages_set(65_535)
    client.max_queued_messages_set(0)
    client.on_connect = lambda *_: client.subscribe([(f, 1) for f in FILTERS])
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, m: arrived.put((m.mid, m.qos, senders.incoming(m.topic, bytes(m.payload))))
    client.connect("127.0.0.1", job.port, keepalive=0)
    client.loop_start()
    subscribed.wait(30)
    ready()
    while not stop.is_set():
        batch = _take(arrived)
        while batch:
            settled = settler.commit([incoming for _, _, incoming in batch])
            for message in settled.messages:
                client.publish(message.topic, message.payload, message.qos, message.retain)
            done, batch = batch[: len(settled.outcomes)], batch[len(settled.outcomes) :]
            for mid, qos, _ in done:
                client.ack(mid, qos)
    client.disconnect()
    client.loop_stop()
    store.close()


def _take(arrived: queue.SimpleQueue[tuple[int, int, Incoming]]) -> list[tuple[int, int, Incoming]]:
    """What has arrived, up to a batch; waits for the first."""
    try:
        batch = [arrived.get(timeout=_LOOK_EVERY_S)]
    except queue.Empty:
        return []
    while len(batch) < BATCH:
        try:
            batch.append(arrived.get_nowait())
        except queue.Empty:
            break
    return batch


if __name__ == "__main__":
    consume()
