"""Positions: where couriers' phones were, at intervals; and, while an order is out for delivery, where the order is: with the courier who has it."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.access import Identity
from bridge.domain.order.possession import carriers, holders
from bridge.domain.positions import Fix
from bridge.ingest.aboard import CARRIED, CARRIED_NO_MORE, CarriedRow
from bridge.ingest.batch import Batch, LocationHeard
from bridge.ingest.items import Message, ShutOut
from bridge.ingest.locating import DROPPED_POINTS
from bridge.ingest.memory import OrderEntry
from bridge.ingest.relation import Deletion, Origin, Relation
from bridge.ingest.seam import Quiet, TopicFamily
from bridge.projections.orders import ORDER_READERS
from devices.protocol.vocabulary import JobState, OrderState


class PositionRow(NamedTuple):
    """Where a phone was: degrees times 10^7, metres."""

    device: str
    event_ms: int
    lat_e7: int
    lon_e7: int
    accuracy_m: int


POSITIONS: Final = Relation(name="positions", row=PositionRow, key=("device", "event_ms"), origin=Origin.KEPT, note="where couriers' phones were")
POSITIONS_GONE: Final = Deletion(POSITIONS, ("device",))
DROPPED_POINTS_GONE: Final = Deletion(DROPPED_POINTS, ("device",))
_NO_ONE: Final[frozenset[str]] = frozenset()


class Positions(Quiet):
    """Stores the fixes of couriers' phones at intervals, and publishes a courier's newest one for the orders out for delivery that he has."""

    relations = (POSITIONS, CARRIED, DROPPED_POINTS)
    topics = (TopicFamily("orders/+/position", ORDER_READERS),)
    hears = frozenset({LocationHeard, ShutOut})

    def rule(self, heard: LocationHeard | ShutOut, batch: Batch) -> None:
        if isinstance(heard, ShutOut):
            self._forget_device(heard, batch)
            return
        device = heard.identity.device
        entry = batch.device(device)
        for fix in heard.fixes:
            if abs(fix.at_ms - entry.position_kept_ms) >= batch.rules.position_every_ms:
                batch.writes.rows(POSITIONS).append(PositionRow(device, *fix))
                entry.position_kept_ms = fix.at_ms
        self._show(batch, heard.identity, heard.fixes[-1])

    def _forget_device(self, heard: ShutOut, batch: Batch) -> None:
        """What a phone has said is deleted. If its courier has another one, that one's next point shows the courier's orders again."""
        rows = batch.writes.rows(POSITIONS)
        rows[:] = [row for row in rows if row.device != heard.device]
        batch.writes.delete(POSITIONS_GONE, heard.device)
        batch.writes.delete(DROPPED_POINTS_GONE, heard.device)
        batch.device(heard.device).position_kept_ms = 0
        for order_id in batch.memory.aboard.out_with(heard.courier or ""):
            _clear(batch, batch.order(order_id))

    def _show(self, batch: Batch, identity: Identity, fix: Fix) -> None:
        at_ms, lat_e7, lon_e7, accuracy_m = fix
        payload = batch.rules.encode({"at_ms": at_ms, "lat_e7": lat_e7, "lon_e7": lon_e7, "accuracy_m": accuracy_m})
        for order_id in batch.memory.aboard.out_with(identity.courier or ""):
            entry = batch.order(order_id)
            if at_ms > entry.position_ms:
                entry.position_ms = at_ms
                batch.published.append(Message(batch.topics.position(order_id), payload, 0, True))

    def finish(self, batch: Batch) -> None:
        """Note who has the orders of this batch. Clear the position of an order that is no longer out for delivery, or has changed hands."""
        for entry in batch.orders.values():
            self._note(entry, batch)
        for job in batch.jobs_changed.values():
            if job.state is JobState.RELEASED:  # its courier has no more to do with it; if he still has the parcel, his next point says where it is
                for order_id in job.orders:
                    _clear_if_shown(batch, order_id)
        for entry, before in batch.shown_orders:
            if OrderState.OUT_FOR_DELIVERY in before and entry.fold.order.state is not OrderState.OUT_FOR_DELIVERY:
                _clear(batch, entry)

    def _note(self, entry: OrderEntry, batch: Batch) -> None:
        order, aboard = entry.fold.order, batch.memory.aboard
        out_with = carriers(order) if order.state is OrderState.OUT_FOR_DELIVERY else _NO_ONE
        couriers, before = out_with | holders(order), aboard.of_order(order.id)
        if not couriers and not before:
            return
        now = {courier: courier in out_with for courier in couriers}
        if now == before:
            return
        for courier in before.keys() - now.keys():
            batch.writes.delete(CARRIED_NO_MORE, courier, order.id)
        for courier, is_out in now.items():
            if before.get(courier) is not is_out:
                batch.writes.rows(CARRIED).append(CarriedRow(courier, order.id, is_out))
        if entry.position_ms and any(was_out and not now.get(courier) for courier, was_out in before.items()):
            _clear(batch, entry)
        aboard.put(order.id, now)

    def sweep(self, batch: Batch) -> None:
        batch.tx.drop_before(POSITIONS, "event_ms", batch.now_ms - batch.rules.positions_keep_ms)


def _clear_if_shown(batch: Batch, order_id: str) -> None:
    entry = batch.order(order_id)
    if entry.position_ms:
        _clear(batch, entry)


def _clear(batch: Batch, entry: OrderEntry) -> None:
    entry.position_ms = 0
    batch.clear(batch.topics.position(entry.fold.id))
