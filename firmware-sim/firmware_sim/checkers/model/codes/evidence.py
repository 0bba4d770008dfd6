"""What the stored events say about codes. Nothing here depends on where an event was placed."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from firmware_sim.checkers.model.codes.keys import is_article, key
from firmware_sim.checkers.model.codes.told import CUSTODY, DAY_MS, FILLING, FINAL, Told, Uid

BEFORE_CREATED_MS: Final = 7 * DAY_MS
"""How long before its creation an order can be meant by its id or hold a code."""

ORDERS_OF_A_CODE_MAX: Final = 32
"""A code that is scanned beside more orders is common: a shelf, a dock door."""

SCANS_A_PLACE: Final = CUSTODY | {"pick"}
"""Events that count for that; a pick scans the shelf that it takes from."""

VOIDS_EVERY_EVENT: Final = frozenset({"desk", "system"})
"""Roles that may void the events of other devices."""


class Says(StrEnum):
    """What an event says about one key."""

    BINDS = "binds"
    """From here on the code is on a parcel of this order."""
    REPLACES = "replaces"
    """Another label was put over it."""
    FREES = "frees"
    """It was unpacked."""
    HINTS = "hints"
    """Something of this order bore the code."""
    FINISHES = "finishes"
    """The way of its order ended, without a scan of the code."""
    MENTIONS = "mentions"
    """Nothing: the event itself wants to be placed."""


class Pack(NamedTuple):
    """When an order was packed, and the parcel's id."""

    ms: int
    parcel: str


# --- before everything else -----------------------------------------------------------------------------------------------


def known(events: Iterable[Told]) -> list[Told]:
    """Every event once, in the order of their moments."""
    once: dict[Uid, Told] = {}
    for e in sorted(events, key=lambda e: e.moment):
        once.setdefault(e.uid, e)
    return list(once.values())


def may_void(void: Told, target: Told) -> bool:
    """Decided from the two events alone. A void cannot be voided."""
    return target.type != "void" and (target.device == void.device or void.role in VOIDS_EVERY_EVENT)


def voided(events: Collection[Told]) -> frozenset[Uid]:
    """The events that a valid void refers to."""
    voids = [e for e in events if e.type == "void" and e.fault is None]
    return frozenset(e.uid for v in voids for e in events if e.id == v.body["ref"] and may_void(v, e))


def common_codes(events: Iterable[Told]) -> frozenset[str]:
    """The keys of places, which are scanned beside many orders. Voided events count here: a count that only grows is cheap."""
    beside = defaultdict(set)
    for e in events:
        if e.type in SCANS_A_PLACE and e.order is not None and e.code is not None and e.fault is None:
            beside[key(e.code)].add(e.order)
    return frozenset(k for k, orders in beside.items() if len(orders) > ORDERS_OF_A_CODE_MAX)


def container_test(common: Collection[str], patterns: Sequence[str]) -> Callable[[str], bool]:
    """A test for keys that name a container or a place: they match a pattern, or are common."""
    return lambda k: k in common or any(re.search(p, k) for p in patterns)


# --- what an event mentions -----------------------------------------------------------------------------------------------


def scanned(e: Told) -> str | None:
    """The key of what was scanned. A label that is told and the codes of a container stand in the body."""
    return key(e.code) if e.code is not None and e.type not in FILLING and e.type != "labelled" else None


def children(e: Told) -> list[str]:
    """The keys that an `aggregated` or `disaggregated` lists."""
    return [key(c) for c in e.body.get("children") or ()]


def mentioned(e: Told) -> set[str]:
    """Every key that an event mentions."""
    if e.type == "labelled":
        return {key(c) for c in (e.body["code"], e.body.get("replaces")) if c is not None}
    if e.type in FILLING:
        return {key(e.body["parent"]), *children(e)}
    return {k for k in (scanned(e),) if k is not None}


class Evidence:
    """The live events of a site (neither faulty nor voided), sorted by moment and found by key and by order.

    `created_ms` has the first creation of each order. `finds`, `unpacks`, `endings` and `packs` are the lists that a history reads:
    by key, every event that mentions it; by order, unpacks and final events without a code, and packs.
    """

    def __init__(self, live: Sequence[Told], is_container: Callable[[str], bool]) -> None:
        self.live = live
        self.is_container = is_container
        self.created_ms: dict[str, int] = {}
        self.mentions: defaultdict[str, list[Told]] = defaultdict(list)
        self.unpacks: defaultdict[str, list[Told]] = defaultdict(list)
        self.endings: defaultdict[str, list[Told]] = defaultdict(list)
        self.packs: defaultdict[str, list[Pack]] = defaultdict(list)
        for e in live:
            for k in mentioned(e):
                self.mentions[k].append(e)
            if e.order is not None:
                self._of_order(e, e.order)
        self._orders_by_key = {key(order): order for order in reversed(self.created_ms)}

    def _of_order(self, e: Told, order: str) -> None:
        if e.type == "created":
            self.created_ms.setdefault(order, e.event_ms)
        elif e.type == "pack":
            self.packs[order].append(Pack(e.event_ms, derived_parcel(e)))
        elif e.type == "unpack" and e.code is None:
            self.unpacks[order].append(e)
        elif e.type in FINAL and e.code is None:
            self.endings[order].append(e)

    def exists_from(self, order: str | None) -> int | None:
        """From when an order can be meant; None if it was never created."""
        created_ms = self.created_ms.get(order) if order is not None else None
        return None if created_ms is None else created_ms - BEFORE_CREATED_MS

    def exists(self, order: str | None, ms: int) -> bool:
        first = self.exists_from(order)
        return first is not None and ms >= first

    def order_with_id(self, k: str, ms: int) -> str | None:
        """The order whose id is this key. Nothing moves an order's own id."""
        order = self._orders_by_key.get(k)
        return order if self.exists(order, ms) else None

    def says(self, e: Told, k: str) -> Says:
        """What an event says about a key that it mentions, or about a key of its order."""
        if self.binds(e, k):
            return Says.BINDS
        if e.type == "labelled" and e.body.get("replaces") is not None and key(e.body["replaces"]) == k:
            return Says.REPLACES
        if e.type == "unpack":
            return Says.FREES
        if e.type in FINAL and e.code is None:
            return Says.FINISHES
        if e.type in CUSTODY and e.order is not None and not is_article(k) and not self.is_container(k):
            return Says.HINTS
        return Says.MENTIONS

    def binds(self, e: Told, k: str) -> bool:
        """A label or a pack that scans a code. An order's own id, a container and (but for a plain label) an article are bound to nothing."""
        if e.order is None or self.is_container(k) or k == key(e.order):
            return False
        if e.type == "labelled":
            return key(e.body["code"]) == k and (not is_article(k) or e.body["kind"] != "sscc")
        return e.type == "pack" and e.code is not None and not is_article(k)


def derived_parcel(e: Told) -> str:
    """The parcel that a pack names, or that is named after it."""
    return e.parcel if e.parcel is not None else f"p-{e.id.hex()}"
