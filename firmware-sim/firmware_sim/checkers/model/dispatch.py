"""Who brings an order: jobs, claims and what was decided of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware_sim.checkers.model.events import Answer, Happened
from firmware_sim.checkers.model.order import Order


def assigned(order: Order, e: Happened) -> None:
    order.job = e.body.get("job") or "j-" + e.id.hex()
    order.marks.discard("unassigned")


def unassigned(order: Order, e: Happened) -> None:
    _give_back(order, e.body["job"])


def decided(order: Order, e: Happened) -> None:
    if e.body["answer"] != "claim" and e.body["outcome"] == "applied":
        _give_back(order, e.body["job"])


def _give_back(order: Order, job: str) -> None:
    if order.job == job:
        order.job = None
        order.marks.add("unassigned")


def nothing(order: Order, e: Happened) -> None:
    """Claims and refusals count as they were decided."""


def as_decided(decision: Mapping[str, Any] | None) -> Answer:
    if decision is None:
        return Answer("unknown")
    outcome = decision["outcome"]
    return Answer("taken" if outcome in ("applied", "noop") else outcome, decision["reason"])
