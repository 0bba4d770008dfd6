"""Which parcel of its order each event is about, from the whole set of the order's events.

Packs and labels make parcels, whatever becomes of their verdicts: a label on a parcel of an order on hold is still on that parcel. The book is read before any
event is applied, so that a scan seconds before the pack or label that explains it finds the parcel under its final id. Every id that a pack or a code can
derive stays an address of its parcel: phones use ids that they were shown earlier.

A parcel's id is the name that an event gives it; else it derives from the first pack event; else from its code; else from the order. Never from a position.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final

from bridge.domain.codes.evidence import CUSTODY, key_of, replaced
from bridge.domain.codes.history import is_article
from bridge.domain.facts import Fact, FactKey
from bridge.domain.members import E
from bridge.domain.order.labels import FIRST, Labels, Unit
from devices.protocol import bodies

_BOOKED: Final = CUSTODY | {E.PACK, E.LABELLED, E.UNPACK}

Uid = tuple[str, bytes]


def derived_parcel_id(event_id: bytes) -> str:
    """The id of a parcel that its pack event did not name: made from the event's id."""
    return "p-" + event_id.hex()


def unseen_parcel_id(order_id: str) -> str:
    """The id of a parcel that was moved before a pack event told of it: made from the order's id, so that it is the same whichever scan comes first."""
    return "p-" + sha256(order_id.encode()).hexdigest()[:32]


def coded_parcel_id(order_id: str, code: str) -> str:
    """The id of a parcel that only its code tells of: made from the order's id and the code."""
    return "p-" + sha256(order_id.encode() + b"\0" + code.encode()).hexdigest()[:32]


def is_booked(fact: Fact) -> bool:
    """Whether the book needs to know an event. Of picks it needs those that name a parcel."""
    return (fact.type in _BOOKED or (fact.type == E.PICK and fact.parcel is not None)) and fact.fault is None and fact.refusal is None


class Book:
    """See the module's docstring. It is made from the booked events that count (not voided, without fault or refusal), in the order of the fold."""

    __slots__ = ("_aliases", "_labels", "_loose", "_of_event", "_order_id", "_pack_ids", "_plain", "_units", "moved", "own_key", "unseen")

    def __init__(self, order_id: str) -> None:
        self._order_id = order_id
        self.own_key = key_of(order_id)
        self.unseen = unseen_parcel_id(order_id)
        self._units: list[Unit] = []
        self._of_event: dict[Uid, Unit | None] = {}
        self._aliases: dict[str, Unit] = {}
        self._labels = Labels()
        self._loose: dict[str, list[Fact]] = {}
        """Codes that belong to no parcel yet: labels that name none, and scans."""
        self.moved: set[Uid] = set()
        """Labels that take their code from another parcel of the order."""
        self._plain: frozenset[str] = frozenset()
        self._pack_ids: dict[str, Fact] = {}

    # --- making -----------------------------------------------------------------------------------------------------------

    @classmethod
    def of(cls, order_id: str, facts: Iterable[Fact]) -> Book:
        """The book of an order."""
        book = cls(order_id)
        booked = list(facts)
        book._plain = frozenset(f.code for f in booked if f.type == E.LABELLED and f.code is not None and f.inside is None)
        book._pack_ids = {derived_parcel_id(f.id): f for f in booked if f.type == E.PACK}
        for fact in booked:
            book._read(fact)
        book._settle(booked)
        return book

    def stands(self, fact: Fact) -> bool:
        """Whether this book answers as before once a booked fact that comes last is added, so that it need not be made again."""
        if fact.type not in CUSTODY and fact.type != E.PICK:
            return False
        if fact.inside:
            return fact.parcel is None and all(self._labels.current(code) is not None for code in fact.inside)
        label = self.label(fact) if fact.code is not None else None
        if label is not None and self._labels.current(label) is None:
            return False
        return bool(self._units) if fact.parcel is None else self.by_name(fact.parcel) is not None

    def takes_last(self, fact: Fact, booked: Sequence[Fact]) -> bool:
        """Read a pack or a label that comes after all of `booked`, if no answer about those can change by it. Returns False if the book must be made again.

        Nearly every order gets its pack and its label in this way: nothing waits for them, and nothing has named them before.
        """
        if self._loose or fact.inside is not None or fact.type not in (E.PACK, E.LABELLED):
            return False
        if any(not u.had_pack and not u.is_named for u in self._units) or (booked and not self._units):
            return False
        label = self.label(fact)
        if label is not None and (label in self._labels or any(f.code == label or (f.inside and label in f.inside) for f in booked)):
            return False
        if fact.parcel is not None and self._known(fact.parcel) is None:
            return False
        if fact.type == E.PACK:
            derived = derived_parcel_id(fact.id)
            if self._known(derived) is not None:
                return False
            self._pack_ids[derived] = fact
            self._pack(fact)
        else:
            if label is None or is_article(label) or replaced(fact) is not None or (fact.parcel is None and len(self._units) != 1):
                return False
            self._label(fact)
        self._remember_coded_id(label)
        return True

    def agrees(self, later: Book, booked: Iterable[Fact]) -> bool:
        """Whether a book made with further facts gives the same answers about the earlier ones."""
        return {u.id for u in self._units} <= {u.id for u in later._units} and all(_answer(self, f) == _answer(later, f) for f in booked)

    def label(self, fact: Fact) -> str | None:
        """The code of an event, if it can be a parcel's label: no container, no slip of the order, no article's number unless it was put on a parcel."""
        code = fact.code
        if code is None or fact.inside is not None or code == self.own_key or fact.article is not None:
            return None
        if is_article(code) and (fact.type == E.PACK or code not in self._plain):
            return None
        return code

    def _read(self, fact: Fact) -> None:
        if fact.type == E.PACK:
            self._pack(fact)
        elif fact.type == E.LABELLED:
            self._label(fact)
        elif fact.type == E.UNPACK:
            self._unpack(fact)
        else:
            self._scan(fact)

    def _pack(self, fact: Fact) -> None:
        assert isinstance(fact.body, bodies.Pack)
        items = _quantities(fact.body)
        label = self.label(fact)
        derived = derived_parcel_id(fact.id)
        bearer = self._labels.current(label)
        if fact.parcel is not None:
            unit = self._named(fact.parcel)
            if bearer is not None and bearer is not unit:
                return  # it names one parcel and scans the label of another
        else:
            unit = bearer or self._known(derived) or _only_unit(self._units, label, items) or _added(self._units, Unit(derived))
        if not unit.had_pack and not unit.is_named:
            self._rename(unit, derived)
        self._aliases[derived] = unit
        unit.is_packed = unit.had_pack = True
        unit.items = unit.items if unit.items is not None else items
        self._of_event[fact.uid] = unit
        if label is not None:
            self._labels.put(label, unit, fact.key)

    def _label(self, fact: Fact) -> None:
        if fact.takes_label:
            assert fact.code is not None
            self._labels.end(fact.code, fact.key)
            return
        label = self.label(fact)
        if label is None:
            self._of_event[fact.uid] = None
            return
        old = replaced(fact)
        before = self._labels.current(old) if old is not None else None
        unit = self._named(fact.parcel) if fact.parcel is not None else self._labels.current(label) or before
        if old is not None and before is not None:
            self._labels.free(old, fact.key, is_replaced=True)
        packed = [u for u in self._units if u.had_pack or u.is_named]
        if unit is None and len(packed) == 1:
            (unit,) = packed
        if unit is None:
            self._loose.setdefault(label, []).append(fact)
            return
        self._of_event[fact.uid] = unit
        if self._labels.current(label) not in (None, unit):
            self.moved.add(fact.uid)
        self._labels.put(label, unit, fact.key)

    def _unpack(self, fact: Fact) -> None:
        label = self.label(fact)
        unit = self._labels.current(label) if label is not None else self._known(fact.parcel) if fact.parcel is not None else None
        if fact.parcel is not None and unit is None and label is None:
            self._scan(fact)
        units = [unit] if unit is not None else self._units if fact.parcel is None and fact.code is None else []
        for one in units:
            for code in [label] if label is not None else list(one.codes):
                self._labels.free(code, fact.key)
            one.items, one.is_packed = None, False
        if not self._units and fact.parcel is None:
            self._scan(fact)

    def _scan(self, fact: Fact) -> None:
        if fact.parcel is not None and self._known(fact.parcel) is None and fact.parcel not in self._pack_ids and fact.parcel != self.unseen:
            self._named(fact.parcel)
        for code in fact.inside if fact.inside is not None else (self.label(fact),):
            if code is not None and fact.parcel is None and fact.type in CUSTODY and self._labels.current(code) is None:
                self._loose.setdefault(code, []).append(fact)
        if not self._units and not self._loose and fact.parcel is None and self.label(fact) is None and not fact.inside:
            self._units.append(Unit(self.unseen))

    # --- settling what is loose ---------------------------------------------------------------------------------------------

    def _settle(self, booked: Sequence[Fact]) -> None:
        """Give the loose codes their parcels: a pack without a code and a code without a pack are matched only if there is exactly one of each."""
        packed = [u for u in self._units if u.had_pack or u.is_named]
        loose = {code: facts for code, facts in self._loose.items() if self._labels.comes_to(code) is None}
        labels = [code for code, facts in loose.items() if any(f.type == E.LABELLED for f in facts)]
        uncoded = [u for u in packed if not u.had_code]
        first_pack = next((f.key for f in booked if packed and self._of_event.get(f.uid) is packed[0]), FIRST)
        if not packed:
            chosen = {code: self._unit_of_code(code) for code in loose}
        elif len(packed) == 1:
            matched = loose if len(loose) == 1 and uncoded else labels
            chosen = dict.fromkeys(matched, packed[0])
        elif len(loose) == 1 and len(uncoded) == 1:
            chosen = dict.fromkeys(loose, uncoded[0])
        elif len(labels) == 1 and all(f.key < first_pack for f in loose[labels[0]] if f.type == E.LABELLED):
            chosen = dict.fromkeys(labels, packed[0])
        else:
            chosen = {}
        for code, facts in self._loose.items():
            unit = chosen.get(code) or self._labels.comes_to(code)
            for fact in facts:
                if fact.type == E.LABELLED:
                    self._of_event[fact.uid] = unit
            if unit is not None and code in chosen:
                self._labels.put_before(code, unit, facts[0].key)
        for code in {*self._labels, *self._loose}:
            self._remember_coded_id(code)

    def _remember_coded_id(self, code: str | None) -> None:
        """A parcel answers to the id that its code derives."""
        unit = self.by_code(code, FIRST) if code is not None else None
        if code is not None and unit is not None:
            self._aliases.setdefault(coded_parcel_id(self._order_id, code), unit)

    def _unit_of_code(self, code: str) -> Unit:
        """The parcel of a code that no pack tells of. A parcel that was moved unseen is the only one's."""
        unseen = next((u for u in self._units if u.id == self.unseen), None)
        if unseen is not None and len(self._loose) == 1:
            self._rename(unseen, coded_parcel_id(self._order_id, code))
            return unseen
        return _added(self._units, Unit(coded_parcel_id(self._order_id, code)))

    # --- units and codes ----------------------------------------------------------------------------------------------------

    def _rename(self, unit: Unit, unit_id: str) -> None:
        self._aliases[unit.id] = unit
        unit.id = unit_id

    def _known(self, name: str) -> Unit | None:
        for unit in self._units:
            if unit.id == name:
                return unit
        return self._aliases.get(name)

    def _named(self, name: str) -> Unit:
        """The parcel with a name. The only parcel without one takes it."""
        unit = self._known(name)
        if unit is not None:
            return unit
        if name in self._pack_ids or name == self.unseen:
            return self._units[0] if name == self.unseen and self._units else _added(self._units, Unit(name))
        nameless = [u for u in self._units if not u.is_named and not u.had_pack]
        if len(nameless) == 1 and len(self._units) == 1:
            self._rename(nameless[0], name)
            nameless[0].is_named = True
            return nameless[0]
        return _added(self._units, Unit(name, is_named=True))

    # --- asking -------------------------------------------------------------------------------------------------------------

    def of_event(self, fact: Fact) -> str | None:
        """The parcel that a pack or label is about; None if it would have to name one."""
        unit = self._of_event.get(fact.uid)
        return unit.id if unit is not None else None

    def by_name(self, name: str) -> str | None:
        """The id of the parcel that has, or once had, this id."""
        unit = self._known(name)
        return unit.id if unit is not None else None

    def puts_code(self, fact: Fact) -> bool:
        """Whether an event puts a code on a parcel that did not bear it."""
        label = self.label(fact)
        return label is not None and self._labels.is_put_by(label, fact.key)

    def codes(self, parcel_id: str) -> list[str]:
        """The codes that a parcel bears after the last event."""
        unit = self._known(parcel_id)
        return list(unit.codes) if unit is not None else []

    def names(self, parcel_id: str) -> list[str]:
        """Everything by which a parcel can be called: its id, the codes that it bears, and the ids that it once had."""
        unit = self._known(parcel_id)
        return [parcel_id, *(() if unit is None else (*unit.codes, *(alias for alias, named in self._aliases.items() if named is unit)))]

    def by_code(self, code: str, key: FactKey, *, is_unpack: bool = False) -> Unit | None:
        """The parcel that bears a code at an event's place; else the one that gets it soon after; else the one that bore it before it was replaced.

        Args:
            is_unpack: the event itself takes the code off.
        """
        return self._labels.bearer(code, key, is_unpack=is_unpack)

    def first(self) -> str | None:
        """The parcel that an event means that names none, before any parcel is known."""
        unit = next((u for u in self._units if u.had_pack or u.is_named), None) or next(iter(self._units), None)
        return unit.id if unit is not None else None


def _answer(book: Book, fact: Fact) -> object:
    """The parcels that an event is about, as far as a book knows."""
    if fact.type in (E.PACK, E.LABELLED):
        return book.of_event(fact), book.puts_code(fact)
    codes = fact.inside or ((book.label(fact),) if fact.inside is None else ())
    units = [book.by_code(code, fact.key, is_unpack=fact.type == E.UNPACK) if code is not None else None for code in codes]
    return [unit and unit.id for unit in units], fact.parcel and book.by_name(fact.parcel), book.first() if not any(units) else None


def _only_unit(units: list[Unit], label: str | None, items: dict[str, int] | None) -> Unit | None:
    """The parcel that a pack without a name is about: the only one, unless its label or its list says that this is another."""
    if len(units) != 1:
        return None
    (only,) = units
    if label is not None and only.codes and label not in only.codes:
        return None
    return only if items is None or not only.is_packed or only.items == items else None


def _added(units: list[Unit], unit: Unit) -> Unit:
    units.append(unit)
    return unit


def _quantities(body: bodies.Pack) -> dict[str, int] | None:
    if body.items is None:
        return None
    total: dict[str, int] = {}
    for item in body.items:
        total[item.sku] = total.get(item.sku, 0) + item.qty
    return total
