"""Reads for a trace: the times of batches, and what waits in the message log."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Engine, func, select

from bridge.operations.trace_ports import WaitingMessages
from bridge.store import tables as t
from bridge.store.relations import chunks
from bridge.store.sqlite import translated
from devices.protocol.messages import load
from devices.protocol.topics import Topics


class TraceQueries:
    """The reads of `operations.trace_ports.TraceQueries`."""

    _reader: Engine
    _topics: Topics

    def batch_ends_ms(self, batches: Collection[int]) -> dict[int, int]:
        found: dict[int, int] = {}
        with translated(), self._reader.connect() as connection:
            for some in chunks(sorted(batches)):
                found.update((row.no, row.now_ms) for row in connection.execute(select(t.batches.c.no, t.batches.c.now_ms).where(t.batches.c.no.in_(some))))
        return found

    def waiting_messages(self, order_id: str, devices: Sequence[str]) -> WaitingMessages:
        topics = {self._topics.receipts(device): device for device in devices}
        messages, receipts = t.message_log.c, {}
        with translated(), self._reader.begin() as connection:
            status = select(func.min(messages.at_ms)).where(messages.topic == self._topics.status(order_id))
            statuses_since_ms = connection.execute(status).scalar()
            for some in chunks(list(topics)):
                for row in connection.execute(select(messages.topic, messages.payload, messages.at_ms).where(messages.topic.in_(some))):
                    receipts[topics[row.topic], load(row.payload).get("id") or b""] = row.at_ms
            kept = connection.execute(select(t.sessions.c.device).where(t.sessions.c.device.in_(devices)).distinct()).scalars()
            return WaitingMessages(receipts=receipts, statuses_since_ms=statuses_since_ms, with_session=frozenset(kept))
