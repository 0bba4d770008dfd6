"""A phone sends points that can't be true: they are not shown, they do not spoil the good ones beside them, and a person learns how many there are and why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from helpers.bench import Bench
from helpers.events import BOOT, BOOT_MS, TOPICS, log_of

from bridge.domain.access import Kind
from bridge.domain.positions import PointRules
from bridge.ingest.items import Incoming
from bridge.store.queries import Queries
from devices.protocol.messages import POINTS_MAX, Alert, Receipt, decode, encode_cbor, encode_json
from devices.protocol.vocabulary import AlertCode, Outcome, Severity, Tone, Warn

PHONE: Final = "phone-anna"
POSITION: Final = TOPICS.position("PO-1")
ALERT: Final = TOPICS.alert(AlertCode.NO_POSITION, PHONE)
LAT, LON = 525_000_000, 134_000_000
MINUTE: Final = 60_000
DAY: Final = 86_400_000
GOOD: Final = (LAT, LON, 5)
NO_FIX: Final = (0, 0, 0)


@pytest.fixture
def road(tmp_path: Path) -> Iterator[Bench]:
    """Anna is on the road with PO-1."""
    with Bench(tmp_path / "site.db") as bench:
        send_out(bench)
        yield bench


def send_out(bench: Bench) -> None:
    bench.create("PO-1")
    bench.tell("scan-1", "pack", "PO-1")
    bench.tell("desk", "assigned", "PO-1", {"courier": "anna", "job": "j1"})
    bench.tell(PHONE, "out_for_delivery", "PO-1")


def location(bench: Bench, *points: Any, qos: int = 0, as_json: bool = False, **envelope: Any) -> Incoming:
    """A location with points of (latitude, longitude, accuracy), a second apart and the last one now; or what stands in place of a point."""
    mono_ms = bench.now_ms - BOOT_MS
    last = len(points) - 1
    rows = [[mono_ms - 1_000 * (last - n), *p, None] if isinstance(p, tuple) else p for n, p in enumerate(points)]
    batch = {"log": log_of(PHONE), "boot": BOOT, "sent_mono_ms": mono_ms, "points": rows, **envelope}
    payload = (encode_json if as_json else encode_cbor)(batch)
    return bench.message(PHONE, None, payload, kind=Kind.LOCATION)._replace(qos=qos)


def shown(bench: Bench) -> tuple[int, int] | None:
    """Where PO-1 is, as its reader sees it."""
    position = bench.show(POSITION)
    return None if position is None else (position["lat_e7"], position["lon_e7"])


def dropped(bench: Bench) -> dict[str, int]:
    """How many points of the phone were not used, by reason."""
    return {row["reason"]: row["points"] for row in Queries(bench.engine, TOPICS).dropped_points(PHONE)}


def alert(bench: Bench) -> Alert | None:
    """The alert about the phone, if it stands."""
    payload = bench.retained.get(ALERT, b"")
    assert bool(payload) is bool(bench.rows("SELECT 1 FROM alerts WHERE code = 'no_position'"))
    return decode(payload, Alert) if payload else None


# --- what is shown ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("point", "fault"),
    [
        pytest.param(NO_FIX, "no_fix", id="no fix: 0, 0 with accuracy 0"),
        pytest.param((0, 0, 20), "no_fix", id="0, 0 with any accuracy"),
        pytest.param((481_000_000, 115_000_000, 5), "too_fast", id="500 km away a second later"),
        pytest.param((500_000_000, 100_000_000, 100_000), "inaccurate", id="the mast of a cell: accuracy 100 km"),
    ],
)
def test_a_point_that_can_t_be_true_is_not_shown_not_stored_and_counted(road: Bench, point: tuple[int, int, int], fault: str) -> None:
    road.send(location(road, GOOD))
    road.now_ms += MINUTE
    assert road.send(location(road, point)) == [{}], "at QoS 0, nobody waits for a receipt"
    assert shown(road) == (LAT, LON)
    assert road.rows("SELECT count(*) FROM positions") == [(1,)]
    assert dropped(road) == {fault: 1}
    road.send(location(road, (LAT + 100, LON, 5)))
    assert shown(road) == (LAT + 100, LON)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param([1, LAT + 200, LON, 5, -1], id="speed -1"),
        pytest.param([1, 900_000_001, LON, 5, None], id="beyond the pole"),
        pytest.param([1, LAT, LON, 7.5, None], id="half a metre"),
        pytest.param([1, None, LON, 5, None], id="null"),
        pytest.param([1, LAT], id="too short"),
        pytest.param("here", id="a text"),
        pytest.param(None, id="nothing"),
    ],
)
@pytest.mark.parametrize("as_json", [False, True], ids=["CBOR", "JSON"])
def test_the_good_points_around_a_broken_one_are_used(road: Bench, broken: Any, as_json: bool) -> None:
    """Field case 17: three points, the second with speed -1."""
    road.send(location(road, GOOD, broken, (LAT + 300, LON, 5), as_json=as_json))
    assert shown(road) == (LAT + 300, LON)
    assert dropped(road) == {"malformed": 1}
    assert road.rows("SELECT count(*) FROM quarantine") == [(0,)]


@pytest.mark.parametrize("as_json", [False, True], ids=["CBOR", "JSON"])
@pytest.mark.parametrize(
    ("envelope", "detail"),
    [
        ({"log": b"short"}, "log: expected bytes of length >= 8"),
        ({"boot": b"much too long"}, "boot: expected bytes of length <= 8"),
        ({"sent_mono_ms": -1}, "sent_mono_ms: expected integer >= 0"),
        ({"points": []}, "points: expected array of length >= 1"),
        ({"points": [[1, 2, 3, 4, None]] * (POINTS_MAX + 1)}, f"points: expected array of length <= {POINTS_MAX}"),
    ],
)
def test_an_envelope_that_is_broken_refuses_the_batch_with_a_receipt(road: Bench, envelope: dict[str, Any], detail: str, as_json: bool) -> None:
    (receipt,) = road.send(location(road, GOOD, as_json=as_json, **envelope))
    assert (receipt["outcome"], receipt["reason"], receipt["type"], receipt["detail"]) == ("rejected", "malformed", "location", detail)
    assert shown(road) is None
    assert dropped(road) == {}


def test_a_point_after_its_own_sending_has_no_time(road: Bench) -> None:
    mono_ms = road.now_ms - BOOT_MS
    road.send(location(road, GOOD, [mono_ms + 60_000, LAT + 900, LON, 5, None]))
    assert shown(road) == (LAT, LON)
    assert dropped(road) == {"no_time": 1}


def test_without_a_counter_all_but_the_newest_point_have_no_time(road: Bench) -> None:
    broken_ms = road.now_ms - 1_000  # a counter that began in 1970
    points = [[broken_ms - ago_ms, LAT - ago_ms, LON, 5, None] for ago_ms in (2_000, 1_000, 0)]
    road.send(location(road, *points, boot=b"boot-nil", sent_mono_ms=broken_ms))
    assert shown(road) == (LAT, LON)
    assert dropped(road) == {"no_time": 2}


def test_a_phone_that_was_wrong_at_first_is_shown_where_it_is(road: Bench) -> None:
    road.send(location(road, (481_000_000, 115_000_000, 5)))
    for north in range(4):
        road.send(location(road, (LAT + north, LON, 5)))
    assert shown(road) == (LAT + 3, LON)
    assert dropped(road) == {"too_fast": 2}


def test_what_is_too_coarse_or_too_fast_is_the_sites_to_say(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", points=PointRules(accuracy_max_m=2_000, speed_max_m_s=1_000.0)) as bench:
        send_out(bench)
        for north_e7 in (0, 200_000):  # two kilometres in the second that passes between two batches, and the network's two
            bench.send(location(bench, (LAT + north_e7, LON, 2_000)))
        bench.send(location(bench, (LAT, LON, 2_001)))
        assert dropped(bench) == {"inaccurate": 1}


def test_a_point_that_stands_twice_in_a_location_counts_once(road: Bench) -> None:
    mono_ms = road.now_ms - BOOT_MS
    road.send(location(road, [mono_ms, *GOOD, None], [mono_ms, *GOOD, None]))
    assert shown(road) == (LAT, LON)
    assert dropped(road) == {"duplicate": 1}


def test_a_location_that_is_sent_again_changes_nothing(road: Bench) -> None:
    """Its acknowledgement was lost, and the phone sends it once more."""
    sent = location(road, GOOD, (LAT + 1, LON, 5), qos=1)
    road.send(sent)
    (told,) = road.send(sent)
    assert told["detail"] == "2 of 2 points were not used: 2 duplicate (the location was sent again)"
    assert dropped(road) == {"duplicate": 2}
    assert road.rows("SELECT count(*) FROM positions") == [(1,)]


@pytest.mark.parametrize(("hours", "is_used"), [(1.5, True), (2.5, False)])
def test_a_point_that_comes_too_late_is_not_used(tmp_path: Path, hours: float, is_used: bool) -> None:
    with Bench(tmp_path / "site.db", points=PointRules(backlog_max_ms=2 * 3_600_000)) as bench:
        send_out(bench)
        at_ms = bench.now_ms
        bench.now_ms += round(hours * 3_600_000)
        bench.send(location(bench, [at_ms - BOOT_MS, *GOOD, None]))
        assert dropped(bench) == ({} if is_used else {"outdated": 1})
        assert bench.rows("SELECT count(*) FROM positions") == [(int(is_used),)]


# --- who is told --------------------------------------------------------------------------------------------------------------


def test_at_qos_1_the_developer_is_told_and_nobody_hears_a_beep(road: Bench) -> None:
    mono_ms = road.now_ms - BOOT_MS
    batch = location(road, GOOD, [1, LAT, LON, 5, -1], NO_FIX, NO_FIX, [mono_ms + 2_000, LAT, LON, 5, None], (LAT, LON, 9_000), qos=1)
    (told,) = road.send(batch)
    receipt = decode(encode_cbor(told), Receipt)
    assert (receipt.outcome, receipt.tone, receipt.quiet, receipt.type) == (Outcome.APPLIED, Tone.OK, True, "location")
    assert (receipt.warn, receipt.worker_warn) == ([Warn.POINTS_DROPPED], [])
    assert receipt.detail == (
        "5 of 6 points were not used: 1 malformed (points[1][4]: expected integer >= 0), 2 no_fix, "
        "1 inaccurate (accuracy_m 9000), 1 no_time (mono_ms 2000 ms after sent_mono_ms)"
    )
    assert told["digest"] == road.receipts(PHONE)[-1]["digest"]
    assert dropped(road) == {"malformed": 1, "no_fix": 2, "inaccurate": 1, "no_time": 1}
    assert road.rows("SELECT count(*) FROM quarantine") == [(0,)]


def test_a_batch_without_a_usable_point_changes_nothing_and_says_so(road: Bench) -> None:
    (told,) = road.send(location(road, NO_FIX, qos=1))
    assert (told["outcome"], told["tone"], told["detail"]) == ("noop", "ok", "1 of 1 points were not used: 1 no_fix")


def test_after_a_restore_such_a_receipt_has_its_epoch_too(tmp_path: Path) -> None:
    with Bench(tmp_path / "site.db", epoch=3) as bench:
        assert bench.send(location(bench, NO_FIX, qos=1))[0]["epoch"] == 3


def test_a_batch_of_good_points_has_no_receipt(road: Bench) -> None:
    assert road.send(location(road, GOOD, (LAT + 1, LON, 5), qos=1)) == [{}]


def test_points_are_counted_over_batches_and_restarts(road: Bench) -> None:
    road.send(location(road, NO_FIX), location(road, NO_FIX, GOOD))
    road.forget()
    last_ms = road.now_ms
    road.send(location(road, NO_FIX, "here"))
    rows = Queries(road.engine, TOPICS).dropped_points(PHONE)
    assert [(r["reason"], r["points"], r["last_ms"], r["detail"]) for r in rows] == [
        ("malformed", 1, last_ms, "points[1]: expected array, got text"),
        ("no_fix", 3, last_ms, None),
    ]
    road.rebuild()
    assert dropped(road) == {"malformed": 1, "no_fix": 3}, "it does not follow from the log, and a rebuild leaves it alone"


# --- the alert ----------------------------------------------------------------------------------------------------------------


def send_for(bench: Bench, minutes: int, *points: tuple[int, int, int]) -> None:
    """The phone sends these points every five minutes."""
    for _ in range(minutes // 5):
        bench.send(location(bench, *points))
        bench.now_ms += 5 * MINUTE - 1_000


def test_a_phone_without_one_usable_point_for_half_an_hour_is_an_alert_until_there_is_one(road: Bench) -> None:
    send_for(road, 30, NO_FIX)
    assert alert(road) is None
    send_for(road, 5, NO_FIX, (LAT, LON, 50_000))
    raised = alert(road)
    assert raised is not None
    assert (raised.subject, raised.severity) == (PHONE, Severity.WARNING)
    assert raised.text == f"No point that {PHONE} sent in the last 30 min could be used; of the last ones: no_fix, inaccurate."
    assert "dockbridge device show phone-anna" in raised.fix
    road.send(location(road, NO_FIX, GOOD))
    assert alert(road) is None
    send_for(road, 30, NO_FIX)
    assert alert(road) is None, "it begins anew"


def test_one_usable_point_in_a_while_is_enough(road: Bench) -> None:
    for _ in range(3):
        send_for(road, 25, NO_FIX)
        send_for(road, 5, GOOD)
    assert alert(road) is None


def test_the_alert_ends_with_the_first_usable_point_after_a_restart_too(road: Bench) -> None:
    send_for(road, 35, NO_FIX)
    road.forget()
    road.send(location(road, NO_FIX))
    assert alert(road) is not None
    road.forget()
    road.send(location(road, GOOD))
    assert alert(road) is None


def test_a_phone_that_sends_nothing_for_a_day_is_no_longer_an_alert(road: Bench) -> None:
    send_for(road, 35, NO_FIX)
    road.sweep(DAY - 10 * MINUTE)
    assert alert(road) is not None
    road.sweep(10 * MINUTE)
    assert alert(road) is None
