"""One order while its events are read: what is known of it, which parcels an event is about, and what it shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from firmware_sim.checkers.model import goods
from firmware_sim.checkers.model.addressing import Addresses
from firmware_sim.checkers.model.events import Happened, Refused
from firmware_sim.checkers.model.parcel import DEAD, PREPARATION, Box

SHOWN: Final = {
    "planned": "picking",
    "picking": "picking",
    "packed": "packed",
    "staged": "packed",
    "shipped": "shipped",
    "in_transit": "shipped",
    "customs": "customs",
    "entered": "entered",
    "attempt_failed": "out_for_delivery",
    "out_for_delivery": "out_for_delivery",
    "available_for_pickup": "out_for_delivery",
    "delivered": "delivered",
    "returning": "returning",
}
"""A live parcel's state as an order shows it."""

ORDER_CHAIN: Final = ("picking", "packed", "shipped", "returning", "customs", "entered", "out_for_delivery", "delivered")
"""From the least advanced on. The contract has no word on where `returning` stands; who comes back is taken as just shipped."""

OWN_FLAGS: Final = frozenset({"amended", "needs_confirm", "short", "damaged", "unassigned", "not_paid"})
"""What an order is marked with itself; the rest comes from its parcels and holds. `damaged` only if no parcel is known."""


Job = tuple[str, str]
"""(courier, job)"""


class Money(Protocol):
    """What an order costs and what came in (`money.Purse`)."""

    is_enough: bool
    price: int | None
    currency: str | None

    def put(self, amount: int, currency: str, *, coins: bool = False) -> None: ...

    def give_back(self, amount: int, *, goods_stay: bool) -> None: ...


@dataclass(slots=True)
class Order:
    """An order, as far as its events are read. `cut` are the ids and codes of parcels that are cancelled while the order is not."""

    id: str
    purse: Money
    known: Addresses
    boxes: dict[str, Box] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    picked: dict[str, int] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)
    """What was not at its shelf."""
    holds: dict[str, str] = field(default_factory=dict)
    """reason → the device that set the hold"""
    marks: set[str] = field(default_factory=set)
    """created, approved, completed, cancelled; and the flags of `OWN_FLAGS`."""
    perhaps: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    country: str | None = None
    carrier: str | None = None
    carriers: dict[str, str] = field(default_factory=dict)
    """The carriers of single parcels that have their own, by id or code."""
    prepaid: bool = False
    terms: str | None = None
    job: Job | None = None
    jobs: dict[str, Job | None] = field(default_factory=dict)
    """The jobs of single parcels, by id or code; None if it was taken back."""

    # what it comes to

    def flags(self) -> frozenset[str]:
        of_boxes = {f for b in self.boxes.values() for f in b.flags()}
        return frozenset(of_boxes | (self.marks & OWN_FLAGS) | ({"held"} if self.holds else set()))

    def state(self) -> str:
        states = [b.state for b in self.boxes.values()]
        live = {SHOWN[s] for s in states if s not in DEAD}
        if not states:
            begun = (("cancelled", "cancelled" in self.marks), ("picking", self.picked), ("approved", "approved" in self.marks), ("paid", self.purse.is_enough))
            return next((word for word, is_so in begun if is_so), "pending_payment")
        if not live:
            return "returned" if "returned" in states else "cancelled" if set(states) == {"cancelled"} else "exception"
        least = min(live, key=ORDER_CHAIN.index)
        goes_as_it_is = "short" in self.marks and least != "packed"
        if least != "picking" and not goes_as_it_is and not self._all_packed():
            return "partially_packed"
        if len(live) > 1:
            return f"partially_{least}"
        return "completed" if least == "delivered" and "completed" in self.marks else least

    def _all_packed(self) -> bool:
        """Whether the parcels hold every line: one without a list holds what no other does; after a cancellation nothing more is owed."""
        if "cancelled" in self.marks:
            return True
        return all(g.is_packed for g in goods.count(self.lines, self.picked, self.boxes.values()).values())

    def count(self) -> None:
        """Mark the order as short as long as something is missing that was reported, or is gone with its parcel."""
        self.reported, is_short = goods.still_short(goods.count(self.lines, self.picked, self.boxes.values()), self.reported)
        (self.marks.add if is_short and "cancelled" not in self.marks else self.marks.discard)("short")

    def seen(self) -> tuple[object, ...]:
        """What noop must not change. That a cancelled order has a parcel after all is told by the first scan of it, and changes nothing else."""
        boxes = [(b.id, b.state, b.flags()) for b in self.boxes.values() if b.state != "cancelled"]
        return self.state(), self.marks & OWN_FLAGS, bool(self.holds), boxes

    # which parcels

    def named(self, e: Happened) -> Box | None:
        """The parcel that the event names by its id or by what was scanned; what was scanned is the truth."""
        scanned, called = self.known.bearer(self.known.label(e), e), self.known.called(e.parcel)
        means_any = called is None and e.parcel == self.known.unseen
        if scanned is not None:
            box = self.box(scanned.id)
            if e.type in PREPARATION and e.parcel is not None and called is not scanned and not means_any:
                raise Refused("rejected", "wrong_parcel")
            return box
        return None if e.parcel is None or means_any else self.box(called.id if called is not None else e.parcel)

    def seen_before(self, e: Happened) -> Box | None:
        """The parcel that the event names, if an event has told of it."""
        thing = self.known.bearer(self.known.label(e), e) or self.known.called(e.parcel)
        return self.boxes.get(thing.id if thing is not None else e.parcel or "")

    def meant(self, e: Happened) -> tuple[Box | None, str | None]:
        """What an instruction is about: (the parcel, its name), (None, the name of one that is still to come), or the whole order."""
        box = self.seen_before(e)
        if box is not None:
            return box, box.id
        return None, e.parcel or (e.code if e.code != self.id else None)

    def job_of(self, box: Box) -> Job | None:
        return next((self.jobs[name] for name in self.known.names(box.id) if name in self.jobs), self.job)

    def carrier_of(self, box: Box) -> str | None:
        return next((self.carriers[name] for name in self.known.names(box.id) if name in self.carriers), self.carrier)

    def is_off(self, box: Box) -> bool:
        """Whether it was cancelled, alone or with the order."""
        return "cancelled" in self.marks or not self.cut.isdisjoint(self.known.names(box.id))

    def box(self, name: str) -> Box:
        """The parcel of this id, from now on one of the order's."""
        if name not in self.boxes:
            self.boxes[name] = Box(name, "cancelled" if "cancelled" in self.marks else "planned")
        return self.boxes[name]

    def touched(self, e: Happened, *, makes: bool = True) -> list[Box]:
        """The parcels that a step is about: those in the container, the one that is named, else all that live, else all; if there is none yet, a new one."""
        if e.inside:
            bearers = {t.id for t in (self.known.bearer(code, e) for code in e.inside) if t is not None}
            if bearers:
                return [self.box(name) for name in sorted(bearers)]
        elif (box := self.named(e)) is not None:
            return [box]
        live = [b for b in self.boxes.values() if b.state not in DEAD]
        return live or list(self.boxes.values()) or ([self.box(self.known.first())] if makes else [])

    def check_clear(self, e: Happened) -> None:
        """A code that is on no parcel of the order means its only live one, and none if there are several."""
        if e.code is None or e.parcel is not None or e.inside or not self.boxes or e.code == self.id:
            return
        live = [b for b in self.boxes.values() if b.state not in DEAD]
        if len(live) != 1 and self.known.bearer(self.known.label(e), e) is None:
            raise Refused("parked", "unknown_parcel")

    # what may be done

    def check_not_cancelled(self, e: Happened) -> None:
        box, _ = self.meant(e)
        if "cancelled" in self.marks or (self.is_off(box) if box is not None else bool({e.parcel, e.code} & self.cut)):
            raise Refused("blocked", "cancelled")

    def check_not_blocked(self, e: Happened) -> None:
        """A step of preparation waits for the shop."""
        self.check_not_cancelled(e)
        if self.holds:
            raise Refused("blocked", "held")
        if "needs_confirm" in self.marks:
            raise Refused("blocked", "needs_confirm")

    def calm(self) -> None:
        if not self.holds and "needs_confirm" not in self.marks:
            for box in self.boxes.values():
                box.moved_on_hold = False

    def is_done(self) -> bool:
        return self.state() in ("delivered", "completed")

    def close(self) -> None:
        """Delivered and completed: what was odd on the way is over."""
        for box in self.boxes.values():
            box.wrong_hands = box.wrong_carrier = box.moved_on_hold = box.wanted_back = False


def quantities(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for line in lines:
        total[line["sku"]] = total.get(line["sku"], 0) + line["qty"]
    return total
