"""What the writer remembers between batches, so that a typical scan needs no query. All of it can be read again from the store.

After a batch that did not commit, `forget` drops all of it: a cache that may be ahead of the database is worse than no cache.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, NamedTuple

import cbor2

from bridge.domain.codes.evidence import key_of
from bridge.domain.codes.history import History
from bridge.domain.codes.place import Placing
from bridge.domain.codes.rules import DatedRules
from bridge.domain.duty import Duties
from bridge.domain.event_time import DeviceClock
from bridge.domain.facts import Fact
from bridge.domain.fold import OrderFold
from bridge.domain.ledger import Ledger
from bridge.domain.positions import Track
from bridge.domain.refs import Ref, RefKind
from bridge.domain.visits import Trail
from bridge.ingest.aboard import CARRIED, Aboard
from bridge.ingest.articles import Catalogue
from bridge.ingest.codes import CODE_RULES, CODES, COMMON, INSIDE, WAITING, placing_of, rules_of
from bridge.ingest.log import stored_fact
from bridge.ingest.places import KnownPlaces
from bridge.ingest.ports import StoredOrder, Transaction
from bridge.ingest.relation import Deletion, Origin, Relation
from bridge.ingest.workers import Workers


class LedgerRow(NamedTuple):
    """What was received of one log of a device: the highest number, how many below it are owed or were given up, and the ranges and times of what came.

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
    """An order in memory: its fold, what was last published of it, and the codes that it knows of, except its own id. `parcels` has the hash and the codes of
    each parcel, `consignments` what is stored of each for its carrier, `told` the notices about the order; None if that was not read yet."""

    __slots__ = ("codes", "collects", "consignments", "due_ms", "fold", "hash", "parcels", "rev", "state", "timed", "told")

    def __init__(self, order_id: str, stored: StoredOrder | None = None) -> None:
        self.fold = OrderFold(order_id)
        self.rev = 0
        self.hash = b""
        self.timed = ""
        self.parcels: dict[str, tuple[bytes, str]] = {}
        self.state = ""
        self.collects = False
        self.consignments: dict[str, Any] | None = None if stored is not None else {}
        self.told: list[Any] | None = None if stored is not None else []
        self.due_ms: int | None = None
        self.codes: set[str] = set()
        if stored is not None:
            self.rev, self.hash, self.timed, self.parcels, self.due_ms = stored.rev, stored.hash, stored.timed, stored.parcels, stored.due_ms
            self.state = stored.state
            for key in stored.codes:
                self.know(key)
            self.fold.load(stored.facts)

    def know(self, key: str) -> None:
        """Add a code. The order's own id is never on a parcel, and is not one of them."""
        if key_of(self.fold.id) != key:
            self.codes.add(key)


class DeviceEntry:
    """A device in memory: its clock, its ledgers, its shifts, and where it was. `saved` is the state of the clock that was last written.
    `last_points` is the digest of its last location. `trail` has its last fixes and visits; None if they were not read yet. `lost_since_ms` is when points of
    it began to be of no use: 0 if the last ones are, None if that is not known yet."""

    __slots__ = ("clock", "last_points", "ledgers", "lost_since_ms", "saved", "shift_ms", "track", "trail")

    def __init__(self) -> None:
        self.clock = DeviceClock()
        self.ledgers: dict[bytes, Ledger] = {}
        self.saved: tuple[object, ...] | None = None
        self.track = Track()
        self.lost_since_ms: int | None = None
        self.last_points = b""
        self.trail: Trail | None = None
        self.shift_ms = 0


class CodeEntry:
    """What is known of a code: the orders (and whether a custody event named each of them beside it), the events that wait for it, and those about it as a
    container, with their placings. `history` is kept while it is true."""

    __slots__ = ("history", "inside", "orders", "waiting")

    def __init__(self) -> None:
        self.orders: dict[str, bool] = {}
        self.waiting: dict[int, Fact] = {}
        self.inside: dict[int, tuple[Fact, Placing]] = {}
        self.history: History | None = None

    @property
    def is_common(self) -> bool:
        """Whether the code is a shelf or a dock."""
        return COMMON in self.orders


class Memory:
    """The most recently used orders and devices, and all references that parked events wait for.

    Args:
        orders_max: how many orders are kept.
        devices_max: how many devices are kept.
        codes_max: how many codes are kept.
        articles_max: how many articles are kept.
        badges_max: how many badges of workers are kept.
    """

    def __init__(self, *, orders_max: int, devices_max: int, codes_max: int, articles_max: int, badges_max: int) -> None:
        self.orders_max = orders_max
        self.devices_max = devices_max
        self.codes_max = codes_max
        self.articles = Catalogue(articles_max)
        self.workers = Workers(badges_max)
        self.aboard = Aboard()
        self.duties: dict[str, Duties] = {}
        """Of couriers; read again when something else is told of one."""
        self.places = KnownPlaces()
        self.code_rules = DatedRules()
        self.has_containers = False
        self.next_pos = 1
        self.next_batch = 1
        self.awaited: set[Ref] = set()
        """What events in no order wait for."""
        self._orders: OrderedDict[str, OrderEntry] = OrderedDict()
        self._devices: OrderedDict[str, DeviceEntry] = OrderedDict()
        self._codes: OrderedDict[str, CodeEntry] = OrderedDict()
        self._waiting: dict[Ref, dict[int, Fact]] = {}

    def forget(self) -> None:
        """Drop everything; the next batch reads what it needs from the store."""
        self.awaited = set()
        self._orders.clear()
        self._devices.clear()
        self._codes.clear()
        self._waiting.clear()
        self.articles.forget()
        self.workers.forget()
        self.aboard.forget()
        self.duties.clear()
        self.places.forget()

    def forget_places(self) -> None:
        """Drop the places and what follows from them, because they may have changed, or what was stored of phones."""
        self.places.forget()
        for entry in self._devices.values():
            entry.trail = None

    def load_waiting(self, tx: Transaction) -> None:
        """Read what events in no order wait for, whether there are containers, the rules about codes, and who has parcels on board."""
        self.awaited = {Ref(RefKind(row.ref_kind), row.ref) for row in tx.rows(WAITING)}
        self.has_containers = tx.has_rows(INSIDE)
        self.code_rules = rules_of(tx.rows(CODE_RULES))
        self.aboard.load(tx.rows(CARRIED))

    def is_awaited(self, kind: RefKind, name: str) -> bool:
        """Whether an event in no order may wait for this."""
        return bool(self.awaited) and Ref(kind, name) in self.awaited

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
                entry.ledgers[row.log] = Ledger(cbor2.loads(row.ranges), row.forgotten, row.reused)
            for shift in tx.rows(SHIFTS, device=device):
                entry.shift_ms = shift.changed_ms
        else:
            self._devices.move_to_end(device)
        return entry

    def load_codes(self, keys: set[str], tx: Transaction) -> None:
        """Make sure that these codes are in memory; a code that is not stored yet starts empty."""
        missing = sorted(key for key in keys if key not in self._codes)  # `keys - self._codes.keys()` would walk through all codes in memory
        if missing:
            entries = {key: CodeEntry() for key in missing}
            for row in tx.rows(CODES, code=missing):
                entries[row.code].orders[row.order_id] = bool(row.is_beside)
            for key, entry in entries.items():
                self._read_waiting(key, entry, tx)
            self._codes |= entries

    def code(self, key: str, tx: Transaction) -> CodeEntry:
        """What is known of a code, read from the store if it is not in memory."""
        entry = self._codes.get(key)
        if entry is None:
            self.load_codes({key}, tx)
            return self._codes[key]
        self._codes.move_to_end(key)
        return entry

    def _read_waiting(self, key: str, entry: CodeEntry, tx: Transaction) -> None:
        """Read the events that wait for a code, and those about it as a container."""
        if self.is_awaited(RefKind.CODE, key):
            entry.waiting = {row.pos: stored_fact(row) for row in tx.waiting_for(RefKind.CODE, key)}
        if self.has_containers:
            positions = {row.pos for row in (*tx.rows(INSIDE, parent=key), *tx.rows(INSIDE, child=key))}
            entry.inside = {row.pos: (stored_fact(row), placing_of(row, rows)) for row, rows in tx.events_at(sorted(positions))}

    def waiting(self, ref: Ref, tx: Transaction) -> dict[int, Fact]:
        """The events in no order that wait for a code or an event, by position in the log."""
        if ref.kind is RefKind.CODE:
            return self.code(ref.name, tx).waiting
        found = self._waiting.get(ref)
        if found is None:
            found = self._waiting[ref] = {row.pos: stored_fact(row) for row in tx.waiting_for(ref.kind, ref.name)} if ref in self.awaited else {}
        return found

    def trim(self) -> None:
        """Drop the entries that were not used for the longest time. Called between batches."""
        while len(self._orders) > self.orders_max:
            self._orders.popitem(last=False)
        while len(self._devices) > self.devices_max:
            self._devices.popitem(last=False)
        self._waiting.clear()
        while len(self._codes) > self.codes_max:
            self._codes.popitem(last=False)
