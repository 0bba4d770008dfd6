"""A file of places: what it may say, and what is said of one that is wrong: the feature, the field, and what to do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest

from bridge.domain.geo import Spot
from bridge.domain.places import Place, PlaceKind, hours_fault, overlapping_zones
from bridge.errors import Refused
from bridge.place_file import ReadPlaces, read_places
from bridge.place_settings import PlaceSettings

RING: Final = [[13.40, 52.50], [13.41, 52.50], [13.41, 52.51], [13.40, 52.51], [13.40, 52.50]]
HOLE: Final = [[13.404, 52.504], [13.406, 52.504], [13.406, 52.506], [13.405, 52.507], [13.404, 52.506], [13.404, 52.504]]
POINT: Final = {"type": "Point", "coordinates": [13.4, 52.5]}
LIMITS: Final = PlaceSettings(places_max=5, vertices_max=8, radius_m_max=1_000, file_bytes_max=20_000)


def feature(geometry: Any = None, **given: Any) -> dict[str, Any]:
    """A zone, unless other properties are given; a property that is None is left out."""
    properties = {"id": "north", "kind": "zone", "name": "North", **given}
    geometry = geometry if geometry is not None else {"type": "Polygon", "coordinates": [RING]}
    return {"type": "Feature", "geometry": geometry, "properties": {name: value for name, value in properties.items() if value is not None}}


def polygon(*ring: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [list(ring)]}


def read(folder: Path, *features: Any, limits: PlaceSettings = LIMITS) -> ReadPlaces:
    file = folder / "places.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": list(features)}))
    return read_places(file, limits)


# --- what a file may say ------------------------------------------------------------------------------------------------------


def test_a_polygon_and_a_circle(tmp_path: Path) -> None:
    locker = feature({"type": "Point", "coordinates": [13.4, 52.5, 34.0]}, id="l-17", kind="locker", radius_m=40.0, hours="24/7", dwell_s=0, stroke="#f00")
    found = read(tmp_path, feature(), locker)
    assert found.bad == []
    corners = tuple(Spot(round(lat * 1e7), round(lon * 1e7)) for lon, lat in RING)
    assert found.places == [
        Place(id="north", kind=PlaceKind.ZONE, name="North", rings=(corners,)),
        Place(id="l-17", kind=PlaceKind.LOCKER, name="North", rings=((Spot(525_000_000, 134_000_000),),), radius_m=40, hours="24/7", dwell_s=0),
    ]


def test_the_id_may_stand_beside_the_properties_and_be_a_number(tmp_path: Path) -> None:
    assert [place.id for place in read(tmp_path, {**feature(id=None), "id": 17}).places] == ["17"]


def test_a_hole_and_a_position_that_is_repeated_at_once(tmp_path: Path) -> None:
    found = read(tmp_path, feature({"type": "Polygon", "coordinates": [[RING[0], *RING], [*HOLE[:3], HOLE[0]]]}))
    assert (found.bad, [len(ring) for ring in found.places[0].rings]) == ([], [5, 4])


def test_a_place_without_a_name_is_taken_and_found_by_the_check(tmp_path: Path) -> None:
    assert [place.name for place in read(tmp_path, feature(name=None)).places] == [""]


def test_the_sample_is_a_file_without_a_fault() -> None:
    sample = Path(__file__).parents[2] / "config" / "samples" / "places.geojson"
    found = read_places(sample, PlaceSettings())
    assert ([place.kind for place in found.places], found.bad) == ([PlaceKind.HUB, PlaceKind.LOCKER, PlaceKind.ZONE], [])


# --- what stops a file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "field", "problem", "fix"),
    [
        pytest.param("here", "type", "not a Feature", '"type": "Feature"', id="no object"),
        pytest.param({**feature(), "properties": [1]}, "properties", "not an object", "radius_m", id="properties that are a list"),
        pytest.param(feature(id=None), "id", "missing", "locker-17", id="no id"),
        pytest.param(feature(id="x" * 97), "id", "1 to 96 characters", "short id", id="a long id"),
        pytest.param(feature(id="a\nb"), "id", "can be printed", "short id", id="an id in two lines"),
        pytest.param(feature(id=True), "id", "not a text", "short id", id="an id that is true"),
        pytest.param(feature(kind=None), "kind", "missing", "dock, hub, locker, station, zone", id="no kind"),
        pytest.param(feature(kind="bar"), "kind", "'bar' is not a kind", "dock, hub, locker, station, zone", id="another kind"),
        pytest.param(feature(name=7), "name", "64 characters", "shorten", id="a name that is a number"),
        pytest.param(feature(name="n" * 65), "name", "64 characters", "shorten", id="a long name"),
        pytest.param(feature(hours="always"), "hours", "'always' is not days with times", "Mo-Fr", id="hours in other words"),
        pytest.param(feature(hours="Mo-Xx 08:00-12:00"), "hours", "'Xx' is not a day", "Mo-Fr", id="an unknown day"),
        pytest.param(feature(dwell_s=-1), "dwell_s", "-1 is not a whole number from 0 to 1800", "60", id="a dwell time below 0"),
        pytest.param(feature(dwell_s="60"), "dwell_s", "'60' is not a whole number", "60", id="a dwell time that is a text"),
        pytest.param({**feature(), "geometry": None}, "geometry", "missing", "Polygon", id="no geometry"),
        pytest.param(feature({"type": "LineString", "coordinates": RING}), "geometry", "LineString is not supported", "Polygon", id="a line"),
        pytest.param(feature({"type": "MultiPolygon", "coordinates": [[RING]]}), "geometry", "MultiPolygon is not", "of its own", id="many polygons"),
        pytest.param(feature(POINT), "radius_m", "a point has no size", "how many metres", id="a point without a radius"),
        pytest.param(feature(POINT, radius_m=0), "radius_m", "0 is not a whole number from 1 to 1000", "60", id="a radius of 0"),
        pytest.param(feature(POINT, radius_m=1_001), "radius_m", "from 1 to 1000", "60", id="a large radius"),
        pytest.param(feature(POINT, radius_m=float("nan")), "radius_m", "nan is not a whole number", "60", id="a radius that is no number"),
        pytest.param(feature(radius_m=50), "radius_m", "a polygon has no radius", "remove it", id="a polygon with a radius"),
        pytest.param(feature({"type": "Polygon", "coordinates": []}), "coordinates", "no ring", "list of rings", id="a polygon without rings"),
        pytest.param(feature(polygon(*RING[:3])), "coordinates[0]", "at least four positions", "triangle", id="three positions"),
        pytest.param(feature(polygon(*RING[:4])), "coordinates[0]", "not closed", "repeat the first position", id="an open ring"),
        pytest.param(feature(polygon(*[RING[0]] * 3, RING[1], RING[0])), "coordinates[0]", "no inside", "triangle", id="a line there and back"),
        pytest.param(
            feature(polygon(RING[0], RING[2], RING[1], RING[3], RING[0])),
            "coordinates[0]",
            "crosses itself: the edge after position 0 crosses or touches the one after position 2",
            "walks around",
            id="a ring that crosses itself",
        ),
        pytest.param(feature(polygon(*RING[:2], [13.41], *RING[3:])), "coordinates[0][2]", "[13.41] is not a position", "longitude", id="one number"),
        pytest.param(feature(polygon(*RING[:2], ["13", "52"], *RING[3:])), "coordinates[0][2]", "is not a position", "longitude", id="texts"),
        pytest.param(feature({"type": "Point", "coordinates": [31.2, 121.5]}, radius_m=50), "coordinates", "swapped", "[longitude, latitude]", id="Shanghai"),
        pytest.param(feature({**POINT, "coordinates": [5e5, 5.8e6]}, radius_m=50), "coordinates", "not on the earth", "EPSG:4326", id="in metres"),
        pytest.param(
            feature({"type": "Polygon", "coordinates": [RING, HOLE]}), "coordinates", "9 vertices, 8 at most", "vertices_max", id="many vertices in two rings"
        ),
        pytest.param(feature(polygon(*[[13.0, 52.0]] * 11)), "coordinates[0]", "10 vertices, 8 at most", "vertices_max", id="many equal vertices"),
        pytest.param(feature(polygon([13, 52], [14, 52], [14, 53], [13, 53], [13, 52])), "geometry", "km across, 50 at most", "divide", id="a country"),
        pytest.param(
            feature(polygon([179.9, 0], [-179.9, 0], [-179.9, 0.1], [179.9, 0])), "coordinates[0]", "180th meridian", "two places", id="over the date line"
        ),
        pytest.param(feature({"type": "Point", "coordinates": [179.9999, 0]}, radius_m=50), "geometry", "180th meridian", "two places", id="a circle there"),
    ],
)
def test_a_fault_names_the_feature_the_field_and_the_fix(tmp_path: Path, wrong: Any, field: str, problem: str, fix: str) -> None:
    found = read(tmp_path, feature(id="fine", kind="hub"), wrong)
    assert [place.id for place in found.places] == ["fine"]
    (bad,) = found.bad
    assert (bad.feature.startswith("feature 2"), bad.field) == (True, field)
    assert problem in bad.problem
    assert fix in bad.fix


def test_an_id_that_stands_twice(tmp_path: Path) -> None:
    (bad,) = read(tmp_path, feature(), feature()).bad
    assert (bad.feature, bad.field, bad.problem) == ("feature 2 (north)", "id", "feature 1 has the id north already")


def test_latitude_and_longitude_that_are_swapped_though_both_are_possible(tmp_path: Path) -> None:
    """Berlin the other way round lies in the sea off Somalia: nobody sees that but who looks at the other places."""
    lockers = [feature({"type": "Point", "coordinates": [13.4 + n / 100, 52.5]}, id=f"l{n}", kind="locker", radius_m=50) for n in range(3)]
    swapped = feature({"type": "Point", "coordinates": [52.5, 13.4]}, id="l9", kind="locker", radius_m=50)
    (bad,) = read(tmp_path, *lockers, swapped).bad
    assert (bad.feature, bad.field) == ("feature 4 (l9)", "coordinates")
    assert "only the other way round it is near the other places" in bad.problem
    far = feature({"type": "Point", "coordinates": [2.35, 48.85]}, id="paris", kind="hub", radius_m=50)
    assert read(tmp_path, *lockers, far).bad == [], "a place may be far from the others"


def test_each_fault_of_a_file_is_named_at_once(tmp_path: Path) -> None:
    assert [bad.field for bad in read(tmp_path, feature(kind="bar"), feature(POINT), feature(hours="?")).bad] == ["kind", "radius_m", "hours"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "line 1: it is not JSON"),
        (b"\xff\xfe", "is not in UTF-8"),
        (b"[]", "is not a FeatureCollection"),
        (b'{"type": "Feature"}', "is not a FeatureCollection"),
        (b'{"type": "FeatureCollection", "features": 7}', "is not a FeatureCollection"),
        (b'{"type": "FeatureCollection", "features": [1,2,3,4,5,6]}', "has 6 features, 5 at most"),
        (b" " * 20_001, "has 20001 bytes, 20000 at most"),
        (b"[" * 10_000, "nested too deeply"),
        (None, "can't be read"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_reason(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "places.geojson"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(Refused, match=problem) as refused:
        read_places(file, LIMITS)
    assert refused.value.fix


# --- opening hours, overlaps --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "is_right"),
    [
        ("", True),
        ("24/7", True),
        ("Mo-Fr 08:00-18:00", True),
        ("Mo-Fr 08:00-12:00,13:00-18:00; Sa 09:00-12:00; Su off", True),
        ("Mo,We,Fr 00:00-24:00", True),
        ("Mo-Fr", False),
        ("08:00-18:00", False),
        ("Mo-Fr 8-18", False),
        ("Mo-Fr 08:00-25:00", False),
        ("mo-fr 08:00-18:00", False),
        ("Mo-Fr 08:00-18:00;", False),
    ],
)
def test_opening_hours(hours: str, is_right: bool) -> None:
    assert (hours_fault(hours) is None) is is_right


def test_only_zones_that_share_more_than_a_border_overlap(tmp_path: Path) -> None:
    def zone(name: str, west: float, kind: str = "zone") -> dict[str, Any]:
        return feature(polygon([west, 52.5], [west + 0.01, 52.5], [west + 0.01, 52.51], [west, 52.51], [west, 52.5]), id=name, kind=kind)

    places = read(tmp_path, zone("b", 13.405), zone("a", 13.40), zone("c", 13.415), zone("hub", 13.40, "hub"), zone("far", 14.0)).places
    assert overlapping_zones(places) == [("a", "b")]
