"""Distances and shapes on the ground: where a point lies to a circle or a polygon, and which parts of a way lead through it.

A shape is worked with on a flat map around its own centre: a degree of longitude is taken to be as long everywhere in it as at its middle. Within 50 km
(`SPAN_KM_MAX`) that is wrong by less than a receiver is: up to 60° of latitude, by 0.7 % of the distance from the centre in the corners. Points are
(latitude, longitude) in degrees times 10^7, and (x, y) in metres to the east and to the north of the centre.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain, pairwise
from math import asin, cos, hypot, isqrt, radians, sin, sqrt
from typing import Final, NamedTuple

EARTH_M: Final = 6_371_008.8
E7_M: Final = EARTH_M * radians(1e-7)
"""Metres in 10^-7 degrees of a meridian."""
SPAN_KM_MAX: Final = 50
"""How large a shape may be, from border to border."""
HALF_TURN_E7: Final = 1_800_000_000
TURN_E7: Final = 3_600_000_000
TOUCH_M: Final = 1.0
"""Shapes that share less than this, such as a border, do not overlap."""

Xy = tuple[float, float]


class Spot(NamedTuple):
    """A place on the earth, in degrees times 10^7."""

    lat_e7: int
    lon_e7: int


class Box(NamedTuple):
    """The smallest rectangle of parallels and meridians around something, in degrees times 10^7."""

    south: int
    west: int
    north: int
    east: int


def distance_m(one: Spot, other: Spot) -> float:
    """The distance of two spots along the surface of the earth, taken as a sphere (haversine)."""
    lat_1, lat_2 = radians(one.lat_e7 / 1e7), radians(other.lat_e7 / 1e7)
    half_lat, half_lon = (lat_2 - lat_1) / 2, radians((other.lon_e7 - one.lon_e7) / 1e7) / 2
    return 2 * EARTH_M * asin(min(1.0, sqrt(sin(half_lat) ** 2 + cos(lat_1) * cos(lat_2) * sin(half_lon) ** 2)))


class Map:
    """A flat map around a spot."""

    __slots__ = ("_east_m", "centre")

    def __init__(self, centre: Spot) -> None:
        self.centre = centre
        self._east_m = E7_M * cos(radians(centre.lat_e7 / 1e7))

    def xy(self, lat_e7: int, lon_e7: int) -> Xy:
        """Where a spot is on the map, in metres. The shorter way round the earth counts."""
        east_e7 = (lon_e7 - self.centre.lon_e7 + HALF_TURN_E7) % TURN_E7 - HALF_TURN_E7
        return east_e7 * self._east_m, (lat_e7 - self.centre.lat_e7) * E7_M

    def box(self, half_width_m: float, half_height_m: float) -> Box:
        """The box around the centre that reaches so far in each direction."""
        east_e7, north_e7 = round(half_width_m / self._east_m), round(half_height_m / E7_M)
        lat, lon = self.centre
        return Box(lat - north_e7, lon - east_e7, lat + north_e7, lon + east_e7)


class Circle:
    """A circle around the centre of its map."""

    __slots__ = ("map", "radius_m")

    def __init__(self, centre: Spot, radius_m: float) -> None:
        self.map = Map(centre)
        self.radius_m = radius_m

    def contains(self, at: Xy) -> bool:
        """Whether a point is inside, or on the border."""
        return hypot(*at) <= self.radius_m

    def beyond_m(self, at: Xy) -> float:
        """How far outside of the border a point is, in metres; negative if it is inside."""
        return hypot(*at) - self.radius_m

    def parts_inside(self, start: Xy, end: Xy) -> list[tuple[float, float]]:
        """Which parts of a straight way lie inside: from 0 (its start) to 1 (its end), in their order."""
        (x, y), dx, dy = start, end[0] - start[0], end[1] - start[1]
        square = dx * dx + dy * dy
        if square == 0.0:
            return []
        half = -(x * dx + y * dy) / square
        root = half * half - (x * x + y * y - self.radius_m * self.radius_m) / square
        if root <= 0.0:
            return []
        first, last = max(0.0, half - sqrt(root)), min(1.0, half + sqrt(root))
        return [(first, last)] if first < last else []

    def outline(self) -> list[Spot]:
        """Spots on its border, a few degrees apart."""
        lat, lon = self.map.centre
        east_m = E7_M * cos(radians(lat / 1e7))
        turns = [radians(5 * n) for n in range(72)]
        return [Spot(lat + round(self.radius_m * sin(turn) / E7_M), lon + round(self.radius_m * cos(turn) / east_m)) for turn in turns]

    def inner(self) -> Spot:
        """A spot inside, as far from the border as is easy to find."""
        return self.map.centre

    def box(self) -> Box:
        return self.map.box(self.radius_m, self.radius_m)


class Polygon:
    """A ring of spots and any number of holes in it. The last spot of each is its first."""

    __slots__ = ("_band_m", "_bands", "_edges", "_rings", "_south_m", "map")

    def __init__(self, rings: Sequence[Sequence[Spot]]) -> None:
        box = box_of(rings[0])
        self.map = Map(Spot((box.south + box.north) // 2, (box.west + box.east) // 2))
        self._rings = rings
        self._edges = tuple(edge for ring in rings for edge in pairwise(self.map.xy(*spot) for spot in ring))
        # Most questions are about one parallel, or a few: the edges lie ready in bands from south to north. An edge may be in all of them, so they are few.
        ends = [y for edge in self._edges for _, y in edge]
        self._south_m = min(ends)
        self._band_m = max((max(ends) - self._south_m) / isqrt(4 * len(self._edges)), TOUCH_M)
        self._bands: list[list[tuple[Xy, Xy]]] = [[] for _ in range(self._band_of(max(ends)) + 1)]
        for edge in self._edges:
            (_, y_1), (_, y_2) = edge
            for band in range(self._band_of(min(y_1, y_2)), self._band_of(max(y_1, y_2)) + 1):
                self._bands[band].append(edge)

    def _band_of(self, y: float) -> int:
        return int((y - self._south_m) // self._band_m)

    def _edges_between(self, y_1: float, y_2: float) -> Iterable[tuple[Xy, Xy]]:
        """The edges that may have a point between two parallels; some of them twice."""
        first, last = max(0, self._band_of(min(y_1, y_2))), self._band_of(max(y_1, y_2))
        return chain.from_iterable(self._bands[first : last + 1]) if last >= 0 else ()

    def beyond_m(self, at: Xy) -> float:
        """How far outside of the border a point is, in metres; negative if it is inside."""
        away_m = min(_distance_to(at, *edge) for edge in self._edges)
        return -away_m if self.contains(at) else away_m

    def contains(self, at: Xy) -> bool:
        """Whether a ray to the east crosses the border an odd number of times. A hole is a border, too."""
        x, y = at
        is_inside = False
        for (x_1, y_1), (x_2, y_2) in self._edges_between(y, y):
            if (y_1 > y) is not (y_2 > y) and x < x_1 + (x_2 - x_1) * (y - y_1) / (y_2 - y_1):
                is_inside = not is_inside
        return is_inside

    def parts_inside(self, start: Xy, end: Xy) -> list[tuple[float, float]]:
        """Which parts of a straight way lie inside: from 0 (its start) to 1 (its end), in their order."""
        cuts = sorted({0.0, 1.0, *(cut for edge in self._edges_between(start[1], end[1]) if (cut := _cut(start, end, *edge)) is not None)})
        parts: list[tuple[float, float]] = []
        for first, last in pairwise(cuts):
            middle = (first + last) / 2
            if self.contains((start[0] + middle * (end[0] - start[0]), start[1] + middle * (end[1] - start[1]))):
                if parts and parts[-1][1] == first:
                    first, _ = parts.pop()
                parts.append((first, last))
        return parts

    def outline(self) -> list[Spot]:
        """The spots of its rings."""
        return [spot for ring in self._rings for spot in ring]

    def inner(self) -> Spot:
        """A spot inside, as far from the border as is easy to find: in the middle of the longest chord along the parallel of its centre."""
        box = box_of(self._rings[0])
        lat_e7 = self.map.centre.lat_e7
        parts = self.parts_inside(self.map.xy(lat_e7, box.west), self.map.xy(lat_e7, box.east))
        first, last = max(parts, key=lambda part: part[1] - part[0], default=(0.0, 0.0))
        return Spot(lat_e7, box.west + round((first + last) / 2 * (box.east - box.west)))

    def box(self) -> Box:
        return box_of(self._rings[0])


Shape = Circle | Polygon


def box_of(spots: Iterable[Spot]) -> Box:
    """The box around some spots."""
    lats, lons = zip(*spots, strict=True)
    return Box(min(lats), min(lons), max(lats), max(lons))


def touch(one: Box, other: Box) -> bool:
    """Whether two boxes have a point in common."""
    return one.south <= other.north and other.south <= one.north and one.west <= other.east and other.west <= one.east


def overlap(one: Shape, other: Shape) -> bool:
    """Whether two shapes share more than a border."""
    return _reaches_into(one, other) or _reaches_into(other, one)


def crossing_edges(ring: Sequence[Spot]) -> tuple[int, int] | None:
    """The first two edges of a ring that cross or touch beside their common end, counted from 0; None if it is simple."""
    flat = Map(ring[0])
    points = [flat.xy(*spot) for spot in ring]
    edges = list(pairwise(points))
    last = len(edges) - 1
    for n, one in enumerate(edges):
        for m in range(n + 1, last + 1):
            other = edges[m]
            is_next = m == n + 1 or (n == 0 and m == last)
            if (_folds_back(one, other) or _folds_back(other, one)) if is_next else _meet(*one, *other):
                return n, m
    return None


def _reaches_into(one: Shape, other: Shape) -> bool:
    """Whether the border of a shape, or its inner spot, lies inside another one."""
    xy = other.map.xy
    if other.beyond_m(xy(*one.inner())) < -TOUCH_M:
        return True
    spots = one.outline()
    for start, end in pairwise([*(xy(*spot) for spot in spots), xy(*spots[0])]):
        for first, last in other.parts_inside(start, end):
            middle = (first + last) / 2
            if other.beyond_m((start[0] + middle * (end[0] - start[0]), start[1] + middle * (end[1] - start[1]))) < -TOUCH_M:
                return True
    return False


def _distance_to(at: Xy, start: Xy, end: Xy) -> float:
    """The distance of a point from a straight way."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    square = dx * dx + dy * dy
    along = max(0.0, min(1.0, ((at[0] - start[0]) * dx + (at[1] - start[1]) * dy) / square)) if square else 0.0
    return hypot(at[0] - start[0] - along * dx, at[1] - start[1] - along * dy)


def _side(start: Xy, end: Xy, at: Xy) -> float:
    """On which side of a line a point is: positive to the left, 0 on it."""
    return (end[0] - start[0]) * (at[1] - start[1]) - (end[1] - start[1]) * (at[0] - start[0])


def _cut(start: Xy, end: Xy, edge_start: Xy, edge_end: Xy) -> float | None:
    """Where a way crosses an edge, from 0 to 1; None if it does not, or runs along it."""
    before, after = _side(edge_start, edge_end, start), _side(edge_start, edge_end, end)
    if before == after or (before > 0) is (after > 0):
        return None
    if (_side(start, end, edge_start) > 0) is (_side(start, end, edge_end) > 0):
        return None
    return before / (before - after)


def _meet(one_start: Xy, one_end: Xy, start: Xy, end: Xy) -> bool:
    """Whether two ways have a point in common."""
    sides = _side(start, end, one_start), _side(start, end, one_end), _side(one_start, one_end, start), _side(one_start, one_end, end)
    if sides[0] * sides[1] < 0 and sides[2] * sides[3] < 0:
        return True
    within = ((one_start, start, end), (one_end, start, end), (start, one_start, one_end), (end, one_start, one_end))
    return any(side == 0 and _is_between(*points) for side, points in zip(sides, within, strict=True))


def _is_between(at: Xy, start: Xy, end: Xy) -> bool:
    """Whether a point on a line is on this part of it."""
    return min(start[0], end[0]) <= at[0] <= max(start[0], end[0]) and min(start[1], end[1]) <= at[1] <= max(start[1], end[1])


def _folds_back(one: tuple[Xy, Xy], other: tuple[Xy, Xy]) -> bool:
    """Whether an edge runs back along the one that shares an end with it."""
    (start, end), free = one, other[1] if other[0] in one else other[0]
    return free not in one and _side(start, end, free) == 0 and _is_between(free, start, end)
