"""What waits for a person is listed with the command that moves it on; that command, typed as it is printed, does."""

from __future__ import annotations

import io
import json
import shlex
import string
import sys
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from helpers.events import CREATED
from helpers.site import Site

from bridge.config import DATABASE_NAME
from bridge.entrypoints.cli.main import app, main
from bridge.entrypoints.control.server import ControlServer
from bridge.operations import jobs, order_acts, stuck, waits
from bridge.operations.acts import Operation, carry_out
from bridge.serving.backups import backups_of
from devices.protocol.reasons import CancelReason, HoldReason, UnassignReason
from devices.protocol.vocabulary import Flag, OrderState, ParcelState, Role

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
LINES = [{"sku": "pen", "qty": 3}, {"sku": "ink", "qty": 1}]
PAID = {"amount_minor": 1, "currency": "EUR"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A paid order PO-1 of three pens and an ink, a scanner, and the phones of Anna and Ben."""
    with Site(tmp_path / "site") as site:
        site.enrol("shop1", Role.SYSTEM, with_secret=False)  # here and below: no client logs in, and a secret takes time to hash
        site.enrol("scan-1", with_secret=False)
        for courier in ("anna", "ben"):
            site.enrol(f"phone-{courier}", Role.COURIER, courier=courier, with_secret=False)
        site.tell("shop1", Role.SYSTEM, "created", site.event("shop1", 1, "PO-1", {**CREATED, "lines": LINES}))
        site.tell("shop1", Role.SYSTEM, "paid", site.event("shop1", 2, "PO-1", PAID))
        control = ControlServer(site.app, site.directory)
        site.wait_for(control.start())
        yield site
        site.wait_for(control.stop())


@pytest.fixture
def shell(site: Site, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Runs a command line that `orders stuck` printed, on the site."""

    def run(line: str) -> str:
        out = io.StringIO()
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        monkeypatch.setenv("DOCKBRIDGE_SITE", str(site.directory))
        with redirect_stdout(out), redirect_stderr(io.StringIO()) as err, pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, err.getvalue()
        return out.getvalue()

    return run


def act(site: Site, operation: Operation, **arguments: Any) -> Any:
    return site.wait_for(carry_out(site.app, "maria", operation, arguments))


def waiting(site: Site, what: str, *, later_ms: int = 0) -> list[stuck.Waiting]:
    """What waits because of this flag or state."""
    found = site.wait_for(stuck.list_stuck(site.app, now_ms=site.now_ms() + later_ms, limit=50))
    return [w for w in (*found.orders, *found.events) if w.what == what]


def pick(site: Site, seq: int, sku: str, qty: int) -> None:
    site.tell("scan-1", Role.SCANNER, "pick", site.event("scan-1", seq, "PO-1", {"sku": sku, "qty": qty}))


def pack(site: Site, seq: int) -> None:
    site.tell("scan-1", Role.SCANNER, "pack", site.event("scan-1", seq, "PO-1", {"items": LINES}, code="WB-1", parcel="box-1"))


def held(site: Site) -> None:
    act(site, order_acts.hold, order="PO-1", reason=HoldReason.ADDRESS)


def amended(site: Site) -> None:
    pick(site, 1, "pen", 1)
    act(site, order_acts.amend, order="PO-1", lines={"pen": 2})


def taken_back(site: Site) -> None:
    act(site, jobs.assign, order="PO-1", courier="anna", job="j-1")
    act(site, jobs.release, job="j-1", reason=UnassignReason.ILL.value)


def short(site: Site) -> None:
    pick(site, 1, "pen", 2)
    site.tell("scan-1", Role.SCANNER, "pick", site.event("scan-1", 2, "PO-1", {"sku": "pen", "qty": 1, "short": True}))


def in_other_hands(site: Site) -> None:
    pack(site, 1)
    act(site, jobs.assign, order="PO-1", courier="anna", job="j-1")
    site.tell("phone-ben", Role.COURIER, "pickup", site.event("phone-ben", 1, "PO-1", {}))


@pytest.mark.parametrize(
    ("what", "happens", "command"),
    [
        (Flag.HELD, held, "dockbridge orders release PO-1 --reason address"),
        (Flag.NEEDS_CONFIRM, amended, "dockbridge orders confirm PO-1"),
        (Flag.UNASSIGNED, taken_back, "dockbridge jobs assign PO-1 COURIER"),
        (Flag.SHORT, short, "dockbridge orders amend PO-1 --line pen=2 --line ink=1"),
        (Flag.WRONG_COURIER, in_other_hands, "dockbridge jobs assign PO-1 ben"),
    ],
)
def test_what_waits_is_moved_on_by_the_command_that_is_printed(
    site: Site, shell: Callable[[str], str], what: Flag, happens: Callable[[Site], None], command: str
) -> None:
    assert waiting(site, what) == []
    happens(site)
    (found,) = waiting(site, what)
    assert (found.order, found.command) == ("PO-1", command)
    assert 0 <= site.now_ms() - found.since_ms < HOUR_MS
    assert command in shell("dockbridge orders stuck")
    shell(command.replace("COURIER", "ben"))
    assert waiting(site, what) == []


def test_a_state_waits_only_after_its_time(site: Site) -> None:
    assert waiting(site, OrderState.PAID) == []
    (found,) = waiting(site, OrderState.PAID, later_ms=5 * HOUR_MS)
    assert (found.why, found.command) == ("paid, and not approved", None)


def test_a_hold_that_only_the_shop_may_lift_is_left_to_the_shop(site: Site) -> None:
    site.tell("shop1", Role.SYSTEM, "held", site.event("shop1", 3, "PO-1", {"reason": "fraud"}))
    (found,) = waiting(site, Flag.HELD)
    assert (found.why, found.who, found.command) == ("on hold for fraud", "Only shop1, which set it, lifts it (released).", None)


def test_an_order_that_has_ended_waits_for_nobody(site: Site) -> None:
    held(site)
    act(site, order_acts.cancel, order="PO-1", reason=CancelReason.MISTAKE)
    assert site.wait_for(stuck.list_stuck(site.app, now_ms=site.now_ms() + 99 * DAY_MS, limit=50)).orders == []


def test_a_lost_parcel_waits_until_the_desk_gives_it_up(site: Site, shell: Callable[[str], str]) -> None:
    pack(site, 1)
    site.tell("scan-1", Role.SCANNER, "lost", site.event("scan-1", 2, "PO-1", {}, code="WB-1"))
    (found,) = waiting(site, Flag.LOST)
    assert found.command == "dockbridge orders cancel PO-1 --reason undeliverable"
    shell(found.command)
    assert waiting(site, Flag.LOST) == []
    assert waiting(site, OrderState.EXCEPTION) == []


def test_events_that_wait_and_messages_in_quarantine_are_listed(site: Site) -> None:
    identity = site.app.registry.identity("scan-1")
    early = site.event("scan-1", 1, "PO-9", {"sku": "pen", "qty": 1})
    site.wait_for(site.app.submit(identity, [("pick", early), ("pick", b"\xff")]))
    (parked,) = waiting(site, "parked")
    assert (parked.order, parked.why) == ("PO-9", "1 event of it came before it was created")
    (refused,) = waiting(site, "quarantine")
    assert refused.why.startswith("1 message of scan-1 refused: ")
    assert refused.command == "dockbridge quarantine show 1"


def test_pages_give_every_order_that_waits_once(site: Site, shell: Callable[[str], str]) -> None:
    site.tell("shop1", Role.SYSTEM, "created", *(site.event("shop1", n, f"PO-{n}", CREATED) for n in (11, 12, 13)))
    for n in (11, 12, 13):
        act(site, order_acts.hold, order=f"PO-{n}", reason=HoldReason.STOCK)
    found = site.wait_for(stuck.list_stuck(site.app, now_ms=site.now_ms(), limit=2))
    rest = site.wait_for(stuck.list_stuck(site.app, now_ms=site.now_ms(), limit=2, after=found.after))
    assert [w.order for w in (*found.orders, *rest.orders)] == ["PO-11", "PO-12", "PO-13"]
    assert rest.after is None
    assert json.loads(shell("dockbridge orders stuck --older-than 1h --json"))["orders"] == []
    assert stuck.count_stuck(site.app.queries, now_ms=site.now_ms()) == 3


def test_the_status_of_a_site_is_one_screen(site: Site, shell: Callable[[str], str]) -> None:
    site.enrol("scan-9")
    site.tell("scan-9", Role.SCANNER, "pick", site.event("scan-9", 4, "PO-1", {"sku": "pen", "qty": 1}))
    held(site)
    found = json.loads(shell("dockbridge status --json"))
    assert found["running"]
    assert abs(found["server"]["since_ms"] - site.now_ms()) < HOUR_MS
    assert found["devices"] == {"enrolled": 1, "on": 0, "off": 1, "silent": 0, "owing": 1, "owed_events": 3}
    assert (found["orders"], found["stuck"], found["quarantined"], found["alerts"]) == ({"picking": 1}, 1, 0, [])
    assert found["disk_free_bytes"] > found["database_bytes"] > 0
    assert (found["backups"], found["backup_ms"], found["certificates"]) == (True, None, [])
    backups = backups_of(site.directory, site.app.settings)
    assert backups is not None
    backups.make(site.directory / DATABASE_NAME, datetime(2026, 3, 1, 12, tzinfo=UTC))
    shown = [" ".join(line.split()) for line in shell("dockbridge status --tz Asia/Tokyo").splitlines()]
    assert "orders 1: 1 picking" in shown
    assert "devices 1: 0 on, 1 off, 0 of them silent for a day; 1 owe 3 events" in shown
    assert any(line.startswith("last backup 2026-03-01 21:00:00 Tokyo") for line in shown)
    assert any(line.startswith("store takes writes; 0 messages in the backlog") for line in shown)


# --- the tables -------------------------------------------------------------------------------------------------------------


def test_every_flag_and_every_state_says_what_it_waits_for() -> None:
    assert waits.FLAGS.keys() == set(Flag)
    assert waits.STATES.keys() == set(OrderState)
    assert waits.PARCELS.keys() == set(ParcelState)
    assert all(waits.STATES[state] is None for state in waits.ENDED)


def lines() -> list[str]:
    tables = (*waits.FLAGS.values(), *waits.STATES.values(), *waits.PARCELS.values())
    return sorted({w.command for w in tables if w is not None and w.command and not w.command.startswith("{")})


@pytest.fixture(scope="module")
def dockbridge() -> Any:
    return typer.main.get_command(app)


@pytest.mark.parametrize("line", lines())
def test_every_command_of_the_tables_exists_with_its_options(line: str, dockbridge: Any) -> None:
    words = {name: "x" for _, name, _, _ in string.Formatter().parse(line) if name} | {"hold": "stock", "of_parcel": " --parcel x"}
    _, *path = shlex.split(line.format_map(words))
    command = dockbridge
    while hasattr(command, "commands"):
        command = command.commands[path.pop(0)]
    command.make_context("dockbridge", path)
