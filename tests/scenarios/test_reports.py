"""Reports count what was done by place and hour, and how devices are. What they say of people is the site's rule, and as it comes they say nothing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import typer
from helpers.events import CREATED
from helpers.site import Site

from bridge.domain.access import Kind
from bridge.domain.groups import Reports
from bridge.entrypoints.cli import report
from bridge.ingest.items import Incoming
from bridge.operations import reports
from bridge.operations.reports import Area, DeviceReport, Throughput
from devices.protocol.vocabulary import Role

ENDLESS_MS = 2**62


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two orders are packed at two docks of one zone, one is picked at a desk, and Anna delivers one; one scan is not understood."""
    with Site(tmp_path_factory.mktemp("reports") / "site") as site:
        for device, role, more in (("scan-1", Role.SCANNER, {"at": "dock-1"}), ("scan-2", Role.SCANNER, {}), ("phone-1", Role.COURIER, {"courier": "anna"})):
            site.enrol(device, role, with_secret=False, **more)
        site.enrol("shop1", Role.SYSTEM, with_secret=False)
        site.create("PO-1", "PO-2")
        paid = {"amount_minor": 1, "currency": "EUR"}
        site.tell("shop1", Role.SYSTEM, "paid", *(site.event("shop1", n, f"PO-{n - 10}", paid) for n in (11, 12)))
        pack = {"items": CREATED["lines"]}
        site.tell("scan-1", Role.SCANNER, "pack", site.event("scan-1", 1, "PO-1", pack, parcel="box-1", at="dock-1"))
        site.tell("scan-1", Role.SCANNER, "stage", site.event("scan-1", 2, "PO-1", {"dock": "dock-1"}, parcel="box-1", at="dock-1"))
        site.tell("scan-2", Role.SCANNER, "pack", site.event("scan-2", 1, "PO-2", pack, parcel="box-1", at="dock-2"))
        site.tell("phone-1", Role.COURIER, "pickup", site.event("phone-1", 1, "PO-1", {}, parcel="box-1"))

        async def send_nonsense() -> None:
            identity = site.app.registry.identity("scan-2")
            await site.app.offer(Incoming(identity, Kind.EVENTS, "pick", b"{}", site.app.clock.now_ms()))

        site.wait_for(send_nonsense())
        yield site


def printed(command: Callable[..., None], site: Site, **options: Any) -> str:
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        command(site=site.directory, **options)
    return out.getvalue()


def counted(site: Site, by: Area) -> dict[str | None, tuple[int, int, int]]:
    asked = reports.throughput(site.app, by=by, since_ms=0, until_ms=ENDLESS_MS, zone=ZoneInfo("Asia/Kolkata"), rule=Reports.NAMED)
    rows: list[Throughput] = site.wait_for(asked)
    assert all(row.hour_ms % 3_600_000 == 1_800_000 for row in rows), "in India, clocks strike at the half of a UTC hour"
    found: dict[str | None, tuple[int, int, int]] = {}
    for row in rows:  # two, if the hour has struck meanwhile
        assert row.events is not None
        assert row.orders is not None
        assert row.parcels is not None
        before = found.get(row.area, (0, 0, 0))
        found[row.area] = (before[0] + row.events, max(before[1], row.orders), max(before[2], row.parcels))
    return found


def test_work_is_counted_by_place_zone_and_site(site: Site) -> None:
    assert counted(site, Area.PLACE) == {None: (1, 1, 1), "dock-1": (2, 1, 1), "dock-2": (1, 1, 1)}
    assert counted(site, Area.ZONE) == {None: (1, 1, 1), "dock": (3, 2, 2)}
    assert counted(site, Area.SITE) == {None: (4, 2, 2)}


def test_a_time_without_work_is_empty(site: Site) -> None:
    now_ms = site.now_ms()
    for since_ms, until_ms in ((0, now_ms - 3_600_000), (now_ms + 3_600_000, ENDLESS_MS)):
        asked = reports.throughput(site.app, by=Area.SITE, since_ms=since_ms, until_ms=until_ms, zone=ZoneInfo("UTC"), rule=Reports.NAMED)
        assert site.wait_for(asked) == []
    with pytest.raises(typer.BadParameter, match="the end is not after the beginning"):
        printed(report.throughput, site, since="2026-03-02", until="2026-03-01")


def test_devices_are_reported_without_what_one_person_did(site: Site) -> None:
    def rows(rule: Reports) -> dict[str, DeviceReport]:
        return {r.device: r for r in site.wait_for(reports.report_devices(site.app, since_ms=0, until_ms=ENDLESS_MS, rule=rule))}

    named = rows(Reports.NAMED)
    assert (named["scan-1"].events, named["scan-1"].refused, named["scan-1"].at) == (2, 0, "dock-1")
    assert [(named[d].events, named[d].refused) for d in ("scan-2", "phone-1")] == [(1, 1), (1, 0)]
    for rule in (Reports.OFF, Reports.GROUPS):
        shown = rows(rule)
        assert [(shown[d].events, shown[d].refused, shown[d].guessed) for d in ("scan-1", "scan-2", "phone-1")] == [(None, None, None)] * 3
        assert (shown["scan-1"].delay_ms is None, shown["phone-1"].delay_ms) == (False, None), "of a scanner, it says something about the network"
        assert shown["shop1"].events == 4
    assert "anna" not in printed(report.devices, site, as_json=True)


def test_reports_are_printed_as_csv_that_a_spreadsheet_does_not_execute(site: Site) -> None:
    site.tell("scan-2", Role.SCANNER, "stage", site.event("scan-2", 3, "PO-2", {"dock": "dock-2"}, parcel="box-1", at="=now()"))
    rows = list(csv.reader(io.StringIO(printed(report.throughput, site, since="2020-01-01", as_csv=True))))
    assert rows[0][1:] == ["place", "events", "orders", "parcels"]
    assert "'=now()" in {row[1] for row in rows}
    assert printed(report.devices, site, as_csv=True).startswith("device,role,at,events,")
    assert printed(report.mispicks, site, as_csv=True) == "article,reason,times\n"
