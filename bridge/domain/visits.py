"""Visits: when a phone came to a place and when it left, as a fold over its fixes in event time.

The same fixes give the same visits, in whatever batches and order they arrive: `Trail` puts a late fix where it belongs and folds again from there.

A phone *comes* to a place with the first moment in it, on a fix or on the straight way between two (a fast van is never seen inside). It is *away* once a fix
is surely outside: farther than `leave_m` beyond the border, its accuracy subtracted. In between nothing changes, so that the noise of a receiver at the
border is no second visit; nor is a short way around the corner: only who stays away for `leave_ms` has left, at the last moment inside. Who is inside for
less than the dwell time of the place drove by.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from bridge.domain.geo import Box
from bridge.domain.places import Place, PlaceIndex
from bridge.domain.positions import AGREEING, Fix, is_reachable

UNKNOWN_ACCURACY_M: Final = 20
"""A receiver that does not say how accurate a fix is (accuracy 0) is taken to be as good as most are."""
THERE: Final = 0
"""`Visit.left_ms` of a phone that has not left."""


class VisitRules(NamedTuple):
    """A site's settings about visits: milliseconds, metres."""

    dwell_ms: int = 60_000
    leave_ms: int = 300_000
    leave_m: float = 30.0
    accuracy_max_m: int = 100
    crossing_max_ms: int = 120_000
    gap_max_ms: int = 3_600_000
    every_ms: int = 10_000
    speed_max_m_s: float = 70.0
    fixes_max: int = 120


class Visit(NamedTuple):
    """A phone was at a place from `arrived_ms` to `left_ms` (`THERE` as long as it has not left): ms since 1970 UTC."""

    place: str
    arrived_ms: int
    left_ms: int


class Stay(NamedTuple):
    """A phone at a place, or away from it so shortly that it may come back: when it came, its last moment inside, and how long it was there until then."""

    arrived_ms: int
    inside_ms: int
    stayed_ms: int
    is_away: bool = False


class Walk(NamedTuple):
    """The state of the fold behind a fix. `believed` is the last fix that could be reached, `at` the last one that was also accurate enough. Of the fixes since
    then that could not be reached, `doubted` is the last, and `agreeing` the number of those in a row that can be reached from each other."""

    believed: Fix | None = None
    at: Fix | None = None
    doubted: Fix | None = None
    agreeing: int = 0
    stays: Mapping[str, Stay] = {}


class Step(NamedTuple):
    """What a fix does: the state behind it, whether it is believed, and the visits that have ended before it."""

    walk: Walk
    is_believed: bool
    ended: list[Visit]


def step(walk: Walk, fix: Fix, places: PlaceIndex, rules: VisitRules) -> Step:
    """Fold the next fix, in the order of event time, into the state."""
    believed = walk.believed
    jumped = False
    if believed is not None and not is_reachable(believed, fix, rules.speed_max_m_s):
        doubted = walk.doubted
        agreeing = walk.agreeing + 1 if doubted is not None and is_reachable(doubted, fix, rules.speed_max_m_s) else 1
        if agreeing < AGREEING:
            return Step(walk._replace(doubted=fix, agreeing=agreeing), False, [])
        jumped = True
    if fix.accuracy_m > rules.accuracy_max_m:
        return Step(Walk(fix, None if jumped else walk.at, None, 0, walk.stays), True, [])
    before, stays, ended = walk.at, walk.stays, []
    if before is not None and fix.at_ms - before.at_ms > rules.gap_max_ms:
        ended = visits_of(stays, places, rules, is_over=True)
        before, stays = None, {}
    way = None if jumped or before is None or fix.at_ms - before.at_ms > rules.crossing_max_ms else before
    near = places.near(_box(way, fix))
    if near or stays:
        changed = dict(stays)
        for place in {place.id: place for place in (*near, *(places.by_id[name] for name in stays))}.values():
            _move(changed, place, way, fix, rules, ended)
        stays = changed
    return Step(Walk(fix, fix, None, 0, stays), True, ended)


def visits_of(stays: Mapping[str, Stay], places: PlaceIndex, rules: VisitRules, *, is_over: bool = False) -> list[Visit]:
    """The visits among some stays: those that are longer than the dwell time of their place."""
    return [
        Visit(name, stay.arrived_ms, stay.inside_ms if is_over else THERE)
        for name, stay in stays.items()
        if stay.stayed_ms >= _dwell_ms(places.by_id[name], rules)
    ]


def seed_of(visit: Visit, places: PlaceIndex, rules: VisitRules, from_ms: int) -> Stay:
    """The stay at a time in the midst of a visit."""
    return Stay(visit.arrived_ms, from_ms, _dwell_ms(places.by_id[visit.place], rules))


def _box(way: Fix | None, fix: Fix) -> Box:
    if way is None:
        return Box(fix.lat_e7, fix.lon_e7, fix.lat_e7, fix.lon_e7)
    return Box(min(way.lat_e7, fix.lat_e7), min(way.lon_e7, fix.lon_e7), max(way.lat_e7, fix.lat_e7), max(way.lon_e7, fix.lon_e7))


def _dwell_ms(place: Place, rules: VisitRules) -> int:
    return rules.dwell_ms if place.dwell_s is None else place.dwell_s * 1_000


def _move(stays: dict[str, Stay], place: Place, way: Fix | None, fix: Fix, rules: VisitRules, ended: list[Visit]) -> None:
    """Bring the stay at one place up to a fix, to which the phone came straight from `way`; None if it is not known how."""
    shape = place.shape
    here = shape.map.xy(fix.lat_e7, fix.lon_e7)
    is_inside, stay = shape.contains(here), stays.get(place.id)
    parts = _parts(place, way, fix) if way is not None else []
    if not parts:
        if is_inside:
            parts = [(fix.at_ms, fix.at_ms)]
        elif stay is None:
            return
    is_away = not is_inside and shape.beyond_m(here) - (fix.accuracy_m or UNKNOWN_ACCURACY_M) > rules.leave_m
    for first_ms, last_ms in parts:
        stay = _come(stay, place, first_ms, rules, ended)
        since_ms = first_ms if stay.is_away else stay.inside_ms  # a moment at the border, between two inside, counts
        stay = Stay(stay.arrived_ms, last_ms, stay.stayed_ms + last_ms - since_ms, is_away=True)
    assert stay is not None
    is_away = is_away or (stay.is_away and not parts)
    if is_away and (fix.at_ms - stay.inside_ms >= rules.leave_ms or stay.stayed_ms < _dwell_ms(place, rules)):
        _leave(stay, place, rules, ended)
        stays.pop(place.id, None)
    else:
        stays[place.id] = stay._replace(is_away=is_away)


def _come(stay: Stay | None, place: Place, at_ms: int, rules: VisitRules, ended: list[Visit]) -> Stay:
    """The stay of a phone that is inside again: the same one if it was away for a short time only, and had not just driven by."""
    if stay is None:
        return Stay(at_ms, at_ms, 0)
    was_visit, is_long_ago = stay.stayed_ms >= _dwell_ms(place, rules), at_ms - stay.inside_ms >= rules.leave_ms
    if (is_long_ago or not was_visit) if stay.is_away else (is_long_ago and not was_visit):
        _leave(stay, place, rules, ended)
        return Stay(at_ms, at_ms, 0)
    return stay


def _leave(stay: Stay, place: Place, rules: VisitRules, ended: list[Visit]) -> None:
    if stay.stayed_ms >= _dwell_ms(place, rules):
        ended.append(Visit(place.id, stay.arrived_ms, stay.inside_ms))


def _parts(place: Place, way: Fix, fix: Fix) -> list[tuple[int, int]]:
    """From when to when the phone was inside on its straight way, at an even speed."""
    xy, took_ms = place.shape.map.xy, fix.at_ms - way.at_ms
    parts = place.shape.parts_inside(xy(way.lat_e7, way.lon_e7), xy(fix.lat_e7, fix.lon_e7))
    return [(way.at_ms + round(first * took_ms), way.at_ms + round(last * took_ms)) for first, last in parts]


# --- the fixes of one phone -------------------------------------------------------------------------------------------------


class Change(NamedTuple):
    """What new fixes change: fixes that are believed now or no longer, visits that are new or end otherwise, and visits that did not happen."""

    fixes: list[Fix]
    dropped_fixes: list[Fix]
    visits: list[Visit]
    dropped_visits: list[Visit]


class Trail:
    """The last fixes of a phone in the order of event time, and the visits that follow from them.

    Of the fixes within `every_ms` the first one stands for all: that does not depend on their arrival either.

    Args:
        fixes: believed fixes, in their order, from some time on.
        stays: at which places the phone was before the first of them.
        visits: the visits that are stored since then, and those stays.
    """

    __slots__ = ("_believed", "_ended", "_fixes", "_start", "_visits", "_walk", "from_ms")

    def __init__(self, from_ms: int, fixes: Iterable[Fix] = (), stays: Mapping[str, Stay] | None = None, visits: Iterable[Visit] = ()) -> None:
        self.from_ms = from_ms
        self._fixes: list[Fix] = list(fixes)
        self._start = Walk(stays=stays or {})
        self._walk: Walk | None = None
        self._ended: list[Visit] = []
        self._believed = set(self._fixes)
        self._visits = {(visit.place, visit.arrived_ms): visit for visit in visits}

    @property
    def newest_ms(self) -> int:
        """The time of the last fix."""
        return self._fixes[-1].at_ms if self._fixes else self.from_ms

    @property
    def there_since_ms(self) -> int | None:
        """When the first of the visits began that have not ended; None if the phone is at no place."""
        return min((visit.arrived_ms for visit in self._visits.values() if visit.left_ms == THERE), default=None)

    def add(self, fixes: Iterable[Fix], places: PlaceIndex, rules: VisitRules) -> Change:
        """Put fixes, none of them older than `from_ms`, where they belong."""
        walk, ended, believed = self._walk, self._ended, set(self._believed)
        for fix in fixes:
            if walk is not None and (not self._fixes or _slot(fix, rules) > _slot(self._fixes[-1], rules)):
                self._fixes.append(fix)
                walk = _go_on(walk, fix, places, rules, ended, believed)
            elif self._insert(fix, rules):
                walk = None
        if walk is None:
            walk, ended, believed = self._start, [], set()
            for fix in self._fixes:
                walk = _go_on(walk, fix, places, rules, ended, believed)
        self._walk, self._ended = walk, ended
        return self._settle(visits_of(walk.stays, places, rules), believed, places, rules)

    def end(self, places: PlaceIndex, rules: VisitRules) -> Change:
        """The phone has said nothing for `gap_max_ms`: it has left wherever it was."""
        walk = self._walk or Walk()
        return self._settle(visits_of(walk.stays, places, rules, is_over=True), self._believed, places, rules)

    def _settle(self, last: list[Visit], believed: set[Fix], places: PlaceIndex, rules: VisitRules) -> Change:
        visits = {(visit.place, visit.arrived_ms): visit for visit in (*self._ended, *last)}
        change = Change(
            sorted(believed - self._believed),
            sorted(self._believed - believed),
            [visit for key, visit in visits.items() if self._visits.get(key) != visit],
            [visit for key, visit in self._visits.items() if key not in visits],
        )
        self._visits, self._believed = visits, believed
        if len(self._fixes) > 2 * rules.fixes_max:
            self._trim(places, rules)
        return change

    def _insert(self, fix: Fix, rules: VisitRules) -> bool:
        """Put a fix among the others, unless another one stands for it. Returns whether it is among them."""
        at = bisect_left(self._fixes, fix)
        slot = _slot(fix, rules)
        if (at and _slot(self._fixes[at - 1], rules) == slot) or (at < len(self._fixes) and self._fixes[at] == fix):
            return False
        if at < len(self._fixes) and _slot(self._fixes[at], rules) == slot:
            self._fixes[at] = fix
        else:
            insort(self._fixes, fix)
        return True

    def _trim(self, places: PlaceIndex, rules: VisitRules) -> None:
        """Let go of the oldest fixes. What happened before the others stays as it is, unless older fixes come."""
        gone = self._fixes[: -rules.fixes_max]
        self._fixes = self._fixes[-rules.fixes_max :]
        ended: list[Visit] = []
        for fix in gone:
            self._start = _go_on(self._start, fix, places, rules, ended, set())
        over = {(visit.place, visit.arrived_ms) for visit in ended}
        self._ended = [visit for visit in self._ended if (visit.place, visit.arrived_ms) not in over]
        self._visits = {key: visit for key, visit in self._visits.items() if key not in over}
        self._believed.difference_update(gone)
        self.from_ms = _slot(self._fixes[0], rules) * max(rules.every_ms, 1)


def _slot(fix: Fix, rules: VisitRules) -> int:
    return fix.at_ms // max(rules.every_ms, 1)


def _go_on(walk: Walk, fix: Fix, places: PlaceIndex, rules: VisitRules, ended: list[Visit], believed: set[Fix]) -> Walk:
    walk, is_believed, over = step(walk, fix, places, rules)
    ended += over
    if is_believed:
        believed.add(fix)
    return walk
