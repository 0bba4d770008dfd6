"""A courier on shift takes a parcel along that is in no job: it goes into the courier's own job, and onto the next courier's if it is handed over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.bench import Bench
from helpers.events import DELIVERY

from bridge.domain.jobs import is_tour

ANNA, BEN = "phone-anna", "phone-ben"
LABELS: Final = {"PO-1": "WB-1", "PO-2": "WB-2", "PO-3": "WB-3"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Three orders are packed and labelled, and nobody has been given them. Anna and Ben have begun their shifts."""
    with Bench(tmp_path / "site.db") as bench:
        ready(bench)
        yield bench


def ready(bench: Bench) -> None:
    bench.create(*LABELS)
    for order, label in LABELS.items():
        bench.tell("scan-1", "pack", order)
        bench.tell("scan-1", "labelled", order, {"kind": "waybill", "code": label})
    for phone in (ANNA, BEN):
        bench.tell(phone, "shift_started", None, {"worker": f"badge-{phone}"})


def jobs(bench: Bench) -> list[tuple[str, str, list[str]]]:
    """(courier, state, orders) of the open jobs as the phones see them, by courier."""
    shown = [(topic, bench.show(topic)) for topic, payload in bench.retained.items() if "/assignments/" in topic and payload]
    return sorted((topic.split("/")[3], job["state"], [stop["stop"] for stop in job["stops"]]) for topic, job in shown if job is not None)


def take(bench: Bench, phone: str, label: str, **other: Any) -> dict[str, Any]:
    return bench.tell(phone, "pickup", None, code=label, **other)


def test_what_a_courier_takes_along_is_the_couriers_job(bench: Bench) -> None:
    said = take(bench, ANNA, "WB-1")
    assert (said["outcome"], said["tone"], said.get("warn")) == ("applied", "ok", None)
    assert jobs(bench) == [("anna", "accepted", ["PO-1"])]
    take(bench, ANNA, "WB-2")
    assert jobs(bench) == [("anna", "accepted", ["PO-1", "PO-2"])]
    ((job,),) = bench.rows("SELECT job FROM jobs")
    assert is_tour(job)
    (shown,) = (bench.show(topic) for topic in bench.retained if "/assignments/" in topic)
    assert shown is not None
    assert [stop["codes"] for stop in shown["stops"]] == [["WB-1"], ["WB-2"]]


def test_several_scans_in_one_batch_make_one_job(bench: Bench) -> None:
    bench.send(*(bench.draft(ANNA, "pickup", None, code=label) for label in LABELS.values()))
    assert jobs(bench) == [("anna", "accepted", list(LABELS))]


def test_the_job_ends_with_its_last_parcel_and_the_next_scan_begins_another(bench: Bench) -> None:
    take(bench, ANNA, "WB-1")
    bench.tell(ANNA, "delivery", "PO-1", DELIVERY)
    assert jobs(bench) == []
    take(bench, ANNA, "WB-2")
    assert jobs(bench) == [("anna", "accepted", ["PO-2"])]
    assert sorted(bench.rows("SELECT state FROM jobs")) == [("accepted",), ("done",)]


def test_a_scan_that_is_made_again_changes_nothing(bench: Bench) -> None:
    take(bench, ANNA, "WB-1")
    before = bench.dump("jobs", "orders")
    bench.now_ms += 60_000
    assert take(bench, ANNA, "WB-1")["outcome"] == "noop"
    assert bench.dump("jobs", "orders") == before


def test_who_has_begun_no_shift_has_no_job(bench: Bench) -> None:
    bench.tell(ANNA, "shift_ended")
    take(bench, ANNA, "WB-1")
    assert jobs(bench) == []


def test_a_site_can_do_without(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", tours=False) as bench:
        ready(bench)
        take(bench, ANNA, "WB-1")
        assert jobs(bench) == []


def test_a_parcel_of_another_courier_stays_theirs(bench: Bench) -> None:
    bench.tell("desk", "assigned", "PO-1", {"courier": "ben", "job": "j1"})
    assert take(bench, ANNA, "WB-1")["warn"] == ["not_your_job"]
    assert jobs(bench) == [("ben", "assigned", ["PO-1"])]


def test_a_dispatcher_may_give_it_to_somebody_else(bench: Bench) -> None:
    take(bench, ANNA, "WB-1")
    bench.tell("desk", "assigned", "PO-1", {"courier": "ben", "job": "j1"})
    assert jobs(bench) == [("ben", "assigned", ["PO-1"])]


def test_what_is_handed_over_on_the_road_goes_into_the_next_couriers_job(bench: Bench) -> None:
    for label in ("WB-1", "WB-2"):
        take(bench, ANNA, label)
    said = take(bench, BEN, "WB-1")
    assert (said["outcome"], said["tone"], said["warn"]) == ("applied", "warn", ["handed_over"])
    assert jobs(bench) == [("anna", "accepted", ["PO-2"]), ("ben", "accepted", ["PO-1"])]
    assert bench.tell(BEN, "delivery", "PO-1", DELIVERY).get("warn") is None
    assert jobs(bench) == [("anna", "accepted", ["PO-2"])]


def test_a_job_that_was_given_is_handed_over_as_well(bench: Bench) -> None:
    bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})
    take(bench, ANNA, "WB-1")
    take(bench, BEN, "WB-1")
    assert jobs(bench) == [("ben", "accepted", ["PO-1"])]


def test_without_a_shift_a_handover_leaves_the_job_where_it_is(bench: Bench) -> None:
    take(bench, ANNA, "WB-1")
    bench.tell(BEN, "shift_ended")
    take(bench, BEN, "WB-1")
    assert jobs(bench) == [("anna", "accepted", ["PO-1"])]


def test_a_scan_that_is_taken_back_takes_the_job_with_it(bench: Bench) -> None:
    said = take(bench, ANNA, "WB-1")
    bench.tell(ANNA, "void", None, {"ref": said["id"], "reason": "did_not_occur"})
    assert jobs(bench) == []


def test_a_label_that_is_known_later_brings_the_job_later(bench: Bench) -> None:
    assert take(bench, ANNA, "WB-9")["outcome"] == "parked"
    assert jobs(bench) == []
    bench.tell("scan-1", "labelled", "PO-3", {"kind": "waybill", "code": "WB-9", "replaces": "WB-3"}, at_ms=bench.now_ms - 600_000)
    assert jobs(bench) == [("anna", "accepted", ["PO-3"])]


def test_a_cage_brings_all_its_parcels(bench: Bench) -> None:
    bench.tell("scan-1", "aggregated", None, {"parent": "CAGE-1", "children": list(LABELS.values())})
    bench.tell(ANNA, "pickup", None, code="CAGE-1")
    assert jobs(bench) == [("anna", "accepted", list(LABELS))]


def test_all_of_it_is_the_same_when_it_is_derived_anew(bench: Bench) -> None:
    for label in LABELS.values():
        take(bench, ANNA, label)
    take(bench, BEN, "WB-2")
    bench.tell(ANNA, "delivery", "PO-1", DELIVERY)
    bench.tell(BEN, "attempt_failed", "PO-2", {"reason": "not_home"})
    tables = ("jobs", "orders", "parcels", "receipts", "carried")
    before = bench.dump(*tables)
    bench.forget()
    take(bench, ANNA, "WB-3")
    assert bench.rebuild().changed == []
    assert bench.dump("jobs", "orders", "parcels", "carried") == {name: rows for name, rows in before.items() if name != "receipts"}


def test_after_a_restart_the_job_goes_on(bench: Bench) -> None:
    take(bench, ANNA, "WB-1")
    bench.forget()
    take(bench, ANNA, "WB-2")
    assert jobs(bench) == [("anna", "accepted", ["PO-1", "PO-2"])]


def test_who_begins_the_shift_after_the_first_scan_has_the_job_with_the_next(bench: Bench) -> None:
    bench.tell(ANNA, "shift_ended")
    take(bench, ANNA, "WB-1")
    bench.tell(ANNA, "shift_started", None, {"worker": "badge-anna"})
    assert take(bench, ANNA, "WB-1")["outcome"] == "noop"
    assert jobs(bench) == [("anna", "accepted", ["PO-1"])]
    before = bench.dump("jobs", "orders")
    bench.rebuild()
    assert bench.dump("jobs", "orders") == before


def test_a_first_scan_that_is_taken_back_leaves_what_a_later_one_says(bench: Bench) -> None:
    said = take(bench, ANNA, "WB-1")
    bench.tell(ANNA, "out_for_delivery", None, code="WB-1")
    bench.tell("desk", "void", None, {"ref": said["id"], "reason": "did_not_occur"})
    assert jobs(bench) == [("anna", "accepted", ["PO-1"])]


def test_a_tour_has_no_more_orders_than_a_job_takes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.domain.jobs.ORDERS_MAX", 2)
    bench.tell("scan-1", "aggregated", None, {"parent": "CAGE-1", "children": list(LABELS.values())})
    bench.tell(ANNA, "pickup", None, code="CAGE-1")
    assert sorted(len(orders) for _, _, orders in jobs(bench)) == [1, 2]
    before = bench.dump("jobs")
    bench.rebuild()
    assert bench.dump("jobs") == before


def test_a_desk_that_ends_the_shift_ends_the_tour_as_well(bench: Bench) -> None:
    bench.tell("desk", "shift_ended", None, {"courier": "anna"})
    take(bench, ANNA, "WB-1")
    assert jobs(bench) == []
