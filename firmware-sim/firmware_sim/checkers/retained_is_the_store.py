"""What the broker holds is what the store says: a restart would show the same, and nothing is shown of what is over."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import cbor2

from devices.protocol.topics import unescape
from devices.protocol.vocabulary import OPEN_JOB_STATES
from firmware_sim.checkers.view import SETTLED, Broken, Plain, View
from firmware_sim.record import Row

SWEEP_MS: Final = 120_000
"""How late a status may be taken down: the bridge looks at deadlines now and then."""
_ALERT: Final = ("code", "subject", "severity", "since_ms", "text", "fix")


def check(view: View) -> Iterator[Broken]:
    due: dict[str, Plain | bytes] = {}
    for order, row in view.shown.items():
        due[view.topics.status(order)] = view.plain(row["status"]) or {}
        yield from _overdue(view, row)
    for row in view.table("parcels"):
        if row["order_id"] in view.shown:
            due[view.topics.parcel(row["order_id"], row["parcel"])] = view.plain(row["status"]) or {}
    for row in view.table("alerts"):
        due[view.topics.alert(row["code"], row["subject"])] = {k: row[k] for k in _ALERT}
    for row in view.table("jobs"):
        if row["state"] in OPEN_JOB_STATES:
            due[view.topics.assignment(row["courier"], row["job"])] = {k: row[k] for k in ("job", "rev", "state")} | {"orders": cbor2.loads(row["orders"])}
    due |= {row["topic"]: row["payload"] for row in view.table("retained") if not _is_of_the_looker(view, row["topic"])}
    yield from _compared(view, due)


def _is_of_the_looker(view: View, topic: str) -> bool:
    """Whether a topic is the presence of a device that is not in the story: it was connected only to look at what is retained."""
    match view.levels(topic):
        case ["devices", device, "presence"]:
            return unescape(device) not in view.record.cast
    return False


def _overdue(view: View, row: Row) -> Iterator[Broken]:
    """An ended order is taken down after the time that the site keeps it."""
    if view.record.status_keep_ms and row["state"] in SETTLED and row["due_ms"] + SWEEP_MS < view.record.ended_ms:
        yield Broken(f"order {row['order_id']} ended {row['state']}, was to be taken down at {row['due_ms']} and is still shown at {view.record.ended_ms}")


def _compared(view: View, due: dict[str, Plain | bytes]) -> Iterator[Broken]:
    held = {topic: payload for topic, payload in view.end.retained.items() if payload and not _is_of_the_looker(view, topic)}
    for topic in sorted(due.keys() - held.keys()):
        yield Broken(f"nothing is retained on {topic}, and the store has something for it")
    for topic in sorted(held):
        if topic in due:
            if (wrong := _difference(view, topic, held[topic], due[topic])) is not None:
                yield Broken(f"what is retained on {topic} is not what the store has: {wrong}")
        elif (why := _unfounded(view, topic)) is not None:
            yield Broken(f"{topic} is retained, and {why}")


def _difference(view: View, topic: str, payload: bytes, stored: Plain | bytes) -> str | None:
    if isinstance(stored, bytes):
        return None if payload == stored else f"{payload.hex()[:40]}… instead of {stored.hex()[:40]}…"
    shown = view.plain(payload)
    if shown is None:
        return "it cannot be decoded"
    if "orders" in stored:
        shown = {**shown, "orders": [o for stop in shown.get("stops", []) for o in stop["orders"]]}
    wrong = sorted(k for k in stored if shown.get(k) != stored[k])
    if view.levels(topic)[2:3] == ["parcels"] and wrong == ["rev"] and shown.get("rev", 0) < stored["rev"]:
        return None  # a parcel that only got its label is stored anew and not shown again: its hash is the same
    return ", ".join(f"{k} is {_short(shown.get(k))} instead of {_short(stored[k])}" for k in wrong) or None


def _unfounded(view: View, topic: str) -> str | None:
    """Why a topic that no table has may not be retained; None where it may."""
    match view.levels(topic):
        case ["bridge", "state"] | ["orders", _, "eta"]:
            return None
        case ["orders", order, "position"]:
            row = next((r for o, r in view.orders.items() if view.topics.position(o) == topic), None)
            on_the_way = row is not None and "out_for_delivery" in row["state"]
            return None if on_the_way else f"order {order} is not out for delivery"
        case []:
            return "it is outside this site" if topic.startswith("v1/") else "no device retained it"
        case ["orders", order, *_]:
            return f"order {order} is not to be shown any more, or has no such topic"
        case _:
            return "nothing in the store stands for it"


def _short(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)[:60]
