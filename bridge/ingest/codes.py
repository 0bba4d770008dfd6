"""What is stored of codes: where events belong now, and the indexes by which the evidence about a code is found. All of it is derived from the log."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

from bridge.domain.codes.evidence import CONTAINER_EVENTS
from bridge.domain.codes.place import Placing
from bridge.domain.codes.rules import CodeRules, DatedRules
from bridge.domain.facts import Fact
from bridge.ingest.log import EventRow, stored_fact
from bridge.ingest.relation import Deletion, Origin, Relation
from devices.protocol.vocabulary import EventType, Outcome, Reason, Warn

NOWHERE: Final = ""
"""The `order_id` of an event that belonged to an order when it arrived, and belongs to none now."""
COMMON: Final = ""
"""The `order_id` in `codes` that marks a common code."""
_BETWEEN: Final = "\n"
"""Between the codes of one column; no readable code contains it."""


class PlacedRow(NamedTuple):
    """An order of an event, if that is not just the order that it belonged to when it arrived.

    `refusal` is why it can't count there, `warn` what is odd (words with blanks between them); `inside` are the codes of the order's parcels in the container
    that was scanned: None if no container was, empty if the container names no parcel. Of a label it is the code that it took from a parcel of this order.
    """

    pos: int
    order_id: str
    refusal: str | None
    warn: str
    inside: str | None


class CodeRow(NamedTuple):
    """An order that an event about the code belongs to, or names. `is_beside`: a custody event named the order and scanned the code."""

    code: str
    order_id: str
    is_beside: bool


class WaitingRow(NamedTuple):
    """An event in no order, and a code that it mentions; or (kind `event`) a void in any order or none, and the id that it names, in hex."""

    ref: str
    ref_kind: str
    pos: int


class InsideRow(NamedTuple):
    """An event about a container, and one of the children that it names; empty for the scan of the container itself."""

    parent: str
    child: str
    pos: int


class CodeRulesRow(NamedTuple):
    """The rules about codes from a time on; the patterns are in JSON."""

    from_ms: int
    containers: str
    look_ahead_ms: int
    reuse_after_ms: int
    forget_after_ms: int


PLACED: Final = Relation(
    name="placed",
    row=PlacedRow,
    key=("pos", "order_id"),
    origin=Origin.DERIVED,
    indexes=(("order_id",),),
    note="derived: where events belong, if not where they arrived",
)
PLACED_GONE: Final = Deletion(PLACED, ("pos",))
CODES: Final = Relation(
    name="codes", row=CodeRow, key=("code", "order_id"), origin=Origin.DERIVED, indexes=(("order_id",),), note="derived: the orders that know of a code"
)
CODE_GONE: Final = Deletion(CODES, ("code", "order_id"))
WAITING: Final = Relation(
    name="waiting", row=WaitingRow, key=("ref", "ref_kind", "pos"), origin=Origin.DERIVED, indexes=(("pos",),), note="derived: what events in no order wait for"
)
WAITING_GONE: Final = Deletion(WAITING, ("pos",))
INSIDE: Final = Relation(
    name="inside", row=InsideRow, key=("parent", "child", "pos"), origin=Origin.DERIVED, indexes=(("child",), ("pos",)), note="derived: events about containers"
)
INSIDE_GONE: Final = Deletion(INSIDE, ("pos",))
CODE_RULES: Final = Relation(name="code_rules", row=CodeRulesRow, key=("from_ms",), origin=Origin.KEPT, note="the rules about codes, and from when they hold")


def placed_rows(pos: int, arrived_in: str | None, placing: Placing) -> list[PlacedRow]:
    """The rows of an event's placing; none if it is just where it arrived."""
    refusal = placing.reason.value if placing.reason is not None and placing.orders else None
    warn = " ".join(placing.warn) if placing.orders else ""
    if not refusal and not warn and placing.orders == (((arrived_in, None),) if arrived_in is not None else ()):
        return []
    rows = [PlacedRow(pos, order_id, refusal, warn, None if inside is None else _BETWEEN.join(inside)) for order_id, inside in placing.orders]
    if placing.loser is not None:
        rows.append(PlacedRow(pos, placing.loser[0], None, "", placing.loser[1]))
    return rows or [PlacedRow(pos, NOWHERE, None, "", None)]


def placing_of(event: EventRow, rows: list[PlacedRow]) -> Placing:
    """The placing that rows of `placed` say; without rows, the order in which the event arrived."""
    if not rows and event.order_id is not None:
        return Placing(((event.order_id, None),))
    if not rows:
        return Placing() if event.type in CONTAINER_EVENTS else Placing(outcome=Outcome.PARKED)
    loser = next(((row.order_id, row.inside) for row in rows if row.inside is not None and event.type == EventType.LABELLED), None)
    own = [row for row in rows if loser is None or row.order_id != loser[0]]
    orders = tuple(sorted((row.order_id, inside_of(row.inside)) for row in own if row.order_id != NOWHERE))
    first = own[0]
    return Placing(orders, Reason(first.refusal) if first.refusal else None, tuple(map(Warn, first.warn.split())), loser=loser)


def inside_of(text: str | None) -> tuple[str, ...] | None:
    """The codes of a column `inside`."""
    return None if text is None else tuple(text.split(_BETWEEN)) if text else ()


def placed_fact(row: EventRow, refusal: str | None, warn: str, inside: str | None) -> Fact:
    """The fact of a stored event in one of its orders."""
    fact = stored_fact(row)
    if refusal is not None:
        fact.refusal = Reason(refusal)
    if warn:
        fact.warn = tuple(map(Warn, warn.split()))
    fact.inside = inside_of(inside)
    return fact


def settle_in(fact: Fact, placing: Placing, order_id: str, *, is_shared: bool) -> Fact:
    """The fact as one order's fold sees it. If several orders share the event, each gets a copy."""
    one = fact.copy() if is_shared else fact
    if one.order_ms != one.event_ms:
        one.place(one.event_ms)  # its place among the events of another order says nothing here
    one.refusal = placing.reason
    one.warn = placing.warn
    one.inside = next(inside for known, inside in placing.orders if known == order_id)
    return one


def rules_of(rows: list[CodeRulesRow]) -> DatedRules:
    """The rules that are stored, each from its time on."""
    return DatedRules([(r.from_ms, CodeRules(tuple(json.loads(r.containers)), r.look_ahead_ms, r.reuse_after_ms, r.forget_after_ms)) for r in rows])


def rules_row(from_ms: int, rules: CodeRules) -> CodeRulesRow:
    return CodeRulesRow(from_ms, json.dumps(rules.containers), rules.look_ahead_ms, rules.reuse_after_ms, rules.forget_after_ms)
