"""What the writer remembers between batches, so that a typical scan needs no query. All of it can be read again from the store.

After a batch that did not commit, `forget` drops all of it: a cache that may be ahead of the database is worse than no cache.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, NamedTuple

import cbor2

from bridge.domain.event_time import DeviceClock
from bridge.domain.fold import OrderFold
from bridge.domain.ledger import Ledger
from bridge.domain.refs import Ref, RefKind
from bridge.ingest.ports import StoredOrder, Transaction
from bridge.ingest.relation import Deletion, Origin, Relation


class LedgerRow(NamedTuple):
    """What was received of one log of a device: the highest number, how many below it are owed or were given up, and the received ranges (CBOR).

    `reused` counts the events whose number another event had before.
    """

    device: str
    log: bytes
    high: int
    owed: int
    forgotten: int
    ranges: bytes
    updated_ms: int
    reused: int = 0


class ShiftRow(NamedTuple):
    """When a shift last started or ended on a device, as it told (event time)."""

    device: str
    changed_ms: int


class ClockRow(NamedTuple):
    """What is known of a device's clock (CBOR)."""

    device: str
    data: bytes


LEDGER: Final = Relation(name="ledger", row=LedgerRow, key=("device", "log"), origin=Origin.DERIVED, note="derived: what came of each device's log")
LEDGER_GONE: Final = Deletion(LEDGER, ("device", "log"))
SHIFTS: Final = Relation(name="shifts", row=ShiftRow, key=("device",), origin=Origin.DERIVED, note="derived: each device's last change of shift")
CLOCKS: Final = Relation(name="clocks", row=ClockRow, key=("device",), origin=Origin.KEPT, note="what is known of each device's clock")


class OrderEntry:
    """An order in memory: its fold, and what was last published of it. `parcels` has the hash and the code of each parcel."""

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
    """A device in memory: its clock, its ledgers and its last change of shift. `saved` is the state of the clock that was last written."""

    __slots__ = ("clock", "ledgers", "position_kept_ms", "saved", "shift_ms")

    def __init__(self) -> None:
        self.clock = DeviceClock()
        self.ledgers: dict[bytes, Ledger] = {}
        self.saved: tuple[object, ...] | None = None
        self.position_kept_ms = 0
        self.shift_ms = 0


class Memory:
    """The most recently used orders and devices, and all references that parked events wait for.

    Args:
        orders_max: how many orders are kept.
        devices_max: how many devices are kept.
    """

    def __init__(self, *, orders_max: int, devices_max: int) -> None:
        self.orders_max = orders_max
        self.devices_max = devices_max
        self.next_pos = 1
        self.next_batch = 1
        self.awaited: set[Ref] = set()
        """What parked events wait for, except the creation of an order."""
        self._orders: OrderedDict[str, OrderEntry] = OrderedDict()
        self._devices: OrderedDict[str, DeviceEntry] = OrderedDict()

    def forget(self) -> None:
        """Drop everything; the next batch reads what it needs from the store."""
        self.awaited = set()
        self._orders.clear()
        self._devices.clear()

    def load_awaited(self, tx: Transaction) -> None:
        """Read what parked events wait for."""
        self.awaited = {Ref(RefKind(kind), name) for kind, name in tx.awaited()}

    def load_orders(self, order_ids: set[str], tx: Transaction) -> None:
        """Make sure that these orders are in memory; an order that is not stored yet starts empty."""
        missing = [o for o in order_ids if o not in self._orders]
        if missing:
            stored = tx.orders(missing)
            for order_id in missing:
                self._orders[order_id] = OrderEntry(order_id, stored.get(order_id))

    def order(self, order_id: str, tx: Transaction) -> OrderEntry:
        """An order, read from the store if it is not in memory."""
        entry = self._orders.get(order_id)
        if entry is None:
            self.load_orders({order_id}, tx)
            return self._orders[order_id]
        self._orders.move_to_end(order_id)
        return entry

    def device(self, device: str, tx: Transaction) -> DeviceEntry:
        """A device, read from the store if it is not in memory."""
        entry = self._devices.get(device)
        if entry is None:
            entry = self._devices[device] = DeviceEntry()
            for clock in tx.rows(CLOCKS, device=device):
                entry.clock = DeviceClock.restore(cbor2.loads(clock.data))
            for row in tx.rows(LEDGER, device=device):
                entry.ledgers[row.log] = Ledger([(a, b) for a, b in cbor2.loads(row.ranges)], row.forgotten, row.reused)
            for shift in tx.rows(SHIFTS, device=device):
                entry.shift_ms = shift.changed_ms
        else:
            self._devices.move_to_end(device)
        return entry

    def trim(self) -> None:
        """Drop the entries that were not used for the longest time. Called between batches."""
        while len(self._orders) > self.orders_max:
            self._orders.popitem(last=False)
        while len(self._devices) > self.devices_max:
            self._devices.popitem(last=False)
