"""How a process that serves sets up Python: the garbage collector and the event loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any


def tune_garbage_collection() -> None:
    """What is there at the start stays; and what ingest keeps are orders and facts, which hold no cycles: the defaults would walk them all over again
    every few hundred events, for a tenth of the throughput. The middle generation is collected after 5 young ones: after 20 its pause was 128 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 5, 200)


def loop_runner() -> Callable[[Coroutine[Any, Any, None]], None]:
    """uvloop where it is installed: it takes two thirds of the time for each packet."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run
    return uvloop.run
