"""Events enter their orders: they are placed by what they name and scan, then each order is folded once, and the verdicts go to the projections.

The steps are the same for new events, for events that have moved, and in a replay.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Final

from bridge.domain.codes.containers import children_of, parent_of
from bridge.domain.codes.evidence import CONTAINER_EVENTS, CUSTODY
from bridge.domain.codes.history import is_asset
from bridge.domain.codes.place import Placing
from bridge.domain.codes.rules import matches
from bridge.domain.facts import Fact
from bridge.domain.refs import Ref, code_ref, event_ref
from bridge.ingest.batch import Arrived, Batch
from bridge.ingest.codes import INSIDE, INSIDE_GONE, NOWHERE, PLACED, PLACED_GONE, InsideRow, placed_rows, settle_in
from bridge.ingest.coding import Moved, place_all
from bridge.ingest.folding import Change, fold_all
from bridge.ingest.log import EVENTS
from bridge.ingest.waiting import stop_waiting, wait_for
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType

_VOID: Final = EventType.VOID
_SCAN: Final = ""
"""The `child` of a row of `inside` that is about the container itself."""


def flush(batch: Batch) -> None:
    """Put everything that has arrived into its orders. What the bridge decides because of it follows at once."""
    while batch.arrived:
        arrived, batch.arrived = batch.arrived, []
        placed = place_all(batch, [a.fact for a in arrived])
        changes: defaultdict[str, Change] = defaultdict(Change)
        for one in arrived:
            _enter(batch, one, placed.fresh[one.fact.pos], changes)
        if not batch.is_replay:
            batch.writes.rows(EVENTS).extend([one.row for one in arrived])
        for move in placed.moved:
            _move(batch, move, changes)
        fold_all(batch, arrived, placed, changes)


def _enter(batch: Batch, arrived: Arrived, placing: Placing, changes: defaultdict[str, Change]) -> None:
    fact, row, orders = arrived.fact, arrived.row, placing.orders
    if len(orders) == 1 and row.order_id != orders[0][0] and not batch.is_replay:
        row = arrived.row = row._replace(order_id=orders[0][0])
    fact.arrived_in = row.order_id
    batch.placings[fact.pos] = placing
    if len(orders) == 1 and fact.code is None and fact.type != _VOID and placing.reason is None and not placing.warn and orders[0] == (row.order_id, None):
        changes[orders[0][0]].added.append(fact)  # nearly every event: it names its order, and that is all
        return
    _keep_where(batch, fact, placing)
    if not orders or fact.type == _VOID:
        wait_for(batch, fact, _awaited(fact))
    if fact.code is not None or fact.type in CONTAINER_EVENTS:
        _index_container(batch, fact, placing)
    _add(fact, placing, changes)


def _move(batch: Batch, move: Moved, changes: defaultdict[str, Change]) -> None:
    fact, before, now = move
    batch.placings[fact.pos] = now
    left = before.order_ids if before.loser is None else (*before.order_ids, before.loser[0])
    for order_id in (*left, NOWHERE):
        batch.writes.keyed(PLACED).pop((fact.pos, order_id), None)
    batch.writes.delete(PLACED_GONE, fact.pos)
    _keep_where(batch, fact, now)
    if fact.type != _VOID:
        if not before.orders:
            stop_waiting(batch, fact, _awaited(fact))
        if not now.orders:
            wait_for(batch, fact, _awaited(fact))
    if _is_about_container(batch, fact, before) != _is_about_container(batch, fact, now) or fact.code is not None:
        _index_container(batch, fact, now)
    for order_id in left:
        changes[order_id].removed.add(fact.uid)
    _add(fact, now, changes)


def _keep_where(batch: Batch, fact: Fact, placing: Placing) -> None:
    for row in placed_rows(fact.pos, fact.arrived_in, placing):
        batch.writes.keyed(PLACED)[(row.pos, row.order_id)] = row


def _add(fact: Fact, placing: Placing, changes: defaultdict[str, Change]) -> None:
    is_shared = len(placing.orders) > 1
    for order_id in placing.order_ids:
        changes[order_id].added.append(settle_in(fact, placing, order_id, is_shared=is_shared))
    if placing.loser is not None:
        order_id, code = placing.loser
        changes[order_id].added.append(settle_in(fact, Placing(((order_id, (code,)),)), order_id, is_shared=True))


# --- what waits ---------------------------------------------------------------------------------------------------------------


def _awaited(fact: Fact) -> list[Ref]:
    """What would place an event that is in no order: each code that it mentions. A void always waits: a second device may use the id that it names."""
    if fact.type in CONTAINER_EVENTS or fact.fault is not None:
        return []
    if isinstance(fact.body, bodies.Void):
        return [event_ref(fact.body.ref)]
    return [code_ref(key) for key in fact.keys]


# --- containers ---------------------------------------------------------------------------------------------------------------


def _is_about_container(batch: Batch, fact: Fact, placing: Placing) -> bool:
    """Whether an event fills, empties or scans a container."""
    if fact.type in CONTAINER_EVENTS:
        return True
    if fact.type not in CUSTODY or fact.code is None or not placing.orders:
        return False
    if any(inside for _, inside in placing.orders) or is_asset(fact.code):
        return True
    return matches(batch.memory.code_rules.at(fact.event_ms).containers, fact.code)


def _index_container(batch: Batch, fact: Fact, placing: Placing) -> None:
    parent = parent_of(fact) if fact.type in CONTAINER_EVENTS else fact.code
    if parent is None or fact.fault is not None:
        return
    children = [key for key in children_of(fact) if key != parent] if fact.type in CONTAINER_EVENTS else []
    keys = (parent, *children)
    if not _is_about_container(batch, fact, placing):
        if batch.memory.has_containers and batch.memory.code(parent, batch.tx).inside.pop(fact.pos, None) is not None:
            batch.writes.keyed(INSIDE).pop((parent, _SCAN, fact.pos), None)
            batch.writes.delete(INSIDE_GONE, fact.pos)
        return
    batch.memory.has_containers = True
    for key in keys:
        batch.memory.code(key, batch.tx).inside[fact.pos] = (fact, placing)
    for child in children or [_SCAN]:
        batch.writes.keyed(INSIDE)[(parent, child, fact.pos)] = InsideRow(parent, child, fact.pos)
