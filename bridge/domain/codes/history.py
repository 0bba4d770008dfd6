"""The history of one code: which order's parcel bore it when, read from the stored events in one pass.

A code has at most one binding at a time. A binding ends when the code is put on another parcel, is replaced, or the parcel is unpacked; it has lapsed when
nothing was heard of it for so long that the number may be in use again. Hints (an event that names an order and scans the code) count only in the gaps
between bindings.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from bridge.domain.barcodes import Kind, Unreadable, code_key
from bridge.domain.codes.evidence import BACKWARD, CUSTODY, KEYS_CACHED_MAX, TERMINAL, Known, TimeKey, key_of, replaced, time_key
from bridge.domain.codes.rules import CREATED_BEFORE_MS, DatedRules, matches
from bridge.domain.facts import Fact
from bridge.domain.members import E
from devices.protocol.vocabulary import LabelKind

LONG_AGO: Final = -(10**18)
_NEVER: Final = 10**18

Uid = tuple[str, bytes]
Place = TimeKey
"""The place of an event in the history of a code, with the time that it has among the code's events of its device."""


class Binding:
    """From `at_ms` on the code is on a parcel of the order.

    `names` are the ids of the parcel, `since_ms` is from when scans that name no order were scans of this parcel already; `until_ms` is when it ended.
    """

    __slots__ = ("at_ms", "is_replaced", "names", "order_id", "since_ms", "until_ms")

    def __init__(self, order_id: str, at_ms: int, names: frozenset[str], since_ms: int) -> None:
        self.order_id = order_id
        self.at_ms = at_ms
        self.names = names
        self.since_ms = since_ms
        self.until_ms: int | None = None
        self.is_replaced = False


class Hint(NamedTuple):
    """A custody event named an order and scanned the code, in the `gap`-th gap between bindings."""

    at_ms: int
    order_id: str
    gap: int


class Holder(NamedTuple):
    """The order that a code belongs to at some moment, if any. `is_old`: only a label that was replaced says so. `is_many`: several orders were named."""

    order_id: str | None = None
    is_identity: bool = False
    is_hint: bool = False
    is_old: bool = False
    is_many: bool = False


NOBODY: Final = Holder()


def is_article(key: str) -> bool:
    """Whether a code is an article's number (GTIN): it says nothing about an order unless a device says that it is a label."""
    return _kind(key) is _GTIN


def is_asset(key: str) -> bool:
    """Whether a code is a returnable asset (GRAI, GIAI): a container, whatever the site's patterns say."""
    return _kind(key) is _CONTAINER


_GTIN: Final = Kind.GTIN
_CONTAINER: Final = Kind.CONTAINER


@lru_cache(KEYS_CACHED_MAX)
def _kind(key: str) -> Kind | None:
    found = code_key(key)
    return None if isinstance(found, Unreadable) else found.kind


class History:
    """What the evidence says about one code. `reading.history_of` makes it; `step` adds one event that comes last.

    Attributes:
        refused: packs and labels that could not take the code.
        moved: labels that took the code from a parcel of another order, and that order.
        known: what is stored. A history that is kept gets it anew for each batch.
    """

    __slots__ = (
        "_claims_identity",
        "_current",
        "_gap",
        "_is_asset",
        "_latest",
        "_rules",
        "_tops",
        "bindings",
        "hints",
        "is_article",
        "key",
        "known",
        "last",
        "moved",
        "refused",
        "signs",
    )

    def __init__(self, key: str, known: Known, rules: DatedRules) -> None:
        self.key = key
        self.bindings: list[Binding] = []
        self.hints: list[Hint] = []
        self.signs: list[tuple[int, Fact, str | None]] = []
        """(ms, event, the order that it names or takes) of everything that showed the code, or the end of its order's way."""
        self.refused: set[Uid] = set()
        self.moved: dict[Uid, str] = {}
        self.last: Place | None = None
        self.is_article = is_article(key)
        self._is_asset = is_asset(key)
        self.known: Known | None = known
        self._rules = rules
        self._current: Binding | None = None
        self._gap = 0
        self._latest: dict[Uid, int] = {}
        self._tops: dict[tuple[str, bytes], tuple[int, int]] = {}
        """(device, log) → (the highest seq, the latest time)."""
        self._claims_identity = known.identity(key)

    # --- reading ----------------------------------------------------------------------------------------------------------

    def step(self, fact: Fact, order_id: str | None, place: Place) -> None:
        """Add the next event; `order_id` is the order that it names, or takes from the code that it replaces."""
        self.last = place
        at_ms = self._latest[fact.uid] = place[0]
        if fact.ordered_by_seq:
            stream = (fact.device, fact.log)
            seq, ms = self._tops.get(stream, (0, LONG_AGO))
            self._tops[stream] = (max(seq, fact.seq), max(ms, fact.event_ms))
        if fact.code is None and fact.type in TERMINAL:
            if self._is_of_current(fact, order_id):
                self.signs.append((at_ms, fact, order_id))
            return
        if self.binds(fact, order_id):
            assert order_id is not None
            self._bind(fact, order_id, at_ms)
        elif fact.type == E.LABELLED:
            if replaced(fact) == self.key and self._current is not None and order_id == self._current.order_id:
                self._end(at_ms, is_replaced=True)
        elif fact.type == E.UNPACK:
            self._unpack(fact, at_ms)
        elif fact.type in CUSTODY and order_id is not None and not self.is_article and not self.is_container(at_ms):
            self._hint(order_id, at_ms)
        if (fact.code is not None or fact.type == E.LABELLED) and fact.uid not in self.refused:
            self.signs.append((at_ms, fact, order_id))

    def place_last(self, fact: Fact) -> Place | None:
        """The place of an event that comes after all others; None if it does not."""
        at_ms = fact.event_ms
        if fact.ordered_by_seq and (top := self._tops.get((fact.device, fact.log))) is not None:
            if fact.seq <= top[0]:
                return None
            at_ms = max(at_ms, top[1])
        place = place_of(fact, at_ms)
        return place if self.last is None or place > self.last else None

    def is_container(self, at_ms: int) -> bool:
        """Whether the code is a container at a time, or common: it binds, hints and names nothing then."""
        assert self.known is not None
        return self._is_asset or matches(self._rules.at(at_ms).containers, self.key) or self.known.is_common(self.key)

    def binds(self, fact: Fact, order_id: str | None) -> bool:
        """Whether an event puts this code on a parcel."""
        if order_id is None or fact.code != self.key or key_of(order_id) == self.key or self.is_container(fact.event_ms):
            return False
        if fact.type == E.LABELLED:
            return not self.is_article or fact.body.kind != LabelKind.SSCC  # type: ignore[union-attr]
        return fact.type == E.PACK and not self.is_article

    def _bind(self, fact: Fact, order_id: str, at_ms: int) -> None:
        current = self._current
        same = current is not None and current.order_id == order_id
        identity = self.identity(at_ms)
        if identity is not None and identity != order_id:
            self.refused.add(fact.uid)
            return
        since_ms = at_ms
        if current is not None and not same:
            has_lapsed, first_ms = self._lapse(at_ms)
            if fact.type != E.LABELLED and not has_lapsed:
                self.refused.add(fact.uid)
                return
            if has_lapsed:
                since_ms = first_ms
            else:
                self.moved[fact.uid] = current.order_id
        names = _names(fact)
        if current is not None:
            current.until_ms = at_ms
            if same and not (fact.type == E.LABELLED and fact.parcel is not None):
                names |= current.names
        self._current = Binding(order_id, at_ms, names, since_ms)
        self.bindings.append(self._current)
        self._gap += 1

    def _unpack(self, fact: Fact, at_ms: int) -> None:
        current = self._current
        if current is None:
            return
        order_id = fact.named
        if fact.code is not None:
            ends = order_id in (None, current.order_id)
        else:
            ends = order_id == current.order_id and (fact.parcel is None or fact.parcel in self.names(current))
        if ends:
            self._end(at_ms)

    def _hint(self, order_id: str, at_ms: int) -> None:
        current = self._current
        if current is not None:
            if current.order_id == order_id or not self._lapse(at_ms)[0]:
                return
            self._end(at_ms)
        elif self.hints and self.hints[-1].gap == self._gap and self._lapse(at_ms)[0]:
            self._gap += 1
        from_ms = self._exists_from(order_id)
        if from_ms is not None and at_ms >= from_ms:
            self.hints.append(Hint(at_ms, order_id, self._gap))

    def _end(self, at_ms: int, *, is_replaced: bool = False) -> None:
        assert self._current is not None
        self._current.until_ms = at_ms
        self._current.is_replaced = is_replaced
        self._current = None
        self._gap += 1

    def _is_of_current(self, fact: Fact, order_id: str | None) -> bool:
        current = self._current
        return current is not None and order_id == current.order_id and (fact.parcel is None or fact.parcel in self.names(current))

    def _lapse(self, at_ms: int) -> tuple[bool, int]:
        """(whether the last sign is so old that the number may be in use again, the first of the scans that are of what gets the code at a time, if so).

        Forward scans that name no order and lie just before that time may be of the new parcel, so they do not keep the old one alive.
        """
        rules = self._rules.at(at_ms)
        first_ms = at_ms
        earliest_ms = at_ms - rules.look_ahead_ms
        for sign_ms, fact, _ in reversed(self.signs):
            if sign_ms < earliest_ms or fact.named is not None or fact.type in BACKWARD or fact.type not in CUSTODY:
                age_ms = first_ms - sign_ms
                return age_ms >= rules.forget_after_ms or (fact.type in TERMINAL and age_ms >= rules.reuse_after_ms), first_ms
            first_ms = sign_ms
        return True, first_ms

    # --- asking -----------------------------------------------------------------------------------------------------------

    @property
    def has_identity(self) -> bool:
        """Whether the code is the id of a created order."""
        return self._claims_identity is not None

    @property
    def current(self) -> Binding | None:
        """The binding after the last event."""
        return self._current

    def at(self, fact: Fact) -> int:
        """The time of an event in this history: one device's events never swap."""
        return self._latest.get(fact.uid, fact.event_ms)

    def names(self, binding: Binding) -> frozenset[str]:
        """The ids of a binding's parcel: those that it names; if none, those that packs of its order up to then name; if none, that of the first pack after."""
        if binding.names:
            return binding.names
        assert self.known is not None
        packs = sorted(self.known.packs(binding.order_id), key=time_key)
        earlier = frozenset(name for pack in packs if pack.event_ms <= binding.at_ms for name in _names(pack))
        return earlier or frozenset(name for pack in packs[:1] for name in _names(pack))

    def identity(self, at_ms: int) -> str | None:
        """The order whose id this code is, if it exists at a time."""
        order_id = self._claims_identity
        if order_id is None:
            return None
        from_ms = self._exists_from(order_id)
        return order_id if from_ms is not None and at_ms >= from_ms else None

    def bound(self, at_ms: int, near_ms: int, *, looks_ahead: bool) -> Holder:
        """The holder by identity or binding alone. A binding up to `near_ms` ahead counts where none is alive, or the one that is alive had lapsed."""
        if (identity := self.identity(at_ms)) is not None:
            return Holder(identity, is_identity=True)
        now, following = self._around(at_ms)
        comes = following is not None and following.at_ms <= at_ms + near_ms
        if now is not None and (now.until_ms is None or now.until_ms > at_ms):
            assert following is not None or not comes
            if following is not None and comes and looks_ahead and following.order_id != now.order_id and following.since_ms <= at_ms:
                return Holder(following.order_id)
            return Holder(now.order_id)
        return Holder(following.order_id) if following is not None and comes else NOBODY

    def holder(self, at_ms: int, *, looks_ahead: bool) -> Holder:
        """The order that a scan without an order belongs to."""
        ahead_ms = self._rules.at(at_ms).look_ahead_ms
        bound = self.bound(at_ms, ahead_ms, looks_ahead=looks_ahead)
        if bound.order_id is not None:
            return bound
        named = self._hinted(at_ms, ahead_ms)
        if len(named) == 1:
            return Holder(named.pop(), is_hint=True)
        if named:
            return Holder(is_many=True)
        now, _ = self._around(at_ms)
        return Holder(now.order_id, is_old=True) if now is not None and now.is_replaced else NOBODY

    def _hinted(self, at_ms: int, ahead_ms: int) -> set[str]:
        """The orders that were named beside the code in the gap around a time."""
        from_ms = max((end for b in self.bindings if b.at_ms <= at_ms for end in (b.at_ms, b.until_ms or LONG_AGO) if end <= at_ms), default=LONG_AGO)
        until_ms = min((b.at_ms for b in self.bindings if b.at_ms > at_ms), default=_NEVER)
        before = [h for h in self.hints if from_ms <= h.at_ms <= at_ms]
        after = [h for h in self.hints if at_ms < h.at_ms <= at_ms + ahead_ms and h.at_ms < until_ms]
        gap = before[-1].gap if before else after[0].gap if after else None
        return {h.order_id for h in (*before, *after) if h.gap == gap}

    def _around(self, at_ms: int) -> tuple[Binding | None, Binding | None]:
        """(the last binding up to a time, the first after it)."""
        now = following = None
        for binding in self.bindings:
            if binding.at_ms <= at_ms:
                now = binding
            elif following is None:
                following = binding
        return now, following

    def _exists_from(self, order_id: str) -> int | None:
        assert self.known is not None
        created_ms = self.known.created_ms(order_id)
        return None if created_ms is None else created_ms - CREATED_BEFORE_MS


def _names(fact: Fact) -> frozenset[str]:
    """The ids of the parcel that a binding event names or derives."""
    if fact.parcel is not None:
        return frozenset((fact.parcel,))
    return frozenset(("p-" + fact.id.hex(),)) if fact.type == E.PACK else frozenset()


def place_of(fact: Fact, at_ms: int) -> Place:
    """The place of an event in a history. At the same moment a binding holds already, and an end has ended it: readers compare times alone."""
    return (at_ms, fact.device, fact.log, fact.seq, fact.id)
