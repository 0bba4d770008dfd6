"""The tasks of an application: each has a name, and is cancelled and awaited when the application closes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger("dockbridge")


class Tasks:
    """Owns tasks.

    Attributes:
        failed: set when a task that must run has ended with an error: nothing is acknowledged any more, and the process should be started again.
    """

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self._lasting: list[asyncio.Task[None]] = []
        self._errands: set[asyncio.Task[None]] = set()

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start a task that must run until the application closes."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self.ended)
        self._lasting.append(task)

    def run_errand(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Start a task that ends by itself."""
        errand = asyncio.get_running_loop().create_task(work, name=name)
        self._errands.add(errand)
        errand.add_done_callback(self._errands.discard)

    def ended(self, task: asyncio.Task[None]) -> None:
        """A done callback for tasks of other owners that must run as well."""
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("the %s ended: %s: %s", task.get_name(), type(error).__name__, error)
            self.failed.set()

    def cancel(self) -> None:
        for task in (*self._lasting, *self._errands):
            task.cancel()

    async def close(self) -> None:
        """Cancel every task, and wait until it has ended."""
        self.cancel()
        await asyncio.gather(*self._lasting, *self._errands, return_exceptions=True)
