"""What is inside a pallet, cage, bag or tote at a moment. Membership is kept for each child, by the code that was put in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Final

from firmware_sim.checkers.model.codes.evidence import Evidence, children, scanned
from firmware_sim.checkers.model.codes.keys import key
from firmware_sim.checkers.model.codes.told import CUSTODY, HOUR_MS, Moment, Told

REOPENED_AFTER_MS: Final = 4 * HOUR_MS
DEPTH_MAX: Final = 3
INSIDE_MAX: Final = 2_000

CHECK_SCANS: Final = frozenset({"stage", "load", "depart", "arrive"})
"""A child that is scanned like this is still inside. Any other custody scan of its own takes it out."""

MOVES: Final = frozenset({"load", "depart", "pickup", "arrive", "out_for_delivery", "delivery"})
"""A container that was moved since it was filled, and is then filled again after some hours, was emptied in between. `unload` takes a move back."""


class Containers:
    """What the live events say about containers. A common code is none, and is in none: things are taken from a shelf without a word.

    Args:
        common: the keys of places.
    """

    def __init__(self, evidence: Evidence, common: Collection[str] = ()) -> None:
        self.evidence = evidence
        self._emptied: dict[str, list[Moment]] = {}
        self.children: dict[str, list[str]] = {}
        """By container, every child that was ever put in, the first first."""
        self.fillings: dict[str, list[Told]] = {}
        """By child, each `aggregated` that lists it."""
        for e in evidence.live:
            if e.type == "aggregated":
                for child in dict.fromkeys(c for c in children(e) if c not in common):
                    self.fillings.setdefault(child, []).append(e)
                    if (parent := key(e.body["parent"])) not in common:
                        self.children.setdefault(parent, []).append(child)

    def contents(self, k: str, at: Moment) -> list[str]:
        """All that is inside a container, what is in containers inside it too, at most `INSIDE_MAX`. A circle is cut where it comes back to a key."""
        found: dict[str, None] = {}
        for child in self._walk(k, at, {k}, DEPTH_MAX):
            found[child] = None
            if len(found) == INSIDE_MAX:
                break
        return list(found)

    def _walk(self, k: str, at: Moment, seen: set[str], depth: int) -> Iterator[str]:
        for child in self.children.get(k, ()) if depth else ():
            if child not in seen and self.container_of(child, at) == k:
                seen.add(child)
                yield child
                yield from self._walk(child, at, seen, depth - 1)

    def container_of(self, child: str, at: Moment) -> str | None:
        """What a child is in: the container that it was last put into, unless it has left that since."""
        put = max((e.moment for e in self.fillings.get(child, ()) if e.moment <= at), default=None)
        if put is None:
            return None
        parent = next(key(e.body["parent"]) for e in self.fillings[child] if e.moment == put)
        has_left = any(put < moment <= at for moment in self._departures(child, parent))
        return None if has_left else parent

    def was_filled(self, k: str, at: Moment) -> bool:
        """Whether something had been put into it by then."""
        return any(e.type == "aggregated" and key(e.body["parent"]) == k and e.moment <= at for e in self.evidence.mentions[k])

    def is_reopened_by(self, e: Told) -> bool:
        """Whether this `aggregated` empties the container before it fills it."""
        return e.moment in self.emptied(key(e.body["parent"]))

    def _departures(self, child: str, parent: str) -> Iterator[Moment]:
        for e in self.evidence.mentions[child]:
            if e.type in CUSTODY - CHECK_SCANS and scanned(e) == child:
                yield e.moment
        for e in self.evidence.mentions[parent]:
            if e.type == "disaggregated" and key(e.body["parent"]) == parent and (e.body.get("all") or child in children(e)):
                yield e.moment
        yield from self.emptied(parent)

    def emptied(self, k: str) -> list[Moment]:
        """The moments at which a container lost all that it held, without being unpacked on paper."""
        if k not in self._emptied:
            self._emptied[k] = list(self._read_emptied(k))
        return self._emptied[k]

    def _read_emptied(self, k: str) -> Iterator[Moment]:
        seen_ms, moved = None, False
        for e in self.evidence.mentions[k]:
            if e.type == "aggregated" and key(e.body["parent"]) == k:
                if moved and seen_ms is not None and e.event_ms - seen_ms >= REOPENED_AFTER_MS:
                    yield e.moment
                moved = False
            elif e.type in MOVES:
                moved = True
            elif e.type == "unload":
                moved = False
            if e.type == "delivery":
                yield just_after(e)
            seen_ms = e.event_ms


def just_before(e: Told) -> Moment:
    """The moment before an event: no id sorts before an empty one."""
    return (*e.moment[:4], b"")


def just_after(e: Told) -> Moment:
    return (*e.moment[:4], e.id + b"\x00")
