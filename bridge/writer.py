"""The writer of production: one thread, so that the next batch fills while the last one commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

from bridge.ingest.pipeline import Settler
from bridge.ingest.ports import Item, Settled
from bridge.store.checkpointer import Checkpointer
from bridge.store.sql import SqlStore

CALM_MESSAGES: Final = 50
"""A batch of so few means that not much waits."""
CHECKPOINT_EVERY_S: Final = 1.0


class SiteWriter(Protocol):
    """Does everything that writes to the store, one thing at a time, in the order in which it was asked."""

    async def commit(self, batch: Sequence[Item]) -> Settled:
        """See `pipeline.Writer`."""
        ...

    async def run(self, work: Callable[[], Any]) -> Any:
        """Do something between two batches."""
        ...

    async def close(self) -> None: ...


class ThreadWriter:
    """A `SiteWriter` with a thread of its own, and another for checkpoints in calm times."""

    def __init__(self, settler: Settler, store: SqlStore) -> None:
        self._settler = settler
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")
        self._checkpointer = Checkpointer(store.engine)
        self._checkpoints = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._checkpoint: asyncio.Future[None] | None = None
        self._checkpointed_s = 0.0

    async def commit(self, batch: Sequence[Item]) -> Settled:
        settled: Settled = await self.run(lambda: self._settler.commit(batch))
        if len(batch) <= CALM_MESSAGES:
            self._checkpoint_now_and_then()
        return settled

    def _checkpoint_now_and_then(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._checkpointed_s >= CHECKPOINT_EVERY_S and (self._checkpoint is None or self._checkpoint.done()):
            self._checkpointed_s = loop.time()
            self._checkpoint = loop.run_in_executor(self._checkpoints, self._checkpointer.run)

    async def run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        await self.run(self._store.close)
        self._thread.shutdown()
        await asyncio.get_running_loop().run_in_executor(self._checkpoints, self._finish)
        self._checkpoints.shutdown()

    def abandon(self) -> None:
        """Let go of everything as a process does that is killed, but for a commit that is under way."""
        for thread in (self._thread, self._checkpoints):
            thread.shutdown(wait=True, cancel_futures=True)
        self._checkpointer.close()

    def _finish(self) -> None:
        self._checkpointer.finish()
        self._checkpointer.close()
