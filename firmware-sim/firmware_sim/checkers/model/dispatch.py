"""Who is to bring an order: jobs, claims and what was decided of them; and orders that time completes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from firmware_sim.checkers.model.events import Answer, Happened
from firmware_sim.checkers.model.order import Order
from firmware_sim.checkers.model.parcel import DEAD


def assigned(order: Order, e: Happened) -> None:
    """The whole order, or the parcel that is named. Who had it in wrong hands has now been decided on."""
    job = (e.body["courier"], e.body.get("job") or "j-" + e.id.hex())
    box, name = order.meant(e)
    if (order.jobs.get(name) if name is not None else order.job) == job and (name is not None or not order.jobs):
        return
    if name is None:
        order.job, order.jobs = job, {}
    else:
        order.jobs[name] = job
    for given in order.boxes.values() if name is None else [box] if box is not None else []:
        given.handed_to, given.wrong_hands = None, False
    if all(order.job_of(b) is not None for b in order.boxes.values() if b.state not in DEAD):
        order.marks.discard("unassigned")


def unassigned(order: Order, e: Happened) -> None:
    _give_back(order, e.body["job"])


def decided(order: Order, e: Happened) -> None:
    """A refusal of a job takes it back. What a courier took along, and nobody else was to bring, is that courier's. An order that time completes is delivered,
    nobody has to decide on it, and no lost parcel is still owed."""
    if e.body["answer"] == "completed":
        owes = "short" in order.marks and any(b.state == "lost" and not order.is_off(b) for b in order.boxes.values())
        if not owes and order.is_done() and "cancelled" not in order.marks and not order.holds and "completed" not in order.marks:
            order.marks.add("completed")
            order.close()
    elif e.body["answer"] == "assigned":
        _take_along(order, e.body["courier"], e.body["job"], e.body["parcel"])
    elif e.body["answer"] != "claim" and e.body["outcome"] == "applied":
        _give_back(order, e.body["job"])


def _take_along(order: Order, courier: str, job: str, parcel: str) -> None:
    box = next((b for b in order.boxes.values() if parcel in order.known.names(b.id)), None)
    if box is None or box.courier != courier:
        return
    held = order.job_of(box)
    if held is None or (held[1] != job and box.handed_to == courier):
        order.jobs[box.id] = (courier, job)
        box.handed_to = None
        if all(order.job_of(b) is not None for b in order.boxes.values() if b.state not in DEAD):
            order.marks.discard("unassigned")


def _give_back(order: Order, job: str) -> None:
    mine = [name for name, held in order.jobs.items() if held is not None and held[1] == job]
    order.jobs.update(dict.fromkeys(mine))
    is_whole = order.job is not None and order.job[1] == job
    if is_whole:
        order.job = None
    if mine or is_whole:
        order.marks.add("unassigned")


def nothing(order: Order, e: Happened) -> None:
    """Claims and refusals count as they were decided; shifts and counted cash are about no order."""


def as_decided(decision: Mapping[str, Any] | None) -> Answer:
    if decision is None:
        return Answer("unknown")
    outcome = decision["outcome"]
    return Answer("taken" if outcome in ("applied", "noop") else outcome, decision["reason"])
