"""One order while its facts are told: parcels, holds, flags, milestones. `Order.tell(fact)` gives the verdict.

Each event type has one handler, found in `HANDLERS`; how a parcel moves is in `lifecycle.PARCEL_TABLE`. Nothing here knows of arrival, storage
or time of day: the same facts in the same order give the same order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import sha256
from typing import Any, Final

from bridge.domain.facts import APPLIED, DECIDED, NOOP, Decided, Fact, Verdict, refusal
from bridge.domain.jobs import derived_job_id
from bridge.domain.lifecycle import (
    CUSTODY_FACTS,
    DEAD,
    IMPLIED,
    IMPLIED_BY,
    IN_CUSTODY,
    MOVES,
    ORDER_IMPLIED,
    ORDER_RANK,
    PARCEL_TABLE,
    PERCENT,
    PREPARATION,
    RANK,
    SHOWN_AS,
    Step,
)
from devices.protocol import bodies
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, OrderState, Outcome, ParcelState, Reason, Role, Warn, Waypoint, partially

DEBOUNCE_MS: Final = 1500
"""Within this time the same scan of the same device is a double scan, not news."""

_FULL: Final = frozenset({ParcelState.PACKED, *(state for state, implied in IMPLIED.items() if ParcelState.PACKED in implied)})
"""A parcel that is here was packed, whether anybody told of it or not."""
_MOVES_PARCELS: Final = frozenset(MOVES) | {E.CUSTOMS_CLEARED}
"""What takes a parcel somewhere: proof enough that there is one."""
_ABOUT_PARCELS: Final = _MOVES_PARCELS - PREPARATION | {E.STAGE, E.BORDER_ENTERED, E.STOP_ARRIVED, E.DAMAGED, E.FOUND}
_PACKED_RANK = RANK[ParcelState.PACKED]
_PARTIALLY = {state: partially(state) for state in OrderState}


class Parcel:
    """One parcel. `milestones` maps a state to (when first reached, whether that was inferred).

    `is_packed` says that something is in it, `is_told` that a pack said so and not only where it was; `items` is what, where a pack named it.
    """

    __slots__ = (
        "at_ms",
        "attempts",
        "before_lost",
        "code",
        "collected",
        "customs_direction",
        "flags",
        "id",
        "is_packed",
        "is_told",
        "items",
        "milestones",
        "state",
        "where",
    )

    def __init__(self, parcel_id: str, at_ms: int) -> None:
        self.id = parcel_id
        self.state = ParcelState.PLANNED
        self.before_lost = ParcelState.PLANNED
        self.flags: set[Flag] = set()
        self.where: str | None = None
        self.code: str | None = None
        self.items: dict[str, int] | None = None
        self.is_packed = self.is_told = False
        self.at_ms = at_ms
        self.attempts = 0
        self.collected = False
        self.customs_direction = "import"
        self.milestones: dict[ParcelState | Waypoint, tuple[int, bool]] = {}

    def enter(self, state: ParcelState, at_ms: int, step: str) -> None:
        """Take a state by a step, and note it and what it proves as milestones."""
        self.state = state
        self.at_ms = at_ms
        if state in _FULL or step in IMPLIED_BY:
            self.is_packed = True
        elif state is ParcelState.PICKING:
            self.is_packed = self.is_told = False
            self.items = None
        for implied in IMPLIED.get(state) or IMPLIED_BY.get(step, ()):
            if implied not in self.milestones and not (implied is ParcelState.OUT_FOR_DELIVERY and self.collected):
                self.milestones[implied] = (at_ms, True)
        if state not in self.milestones:
            self.milestones[state] = (at_ms, False)

    def was_packed(self, at_ms: int) -> bool:
        """Note that it was packed although it is somewhere beside the way, on its way back, say; True where that is news."""
        if self.is_packed:
            return False
        self.is_packed = True
        self.milestones.setdefault(ParcelState.PACKED, (at_ms, False))
        return True


def derived_parcel_id(event_id: bytes) -> str:
    """The id of a parcel that nobody named: from its event, never from a position, so that arrival order cannot change it."""
    return "p-" + event_id.hex()


def unseen_parcel_id(order_id: str) -> str:
    """The id of a parcel that was moved before anybody told of its packing: from its order, so that it stays the same whichever scan comes first."""
    return "p-" + sha256(order_id.encode()).hexdigest()[:32]


class Order:
    """An order as its facts so far make it."""

    __slots__ = (
        "_all_packed",
        "_last_scan",
        "_told_as",
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
        self._all_packed = False
        self._last_scan: dict[tuple[str, str, str | None], int] = {}
        self._told_as: dict[str, Parcel] = {}

    @property
    def state_word(self) -> str:
        """The state as it is shown, `partially_…` where parcels differ."""
        return _PARTIALLY[self.state] if self.partial else self.state

    # --- telling ----------------------------------------------------------------------------------------------------------

    def tell(self, fact: Fact) -> Verdict:
        """Take one fact in; the verdict says what it did and which state the order has after it."""
        if fact.fault is not None:
            return refusal(Outcome.REJECTED, Reason(fact.fault))._replace(state=self.state_word)
        kind = fact.type
        if kind in PREPARATION and (blocked := self._blocked_by()):
            return refusal(Outcome.BLOCKED, blocked)._replace(state=self.state_word)
        if kind in _ABOUT_PARCELS and self._is_unknown_code(fact):
            return refusal(Outcome.PARKED, Reason.UNKNOWN_PARCEL)._replace(state=self.state_word)
        known = len(self.parcels)
        outcome, reason, warn, following, _, parcel = HANDLERS[kind](self, fact)
        if outcome is Outcome.NOOP and len(self.parcels) > known:
            outcome = Outcome.APPLIED  # it moved nothing, and told of a parcel all the same
        if outcome is Outcome.APPLIED:
            if kind != DECIDED:
                self.last = (kind, fact.event_ms)
            self._derive(fact)
        if fact.misload and outcome in (Outcome.APPLIED, Outcome.NOOP) and Warn.MISLOAD not in warn:
            warn = (*warn, Warn.MISLOAD)
        return Verdict(outcome, reason, warn, following, _PARTIALLY[self.state] if self.partial else self.state, parcel)

    def _blocked_by(self) -> Reason | None:
        if self.cancelled:
            return Reason.CANCELLED
        if self.holds:
            return Reason.HELD
        return Reason.NEEDS_CONFIRM if Flag.NEEDS_CONFIRM in self.flags else None

    # --- the state, from its parcels --------------------------------------------------------------------------------------

    def _derive(self, fact: Fact) -> None:
        state, partial, reached = self._derived()
        if state is not self.state or partial is not self.partial or not self.changed_ms:
            self.changed_ms = fact.event_ms
        self.state = state
        self.partial = partial
        if reached not in self.milestones:
            self._reach(reached, fact)

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
        if not self._all_packed and rank >= _PACKED_RANK:
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

    def _reach(self, state: OrderState, fact: Fact) -> None:
        self.milestones[state] = (fact.event_ms, False)
        on_delivery = self.created is not None and self.created.payment == "on_delivery"
        for implied in ORDER_IMPLIED.get(state, ()):
            if implied in self.milestones or (on_delivery and implied is OrderState.PAID):
                continue
            if implied is OrderState.OUT_FOR_DELIVERY and all(p.collected for p in self.parcels.values() if p.state not in DEAD):
                continue
            self.milestones[implied] = (fact.event_ms, True)

    def _count_packed(self) -> None:
        """Whether the parcels hold every line. A parcel packed without a list holds what no other does; after a cancellation nothing more is owed."""
        if self.cancelled:
            self._all_packed = True
            return
        have: dict[str, int] = {}
        for parcel in self.parcels.values():
            if not parcel.is_packed:
                continue
            if parcel.items is None:
                self._all_packed = True
                return
            for sku, qty in parcel.items.items():
                have[sku] = have.get(sku, 0) + qty
        self._all_packed = all(have.get(sku, 0) >= qty for sku, qty in self.lines.items())

    def percent(self) -> int:
        """How far the order is, 0 to 100, as the mean of its live parcels."""
        live = [PERCENT[SHOWN_AS[p.state]] for p in self.parcels.values() if p.state not in DEAD]
        if not live:
            return PERCENT[self.state]
        mean = sum(live) // len(live)
        return mean if self._all_packed else min(mean, PERCENT[OrderState.PACKED] - 1)

    def left_to_pick(self) -> list[tuple[str, int]]:
        """(sku, qty) of what is not yet picked or packed."""
        done: dict[str, int] = dict(self.picked)
        packed: dict[str, int] = {}
        for parcel in self.parcels.values():
            if not parcel.is_packed or parcel.state is ParcelState.CANCELLED:
                continue
            if parcel.items is None:
                return []
            for sku, qty in parcel.items.items():
                packed[sku] = packed.get(sku, 0) + qty
        return [(sku, qty - max(done.get(sku, 0), packed.get(sku, 0))) for sku, qty in self.lines.items() if max(done.get(sku, 0), packed.get(sku, 0)) < qty]

    # --- which parcels a fact is about ------------------------------------------------------------------------------------

    def _by_code(self, code: str | None) -> Parcel | None:
        if code is None:
            return None
        return next((p for p in self.parcels.values() if p.code == code), None)

    def _named(self, fact: Fact) -> tuple[Parcel | None, bool]:
        """(the parcel that a fact names, whether its scan contradicts the name). What was scanned is the truth."""
        scanned = self._by_code(fact.code)
        if scanned is not None:
            return scanned, not self._may_be_called(scanned, fact.parcel)
        return self._called(fact.parcel), False

    def _called(self, name: str | None) -> Parcel | None:
        """The parcel of this id, or the one that was shown under it until an earlier pack of the same parcel came in."""
        return (self.parcels.get(name) or self._told_as.get(name)) if name is not None else None

    def _may_be_called(self, parcel: Parcel, name: str | None) -> bool:
        if name is None:
            return True
        called = self._called(name)
        return called is parcel or (called is None and name == unseen_parcel_id(self.id))

    def _add(self, parcel_id: str, at_ms: int) -> Parcel:
        parcel = self.parcels[parcel_id] = Parcel(parcel_id, at_ms)
        if self.cancelled:
            parcel.state = ParcelState.CANCELLED  # only what takes it out of the house opens it again
        return parcel

    def _targets(self, fact: Fact) -> tuple[list[Parcel], bool]:
        """(the parcels that a fact is about, whether the scan contradicts the name).

        Without a name it is about every live parcel; where none is known yet and it was moved, one is there all the same.
        """
        parcel, contradicts = self._named(fact)
        if parcel is not None:
            return [parcel], contradicts
        if fact.parcel is not None and fact.parcel != unseen_parcel_id(self.id):
            return [self._add(fact.parcel, fact.event_ms)], False
        # Whoever names the unseen parcel after all was told of it before the pack came in: it means what there is.
        if not self.parcels:
            return ([self._add(unseen_parcel_id(self.id), fact.event_ms)] if fact.type in _MOVES_PARCELS else []), False
        live = [p for p in self.parcels.values() if p.state not in DEAD]
        return live or list(self.parcels.values()), False

    def _is_unknown_code(self, fact: Fact) -> bool:
        """Whether a code was scanned that no parcel of the order bears, and that none can bear unseen: it must not move the others."""
        if fact.code is None or fact.parcel is not None or not self.parcels or self._by_code(fact.code) is not None:
            return False
        return len(self.parcels) > 1 or all(p.code is not None for p in self.parcels.values())

    # --- moving -----------------------------------------------------------------------------------------------------------

    def _move(self, parcels: Iterable[Parcel], step: str, fact: Fact, where: str | None) -> bool:
        """Move parcels by the table; True where anything about them changed."""
        changed = False
        for parcel in parcels:
            to = PARCEL_TABLE.get((parcel.state, step))
            if to is not None:
                parcel.enter(to, fact.event_ms, step)
                parcel.flags.discard(Flag.LOST)
                changed = True
            elif step in MOVES and self._was_seen(parcel, MOVES[step].to, fact.event_ms):
                changed = True
            if where is not None and parcel.where != where and parcel.state not in (ParcelState.DELIVERED, ParcelState.DESTROYED):
                parcel.where = where
                changed = True
        return changed

    def _was_seen(self, parcel: Parcel, state: ParcelState, at_ms: int) -> bool:
        """A scan that proves a milestone which was only inferred, at the same moment: told behind the one that it was inferred from."""
        if parcel.milestones.get(state) != (at_ms, True):
            return False
        parcel.milestones[state] = (at_ms, False)
        shown = SHOWN_AS.get(state)
        if shown is not None and self.milestones.get(shown) == (at_ms, True):
            self.milestones[shown] = (at_ms, False)
        return True

    def _verdict(self, fact: Fact, changed: bool, parcels: list[Parcel], warn: tuple[Warn, ...] = ()) -> Verdict:
        """`applied` or `noop`; a repeat of the same device's same scan within the debounce time is marked."""
        scan = (fact.device, fact.type, fact.code or fact.parcel)
        before = self._last_scan.get(scan)
        self._last_scan[scan] = fact.event_ms
        if not changed and before is not None and 0 <= fact.event_ms - before <= DEBOUNCE_MS:
            warn = (*warn, Warn.DOUBLE_SCAN)
        base = APPLIED if changed else NOOP
        return Verdict(base.outcome, warn=warn, parcel=parcels[0].id if len(parcels) == 1 else None)

    def moved(self, fact: Fact, step: str | None = None, where: str | None = None) -> Verdict:
        """The common way of every movement: find the parcels, move them, say what was odd."""
        parcels, contradicts = self._targets(fact)
        if contradicts and fact.type in PREPARATION:
            return refusal(Outcome.REJECTED, Reason.WRONG_PARCEL)
        warn: tuple[Warn, ...] = (Warn.MISLOAD,) if contradicts else ()
        before = self._all_packed
        changed = self._move(parcels, step or fact.type, fact, where or fact.at)
        if changed and fact.type in CUSTODY_FACTS:
            warn += self._odd_custody(fact, was_packed=before)
        self._count_packed()
        return self._verdict(fact, changed, parcels, warn)

    def _odd_custody(self, fact: Fact, *, was_packed: bool) -> tuple[Warn, ...]:
        """A hold or a cancellation does not undo what happened: it is applied, flagged and answered with `stop`."""
        warn: tuple[Warn, ...] = ()
        if self.holds or Flag.NEEDS_CONFIRM in self.flags:
            self.flags.add(Flag.MOVED_ON_HOLD)
            warn += (Warn.MOVED_ON_HOLD,)
        if self.cancelled:
            self.flags.add(Flag.CANCEL_REQUESTED)
            warn += (Warn.MOVED_AFTER_CANCEL,)
        if fact.type == E.LOAD and not was_packed and self.created is not None and not self.created.allow_partial:
            warn += (Warn.INCOMPLETE,)
        return warn


Handler = Callable[[Order, Fact], Verdict]


# --- orders ---------------------------------------------------------------------------------------------------------------


def _created(order: Order, fact: Fact) -> Verdict:
    if order.created is not None:
        return NOOP
    body: bodies.Created = _as(fact.body)
    order.created = body
    order.lines = _quantities(body.lines)
    return APPLIED


def _paid(order: Order, fact: Fact) -> Verdict:
    return _once(order, "paid", OrderState.PAID, fact)


def _approved(order: Order, fact: Fact) -> Verdict:
    confirmed = Flag.NEEDS_CONFIRM in order.flags
    order.flags.discard(Flag.NEEDS_CONFIRM)
    _calm(order)
    verdict = _once(order, "approved", OrderState.APPROVED, fact)
    return APPLIED if confirmed else verdict


def _once(order: Order, name: str, milestone: OrderState, fact: Fact) -> Verdict:
    """A fact that is true once and for all; it replaces a milestone that was only inferred."""
    known = order.milestones.get(milestone)
    if getattr(order, name) and known is not None and not known[1]:
        return NOOP
    setattr(order, name, True)
    if known is None:
        order._reach(milestone, fact)
    elif known[1]:
        order.milestones[milestone] = (fact.event_ms, False)
    return APPLIED


def _completed(order: Order, fact: Fact) -> Verdict:
    if order.completed:
        return NOOP
    order.completed = True
    return APPLIED if order.state is OrderState.DELIVERED and not order.partial else Verdict(Outcome.APPLIED, warn=(Warn.NOT_DELIVERED,))


def _amended(order: Order, fact: Fact) -> Verdict:
    body: bodies.Amended = _as(fact.body)
    order.flags.add(Flag.AMENDED)
    if body.lines is not None:
        order.lines = _quantities(body.lines)
        if order.picked or order.parcels:
            order.flags.add(Flag.NEEDS_CONFIRM)
        order._count_packed()
    return APPLIED


def _held(order: Order, fact: Fact) -> Verdict:
    body: bodies.Because = _as(fact.body)
    if body.reason in order.holds:
        return NOOP
    order.holds.add(body.reason)
    order.flags.add(Flag.HELD)
    return APPLIED


def _released(order: Order, fact: Fact) -> Verdict:
    body: bodies.Because = _as(fact.body)
    if body.reason not in order.holds:
        return NOOP
    order.holds.discard(body.reason)
    if not order.holds:
        order.flags.discard(Flag.HELD)
    _calm(order)
    return APPLIED


def _calm(order: Order) -> None:
    """Once nothing forbids moving the order any more, it is no matter that it moved."""
    if not order.holds and Flag.NEEDS_CONFIRM not in order.flags:
        order.flags.discard(Flag.MOVED_ON_HOLD)


def _cancelled(order: Order, fact: Fact) -> Verdict:
    if order.cancelled:
        return NOOP
    order.cancelled = True
    order._move(order.parcels.values(), Step.CANCELLED_IN_HOUSE, fact, None)
    if any(p.state in IN_CUSTODY for p in order.parcels.values()):
        order.flags.add(Flag.CANCEL_REQUESTED)
    order._count_packed()
    return APPLIED


# --- warehouse ------------------------------------------------------------------------------------------------------------


def _pick(order: Order, fact: Fact) -> Verdict:
    body: bodies.Pick = _as(fact.body)
    if body.sku not in order.lines or not _same_article(fact.code, body.sku):
        return refusal(Outcome.REJECTED, Reason.WRONG_SKU)
    if fact.parcel is not None:
        parcels, contradicts = order._targets(fact)
        if contradicts:
            return refusal(Outcome.REJECTED, Reason.WRONG_PARCEL)
        order._move(parcels, E.PICK, fact, None)
    if body.short:
        order.flags.add(Flag.SHORT)
        return Verdict(Outcome.APPLIED, parcel=fact.parcel)
    order.picked[body.sku] = order.picked.get(body.sku, 0) + body.qty
    warn: tuple[Warn, ...] = (Warn.TOO_MANY,) if order.picked[body.sku] > order.lines[body.sku] else ()
    if not order.paid and order.created is not None and order.created.payment == "prepaid":
        warn += (Warn.NOT_PAID,)
    return Verdict(Outcome.APPLIED, warn=warn, parcel=fact.parcel)


def _same_article(code: str | None, sku: str) -> bool:
    """False only where both are article numbers made of digits (GTINs, at most 14 of them) and differ."""
    if code is None or len(code) > 14 or not (code.isdigit() and sku.isdigit()):
        return True
    return code.lstrip("0") == sku.lstrip("0")


def _pack(order: Order, fact: Fact) -> Verdict:
    body: bodies.Pack = _as(fact.body)
    parcel, contradicts = order._named(fact)
    if contradicts:
        return refusal(Outcome.REJECTED, Reason.WRONG_PARCEL)
    if parcel is None and fact.parcel is None:
        parcel = _the_one_being_packed(order, fact, body)
    others = len(order.parcels) - (1 if parcel is not None else 0)
    if body.items is None and others and (parcel is None or not parcel.is_packed):
        return refusal(Outcome.REJECTED, Reason.ITEMS_NEEDED)
    if parcel is None:
        parcel = order._add(fact.parcel or derived_parcel_id(fact.id), fact.event_ms)
    elif fact.parcel is None:
        # Had it come in before the pack that it repeats, then it named the parcel, and somebody may have been told so.
        order._told_as[derived_parcel_id(fact.id)] = parcel
    changed = order._move([parcel], E.PACK, fact, fact.at)
    if parcel.items is None and body.items is not None:
        # What is in a parcel is told once; only unpacking empties it for another list.
        parcel.items = _quantities(body.items)
        changed = True
    changed = parcel.was_packed(fact.event_ms) or changed
    parcel.is_told = True
    changed = _label(parcel, fact.code) or changed
    order._count_packed()
    return order._verdict(fact, changed, [parcel], _unordered(order, body))


def _the_one_being_packed(order: Order, fact: Fact, body: bodies.Pack) -> Parcel | None:
    """The parcel that an unnamed pack is about: the only one there is, unless its label or its list says that this is another."""
    if len(order.parcels) != 1:
        return None
    (only,) = order.parcels.values()
    if fact.code is not None and only.code is not None and fact.code != only.code:
        return None
    return only if body.items is None or not only.is_told or only.items == _quantities(body.items) else None


def _unordered(order: Order, body: bodies.Pack) -> tuple[Warn, ...]:
    return (Warn.NOT_ORDERED,) if body.items is not None and any(i.sku not in order.lines for i in body.items) else ()


def _labelled(order: Order, fact: Fact) -> Verdict:
    known = order._by_code(fact.code)
    if fact.parcel is not None:
        if known is not None and not order._may_be_called(known, fact.parcel):
            return refusal(Outcome.REJECTED, Reason.CODE_TAKEN)
        parcel = known or order._called(fact.parcel) or order._add(fact.parcel, fact.event_ms)
    elif known is not None:
        parcel = known
    elif len(order.parcels) == 1:
        (parcel,) = order.parcels.values()
    else:
        return refusal(Outcome.REJECTED, Reason.PARCEL_NEEDED)
    return order._verdict(fact, _label(parcel, fact.code), [parcel])


def _label(parcel: Parcel, code: str | None) -> bool:
    if code is None or parcel.code == code:
        return False
    parcel.code = code
    return True


# --- movements with more to say than where they lead ----------------------------------------------------------------------


def _customs_entered(order: Order, fact: Fact) -> Verdict:
    body: bodies.CustomsEntered = _as(fact.body)
    verdict = order.moved(fact)
    for parcel in order._targets(fact)[0]:
        parcel.customs_direction = body.direction
    return verdict


def _customs_held(order: Order, fact: Fact) -> Verdict:
    parcels = order._targets(fact)[0]
    return _flagged(order, parcels, Flag.CUSTOMS_HOLD, order.moved(fact))


def _customs_cleared(order: Order, fact: Fact) -> Verdict:
    body: bodies.AtBorder = _as(fact.body)
    parcels = order._targets(fact)[0]
    destination = order.created.dest_country if order.created is not None else None
    arrived = body.country == destination if destination is not None else all(p.customs_direction == "import" for p in parcels)
    unflagged = any(Flag.CUSTOMS_HOLD in p.flags for p in parcels)
    for parcel in parcels:
        parcel.flags.discard(Flag.CUSTOMS_HOLD)
    verdict = order.moved(fact, Step.CLEARED_AT_DESTINATION if arrived else Step.CLEARED_ON_THE_WAY)
    return verdict._replace(outcome=Outcome.APPLIED) if unflagged else verdict


def _border_entered(order: Order, fact: Fact) -> Verdict:
    """A milestone without rank: only where the parcel is changes."""
    body: bodies.AtBorder = _as(fact.body)
    verdict = order.moved(fact, where=body.country)
    passed = [p for p in order._targets(fact)[0] if Waypoint.BORDER_ENTERED not in p.milestones]
    for parcel in passed:
        parcel.milestones[Waypoint.BORDER_ENTERED] = (fact.event_ms, False)
    return verdict._replace(outcome=Outcome.APPLIED) if passed else verdict


def _attempt_failed(order: Order, fact: Fact) -> Verdict:
    verdict = order.moved(fact)
    if verdict.outcome is Outcome.APPLIED:
        for parcel in order._targets(fact)[0]:
            parcel.attempts += parcel.state is ParcelState.ATTEMPT_FAILED
    return verdict


def _available(order: Order, fact: Fact) -> Verdict:
    body: bodies.AvailableForPickup = _as(fact.body)
    verdict = order.moved(fact, where=body.point)
    for parcel in order._targets(fact)[0]:
        parcel.collected = parcel.collected or parcel.state is ParcelState.AVAILABLE_FOR_PICKUP
    return verdict


def _delivery(order: Order, fact: Fact) -> Verdict:
    body: bodies.Delivery = _as(fact.body)
    parcels = order._targets(fact)[0]
    news = False
    for parcel in parcels:
        if fact.role == Role.SCANNER and parcel.state is not ParcelState.DELIVERED:
            parcel.collected = True  # handed over at a counter
        if Flag.CUSTOMS_HOLD in parcel.flags:
            parcel.flags.discard(Flag.CUSTOMS_HOLD)
            news = True
    verdict = order.moved(fact)
    if body.collected is not None and not order.paid:
        order.paid = news = True
        order.milestones[OrderState.PAID] = (fact.event_ms, False)
    return verdict._replace(outcome=Outcome.APPLIED) if news else verdict


def _damaged(order: Order, fact: Fact) -> Verdict:
    body: bodies.Damaged = _as(fact.body)
    parcels = order._targets(fact)[0]  # before the move: where nothing is left of any, those that were gone already are not meant
    verdict = order.moved(fact, Step.DAMAGED_BEYOND_USE) if body.severity == "total" else order.moved(fact)
    return _flagged(order, parcels, Flag.DAMAGED, verdict)


def _flagged(order: Order, parcels: list[Parcel], flag: Flag, verdict: Verdict) -> Verdict:
    fresh = not parcels and flag not in order.flags
    if not parcels:
        order.flags.add(flag)
    for parcel in parcels:
        fresh = fresh or flag not in parcel.flags
        parcel.flags.add(flag)
    return verdict._replace(outcome=Outcome.APPLIED) if fresh else verdict


def _lost(order: Order, fact: Fact) -> Verdict:
    parcels, _ = order._targets(fact)
    for parcel in parcels:
        if parcel.state is not ParcelState.LOST:
            parcel.before_lost = parcel.state
    verdict = order.moved(fact)
    for parcel in parcels:
        if parcel.state is ParcelState.LOST:
            parcel.flags.add(Flag.LOST)
    return verdict


def _found(order: Order, fact: Fact) -> Verdict:
    named, _ = order._named(fact)
    anyone = fact.parcel is None and fact.code is None
    candidates = [named] if named is not None else list(order.parcels.values()) if anyone else []
    parcels = [p for p in candidates if p.state is ParcelState.LOST]
    for parcel in parcels:
        parcel.state = parcel.before_lost
        parcel.at_ms = fact.event_ms
        parcel.flags.discard(Flag.LOST)
    order._count_packed()
    return order._verdict(fact, bool(parcels), parcels)


# --- dispatch -------------------------------------------------------------------------------------------------------------


def _assigned(order: Order, fact: Fact) -> Verdict:
    body: bodies.Assigned = _as(fact.body)
    held = (body.courier, body.job or derived_job_id(fact.id))
    if order.assigned == held:
        return NOOP
    order.assigned = held
    order.flags.discard(Flag.UNASSIGNED)
    return APPLIED


def _unassigned(order: Order, fact: Fact) -> Verdict:
    body: bodies.Unassigned = _as(fact.body)
    if order.assigned is None or order.assigned[1] != body.job:
        return NOOP
    _nobody_has_it(order)
    return APPLIED


def _decided(order: Order, fact: Fact) -> Verdict:
    """What the bridge decided about a courier's answer; see `domain.jobs`. A refusal leaves the order without a courier."""
    body: Decided = _as(fact.body)
    if body.answer == E.CLAIM or body.outcome is not Outcome.APPLIED or order.assigned is None or order.assigned[1] != body.job:
        return NOOP
    _nobody_has_it(order)
    return APPLIED


def _nobody_has_it(order: Order) -> None:
    order.assigned = None
    order.flags.add(Flag.UNASSIGNED)


def _answered(order: Order, fact: Fact) -> Verdict:
    """A claim or a refusal takes the verdict that was decided once, when it arrived."""
    outcome, reason = order.decisions.get(fact.uid, (Outcome.REJECTED, Reason.UNKNOWN_JOB))
    if outcome is Outcome.NOOP:
        return NOOP
    return APPLIED if outcome is Outcome.APPLIED else refusal(outcome, reason or Reason.UNKNOWN_JOB)


def _where(field: str | None = None) -> Handler:
    """The handler of a movement whose body names a place in `field`."""

    def handler(order: Order, fact: Fact) -> Verdict:
        return order.moved(fact, where=getattr(fact.body, field) if field else None)

    return handler


def _nothing(order: Order, fact: Fact) -> Verdict:
    return APPLIED


HANDLERS: Final[dict[str, Handler]] = {
    E.CREATED: _created,
    E.PAID: _paid,
    E.APPROVED: _approved,
    E.AMENDED: _amended,
    E.HELD: _held,
    E.RELEASED: _released,
    E.CANCELLED: _cancelled,
    E.COMPLETED: _completed,
    E.SHIFT_STARTED: _nothing,
    E.SHIFT_ENDED: _nothing,
    E.PICK: _pick,
    E.PACK: _pack,
    E.UNPACK: _where(),
    E.LABELLED: _labelled,
    E.STAGE: _where("dock"),
    E.LOAD: _where(),
    E.UNLOAD: _where(),
    E.DEPART: _where("hub"),
    E.ARRIVE: _where("hub"),
    E.CUSTOMS_ENTERED: _customs_entered,
    E.CUSTOMS_HELD: _customs_held,
    E.CUSTOMS_CLEARED: _customs_cleared,
    E.BORDER_ENTERED: _border_entered,
    E.ASSIGNED: _assigned,
    E.UNASSIGNED: _unassigned,
    E.CLAIM: _answered,
    E.DECLINE: _answered,
    E.PICKUP: _where(),
    E.OUT_FOR_DELIVERY: _where(),
    E.STOP_ARRIVED: _where("stop"),
    E.ATTEMPT_FAILED: _attempt_failed,
    E.AVAILABLE_FOR_PICKUP: _available,
    E.DELIVERY: _delivery,
    E.REFUSED: _where(),
    E.RETURN_STARTED: _where(),
    E.RETURNED: _where("dock"),
    E.DAMAGED: _damaged,
    E.LOST: _lost,
    E.FOUND: _found,
    E.DESTROYED: _where(),
    DECIDED: _decided,
}
"""How each event type is told. `void` is not here: it removes its fact before anything is told."""


def _quantities(lines: Iterable[bodies.Line]) -> dict[str, int]:
    total: dict[str, int] = {}
    for line in lines:
        total[line.sku] = total.get(line.sku, 0) + line.qty
    return total


def _as(body: object) -> Any:
    """The body as its handler's type: `decode_event` has already checked it against the event type."""
    return body
