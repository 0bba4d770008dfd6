"""Make a large database through the settler, in full batches: a job as a line of JSON on standard input, progress on stderr, figures as JSON on stdout.

It resumes after a kill: `built.json` beside the database says what is done, and events that are sent again count once, by their ids.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

from benchmarks.consumers.settling import BATCH, Senders, make_settler
from benchmarks.load.story import ORDER_STORY, SHORT_STORY, Sent, events_of, fleet_roles
from bridge.ingest.items import Incoming
from bridge.interpreter import tune_garbage_collection

DEVICES: Final = 100
CHUNK_ORDERS: Final = 10_000
STATE: Final = "built.json"
STORIES: Final = {"short": SHORT_STORY, "whole": ORDER_STORY}
LOG: Final = b"grow"
DAY_MS: Final = 86_400_000
NETWORK_MS: Final = 50


class Builder:
    """A database that grows in chunks of orders.

    Args:
        database: that of an existing site.
        story: `short`, orders of 10 events, or `whole`, orders of 25.
        orders: how many to make; their times are spread over one day.
    """

    def __init__(self, database: Path, story: str, orders: int) -> None:
        self.orders = orders
        self.story = STORIES[story]
        self._state = database.with_name(STATE)
        self._settler, self._store = make_settler(database)
        self._senders = Senders(fleet_roles(DEVICES))
        self.done = 0
        self._seqs: dict[str, int] = {}
        self._from_ms = time.time_ns() // 1_000_000 - DAY_MS
        self._now_ms = 0
        self.steps: list[dict[str, Any]] = []
        """For each chunk, what the database held after it, and how fast it was."""
        with suppress(FileNotFoundError):
            plain = json.loads(self._state.read_text())
            self.done, self._seqs, self._from_ms, self.steps = plain["orders"], plain["seqs"], plain["from_ms"], plain["steps"]

    def build(self) -> Iterator[dict[str, Any]]:
        """Grow to the full size; yields a step after each chunk."""
        while self.done < self.orders:
            size = min(CHUNK_ORDERS, self.orders - self.done)
            started_s = time.perf_counter()
            events = self._chunk(size)
            took_s = time.perf_counter() - started_s
            self.done += size
            step = {"orders": self.done, "events": self.done * len(self.story), "per_s": round(events / took_s), "memory_mb": round(_memory_mb()), "at": _now()}
            self.steps.append(step)
            self._state.write_text(json.dumps({"orders": self.done, "seqs": self._seqs, "from_ms": self._from_ms, "steps": self.steps}))
            yield step

    def _chunk(self, size: int) -> int:
        sent = events_of(
            DEVICES,
            range(self.done, self.done + size),
            now_ms=self._from_ms,
            prefix="g",
            seed=self.done,
            log=LOG,
            seqs=self._seqs,
            story=self.story,
            order_every_ms=DAY_MS / self.orders,
        )
        events = 0
        while batch := [self._received(s) for s in islice(sent, BATCH)]:
            self._settle(batch)
            events += len(batch)
        return events

    def _received(self, sent: Sent) -> Incoming:
        """Each event is received when it happened: the day's clock runs as fast as the events arrive. Otherwise every device's clock would seem to jump."""
        self._now_ms = max(self._now_ms, sent.at_ms + NETWORK_MS)
        return self._senders.incoming(sent.planned.topic.decode(), sent.planned.payload)._replace(received_ms=self._now_ms)

    def _settle(self, batch: Sequence[Incoming]) -> None:
        while batch:
            batch = batch[len(self._settler.commit(batch).outcomes) :]

    def close(self) -> None:
        self._store.close()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _memory_mb() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS:")), 0.0)


def main() -> None:
    job = json.loads(sys.stdin.readline())
    tune_garbage_collection()
    builder = Builder(Path(job["database"]), job["story"], job["orders"])
    for step in builder.build():
        print(f"{step['orders']:,} of {builder.orders:,} orders, {step['per_s']:,} events/s, {step['memory_mb']} MB", file=sys.stderr, flush=True)
    builder.close()
    print(json.dumps(builder.steps))


if __name__ == "__main__":
    main()
