"""What an order must look like, worked out from the contract a second time: a plain reading of its stored events, with no line in common with the bridge.

`read_order` sorts the events as "Time and order" says and walks through them once. It knows states and those flags that do not depend on time,
and for each event whether it was taken (applied, late and noop are one answer here), parked, blocked or refused.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

Uid = tuple[str, bytes]
"""(device, id): an event's identity within a site."""


class Happened(NamedTuple):
    """A stored event of one order, its body plain."""

    device: str
    role: str
    type: str
    log: bytes
    seq: int
    id: bytes
    event_ms: int
    received_ms: int
    body: Mapping[str, Any]
    parcel: str | None = None
    code: str | None = None
    at: str | None = None
    fault: str | None = None

    @property
    def uid(self) -> Uid:
        return (self.device, self.id)


class Answer(NamedTuple):
    """What the device must be told: `taken` stands for applied, late and noop; `moved` says that states or flags changed, so that noop would be wrong."""

    outcome: str
    reason: str | None = None
    moved: bool = False


class Expected(NamedTuple):
    """An order as the contract wants it. `parcels` gives state and flags by parcel id; without a creation nothing is shown.

    `perhaps` are flags on which the contract is silent: two scans of the same millisecond, of which the second told nothing new but its own step.
    """

    exists: bool
    state: str
    flags: frozenset[str]
    perhaps: frozenset[str]
    parcels: dict[str, tuple[str, frozenset[str]]]
    answers: dict[Uid, Answer]


def read_order(order: str, events: Iterable[Happened]) -> Expected:
    """The order that these events tell of, whatever order they are given in."""
    events = list(events)
    answers, gone = _voids(events)
    told = _in_order([e for e in events if e.type != "void" and e.uid not in gone])
    if not any(e.type == "created" and e.fault is None for e in told):
        waiting = {e.uid: Answer("rejected", e.fault) if e.fault else Answer("parked", "unknown_order") for e in told}
        return Expected(False, "", frozenset(), frozenset(), {}, answers | waiting)
    reading = _Reading(order, told)
    answers |= reading.answers
    parcels = {b.id: (b.state, b.flags()) for b in reading.boxes.values()}
    return Expected(True, reading.state(), reading.flags(), frozenset(reading.perhaps), parcels, answers)


# --- voids and the order of events ---------------------------------------------------------------------------------------------


def _voids(events: Sequence[Happened]) -> tuple[dict[Uid, Answer], set[Uid]]:
    """`void` {ref}: own events, or desk and system; removes `ref` before sorting; cannot itself be voided."""
    answers: dict[Uid, Answer] = {}
    gone: set[Uid] = set()
    for void in (e for e in events if e.type == "void"):
        if void.fault:
            answers[void.uid] = Answer("rejected", void.fault)
            continue
        meant = [e for e in events if e.id == void.body["ref"] and e.type != "decided"]
        theirs = [e for e in meant if e.device == void.device or void.role in ("desk", "system")]
        if not meant:
            answers[void.uid] = Answer("parked", "unknown_reference")
        elif any(e.type == "void" for e in meant):
            answers[void.uid] = Answer("rejected", "void_of_void")
        elif not theirs:
            answers[void.uid] = Answer("rejected", "not_yours")
        else:
            answers[void.uid] = Answer("taken")
            gone |= {e.uid for e in theirs}
    return answers | {uid: Answer("rejected", "voided") for uid in gone}, gone


def _in_order(events: Sequence[Happened]) -> list[Happened]:
    """Sort key (order_ms, device, log, seq, id); the creation is told first."""
    latest: dict[Uid, int] = {}
    highest: dict[tuple[str, bytes], int] = {}
    for e in sorted(events, key=lambda e: e.seq):
        ms = e.event_ms
        if e.role in ("scanner", "courier"):
            ms = highest[(e.device, e.log)] = max(ms, highest.get((e.device, e.log), 0))
        latest[e.uid] = ms
    return sorted(events, key=lambda e: (e.type != "created", latest[e.uid], e.device, e.log, e.seq, e.id))


# --- one parcel ----------------------------------------------------------------------------------------------------------------

RANK: Final = {
    "planned": 0,
    "picking": 10,
    "packed": 20,
    "staged": 30,
    "shipped": 40,
    "in_transit": 50,
    "customs": 60,
    "entered": 70,
    "attempt_failed": 75,
    "out_for_delivery": 80,
    "available_for_pickup": 90,
    "delivered": 100,
}
"""How far a parcel is. A failed attempt is followed by another one or by the hub; who waits at a point was out for delivery."""

DEAD: Final = frozenset({"returned", "lost", "destroyed", "cancelled"})
IN_HOUSE: Final = frozenset({"planned", "picking", "packed", "staged"})
PREPARATION: Final = frozenset({"pick", "pack", "stage"})
CUSTODY: Final = frozenset({"load", "depart", "pickup", "out_for_delivery", "delivery"})

UNDERWAY: Final = frozenset(RANK) - {"delivered"}
REOPENED: Final = frozenset({"returned", "lost", "cancelled"})
"""What custody opens again: the parcel is where it was scanned."""


class Way(NamedTuple):
    """A step: to a state, from everything behind it by rank, and from these states beside or beyond it."""

    to: str
    also: frozenset[str] = frozenset()
    ahead: bool = True


WAYS: Final[dict[str, Way]] = {
    "pick": Way("picking"),
    "pack": Way("packed"),
    "unpack": Way("picking", frozenset({"packed", "staged"})),
    "stage": Way("staged"),
    "load": Way("shipped", REOPENED),
    "unload": Way("staged", frozenset({"shipped"})),
    "depart": Way("in_transit", REOPENED),
    "arrive": Way("in_transit", frozenset({"out_for_delivery", "attempt_failed"})),
    "customs_entered": Way("customs", frozenset({"entered"})),
    "customs_held": Way("customs"),
    "cleared_at_destination": Way("entered"),
    "cleared_on_the_way": Way("in_transit", frozenset({"customs"})),
    "pickup": Way("shipped", REOPENED),
    "out_for_delivery": Way("out_for_delivery", REOPENED),
    "attempt_failed": Way("attempt_failed", UNDERWAY, ahead=False),
    "available_for_pickup": Way("available_for_pickup"),
    "delivery": Way("delivered", REOPENED | {"returning"}),
    "refused": Way("returning", UNDERWAY, ahead=False),
    "return_started": Way("returning", frozenset(RANK), ahead=False),
    "returned": Way("returned", frozenset(RANK) | {"returning"}, ahead=False),
    "damaged_totally": Way("destroyed", UNDERWAY | {"returning"}, ahead=False),
    "destroyed": Way("destroyed", UNDERWAY | {"returning", "returned", "lost"}, ahead=False),
    "lost": Way("lost", UNDERWAY | {"returning"}, ahead=False),
    "cancelled": Way("cancelled", IN_HOUSE, ahead=False),
}


def leads(step: str, state: str) -> str:
    """Where a step takes a parcel in a state; the state itself where it does not move it."""
    way = WAYS.get(step)
    if way is None:
        return state
    behind = way.ahead and state in RANK and RANK[state] < RANK[way.to]
    return way.to if behind or state in way.also else state


@dataclass(slots=True)
class _Box:
    """A parcel. `items` are its contents where a pack named them; `packed` says that it was packed, or moved, which proves it; `told` that a pack was told."""

    id: str
    state: str = "planned"
    code: str | None = None
    where: str | None = None
    items: dict[str, int] | None = None
    packed: bool = False
    told: bool = False
    damaged: bool = False
    customs_hold: bool = False
    direction: str = "import"
    moved_ms: int = -1
    before_lost: str = "planned"

    def flags(self) -> frozenset[str]:
        marks = (("damaged", self.damaged), ("customs_hold", self.customs_hold), ("lost", self.state == "lost"))
        return frozenset([flag for flag, there in marks if there])


# --- one order -----------------------------------------------------------------------------------------------------------------

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

PLACE: Final = {
    "stage": "dock",
    "depart": "hub",
    "arrive": "hub",
    "border_entered": "country",
    "stop_arrived": "stop",
    "available_for_pickup": "point",
    "returned": "dock",
}
"""The field of the body that says where a parcel is; else it is where the device is."""


OWN_FLAGS: Final = frozenset({"amended", "needs_confirm", "short", "damaged", "cancel_requested", "moved_on_hold", "unassigned"})
"""What an order is marked with itself; the rest comes from its parcels and holds. `damaged` only where no parcel is known."""


class _Refused(Exception):
    def __init__(self, outcome: str, reason: str) -> None:
        self.answer = Answer(outcome, reason)


@dataclass(slots=True)
class _Reading:
    """One walk through the events of an order that exists."""

    id: str
    told: Sequence[Happened]
    answers: dict[Uid, Answer] = field(default_factory=dict)
    boxes: dict[str, _Box] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    picked: dict[str, int] = field(default_factory=dict)
    holds: set[str] = field(default_factory=set)
    marks: set[str] = field(default_factory=set)
    """created, paid, approved, completed, cancelled; and the flags amended, needs_confirm, short, cancel_requested, moved_on_hold, unassigned."""
    perhaps: set[str] = field(default_factory=set)
    country: str | None = None
    job: str | None = None

    def __post_init__(self) -> None:
        decided = {(e.body["device"], e.body["ref"]): e.body for e in self.told if e.type == "decided"}
        seen = self._seen()
        for e in self.told:
            before = seen
            try:
                if e.fault:
                    raise _Refused("rejected", e.fault)
                READ[e.type](self, e)
                seen = self._seen()
                answer = Answer("taken", None, seen != before)
            except _Refused as refused:
                answer = refused.answer
            if e.type in ("claim", "decline") and not e.fault:
                answer = _as_decided(decided.get(e.uid))
            self.answers[e.uid] = answer

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

    def _seen(self) -> tuple[object, ...]:
        """What noop must not change. That a cancelled order has a parcel after all is told by the first scan of it, and changes nothing else."""
        boxes = [(b.id, b.state, b.damaged, b.customs_hold) for b in self.boxes.values() if b.state != "cancelled"]
        return self.state(), self.marks & OWN_FLAGS, bool(self.holds), boxes

    # which parcels

    def _named(self, e: Happened) -> _Box | None:
        """The parcel that the event names by its id or by what was scanned; what was scanned is the truth."""
        by_code = next((b for b in self.boxes.values() if e.code is not None and b.code == e.code), None)
        named = self.boxes.get(e.parcel) or self.boxes.get(self.renamed.get(e.parcel, "")) if e.parcel is not None else None
        other = named is not None if e.parcel == self._unseen else e.parcel is not None
        if by_code is not None and other and named is not by_code and e.type in PREPARATION | {"labelled"}:
            raise _Refused("rejected", "code_taken" if e.type == "labelled" else "wrong_parcel")
        if by_code is not None:
            return by_code
        return named

    def _new(self, e: Happened) -> _Box:
        """Named, or after its pack; a parcel that was moved before anybody told of its pack is named after its order."""
        unnamed = "p-" + e.id.hex() if e.type == "pack" else self._unseen
        box = _Box(e.parcel if e.parcel is not None else unnamed)
        if "cancelled" in self.marks:
            box.state = "cancelled"
        self.boxes[box.id] = box
        return box

    @property
    def _unseen(self) -> str:
        """The id of a parcel that was moved before anybody told of its pack. Later it stands for whatever there is."""
        return "p-" + hashlib.sha256(self.id.encode()).hexdigest()[:32]

    def _touched(self, e: Happened, *, makes: bool = True) -> list[_Box]:
        """The parcels that a step is about: the one that is named, else all that live, else all; where there is none yet, a new one."""
        box = self._named(e)
        if box is not None:
            return [box]
        if e.parcel is not None and e.parcel != self._unseen:
            return [self._new(e)]
        if e.code is not None and (len(self.boxes) > 1 or any(b.code is not None for b in self.boxes.values())):
            raise _Refused("parked", "unknown_parcel")
        live = [b for b in self.boxes.values() if b.state not in DEAD]
        return live or list(self.boxes.values()) or ([self._new(e)] if makes else [])

    # order

    def created(self, e: Happened) -> None:
        if "created" in self.marks:
            return
        self.marks.add("created")
        self.lines = _quantities(e.body["lines"])
        self.country = e.body.get("dest_country")

    def paid(self, _: Happened) -> None:
        self.marks.add("paid")

    def approved(self, _: Happened) -> None:
        self.marks.add("approved")
        self.marks.discard("needs_confirm")
        self._calm()

    def completed(self, _: Happened) -> None:
        self.marks.add("completed")

    def amended(self, e: Happened) -> None:
        self.marks.add("amended")
        if (lines := e.body.get("lines")) is not None:
            self.lines = _quantities(lines)
            if self.picked or self.boxes:
                self.marks.add("needs_confirm")

    def held(self, e: Happened) -> None:
        self.holds.add(e.body["reason"])

    def released(self, e: Happened) -> None:
        self.holds.discard(e.body["reason"])
        self._calm()

    def _calm(self) -> None:
        if not self.holds and "needs_confirm" not in self.marks:
            self.marks.discard("moved_on_hold")

    def cancelled(self, e: Happened) -> None:
        self.marks.add("cancelled")
        for box in self.boxes.values():
            box.state = leads("cancelled", box.state)
        if any(b.state not in DEAD for b in self.boxes.values()):
            self.marks.add("cancel_requested")

    # the warehouse

    def _allowed(self) -> None:
        if "cancelled" in self.marks:
            raise _Refused("blocked", "cancelled")
        if self.holds:
            raise _Refused("blocked", "held")
        if "needs_confirm" in self.marks:
            raise _Refused("blocked", "needs_confirm")

    def pick(self, e: Happened) -> None:
        self._allowed()
        sku = e.body["sku"]
        if sku not in self.lines or (_is_article(e.code) and _is_article(sku) and (e.code or "").lstrip("0") != sku.lstrip("0")):
            raise _Refused("rejected", "wrong_sku")
        if e.parcel is not None:
            box = self._named(e) or self._new(e)
            box.state = leads("pick", box.state)
        if e.body.get("short"):
            self.marks.add("short")  # what was not there was not picked
        else:
            self.picked[sku] = self.picked.get(sku, 0) + e.body["qty"]

    def pack(self, e: Happened) -> None:
        self._allowed()
        box = self._named(e)
        items = _quantities(e.body["items"]) if e.body.get("items") is not None else None
        if box is None and e.parcel is None:
            box = self._being_packed(e, items)
        others = len(self.boxes) - (box is not None)
        if items is None and others and (box is None or not box.packed):
            raise _Refused("rejected", "items_needed")
        box = box or self._new(e)
        if e.parcel is None:
            self.renamed.setdefault("p-" + e.id.hex(), box.id)
        after = leads("pack", box.state)
        if after != box.state or box.items is None:
            self._fill(box, items)
        box.state = after
        box.where = e.at or box.where
        box.code = e.code or box.code
        box.packed = box.told = True

    def _fill(self, box: _Box, items: dict[str, int] | None) -> None:
        box.items = items

    def _being_packed(self, e: Happened, items: dict[str, int] | None) -> _Box | None:
        """The parcel that a pack without a name is about: the only one, unless its label or its contents say that this is another."""
        if len(self.boxes) != 1:
            return None
        (only,) = self.boxes.values()
        if e.code is not None and only.code is not None and e.code != only.code:
            return None
        return only if items is None or not only.told or items == only.items else None

    def unpack(self, e: Happened) -> None:
        for box in self._touched(e):
            after = leads("unpack", box.state)
            if after != box.state:
                box.state, box.packed, box.told, box.items = after, False, False, None
            box.where = e.at or box.where

    def labelled(self, e: Happened) -> None:
        box = self._named(e)
        if box is None and e.parcel is None:
            if len(self.boxes) != 1:
                raise _Refused("rejected", "parcel_needed")
            (box,) = self.boxes.values()
        box = box or self._new(e)
        box.code = e.code or box.code

    def step(self, e: Happened) -> None:
        """Everything else that happens to a parcel on its way."""
        if e.type in PREPARATION:
            self._allowed()
        boxes = self._touched(e, makes=e.type in WAYS or e.type == "customs_cleared")
        if e.type == "damaged" and not boxes:
            self.marks.add("damaged")
        home = False
        if e.type == "customs_cleared":
            home = e.body["country"] == self.country if self.country else all(b.direction == "import" for b in boxes)
        for box in boxes:
            self._step(e, box, home=home)
        if e.type == "delivery" and e.body.get("collected"):
            self.marks.add("paid")

    def _step(self, e: Happened, box: _Box, *, home: bool) -> None:
        name, before, was_at = e.type, box.state, box.where
        if name == "customs_cleared":
            name = "cleared_at_destination" if home else "cleared_on_the_way"
        elif name == "customs_entered":
            box.direction = e.body["direction"]
        elif name == "damaged":
            box.damaged = True
            name = "damaged_totally" if e.body["severity"] == "total" else name
        box.customs_hold = name == "customs_held" or (box.customs_hold and e.type not in ("customs_cleared", "delivery"))
        box.state = leads(name, before)
        if box.state == "lost" and before != "lost":
            box.before_lost = before
        if RANK.get(box.state, 0) > RANK["packed"] or (name == "refused" and box.state != before):
            box.packed = True  # only what was brought can be refused
        if box.state not in ("delivered", "destroyed"):
            box.where = e.body.get(PLACE.get(e.type, "")) or e.at or box.where
        if e.type in CUSTODY:
            self._moved(e, box, is_news=(box.state, box.where) != (before, was_at))

    def found(self, e: Happened) -> None:
        """Who finds a parcel finds the one that is named; without a name, all that are lost."""
        box = self._named(e)
        anyone = e.parcel is None and e.code is None
        if box is None and e.parcel is None:
            self._touched(e, makes=False)
        for found in [box] if box is not None else self.boxes.values() if anyone else ():
            if found.state == "lost":
                found.state = found.before_lost

    def _moved(self, e: Happened, box: _Box, *, is_news: bool) -> None:
        """A hold or a cancellation does not undo what happened."""
        odd = set()
        if self.holds or "needs_confirm" in self.marks:
            odd.add("moved_on_hold")
        if "cancelled" in self.marks:
            odd.add("cancel_requested")
        if is_news:
            self.marks |= odd
        elif box.moved_ms == e.event_ms:
            self.perhaps |= odd
        box.moved_ms = e.event_ms

    # dispatch

    def assigned(self, e: Happened) -> None:
        self.job = e.body.get("job") or "j-" + e.id.hex()
        self.marks.discard("unassigned")

    def unassigned(self, e: Happened) -> None:
        self._given_back(e.body["job"])

    def decided(self, e: Happened) -> None:
        if e.body["answer"] != "claim" and e.body["outcome"] == "applied":
            self._given_back(e.body["job"])

    def _given_back(self, job: str) -> None:
        if self.job == job:
            self.job = None
            self.marks.add("unassigned")

    def nothing(self, e: Happened) -> None:
        """Claims and refusals count as they were decided."""


def _is_article(code: str | None) -> bool:
    """An article number: a GTIN has at most 14 digits."""
    return code is not None and len(code) <= 14 and code.isdigit()


def _as_decided(decision: Mapping[str, Any] | None) -> Answer:
    if decision is None:
        return Answer("unknown")
    outcome = decision["outcome"]
    return Answer("taken" if outcome in ("applied", "noop") else outcome, decision["reason"])


def _quantities(lines: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for line in lines:
        total[line["sku"]] = total.get(line["sku"], 0) + line["qty"]
    return total


_OWN: Final = ("created", "paid", "approved", "completed", "amended", "held", "released", "cancelled", "pick", "pack", "unpack", "labelled")
_STEPS: Final = (
    *("stage", "load", "unload", "depart", "arrive", "customs_entered", "customs_held", "customs_cleared", "border_entered", "pickup", "out_for_delivery"),
    *("stop_arrived", "attempt_failed", "available_for_pickup", "delivery", "refused", "return_started", "returned", "damaged", "lost", "destroyed"),
)
READ: Final[dict[str, Callable[[_Reading, Happened], None]]] = {
    **{name: getattr(_Reading, name) for name in (*_OWN, "found", "assigned", "unassigned", "decided")},
    **dict.fromkeys(_STEPS, _Reading.step),
    **dict.fromkeys(("claim", "decline", "shift_started", "shift_ended"), _Reading.nothing),
}
"""What each event type does to an order. A test proves that no type is missing."""
