"""One order while its events are read: what is known of it, which parcels an event is about, and what it shows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

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

OWN_FLAGS: Final = frozenset({"amended", "needs_confirm", "short", "damaged", "cancel_requested", "moved_on_hold", "unassigned"})
"""What an order is marked with itself; the rest comes from its parcels and holds. `damaged` only if no parcel is known."""


@dataclass(slots=True)
class Order:
    """An order, as far as its events are read."""

    id: str
    boxes: dict[str, Box] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    picked: dict[str, int] = field(default_factory=dict)
    holds: set[str] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)
    """created, paid, approved, completed, cancelled; and the flags amended, needs_confirm, short, cancel_requested, moved_on_hold, unassigned."""
    perhaps: set[str] = field(default_factory=set)
    country: str | None = None
    job: str | None = None

    # what it comes to

    def flags(self) -> frozenset[str]:
        of_boxes = {f for b in self.boxes.values() for f in b.flags()}
        return frozenset(of_boxes | (self.marks & OWN_FLAGS) | ({"held"} if self.holds else set()))

    def state(self) -> str:
        states = [b.state for b in self.boxes.values()]
        live = {SHOWN[s] for s in states if s not in DEAD}
        if not states:
            return next((w for w in ("cancelled", "picking", "approved", "paid") if w in self.marks or (w == "picking" and self.picked)), "pending_payment")
        if not live:
            return "returned" if "returned" in states else "cancelled" if set(states) == {"cancelled"} else "exception"
        least = min(live, key=ORDER_CHAIN.index)
        if least != "picking" and not self._all_packed():
            return "partially_packed"
        if len(live) > 1:
            return f"partially_{least}"
        return "completed" if least == "delivered" and "completed" in self.marks else least

    def _all_packed(self) -> bool:
        """Whether the parcels hold every line: one without a list holds what no other does; after a cancellation nothing more is owed."""
        if "cancelled" in self.marks:
            return True
        packed = [b for b in self.boxes.values() if b.packed]
        if any(b.items is None for b in packed):
            return True
        return all(sum((b.items or {}).get(sku, 0) for b in packed) >= qty for sku, qty in self.lines.items())

    def seen(self) -> tuple[object, ...]:
        """What noop must not change. That a cancelled order has a parcel after all is told by the first scan of it, and changes nothing else."""
        boxes = [(b.id, b.state, b.damaged, b.customs_hold) for b in self.boxes.values() if b.state != "cancelled"]
        return self.state(), self.marks & OWN_FLAGS, bool(self.holds), boxes

    # which parcels

    def named(self, e: Happened) -> Box | None:
        """The parcel that the event names by its id or by what was scanned; what was scanned is the truth."""
        by_code = next((b for b in self.boxes.values() if e.code is not None and b.code == e.code), None)
        named = self.boxes.get(e.parcel) or self.boxes.get(self.renamed.get(e.parcel, "")) if e.parcel is not None else None
        other = named is not None if e.parcel == self.unseen else e.parcel is not None
        if by_code is not None and other and named is not by_code and e.type in PREPARATION | {"labelled"}:
            raise Refused("rejected", "code_taken" if e.type == "labelled" else "wrong_parcel")
        if by_code is not None:
            return by_code
        return named

    def new(self, e: Happened) -> Box:
        """Named, or after its pack; a parcel that was moved before its pack was told is named after its order."""
        unnamed = "p-" + e.id.hex() if e.type == "pack" else self.unseen
        box = Box(e.parcel if e.parcel is not None else unnamed)
        if "cancelled" in self.marks:
            box.state = "cancelled"
        self.boxes[box.id] = box
        return box

    @property
    def unseen(self) -> str:
        """The id of a parcel that was moved before its pack was told. Later it stands for whatever there is."""
        return "p-" + hashlib.sha256(self.id.encode()).hexdigest()[:32]

    def touched(self, e: Happened, *, makes: bool = True) -> list[Box]:
        """The parcels that a step is about: the one that is named, else all that live, else all; if there is none yet, a new one."""
        box = self.named(e)
        if box is not None:
            return [box]
        if e.parcel is not None and e.parcel != self.unseen:
            return [self.new(e)]
        if e.code is not None and (len(self.boxes) > 1 or any(b.code is not None for b in self.boxes.values())):
            raise Refused("parked", "unknown_parcel")
        live = [b for b in self.boxes.values() if b.state not in DEAD]
        return live or list(self.boxes.values()) or ([self.new(e)] if makes else [])

    # what may be done

    def check_not_blocked(self) -> None:
        """A step of preparation waits for the shop."""
        if "cancelled" in self.marks:
            raise Refused("blocked", "cancelled")
        if self.holds:
            raise Refused("blocked", "held")
        if "needs_confirm" in self.marks:
            raise Refused("blocked", "needs_confirm")

    def calm(self) -> None:
        if not self.holds and "needs_confirm" not in self.marks:
            self.marks.discard("moved_on_hold")


def quantities(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for line in lines:
        total[line["sku"]] = total.get(line["sku"], 0) + line["qty"]
    return total
