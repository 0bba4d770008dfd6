"""Time that passes only when nothing is left to do: an event loop without sockets, threads or a clock. Its day takes as long as its work."""

from __future__ import annotations

import asyncio
from typing import Any, NoReturn


class Stalled(Exception):
    """Everybody waits and nothing will come: a simulation without a timer left."""


class _NoSockets:
    """Stands where a loop has its selector: waiting is moving the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout_s: float | None) -> list[Any]:
        if timeout_s is None:
            raise Stalled("nobody has a timer and nothing is on its way")
        self._loop.now_s += timeout_s
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop in which the same callbacks run in the same order every time. `start_ms` is true time at its start, ms since 1970 UTC."""

    def __init__(self, start_ms: int) -> None:
        super().__init__()
        self.now_s = 0.0
        self._start_ms = start_ms
        self._selector = _NoSockets(self)
        self._clock_resolution = 1e-6

    def time(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        """True time, ms since 1970 UTC."""
        return self._start_ms + int(self.now_s * 1000 + 1e-3)

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]
        raise NotImplementedError("a simulation has no threads")

    def _process_events(self, event_list: Any) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""
