"""One order as its facts so far make it: lines, parcels, holds, flags, milestones, and the state that follows from them.

The handlers of this package change it, one fact at a time; the state is then derived again from the parcels. Nothing here knows of arrival, storage or
time of day: the same facts in the same order give the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from bridge.domain.facts import Fact, Verdict
from bridge.domain.lifecycle import DEAD, MOVES, ORDER_IMPLIED, ORDER_RANK, PERCENT, RANK, SHOWN_AS
from bridge.domain.order.parcel import Parcel, unseen_parcel_id
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, OrderState, Outcome, ParcelState, Reason, partially

MOVING: Final = frozenset(MOVES) | {E.CUSTOMS_CLEARED}
"""Events that take a parcel somewhere: each is proof enough that there is one."""
PARTIALLY: Final = {state: partially(state) for state in OrderState}
"""The word that is shown for a state if the parcels differ."""
_PACKED_RANK = RANK[ParcelState.PACKED]


class Order:
    """An order as its facts so far make it. `milestones` maps a state to (when first reached, whether that was inferred).

    `lines` and `picked` are (sku → qty); `assigned` is (courier, job); `last` is (type, event_ms) of the last event that was applied.

    `decisions` are the outcomes of couriers' answers by (device, event id). `aliases` are the parcels by ids that they may have been shown under until
    an earlier pack event arrived. `last_scans` holds the event_ms of the last scan by (device, type, code or parcel).
    """

    __slots__ = (
        "aliases",
        "all_packed",
        "approved",
        "assigned",
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
        self.aliases: dict[str, Parcel] = {}

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

    def by_code(self, code: str | None) -> Parcel | None:
        """The parcel that bears a code."""
        if code is None:
            return None
        return next((p for p in self.parcels.values() if p.code == code), None)

    def by_name(self, name: str | None) -> Parcel | None:
        """The parcel with this id, or the one that was shown under it until an earlier pack event of the same parcel arrived."""
        return (self.parcels.get(name) or self.aliases.get(name)) if name is not None else None

    def may_be_called(self, parcel: Parcel, name: str | None) -> bool:
        """Whether a fact that gives this parcel id can mean this parcel."""
        if name is None:
            return True
        called = self.by_name(name)
        return called is parcel or (called is None and name == unseen_parcel_id(self.id))

    def named_by(self, fact: Fact) -> tuple[Parcel | None, bool]:
        """(the parcel that a fact names, whether its scan contradicts the name). What was scanned is the truth."""
        scanned = self.by_code(fact.code)
        if scanned is not None:
            return scanned, not self.may_be_called(scanned, fact.parcel)
        return self.by_name(fact.parcel), False

    def add_parcel(self, parcel_id: str, at_ms: int) -> Parcel:
        """Add a parcel that a fact has shown to exist."""
        parcel = self.parcels[parcel_id] = Parcel(parcel_id, at_ms)
        if self.cancelled:
            parcel.state = ParcelState.CANCELLED  # only an event that takes it out of the warehouse makes it live again
        return parcel

    def find_or_add(self, fact: Fact) -> tuple[list[Parcel], bool]:
        """(the parcels that a fact is about, whether the scan contradicts the name).

        A fact without a name is about every live parcel. If no parcel is known yet and the fact moves one, that parcel is added.
        """
        parcel, contradicts = self.named_by(fact)
        if parcel is not None:
            return [parcel], contradicts
        if fact.parcel is not None and fact.parcel != unseen_parcel_id(self.id):
            return [self.add_parcel(fact.parcel, fact.event_ms)], False
        # A device that still names the unseen parcel saw that id before the pack event arrived: it means the parcels that there are.
        if not self.parcels:
            return ([self.add_parcel(unseen_parcel_id(self.id), fact.event_ms)] if fact.type in MOVING else []), False
        live = [p for p in self.parcels.values() if p.state not in DEAD]
        return live or list(self.parcels.values()), False

    def is_unknown_code(self, fact: Fact) -> bool:
        """Whether the scanned code belongs to no parcel of the order, and cannot belong to one without a label: such a scan must not move the others."""
        if fact.code is None or fact.parcel is not None or not self.parcels or self.by_code(fact.code) is not None:
            return False
        return len(self.parcels) > 1 or all(p.code is not None for p in self.parcels.values())


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
