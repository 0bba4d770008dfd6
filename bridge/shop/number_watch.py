"""Looks in each row for numbers of identity documents, taxpayers, bank accounts and payment cards, which come in only where the map says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from bridge.shop.contact_map import ContactColumn, leave_it, sealed_setting
from bridge.shop.identity_numbers import Kind, card_in, certain, likely, may_have_number
from bridge.shop.mapping import ShopMap

Judge = Callable[[str], Kind | None]

LOOKED_AT_MAX: Final = 200
"""Texts of a column from which is judged whether all of it are such numbers."""
HITS_MIN: Final = 5
HITS_SHARE: Final = 0.8
"""A column is one of such numbers if so many of its texts look like it, and this share of them: order numbers rarely do."""
_PHONE_DIGITS_MAX: Final = 15
"""The longest telephone number (ITU-T E.164)."""


def _in_words(text: str) -> Kind | None:
    return certain(text) or card_in(text) or likely(text)


def _in_note(text: str) -> Kind | None:
    return certain(text) or card_in(text)


def _in_phone(text: str) -> Kind | None:
    return certain(text) or card_in(text, digits_min=_PHONE_DIGITS_MAX + 1)


_OURS: Final[dict[str, Judge]] = {
    **dict.fromkeys(("order", "sku", "tracking", "amount"), certain),
    **dict.fromkeys(("carrier", "service", "payment", "country", "currency"), _in_words),
}
"""How the cells of our columns are judged. Order numbers, SKUs and waybills are long numbers themselves. Times and quantities can't be anything else."""
_OF_CONTACT: Final[dict[str, Judge]] = {"phone": _in_phone, "note": _in_note}
"""How the fields of a contact are judged that are not only words: a phone number, or one in a note, may look like that of a taxpayer."""
_AS_A_WHOLE: Final = ("order", "sku", "tracking", "phone", "note")
"""Columns that are judged as a whole as well, unless [patterns] says how their texts look."""


class Suspect(NamedTuple):
    """A column of such numbers, and what can be done with it."""

    column: str
    kind: Kind
    fix: str


class _Column:
    """One column as it is read: how each cell is judged, and a sample of its texts."""

    def __init__(self, label: str, fix: str, judge: Judge, *, is_sampled: bool) -> None:
        self.label = label
        self.fix = fix
        self.judge = judge
        self.is_sampled = is_sampled
        self._seen: set[str] = set()
        self._hits: Counter[Kind] = Counter()

    def look(self, text: str) -> Kind | None:
        """Of what a cell has a number; None if it has none."""
        if self.is_sampled and text and text not in self._seen:
            self._seen.add(text)
            if (kind := likely(text)) is not None:
                self._hits[kind] += 1
            self.is_sampled = len(self._seen) < LOOKED_AT_MAX
        return self.judge(text)

    @property
    def kind(self) -> Kind | None:
        """Of what all of it are the numbers; None if they are not."""
        kind, hits = next(iter(self._hits.most_common(1)), (None, 0))
        return kind if hits >= HITS_MIN and hits >= HITS_SHARE * len(self._seen) else None


class NumberWatch:
    """Looks at the rows of a file. Fields that the map says are meant to have such numbers (`sealed = true`) are passed over.

    Args:
        fields: the fields of the contact, in the order in which their cells are given.
    """

    def __init__(self, shop: ShopMap, fields: Sequence[tuple[str, ContactColumn]]) -> None:
        self._names = shop.columns
        self._ours = [
            (name, _Column(theirs, leave_it(theirs), _OURS[name], is_sampled=name in _AS_A_WHOLE and name not in shop.patterns))
            for name, theirs in shop.columns.items()
            if name in _OURS
        ]
        self._status = [_Column(theirs, leave_it(theirs), _in_words, is_sampled=False) for theirs in shop.status_columns]
        self._contact = [None if column.sealed else _contact_column(name, column, shop) for name, column in fields]
        self._before: Sequence[str] = ()

    def fault(self, cell: Mapping[str, str], status: Sequence[str], contact: Sequence[str]) -> str | None:
        """What is wrong with a row; None if it has no such number. The number is not quoted."""
        for name, column in self._ours:
            text = cell[name]
            if (column.is_sampled or may_have_number(text)) and (kind := column.look(text)) is not None:
                return _sentence(column.label, kind, column.fix)
        found = _first(zip(self._status, status, strict=True))
        if found is None and contact != self._before:
            found = _first(zip(self._contact, contact, strict=True))
            if found is None:
                self._before = contact  # the rows of an order mostly say the same
        return found

    def fault_if_quoted(self, cell: Mapping[str, str]) -> str | None:
        """What is wrong with a row whose fault would quote a cell; None if no cell has such a number."""
        return next((_sentence(name, kind, leave_it(name)) for ours, name in self._names.items() if (kind := _in_words(cell.get(ours, "")))), None)

    @property
    def suspect(self) -> Suspect | None:
        """A column that is one of such numbers as a whole, once all rows were read."""
        columns = (column for column in (*(column for _, column in self._ours), *self._contact) if column is not None)
        return next((Suspect(column.label, kind, column.fix) for column in columns if (kind := column.kind)), None)


def _contact_column(name: str, column: ContactColumn, shop: ShopMap) -> _Column:
    fix = f"take the number out; if it is meant to be there, write in [contact]: {sealed_setting(name, column)}"
    return _Column(column.label, fix, _OF_CONTACT.get(name, _in_words), is_sampled=name in _AS_A_WHOLE and name not in shop.patterns)


def _first(cells: Iterable[tuple[_Column | None, str]]) -> str | None:
    for column, text in cells:
        if text and column is not None and (column.is_sampled or may_have_number(text)) and (kind := column.look(text)) is not None:
            return _sentence(column.label, kind, column.fix)
    return None


def _sentence(column: str, kind: Kind, fix: str) -> str:
    return f"{column} has what looks like the number of {kind}: {fix}"
