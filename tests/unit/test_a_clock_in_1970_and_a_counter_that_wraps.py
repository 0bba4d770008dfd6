"""A handheld lost its clock with its battery, a phone came up ten hours back, a shop sends seconds, a counter of 32 bits wraps.

Every event is still dated when it can have happened, its error is honest, and a person learns which device to mend.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final

import pytest
from cbor2 import loads
from helpers.bench import Bench, settler_on
from helpers.events import BOOT, BOOT_MS, CREATED, DELIVERY, IDENTITIES, NOW_MS, SITE, TOPICS, event, event_id, log_of
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.domain.access import Kind
from bridge.domain.event_time import EARLIEST_MS, SKEW_NOISE_MS, WALL_ERROR_MS_MAX
from bridge.ingest.items import Incoming
from bridge.ingest.log import EVENTS
from bridge.ingest.memory import LEDGER
from bridge.ingest.rules import Rules
from bridge.operations.orders import Step, explain
from bridge.store.memory import MemoryStore
from bridge.store.queries import Queries
from devices.protocol.messages import encode_cbor

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
EARLIER: Final = b"boot-nil"
"""A boot that the bridge never heard."""
IN_1970: Final = 45_000
WEEKS_BACK: Final = NOW_MS - 1024 * 7 * DAY
WRAP: Final = 2**32
ANOTHER: Final = event_id("scan-1", 99)


@pytest.fixture
def dock(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path / "dockbridge.db") as bench:
        yield bench


def earlier(bench: Bench, device: str, event_type: str, order: str, body: dict[str, Any] | None = None, *, at_ms: int, **other: Any) -> Incoming:
    """An event of a boot that was never heard, sent from the present one."""
    return bench.draft(device, event_type, order, body, at_ms=at_ms, boot=EARLIER, mono_ms=40_000, sent_mono_ms=bench.now_ms - BOOT_MS, **other)


def enrolled(incoming: Incoming, at_ms: int) -> Incoming:
    """The same message, of a device that was enrolled at this time."""
    return incoming._replace(identity=replace(incoming.identity, enrolled_ms=at_ms))


def present(bench: Bench, device: str, *, at_ms: int | None) -> None:
    """The device connects, and its wall clock shows `at_ms`."""
    presence = {"online": True, "boot": BOOT, "at_ms": at_ms, "mono_ms": bench.now_ms - BOOT_MS}
    payload = encode_cbor({k: v for k, v in presence.items() if v is not None})
    bench.send(bench.message(device, None, payload, kind=Kind.PRESENCE))


def dated(bench: Bench, device: str) -> dict[int, tuple[int, str, int, str | None]]:
    """When each event of a device happened, by seq: time, source, error and warning."""
    rows = bench.rows("SELECT seq, event_ms, source, error_ms, warn FROM events WHERE device = ?", device)
    return {seq: (event_ms, source, error_ms, warn) for seq, event_ms, source, error_ms, warn in rows}


# --- a boot that was never heard ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_ms", [pytest.param(IN_1970, id="in 1970"), pytest.param(WEEKS_BACK, id="1024 weeks back")])
def test_s13_a_pack_of_a_cancelled_order_is_blocked_whatever_the_clock_of_its_boot_says(dock: Bench, at_ms: int) -> None:
    dock.create("C1", "C4")
    for order in ("C1", "C4"):
        dock.tell("shop1", "cancelled", order, {"reason": "customer"})
    present(dock, "scan-1", at_ms=dock.now_ms)
    (in_another_boot,) = dock.send(enrolled(earlier(dock, "scan-1", "pack", "C1", at_ms=at_ms), NOW_MS - DAY))
    in_this_boot = dock.tell("scan-1", "pack", "C4")
    assert (in_another_boot["outcome"], in_another_boot["reason"]) == (in_this_boot["outcome"], in_this_boot["reason"]) == ("blocked", "cancelled")
    assert in_another_boot["warn"] == ["clock_unknown"]
    assert "warn" not in in_this_boot


def test_s13_a_clock_that_was_set_to_the_last_shutdown_is_not_believed_to_two_seconds(dock: Bench) -> None:
    dock.create("C3")
    present(dock, "scan-1", at_ms=dock.now_ms)
    at_ms = dock.now_ms - 10 * HOUR
    (receipt,) = dock.send(earlier(dock, "scan-1", "load", "C3", {"vehicle": "v1"}, at_ms=at_ms))
    assert dated(dock, "scan-1")[1] == (at_ms, "wall", WALL_ERROR_MS_MAX, None)
    assert "clock_unknown" not in receipt.get("warn", ())


def test_s13_a_clock_before_the_device_was_enrolled_is_unknown(dock: Bench) -> None:
    dock.create("C3")
    dock.tell("shop1", "cancelled", "C3", {"reason": "customer"})
    received_ms = dock.now_ms
    (receipt,) = dock.send(enrolled(earlier(dock, "scan-1", "pack", "C3", at_ms=received_ms - 10 * HOUR), received_ms - HOUR))
    assert (receipt["outcome"], receipt["warn"]) == ("blocked", ["clock_unknown"])
    assert dated(dock, "scan-1")[1] == (received_ms, "received", HOUR, "clock_unknown")


def test_s13_a_number_that_is_used_again_has_no_neighbours(dock: Bench) -> None:
    """The outbox was restored: number 1 comes again, hours after number 5, from a boot that was never heard."""
    dock.create("D1")
    for seq in (1, 5):
        dock.tell("scan-1", "stage", "D1", {"dock": "d1"}, seq=seq)
    dock.now_ms += 10 * HOUR
    at_ms = dock.now_ms - 5 * HOUR
    (receipt,) = dock.send(earlier(dock, "scan-1", "stage", "D1", {"dock": "d2"}, at_ms=at_ms, seq=1, id=ANOTHER))
    assert receipt["warn"] == ["seq_reused"]
    assert dock.rows("SELECT event_ms, source, warn FROM events WHERE id = ?", ANOTHER) == [(at_ms, "wall", "seq_reused")]


def test_s13_all_that_is_odd_about_an_event_is_said_in_each_of_its_receipts(dock: Bench) -> None:
    dock.tell("scan-1", "shift_started", None, {"worker": "w-1"}, seq=1)
    (receipt,) = dock.send(earlier(dock, "scan-1", "pack", "D1", at_ms=IN_1970, seq=1, id=ANOTHER))
    assert (receipt["outcome"], receipt["warn"], receipt["tone"]) == ("parked", ["clock_unknown", "seq_reused"], "warn")
    dock.shown.clear()
    dock.create("D1", lines=[{"sku": "pen", "qty": 1}])
    revised = next(told for m in dock.shown if m.topic == TOPICS.receipts("scan-1") and (told := loads(m.payload))["n"] == 2)
    assert (revised["id"], revised["warn"]) == (ANOTHER, ["clock_unknown", "seq_reused"])


def test_s13_a_clock_that_contradicts_the_order_of_a_devices_events_is_unknown(dock: Bench) -> None:
    dock.create("D1", "D2", lines=[{"sku": "pen", "qty": 1}])
    dock.tell("scan-1", "pack", "D1")
    packed_ms = dock.now_ms - 1_000
    received_ms = dock.now_ms
    (receipt,) = dock.send(earlier(dock, "scan-1", "pack", "D2", at_ms=packed_ms - HOUR))
    assert receipt["warn"] == ["clock_unknown"]
    event_ms, source, error_ms, _ = dated(dock, "scan-1")[2]
    assert (event_ms, source) == (received_ms, "received")
    assert received_ms - packed_ms <= error_ms <= SKEW_NOISE_MS


def test_s13_a_backlog_that_was_overtaken_happened_before_what_overtook_it(dock: Bench) -> None:
    dock.create("D1", "D2", "D3")
    dock.tell("scan-1", "pack", "D1", seq=1)
    first_ms = dock.now_ms - 1_000
    dock.now_ms += 3 * HOUR
    dock.tell("scan-1", "pack", "D3", seq=9)
    fresh_ms = dock.now_ms - 1_000
    dock.now_ms += HOUR
    dock.send(earlier(dock, "scan-1", "pack", "D2", at_ms=IN_1970, seq=5))
    event_ms, source, error_ms, warn = dated(dock, "scan-1")[5]
    assert (source, warn) == ("seq", "clock_unknown")
    assert first_ms <= event_ms - error_ms + SKEW_NOISE_MS
    assert abs(event_ms - fresh_ms) < SKEW_NOISE_MS


def test_s13_an_unknown_time_does_not_make_a_good_clock_look_wrong(dock: Bench) -> None:
    """Two boots were never heard: in the first the clock stood at 1970, in the second it was right. Nothing is known of the first but its reception."""
    dock.create("D1", "D2", lines=[{"sku": "pen", "qty": 1}])
    dock.send(earlier(dock, "scan-1", "pack", "D1", at_ms=IN_1970))
    at_ms = dock.now_ms - 3 * HOUR
    dock.send(earlier(dock, "scan-1", "pack", "D2", at_ms=at_ms))
    assert dated(dock, "scan-1")[2][:2] == (at_ms, "wall")


def test_s13_a_delivery_in_1970_does_not_come_before_its_order(dock: Bench) -> None:
    dock.create("C5")
    created_ms = dock.now_ms
    dock.send(earlier(dock, "phone-anna", "delivery", "C5", DELIVERY, at_ms=IN_1970))
    milestones = {m["state"]: m["at_ms"] for m in dock.status("C5")["milestones"] if "at_ms" in m}
    assert milestones["delivered"] >= created_ms


@pytest.mark.parametrize("named", [{}, {"code": "late-one"}], ids=["by its order", "by the code of its order"])
def test_s13_a_receipt_still_warns_when_a_scan_that_waited_is_applied(dock: Bench, named: dict[str, str]) -> None:
    order = None if named else "late-one"
    (parked,) = dock.send(earlier(dock, "scan-1", "stage", order, {"dock": "d"}, at_ms=IN_1970, **named))  # type: ignore[arg-type]
    assert (parked["outcome"], parked["warn"]) == ("parked", ["clock_unknown"])
    dock.create("late-one")
    later = dock.receipts("scan-1")[-1]
    assert (later["n"], later["outcome"]) == (2, "applied")
    assert "clock_unknown" in later["warn"]


def test_s13_what_was_known_of_neighbours_outlives_the_memory_of_the_bridge_and_a_rebuild(dock: Bench) -> None:
    dock.create("D1", "D2", "D3")
    dock.tell("scan-1", "pack", "D1", seq=1)
    dock.send(earlier(dock, "scan-1", "pack", "D2", at_ms=IN_1970, seq=4))
    before = dock.dump("ledger", "events", "receipts")
    assert dock.rebuild().changed == []
    after = dock.dump("ledger", "events", "receipts")
    assert {t: [r[:6] for r in rows] for t, rows in after.items()} == {t: [r[:6] for r in rows] for t, rows in before.items()}
    dock.now_ms += HOUR
    dock.send(earlier(dock, "scan-1", "pack", "D3", at_ms=NOW_MS - DAY, seq=2))
    assert dated(dock, "scan-1")[2][1:] == ("seq", SKEW_NOISE_MS, "clock_unknown"), "it is between seq 1 and seq 4, a second apart"


# --- systems and units ----------------------------------------------------------------------------------------------------


def test_s13_a_shop_that_sends_seconds_does_not_date_its_orders_in_1970(dock: Bench) -> None:
    happened_ms = dock.now_ms // 1_000 * 1_000 - HOUR
    receipt = dock.tell("shop1", "created", "E1", CREATED, at_ms=happened_ms // 1_000)
    assert (receipt["outcome"], receipt["tone"], receipt["detail"]) == ("applied", "ok", "at_ms is in seconds; it must be in milliseconds")
    assert dated(dock, "shop1")[1] == (happened_ms, "system", 1_000, None)
    assert "milliseconds" in dock.show(TOPICS.alert("clock", "shop1"))["text"]  # type: ignore[index]


@pytest.mark.parametrize("factor", [1_000, 1_000_000], ids=["microseconds", "nanoseconds"])
def test_s13_a_scanner_that_sends_another_unit_is_dated_right_in_a_boot_that_was_never_heard(dock: Bench, factor: int) -> None:
    dock.create("E1", lines=[{"sku": "pen", "qty": 1}])
    at_ms = dock.now_ms - 3 * HOUR
    (receipt,) = dock.send(earlier(dock, "scan-1", "pack", "E1", at_ms=at_ms * factor))
    assert "warn" not in receipt
    assert f"at_ms is in {'micro' if factor == 1_000 else 'nano'}seconds" in receipt["detail"]
    assert dated(dock, "scan-1")[1][:2] == (at_ms, "wall")


def test_s13_a_shop_in_1970_is_dated_by_the_reception(dock: Bench) -> None:
    received_ms = dock.now_ms
    receipt = dock.tell("shop1", "created", "E2", CREATED, at_ms=IN_1970)
    assert (receipt["outcome"], receipt["warn"]) == ("applied", ["clock_unknown"])
    assert dated(dock, "shop1")[1] == (received_ms, "received", received_ms - EARLIEST_MS, "clock_unknown")


# --- a counter that begins again ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before_mono_ms", "after_mono_ms"), [pytest.param(WRAP - 2_500, 500, id="32 bits"), pytest.param(7 * HOUR, 900, id="same boot id")])
def test_s14_a_pack_after_the_counter_began_again_is_dated_now(dock: Bench, before_mono_ms: int, after_mono_ms: int) -> None:
    dock.create("W1", "W2")
    for order in ("W1", "W2"):
        dock.tell("shop1", "cancelled", order, {"reason": "customer"})
    before = dock.tell("scan-2", "pack", "W1", mono_ms=before_mono_ms, sent_mono_ms=before_mono_ms)
    dock.now_ms += 3_000
    received_ms = dock.now_ms
    after = dock.tell("scan-2", "pack", "W2", mono_ms=after_mono_ms, sent_mono_ms=after_mono_ms)
    assert (after["outcome"], after["reason"]) == (before["outcome"], before["reason"]) == ("blocked", "cancelled")
    assert after["warn"] == ["clock_jump"]
    assert dated(dock, "scan-2")[2] == (received_ms, "mono", 1, "clock_jump")


def test_s13_the_points_of_a_phone_without_a_counter_are_not_dated_in_1970(dock: Bench) -> None:
    dock.create("P1")
    dock.tell("scan-1", "pack", "P1")
    dock.tell("phone-anna", "pickup", "P1")
    broken_ms = dock.now_ms - 1_000  # a counter that began in 1970
    points = [[broken_ms - 60_000, 1, 1, 5, None], [broken_ms, 2, 2, 5, None]]
    batch = {"log": log_of("phone-anna"), "boot": EARLIER, "sent_mono_ms": broken_ms, "points": points}
    received_ms = dock.now_ms
    dock.send(dock.message("phone-anna", None, encode_cbor(batch), kind=Kind.LOCATION))
    assert dock.rows("SELECT event_ms, lat_e7 FROM positions") == [(received_ms, 2)]


def explained(bench: Bench, order: str, event_type: str) -> Step:
    """What `dockbridge orders explain` says of the first event of this type."""
    site: Any = SimpleNamespace(queries=Queries(bench.engine, TOPICS))
    return next(step for step in asyncio.run(explain(site, order)).events if step.type == event_type)


def test_s13_the_story_of_an_order_names_what_was_odd_about_a_clock(dock: Bench) -> None:
    dock.create("C1", lines=[{"sku": "pen", "qty": 1}])
    dock.send(earlier(dock, "scan-1", "pack", "C1", at_ms=IN_1970))
    step = explained(dock, "C1", "pack")
    assert (step.known_by, step.notes) == ("received", ["clock_unknown"])


# --- a person learns of it ------------------------------------------------------------------------------------------------


def clock_alert(bench: Bench, device: str) -> dict[str, Any] | None:
    return bench.show(TOPICS.alert("clock", device))


@pytest.mark.parametrize("off_ms", [-NOW_MS + IN_1970, -2 * HOUR, 8 * HOUR], ids=["1970", "two hours back", "local time for UTC"])
def test_s13_a_device_with_a_wrong_clock_is_named_until_its_clock_is_right(dock: Bench, off_ms: int) -> None:
    present(dock, "scan-1", at_ms=dock.now_ms + off_ms)
    alert = clock_alert(dock, "scan-1")
    assert alert is not None
    assert "scan-1" in alert["text"]
    assert alert["fix"].endswith(".")
    dock.forget()
    dock.sweep()
    assert clock_alert(dock, "scan-1") is not None
    present(dock, "scan-1", at_ms=None)
    assert clock_alert(dock, "scan-1") is not None, "nothing was said of its clock"
    present(dock, "scan-1", at_ms=dock.now_ms)
    assert clock_alert(dock, "scan-1") is None


def test_s13_an_event_of_an_earlier_boot_with_a_wrong_clock_raises_the_alert_too(dock: Bench) -> None:
    dock.create("C1", "C2")
    dock.send(earlier(dock, "scan-1", "pack", "C1", at_ms=IN_1970))
    assert clock_alert(dock, "scan-1") is not None
    dock.tell("scan-1", "pack", "C2")
    assert clock_alert(dock, "scan-1") is None


def test_s13_a_message_that_waited_for_hours_does_not_make_the_clock_look_wrong(dock: Bench) -> None:
    dock.create("C1", "C2")
    present(dock, "scan-1", at_ms=dock.now_ms)
    waited = dock.draft("scan-1", "pack", "C1")
    dock.now_ms += HOUR - 60_000
    present(dock, "scan-1", at_ms=dock.now_ms)
    dock.now_ms += 2 * 60_000
    dock.send(waited._replace(received_ms=dock.now_ms))
    assert clock_alert(dock, "scan-1") is None


def test_a_rebuild_leaves_the_alert_as_it_is(dock: Bench) -> None:
    present(dock, "scan-1", at_ms=IN_1970)
    before = dock.dump("alerts")
    dock.rebuild()
    assert dock.dump("alerts") == before != {"alerts": []}


# --- whatever comes in whatever order -------------------------------------------------------------------------------------

SKEWS = st.sampled_from([0, -10 * HOUR, 20 * HOUR, -1024 * 7 * DAY, None])
"""By how much the wall clock of a boot is off; None: it stands at 1970."""
DEVICE: Final = "scan-1"


def backlog(pauses: list[int], skews: list[int | None]) -> list[tuple[int, bytes]]:
    """(when it happened, payload): each pause ends a boot if it is longer than half a day. Only the last boot is heard."""
    starts, moments, at_ms = [NOW_MS], list[tuple[int, int]](), NOW_MS
    for pause_ms in pauses:
        at_ms += pause_ms
        if pause_ms > DAY // 2:
            starts.append(at_ms)
        moments.append((at_ms, len(starts) - 1))
    made = []
    for seq, (happened_ms, boot) in enumerate(moments, 1):
        skew_ms, mono_ms = skews[boot % len(skews)], happened_ms - starts[boot]
        shown_ms = mono_ms if skew_ms is None else happened_ms + skew_ms
        boots = {"boot": bytes([boot]) * 8, "sent_boot": bytes([len(starts) - 1]) * 8}
        payload = event(DEVICE, seq, f"N{seq}", at_ms=shown_ms, mono_ms=mono_ms, sent_mono_ms=at_ms + HOUR - starts[-1], **boots)
        made.append((happened_ms, payload))
    return made


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.lists(st.integers(1, DAY), min_size=1, max_size=12), st.lists(SKEWS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_a_time_is_never_after_the_reception_and_never_more_wrong_than_it_says(pauses: list[int], skews: list[int | None], chance: Random) -> None:
    store = MemoryStore()
    settler = settler_on(store, Rules(site=SITE))
    told = backlog(pauses, skews)
    received_ms = told[-1][0] + HOUR
    for _, payload in chance.sample(told, len(told)):
        settler.commit([Incoming(IDENTITIES[DEVICE], Kind.EVENTS, "pack", payload, received_ms)])
    with store.transaction() as tx:
        stored = {row.seq: row for row in tx.rows(EVENTS)}
        (ledger,) = tx.rows(LEDGER)
    assert ledger.owed == 0
    for seq, (happened_ms, _) in enumerate(told, 1):
        row = stored[seq]
        at = datetime.fromtimestamp(row.event_ms / 1_000, UTC)
        assert EARLIEST_MS <= row.event_ms <= received_ms, at
        assert abs(row.event_ms - happened_ms) <= row.error_ms, (at, row.source)
