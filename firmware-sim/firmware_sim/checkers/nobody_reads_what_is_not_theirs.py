"""Nobody gets a message that the contract's access table does not give to their role."""

from __future__ import annotations

from collections.abc import Iterator

import cbor2

from devices.protocol.vocabulary import Role
from firmware_sim.checkers.view import Broken, View
from firmware_sim.record import Cast


def check(view: View) -> Iterator[Broken]:
    base = view.topics.base.split("/")
    jobs = _orders_of_couriers(view)
    allowed: dict[tuple[str, str], bool] = {}
    for e in view.received:
        key = (e.device, e.topic)
        if key in allowed:
            continue
        cast = view.record.cast.get(e.device)
        levels = e.topic.split("/")
        if levels[0] == "v1":
            allowed[key] = cast is None or (levels[: len(base)] == base and _at_home(view, cast, levels[len(base) :], jobs))
        else:
            allowed[key] = cast is None or cast.role == Role.LAB
        if cast is not None and not allowed[key]:
            yield Broken(f"{e.device}, a {cast.role}, got a message on {e.topic}, which is not theirs to read", e.at_ms)


def _at_home(view: View, cast: Cast, levels: list[str], jobs: dict[str, set[str]]) -> bool:
    """Whether a role reads a topic of its site. Whether the bridge is there, everybody with a part in v1/ may know."""
    match (cast.role, levels):
        case (Role.LAB, _):
            return False
        case (_, ["devices", device, "receipts"]):
            return view.topics.receipts(cast.device).split("/")[-2] == device
        case (Role.SCANNER | Role.COURIER | Role.SYSTEM | Role.CARRIER | Role.DESK, ["bridge", "state"]):
            return True
        case (Role.COURIER, ["couriers", courier, "assignments", _]):
            return cast.courier is not None and view.topics.assignments(cast.courier).split("/")[-3] == courier
        case (Role.COURIER, ["orders", order, "status" | "eta"]):
            return order in jobs.get(cast.courier or "", ())
        case (Role.SYSTEM, ["orders", *_]):
            return True
        case (Role.DESK, ["orders" | "alerts", *_] | ["devices", _, "presence"] | ["couriers", _, "assignments", _]):
            return True
        case _:
            return False


def _orders_of_couriers(view: View) -> dict[str, set[str]]:
    """By courier: topic levels of the orders that were ever in a job of theirs. When a job closes, what was granted may still be on its way."""
    found: dict[str, set[str]] = {}
    for row in view.table("jobs"):
        found.setdefault(row["courier"], set()).update(map(view.topics.status, cbor2.loads(row["orders"])))
    shown = [(s.topic, s.payload) for _, s in view.sent] + [(e.topic, e.payload) for e in view.received]
    courier_of = {view.topics.assignments(c.courier)[:-1]: c.courier for c in view.record.cast.values() if c.courier is not None}
    for topic, payload in shown:
        if "/couriers/" in topic and payload and (courier := courier_of.get(topic.rpartition("/")[0] + "/")) is not None:
            stops = (view.plain(payload) or {}).get("stops", [])
            found.setdefault(courier, set()).update(view.topics.status(o) for stop in stops for o in stop["orders"])
    return {courier: {topic.split("/")[-2] for topic in topics} for courier, topics in found.items()}
