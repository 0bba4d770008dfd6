"""An event is known by its site, its device and its id, and by nothing else; and every answer says which message it is about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.bench import VAULT, Bench
from helpers.events import BOOT_MS, CREATED, IDENTITIES, TOPICS, event, event_id, log_of

from bridge.domain.access import Kind
from bridge.domain.ledger import GAPS_MAX
from bridge.ingest.items import Incoming
from bridge.ingest.sealing import about_event
from devices.protocol.messages import encode_cbor, encode_json, load

Receipt = dict[str, Any]
HOUR_MS = 3_600_000
IDS = {"id", "log", "seq"}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as bench:
        bench.create("PO-1")
        yield bench


def digest(payload: bytes) -> bytes:
    """The first 8 bytes of SHA-256, as a device would compute them."""
    return hashlib.sha256(payload).digest()[:8]


def is_rebuilt_as_it_was(bench: Bench) -> bool:
    """Whether everything that is derived from the log comes out the same from the log."""
    tables = ("receipts", "orders", "parcels", "ledger", "shifts", "quarantine", "parked", "jobs")
    before = bench.dump(*tables)
    bench.rebuild()
    return bench.dump(*tables) == before


# --- a number is no identity --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batches", [1, 2])
def test_a_number_that_another_event_had_is_counted_and_warned_of(bench: Bench, batches: int) -> None:
    first = bench.draft("scan-1", "pack", "PO-1", seq=1)
    other = bench.draft("scan-1", "stage", "PO-1", {"dock": "d1"}, seq=1, id=event_id("scan-1", 99))
    receipts = bench.send(first, other) if batches == 1 else [*bench.send(first), *bench.send(other)]
    assert [r["outcome"] for r in receipts] == ["applied", "applied"]
    assert (receipts[1]["warn"], receipts[1]["tone"]) == (["seq_reused"], "ok"), "a developer must know; a worker can do nothing about it"
    assert bench.rows("SELECT high, owed, reused FROM ledger") == [(1, 0, 1)]
    assert is_rebuilt_as_it_was(bench)


def test_an_outbox_restored_from_a_backup_goes_on(bench: Bench) -> None:
    """Field case 14: the copy has the log of the original, and gives its numbers out again."""
    bench.create("PO-2", "PO-3")
    for seq, order in ((1, "PO-1"), (2, "PO-2"), (3, "PO-3")):
        bench.tell("scan-1", "pack", order, seq=seq)
    bench.now_ms += HOUR_MS
    receipts = [bench.tell("scan-1", "stage", f"PO-{seq}", {"dock": "d1"}, seq=seq, id=event_id("scan-1", 100 + seq)) for seq in (1, 2, 3)]
    receipts.append(bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"}, seq=4))
    assert [(r["outcome"], r.get("warn")) for r in receipts] == [("applied", ["seq_reused"])] * 3 + [("applied", None)]
    assert [bench.status(o)["state"] for o in ("PO-1", "PO-2", "PO-3")] == ["shipped", "packed", "packed"]
    assert bench.rows("SELECT * FROM quarantine") == []
    assert is_rebuilt_as_it_was(bench)


def test_a_number_that_was_used_before_puts_no_scan_before_another(bench: Bench) -> None:
    """In one outbox, numbers say what came first. In a restored one they do not: number 1 of today was scanned after number 2 of yesterday."""
    bench.tell("scan-1", "shift_started", None, {"worker": "w-1"}, seq=1)
    bench.tell("scan-1", "pack", "PO-1", seq=2)
    bench.now_ms += HOUR_MS
    bench.tell("scan-1", "unpack", "PO-1", {"reason": "damaged"}, seq=1, id=event_id("scan-1", 100))
    assert bench.status("PO-1")["state"] == "picking", "packed, and then unpacked"
    bench.tell("scan-2", "damaged", "PO-1", {"severity": "minor"}, at_ms=bench.now_ms - HOUR_MS // 2, sent_mono_ms=bench.now_ms - BOOT_MS)
    assert bench.status("PO-1")["state"] == "picking", "also when everything is applied again"
    assert is_rebuilt_as_it_was(bench)


@pytest.mark.parametrize("is_cold", [False, True])
def test_a_number_that_was_used_before_puts_no_scan_of_a_code_before_another(bench: Bench, is_cold: bool) -> None:
    """The label was on PO-1 when the restored scanner scanned it, and on PO-2 when the first event with that number scanned it."""
    bench.create("PO-2")
    for order, code in (("PO-1", "WB-1"), ("PO-2", None)):
        bench.tell("scan-2", "pack", order, code=code)
    packed_ms = bench.now_ms
    bench.now_ms += HOUR_MS
    bench.tell("scan-2", "labelled", "PO-2", {"code": "WB-1", "kind": "waybill"})
    bench.now_ms += HOUR_MS
    assert bench.tell("scan-1", "stage", None, {"dock": "d1"}, code="WB-1", seq=1)["order"] == "PO-2"
    if is_cold:
        bench.forget()
    sent = {"at_ms": packed_ms + HOUR_MS // 2, "sent_mono_ms": bench.now_ms - BOOT_MS}
    receipt = bench.tell("scan-1", "load", None, {"vehicle": "v1"}, code="WB-1", seq=1, id=event_id("scan-1", 100), **sent)
    assert (receipt["order"], receipt["warn"]) == ("PO-1", ["seq_reused"])
    assert is_rebuilt_as_it_was(bench)


def test_a_refused_message_whose_number_comes_again_does_not_count_twice(bench: Bench) -> None:
    broken = bench.draft("scan-1", "pick", "PO-1", {"sku": "pen"}, seq=1)
    bench.send(broken)
    bench.send(broken)
    assert bench.rows("SELECT high, owed, reused FROM ledger") == [(1, 0, 0)]


def test_a_refused_message_that_is_judged_again_has_its_own_number(bench: Bench) -> None:
    """`dockbridge quarantine replay`, once the server knows the type."""
    payload = event("scan-1", 1, "PO-1", at_ms=bench.now_ms)
    bench.send(bench.message("scan-1", "pack", payload, kind=Kind.DENIED, detail="there is no event type 'pack'"))
    (receipt,) = bench.send(bench.message("scan-1", "pack", payload))
    assert (receipt["outcome"], receipt["warn"]) == ("applied", ["not_listed"])
    assert bench.rows("SELECT high, owed, reused FROM ledger") == [(1, 0, 0)]
    assert is_rebuilt_as_it_was(bench)


def test_after_too_many_gaps_no_number_counts_as_used_before(bench: Bench) -> None:
    """Then it is not known any more which numbers arrived."""
    bench.send(*(bench.draft("scan-1", "break_started", seq=seq) for seq in range(2, 2 * (GAPS_MAX + 2), 2)))
    receipt = bench.tell("scan-1", "pack", "PO-1", seq=1)
    assert (receipt["outcome"], receipt["warn"]) == ("applied", ["not_listed"])


# --- what a resend may change -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"tz_min": 60},
        {"by": "w-17"},
        {"note": "from the next version"},
        {"body": {"weight_g": 900, "fragile": True}},
        {"sent_mono_ms": 7_200_000, "sent_boot": b"boot-two"},
        {"as_json": True},
    ],
    ids=lambda change: next(iter(change)),
)
@pytest.mark.parametrize("batches", [1, 2])
def test_a_resend_may_differ_in_what_is_not_the_event(bench: Bench, batches: int, change: dict[str, Any]) -> None:
    first = bench.message("scan-1", "pack", event("scan-1", 1, "PO-1", {"weight_g": 900}))
    other = bench.message("scan-1", "pack", event("scan-1", **{"seq": 1, "order": "PO-1", "body": {"weight_g": 900}, **change}))
    receipts = bench.send(first, other) if batches == 1 else [*bench.send(first), *bench.send(other)]
    assert [(r["outcome"], r.get("again")) for r in receipts] == [("applied", None), ("applied", True)]
    assert receipts[1] == {**receipts[0], "again": True}
    assert bench.rows("SELECT * FROM quarantine") == []


@pytest.mark.parametrize("batches", [1, 2])
def test_another_event_with_the_same_id_is_answered_by_its_digest_alone(bench: Bench, batches: int) -> None:
    """So that the highest n of an id is always about the event that has it."""
    first = bench.message("scan-1", "pack", event("scan-1", 1, "PO-1"))
    other = bench.message("scan-1", "pack", event("scan-1", 1, "PO-1", {"weight_g": 1}))
    receipts = bench.send(first, other) if batches == 1 else [*bench.send(first), *bench.send(other)]
    assert (receipts[1]["outcome"], receipts[1]["reason"], receipts[1]["type"]) == ("rejected", "id_reused", "pack")
    assert receipts[1]["digest"] == digest(other.payload)
    assert not IDS & receipts[1].keys()
    by_id = [r for r in bench.receipts("scan-1") if r.get("id") == event_id("scan-1", 1)]
    assert [(r["n"], r["outcome"]) for r in by_id] == [(1, "applied")]


def test_the_same_id_with_another_type_is_another_event(bench: Bench) -> None:
    payload = event("scan-1", 1, "PO-1")
    bench.send(bench.message("scan-1", "pack", payload))
    (receipt,) = bench.send(bench.message("scan-1", "lost", payload))
    assert (receipt["reason"], receipt["type"], IDS & receipt.keys()) == ("id_reused", "lost", set())


# --- every receipt says what it is about --------------------------------------------------------------------------------------


def test_a_receipt_says_the_type_of_its_event(bench: Bench) -> None:
    assert bench.tell("scan-1", "pack", "PO-1")["type"] == "pack"
    assert bench.tell("scan-1", "break_started")["type"] == "break_started"


def unknown_type(bench: Bench) -> Incoming:
    return bench.message("scan-1", "teleported", event("scan-1", 1, "PO-1"), kind=Kind.DENIED, detail="there is no event type 'teleported'")


def forbidden(bench: Bench) -> Incoming:
    return bench.message("scan-1", "paid", event("scan-1", 1, "PO-1"), kind=Kind.DENIED, detail="role scanner does not send paid")


def malformed(bench: Bench) -> Incoming:
    return bench.message("scan-1", "pick", event("scan-1", 1, "PO-1", {"qty": 1}))


def malformed_json(bench: Bench) -> Incoming:
    return bench.message("scan-1", "pick", event("scan-1", 1, "PO-1", {"qty": 1}, as_json=True))


@pytest.mark.parametrize("make", [unknown_type, forbidden, malformed, malformed_json])
def test_what_is_refused_is_answered_with_the_ids_that_can_be_read(bench: Bench, make: Any) -> None:
    message: Incoming = make(bench)
    (receipt,) = bench.send(message)
    assert receipt["outcome"] == "rejected"
    assert (receipt["id"], receipt["log"], receipt["seq"]) == (event_id("scan-1", 1), log_of("scan-1"), 1)
    assert (receipt["type"], receipt["digest"]) == (message.event_type, digest(message.payload))


@pytest.mark.parametrize(
    ("wrong", "readable"),
    [
        ({"id": b"short"}, {"log", "seq"}),
        ({"id": "text"}, {"log", "seq"}),
        ({"seq": 0}, {"id", "log"}),
        ({"seq": True}, {"id", "log"}),
        ({"seq": 2**60}, {"id", "log"}),
        ({"log": b""}, {"id", "seq"}),
        ({"id": None, "log": None, "seq": None}, set()),
    ],
)
def test_only_ids_that_keep_to_the_contract_are_read(bench: Bench, wrong: dict[str, Any], readable: set[str]) -> None:
    plain = {**cbor2.loads(event("scan-1", 1, "PO-1")), **wrong}
    (receipt,) = bench.send(bench.message("scan-1", "pack", encode_cbor({k: v for k, v in plain.items() if v is not None})))
    assert (receipt["reason"], IDS & receipt.keys()) == ("malformed", readable)


def test_what_cannot_be_read_at_all_is_answered_by_type_and_digest(bench: Bench) -> None:
    (receipt,) = bench.send(bench.message("scan-1", "pack", b"\xff no CBOR"))
    assert (receipt["reason"], receipt["type"], receipt["digest"]) == ("malformed", "pack", digest(b"\xff no CBOR"))
    assert not IDS & receipt.keys()


def test_a_spoilt_copy_of_a_stored_event_is_answered_by_its_digest_alone(bench: Bench) -> None:
    pack = bench.draft("scan-1", "pack", "PO-1", seq=1)
    bench.send(pack)
    spoilt = bench.message("scan-1", "pack", event("scan-1", 1, "PO-1", {"weight_g": "heavy"}))
    (receipt,) = bench.send(spoilt)
    assert (receipt["reason"], receipt["digest"], IDS & receipt.keys()) == ("malformed", digest(spoilt.payload), set())


def test_a_type_of_any_length_is_cut_to_what_a_receipt_may_say(bench: Bench) -> None:
    (receipt,) = bench.send(bench.message("scan-1", "x" * 500, event("scan-1", 1), kind=Kind.DENIED, detail="there is no such type"))
    assert receipt["type"] == "x" * 64


@pytest.mark.parametrize("what", ["presence", "location"])
def test_a_presence_or_location_that_is_refused_names_itself(bench: Bench, what: str) -> None:
    topic = TOPICS.presence("scan-1") if what == "presence" else TOPICS.location("scan-1")
    kind = Kind.PRESENCE if what == "presence" else Kind.DENIED
    (receipt,) = bench.send(Incoming(IDENTITIES["scan-1"], kind, None, b"\xff", bench.now_ms, "only role courier publishes its location", topic))
    assert (receipt["outcome"], receipt["type"]) == ("rejected", what)


# --- a verdict that changes ---------------------------------------------------------------------------------------------------


def second_receipt(bench: Bench, device: str) -> Receipt:
    return next(r for r in reversed(bench.receipts(device)) if r["n"] == 2)


def test_a_verdict_that_changes_soon_makes_the_device_beep(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-2")
    bench.now_ms += 100_000
    bench.tell("shop1", "created", "PO-2", CREATED)
    assert "quiet" not in second_receipt(bench, "scan-1")


def test_a_verdict_that_changes_after_two_minutes_is_quiet(bench: Bench) -> None:
    first = bench.tell("scan-1", "pack", "PO-2")
    bench.now_ms += 121_000
    bench.tell("shop1", "created", "PO-2", CREATED)
    assert "quiet" not in first
    assert second_receipt(bench, "scan-1")["quiet"] is True
    assert is_rebuilt_as_it_was(bench)


def test_the_first_verdict_of_an_old_scan_is_not_quiet(bench: Bench) -> None:
    """The worker still waits for it, or learns at the end of the tunnel what was wrong."""
    bench.now_ms += HOUR_MS
    receipt = bench.tell("scan-1", "pack", "PO-1", at_ms=bench.now_ms - HOUR_MS, sent_mono_ms=bench.now_ms - BOOT_MS)
    assert "quiet" not in receipt


@pytest.mark.parametrize(("change", "body"), [("shift_started", {"worker": "w-2"}), ("shift_ended", {})])
def test_a_verdict_that_changes_in_another_shift_is_quiet(bench: Bench, change: str, body: dict[str, Any]) -> None:
    bench.tell("scan-1", "pack", "PO-2")
    bench.tell("scan-2", change, None, body)
    bench.tell("scan-1", "pick", "PO-3", {"sku": "pen", "qty": 1})
    bench.tell("shop1", "created", "PO-2", CREATED)
    assert "quiet" not in second_receipt(bench, "scan-1"), "the shift of another device does not matter"
    bench.tell("scan-1", change, None, body)
    bench.forget()
    bench.tell("shop1", "created", "PO-3", CREATED)
    assert second_receipt(bench, "scan-1")["quiet"] is True
    assert is_rebuilt_as_it_was(bench)


def test_an_earlier_shift_of_a_backlog_does_not_silence_the_present_one(bench: Bench) -> None:
    """Fresh scans overtake the backlog: what came later did not happen later."""
    at_ms = bench.now_ms
    bench.now_ms += HOUR_MS
    bench.tell("scan-1", "pack", "PO-2", seq=2)
    bench.tell("scan-1", "shift_started", None, {"worker": "w-1"}, seq=1, at_ms=at_ms, sent_mono_ms=bench.now_ms - BOOT_MS)
    bench.tell("shop1", "created", "PO-2", CREATED)
    assert "quiet" not in second_receipt(bench, "scan-1")


def test_the_limit_is_a_setting(tmp_path: Path) -> None:
    with Bench(tmp_path / "other.db", quiet_after_ms=10_000) as bench:
        bench.tell("scan-1", "pack", "PO-2")
        bench.now_ms += 10_000
        bench.tell("shop1", "created", "PO-2", CREATED)
        assert second_receipt(bench, "scan-1")["quiet"] is True


def test_a_break_is_about_no_order_and_changes_no_shift(bench: Bench) -> None:
    bench.tell("scan-1", "pack", "PO-2")
    assert bench.tell("phone-anna", "break_started")["outcome"] == "applied"
    assert bench.tell("scan-1", "break_started")["outcome"] == "applied"
    assert bench.tell("scan-1", "break_ended")["outcome"] == "applied"
    bench.tell("shop1", "created", "PO-2", CREATED)
    assert "quiet" not in second_receipt(bench, "scan-1")
    assert bench.rows("SELECT device, changed_ms FROM shifts ORDER BY device") == []


# --- fields that the contract does not have -----------------------------------------------------------------------------------

SENDERS = {
    "shop1": ("created", {**CREATED, "customer_name": "Ada Vos", "lines": [{"sku": "pen", "qty": 1, "engraving": "Ada"}]}),
    "desk": ("held", {"reason": "address", "phone": "+31 20 1234567"}),
    "dhl": ("delivery", {"pod": {"method": "signature", "signed_by": "A. Vos"}}),
}


@pytest.mark.parametrize("device", SENDERS)
@pytest.mark.parametrize("as_json", [False, True], ids=["cbor", "json"])
def test_an_unknown_field_of_a_system_carrier_or_desk_is_cut_and_named(bench: Bench, device: str, as_json: bool) -> None:
    event_type, body = SENDERS[device]
    order = "PO-9" if event_type == "created" else "PO-1"
    draft = bench.draft(device, event_type, order, body, customer_email="ada@example.com", as_json=as_json)
    (receipt,) = bench.send(draft)
    assert (receipt["outcome"], receipt["tone"]) != ("rejected", "stop")
    assert "unknown_field" in receipt["warn"]
    assert receipt["detail"].startswith("not in the contract, and not stored: ")
    assert "customer_email" in receipt["detail"]
    ((stored,),) = bench.rows("SELECT payload FROM events WHERE id = ?", receipt["id"])
    assert not any(secret in stored for secret in (b"Ada", b"Vos", b"+31", b"example.com", b"customer"))
    assert stored == encode_cbor(cbor2.loads(stored)), "in deterministic CBOR"
    (again,) = bench.send(draft)
    assert again == {**receipt, "again": True}, "a resend is recognised"
    assert is_rebuilt_as_it_was(bench)


def test_the_paths_of_unknown_fields_are_named(bench: Bench) -> None:
    body = {**CREATED, "lines": [{"sku": "pen", "qty": 1, "engraving": "Ada"}], "wieght_g": 7}
    receipt = bench.tell("shop1", "created", "PO-9", body, **{f"x{n}": n for n in range(4)})
    assert receipt["detail"] == "not in the contract, and not stored: x0, x1, x2, x3, body.wieght_g and 1 more"


def test_f9_an_unknown_field_of_a_scanner_or_courier_is_kept_and_named(bench: Bench) -> None:
    """Firmware may be newer than its server, or the field is misspelt: its developer sees it, its worker does not."""
    for device, event_type in (("scan-1", "pack"), ("phone-anna", "pickup")):
        draft = bench.draft(device, event_type, "PO-1", model="hh-20")
        (receipt,) = bench.send(draft)
        assert "unknown_field" in receipt["warn"]
        assert receipt["detail"] == "not in the contract: model"
        assert receipt["tone"] == ("warn" if "not_listed" in receipt["warn"] else "ok")
        ((payload, sealed),) = bench.rows("SELECT payload, sealed FROM events JOIN sealed USING (pos) WHERE id = ?", receipt["id"])
        assert b"hh-20" not in payload
        assert load(VAULT.open(sealed, about_event(device, receipt["id"]))) == {"whole": draft.payload}


def test_an_event_without_unknown_fields_is_stored_as_it_came(bench: Bench) -> None:
    plain = cbor2.loads(event("shop1", 77, "PO-1", {"reason": "address"}, at_ms=bench.now_ms))
    payload = encode_json(plain)
    assert bench.send(bench.message("shop1", "held", payload))[0]["outcome"] == "applied"
    assert bench.rows("SELECT payload FROM events WHERE id = ?", plain["id"]) == [(payload,)]


def test_what_is_refused_is_kept_without_the_fields_too(bench: Bench) -> None:
    """The quarantine is stored as well. Its digest is still that of what was sent."""
    draft = bench.draft("shop-a", "held", "PO-1", {"reason": "address"}, customer_name="Ada Vos")
    (receipt,) = bench.send(draft)
    assert (receipt["reason"], receipt["digest"]) == ("forbidden", digest(draft.payload))
    (kept,) = bench.quarantined()
    assert b"Ada" not in kept


# --- roles --------------------------------------------------------------------------------------------------------------------


def test_a_carrier_takes_back_its_own_events_only(bench: Bench) -> None:
    packed = bench.tell("scan-1", "pack", "PO-1")
    arrived = bench.tell("dhl", "arrive", "PO-1", {"hub": "SHA"})
    assert bench.tell("dhl", "void", None, {"ref": packed["id"], "reason": "did_not_occur"})["reason"] == "not_yours"
    assert bench.tell("dhl", "void", None, {"ref": arrived["id"], "reason": "did_not_occur"})["outcome"] == "applied"
    assert bench.status("PO-1")["state"] == "packed"


def test_the_time_of_a_carrier_is_taken_as_it_is_and_its_numbers_never_order(bench: Bench) -> None:
    """A carrier's feed reports what its own scanners saw, in whatever order it comes."""
    bench.tell("scan-1", "pack", "PO-1")
    bench.now_ms += HOUR_MS
    arrived_ms, departed_ms = bench.now_ms - 60_000, bench.now_ms - 900_000
    bench.tell("dhl", "arrive", "PO-1", {"hub": "AMS"}, seq=7, at_ms=arrived_ms)
    bench.tell("dhl", "depart", "PO-1", {"hub": "SHA"}, seq=9, at_ms=departed_ms)
    assert bench.rows("SELECT event_ms, source FROM events WHERE device = 'dhl' ORDER BY pos") == [(arrived_ms, "system"), (departed_ms, "system")]
    (parcel,) = [p for topic, p in bench.retained.items() if "/parcels/" in topic]
    assert cbor2.loads(parcel)["where"] == "AMS", "it departed first, whatever the numbers say"
    assert bench.rows("SELECT * FROM ledger WHERE device = 'dhl'") == []
