"""Where couriers' phones were, at intervals, and the visits to places that follow from it.

A batch only collects the fixes of each phone; at its end, those of one phone are folded at once (`domain/visits.py`). The last fixes of each phone are in
memory, so that the store is asked only for a phone that was not heard of for long, or sends a backlog that goes farther back.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from bridge.domain.positions import Fix
from bridge.domain.visits import THERE, Change, Trail, Visit, seed_of
from bridge.ingest.batch import Batch, LocationHeard
from bridge.ingest.items import ShutOut
from bridge.ingest.places import PLACES
from bridge.ingest.ports import AtLeast, Transaction
from bridge.ingest.relation import Deletion, Origin, Relation
from bridge.ingest.seam import Quiet

SWEEP_DEVICES_READ_MAX: Final = 200
"""Phones of which one sweep reads what is stored, to see whether they have fallen silent at a place: after a start, it is in memory of none."""


class PositionRow(NamedTuple):
    """Where a phone was: degrees times 10^7, metres."""

    device: str
    event_ms: int
    lat_e7: int
    lon_e7: int
    accuracy_m: int


class VisitRow(NamedTuple):
    """A phone was at a place; `left_ms` is 0 as long as it has not left."""

    device: str
    place: str
    arrived_ms: int
    left_ms: int


POSITIONS: Final = Relation(
    name="positions", row=PositionRow, key=("device", "event_ms"), origin=Origin.KEPT, indexes=(("event_ms",),), note="where couriers' phones were"
)
POSITIONS_GONE: Final = Deletion(POSITIONS, ("device",))
POSITION_GONE: Final = Deletion(POSITIONS, ("device", "event_ms"))
VISITS: Final = Relation(
    name="visits",
    row=VisitRow,
    key=("device", "place", "arrived_ms"),
    origin=Origin.KEPT,
    indexes=(("arrived_ms",), ("left_ms",)),
    note="from the positions: when couriers' phones were at places",
)
VISITS_GONE: Final = Deletion(VISITS, ("device",))
VISIT_GONE: Final = Deletion(VISITS, ("device", "place", "arrived_ms"))


class Visits(Quiet):
    """Stores the fixes of couriers' phones at intervals, and their visits. See the module's docstring."""

    relations = (POSITIONS, VISITS, PLACES)
    hears = frozenset({LocationHeard, ShutOut})

    def __init__(self) -> None:
        self._heard: dict[str, list[Fix]] = {}
        self._there: dict[str, int] = {}
        """The phones that are at a place: when the first of these visits began."""

    def load(self, tx: Transaction) -> None:
        self._there = {}
        for row in tx.rows(VISITS, left_ms=THERE):
            self._there[row.device] = min(row.arrived_ms, self._there.get(row.device, row.arrived_ms))

    def forget(self) -> None:
        self._heard.clear()
        self._there.clear()

    def rule(self, heard: LocationHeard | ShutOut, batch: Batch) -> None:
        if isinstance(heard, LocationHeard):
            self._heard.setdefault(heard.identity.device, []).extend(heard.dated)
            return
        self._heard.pop(heard.device, None)
        self._there.pop(heard.device, None)
        for gone in (POSITIONS_GONE, VISITS_GONE):
            batch.writes.delete(gone, heard.device)
        batch.device(heard.device).trail = Trail(0)

    def finish(self, batch: Batch) -> None:
        if not self._heard:
            return
        places, rules = batch.memory.places.index(batch.tx), batch.rules.visits
        for device, fixes in self._heard.items():
            entry, first_ms = batch.device(device), min(fix.at_ms for fix in fixes)
            trail = entry.trail
            if trail is None or first_ms < trail.from_ms:
                trail = entry.trail = _trail_from(device, first_ms, batch)
            self._write(device, trail, trail.add(fixes, places, rules), batch)
        self._heard.clear()

    def _write(self, device: str, trail: Trail, change: Change, batch: Batch) -> None:
        writes = batch.writes
        writes.rows(POSITIONS).extend(PositionRow(device, *fix) for fix in change.fixes)
        for fix in change.dropped_fixes:
            writes.delete(POSITION_GONE, device, fix.at_ms)
        writes.rows(VISITS).extend(VisitRow(device, *visit) for visit in change.visits)
        for visit in change.dropped_visits:
            writes.delete(VISIT_GONE, device, visit.place, visit.arrived_ms)
        if (since_ms := trail.there_since_ms) is None:
            self._there.pop(device, None)
        else:
            self._there[device] = since_ms

    def sweep(self, batch: Batch) -> None:
        """End the visits of phones that have fallen silent, and delete what was kept long enough."""
        if batch.is_replay:
            return  # the log knows of no phone
        if self._there:
            self._end_the_silent(batch)
        keep_from_ms = batch.now_ms - batch.rules.positions_keep_ms
        batch.tx.drop_before(POSITIONS, "event_ms", keep_from_ms)
        batch.tx.drop_before(VISITS, "arrived_ms", keep_from_ms)

    def _end_the_silent(self, batch: Batch) -> None:
        places, rules = batch.memory.places.index(batch.tx), batch.rules.visits
        silent_ms, read = batch.now_ms - rules.gap_max_ms, 0
        for device, since_ms in list(self._there.items()):
            entry = batch.device(device)
            if entry.trail is None:
                if read == SWEEP_DEVICES_READ_MAX:
                    break
                read += 1
                entry.trail = _trail_from(device, since_ms, batch)
                self._write(device, entry.trail, entry.trail.add((), places, rules), batch)
            if entry.trail.newest_ms < silent_ms:
                self._write(device, entry.trail, entry.trail.end(places, rules), batch)


def _trail_from(device: str, first_ms: int, batch: Batch) -> Trail:
    """What is stored of a phone, from long enough before a time that nothing before it matters, except at which places it was."""
    rules, tx, places = batch.rules.visits, batch.tx, batch.memory.places.index(batch.tx)
    from_ms = first_ms - rules.gap_max_ms
    earliest = AtLeast(from_ms - rules.gap_max_ms)
    visits = [Visit(*row[1:]) for row in (*tx.rows(VISITS, device=device, left_ms=earliest), *tx.rows(VISITS, device=device, left_ms=THERE))]
    # The way out of a place is among the fixes whole, or not at all.
    while split := [visit.left_ms for visit in visits if visit.arrived_ms < from_ms <= visit.left_ms <= from_ms + rules.crossing_max_ms]:
        from_ms = min(split) - rules.crossing_max_ms - 1
    visits = [visit for visit in visits if visit.left_ms == THERE or visit.left_ms >= from_ms]
    for visit in [visit for visit in visits if visit.place not in places.by_id]:  # the place was removed: what happened there did happen
        visits.remove(visit)
        if visit.left_ms == THERE:
            batch.writes.rows(VISITS).append(VisitRow(device, visit.place, visit.arrived_ms, max(visit.arrived_ms, from_ms)))
    before = [visit for visit in visits if visit.arrived_ms < from_ms]
    fixes = _fixes(device, from_ms, tx)
    if before and not any(fix.at_ms < first_ms for fix in fixes):
        # The phone was silent for so long that the visits have ended. What it said at the places tells when.
        from_ms = min(visit.arrived_ms for visit in before) - rules.leave_ms
        fixes, before = _fixes(device, from_ms, tx), []
    return Trail(from_ms, fixes, {visit.place: seed_of(visit, places, rules, from_ms) for visit in before}, visits)


def _fixes(device: str, from_ms: int, tx: Transaction) -> list[Fix]:
    return [Fix(*row[1:]) for row in tx.rows(POSITIONS, device=device, event_ms=AtLeast(from_ms))]
