"""A year on the floor, at the till: what a shift leader wants when money is missing, wrong, or goes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.floor import FINE, Floor, blocked, odd, stop

DUE = {"amount_minor": 1999, "currency": "EUR"}


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with Floor(tmp_path / "site.db") as made:
        yield made


def cash(amount_minor: int, currency: str = "EUR") -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency, "tender": "cash"}


def test_a_courier_who_collects_too_little_is_told_and_the_order_stays_unpaid(floor: Floor) -> None:
    floor.on_the_road("A", "a", payment="on_delivery", **DUE)
    assert floor.anna.delivery(code="WB-A", collected=cash(999)) == odd("not_paid")
    assert floor.state("A") == "delivered (not_paid)"
    assert "paid" not in floor.milestones("A")
    assert floor.shop.paid("A", amount_minor=1000, currency="EUR") == FINE
    assert floor.state("A") == "delivered"
    assert "paid" in floor.milestones("A")


def test_cash_to_the_nearest_coin_is_enough(floor: Floor) -> None:
    floor.on_the_road("A", "a", payment="on_delivery", amount_minor=1998, currency="EUR")
    assert floor.anna.delivery(code="WB-A", collected=cash(2000)) == FINE
    assert floor.state("A") == "delivered"


def test_the_wrong_currency_pays_nothing(floor: Floor) -> None:
    floor.on_the_road("A", "a", payment="on_delivery", **DUE)
    assert floor.anna.delivery(code="WB-A", collected=cash(1999, "USD")) == odd("not_paid")
    assert floor.state("A") == "delivered (not_paid)"


def test_a_wrong_amount_that_is_taken_back_and_told_again_is_right(floor: Floor) -> None:
    floor.on_the_road("A", "a", payment="on_delivery", **DUE)
    floor.anna.delivery(code="WB-A", collected=cash(199))
    assert floor.anna.takes_back("delivery") == FINE
    assert floor.state("A") == "out_for_delivery"
    assert floor.anna.delivery(code="WB-A", collected=cash(1999)) == FINE
    assert floor.state("A") == "delivered"


def test_of_two_parcels_only_the_last_asks_for_the_money(floor: Floor) -> None:
    floor.on_the_road("A", "a", "b", payment="on_delivery", **DUE)
    assert floor.anna.delivery(code="WB-A") == FINE
    assert floor.anna.delivery(code="WB-B", collected=cash(1999)) == FINE
    assert floor.state("A") == "delivered"


def test_a_recipient_who_does_not_pay_refuses_and_owes_nothing(floor: Floor) -> None:
    floor.on_the_road("A", "a", payment="on_delivery", **DUE)
    assert floor.anna.refused(code="WB-A", reason="payment") == FINE
    assert floor.dock.returned(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("returned", set())


def test_a_prepaid_order_is_not_picked_before_the_money_is_there(floor: Floor) -> None:
    floor.shop.created("A", channel="shop1", lines={"pen": 1}, allow_partial=False, payment="prepaid", **DUE)
    assert floor.picker.pick("A", sku="pen") == blocked("not_paid", "set_aside")
    assert floor.shop.paid("A", **DUE) == FINE
    assert floor.picker.pick("A", sku="pen") == FINE


def test_an_unpaid_order_that_is_loaded_stops_the_dock(floor: Floor) -> None:
    floor.shop.created("A", channel="shop1", lines={"pen": 1}, allow_partial=False, payment="prepaid", **DUE)
    floor.packer.pack("A", code="WB-A")
    assert floor.dock.load(code="WB-A") == stop("not_paid", then="call_desk")
    assert floor.state("A") == "shipped (not_paid)"
    assert floor.dock.unload(code="WB-A") == FINE
    assert floor.state("A") == "packed"


def test_a_refund_before_picking_stops_the_picking(floor: Floor) -> None:
    floor.shop.created("A", channel="shop1", lines={"pen": 1}, allow_partial=False, payment="prepaid", **DUE)
    floor.shop.paid("A", **DUE)
    assert floor.shop.refunded("A", reason="customer_request", **DUE) == FINE
    assert floor.picker.pick("A", sku="pen") == blocked("not_paid", "set_aside")


def test_a_refund_of_what_is_still_on_the_road_is_told_at_the_door(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.shop.refunded("A", amount_minor=1250, currency="EUR", reason="customer_request")
    assert floor.state("A") == "out_for_delivery (not_paid)"
    assert floor.anna.delivery(code="WB-A") == odd("not_paid")


def test_a_refund_of_what_came_back_leaves_nothing_open(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.anna.delivery(code="WB-A")
    floor.dock.returned(code="WB-A")
    assert floor.shop.refunded("A", amount_minor=1250, currency="EUR", reason="returned") == FINE
    assert (floor.state("A"), floor.alerts()) == ("returned", set())


def test_a_part_of_the_money_that_goes_back_out_of_goodwill_changes_nothing_on_the_floor(floor: Floor) -> None:
    floor.on_the_road("A", "a", **DUE | {"amount_minor": 1250})
    floor.anna.delivery(code="WB-A")
    assert floor.shop.refunded("A", amount_minor=250, currency="EUR", reason="goodwill") == FINE
    assert (floor.state("A"), floor.alerts()) == ("delivered", set())


def test_all_of_the_money_that_goes_back_after_the_delivery_is_the_shops_decision_and_no_debt(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.anna.delivery(code="WB-A")
    assert floor.shop.refunded("A", amount_minor=1250, currency="EUR", reason="goodwill") == FINE
    assert floor.state("A") == "delivered"
