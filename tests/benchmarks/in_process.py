"""The work without MQTT, in a process of its own on the server's core: a job as a line of JSON on standard input, figures on standard output.

`handler` is the settler that every contestant calls; `database` writes the same rows without deciding anything; `codec` reads every payload; `copy` copies
the bytes and does nothing else.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.consumers.settling import BATCH, Senders, make_settler
from benchmarks.load.story import events_of, fleet_roles
from bridge.app import ingest_of
from bridge.bounds import rules_of
from bridge.broker.session_log import SessionLog
from bridge.config import Settings
from bridge.ingest.items import Incoming
from bridge.ingest.pipeline import Settler
from bridge.ingest.relation import Writes
from bridge.interpreter import tune_garbage_collection
from bridge.store.sql import SqlStore, SqlTransaction
from devices.protocol import messages
from devices.protocol.vocabulary import EventType


class _Recorder:
    """A store that remembers what is written."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self.batches: list[Writes] = []

    @contextmanager
    def transaction(self) -> Iterator[SqlTransaction]:
        with self._store.transaction() as tx:
            write = tx.write

            def keep(writes: Writes) -> None:
                self.batches.append(writes)
                write(writes)

            tx.write = keep  # type: ignore[method-assign]
            yield tx


def handler(queue: Sequence[Incoming], folder: Path) -> float:
    """Seconds that the settler takes for all events, in full batches."""
    settler, store = make_settler(folder / "handler.db")
    took_s = _timed(lambda: _settle(settler, queue))
    store.close()
    return took_s


def database(queue: Sequence[Incoming], folder: Path) -> float:
    """Seconds that writing the same rows takes, in the same transactions."""
    _, store = make_settler(folder / "first.db")
    recorder = _Recorder(store)
    _settle(Settler(recorder, ingest_of(rules_of(Settings()), Settings(), SessionLog())), queue)
    store.close()
    _, again = make_settler(folder / "again.db")

    def replay() -> None:
        for writes in recorder.batches:
            with again.transaction() as tx:
                tx.write(writes)

    took_s = _timed(replay)
    again.close()
    return took_s


def codec(queue: Sequence[Incoming], folder: Path) -> float:
    """Seconds that decoding and checking every payload takes."""
    types = {t.value: t for t in EventType}

    def decode() -> None:
        for incoming in queue:
            messages.decode_event(incoming.payload, types[incoming.event_type or ""])

    return _timed(decode)


def copy(queue: Sequence[Incoming], folder: Path) -> float:
    """Seconds that copying every payload takes: no program that reads them can be faster."""

    def copy_all() -> None:
        for incoming in queue:
            bytearray(incoming.payload)

    return _timed(copy_all)


KINDS: Final[dict[str, Callable[[Sequence[Incoming], Path], float]]] = {"handler": handler, "database": database, "codec": codec, "copy": copy}


def _settle(settler: Settler, queue: Sequence[Incoming]) -> None:
    for place in range(0, len(queue), BATCH):
        settler.commit(queue[place : place + BATCH])


def _timed(work: Callable[[], None]) -> float:
    tune_garbage_collection()
    start_s = time.perf_counter()
    work()
    return time.perf_counter() - start_s


def made(devices: int, orders: int) -> list[Incoming]:
    """The events of a fleet, in the order in which they arrive."""
    senders = Senders(fleet_roles(devices))
    sent = events_of(devices, range(orders), now_ms=time.time_ns() // 1_000_000, prefix="b", seed=1, log=b"load", seqs={})
    return [senders.incoming(s.planned.topic.decode(), s.planned.payload) for s in sent]


def main() -> None:
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    if job["core"] is not None:
        os.sched_setaffinity(0, {job["core"]})
    queue = made(job["devices"], job["orders"])
    with tempfile.TemporaryDirectory(prefix="dockbridge-bench-", dir=os.environ.get("DOCKBRIDGE_BENCH_DIR")) as folder:
        took_s = KINDS[job["kind"]](queue, Path(folder))
    print(json.dumps({"events": len(queue), "seconds": round(took_s, 4), "per_s": round(len(queue) / took_s, 1)}))


if __name__ == "__main__":
    main()
