"""A year on the floor, on the road: what a shift leader wants when parcels meet the wrong courier, a closed door or a customer who changes his mind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.floor import DAY_MS, FINE, HOUR_MS, KNOWN, LATE, MINUTE_MS, Floor, odd, stop


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with Floor(tmp_path / "site.db") as made:
        yield made


# --- whose parcel it is -----------------------------------------------------------------------------------------------------


def test_the_wrong_courier_takes_a_parcel_and_the_desk_knows_until_the_right_one_has_it(floor: Floor) -> None:
    floor.packed("A", "a")
    floor.desk.assigned("A", courier="anna", job="j1")
    assert floor.ben.pickup(code="WB-A") == odd("not_your_job")
    assert (floor.state("A"), floor.alerts("A")) == ("shipped (wrong_courier)", {"not_your_job"})
    assert floor.task("anna", "j1") == ["a"], "it is still hers to bring"
    assert floor.anna.pickup(code="WB-A") == odd("handed_over")
    assert (floor.state("A"), floor.alerts("A")) == ("shipped", set())
    assert floor.anna.delivery(code="WB-A") == FINE
    assert floor.task("anna", "j1") is None


def test_couriers_hand_a_parcel_over_on_the_road(floor: Floor) -> None:
    floor.packed("A", "a")
    floor.desk.assigned("A", courier="anna", job="j1")
    floor.anna.pickup(code="WB-A")
    assert floor.ben.pickup(code="WB-A") == odd("handed_over")
    assert (floor.state("A"), floor.alerts()) == ("shipped", set())
    assert floor.ben.out_for_delivery(code="WB-A") == FINE
    assert floor.ben.delivery(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("delivered", set())


# --- at the door ------------------------------------------------------------------------------------------------------------


def test_one_of_two_is_refused_and_comes_back(floor: Floor) -> None:
    floor.on_the_road("A", "a", "b")
    assert floor.anna.delivery(code="WB-A") == FINE
    assert floor.anna.refused(code="WB-B", reason="damaged") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("partially_returning", {"refused"})
    assert floor.dock.returned(code="WB-B") == FINE
    assert (floor.state("A"), floor.parcel("A", "b"), floor.alerts()) == ("delivered", "returned", set())


@pytest.mark.parametrize("method", ["neighbour", "locker", "left_safe"])
def test_a_neighbour_or_a_locker_takes_it_if_the_recipient_agreed(floor: Floor, method: str) -> None:
    floor.on_the_road("A", "a")
    assert floor.anna.delivery(code="WB-A", pod={"method": method, "consent": True}) == FINE
    assert (floor.state("A"), floor.alerts()) == ("delivered", set())


def test_a_parcel_waits_at_a_station_and_is_collected_there(floor: Floor) -> None:
    floor.packed("A", "a")
    floor.anna.pickup(code="WB-A")
    assert floor.anna.available_for_pickup(code="WB-A", point="station-7") == FINE
    assert (floor.state("A"), floor.parcel("A", "a")) == ("out_for_delivery", "available_for_pickup")
    assert floor.parcel_status("A", "a")["where"] == "station-7"
    floor.wait(2 * DAY_MS)
    assert floor.carrier.delivery(code="WB-A", pod={"method": "station"}) == FINE
    assert floor.state("A") == "delivered"
    assert "out_for_delivery" not in {m["state"] for m in floor.parcel_status("A", "a")["milestones"]}, "the recipient fetched it"


def test_a_closed_door_today_is_a_delivery_tomorrow(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    assert floor.anna.attempt_failed(code="WB-A") == FINE
    assert (floor.state("A"), floor.parcel("A", "a")) == ("out_for_delivery", "attempt_failed")
    assert floor.dock.arrive(code="WB-A", hub="depot") == FINE
    assert (floor.state("A"), floor.parcel("A", "a")) == ("shipped", "in_transit")
    floor.wait(16 * HOUR_MS)
    assert floor.anna.out_for_delivery(code="WB-A") == FINE
    assert floor.anna.delivery(code="WB-A") == FINE
    assert (floor.state("A"), floor.parcel_status("A", "a")["attempts"], floor.alerts()) == ("delivered", 1, set())


def test_the_third_closed_door_calls_the_desk_and_a_return_ends_it(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    for nth in (1, 2, 3):
        assert floor.anna.attempt_failed(code="WB-A") == FINE
        assert floor.alerts("A") == ({"attempts"} if nth == 3 else set())
        floor.wait(DAY_MS)
        assert floor.anna.out_for_delivery(code="WB-A") == FINE
    assert floor.alerts("A") == {"attempts"}, "a fourth try needs a word with the recipient first"
    assert floor.anna.return_started(code="WB-A", reason="attempts_used") == FINE
    assert floor.alerts("A") == set()
    assert floor.dock.returned(code="WB-A") == FINE
    assert floor.state("A") == "returned"


def test_a_new_address_on_tour_is_a_flag_and_stops_no_courier(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    assert floor.shop.amended("A", changed=["address"]) == FINE
    assert (floor.state("A"), floor.alerts()) == ("out_for_delivery (amended)", set())
    assert floor.anna.delivery(code="WB-A") == FINE
    assert floor.state("A") == "delivered (amended)"


def test_a_hold_on_tour_stops_the_courier_at_the_next_scan(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    assert floor.desk.held("A", reason="address") == FINE
    assert floor.anna.delivery(code="WB-A") == stop("moved_on_hold")
    assert (floor.state("A"), floor.alerts("A")) == ("delivered (held, moved_on_hold)", {"moved_on_hold"})
    assert floor.desk.released("A") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("delivered", set())


# --- phones without signal ----------------------------------------------------------------------------------------------------


def test_a_delivery_that_arrives_before_its_pickup_stands(floor: Floor) -> None:
    floor.packed("A", "a")
    picked_up_ms = floor.now_ms
    floor.wait(HOUR_MS)
    delivered_ms = floor.now_ms
    assert floor.anna.delivery(code="WB-A", seq=2) == FINE
    assert floor.anna.pickup(code="WB-A", seq=1, at_ms=picked_up_ms) == LATE
    assert (floor.state("A"), floor.alerts()) == ("delivered", set())
    assert (floor.milestones("A")["shipped"], floor.milestones("A")["delivered"]) == (picked_up_ms, delivered_ms)


def test_a_delivery_without_any_pickup_counts_and_what_must_have_been_is_inferred(floor: Floor) -> None:
    floor.packed("A", "a")
    assert floor.anna.delivery(code="WB-A") == FINE
    assert floor.state("A") == "delivered"
    assert "shipped" not in floor.milestones("A")
    assert "shipped" in {m["state"] for m in floor.status("A")["milestones"]}


def test_a_lost_parcel_that_is_delivered_is_not_lost(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.carrier.lost("A")
    floor.anna.lost(code="WB-A")
    assert floor.alerts("A") == {"lost"}
    floor.wait(3 * HOUR_MS)
    assert floor.anna.delivery(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("delivered", set())


def test_what_is_lost_leaves_the_phone_and_what_is_found_comes_back_to_it(floor: Floor) -> None:
    floor.packed("A", "a")
    floor.desk.assigned("A", courier="anna", job="j1")
    floor.anna.pickup(code="WB-A")
    assert floor.anna.lost(code="WB-A") == FINE
    assert (floor.task("anna", "j1"), floor.alerts("A")) == (None, {"lost"})
    assert floor.anna.found(code="WB-A") == FINE
    assert (floor.state("A"), floor.task("anna", "j1"), floor.alerts()) == ("shipped", ["a"], set())


def test_a_courier_is_done_with_what_waits_at_a_station_and_not_with_what_he_brings_back(floor: Floor) -> None:
    floor.packed("A", "a", "b")
    floor.desk.assigned("A", courier="anna", job="j1")
    floor.anna.available_for_pickup(code="WB-A", point="station-7")
    floor.anna.refused(code="WB-B")
    assert floor.task("anna", "j1") == ["a", "b"]
    floor.dock.returned(code="WB-B")
    assert floor.task("anna", "j1") is None


def test_a_cancelled_order_leaves_the_tour_and_the_others_stay(floor: Floor) -> None:
    for order in ("X", "Y"):
        floor.packed(order, order.lower())
        floor.desk.assigned(order, courier="anna", job="j1")
    assert floor.task("anna", "j1") == ["x", "y"]
    floor.shop.cancelled("Y")
    assert floor.task("anna", "j1") == ["x"]


def test_a_wrong_button_is_taken_back_and_the_job_is_open_again(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.desk.assigned("A", courier="anna", job="j1")
    floor.anna.delivery(code="WB-A")
    assert floor.task("anna", "j1") is None
    assert floor.anna.takes_back("delivery") == FINE
    assert (floor.state("A"), floor.task("anna", "j1")) == ("out_for_delivery", ["a"])


# --- cancelled on the way ------------------------------------------------------------------------------------------------------


def test_what_is_cancelled_after_shipping_is_called_back(floor: Floor) -> None:
    floor.packed("A", "a")
    floor.anna.pickup(code="WB-A")
    assert floor.shop.cancelled("A") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("shipped (cancel_requested)", {"moved_after_cancel"})
    assert floor.anna.out_for_delivery(code="WB-A") == stop("moved_after_cancel")
    assert floor.anna.return_started(code="WB-A", reason="cancelled") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("returning", set())
    assert floor.dock.returned(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("returned", set())


def test_what_is_cancelled_and_delivered_all_the_same_stays_on_the_desks_list(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.shop.cancelled("A")
    assert floor.anna.delivery(code="WB-A") == stop("moved_after_cancel")
    assert (floor.state("A"), floor.alerts("A")) == ("delivered (cancel_requested)", {"moved_after_cancel"})


# --- on the way back ------------------------------------------------------------------------------------------------------------


def test_a_return_that_was_not_announced_is_a_return(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.anna.delivery(code="WB-A")
    floor.wait(10 * DAY_MS)
    assert floor.dock.returned(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("returned", set())


def test_a_part_that_comes_back_leaves_the_rest_with_the_customer(floor: Floor) -> None:
    floor.order("A", lines={"mug": 2, "pen": 1})
    floor.packer.pack("A", items={"mug": 2, "pen": 1}, parcel="a", code="WB-A")
    floor.anna.delivery(code="WB-A")
    assert floor.dock.returned(code="WB-A", items={"mug": 1}) == FINE
    assert (floor.state("A"), floor.alerts()) == ("delivered (part_returned)", set())
    assert floor.dock.returned(code="WB-A", items={"mug": 2}) == odd("too_many"), "there is only one left with the customer"
    assert floor.dock.returned(code="WB-A", items={"pen": 1}) == FINE
    assert floor.state("A") == "returned"


def test_a_trigger_that_bounces_at_the_door_is_one_delivery(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    assert floor.anna.delivery(code="WB-A") == FINE
    assert floor.anna.delivery(code="WB-A") == KNOWN._replace(tone="warn", warn=("double_scan",))
    floor.wait(5 * MINUTE_MS)
    assert floor.anna.delivery(code="WB-A") == KNOWN
