"""A year on the floor, at the shelves and the packing tables: what a shift leader wants to happen when picking and packing go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.floor import DAY_MS, FINE, Floor, blocked, odd, refused, stop

from bridge.domain.codes.rules import CodeRules

MUG, PLATE = "4006381333931", "4012345678901"
"""The numbers on two articles."""


@pytest.fixture
def floor(tmp_path: Path) -> Iterator[Floor]:
    with Floor(tmp_path / "site.db", codes=CodeRules(containers=("TOTE-",))) as made:
        yield made


# --- at the shelf -----------------------------------------------------------------------------------------------------------


def test_a_mispick_is_put_back_and_is_the_pickers_affair_alone(floor: Floor) -> None:
    floor.order("A", lines={MUG: 2})
    assert floor.picker.pick("A", sku="hat") == refused("wrong_sku", "put_back")
    assert (floor.state("A"), floor.alerts()) == ("paid", set())
    assert floor.picker.pick("A", sku=MUG, code=PLATE) == refused("wrong_sku", "put_back"), "what was scanned is the truth"
    assert floor.picker.pick("A", sku=MUG, code=MUG) == FINE
    assert (floor.state("A"), floor.left()) == ("picking", {MUG: 1})


def test_a_picker_who_takes_too_many_is_told_and_nothing_is_left_to_pick(floor: Floor) -> None:
    floor.order("A", lines={"mug": 2})
    assert floor.picker.pick("A", sku="mug", qty=2) == FINE
    assert floor.picker.pick("A", sku="mug") == odd("too_many")
    assert (floor.state("A"), floor.left(), floor.alerts()) == ("picking", {}, set())


def test_what_was_short_and_is_found_is_an_order_like_any_other(floor: Floor) -> None:
    floor.order("A", lines={"mug": 1, "pen": 1})
    assert floor.picker.pick("A", sku="mug") == FINE
    assert floor.picker.pick("A", sku="pen", short=True) == FINE
    assert (floor.state("A"), floor.left()) == ("picking (short)", {"pen": 1})
    assert floor.picker.pick("A", sku="pen") == FINE
    assert (floor.state("A"), floor.left()) == ("picking", {})
    assert floor.packer.pack("A") == FINE
    assert (floor.state("A"), floor.alerts()) == ("packed", set())


def test_a_substitute_is_picked_once_the_shop_agrees(floor: Floor) -> None:
    floor.order("A", lines={"mug": 1, "pen": 1})
    floor.picker.pick("A", sku="mug")
    floor.picker.pick("A", sku="pen", short=True)
    assert floor.shop.amended("A", changed=["lines"], lines={"mug": 1, "pencil": 1}) == FINE
    assert floor.state("A") == "picking (amended, needs_confirm)", "the pen is not missing any more"
    assert floor.picker.pick("A", sku="pencil") == blocked("needs_confirm", "call_desk")
    assert floor.shop.approved("A") == FINE
    assert floor.picker.pick("A", sku="pen") == refused("wrong_sku", "put_back")
    assert floor.picker.pick("A", sku="pencil") == FINE
    assert floor.packer.pack("A", items={"mug": 1, "pencil": 1}) == FINE
    assert (floor.state("A"), floor.alerts()) == ("packed (amended)", set())


def test_a_substitute_that_only_the_packer_knows_of_is_odd_and_does_not_fill_the_order(floor: Floor) -> None:
    floor.order("A", lines={"mug": 1, "pen": 1})
    assert floor.packer.pack("A", items={"mug": 1, "pencil": 1}) == odd("not_ordered")
    assert floor.state("A") == "partially_packed"


def test_a_tote_beside_many_orders_belongs_to_none(floor: Floor) -> None:
    floor.order("A", "B", lines={"pen": 1})
    for order in ("A", "B"):
        assert floor.picker.pick(order, sku="pen") == FINE
        assert floor.dock.stage(order, code="TOTE-7") == FINE
        assert floor.last["order"] == order
    assert floor.packer.pack("A", parcel="a", code="WB-A") == FINE
    assert floor.dock.load(code="WB-A") == FINE
    assert floor.state("A") == "shipped"
    assert "shipped" not in floor.state("B")


def test_an_order_of_500_lines_counts_down_to_nothing(floor: Floor) -> None:
    lines = {f"article-{n}": 1 for n in range(500)}
    floor.order("A", lines=lines)
    floor.send(*(floor.made(floor.picker, "pick", "A", sku=sku) for sku in list(lines)[:-1]))
    assert floor.picker.hears() == [FINE] * 499
    assert floor.packer.pack("A") == odd("not_listed"), "one is missing, and a pack without a list hides it"
    assert floor.packer.unpack("A", reason="missing_item") == FINE
    assert floor.picker.pick("A", sku="article-499") == FINE
    assert floor.left() == {}
    assert floor.packer.pack("A", items=lines) == FINE
    assert (floor.state("A"), floor.alerts()) == ("packed", set())


# --- at the packing table -----------------------------------------------------------------------------------------------------


def test_a_cancelled_order_is_not_packed_and_its_goods_go_back(floor: Floor) -> None:
    floor.order("A", lines={"pen": 1})
    floor.picker.pick("A", sku="pen")
    assert floor.shop.cancelled("A") == FINE
    assert floor.packer.pack("A") == blocked("cancelled", "put_back")
    assert floor.packer.labelled("A", code="WB-A") == blocked("cancelled", "put_back")
    assert floor.dock.stage("A", code="TOTE-7") == blocked("cancelled", "put_back"), "its tote goes back to the shelves"
    assert (floor.state("A"), floor.alerts()) == ("cancelled", set())


def test_what_breaks_at_the_packing_table_is_packed_anew(floor: Floor) -> None:
    floor.order("A", lines={"mug": 1})
    floor.picker.pick("A", sku="mug")
    floor.packer.pack("A", items={"mug": 1}, parcel="a")
    assert floor.packer.damaged("A", parcel="a") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("packed (damaged)", {"damaged"})
    assert floor.packer.unpack("A", parcel="a", reason="damaged") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("picking", set())
    assert floor.packer.pack("A", items={"mug": 1}, parcel="a") == FINE
    assert floor.state("A") == "packed"


def test_what_broke_beyond_use_is_picked_again_and_that_is_not_too_many(floor: Floor) -> None:
    floor.order("A", lines={"mug": 1})
    floor.picker.pick("A", sku="mug")
    floor.packer.pack("A", items={"mug": 1}, parcel="a")
    assert floor.packer.damaged("A", parcel="a", severity="total") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("exception (damaged, short)", {"damaged"})
    assert floor.picker.pick("A", sku="mug") == FINE
    assert floor.left() == {}
    assert floor.picker.pick("A", sku="mug") == odd("too_many")
    assert floor.packer.pack("A", items={"mug": 1}, parcel="b") == FINE
    assert floor.parcel("A", "b") == "packed"
    assert floor.state("A") == "packed (damaged)"


def test_a_slip_of_another_order_at_the_packing_table_packs_neither(floor: Floor) -> None:
    floor.order("A", "B", lines={"pen": 1})
    assert floor.packer.pack("A", code="B") == refused("wrong_parcel", "put_back")
    assert (floor.state("A"), floor.state("B"), floor.alerts()) == ("paid", "paid", set())
    assert floor.packer.pack("A", code="A") == FINE, "its own slip is right, and is not its label"
    assert floor.state("A") == "packed"


def test_a_recount_of_a_parcel_counts_instead_of_the_first_count(floor: Floor) -> None:
    floor.order("A", lines={"pen": 3})
    floor.packer.pack("A", items={"pen": 3}, parcel="a")
    assert floor.state("A") == "packed"
    assert floor.packer.unpack("A", parcel="a", reason="inspection") == FINE
    assert floor.packer.pack("A", items={"pen": 2}, parcel="a") == FINE
    assert (floor.state("A"), floor.left()) == ("partially_packed", {"pen": 1})


def test_two_orders_in_one_box_travel_together(floor: Floor) -> None:
    floor.order("A", "B", lines={"pen": 1})
    floor.packer.pack("A", code="WB-A")
    floor.packer.pack("B")
    assert floor.packer.aggregated(parent="WB-A", children=["B"]) == FINE
    assert floor.dock.load(code="WB-A") == FINE
    assert floor.anna.delivery(code="WB-A") == FINE
    assert (floor.state("A"), floor.state("B"), floor.alerts()) == ("delivered", "delivered", set())


def test_what_is_amended_after_packing_stays_until_the_shop_agrees(floor: Floor) -> None:
    floor.packed("A", "a")
    assert floor.shop.amended("A", changed=["lines"], lines={"article-a": 1, "pen": 1}) == FINE
    assert floor.state("A") == "partially_packed (amended, needs_confirm)"
    assert floor.dock.stage(code="WB-A") == blocked("needs_confirm", "call_desk")
    assert floor.dock.load(code="WB-A") == stop("moved_on_hold", "incomplete")
    assert floor.alerts("A") == {"moved_on_hold"}
    assert floor.dock.unload(code="WB-A") == FINE
    assert (floor.state("A"), floor.alerts("A")) == ("partially_packed (amended, needs_confirm)", set())
    assert floor.shop.approved("A") == FINE
    assert floor.packer.pack("A", items={"pen": 1}, parcel="b") == FINE
    assert (floor.state("A"), floor.alerts()) == ("packed (amended)", set())


# --- goods that are not here yet ------------------------------------------------------------------------------------------------


def test_a_backorder_goes_in_two_and_waits_in_between_without_an_alert(floor: Floor) -> None:
    floor.order("A", lines={"mug": 1, "pen": 1}, allow_partial=True)
    floor.picker.pick("A", sku="mug")
    floor.packer.pack("A", items={"mug": 1}, parcel="a", code="WB-A")
    assert floor.dock.load(code="WB-A") == FINE, "the shop wants the part"
    assert floor.anna.delivery(code="WB-A") == FINE
    floor.wait(40 * DAY_MS)
    assert (floor.state("A"), floor.alerts()) == ("partially_packed", set())
    assert floor.picker.pick("A", sku="pen") == FINE
    assert floor.packer.pack("A", items={"pen": 1}, parcel="b", code="WB-B") == FINE
    floor.dock.load(code="WB-B")
    assert floor.state("A") == "partially_shipped"
    assert floor.anna.delivery(code="WB-B") == FINE
    assert floor.state("A") == "delivered"


def test_a_part_of_an_order_that_wants_to_be_whole_is_loaded_with_a_warning(floor: Floor) -> None:
    floor.order("A", lines={"mug": 1, "pen": 1})
    floor.packer.pack("A", items={"mug": 1}, code="WB-A")
    assert floor.dock.load(code="WB-A") == odd("incomplete")


def test_a_pre_order_waits_for_its_day(floor: Floor) -> None:
    floor.order("A", lines={"game": 1}, promise_ms=floor.now_ms + 60 * DAY_MS)
    assert floor.shop.held("A", reason="delivery_date") == FINE
    assert floor.picker.pick("A", sku="game") == blocked("held", "set_aside")
    floor.wait(50 * DAY_MS)
    assert (floor.state("A"), floor.alerts()) == ("paid (held)", set())
    assert floor.shop.released("A", reason="delivery_date") == FINE
    assert floor.picker.pick("A", sku="game") == FINE
    assert floor.packer.pack("A", code="WB-A") == FINE
    assert floor.state("A") == "packed"
    floor.wait(10 * DAY_MS)
    assert floor.state("A") == "packed (late_risk)"
