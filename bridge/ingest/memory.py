"""What the writer keeps in mind between batches, so that the common scan costs no query. Everything here can be read back from the store.

After a batch that did not commit, `forget` drops all of it: a cache that may be ahead of the database is worse than none.
"""

from __future__ import annotations

from collections import OrderedDict

import cbor2

from bridge.domain.event_time import DeviceClock
from bridge.domain.fold import OrderFold
from bridge.domain.jobs import Job
from bridge.domain.ledger import Ledger
from bridge.ingest.delivery import Subscribers
from bridge.ingest.ports import StoredOrder, Transaction


class OrderEntry:
    """An order in memory: its fold, and what was last shown of it; of each parcel its hash and its code."""

    __slots__ = ("collects", "due_ms", "fold", "hash", "parcels", "position_ms", "rev", "state", "timed")

    def __init__(self, order_id: str, stored: StoredOrder | None = None) -> None:
        self.fold = OrderFold(order_id)
        self.rev = 0
        self.hash = b""
        self.timed = ""
        self.parcels: dict[str, tuple[bytes, str | None]] = {}
        self.position_ms = 0
        self.state = ""
        self.collects = False
        self.due_ms: int | None = None
        if stored is not None:
            self.rev, self.hash, self.timed, self.parcels, self.due_ms = stored.rev, stored.hash, stored.timed, stored.parcels, stored.due_ms
            self.state = stored.state
            self.fold.load(stored.facts)


class DeviceEntry:
    """A device in memory: its clock and its ledgers. `saved` is what of the clock was last written."""

    __slots__ = ("clock", "ledgers", "position_kept_ms", "saved")

    def __init__(self) -> None:
        self.clock = DeviceClock()
        self.ledgers: dict[bytes, Ledger] = {}
        self.saved: tuple[object, ...] | None = None
        self.position_kept_ms = 0


class Memory:
    """Orders and devices by use, oldest out first; open jobs, standing alerts, awaited references and subscriptions in full.

    Args:
        orders_max: orders kept.
        devices_max: devices kept.
    """

    def __init__(self, *, orders_max: int, devices_max: int) -> None:
        self.orders_max = orders_max
        self.devices_max = devices_max
        self.next_pos = 1
        self._orders: OrderedDict[str, OrderEntry] = OrderedDict()
        self._devices: OrderedDict[str, DeviceEntry] = OrderedDict()
        self.jobs: dict[str, Job] = {}
        self.jobs_of_order: dict[str, set[str]] = {}
        self.jobs_of_courier: dict[str, set[str]] = {}
        self.awaited: set[str] = set()
        self.alerts: set[tuple[str, str]] = set()
        self.subscribers = Subscribers()
        self.loaded = False

    def load(self, tx: Transaction) -> None:
        """Read what is kept in full; once, and again after `forget`."""
        if not self.loaded:
            self.next_pos = tx.next_pos()
            self.awaited = tx.awaited()
            self.alerts = tx.alerts()
            self.subscribers.load(tx)
            for job in tx.open_jobs():
                self.keep_job(job)
            self.loaded = True

    def forget(self) -> None:
        """Drop everything; the next batch reads what it needs from the store."""
        next_pos = self.subscribers.next_pos
        self.__init__(orders_max=self.orders_max, devices_max=self.devices_max)  # type: ignore[misc]
        self.subscribers.next_pos = next_pos  # what the loop was told of is never given again, though nothing in the store may name it any more

    def load_orders(self, order_ids: set[str], tx: Transaction) -> None:
        """Make sure that these orders are in memory; those that are not stored yet start empty."""
        missing = [o for o in order_ids if o not in self._orders]
        if missing:
            stored = tx.orders(missing)
            for order_id in missing:
                self._orders[order_id] = OrderEntry(order_id, stored.get(order_id))

    def order(self, order_id: str, tx: Transaction) -> OrderEntry:
        entry = self._orders.get(order_id)
        if entry is None:
            self.load_orders({order_id}, tx)
            return self._orders[order_id]
        self._orders.move_to_end(order_id)
        return entry

    def device(self, device: str, tx: Transaction) -> DeviceEntry:
        entry = self._devices.get(device)
        if entry is None:
            entry = self._devices[device] = DeviceEntry()
            clock, ledgers = tx.device(device)
            if clock is not None:
                entry.clock = DeviceClock.restore(cbor2.loads(clock))
            for row in ledgers:
                entry.ledgers[row.log] = Ledger([(a, b) for a, b in cbor2.loads(row.ranges)], row.forgotten)
        else:
            self._devices.move_to_end(device)
        return entry

    def trim(self) -> None:
        """Let go of what was not used for longest; called between batches."""
        while len(self._orders) > self.orders_max:
            self._orders.popitem(last=False)
        while len(self._devices) > self.devices_max:
            self._devices.popitem(last=False)

    def keep_job(self, job: Job) -> None:
        """Take a job's new state: open jobs stay in memory, closed ones leave it."""
        known = self.jobs.pop(job.id, None)
        if known is not None:
            _discard(self.jobs_of_courier, known.courier, job.id)
            for order in known.orders:
                _discard(self.jobs_of_order, order, job.id)
        if job.is_open:
            self.jobs[job.id] = job
            self.jobs_of_courier.setdefault(job.courier, set()).add(job.id)
            for order in job.orders:
                self.jobs_of_order.setdefault(order, set()).add(job.id)

    def open_jobs_with(self, courier: str | None) -> list[Job]:
        return [self.jobs[j] for j in sorted(self.jobs_of_courier.get(courier or "", ()))]

    def open_jobs_of(self, order_id: str) -> list[Job]:
        return [self.jobs[j] for j in sorted(self.jobs_of_order.get(order_id, ()))]


def _discard(index: dict[str, set[str]], key: str, job_id: str) -> None:
    held = index.get(key)
    if held is not None:
        held.discard(job_id)
        if not held:
            del index[key]
