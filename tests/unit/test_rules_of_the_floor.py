"""Rules that a shift leader would call common sense. Rows S26, S28 and S29 of the findings, completion by time, and the return of a part (S31)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench
from helpers.events import DELIVERY, LINES, NOW_MS, TOPICS, event_id
from unit.facts_made import LAMP, MUG, T0, Story, created, line

from bridge.domain.view import OrderView, timed_flags
from bridge.shop import order_events, read_map, read_orders
from devices.protocol import bodies
from devices.protocol.messages import load_cbor
from devices.protocol.vocabulary import EventType as E
from devices.protocol.vocabulary import Flag, Outcome, ParcelState, Warn

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        made.create("PO-1")
        yield made


def told(receipt: dict[str, Any]) -> tuple[str, str, list[str]]:
    return receipt["outcome"], receipt["tone"], receipt.get("warn", [])


# --- S26: too much, too late, unseen ----------------------------------------------------------------------------------------


def test_s26_packing_more_than_was_ordered_warns(bench: Bench) -> None:
    assert told(bench.tell("scan-1", "pack", "PO-1", {"items": [{"sku": "pen", "qty": 20}]})) == ("applied", "warn", ["too_many"])


def test_s26_two_parcels_together_may_be_too_much(bench: Bench) -> None:
    assert told(bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, parcel="p1")) == ("applied", "ok", [])
    assert told(bench.tell("scan-1", "pack", "PO-1", {"items": [LINES[1]]}, parcel="p2")) == ("applied", "warn", ["too_many"])


def test_s26_a_pack_without_a_list_hides_what_is_missing(bench: Bench) -> None:
    assert told(bench.tell("scan-1", "pack", "PO-1")) == ("applied", "warn", ["not_listed"])


def test_s26_a_pack_without_a_list_hides_nothing_once_everything_was_picked(bench: Bench) -> None:
    for item in LINES:
        bench.tell("scan-1", "pick", "PO-1", item)
    assert told(bench.tell("scan-1", "pack", "PO-1")) == ("applied", "ok", [])


def test_s26_an_order_of_one_line_needs_no_list(bench: Bench) -> None:
    bench.create("PO-2", lines=[LINES[1]])
    assert told(bench.tell("scan-1", "pack", "PO-2")) == ("applied", "ok", [])


@pytest.mark.parametrize("way", [[("load", {"vehicle": "v1"})], [("load", {"vehicle": "v1"}), ("delivery", DELIVERY)]])
def test_s26_picking_for_an_order_that_has_left_warns(bench: Bench, way: list[tuple[str, dict[str, Any]]]) -> None:
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES})
    for event, body in way:
        bench.tell("scan-1", event, "PO-1", body)
    assert told(bench.tell("scan-1", "pick", "PO-1", LINES[1])) == ("applied", "warn", ["picked_after"])


def test_s26_picking_what_is_missing_from_an_order_that_has_left_is_right(bench: Bench) -> None:
    bench.tell("scan-1", "pick", "PO-1", {**LINES[1], "short": True})
    bench.tell("scan-1", "pack", "PO-1", {"items": [LINES[0]]})
    bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
    assert told(bench.tell("scan-1", "pick", "PO-1", LINES[1])) == ("applied", "ok", [])


def test_s26_delivering_by_order_number_what_was_never_scanned_out_warns(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1", {"items": [LINES[0]]}, parcel="p1")
    bench.tell("scan-1", "pack", "PO-1", {"items": [LINES[1]]}, parcel="p2")
    bench.tell("phone-anna", "pickup", "PO-1", parcel="p1")
    assert told(bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)) == ("applied", "warn", ["not_scanned"])


def test_s26_a_delivery_that_names_its_parcel_was_scanned(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, parcel="p1", code="WB-1")
    assert told(bench.tell("phone-anna", "delivery", None, DELIVERY, code="WB-1")) == ("applied", "ok", [])


def test_s26_a_counter_hands_over_what_lies_in_the_hall(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES})
    assert told(bench.tell("scan-2", "delivery", "PO-1", DELIVERY)) == ("applied", "ok", [])


# --- S28: labels of cancelled orders -----------------------------------------------------------------------------------------


def test_s28_a_cancelled_order_gets_no_label(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, parcel="p1")
    bench.tell("shop1", "cancelled", "PO-1", {"reason": "changed_mind"})
    blocked = bench.tell("scan-1", "labelled", "PO-1", {"code": "WB-1", "kind": "waybill"}, parcel="p1")
    assert (blocked["outcome"], blocked["reason"], blocked["tone"]) == ("blocked", "cancelled", "stop")


def test_s28_an_order_on_hold_may_be_labelled(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1", {"items": LINES}, parcel="p1")
    bench.tell("desk", "held", "PO-1", {"reason": "stock"})
    assert bench.tell("scan-1", "labelled", "PO-1", {"code": "WB-1", "kind": "waybill"}, parcel="p1")["outcome"] == "applied"


# --- S29: low -----------------------------------------------------------------------------------------------------------------


def packed(*events: E, **begins: Any) -> Story:
    story = Story(created(**begins))
    story.tell_all(E.PAID, E.PACK, *events)
    return story


def test_s29_a_delivered_parcel_is_not_at_the_dock() -> None:
    story = packed(E.STAGE)
    assert story.parcel.where == "D4"
    story.tell(E.DELIVERY)
    assert story.parcel.where is None
    counter = packed(E.STAGE)
    counter.tell(E.DELIVERY, by="counter", at="counter-1")
    assert counter.parcel.where == "counter-1"


def test_s29_a_lost_order_is_not_a_hundred_percent_done() -> None:
    story = packed(E.LOAD, E.LOST)
    assert (story.state, OrderView(story.order).core["percent"]) == ("exception", 0)


def late(story: Story, now_ms: int) -> tuple[list[Flag], int | None]:
    return timed_flags(story.order, now_ms=now_ms, silent_after_ms=99 * DAY_MS, late_risk_before_ms=4 * HOUR_MS)


@pytest.mark.parametrize(
    ("events", "before_ms"),
    [((), 4 * HOUR_MS), ((E.STAGE,), 4 * HOUR_MS), ((E.LOAD,), 2 * HOUR_MS), ((E.DEPART,), 2 * HOUR_MS), ((E.OUT_FOR_DELIVERY,), 0)],
)
def test_s29_the_risk_of_being_late_is_told_before_the_promise_is_broken(events: tuple[E, ...], before_ms: int) -> None:
    promise_ms = T0 + DAY_MS
    story = packed(*events, promise_ms=promise_ms)
    due_ms = promise_ms - before_ms + 1
    assert late(story, due_ms - 1) == ([], due_ms)
    assert late(story, due_ms)[0] == [Flag.LATE_RISK]


def test_s29_a_clearance_enters_a_country_only_if_it_is_known_to_be_the_right_one() -> None:
    cleared = bodies.AtBorder(country="CN")
    story = packed(E.LOAD)
    story.tell(E.CUSTOMS_CLEARED, cleared)
    assert story.parcel.state is ParcelState.IN_TRANSIT, "nothing says that CN is the destination"
    story = packed(E.LOAD, dest_country="CN")
    story.tell(E.CUSTOMS_CLEARED, cleared)
    assert story.parcel.state is ParcelState.ENTERED
    story = packed(E.LOAD)
    story.tell(E.CUSTOMS_ENTERED, bodies.CustomsEntered(country="CN", direction="import"))
    story.tell(E.CUSTOMS_CLEARED, cleared)
    assert story.parcel.state is ParcelState.ENTERED


def test_s29_customs_hold_nothing_that_was_delivered() -> None:
    story = packed(E.CUSTOMS_HELD)
    assert story.flags == {Flag.CUSTOMS_HOLD}
    story.tell(E.DELIVERY)
    story.tell(E.CUSTOMS_HELD)
    assert (story.state, story.flags) == ("delivered", set())


def test_s29_a_cancelled_parcel_that_arrives_at_a_hub_is_on_its_way() -> None:
    story = packed(E.CANCELLED)
    verdict = story.tell(E.ARRIVE)
    assert (verdict.outcome, verdict.warn) == (Outcome.APPLIED, (Warn.MOVED_AFTER_CANCEL,))
    assert (story.state, story.flags) == ("shipped", {Flag.CANCEL_REQUESTED})
    story = packed(E.LOAD, E.CANCELLED)
    assert story.tell(E.ARRIVE).warn == (Warn.MOVED_AFTER_CANCEL,)


MAP = """
[channel]
name = "shop9"
prefix = "s9-"
timezone = "UTC"
[columns]
order = "no"
created = "made"
status = "state"
cancelled = "off"
amount = "sum"
[status]
cancelled = "cancelled"
"""


def test_s29_a_cancellation_in_a_shops_file_is_dated_by_the_file(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAP)
    (tmp_path / "orders.csv").write_text(
        "no,made,state,off,sum\n1,2025-01-02 10:00:00,cancelled,2025-01-03 10:00:00,12.50\n2,2025-01-02 11:00:00,cancelled,,\n"
    )
    shop = read_map(tmp_path / "map.toml")
    orders, bad = read_orders(tmp_path / "orders.csv", shop)
    assert bad == []
    for order in orders:
        for kind, payload in order_events(order, shop):
            bench.send(bench.message("shop1", kind, payload))
    first, second = bench.status("s9-1"), bench.status("s9-2")
    assert (first["state"], second["state"]) == ("cancelled", "cancelled")
    assert first["at_ms"] == 1_735_898_400_000
    assert second["at_ms"] == 1_735_815_600_000, "the file has no better time than that of the order"
    assert {m["state"]: m["at_ms"] for m in first["milestones"]}["cancelled"] == 1_735_898_400_000
    amounts = [load_cbor(p)["body"].get("amount_minor") for k, p in order_events(orders[0], shop) if k == "created"]
    assert amounts == [1250]


def test_s29_what_was_scanned_before_the_bridge_knew_of_the_cancellation_still_counts(bench: Bench) -> None:
    bench.tell("scan-1", "pick", "PO-1", LINES[1])
    bench.tell("shop1", "cancelled", "PO-1", {"reason": "changed_mind", "since_ms": NOW_MS})
    assert bench.status("PO-1")["at_ms"] == NOW_MS
    assert [r["outcome"] for r in bench.receipts("scan-1")] == ["applied"]


# --- completion by time ------------------------------------------------------------------------------------------------------


def delivered(bench: Bench, order: str = "PO-1") -> None:
    bench.tell("scan-1", "pack", order, {"items": LINES})
    bench.tell("phone-anna", "delivery", order, DELIVERY)


def state(bench: Bench, order: str = "PO-1") -> str:
    word: str = bench.status(order)["state"]
    return word


def test_a_delivered_order_is_completed_by_itself_after_seven_days(bench: Bench) -> None:
    delivered(bench)
    bench.sweep(after_ms=7 * DAY_MS - 2_000)
    assert state(bench) == "delivered"
    bench.sweep(after_ms=2_000)
    assert (state(bench), bench.status("PO-1")["milestones"][-1]["state"]) == ("completed", "completed")
    before = bench.dump("orders", "parcels", "events", "receipts")
    assert bench.rebuild().changed == []
    assert bench.dump("orders", "parcels", "events", "receipts") == before
    bench.sweep(after_ms=DAY_MS)
    assert bench.dump("events")["events"] == before["events"], "it is completed once"


def test_a_site_may_leave_completion_to_the_shop(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", complete_after_ms=None) as bench:
        bench.create("PO-1")
        delivered(bench)
        bench.sweep(after_ms=365 * DAY_MS)
        assert bench.rows("SELECT state FROM orders") == [("delivered",)]


def test_a_status_is_kept_although_its_order_is_not_to_be_completed_any_more(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db") as before:
        before.create("PO-1")
        delivered(before)
        now_ms = before.now_ms
    with Bench(tmp_path / "site.db", complete_after_ms=None) as after:
        after.now_ms = now_ms
        after.sweep(after_ms=8 * DAY_MS)
        assert after.retained.get(TOPICS.status("PO-1")) is None, "nothing is published, and nothing cleared"
        after.sweep(after_ms=23 * DAY_MS)
        assert after.retained[TOPICS.status("PO-1")] == b""


def test_completion_may_be_later_than_the_end_of_a_retained_status(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", complete_after_ms=40 * DAY_MS) as bench:
        bench.create("PO-1")
        delivered(bench)
        bench.sweep(after_ms=31 * DAY_MS)
        assert bench.show(TOPICS.status("PO-1")) is None
        bench.sweep(after_ms=10 * DAY_MS)
        assert bench.rows("SELECT state FROM orders") == [("completed",)]


def test_an_order_that_comes_back_meanwhile_is_not_completed(bench: Bench) -> None:
    delivered(bench)
    bench.tell("phone-anna", "return_started", "PO-1", {"reason": "too_small"})
    bench.sweep(after_ms=8 * DAY_MS)
    assert state(bench) == "returning"


@pytest.mark.parametrize(("device", "event", "body"), [("desk", "held", {"reason": "stock"}), ("shop1", "cancelled", {"reason": "changed_mind"})])
def test_an_order_that_somebody_has_to_decide_on_is_not_completed(bench: Bench, device: str, event: str, body: dict[str, Any]) -> None:
    delivered(bench)
    bench.tell(device, event, "PO-1", body)
    bench.sweep(after_ms=8 * DAY_MS)
    assert state(bench) == "delivered"


def test_a_delivery_that_is_voided_and_made_again_is_completed_seven_days_after_the_second(bench: Bench) -> None:
    delivered(bench)
    bench.sweep(after_ms=7 * DAY_MS)
    assert state(bench) == "completed"
    bench.tell("phone-anna", "void", None, {"ref": event_id("phone-anna", 1), "reason": "did_not_occur"})
    assert state(bench) == "packed"
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    assert state(bench) == "delivered"
    bench.sweep(after_ms=7 * DAY_MS)
    assert state(bench) == "completed"


# --- S31: the return of a part ------------------------------------------------------------------------------------------------


def two_delivered() -> Story:
    story = Story(created(line(MUG, 2), line(LAMP)))
    story.tell(E.PACK, bodies.Pack(items=[line(MUG, 2), line(LAMP)]), parcel="p1")
    story.tell_all(E.LOAD, E.DELIVERY)
    return story


def back(*items: bodies.Line) -> bodies.Returned:
    return bodies.Returned(dock="R1", items=list(items))


def test_s31_a_part_that_comes_back_leaves_the_rest_delivered() -> None:
    story = two_delivered()
    verdict = story.tell(E.RETURNED, back(line(MUG)), parcel="p1")
    assert (verdict.outcome, verdict.warn) == (Outcome.APPLIED, ())
    assert (story.state, story.flags, story.order.returned) == ("delivered", {Flag.PART_RETURNED}, {MUG: 1})


def test_s31_a_return_of_a_part_that_was_announced_ends_with_the_part() -> None:
    story = two_delivered()
    story.tell(E.RETURN_STARTED)
    assert story.state == "returning"
    story.tell(E.RETURNED, back(line(LAMP)))
    assert (story.state, story.flags) == ("delivered", {Flag.PART_RETURNED})


def test_s31_parts_make_a_whole() -> None:
    story = two_delivered()
    story.tell(E.RETURNED, back(line(MUG)))
    story.tell(E.RETURNED, back(line(MUG), line(LAMP)))
    assert (story.state, story.flags) == ("returned", set())


def test_s31_more_than_was_sent_is_odd() -> None:
    story = two_delivered()
    assert story.tell(E.RETURNED, back(line(LAMP, 3))).warn == (Warn.TOO_MANY,)
    assert story.state == "delivered"


def test_s31_what_was_never_delivered_comes_back_whole() -> None:
    story = packed(E.LOAD, E.REFUSED)
    story.tell(E.RETURNED, back(line(MUG)))
    assert (story.state, story.flags) == ("returned", set())


def test_s31_the_same_part_scanned_twice_came_back_twice() -> None:
    story = two_delivered()
    story.tell(E.RETURNED, back(line(MUG)))
    assert story.tell(E.RETURNED, back(line(MUG))).outcome is Outcome.APPLIED
    assert story.order.returned == {MUG: 2}


def test_s31_a_part_is_returned_by_quantity_over_the_wire(bench: Bench) -> None:
    delivered(bench)
    assert told(bench.tell("scan-1", "returned", "PO-1", {"dock": "r1", "items": [LINES[1]]})) == ("applied", "ok", [])
    assert (state(bench), bench.status("PO-1")["flags"]) == ("delivered", ["part_returned"])
