"""The history of one key: a single pass over its evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from firmware_sim.checkers.model.codes.evidence import Evidence, Says, derived_parcel
from firmware_sim.checkers.model.codes.told import BACKWARD, CUSTODY, DAY_MS, FILLING, FINAL, Told, Uid

FORGET_AFTER_MS: Final = 180 * DAY_MS
"""A binding without a sign for so long has lapsed."""

REUSE_AFTER_MS: Final = 30 * DAY_MS
"""So long after a delivery, return or destruction a number may be used again."""

LOOK_AHEAD_MS: Final = 7 * DAY_MS
"""Clocks differ and labels are told late: so far ahead the next binding explains a scan."""


class End(StrEnum):
    """How a binding ended."""

    FREED = "freed"
    REPLACED = "replaced"
    MOVED = "moved"
    LAPSED = "lapsed"
    RENEWED = "renewed"
    """The same order took the code again."""


@dataclass(slots=True)
class Binding:
    """The code was on a parcel of `order` from `from_ms` on, until just before `to_ms`: at equal times, what binds or ends comes before a scan.

    `parcels` are the parcels that it names; empty if it names none. If it follows a lapsed binding, forward scans without an order from `scans_from_ms` on
    are already its own.
    """

    order: str
    from_ms: int
    parcels: frozenset[str]
    scans_from_ms: int
    to_ms: int | None = None
    end: End | None = None

    def holds_at(self, ms: int) -> bool:
        return self.from_ms <= ms and (self.to_ms is None or ms < self.to_ms)


class Hint(NamedTuple):
    """A custody event named this order and scanned the code. Hints of one `gap` stand together; a binding or a lapse begins the next gap."""

    ms: int
    order: str
    gap: int


class Sign(NamedTuple):
    """The code was seen, or the way of the parcel that bore it ended."""

    ms: int
    event: Told


class History(NamedTuple):
    """`refused` are packs and labels that did not get the code, `moved` labels that took it from a living binding of another order, and that order.

    `order_ms` is the time at which each event of the key is read: one device log never swaps its events.
    """

    bindings: list[Binding]
    hints: list[Hint]
    refused: set[Uid]
    moved: dict[Uid, str]
    order_ms: dict[Uid, int]


def history(evidence: Evidence, k: str) -> History:
    """What happened to a key."""
    events = [e for e in evidence.mentions[k] if not evidence.binds(e, k) or e.order in evidence.created_ms]
    for order in {e.order for e in events if evidence.binds(e, k)}:
        events += evidence.unpacks[order or ""] + evidence.endings[order or ""]
    order_ms = order_times(events)
    walk = _Walk(evidence, k)
    for ms, e in sorted(((walk.begins(e, order_ms[e.uid]), e) for e in events), key=lambda step: (step[0], *step[1].moment[1:])):
        walk.read(ms, e)
    return History(walk.bindings, walk.hints, walk.refused, walk.moved, order_ms)


def order_times(events: Iterable[Told]) -> dict[Uid, int]:
    """The largest event_ms among these events of the same device log with seq up to an event's own.

    Its own time, if its number proves nothing: of a system, a carrier or a desk, and if another event had the number before.
    """
    times: dict[Uid, int] = {}
    highest: dict[tuple[str, bytes], int] = {}
    for e in sorted(events, key=lambda e: (e.device, e.log, e.seq, e.id)):
        ms = e.event_ms
        if e.role in ("scanner", "courier") and not e.seq_reused:
            ms = highest[e.device, e.log] = max(ms, highest.get((e.device, e.log), ms))
        times[e.uid] = ms
    return times


def parcels_of(evidence: Evidence, binding: Binding, ms: int) -> frozenset[str]:
    """The parcels of a binding as an event at `ms` reads it: those that it names; else those that earlier packs of its order name; else that of the first pack.

    A pack more than `LOOK_AHEAD_MS` after the reading event is too late to explain which parcel that event named.
    """
    if binding.parcels:
        return binding.parcels
    packs = [p for p in evidence.packs[binding.order] if p.ms <= ms + LOOK_AHEAD_MS]
    return frozenset(p.parcel for p in packs if p.ms <= binding.from_ms) or frozenset(p.parcel for p in packs[:1])


class _Walk:
    """The state of the pass. `holder` is the present binding; when it ends, no older one revives."""

    def __init__(self, evidence: Evidence, k: str) -> None:
        self.evidence = evidence
        self.key = k
        self.holder: Binding | None = None
        self.gap = 0
        self.signs: list[Sign] = []
        self.bindings: list[Binding] = []
        self.hints: list[Hint] = []
        self.refused: set[Uid] = set()
        self.moved: dict[Uid, str] = {}

    def begins(self, e: Told, order_ms: int) -> int:
        """When an event is read. A binding of an order that did not exist yet waits until the order can be meant."""
        first = self.evidence.exists_from(e.order) if self.evidence.binds(e, self.key) else None
        return order_ms if first is None else max(order_ms, first)

    def read(self, ms: int, e: Told) -> None:
        says = self.evidence.says(e, self.key)
        if says in READ:
            READ[says](self, ms, e)
        is_scan = says is not Says.FINISHES and e.type not in FILLING and (e.code is not None or e.type == "labelled")
        if is_scan and e.uid not in self.refused:
            self.signs.append(Sign(ms, e))

    def bind(self, ms: int, e: Told) -> None:
        assert e.order is not None
        owner, before = self.evidence.order_with_id(self.key, ms), self.holder
        is_other = before is not None and before.order != e.order
        lapsed, scans_from_ms = self.lapse(ms)
        if owner not in (None, e.order) or (is_other and not lapsed and e.type == "pack"):
            self.refused.add(e.uid)
            return
        parcels = frozenset([derived_parcel(e)]) if e.type == "pack" or e.parcel is not None else frozenset()
        if before is not None and not is_other and not (e.type == "labelled" and e.parcel is not None):
            parcels |= before.parcels
        if is_other and not lapsed:
            assert before is not None
            self.moved[e.uid] = before.order
        self.end(ms, End.MOVED if is_other else End.RENEWED)
        self.holder = Binding(e.order, ms, parcels, scans_from_ms if is_other and lapsed else ms)
        self.bindings.append(self.holder)
        self.gap += 1

    def replace(self, ms: int, e: Told) -> None:
        """Only a label of the holder's order ends a binding; any other `replaces` was a mis-scan."""
        if self.holder is not None and e.order == self.holder.order:
            self.end(ms, End.REPLACED)
            self.gap += 1

    def free(self, ms: int, e: Told) -> None:
        holder = self.holder
        if holder is None:
            return
        by_scan = e.code is not None and e.order in (None, holder.order)
        by_name = e.code is None and e.order == holder.order and self._is_on(holder, ms, e)
        if by_scan or by_name:
            self.end(ms, End.FREED)
            self.gap += 1

    def hint(self, ms: int, e: Told) -> None:
        """A hint counts only if no binding holds the code; it ends a lapsed binding of another order, and lapsed hints."""
        assert e.order is not None
        lapsed, _ = self.lapse(ms)
        if self.holder is not None and self.holder.order != e.order and lapsed:
            self.end(ms, End.LAPSED)
            self.gap += 1
        elif self.holder is None and self.hints and self.hints[-1].gap == self.gap and lapsed:
            self.gap += 1
        if self.holder is None and self.evidence.exists(e.order, ms):
            self.hints.append(Hint(ms, e.order, self.gap))

    def finish(self, ms: int, e: Told) -> None:
        """A delivery by name is a sign of every code on that parcel."""
        if self.holder is not None and e.order == self.holder.order and self._is_on(self.holder, ms, e):
            self.signs.append(Sign(ms, e))

    def end(self, ms: int, end: End) -> None:
        if self.holder is not None:
            self.holder.to_ms, self.holder.end = ms, end
        self.holder = None

    def lapse(self, ms: int) -> tuple[bool, int]:
        """(whether what the code was on has lapsed for something new at `ms`, from when scans may belong to what is new).

        Forward scans without an order in the days before may be of what is new, and are no signs of what was.
        """
        scans_from_ms, signs = ms, list(self.signs)
        while signs and signs[-1].ms >= ms - LOOK_AHEAD_MS and _is_forward_scan(signs[-1].event):
            scans_from_ms = signs.pop().ms
        if not signs:
            return True, scans_from_ms
        silent_ms = scans_from_ms - signs[-1].ms
        return silent_ms >= (REUSE_AFTER_MS if signs[-1].event.type in FINAL else FORGET_AFTER_MS), scans_from_ms

    def _is_on(self, binding: Binding, ms: int, e: Told) -> bool:
        return e.parcel is None or e.parcel in parcels_of(self.evidence, binding, ms)


def _is_forward_scan(e: Told) -> bool:
    return e.order is None and e.type in CUSTODY and e.type not in BACKWARD


READ: Final[dict[Says, Callable[[_Walk, int, Told], None]]] = {
    Says.BINDS: _Walk.bind,
    Says.REPLACES: _Walk.replace,
    Says.FREES: _Walk.free,
    Says.HINTS: _Walk.hint,
    Says.FINISHES: _Walk.finish,
}
"""What each piece of evidence does to the state of the pass."""
