"""A device that breaks the contract without harm: its developer reads it in the receipt, its worker hears nothing of it, and nothing else is different."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

import pytest
from helpers.bench import Bench
from helpers.events import BOOT, BOOT_MS, DELIVERY, NOW_MS, TOPICS, event_id, log_of

from bridge.domain.access import Kind
from bridge.domain.event_time import AHEAD_MS, JUMP_MS
from bridge.domain.facts import Unpaid, Verdict, tone_of
from bridge.ingest.accept import SEQ_COUNTED_MAX
from bridge.ingest.items import Incoming
from devices.protocol.later_editions import decode_later
from devices.protocol.messages import WARNS_MAX, Receipt, convert, encode_cbor
from devices.protocol.vocabulary import DEVELOPER_WARNINGS, Next, Outcome, Tone, Warn

MONO_MS: Final = NOW_MS - BOOT_MS
"""What the counter of every device shows at the start of a test."""
MINUTE: Final = 60_000
TABLES: Final = ("orders", "parcels", "status_log", "receipts", "events", "ledger", "quarantine", "alerts")


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "site.db") as bench:
        bench.now_ms -= 50 * MINUTE
        bench.create("PO-1", lines=[{"sku": "pen", "qty": 50}])
        bench.now_ms = NOW_MS
        yield bench


def connect(bench: Bench, device: str) -> None:
    """A device publishes its presence, as on every connect."""
    presence = {"online": True, "boot": BOOT, "log": log_of(device), "at_ms": bench.now_ms, "mono_ms": bench.now_ms - BOOT_MS}
    bench.send(bench.message(device, None, encode_cbor(presence), kind=Kind.PRESENCE))


def warned(receipt: dict[str, Any]) -> list[str]:
    """The warnings of a receipt, which must not have changed what the worker hears."""
    assert receipt["outcome"] in ("applied", "late")
    assert receipt["tone"] == "ok"
    warn: list[str] = receipt.get("warn", [])
    return warn


# --- what is wrong with an event by itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["scan-1", "desk"])
@pytest.mark.parametrize(
    ("uuid", "is_right"),
    [
        pytest.param(UUID(bytes=event_id("scan-1", 77)), True, id="UUIDv7"),
        pytest.param(UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), True, id="the UUIDv7 of RFC 9562"),
        pytest.param(uuid4(), False, id="UUIDv4"),
        pytest.param(uuid5(UUID(int=1), "PO-1"), False, id="UUIDv5"),
        pytest.param(UUID("1ec9414c-232a-6b00-b3c8-9f6bdeced846"), False, id="UUIDv6"),
        pytest.param(UUID(int=0), False, id="nil"),
        pytest.param(UUID("017f22e2-79b0-7cc3-18c4-dc0c0c07398f"), False, id="another variant"),
        pytest.param(UUID(int=2**128 - 1), False, id="max"),
    ],
)
def test_an_id_that_is_no_uuidv7(dock: Bench, device: str, uuid: UUID, is_right: bool) -> None:
    receipt = dock.tell(device, "lost" if device == "scan-1" else "held", "PO-1", {} if device == "scan-1" else {"reason": "fraud"}, id=uuid.bytes)
    assert [word for word in receipt.get("warn", []) if word == "id_not_uuid7"] == ([] if is_right else ["id_not_uuid7"])


@pytest.mark.parametrize(
    ("seq", "words"),
    [
        (SEQ_COUNTED_MAX, []),
        pytest.param(SEQ_COUNTED_MAX + 1, ["seq_too_high"], id="the first that no log has counted to"),
        pytest.param(NOW_MS // 1_000, ["seq_too_high"], id="seconds since 1970"),
        pytest.param(NOW_MS, ["seq_too_high"], id="milliseconds since 1970"),
    ],
)
def test_a_number_that_is_no_count(dock: Bench, seq: int, words: list[str]) -> None:
    assert warned(dock.tell("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1}, seq=seq)) == words


def test_the_numbers_of_a_system_count_nothing(dock: Bench) -> None:
    assert warned(dock.tell("shop1", "amended", "PO-1", {"changed": ["note"]}, seq=NOW_MS, mono_ms=MONO_MS + MINUTE)) == []


@pytest.mark.parametrize(
    ("ahead_ms", "boot", "words"),
    [
        (-MINUTE, BOOT, []),
        (AHEAD_MS, BOOT, []),
        (AHEAD_MS + 1, BOOT, ["mono_ahead"]),
        pytest.param(MINUTE, b"boot-nil", [], id="of another boot"),
    ],
)
def test_an_event_that_happened_after_it_was_sent(dock: Bench, ahead_ms: int, boot: bytes, words: list[str]) -> None:
    connect(dock, "scan-1")
    sent_ms = dock.now_ms - BOOT_MS
    receipt = dock.tell("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1}, boot=boot, sent_mono_ms=sent_ms, mono_ms=sent_ms + ahead_ms)
    assert warned(receipt) == words


# --- a counter that is not read anew ------------------------------------------------------------------------------------------


def pick(bench: Bench, sent_ms: int, **other: Any) -> Incoming:
    """A pick whose counter showed this when it was sent."""
    return bench.draft("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1}, mono_ms=min(sent_ms, MONO_MS), sent_mono_ms=sent_ms, **other)


@pytest.mark.parametrize(
    ("back_ms", "words"),
    [
        pytest.param(0, [], id="not at all"),
        pytest.param(JUMP_MS, [], id="two threads may send a little out of order"),
        pytest.param(JUMP_MS + 1, ["sent_back"], id="by more than that"),
        pytest.param(20 * MINUTE, ["sent_back"], id="when it was scanned, not when it was sent"),
    ],
)
def test_a_scan_that_says_it_was_sent_before_what_came_before_it(dock: Bench, back_ms: int, words: list[str]) -> None:
    connect(dock, "scan-1")
    (receipt,) = dock.send(pick(dock, dock.now_ms - 1_000 - BOOT_MS - back_ms))
    assert warned(receipt) == words
    (receipt,) = dock.send(pick(dock, dock.now_ms - BOOT_MS))
    assert warned(receipt) == [], "the next is right again"


def test_a_backlog_of_which_each_scan_says_when_it_was_scanned(dock: Bench) -> None:
    connect(dock, "scan-1")
    now_ms = dock.now_ms - BOOT_MS
    fresh, *backlog = dock.send(*(pick(dock, now_ms - ago_ms) for ago_ms in (0, 20 * MINUTE, 19 * MINUTE, 18 * MINUTE)))
    assert [warned(r) for r in (fresh, *backlog)] == [[], ["sent_back"], [], []], "the first of them goes back, the others go on from there"


def test_a_packet_that_its_mqtt_client_sends_again_is_as_it_was(dock: Bench) -> None:
    """It was in flight when the connection was cut. MQTT 3.1.1 §4.4 sends it again as it is, after the presence of the new connection."""
    in_flight = pick(dock, dock.now_ms - BOOT_MS)
    dock.now_ms += 20 * MINUTE
    connect(dock, "scan-1")
    (receipt,) = dock.send(in_flight._replace(received_ms=dock.now_ms, dup=True))
    assert warned(receipt) == []


def test_a_counter_that_begins_again_has_a_warning_of_its_own(dock: Bench) -> None:
    dock.now_ms += 20 * MINUTE
    connect(dock, "scan-1")
    (receipt,) = dock.send(pick(dock, dock.now_ms - BOOT_MS))
    dock.now_ms += 2 * MINUTE
    presence = {"online": True, "boot": BOOT, "log": log_of("scan-1"), "at_ms": dock.now_ms, "mono_ms": 500}
    dock.send(dock.message("scan-1", None, encode_cbor(presence), kind=Kind.PRESENCE))
    (receipt,) = dock.send(pick(dock, 1_500))
    assert receipt["warn"] == ["clock_jump"]


# --- and nothing else is different --------------------------------------------------------------------------------------------


def shift(bench: Bench, *, is_good: bool) -> None:
    """A parcel goes its way. A bad scanner has ids and numbers of its own, and sends each scan two seconds before it happens."""
    connect(bench, "scan-1")
    for nth, (event_type, body) in enumerate((("pack", {}), ("stage", {"dock": "d1"}), ("load", {"vehicle": "v1"}))):
        slips = {} if is_good else {"id": bytes([nth]) * 16, "seq": NOW_MS + nth, "sent_mono_ms": bench.now_ms - BOOT_MS - 2_000}
        assert bench.tell("scan-1", event_type, "PO-1", body, **slips)["outcome"] == "applied"
    bench.tell("phone-anna", "delivery", "PO-1", DELIVERY)


def test_a_day_of_broken_rules_ends_as_a_day_without(tmp_path: Path) -> None:
    shown = []
    for is_good in (True, False):
        with Bench(tmp_path / f"{is_good}.db") as bench:
            bench.create("PO-1")
            shift(bench, is_good=is_good)
            status = bench.status("PO-1")
            heard = [(r["outcome"], r["tone"], r.get("next"), r["state"]) for r in bench.receipts("scan-1")]
            shown.append((status["state"], status["flags"], status["milestones"], heard))
    good, bad = shown
    assert good == bad


def test_a_rebuild_says_the_same(dock: Bench) -> None:
    shift(dock, is_good=False)
    assert dock.rows("SELECT warn FROM events WHERE type = 'stage'") == [("id_not_uuid7 seq_too_high mono_ahead",)]
    before = dock.dump(*TABLES)
    dock.rebuild()
    assert dock.dump(*TABLES) == before


def test_an_event_that_is_sent_again_is_warned_of_again(dock: Bench) -> None:
    draft = dock.draft("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1}, id=uuid4().bytes)
    first, again = [*dock.send(draft), *dock.send(draft)]
    assert (warned(first), again["again"], again["warn"]) == (["id_not_uuid7"], True, ["id_not_uuid7"])


def test_what_a_worker_must_know_stands_first_and_what_does_not_fit_is_left_out(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", unpaid=Unpaid.WARN) as bench:
        bench.tell("shop1", "created", "PO-1", {"channel": "shop1", "lines": [{"sku": "pen", "qty": 2}], "allow_partial": False, "payment": "prepaid"})
        bench.tell("scan-1", "pack", "PO-1", {"items": [{"sku": "pen", "qty": 1}]}, seq=NOW_MS)
        bench.tell("desk", "held", "PO-1", {"reason": "fraud"})
        connect(bench, "scan-1")
        sent_ms = bench.now_ms - BOOT_MS - MINUTE
        odd = {"id": bytes(16), "seq": NOW_MS, "sent_mono_ms": sent_ms, "mono_ms": sent_ms + 10 * MINUTE, "at_ms": 45_000}
        receipt = convert(bench.tell("scan-1", "load", "PO-1", {"vehicle": "v1"}, **odd), Receipt)
        assert receipt.tone is Tone.STOP
        assert receipt.warn is not None
        assert len(receipt.warn) <= WARNS_MAX
        assert receipt.warn[: len(receipt.worker_warn)] == receipt.worker_warn
        assert {Warn.MOVED_ON_HOLD, Warn.INCOMPLETE, Warn.CLOCK_UNKNOWN} <= set(receipt.worker_warn)
        stored = bench.rows("SELECT warn FROM events WHERE type = 'load'")[0][0]
        assert stored == "clock_unknown seq_reused id_not_uuid7 seq_too_high mono_ahead sent_back", "the log has them all"


def test_no_warning_for_developers_changes_a_tone() -> None:
    others = [(), *((word,) for word in Warn if word not in DEVELOPER_WARNINGS)]
    for outcome, odd, slip, step in product(Outcome, others, DEVELOPER_WARNINGS, (None, Next.CALL_DESK)):
        assert tone_of(Verdict(outcome, warn=(*odd, slip), next=step)) is tone_of(Verdict(outcome, warn=odd, next=step))


def test_a_device_shows_its_worker_the_other_warnings() -> None:
    told = {"n": 1, "final": True, "outcome": "applied", "tone": "stop", "at_ms": 1, "warn": ["misload", "id_not_uuid7", "of_next_year", "unknown_field"]}
    receipt = decode_later(encode_cbor(told), Receipt)
    assert receipt.warn == [Warn.MISLOAD, Warn.ID_NOT_UUID7, "other", Warn.UNKNOWN_FIELD]
    assert receipt.worker_warn == [Warn.MISLOAD, "other"]


def test_the_topic_of_receipts_is_the_only_place_where_it_is_said(dock: Bench) -> None:
    dock.tell("scan-1", "pick", "PO-1", {"sku": "pen", "qty": 1}, id=uuid4().bytes)
    assert [m.topic for m in dock.shown if b"id_not_uuid7" in m.payload] == [TOPICS.receipts("scan-1")]
