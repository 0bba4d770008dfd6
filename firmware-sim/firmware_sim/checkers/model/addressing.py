"""Which parcel of its order each event is about, decided from all events of the order before the first of them is read.

Packs and labels make parcels and put codes on them, whatever their verdicts. A parcel is called by the name that an event gives it; else after its first pack;
else after its code; else after its order. Whatever it was called on the way stays an address of it.

Read by index, not by time: the place of an event among those of its order. Only how far a scan looks ahead is a time. Scans of containers say which codes are
meant. What no scenario reaches is read in the same way, and was compared with nothing but random histories (`tests/simulation/test_model.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from firmware_sim.checkers.model.codes.history import LOOK_AHEAD_MS
from firmware_sim.checkers.model.codes.keys import is_article, key
from firmware_sim.checkers.model.codes.told import CUSTODY
from firmware_sim.checkers.model.events import Happened, Uid

BEFORE_ALL: Final = -1
"""The index of no event: nothing comes before it."""


@dataclass(slots=True, eq=False)
class Thing:
    """A parcel as the events together tell of it. `held`: the codes on it after the last event; `bore_code`: whether it ever had one by a pack or label."""

    id: str
    is_named: bool = False
    was_packed: bool = False
    is_packed: bool = False
    bore_code: bool = False
    items: dict[str, int] | None = None
    held: dict[str, None] = field(default_factory=dict)


class Turn(NamedTuple):
    """From the event at `place` on a code is on a thing, or on none; then `is_replaced` says that another label went over it."""

    place: int
    ms: int
    thing: Thing | None
    is_replaced: bool = False


class Addresses:
    """The parcels of an order, and what each event means.

    Args:
        order: the order's id.
        told: its events in their order, without those that were voided.
    """

    def __init__(self, order: str, told: Sequence[Happened]) -> None:
        self._order = order
        self._index: dict[Uid, int] = {e.uid: n for n, e in enumerate(told)}
        self._told = told
        self.unseen = after_order(order)
        self.things: list[Thing] = []
        self._of: dict[Uid, Thing | None] = {}
        self._once: dict[str, Thing] = {}
        self._turns: dict[str, list[Turn]] = {}
        self._loose: dict[str, list[Happened]] = {}
        self._fresh: set[Uid] = set()
        counted = [e for e in told if e.fault is None and e.refusal is None]
        self._articles = {e.code for e in counted if e.type == "labelled" and e.code is not None}
        self._packs = {after_pack(e): e for e in counted if e.type == "pack"}
        for e in counted:
            if e.type == "pack":
                self._pack(e)
            elif e.type == "labelled":
                self._label(e)
            elif e.type == "unpack":
                self._unpack(e)
            elif e.type in CUSTODY or (e.type == "pick" and e.parcel is not None):
                self._scan(e)
        self._match_what_is_loose(counted)

    # --- asking -----------------------------------------------------------------------------------------------------------

    def label(self, e: Happened) -> str | None:
        """What of an event's code can be a parcel's label: not the slip of the order, no container, no article unless somebody stuck it on a parcel."""
        if e.code is None or e.inside is not None or e.code == key_text(self._order):
            return None
        return None if is_article(key(e.code)) and (e.type == "pack" or e.code not in self._articles) else e.code

    def of(self, e: Happened) -> Thing | None:
        """The parcel that a pack or label is about."""
        return self._of.get(e.uid)

    def puts_code(self, e: Happened) -> bool:
        """Whether a pack or label brought its parcel a new code."""
        return e.uid in self._fresh

    def called(self, name: str | None) -> Thing | None:
        """The parcel that has this id, or once had it."""
        if name is None:
            return None
        return next((t for t in self.things if t.id == name), None) or self._once.get(name)

    def bearer(self, code: str | None, e: Happened) -> Thing | None:
        """The parcel that bore a code when an event came, or that got it within a week, or that bore it until another label went over it."""
        turns = self._turns.get(code, []) if code is not None else []
        index = self._index[e.uid]
        past = [t for t in turns if t.place < index or (t.place == index and e.type != "unpack")]
        last = past[-1] if past else None
        coming = turns[len(past)] if len(past) < len(turns) else None
        if last is not None and last.thing is not None:
            return last.thing
        if coming is not None and coming.thing is not None and coming.ms - e.event_ms <= LOOK_AHEAD_MS:
            return coming.thing
        return next((t.thing for t in reversed(past) if t.thing is not None), None) if last is not None and last.is_replaced else None

    def names(self, name: str) -> list[str]:
        """Whatever a parcel can be called by."""
        thing = self.called(name)
        if thing is None:
            return [name]
        return [name, *thing.held, *(once for once, meant in self._once.items() if meant is thing)]

    def first(self) -> str:
        """The parcel that is meant by who moves an order of which nothing is known yet."""
        known = [t for t in self.things if t.was_packed or t.is_named] or self.things
        return known[0].id if known else self.unseen

    # --- reading ----------------------------------------------------------------------------------------------------------

    def _pack(self, e: Happened) -> None:
        label, items = self.label(e), contents(e)
        bearer = self._now(label)
        thing: Thing | None
        if e.parcel is not None:
            thing = self._called_or_new(e.parcel)
            if bearer not in (None, thing):
                return
        else:
            thing = bearer or self.called(after_pack(e)) or self._only(label, items) or self._new(after_pack(e))
        if not thing.was_packed and not thing.is_named:
            self._rename(thing, after_pack(e))
        self._once[after_pack(e)] = thing
        thing.was_packed = thing.is_packed = True
        thing.items = items if thing.items is None else thing.items
        self._of[e.uid] = thing
        self._stick(label, thing, e)

    def _label(self, e: Happened) -> None:
        if e.inside is not None:  # another order took it
            (code,) = e.inside
            self._take_off(code, e)
            if code not in self._turns:
                self._turns[code] = [Turn(self._index[e.uid], e.event_ms, None)]
            return
        label = self.label(e)
        if label is None:
            return
        old = e.body.get("replaces")
        old = key_text(old) if old is not None else None
        before = self._now(old)
        thing = self._called_or_new(e.parcel) if e.parcel is not None else self._now(label) or before
        if old is not None:
            self._take_off(old, e, is_replaced=True)
        solid = [t for t in self.things if t.was_packed or t.is_named]
        if thing is None and len(solid) == 1:
            thing = solid[0]
        if thing is None:
            self._loose.setdefault(label, []).append(e)
            return
        self._of[e.uid] = thing
        self._stick(label, thing, e)

    def _unpack(self, e: Happened) -> None:
        label = self.label(e)
        one = self._now(label) if label is not None else self.called(e.parcel)
        if label is None and ((e.parcel is not None and one is None) or (e.parcel is None and not self.things)):
            self._scan(e)
        whole = e.parcel is None and e.code is None
        for thing in [one] if one is not None else list(self.things) if whole else []:
            thing.items, thing.is_packed = None, False
            for code in [label] if label is not None else list(thing.held):
                self._take_off(code, e)

    def _scan(self, e: Happened) -> None:
        label = self.label(e)
        if e.parcel is not None:
            if self.called(e.parcel) is None and e.parcel not in self._packs and e.parcel != self.unseen:
                self._called_or_new(e.parcel)
            return
        codes = [c for c in (e.inside if e.inside is not None else (label,)) if c is not None]
        for code in codes:
            if e.type in CUSTODY and self._now(code) is None:
                self._loose.setdefault(code, []).append(e)
        if not codes and not self.things:
            self._new(self.unseen)

    def _match_what_is_loose(self, counted: Sequence[Happened]) -> None:
        """A pack without a code and a code without a pack belong together only if there is exactly one of each."""
        solid = [t for t in self.things if t.was_packed or t.is_named]
        bare = [t for t in solid if not t.bore_code]
        loose = [c for c in self._loose if not any(t.thing for t in self._turns.get(c, []))]
        labels = [c for c in loose if any(e.type == "labelled" for e in self._loose[c])]
        found: dict[str, Thing] = {}
        if not solid:
            found = {c: self._made_of(c) for c in loose}
        elif len(solid) == 1:
            found = dict.fromkeys(loose if len(loose) == 1 and bare else labels, solid[0])
        elif len(loose) == len(bare) == 1:
            found = {loose[0]: bare[0]}
        elif len(labels) == 1:
            packed_at = next((self._index[e.uid] for e in counted if self._of.get(e.uid) is solid[0]), BEFORE_ALL)
            if all(self._index[e.uid] < packed_at for e in self._loose[labels[0]]):
                found = {labels[0]: solid[0]}
        for code, events in self._loose.items():
            thing = found.get(code) or next((t.thing for t in self._turns.get(code, []) if t.thing is not None), None)
            self._of.update((e.uid, thing) for e in events if e.type == "labelled")
            if code in found:
                self._begin(code, found[code], events[0])
        for code, turns in self._turns.items():
            if turns[0].thing is not None:
                self._once.setdefault(after_code(self._order, code), turns[0].thing)

    def _begin(self, code: str, thing: Thing, e: Happened) -> None:
        self._turns[code] = sorted([*self._turns.get(code, []), Turn(self._index[e.uid], e.event_ms, thing)], key=lambda t: t.place)
        if self._turns[code][-1].thing is thing:
            thing.held[code] = None
        if e.type == "labelled":
            self._fresh.add(e.uid)

    def _made_of(self, code: str) -> Thing:
        moved = self.called(self.unseen)
        if moved is not None and moved.id == self.unseen and len(self._loose) == 1:
            self._rename(moved, after_code(self._order, code))
            return moved
        return self._new(after_code(self._order, code))

    # --- things and codes -------------------------------------------------------------------------------------------------

    def _new(self, name: str, *, is_named: bool = False) -> Thing:
        self.things.append(Thing(name, is_named))
        return self.things[-1]

    def _rename(self, thing: Thing, name: str) -> None:
        self._once[thing.id] = thing
        thing.id = name

    def _called_or_new(self, name: str) -> Thing:
        """The parcel of that name. If there is only one, and it has none of its own, the name is its."""
        if (thing := self.called(name)) is not None:
            return thing
        if name == self.unseen and self.things:
            return self.things[0]
        if name == self.unseen or name in self._packs:
            return self._new(name)
        if len(self.things) == 1 and not self.things[0].is_named and not self.things[0].was_packed:
            self._rename(self.things[0], name)
            self.things[0].is_named = True
            return self.things[0]
        return self._new(name, is_named=True)

    def _only(self, label: str | None, items: dict[str, int] | None) -> Thing | None:
        """The only parcel there is, unless the pack's label or list shows that it is another."""
        if len(self.things) != 1:
            return None
        (only,) = self.things
        has_other_label = label is not None and bool(only.held) and label not in only.held
        has_other_list = items is not None and only.is_packed and items != only.items
        return None if has_other_label or has_other_list else only

    def _now(self, code: str | None) -> Thing | None:
        turns = self._turns.get(code) if code is not None else None
        return turns[-1].thing if turns else None

    def _stick(self, code: str | None, thing: Thing, e: Happened) -> None:
        before = self._now(code)
        if code is None or before is thing:
            return
        if before is not None:
            before.held.pop(code, None)
        thing.held[code] = None
        thing.bore_code = True
        self._fresh.add(e.uid)
        self._turns.setdefault(code, []).append(Turn(self._index[e.uid], e.event_ms, thing))

    def _take_off(self, code: str, e: Happened, *, is_replaced: bool = False) -> None:
        thing = self._now(code)
        if thing is not None:
            thing.held.pop(code, None)
            self._turns[code].append(Turn(self._index[e.uid], e.event_ms, None, is_replaced))


def after_pack(e: Happened) -> str:
    """The id of a parcel that nothing names but its pack."""
    return "p-" + e.id.hex()


def after_order(order: str) -> str:
    """The id of a parcel of which only is known that something of the order moved."""
    return "p-" + hashlib.sha256(order.encode()).hexdigest()[:32]


def after_code(order: str, code: str) -> str:
    """The id of a parcel that only its code tells of."""
    return "p-" + hashlib.sha256(f"{order}\0{code}".encode()).hexdigest()[:32]


def key_text(text: str) -> str:
    """A code in the form in which the bridge stores it: the key without its kind."""
    return key(text).removeprefix("sscc:").removeprefix("gtin:")


def contents(e: Happened) -> dict[str, int] | None:
    return None if e.body.get("items") is None else added(e.body["items"])


def added(lines: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for line in lines:
        total[str(line["sku"])] = total.get(str(line["sku"]), 0) + line["qty"]
    return total
