"""One batch, one transaction, with a real database: the result of an event, the receipt of its device, and the messages that are published."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import msgspec
import pytest
from helpers.bench import Bench
from helpers.events import BOOT, BOOT_MS, CREATED, DELIVERY, IDENTITIES, LINES, NOW_MS, TOPICS, event, event_id, kind_of, log_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.domain.access import Kind
from bridge.domain.event_time import Source
from bridge.ingest.items import Incoming
from devices.protocol.messages import decode, encode_cbor, load_cbor

HOUR_MS = 3_600_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as made:
        yield made


def told(receipt: dict[str, Any]) -> tuple[str, str | None, str]:
    return receipt["outcome"], receipt.get("reason"), receipt["tone"]


# --- outcomes and tones -------------------------------------------------------------------------------------------------------


def test_a_pack_makes_the_order_packed_and_the_scanner_beeps_ok(bench: Bench) -> None:
    bench.create("PO-1")
    receipt = bench.tell("scan-1", "pack", "PO-1", {"items": LINES})
    assert told(receipt) == ("applied", None, "ok")
    assert (receipt["order"], receipt["state"], receipt["n"], receipt["final"], receipt["rev"]) == ("PO-1", "packed", 1, True, 3)
    assert (receipt["id"], receipt["log"], receipt["seq"]) == (event_id("scan-1", 1), log_of("scan-1"), 1)
    assert (bench.status("PO-1")["state"], bench.status("PO-1")["rev"]) == ("packed", 3)


def test_a_pick_says_what_is_left(bench: Bench) -> None:
    bench.create("PO-1")
    receipt = bench.tell("scan-1", "pick", "PO-1", {"sku": "4006381333931", "qty": 1})
    assert receipt["left"] == [{"sku": "4006381333931", "qty": 1}, {"sku": "pen", "qty": 1}]


def test_a_repeated_scan_is_a_noop(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"})
    receipt = bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"})
    assert (told(receipt), receipt["warn"]) == (("noop", None, "warn"), ["double_scan"])
    bench.now_ms += HOUR_MS
    assert told(bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"})) == ("noop", None, "ok")


def test_a_scan_that_comes_late_takes_its_place_and_moves_nothing(bench: Bench) -> None:
    bench.create("PO-1")
    at_ms = bench.now_ms
    bench.now_ms += HOUR_MS
    bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})
    receipt = bench.tell("scan-2", "stage", "PO-1", {"dock": "d1"}, at_ms=at_ms, sent_mono_ms=bench.now_ms - BOOT_MS)
    assert told(receipt) == ("late", None, "ok")
    assert bench.status("PO-1")["state"] == "shipped"


def test_a_hold_blocks_preparation_and_lets_custody_pass_with_a_stop(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("desk", "held", "PO-1", {"reason": "fraud"})
    blocked = bench.tell("scan-1", "pack", "PO-1")
    assert (told(blocked), blocked["next"]) == (("blocked", "held", "stop"), "set_aside")
    moved = bench.tell("phone-anna", "pickup", "PO-1")
    assert (told(moved), moved["warn"]) == (("applied", None, "stop"), ["moved_on_hold"])
    alert = bench.show(TOPICS.alert("moved_on_hold", "PO-1"))
    assert alert is not None
    assert alert["severity"] == "critical"
    bench.tell("desk", "released", "PO-1", {"reason": "fraud"})
    assert bench.show(TOPICS.alert("moved_on_hold", "PO-1")) is None


def test_a_wrong_article_is_rejected_and_counted(bench: Bench) -> None:
    bench.create("PO-1")
    receipt = bench.tell("scan-1", "pick", "PO-1", {"sku": "ink", "qty": 1})
    assert (told(receipt), receipt["next"]) == (("rejected", "wrong_sku", "stop"), "put_back")
    assert bench.rows("SELECT m.article, m.reason, e.device, e.seq FROM mispicks m JOIN events e ON e.pos = m.pos") == [("ink", "wrong_sku", "scan-1", 1)]
    assert bench.rows("SELECT * FROM quarantine") == []


def test_an_order_holds_only_so_many_events_of_one_device(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", order_events_max=3) as bench:
        bench.create("PO-1")
        bench.tell("scan-1", "pack", "PO-1")
        bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"})
        bench.tell("scan-1", "stage", "PO-1", {"dock": "d2"})
        assert told(bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"})) == ("rejected", "too_many_events", "stop")
        assert bench.status("PO-1")["state"] == "packed"
        assert told(bench.tell("scan-2", "load", "PO-1", {"vehicle": "v1"})) == ("applied", None, "ok")


# --- the same event again -----------------------------------------------------------------------------------------------------


def test_a_resent_event_gets_its_receipt_again(bench: Bench) -> None:
    bench.create("PO-1")
    pack = bench.draft("scan-1", "pack", "PO-1")
    (first,) = bench.send(pack)
    before = bench.dump("events", "orders", "receipts", "status_log")
    (second,) = bench.send(pack)
    assert second == {**first, "again": True}
    assert bench.dump("events", "orders", "receipts", "status_log") == before


def test_a_resent_event_in_the_same_batch_counts_once_as_well(bench: Bench) -> None:
    bench.create("PO-1")
    pack = bench.draft("scan-1", "pack", "PO-1")
    first, second = bench.send(pack, pack)
    assert second == {**first, "again": True}
    assert len(bench.rows("SELECT 1 FROM events WHERE device = 'scan-1'")) == 1


def test_a_rejected_event_that_is_resent_is_still_rejected(bench: Bench) -> None:
    bench.create("PO-1")
    pick = bench.draft("scan-1", "pick", "PO-1", {"sku": "ink", "qty": 1})
    bench.send(pick)
    (receipt,) = bench.send(pick)
    assert (told(receipt), receipt["again"]) == (("rejected", "wrong_sku", "stop"), True)
    assert len(bench.rows("SELECT 1 FROM mispicks")) == 1


@pytest.mark.parametrize("batches", [1, 2])
def test_when_it_was_sent_is_no_part_of_what_it_says(bench: Bench, batches: int) -> None:
    bench.create("PO-1")
    first = bench.draft("scan-1", "pack", "PO-1", seq=1)
    resent = bench.draft("scan-1", "pack", "PO-1", seq=1, sent_mono_ms=bench.now_ms - BOOT_MS + 5_000, sent_boot=b"boot-two")
    receipts = bench.send(first, resent) if batches == 1 else [*bench.send(first), *bench.send(resent)]
    assert [(r["outcome"], r.get("again")) for r in receipts] == [("applied", None), ("applied", True)]


def test_json_and_cbor_can_tell_the_same_event(bench: Bench) -> None:
    bench.create("PO-1")
    as_cbor = bench.draft("scan-1", "delivery", "PO-1", {"pod": {"method": "photo", "hash": b"12345678"}}, seq=1)
    as_json = bench.draft("scan-1", "delivery", "PO-1", {"pod": {"method": "photo", "hash": b"12345678"}}, seq=1, as_json=True, sent_mono_ms=9_999_999)
    assert bench.send(as_cbor)[0]["outcome"] == "applied"
    assert bench.send(as_json)[0]["again"] is True


@pytest.mark.parametrize(
    "change", [{"order": "PO-2"}, {"seq": 2}, {"log": b"another!"}, {"mono_ms": 1}, {"body": {"weight_g": 1}}], ids=lambda c: next(iter(c))
)
@pytest.mark.parametrize("batches", [1, 2])
def test_an_id_that_was_used_for_another_event_is_rejected(bench: Bench, batches: int, change: dict[str, Any]) -> None:
    bench.create("PO-1", "PO-2")
    first = bench.message("scan-1", "pack", event("scan-1", 1, "PO-1", id=event_id("scan-1", 1)))
    reused = bench.message("scan-1", "pack", event("scan-1", **{"seq": 1, "order": "PO-1", "id": event_id("scan-1", 1), **change}))
    receipts = bench.send(first, reused) if batches == 1 else [*bench.send(first), *bench.send(reused)]
    assert [told(r)[:2] for r in receipts] == [("applied", None), ("rejected", "id_reused")]
    assert bench.rows("SELECT reason FROM quarantine") == [("id_reused",)]
    assert bench.quarantined() == [reused.payload]


def test_two_devices_may_use_the_same_id_and_the_same_sequence_number(bench: Bench) -> None:
    bench.create("PO-1")
    same = event("scan-1", 1, "PO-1")
    receipts = bench.send(bench.message("scan-1", "pack", same), bench.message("scan-2", "pack", same))
    assert [r["outcome"] for r in receipts] == ["applied", "noop"]


# --- waiting ------------------------------------------------------------------------------------------------------------------


def seconds(bench: Bench, device: str) -> list[tuple[int, str, str | None]]:
    return [(r["n"], r["outcome"], r.get("reason")) for r in bench.receipts(device)]


def test_a_scan_before_its_order_waits_and_counts_when_the_order_comes(bench: Bench) -> None:
    receipt = bench.tell("scan-1", "pack", "PO-1")
    assert (told(receipt), receipt["final"], receipt["next"]) == (("parked", "unknown_order", "warn"), False, "set_aside")
    assert bench.rows("SELECT ref_kind, ref, order_id FROM parked") == [("order", "PO-1", "PO-1")]
    bench.tell("shop1", "created", "PO-1", CREATED)
    assert seconds(bench, "scan-1") == [(1, "parked", "unknown_order"), (2, "applied", None)]
    assert bench.rows("SELECT * FROM parked") == []
    assert bench.status("PO-1")["state"] == "packed"


def test_a_scanned_code_that_nobody_knows_waits_for_its_label(bench: Bench) -> None:
    bench.create("PO-1")
    assert told(bench.tell("scan-1", "stage", None, {"dock": "d1"}, code="WB-1")) == ("parked", "unknown_parcel", "warn")
    bench.tell("scan-2", "pack", "PO-1", code="WB-1")
    assert seconds(bench, "scan-1") == [(1, "parked", "unknown_parcel"), (2, "applied", None)]
    assert bench.rows("SELECT * FROM parked") == []
    assert bench.rows("SELECT order_id FROM placed") == [("PO-1",)]
    (parcel,) = [cbor2.loads(p) for t, p in bench.retained.items() if "/parcels/" in t]
    assert (parcel["state"], parcel["where"]) == ("staged", "d1")


def test_an_order_number_that_is_scanned_before_the_order_waits_for_it(bench: Bench) -> None:
    assert told(bench.tell("scan-1", "pack", code="PO-1")) == ("parked", "unknown_parcel", "warn")
    bench.create("PO-1")
    assert seconds(bench, "scan-1")[-1] == (2, "applied", None)


def test_a_void_of_an_event_that_has_not_come_waits_for_it(bench: Bench) -> None:
    bench.create("PO-1")
    stage = bench.draft("scan-1", "stage", "PO-1", {"dock": "d1"})
    assert told(bench.tell("scan-1", "void", None, {"ref": event_id("scan-1", 1), "reason": "did_not_occur"})) == ("parked", "unknown_reference", "warn")
    (receipt,) = bench.send(stage)
    assert (receipt["outcome"], receipt["reason"]) == ("rejected", "voided")
    assert seconds(bench, "scan-1")[-1] == (2, "applied", None)
    assert (bench.rows("SELECT * FROM parked"), bench.status("PO-1")["state"]) == ([], "paid")


def test_everything_that_waits_can_come_in_one_batch(bench: Bench) -> None:
    receipts = bench.send(
        bench.draft("scan-1", "stage", None, {"dock": "d1"}, code="WB-1"),
        bench.draft("scan-2", "pack", "PO-1", code="WB-1"),
        bench.draft("shop1", "created", "PO-1", CREATED),
    )
    assert [r["outcome"] for r in receipts] == ["applied", "applied", "applied"]
    assert {n for n, _, _ in seconds(bench, "scan-1")} == {1}


def test_a_gap_in_the_sequence_parks_nothing_and_stands_in_the_ledger(bench: Bench) -> None:
    bench.create("PO-1")
    assert bench.tell("scan-1", "pack", "PO-1", seq=5)["outcome"] == "applied"
    assert bench.rows("SELECT high, owed FROM ledger WHERE device = 'scan-1'") == [(5, 4)]
    bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"}, seq=2)
    assert bench.rows("SELECT high, owed FROM ledger WHERE device = 'scan-1'") == [(5, 3)]


# --- what can't be read -------------------------------------------------------------------------------------------------------

MALFORMED = {
    "nothing": b"",
    "not CBOR": b"\xff",
    "a number": b"\x01",
    "trailing bytes": event("scan-1", 1, "PO-1") + b"\0",
    "a missing field": encode_cbor({"id": bytes(16)}),
    "seq 0": event("scan-1", 0, "PO-1"),
    "a long order": event("scan-1", 1, "P" * 97),
    "an order that makes no topic": event("scan-1", 1, "单" * 40),
    "a wrong body": event("scan-1", 1, "PO-1", {"weight_g": "heavy"}),
    "a tag": b"\xc2\x41\x01",
    "JSON without end": b'{"id": ',
    "a repeated key": b'{"seq": 1, "seq": 1}',
}


@pytest.mark.parametrize("payload", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_cannot_be_decoded_is_answered_by_its_digest_and_kept_once(bench: Bench, payload: bytes) -> None:
    (first,) = bench.send(bench.message("scan-1", "pack", payload))
    (second,) = bench.send(bench.message("scan-1", "pack", payload))
    assert (told(first), first["next"], len(first["digest"])) == (("rejected", "malformed", "stop"), "update_firmware", 8)
    assert first["detail"]
    assert (second["digest"], second["again"]) == (first["digest"], True)
    assert bench.rows("SELECT device, event_type, reason FROM quarantine") == [("scan-1", "pack", "malformed")]
    assert bench.quarantined() == [payload]
    assert bench.rows("SELECT * FROM events") == []


def test_what_was_denied_is_answered_kept_and_raises_one_alert(bench: Bench) -> None:
    for payload in (b"one", b"two", b"one"):
        (receipt,) = bench.send(bench.message("scan-1", "created", payload, kind=Kind.DENIED, detail="role scanner does not send created"))
        assert (told(receipt), receipt["next"]) == (("rejected", "forbidden", "stop"), "call_desk")
    (alert,) = [cbor2.loads(m.payload) for m in bench.shown if m.topic == TOPICS.alert("forbidden", "scan-1")]
    assert "`dockbridge quarantine list`" in alert["fix"]
    assert "drop" in alert["fix"], "what ends the alert"
    assert len(bench.rows("SELECT 1 FROM quarantine")) == 2


def test_the_alert_about_messages_in_quarantine_counts_on(bench: Bench) -> None:
    for n in (1, 50):
        bench.send(*(bench.message("scan-1", "pack", b"%d" % no) for no in range(n)))
        bench.sweep()
        alert = bench.show(TOPICS.alert("quarantine", "scan-1"))
        assert alert is not None
        assert alert["text"].startswith(f"{n} message")


# --- codes --------------------------------------------------------------------------------------------------------------------

SSCC = "340123450000000024"


def test_a_wrong_check_digit_is_rejected(bench: Bench) -> None:
    bench.create("PO-1")
    receipt = bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"}, code="340123450000000025")
    assert (told(receipt), receipt["next"]) == (("rejected", "check_digit", "stop"), "scan_again")


def test_a_label_is_read_however_it_was_printed(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1", code=f"]C100{SSCC}")
    for seq, code in enumerate((SSCC, f"(00){SSCC}", f"https://id.gs1.org/00/{SSCC}"), 2):
        assert bench.tell("scan-1", "stage", None, {"dock": f"d{seq}"}, code=code)["order"] == "PO-1"


def test_a_label_that_is_stuck_on_later_names_the_parcel(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("scan-1", "labelled", "PO-1", {"code": "WB-1", "kind": "waybill"})
    receipt = bench.tell("scan-2", "load", None, {"vehicle": "v1"}, code="WB-1")
    assert (receipt["outcome"], receipt["order"]) == ("applied", "PO-1")


def test_a_pack_with_another_orders_parcel_is_refused_and_a_load_counts_for_what_was_scanned(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    bench.tell("scan-1", "pack", "PO-1", code="WB-1")
    refused = bench.tell("scan-1", "pack", "PO-2", code="WB-1")
    assert (told(refused), refused["next"]) == (("rejected", "wrong_parcel", "stop"), "put_back")
    misload = bench.tell("scan-1", "load", "PO-2", {"vehicle": "v1"}, code="WB-1")
    assert (told(misload), misload["order"], misload["warn"]) == (("applied", None, "stop"), "PO-1", ["misload"])
    assert (bench.status("PO-1")["state"], bench.status("PO-2")["state"]) == ("shipped", "paid")


def test_a_label_that_another_order_bears_moves_with_a_stop(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    bench.tell("scan-1", "pack", "PO-1", code="WB-1")
    bench.tell("scan-1", "pack", "PO-2")
    receipt = bench.tell("scan-1", "labelled", "PO-2", {"code": "WB-1", "kind": "waybill"})
    assert (told(receipt), receipt["warn"]) == (("applied", None, "stop"), ["label_moved"])
    assert bench.tell("scan-1", "load", None, {"vehicle": "v1"}, code="WB-1")["order"] == "PO-2"


def test_a_label_with_another_orders_id_is_taken(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    bench.tell("scan-1", "pack", "PO-2")
    assert told(bench.tell("scan-1", "labelled", "PO-2", {"code": "PO-1", "kind": "waybill"})) == ("rejected", "code_taken", "stop")


def test_an_article_number_says_what_and_never_for_whom(bench: Bench) -> None:
    bench.create("PO-1", "PO-2")
    for order in ("PO-1", "PO-2"):
        assert bench.tell("scan-1", "pick", order, {"sku": "4006381333931", "qty": 1}, code="4006381333931")["outcome"] == "applied"
    assert told(bench.tell("scan-1", "pick", None, {"sku": "pen", "qty": 1}, code="4006381333931")) == ("rejected", "order_needed", "stop")


# --- jobs ---------------------------------------------------------------------------------------------------------------------


def job_of(bench: Bench, courier: str = "anna", job: str = "j1") -> dict[str, Any] | None:
    return bench.show(TOPICS.assignment(courier, job))


@pytest.fixture
def assigned(bench: Bench) -> Bench:
    """A bench with a packed order that is assigned to anna."""
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1", code="WB-1", parcel="box-1")
    assert bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})["outcome"] == "applied"
    return bench


def test_an_assignment_tells_the_courier_what_to_fetch(assigned: Bench) -> None:
    job = job_of(assigned)
    assert job is not None
    assert (job["job"], job["rev"], job["state"]) == ("j1", 1, "assigned")
    assert job["stops"] == [{"stop": "PO-1", "codes": ["WB-1"], "orders": ["PO-1"], "parcels": ["box-1"], "handling": []}]


def test_cash_on_delivery_stands_in_the_assignment(bench: Bench) -> None:
    bench.create("PO-1", payment="on_delivery")
    bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})
    job = job_of(bench)
    assert job is not None
    assert job["stops"][0]["handling"] == ["collect_payment"]


def test_a_claim_counts_against_the_rev_that_the_courier_saw(assigned: Bench) -> None:
    stale = assigned.tell("phone-anna", "claim", None, {"job": "j1", "rev": 0})
    assert (told(stale), stale["next"]) == (("lost_claim", "stale_rev", "stop"), "refresh_jobs")
    assert told(assigned.tell("phone-anna", "claim", None, {"job": "j1", "rev": 1})) == ("applied", None, "ok")
    job = job_of(assigned)
    assert job is not None
    assert (job["state"], job["rev"]) == ("accepted", 2)
    assert told(assigned.tell("phone-anna", "claim", None, {"job": "j1", "rev": 1})) == ("noop", None, "ok")


def test_of_two_couriers_one_gets_the_job(assigned: Bench) -> None:
    receipts = assigned.send(
        assigned.draft("phone-ben", "claim", None, {"job": "j1", "rev": 1}),
        assigned.draft("phone-anna", "claim", None, {"job": "j1", "rev": 1}),
    )
    assert [told(r)[:2] for r in receipts] == [("lost_claim", "held_by_another"), ("applied", None)]


def test_a_claim_of_a_job_that_nobody_knows_is_rejected(assigned: Bench) -> None:
    assert told(assigned.tell("phone-anna", "claim", None, {"job": "j9", "rev": 1})) == ("rejected", "unknown_job", "stop")


def test_a_declined_job_is_gone_from_the_phone_and_the_order_has_nobody(assigned: Bench) -> None:
    assert assigned.tell("phone-anna", "decline", None, {"job": "j1", "reason": "van_full"})["outcome"] == "applied"
    assert job_of(assigned) is None
    assert assigned.status("PO-1")["flags"] == ["unassigned"]
    assert told(assigned.tell("phone-anna", "claim", None, {"job": "j1", "rev": 2})) == ("rejected", "job_closed", "stop")


def test_a_job_that_is_taken_back_is_gone_from_the_phone(assigned: Bench) -> None:
    assert assigned.tell("desk", "unassigned", None, {"job": "j1", "reason": "replanned"})["outcome"] == "applied"
    assert job_of(assigned) is None
    assert assigned.rows("SELECT state, rev FROM jobs") == [("released", 2)]


def test_a_job_that_is_handed_over_moves_from_one_phone_to_the_other(assigned: Bench) -> None:
    assigned.tell("desk", "assigned", "PO-1", {"courier": "ben", "job": "j1"})
    assert job_of(assigned, "anna") is None
    job = job_of(assigned, "ben")
    assert job is not None
    assert (job["state"], job["rev"]) == ("assigned", 2)


def test_an_order_is_in_one_open_job_at_a_time(assigned: Bench) -> None:
    assigned.tell("desk", "assigned", "PO-1", {"courier": "ben", "job": "j2"})
    assert job_of(assigned, "anna", "j1") is None
    assert job_of(assigned, "ben", "j2") is not None


def test_a_job_is_done_when_its_last_order_is_delivered(assigned: Bench) -> None:
    assigned.create("PO-2")
    assigned.tell("scan-1", "pack", "PO-2")
    assigned.tell("desk", "assigned", "PO-2", {"courier": "anna", "job": "j1"})
    assigned.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    assert job_of(assigned) is not None
    assigned.tell("phone-anna", "delivery", "PO-2", DELIVERY)
    assert job_of(assigned) is None
    assert assigned.rows("SELECT state FROM jobs") == [("done",)]


# --- presence and location ----------------------------------------------------------------------------------------------------


def location(bench: Bench, *points: tuple[int, int, int], device: str = "phone-anna") -> Incoming:
    """A batch of points: (how many ms ago, latitude, longitude)."""
    mono_ms = bench.now_ms - BOOT_MS
    rows = [[mono_ms - ago_ms, lat, lon, 8, None] for ago_ms, lat, lon in points]
    return bench.message(device, None, encode_cbor({"log": log_of(device), "boot": BOOT, "sent_mono_ms": mono_ms, "points": rows}), kind=Kind.LOCATION)


def test_a_position_is_shown_only_while_the_order_is_out_for_delivery(assigned: Bench) -> None:
    topic = TOPICS.position("PO-1")
    (receipt,) = assigned.send(location(assigned, (0, 523_000_000, 48_000_000)))
    assert receipt["detail"] == "1 of 1 points were not used: 1 nothing_on_board"
    assert assigned.show(topic) is None
    assigned.tell("phone-anna", "out_for_delivery", "PO-1")
    now_ms = assigned.now_ms
    assigned.send(location(assigned, (4_000, 523_000_000, 48_000_000), (1_000, 523_000_001, 48_000_001)))
    assert assigned.show(topic) == {"at_ms": now_ms - 1_000, "lat_e7": 523_000_001, "lon_e7": 48_000_001, "accuracy_m": 8}
    assigned.send(location(assigned, (0, 7, 7), device="phone-ben"))
    assert assigned.show(topic)["lat_e7"] == 523_000_001  # type: ignore[index]
    assigned.tell("phone-anna", "delivery", "PO-1", DELIVERY)
    assert assigned.show(topic) is None


def test_points_are_thinned_before_they_are_stored(assigned: Bench) -> None:
    assigned.tell("phone-anna", "out_for_delivery", "PO-1")
    assigned.send(location(assigned, *((ms, ms, 1) for ms in range(60_000, 0, -1_000))))
    assert len(assigned.rows("SELECT 1 FROM positions")) == 7, "one of each ten seconds of the clock, which a minute touches"


def presence(bench: Bench, at_mono_ms: int, *, boot: bytes = BOOT) -> Incoming:
    payload = encode_cbor({"online": True, "boot": boot, "mono_ms": at_mono_ms, "at_ms": bench.now_ms, "backlog": 1, "last_seq": 1})
    return bench.message("scan-1", None, payload, kind=Kind.PRESENCE)


def test_presence_gives_the_first_clock_sample(bench: Bench) -> None:
    """The backlog of a boot arrives slowly: without the presence before it, the time of its events would be the time of their arrival."""
    bench.create("PO-1")
    bench.send(presence(bench, 50_000))
    scanned_ms = bench.now_ms - 1_000 - 20_000
    bench.now_ms += 30_000
    bench.tell("scan-1", "pack", "PO-1", mono_ms=30_000, sent_mono_ms=50_000, at_ms=1)
    assert bench.rows("SELECT event_ms, source FROM events WHERE device = 'scan-1'") == [(scanned_ms, Source.MONO.value)]
    assert bench.retained[TOPICS.presence("scan-1")]
    assert len(bench.rows("SELECT 1 FROM retained")) == 1


def test_an_event_never_happened_later_than_it_came(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1", mono_ms=2**53 - 1)
    bench.tell("shop1", "approved", "PO-1", at_ms=bench.now_ms + HOUR_MS)
    assert bench.rows("SELECT 1 FROM events WHERE event_ms > received_ms") == []


def test_an_instruction_binds_from_when_the_bridge_knew_of_it(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("desk", "held", "PO-1", {"reason": "fraud"}, at_ms=NOW_MS - HOUR_MS)
    assert bench.rows("SELECT event_ms = received_ms, source FROM events WHERE type = 'held'") == [(1, "received")]


# --- as time passes -----------------------------------------------------------------------------------------------------------


def test_a_promise_that_may_be_broken_flags_the_order(bench: Bench) -> None:
    bench.create("PO-1", promise_ms=bench.now_ms + HOUR_MS + bench.rules.late_risk_before_ms)
    before = bench.status("PO-1")
    bench.sweep(HOUR_MS // 2)
    assert bench.status("PO-1") == before
    bench.sweep(HOUR_MS)
    late = bench.status("PO-1")
    assert (late["flags"], late["rev"], late["hash"]) == (["late_risk"], before["rev"] + 1, before["hash"])
    bench.sweep(HOUR_MS)
    assert bench.status("PO-1") == late


def test_a_shipped_order_that_is_not_heard_of_is_silent_until_it_is(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("phone-anna", "pickup", "PO-1")
    bench.sweep(bench.rules.silent_after_ms + 5_000)
    assert bench.status("PO-1")["flags"] == ["silent"]
    bench.tell("scan-1", "arrive", "PO-1", {"hub": "ams"})
    assert bench.status("PO-1")["flags"] == []


def test_what_waits_beyond_its_deadline_raises_an_alert_that_goes_when_it_is_applied(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-1")
    bench.sweep(bench.rules.parked_deadline_ms - 60_000)
    assert bench.show(TOPICS.alert("parked", "PO-1")) is None
    bench.sweep(120_000)
    alert = bench.show(TOPICS.alert("parked", "PO-1"))
    assert alert is not None
    assert (alert["subject"], alert["text"]) == ("PO-1", "1 event waiting for order PO-1 to be created.")
    bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"})
    bench.sweep(bench.rules.parked_deadline_ms + 60_000)
    followed = bench.show(TOPICS.alert("parked", "PO-1"))
    assert followed is not None
    assert followed["text"] == "2 events waiting for order PO-1 to be created."
    bench.create("PO-1")
    bench.sweep()
    assert bench.show(TOPICS.alert("parked", "PO-1")) is None
    assert bench.rows("SELECT * FROM alerts") == []


def test_a_device_that_owes_events_and_is_silent_raises_an_alert_that_goes_when_they_come(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1", seq=3)
    bench.sweep()
    assert bench.show(TOPICS.alert("gap", "scan-1")) is None
    bench.sweep(bench.rules.gap_alert_after_ms)
    alert = bench.show(TOPICS.alert("gap", "scan-1"))
    assert alert is not None
    assert alert["text"] == "Device scan-1 still owes 2 events."
    bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"}, seq=1)
    bench.sweep(bench.rules.gap_alert_after_ms)
    followed = bench.show(TOPICS.alert("gap", "scan-1"))
    assert followed is not None
    assert (followed["text"], followed["since_ms"]) == ("Device scan-1 still owes 1 event.", alert["since_ms"]), "the count follows"
    bench.tell("scan-1", "stage", "PO-1", {"dock": "d1"}, seq=2)
    bench.sweep(bench.rules.gap_alert_after_ms)
    assert bench.show(TOPICS.alert("gap", "scan-1")) is None


def test_the_statuses_of_an_ended_order_are_cleared_after_a_while(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", complete_after_ms=None) as bench:
        bench.create("PO-1", "PO-2")
        bench.tell("scan-1", "pack", "PO-1", parcel="box-1")
        bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)
        bench.sweep(bench.rules.status_keep_ms - 60_000)
        assert bench.status("PO-1")["state"] == "delivered"
        bench.sweep(120_000)
        assert bench.show(TOPICS.status("PO-1")) is None
        assert bench.show(TOPICS.parcel("PO-1", "box-1")) is None
        assert bench.status("PO-2")["state"] == "paid"
        assert bench.rows("SELECT state FROM orders WHERE order_id = 'PO-1'") == [("delivered",)]


def test_an_order_whose_creation_is_voided_is_hidden_and_its_scans_wait_again(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1", parcel="box-1")
    bench.tell("shop1", "void", None, {"ref": event_id("shop1", 1), "reason": "incorrect_data"})
    assert (bench.show(TOPICS.status("PO-1")), bench.show(TOPICS.parcel("PO-1", "box-1"))) == (None, None)
    assert seconds(bench, "scan-1")[-1] == (2, "parked", "unknown_order")
    bench.create("PO-1")
    assert (bench.status("PO-1")["state"], bench.status("PO-1")["rev"]) == ("packed", 5)


# --- what is shown ------------------------------------------------------------------------------------------------------------


def busy_day(bench: Bench) -> None:
    """A little of everything."""
    bench.create("PO 17/3", "订单-1", promise_ms=bench.now_ms + 1)
    bench.tell("scan-1", "pick", "PO 17/3", {"sku": "pen", "qty": 1}, by="w-17")
    bench.tell("scan-1", "pack", "PO 17/3", {"items": LINES}, code="WB-1", parcel="box 1", by="w-17")
    bench.tell("scan-2", "stage", None, {"dock": "d1"}, code="WB-2")
    bench.tell("scan-1", "pick", "订单-1", {"sku": "ink", "qty": 1})
    bench.tell("desk", "assigned", "PO 17/3", {"courier": "anna", "job": "job 1"})
    bench.tell("phone-anna", "claim", None, {"job": "job 1", "rev": 1})
    bench.tell("desk", "held", "PO 17/3", {"reason": "fraud"})
    bench.tell("phone-anna", "out_for_delivery", "PO 17/3")
    bench.send(presence(bench, 1_000), location(bench, (0, 1, 1)), bench.message("scan-1", "pack", b"\xff"))
    bench.send(bench.message("scan-2", "created", b"x", kind=Kind.DENIED, detail="no"))
    bench.tell("scan-2", "shift_started", None, {"worker": "w-17"}, seq=9)
    bench.sweep(bench.rules.parked_deadline_ms)
    bench.tell("phone-anna", "delivery", "PO 17/3", {"pod": {"method": "pin"}}, code="WB-1")


def test_everything_that_is_published_is_canonical_and_fits_the_contract(bench: Bench) -> None:
    busy_day(bench)
    kinds = set()
    for message in bench.shown:
        if message.payload:
            kind = kind_of(message.topic)
            kinds.add(kind.__name__)
            decode(message.payload, kind)
            assert encode_cbor(load_cbor(message.payload)) == message.payload, message.topic
            if kind.__name__ != "Presence":
                assert set(load_cbor(message.payload)) <= {f.encode_name for f in msgspec.structs.fields(kind)}, message.topic
    assert kinds == {"Receipt", "OrderStatus", "ParcelStatus", "Presence", "Position", "Assignment", "Alert"}


def test_no_worker_and_no_courier_stands_on_an_orders_topics(bench: Bench) -> None:
    busy_day(bench)
    shown = [m for m in bench.shown if "/orders/" in m.topic]
    assert shown
    for message in shown:
        for person in (b"anna", b"w-17", b"phone", b"scan-"):
            assert person not in message.payload, message.topic
            assert person.decode() not in message.topic


def test_ids_of_any_script_have_topics(bench: Bench) -> None:
    busy_day(bench)
    assert "v1/ams1/orders/PO~2017~2F3/parcels/box~201" in bench.retained
    assert TOPICS.status("订单-1") in bench.retained


def test_a_site_that_publishes_json_says_the_same(tmp_path: Path) -> None:
    from devices.protocol.messages import encode_json, load_json

    with Bench(tmp_path / "json.db", encode=encode_json) as in_json, Bench(tmp_path / "cbor.db") as in_cbor:
        for bench in (in_json, in_cbor):
            busy_day(bench)
        plain_json = [(m.topic, load_json(m.payload)) for m in in_json.shown if m.payload[:1] == b"{"]
        plain_cbor = [(m.topic, load_cbor(m.payload)) for m in in_cbor.shown if m.payload and "/presence" not in m.topic]
        assert plain_json == plain_cbor


# --- a batch is its events ----------------------------------------------------------------------------------------------------

ORDERS = ("PO-1", "PO-2")
CODES = ("WB-1", "WB-2")
ACTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("shop1", "created", CREATED),
    ("shop1", "paid", {"amount_minor": 1, "currency": "EUR"}),
    ("desk", "held", {"reason": "fraud"}),
    ("desk", "released", {"reason": "fraud"}),
    ("desk", "cancelled", {"reason": "changed_mind"}),
    ("desk", "amended", {"changed": ["lines"], "lines": [{"sku": "pen", "qty": 3}]}),
    ("scan-1", "pick", {"sku": "pen", "qty": 1}),
    ("scan-1", "pick", {"sku": "ink", "qty": 1}),
    ("scan-1", "pack", {}),
    ("scan-2", "pack", {"items": [{"sku": "pen", "qty": 1}]}),
    ("scan-2", "stage", {"dock": "d1"}),
    ("scan-1", "load", {"vehicle": "v1"}),
    ("scan-1", "lost", {}),
    ("scan-2", "found", {}),
    ("phone-anna", "pickup", {}),
    ("phone-anna", "out_for_delivery", {}),
    ("phone-anna", "attempt_failed", {"reason": "nobody"}),
    ("phone-anna", "delivery", DELIVERY),
    ("phone-anna", "return_started", {"reason": "refused"}),
    ("scan-1", "returned", {"dock": "d1"}),
)
"""Which device sends which event. Voids, labels and jobs have tests of their own."""

steps = st.tuples(
    st.sampled_from(ACTIONS),
    st.sampled_from(ORDERS),
    st.sampled_from([None, None, None, *CODES]),
    st.integers(0, 30_000),
)


@st.composite
def workloads(draw: st.DrawFn) -> list[Incoming]:
    """Events of some devices about two orders, in the order of arrival; some happened a while ago, some are sent twice."""
    messages: list[Incoming] = []
    seqs = dict.fromkeys(IDENTITIES, 0)
    for number, ((device, kind, body), order, code, ago_ms) in enumerate(draw(st.lists(steps, min_size=1, max_size=14))):
        now_ms = NOW_MS + number * 700
        seqs[device] += 1
        scanned = None if kind == "pick" or device in ("shop1", "desk") else code
        payload = event(device, seqs[device], order, body, code=scanned, at_ms=now_ms - ago_ms, sent_mono_ms=now_ms - BOOT_MS)
        messages.append(Incoming(IDENTITIES[device], Kind.EVENTS, kind, payload, now_ms))
    return messages + draw(st.lists(st.sampled_from(messages), max_size=2))


WHERE = "coalesce((SELECT group_concat(order_id, ' ') FROM placed WHERE placed.pos = events.pos), order_id, '')"
"""The orders that an event belongs to now; where it arrived depends on what arrived with it."""


def ends(bench: Bench) -> dict[str, Any]:
    """What a workload leaves behind, except how often receipts were sent."""
    return {
        "orders": bench.rows("SELECT order_id, state, hash FROM orders ORDER BY order_id"),
        "parcels": bench.rows("SELECT order_id, parcel, state, hash FROM parcels ORDER BY order_id, parcel"),
        "events": bench.rows(f"SELECT pos, id, event_ms, code, fault, {WHERE} FROM events ORDER BY pos"),
        "outcomes": [
            (pos, "applied" if outcome == "late" else outcome, reason)
            for pos, outcome, reason in bench.rows("SELECT pos, outcome, reason FROM receipts ORDER BY pos")
        ],
        "codes": bench.rows("SELECT * FROM codes ORDER BY code, order_id"),
        "waiting": bench.rows("SELECT * FROM waiting ORDER BY ref, pos"),
        "parked": bench.rows("SELECT pos, ref, order_id FROM parked ORDER BY pos"),
        "ledger": bench.rows("SELECT device, log, high, owed FROM ledger ORDER BY device"),
        "shown": {t: (load_cbor(p)["state"], load_cbor(p)["hash"]) for t, p in bench.retained.items() if p and "/alerts/" not in t},
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(workloads(), st.data())
def test_a_batch_ends_like_its_events_one_by_one_and_forgetting_changes_nothing(messages: list[Incoming], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Bench(Path(folder) / "one-by-one.db") as alone:
            for message in messages:
                alone.send(message)
            one_by_one = ends(alone)
        with Bench(Path(folder) / "batch.db") as whole:
            whole.send(*messages)
            assert ends(whole) == one_by_one
        with Bench(Path(folder) / "forgetful.db") as forgetful:
            cuts = data.draw(st.lists(st.integers(0, len(messages)), max_size=3).map(sorted), label="where it forgets")
            for start, end in zip([0, *cuts], [*cuts, len(messages)], strict=True):
                if end > start:
                    forgetful.send(*messages[start:end])
                forgetful.forget()
            assert ends(forgetful) == one_by_one


def test_a_settled_batch_is_gone_when_it_is_done(bench: Bench) -> None:
    # The server runs the garbage collector rarely: cycles would keep the payloads of thousands of messages in memory until then.
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        bench.create("PO-1")
        bench.tell("scan-1", "pack", "PO-1")
        gc.collect()
        left = [type(thing).__module__ for thing in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert [module for module in left if module.startswith("bridge.ingest")] == []
