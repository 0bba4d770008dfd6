"""Where every event belongs: the kind of event, and whether it names no order, the order that holds its code, or another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from firmware_sim.checkers.model.codes.containers import Containers, just_before
from firmware_sim.checkers.model.codes.evidence import Evidence, children, common_codes, container_test, known, may_void, scanned, voided
from firmware_sim.checkers.model.codes.holding import Holder, Holdings
from firmware_sim.checkers.model.codes.keys import is_article, key
from firmware_sim.checkers.model.codes.relabelling import with_order_of_replaced_code, with_orders_of_replaced_codes
from firmware_sim.checkers.model.codes.told import BACKWARD, CUSTODY, FILLING, MINUTE_MS, PREPARATION, WITHOUT_ORDER, By, Placing, Told, Uid, Verdict

CONTRADICTS_AHEAD_MS: Final = 10 * MINUTE_MS
"""A binding that follows an event so soon contradicts the order that the event names."""

PLACED, PARKED, REJECTED = Verdict.PLACED, Verdict.PARKED, Verdict.REJECTED


def places(events: Iterable[Told], containers: Sequence[str] = ()) -> dict[Uid, Placing]:
    """Where each of these events belongs.

    Args:
        events: all stored events of a site, in any order; an event that stands there twice counts once.
        containers: regular expressions for the keys of containers.
    """
    law = Law(events, containers)
    return {e.uid: law.place(e) for e in law.known}


class Law:
    """The evaluation in the order of the law: known events, voids, creations, labels without an order, histories, containers; then each event."""

    def __init__(self, events: Iterable[Told], containers: Sequence[str]) -> None:
        self.known = known(events)
        self.voided = voided(self.known)
        live = [e for e in self.known if e.type != "void" and e.fault is None and e.uid not in self.voided]
        common = common_codes(self.known)
        self.evidence = with_orders_of_replaced_codes(Evidence(live, container_test(common, containers)))
        self.relabelled = {e.uid: e for e in self.evidence.live if e.type == "labelled"}
        self.holdings = Holdings(self.evidence)
        self.containers = Containers(self.evidence, common)

    def place(self, e: Told) -> Placing:
        if e.fault is not None:
            return Placing(Verdict.FAULT, _named(e), e.fault)
        if e.type == "void":
            return self._void(e)
        placing = self._by_table(e)
        return Placing(Verdict.VOIDED, placing.orders) if e.uid in self.voided else placing

    def codes_inside(self, e: Told) -> dict[str, list[str]] | None:
        """By order, the keys of its parcels in the container that an event scans; None if it scans no container."""
        if e.type == "labelled":
            return None
        k = scanned(e)
        if k is None or e.fault is not None:
            return None
        inside = self.containers.contents(k, e.moment) if e.type in CUSTODY else []
        if not inside:
            return {} if e.order is not None and self.evidence.is_container(k) and e.type != "unpack" else None
        found: dict[str, list[str]] = {}
        own = self._holder(e, k)
        if own.order is not None and own.by is not By.HINT:
            found[own.order] = [k]
        for child in inside:
            if (order := self._holder(e, child).order) is not None:
                found.setdefault(order, []).append(child)
        return found

    def loses_label(self, e: Told) -> str | None:
        """The order from whose parcel a label took its code."""
        if e.type != "labelled" or e.fault is not None or e.uid in self.voided:
            return None
        e = self._relabelled(e)
        return self.holdings.history(key(e.body["code"])).moved.get(e.uid) if e.order is not None else None

    def _void(self, void: Told) -> Placing:
        """A void belongs where its target would belong."""
        meant = [e for e in self.known if e.id == void.body["ref"]]
        targets = self.targets(void)
        if targets:
            return Placing(PLACED, frozenset().union(*(_named(e) if e.fault else self._by_table(e).orders for e in targets)), by=By.VOID)
        if not meant:
            return Placing(PARKED, reason="unknown_reference")
        return Placing(REJECTED, reason="void_of_void" if any(e.type == "void" for e in meant) else "not_yours")

    def targets(self, void: Told) -> list[Told]:
        """The events that a void takes back."""
        return [e for e in self.known if e.id == void.body["ref"] and may_void(void, e)]

    # the table

    def _by_table(self, e: Told) -> Placing:
        if e.type in FILLING:
            return self._filling(e)
        if e.type == "labelled":
            return self._label(self._relabelled(e))
        k = scanned(e)
        if k is None:
            return self._unscanned(e)
        if e.type in ("pick", "pack") and (is_article(k) or self.evidence.is_container(k)):
            return self._by_name(e, "article_scanned" if e.type == "pack" and is_article(k) else None)
        if e.type in CUSTODY and (inside := self.containers.contents(k, e.moment)):
            return self._with_contents(e, inside, parent=k)
        if e.order is None:
            return self._by_holder(e, k)
        return self._pack(e, k) if e.type == "pack" else self._named_and_scanned(e, k)

    def _unscanned(self, e: Told) -> Placing:
        return Placing(Verdict.NOTHING) if e.order is None and e.type in WITHOUT_ORDER else self._by_name(e)

    def _by_name(self, e: Told, *warnings: str | None) -> Placing:
        """In the order that it names, as soon as that exists."""
        if e.order is None:
            return Placing(REJECTED, reason="order_needed")
        if e.order not in self.evidence.created_ms:
            return Placing(PARKED, _named(e), "unknown_order")
        return Placing(PLACED, _named(e), warnings=frozenset(w for w in warnings if w), by=By.NAME)

    def _relabelled(self, e: Told) -> Told:
        """A label with the order of the code that it replaces, even if it was voided: it then stands among the troubles of that order."""
        if e.order is not None or e.body.get("replaces") is None:
            return e
        return self.relabelled.get(e.uid) or with_order_of_replaced_code(e, self.evidence.live, self.evidence.is_container)

    def _label(self, e: Told) -> Placing:
        if e.order is None:
            waits = e.body.get("replaces") is not None
            return Placing(PARKED, reason="unknown_code") if waits else Placing(REJECTED, reason="order_needed")
        k = key(e.body["code"])
        if self.evidence.is_container(k):
            return Placing(REJECTED, _named(e), "is_container")
        history = self.holdings.history(k)
        if e.uid in history.refused:
            return Placing(REJECTED, _named(e), "code_taken")
        return self._by_name(e, "label_moved" if e.uid in history.moved else None)

    def _pack(self, e: Told, k: str) -> Placing:
        """A pack takes a code that is free. The histories know which packs were refused."""
        owner = self.evidence.order_with_id(k, self.holdings.time_of(e, k))
        if e.uid in self.holdings.history(k).refused or owner not in (None, e.order):
            return Placing(REJECTED, _named(e), "wrong_parcel")
        return self._by_name(e)

    def _named_and_scanned(self, e: Told, k: str) -> Placing:
        """What was scanned is the truth: custody follows the code, preparation is refused."""
        holder = self.holdings.bound(k, self.holdings.time_of(e, k), ahead_ms=CONTRADICTS_AHEAD_MS, forward=e.type not in BACKWARD)
        if holder.order in (None, e.order):
            warning = "container_beside" if self.evidence.is_container(k) else "article_scanned" if is_article(k) and holder.order is None else None
            return self._by_name(e, warning)
        if e.type in PREPARATION:
            return Placing(REJECTED, _named(e), "wrong_parcel")
        return Placing(PLACED, _only(holder), warnings=frozenset({"misload"}), by=holder.by)

    def _by_holder(self, e: Told, k: str) -> Placing:
        holder = self._holder(e, k)
        if holder.order is not None:
            return Placing(PLACED, _only(holder), warnings=frozenset({"old_label"} if holder.by is By.OLD_LABEL else ()), by=holder.by)
        if holder.disputed or is_article(k):
            return Placing(PARKED, reason="scan_parcel")
        return Placing(PARKED, reason="container_empty" if self.evidence.is_container(k) else "unknown_code")

    # containers

    def _filling(self, e: Told) -> Placing:
        listed, parent = children(e), key(e.body["parent"])
        before = self.containers.contents(parent, just_before(e)) if e.type == "aggregated" or e.body.get("all") else []
        if e.type == "disaggregated":
            return self._with_contents(e, listed + before)
        placing = self._with_contents(e, listed)
        return placing._replace(warnings=placing.warnings | {"container_reopened"}) if before and self.containers.is_reopened_by(e) else placing

    def _with_contents(self, e: Told, inside: Sequence[str], *, parent: str | None = None) -> Placing:
        """In the orders of all that is inside; in that of the parent, too, if it is a parcel's own label."""
        orders, unknown = set(), False
        for k in inside:
            holder = self._holder(e, k)
            if holder.order is not None:
                orders.add(holder.order)
            elif not self.containers.was_filled(k, e.moment):
                unknown = True
        if parent is not None:
            own = self._holder(e, parent)
            orders |= _only(own) if own.by is not By.HINT else frozenset()
        misload = e.type in CUSTODY and e.order is not None and e.order not in orders
        warnings = frozenset(w for w, there in (("misload", misload), ("some_unknown", unknown)) if there)
        if orders:
            return Placing(PLACED, frozenset(orders), warnings=warnings, by=By.CONTAINER)
        return Placing(PARKED, reason="unknown_code", warnings=warnings)

    def _holder(self, e: Told, k: str) -> Holder:
        return self.holdings.holder(k, self.holdings.time_of(e, k), forward=e.type not in BACKWARD)


def _named(e: Told) -> frozenset[str]:
    return frozenset() if e.order is None else frozenset([e.order])


def _only(holder: Holder) -> frozenset[str]:
    return frozenset() if holder.order is None else frozenset([holder.order])
