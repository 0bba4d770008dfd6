"""Labels that name no order, only the code that they replace: a hub relabels what it cannot look up."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firmware_sim.checkers.model.codes.evidence import Evidence
from firmware_sim.checkers.model.codes.holding import Holdings
from firmware_sim.checkers.model.codes.keys import key
from firmware_sim.checkers.model.codes.told import Told


def with_orders_of_replaced_codes(evidence: Evidence) -> Evidence:
    """The same evidence, in which such labels name the order of the code that they replace, if it has one.

    They are read in the order of time, each by the evidence before it and by all creations, so that no circle can arise.
    """
    live = list(evidence.live)
    for place, e in enumerate(live):
        if e.type == "labelled" and e.order is None and e.body.get("replaces") is not None:
            live[place] = with_order_of_replaced_code(e, live, evidence.is_container)
    return Evidence(live, evidence.is_container)


def with_order_of_replaced_code(e: Told, live: Sequence[Told], is_container: Callable[[str], bool]) -> Told:
    """The same label, naming the order of the code that it replaces. The labels before it name theirs already."""
    before = Evidence(_before(live, e), is_container)
    return e._replace(order=Holdings(before).holder(key(e.body["replaces"]), e.event_ms).order)


def _before(live: Sequence[Told], e: Told) -> list[Told]:
    return [x for x in live if x.moment < e.moment or x.type == "created"]
