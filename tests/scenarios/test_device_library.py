"""A handheld and a courier's phone on a bad day: no network, cut connections, a killed process, a server that refuses.

The broker is a fake on a real socket, because these stories need one that withholds, cuts and refuses on command.
"""

from __future__ import annotations

import hashlib
import math
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_broker import FakeBroker, Published
from helpers.handhelds import NOBODY, PRESENCE, RECEIPTS, STATE, Clock, orders, presences, read, receipt_for, settings_of
from helpers.waiting import DEADLINE_S, until

from devices import Closed, Courier, DeviceError, Draft, InvalidEvent, NotDelivered, OutboxFull, OutboxLocked, RefusedByServer, Scanner
from devices.outbox import Outbox
from devices.protocol.bodies import Collected, Line, Pack, Returned
from devices.protocol.messages import LocationBatch, Point, Presence, Receipt, decode, encode_cbor, load_cbor
from devices.protocol.reasons import CustomsReason, DamageReason
from devices.protocol.vocabulary import EventType, Outcome, PodMethod, Reason, Warn

ROOT = Path(__file__).parents[2]


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as fake:
        yield fake


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def at(tmp_path: Path, clock: Clock) -> dict[str, Any]:
    return settings_of(tmp_path, clock)


# --- the way in ---------------------------------------------------------------------------------------------------------------


def test_receipts_are_subscribed_to_before_presence_and_presence_before_events(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**{**at, "port": NOBODY}) as offline:
        offline.pack("PO-1")
    with Scanner(**at, port=broker.port, firmware="1.4", battery=lambda: 81) as scanner:
        scanner.drain(DEADLINE_S)
        log = scanner._outbox.log
    assert broker.steps == [
        ("connect", "persistent"),
        ("subscribe", RECEIPTS),
        ("subscribe", STATE),
        ("publish", PRESENCE),
        ("publish", "v1/ams1/devices/scan-07/events/pack"),
        ("publish", PRESENCE),
        ("disconnect", ""),
    ]
    there, gone = (p for p in broker.published if p.topic == PRESENCE)
    assert (there.qos, there.retain, gone.qos, gone.retain) == (1, True, 1, True)
    hello = decode(there.payload, Presence)
    assert (hello.online, hello.last_seq, hello.backlog, hello.battery_percent, hello.firmware) == (True, 1, 1, 81, "1.4")
    assert (hello.log, hello.boot, hello.mono_ms) == (log, b"boot-one", 5_000)
    assert not decode(gone.payload, Presence).online
    assert broker.wills == []


def test_a_device_that_is_cut_off_leaves_its_will(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**at, port=broker.port) as scanner:
        scanner.wait_connected(DEADLINE_S)
        broker.cut()
        broker.until(lambda: broker.wills)
    ((topic, payload),) = broker.wills
    assert topic == PRESENCE
    assert decode(payload, Presence) == Presence(online=False, boot=b"boot-one")


def test_an_event_says_everything_that_was_scanned(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**at, port=broker.port, at="pack-3") as scanner:
        scan = scanner.pack("PO-17", items={"A1": 2}, weight_g=1250, dims_mm=(300, 200, 100), parcel="P1", code="00340123", by="w-231")
        scan.wait_acknowledged(DEADLINE_S)
    (sent,) = broker.events()
    event = read(sent)
    assert (sent.qos, sent.retain) == (1, False)
    assert (event.id, event.seq, event.order, event.parcel, event.code, event.at, event.by) == (
        scan.id,
        1,
        "PO-17",
        "P1",
        "00340123",
        "pack-3",
        "w-231",
    )
    assert event.body == Pack(items=[Line(sku="A1", qty=2)], weight_g=1250, dims_mm=[300, 200, 100])
    assert (event.boot, event.mono_ms, event.at_ms, event.tz_min) == (b"boot-one", 5_000, 1_760_000_005_000, 120)


def test_a_part_of_a_delivery_comes_back_item_by_item(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**at, port=broker.port) as scanner:
        scanner.returned("PO-17", dock="r1", items=[Line(sku="A1", qty=1)]).wait_acknowledged(DEADLINE_S)
    (sent,) = broker.events()
    assert read(sent).body == Returned(dock="r1", items=[Line(sku="A1", qty=1)])


# --- nothing is lost ----------------------------------------------------------------------------------------------------------


def test_an_event_survives_a_restart_and_is_sent_by_the_next_process(broker: FakeBroker, at: dict[str, Any], clock: Clock) -> None:
    with Scanner(**{**at, "port": NOBODY}) as offline:
        scan = offline.pack("PO-17")
    clock.boot, clock.now_ms = b"boot-two", 70
    with Scanner(**at, port=broker.port) as scanner:
        scanner.drain(DEADLINE_S)
        assert scanner.pack("PO-18").seq == scan.seq + 1
    event = read(broker.events()[0])
    assert (event.id, event.seq, event.order) == (scan.id, scan.seq, "PO-17")
    assert (event.boot, event.mono_ms, event.sent_boot, event.sent_mono_ms) == (b"boot-one", 5_000, b"boot-two", 70)


def test_an_event_leaves_the_outbox_on_its_acknowledgement_only(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.acknowledging = False
    with Scanner(**at, port=broker.port) as scanner:
        scan = scanner.pack("PO-17")
        broker.until(broker.events)
        assert not scan.acknowledged
        with pytest.raises(NotDelivered):
            scan.wait_acknowledged(0)
        broker.release()
        scan.wait_acknowledged(DEADLINE_S)
        assert scan.acknowledged
        assert scanner.backlog == 0


def test_after_a_cut_an_event_is_sent_again_with_the_same_id(broker: FakeBroker, at: dict[str, Any], clock: Clock) -> None:
    broker.acknowledging = False
    with Scanner(**at, port=broker.port) as scanner:
        scan = scanner.pack("PO-17")
        broker.until(broker.events)
        clock.now_ms += 60_000
        broker.acknowledging = True
        broker.cut()
        scan.wait_acknowledged(DEADLINE_S)
    first, second = (read(p) for p in broker.events())
    assert (first.id, first.seq, first.mono_ms) == (second.id, second.seq, second.mono_ms)
    assert (first.sent_mono_ms, second.sent_mono_ms) == (5_000, 65_000)


def test_a_server_that_never_acknowledges_is_left_and_asked_again(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.acknowledging = False
    with Scanner(**at, port=broker.port, ack_timeout_s=0.05) as scanner:
        scanner.pack("PO-17")
        broker.until(lambda: len(broker.events()) >= 2)
        broker.acknowledging = True
        scanner.drain(DEADLINE_S)
    assert {read(p).seq for p in broker.events()} == {1}


def test_never_more_in_flight_than_agreed(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.acknowledging = False
    with Scanner(**at, port=broker.port, in_flight_max=4) as scanner:
        scanner.send_many([Draft(type=EventType.LOST, order=f"PO-{i}") for i in range(50)])
        broker.until(lambda: len(broker.published) >= 4)
        scanner.found("PO-0")
        for turn in (1, 2):  # once the device acknowledges something, it has finished a turn of its loop
            broker.send(RECEIPTS, receipt_for(bytes([turn]) * 16))
            broker.until(lambda turn=turn: broker.pubacks == turn)
        assert len(broker.published) == 4
        broker.release()
        scanner.drain(DEADLINE_S)
    assert sorted(read(p).seq for p in broker.events()) == list(range(1, 52))


def test_fresh_scans_go_before_the_backlog(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**{**at, "port": NOBODY}) as offline:
        for i in range(6):
            offline.pack(f"OLD-{i}")
    broker.acknowledging = False
    with Scanner(**at, port=broker.port, in_flight_max=3) as scanner:
        broker.until(lambda: len(broker.events()) == 2)  # and presence: three in flight
        scanner.pack("NEW")
        broker.release()
        scanner.drain(DEADLINE_S)
    assert orders(broker.events()) == ["OLD-0", "OLD-1", "NEW", "OLD-2", "OLD-3", "OLD-4", "OLD-5"]


def test_ten_thousand_scans_without_a_network_arrive_once_each(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**{**at, "port": NOBODY}) as offline:
        for start in range(0, 10_000, 1_000):
            offline.send_many([Draft(type=EventType.PICK, body={"sku": "A1", "qty": 1}, order=f"PO-{i}") for i in range(start, start + 1_000)])
        assert offline.backlog == 10_000
    with Scanner(**at, port=broker.port) as scanner:
        scanner.drain(6 * DEADLINE_S)
    events = [read(p) for p in broker.events()]
    assert [event.seq for event in events] == list(range(1, 10_001))
    assert len({event.id for event in events}) == 10_000
    assert len({event.log for event in events}) == 1


KILLED = """
import sys
from devices import Scanner
scanner = Scanner(site="ams1", device="scan-07", password="x", host="127.0.0.1", port=9, outbox=sys.argv[1])
for i in range(1_000_000):
    scan = scanner.pack(f"PO-{i}")
    print(scan.seq, scan.id.hex(), flush=True)
"""


def test_a_killed_process_loses_no_scan_that_had_returned(at: dict[str, Any]) -> None:
    returned = []
    with subprocess.Popen([sys.executable, "-c", KILLED, str(at["outbox"])], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            returned.append(line)
            if len(returned) == 200:
                process.send_signal(signal.SIGKILL)
        returned = [line.split() for line in returned if line.endswith("\n")]
    outbox = Outbox(at["outbox"], owner="ams1/scan-07")
    outbox.start_run()
    kept = [(entry.seq, entry.id.hex()) for entry in outbox.take(1_000_000)]
    outbox.close()
    assert [(int(seq), event_id) for seq, event_id in returned] == kept[: len(returned)]
    # At most one scan has not been printed: the one that was being stored when the process was killed.
    assert len(kept) - len(returned) <= 1


def test_scans_from_several_threads_are_numbered_without_a_gap(broker: FakeBroker, at: dict[str, Any]) -> None:
    seqs: list[int] = []

    def work(hand: int) -> None:
        seqs.extend([scanner.pack(f"PO-{hand}-{i}").seq for i in range(25)])

    with Scanner(**at, port=broker.port) as scanner:
        hands = [threading.Thread(target=work, args=(hand,)) for hand in range(4)]
        for hand in hands:
            hand.start()
        for hand in hands:
            hand.join()
        scanner.drain(DEADLINE_S)
    assert sorted(seqs) == sorted(read(p).seq for p in broker.events()) == list(range(1, 101))


def test_a_full_outbox_refuses_the_next_scan(at: dict[str, Any]) -> None:
    with Scanner(**at, port=NOBODY, events_max=1) as scanner:
        scanner.pack("PO-1")
        with pytest.raises(OutboxFull):
            scanner.pack("PO-2")


def test_two_scanners_cannot_share_an_outbox(at: dict[str, Any]) -> None:
    with Scanner(**at, port=NOBODY), pytest.raises(OutboxLocked):
        Scanner(**at, port=NOBODY, outbox_lock_wait_s=0)


# --- receipts -----------------------------------------------------------------------------------------------------------------


def test_a_receipt_can_be_waited_for_and_the_highest_n_holds(broker: FakeBroker, at: dict[str, Any]) -> None:
    heard: list[Receipt] = []
    with Scanner(**at, port=broker.port, on_receipt=heard.append) as scanner:
        scan = scanner.pack("PO-17")
        scan.wait_acknowledged(DEADLINE_S)
        with pytest.raises(NotDelivered):
            scan.receipt(timeout_s=0)
        threading.Timer(0.01, broker.send, (RECEIPTS, receipt_for(scan.id, 1, Outcome.PARKED, reason=Reason.UNKNOWN_ORDER))).start()
        assert scan.receipt(DEADLINE_S).outcome is Outcome.PARKED
        broker.send(RECEIPTS, receipt_for(scan.id, 2))
        broker.send(RECEIPTS, receipt_for(scan.id, 1, Outcome.PARKED))
        broker.until(lambda: broker.pubacks == 3)
        assert scan.receipt().outcome is Outcome.APPLIED
    assert [receipt.n for receipt in heard] == [1, 2]


def test_a_receipt_is_kept_over_a_restart(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**at, port=broker.port) as scanner:
        scan = scanner.pack("PO-17")
        scan.wait_acknowledged(DEADLINE_S)
        broker.send(RECEIPTS, receipt_for(scan.id))
        broker.until(lambda: broker.pubacks == 1)
    with Scanner(**at, port=NOBODY) as again:
        assert again.receipt_of(scan.id, timeout_s=0).outcome is Outcome.APPLIED


def test_an_outbox_whose_numbers_were_used_before_goes_on_with_a_new_log(broker: FakeBroker, at: dict[str, Any]) -> None:
    """It was restored from a backup or copied to a second device. What was scanned counts; the next scan has number 1 of a log of its own."""
    with Scanner(**at, port=broker.port) as scanner:
        first = scanner.pack("PO-1")
        scanner.drain(DEADLINE_S)
        before = read(broker.events()[0])
        broker.send(RECEIPTS, receipt_for(first.id, type="pack", log=before.log, seq=1, warn=[Warn.SEQ_REUSED]))
        assert first.receipt(DEADLINE_S).outcome is Outcome.APPLIED
        second = scanner.stage("PO-1", dock="d1")
        scanner.drain(DEADLINE_S)
        assert (first.acknowledged, second.acknowledged, second.seq) == (True, True, 1)
        after = read(broker.events()[1])
        assert (after.seq, after.log == scanner._outbox.log, after.log == before.log) == (1, True, False)


def test_a_word_of_a_later_edition_is_read_as_other(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**at, port=broker.port) as scanner:
        scan = scanner.pack("PO-1")
        scanner.drain(DEADLINE_S)
        plain = load_cbor(receipt_for(scan.id, outcome=Outcome.BLOCKED, reason=Reason.HELD, warn=[Warn.MISLOAD]))
        later = {"reason": "strike", "warn": ["misload", "moonlight"], "next": "dance", "state": "beamed", "tone": "hum"}
        broker.send(RECEIPTS, encode_cbor(plain | later))
        receipt = scan.receipt(DEADLINE_S)
    assert (receipt.outcome, receipt.reason, receipt.next, receipt.state, receipt.tone) == (Outcome.BLOCKED, "other", "other", "other", "other")
    assert receipt.warn == [Warn.MISLOAD, "other"]
    assert isinstance(receipt.reason, Reason)


def test_what_is_said_of_an_event_holds_against_what_was_said_of_one_payload(broker: FakeBroker, at: dict[str, Any]) -> None:
    """A message that was refused may be judged again, once the server knows its type; or a spoilt copy of it comes to the server."""
    with Scanner(**at, port=broker.port) as scanner:
        scan = scanner.pack("PO-1")
        scanner.drain(DEADLINE_S)
        digest = hashlib.sha256(broker.events()[0].payload).digest()[:8]
        refused = receipt_for(scan.id, 1, Outcome.REJECTED, digest=digest, reason=Reason.UNKNOWN_TYPE)
        broker.send(RECEIPTS, refused)
        assert scan.receipt(DEADLINE_S).reason is Reason.UNKNOWN_TYPE
        broker.send(RECEIPTS, receipt_for(scan.id, 1))
        broker.send(RECEIPTS, refused)
        last = scanner.stage("PO-1", dock="d1")
        scanner.drain(DEADLINE_S)
        broker.send(RECEIPTS, receipt_for(last.id, 1))
        last.receipt(DEADLINE_S)
        assert scan.receipt(DEADLINE_S).outcome is Outcome.APPLIED


def test_a_courier_starts_a_shift_and_takes_a_break(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Courier(**{**at, "device": "phone-3"}, courier="anna", port=broker.port) as phone:
        phone.shift_started("w-9")
        phone.break_started()
        phone.break_ended()
        phone.shift_ended()
        phone.drain(DEADLINE_S)
    assert {p.topic.rpartition("/")[2] for p in broker.events()} == {"shift_started", "break_started", "break_ended", "shift_ended"}


def test_a_payload_that_the_server_could_not_read_is_answered_by_its_digest(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**at, port=broker.port) as scanner:
        scan = scanner.pack("PO-17")
        broker.until(broker.events)
        digest = hashlib.sha256(broker.events()[0].payload).digest()[:8]
        broker.send(RECEIPTS, receipt_for(None, 1, Outcome.REJECTED, digest=digest, reason=Reason.MALFORMED))
        assert scan.receipt(DEADLINE_S).reason is Reason.MALFORMED


def test_what_cannot_be_read_stops_nothing(broker: FakeBroker, at: dict[str, Any]) -> None:
    def fails(_receipt: Receipt) -> None:
        raise RuntimeError("in the application")

    with Scanner(**at, port=broker.port, on_receipt=fails) as scanner:
        scan = scanner.pack("PO-17")
        scan.wait_acknowledged(DEADLINE_S)
        broker.send(RECEIPTS, b"\xff")
        broker.send(RECEIPTS, receipt_for(scan.id))
        assert scan.receipt(DEADLINE_S).outcome is Outcome.APPLIED
        broker.until(lambda: broker.pubacks == 2)
    assert broker.connections == 1


def test_waiting_ends_when_the_scanner_is_closed(at: dict[str, Any]) -> None:
    scanner = Scanner(**at, port=NOBODY)
    scan = scanner.pack("PO-17")
    threading.Timer(0.01, scanner.close).start()
    with pytest.raises(Closed):
        scan.receipt(DEADLINE_S)
    with pytest.raises(Closed):
        scanner.pack("PO-18")


# --- a server that refuses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("connack", [4, 5])
def test_a_refused_login_is_visible_and_heals(broker: FakeBroker, at: dict[str, Any], connack: int) -> None:
    broker.connack = connack
    with Scanner(**at, port=broker.port) as scanner:
        scan = scanner.pack("PO-17")
        with pytest.raises(RefusedByServer):
            scanner.wait_connected(DEADLINE_S)
        assert scanner.connection.refused
        with pytest.raises(RefusedByServer, match="check its site, name and password"):
            scan.receipt(timeout_s=0)
        assert not scan.acknowledged
        broker.until(lambda: broker.connections >= 2)
        broker.connack = 0
        scan.wait_acknowledged(DEADLINE_S)
        scanner.wait_connected(DEADLINE_S)
        assert scanner.connection.refused is None


def test_devices_that_lost_their_server_in_the_same_moment_do_not_come_back_in_the_same_moment(broker: FakeBroker, at: dict[str, Any]) -> None:
    """Each would be back at once after a failure of its own. Now each waits for its own part of an hour."""
    at |= {"port": broker.port, "backoff_first_s": 0, "backoff_max_s": 3_600, "reconnect_spread_s": 3_600}
    with (
        Scanner(**at, jitter=lambda: 0.0) as early,
        Scanner(**{**at, "device": "scan-08", "outbox": at["outbox"].with_name("scan-08.db")}, jitter=lambda: 0.9) as late,
    ):
        for scanner in (early, late):
            scanner.wait_connected(DEADLINE_S)
        broker.cut()
        for number in range(20):
            early.pack(f"PO-{number}").wait_acknowledged(DEADLINE_S)
        assert broker.connections == 3
        with pytest.raises(NotDelivered):
            late.wait_connected(0)


def test_a_device_that_is_always_cut_off_waits_longer_each_time_until_it_delivers_something(broker: FakeBroker, at: dict[str, Any]) -> None:
    """Two programs with one client id take the session from each other: an idle one must not do so many times a second."""
    with Scanner(**{**at, "backoff_max_s": 3_600, "jitter": lambda: 0.0}, port=broker.port) as scanner:
        for number in range(1, 4):
            broker.until(lambda number=number: len(presences(broker)) == number)
            broker.cut()
            until(lambda number=number: scanner.connection.failures == number, "the end of the connection")
        scanner.pack("PO-1").wait_acknowledged(DEADLINE_S)
        broker.cut()
        until(lambda: scanner.connection.failures == 0, "the end of the connection")


# --- scans --------------------------------------------------------------------------------------------------------------------


def test_a_bouncing_trigger_makes_one_event(at: dict[str, Any], clock: Clock) -> None:
    with Scanner(**{**at, "debounce_ms": 300}, port=NOBODY) as scanner:
        first = scanner.pick("PO-17", sku="A1")
        clock.now_ms += 299
        assert scanner.pick("PO-17", sku="A1") is first
        assert scanner.pick("PO-17", sku="B2") is not first
        assert scanner.pick("PO-17", sku="A1") is not first  # another scan came in between
        clock.now_ms += 300
        scanner.pick("PO-17", sku="A1")
        assert scanner.backlog == 4


def test_every_kind_of_event_has_a_method(at: dict[str, Any]) -> None:
    with Scanner(**at, port=NOBODY) as s:
        scans = [
            s.shift_started("w-231"),
            s.pick("o", sku="A1", qty=2, bin="A-03", short=True),
            s.pack("o", items=[Line(sku="A1", qty=2)]),
            s.unpack("o", reason="wrong_box"),
            s.labelled("o", label="00340123450000000018", kind="sscc"),
            s.stage("o", dock="D4"),
            s.load("o", vehicle="V1"),
            s.unload("o"),
            s.depart("o", hub="AMS"),
            s.arrive("o", hub="SHA"),
            s.customs_entered("o", country="CN", direction="import"),
            s.customs_held("o", country="CN", reason=CustomsReason.PAPERS_MISSING),
            s.customs_cleared("o", country="CN"),
            s.border_entered("o", country="CN"),
            s.returned("o", dock="D1", items={"A1": 1}, condition="opened"),
            s.delivery("o", pod_method="signature", pod_hash=b"12345678", collected=Collected(amount_minor=990, currency="EUR", tender="cash")),
            s.damaged("o", severity="minor"),
            s.lost("o"),
            s.found("o"),
            s.shift_ended(),
        ]
        scans.append(s.void(scans[1], reason="incorrect_data", corrective=[scans[2], scans[3].id]))
        assert [scan.seq for scan in scans] == list(range(1, 22))
        assert len({scan.type for scan in scans}) == 21


def test_a_value_that_breaks_the_contract_is_refused_at_once(at: dict[str, Any]) -> None:
    with Scanner(**at, port=NOBODY) as scanner:
        for wrong in (
            lambda: scanner.pack("PO-17", weight_g=-1),
            lambda: scanner.pack("x" * 97),
            lambda: scanner.customs_cleared("PO-17", country="china"),
            lambda: scanner.send(EventType.PACK, {"weight_g": object()}),
            lambda: scanner.pack(code="\udcff"),
            lambda: scanner.send_many([Draft(type=EventType.LOST, order="PO-1"), Draft(type=EventType.STAGE)]),
        ):
            with pytest.raises(InvalidEvent):
                wrong()
        assert scanner.backlog == 0
        assert scanner.lost("PO-17").seq == 1


# --- the courier's phone ------------------------------------------------------------------------------------------------------


def test_locations_are_live_at_qos_0_and_backlog_at_qos_1(broker: FakeBroker, at: dict[str, Any], clock: Clock) -> None:
    def batches() -> list[Published]:
        return [p for p in broker.published if p.topic.endswith("/location")]

    broker.connack = 3  # not available: no connection yet
    with Courier(**at, port=broker.port, courier="anna", points_max=3) as courier:
        for mono_ms in range(5):
            courier.locations([Point(mono_ms, 10, 20, 5, None)])
        broker.connack = 0
        broker.until(batches)
        courier.location(52.3702157, 4.8951679, accuracy_m=7.2, speed_m_s=3.14)
        broker.until(lambda: len(batches()) == 2)
        with pytest.raises(InvalidEvent):
            courier.location(91.0, 0.0, accuracy_m=1)
    backlog, live = batches()
    assert (backlog.qos, live.qos) == (1, 0)
    assert [point.mono_ms for point in decode(backlog.payload, LocationBatch).points] == [2, 3, 4]
    assert decode(live.payload, LocationBatch).points == [Point(5_000, 523_702_157, 48_951_679, 8, 31)]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"lat": math.nan}, "lat: nan is not a finite number"),
        ({"lon": math.inf}, "lon: inf is not a finite number"),
        ({"accuracy_m": math.nan}, "accuracy_m: nan is not a finite number"),
        ({"speed_m_s": -math.inf}, "speed_m_s: -inf is not a finite number"),
        ({"lat": 91.0}, "lat_e7: expected integer <= 900000000"),
        ({"lon": -180.1}, "lon_e7: expected integer >= -1800000000"),
        ({"accuracy_m": -1.0}, "accuracy_m: expected integer >= 0"),
        ({"speed_m_s": 1e300}, "speed_dm_s: expected integer <= 10000"),
    ],
)
def test_a_location_that_breaks_the_contract_is_refused_by_its_field(at: dict[str, Any], wrong: dict[str, float], words: str) -> None:
    with Courier(**at, port=NOBODY, courier="anna") as courier, pytest.raises(InvalidEvent, match=re.escape(words)):
        courier.location(**{"lat": 52.4, "lon": 4.9, "accuracy_m": 5.0, **wrong})


def test_a_location_without_a_fix_is_not_sent(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Courier(**at, port=broker.port, courier="anna") as courier:
        courier.location(0.0, -0.0, accuracy_m=0)
        courier.locations([Point(1, 0, 0, 20, None), Point(2, 0, 1, 5, None), Point(3, 0, 0, 0, 0)])
        broker.until(lambda: [p for p in broker.published if p.topic.endswith("/location")])
    points = [point for p in broker.published if p.topic.endswith("/location") for point in decode(p.payload, LocationBatch).points]
    assert points == [Point(2, 0, 1, 5, None)]


def test_points_in_flight_when_the_connection_is_cut_are_sent_again(broker: FakeBroker, at: dict[str, Any]) -> None:
    broker.acknowledging = False
    broker.connack = 3
    with Courier(**at, port=broker.port, courier="anna") as courier:
        courier.locations([Point(1, 10, 20, 5, None)])
        broker.connack = 0
        broker.until(lambda: [p for p in broker.published if p.topic.endswith("/location")])
        broker.acknowledging = True
        broker.cut()
        broker.until(lambda: len([p for p in broker.published if p.topic.endswith("/location")]) == 2)


def test_a_word_of_a_sites_own_is_refused_by_a_method_and_taken_by_send(at: dict[str, Any]) -> None:
    with Courier(**at, port=NOBODY, courier="anna") as c:
        with pytest.raises(InvalidEvent, match=r"'storm' is not in AttemptReason. Choose one of not_home, .*, other"):
            c.attempt_failed("o", reason="storm")
        with pytest.raises(InvalidEvent, match="'drone' is not in PodMethod"):
            c.delivery("o", pod_method="drone")
        assert c.backlog == 0
        c.send(EventType.ATTEMPT_FAILED, {"reason": "storm"}, order="o")
        assert c.backlog == 1


def test_every_kind_of_courier_event_has_a_method(at: dict[str, Any]) -> None:
    with Courier(**at, port=NOBODY, courier="anna") as c:
        scans = [
            c.claim("job-1", rev=2),
            c.decline("job-1", reason="too_far"),
            c.pickup("o"),
            c.out_for_delivery("o", stop_seq=2),
            c.stop_arrived(stop="s1"),
            c.attempt_failed("o", reason="not_home"),
            c.available_for_pickup("o", point="locker-9", until_ms=1_760_000_000_000),
            c.refused("o", reason="not_ordered"),
            c.return_started("o", reason="refused"),
            c.returned("o", dock="D1"),
            c.delivery("o", pod_method=PodMethod.NEIGHBOUR, pod_hash=b"12345678", consent=True),
            c.damaged("o", severity="major", reason=DamageReason.WET),
            c.lost("o"),
            c.found("o"),
        ]
        scans.append(c.void(scans[-1]))
        assert len({scan.type for scan in scans}) == 15


# --- what it is made of -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "absent"),
    [
        ("devices.scanner, devices.courier", ("sqlalchemy", "amqtt", "alembic", "bridge")),
        ("devices.protocol.messages", ("paho", "sqlite3", "asyncio", "selectors", "socket")),
    ],
)
def test_it_imports_nothing_heavy(names: str, absent: tuple[str, ...]) -> None:
    script = f"import sys, {names}; print([m for m in {absent!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_error_is_a_device_error_and_its_docstring_is_its_sentence() -> None:
    import devices

    for name in devices.__all__:
        public = getattr(devices, name)
        if isinstance(public, type) and issubclass(public, Exception):
            assert issubclass(public, DeviceError)
            assert str(public()) == public.__doc__
    with pytest.raises(AttributeError):
        devices.nothing  # noqa: B018
