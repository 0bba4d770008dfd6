"""A site takes in its places and looks for mistakes in them. Anna drives to the hub with a parcel, through a tunnel, and away again; a desk sees when she was
there, a viewer does not, and each look is in the audit log."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cbor2
import pytest
from helpers.drives import BASE, fix
from helpers.events import BOOT, BOOT_MS, TOPICS, log_of
from helpers.mqtt import PUBACK, MqttWire
from helpers.shell import Shell
from helpers.site import Site
from helpers.waiting import until

from bridge.domain.positions import Fix
from bridge.entrypoints.control.server import ControlServer
from bridge.operations import jobs, people
from bridge.operations.people_ports import PersonRole
from bridge.passwords import new_person_token, person_token_digest
from devices.protocol.vocabulary import Role

HUB: Final = {"id": "hub-1", "kind": "hub", "name": "Hub West", "radius_m": 75, "hours": "Mo-Sa 06:00-22:00"}
DAY_MS: Final = 86_400_000
ZONES: Final = {"north": 13.40, "south": 13.405}


def geojson(folder: Path, *features: dict[str, Any]) -> Path:
    file = folder / "places.geojson"
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return file


def hub(**other: Any) -> dict[str, Any]:
    geometry = {"type": "Point", "coordinates": [BASE.lon_e7 / 1e7, BASE.lat_e7 / 1e7]}
    return {"type": "Feature", "geometry": geometry, "properties": {**HUB, **other}}


def zone(name: str) -> dict[str, Any]:
    west = ZONES[name]
    ring = [[west, 52.4], [west + 0.01, 52.4], [west + 0.01, 52.41], [west, 52.41], [west, 52.4]]
    return {"type": "Feature", "id": name, "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"kind": "zone"}}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site", orders={"position_every_s": 1.0}, visits={"dwell_s": 60.0}) as served:
        yield served


@pytest.fixture
def shell(site: Site) -> Iterator[Shell]:
    control = ControlServer(site.app, site.directory)
    site.wait_for(control.start())
    yield Shell(site.directory)
    site.wait_for(control.stop())


# --- the places ---------------------------------------------------------------------------------------------------------------


def test_places_are_taken_in_checked_and_listed(shell: Shell, tmp_path: Path) -> None:
    file = geojson(tmp_path, hub(), zone("north"), zone("south"))
    assert "Would store: 3 new, 0 changed, 0 removed, 0 the same." in shell("places", "import", file, "--dry-run").stderr
    assert json.loads(shell("places", "list", "--json").stdout) == []
    assert "Stored: 3 new" in shell("places", "import", file).stderr
    listed = shell("places", "list").stdout
    assert all(word in listed for word in ("hub-1", "Hub West", "75 m around", "Mo-Sa 06:00-22:00", "4 vertices"))
    doubts = json.loads(shell("places", "check", "--json", code=1).stdout)
    assert [(doubt["place"], doubt["problem"]) for doubt in doubts] == [
        ("north", "it has no name"),
        ("south", "it has no name"),
        ("north", "it overlaps south"),
    ]
    again = geojson(tmp_path, hub(name="Hub East"))
    assert "0 new, 1 changed, 2 removed, 0 the same" in shell("places", "import", again, "--remove-others").stderr
    assert "each place has a name" in shell("places", "check").stderr


def test_a_file_with_a_fault_changes_nothing(shell: Shell, tmp_path: Path) -> None:
    shell("places", "import", geojson(tmp_path, hub()))
    said = shell("places", "import", geojson(tmp_path, hub(name="Other"), hub(id="hub-2", kind="bar")), code=1).stderr
    assert "feature 2 (hub-2), kind: 'bar' is not a kind of place" in said
    assert "nothing was stored" in said
    assert json.loads(shell("places", "list", "--json").stdout)[0]["name"] == "Hub West"


def test_more_places_than_the_site_may_have_are_refused(tmp_path: Path) -> None:
    with Site(tmp_path / "site", places={"places_max": 1}):
        shell = Shell(tmp_path / "site")
        assert "places.places_max" in shell("places", "import", geojson(tmp_path, hub(), zone("north")), "--dry-run", code=1).stderr


# --- the visits ---------------------------------------------------------------------------------------------------------------


def send(site: Site, phone: MqttWire, fixes: list[Fix], from_ms: int) -> None:
    """The phone sends fixes, which are given in ms after `NOON_MS`, as if that was `from_ms`."""
    points = [[f.at_ms - fix(0, 0).at_ms + from_ms - BOOT_MS, f.lat_e7, f.lon_e7, f.accuracy_m, None] for f in fixes]
    body = {"log": log_of("phone-anna"), "boot": BOOT, "sent_mono_ms": site.now_ms() - BOOT_MS, "points": points}
    phone.publish(TOPICS.location("phone-anna"), cbor2.dumps(body), qos=0)


def test_a_desk_sees_when_a_phone_was_at_the_hub_and_each_look_is_noted(site: Site, shell: Shell, tmp_path: Path) -> None:
    shell("places", "import", geojson(tmp_path, hub()))
    site.create("PO-1")
    site.enrol("phone-anna", Role.COURIER, courier="anna")
    site.enrol("desk", Role.DESK)
    site.wait_for(jobs.assign(site.app, "PO-1", "anna"))
    with site.client("phone-anna") as phone:
        for seq, kind in enumerate(("pickup", "out_for_delivery"), 1):
            phone.publish(TOPICS.event("phone-anna", kind), site.event("phone-anna", seq, "PO-1", parcel="p1"), packet_id=seq)
            phone.expect(PUBACK)
        from_ms = site.now_ms() - 900_000
        there = [fix(s, 0) for s in range(60, 260, 10)]
        send(site, phone, [fix(s, 800) for s in range(560, 900, 20)], from_ms)
        send(site, phone, [fix(0, -900), fix(40, -200), *there, fix(280, 400)], from_ms)  # it was in a tunnel when it should have said so
        until(lambda: bool(site.rows("SELECT 1 FROM visits WHERE left_ms > 0")), "the visit to be stored")
        (seen,) = json.loads(shell("places", "visits", "--place", "hub-1", "--reason", "a claim", "--json").stdout)
    assert (seen["device"], seen["place"]) == ("phone-anna", "hub-1")
    assert 190 <= (seen["left_ms"] - seen["arrived_ms"]) / 1_000 <= 215
    assert "hub-1" in shell("places", "visits", "--device", "phone-anna").stdout
    assert "there is no place hub-9" in shell("places", "visits", "--place", "hub-9", code=1).stderr
    for name, role, code in (("mia", PersonRole.DESK, 0), ("tom", PersonRole.VIEWER, 1)):
        shell.environment |= {"DOCKBRIDGE_AS": name, "DOCKBRIDGE_TOKEN": token_of(site, name, role)}
        said = shell("places", "visits", code=code).stderr
        assert ("may not see when couriers were at places" in said) is bool(code)
    looks = site.rows("SELECT person, subject FROM audit WHERE act = 'places.visits' AND failed IS NULL ORDER BY no")
    assert looks == [(None, None), (None, "phone-anna"), (None, None), ("mia", None)]


def token_of(site: Site, name: str, role: PersonRole) -> str:
    token = new_person_token()
    site.wait_for(people.add(site.app, name, role, 10))
    site.wait_for(people.add_token(site.app, name, "test", person_token_digest(token), DAY_MS, 10))
    return token
