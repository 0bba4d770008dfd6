"""What a start and a command read from the database: each table once, and a single row by its key."""

from __future__ import annotations

import asyncio
import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from helpers.events import CREATED, SITE, event
from helpers.new_site import new_site
from sqlalchemy import Engine
from sqlalchemy import event as event_of

from bridge.app import Application
from bridge.config_file import parse
from bridge.entrypoints.cli.main import main
from bridge.operations import devices, jobs
from bridge.operations.imports import open_channel
from devices.protocol.vocabulary import Role

DEVICES = 30


@contextmanager
def statements() -> Iterator[list[str]]:
    """Collects every statement of every engine until the block ends."""
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        seen.append(" ".join(statement.split()))

    event_of.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event_of.remove(Engine, "before_cursor_execute", note)


@pytest.fixture
def site(filled: Path, tmp_path: Path) -> Path:
    """The site, for one test to change."""
    return Path(shutil.copytree(filled, tmp_path / "site"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site with devices, and orders in jobs of two couriers."""
    folder = tmp_path_factory.mktemp("filled") / "site"
    new_site(folder, parse({"site": {"name": SITE}, "listen": {"mqtt": "127.0.0.1:0"}}))

    async def fill() -> None:
        async with await Application.open(folder) as app:
            for n in range(DEVICES):
                await devices.ensure_channel(app, f"gear-{n}", Role.SCANNER)
            await open_channel(app, "shop1")
            shop = app.registry.identity("shop1")
            for courier in ("anna", "ben"):
                await devices.add(app, f"van-{courier}", Role.COURIER, courier)
            for n, courier in enumerate(("anna", "ben", "anna"), 1):
                await app.submit(shop, [("created", event("shop1", n, f"PO-{n}", CREATED, at_ms=app.clock.now_ms()))])
                await jobs.assign(app, f"PO-{n}", courier, f"j-{n}")

    asyncio.run(fill())
    return folder


def command(site: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[str]:
    """Runs a command, which must succeed; returns its statements."""
    monkeypatch.setenv("DOCKBRIDGE_SITE", str(site))
    monkeypatch.setattr(sys, "argv", ["dockbridge", *arguments])
    with statements() as seen, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    return seen


def reads(seen: list[str], table: str) -> list[str]:
    return [s for s in seen if f"FROM {table} " in f"{s} "]


def test_a_start_reads_the_devices_once_however_many_there_are(site: Path) -> None:
    async def start() -> list[str]:
        async with await Application.open(site) as app:
            with statements() as seen:
                await app.serve()
            return seen

    assert len(reads(asyncio.run(start()), "devices")) == 1


@pytest.mark.parametrize("verb", ["show", "release"])
def test_one_job_is_read_by_its_key(site: Path, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    seen = reads(command(site, monkeypatch, "jobs", verb, "j-2"), "jobs")
    assert seen
    assert all("WHERE jobs.job = ?" in s for s in seen)


def test_the_states_of_a_jobs_orders_are_read_at_once(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_add_orders(site, "j-3", 4))
    seen = command(site, monkeypatch, "jobs", "show", "j-3")
    assert len(reads(seen, "orders")) == 1
    assert reads(seen, "parcels") == []


async def _add_orders(site: Path, job: str, number: int) -> None:
    async with await Application.open(site) as app:
        shop = app.registry.identity("shop1")
        for n in range(number):
            await app.submit(shop, [("created", event("shop1", 100 + n, f"PO-{100 + n}", CREATED, at_ms=app.clock.now_ms()))])
            await jobs.assign(app, f"PO-{100 + n}", "anna", job)


def test_an_instruction_of_the_operator_reads_no_other_device(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = reads(command(site, monkeypatch, "jobs", "assign", "PO-1", "ben"), "devices")
    assert seen
    assert all("WHERE devices.device = ?" in s or "WHERE devices.courier = ?" in s for s in seen)


def test_access_why_reads_the_jobs_of_one_courier_and_only_if_a_rule_asks(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command(site, monkeypatch, "device", "add", "phone-anna", "--role", "courier", "--courier", "anna")
    ask = ("access", "why", "phone-anna", "subscribe")
    seen = reads(command(site, monkeypatch, *ask, f"v1/{SITE}/orders/PO-1/status"), "jobs")
    assert [("jobs.courier = ?" in s) for s in seen] == [True]
    assert reads(command(site, monkeypatch, *ask, f"v1/{SITE}/devices/phone-anna/receipts"), "jobs") == []


def test_access_who_reads_the_devices_at_once(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = command(site, monkeypatch, "access", "who", f"v1/{SITE}/orders/PO-1/status")
    assert len(reads(seen, "devices")) <= 2
    assert len(reads(seen, "jobs")) <= 1


def test_an_order_that_is_not_there_counts_its_waiting_events_without_reading_them(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKBRIDGE_SITE", str(site))
    monkeypatch.setattr(sys, "argv", ["dockbridge", "orders", "show", "PO-404"])
    with statements() as seen, redirect_stderr(io.StringIO()) as said, pytest.raises(SystemExit):
        main()
    assert "list the orders" in said.getvalue()
    assert not [s for s in seen if "events.payload" in s]
