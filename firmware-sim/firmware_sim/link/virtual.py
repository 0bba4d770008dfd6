"""Time that passes only when nothing is left to do: an event loop without sockets, threads or a clock. Its day takes as long as its work."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context
from heapq import heapify, heappop, heappush
from typing import Any, Final, NoReturn, TypeVarTuple

_Ts = TypeVarTuple("_Ts")
_CANCELLED_MIN: Final = 100
"""Timers up to which cancelled ones are left where they are."""
_RESOLUTION_S: Final = 1e-6


class Stalled(Exception):
    """Everybody waits and nothing will come: a simulation without a timer left."""


class _Timer(asyncio.TimerHandle):
    """A timer tells its loop that it was cancelled where it is `_scheduled`."""

    __slots__ = ()
    _scheduled: bool


class VirtualLoop(asyncio.BaseEventLoop):
    """An event loop in which the same callbacks run in the same order every time. `start_ms` is true time at its start, ms since 1970 UTC.

    It turns by itself: asyncio's own turn asks a selector and the clock each time, and compares timers in Python, which is a tenth of a run. The order in which
    timers come due is asyncio's.
    """

    _ready: deque[asyncio.Handle]
    _scheduled: list[tuple[float, _Timer]]
    _stopping: bool
    _timer_cancelled_count: int

    def __init__(self, start_ms: int) -> None:
        super().__init__()
        self.now_s = 0.0
        self._start_ms = start_ms

    def time(self) -> float:
        return self.now_s

    def now_ms(self) -> int:
        """True time, ms since 1970 UTC."""
        return self._start_ms + int(self.now_s * 1000 + 1e-3)

    def call_at(self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None) -> asyncio.TimerHandle:
        timer = _Timer(when, callback, args, self, context)
        timer._scheduled = True
        heappush(self._scheduled, (when, timer))
        return timer

    def call_later(self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None) -> asyncio.TimerHandle:
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        """One turn: what is ready now, or, where nothing is, what is due next."""
        ready, timers = self._ready, self._scheduled
        if self._timer_cancelled_count:
            self._forget_cancelled()
        if not ready and not self._stopping:
            if not timers:
                raise Stalled("nobody has a timer and nothing is on its way")
            self.now_s += max(0.0, timers[0][0] - self.now_s)
        until_s = self.now_s + _RESOLUTION_S
        while timers and timers[0][0] < until_s:
            timer = heappop(timers)[1]
            timer._scheduled = False
            ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if not handle._cancelled:
                handle._run()

    def _forget_cancelled(self) -> None:
        timers = self._scheduled
        if len(timers) > _CANCELLED_MIN and self._timer_cancelled_count / len(timers) > 0.5:
            for _, timer in timers:
                timer._scheduled = not timer._cancelled
            timers[:] = [entry for entry in timers if not entry[1]._cancelled]
            heapify(timers)
            self._timer_cancelled_count = 0
        while timers and timers[0][1]._cancelled:
            self._timer_cancelled_count -= 1
            heappop(timers)[1]._scheduled = False

    def run_in_executor(self, *_: Any) -> NoReturn:  # type: ignore[override]
        raise NotImplementedError("a simulation has no threads")

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""
