"""A server that was restored from a backup asks for events that it had acknowledged once: a device that has kept them sends them again, as they were.

The server is a fake on a real socket that asks on command. `test_scanners_of_a_restored_server.py` tells the story with the real one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from helpers.fake_broker import FakeBroker
from helpers.handhelds import NOBODY, RECEIPTS, STATE, Clock, presences, read, receipt_for, settings_of, state_of_server
from helpers.waiting import DEADLINE_S

from devices import Draft, EventTooLarge, InvalidEvent, Scanner
from devices.mail import STATE_WAIT_MS
from devices.protocol.messages import PAYLOAD_BYTES_MAX, ResendRequest, SeqRange, encode, encode_json
from devices.protocol.vocabulary import EventType, Outcome, Warn


@pytest.fixture
def broker() -> Iterator[FakeBroker]:
    with FakeBroker() as fake:
        fake.retained[STATE] = state_of_server(epoch=1)
        yield fake


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def at(tmp_path: Path, clock: Clock) -> dict[str, Any]:
    return settings_of(tmp_path, clock)


def ask(broker: FakeBroker, log: bytes, first: int, last: int) -> None:
    broker.send(RECEIPTS, encode(ResendRequest(resend=SeqRange(log=log, first=first, last=last), epoch=1)))


def scan(scanner: Scanner, *orders: str) -> None:
    scanner.send_many([Draft(type=EventType.LOST, order=order) for order in orders])
    scanner.drain(DEADLINE_S)


def sent(broker: FakeBroker) -> list[int]:
    return [read(published).seq for published in broker.events()]


def test_an_acknowledged_event_is_sent_again_as_it_was(broker: FakeBroker, at: dict[str, Any], clock: Clock) -> None:
    with Scanner(**at, port=broker.port) as scanner:
        scan(scanner, "PO-1", "PO-2", "PO-3")
        broker.send(RECEIPTS, receipt_for(read(broker.events()[1]).id, 4))
    clock.boot, clock.now_ms = b"boot-two", 70
    with Scanner(**at, port=broker.port) as scanner:
        broker.until(lambda: len(presences(broker)) == 3)
        assert (presences(broker)[2].last_seq, presences(broker)[2].backlog) == (3, 0), "what was acknowledged does not wait"
        ask(broker, scanner._outbox.log, 2, 9)
        broker.until(lambda: len(broker.events()) == 5)
        first, again = read(broker.events()[1]), read(broker.events()[3])
        assert (again.sent_boot, again.sent_mono_ms) == (b"boot-two", 70)
        for name in ("id", "log", "seq", "boot", "mono_ms", "at_ms", "order", "body"):
            assert getattr(again, name) == getattr(first, name)
        broker.send(RECEIPTS, receipt_for(again.id, 1, Outcome.NOOP, epoch=1))
        broker.send(RECEIPTS, receipt_for(again.id, 5))
        scan(scanner, "PO-4")
        assert (scanner.receipt_of(again.id, DEADLINE_S).epoch, scanner.backlog) == (1, 0)
    assert sent(broker) == [1, 2, 3, 2, 3, 4]


def test_an_event_is_not_sent_twice_while_it_is_on_its_way(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**at, port=broker.port, in_flight_max=2) as scanner:
        scan(scanner, "PO-1", "PO-2", "PO-3", "PO-4")
        broker.acknowledging = False
        for _ in range(3):
            ask(broker, scanner._outbox.log, 1, 4)
        broker.until(lambda: broker.pubacks == 4)  # the server's state, and the requests
        fresh = scanner.pack("PO-5")
        broker.release()
        fresh.wait_acknowledged(DEADLINE_S)
        broker.until(lambda: len(broker.events()) == 9)
        scan(scanner, "PO-6")
    assert sent(broker) == [1, 2, 3, 4, 1, 2, 5, 3, 4, 6], "fresh first, then the oldest"


def test_a_request_that_was_not_fulfilled_is_made_again(broker: FakeBroker, at: dict[str, Any]) -> None:
    """A device that was cut off or killed remembers no requests: its presence shows the server again what is missing."""
    with Scanner(**at, port=broker.port, in_flight_max=1) as scanner:
        scan(scanner, "PO-1", "PO-2", "PO-3")
        broker.acknowledging = False
        ask(broker, scanner._outbox.log, 1, 3)
        broker.until(lambda: len(broker.events()) == 4)
        broker.acknowledging = True
        broker.cut()
        broker.until(lambda: len(presences(broker)) == 2)
        scan(scanner, "PO-4")
        ask(broker, scanner._outbox.log, 1, 3)
        broker.until(lambda: len(broker.events()) == 8)
    assert sent(broker) == [1, 2, 3, 1, 4, 1, 2, 3]


def test_earlier_logs_are_announced_before_the_present_one(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**at, port=broker.port) as scanner:
        scan(scanner, "PO-1", "PO-2")
        old = scanner._outbox.log
        broker.send(RECEIPTS, receipt_for(read(broker.events()[1]).id, type="lost", log=old, seq=2, warn=[Warn.SEQ_REUSED]))
        broker.until(lambda: broker.pubacks == 2)
        scan(scanner, "PO-3")
        broker.cut()
        broker.until(lambda: len(presences(broker)) == 3)
        assert [(p.online, p.log == old, p.last_seq, p.backlog) for p in presences(broker)[1:]] == [(True, True, 2, 0), (True, False, 1, 0)]
        ask(broker, old, 1, 2)
        broker.until(lambda: len(broker.events()) == 5)
    last = presences(broker)[-1]
    assert (last.online, last.log == old) == (False, False), "the last one stays"
    assert [(e.seq, e.log == old) for e in map(read, broker.events())] == [(1, True), (2, True), (1, False), (1, True), (2, True)]


def test_events_that_are_not_kept_are_not_sent(broker: FakeBroker, at: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with Scanner(**at, port=broker.port, kept_max=1) as scanner:
        scan(scanner, "PO-1", "PO-2")
        ask(broker, b"no log??", 1, 2)
        broker.send(RECEIPTS, encode_json({"resend": {"log": "0000000000000000", "from": 2}}))
        broker.send(RECEIPTS, encode_json({"resend": {"log": scanner._outbox.log, "from": 1, "to": 2}, "later": True}))
        broker.until(lambda: len(broker.events()) == 3)
        scan(scanner, "PO-3")
    assert sent(broker) == [1, 2, 2, 3]
    assert "resend.to: missing" in caplog.text


# --- what the server takes ----------------------------------------------------------------------------------------------------


def large(scanner: Scanner, size: int) -> Any:
    return scanner.send(EventType.LOST, {"note": "x" * size}, order="PO-large")


def test_an_event_that_is_too_large_is_refused_at_once(broker: FakeBroker, at: dict[str, Any]) -> None:
    with Scanner(**at, port=broker.port) as scanner:
        with pytest.raises(InvalidEvent, match=rf"bytes, and the server takes at most {PAYLOAD_BYTES_MAX:,} \(payload_bytes_max\)"):
            large(scanner, PAYLOAD_BYTES_MAX)
        scanner.wait_connected(DEADLINE_S)
        broker.send(STATE, state_of_server(payload_bytes_max=2_000))
        broker.until(lambda: broker.pubacks == 2)
        with pytest.raises(InvalidEvent, match=r"takes at most 2,000 "):
            large(scanner, 2_000)
        assert scanner.backlog == 0
        broker.send(STATE, state_of_server(epoch=2))
        broker.until(lambda: broker.pubacks == 3)
    with Scanner(**at, port=NOBODY) as later:
        state = later.bridge_state
        assert state is not None
        assert state.limits is not None
        assert (state.epoch, state.contract, state.limits.payload_bytes_max) == (2, "2", 2_000), "known over restarts, and until it says another limit"


def test_an_event_that_no_longer_fits_waits_until_the_limit_is_raised(broker: FakeBroker, at: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """A server hangs up on it. It is not even tried once, though the device hears of the new limit only after it has connected."""
    with Scanner(**at, port=NOBODY) as offline:
        too_large, small = large(offline, 5_000), offline.pack("PO-1")
    broker.retained[STATE] = state_of_server(payload_bytes_max=2_000)
    with Scanner(**at, port=broker.port) as scanner:
        for _ in range(2):
            with pytest.raises(EventTooLarge, match=r"once the server's limit .* is raised\. \(the server takes 2,000 bytes\)"):
                scanner.receipt_of(too_large.id, DEADLINE_S)
        scanner.drain(DEADLINE_S)
        broker.cut()
        broker.until(lambda: len(presences(broker)) == 2)
        assert presences(broker)[1].backlog == 0, "what is set aside does not count"
        fits = large(scanner, 1_000)
        scanner.drain(DEADLINE_S)
    assert caplog.text.count("is larger than the server takes") == 1
    assert sent(broker) == [small.seq, fits.seq]
    with Scanner(**at, port=NOBODY) as offline:
        assert offline.backlog == 0
        with pytest.raises(EventTooLarge):
            offline.receipt_of(too_large.id, 0)
    broker.retained[STATE] = state_of_server(payload_bytes_max=10_000)
    with Scanner(**at, port=broker.port) as scanner:
        broker.until(lambda: sent(broker)[-1] == too_large.seq)
        scanner.drain(DEADLINE_S)


def test_a_server_that_does_not_speak_of_itself_gets_large_events_too(broker: FakeBroker, at: dict[str, Any], clock: Clock) -> None:
    """One of an older edition refuses the filter; another one may have lost what was retained."""
    del broker.retained[STATE]
    broker.denied.add(STATE)
    with Scanner(**at, port=broker.port) as scanner:
        large(scanner, 5_000).wait_acknowledged(DEADLINE_S)
        broker.denied.clear()
        broker.cut()
        broker.until(lambda: broker.connections == 2)
        scan = large(scanner, 5_000)
        scanner.pack("PO-1").wait_acknowledged(DEADLINE_S)
        assert not scan.acknowledged
        clock.now_ms += STATE_WAIT_MS + 1
        scanner.drain(DEADLINE_S)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_not_a_number_is_refused_wherever_it_stands(at: dict[str, Any], number: Any) -> None:
    with Scanner(**at, port=NOBODY) as scanner:
        for wrong, path in (
            (lambda: scanner.pack("PO-1", weight_g=number), r"body\.weight_g"),
            (lambda: scanner.pack("PO-1", dims_mm=(100, number, 200)), r"body\.dims_mm\[1\]"),
            (lambda: scanner.pick("PO-1", sku="A1", qty=number), r"body\.qty"),
            (lambda: scanner.send(EventType.LOST, {"climate": {"readings": [20.5, number]}}), r"body\.climate\.readings\[1\]"),
            (lambda: scanner.send_many([Draft(type=EventType.LOST, body={"weight": number})]), r"body\.weight"),
        ):
            with pytest.raises(InvalidEvent, match=rf"{path}: expected a finite number, got"):
                wrong()
        assert scanner.backlog == 0
        scanner.send(EventType.LOST, {"climate": {"readings": [20.5, 21]}})
