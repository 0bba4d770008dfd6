"""The published state of orders and parcels: retained statuses, their tables, and the log of every visible change."""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

from bridge.domain.facts import BRIDGE, Decided
from bridge.domain.order import Order
from bridge.domain.order.courier import may_complete
from bridge.domain.order.promise import ship_by
from bridge.domain.view import SETTLED, OrderView, timed_flags
from bridge.ingest.batch import Arrived, Batch, ShownOrder
from bridge.ingest.log import PLAIN, Asked, decided_row, fact_of
from bridge.ingest.memory import OrderEntry
from bridge.ingest.relation import Deletion, Origin, Relation, Update
from bridge.ingest.seam import Quiet, TopicFamily
from devices.protocol.vocabulary import EventType, Flag, Outcome, Payment, Role

SWEEP_ORDERS_MAX: Final = 500
"""Orders that one sweep processes; the rest waits for the next sweep."""


class OrderRow(NamedTuple):
    """An order as it was last published. `state` is empty if it is not shown; `due_ms` is when a sweep must check it even if nothing happened.

    `flags` (with blanks between them), `channel`, `promise_ms`, `carrier` and `ship_by_ms` are what people filter by.
    """

    order_id: str
    rev: int
    state: str
    hash: bytes
    timed: str
    at_ms: int
    updated_ms: int
    due_ms: int | None
    status: bytes
    flags: str = ""
    channel: str = ""
    promise_ms: int | None = None
    carrier: str = ""
    ship_by_ms: int | None = None


class ParcelRow(NamedTuple):
    """A parcel as it was last published; `codes` has one code in each line."""

    order_id: str
    parcel: str
    state: str
    hash: bytes
    codes: str
    status: bytes


class StatusLogRow(NamedTuple):
    """A visible change of an order: its new `rev`, and when it changed."""

    order_id: str
    rev: int
    updated_ms: int
    state: str
    hash: bytes
    batch: int


ORDERS: Final = Relation(
    name="orders", row=OrderRow, key=("order_id",), origin=Origin.DERIVED, indexes=(("due_ms",),), note="derived: orders as they are shown"
)
ORDER_DUE: Final = Update(ORDERS, ("due_ms",), ("order_id",))
PARCELS: Final = Relation(name="parcels", row=ParcelRow, key=("order_id", "parcel"), origin=Origin.DERIVED, note="derived: parcels as they are shown")
PARCEL_GONE: Final = Deletion(PARCELS, ("order_id", "parcel"))
STATUS_LOG: Final = Relation(
    name="status_log",
    row=StatusLogRow,
    key=("no",),
    origin=Origin.LOG,
    numbered=True,
    appends=True,
    note="append-only: every visible change",
)

ORDER_READERS: Final = frozenset({Role.SYSTEM, Role.DESK})


class Orders(Quiet):
    """Publishes each order at most once per batch, if its visible state changed. Each visible change increments its `rev`."""

    relations = (ORDERS, PARCELS, STATUS_LOG)
    topics = (TopicFamily("orders/+/status", ORDER_READERS), TopicFamily("orders/+/parcels/+", ORDER_READERS))

    def finish(self, batch: Batch) -> None:
        for entry in list(batch.orders.values()):
            _show_order(batch, entry)

    def sweep(self, batch: Batch) -> None:
        """Check the orders that are due."""
        due = batch.tx.due_orders(batch.now_ms, SWEEP_ORDERS_MAX)
        batch.memory.load_orders(set(due), batch.tx)
        for order_id in due:
            entry = batch.orders[order_id] = batch.order(order_id)
            complete_ms = _complete_ms(batch, entry.fold.order)
            if complete_ms is not None and complete_ms <= batch.now_ms and not batch.is_replay:
                _complete(batch, entry)


def _complete_ms(batch: Batch, order: Order) -> int | None:
    """When time completes an order; None if it does not."""
    after_ms = batch.rules.complete_after_ms
    return order.changed_ms + after_ms if after_ms is not None and may_complete(order) else None


def _complete(batch: Batch, entry: OrderEntry) -> None:
    """Log that time has completed an order, as an event of the bridge's own: a replay reads it, whatever the setting is by then."""
    order_id = entry.fold.id
    pos = batch.next_pos()
    ref = hashlib.sha256(b"completed\0" + order_id.encode() + pos.to_bytes(8, "big")).digest()[:16]
    completed = Decided(device=BRIDGE, ref=ref, job="", answer=EventType.COMPLETED, outcome=Outcome.APPLIED, reason=None)
    row = decided_row(pos, batch.no, Asked(BRIDGE, ref, batch.now_ms), completed, order_id, (0, 0))
    batch.arrive(Arrived(row, completed, fact_of(row, completed, order_id, None), None))


def collects_payment(order: Order) -> bool:
    """Whether the courier must collect payment."""
    return order.created is not None and order.created.payment == Payment.ON_DELIVERY and not order.paid


def _show_order(batch: Batch, entry: OrderEntry) -> None:
    order = entry.fold.order
    if not entry.fold.exists:
        if entry.hash:
            _hide(batch, entry)
        return
    view = OrderView(order)
    rules = batch.rules
    timed, due_ms = timed_flags(
        order,
        now_ms=batch.now_ms,
        silent_after_ms=rules.silent_after_ms,
        carrier_silent_after_ms=rules.carrier_silent_after_ms,
        late_risk_before_ms=rules.late_risk_before_ms,
    )
    timed_text = ",".join(timed)
    if view.hash == entry.hash and timed_text == entry.timed:
        _show_parcels(batch, entry, view)
        if order.state in SETTLED:
            if entry.due_ms is not None and entry.due_ms <= batch.now_ms:
                _end(batch, entry, view)
        elif due_ms != entry.due_ms:
            entry.due_ms = due_ms
            batch.writes.update(ORDER_DUE, due_ms, order.id)
        return
    entry.rev = batch.next_rev(entry)
    entry.due_ms = due_ms if order.state not in SETTLED else _settled_due_ms(batch, order)
    entry.hash = view.hash
    entry.timed = timed_text
    status = view.status_cbor(rev=entry.rev, updated_ms=batch.now_ms, timed=timed)
    epoch = rules.epoch
    shown = status if not epoch else view.status_cbor(rev=entry.rev, updated_ms=batch.now_ms, timed=timed, epoch=epoch)
    batch.publish(batch.topics.status(order.id), shown)
    state = PLAIN.get(order.state_word, order.state_word)
    sought = _sought(order, view, timed)
    batch.writes.rows(ORDERS).append(OrderRow(order.id, entry.rev, state, view.hash, timed_text, order.changed_ms, batch.now_ms, entry.due_ms, status, *sought))
    batch.writes.rows(STATUS_LOG).append(StatusLogRow(order.id, entry.rev, batch.now_ms, state, view.hash, batch.no))
    _show_parcels(batch, entry, view)
    batch.shown_orders.append(ShownOrder(entry, entry.state))
    entry.state = state


def _sought(order: Order, view: OrderView, timed: list[Flag]) -> tuple[str, str, int | None, str, int | None]:
    """What people filter orders by: flags, channel, promise, carrier, and by when it has to leave."""
    flags = " ".join(sorted(view.flags.union(timed))) if view.flags or timed else ""
    created = order.created
    if created is None:
        return flags, "", None, "", None
    return flags, created.channel, created.promise_ms, created.carrier or "", ship_by(order)


def _settled_due_ms(batch: Batch, order: Order) -> int:
    """When a sweep must check an order that has ended: to complete it, or to clear its topics."""
    kept_until_ms = batch.now_ms + batch.rules.status_keep_ms
    complete_ms = _complete_ms(batch, order)
    return kept_until_ms if complete_ms is None else min(kept_until_ms, max(complete_ms, batch.now_ms))


def _show_parcels(batch: Batch, entry: OrderEntry, view: OrderView) -> None:
    order = entry.fold.order
    known = entry.parcels
    collects = collects_payment(order)
    is_other_for_couriers = collects != entry.collects
    entry.collects = collects
    shown: dict[str, tuple[bytes, str]] = {}
    for parcel_id, digest in view.parcels.items():
        codes = "\n".join(order.codes(order.parcels[parcel_id]))
        before = known.get(parcel_id)
        if before != (digest, codes):
            is_other_for_couriers = is_other_for_couriers or before is None or before[1] != codes
            status = view.parcel_status_cbor(parcel_id, rev=entry.rev)
            batch.writes.rows(PARCELS).append(ParcelRow(order.id, parcel_id, PLAIN[order.parcels[parcel_id].state], digest, codes, status))
            if before is None or before[0] != digest:
                epoch = batch.rules.epoch
                batch.publish(batch.topics.parcel(order.id, parcel_id), status if not epoch else view.parcel_status_cbor(parcel_id, rev=entry.rev, epoch=epoch))
        shown[parcel_id] = (digest, codes)
    for parcel_id in known.keys() - view.parcels.keys():
        _clear_parcel(batch, order.id, parcel_id)
    # A phone checks scans against the codes in its assignment and collects payment according to it, so the assignment follows labels and payments.
    if is_other_for_couriers or known.keys() != view.parcels.keys():
        batch.relabelled.append(order.id)
    entry.parcels = shown


def _clear_parcel(batch: Batch, order_id: str, parcel_id: str) -> None:
    batch.writes.delete(PARCEL_GONE, order_id, parcel_id)
    batch.clear(batch.topics.parcel(order_id, parcel_id))


def _end(batch: Batch, entry: OrderEntry, view: OrderView) -> None:
    """Clear the topics of an order that is due, unless it was due only to be completed, and is not to be any more."""
    order = entry.fold.order
    kept_until_ms = order.changed_ms + batch.rules.status_keep_ms
    if kept_until_ms <= batch.now_ms:
        _retire(batch, entry, view)
        return
    entry.due_ms = kept_until_ms
    batch.writes.update(ORDER_DUE, kept_until_ms, order.id)


def _retire(batch: Batch, entry: OrderEntry, view: OrderView) -> None:
    """Clear the topics of an order that ended long enough ago; its rows stay."""
    entry.parcels = {}  # the next event publishes every parcel again
    order = entry.fold.order
    entry.due_ms = _complete_ms(batch, order)
    status = view.status_cbor(rev=entry.rev, updated_ms=batch.now_ms, timed=[])
    sought = _sought(order, view, [])
    row = OrderRow(order.id, entry.rev, order.state_word, view.hash, "", order.changed_ms, batch.now_ms, entry.due_ms, status, *sought)
    batch.writes.rows(ORDERS).append(row)
    batch.clear(batch.topics.status(order.id))
    for parcel_id in view.parcels:
        batch.clear(batch.topics.parcel(order.id, parcel_id))


def _hide(batch: Batch, entry: OrderEntry) -> None:
    """Clear the topics of an order whose creation was voided."""
    order_id = entry.fold.id
    batch.clear(batch.topics.status(order_id))
    for parcel_id in entry.parcels:
        _clear_parcel(batch, order_id, parcel_id)
    entry.rev = batch.next_rev(entry)
    entry.hash = b""
    entry.parcels = {}
    batch.writes.rows(ORDERS).append(OrderRow(order_id, entry.rev, "", b"", "", 0, batch.now_ms, None, b""))
    batch.writes.rows(STATUS_LOG).append(StatusLogRow(order_id, entry.rev, batch.now_ms, "", b"", batch.no))
