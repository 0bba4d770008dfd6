"""A carrier's day: 300 parcels, three carriers, one wrong load, two missing at the handover, status files with a contradiction, and the shop is told.


Over the real commands: `orders import|export|explain`, `carriers list|handover|import|contradictions`, `alerts list`, `events void`.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.shell import Done, Shell
from helpers.site import Site

from bridge.entrypoints.control.server import ControlServer
from devices.protocol.vocabulary import Role

MAPS: Final = Path(__file__).parents[2] / "config" / "samples" / "carriers"
CARRIERS: Final = {"SF Express": "SF1{:012d}", "DHL": "{:010d}", "GLS": "GLS{:08d}"}
"""The carriers, and how their numbers look. What GLS does, 17TRACK reports."""
PARCELS_EACH: Final = 100
DAILY: Final = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "23:59")
SETTINGS: Final[dict[str, Any]] = {
    "carriers": {"SF Express": {"vehicles": "V-SF"}, "DHL": {"vehicles": "V-DHL"}, "GLS": {"vehicles": "V-GLS"}},
    "cutoffs": {"DHL": DAILY},
}
SHOP: Final = """
[channel]
name = "web"
prefix = "web-"
timezone = "UTC"
time_format = "iso"
payment = "on_delivery"
[columns]
order = "Order ID"
created = "Created"
sku = "SKU"
carrier = "Carrier"
tracking = "Tracking"
"""
MISSING: Final = ("DHL", 98), ("DHL", 99)
"""Two that stay at the dock. Of the first, DHL says that it has delivered it."""
WRONG: Final = ("GLS", 7)
"""One of GLS that is loaded for DHL first."""


class Day:
    """A site, its scanner, and its commands."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.run = Shell(site.directory)
        self.begun = datetime.now(UTC) - timedelta(hours=9)
        self.seq = 0
        self.said = ""
        site.enrol("scan-1", Role.SCANNER, at="dock-1", with_secret=False)
        (folder / "web.toml").write_text(SHOP)

    def parcels(self) -> Iterator[tuple[str, int]]:
        return ((carrier, no) for carrier in CARRIERS for no in range(PARCELS_EACH))

    def order(self, carrier: str, no: int) -> str:
        return f"#{carrier[0]}{no}"

    def number(self, carrier: str, no: int) -> str:
        return CARRIERS[carrier].format(no)

    def scan(self, kind: str, body: dict[str, Any], *parcels: tuple[str, int], with_order: bool = False) -> list[dict[str, Any]]:
        """A scan of each parcel's label."""
        events = []
        for carrier, no in parcels:
            self.seq += 1
            order = f"web-{self.order(carrier, no)}" if with_order else None
            events.append((kind, self.site.event("scan-1", self.seq, order, body, code=self.number(carrier, no))))
        return list(self.site.wait_for(self.site.app.submit(self.site.app.registry.identity("scan-1"), events)))

    def file(self, name: str, *rows: tuple[Any, ...]) -> Path:
        path = self.folder / name
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
        return path

    def exported(self, *options: str) -> list[list[str]]:
        done = self.run("orders", "export", "--map", self.folder / "web.toml", "--for", "csv", *options)
        self.said = done.stderr
        return list(csv.reader(done.stdout.splitlines()))[1:]


@pytest.fixture
def day(tmp_path: Path) -> Iterator[Day]:
    with Site(tmp_path / "site", **SETTINGS) as site:
        control = ControlServer(site.app, site.directory)
        site.wait_for(control.start())
        yield Day(site, tmp_path)
        site.wait_for(control.stop())


def test_a_carriers_day(day: Day) -> None:
    # In the morning the shop's orders come in, and are packed and staged.
    created = day.begun.isoformat()
    rows = [(day.order(*p), created, "mug", p[0], day.number(*p)) for p in day.parcels()]
    orders = day.file("orders.csv", ("Order ID", "Created", "SKU", "Carrier", "Tracking"), *rows)
    assert "Imported 300 orders" in day.run("orders", "import", orders, "--map", day.folder / "web.toml").stderr
    packed = day.scan("pack", {"weight_g": 400}, *day.parcels(), with_order=True)
    staged = day.scan("stage", {"dock": "dock-1"}, *day.parcels())
    assert Counter(r["outcome"] for r in (*packed, *staged)) == {"applied": 600}
    assert {row["carrier"]: (row["loaded"], row["missing"]) for row in day.run.data("carriers", "list")} == dict.fromkeys(CARRIERS, (0, 100))

    # The vehicles are loaded. One parcel of GLS is scanned for DHL: it is stopped, and goes where it belongs. Two of DHL stay at the dock.
    (wrong,) = day.scan("load", {"vehicle": "V-DHL"}, WRONG)
    assert (wrong["tone"], wrong["warn"], wrong["next"], wrong["expected"]) == ("stop", ["wrong_carrier"], "unload", {"carrier": "GLS"})
    for carrier in CARRIERS:
        day.scan("load", {"vehicle": f"V-{carrier.split()[0]}"}, *(p for p in day.parcels() if p[0] == carrier and p not in (*MISSING, WRONG)))
    assert len(day.exported("--changed-since", created)) == 297, "what is in the wrong van is not told as sent"
    assert "1 parcel that was loaded for another carrier than its own: #G7; once it is loaded for the right one" in day.said
    day.scan("unload", {"reason": "wrong_vehicle"}, WRONG)
    assert day.scan("load", {"vehicle": "V-GLS"}, WRONG)[0]["tone"] == "ok"

    # The drivers sign.
    lists = {carrier: day.run.data("carriers", "handover", carrier, "--close", "--html", day.folder / f"{carrier}.html") for carrier in CARRIERS}
    assert {carrier: tuple(len(found[name]) for name in ("parcels", "wrong", "missing")) for carrier, found in lists.items()} == {
        "SF Express": (100, 0, 0),
        "DHL": (98, 0, 2),
        "GLS": (100, 0, 0),
    }
    assert [p["order"] for p in lists["DHL"]["missing"]] == [f"web-{day.order(*p)}" for p in MISSING]

    # The shop is told what left.
    first = day.exported()
    assert Counter((row[1], row[4]) for row in first) == {("shipped", "SF Express"): 100, ("shipped", "DHL"): 98, ("shipped", "GLS"): 100}
    assert {row[0]: row[6] for row in first} == {day.order(*p): day.number(*p) for p in day.parcels() if p not in MISSING}

    # In the evening the carriers report. DHL has delivered what stands at our dock.
    now = datetime.now(UTC)
    sf = day.file("sf.csv", ("mailNo", "acceptTime", "acceptAddress", "opCode"), *_of_sf(day, now))
    dhl = day.file("dhl.csv", ("shipmentTrackingNumber", "date", "time", "GMTOffset", "typeCode", "serviceArea", "countryCode"), *_of_dhl(day, now))
    gls = day.file("17track.csv", ("number", "status", "sub_status", "time_iso", "location", "country"), *_of_17track(day, now))
    reports = {name: _take_in(day, file, name) for name, file in (("sf", sf), ("dhl", dhl), ("17track", gls))}
    assert {name: report["new"] for name, (report, _) in reports.items()} == {
        "sf": {"pickup": 100, "delivery": 60},
        "dhl": {"pickup": 98, "delivery": 1},
        "17track": {"pickup": 100, "attempt_failed": 1},
    }
    assert reports["17track"][0]["of_others"] == {"rows": 1, "lines": [{"file": str(gls), "column": "number", "line": 102}]}
    assert all(_take_in(day, file, name)[0]["new"] == {} for name, file in (("sf", sf), ("dhl", dhl), ("17track", gls))), "the same files change nothing"
    assert "1 contradiction between the carrier and our own scans" in reports["dhl"][1].stderr

    # The desk looks at the contradiction, finds the parcel at the dock, and voids what DHL said.
    (found,) = day.run.data("carriers", "contradictions")
    order = f"web-{day.order(*MISSING[0])}"
    assert (found["order"], found["kind"], found["said"], found["scan"]) == (order, "not_loaded", "delivery", "stage")
    assert [a["subject"] for a in day.run.data("alerts", "list")["alerts"] if a["code"] == "contradiction"] == [order]
    assert [(row[0], row[1]) for row in day.exported()] == [(day.order(*MISSING[0]), "shipped")], "so DHL says"
    day.run("events", "void", found["void_said"], "--reason", "did_not_occur")
    assert [(row[0], row[1]) for row in day.exported()] == [(day.order(*MISSING[0]), "taken_back")]
    assert "No carrier contradicts our scans." in day.run("carriers", "contradictions").stderr
    assert day.exported() == []
    assert [(row[0], row[1]) for row in day.exported("--again")] == [(day.order(*MISSING[0]), "taken_back")], "the last file that had rows"
    states = Counter(row["state"] for row in day.run.data("orders", "list", "-n", "400"))
    assert states == {"delivered": 60, "shipped": 237, "packed": 2, "out_for_delivery": 1}


def _of_sf(day: Day, now: datetime) -> Iterator[tuple[Any, ...]]:
    at = (now + timedelta(hours=8)).strftime("%Y-%m-%d %H:%M:%S")
    for no in range(PARCELS_EACH):
        yield day.number("SF Express", no), at, "上海浦东康桥店", 50
    for no in range(60):
        yield day.number("SF Express", no), at, "佛山南海甘蕉店", 80


def _of_dhl(day: Day, now: datetime) -> Iterator[tuple[Any, ...]]:
    at = (now.strftime("%Y-%m-%d"), now.strftime("%H:%M:%S"), "+00:00")
    for no in range(PARCELS_EACH):
        if ("DHL", no) not in MISSING:
            yield day.number("DHL", no), *at, "PU", "BER", "DE"
    yield day.number(*MISSING[0]), *at, "OK", "LHR", "GB"


def _of_17track(day: Day, now: datetime) -> Iterator[tuple[Any, ...]]:
    for no in (*range(PARCELS_EACH), 99_999_999):
        yield day.number("GLS", no), "InTransit", "InTransit_PickedUp", now.isoformat(timespec="seconds"), "Kassel", "DE"
    yield day.number("GLS", 3), "DeliveryFailure", "DeliveryFailure_NoBody", now.isoformat(timespec="seconds"), "Berlin", "DE"


def _take_in(day: Day, file: Path, name: str) -> tuple[dict[str, Any], Done]:
    done = day.run("carriers", "import", file, "--map", MAPS / f"{name}.toml", "--json")
    return json.loads(done.stdout), done
