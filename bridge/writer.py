"""The writer of production: one thread, so that the next batch fills while the last one commits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from bridge.ingest.pipeline import Settler
from bridge.ingest.ports import Item, Settled
from bridge.store.sql import SqlStore


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
    """A `SiteWriter` with a thread of its own."""

    def __init__(self, settler: Settler, store: SqlStore) -> None:
        self._settler = settler
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="writer")

    async def commit(self, batch: Sequence[Item]) -> Settled:
        settled: Settled = await self.run(lambda: self._settler.commit(batch))
        return settled

    async def run(self, work: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        await self.run(self._store.close)
        self._thread.shutdown()
