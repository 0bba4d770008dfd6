"""Two shops share a site. Each system sends and reads about its own orders only: those whose id begins with its prefix."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench
from helpers.events import CREATED, event_id

Receipt = dict[str, Any]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Shop A has the order a-1, shop B the order b-1."""
    with Bench(tmp_path / "site.db") as bench:
        for shop, order in (("shop-a", "a-1"), ("shop-b", "b-1")):
            assert bench.tell(shop, "created", order, {**CREATED, "channel": shop})["outcome"] == "applied"
            bench.tell(shop, "paid", order, {"amount_minor": 1250, "currency": "EUR"})
        yield bench


def is_forbidden(receipt: Receipt) -> bool:
    return (receipt["outcome"], receipt.get("reason")) == ("rejected", "forbidden")


def test_one_shop_cannot_cancel_the_order_of_another(bench: Bench) -> None:
    before = bench.status("b-1")
    receipt = bench.tell("shop-a", "cancelled", "b-1", {"reason": "customer"})
    assert is_forbidden(receipt)
    assert receipt["detail"] == "shop-a sends events about orders whose id begins with a-; this one is about another order"
    assert bench.status("b-1") == before
    assert bench.rows("SELECT count(*) FROM events WHERE device = 'shop-a' AND order_id = 'b-1'") == [(0,)], "nothing is stored"


def test_a_shop_cancels_its_own_order(bench: Bench) -> None:
    assert bench.tell("shop-b", "cancelled", "b-1", {"reason": "customer"})["outcome"] == "applied"


def test_a_shop_cannot_create_an_order_outside_its_prefix(bench: Bench) -> None:
    assert is_forbidden(bench.tell("shop-a", "created", "c-1", CREATED))
    assert bench.rows("SELECT order_id FROM orders ORDER BY order_id") == [("a-1",), ("b-1",)]


def test_a_system_of_all_orders_sends_about_any(bench: Bench) -> None:
    assert bench.tell("shop1", "held", "b-1", {"reason": "address"})["outcome"] == "applied"


def test_a_scan_of_the_label_of_another_shop_is_refused(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "b-1", {"weight_g": 900}, code="WB-77")
    for order in (None, "a-1"):
        receipt = bench.tell("shop-a", "pickup", order, code="WB-77")
        assert is_forbidden(receipt)
        assert "b-1" not in receipt["detail"], "whose label it is, is not told"
    assert bench.tell("shop-b", "pickup", "b-1", code="WB-77")["outcome"] == "applied"


def test_a_shop_names_its_order_beside_a_code(bench: Bench) -> None:
    """What a code means may change with what arrives later, so a code alone does not keep an event in its shop."""
    bench.tell("scan-1", "pack", "b-1", {"weight_g": 900}, code="WB-77")
    receipt = bench.tell("shop-b", "pickup", code="WB-77")
    assert is_forbidden(receipt)
    assert receipt["detail"] == "shop-b sends events about orders whose id begins with b-; of this one the order is not known: name it"


def test_a_label_that_carries_the_order_number_names_the_order(bench: Bench) -> None:
    for shop, forbidden in (("shop-a", True), ("shop-b", False)):
        assert is_forbidden(bench.tell(shop, "pickup", code="]C100340123450000000024400b-1")) is forbidden


def test_a_label_of_another_shop_that_arrived_in_the_same_batch_is_known(bench: Bench) -> None:
    pack = bench.draft("scan-1", "pack", "b-1", {"weight_g": 900}, code="WB-77")
    packed, scanned = bench.send(pack, bench.draft("shop-a", "pickup", "a-1", code="WB-77"))
    assert packed["outcome"] == "applied"
    assert is_forbidden(scanned)


def test_what_arrived_in_the_same_batch_is_taken_back(bench: Bench) -> None:
    own, other = bench.draft("shop-a", "approved", "a-1", seq=3), bench.draft("shop-b", "approved", "b-1", seq=3)
    voids = [bench.draft("shop-a", "void", None, {"ref": event_id(shop, 3), "reason": "did_not_occur"}) for shop in ("shop-a", "shop-b")]
    _, _, mine, theirs = bench.send(own, other, *voids)
    assert mine["outcome"] == "applied"
    assert is_forbidden(theirs)


def test_a_label_that_is_not_known_yet_is_not_waited_for(bench: Bench) -> None:
    """Otherwise the event would enter whichever order the label turns out to belong to."""
    assert is_forbidden(bench.tell("shop-a", "delivery", body={"pod": {"method": "pin"}}, code="WB-88"))
    bench.tell("scan-1", "pack", "b-1", {"weight_g": 900}, code="WB-88")
    assert bench.status("b-1")["state"] == "packed"


def test_a_shop_takes_back_its_own_events_and_not_those_of_another(bench: Bench) -> None:
    own, other = event_id("shop-a", 2), event_id("shop-b", 2)
    for order in (None, "a-1"):
        assert is_forbidden(bench.tell("shop-a", "void", order, {"ref": other, "reason": "did_not_occur"}))
    assert bench.tell("shop-a", "void", None, {"ref": own, "reason": "did_not_occur"})["outcome"] == "applied"
    assert bench.status("b-1")["state"] == "paid"
    assert bench.status("a-1")["state"] == "pending_payment"


def test_a_void_that_comes_before_its_event_is_refused(bench: Bench) -> None:
    """Nobody knows yet whose order it is about."""
    assert is_forbidden(bench.tell("shop-a", "void", None, {"ref": event_id("shop-b", 9), "reason": "did_not_occur"}))


def test_a_shop_cannot_touch_a_job_with_an_order_of_another(bench: Bench) -> None:
    bench.tell("desk", "assigned", "a-1", {"courier": "anna", "job": "j-1"})
    bench.tell("desk", "assigned", "b-1", {"courier": "anna", "job": "j-1"})
    assert is_forbidden(bench.tell("shop-a", "unassigned", None, {"job": "j-1", "reason": "late"}))
    assert is_forbidden(bench.tell("shop-a", "assigned", "a-1", {"courier": "ben", "job": "j-1"})), "it would hand over the other's order too"
    assert bench.rows("SELECT courier FROM jobs") == [("anna",)]


def test_a_job_that_got_an_order_of_another_in_the_same_batch_is_not_touched(bench: Bench) -> None:
    by_desk = bench.draft("desk", "assigned", "b-1", {"courier": "anna", "job": "j-1"})
    _, by_shop = bench.send(by_desk, bench.draft("shop-a", "assigned", "a-1", {"courier": "ben", "job": "j-1"}))
    assert is_forbidden(by_shop)
    assert bench.rows("SELECT courier FROM jobs") == [("anna",)]


def test_a_shop_assigns_and_withdraws_jobs_of_its_own_orders(bench: Bench) -> None:
    assert bench.tell("shop-a", "assigned", "a-1", {"courier": "anna", "job": "j-1"})["outcome"] == "applied"
    assert bench.tell("shop-a", "unassigned", None, {"job": "j-1", "reason": "late"})["outcome"] == "applied"


def test_what_was_stored_once_is_answered_again_as_it_was(bench: Bench) -> None:
    """A resend of an own event is a repeat like any other."""
    draft = bench.draft("shop-a", "approved", "a-1")
    first, again = bench.send(draft)[0], bench.send(draft)[0]
    assert (first["outcome"], again["outcome"], again["again"]) == ("applied", "applied", True)
