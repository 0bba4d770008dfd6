"""A carrier's status file comes in: each row finds its parcel, once. What is not ours, not known or contradictory is named; our own scans stay."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import typer
from helpers.events import BOOT_MS, event
from helpers.new_site import new_site
from helpers.server import Server
from helpers.shell import Done, Shell
from msgspec.structs import asdict

from bridge.app import Application
from bridge.carrier.mapping import MapError
from bridge.config_file import parse
from bridge.entrypoints.cli.carrier_import import import_
from bridge.entrypoints.control.client import Caller
from bridge.errors import Refused
from bridge.operations import carrier_files, devices, imports
from bridge.operations.imports import ImportedEvent
from bridge.site_reader import ReadableSite
from devices.protocol.vocabulary import EventType, Role

MAP = """
[channel]
name = "{name}"
carrier = "SF Express"
timezone = "Asia/Shanghai"
[columns]
tracking = "no"
order = "order"
at = "at"
status = "code"
place = "place"
[status]
"50" = {{ event = "pickup" }}
"31" = {{ event = "arrive" }}
"204" = {{ event = "out_for_delivery" }}
"80" = {{ event = "delivery", pod = "signature" }}
"8000" = "leave_out"
"647" = "not_received"
"""
HEADER = "no,order,at,code,place\n"
LINES = [{"sku": "mug", "qty": 1}]
NUMBERS = count(1)


class Carrier:
    """A carrier with a channel of its own, and the orders of a test: order 1 has the number N1 there, if it has one."""

    def __init__(self, site: Path, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.no = next(NUMBERS)
        self.channel = f"sf{self.no}"
        self.shell = Shell(site)
        self.seq = 1_000 * self.no
        (folder / "map.toml").write_text(MAP.format(name=self.channel))

    def order(self, order: int | str, tracking: str | None = None, *, hours_ago: int = 0) -> str:
        body: dict[str, Any] = {"channel": "web", "lines": LINES, "allow_partial": False, "payment": "on_delivery"}
        self.say("shop1", "created", order, {**body, **({"tracking": self.number(tracking)} if tracking else {})}, hours_ago=hours_ago)
        return self.name(order)

    def name(self, order: int | str) -> str:
        return f"{self.no}-{order}"

    def number(self, number: str) -> str:
        return f"T{self.no}{number}"

    def say(self, device: str, kind: str, order: int | str, body: dict[str, Any] | None = None, *, hours_ago: int = 0, **other: Any) -> None:
        """A scan of ours, or what the shop says."""
        self.seq += 1
        now_ms = time.time_ns() // 1_000_000
        at_ms = now_ms - hours_ago * 3_600_000
        sent_ms = {"sent_mono_ms": now_ms - BOOT_MS} if hours_ago else {}
        payload = event(device, self.seq, self.name(order), body, at_ms=at_ms, **sent_ms, **other)
        with Caller(self.site) as caller:
            done = caller.call(imports.submit, device, [ImportedEvent(EventType(kind), payload)])
        assert done.outcomes == {"applied": 1}

    def take_in(self, *rows: str, code: int = 0, dry_run: bool = False) -> tuple[dict[str, Any], Done]:
        """Import rows such as `N1,,09:00,80`: the times are of today."""
        file = self.folder / "status.csv"
        file.write_text(HEADER + "".join(self.row(row) + "\n" for row in rows))
        return self.take_in_file(file, code=code, dry_run=dry_run)

    def take_in_file(self, file: Path, *, code: int = 0, dry_run: bool = False) -> tuple[dict[str, Any], Done]:
        """Import a file. The command's function is called: to put all commands together takes longer than most of these tests."""
        out, err, done = io.StringIO(), io.StringIO(), 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                import_([file], self.folder / "map.toml", site=self.site, as_json=True, dry_run=dry_run)
            except typer.Exit as end:
                done = end.exit_code
        assert done == code, (out.getvalue(), err.getvalue())
        return json.loads(out.getvalue()), Done(done, out.getvalue(), err.getvalue())

    def take_in_now(self, number: str, code: str) -> dict[str, Any]:
        """Import one row, of this moment."""
        now = datetime.now(ZoneInfo("Asia/Shanghai")).strftime("%Y-%m-%d %H:%M:%S")
        (self.folder / "now.csv").write_text(f"{HEADER}{self.number(number)},,{now},{code},\n")
        return self.take_in_file(self.folder / "now.csv")[0]

    def row(self, row: str) -> str:
        number, order, at, code, *place = row.split(",")
        own = (self.number(number) if number else "", self.name(order) if order else "")
        return ",".join((*own, f"2026-11-20 {at}:00", code, *(place or [""])))

    def state(self, order: int | str) -> str:
        found = ReadableSite(self.site).queries.order_states([self.name(order)])
        return found[self.name(order)]

    def contradictions(self) -> list[dict[str, Any]]:
        found = asyncio.run(carrier_files.contradictions(ReadableSite(self.site)))
        return [asdict(c) for c in found if c.order.startswith(f"{self.no}-")]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A served site. Each test has a carrier, and so a channel, of its own."""
    path = tmp_path_factory.mktemp("carriers") / "site"
    new_site(path, parse({"listen": {"mqtt": "127.0.0.1:0"}}))
    asyncio.run(enrol(path))
    with Server(path):
        yield path


async def enrol(path: Path) -> None:
    """A shop and a scanner that only send from inside: making a password takes longer than most tests."""
    async with await Application.open(path) as app:
        for device, role in (("shop1", Role.SYSTEM), ("scan-1", Role.SCANNER)):
            await devices.ensure_channel(app, device, role)


@pytest.fixture
def carrier(site: Path, tmp_path: Path) -> Carrier:
    return Carrier(site, tmp_path)


def test_a_parcel_is_found_by_its_label_by_the_orders_number_and_by_its_order(carrier: Carrier) -> None:
    for order, tracking in ((1, None), (2, "N2"), (3, None)):
        carrier.order(order, tracking)
    carrier.say("scan-1", "pack", 1, code=carrier.number("N1"))
    found, _ = carrier.take_in("N1,,09:00,50", "N2,,09:05,50", ",3,09:10,50", "N1,,17:00,80", "N2,,17:00,204")
    assert (found["rows"], found["new"], found["again"]) == (5, {"pickup": 3, "delivery": 1, "out_for_delivery": 1}, 0)
    assert [carrier.state(order) for order in (1, 2, 3)] == ["delivered", "out_for_delivery", "shipped"]
    assert carrier.channel in carrier.shell.data("status")["channels"], "when its last file came"
    assert "last files" in carrier.shell("status").stdout


def test_the_same_file_twice_changes_nothing_and_a_later_one_adds_what_is_new(carrier: Carrier) -> None:
    carrier.order(1, "N1")
    rows = ["N1,,09:00,50", "N1,,12:00,31,Hub 上海", "N1,,12:00,31,Hub 上海"]
    carrier.take_in(*rows)
    again, done = carrier.take_in(*rows)
    assert (again["new"], again["again"]) == ({}, 3)
    assert "Imported 0 events; 3 known already" in done.stderr
    later, _ = carrier.take_in(*rows, "N1,,15:00,80")
    assert (later["new"], later["again"], carrier.state(1)) == ({"delivery": 1}, 3, "delivered")


def test_a_later_file_may_spell_a_number_and_a_place_in_another_way(carrier: Carrier) -> None:
    carrier.order(1, "N1")
    carrier.take_in("N1,,12:00,31,Shanghai")
    number = carrier.number("N1")
    (carrier.folder / "spelt.csv").write_text(f"{HEADER} {number[:2]} {number[2:]} ,,2026-11-20 12:00:00,31,上海\n")
    again, _ = carrier.take_in_file(carrier.folder / "spelt.csv")
    assert (again["new"], again["again"]) == ({}, 1)


def test_what_is_not_ours_is_named_and_left_out(carrier: Carrier) -> None:
    carrier.order(1, "N1")
    found, done = carrier.take_in("N1,,09:00,50", "N7,,09:00,50", "N7,,10:00,80", ",77,09:00,50")
    file = str(carrier.folder / "status.csv")
    places = [{"file": file, "column": column, "line": line} for column, line in (("no", 3), ("no", 4), ("order", 5))]
    assert found["of_others"] == {"rows": 3, "lines": places}
    assert f"3 rows about parcels that are not known here: {file}, no in line 3, 4; {file}, order in line 5. If they" in done.stderr
    assert carrier.number("N7") not in done.stderr + done.stdout, "it may be a telephone number that is in the wrong column"
    carrier.order(77)
    assert carrier.take_in(",77,09:00,50")[0]["new"] == {"pickup": 1}, "once its order is there, it comes in"


def test_a_status_that_the_map_does_not_name_is_counted_and_not_guessed(carrier: Carrier) -> None:
    carrier.order(1, "N1")
    found, done = carrier.take_in("N1,,09:00,50", "N1,,10:00,99", "N1,,11:00,99", "N1,,12:00,8000", code=1)
    assert (found["unknown_statuses"], found["left_out_by_map"], found["new"]) == ({"99": 2}, {"8000": 1}, {"pickup": 1})
    assert '2 rows with statuses that the map does not name: "99" (2)' in done.stderr


def test_a_row_that_cant_be_used_is_named_and_the_others_come_in(carrier: Carrier) -> None:
    carrier.order(1, "N1")
    (carrier.folder / "future.csv").write_text(f"{HEADER}{carrier.number('N1')},,2126-11-20 09:00:00,80,\n")
    found, done = carrier.take_in_file(carrier.folder / "future.csv", code=1)
    assert "line 2: it lies in the future (2126-11-20 01:00:00 UTC): is channel.time_format right?" in done.stderr
    found, done = carrier.take_in("N1,,09:00,50", "N1,,9 o'clock,31", ",,10:00,31", code=1)
    assert ([bad["line"] for bad in found["bad_rows"]], found["new"]) == ([3, 4], {"pickup": 1})
    assert "status.csv, line 3: at is " in done.stderr
    assert "line 4: no is empty" in done.stderr


def test_a_number_of_two_orders_is_left_out_unless_one_has_ended_before(carrier: Carrier) -> None:
    carrier.order(1, "N1")
    carrier.order(2, "N1")
    found, _ = carrier.take_in("N1,,09:00,50", code=1)
    assert f"is the number of {carrier.name(1)} and {carrier.name(2)}" in found["bad_rows"][0]["reason"]
    assert carrier.take_in("N1,1,09:00,50")[0]["new"] == {"pickup": 1}, "the file names the order"
    carrier.order(3, "N3")
    found, _ = carrier.take_in("N3,1,10:00,31", "N3,44,11:00,31", code=1)
    assert f"it names order {carrier.name(1)}, and {carrier.number('N3')} is the number of {carrier.name(3)}" in found["bad_rows"][0]["reason"]
    assert (found["new"], carrier.state(3)) == ({"arrive": 1}, "shipped"), "an order that is not known says nothing"


def test_a_number_that_is_used_again_is_that_of_the_order_whose_turn_it_is(carrier: Carrier) -> None:
    carrier.order(1, "N1", hours_ago=900)
    carrier.say("scan-1", "delivery", 1, {"pod": {"method": "counter"}}, hours_ago=800)
    carrier.order(2, "N1", hours_ago=100)
    assert carrier.take_in_now("N1", "50")["new"] == {"pickup": 1}
    assert [carrier.state(order) for order in (1, 2)] == ["delivered", "shipped"]


def test_a_dry_run_says_the_same_and_sends_nothing(carrier: Carrier) -> None:
    carrier.order(1, "N1")
    carrier.say("scan-1", "pack", 1)
    said, done = carrier.take_in("N1,,09:00,50", "N7,,09:00,80", dry_run=True)
    assert "Nothing was sent." in done.stderr
    assert ("before_packed", carrier.state(1)) == (said["contradictions"][0]["kind"], "packed")
    sent, _ = carrier.take_in("N1,,09:00,50", "N7,,09:00,80")
    assert {**sent, "sent": False, "outcomes": {}} == said


def test_delivered_by_the_carrier_and_on_our_dock_is_a_contradiction_until_it_is_voided(carrier: Carrier) -> None:
    order = carrier.order(1, "N1")
    carrier.say("scan-1", "pack", 1, hours_ago=3)
    carrier.say("scan-1", "stage", 1, {"dock": "d1"}, hours_ago=2)
    assert [c["kind"] for c in carrier.take_in_now("N1", "80")["contradictions"]] == ["not_loaded"]
    assert carrier.state(1) == "delivered", "nothing is overwritten: a delivery takes its place in time"
    (wrong,) = carrier.contradictions()
    assert (wrong["kind"], wrong["said"], wrong["scan"], wrong["device"]) == ("not_loaded", "delivery", "stage", "scan-1")
    assert ("contradiction", order) in {(a["code"], a["subject"]) for a in carrier.shell.data("alerts", "list")["alerts"]}
    carrier.shell("events", "void", wrong["void_said"], "--reason", "did_not_occur")
    assert (carrier.contradictions(), carrier.state(1)) == ([], "packed")


def test_the_import_says_what_stands_afterwards(carrier: Carrier) -> None:
    carrier.order(1, "N1")
    carrier.say("scan-1", "pack", 1, hours_ago=2)
    (carrier.folder / "old.csv").write_text(f"{HEADER}{carrier.number('N1')},,2019-11-20 09:00:00,50,\n")
    for dry_run in (True, False):
        old, done = carrier.take_in_file(carrier.folder / "old.csv", code=1, dry_run=dry_run)
        assert (old["new"], old["contradictions"], carrier.contradictions()) == ({}, [], [])
        assert "old.csv, line 2: at lies before 2020: is channel.time_format right?" in done.stderr
    tomorrow = (datetime.now(ZoneInfo("Asia/Shanghai")) + timedelta(hours=20)).strftime("%Y-%m-%d %H:%M:%S")
    carrier.say("scan-1", "stage", 1, {"dock": "d1"})
    (carrier.folder / "ahead.csv").write_text(f"{HEADER}{carrier.number('N1')},,{tomorrow},80,\n")
    dry, _ = carrier.take_in_file(carrier.folder / "ahead.csv", dry_run=True)
    sent, _ = carrier.take_in_file(carrier.folder / "ahead.csv")
    assert sent["contradictions"] == carrier.contradictions(), "with the time that the server gave it"
    assert abs(sent["contradictions"][0]["said_ms"] - dry["contradictions"][0]["said_ms"]) < 60_000


def test_the_carrier_never_got_what_we_loaded(carrier: Carrier) -> None:
    carrier.order(1, "N1")
    carrier.say("scan-1", "pack", 1, hours_ago=3)
    carrier.say("scan-1", "load", 1, {"vehicle": "v1"}, hours_ago=2)
    found = carrier.take_in_now("N1", "647")
    assert (found["not_received"], found["new"], [c["kind"] for c in found["contradictions"]]) == (1, {}, ["never_received"])
    assert [(c["kind"], c["said"], c["scan"]) for c in carrier.contradictions()] == [("never_received", "647", "load")]
    carrier.say("scan-1", "unload", 1)
    assert carrier.contradictions() == [], "it is back: the carrier was right"


def test_a_workbook_and_standard_input_are_read_like_a_shops(carrier: Carrier) -> None:
    from openpyxl import Workbook

    carrier.order(1, "N1")
    book = Workbook()
    book.active.append(HEADER.strip().split(","))
    book.active.append([carrier.number("N1"), None, "2026-11-20 09:00:00", 50, None])
    book.save(carrier.folder / "status.xlsx")
    found, _ = carrier.take_in_file(carrier.folder / "status.xlsx")
    assert found["new"] == {"pickup": 1}


def test_a_wrong_file_and_a_channel_of_another_role_are_refused_with_a_fix(carrier: Carrier) -> None:
    (carrier.folder / "other.csv").write_text("number,when\n1,2\n")
    with pytest.raises(MapError, match="has no column 'no'") as refused:
        carrier.take_in_file(carrier.folder / "other.csv")
    assert refused.value.fix == "its columns are number, when; correct the mapping"
    (carrier.folder / "map.toml").write_text(MAP.format(name="shop1"))
    with pytest.raises(Refused, match="shop1 is enrolled as system, not as carrier"):
        carrier.take_in("N1,,09:00,50")


# --- killed ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_an_import_that_is_killed_again_and_again_stores_everything_once(tmp_path: Path) -> None:
    site, orders = tmp_path / "site", 3_000
    new_site(site, parse({"listen": {"mqtt": "127.0.0.1:0"}}))
    (tmp_path / "map.toml").write_text(MAP.format(name="sf"))
    shop = '[channel]\nname = "shop1"\nprefix = ""\ntimezone = "UTC"\n[columns]\norder = "o"\ncreated = "c"\ntracking = "t"\n'
    (tmp_path / "shop.toml").write_text(shop.replace('prefix = ""', 'prefix = "s-"'))
    (tmp_path / "orders.csv").write_text("o,c,t\n" + "".join(f"{no},2026-11-01 08:00:00,T{no:06d}\n" for no in range(orders)))
    rows = (f"T{no:06d},,2026-11-2{day} 09:00:00,{code},\n" for no in range(orders) for day, code in enumerate((50, 31, 80)))
    (tmp_path / "status.csv").write_text(HEADER + "".join(rows))
    command = [sys.executable, "-m", "bridge.entrypoints.cli.main"]
    words = [*command, "carriers", "import", str(tmp_path / "status.csv"), "--map", str(tmp_path / "map.toml"), "--site", str(site)]
    with Server(site):
        subprocess.run([*command, "orders", "import", tmp_path / "orders.csv", "--map", tmp_path / "shop.toml", "--site", site], check=True)
        for kill in range(8):
            run = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.9 + 0.3 * kill)
            os.kill(run.pid, signal.SIGKILL)
            run.wait()
        assert subprocess.run(words, check=False).returncode == 0
        queries = ReadableSite(site).queries
        assert len(queries.sent("sf", [f"s-{no}" for no in range(orders)])) == 3 * orders
        assert set(queries.order_states(f"s-{no}" for no in range(orders)).values()) == {"delivered"}
