"""Reading all retained messages: `python tests/benchmarks/retained_stream.py` has a clean and a persistent session subscribe to 50,000 topics at once.

Meanwhile 20 scanners scan; see `bystanders.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bystanders import enter, served  # first: it finds the helpers of the tests  # isort: skip
from helpers.server import SECRET, Server

from benchmarks.load.wire import Client
from devices.protocol.vocabulary import Role


class Reader(Client):
    """Reads all retained messages, and acknowledges them."""

    def __init__(self, name: str, many: int, *, clean: bool) -> None:
        super().__init__(name, SECRET, ["lab/#"], clean=clean)
        self.many = many
        self.topics: list[bytes] = []
        self.done = asyncio.get_running_loop().create_future()

    def on_publish(self, topic: bytes, payload: bytes) -> None:
        self.topics.append(topic)
        if len(self.topics) == self.many and not self.done.done():
            self.done.set_result(time.perf_counter())


def retained(server: Server, topics: int) -> Callable[[], Awaitable[dict[str, Any]]]:
    server.enrol(Role.LAB, "reader-clean", "reader-kept")
    server.write("INSERT INTO retained (topic, payload, qos) VALUES (?, ?, 1)", [(f"lab/shelf-{n % 100}/box-{n}", bytes(200)) for n in range(topics)])

    async def stream() -> dict[str, Any]:
        began = time.perf_counter()
        readers = [Reader("reader-clean", topics, clean=True), Reader("reader-kept", topics, clean=False)]
        await asyncio.gather(*(enter(server, r) for r in readers))
        ended = [round(await r.done - began, 1) for r in readers]
        assert all(len(r.topics) == len(set(r.topics)) == topics for r in readers)
        return {"topics": topics, "clean_s": ended[0], "persistent_s": ended[1]}

    return stream


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topics", type=int, default=50_000)
    asked = parser.parse_args()
    served(lambda server: retained(server, asked.topics))


if __name__ == "__main__":
    main()
