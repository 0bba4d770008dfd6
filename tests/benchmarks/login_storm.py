"""A fleet that reconnects at once: `python tests/benchmarks/login_storm.py` lets 1,000 enrolled devices log in on a server that has just started.

The server remembers no password yet, so that each login costs a hash. Meanwhile 20 scanners that are already logged in scan; see `bystanders.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bystanders import enter, served  # first: it finds the helpers of the tests  # isort: skip
from helpers.events import TOPICS
from helpers.server import SECRET, Server

from benchmarks.load.wire import Client
from devices.protocol.vocabulary import Role


def login_storm(server: Server, devices: int) -> Callable[[], Awaitable[dict[str, Any]]]:
    names = [f"phone-{n}" for n in range(devices)]
    server.enrol(Role.SCANNER, *names)

    async def storm() -> dict[str, Any]:
        began = time.perf_counter()

        async def one(name: str) -> float:
            await enter(server, Client(name, SECRET, [TOPICS.receipts(name)]))
            return time.perf_counter() - began

        entered = sorted(await asyncio.gather(*(one(name) for name in names)))
        return {"devices": devices, "median_in_s": round(entered[len(entered) // 2], 1), "all_in_s": round(entered[-1], 1)}

    return storm


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--devices", type=int, default=1_000)
    asked = parser.parse_args()
    served(lambda server: login_storm(server, asked.devices))


if __name__ == "__main__":
    main()
