"""What was inside a pallet, cage, bag, tote or box at any moment, from `aggregated`, `disaggregated` and the scans of container and children.

Membership is kept for each child, by the code that was put in. A child leaves when it is taken out, put into another container, or handled by itself, and
when the container is emptied: by its delivery, or because it moved, lay unscanned for hours, and is filled again (cages are never emptied on paper).
"""

from __future__ import annotations

from typing import Final

from bridge.domain.codes.evidence import CUSTODY, Known, TimeKey, key_of, time_key
from bridge.domain.codes.rules import DEPTH_MAX, INSIDE_MAX, REOPENED_AFTER_MS
from bridge.domain.facts import Fact
from bridge.domain.members import E
from devices.protocol import bodies

_CHECK_SCANS: Final = frozenset({E.STAGE, E.LOAD, E.DEPART, E.ARRIVE})
"""Scans of a child that take it out of nothing: it is only checked that it is there."""
_MOVING: Final = frozenset({E.LOAD, E.DEPART, E.PICKUP, E.ARRIVE, E.OUT_FOR_DELIVERY, E.DELIVERY})

_Moment = tuple[TimeKey, int]
"""An event's time, and 1 for just after it."""


class Containers:
    """Membership, computed on demand and remembered as long as the stored events stay the same."""

    __slots__ = ("_children", "_emptied", "_known")

    def __init__(self, known: Known) -> None:
        self._known = known
        self._children: dict[str, list[str]] = {}
        self._emptied: dict[str, list[_Moment]] = {}

    def contents(self, container: str, at: TimeKey) -> list[str]:
        """The codes inside a container at a time, those in its inner containers too, in sorted order.

        A common code (a shelf, a dock) contains nothing and is inside nothing: what is put on a shelf is taken from it without a word.
        """
        if self._known.is_common(container):
            return []
        found: dict[str, None] = {}
        self._collect(container, (at, 0), DEPTH_MAX, found, {container})
        return sorted(found)

    def _collect(self, container: str, at: _Moment, depth: int, found: dict[str, None], seen: set[str]) -> None:
        if depth == 0:
            return
        for child in self._children_ever(container):
            if child in seen or len(found) >= INSIDE_MAX or self._known.is_common(child) or self.container_of(child, at) != container:
                continue
            seen.add(child)
            found[child] = None
            self._collect(child, at, depth - 1, found, seen)

    def _children_ever(self, container: str) -> list[str]:
        found = self._children.get(container)
        if found is None:
            filled = (f for f in self._known.mentions(container) if f.type == E.AGGREGATED and self._counts(f) and parent_of(f) == container)
            found = self._children[container] = sorted({child for fact in filled for child in children_of(fact)})
        return found

    def container_of(self, child: str, at: _Moment) -> str | None:
        """The container that a code is in at a time."""
        puts = [(time_key(f), parent) for f in self._known.put_in(child) if self._counts(f) and (parent := parent_of(f)) is not None]
        last = max((p for p in puts if (p[0], 0) <= at), default=None)
        if last is None:
            return None
        put, container = (last[0], 0), last[1]
        for fact in self._live(child):
            if put < (time_key(fact), 0) <= at and fact.code == child and fact.type in CUSTODY and fact.type not in _CHECK_SCANS:
                return None
        for fact in self._live(container):
            if put < (time_key(fact), 0) <= at and fact.type == E.DISAGGREGATED and parent_of(fact) == container and _takes_out(fact, child):
                return None
        return None if any(put < emptied <= at for emptied in self.emptied(container)) else container

    def emptied(self, container: str) -> list[_Moment]:
        """When a container was emptied without a word: after its delivery, and before it was filled again."""
        found = self._emptied.get(container)
        if found is not None:
            return found
        found = self._emptied[container] = []
        last_ms: int | None = None
        has_moved = False
        for fact in sorted(self._live(container), key=time_key):
            if fact.type == E.AGGREGATED and parent_of(fact) == container:
                if last_ms is not None and has_moved and fact.event_ms - last_ms >= REOPENED_AFTER_MS:
                    found.append((time_key(fact), 0))
                has_moved = False
            elif fact.type in _MOVING:
                has_moved = True
            elif fact.type == E.UNLOAD:
                has_moved = False
            if fact.type == E.DELIVERY and fact.code is not None:
                found.append((time_key(fact), 1))
            last_ms = fact.event_ms
        return found

    def was_reopened(self, fact: Fact) -> bool:
        """Whether an `aggregated` event found that its container had been emptied without a word."""
        parent = parent_of(fact)
        return parent is not None and (time_key(fact), 0) in self.emptied(parent)

    def _live(self, key: str) -> list[Fact]:
        return [f for f in self._known.mentions(key) if self._counts(f)]

    def _counts(self, fact: Fact) -> bool:
        return fact.fault is None and fact.type != E.VOID and not self._known.is_voided(fact)


def parent_of(fact: Fact) -> str | None:
    """The container that an event fills or empties."""
    body = fact.body
    return key_of(body.parent) if isinstance(body, bodies.Aggregated | bodies.Disaggregated) else None


def children_of(fact: Fact) -> list[str]:
    """The codes that an event puts into a container, or takes out by name."""
    body = fact.body
    if not isinstance(body, bodies.Aggregated | bodies.Disaggregated):
        return []
    return list(dict.fromkeys(key for key in map(key_of, body.children or ()) if key is not None))


def _takes_out(fact: Fact, child: str) -> bool:
    assert isinstance(fact.body, bodies.Disaggregated)
    return fact.body.all or child in children_of(fact)
