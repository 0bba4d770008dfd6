"""The writer in production: one thread, so that the next batch fills while the last one commits."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

from bridge.ingest.items import Item, Settled
from bridge.ingest.pipeline import Settler
from bridge.store.sql import SqlStore

T = TypeVar("T")
logger = logging.getLogger("dockbridge")

CALM_MESSAGES: Final = 50
"""After a batch of at most this size there is time for a checkpoint. Under load, a COMMIT does it once the log has `ingest.database_log_bytes`."""
CHECKPOINT_EVERY_S: Final = 1.0


class SiteWriter(Protocol):
    """Does all writes to the store, one at a time, in the order of the calls."""

    async def commit(self, batch: Sequence[Item]) -> Settled:
        """See `pipeline.Writer`."""
        ...

    async def run(self, work: Callable[[], T]) -> T:
        """Call a function between two batches."""
        ...

    async def close(self) -> None: ...


class ThreadWriter:
    """A `SiteWriter` with its own thread."""

    def __init__(self, settler: Settler, store: SqlStore) -> None:
        self._settler = settler
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._checkpointed_s = 0.0
        self._is_pinned = False

    async def commit(self, batch: Sequence[Item]) -> Settled:
        settled = await self.run(lambda: self._settler.commit(batch))
        if len(batch) <= CALM_MESSAGES:
            self._checkpoint_now_and_then()
        return settled

    def _checkpoint_now_and_then(self) -> None:
        """Start a checkpoint on the thread while the batch is shown and acknowledged. It takes a few milliseconds for one second of commits."""
        now_s = time.monotonic()
        if now_s - self._checkpointed_s >= CHECKPOINT_EVERY_S:
            self._checkpointed_s = now_s
            self._thread.submit(self._checkpoint)

    def _checkpoint(self) -> None:
        pinned_bytes = self._store.checkpoint()
        if pinned_bytes and not self._is_pinned:
            said = "%.0f MB of the write-ahead log can't be moved into the database, because some program reads it for long: `dockbridge doctor` names it"
            logger.warning(said, pinned_bytes / 1e6)
        elif self._is_pinned and not pinned_bytes:
            logger.warning("the write-ahead log is moved into the database again")
        self._is_pinned = bool(pinned_bytes)

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        await self.run(self._store.finish)
        self._thread.shutdown()

    def abandon(self) -> None:
        """Stop the thread as if the process were killed, except that a running commit is completed."""
        self._thread.shutdown(wait=True, cancel_futures=True)
