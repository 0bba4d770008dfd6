"""Circles and polygons on the ground: what lies in them, which part of a way leads through them, and which of them overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bridge.domain.geo import E7_M, Circle, Map, Polygon, Shape, Spot, box_of, crossing_edges, distance_m, overlap, touch

BERLIN: Final = Spot(525_000_000, 134_000_000)
laws = settings(derandomize=True, deadline=None, max_examples=60)


def spot(east_m: float, north_m: float, centre: Spot = BERLIN) -> Spot:
    """A spot so many metres from a centre."""
    east_e7 = E7_M * math.cos(math.radians(centre.lat_e7 / 1e7))
    return Spot(centre.lat_e7 + round(north_m / E7_M), centre.lon_e7 + round(east_m / east_e7))


def polygon(*corners: tuple[float, float], hole: Sequence[tuple[float, float]] = ()) -> Polygon:
    """A polygon by its corners, in metres from Berlin."""
    rings = [ring for ring in (corners, hole) if ring]
    return Polygon([[spot(*corner) for corner in (*ring, ring[0])] for ring in rings])


def beyond_m(shape: Shape, at: Spot) -> float:
    return shape.beyond_m(shape.map.xy(*at))


def inside(shape: Shape, start: Spot, end: Spot) -> list[tuple[float, float]]:
    return [(round(first, 3), round(last, 3)) for first, last in shape.parts_inside(shape.map.xy(*start), shape.map.xy(*end))]


SQUARE: Final = ((-100.0, -100.0), (100.0, -100.0), (100.0, 100.0), (-100.0, 100.0))
HORSESHOE: Final = ((-100.0, -100.0), (100.0, -100.0), (100.0, 100.0), (50.0, 100.0), (50.0, -50.0), (-50.0, -50.0), (-50.0, 100.0), (-100.0, 100.0))
FAR: Final = 400.0


# --- distances ----------------------------------------------------------------------------------------------------------------


@laws
@given(st.floats(0, 60), st.floats(-180, 180), st.floats(-25_000, 25_000), st.floats(-25_000, 25_000))
def test_the_flat_map_is_nearly_right_within_fifty_kilometres(lat: float, lon: float, east_m: float, north_m: float) -> None:
    centre = Spot(round(lat * 1e7), round(lon * 1e7))
    there = spot(east_m, north_m, centre)
    flat_m = math.hypot(*Map(centre).xy(*there))
    assert flat_m == pytest.approx(distance_m(centre, there), rel=0.007, abs=1.0)


def test_the_flat_map_reaches_over_the_date_line() -> None:
    x, _ = Map(Spot(0, 1_799_999_000)).xy(0, -1_799_999_000)
    assert x == pytest.approx(2_000 * E7_M)


# --- in and out ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "at", "expected_m"),
    [
        pytest.param(Circle(BERLIN, 50), (0.0, 0.0), -50, id="the middle of a circle"),
        pytest.param(Circle(BERLIN, 50), (80.0, 0.0), 30, id="beside a circle"),
        pytest.param(polygon(*SQUARE), (0.0, 0.0), -100, id="the middle of a square"),
        pytest.param(polygon(*SQUARE), (130.0, 140.0), 50, id="off the corner of a square"),
        pytest.param(polygon(*HORSESHOE), (0.0, 0.0), 50, id="between the arms of a horseshoe"),
        pytest.param(polygon(*HORSESHOE), (75.0, 50.0), -25, id="in an arm of a horseshoe"),
        pytest.param(polygon(*SQUARE, hole=[(-20, -20), (20, -20), (20, 20), (-20, 20)]), (0.0, 0.0), 20, id="in the hole of a square"),
    ],
)
def test_how_far_outside_of_a_shape_a_point_is(shape: Shape, at: tuple[float, float], expected_m: float) -> None:
    assert beyond_m(shape, spot(*at)) == pytest.approx(expected_m, abs=0.1)


@pytest.mark.parametrize(
    ("shape", "start", "end", "parts"),
    [
        pytest.param(Circle(BERLIN, 100), (-FAR, 0), (FAR, 0), [(0.375, 0.625)], id="through a circle"),
        pytest.param(Circle(BERLIN, 100), (-FAR, 101), (FAR, 101), [], id="past a circle"),
        pytest.param(Circle(BERLIN, 100), (0, 0), (0, FAR), [(0.0, 0.25)], id="out of a circle"),
        pytest.param(Circle(BERLIN, 100), (10, 0), (20, 0), [(0.0, 1.0)], id="inside of a circle"),
        pytest.param(Circle(BERLIN, 100), (10, 0), (10, 0), [], id="a stand in a circle is no way"),
        pytest.param(polygon(*SQUARE), (-FAR, 10), (FAR, 10), [(0.375, 0.625)], id="through a square"),
        pytest.param(polygon(*SQUARE), (-FAR, 10), (0, 10), [(0.75, 1.0)], id="into a square"),
        pytest.param(polygon(*SQUARE), (-50, 10), (50, 10), [(0.0, 1.0)], id="inside of a square"),
        pytest.param(polygon(*SQUARE), (-FAR, 200), (FAR, 200), [], id="past a square"),
        pytest.param(polygon(*SQUARE), (-200, -200), (200, 200), [(0.25, 0.75)], id="through two corners of a square"),
        pytest.param(polygon(*HORSESHOE), (-FAR, 20), (FAR, 20), [(0.375, 0.438), (0.562, 0.625)], id="through both arms of a horseshoe"),
    ],
)
def test_which_part_of_a_way_lies_in_a_shape(shape: Shape, start: tuple[float, float], end: tuple[float, float], parts: list[tuple[float, float]]) -> None:
    assert inside(shape, spot(*start), spot(*end)) == [pytest.approx(part, abs=0.002) for part in parts]


around = st.floats(-300, 300)
shapes = st.sampled_from([Circle(BERLIN, 100), polygon(*SQUARE), polygon(*HORSESHOE)])


@laws
@given(shapes, around, around, around, around, st.floats(0, 1))
def test_a_way_is_inside_where_its_points_are(shape: Shape, x_1: float, y_1: float, x_2: float, y_2: float, along: float) -> None:
    start, end = shape.map.xy(*spot(x_1, y_1)), shape.map.xy(*spot(x_2, y_2))
    at = (start[0] + along * (end[0] - start[0]), start[1] + along * (end[1] - start[1]))
    away_m = shape.beyond_m(at)
    assume(abs(away_m) > 0.5 and math.dist(start, end) > 1)
    parts = shape.parts_inside(start, end)
    assert any(first <= along <= last for first, last in parts) is (away_m < 0)
    assert parts == sorted(parts)
    assert all(0 <= first < last <= 1 for first, last in parts)


@laws
@given(shapes, around, around)
def test_a_point_is_inside_or_beyond_the_border(shape: Shape, x: float, y: float) -> None:
    at = shape.map.xy(*spot(x, y))
    away_m = shape.beyond_m(at)
    assume(abs(away_m) > 0.01)
    assert shape.contains(at) is (away_m < 0)


@laws
@given(shapes, around, around, around, around)
def test_there_and_back_are_the_same_way(shape: Shape, x_1: float, y_1: float, x_2: float, y_2: float) -> None:
    start, end = shape.map.xy(*spot(x_1, y_1)), shape.map.xy(*spot(x_2, y_2))
    back = [(1 - last, 1 - first) for first, last in reversed(shape.parts_inside(end, start))]
    there = shape.parts_inside(start, end)
    assert sum(last - first for first, last in there) == pytest.approx(sum(last - first for first, last in back), abs=1e-6)


@laws
@given(shapes, around, around)
def test_no_point_is_nearer_to_a_shape_than_it_says(shape: Shape, x: float, y: float) -> None:
    at = shape.map.xy(*spot(x, y))
    nearest = min(math.dist(at, shape.map.xy(*corner)) for corner in shape.outline())
    assert abs(shape.beyond_m(at)) <= nearest + 0.1
    assert shape.beyond_m(shape.map.xy(*shape.inner())) < 0


# --- two shapes ---------------------------------------------------------------------------------------------------------------


def square(east_m: float, north_m: float, half_m: float = 100.0) -> Polygon:
    return polygon(*((east_m + x * half_m, north_m + y * half_m) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(square(0, 0), square(150, 0), True, id="they cut each other"),
        pytest.param(square(0, 0), square(200, 0), False, id="they have a border in common"),
        pytest.param(square(0, 0), square(250, 0), False, id="they lie apart"),
        pytest.param(square(0, 0), square(0, 0), True, id="they are the same"),
        pytest.param(square(0, 0), square(0, 0, 20), True, id="one lies in the other"),
        pytest.param(square(0, 0), Circle(spot(130, 0), 50), True, id="a circle reaches into a square"),
        pytest.param(square(0, 0), Circle(BERLIN, 500), True, id="a circle around a square"),
        pytest.param(Circle(BERLIN, 100), Circle(spot(190, 0), 100), True, id="two circles"),
        pytest.param(Circle(BERLIN, 100), Circle(spot(210, 0), 100), False, id="two circles apart"),
        pytest.param(polygon(*HORSESHOE), square(0, 50, 40), False, id="between the arms of a horseshoe"),
        pytest.param(polygon((-100, 20), (100, 20), (100, -20), (-100, -20)), polygon((-20, 100), (20, 100), (20, -100), (-20, -100)), True, id="a cross"),
    ],
)
def test_shapes_overlap_if_they_share_more_than_a_border(one: Shape, other: Shape, expected: bool) -> None:
    assert overlap(one, other) is expected
    assert overlap(other, one) is expected
    assert touch(one.box(), other.box()) or not expected


# --- rings --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("corners", "crossing"),
    [
        pytest.param(SQUARE, None, id="a square"),
        pytest.param(HORSESHOE, None, id="a horseshoe"),
        pytest.param(((0, 0), (100, 100), (100, 0), (0, 100)), (0, 2), id="a bow tie"),
        pytest.param(((0, 0), (100, 0), (100, 100), (50, 0), (0, 100)), (0, 2), id="a corner that touches an edge"),
        pytest.param(((0, 0), (100, 0), (50, 0)), (0, 1), id="a line there and back"),
        pytest.param(((0, 0), (100, 0), (200, 0), (100, 100)), None, id="a corner on a straight edge"),
    ],
)
def test_a_ring_that_crosses_itself_is_found(corners: Sequence[tuple[float, float]], crossing: tuple[int, int] | None) -> None:
    assert crossing_edges([spot(*corner) for corner in (*corners, corners[0])]) == crossing


@laws
@given(st.lists(st.tuples(st.integers(0, 359), st.integers(50, 300)), min_size=3, max_size=12, unique_by=lambda corner: corner[0]))
def test_a_star_never_crosses_itself(rays: list[tuple[int, int]]) -> None:
    turns = sorted(rays)
    assume(max((b - a) % 360 for (a, _), (b, _) in zip(turns, [*turns[1:], turns[0]], strict=True)) < 170)
    ring = [spot(length * math.cos(math.radians(turn)), length * math.sin(math.radians(turn))) for turn, length in turns]
    assert crossing_edges([*ring, ring[0]]) is None
    shape = Polygon([[*ring, ring[0]]])
    assert shape.box() == box_of(ring)
    assert beyond_m(shape, BERLIN) < 0
