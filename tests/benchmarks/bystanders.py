"""How scanners are affected by a large operation: the time from a scan to its PUBACK during it, compared with the time before, in the same run.

`login_storm.py` and `retained_stream.py` are the large operations.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.events import TOPICS, shift
from helpers.server import SECRET, Server

from benchmarks.load.wire import Client, publish
from devices.protocol.vocabulary import Role

SCANNERS = 20
SCANS_A_SECOND = 5
CALM_S = 8.0
"""Before the operation begins, for comparison."""


class Scanner(Client):
    """Scans at a person's pace, and records how long each PUBACK took."""

    def __init__(self, name: str) -> None:
        super().__init__(name, SECRET, [TOPICS.receipts(name)])
        self.device = name
        self.waits: list[float] = []
        self._seq = 0
        self._sent: dict[int, float] = {}

    def on_puback(self, packet_id: int) -> None:
        self.waits.append(time.perf_counter() - self._sent.pop(packet_id))

    async def work(self) -> None:
        topic = TOPICS.event(self.device, "shift_started").encode()
        while True:
            self._seq += 1
            payload = shift(self.device, self._seq)
            self._sent[self._seq] = time.perf_counter()
            self.transport.write(publish(topic, payload, 1, self._seq))
            await asyncio.sleep(1 / SCANS_A_SECOND)

    def take(self) -> list[float]:
        """The waits since the last call, and the age of what still waits."""
        now = time.perf_counter()
        waits, self.waits = self.waits + [now - at for at in self._sent.values()], []
        return waits


def served(make: Callable[[Server], Callable[[], Awaitable[dict[str, Any]]]]) -> None:
    """Make a site, prepare the operation, serve, and print the result."""
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder) / "site")
        server.enrol(Role.SCANNER, *(f"scan-{n}" for n in range(SCANNERS)))
        event = make(server)
        with server:
            print(json.dumps(asyncio.run(beside(server, event)), indent=2))


async def beside(server: Server, event: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
    """Scanners scan; after a while the large operation begins."""
    scanners = [Scanner(f"scan-{n}") for n in range(SCANNERS)]
    for scanner in scanners:
        await enter(server, scanner)
    work = [asyncio.create_task(s.work()) for s in scanners]
    await asyncio.sleep(CALM_S)
    calm = [w for s in scanners for w in s.take()]
    memory = server.memory_bytes()
    began = time.perf_counter()
    found = await event()
    seconds = time.perf_counter() - began
    busy = [w for s in scanners for w in s.take()]
    peak = server.peak_memory_bytes()
    for task in work:
        task.cancel()
    return {
        **found,
        "seconds": round(seconds, 1),
        "scans": {"before": len(calm), "meanwhile": len(busy)},
        "puback_ms_before": quantiles(calm),
        "puback_ms_meanwhile": quantiles(busy),
        "memory_mb": {"before": memory >> 20, "peak": peak >> 20},
        "cores": os.cpu_count(),
    }


async def enter(server: Server, client: Client) -> None:
    await asyncio.get_running_loop().create_connection(lambda: client, *server.address)
    await client.ready


def quantiles(seconds: list[float]) -> dict[str, float]:
    """p50, p99 and the longest, in milliseconds."""
    cuts = statistics.quantiles(seconds, n=100)
    return {"p50": round(cuts[49] * 1_000, 1), "p99": round(cuts[98] * 1_000, 1), "max": round(max(seconds) * 1_000, 1)}
