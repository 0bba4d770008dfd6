"""Money: an order is paid when enough was paid, never because something else happened. Row S19 of the findings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench
from helpers.events import CREATED, DELIVERY, LINES, event_id

from bridge.domain.order.payment import CASH_ROUNDING_MINOR, enough_minor

PICK = {"sku": "pen", "qty": 1}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


def create(bench: Bench, order: str = "PO-1", **body: Any) -> None:
    assert bench.tell("shop1", "created", order, {**CREATED, **body})["outcome"] == "applied"


def pay(bench: Bench, amount_minor: int, currency: str = "EUR") -> dict[str, Any]:
    return bench.tell("shop1", "paid", "PO-1", {"amount_minor": amount_minor, "currency": currency})


def deliver(bench: Bench, amount_minor: int | None = None, currency: str = "EUR", tender: str = "cash", **other: Any) -> dict[str, Any]:
    collected = {} if amount_minor is None else {"collected": {"amount_minor": amount_minor, "currency": currency, "tender": tender}}
    return bench.tell("phone-anna", "delivery", "PO-1", {**DELIVERY, **collected}, **{"parcel": "p1", **other})


def milestones(bench: Bench) -> list[str]:
    return [m["state"] for m in bench.status("PO-1")["milestones"]]


def flags(bench: Bench) -> list[str]:
    flags: list[str] = bench.status("PO-1")["flags"]
    return flags


# --- prepaid ----------------------------------------------------------------------------------------------------------------


def test_s19_an_unpaid_prepaid_order_is_not_picked(bench: Bench) -> None:
    create(bench)
    blocked = bench.tell("scan-1", "pick", "PO-1", PICK)
    assert (blocked["outcome"], blocked["reason"], blocked["tone"], blocked["next"]) == ("blocked", "not_paid", "stop", "set_aside")
    pay(bench, 1250)
    assert bench.tell("scan-1", "pick", "PO-1", PICK)["outcome"] == "applied"


def test_s19_an_unpaid_prepaid_order_that_is_loaded_is_stopped_and_flagged_until_it_is_paid(bench: Bench) -> None:
    create(bench)
    bench.tell("scan-1", "pack", "PO-1", parcel="p1")
    loaded = bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
    assert (loaded["outcome"], loaded["tone"], loaded["warn"], loaded["next"]) == ("applied", "stop", ["not_paid"], "call_desk")
    assert flags(bench) == ["not_paid"]
    pay(bench, 1250)
    assert flags(bench) == []


def test_s19_a_parcel_that_is_unloaded_again_is_not_flagged(bench: Bench) -> None:
    create(bench)
    bench.tell("scan-1", "pack", "PO-1", parcel="p1")
    bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
    bench.tell("scan-1", "unload", "PO-1")
    assert flags(bench) == []


def test_s19_a_site_may_only_warn(tmp_path: Path) -> None:
    with Bench(tmp_path / "warns.db", unpaid="warn") as bench:
        create(bench)
        picked = bench.tell("scan-1", "pick", "PO-1", PICK)
        assert (picked["outcome"], picked["tone"], picked["warn"]) == ("applied", "warn", ["not_paid"])
        bench.tell("scan-1", "pack", "PO-1", {"items": LINES})
        loaded = bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
        assert (loaded["outcome"], loaded["tone"], loaded["warn"]) == ("applied", "warn", ["not_paid"])
        assert flags(bench) == ["not_paid"]


def test_s19_an_order_keeps_the_rule_under_which_it_was_created(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", unpaid="warn") as before:
        create(before)
    with Bench(tmp_path / "site.db") as after:
        after.now_ms += 60_000
        assert after.tell("scan-2", "pick", "PO-1", PICK)["outcome"] == "applied"
        assert after.rebuild().changed == []


def test_s19_a_payment_is_never_inferred(bench: Bench) -> None:
    create(bench)
    bench.tell("shop1", "approved", "PO-1")
    bench.tell("scan-1", "pack", "PO-1", parcel="p1")
    deliver(bench)
    bench.tell("shop1", "completed", "PO-1")
    assert "paid" not in milestones(bench)


def test_s19_less_than_what_is_due_is_not_paid(bench: Bench) -> None:
    create(bench, amount_minor=5000, currency="EUR")
    first = pay(bench, 4999)
    assert (first["outcome"], first["tone"], first["warn"]) == ("applied", "warn", ["not_paid"])
    assert bench.status("PO-1")["state"] == "pending_payment"
    assert bench.tell("scan-1", "pick", "PO-1", PICK)["reason"] == "not_paid"
    second = pay(bench, 1)
    assert "warn" not in second
    assert (bench.status("PO-1")["state"], milestones(bench)) == ("paid", ["pending_payment", "paid"])


def test_s19_another_currency_pays_nothing(bench: Bench) -> None:
    create(bench, amount_minor=5000, currency="EUR")
    assert pay(bench, 5000, "USD")["warn"] == ["not_paid"]
    assert bench.status("PO-1")["state"] == "pending_payment"


def test_s19_without_an_amount_every_payment_is_enough(bench: Bench) -> None:
    create(bench)
    pay(bench, 0)
    assert bench.status("PO-1")["state"] == "paid"


def test_s19_what_was_paid_back_in_full_is_not_paid(bench: Bench) -> None:
    create(bench, amount_minor=5000, currency="EUR")
    pay(bench, 5000)
    part = bench.tell("shop1", "refunded", "PO-1", {"amount_minor": 1000, "currency": "EUR", "reason": "goodwill"})
    assert (part["outcome"], part["tone"]) == ("applied", "ok")
    assert bench.tell("scan-1", "pick", "PO-1", PICK)["outcome"] == "applied"
    bench.tell("shop1", "refunded", "PO-1", {"amount_minor": 4000, "currency": "EUR", "reason": "cancelled"})
    assert bench.tell("scan-1", "pick", "PO-1", PICK)["reason"] == "not_paid"
    assert "paid" in milestones(bench), "it happened"


def test_s19_counted_cash_stands_in_the_log_only(bench: Bench) -> None:
    counted = bench.tell("desk", "cash_counted", None, {"courier": "anna", "amount_minor": 120_00, "currency": "EUR"})
    assert (counted["outcome"], counted["tone"]) == ("applied", "ok")
    assert bench.rows("SELECT type, order_id FROM events") == [("cash_counted", None)]


# --- on delivery ------------------------------------------------------------------------------------------------------------


def on_the_road(bench: Bench, amount_minor: int | None = 1999, currency: str = "EUR") -> None:
    due = {} if amount_minor is None else {"amount_minor": amount_minor, "currency": currency}
    create(bench, payment="on_delivery", **due)
    bench.tell("scan-1", "pack", "PO-1", parcel="p1")
    bench.tell("phone-anna", "pickup", "PO-1")


def test_s19_one_cent_does_not_pay_an_order(bench: Bench) -> None:
    on_the_road(bench)
    paid = deliver(bench, 1)
    assert (paid["outcome"], paid["tone"], paid["warn"]) == ("applied", "warn", ["not_paid"])
    assert flags(bench) == ["not_paid"]
    assert (bench.status("PO-1")["state"], "paid" in milestones(bench)) == ("delivered", False)
    pay(bench, 1998)
    assert (flags(bench), "paid" in milestones(bench)) == ([], True)


def test_s19_a_delivery_without_collection_is_warned_of(bench: Bench) -> None:
    on_the_road(bench)
    assert deliver(bench)["warn"] == ["not_paid"]
    assert flags(bench) == ["not_paid"]


def test_s19_enough_is_paid(bench: Bench) -> None:
    on_the_road(bench)
    assert "warn" not in deliver(bench, 1999)
    assert (flags(bench), "paid" in milestones(bench)) == ([], True)


def test_s19_without_an_amount_any_collection_but_none_is_enough(bench: Bench) -> None:
    on_the_road(bench, None)
    assert "warn" not in deliver(bench, 1)
    assert "paid" in milestones(bench)


def test_s19_nothing_collected_is_not_paid(bench: Bench) -> None:
    on_the_road(bench, None)
    assert deliver(bench, 0)["warn"] == ["not_paid"]


def test_s19_of_two_parcels_only_one_asks_for_the_money(bench: Bench) -> None:
    create(bench, payment="on_delivery", amount_minor=1999, currency="EUR")
    bench.tell("scan-1", "pack", "PO-1", {"items": [LINES[0]]}, parcel="p1")
    bench.tell("scan-1", "pack", "PO-1", {"items": [LINES[1]]}, parcel="p2")
    bench.tell("phone-anna", "pickup", "PO-1")
    assert "warn" not in deliver(bench, None, parcel="p2"), "the other parcel may still bring it"
    assert "warn" not in deliver(bench, 1999)
    assert flags(bench) == []


def test_s19_cash_is_compared_after_the_rounding_of_its_currency(bench: Bench) -> None:
    on_the_road(bench, 1002, "CHF")
    assert "warn" not in deliver(bench, 1000, "CHF")


def test_s19_a_card_pays_to_the_cent(bench: Bench) -> None:
    on_the_road(bench, 1002, "CHF")
    assert deliver(bench, 1000, "CHF", "card")["warn"] == ["not_paid"]


def test_s19_a_voided_delivery_takes_the_payment_back(bench: Bench) -> None:
    on_the_road(bench)
    deliver(bench, 1999)
    bench.tell("phone-anna", "void", None, {"ref": event_id("phone-anna", 2), "reason": "did_not_occur"})
    assert (flags(bench), "paid" in milestones(bench)) == ([], False)


@pytest.mark.parametrize(
    ("currency", "due", "enough"),
    [
        ("CHF", 1002, 1000),
        ("CHF", 1003, 1003),
        ("CHF", 1005, 1005),
        ("SEK", 19_949, 19_900),
        ("SEK", 19_950, 19_950),
        ("DKK", 1024, 1000),
        ("EUR", 1999, 1999),
        ("EUR", 2002, 2000),
        ("HUF", 100_200, 100_000),
        ("JPY", 1999, 1999),
        ("CHF", 2, 2),
    ],
)
def test_s19_the_rounding_of_cash_only_ever_favours_the_payer(currency: str, due: int, enough: int) -> None:
    assert enough_minor(due, currency, in_cash=True) == enough
    assert enough_minor(due, currency, in_cash=False) == due


def test_s19_every_rounding_is_a_whole_number_of_minor_units() -> None:
    assert all(len(code) == 3 and code.isupper() and unit > 1 for code, unit in CASH_ROUNDING_MINOR.items())
