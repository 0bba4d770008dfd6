"""One order as its facts so far make it: lines, parcels, holds, flags, milestones, and the state that follows from them.

The handlers of this package change it, one fact at a time; the state is then derived again from the parcels. Nothing here knows of arrival, storage or
time of day: the same facts in the same order give the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, NamedTuple

from bridge.domain.facts import Fact, Verdict
from bridge.domain.lifecycle import DEAD, IN_CUSTODY, MOVES, ORDER_IMPLIED, ORDER_RANK, OUTBOUND, PERCENT, SHOWN_AS
from bridge.domain.members import FLAG, ORDER, PARCEL, E
from bridge.domain.order.book import Book, is_booked
from bridge.domain.order.contents import Contents, contents_of, packed_if_none_gone
from bridge.domain.order.parcel import OwnSending, Parcel
from bridge.domain.order.payment import Account
from devices.protocol import bodies
from devices.protocol.vocabulary import Flag, OrderState, Outcome, Payment, Reason, Warn, partially

MOVING: Final = frozenset(MOVES) | {E.CUSTOMS_CLEARED}
"""Events that take a parcel somewhere: each is proof enough that there is one."""
PARTIALLY: Final = {state: partially(state) for state in OrderState}
"""The word that is shown for a state if the parcels differ."""
_PACKED_RANK = ORDER_RANK[ORDER.PACKED]
_SHIPPED_RANK = ORDER_RANK[ORDER.SHIPPED]


class CourierJob(NamedTuple):
    """Who is to bring a parcel, and the job in which it is."""

    courier: str
    job: str


class Order:
    """An order as its facts so far make it. `milestones` maps a state to (when first reached, whether that was inferred).

    `lines` and `picked` are (sku → qty); `short` are the skus that were missing at their shelf; `last` is (type, event_ms) of the last event that was
    applied. `holds` maps the reason of a hold to the device that set it. `terms` is the rule for unpaid orders under which it was created, `pickups`
    are those that it was in time for (`promise.py`).

    `assigned` is the job of the whole order, `parcel_jobs` that of single parcels by their id, or by the code that they will bear; None if it was taken
    back. `cancelled_parcels` are the parcels that are cancelled while the order is not, and `sendings` how single parcels are sent, named in
    the same way.

    `decisions` are the outcomes of couriers' answers by (device, event id). `book` knows which parcel an event is about, from the facts in `booked`.
    `last_scans` holds the event_ms of the last scan by (device, type, code or parcel).
    """

    __slots__ = (
        "account",
        "all_packed",
        "approved",
        "assigned",
        "book",
        "booked",
        "cancelled",
        "cancelled_parcels",
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
        "parcel_jobs",
        "parcels",
        "partial",
        "picked",
        "pickups",
        "sendings",
        "short",
        "state",
        "terms",
    )

    def __init__(self, order_id: str) -> None:
        self.id = order_id
        self.created: bodies.Created | None = None
        self.terms: str | None = None
        self.pickups: str | None = None
        self.account = Account()
        self.assigned: CourierJob | None = None
        self.parcel_jobs: dict[str, CourierJob | None] = {}
        self.cancelled_parcels: set[str] = set()
        self.sendings: dict[str, OwnSending] = {}
        self.lines: dict[str, int] = {}
        self.parcels: dict[str, Parcel] = {}
        self.holds: dict[str, str] = {}
        self.flags: set[Flag] = set()
        self.picked: dict[str, int] = {}
        self.short: set[str] = set()
        self.paid = self.approved = self.completed = self.cancelled = False
        self.state = ORDER.PENDING_PAYMENT
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

    @property
    def owes_before_shipping(self) -> bool:
        """Whether it is prepaid and not paid, under a rule that says what then."""
        return not self.paid and self.terms is not None and self.created is not None and self.created.payment == Payment.PREPAID

    @property
    def has_left(self) -> bool:
        """Whether every parcel of it has left the warehouse; what was lost, destroyed or cancelled has not."""
        if not self.parcels:
            return False
        states = {p.state for p in self.parcels.values() if p.state not in DEAD or p.state is PARCEL.RETURNED}
        return bool(states) and all(s in IN_CUSTODY or s is PARCEL.RETURNED for s in states)

    @property
    def is_delivered(self) -> bool:
        """Whether its recipient has all that is to come."""
        return self.state in (ORDER.DELIVERED, ORDER.COMPLETED) and not self.partial

    @property
    def returned(self) -> dict[str, int]:
        """(sku → qty) what came back of delivered parcels, part by part."""
        total: dict[str, int] = {}
        for parcel in self.parcels.values():
            for sku, qty in parcel.returned.items():
                total[sku] = total.get(sku, 0) + qty
        return total

    def is_cancelled(self, parcel: Parcel) -> bool:
        """Whether the order or this parcel of it was cancelled."""
        return self.cancelled or (bool(self.cancelled_parcels) and not self.cancelled_parcels.isdisjoint(self.book.names(parcel.id)))

    # --- the state, from its parcels --------------------------------------------------------------------------------------

    def update_state(self, fact: Fact) -> None:
        """Derive the state again after a fact, and record the milestone that the whole order has reached."""
        state, partial, reached = self._derived()
        at_ms = fact.event_ms if fact.type != E.CANCELLED else shown_ms(fact)
        if state is not self.state or partial is not self.partial or not self.changed_ms:
            self.changed_ms = at_ms
        self.state = state
        self.partial = partial
        if reached not in self.milestones:
            self.reach(reached, at_ms)
        if not self.paid or FLAG.NOT_PAID in self.flags:
            self._flag_unpaid()

    def _flag_unpaid(self) -> None:
        """Flag goods that are out of the house and not paid: of a prepaid order at once, of one that is paid on delivery once all of it is delivered."""
        if self.paid or self.created is None:
            owes = False
        elif self.created.payment == Payment.PREPAID:
            owes = self.owes_before_shipping and any(p.state in OUTBOUND for p in self.parcels.values())
        else:
            owes = (FLAG.NOT_PAID in self.flags or self.is_delivered) and any(p.state in OUTBOUND for p in self.parcels.values())
        (self.flags.add if owes else self.flags.discard)(FLAG.NOT_PAID)

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
        if rank >= _PACKED_RANK and not self._goes_as_it_is(rank):
            return ORDER.PACKED, True, ORDER.PICKING
        if lowest is ORDER.DELIVERED and self.completed and not differ:
            lowest = ORDER.COMPLETED
        return lowest, differ, lowest

    def _goes_as_it_is(self, rank: int) -> bool:
        """Whether nothing more is to come: all is packed, or what is missing was reported and the rest has left."""
        return self.all_packed or (FLAG.SHORT in self.flags and rank >= _SHIPPED_RANK)

    def _without_parcels(self) -> OrderState:
        if self.cancelled:
            return ORDER.CANCELLED
        if self.picked:
            return ORDER.PICKING
        if self.approved:
            return ORDER.APPROVED
        return ORDER.PAID if self.paid else ORDER.PENDING_PAYMENT

    def _none_live(self) -> OrderState:
        states = {p.state for p in self.parcels.values()}
        if PARCEL.RETURNED in states:
            return ORDER.RETURNED
        return ORDER.CANCELLED if states == {PARCEL.CANCELLED} else ORDER.EXCEPTION

    def reach(self, state: OrderState, at_ms: int) -> None:
        """Record a milestone, and as inferred those before it that it proves."""
        self.milestones[state] = (at_ms, False)
        for implied in ORDER_IMPLIED.get(state, ()):
            if implied in self.milestones:
                continue
            if implied is ORDER.OUT_FOR_DELIVERY and all(p.collected for p in self.parcels.values() if p.state not in DEAD):
                continue
            self.milestones[implied] = (at_ms, True)

    # --- what is in it ----------------------------------------------------------------------------------------------------

    def contents(self) -> Contents:
        """What of its lines is packed, and what is gone."""
        return contents_of(self.lines, self.picked, self.parcels.values())

    def count_packed(self) -> None:
        """Set `all_packed`, whether the parcels hold every line, and the flag `short`. After a cancellation nothing more is owed.

        An order is short of what was missing at its shelf, or was in a parcel that is gone, and has not come since.
        """
        if self.cancelled:
            self.all_packed = True
            self.flags.discard(FLAG.SHORT)
            return
        if not self.short and (packed := packed_if_none_gone(self.lines, self.parcels.values())) is not None:
            self.all_packed = packed is self.lines or all(packed.get(sku, 0) >= qty for sku, qty in self.lines.items())
            self.flags.discard(FLAG.SHORT)
            return
        contents = self.contents()
        self.all_packed = contents.is_complete
        self.short = {sku for sku in self.short if contents.is_missing(sku)}
        (self.flags.add if self.short or contents.is_gone else self.flags.discard)(FLAG.SHORT)

    def percent(self) -> int:
        """How far the order is, 0 to 100, as the mean of its live parcels."""
        live = [PERCENT[SHOWN_AS[p.state]] for p in self.parcels.values() if p.state not in DEAD]
        if not live:
            return PERCENT[self.state]
        mean = sum(live) // len(live)
        return mean if self._goes_as_it_is(ORDER_RANK[self.state]) else min(mean, PERCENT[ORDER.PACKED] - 1)

    def left_to_pick(self) -> list[tuple[str, int]]:
        """(sku, qty) of what is neither picked nor packed yet; what was lost has to be picked again."""
        if self.cancelled:
            return []
        packed = packed_if_none_gone(self.lines, self.parcels.values())
        if packed is self.lines:
            return []
        if packed is None:
            contents = self.contents()
            return [(sku, left) for sku in self.lines if (left := contents.left(sku)) > 0]
        picked = self.picked
        if not packed:
            return [(sku, left) for sku, qty in self.lines.items() if (left := qty - picked.get(sku, 0)) > 0]
        return [(sku, left) for sku, qty in self.lines.items() if (left := qty - max(picked.get(sku, 0), packed.get(sku, 0))) > 0]

    # --- which parcels a fact is about ------------------------------------------------------------------------------------

    def open_book(self, facts: Iterable[Fact]) -> None:
        """Make the book of the facts that will be applied."""
        self.booked = [f for f in facts if is_booked(f)]
        self.book = Book.of(self.id, self.booked)

    def takes_last(self, fact: Fact) -> bool:
        """Whether the book's answers about the facts so far stay the same if this one comes last. The book then knows it."""
        if not is_booked(fact):
            return True
        if not self.book.stands(fact) and not self.book.takes_last(fact, self.booked):
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
            parcel.state = PARCEL.CANCELLED  # only an event that takes it out of the warehouse makes it live again
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
        elif fact.code is not None or fact.parcel is not None:
            parcel, contradicts = self.named_by(fact)
            if parcel is not None:
                return [parcel], contradicts
        if not self.parcels:
            return ([self.add_parcel(self.book.first() or self.book.unseen, fact.event_ms)] if fact.type in MOVING else []), False
        live = [p for p in self.parcels.values() if p.state not in DEAD]
        return live or list(self.parcels.values()), False


Handler = Callable[[Order, Fact], Verdict]
"""What one event type does to an order."""


def quantities(lines: Iterable[bodies.Line]) -> dict[str, int]:
    """sku → qty of order lines, of which several may have the same sku."""
    total: dict[str, int] = {}
    for line in lines:
        total[line.sku] = total.get(line.sku, 0) + line.qty
    return total


def known_parcel(order: Order, fact: Fact) -> Parcel | None:
    """The parcel that a fact names, if an event has shown it already."""
    book = order.book
    label = book.label(fact)
    unit = book.by_code(label, fact.key) if label is not None else None
    parcel_id = unit.id if unit is not None else book.by_name(fact.parcel) or fact.parcel if fact.parcel is not None else None
    return order.parcels.get(parcel_id) if parcel_id is not None else None


def named_parcel(order: Order, fact: Fact) -> tuple[Parcel | None, str | None]:
    """(the parcel that an instruction names, the name under which it is kept): the parcel may be packed later. No name if it is about the whole order."""
    parcel = known_parcel(order, fact)
    if parcel is not None:
        return parcel, parcel.id
    return None, fact.parcel or (fact.code if fact.code != order.book.own_key else None)


def unclear_scan(order: Order, fact: Fact) -> tuple[bool, Warn | None]:
    """(whether a fact scans a code that is on no parcel of the order, and could mean several; the warning if it can mean only one)."""
    if fact.code is None or fact.parcel is not None or fact.inside or not order.parcels or fact.code == order.book.own_key:
        return False, None
    label = order.book.label(fact)
    if label is not None and order.book.by_code(label, fact.key, is_unpack=fact.type == E.UNPACK) is not None:
        return False, None
    if sum(p.state not in DEAD for p in order.parcels.values()) != 1:
        return True, None
    return False, Warn.UNKNOWN_CODE if label is not None else None


def close_cases(order: Order) -> None:
    """An order is delivered and completed: end what was odd about its parcels."""
    for parcel in order.parcels.values():
        parcel.close_case()


def shown_ms(fact: Fact) -> int:
    """The time that is shown for what a fact brought about: its own, or for a cancellation the time at which the shop cancelled, if that is earlier."""
    since_ms = fact.body.since_ms if isinstance(fact.body, bodies.Cancelled) else None
    return fact.event_ms if since_ms is None else min(since_ms, fact.event_ms)


def body_of(fact: Fact) -> Any:
    """The body as the type that the handler names: `decode_event` has already checked it against the event type."""
    return fact.body
