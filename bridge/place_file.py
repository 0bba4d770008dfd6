"""Places as a GeoJSON file (RFC 7946): one feature for each, a `Polygon`, or a `Point` with `radius_m`. A file is taken whole, or everything that stops it is
named: the feature, the field, and what to do."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from statistics import median_low
from typing import Any, Final, NamedTuple

from bridge.domain.geo import E7_M, SPAN_KM_MAX, Circle, Polygon, Shape, Spot, box_of, crossing_edges, distance_m
from bridge.domain.places import DWELL_S_MAX, HOURS_CHARS_MAX, ID_CHARS_MAX, WORD_CHARS_MAX, Place, PlaceKind, hours_fault
from bridge.errors import Refused
from bridge.place_settings import PlaceSettings
from bridge.words import counted

PROPERTIES: Final = ("id", "kind", "name", "hours", "radius_m", "dwell_s")
"""The properties that are read; a feature may have others, which are left alone."""
LAT_MAX, LON_MAX = 90.0, 180.0
FAR_M: Final = 500_000
"""A place that is farther than this from the middle of the file, and near it if latitude and longitude change places, has them swapped."""
_ORDER: Final = "GeoJSON has the longitude first: write [longitude, latitude]"
_EARTH_AROUND_E7: Final = 1_800_000_000


class BadFeature(NamedTuple):
    """What stops a file: the feature, its field, and two sentences, of which the second says what to do."""

    feature: str
    field: str
    problem: str
    fix: str


class ReadPlaces(NamedTuple):
    """What a file says: its places, and everything that stops it."""

    places: list[Place]
    bad: list[BadFeature]


class _Bad(Exception):
    def __init__(self, field: str, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.field = field
        self.fix = fix


def read_places(file: Path, limits: PlaceSettings) -> ReadPlaces:
    """Read a file of places.

    Raises:
        Refused: if the file can't be read, is too large, or is not a feature collection.
    """
    features = _features(file, limits)
    read = ReadPlaces([], [])
    numbers: dict[str, int] = {}
    for number, feature in enumerate(features, 1):
        name = _called(feature, number)
        try:
            place = _place(feature, limits)
            if place.id in numbers:
                raise _Bad("id", f"feature {numbers[place.id]} has the id {place.id} already", "give each place an id of its own")
            numbers[place.id] = number
            read.places.append(place)
        except _Bad as bad:
            read.bad.append(BadFeature(name, bad.field, str(bad), bad.fix))
    read.bad.extend(_swapped(read.places, numbers))
    return read


def _features(file: Path, limits: PlaceSettings) -> list[Any]:
    wanted = 'give a GeoJSON file: {"type": "FeatureCollection", "features": [...]}'
    try:
        if (size := file.stat().st_size) > limits.file_bytes_max:
            raise Refused(f"{file} has {size} bytes, {limits.file_bytes_max} at most", fix="split it, or raise places.file_bytes_max in bridge.toml")
        data = json.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise Refused(f"{file} can't be read: {error.strerror}", fix="give the path of a GeoJSON file") from error
    except UnicodeDecodeError as error:
        raise Refused(f"{file} is not in UTF-8", fix="save it again in UTF-8") from error
    except json.JSONDecodeError as error:
        raise Refused(f"{file}, line {error.lineno}: it is not JSON: {error.msg}", fix=wanted) from error
    except RecursionError as error:
        raise Refused(f"{file} is nested too deeply", fix=wanted) from error
    if not isinstance(data, dict) or data.get("type") != "FeatureCollection" or not isinstance(data.get("features"), list):
        raise Refused(f"{file} is not a FeatureCollection", fix=wanted)
    features: list[Any] = data["features"]
    if len(features) > limits.places_max:
        raise Refused(f"{file} has {counted(len(features), 'feature')}, {limits.places_max} at most", fix="raise places.places_max in bridge.toml")
    return features


def _called(feature: Any, number: int) -> str:
    """How a feature is named in a message: by its number, and its id if it has one."""
    properties = feature.get("properties") if isinstance(feature, dict) else None
    given = feature.get("id") if isinstance(feature, dict) else None
    given = properties.get("id") if given is None and isinstance(properties, dict) else given
    return f"feature {number}" + (f" ({str(given)[:ID_CHARS_MAX]})" if isinstance(given, str | int) else "")


# --- one feature --------------------------------------------------------------------------------------------------------------


def _place(feature: Any, limits: PlaceSettings) -> Place:
    if not isinstance(feature, dict) or feature.get("type") != "Feature":
        raise _Bad("type", "it is not a Feature", 'write {"type": "Feature", "id": ..., "geometry": ..., "properties": ...}')
    given = feature.get("properties") or {}
    if not isinstance(given, dict):
        raise _Bad("properties", "it is not an object", f"write an object with {', '.join(PROPERTIES)}")
    radius_m = _whole(given, "radius_m", 1, limits.radius_m_max)
    rings = _rings(feature.get("geometry"), radius_m, limits)
    kind = given.get("kind")
    if kind not in tuple(PlaceKind):
        raise _Bad("kind", "it is missing" if kind is None else f"{kind!r} is not a kind of place", f"choose one of {', '.join(PlaceKind)}")
    hours = _text(given, "hours", HOURS_CHARS_MAX)
    if (fault := hours_fault(hours)) is not None:
        raise _Bad("hours", fault, "write 24/7, or days with times, such as Mo-Fr 08:00-12:00,13:00-18:00; Sa off")
    return Place(
        id=_id(feature, given),
        kind=PlaceKind(kind),
        name=_text(given, "name", WORD_CHARS_MAX),
        rings=rings,
        radius_m=radius_m,
        hours=hours,
        dwell_s=_whole(given, "dwell_s", 0, DWELL_S_MAX),
    )


def _id(feature: dict[str, Any], given: dict[str, Any]) -> str:
    value = feature.get("id", given.get("id"))
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text or len(text) > ID_CHARS_MAX or not text.isprintable():
        problem = "it is missing" if value is None else f"it is not a text of 1 to {ID_CHARS_MAX} characters that can be printed"
        raise _Bad("id", problem, "give the place a short id that never changes, such as locker-17")
    return text


def _text(given: dict[str, Any], field: str, chars_max: int) -> str:
    value = given.get(field)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > chars_max or not value.isprintable():
        raise _Bad(field, f"it is not a text of at most {chars_max} characters that can be printed", "shorten it, or leave it out")
    return value.strip()


def _whole(given: dict[str, Any], field: str, least: int, most: int) -> int | None:
    value = given.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or not least <= value <= most:
        raise _Bad(field, f"{value!r} is not a whole number from {least} to {most}", f"write a number, such as {max(least, min(60, most))}, or leave it out")
    return int(value)


def _rings(geometry: Any, radius_m: int | None, limits: PlaceSettings) -> tuple[tuple[Spot, ...], ...]:
    kind, coordinates = (geometry.get("type"), geometry.get("coordinates")) if isinstance(geometry, dict) else (None, None)
    if kind == "Point":
        if radius_m is None:
            raise _Bad("radius_m", "it is missing: a point has no size", "say how many metres around the point belong to the place")
        rings = ((_spot(coordinates, "coordinates"),),)
        _check_size(Circle(rings[0][0], radius_m))
        return rings
    if kind != "Polygon":
        fix = "draw each part as a feature of its own" if kind == "MultiPolygon" else "draw it as a Polygon, or as a Point with radius_m"
        raise _Bad("geometry", "it is missing" if kind is None else f"{kind} is not supported", fix)
    if radius_m is not None:
        raise _Bad("radius_m", "a polygon has no radius", "remove it, or draw the place as a Point")
    if not isinstance(coordinates, list) or not coordinates:
        raise _Bad("coordinates", "it has no ring", "write a list of rings, each a list of [longitude, latitude]")
    outline = tuple(_ring(ring, f"coordinates[{n}]", limits) for n, ring in enumerate(coordinates))
    vertices = sum(len(ring) - 1 for ring in outline)
    if vertices > limits.vertices_max:
        fix = "simplify it (a metre is enough), or raise places.vertices_max in bridge.toml"
        raise _Bad("coordinates", f"it has {vertices} vertices, {limits.vertices_max} at most", fix)
    _check_size(Polygon(outline))
    return outline


def _ring(ring: Any, field: str, limits: PlaceSettings) -> tuple[Spot, ...]:
    if not isinstance(ring, list) or len(ring) < 4:
        raise _Bad(field, "a ring has at least four positions: three, and the first one again", "draw at least a triangle")
    if len(ring) > limits.vertices_max + 1:
        fix = "simplify it (a metre is enough), or raise places.vertices_max in bridge.toml"
        raise _Bad(field, f"it has {len(ring) - 1} vertices, {limits.vertices_max} at most", fix)
    spots = [_spot(position, f"{field}[{n}]") for n, position in enumerate(ring)]
    if spots[0] != spots[-1]:
        raise _Bad(field, "the ring is not closed: its last position is not its first", "repeat the first position at the end")
    spots = [spots[0], *(spot for before, spot in pairwise(spots) if spot != before)]  # a position that is repeated at once does no harm
    box = box_of(spots)
    if box.east - box.west > _EARTH_AROUND_E7:
        raise _Bad(field, "it crosses the 180th meridian", "cut it there into two places (RFC 7946 §3.1.9)")
    if len(spots) < 4:
        raise _Bad(field, "it has no inside", "draw at least a triangle")
    if (crossed := crossing_edges(spots)) is not None:
        one, other = crossed
        where = f"the edge after position {one} crosses or touches the one after position {other}"
        raise _Bad(field, f"the ring crosses itself: {where}", "put the positions in the order in which one walks around the place")
    return tuple(spots)


def _spot(position: Any, field: str) -> Spot:
    if not isinstance(position, list) or not 2 <= len(position) <= 3 or not all(_is_number(value) for value in position):
        raise _Bad(field, f"{str(position)[:60]} is not a position", "write [longitude, latitude], in degrees")
    lon, lat = float(position[0]), float(position[1])
    if abs(lat) > LAT_MAX and abs(lat) <= LON_MAX and abs(lon) <= LAT_MAX:
        raise _Bad(field, f"the latitude is {lat}, beyond a pole: latitude and longitude are swapped", _ORDER)
    if abs(lat) > LAT_MAX or abs(lon) > LON_MAX:
        raise _Bad(field, f"[{lon}, {lat}] is not on the earth", "write degrees: longitude from -180 to 180, latitude from -90 to 90 (EPSG:4326)")
    return Spot(round(lat * 1e7), round(lon * 1e7))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _check_size(shape: Shape) -> None:
    """On a larger shape, the flat map that it is worked with is too wrong."""
    box = shape.box()
    if max(box.east, -box.west) > _EARTH_AROUND_E7:
        raise _Bad("geometry", "it crosses the 180th meridian", "cut it there into two places (RFC 7946 §3.1.9)")
    width_m, height_m = shape.map.xy(box.north, box.east)[0] - shape.map.xy(box.north, box.west)[0], (box.north - box.south) * E7_M
    if max(width_m, height_m) > SPAN_KM_MAX * 1_000:
        raise _Bad("geometry", f"it is {max(width_m, height_m) / 1_000:.0f} km across, {SPAN_KM_MAX} at most", "divide it")


def _swapped(places: list[Place], numbers: dict[str, int]) -> list[BadFeature]:
    """Places whose latitude and longitude are possible both ways, but near the others only if they change places."""
    if len(places) < 3:
        return []
    centres = [place.shape.map.centre for place in places]
    middle = Spot(median_low(c.lat_e7 for c in centres), median_low(c.lon_e7 for c in centres))
    found = []
    for place, (lat_e7, lon_e7) in zip(places, centres, strict=True):
        if distance_m(Spot(lat_e7, lon_e7), middle) > FAR_M and abs(lon_e7) <= LAT_MAX * 1e7 and distance_m(Spot(lon_e7, lat_e7), middle) < FAR_M / 5:
            problem = "latitude and longitude are swapped: only the other way round it is near the other places"
            found.append(BadFeature(f"feature {numbers[place.id]} ({place.id})", "coordinates", problem, _ORDER))
    return found


__all__ = ["PROPERTIES", "BadFeature", "ReadPlaces", "read_places"]
