"""Positions: where couriers' phones were, at intervals; and, while an order is out for delivery, where the order is."""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.access import Identity
from bridge.ingest.batch import Batch, LocationHeard
from bridge.ingest.items import Message
from bridge.ingest.relation import Origin, Relation
from bridge.ingest.seam import Quiet, TopicFamily
from bridge.projections.jobs import Jobs
from bridge.projections.orders import ORDER_READERS
from devices.protocol.messages import Point
from devices.protocol.vocabulary import OrderState


class PositionRow(NamedTuple):
    """Where a phone was: degrees times 10^7, metres."""

    device: str
    event_ms: int
    lat_e7: int
    lon_e7: int
    accuracy_m: int


POSITIONS: Final = Relation(name="positions", row=PositionRow, key=("device", "event_ms"), origin=Origin.KEPT, note="where couriers' phones were")


class Positions(Quiet):
    """Stores points at intervals, and publishes the newest point for the orders that are out for delivery.

    Args:
        jobs: knows which orders a courier carries.
    """

    relations = (POSITIONS,)
    topics = (TopicFamily("orders/+/position", ORDER_READERS),)
    hears = frozenset({LocationHeard})

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def rule(self, heard: LocationHeard, batch: Batch) -> None:
        points, received_ms = heard.points, heard.received_ms
        device = heard.identity.device
        entry = batch.device(device)
        clock = entry.clock
        clock.heard(boot=points.boot, sent_mono_ms=points.sent_mono_ms, received_ms=received_ms)
        in_order = sorted(points.points, key=_by_mono)
        counted = [(clock.by_counter(boot=points.boot, mono_ms=p.mono_ms, received_ms=received_ms), p) for p in in_order]
        # Points have no wall clock. If the phone's counter can't be used, only the newest point has a time: that of its reception.
        timed = [(when.event_ms, p) for when, p in counted if when is not None] or [(received_ms, in_order[-1])]
        for event_ms, point in timed:
            if abs(event_ms - entry.position_kept_ms) >= batch.rules.position_every_ms:
                batch.writes.rows(POSITIONS).append(PositionRow(device, event_ms, point.lat_e7, point.lon_e7, point.accuracy_m))
                entry.position_kept_ms = event_ms
        event_ms, point = timed[-1]
        self._show(batch, heard.identity, {"at_ms": event_ms, "lat_e7": point.lat_e7, "lon_e7": point.lon_e7, "accuracy_m": point.accuracy_m})

    def _show(self, batch: Batch, identity: Identity, position: dict[str, int]) -> None:
        payload = batch.rules.encode(position)
        for job in self._jobs.with_courier(identity.courier):
            for order_id in job.orders:
                entry = batch.order(order_id)
                if entry.fold.order.state is OrderState.OUT_FOR_DELIVERY and position["at_ms"] > entry.position_ms:
                    entry.position_ms = position["at_ms"]
                    batch.published.append(Message(batch.topics.position(order_id), payload, 0, True))

    def finish(self, batch: Batch) -> None:
        """Clear the position of an order that is no longer out for delivery."""
        for entry, before in batch.shown_orders:
            if OrderState.OUT_FOR_DELIVERY in before and entry.fold.order.state is not OrderState.OUT_FOR_DELIVERY:
                entry.position_ms = 0
                batch.clear(batch.topics.position(entry.fold.id))

    def sweep(self, batch: Batch) -> None:
        batch.tx.drop_before(POSITIONS, "event_ms", batch.now_ms - batch.rules.positions_keep_ms)


def _by_mono(point: Point) -> int:
    return point.mono_ms
