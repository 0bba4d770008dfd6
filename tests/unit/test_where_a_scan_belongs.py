"""Where a scan belongs, whatever arrives first. The names of the tests begin with the rows of the findings that they answer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from helpers.bench import Bench
from helpers.events import BOOT_MS, CREATED, DELIVERY, NOW_MS

from bridge.domain.codes.rules import CodeRules

EAN = "4006381333931"
LOAD, PEN = {"vehicle": "v1"}, [{"sku": "pen", "qty": 1}]
MUGS_AND_PEN = [{"sku": EAN, "qty": 2}, {"sku": "pen", "qty": 1}]
HOUR_MS = 3_600_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as bench:
        yield bench


def told(receipt: dict[str, Any]) -> tuple[str, str | None]:
    return receipt["outcome"], receipt.get("reason")


def last(bench: Bench, device: str) -> dict[int, tuple[str, str | None]]:
    """The receipt that holds for each event of a device, by its seq."""
    return {r["seq"]: told(r) for r in bench.receipts(device)}


def parcels(bench: Bench, order: str) -> list[tuple[str, str]]:
    """(state, codes) of each parcel of an order."""
    return bench.rows("SELECT state, codes FROM parcels WHERE order_id = ? ORDER BY codes, state", order)


def at(bench: Bench, ms: int) -> dict[str, int]:
    """An event that happened earlier, and is sent now."""
    return {"at_ms": ms, "sent_mono_ms": bench.now_ms - BOOT_MS}


def test_s1_a_label_that_is_told_before_its_pack_stands(bench: Bench) -> None:
    bench.create("PO-1")
    bench.now_ms += HOUR_MS
    assert told(bench.tell("scan-2", "labelled", "PO-1", {"code": "WB-1", "kind": "waybill"})) == ("applied", None)
    bench.tell("scan-1", "pack", "PO-1", **at(bench, NOW_MS + HOUR_MS // 2))
    delivered = bench.tell("phone-anna", "delivery", None, DELIVERY, code="WB-1")
    assert (told(delivered), delivered["order"]) == (("applied", None), "PO-1")
    assert parcels(bench, "PO-1") == [("delivered", "WB-1")]
    assert bench.rebuild().changed == []


def test_s2_a_delivery_by_label_before_a_label_that_is_rejected_ends_as_after_it(tmp_path: Path) -> None:
    ends = []
    for n, sequence in enumerate(permutations(("labelled", "delivery"))):
        with Bench(tmp_path / f"{n}.db") as bench:
            bench.create("PO-1")
            bench.tell("scan-1", "pack", "PO-1", {"items": PEN}, parcel="box-1")
            bench.tell("scan-1", "pack", "PO-1", {"items": [{"sku": EAN, "qty": 2}]}, parcel="box-2")
            moment = bench.now_ms
            bench.now_ms += HOUR_MS
            drafts = {
                "labelled": bench.draft("scan-2", "labelled", "PO-1", {"code": "WB-1", "kind": "waybill"}, **at(bench, moment)),
                "delivery": bench.draft("phone-anna", "delivery", None, DELIVERY, code="WB-1", **at(bench, moment + 60_000)),
            }
            for name in sequence:
                bench.send(drafts[name])
            ends.append((bench.status("PO-1")["state"], bench.status("PO-1")["hash"], last(bench, "scan-2"), last(bench, "phone-anna")))
    assert ends[0] == ends[1]


def test_s3_a_pack_that_a_voided_hold_had_blocked_keeps_its_label(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("desk", "held", "PO-1", {"reason": "fraud"})
    assert told(bench.tell("scan-1", "pack", "PO-1", code="WB-1")) == ("blocked", "held")
    (hold,) = bench.rows("SELECT id FROM events WHERE type = 'held'")
    bench.tell("desk", "void", None, {"ref": hold[0], "reason": "did_not_occur"})
    assert last(bench, "scan-1") == {1: ("applied", None)}
    assert parcels(bench, "PO-1") == [("packed", "WB-1")]


def test_s4_a_label_that_was_scanned_twice_stands_when_the_first_scan_is_voided(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    for _ in range(2):
        bench.tell("scan-1", "labelled", "PO-1", {"code": "WB-1", "kind": "waybill"})
    (first,) = bench.rows("SELECT id FROM events WHERE type = 'labelled' ORDER BY pos LIMIT 1")
    bench.tell("scan-1", "void", None, {"ref": first[0], "reason": "incorrect_data"})
    assert bench.tell("scan-2", "load", None, LOAD, code="WB-1")["order"] == "PO-1"
    assert parcels(bench, "PO-1") == [("shipped", "WB-1")]


def test_s5_a_scan_that_names_the_wrong_order_is_a_misload_also_if_the_label_comes_later(tmp_path: Path) -> None:
    ends = []
    for is_late in (False, True):
        with Bench(tmp_path / f"{is_late}.db") as bench:
            bench.create("PO-1", "PO-2")
            moment = bench.now_ms
            bench.now_ms += HOUR_MS
            label = bench.draft("scan-2", "pack", "PO-2", code="WB-2", **at(bench, moment))
            load = bench.draft("scan-1", "load", "PO-1", LOAD, code="WB-2", **at(bench, moment + 60_000))
            for draft in (load, label) if is_late else (label, load):
                bench.send(draft)
            (receipt,) = bench.receipts("scan-1")[-1:]
            assert (receipt["order"], receipt["warn"], receipt["tone"]) == ("PO-2", ["misload"], "stop")
            ends.append([(bench.status(o)["state"], bench.status(o)["hash"]) for o in ("PO-1", "PO-2")])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("items", [None, MUGS_AND_PEN], ids=["no list", "a list"])
def test_s6_a_pickup_by_label_seconds_before_its_pack_finds_the_parcel(bench: Bench, items: Any) -> None:
    bench.create("PO-1")
    moment = bench.now_ms
    bench.now_ms += HOUR_MS
    bench.tell("phone-anna", "pickup", None, code="WB-1", **at(bench, moment - 2_000))
    body = {"items": items} if items else None
    assert told(bench.tell("scan-1", "pack", "PO-1", body, code="WB-1", **at(bench, moment))) in (("late", None), ("applied", None))
    assert last(bench, "phone-anna") == {1: ("applied", None)}
    assert parcels(bench, "PO-1") == [("shipped", "WB-1")]
    assert bench.status("PO-1")["state"] == "shipped"


def test_s7_an_articles_number_names_no_parcel(bench: Bench) -> None:
    bench.create("PO-1", "PO-2", allow_partial=True)
    bench.tell("scan-1", "pack", "PO-1", code="WB-1")
    one = bench.tell("scan-1", "load", "PO-1", LOAD, code=EAN)
    assert (told(one), one["warn"], one["tone"]) == (("applied", None), ["article_scanned"], "warn")
    for number, sku in enumerate((EAN, "pen")):
        bench.tell("scan-1", "pack", "PO-2", {"items": [{"sku": sku, "qty": 1}]}, code=f"WB-2{number}")
    several = bench.tell("scan-1", "load", "PO-2", LOAD, code=EAN)
    assert (told(several), several["next"]) == (("parked", "unknown_parcel"), "scan_parcel")
    assert parcels(bench, "PO-2") == [("packed", "WB-20"), ("packed", "WB-21")]


def test_s8_the_first_event_that_names_order_and_code_makes_the_code_known(bench: Bench) -> None:
    bench.create("PO-1", allow_partial=True)
    bench.tell("scan-1", "load", "PO-1", LOAD, code="W-1")
    bench.tell("scan-1", "load", "PO-1", LOAD, code="W-2")
    for code in ("W-1", "W-2"):
        assert bench.tell("scan-2", "depart", None, {"hub": "AMS"}, code=code)["order"] == "PO-1"
    bench.tell("phone-anna", "delivery", None, DELIVERY, code="W-2")
    assert parcels(bench, "PO-1") == [("in_transit", "W-1"), ("delivered", "W-2")]


def test_s9_a_scan_before_its_label_is_placed_when_the_label_comes(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    assert told(bench.tell("scan-2", "load", None, LOAD, code="WB-1")) == ("parked", "unknown_parcel")
    bench.sweep(25 * HOUR_MS)
    assert [m for m in bench.retained if "/alerts/parked/" in m and bench.retained[m]]
    bench.tell("scan-1", "labelled", "PO-1", {"code": "WB-1", "kind": "waybill"})
    bench.sweep(60_000)
    assert last(bench, "scan-2") == {1: ("applied", None)}
    assert not [m for m in bench.retained if "/alerts/parked/" in m and bench.retained[m]]
    assert bench.status("PO-1")["state"] == "shipped"


def test_s10_a_relabelled_parcel_gives_its_old_code_back(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    bench.tell("scan-1", "pack", "PO-1", code="WB-1")
    bench.tell("scan-1", "labelled", "PO-1", {"code": "WB-9", "kind": "waybill", "replaces": "WB-1"})
    old = bench.tell("scan-2", "stage", None, {"dock": "d1"}, code="WB-1")
    assert (old["order"], old["warn"]) == ("PO-1", ["old_label"])
    assert parcels(bench, "PO-1") == [("staged", "WB-9")]
    assert told(bench.tell("scan-1", "pack", "PO-2", code="WB-1")) == ("applied", None)
    assert bench.tell("scan-2", "load", None, LOAD, code="WB-1")["order"] == "PO-2"


def test_s10_a_number_that_is_used_again_a_year_later_is_the_new_orders(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1", code="WB-1")
    bench.tell("phone-anna", "delivery", None, DELIVERY, code="WB-1")
    bench.now_ms += 365 * 24 * HOUR_MS
    bench.create("PO-2")
    assert told(bench.tell("scan-1", "pack", "PO-2", code="WB-1")) == ("applied", None)
    assert bench.tell("scan-2", "load", None, LOAD, code="WB-1")["order"] == "PO-2"
    assert bench.status("PO-1")["state"] == "delivered"


def test_s11_a_scan_by_the_label_of_a_blocked_pack_counts(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("desk", "held", "PO-1", {"reason": "fraud"})
    assert told(bench.tell("scan-1", "pack", "PO-1", code="WB-1")) == ("blocked", "held")
    load = bench.tell("scan-2", "load", None, LOAD, code="WB-1")
    assert (told(load), load["warn"], load["tone"]) == (("applied", None), ["moved_on_hold", "incomplete"], "stop")
    assert bench.retained["v1/ams1/alerts/moved_on_hold/PO-1"]


def test_s12_a_feed_that_repeats_itself_locks_no_order(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", order_repeats_max=5, order_events_max=20) as bench:
        bench.create("PO-1")
        bench.tell("scan-1", "pack", "PO-1", code="WB-1")
        feed = [bench.tell("shop1", "arrive", None, {"hub": "AMS"}, code="WB-1") for _ in range(50)]
        assert [told(r) for r in feed][5:] == [("noop", "repeated")] * 45
        assert {r["tone"] for r in feed[5:]} == {"ok"}
        assert told(bench.tell("shop1", "delivery", None, DELIVERY, code="WB-1")) == ("applied", None)
        assert told(bench.tell("desk", "cancelled", "PO-1", {"reason": "changed_mind"}))[0] == "applied"
        assert bench.rows("SELECT count(*) FROM events WHERE type = 'arrive'") == [(50,)]
        assert bench.rebuild().changed == []


def test_s27_a_rebuild_gives_every_derived_row_again(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", codes=CodeRules(containers=("CAGE-",))) as bench:
        bench.create("PO-1", "PO-2", "PO-3")
        bench.tell("scan-2", "load", None, LOAD, code="WB-1")
        bench.tell("scan-1", "pack", "PO-1", code="WB-1")
        bench.tell("scan-1", "pack", "PO-2", code="WB-2")
        bench.tell("scan-1", "pack", "PO-3", code="WB-2")
        bench.tell("scan-2", "stage", "PO-1", {"dock": "d1"}, code="WB-2")
        bench.tell("scan-1", "aggregated", None, {"parent": "CAGE-1", "children": ["WB-1", "WB-2", "WB-7"]})
        bench.tell("scan-1", "depart", None, {"hub": "AMS"}, code="CAGE-1")
        bench.tell("scan-1", "labelled", "PO-3", {"code": "WB-7", "kind": "plain"})
        tables = ("placed", "codes", "waiting", "inside", "receipts", "orders", "parcels", "parked")
        before = bench.dump(*tables)
        assert bench.rebuild().changed == []
        assert bench.dump(*tables) == before


def test_s28_what_follows_on_an_order_that_was_cancelled_meanwhile_is_placed(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("desk", "cancelled", "PO-1", {"reason": "changed_mind"})
    assert told(bench.tell("scan-1", "pack", "PO-1", code="WB-1")) == ("blocked", "cancelled")
    assert told(bench.tell("scan-1", "stage", None, {"dock": "d1"}, code="WB-1")) == ("blocked", "cancelled")


# --- containers ---------------------------------------------------------------------------------------------------------------


def test_a_pallet_moves_everything_on_it_and_says_how_much(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", codes=CodeRules(containers=("PAL-", "CAGE-"))) as bench:
        bench.create("PO-1", "PO-2")
        bench.tell("scan-1", "pack", "PO-1", code="WB-1")
        bench.tell("scan-1", "pack", "PO-2", code="WB-2")
        assert told(bench.tell("scan-1", "aggregated", None, {"parent": "CAGE-1", "children": ["WB-1"]})) == ("applied", None)
        bench.tell("scan-1", "aggregated", None, {"parent": "PAL-1", "children": ["CAGE-1", "WB-2"]})
        moved = bench.tell("scan-2", "load", None, LOAD, code="PAL-1")
        assert (told(moved), moved["detail"]) == (("applied", None), "2 parcels of 2 orders moved")
        assert [bench.status(o)["state"] for o in ("PO-1", "PO-2")] == ["shipped", "shipped"]
        bench.tell("scan-2", "disaggregated", None, {"parent": "PAL-1", "all": True})
        bench.tell("scan-2", "arrive", None, {"hub": "AMS"}, code="CAGE-1")
        assert (parcels(bench, "PO-1"), parcels(bench, "PO-2")) == ([("in_transit", "WB-1")], [("shipped", "WB-2")])
        assert bench.rebuild().changed == []


def test_a_pallet_names_the_first_order_that_stays_and_tells_again_only_if_that_changes(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", codes=CodeRules(containers=("PAL-",))) as bench:
        bench.create("PO-1", "PO-2")
        bench.tell("scan-1", "pack", "PO-1", code="WB-1")
        bench.tell("scan-1", "pack", "PO-2", code="WB-2")
        bench.tell("desk", "held", "PO-2", {"reason": "stock"})
        (held,) = bench.rows("SELECT id FROM events WHERE type = 'held'")
        bench.tell("scan-1", "aggregated", None, {"parent": "PAL-1", "children": ["WB-1", "WB-2"]})
        staged = bench.tell("scan-2", "stage", None, {"dock": "d1"}, code="PAL-1")
        assert (told(staged), staged["detail"]) == (("applied", None), "1 parcel of 1 order moved; PO-2 not: held")
        bench.tell("shop1", "approved", "PO-1")
        assert bench.receipts("scan-2")[-1]["n"] == 1
        bench.tell("desk", "void", None, {"ref": held[0], "reason": "did_not_occur"})
        again = bench.receipts("scan-2")[-1]
        assert (again["id"], again["n"], again["detail"]) == (staged["id"], 2, "2 parcels of 2 orders moved")


def test_two_orders_in_one_box_go_together(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    bench.tell("scan-1", "pack", "PO-1", code="WB-1")
    bench.tell("scan-1", "aggregated", None, {"parent": "WB-1", "children": ["PO-2"]})
    bench.tell("scan-2", "load", None, LOAD, code="WB-1")
    assert [bench.status(o)["state"] for o in ("PO-1", "PO-2")] == ["shipped", "shipped"]


def test_a_shelf_that_is_scanned_beside_many_orders_names_none(bench: Bench) -> None:
    orders = [f"PO-{n}" for n in range(35)]
    bench.create(*orders)
    for order in orders:
        assert bench.tell("scan-1", "stage", order, {"dock": "d1"}, code="SHELF-7")["order"] == order
    assert told(bench.tell("scan-1", "stage", None, {"dock": "d1"}, code="SHELF-7")) == ("parked", "unknown_parcel")
    assert bench.rows("SELECT order_id FROM codes WHERE code = 'SHELF-7'") == [("",)]
    assert {codes for order in orders for _, codes in parcels(bench, order)} == {""}
    assert bench.rebuild().changed == []


def test_picking_many_pieces_one_by_one_is_no_repetition(tmp_path: Path) -> None:
    """Each piece of the same article is as real as the first."""
    with Bench(tmp_path / "site.db", order_repeats_max=5) as bench:
        bench.tell("shop1", "created", "PO-9", {**CREATED, "lines": [{"sku": "pen", "qty": 50}], "payment": "on_delivery"})
        receipts = [bench.tell("scan-1", "pick", "PO-9", {"sku": "pen", "qty": 1}) for _ in range(20)]
    assert {receipt["outcome"] for receipt in receipts} == {"applied"}
    assert receipts[-1]["left"] == [{"sku": "pen", "qty": 30}]
