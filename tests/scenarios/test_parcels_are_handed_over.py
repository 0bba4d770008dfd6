"""Parcels leave with carriers: a load for the wrong one is stopped, and a list of what a carrier takes is closed with each pickup. No parcel is on two, or on
none.

Over the real commands: `carriers list|cutoffs|handover|handovers`, `orders amend|stuck`, `db rebuild`, `audit list`.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from resource import RLIMIT_FSIZE
from signal import SIGKILL
from typing import Any

import helpers.close_until_killed
import pytest
from helpers.events import CREATED
from helpers.forked import Forked
from helpers.shell import Shell
from helpers.site import Site
from helpers.waiting import DEADLINE_S

from bridge.entrypoints.control.server import ControlServer
from devices.protocol.vocabulary import Role

DAY_MS = 86_400_000
DAILY = dict.fromkeys(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), "0:00/23:59")
"""What comes in today leaves tomorrow: the cutoff of today has always passed."""
SETTINGS: dict[str, Any] = {
    "carriers": {"DHL": {"names": "Deutsche Post", "vehicles": "V-12"}, "GLS": {"docks": "dock-9"}},
    "cutoffs": {"DHL": DAILY},
}
LINES = [{"sku": "pen", "qty": 1}]


class Hall:
    """A site with a shop and two scanners, and its commands."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.run = Shell(site.directory)
        self._seq: dict[str, int] = {}
        for device, role, at in (("shop1", Role.SYSTEM, None), ("scan-1", Role.SCANNER, "dock-3"), ("scan-9", Role.SCANNER, "dock-9")):
            site.enrol(device, role, at=at, with_secret=False)

    def tell(self, device: str, kind: str, order: str | None = None, body: dict[str, Any] | None = None, **other: Any) -> dict[str, Any]:
        """An event of a device; returns its receipt."""
        seq = self._seq[device] = self._seq.get(device, 0) + 1
        payload = self.site.event(device, seq, order, body, **other)
        (receipt,) = self.site.wait_for(self.site.app.submit(self.site.app.registry.identity(device), [(kind, payload)]))
        return dict(receipt)

    def order(self, order: str, carrier: str, *, weight_g: int | None = 500, **more: Any) -> None:
        """An order that is paid on delivery, packed, with the label of its number."""
        self.tell("shop1", "created", order, {**CREATED, "lines": LINES, "payment": "on_delivery", "carrier": carrier, **more})
        self.tell("scan-1", "pack", order, {} if weight_g is None else {"weight_g": weight_g}, parcel=f"{order}-a")
        self.tell("scan-1", "labelled", order, {"code": f"WB-{order}", "kind": "waybill"}, parcel=f"{order}-a")

    def load(self, order: str, device: str = "scan-1", vehicle: str = "V-12") -> dict[str, Any]:
        return self.tell(device, "load", None, {"vehicle": vehicle}, code=f"WB-{order}")

    def list_of(self, carrier: str, *options: str) -> dict[str, Any]:
        """(orders on the list, orders of other carriers, missing orders), and the rest of the list."""
        found = self.run.data("carriers", "handover", carrier, *options)
        return {**found, **{name: [p["order"] for p in found[name]] for name in ("parcels", "wrong", "missing")}}

    def now(self, carrier: str) -> dict[str, Any]:
        (found,) = [row for row in self.run.data("carriers", "list") if row["carrier"] == carrier]
        return dict(found)


@contextmanager
def opened(folder: Path) -> Iterator[Hall]:
    """Three orders for DHL that have to leave now, one that has to leave tomorrow, and one for GLS: all packed."""
    with Site(folder, **SETTINGS) as site:
        control = ControlServer(site.app, site.directory)
        site.wait_for(control.start())
        try:
            hall = Hall(site)
            for order in ("PO-1", "PO-2", "PO-3"):
                hall.order(order, "deutsche post", ship_by_ms=site.now_ms())
            hall.order("PO-4", "DHL", weight_g=None)
            hall.order("PO-5", "GLS")
            yield hall
        finally:
            site.wait_for(control.stop())


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    with opened(tmp_path / "site") as hall:
        yield hall


def test_a_load_for_the_wrong_carrier_is_stopped_and_the_alert_ends_with_the_unload(hall: Hall) -> None:
    right = hall.load("PO-1")
    assert (right["outcome"], right["tone"], right.get("expected")) == ("applied", "ok", None)
    wrong = hall.load("PO-5")
    assert (wrong["outcome"], wrong["tone"], wrong["warn"], wrong["next"]) == ("applied", "stop", ["wrong_carrier"], "unload")
    assert wrong["expected"] == {"carrier": "GLS"}
    assert "wrong_carrier" in hall.run("alerts", "list").stdout
    assert hall.list_of("DHL")["wrong"] == ["PO-5"]
    assert hall.list_of("GLS")["missing"] == ["PO-5"], "it is not where it should be"
    stuck = hall.run("orders", "stuck").stdout
    assert "parcel PO-5-a was loaded for DHL, and goes with GLS" in stuck
    assert "dockbridge orders amend PO-5 --carrier DHL" in stuck
    hall.tell("scan-1", "unload", None, {}, code="WB-PO-5")
    assert "wrong_carrier" not in hall.run("alerts", "list").stdout
    by_dock = hall.load("PO-5", "scan-9", "V-77")
    assert (by_dock["tone"], hall.list_of("GLS")["parcels"], hall.list_of("DHL")["wrong"]) == ("ok", ["PO-5"], [])


def test_the_desk_may_let_the_carrier_that_has_it_take_it(hall: Hall) -> None:
    hall.load("PO-5")
    hall.run("orders", "amend", "PO-5", "--carrier", "Deutsche Post")
    assert "wrong_carrier" not in hall.run("alerts", "list").stdout
    assert hall.list_of("DHL")["parcels"] == ["PO-5"]
    status = hall.run.data("orders", "show", "PO-5")
    assert (status["carrier"], status["parcels"][0]["carrier"]) == ("DHL", "DHL")
    assert hall.run("orders", "amend", "PO-5", "--parcel", "PO-5-b", "--carrier", "GLS", code=1).stderr.startswith("error: order PO-5 has no parcel PO-5-b")
    assert "nothing is to be changed" in hall.run("orders", "amend", "PO-5", code=1).stderr


def test_a_list_is_closed_with_each_pickup_and_each_parcel_is_on_one(hall: Hall, tmp_path: Path) -> None:
    hall.load("PO-1")
    board = hall.now("DHL")
    assert {name: board[name] for name in ("expected", "loaded", "missing", "unpacked", "wrong")} == {
        "expected": 3, "loaded": 1, "missing": 2, "unpacked": 0, "wrong": 0
    }  # fmt: skip
    assert 0 < board["cutoff_in_s"] <= 86_400
    hall.load("PO-2")
    first = hall.list_of("DHL", "--close", "--reason", "17:30", "--html", str(tmp_path / "dhl.html"))
    assert (first["no"], first["parcels"], first["missing"]) == (1, ["PO-1", "PO-2"], ["PO-3"])
    assert hall.list_of("--no", "1")["parcels"] == ["PO-1", "PO-2"]
    assert [hall.load(order)["outcome"] for order in ("PO-1", "PO-3")] == ["noop", "applied"]
    assert hall.list_of("dhl")["parcels"] == ["PO-3"], "what is scanned again is not handed over again"
    assert hall.list_of("DHL", "--close")["no"] == 2
    assert "nothing was loaded for DHL since its last list" in hall.run("carriers", "handover", "DHL", "--close", code=1).stderr
    hall.tell("scan-1", "unload", None, {}, code="WB-PO-1")
    hall.load("PO-1")
    assert hall.list_of("DHL")["parcels"] == ["PO-1"], "it came back, and leaves again"
    assert [(row["no"], row["parcels"], row["missing"]) for row in hall.run.data("carriers", "handovers")] == [(2, 1, 0), (1, 2, 1)]
    closed = [e for e in hall.run.data("audit", "list") if e["act"] == "carriers.handover" and e["reason"] == "17:30"]
    assert [(e["subject"], e["who"]) for e in closed] == [("DHL", first["by"])]


def test_a_page_that_cant_be_written_closes_nothing_or_names_the_list_that_was_closed(hall: Hall, tmp_path: Path) -> None:
    hall.load("PO-1")
    for file, why in ((tmp_path / "none" / "x.html", "No such file or directory"), (tmp_path, "it is not a file")):
        refused = hall.run("carriers", "handover", "DHL", "--close", "--html", file, code=1)
        assert f"{file} can't be written: {why}; nothing was closed\n  fix: give a file in a folder" in refused.stderr
    assert hall.run.data("carriers", "handovers") == []
    page, said = tmp_path / "x.html", tmp_path / "said"
    words = ["dockbridge", "carriers", "handover", "DHL", "--close", "--html", page, "--site", hall.run.site]
    late = Forked(words, log=said, limits={RLIMIT_FSIZE: 4_096})  # as if the disk became full: a page has more
    assert (late.wait(DEADLINE_S), list(tmp_path.glob("x.html*"))) == (1, [])
    late.stdout.close()
    assert f"list 1 of DHL is closed, but {page} can't be written: File too large\n  fix: dockbridge carriers handover --no 1 --html FILE" in said.read_text()
    hall.run("carriers", "handover", "--no", "1", "--html", page)
    assert "PO-1" in page.read_text()


def test_the_page_to_print_needs_nothing_from_outside_and_is_in_two_languages(hall: Hall, tmp_path: Path) -> None:
    hall.order("PO-6", "DHL", weight_g=1_250)
    hall.tell("shop1", "amended", "PO-6", {"changed": ["tracking"], "tracking": "<b>&"}, parcel="PO-6-a")
    for order in ("PO-1", "PO-5", "PO-6"):
        hall.load(order)
    file = tmp_path / "list.html"
    said = hall.run("carriers", "handover", "DHL", "--html", str(file))
    page = file.read_text(encoding="utf-8")
    for words in (
        "交接清单",
        "Handover list",
        "未关闭 OPEN",
        "签名 Signature",
        "1.75 kg",
        "应交未扫描",
        "Expected and not scanned",
        "错装",
        "WB-PO-1",
        "@media print",
        "A4",
    ):
        assert words in page, words
    assert "&lt;b&gt;&amp;" in page
    assert not re.search(r"https?:|src=|href=|@import|url\(", page)
    assert "2 parcels, 1.75 kg; 1 of other carriers; 2 missing; open; --close closes it." in said.stderr


def test_what_was_loaded_before_its_order_came_is_on_the_next_list(hall: Hall) -> None:
    hall.load("PO-1")
    late = hall.tell("scan-1", "load", "PO-9", {"vehicle": "V-12"}, parcel="PO-9-a")
    assert late["outcome"] == "parked"
    assert hall.list_of("DHL", "--close")["parcels"] == ["PO-1"]
    hall.tell("shop1", "created", "PO-9", {**CREATED, "lines": LINES, "payment": "on_delivery", "carrier": "DHL"})
    assert hall.list_of("DHL")["parcels"] == ["PO-9"]


def test_other_settings_move_nothing_that_was_decided(hall: Hall) -> None:
    hall.load("PO-1")
    hall.load("PO-5")
    hall.load("PO-2", vehicle="V-99")
    hall.list_of("DHL", "--close")
    rows = "SELECT * FROM consignments ORDER BY order_id"
    before, lists = hall.site.rows(rows), hall.site.rows("SELECT no, content FROM handovers")
    assert before[3][6] is not None, "PO-4 has a time by rule"
    config = hall.site.directory / "bridge.toml"
    config.write_text(
        config.read_text(encoding="utf-8").replace("0:00/23:59", "1:00/2:00").replace("V-12", "V-13").replace("Deutsche Post", "Post"), encoding="utf-8"
    )
    hall.run("server", "reload")
    assert hall.run.data("db", "rebuild")["changed"] == []
    assert hall.site.rows(rows) == before
    assert hall.site.rows("SELECT no, content FROM handovers") == lists
    assert hall.list_of("DHL")["parcels"] == []
    assert hall.load("PO-3")["tone"] == "ok", "V-12 is nobody's now"


def test_names_and_numbers_that_are_wrong_are_said(hall: Hall) -> None:
    assert "there is no carrier FedEx" in hall.run("carriers", "handover", "FedEx", code=1).stderr
    assert "there is no list 7" in hall.run("carriers", "handover", "--no", "7", code=1).stderr
    hall.run("carriers", "handover", "DHL", "--no", "7", code=2)
    hall.run("carriers", "handover", code=2)
    week = hall.run.data("carriers", "cutoffs")
    assert [(day["carrier"], len(day["pickups"])) for day in week] == [("DHL", 1)] * 7
    assert "00:00 → 23:59" in hall.run("carriers", "cutoffs").stdout


def test_a_load_that_nobody_knows_for_whom_it_is_counts_for_the_parcels_own_carrier(hall: Hall) -> None:
    assert hall.load("PO-4", vehicle="V-99")["tone"] == "ok"
    assert hall.list_of("DHL")["parcels"] == ["PO-4"]


@pytest.mark.slow
def test_a_kill_while_a_list_is_closed_leaves_it_open_or_closed_and_no_parcel_is_lost_or_on_two(tmp_path: Path) -> None:
    with opened(tmp_path / "site") as hall:
        for order in ("PO-1", "PO-2"):
            hall.load(order)
    ends: list[int] = []
    while not ends or ends[-1] == -SIGKILL:
        copy = tmp_path / f"copy-{len(ends)}"
        shutil.copytree(tmp_path / "site", copy)
        process = Forked([helpers.close_until_killed.__file__, str(copy), "DHL", str(len(ends) + 1)])
        ends.append(process.wait(DEADLINE_S))
        process.stdout.close()
        run = Shell(copy)
        closed = [p["order"] for row in run.data("carriers", "handovers") for p in run.data("carriers", "handover", "--no", str(row["no"]))["parcels"]]
        still = [p["order"] for p in run.data("carriers", "handover", "DHL")["parcels"]]
        assert sorted(closed + still) == ["PO-1", "PO-2"], (ends, closed, still)
        run("carriers", "handover", "DHL", "--close", code=0 if still else 1)
    assert (len(ends) > 4, ends[-1]) == (True, 0)
