"""A year on the floor, among labels, pallets and cages: what a shift leader wants to happen to parcels that are lost, relabelled, bundled or come back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.floor import DAY_MS, FINE, HOUR_MS, KNOWN, Floor, label, odd, refused, stop, waits

from bridge.domain.codes.rules import CodeRules


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with Floor(tmp_path / "site.db", codes=CodeRules(containers=("CAGE-", "PAL-"))) as made:
        yield made


# --- lost, and found --------------------------------------------------------------------------------------------------------


def test_one_of_three_boxes_is_lost_and_the_order_says_so_until_it_is_sent_again(floor: Floor) -> None:
    floor.on_the_road("A", "a", "b", "c")
    assert floor.anna.lost(code="WB-B") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("out_for_delivery (lost, short)", {"lost"})
    for code in ("WB-A", "WB-C"):
        assert floor.anna.delivery(code=code) == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("delivered (lost, short)", {"lost"}), "the customer has two of three"
    assert floor.picker.pick("A", sku="article-b") == FINE
    assert floor.packer.pack("A", items={"article-b": 1}, parcel="d", code="WB-D") == FINE
    assert floor.state("A") == "partially_packed (lost)"
    floor.anna.pickup(code="WB-D")
    assert floor.anna.delivery(code="WB-D") == FINE
    assert floor.shop.completed("A") == FINE
    assert floor.alerts() == set()


def test_time_alone_does_not_close_an_order_of_which_a_box_is_lost(floor: Floor) -> None:
    floor.on_the_road("A", "a", "b", "c")
    floor.anna.lost(code="WB-B")
    for code in ("WB-A", "WB-C"):
        floor.anna.delivery(code=code)
    floor.wait(20 * DAY_MS)
    assert (floor.state("A"), floor.alerts("A")) == ("delivered (lost, short)", {"lost"}), "somebody has to send it again or give it up"
    assert floor.desk.cancelled(code="WB-B", reason="undeliverable") == FINE
    floor.wait(DAY_MS)
    assert (floor.state("A"), floor.alerts()) == ("completed (lost, short)", set())


def test_a_box_that_was_sent_again_is_owed_no_more_and_time_closes_the_order(floor: Floor) -> None:
    floor.on_the_road("A", "a", "b")
    floor.anna.lost(code="WB-B")
    floor.anna.delivery(code="WB-A")
    floor.packer.pack("A", items={"article-b": 1}, parcel="c", code="WB-C")
    floor.anna.delivery(code="WB-C")
    floor.wait(8 * DAY_MS)
    assert (floor.state("A"), floor.alerts()) == ("completed (lost)", set())


def test_a_cage_that_is_lost_loses_what_was_in_it_until_it_is_scanned(floor: Floor) -> None:
    for order in ("X", "Y"):
        floor.packed(order, order.lower())
    floor.dock.aggregated(parent="CAGE-1", children=["WB-X", "WB-Y"])
    floor.dock.load(code="CAGE-1")
    assert floor.carrier.lost(code="CAGE-1") == FINE
    assert [floor.state(o) for o in ("X", "Y")] == ["exception (lost, short)"] * 2
    assert (floor.alerts("X"), floor.alerts("Y")) == ({"lost"}, {"lost"})
    assert floor.anna.delivery(code="WB-X") == FINE
    assert (floor.state("X"), floor.state("Y"), floor.alerts("X")) == ("delivered", "exception (lost, short)", set())


def test_a_lost_box_that_is_found_is_where_it_was(floor: Floor) -> None:
    floor.on_the_road("A", "a", "b", "c")
    floor.anna.lost(code="WB-B")
    assert floor.anna.found(code="WB-B") == FINE
    assert (floor.state("A"), floor.alerts()) == ("out_for_delivery", set())


def test_a_lost_box_that_somebody_scans_is_not_lost(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.carrier.lost("A")
    assert floor.state("A") == "exception (lost, short)"
    assert floor.dock.arrive(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("shipped", set())


# --- labels -----------------------------------------------------------------------------------------------------------------


def test_swapped_labels_stop_the_packer_at_once(floor: Floor) -> None:
    floor.order("X", "Y", lines={"pen": 1})
    floor.packer.pack("X", parcel="x", code="WB-X")
    floor.packer.pack("Y", parcel="y")
    moved = floor.packer.labelled("Y", parcel="y", code="WB-X")
    assert moved == stop("label_moved", then="call_desk")
    assert (floor.alerts("X"), floor.alerts("Y")) == ({"label_moved"}, set()), "X has a box without a label"
    assert floor.dock.load(code="WB-X") == FINE
    assert (floor.state("X"), floor.state("Y")) == ("packed", "shipped"), "the box with that label is Y's now"
    assert floor.packer.labelled("X", parcel="x", code="WB-Y") == FINE
    assert floor.alerts() == set()


def test_a_label_that_is_on_another_orders_box_is_not_packed_again(floor: Floor) -> None:
    floor.order("X", "Y", lines={"pen": 1})
    floor.packer.pack("X", parcel="x", code="WB-X")
    assert floor.packer.pack("Y", parcel="y", code="WB-X") == refused("wrong_parcel", "put_back")
    assert (floor.state("X"), floor.state("Y")) == ("packed", "paid")


def test_a_box_of_another_order_on_the_van_is_a_misload_and_moves_the_box_that_was_scanned(floor: Floor) -> None:
    for order in ("X", "Y"):
        floor.packed(order, order.lower())
    assert floor.dock.load("X", code="WB-Y") == stop("misload")
    assert (floor.state("X"), floor.state("Y")) == ("packed", "shipped")


def test_swapped_labels_are_put_right_by_taking_the_scan_back(floor: Floor) -> None:
    floor.order("X", "Y", lines={"pen": 1})
    floor.packer.pack("X", parcel="x", code="WB-X")
    floor.packer.pack("Y", parcel="y")
    floor.packer.labelled("Y", parcel="y", code="WB-X")
    assert floor.alerts("X") == {"label_moved"}
    assert floor.packer.takes_back("labelled") == FINE
    assert floor.alerts() == set()
    floor.dock.load(code="WB-X")
    assert (floor.state("X"), floor.state("Y")) == ("shipped", "packed")


def test_a_relabelled_parcel_answers_to_its_new_label_and_says_so_at_the_old_one(floor: Floor) -> None:
    floor.packed("A", "a")
    assert floor.packer.labelled("A", code="WB-2", replaces="WB-A") == FINE
    assert floor.packer.labelled("A", code="WB-3", replaces="WB-2") == FINE
    assert floor.dock.load(code="WB-3") == FINE
    assert floor.dock.load(code="WB-2") == KNOWN._replace(tone="warn", warn=("old_label",))
    assert floor.last["order"] == "A"
    assert floor.parcel("A", "a") == "shipped"


def test_a_hub_relabels_a_parcel_whose_order_it_does_not_know(floor: Floor) -> None:
    floor.packed("X", "a")
    floor.dock.load(code="WB-A")
    assert floor.dock.labelled(code="HUB-77", replaces="WB-A") == FINE
    assert floor.last["order"] == "X"
    assert floor.anna.delivery(code="HUB-77") == FINE
    assert floor.state("X") == "delivered"


def test_a_waybill_number_that_comes_back_after_a_year_is_the_new_orders(floor: Floor) -> None:
    floor.packed("X", "a")
    floor.dock.load(code="WB-A")
    floor.anna.delivery(code="WB-A")
    floor.wait(366 * DAY_MS)
    floor.order("Y", lines={"pen": 1})
    assert floor.packer.pack("Y", code="WB-A") == FINE
    assert floor.dock.load(code="WB-A") == FINE
    assert floor.last["order"] == "Y"
    assert floor.state("Y") == "shipped"
    assert floor.rows("SELECT state FROM orders WHERE order_id = 'X'") == [("completed",)]


def test_a_label_whose_pack_is_still_in_a_scanner_without_signal_waits_for_it(floor: Floor) -> None:
    floor.order("A", lines={"pen": 1})
    packed_ms = floor.now_ms
    floor.wait(HOUR_MS)
    assert floor.dock.load(code="WB-1") == waits("unknown_parcel", "set_aside")
    floor.wait(25 * HOUR_MS)
    assert floor.alerts() == {"parked"}, "a box that was unknown for a day"
    assert floor.packer.pack("A", code="WB-1", at_ms=packed_ms) == FINE
    assert floor.dock.hears() == [FINE]
    floor.wait(0)
    assert (floor.state("A"), floor.alerts()) == ("shipped", set())


# --- pallets, cages, cross-dock -----------------------------------------------------------------------------------------------


def test_a_pallet_is_one_scan_for_all_that_is_on_it(floor: Floor) -> None:
    for order in ("X", "Y", "Z"):
        floor.packed(order, order.lower())
    assert floor.dock.aggregated(parent="PAL-1", children=["WB-X", "WB-Y"]) == FINE
    assert floor.dock.load(code="PAL-1") == FINE
    assert [floor.state(o) for o in ("X", "Y", "Z")] == ["shipped", "shipped", "packed"]
    assert floor.dock.disaggregated(parent="PAL-1", children=["WB-X"]) == FINE
    assert floor.dock.arrive(code="PAL-1") == FINE
    assert (floor.parcel("X", "x"), floor.parcel("Y", "y")) == ("shipped", "in_transit")


@pytest.mark.parametrize(
    ("order_is", "warn", "state"),
    [("cancelled", "moved_after_cancel", "shipped (cancel_requested)"), ("held", "moved_on_hold", "shipped (held, moved_on_hold)")],
)
def test_one_stopped_order_stops_the_pallet_that_it_is_on(floor: Floor, order_is: str, warn: str, state: str) -> None:
    for order in ("X", "Y"):
        floor.packed(order, order.lower())
    floor.dock.aggregated(parent="PAL-1", children=["WB-X", "WB-Y"])
    floor.say(floor.desk, order_is, "Y", reason="stock")
    assert floor.dock.load(code="PAL-1") == stop(warn)
    assert (floor.state("X"), floor.state("Y"), floor.alerts("X"), floor.alerts("Y")) == ("shipped", state, set(), {warn})


def test_a_box_on_a_pallet_that_is_unknown_so_far_is_told_of_and_follows(floor: Floor) -> None:
    floor.packed("X", "x")
    assert floor.dock.aggregated(parent="PAL-1", children=["WB-X", "WB-LATER"]) == odd("some_unknown")
    assert floor.dock.load(code="PAL-1") == odd("some_unknown")
    floor.order("Y", lines={"pen": 1})
    floor.packer.pack("Y", code="WB-LATER")
    assert (floor.state("X"), floor.state("Y")) == ("shipped", "shipped")


def test_a_cage_that_goes_out_every_day_forgets_yesterday(floor: Floor) -> None:
    for day, order in enumerate(("X", "Y", "Z")):
        floor.packed(order, order.lower())
        filled = floor.dock.aggregated(parent="CAGE-1", children=[label(order)])
        assert filled == (odd("container_reopened") if day else FINE), "cages are filled again without being emptied on paper"
        assert floor.dock.load(code="CAGE-1") == FINE
        assert floor.last["order"] == order
        floor.anna.delivery(code=label(order))
        floor.wait(DAY_MS)
    assert [floor.state(o) for o in ("X", "Y", "Z")] == ["delivered"] * 3


def test_goods_that_only_pass_through_are_known_by_the_first_scan_that_names_both(floor: Floor) -> None:
    floor.order("A", lines={"pen": 1})
    assert floor.dock.unload("A", code="WB-FOREIGN") == FINE
    assert floor.dock.stage(code="WB-FOREIGN", dock="d4") == FINE
    assert floor.dock.load(code="WB-FOREIGN") == FINE
    assert floor.anna.delivery(code="WB-FOREIGN") == FINE
    assert (floor.state("A"), floor.status("A")["progress"]["parcels"], floor.alerts()) == ("delivered", 1, set())


def test_a_transfer_between_two_warehouses_is_one_cage_on_the_way(floor: Floor) -> None:
    for order in ("X", "Y"):
        floor.packed(order, order.lower())
    floor.dock.aggregated(parent="CAGE-9", children=["WB-X", "WB-Y"])
    assert floor.dock.load(code="CAGE-9", vehicle="shuttle") == FINE
    assert floor.dock.depart(code="CAGE-9", hub="ams") == FINE
    floor.wait(2 * HOUR_MS)
    assert floor.dock.arrive(code="CAGE-9", hub="rtm") == FINE
    assert floor.dock.disaggregated(parent="CAGE-9", all=True) == FINE
    assert floor.dock.stage(code="WB-X", dock="rtm-d2") == FINE, "it lies in the other hall now"
    assert (floor.state("X"), floor.parcel_status("X", "x")["where"]) == ("shipped", "rtm-d2")
    assert floor.anna.pickup(code="WB-X") == FINE
    assert floor.anna.out_for_delivery(code="WB-X") == FINE
    assert floor.anna.delivery(code="WB-X") == FINE
    assert (floor.state("X"), floor.state("Y")) == ("delivered", "shipped")


# --- back, and out again ------------------------------------------------------------------------------------------------------


def test_a_parcel_that_came_back_is_shipped_again(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    floor.anna.refused(code="WB-A")
    assert floor.dock.returned(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("returned", set())
    floor.wait(3 * DAY_MS)
    assert floor.ben.pickup(code="WB-A") == FINE
    assert floor.state("A") == "shipped"
    assert floor.ben.delivery(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("delivered", set())


def test_what_came_back_after_three_attempts_goes_out_with_none(floor: Floor) -> None:
    floor.on_the_road("A", "a")
    for _ in range(3):
        floor.anna.attempt_failed(code="WB-A")
        floor.wait(DAY_MS)
        floor.anna.out_for_delivery(code="WB-A")
    floor.anna.return_started(code="WB-A", reason="attempts_used")
    floor.dock.returned(code="WB-A")
    assert (floor.parcel_status("A", "a")["attempts"], floor.alerts()) == (3, set()), "it can be read why it came back"
    floor.ben.pickup(code="WB-A")
    assert ("attempts" in floor.parcel_status("A", "a"), floor.alerts()) == (False, set())
    floor.ben.out_for_delivery(code="WB-A")
    floor.ben.attempt_failed(code="WB-A")
    assert (floor.parcel_status("A", "a")["attempts"], floor.alerts()) == (1, set())
