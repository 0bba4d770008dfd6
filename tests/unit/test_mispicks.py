"""A scan that is refused for a reason of business is the worker's affair: it is answered and counted, and stays out of the quarantine. Row S22."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.bench import Bench
from helpers.events import CREATED, TOPICS, event_id

from bridge.domain.facts import KEPT, NEXT_STEP, Kept
from bridge.store.queries import Queries
from bridge.store.sqlite import open_engine
from devices.protocol.vocabulary import Reason

HOUR_MS = 3_600_000
HAT = {"sku": "hat", "qty": 1}
PARKED_OR_DECIDED = {Reason.UNKNOWN_ORDER, Reason.UNKNOWN_PARCEL, Reason.UNKNOWN_REFERENCE, Reason.STALE_REV, Reason.HELD_BY_ANOTHER}
"""Reasons of events that wait, or of claims that lost: they are not refused."""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        made.create("PO-1")
        yield made


def quarantined(bench: Bench) -> list[tuple[str, ...]]:
    return bench.rows("SELECT device, reason FROM quarantine ORDER BY no")


def counted(bench: Bench) -> list[tuple[str, ...]]:
    return bench.rows("SELECT article, place, reason FROM mispicks ORDER BY pos")


def test_s22_every_reason_of_a_refusal_has_its_place() -> None:
    assert set(KEPT) == set(Reason) - PARKED_OR_DECIDED
    assert {r for r, kept in KEPT.items() if kept is Kept.NOWHERE} == set(Reason) - set(NEXT_STEP)


def test_s22_a_mispick_is_answered_and_counted_and_raises_no_alert(bench: Bench) -> None:
    wrong = bench.tell("scan-1", "pick", "PO-1", HAT)
    assert (wrong["outcome"], wrong["reason"], wrong["tone"], wrong["next"]) == ("rejected", "wrong_sku", "stop", "put_back")
    assert quarantined(bench) == []
    assert counted(bench) == [("hat", "dock-3", "wrong_sku")]
    bench.sweep()
    assert bench.show(TOPICS.alert("quarantine", "scan-1")) is None


def test_s22_a_blocked_pick_is_counted_too(bench: Bench) -> None:
    bench.tell("desk", "held", "PO-1", {"reason": "stock"})
    bench.tell("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1})
    assert counted(bench) == [("pen", "dock-3", "held")]


def test_s22_what_cannot_be_understood_stays_in_quarantine(bench: Bench) -> None:
    bench.send(bench.message("scan-1", "pick", b"nonsense"))
    assert quarantined(bench) == [("scan-1", "malformed")]
    bench.sweep()
    assert bench.show(TOPICS.alert("quarantine", "scan-1")) is not None


def test_s22_an_order_with_too_many_events_is_an_operators_affair(tmp_path: Path) -> None:
    with Bench(tmp_path / "full.db", order_events_max=2) as bench:
        bench.create("PO-1")
        for event, body in (("pack", None), ("stage", {"dock": "d1"}), ("load", {"vehicle": "v1"})):
            bench.tell("scan-1", event, "PO-1", body)
        assert quarantined(bench) == [("scan-1", "too_many_events")]
        assert counted(bench) == []


def test_s22_a_mispick_that_counts_after_all_is_not_counted_as_one(bench: Bench) -> None:
    at_ms = bench.now_ms
    bench.now_ms += HOUR_MS
    assert bench.tell("scan-1", "pick", "PO-1", HAT)["reason"] == "wrong_sku"
    bench.tell("desk", "held", "PO-1", {"reason": "stock"})
    bench.tell("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1})
    assert len(counted(bench)) == 2
    bench.tell("desk", "void", None, {"ref": event_id("desk", 1), "reason": "did_not_occur"})
    assert counted(bench) == [("hat", "dock-3", "wrong_sku")]
    bench.tell("shop1", "void", None, {"ref": event_id("scan-1", 1), "reason": "incorrect_data"}, at_ms=at_ms)
    assert counted(bench) == []


def test_s22_a_waiting_scan_is_counted_when_it_is_refused(bench: Bench) -> None:
    assert bench.tell("scan-1", "pick", "PO-2", HAT)["outcome"] == "parked"
    assert counted(bench) == []
    bench.tell("shop1", "created", "PO-2", {**CREATED, "payment": "on_delivery"})
    assert counted(bench) == [("hat", "dock-3", "wrong_sku")]


def test_s22_a_rebuild_counts_the_same(bench: Bench) -> None:
    for nth in range(3):
        bench.tell("scan-1", "pick", "PO-1", {"sku": f"hat-{nth}", "qty": 1})
    before = bench.dump("mispicks", "quarantine")
    bench.rebuild()
    assert bench.dump("mispicks", "quarantine") == before


def test_s22_the_report_counts_by_article_place_and_hour_and_names_no_person(bench: Bench) -> None:
    for _ in range(2):
        bench.tell("scan-1", "pick", "PO-1", HAT, by="w-17")
    bench.now_ms += HOUR_MS
    bench.tell("scan-2", "pick", "PO-1", {"sku": "cap", "qty": 1}, at="aisle-9")
    reader = open_engine(bench.path, read_only=True)
    queries = Queries(reader, TOPICS)
    hour_ms = 1_760_000_000_000 // HOUR_MS * HOUR_MS
    assert queries.mispicks(by="article", since_ms=0, until_ms=2**62) == [
        {"article": "hat", "reason": "wrong_sku", "count": 2},
        {"article": "cap", "reason": "wrong_sku", "count": 1},
    ]
    assert queries.mispicks(by="place", since_ms=0, until_ms=2**62) == [
        {"place": "dock-3", "reason": "wrong_sku", "count": 2},
        {"place": "aisle-9", "reason": "wrong_sku", "count": 1},
    ]
    assert queries.mispicks(by="hour", since_ms=0, until_ms=2**62) == [
        {"hour_ms": hour_ms, "reason": "wrong_sku", "count": 2},
        {"hour_ms": hour_ms + HOUR_MS, "reason": "wrong_sku", "count": 1},
    ]
    assert [r["count"] for r in queries.mispicks(by="article", since_ms=hour_ms + HOUR_MS, until_ms=2**62)] == [1]
    reader.dispose()


def test_s22_old_mispicks_are_forgotten(bench: Bench) -> None:
    bench.tell("scan-1", "pick", "PO-1", HAT)
    bench.sweep(after_ms=bench.rules.mispicks_keep_ms)
    assert len(counted(bench)) == 1
    bench.sweep(after_ms=2 * HOUR_MS)
    assert counted(bench) == []
