"""The pipeline: accept, batch, store, show, acknowledge.

`run` is all of it. If any step before the acknowledgement fails, no acknowledgement is sent: the device sends again, and the event id makes it count once.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from bridge.config import IngestSettings
from bridge.domain.access import Kind
from bridge.errors import fault_of
from bridge.ingest.assembly import Ingest
from bridge.ingest.items import (
    Acknowledge,
    AcknowledgeAlert,
    Alarm,
    Announce,
    Change,
    Connected,
    Disconnected,
    Done,
    Incoming,
    Item,
    OpenJobs,
    Settled,
    SilenceAlerts,
)
from bridge.ingest.points import Passed, ignore_point
from bridge.ingest.ports import Store, StoreUnavailable, Transaction
from bridge.ingest.rules import Rules
from bridge.ingest.settle import mark_all_devices_offline, settle, show_jobs, sweep
from bridge.ingest.steps import Steps

logger = logging.getLogger("dockbridge.ingest")

T = TypeVar("T")
_DEFAULTS: Final = IngestSettings()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of the pipeline; `config/bridge.toml` describes them."""

    queue_messages_max: int = _DEFAULTS.queue_messages_max
    queue_bytes_max: int = _DEFAULTS.queue_bytes_max
    batch_messages_max: int = _DEFAULTS.batch_messages_max
    retry_first_s: float = _DEFAULTS.retry_first_s
    retry_max_s: float = _DEFAULTS.retry_max_s


class Writer(Protocol):
    """Settles and commits a batch or the first part of it; in production, on a thread. The result has one outcome for each committed message.

    Raises:
        StoreUnavailable: if the store can't take writes now; then nothing of the batch is committed.
    """

    async def commit(self, batch: Sequence[Item]) -> Settled: ...


class Outlet(Protocol):
    """Publishes committed changes."""

    def show(self, settled: Settled) -> None:
        """Publish what a batch changed: statuses to every subscriber, receipts to their devices."""
        ...

    def flush(self) -> None:
        """Pass everything that was written since the last flush to the network."""
        ...


_Waiting = tuple[Item, Acknowledge]


class Pipeline:
    """Accepts messages in order, and acknowledges each after its commit.

    Args:
        on_room: called when the queue has room again after `is_full` was true.
        steps: hears how far each batch is.

    Attributes:
        limits: may be replaced at any time.
    """

    def __init__(
        self,
        writer: Writer,
        outlet: Outlet,
        limits: Limits,
        on_room: Callable[[], None] | None = None,
        passed: Passed = ignore_point,
        steps: Steps | None = None,
    ) -> None:
        self.steps = steps if steps is not None else Steps()
        self._writer = writer
        self._outlet = outlet
        self.limits = limits
        self._on_room = on_room
        self._passed = passed
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._was_full = False
        self.failing = asyncio.Event()
        """Set while the store can't take writes."""

    @property
    def store_failing(self) -> bool:
        return self.failing.is_set()

    @property
    def waiting(self) -> int:
        """Messages that wait for the store, without those of the batch in progress."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of their payloads."""
        return self._bytes

    @property
    def is_full(self) -> bool:
        """Whether senders should pause. `offer` still accepts messages: nothing that was read is dropped."""
        full = len(self._waiting) >= self.limits.queue_messages_max or self._bytes >= self.limits.queue_bytes_max
        self._was_full = self._was_full or full
        return full

    @property
    def is_idle(self) -> bool:
        """Whether everything that was offered is acknowledged."""
        return self._idle.is_set()

    def change(self, change: Change) -> None:
        """Accept a change of sessions or connections. Its `done` is called after the commit, in order with the messages."""
        self.offer(change, _ignore_receipt)

    def offer(self, incoming: Item, acknowledge: Acknowledge) -> None:
        """Accept a message."""
        if not self._waiting:
            self._idle.clear()
            self._arrived.set()
        self._waiting.append((incoming, acknowledge))
        self._bytes += len(incoming.payload)

    async def run(self) -> None:
        """Process batches until cancelled."""
        while True:
            batch = await self._take()
            self._passed("taken")
            while batch:
                settled = await self._store([incoming for incoming, _ in batch])
                self.steps.committed(settled.batch, len(settled.outcomes))
                self._outlet.show(settled)
                self.steps.shown()
                self._passed("shown")
                _acknowledge(batch, settled)
                self._passed("acknowledged")
                self._outlet.flush()
                self.steps.answered()
                self._passed("flushed")
                # If a batch failed because of its content, only its first part is committed; the rest is the next batch.
                batch = batch[len(settled.outcomes) :]
            self._make_room()

    async def drained(self) -> None:
        """Wait until everything that was offered is acknowledged."""
        await self._idle.wait()

    async def _take(self) -> list[_Waiting]:
        if not self._waiting:
            self._arrived.clear()
            self._idle.set()
            await self._arrived.wait()
        batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), self.limits.batch_messages_max))]
        self._bytes -= sum(len(incoming.payload) for incoming, _ in batch)
        return batch

    async def _store(self, batch: Sequence[Item]) -> Settled:
        """Commit a batch. If the store can't be written, retry until it can."""
        delay_s = self.limits.retry_first_s
        while True:
            self.steps.begun()
            try:
                settled = await self._writer.commit(batch)
            except StoreUnavailable as error:
                if not self.failing.is_set():
                    self.failing.set()
                    logger.error("the store can't take writes (%s); the server acknowledges nothing until it can: %s", error, error.fix)
                await asyncio.sleep(delay_s)
                delay_s = min(delay_s * 2, self.limits.retry_max_s)
            else:
                if self.failing.is_set():
                    self.failing.clear()
                    logger.warning("the store takes writes again; the server is storing the messages that waited")
                return settled

    def _make_room(self) -> None:
        if self._was_full and len(self._waiting) * 2 <= self.limits.queue_messages_max and self._bytes * 2 <= self.limits.queue_bytes_max:
            self._was_full = False
            if self._on_room is not None:
                self._on_room()


def _ignore_receipt(receipt: bytes) -> None:
    """The acknowledgement of a change: its `done` reports the result instead."""


def _acknowledge(batch: Sequence[_Waiting], settled: Settled) -> None:
    for (_, acknowledge), outcome in zip(batch, settled.outcomes, strict=False):
        try:
            acknowledge(outcome)
        except Exception as error:  # noqa: BLE001 -- one failed acknowledgement must not prevent the others
            logger.error("an acknowledgement failed: %s", fault_of(error))


class Settler:
    """Settles batches in a store; used by one thread at a time.

    If a batch fails because of its content, it is bisected until the faulty message is found. That message is quarantined; the others are processed.
    """

    def __init__(self, store: Store, ingest: Ingest, passed: Passed = ignore_point) -> None:
        self._store = store
        self._ingest = ingest
        self._passed = passed

    def forget(self) -> None:
        """Drop what is cached from the store, because something else has written to it."""
        self._ingest.forget()

    def use_rules(self, rules: Rules) -> None:
        """Settle by other rules from the next batch on."""
        self._ingest.rules = rules

    def forget_articles(self) -> None:
        """Drop what is cached of the articles, because they have changed."""
        self._ingest.memory.articles.forget()

    def forget_places(self) -> None:
        """Drop what is cached of places, phones and visits, because some were changed or deleted."""
        self._ingest.memory.forget_places()

    def forget_workers(self) -> None:
        """Drop what is cached of badges, because some were forgotten."""
        self._ingest.memory.workers.forget()

    def commit(self, batch: Sequence[Item]) -> Settled:
        """Settle and commit a batch. If it fails because of its content, commit the first part that does not fail.

        Raises:
            StoreUnavailable: if the store can't take writes now.
        """
        try:
            return self._try(batch)
        except StoreUnavailable:
            raise
        except Exception as error:
            if len(batch) == 1:
                (item,) = batch
                if isinstance(item, Incoming):
                    return self._quarantine(item, error)
                if isinstance(item, (AcknowledgeAlert, Alarm, Announce, Connected, Disconnected, SilenceAlerts)):
                    logger.error("the bridge could not publish a message of its own: %s", fault_of(error))
                    return Settled([Done(item, None)], [], [b""])
                raise StoreUnavailable(f"a session could not be changed: {error}") from error
            return self.commit(batch[: len(batch) // 2])

    def sweep(self, now_ms: int) -> Settled:
        """Apply the changes that are due at this time.

        Raises:
            StoreUnavailable: if the store can't take writes now.
        """
        return self._in_transaction(lambda tx: sweep(now_ms, tx, self._ingest))

    def show_jobs(self, now_ms: int) -> OpenJobs:
        """Every open job, to be published at the start.

        Raises:
            StoreUnavailable: if the store can't take writes now.
        """
        return self._in_transaction(lambda tx: show_jobs(now_ms, tx, self._ingest))

    def mark_all_devices_offline(self, now_ms: int) -> Settled:
        """At the start, publish for each device that it is offline.

        Raises:
            StoreUnavailable: if the store can't take writes now.
        """
        return self._in_transaction(lambda tx: mark_all_devices_offline(now_ms, tx, self._ingest))

    def _try(self, batch: Sequence[Item]) -> Settled:
        return self._in_transaction(lambda tx: settle(batch, tx, self._ingest))

    def _in_transaction(self, work: Callable[[Transaction], T]) -> T:
        try:
            with self._store.transaction() as tx:
                result = work(tx)
                self._passed("written")
            self._passed("committed")
        except BaseException:
            self._ingest.forget()
            raise
        return result

    def _quarantine(self, poison: Incoming, error: Exception) -> Settled:
        logger.error("a message of %s caused an error, %s; it is in quarantine", poison.identity.device, fault_of(error))
        try:
            return self._try([poison._replace(kind=Kind.POISON, detail=f"{type(error).__name__} while it was processed")])
        except StoreUnavailable:
            raise
        except Exception as again:
            raise StoreUnavailable(f"the message can't be stored in quarantine either: {again}") from again
