"""When a phone was at a place: the same fixes give the same visits however they arrive, no noise at a border makes two of one, and no fast van is missed."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Final

import pytest
from helpers.drives import NOON_MS, circle, drive, fix, in_batches, spot
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.places import Place, PlaceIndex, PlaceKind
from bridge.domain.positions import AGREEING, Fix
from bridge.domain.visits import THERE, Trail, Visit, VisitRules

HUB: Final = circle()
RULES: Final = VisitRules(every_ms=0, fixes_max=10_000)
laws = settings(derandomize=True, deadline=None, max_examples=40)
seeds = st.integers(0, 10_000).map(Random)


def visits(batches: Iterable[Iterable[Fix]], *places: Place, rules: VisitRules = RULES) -> list[Visit]:
    """The visits that the changes of all batches leave."""
    index, trail, stored = PlaceIndex(places or [HUB]), Trail(0), {}
    for batch in batches:
        change = trail.add(batch, index, rules)
        for visit in change.dropped_visits:
            del stored[(visit.place, visit.arrived_ms)]
        stored |= {(visit.place, visit.arrived_ms): visit for visit in change.visits}
    return sorted(stored.values())


def seconds(found: Iterable[Visit]) -> list[tuple[str, float, float | None]]:
    """(place, arrived, left) in seconds after noon; None for who has not left."""
    return [(v.place, (v.arrived_ms - NOON_MS) / 1_000, None if v.left_ms == THERE else (v.left_ms - NOON_MS) / 1_000) for v in found]


def each(fixes: Iterable[Fix]) -> list[list[Fix]]:
    return [[one] for one in fixes]


def at(*points: tuple[float, float], accuracy_m: int = 8) -> list[Fix]:
    """Fixes at (seconds after noon, metres to the east of the hub)."""
    return [fix(after_s, east_m, accuracy_m=accuracy_m) for after_s, east_m in points]


def stand(from_s: int, to_s: int, east_m: float = 0.0, every_s: int = 10) -> list[tuple[float, float]]:
    return [(s, east_m) for s in range(from_s, to_s + 1, every_s)]


# --- one visit ----------------------------------------------------------------------------------------------------------------


def test_a_phone_comes_stays_and_leaves() -> None:
    """From 300 m away to the hub within 20 s, which it enters at 75 m; back the same way a good two minutes later."""
    way = [(0, -300), (20, 0), *stand(30, 150), (170, 300), *stand(180, 600, 1_000)]
    (visit,) = seconds(visits(each(at(*way))))
    assert visit == ("hub", pytest.approx(15, abs=0.1), pytest.approx(155, abs=0.1))


def test_a_phone_that_has_not_left_is_there() -> None:
    assert seconds(visits(each(at((0, -300), (20, 0), *stand(30, 90))))) == [("hub", pytest.approx(15, abs=0.1), None)]


def test_a_visit_is_not_there_before_its_dwell_time_is_over() -> None:
    way = at((0, -300), (20, 0), *stand(30, 140))
    assert [len(visits(each(way[:count]))) for count in (2, 6, 7, 8, 10)] == [0, 0, 0, 1, 1], "75 s after noon it was inside for 60 s"


def test_a_van_that_drives_by_was_not_there() -> None:
    assert visits(each(at(*((s, -500 + 12 * s) for s in range(0, 100, 5))))) == []


@pytest.mark.parametrize("kind", [PlaceKind.ZONE, PlaceKind.STATION])
def test_where_driving_through_counts_a_fast_van_between_two_fixes_was_there(kind: PlaceKind) -> None:
    """No fix is inside: 25 m/s, and one every 20 s. The way between two of them leads 150 m through the place."""
    gate = circle("gate", kind=kind, dwell_s=0)
    found = visits(each(at(*((s, -750 + 25 * s) for s in range(0, 800, 20)))), gate)
    assert seconds(found) == [("gate", pytest.approx(27, abs=0.1), pytest.approx(33, abs=0.1))]


def test_a_slow_crossing_between_two_fixes_is_a_visit_of_its_own_length() -> None:
    way = [(0, -100), (110, 100), *stand(120, 600, 5_000, 60)]
    (visit,) = seconds(visits(each(at(*way))))
    assert visit[1:] == (pytest.approx(13.75, abs=0.1), pytest.approx(96.25, abs=0.1))


def test_of_a_way_that_took_too_long_nobody_knows_where_it_led() -> None:
    way = [(0, -100), (130, 100), *stand(140, 600, 5_000, 60)]
    assert visits(each(at(*way))) == []


def test_each_place_counts_by_itself() -> None:
    zone = circle("north", radius_m=2_000, kind=PlaceKind.ZONE)
    way = [(0, -1_000), (60, 0), *stand(70, 200), (230, 1_000), (260, 3_000), *stand(270, 900, 3_000, 60)]
    assert [visit[0] for visit in seconds(visits(each(at(*way)), HUB, zone))] == ["hub", "north"]


# --- the border ---------------------------------------------------------------------------------------------------------------


def test_noise_at_the_border_is_no_second_visit() -> None:
    """The phone lies 70 m from the middle of the hub, 5 m inside, and its fixes stray 30 m around it for an hour."""
    chance = Random(1)
    fixes = [fix(s, 70 + chance.uniform(-30, 30), chance.uniform(-30, 30)) for s in range(0, 3_600, 10)]
    assert len(visits(each(fixes))) == 1


def test_around_the_corner_and_back_is_the_same_visit() -> None:
    way = [*stand(0, 120), *stand(130, 400, 250), *stand(410, 500), *stand(520, 1_200, 900)]
    ((_, arrived_s, left_s),) = seconds(visits(each(at(*way))))
    assert (arrived_s, left_s) == (0, pytest.approx(502, abs=1))


def test_who_stays_away_longer_comes_again() -> None:
    way = [*stand(0, 120), *stand(130, 460, 700), *stand(470, 600)]
    assert [s[1:] for s in seconds(visits(each(at(*way))))] == [(0, pytest.approx(121, abs=1)), (pytest.approx(469, abs=1), None)]


def test_who_drove_by_and_stops_the_second_time_came_the_second_time() -> None:
    way = [(0, -300), (20, 300), (60, 300), (80, 0), *stand(90, 200)]
    ((_, arrived_s, _),) = seconds(visits(each(at(*way))))
    assert arrived_s == pytest.approx(75, abs=0.1)


@pytest.mark.parametrize(("accuracy_m", "expected"), [(8, 2), (0, 2), (90, 1), (101, 1)])
def test_a_fix_that_is_not_accurate_enough_takes_nobody_away(accuracy_m: int, expected: int) -> None:
    """Fixes 150 m from the hub: away from it, unless they may as well be at its border. 0: the receiver does not say."""
    outside = at(*stand(130, 460, 150), accuracy_m=accuracy_m)
    assert len(visits(each([*at(*stand(0, 120)), *outside, *at(*stand(470, 600))]))) == expected


@laws
@given(seeds, st.integers(70, 1_200))
def test_a_stop_is_one_visit_whatever_the_noise(chance: Random, stay_s: int) -> None:
    fixes = drive(chance, stay_s=stay_s)
    found = visits(each(fixes))
    assert len(found) == 1
    arrives_s = 900 / 9
    assert abs(seconds(found)[0][1] - (arrives_s - 75 / 9)) < 15


@laws
@given(seeds, st.integers(120, 600))
def test_a_tunnel_on_the_way_changes_no_visit(chance: Random, stay_s: int) -> None:
    fixes = drive(chance, stay_s=stay_s)
    from_ms = NOON_MS + chance.randrange(0, stay_s) * 1_000
    heard = [f for f in fixes if not from_ms < f.at_ms < from_ms + 60_000]
    assert len(visits(each(heard))) == len(visits(each(fixes))) == 1


# --- the order of arrival -----------------------------------------------------------------------------------------------------


@settings(laws, max_examples=15)
@given(seeds, st.sampled_from([0, 10_000]))
def test_the_same_fixes_in_any_batches_and_any_order_give_the_same_visits(chance: Random, every_ms: int) -> None:
    rules = RULES._replace(every_ms=every_ms)
    places = (HUB, circle("gate", 400, dwell_s=0), circle("north", radius_m=3_000, kind=PlaceKind.ZONE))
    fixes = drive(chance, stay_s=chance.randint(0, 300))
    for n in chance.sample(range(len(fixes)), 5):
        fixes[n] = fix((fixes[n].at_ms - NOON_MS) / 1_000, chance.uniform(-1e5, 1e5), chance.uniform(-1e5, 1e5))  # where no van can be
    expected = visits(each(fixes), *places, rules=rules)
    assert visits([fixes], *places, rules=rules) == expected
    assert visits(in_batches(fixes, chance), *places, rules=rules) == expected
    assert visits(each(reversed(fixes)), *places, rules=rules) == expected
    assert visits(in_batches([*fixes, *fixes], chance), *places, rules=rules) == expected, "fixes that come twice change nothing"


@laws
@given(seeds)
def test_trails_that_let_go_of_old_fixes_say_the_same(chance: Random) -> None:
    fixes = drive(chance, stay_s=900)
    assert visits(each(fixes), rules=RULES._replace(fixes_max=3)) == visits(each(fixes))


def test_a_backlog_repairs_the_visit_that_was_missed() -> None:
    """The phone was without signal for half an hour, in which it was at the hub for ten minutes. What it says first is where it is now."""
    before, backlog, after = at((0, -2_000)), at((300, -300), *stand(320, 900), (940, 600)), at(*stand(1_800, 1_900, 5_000))
    index, trail = PlaceIndex([HUB]), Trail(0)
    assert trail.add(before, index, RULES).visits == []
    assert trail.add(after, index, RULES).visits == []
    repaired = trail.add(backlog, index, RULES)
    assert [visit[0] for visit in seconds(repaired.visits)] == ["hub"]
    assert repaired.dropped_visits == []


def test_a_late_fix_can_take_a_visit_back() -> None:
    """Two fixes at the hub, a minute apart: the one between them was a kilometre away."""
    index, trail = PlaceIndex([HUB]), Trail(0)
    (visit,) = trail.add(at((0, 0), (65, 0)), index, RULES).visits
    assert trail.add(at((30, 1_000)), index, RULES).dropped_visits == [visit]


# --- what is not believed -----------------------------------------------------------------------------------------------------


def test_a_jump_to_a_place_is_no_visit_unless_two_more_fixes_confirm_it() -> None:
    far = [fix(s, 500_000) for s in range(0, 60, 10)]
    for agreeing in range(1, AGREEING + 2):
        jumped = [fix(60 + 30 * n, 0) for n in range(agreeing)]
        index, trail = PlaceIndex([circle(dwell_s=0)]), Trail(0)
        change = trail.add([*far, *jumped], index, RULES)
        assert len(change.visits) == (agreeing >= AGREEING)
        assert len(change.fixes) == len(far) + max(0, agreeing - AGREEING + 1)


def test_between_two_fixes_that_are_far_apart_after_a_jump_no_way_is_straight() -> None:
    gate = circle("gate", 250_000, dwell_s=0)
    assert visits(each([fix(0, 0), *(fix(s, 500_000) for s in (10, 20, 30, 40))]), gate) == []


# --- silence ------------------------------------------------------------------------------------------------------------------


def test_a_phone_whose_battery_was_empty_for_a_while_was_there_all_the_time() -> None:
    way = [*stand(0, 120), *stand(2_400, 2_500)]
    assert seconds(visits(each(at(*way)))) == [("hub", 0, None)]


def test_after_a_long_silence_it_is_another_visit() -> None:
    way = [*stand(0, 120), *stand(3_800, 3_900)]
    assert seconds(visits(each(at(*way)))) == [("hub", 0, 120), ("hub", 3_800, None)]


def test_a_phone_that_fell_silent_has_left_when_it_was_last_heard_inside() -> None:
    index, trail = PlaceIndex([HUB]), Trail(0)
    (visit,) = trail.add(at(*stand(0, 120)), index, RULES).visits
    assert trail.there_since_ms == visit.arrived_ms
    assert trail.end(index, RULES).visits == [visit._replace(left_ms=NOON_MS + 120_000)]
    assert trail.there_since_ms is None


# --- what is stored -----------------------------------------------------------------------------------------------------------


@laws
@given(seeds)
def test_of_the_fixes_in_ten_seconds_the_first_is_stored_whatever_their_order(chance: Random) -> None:
    rules, fixes = RULES._replace(every_ms=10_000), drive(chance, stay_s=60, every_s=3)
    index, trail, stored = PlaceIndex(), Trail(0), set()
    for batch in in_batches(fixes, chance):
        change = trail.add(batch, index, rules)
        stored.difference_update(change.dropped_fixes)
        stored.update(change.fixes)
    assert sorted(stored) == [f for n, f in enumerate(fixes) if n == 0 or f.at_ms // 10_000 != fixes[n - 1].at_ms // 10_000]


def test_places_are_found_by_squares_of_the_map() -> None:
    places = [circle(f"p{n}", 700 * n) for n in range(200)]
    index = PlaceIndex([*places, circle("zone", 70_000, 20_000)])
    assert {place.id for place in index.near(places[100].box)} == {"p100", "zone"}
    lat, lon = spot(300)
    assert [place.id for place in index.near(places[0].box._replace(south=lat, north=lat, west=lon, east=lon))] == []
