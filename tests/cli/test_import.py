"""A shop's export comes in: each order whole or not at all, its changes as changes, and what has left is not picked again."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import signal
import sys
import threading
from asyncio import run
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.server import Server
from helpers.shell import Done
from helpers.waiting import until

from bridge.config import LOCK_NAME
from bridge.config_file import parse
from bridge.entrypoints.cli import importing, output
from bridge.entrypoints.cli.order_import import import_
from bridge.entrypoints.control.client import Caller
from bridge.errors import NotFound
from bridge.operations import imports
from bridge.operations.order_ports import Wanted
from bridge.operations.orders import list_orders, show_order
from bridge.site_folder import make_site
from bridge.site_reader import ReadableSite

MAP = """
[channel]
name = "{name}"
prefix = "{prefix}"
timezone = "UTC"
{channel}
[columns]
order = "no"
status = "state"
created = "made"
promised = "promise"
sku = "sku"
qty = "qty"
amount = "sum"
carrier = "by"
tracking = "number"
ship_by = "out"
[carrier]
"DHL Paket" = "DHL"
[status]
new = "pending_payment"
paid = "approved"
sent = "shipped"
there = "delivered"
off = "cancelled"
back = "returned"
draft = "leave_out"
"""
HEADER = "no,state,made,promise,sku,qty,sum,by,number,out\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A served site. Each test has a shop, and so a channel, of its own."""
    path = tmp_path_factory.mktemp("import") / "site"
    make_site(path, parse({"listen": {"mqtt": "127.0.0.1:0"}, "ingest": {"retry_max_s": 0.2}}))
    with Server(path):
        yield path


class Shop:
    """A shop with a channel of its own, and what the site knows of its orders."""

    def __init__(self, site: Path, folder: Path, no: int) -> None:
        self.channel = f"shop{no}"
        self.folder = folder
        self.prefix = f"{no}-"
        self.site = ReadableSite(site)
        self.folder_of_site = site

    def map(self, channel: str = "") -> Path:
        path = self.folder / "map.toml"
        path.write_text(MAP.format(name=self.channel, prefix=self.prefix, channel=channel))
        return path

    def take_in(self, *lines: str, code: int = 0, **options: bool) -> Done:
        """Import lines of a file, below its header."""
        (self.folder / "orders.csv").write_text(HEADER + "".join(f"{line}\n" for line in lines))
        return self.take_in_files(self.folder / "orders.csv", code=code, **options)

    def take_in_files(self, *files: Path, code: int = 0, **options: bool) -> Done:
        out, err = io.StringIO(), io.StringIO()
        done = 0
        with redirect_stdout(out), redirect_stderr(err):
            try:
                import_(list(files), self.map(), site=self.folder_of_site, as_json=True, **options)
            except typer.Exit as end:
                done = end.exit_code
        assert done == code, (out.getvalue(), err.getvalue())
        return Done(done, out.getvalue(), err.getvalue())

    def states(self) -> dict[str, str]:
        """The states of those of its orders that exist. They are numbered from 1."""
        own = self.site.queries.order_states(f"{self.prefix}{no}" for no in range(1, ORDERS_MAX + 1))
        return {order.removeprefix(self.prefix): state for order, state in sorted(own.items())}

    def flags(self, order: str) -> list[str]:
        found = self.site.queries.order(self.prefix + order)
        assert found is not None
        flags: list[str] = found["status"]["flags"]
        return flags

    def kinds(self, order: str) -> list[str]:
        return [sent.type for sent in self.site.queries.sent(self.channel, [self.prefix + order])]


NUMBERS = count(1)
ORDERS_MAX = 300


@pytest.fixture
def shop(site: Path, tmp_path: Path) -> Shop:
    return Shop(site, tmp_path, next(NUMBERS))


def new(done: Done) -> dict[str, int]:
    """The events of an import that were new."""
    found: dict[str, int] = json.loads(done.stdout)["new"]
    return found


def line(order: str, *, state: str = "paid", sku: str = "pen", qty: str = "1", amount: str = "", promise: str = "", sent: str = ",,") -> str:
    """A row; `sent` is its carrier, its number, and by when it has to leave."""
    return f"{order},{state},2026-11-20 10:00:00,{promise},{sku},{qty},{amount},{sent}"


def test_an_order_comes_in_whole_or_not_at_all_and_the_mended_file_works(shop: Shop) -> None:
    done = shop.take_in(line("1"), line("1", sku="ink", qty="a few"), line("2"), code=1)
    assert "line 3: qty is 'a few', not a quantity" in done.stderr
    assert "LEFT OUT: 1 order (2 rows)" in done.stderr
    assert json.loads(done.stdout)["left_out"] == {"orders": 1, "rows": 2}
    assert shop.states() == {"2": "approved"}
    again = json.loads(shop.take_in(line("1"), line("1", sku="ink", qty="3"), line("2")).stdout)
    assert (again["again"], again["new"]) == (3, {"created": 1, "paid": 1, "approved": 1})
    assert shop.states() == {"1": "approved", "2": "approved"}


def test_the_same_content_in_another_order_of_rows_is_the_same(shop: Shop) -> None:
    rows = (line("1", sku="pen", qty="2", amount="3.00"), line("2"), line("1", sku="ink", amount="4.50"))
    assert json.loads(shop.take_in(*rows).stdout)["again"] == 0
    again = json.loads(shop.take_in(*reversed(rows)).stdout)
    assert (again["again"], again["new"]) == (again["events"], {})


def test_a_changed_order_sends_only_its_changes_however_often_it_changes(shop: Shop) -> None:
    shop.take_in(line("1", qty="2", amount="5.00"))
    for qty, amount in (("3", "7.50"), ("2", "5.00"), ("3", "7.50")):
        shop.take_in(line("1", qty=qty, amount=amount))
        assert new(shop.take_in(line("1", qty=qty, amount=amount))) == {}
    assert shop.kinds("1") == ["created", "paid", "approved", "paid", "amended", "amended", "amended"]
    assert (shop.states(), shop.flags("1")) == ({"1": "approved"}, ["amended"])


def test_a_changed_promise_arrives(shop: Shop) -> None:
    shop.take_in(line("1", promise="2027-11-21 10:00:00"))
    assert "late_risk" not in shop.flags("1")
    assert new(shop.take_in(line("1", promise="2026-11-20 11:00:00"))) == {"amended": 1}
    assert "late_risk" in shop.flags("1")


def test_a_status_that_moved_on_sends_only_what_is_new(shop: Shop) -> None:
    told = [new(shop.take_in(line("1", state=state))) for state in ("new", "paid", "sent", "there", "there")]
    assert told == [{"created": 1}, {"paid": 1, "approved": 1}, {"pickup": 1}, {"delivery": 1}, {}]
    assert shop.states() == {"1": "delivered"}


def test_orders_that_are_through_come_in_as_what_they_are(shop: Shop) -> None:
    shop.take_in(line("1", state="sent"), line("2", state="there"), line("3", state="off"), line("4", state="back"))
    assert shop.states() == {"1": "shipped", "2": "delivered", "3": "cancelled", "4": "returned"}


def test_an_edit_of_an_order_that_has_left_changes_nothing(shop: Shop) -> None:
    shop.take_in(line("1", state="sent"))
    assert new(shop.take_in(line("1", state="sent", qty="5"))) == {}
    assert "it is shipped already" in shop.take_in(line("1", qty="5"), code=1).stderr


def test_an_order_is_imported_with_its_carrier_and_its_number_when_it_has_one(shop: Shop) -> None:
    by = "2026-11-21 17:00:00"
    shop.take_in(line("1", sent=f"DHL Paket,,{by}"), line("2", sent="UPS,,"))
    shown = run(show_order(shop.site, f"{shop.prefix}1"))
    assert (shown["carrier"], shown["service"], shown["tracking"], shown["ship_by_ms"]) == ("DHL", None, None, 1_795_280_400_000)
    assert new(shop.take_in(line("1", state="sent", sent=f"DHL Paket,JJD0001,{by}"), line("2", sent="UPS,,"))) == {"pickup": 1, "amended": 1}
    assert new(shop.take_in(line("1", state="sent", sent=f"DHL Paket,JJD0001,{by}"), line("2", sent="UPS,,"))) == {}
    assert (run(show_order(shop.site, f"{shop.prefix}1"))["tracking"], shop.states(), shop.flags("1")) == ("JJD0001", {"1": "shipped", "2": "approved"}, [])
    found = run(list_orders(shop.site, Wanted(carrier="dhl", channel=shop.channel), limit=5))
    assert [(row["order"], row["carrier"]) for row in found] == [(f"{shop.prefix}1", "DHL")]
    with pytest.raises(NotFound, match="no order is sent with carrier gls"):
        run(list_orders(shop.site, Wanted(carrier="gls"), limit=5))


def test_an_order_with_several_numbers_comes_in_without_one_and_that_is_said(shop: Shop) -> None:
    done = shop.take_in(line("1", sent="DHL,JJD1,"), line("1", sku="ink", sent="DHL,JJD2,"))
    assert "1 order came in without tracking: the rows of each have several, and an order has one" in done.stderr
    shown = run(show_order(shop.site, f"{shop.prefix}1"))
    assert (shown["carrier"], shown["tracking"]) == ("DHL", None)
    assert "a number that a spreadsheet has shortened" in shop.take_in(line("2", sent="UPS,9.4001E+21,"), code=1).stderr


def test_orders_of_the_future_and_rows_without_an_article_are_named(shop: Shop) -> None:
    done = shop.take_in(line("1", sku="").replace("2026-", "2096-"), line("2"))
    assert "made in the future, as the file says: is channel.time_format right?" in done.stderr
    assert 'without an article number: pieces of "item" stand for it' in done.stderr


def test_a_cancellation_is_not_taken_back_in_silence(shop: Shop) -> None:
    shop.take_in(line("1", state="off"))
    assert "an earlier file cancelled it" in shop.take_in(line("1", state="paid"), code=1).stderr


def test_a_status_that_is_not_mapped_is_named_with_what_to_do(shop: Shop) -> None:
    done = shop.take_in(line("1", state="on hold"), line("2"), line("3", state="draft"), code=1)
    assert 'Statuses that the map does not name: "on hold" (1 order). Add each to [status]' in done.stderr
    assert "Left out as the map says: 1 order" in done.stderr
    assert shop.states() == {"2": "approved"}


def test_a_dry_run_sends_nothing(shop: Shop) -> None:
    done = shop.take_in(line("1"), dry_run=True)
    assert "Would import 1 order, 3 events: 3 new (1 created, 1 paid, 1 approved), 0 known already" in done.stderr
    assert (shop.states(), shop.site.registry.find(shop.channel)) == ({}, None)


def test_a_strict_import_sends_nothing_if_anything_is_wrong(shop: Shop) -> None:
    assert "Nothing was sent." in shop.take_in(line("1"), line("2", qty="none"), strict=True, code=1).stderr
    assert shop.states() == {}
    shop.take_in(line("1"), strict=True)
    assert shop.states() == {"1": "approved"}


def test_a_file_without_orders_is_no_success(shop: Shop) -> None:
    assert "There is no order in it." in shop.take_in(code=1).stderr


def test_several_files_and_standard_input_come_in_one_after_the_other(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text(HEADER + line("1", state="new") + "\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO((HEADER + line("1") + "\n").encode()))))  # type: ignore[arg-type]
    said = json.loads(shop.take_in_files(tmp_path / "a.csv", Path("-")).stdout)
    assert (said["orders"], said["new"]) == (2, {"created": 1, "paid": 1, "approved": 1})
    assert shop.states() == {"1": "approved"}


def test_an_import_that_was_stopped_says_what_is_stored_and_goes_on_where_it_stopped(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [line(str(n)) for n in range(1, ORDERS_MAX + 1)]
    call, calls = Caller.call, []

    def stopped_in_the_second_portion(caller: Caller, operation: Any, *arguments: Any) -> Any:
        calls.append(operation)
        if calls.count(imports.submit) == 2:
            raise KeyboardInterrupt
        return call(caller, operation, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Caller, "call", stopped_in_the_second_portion)
        assert "Stopped: 200 of 300 orders are stored." in shop.take_in(*rows, code=130).stderr
    again = json.loads(shop.take_in(*rows).stdout)
    assert (again["events"], again["again"]) == (900, 600)
    assert list(shop.states().values()) == ["approved"] * 300


@contextmanager
def full_disk(site: Path) -> Iterator[None]:
    """The server can't make any file longer."""
    server = int((site / LOCK_NAME).read_text())
    resource.prlimit(server, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(server, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def test_an_import_says_that_the_server_can_not_store_and_goes_on_once_it_can(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "WAITING_AFTER_S", 0.1)
    said: list[str] = []
    monkeypatch.setattr(importing, "say", said.append)
    rows = [line(str(n)) for n in range(1, 4)]
    call, full = Caller.call, ExitStack()

    def call_with_a_disk_that_fills(caller: Caller, operation: Any, *arguments: Any) -> Any:
        if operation is imports.submit:
            full.enter_context(full_disk(shop.folder_of_site))
        return call(caller, operation, *arguments)

    def wait_and(work: Callable[[], object]) -> threading.Thread:
        thread = threading.Thread(target=lambda: (until(lambda: said, "that the import says why it waits"), work()))
        thread.start()
        return thread

    monkeypatch.setattr(Caller, "call", call_with_a_disk_that_fills)
    with full:
        operator = wait_and(lambda: os.kill(os.getpid(), signal.SIGINT))
        stopped = shop.take_in(*rows, code=130)
        operator.join()
    assert "has not stored anything for 0 s. It goes on as soon as it can: see its log; is its disk full?" in said.pop()
    assert "Stopped: 0 of 3 orders are stored. Orders that were on their way may be, too." in stopped.stderr
    with full:
        mender = wait_and(full.close)
        shop.take_in(*rows, line("4"))
        mender.join()
    assert shop.states() == dict.fromkeys("1234", "approved")
    assert shop.kinds("1") == ["created", "paid", "approved"], "once, although it was on its way when the import was stopped"


def test_an_import_into_a_pipe_says_how_far_it_is(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "LINE_EVERY_S", 0.0)
    said = shop.take_in(line("1"), line("2")).stderr
    assert re.search(r"^importing: \d of 2$", said, re.MULTILINE), said
