"""One stream, settled in five ways by the real ingest, held against itself, against a replay and against the judge's model."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Final

from helpers.bench import empty_database
from helpers.events import NOW_MS
from helpers.streams import Mix, arrivals, stream
from helpers.streams.judged import disagreements
from helpers.streams.settled import RULES, USUAL, Comes, arrive, comes_to, differences, each_once, times_of
from sqlalchemy import Engine

from bridge.app import ingest_of
from bridge.ingest.ports import Store
from bridge.ingest.replay import NoSessions
from bridge.store.memory import MemoryStore
from bridge.store.replaying import rebuild
from bridge.store.sql import SqlStore
from bridge.store.sqlite import open_engine
from firmware_sim.checkers.model.codes.told import Told

ARRIVALS: Final = 5
"""All at once, each event alone (in the order of reception, or backwards), device after device, and twice at random."""
REPLAYED: Final = 1
"""The arrival that is replayed from its log, if the store has one."""


def faults(seed: int, mix: Mix, new_store: Callable[[], Store] = MemoryStore) -> dict[str, Any]:
    """What is wrong with the answers to a stream; empty if the law holds."""
    return faults_of(stream(seed, mix), random.Random(seed), new_store)


def faults_of(events: list[Told], chance: random.Random, new_store: Callable[[], Store] = MemoryStore) -> dict[str, Any]:
    events = each_once(events)
    first: Comes | None = None
    checked: dict[str, Any] = {}
    ways = list(islice(arrivals(events, chance), ARRIVALS + 1))
    del ways[chance.choice((1, 2))]
    with times_of(events):
        for nth, way in enumerate(ways):
            store = new_store()
            comes = arrive(store, way, chance=chance)
            if first is None:
                first = comes
                checked["the judge"] = disagreements(comes, events)
            checked[f"arrival {nth}"] = differences(first, comes)
            checked[f"arrival {nth}, folded again"] = comes.stale
            if nth == REPLAYED and isinstance(store, SqlStore):
                checked["replay"] = differences(first, replayed(store))
    return {what: wrong for what, wrong in checked.items() if wrong}


@contextmanager
def databases(folder: Path) -> Iterator[Callable[[], SqlStore]]:
    """Makes stores on databases of new sites."""
    opened: list[tuple[SqlStore, Engine]] = []

    def new_store() -> SqlStore:
        path = folder / f"{len(opened)}.db"
        path.write_bytes(empty_database())
        engine = open_engine(path)
        opened.append((SqlStore(engine), engine))
        return opened[-1][0]

    try:
        yield new_store
    finally:
        for store, engine in opened:
            store.close()
            engine.dispose()


def replayed(store: SqlStore) -> Comes:
    """What a store says after everything was derived again from its log."""
    with store.transaction() as tx:
        rebuild(tx.connection, ingest_of(RULES, USUAL, NoSessions()), now_ms=NOW_MS)
    with store.transaction() as tx:
        return comes_to(tx)
