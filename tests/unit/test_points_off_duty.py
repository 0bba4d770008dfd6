"""Nobody may know where a courier is outside of his work: points from outside a shift, from a break, or without a parcel on board are counted and dropped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Final

import pytest
from helpers.bench import Bench
from helpers.events import BOOT, BOOT_MS, DELIVERY, TOPICS, log_of

from bridge.domain.access import Kind
from bridge.domain.duty import CHANGES_MAX, Duties, Duty
from bridge.domain.visits import VisitRules
from bridge.ingest.items import Incoming
from bridge.store.queries import Queries
from devices.protocol.messages import encode_cbor
from devices.protocol.vocabulary import AlertCode

PHONE: Final = "phone-anna"
LAT, LON = 525_000_001, 134_000_007
MINUTE: Final = 60_000


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """PO-1 is assigned to Anna, who has not taken it yet."""
    with Bench(tmp_path / "site.db", visits=VisitRules(every_ms=0)) as bench:
        bench.create("PO-1")
        bench.tell("scan-1", "pack", "PO-1")
        bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})
        yield bench


def location(bench: Bench, *ago_ms: int, qos: int = 0, lat: int = LAT) -> Incoming:
    mono_ms = bench.now_ms - BOOT_MS
    batch = {"log": log_of(PHONE), "boot": BOOT, "sent_mono_ms": mono_ms, "points": [[mono_ms - ago, lat, LON, 5, None] for ago in ago_ms or (0,)]}
    return bench.message(PHONE, None, encode_cbor(batch), kind=Kind.LOCATION)._replace(qos=qos)


def kept(bench: Bench) -> int:
    return len(bench.rows("SELECT 1 FROM positions"))


def dropped(bench: Bench) -> dict[str, int]:
    return {row["reason"]: row["points"] for row in Queries(bench.engine, TOPICS).dropped_points(PHONE)}


# --- parcels on board ---------------------------------------------------------------------------------------------------------


def test_a_phone_is_followed_from_the_first_parcel_to_the_last(bench: Bench) -> None:
    """Anna's app sends no shifts: it counts as on duty while she has a parcel."""
    bench.send(location(bench))
    bench.tell(PHONE, "pickup", "PO-1")
    bench.send(location(bench))
    bench.tell(PHONE, "out_for_delivery", "PO-1")
    bench.send(location(bench))
    bench.tell(PHONE, "delivery", "PO-1", DELIVERY)
    bench.send(location(bench))
    assert (kept(bench), dropped(bench)) == (2, {"nothing_on_board": 2})
    assert bench.rows("SELECT * FROM carried") == []


def test_a_parcel_that_comes_back_is_on_board_until_it_is_home(bench: Bench) -> None:
    bench.tell(PHONE, "pickup", "PO-1")
    bench.tell(PHONE, "attempt_failed", "PO-1", {"reason": "not_home"})
    bench.send(location(bench))
    bench.tell(PHONE, "return_started", "PO-1", {"reason": "attempts_exhausted"})
    bench.send(location(bench))
    bench.tell("scan-1", "returned", "PO-1", {"dock": "D1"})
    bench.send(location(bench))
    assert (kept(bench), dropped(bench)) == (2, {"nothing_on_board": 1})


def test_a_parcel_that_another_courier_takes_over_is_on_his_board(bench: Bench) -> None:
    bench.tell(PHONE, "pickup", "PO-1")
    bench.tell("phone-ben", "pickup", "PO-1")
    bench.send(location(bench))
    assert (kept(bench), dropped(bench)) == (0, {"nothing_on_board": 1})
    assert bench.rows("SELECT courier, order_id FROM carried") == [("ben", "PO-1")]


def test_what_is_on_board_is_known_after_a_restart_and_a_rebuild(bench: Bench) -> None:
    bench.tell(PHONE, "pickup", "PO-1")
    bench.tell(PHONE, "shift_started", None, {"worker": "anna"})
    before = bench.dump("carried", "shifts")
    bench.forget()
    bench.send(location(bench))
    assert bench.rebuild().changed == []
    assert bench.dump("carried", "shifts") == before
    bench.send(location(bench))
    assert kept(bench) == 2


# --- shifts and breaks --------------------------------------------------------------------------------------------------------


def test_breaks_and_the_time_after_a_shift_are_not_followed(bench: Bench) -> None:
    bench.tell(PHONE, "out_for_delivery", "PO-1")
    for change in ("shift_started", "break_started", "break_ended", "shift_ended"):
        bench.tell(PHONE, change, None, {"worker": "anna"} if change == "shift_started" else {})
        bench.now_ms += MINUTE
        bench.send(location(bench))
        bench.now_ms += MINUTE
    assert (kept(bench), dropped(bench)) == (2, {"on_break": 1, "off_shift": 1})


def test_a_backlog_is_judged_point_by_point_by_the_time_of_each(bench: Bench) -> None:
    """Anna drove through a tunnel and had her break there: what she did comes before where she was."""
    bench.tell(PHONE, "out_for_delivery", "PO-1")
    start_ms = bench.now_ms
    bench.now_ms += 60 * MINUTE
    for minute, change, body in ((10, "shift_started", {"worker": "anna"}), (20, "break_started", {}), (30, "break_ended", {}), (40, "shift_ended", {})):
        at_ms = start_ms + minute * MINUTE
        bench.tell(PHONE, change, None, body, at_ms=at_ms, sent_mono_ms=bench.now_ms - BOOT_MS)
    ago = [bench.now_ms - start_ms - minute * MINUTE for minute in (5, 15, 25, 35, 45)]
    bench.send(location(bench, *ago))
    assert (kept(bench), dropped(bench)) == (2, {"off_shift": 2, "on_break": 1})


def test_a_break_and_a_point_that_come_in_one_batch(bench: Bench) -> None:
    bench.tell(PHONE, "out_for_delivery", "PO-1")
    bench.send(bench.draft(PHONE, "break_started"), location(bench))
    assert (kept(bench), dropped(bench)) == (0, {"on_break": 1})


@pytest.mark.parametrize("arrival", list(permutations(range(3))))
def test_changes_of_duty_count_by_their_times_whatever_their_arrival(arrival: tuple[int, ...]) -> None:
    changes = [(10, Duty.ON), (20, Duty.BREAK), (30, Duty.OFF)]
    assert Duties().at(0) is Duty.ON, "a courier who never told of a shift"
    duties = Duties(changes[n] for n in (*arrival, 0))
    assert [duties.at(ms) for ms in (9, 10, 19, 20, 29, 30, 99)] == [Duty.OFF, Duty.ON, Duty.ON, Duty.BREAK, Duty.BREAK, Duty.OFF, Duty.OFF]


@pytest.mark.parametrize(("first", "before"), [(Duty.ON, Duty.OFF), (Duty.BREAK, Duty.ON), (Duty.OFF, Duty.ON)])
def test_before_the_first_change_the_phone_did_what_the_change_ends(first: Duty, before: Duty) -> None:
    assert Duties([(10, first)]).at(9) is before


def test_only_the_last_changes_are_remembered_and_before_them_nothing_is_followed() -> None:
    duties = Duties((ms, Duty.ON) for ms in range(CHANGES_MAX + 5))
    assert len(duties.changes) == CHANGES_MAX
    assert (duties.at(4), duties.at(5)) == (Duty.OFF, Duty.ON)


def test_a_shift_that_nobody_ended_ends_when_it_was_too_long() -> None:
    duties = Duties([(10, Duty.ON), (20, Duty.BREAK), (25, Duty.ON)], longest_ms=100)
    assert [duties.at(ms) for ms in (10, 22, 109, 110, 500)] == [Duty.ON, Duty.BREAK, Duty.ON, Duty.OFF, Duty.OFF]


def test_a_desk_ends_the_duty_of_the_courier_whom_it_names(bench: Bench) -> None:
    bench.tell(PHONE, "shift_started", None, {"worker": "badge-anna"})
    bench.tell(PHONE, "out_for_delivery", "PO-1")
    bench.send(location(bench))
    assert kept(bench) == 1
    said = bench.tell("desk", "shift_ended", None, {"courier": "anna"})
    assert (said["warn"], said["detail"]) == (["still_out"], "parcels of 1 order are still with anna: PO-1")
    bench.send(location(bench))
    assert (kept(bench), dropped(bench)) == (1, {"off_shift": 1})


def test_an_end_that_was_taken_back_ends_nothing(bench: Bench) -> None:
    bench.tell(PHONE, "shift_started", None, {"worker": "badge-anna"})
    bench.tell(PHONE, "out_for_delivery", "PO-1")
    told = bench.tell(PHONE, "shift_ended")
    bench.tell(PHONE, "void", None, {"ref": told["id"], "reason": "did_not_occur"})
    bench.send(location(bench))
    assert kept(bench) == 1


# --- what is known of them ----------------------------------------------------------------------------------------------------


def test_nothing_of_a_dropped_point_is_stored_shown_or_sent(bench: Bench) -> None:
    bench.tell(PHONE, "out_for_delivery", "PO-1")
    bench.tell(PHONE, "break_started")
    bench.now_ms += MINUTE
    (receipt,) = bench.send(location(bench, 2_000, 1_000, 0, qos=1))
    assert (receipt["outcome"], receipt["detail"]) == ("noop", "3 of 3 points were not used: 3 on_break")
    bench.send(location(bench, lat=-1_900_000_000, qos=1), bench.message(PHONE, None, b"\xa1" + encode_cbor(LAT), kind=Kind.LOCATION)._replace(qos=1))
    assert bench.show(TOPICS.position("PO-1")) is None
    assert bench.quarantined() == [b""], "a message that can't be read is counted, and what it says is not kept"
    digits = str(LAT).encode(), LAT.to_bytes(4, "big")
    shown = b"".join(m.payload for m in bench.shown)
    stored = b"".join(file.read_bytes() for file in bench.path.parent.glob("site.db*"))
    assert not any(mark in content for mark in digits for content in (shown, stored))


def test_a_phone_off_duty_is_no_fault(bench: Bench) -> None:
    """An alert that no point can be used is cleared when its courier goes home, and none is raised at night."""
    alert = TOPICS.alert(AlertCode.NO_POSITION, PHONE)
    bench.tell(PHONE, "out_for_delivery", "PO-1")
    for _ in range(2):
        bench.send(location(bench, lat=0)._replace(payload=location(bench, lat=0).payload.replace(encode_cbor(LON), encode_cbor(0))))
        bench.now_ms += 40 * MINUTE
    assert bench.show(alert) is not None
    bench.tell(PHONE, "shift_ended")
    for _ in range(3):
        bench.send(location(bench))
        bench.now_ms += 40 * MINUTE
        assert bench.show(alert) is None
