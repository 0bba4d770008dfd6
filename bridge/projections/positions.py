"""Positions: while an order is out for delivery, and its courier will be there soon, where it is: with the courier who has it.

A recipient may see where a courier is only on the last way to them. So a position is shown for the next few stops of a courier, rounded, and no longer than it
is fresh: first marked `stale`, then cleared.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final, NamedTuple

from bridge.domain.order.possession import carriers, holders
from bridge.domain.positions import Fix, rounded
from bridge.ingest.aboard import CARRIED, CARRIED_NO_MORE, CarriedRow
from bridge.ingest.batch import Batch, LocationHeard
from bridge.ingest.items import Message, ShutOut
from bridge.ingest.locating import DROPPED_POINTS
from bridge.ingest.memory import OrderEntry
from bridge.ingest.relation import Deletion
from bridge.ingest.seam import Quiet, TopicFamily
from bridge.projections.jobs import Jobs
from bridge.projections.orders import ORDER_READERS
from devices.protocol.vocabulary import JobState, OrderState

DROPPED_POINTS_GONE: Final = Deletion(DROPPED_POINTS, ("device",))
_NO_ONE: Final[frozenset[str]] = frozenset()


class Shown(NamedTuple):
    """What is shown of an order: whose position, and when that was."""

    courier: str
    fix: Fix
    is_stale: bool


class Positions(Quiet):
    """Publishes the newest position of a courier for the orders out for delivery that are next on the way.

    Args:
        jobs: knows in which order a courier's stops are.
    """

    relations = (CARRIED, DROPPED_POINTS)
    topics = (TopicFamily("orders/+/position", ORDER_READERS),)
    hears = frozenset({LocationHeard, ShutOut})

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._shown: dict[str, Shown] = {}
        self._cleared: dict[str, None] = {}
        """Orders that were cleared since the last sweep: if that did not commit, they are cleared again."""
        self._look_ms = 0
        """When the oldest position becomes stale, or is to be cleared."""

    def forget(self) -> None:
        for order_id in self._cleared:
            self._shown.setdefault(order_id, Shown("", Fix(0, 0, 0, 0), True))  # so old that it is cleared next
        self._look_ms = 0

    def rule(self, heard: LocationHeard | ShutOut, batch: Batch) -> None:
        if isinstance(heard, ShutOut):
            self._forget_device(heard, batch)
        elif heard.fixes and heard.identity.courier is not None:
            self._show(batch, heard.identity.courier, heard.fixes[-1])

    def _forget_device(self, heard: ShutOut, batch: Batch) -> None:
        """What a phone has said is deleted. If its courier has another one, that one's next point shows the courier's orders again."""
        batch.writes.delete(DROPPED_POINTS_GONE, heard.device)
        for order_id in batch.memory.aboard.out_with(heard.courier or ""):
            self._clear(order_id, batch)

    def _show(self, batch: Batch, courier: str, fix: Fix) -> None:
        out = batch.memory.aboard.out_with(courier)
        if not out:
            return
        rules = batch.rules.showing
        visible = next_orders(out, self._jobs.stops_of(courier), rules.next_stops)
        is_stale = batch.now_ms - fix.at_ms >= rules.stale_after_ms
        if batch.now_ms - fix.at_ms < rules.gone_after_ms:
            payload = _payload(fix, batch, is_stale=is_stale)
            for order_id in visible:
                before = self._shown.get(order_id)
                if before is None or fix.at_ms > before.fix.at_ms or before.courier != courier:
                    self._shown[order_id] = Shown(courier, fix, is_stale)
                    batch.published.append(Message(batch.topics.position(order_id), payload, 0, True))
            self._look_ms = min(self._look_ms, fix.at_ms + (rules.gone_after_ms if is_stale else rules.stale_after_ms))
        for order_id in [order_id for order_id in out if order_id in self._shown]:
            if order_id not in visible:
                self._clear(order_id, batch)

    def finish(self, batch: Batch) -> None:
        """Note who has the orders of this batch. Clear the position of an order that is no longer out for delivery, or has changed hands, and old ones."""
        for entry in batch.orders.values():
            self._note(entry, batch)
        for job in batch.jobs_changed.values():
            if job.state is JobState.RELEASED:  # its courier has no more to do with it; if he still has the parcel, his next point says where it is
                for order_id in job.orders:
                    if order_id in self._shown:
                        self._clear(order_id, batch)
        for entry, before in batch.shown_orders:
            if OrderState.OUT_FOR_DELIVERY in before and entry.fold.order.state is not OrderState.OUT_FOR_DELIVERY:
                self._clear(entry.fold.id, batch)
        if self._shown and batch.now_ms >= self._look_ms:
            self._age(batch)

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
        if order.id in self._shown and any(was_out and not now.get(courier) for courier, was_out in before.items()):
            self._clear(order.id, batch)
        aboard.put(order.id, now)

    def _age(self, batch: Batch) -> None:
        """Mark what is stale, and clear what is too old."""
        rules = batch.rules.showing
        due = []
        for order_id, (courier, fix, was_stale) in list(self._shown.items()):
            age_ms = batch.now_ms - fix.at_ms
            if age_ms >= rules.gone_after_ms:
                self._clear(order_id, batch)
                continue
            is_stale = age_ms >= rules.stale_after_ms
            if is_stale and not was_stale:
                self._shown[order_id] = Shown(courier, fix, True)
                batch.published.append(Message(batch.topics.position(order_id), _payload(fix, batch, is_stale=True), 0, True))
            due.append(fix.at_ms + (rules.gone_after_ms if is_stale else rules.stale_after_ms))
        self._look_ms = min(due, default=0)

    def sweep(self, batch: Batch) -> None:
        self._cleared.clear()

    def _clear(self, order_id: str, batch: Batch) -> None:
        self._shown.pop(order_id, None)
        self._cleared[order_id] = None
        batch.clear(batch.topics.position(order_id))


def next_orders(out: Sequence[str], stops: Sequence[str], next_stops: int) -> Sequence[str]:
    """Which of the orders out with a courier are next. Of orders that are in no job it is not known when their turn is: they are, if all are."""
    if len(out) <= next_stops:
        return out
    wanted = set(out)
    return list(islice((order_id for order_id in dict.fromkeys(stops) if order_id in wanted), next_stops))


def _payload(fix: Fix, batch: Batch, *, is_stale: bool) -> bytes:
    shown = rounded(fix, batch.rules.showing.round_m)
    plain = {"at_ms": shown.at_ms, "lat_e7": shown.lat_e7, "lon_e7": shown.lon_e7, "accuracy_m": shown.accuracy_m}
    return batch.rules.encode({**plain, "stale": True} if is_stale else plain)
