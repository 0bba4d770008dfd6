"""A courier's phone follows the order: an assignment counts once it is applied, and is removed if it is voided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench
from helpers.events import CREATED, TOPICS, event_id


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


def phone(bench: Bench, courier: str = "anna", job: str = "j1") -> dict[str, Any] | None:
    return bench.show(TOPICS.assignment(courier, job))


def assign(bench: Bench, order: str, courier: str = "anna", job: str = "j1", **other: Any) -> dict[str, Any]:
    return bench.tell("desk", "assigned", order, {"courier": courier, "job": job}, **other)


def void(bench: Bench, device: str, seq: int) -> dict[str, Any]:
    return bench.tell(device, "void", None, {"ref": event_id(device, seq), "reason": "did_not_occur"})


def test_a_rejected_assignment_leaves_the_parcel_with_its_courier(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    bench.tell("scan-1", "pack", "PO-2", code="WB-2")
    assign(bench, "PO-1")
    before = phone(bench)
    refused = bench.tell("desk", "assigned", None, {"courier": "ben", "job": "j2"}, code="\x1d\x1d(01)nonsense")
    assert refused["outcome"] == "rejected"
    assert phone(bench) == before is not None
    assert phone(bench, "ben", "j2") is None


def test_a_parked_assignment_is_shown_when_its_order_comes(bench: Bench) -> None:
    assert assign(bench, "PO-1")["outcome"] == "parked"
    assert phone(bench) is None
    bench.create("PO-1")
    shown = phone(bench)
    assert shown is not None
    assert [s["stop"] for s in shown["stops"]] == ["PO-1"]
    assert bench.tell("phone-anna", "claim", None, {"job": "j1", "rev": shown["rev"]})["outcome"] == "applied"


def test_of_two_assignments_that_waited_the_last_one_counts(bench: Bench) -> None:
    assign(bench, "PO-1", "anna", "j1")
    assign(bench, "PO-1", "ben", "j2")
    bench.create("PO-1")
    assert phone(bench, "anna", "j1") is None
    assert phone(bench, "ben", "j2") is not None


def test_an_assignment_that_never_happened_leaves_the_phone(bench: Bench) -> None:
    bench.create("PO-1")
    assign(bench, "PO-1")
    assert phone(bench) is not None
    void(bench, "desk", 1)
    assert phone(bench) is None


def test_voiding_the_second_assignment_gives_the_parcel_back_to_the_first_courier(bench: Bench) -> None:
    bench.create("PO-1")
    assign(bench, "PO-1", "anna", "j1")
    assign(bench, "PO-1", "ben", "j2")
    void(bench, "desk", 2)
    assert phone(bench, "ben", "j2") is None
    assert phone(bench, "anna", "j1") is not None


def test_an_order_whose_creation_is_voided_leaves_the_phone_and_comes_back_with_it(bench: Bench) -> None:
    bench.tell("shop1", "created", "PO-1", CREATED)
    created = event_id("shop1", 1)
    assign(bench, "PO-1")
    assert phone(bench) is not None
    bench.tell("shop1", "void", None, {"ref": created, "reason": "did_not_occur"})
    assert phone(bench) is None
    bench.create("PO-1")
    assert phone(bench) is not None


def test_a_job_that_is_taken_back_leaves_the_phone_with_all_its_orders(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    assign(bench, "PO-1")
    assign(bench, "PO-2")
    assert bench.tell("desk", "unassigned", None, {"job": "j1", "reason": "sick"})["outcome"] == "applied"
    assert phone(bench) is None
    assert {"unassigned"} <= set(bench.status("PO-1")["flags"]) & set(bench.status("PO-2")["flags"])


def test_a_void_of_the_order_it_lies_in_does_not_keep_a_job_from_being_taken_back(bench: Bench) -> None:
    bench.create("PO-2")
    bench.tell("shop1", "created", "PO-1", CREATED)
    created = event_id("shop1", 3)
    assign(bench, "PO-1")
    assign(bench, "PO-2")
    bench.tell("shop1", "void", None, {"ref": created, "reason": "did_not_occur"})
    shown = phone(bench)
    assert shown is not None
    assert [s["stop"] for s in shown["stops"]] == ["PO-2"]
    assert bench.tell("desk", "unassigned", None, {"job": "j1", "reason": "sick"})["outcome"] == "applied"
    assert phone(bench) is None


def test_an_assignment_by_a_code_that_nobody_knew_is_shown_when_the_label_comes(bench: Bench) -> None:
    bench.create("PO-1")
    assert assign(bench, None, code="WB-1")["outcome"] == "parked"  # type: ignore[arg-type]
    bench.tell("scan-1", "pack", "PO-1", code="WB-1")
    shown = phone(bench)
    assert shown is not None
    assert [s["stop"] for s in shown["stops"]] == ["PO-1"]
