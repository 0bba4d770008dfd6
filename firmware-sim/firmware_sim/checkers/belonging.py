"""Where each stored event belongs: as the law of codes has it, read a second time, and as the bridge has stored it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from firmware_sim.checkers.model.addressing import key_text
from firmware_sim.checkers.model.codes.placing import Law
from firmware_sim.checkers.model.codes.told import FILLING, Told, Verdict
from firmware_sim.record import Row

BY_JOB: Final = frozenset({"claim", "decline", "unassigned", "decided"})
"""These name a job and no code: the orders of the job are the bridge's to know."""
UNTOLD: Final = frozenset({"container_beside"})
"""What the law finds odd and no receipt says."""
AS_TOLD: Final = {"unknown_code": "unknown_parcel", "scan_parcel": "unknown_parcel", "container_empty": "unknown_parcel", "is_container": "container"}
"""The law's reasons in the contract's words."""

Codes = tuple[str, ...]


class Belonging(NamedTuple):
    """The orders of an event, each with the codes of its parcels in the container that was scanned (None: it scanned none); and what keeps it from counting.

    The order from whose parcel a label took its code is among them, with that code.

    `outcome` is what the device is told of an event in no order; None if the orders say it, or if the contract does not.
    """

    orders: dict[str, Codes | None]
    refusal: str | None = None
    warnings: frozenset[str] = frozenset()
    outcome: str | None = None
    reason: str | None = None
    is_voided: bool = False


TAKEN: Final = Belonging({}, outcome="taken")
VOIDED: Final = Belonging({}, outcome="rejected", reason="voided", is_voided=True)


def by_the_law(rows: Iterable[tuple[Row, Mapping[str, Any]]], patterns: Iterable[str]) -> dict[int, Belonging]:
    """By place in the log: where each event belongs. Each row comes with its payload as a map; `patterns` are those of containers."""
    rows = [(row, plain) for row, plain in rows if row["type"] not in BY_JOB]
    told = {row["pos"]: _told(row, plain) for row, plain in rows}
    law = Law(told.values(), tuple(patterns))
    return {pos: _belonging(law, e) for pos, e in told.items()}


def as_stored(row: Row, placed: Iterable[Row]) -> Belonging:
    """Where the bridge has an event: in the orders of its rows of `placed`, else where it arrived."""
    rows = list(placed)
    if not rows:
        return Belonging({row["order_id"]: None} if row["order_id"] is not None else {})
    orders = {r["order_id"]: _inside(r["inside"]) for r in rows if r["order_id"]}
    own = next(r for r in rows if row["type"] != "labelled" or r["inside"] is None)
    return Belonging(orders, own["refusal"], frozenset(own["warn"].split()))


def patterns_of(rules: Iterable[Row]) -> list[str]:
    """The patterns of containers, from the site's dated rules. A day has one rule."""
    return [pattern for row in rules for pattern in json.loads(row["containers"])]


def _told(row: Row, plain: Mapping[str, Any]) -> Told:
    is_whole = row["fault"] is None
    return Told(
        *(row["device"], row["role"], row["type"], row["log"], row["seq"], row["id"], row["event_ms"], row["received_ms"]),
        order=plain.get("order") if is_whole else row["order_id"],
        parcel=plain.get("parcel"),
        code=plain.get("code"),
        body=(plain.get("body") or {}) if is_whole else {},
        fault=row["fault"],
    )


def _belonging(law: Law, e: Told) -> Belonging:
    """What fills and empties containers is in no order itself, and neither is the void of it."""
    placing = law.place(e)
    if e.type in FILLING and e.fault is None:
        return VOIDED if placing.verdict is Verdict.VOIDED else TAKEN
    if e.type == "void" and e.fault is None and (targets := law.targets(e)) and all(t.type in FILLING for t in targets):
        return TAKEN
    inside = law.codes_inside(e)
    orders = {o: None if inside is None else tuple(map(key_text, inside.get(o, ()))) for o in placing.orders}
    if (loser := law.loses_label(e)) is not None:
        orders[loser] = (key_text(e.body["code"]),)
    reason = AS_TOLD.get(placing.reason or "", placing.reason)
    match placing.verdict:
        case Verdict.NOTHING | Verdict.PLACED if not orders:
            return TAKEN
        case Verdict.VOIDED if not orders:
            return VOIDED
        case Verdict.PARKED | Verdict.REJECTED | Verdict.FAULT if not orders:
            return Belonging(orders, outcome="parked" if placing.verdict is Verdict.PARKED else "rejected", reason=reason)
        case Verdict.REJECTED:
            return Belonging(orders, refusal=reason)
        case Verdict.VOIDED:
            return Belonging(orders, is_voided=True)
        case _:
            return Belonging(orders, warnings=placing.warnings - UNTOLD)


def _inside(text: str | None) -> Codes | None:
    return None if text is None else tuple(text.split("\n")) if text else ()
