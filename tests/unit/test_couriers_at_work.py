"""Couriers' shifts and cash in the database: what is stored, what the end of a shift says, and which alerts stand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.bench import Bench
from helpers.events import TOPICS

from devices.protocol.vocabulary import AlertCode

PHONE: Final = "phone-anna"
HOUR: Final = 3_600_000
COD: Final = {"payment": "on_delivery", "amount_minor": 1_250, "currency": "EUR"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """PO-1 and PO-2 are packed, and to be paid at the door."""
    with Bench(tmp_path / "site.db") as bench:
        bench.create("PO-1", "PO-2", **COD)
        for order in ("PO-1", "PO-2"):
            bench.tell("scan-1", "pack", order)
        bench.tell(PHONE, "shift_started", None, {"worker": "badge-anna"})
        yield bench


def deliver(bench: Bench, order: str, amount: int = 1_250, tender: str = "cash", **more: Any) -> dict[str, Any]:
    body = {"pod": {"method": "code"}, "collected": {"amount_minor": amount, "currency": "EUR", "tender": tender}}
    return bench.tell(PHONE, "delivery", order, body, **more)


def cash(bench: Bench) -> list[tuple[Any, ...]]:
    return bench.rows("SELECT courier, kind, amount_minor, tender, order_id FROM cash ORDER BY at_ms")


def alert(bench: Bench, code: AlertCode) -> dict[str, Any] | None:
    return bench.show(TOPICS.alert(code, "anna"))


def test_what_is_told_of_shifts_and_money_is_stored_and_derived_again(bench: Bench) -> None:
    bench.tell(PHONE, "pickup", "PO-1")
    bench.tell(PHONE, "break_started")
    bench.tell(PHONE, "break_ended")
    deliver(bench, "PO-1")
    bench.tell(PHONE, "shift_ended")
    bench.tell("desk", "cash_counted", None, {"courier": "anna", "amount_minor": 1_250, "currency": "EUR"})
    bench.tell(PHONE, "cash_counted", None, {"courier": "anna", "amount_minor": 1_250, "currency": "EUR"})
    assert cash(bench) == [("anna", "collected", 1_250, "cash", "PO-1"), ("anna", "counted", 1_250, "cash", None), ("anna", "told", 1_250, "cash", None)]
    assert [kind for (kind,) in bench.rows("SELECT type FROM courier_shifts ORDER BY at_ms")] == [
        "shift_started",
        "break_started",
        "break_ended",
        "shift_ended",
    ]
    before = bench.dump("courier_shifts", "cash")
    bench.rebuild()
    assert bench.dump("courier_shifts", "cash") == before


def test_a_scanners_shift_is_no_couriers(bench: Bench) -> None:
    bench.tell("scan-1", "shift_started", None, {"worker": "badge-1"})
    assert bench.rows("SELECT count(*) FROM courier_shifts") == [(1,)]


def test_a_delivery_that_is_told_again_collects_nothing_again(bench: Bench) -> None:
    deliver(bench, "PO-1")
    assert deliver(bench, "PO-1")["outcome"] == "noop"
    assert len(cash(bench)) == 1


def test_money_that_was_not_collected_after_all_is_taken_back(bench: Bench) -> None:
    told = deliver(bench, "PO-1")
    bench.tell(PHONE, "void", None, {"ref": told["id"], "reason": "did_not_occur"})
    assert cash(bench) == []
    counted = bench.tell("desk", "cash_counted", None, {"courier": "anna", "amount_minor": 1, "currency": "EUR"})
    bench.tell("desk", "void", None, {"ref": counted["id"], "reason": "incorrect_data"})
    assert cash(bench) == []


def test_a_scan_that_turns_out_to_be_of_another_order_takes_its_money_there(bench: Bench) -> None:
    """The delivery names only a label; which order's it is, is known later."""
    bench.tell(PHONE, "delivery", None, {"pod": {"method": "code"}, "collected": {"amount_minor": 1_250, "currency": "EUR", "tender": "cash"}}, code="WB-9")
    assert cash(bench) == []
    bench.tell("scan-1", "labelled", "PO-2", {"kind": "waybill", "code": "WB-9"}, at_ms=bench.now_ms - HOUR)
    assert cash(bench) == [("anna", "collected", 1_250, "cash", "PO-2")]


# --- the end of a shift ---------------------------------------------------------------------------------------------------------


def test_the_end_of_a_shift_says_what_is_still_out(bench: Bench) -> None:
    for order in ("PO-1", "PO-2"):
        bench.tell(PHONE, "pickup", order)
    deliver(bench, "PO-1")
    said = bench.tell(PHONE, "shift_ended")
    assert (said["outcome"], said["tone"], said["warn"]) == ("applied", "warn", ["still_out"])
    assert said["detail"] == "parcels of 1 order are still with anna: PO-2; cash to hand in: 12.50 EUR"


def test_what_was_done_in_the_same_batch_counts(bench: Bench) -> None:
    bench.tell(PHONE, "pickup", "PO-1")
    body = {"pod": {"method": "code"}, "collected": {"amount_minor": 1_250, "currency": "EUR", "tender": "card"}}
    drafts = [bench.draft(PHONE, "delivery", "PO-1", body), bench.draft(PHONE, "shift_ended")]
    (_, said) = bench.send(*drafts)
    assert (said["tone"], said.get("warn")) == ("ok", None)


def test_a_scanners_shift_ends_without_a_word(bench: Bench) -> None:
    bench.tell(PHONE, "pickup", "PO-1")
    assert bench.tell("scan-1", "shift_ended")["tone"] == "ok"


# --- who may say it -------------------------------------------------------------------------------------------------------------


def test_a_desk_ends_the_shift_of_the_courier_whom_it_names(bench: Bench) -> None:
    refused = bench.tell("desk", "shift_ended")
    assert (refused["reason"], refused["detail"]) == ("malformed", "body.courier: a desk names the courier whose shift it ends")
    assert bench.tell("desk", "shift_ended", None, {"courier": "anna"})["outcome"] == "applied"
    assert bench.rows("SELECT courier, by_desk FROM courier_shifts WHERE type = 'shift_ended'") == [("anna", 1)]


def test_a_courier_counts_their_own_cash_only(bench: Bench) -> None:
    refused = bench.tell(PHONE, "cash_counted", None, {"courier": "ben", "amount_minor": 1, "currency": "EUR"})
    assert (refused["reason"], refused["detail"]) == ("forbidden", "a courier counts their own cash only")
    assert cash(bench) == []


# --- alerts ---------------------------------------------------------------------------------------------------------------------


def test_a_forgotten_shift_is_an_alert_until_the_next_one_begins(bench: Bench) -> None:
    bench.sweep(13 * HOUR)
    assert alert(bench, AlertCode.SHIFT_OPEN) is None
    bench.sweep(1 * HOUR)
    found = alert(bench, AlertCode.SHIFT_OPEN)
    assert found is not None
    assert found["text"] == "The shift of anna was not ended for 14 h, and counts as ended."
    bench.tell(PHONE, "shift_started", None, {"worker": "badge-anna"})
    bench.sweep(1_000)
    assert alert(bench, AlertCode.SHIFT_OPEN) is None


def test_cash_that_nobody_counts_is_an_alert_until_it_is_counted(bench: Bench) -> None:
    deliver(bench, "PO-1")
    bench.tell(PHONE, "shift_ended")
    bench.sweep(11 * HOUR)
    assert alert(bench, AlertCode.CASH_OPEN) is None
    bench.forget()
    bench.sweep(2 * HOUR)
    found = alert(bench, AlertCode.CASH_OPEN)
    assert found is not None
    assert "`dockbridge couriers count anna AMOUNT CURRENCY`" in found["fix"]
    bench.tell("desk", "cash_counted", None, {"courier": "anna", "amount_minor": 1_250, "currency": "EUR"})
    bench.sweep(1_000)
    assert alert(bench, AlertCode.CASH_OPEN) is None


def test_what_is_old_is_dropped(bench: Bench) -> None:
    deliver(bench, "PO-1")
    bench.sweep(61 * 24 * HOUR)
    assert (cash(bench), bench.rows("SELECT count(*) FROM courier_shifts")) == ([], [(0,)])
