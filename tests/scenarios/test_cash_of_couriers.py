"""A desk sees who is at work, counts what couriers hand in, and finds what is open: over the real commands."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import pytest
from helpers.events import CREATED
from helpers.shell import Shell
from helpers.site import Site

from bridge.entrypoints.control.server import ControlServer
from devices.protocol.vocabulary import Role

NUMBERS: Final = count(1)
COD: Final = {**CREATED, "payment": "on_delivery", "amount_minor": 1_250, "currency": "EUR"}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Anna has delivered PO-1 for cash and PO-2 for a card, and still has PO-3. Ben has not begun."""
    with Site(tmp_path_factory.mktemp("couriers") / "site") as site:
        site.enrol("shop1", Role.SYSTEM, with_secret=False)
        site.enrol("scan-1", with_secret=False)
        site.enrol("phone-1", Role.COURIER, courier="anna", with_secret=False)
        site.enrol("phone-2", Role.COURIER, courier="ben", with_secret=False)
        tell(site, "phone-1", "shift_started", (None, {"worker": "badge-anna"}))
        for order in ("PO-1", "PO-2", "PO-3"):
            tell(site, "shop1", "created", (order, COD))
            tell(site, "scan-1", "pack", (order, {"items": CREATED["lines"]}))
            tell(site, "phone-1", "pickup", (order, {}))
        for order, tender in (("PO-1", "cash"), ("PO-2", "card")):
            collected = {"amount_minor": 1_250, "currency": "EUR", "tender": tender}
            tell(site, "phone-1", "delivery", (order, {"pod": {"method": "pin"}, "collected": collected}))
        control = ControlServer(site.app, site.directory)
        site.wait_for(control.start())
        yield site
        site.wait_for(control.stop())


def tell(site: Site, device: str, event_type: str, *events: tuple[str | None, dict[str, Any]]) -> dict[str, Any]:
    """A device sends events, each with its order and body. Returns the last receipt."""
    payloads = [(event_type, site.event(device, next(NUMBERS), order, body)) for order, body in events]
    receipts = site.wait_for(site.app.submit(site.app.registry.identity(device), payloads))
    assert {receipt["outcome"] for receipt in receipts} == {"applied"}
    return dict(receipts[-1])


@pytest.fixture(scope="module")
def desk(served: Site) -> Shell:
    return Shell(served.directory)


def test_who_is_at_work_and_what_they_have(desk: Shell) -> None:
    anna, ben = json.loads(desk("couriers", "list", "--json").stdout)
    assert (anna["courier"], anna["duty"], anna["on_board"], anna["phones"]) == ("anna", "on", ["PO-3"], ["phone-1"])
    assert (ben["courier"], ben["duty"], ben["on_board"], ben["accounts"]) == ("ben", None, [], [])
    assert "12.50 EUR" in desk("couriers", "list").stdout
    shown = desk("couriers", "show", "anna").stdout
    assert all(word in shown for word in ("phone-1", "PO-3", "12.50 EUR by card", "the shift goes on"))


def test_a_job_is_explained_from_the_first_parcel_that_was_taken_along(desk: Shell) -> None:
    ((job,),) = (found["jobs"] for found in json.loads(desk("couriers", "list", "--json").stdout) if found["courier"] == "anna")
    story = json.loads(desk("jobs", "explain", job, "--json").stdout)
    steps = [(s["answer"], s["order"], s["courier"], s["outcome"]) for s in story["steps"]]
    assert steps == [("assigned", order, "anna", "applied") for order in ("PO-1", "PO-2", "PO-3")]
    assert all(s["parcel"].startswith("p-") for s in story["steps"])
    told = desk("jobs", "explain", job)
    assert told.stdout.count("taken along") == 3
    assert f"{job} of anna is accepted" in told.stderr


def test_a_day_from_the_first_parcel_to_the_last_coin(served: Site, desk: Shell) -> None:
    said = tell(served, "phone-1", "shift_ended", (None, {}))
    assert (said["tone"], said["detail"]) == ("warn", "parcels of 1 order are still with anna: PO-3; cash to hand in: 12.50 EUR")
    assert "to be counted" in desk("report", "cash").stdout
    counted = desk("couriers", "count", "anna", "12.00", "EUR", "--reason", "change")
    assert "12.00 EUR of anna counted." in counted.stderr
    assert "-0.50 EUR" in counted.stdout
    (account,) = json.loads(desk("report", "cash", "--json").stdout)
    assert (account["state"], account["reasons"], account["orders"]) == ("differs", ["change"], ["PO-1"])
    assert account["sums"] == [{"currency": "EUR", "expected": 1_250, "counted": 1_200, "told": None, "difference": -50}]
    assert account["other"] == [{"tender": "card", "currency": "EUR", "amount": 1_250}]
    desk("couriers", "count", "anna", "0.50", "EUR")
    tell(served, "phone-1", "cash_counted", (None, {"courier": "anna", "amount_minor": 1_250, "currency": "EUR"}))
    assert [a["state"] for a in json.loads(desk("report", "cash", "--json").stdout)] == ["settled"]
    day = desk("couriers", "day", "anna")
    assert [row.split()[2] for row in day.stdout.splitlines() if " PO-3 " in row] == ["pickup"]
    assert "shift from" in day.stderr
    assert [entry.subject for entry in served.app.audit.entries() if entry.act == "couriers.day"] == ["anna"]


def test_a_desk_ends_a_shift_that_was_forgotten(served: Site, desk: Shell) -> None:
    tell(served, "phone-2", "shift_started", (None, {"worker": "badge-ben"}))
    assert "The shift of ben is ended." in desk("couriers", "end-shift", "ben").stderr
    assert json.loads(desk("couriers", "show", "ben", "--json").stdout)["duty"] == "off"
    assert "no shift of ben goes on" in desk("couriers", "end-shift", "ben", code=1).stderr


@pytest.mark.parametrize(
    ("typed", "code", "says"),
    [
        (("couriers", "show", "nobody"), 1, "there is no courier nobody"),
        (("couriers", "count", "nobody", "1", "EUR"), 1, "there is no courier nobody"),
        (("couriers", "count", "anna", "12.505", "EUR"), 1, "more decimals than EUR has"),
        (("couriers", "count", "anna", "1", "EURO"), 1, "EURO is no currency"),
        (("couriers", "count", "anna", "1", "EUR", "--reason", "rain"), 2, "rain"),
        (("couriers", "day", "anna", "--day", "soon"), 2, "soon"),
        (("report", "cash", "--day", "2020-01-01"), 0, "no cash was collected"),
    ],
)
def test_wrong_input_gets_a_sentence(desk: Shell, typed: tuple[str, ...], code: int, says: str) -> None:
    assert says in " ".join(desk(*typed, code=code).stderr.replace("│", " ").split())
