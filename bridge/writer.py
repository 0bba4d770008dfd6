"""The writer of production: one thread, so that the next batch fills while the last one commits."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol, TypeVar

from bridge.ingest.items import Item, Settled
from bridge.ingest.pipeline import Settler
from bridge.store.sql import SqlStore

T = TypeVar("T")

CALM_MESSAGES: Final = 50
"""After so small a batch there is time for a checkpoint. Otherwise a COMMIT does it, once `ingest.database_log_bytes` have gathered."""
CHECKPOINT_EVERY_S: Final = 1.0


class SiteWriter(Protocol):
    """Does everything that writes to the store, one thing at a time, in the order of the calls."""

    async def commit(self, batch: Sequence[Item]) -> Settled:
        """See `pipeline.Writer`."""
        ...

    async def run(self, work: Callable[[], T]) -> T:
        """Call a function between two batches."""
        ...

    async def close(self) -> None: ...


class ThreadWriter:
    """A `SiteWriter` on a thread of its own."""

    def __init__(self, settler: Settler, store: SqlStore) -> None:
        self._settler = settler
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._checkpointed_s = 0.0

    async def commit(self, batch: Sequence[Item]) -> Settled:
        settled = await self.run(lambda: self._settler.commit(batch))
        if len(batch) <= CALM_MESSAGES:
            self._checkpoint_now_and_then()
        return settled

    def _checkpoint_now_and_then(self) -> None:
        """Let the thread do a checkpoint while the batch is shown and acknowledged. One for a second's commits takes a few milliseconds."""
        now_s = time.monotonic()
        if now_s - self._checkpointed_s >= CHECKPOINT_EVERY_S:
            self._checkpointed_s = now_s
            self._thread.submit(self._store.checkpoint)

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        await self.run(self._store.finish)
        self._thread.shutdown()

    def abandon(self) -> None:
        """Let go of the thread as a killed process does, except that a running commit ends."""
        self._thread.shutdown(wait=True, cancel_futures=True)
