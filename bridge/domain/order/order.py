"""One order as its facts so far make it: lines, parcels, holds, flags, milestones, and the state that follows from them.

The handlers of this package change it, one fact at a time; the state is then derived again from the parcels. Nothing here knows of arrival, storage or
time of day: the same facts in the same order give the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from bridge.domain.facts import Fact, Verdict
from bridge.domain.lifecycle import DEAD, MOVES, ORDER_IMPLIED, ORDER_RANK, PERCENT, RANK, SHOWN_AS
from bridge.domain.order.book import Book, is_booked
from bridge.domain.order.parcel import Parcel
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, OrderState, Outcome, ParcelState, Reason, Warn, partially

MOVING: Final = frozenset(MOVES) | {E.CUSTOMS_CLEARED}
"""Events that take a parcel somewhere: each is proof enough that there is one."""
PARTIALLY: Final = {state: partially(state) for state in OrderState}
"""The word that is shown for a state if the parcels differ."""
_PACKED_RANK = RANK[ParcelState.PACKED]


class Order:
    """An order as its facts so far make it. `milestones` maps a state to (when first reached, whether that was inferred).

    `lines` and `picked` are (sku → qty); `assigned` is (courier, job); `last` is (type, event_ms) of the last event that was applied.

    `decisions` are the outcomes of couriers' answers by (device, event id). `book` knows which parcel an event is about, from the facts in `booked`.
    `last_scans` holds the event_ms of the last scan by (device, type, code or parcel).
    """

    __slots__ = (
        "all_packed",
        "approved",
        "assigned",
        "book",
        "booked",
        "cancelled",
        "changed_ms",
        "completed",
        "created",
        "decisions",
        "flags",
        "holds",
        "id",
        "last",
        "last_scans",
        "lines",
        "milestones",
        "paid",
        "parcels",
        "partial",
        "picked",
        "state",
    )

    def __init__(self, order_id: str) -> None:
        self.id = order_id
        self.created: bodies.Created | None = None
        self.assigned: tuple[str, str] | None = None
        self.lines: dict[str, int] = {}
        self.parcels: dict[str, Parcel] = {}
        self.holds: set[str] = set()
        self.flags: set[Flag] = set()
        self.picked: dict[str, int] = {}
        self.paid = self.approved = self.completed = self.cancelled = False
        self.state = OrderState.PENDING_PAYMENT
        self.partial = False
        self.changed_ms = 0
        self.last: tuple[str, int] = (E.CREATED, 0)
        self.milestones: dict[OrderState, tuple[int, bool]] = {}
        self.decisions: dict[tuple[str, bytes], tuple[Outcome, Reason | None]] = {}
        self.all_packed = False
        self.last_scans: dict[tuple[str, str, str | None], int] = {}
        self.book = Book(order_id)
        self.booked: list[Fact] = []

    @property
    def state_word(self) -> str:
        """The state as it is shown: `partially_…` if the parcels differ."""
        return PARTIALLY[self.state] if self.partial else self.state

    def preparation_block(self) -> Reason | None:
        """Why the order must not be picked, packed or staged now; None if it may be."""
        if self.cancelled:
            return Reason.CANCELLED
        if self.holds:
            return Reason.HELD
        return Reason.NEEDS_CONFIRM if Flag.NEEDS_CONFIRM in self.flags else None

    # --- the state, from its parcels --------------------------------------------------------------------------------------

    def update_state(self, fact: Fact) -> None:
        """Derive the state again after a fact, and record the milestone that the whole order has reached."""
        state, partial, reached = self._derived()
        if state is not self.state or partial is not self.partial or not self.changed_ms:
            self.changed_ms = fact.event_ms
        self.state = state
        self.partial = partial
        if reached not in self.milestones:
            self.reach(reached, fact)

    def _derived(self) -> tuple[OrderState, bool, OrderState]:
        """(state, whether parcels differ, the state that the whole order has reached)."""
        if not self.parcels:
            state = self._without_parcels()
            return state, False, state
        lowest: OrderState | None = None
        rank = 1000
        differ = False
        for parcel in self.parcels.values():
            if parcel.state in DEAD:
                continue
            shown = SHOWN_AS[parcel.state]
            if lowest is not None and shown is not lowest:
                differ = True
            if ORDER_RANK[shown] < rank:
                rank = ORDER_RANK[shown]
                lowest = shown
        if lowest is None:
            state = self._none_live()
            return state, False, state
        if not self.all_packed and rank >= _PACKED_RANK:
            return OrderState.PACKED, True, OrderState.PICKING
        if lowest is OrderState.DELIVERED and self.completed and not differ:
            lowest = OrderState.COMPLETED
        return lowest, differ, lowest

    def _without_parcels(self) -> OrderState:
        if self.cancelled:
            return OrderState.CANCELLED
        if self.picked:
            return OrderState.PICKING
        if self.approved:
            return OrderState.APPROVED
        return OrderState.PAID if self.paid else OrderState.PENDING_PAYMENT

    def _none_live(self) -> OrderState:
        states = {p.state for p in self.parcels.values()}
        if ParcelState.RETURNED in states:
            return OrderState.RETURNED
        return OrderState.CANCELLED if states == {ParcelState.CANCELLED} else OrderState.EXCEPTION

    def reach(self, state: OrderState, fact: Fact) -> None:
        """Record a milestone, and as inferred those before it that it proves."""
        self.milestones[state] = (fact.event_ms, False)
        on_delivery = self.created is not None and self.created.payment == "on_delivery"
        for implied in ORDER_IMPLIED.get(state, ()):
            if implied in self.milestones or (on_delivery and implied is OrderState.PAID):
                continue
            if implied is OrderState.OUT_FOR_DELIVERY and all(p.collected for p in self.parcels.values() if p.state not in DEAD):
                continue
            self.milestones[implied] = (fact.event_ms, True)

    def count_packed(self) -> None:
        """Set `all_packed`: whether the parcels hold every line.

        A parcel packed without a list holds everything that the others do not. After a cancellation nothing more is owed.
        """
        if self.cancelled:
            self.all_packed = True
            return
        have: dict[str, int] = {}
        for parcel in self.parcels.values():
            if not parcel.is_packed:
                continue
            if parcel.items is None:
                self.all_packed = True
                return
            for sku, qty in parcel.items.items():
                have[sku] = have.get(sku, 0) + qty
        self.all_packed = all(have.get(sku, 0) >= qty for sku, qty in self.lines.items())

    def percent(self) -> int:
        """How far the order is, 0 to 100, as the mean of its live parcels."""
        live = [PERCENT[SHOWN_AS[p.state]] for p in self.parcels.values() if p.state not in DEAD]
        if not live:
            return PERCENT[self.state]
        mean = sum(live) // len(live)
        return mean if self.all_packed else min(mean, PERCENT[OrderState.PACKED] - 1)

    def left_to_pick(self) -> list[tuple[str, int]]:
        """(sku, qty) of what is not yet picked or packed."""
        packed: dict[str, int] = {}
        for parcel in self.parcels.values():
            if not parcel.is_packed or parcel.state is ParcelState.CANCELLED:
                continue
            if parcel.items is None:
                return []
            for sku, qty in parcel.items.items():
                packed[sku] = packed.get(sku, 0) + qty
        left = ((sku, qty - max(self.picked.get(sku, 0), packed.get(sku, 0))) for sku, qty in self.lines.items())
        return [(sku, qty) for sku, qty in left if qty > 0]

    # --- which parcels a fact is about ------------------------------------------------------------------------------------

    def open_book(self, facts: Iterable[Fact]) -> None:
        """Make the book of the facts that will be applied."""
        self.booked = [f for f in facts if is_booked(f)]
        self.book = Book.of(self.id, self.booked)

    def takes_last(self, fact: Fact) -> bool:
        """Whether the book's answers about the facts so far stay the same if this one comes last. The book then knows it."""
        if not is_booked(fact):
            return True
        if not self.book.stands(fact):
            later = Book.of(self.id, (*self.booked, fact))
            if not self.book.agrees(later, self.booked):
                return False
            self.book = later
        self.booked.append(fact)  # even if the book stands: a later label may make this scan one of its own
        return True

    def codes(self, parcel: Parcel) -> list[str]:
        """The codes that a parcel bears now."""
        return self.book.codes(parcel.id)

    def add_parcel(self, parcel_id: str, at_ms: int) -> Parcel:
        """Add a parcel that a fact has shown to exist."""
        parcel = self.parcels[parcel_id] = Parcel(parcel_id, at_ms)
        if self.cancelled:
            parcel.state = ParcelState.CANCELLED  # only an event that takes it out of the warehouse makes it live again
        return parcel

    def parcel_of(self, fact: Fact, parcel_id: str) -> Parcel:
        """The parcel with this id; it is added if this is the first event of it."""
        return self.parcels.get(parcel_id) or self.add_parcel(parcel_id, fact.event_ms)

    def named_by(self, fact: Fact) -> tuple[Parcel | None, bool]:
        """(the parcel that a fact names, whether its scan contradicts the name). What was scanned is the truth."""
        book = self.book
        label = book.label(fact)
        if label is not None and (unit := book.by_code(label, fact.key, is_unpack=fact.type == E.UNPACK)) is not None:
            called = book.by_name(fact.parcel) if fact.parcel is not None else unit.id
            contradicts = called != unit.id and not (called is None and fact.parcel == book.unseen)
            return self.parcel_of(fact, unit.id), contradicts
        if fact.parcel is None:
            return None, False
        known = book.by_name(fact.parcel)
        if known is None and fact.parcel == book.unseen:
            return None, False  # a device that saw this id before the pack arrived: it means the parcels that there are
        return self.parcel_of(fact, known or fact.parcel), False

    def find_or_add(self, fact: Fact) -> tuple[list[Parcel], bool]:
        """(the parcels that a fact is about, whether the scan contradicts the name).

        A fact without a name is about every live parcel. If no parcel is known yet and the fact moves one, that parcel is added.
        """
        if fact.inside:
            units = (self.book.by_code(code, fact.key) for code in fact.inside)
            found = {unit.id: self.parcel_of(fact, unit.id) for unit in units if unit is not None}
            if found:
                return list(found.values()), False
        else:
            parcel, contradicts = self.named_by(fact)
            if parcel is not None:
                return [parcel], contradicts
        if not self.parcels:
            return ([self.add_parcel(self.book.first() or self.book.unseen, fact.event_ms)] if fact.type in MOVING else []), False
        live = [p for p in self.parcels.values() if p.state not in DEAD]
        return live or list(self.parcels.values()), False

    def unclear_scan(self, fact: Fact) -> tuple[bool, Warn | None]:
        """(whether a fact scans a code that is on no parcel of the order, and could mean several; the warning if it can mean only one)."""
        if fact.code is None or fact.parcel is not None or fact.inside or not self.parcels or fact.code == self.book.own_key:
            return False, None
        label = self.book.label(fact)
        if label is not None and self.book.by_code(label, fact.key, is_unpack=fact.type == E.UNPACK) is not None:
            return False, None
        if sum(p.state not in DEAD for p in self.parcels.values()) != 1:
            return True, None
        return False, Warn.UNKNOWN_CODE if label is not None else None


Handler = Callable[[Order, Fact], Verdict]
"""What one event type does to an order."""


def quantities(lines: Iterable[bodies.Line]) -> dict[str, int]:
    """sku → qty of order lines, of which several may have the same sku."""
    total: dict[str, int] = {}
    for line in lines:
        total[line.sku] = total.get(line.sku, 0) + line.qty
    return total


def body_of(fact: Fact) -> Any:
    """The body as the type that the handler names: `decode_event` has already checked it against the event type."""
    return fact.body
