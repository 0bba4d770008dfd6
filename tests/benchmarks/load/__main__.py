"""Read one job from a line of standard input, do it, print its figures."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

from benchmarks.load import plain
from benchmarks.load.orders import OrdersJob, send_orders
from benchmarks.load.pace import Phase


def _orders(job: dict[str, Any]) -> Coroutine[Any, Any, dict[str, Any]]:
    phases = tuple(Phase(*p) for p in job.pop("phases", ()))
    return send_orders(OrdersJob(**job, phases=phases))


def _plain(work: Callable[..., Coroutine[Any, Any, dict[str, Any]]]) -> Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]:
    """For the broker alone: these clients do not log in."""
    return lambda job: work(**{name: value for name, value in job.items() if name != "password"})


KINDS: Final[dict[str, Callable[[dict[str, Any]], Coroutine[Any, Any, dict[str, Any]]]]] = {
    "orders": _orders,
    "acknowledged": _plain(plain.acknowledged),
    "fan_out": _plain(plain.fan_out),
    "retained": _plain(plain.retained),
    "hold": lambda job: plain.hold(**job),
    "storm": lambda job: plain.storm(**job),
}


def main() -> None:
    job = json.loads(sys.stdin.readline())
    core = job.pop("core")
    if core is not None:
        os.sched_setaffinity(0, {core})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(50_000, 20, 50)  # what it keeps are numbers and bytes; walking them would be its longest pause
    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    print(json.dumps(run(KINDS[job.pop("kind")](job))))


if __name__ == "__main__":
    main()
