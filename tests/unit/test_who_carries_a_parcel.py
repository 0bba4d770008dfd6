"""A parcel and its couriers: it is assigned to one, another may have it, and the customer sees who has it. Rows S16, S17, S23 and S24 of the findings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.bench import Bench
from helpers.events import BOOT, DELIVERY, LINES, TOPICS, event_id

from bridge.domain.access import Kind


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        made.create("PO-1")
        yield made


def assign(bench: Bench, courier: str, job: str, order: str = "PO-1", **other: Any) -> dict[str, Any]:
    return bench.tell("desk", "assigned", order, {"courier": courier, "job": job}, **other)


def phone(bench: Bench, courier: str, job: str) -> dict[str, Any] | None:
    return bench.show(TOPICS.assignment(courier, job))


def on_phone(bench: Bench, courier: str, job: str) -> dict[str, list[str]]:
    """order → its parcels, as the phone shows them."""
    shown = phone(bench, courier, job)
    return {} if shown is None else {stop["stop"]: stop["parcels"] for stop in shown["stops"]}


def two_parcels(bench: Bench, order: str = "PO-1") -> None:
    bench.tell("scan-1", "pack", order, {"items": [LINES[0]]}, parcel=f"{order}-a", code=f"{order}-WA")
    bench.tell("scan-1", "pack", order, {"items": [LINES[1]]}, parcel=f"{order}-b", code=f"{order}-WB")


def locate(bench: Bench, device: str, lat_e7: int) -> None:
    mono_ms = bench.now_ms - 1_760_000_000_000 + 3_600_000
    points = {"log": b"12345678", "boot": BOOT, "sent_mono_ms": mono_ms, "points": [[mono_ms, lat_e7, 48_000_000, 5, None]]}
    bench.send(bench.message(device, None, cbor2.dumps(points), kind=Kind.LOCATION))


def shown_lat(bench: Bench, order: str = "PO-1") -> int | None:
    position = bench.show(TOPICS.position(order))
    return None if position is None else position["lat_e7"]


def alert(bench: Bench, code: str, order: str = "PO-1") -> dict[str, Any] | None:
    return bench.show(TOPICS.alert(code, order))


# --- S16: the wrong courier -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("event", "body"), [("pickup", {}), ("out_for_delivery", {}), ("delivery", DELIVERY), ("attempt_failed", {"reason": "nobody_home"})])
def test_s16_what_the_wrong_courier_does_has_happened_and_is_told(bench: Bench, event: str, body: dict[str, Any]) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
    assign(bench, "anna", "j1")
    wrong = bench.tell("phone-ben", event, "PO-1", body, at="door")
    assert (wrong["outcome"], wrong["tone"], wrong["warn"]) == ("applied", "warn", ["not_your_job"])
    assert "wrong_courier" in bench.status("PO-1")["flags"]
    assert alert(bench, "not_your_job") is not None


def test_s16_the_right_courier_is_not_warned(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    assign(bench, "anna", "j1")
    for event, body in (("pickup", {}), ("out_for_delivery", {}), ("delivery", DELIVERY)):
        assert "warn" not in bench.tell("phone-anna", event, "PO-1", body)
    assert alert(bench, "not_your_job") is None


def test_s16_without_an_assignment_the_first_courier_to_take_a_parcel_is_right(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    assert "warn" not in bench.tell("phone-ben", "pickup", "PO-1")
    assert bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)["warn"] == ["not_your_job"]


def test_s16_the_customer_sees_the_courier_who_has_the_parcel(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    assign(bench, "anna", "j1")
    bench.tell("phone-ben", "pickup", "PO-1")
    bench.tell("phone-ben", "out_for_delivery", "PO-1")
    locate(bench, "phone-anna", 1)
    assert shown_lat(bench) is None
    locate(bench, "phone-ben", 2)
    assert shown_lat(bench) == 2
    bench.forget()
    locate(bench, "phone-ben", 3)
    assert shown_lat(bench) == 3, "who has it is stored"


def test_s16_a_parcel_whose_pickup_nobody_scanned_is_with_its_assigned_courier(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    assign(bench, "anna", "j1")
    bench.tell("shop1", "out_for_delivery", "PO-1")
    locate(bench, "phone-anna", 1)
    assert shown_lat(bench) == 1


def test_s16_a_rebuild_knows_who_has_what(bench: Bench) -> None:
    test_s16_the_customer_sees_the_courier_who_has_the_parcel(bench)
    before = bench.dump("carried", "alerts", "jobs")
    assert bench.rebuild().changed == []
    assert bench.dump("carried", "alerts", "jobs") == before
    assert before["carried"] == [("ben", "PO-1", 1)]


def test_s16_couriers_hand_a_parcel_over_on_the_road(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    assign(bench, "anna", "j1")
    bench.tell("phone-anna", "pickup", "PO-1")
    handed = bench.tell("phone-ben", "pickup", "PO-1")
    assert (handed["outcome"], handed["tone"], handed["warn"]) == ("applied", "warn", ["handed_over"])
    assert alert(bench, "not_your_job") is None
    assert "warn" not in bench.tell("phone-ben", "out_for_delivery", "PO-1")
    locate(bench, "phone-ben", 7)
    assert shown_lat(bench) == 7
    assert "warn" not in bench.tell("phone-ben", "delivery", "PO-1", DELIVERY)


def test_s16_a_parcel_that_comes_to_its_own_courier_is_in_the_right_hands_again(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    assign(bench, "anna", "j1")
    bench.tell("phone-ben", "pickup", "PO-1")
    assert alert(bench, "not_your_job") is not None
    assert bench.tell("phone-anna", "pickup", "PO-1")["warn"] == ["handed_over"]
    assert alert(bench, "not_your_job") is None
    assert bench.status("PO-1")["flags"] == []


@pytest.mark.parametrize("end", ["assigned", "arrive", "completed"])
def test_s16_the_alert_ends_when_its_cause_ends(bench: Bench, end: str) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    assign(bench, "anna", "j1")
    bench.tell("phone-ben", "pickup", "PO-1")
    bench.tell("phone-ben", "out_for_delivery", "PO-1")
    if end == "assigned":
        assign(bench, "ben", "j2")
    elif end == "arrive":
        bench.tell("scan-1", "arrive", "PO-1", {"hub": "h1"})
    else:
        bench.tell("phone-ben", "delivery", "PO-1", DELIVERY)
        assert alert(bench, "not_your_job") is not None, "a delivery does not undo it"
        bench.tell("shop1", "completed", "PO-1")
    assert alert(bench, "not_your_job") is None


# --- S17: parcels -----------------------------------------------------------------------------------------------------------


def test_s17_each_courier_gets_the_parcel_that_is_assigned_to_him(bench: Bench) -> None:
    two_parcels(bench)
    assign(bench, "anna", "j1", parcel="PO-1-a")
    assign(bench, "ben", "j2", parcel="PO-1-b")
    assert on_phone(bench, "anna", "j1") == {"PO-1": ["PO-1-a"]}
    assert on_phone(bench, "ben", "j2") == {"PO-1": ["PO-1-b"]}
    shown = phone(bench, "ben", "j2")
    assert shown is not None
    assert shown["stops"][0]["codes"] == ["PO-1-WB"]
    assert "warn" not in bench.tell("phone-anna", "pickup", None, code="PO-1-WA")
    assert bench.tell("phone-anna", "pickup", None, code="PO-1-WB")["warn"] == ["not_your_job"]


def test_s17_a_parcel_of_an_assigned_order_can_go_to_another_courier(bench: Bench) -> None:
    two_parcels(bench)
    assign(bench, "anna", "j1")
    assert on_phone(bench, "anna", "j1") == {"PO-1": ["PO-1-a", "PO-1-b"]}
    assign(bench, "ben", "j2", None, code="PO-1-WB")  # type: ignore[arg-type]
    assert on_phone(bench, "anna", "j1") == {"PO-1": ["PO-1-a"]}
    assert on_phone(bench, "ben", "j2") == {"PO-1": ["PO-1-b"]}
    assign(bench, "carl", "j3")
    assert (phone(bench, "anna", "j1"), phone(bench, "ben", "j2")) == (None, None)
    assert on_phone(bench, "carl", "j3") == {"PO-1": ["PO-1-a", "PO-1-b"]}


def test_s17_a_parcel_may_be_assigned_before_it_is_packed(bench: Bench) -> None:
    assign(bench, "anna", "j1", parcel="PO-1-a")
    assert on_phone(bench, "anna", "j1") == {"PO-1": []}
    two_parcels(bench)
    assert on_phone(bench, "anna", "j1") == {"PO-1": ["PO-1-a"]}


def test_s17_a_job_is_done_when_its_own_parcels_are_delivered(bench: Bench) -> None:
    two_parcels(bench)
    assign(bench, "anna", "j1", parcel="PO-1-a")
    assign(bench, "ben", "j2", parcel="PO-1-b")
    bench.tell("phone-anna", "delivery", None, DELIVERY, code="PO-1-WA")
    assert phone(bench, "anna", "j1") is None
    assert on_phone(bench, "ben", "j2") == {"PO-1": ["PO-1-b"]}
    bench.tell("desk", "unassigned", None, {"job": "j2", "reason": "ill"})
    assert phone(bench, "ben", "j2") is None
    assert "unassigned" in bench.status("PO-1")["flags"]
    assign(bench, "carl", "j3", parcel="PO-1-b")
    assert "unassigned" not in bench.status("PO-1")["flags"]


def test_s17_a_cancellation_of_one_parcel_leaves_the_other_alone(bench: Bench) -> None:
    two_parcels(bench)
    bench.tell("shop1", "cancelled", "PO-1", {"reason": "changed_mind"}, parcel="PO-1-a")
    assert bench.rows("SELECT parcel, state FROM parcels ORDER BY 1") == [("PO-1-a", "cancelled"), ("PO-1-b", "packed")]
    assert bench.status("PO-1")["state"] == "packed", "what was cancelled is not owed"
    blocked = bench.tell("scan-1", "stage", None, {"dock": "d1"}, code="PO-1-WA")
    assert (blocked["outcome"], blocked["reason"]) == ("blocked", "cancelled")
    assert bench.tell("scan-1", "stage", None, {"dock": "d1"}, code="PO-1-WB")["outcome"] == "applied"
    moved = bench.tell("scan-1", "load", None, {"vehicle": "v1"}, code="PO-1-WA")
    assert (moved["tone"], moved["warn"]) == ("stop", ["moved_after_cancel"])
    assert alert(bench, "moved_after_cancel") is not None
    bench.tell("scan-1", "load", None, {"vehicle": "v1"}, code="PO-1-WB")
    assert bench.show(TOPICS.parcel("PO-1", "PO-1-b"))["flags"] == []  # type: ignore[index]


def test_s17_a_parcel_may_be_cancelled_before_it_is_packed(bench: Bench) -> None:
    bench.tell("shop1", "cancelled", "PO-1", {"reason": "changed_mind"}, parcel="PO-1-a")
    blocked = bench.tell("scan-1", "pack", "PO-1", {"items": [LINES[0]]}, parcel="PO-1-a")
    assert (blocked["outcome"], blocked["reason"]) == ("blocked", "cancelled")


def test_s17_with_every_parcel_cancelled_the_order_is_cancelled(bench: Bench) -> None:
    two_parcels(bench)
    assign(bench, "anna", "j1")
    for parcel in ("PO-1-a", "PO-1-b"):
        bench.tell("shop1", "cancelled", "PO-1", {"reason": "changed_mind"}, parcel=parcel)
    assert bench.status("PO-1")["state"] == "cancelled"
    assert phone(bench, "anna", "j1") is None


# --- S23: jobs follow verdicts and voids -------------------------------------------------------------------------------------


def test_s23_a_delivery_that_did_not_happen_gives_the_courier_the_task_again(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    assign(bench, "anna", "j1")
    bench.tell("phone-anna", "claim", None, {"job": "j1", "rev": 1})
    bench.tell("phone-anna", "out_for_delivery", "PO-1")
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    assert phone(bench, "anna", "j1") is None
    bench.forget()
    bench.tell("phone-anna", "void", None, {"ref": event_id("phone-anna", 3), "reason": "did_not_occur"})
    assert on_phone(bench, "anna", "j1").keys() == {"PO-1"}
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    assert phone(bench, "anna", "j1") is None


def test_s23_a_task_that_comes_back_does_not_disturb_the_others_of_its_job(bench: Bench) -> None:
    bench.create("PO-2")
    for order in ("PO-1", "PO-2"):
        bench.tell("scan-1", "pack", order)
        assign(bench, "anna", "j1", order)
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    bench.tell("phone-anna", "delivery", "PO-2", DELIVERY)
    assert phone(bench, "anna", "j1") is None
    bench.tell("phone-anna", "void", None, {"ref": event_id("phone-anna", 1), "reason": "did_not_occur"})
    shown = phone(bench, "anna", "j1")
    assert shown is not None
    assert [s["stop"] for s in shown["stops"]] == ["PO-1"]


def test_s23_a_return_is_not_the_task_of_the_courier_who_delivered(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    assign(bench, "anna", "j1")
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    bench.tell("shop1", "return_started", "PO-1", {"reason": "too_small"})
    assert phone(bench, "anna", "j1") is None


# --- S24: cancelled orders --------------------------------------------------------------------------------------------------


def test_s24_a_cancelled_order_leaves_the_assignment_with_its_code(bench: Bench) -> None:
    bench.create("PO-2")
    for order in ("PO-1", "PO-2"):
        bench.tell("scan-1", "pack", order, code=f"W-{order}")
        assign(bench, "anna", "j1", order)
    bench.tell("shop1", "cancelled", "PO-1", {"reason": "changed_mind"})
    shown = phone(bench, "anna", "j1")
    assert shown is not None
    assert [(s["stop"], s["codes"]) for s in shown["stops"]] == [("PO-2", ["W-PO-2"])]


def test_s24_a_cancelled_order_that_is_on_its_way_stays_with_its_courier(bench: Bench) -> None:
    bench.create("PO-2")
    for order in ("PO-1", "PO-2"):
        bench.tell("scan-1", "pack", order)
        assign(bench, "anna", "j1", order)
    bench.tell("phone-anna", "pickup", "PO-1")
    bench.tell("shop1", "cancelled", "PO-1", {"reason": "changed_mind"})
    assert on_phone(bench, "anna", "j1").keys() == {"PO-1", "PO-2"}, "he has to bring it back"


def test_s24_an_order_whose_cancellation_is_voided_comes_back(bench: Bench) -> None:
    bench.create("PO-2")
    for order in ("PO-1", "PO-2"):
        bench.tell("scan-1", "pack", order)
        assign(bench, "anna", "j1", order)
    bench.tell("desk", "cancelled", "PO-1", {"reason": "changed_mind"})
    bench.tell("desk", "void", None, {"ref": event_id("desk", 3), "reason": "did_not_occur"})
    assert on_phone(bench, "anna", "j1").keys() == {"PO-1", "PO-2"}
