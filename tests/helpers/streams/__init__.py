"""Random streams of stored events about codes: labels, boxes, totes and orders of a small site, and everything that goes wrong with them.

A stream fixes what is fixed at arrival: event_ms, received_ms, device, log, seq and id of every event. `arrivals` changes only what must not matter:
the order in which events are committed, and how they are cut into batches.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Final

from firmware_sim.checkers.model.codes.told import Told
from helpers.streams.hostile import Chaos
from helpers.streams.ordinary import Shift
from helpers.streams.writing import ARTICLE, CLOCK_STEP_MS_MAX, CONTAINERS, DAY_MS, PLAIN_BODY, ROLE_OF, T0_MS, Writer, elsewhere, log_of

__all__ = [
    "ARTICLE",
    "CLOCK_STEP_MS_MAX",
    "CONTAINERS",
    "DAY_MS",
    "PLAIN_BODY",
    "ROLE_OF",
    "T0_MS",
    "Mix",
    "arrivals",
    "elsewhere",
    "log_of",
    "stream",
]


class Mix(StrEnum):
    """What a stream is made of."""

    ORDINARY = "ordinary"
    """Orders on their way, each with one trouble or none."""
    HOSTILE = "hostile"
    """Any event with any code, at any time."""


_SITES: Final[dict[Mix, Callable[[Writer], Shift | Chaos]]] = {Mix.ORDINARY: Shift, Mix.HOSTILE: Chaos}


def stream(seed: int, mix: Mix) -> list[Told]:
    """The events of one site, sorted by event_ms."""
    writer = Writer(random.Random(f"{mix} {seed}"), f"{mix} {seed}")
    _SITES[mix](writer).work()
    return writer.stored()


def arrivals(events: Sequence[Told], rng: random.Random) -> Iterator[list[list[Told]]]:
    """Endless ways in which the same events can be committed: batches of a random sequence, of every event alone, of all at once, of device after device."""
    yield [list(events)]
    yield [[e] for e in sorted(events, key=lambda e: (e.received_ms, e.id))]
    yield [[e] for e in reversed(events)]
    devices = sorted({e.device for e in events})
    yield [[e for e in events if e.device == device] for device in rng.sample(devices, len(devices))]
    while True:
        yield _batches(rng.sample(events, len(events)), rng)


def _batches(events: list[Told], rng: random.Random) -> list[list[Told]]:
    cuts = sorted(rng.sample(range(1, len(events)), min(len(events) - 1, rng.randrange(12))))
    return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]
