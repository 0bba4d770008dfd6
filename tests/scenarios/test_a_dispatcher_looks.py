"""A dispatcher looks: orders by what they are sought by, page by page; what waits for a person, and the command that moves it on; one order's story."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

import pytest
from helpers.events import CREATED
from helpers.site import Site

from bridge.entrypoints.cli.main import main
from bridge.entrypoints.cli.order_reads import _Changes
from bridge.errors import NotFound
from bridge.operations import events, jobs, order_acts
from bridge.operations import orders as operations
from bridge.operations.acts import Operation, carry_out
from bridge.operations.order_ports import Sort, Wanted
from devices.protocol.reasons import HoldReason
from devices.protocol.vocabulary import Flag, Role

HOUR_MS = 3_600_000


class Done(NamedTuple):
    """How a command ended."""

    code: int
    stdout: str
    stderr: str


Shell = Callable[..., Done]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """PO-1 is held, PO-2 is with Anna, PO-3 is packed in a labelled box, PO-4 is promised for tomorrow; other-1 came through another channel."""
    with Site(tmp_path_factory.mktemp("looks") / "site", site={"name": "ams1", "timezone": "Asia/Shanghai"}) as site:
        for device, role in (("shop1", Role.SYSTEM), ("shop2", Role.SYSTEM), ("scan-1", Role.SCANNER)):
            site.enrol(device, role, with_secret=False)
        site.create("PO-1", "PO-2", "PO-3")
        now_ms = site.app.clock.now_ms()
        site.tell("shop1", Role.SYSTEM, "created", site.event("shop1", 90, "PO-4", {**CREATED, "promise_ms": now_ms + 24 * HOUR_MS}))
        site.tell("shop2", Role.SYSTEM, "created", site.event("shop2", 1, "other-1", {**CREATED, "channel": "shop2"}))
        for courier in ("anna", "ben"):
            site.enrol(f"phone-{courier}", Role.COURIER, courier=courier, with_secret=False)
        pack = site.event("scan-1", 1, "PO-3", {"items": CREATED["lines"]}, code="WB-77", parcel="box-1", by="w-12", at="desk-4")
        site.tell("scan-1", Role.SCANNER, "pack", pack)
        act(site, order_acts.hold, order="PO-1", reason=HoldReason.ADDRESS)
        act(site, jobs.assign, order="PO-2", courier="anna", job="j-1")
        yield site


def act(site: Site, operation: Operation, **arguments: Any) -> Any:
    return site.wait_for(carry_out(site.app, "maria", operation, arguments))


@pytest.fixture
def shell(site: Site, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Runs `dockbridge` on the site as at a terminal of 200 columns."""

    def run(*words: str, code: int = 0, columns: int = 200) -> Done:
        out, err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "argv", ["dockbridge", *words])
        monkeypatch.setenv("DOCKBRIDGE_SITE", str(site.directory))
        monkeypatch.setenv("COLUMNS", str(columns))
        with redirect_stdout(out), redirect_stderr(err), pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code, (out.getvalue(), err.getvalue())
        return Done(code, out.getvalue(), err.getvalue())

    return run


def orders(site: Site, wanted: Wanted, **page: Any) -> list[str]:
    return [row["order"] for row in site.wait_for(operations.list_orders(site.app, wanted, **{"limit": 50, **page}))]


# --- orders by what they are sought by --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(states=("packed",)), {"PO-3"}),
        (Wanted(states=("packed", "partially_packed", "approved")), {"PO-3"}),
        (Wanted(flags=(Flag.HELD,)), {"PO-1"}),
        (Wanted(flags=(Flag.HELD, Flag.SHORT)), {"PO-1"}),
        (Wanted(flags=(Flag.HELD,), states=("packed",)), set()),
        (Wanted(channel="shop2"), {"other-1"}),
        (Wanted(courier="anna"), {"PO-2"}),
        (Wanted(device="scan-1"), {"PO-3"}),
        (Wanted(text="wb-7"), {"PO-3"}),
        (Wanted(text="THER"), {"other-1"}),
        (Wanted(promise_before_ms=2**50), {"PO-4"}),
        (Wanted(promise_before_ms=1), set()),
        (Wanted(since_before_ms=1), set()),
        (Wanted(since_before_ms=2**50, channel="shop1", text="po-"), {"PO-1", "PO-2", "PO-3", "PO-4"}),
    ],
)
def test_orders_are_found_by_what_they_are_sought_by(site: Site, wanted: Wanted, found: set[str]) -> None:
    assert set(orders(site, wanted)) == found


@pytest.mark.parametrize("sort", Sort)
def test_pages_give_every_order_once_in_any_order_of_sorting(site: Site, sort: Sort) -> None:
    whole = orders(site, Wanted(), sort=sort)
    assert len(whole) == 5
    paged: list[str] = []
    while page := orders(site, Wanted(), sort=sort, limit=2, after=paged[-1] if paged else None):
        paged += page
    assert paged == whole
    assert sort is not Sort.PROMISE or whole[0] == "PO-4"


def test_options_say_what_orders_are_sought_by(shell: Shell) -> None:
    options = "--state packed --state paid --flag held --older-than 4h --channel shop1 --courier anna --device scan-1 --text po --promise-before 2099-01-01"
    assert "no order is like this" in shell("orders", "list", *options.split()).stderr
    listed = shell("orders", "list", "--promise-before", "2099-01-01T00:00", "--sort", "order", "-n", "1")
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["order", "PO-4"]
    assert "There may be more: --after PO-4" in listed.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--state", "bogus"), "Choose from pending_payment, paid"),
        (("--flag", "bogus"), "'customs_hold'"),
        (("--older-than", "soon"), "such as 4h"),
        (("--promise-before", "soon"), "2026-03-01T17:00"),
        (("--tz", "Mars/Base"), "such as Europe/Amsterdam"),
    ],
)
def test_an_unknown_word_is_refused_with_the_known_ones(shell: Shell, words: tuple[str, ...], said: str) -> None:
    assert said in " ".join(shell("orders", "list", *words, code=2).stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("operation", "arguments", "said"),
    [
        (operations.list_orders, {"wanted": Wanted(channel="shop9"), "limit": 9}, "the channels are shop1, shop2"),
        (operations.list_orders, {"wanted": Wanted(courier="nobody"), "limit": 9}, "the couriers are anna, ben"),
        (operations.list_orders, {"wanted": Wanted(device="nope"), "limit": 9}, "there is no device nope"),
        (operations.list_orders, {"wanted": Wanted(), "after": "PO-9", "limit": 9}, "there is no order PO-9"),
        (jobs.list_jobs, {"courier": "nobody"}, "the couriers are anna, ben"),
        (events.list_events, {"order": "NOPE", "limit": 9}, "nothing is known of order NOPE"),
        (events.list_events, {"device": "nope", "limit": 9}, "there is no device nope"),
    ],
)
def test_an_unknown_name_is_never_an_empty_list(site: Site, operation: Callable[..., Any], arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(NotFound) as refused:
        site.wait_for(operation(site.app, **arguments))
    assert said in f"{refused.value}; {refused.value.fix}"


def test_an_empty_answer_is_said(shell: Shell) -> None:
    assert "no event is like this" in shell("events", "list", "--device", "scan-1", "--type", "load").stderr
    assert "no jobs of ben" in shell("jobs", "list", "--courier", "ben").stderr


# --- times ------------------------------------------------------------------------------------------------------------------


def test_times_are_in_the_zone_of_the_site_or_in_the_one_that_is_named(shell: Shell) -> None:
    at_ms = next(row["at_ms"] for row in json.loads(shell("orders", "list", "--json").stdout) if row["order"] == "PO-1")
    for option, name, hours in (((), "Shanghai", 8), (("--tz", "UTC"), "UTC", 0), (("--tz", "Asia/Tokyo"), "Tokyo", 9)):
        listed = shell("orders", "list", *option).stdout
        assert f"since ({name})" in listed
        hour = (at_ms // HOUR_MS + hours) % 24
        assert f" {hour:02}:" in next(line for line in listed.splitlines() if line.startswith("PO-1"))


# --- one order --------------------------------------------------------------------------------------------------------------


def test_an_order_shows_what_was_ordered_what_is_left_and_what_it_waits_for(shell: Shell) -> None:
    found = json.loads(shell("orders", "show", "PO-3", "--json").stdout)
    assert found["lines"][1] == {"sku": "pen", "ordered": 1, "picked": 0, "packed": 1, "left": 0}
    assert found["items"] == {"box-1": {"4006381333931": 2, "pen": 1}}
    assert found["waits"][0]["command"] == "dockbridge jobs assign PO-3 COURIER"
    shown = " ".join(shell("orders", "show", "PO-3").stdout.split())
    assert "4006381333931 2 0 2 0" in shown
    assert "box-1 packed desk-4 WB-77 2 x 4006381333931, 1 x pen" in shown
    assert "dockbridge jobs assign PO-3 COURIER" in shown
    held = " ".join(shell("orders", "show", "PO-1").stdout.split())
    assert "holds address (by console)" in held
    assert "dockbridge orders release PO-1 --reason address" in held
    assert "j-1 anna assigned" in " ".join(shell("orders", "show", "PO-2").stdout.split())


def test_an_orders_story_names_worker_place_article_and_reason_and_cuts_nothing_at_80_columns(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as at a terminal
    monkeypatch.setenv("NO_COLOR", "1")
    packed, held = (_plain(shell("orders", "explain", order, columns=80).stdout) for order in ("PO-3", "PO-1"))
    assert all(len(line) <= 80 for line in (packed + held).splitlines())
    assert "scan-1, worker w-12, at desk-4, parcel box-1, code WB-77" in " ".join(packed.split())
    assert "held (address)  applied -> pending_payment" in held
    (event,) = (step["id"] for step in json.loads(shell("orders", "explain", "PO-1", "--json").stdout)["events"] if step["type"] == "held")
    assert event in held


def test_a_list_at_80_columns_breaks_no_time_and_cuts_no_id(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    listed = _plain(shell("orders", "list", "--tz", "UTC", columns=80).stdout)
    assert "…" not in listed
    assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", listed)) == 6


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_watcher_sees_flags_and_parcels_change(site: Site) -> None:
    async def look(after: int | None) -> operations.Changes:
        if after is None:
            return await operations.start_watching(site.app, ["PO-4"], wait=False)
        return await operations.changes_after(site.app, ["PO-4"], after=after)

    printer, out = _Changes(as_json=False), io.StringIO()
    with redirect_stdout(out):
        found = site.wait_for(look(None))
        printer.print(found.changes)
        act(site, order_acts.hold, order="PO-4", reason=HoldReason.ADDRESS)
        found = site.wait_for(look(found.after))
        printer.print(found.changes)
        act(site, order_acts.release, order="PO-4")
        pack = site.event("scan-1", 9, "PO-4", {"items": CREATED["lines"]}, parcel="box-4")
        site.tell("scan-1", Role.SCANNER, "pack", pack)
        printer.print(site.wait_for(look(found.after)).changes)
    lines = [line.split()[2:] for line in out.getvalue().splitlines()]
    assert [line[4:] for line in lines] == [[], ["+held"], [], ["-held", "box-4", "packed"]]
