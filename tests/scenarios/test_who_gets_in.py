"""Who gets in, how many, how fast, and what they see: guessed passwords, laboratory gear, and clients that ask for too much."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest
from helpers.events import SITE, TOPICS
from helpers.mqtt import CONNACK, PUBACK, connect_packet, publish_packet
from helpers.site import Site
from helpers.waiting import DEADLINE_S, until

from bridge.broker.logins import FREE
from bridge.broker.losses import CALM_S
from bridge.entrypoints.cli.logs import LINES
from bridge.entrypoints.control.client import call
from bridge.operations import devices
from devices.protocol.vocabulary import AlertCode, Role

REFUSED = 0x80
BAD_CREDENTIALS = 4
UNAVAILABLE = 3


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as served:
        yield served


def guess(site: Site, device: str, times: int) -> list[int]:
    codes = []
    for number in range(times):
        with site.stranger() as wire:
            codes.append(wire.connect(device, device, f"guess-{number}")[1])
    return codes


def spray(site: Site, names: int) -> None:
    """What as many guesses leave, each under another name; over a socket, they would have to wait themselves."""
    for number in range(names):
        site.app.broker.logins.failed(f"more-{number}", "127.0.0.1", now_s=site.app.clock.now_s(), now_ms=site.now_ms())  # type: ignore[union-attr]


def slowed(site: Site) -> int:
    """Logins that had to wait, or were put off, since the start."""
    count: int = site.on_loop(lambda: site.app.counters)["slowed"]
    return count


# --- passwords ----------------------------------------------------------------------------------------------------------------


def test_guessing_is_counted_told_and_slowed_down_and_the_device_itself_is_not(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.enrol("desk", Role.DESK)
    with site.client("desk") as desk, site.client("scan-1") as scanner:
        desk.subscribe(f"{TOPICS.base}/alerts/logins/+")
        assert guess(site, "scan-1", 6) == [BAD_CREDENTIALS] * 6
        alert = desk.receive()
        assert alert.topic == TOPICS.alert(AlertCode.LOGINS, "scan-1")
        assert "127.0.0.1" in alert.plain["text"]
        assert scanner.ping() == [], "who is in stays in"
        count, _, source = site.on_loop(lambda: site.app.failed_logins)["scan-1"]
        assert (count, source) == (6, "127.0.0.1")
        logins = site.app.broker.logins  # type: ignore[union-attr]
        assert site.on_loop(lambda: logins.brake("scan-1", source, logins.of_names()["scan-1"].last_s)) is not None
    with site.client("scan-1") as again:  # its password was right before, so it need not wait
        assert again.ping() == []
    refusals = [r for r in caplog.records if "was refused" in r.getMessage()]
    assert len(refusals) == 1, "said once, not for each guess"


def test_the_log_says_why_a_login_was_refused_and_the_client_is_not_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    site.enrol("gone")
    site.wait_for(site.app.on_writer(lambda: site.app.registry.revoke("gone", now_ms=site.now_ms())))
    site.enrol("quiet", Role.SYSTEM, with_secret=False)
    why = {"scan-1": "the password is wrong", "nobody": "no device has this name", "gone": "the device was revoked", "quiet": "the device has no password"}
    site.enrol("scan-1")
    for name in why:
        assert guess(site, name, 1) == [BAD_CREDENTIALS]
    told = {f"a login as {name!r} from 127.0.0.1 was refused: {reason}" for name, reason in why.items()}
    until(lambda: told <= {r.getMessage() for r in caplog.records}, "the reasons in the log")


def test_a_line_of_the_log_begins_with_its_date_and_offset() -> None:
    line = LINES["console"].format(logging.makeLogRecord({"created": 1_790_000_000.0, "levelname": "WARNING", "msg": "a login was refused"}))
    assert datetime.strptime(line.split()[0], "%Y-%m-%dT%H:%M:%S%z").timestamp() == 1_790_000_000
    assert line.split(maxsplit=1)[1] == "WARNING a login was refused"


def test_a_wrong_password_on_one_device_delays_no_other_device_behind_the_same_address(site: Site) -> None:
    for device in ("scan-1", "desk", "scan-2"):
        site.enrol(device)
    with ExitStack() as held:
        wires = [held.enter_context(site.stranger()) for _ in range(20)]
        for wire in wires:
            wire.send(connect_packet("scan-1", "scan-1", "mistyped"))
        refusals = [wire.expect(CONNACK).body[1] for wire in wires]
        assert refusals.count(BAD_CREDENTIALS) >= FREE
        assert set(refusals) <= {BAD_CREDENTIALS, UNAVAILABLE}
        before = slowed(site)
        assert before > 0
        for device in ("desk", "scan-2"):
            with site.client(device) as neighbour:
                assert neighbour.ping() == []
        assert slowed(site) == before
    assert site.on_loop(lambda: site.app.failed_logins).keys() == {"scan-1"}


def test_guessing_under_many_names_slows_down_unknown_devices_there_and_no_device_that_has_worked_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with Site(tmp_path / "site", broker={"failed_names_per_address_max": 4}) as site:
        site.enrol("scan-2")
        with site.client("scan-1") as scanner:
            assert scanner.ping() == []
        site.restart()  # it remembers no password now
        for number in range(4):
            assert guess(site, f"guess-{number}", 1) == [BAD_CREDENTIALS]
        assert slowed(site) == 0
        site.on_loop(lambda: spray(site, 40))
        with site.client("scan-1") as scanner:
            assert scanner.ping() == []
        assert slowed(site) == 0, "it was here before the server was started again"
        with site.stranger() as newcomer:
            newcomer.send(connect_packet("scan-2", "scan-2", site.secrets["scan-2"]))
            until(lambda: slowed(site) == 1, "the newcomer to be slowed down")
    (line,) = [r.getMessage() for r in caplog.records if "failed_names_per_address_max" in r.getMessage()]
    assert "from 127.0.0.1 have failed under 4 names" in line


def test_who_has_logged_in_is_stored_while_the_server_runs(tmp_path: Path) -> None:
    with Site(tmp_path / "site", orders={"sweep_every_s": 0.1}) as site, site.client("scan-1"):
        until(lambda: site.rows("SELECT device, address FROM known_logins") == [("scan-1", "127.0.0.1")], "the login to be stored")


def test_names_that_nobody_bears_are_counted_and_raise_no_alert(site: Site) -> None:
    assert guess(site, "nobody", 5) == [BAD_CREDENTIALS] * 5
    site.enrol("desk", Role.DESK)
    with site.client("desk") as desk:
        desk.subscribe(f"{TOPICS.base}/alerts/#")
        assert desk.ping() == []


def test_what_was_said_of_guesses_ends_with_the_server(site: Site) -> None:
    site.enrol("desk", Role.DESK)
    with site.client("desk") as desk:
        desk.subscribe(f"{TOPICS.base}/alerts/logins/+")
        site.enrol("scan-1")
        guess(site, "scan-1", 5)
        desk.receive()
    site.restart()
    with site.client("desk") as desk:
        desk.subscribe(f"{TOPICS.base}/alerts/logins/+")
        assert desk.ping() == []


def test_a_guess_under_somebody_elses_client_id_touches_nothing_of_theirs(site: Site) -> None:
    site.create("PO-1")
    with site.client("scan-1", clean=False) as scanner:
        scanner.subscribe(TOPICS.receipts("scan-1"))
        site.enrol("scan-2")
        for device, secret in (("scan-1", "guess"), ("scan-2", site.secrets["scan-2"])):
            with site.stranger() as other:
                other.connect("scan-1", device, secret)
        scanner.publish(TOPICS.event("scan-1", "pack"), site.event("scan-1", 1, "PO-1"))
        assert scanner.receive().plain["outcome"] == "applied"
        scanner.expect(PUBACK)
    with site.client("scan-1", clean=False) as scanner:
        assert scanner.session_present


# --- laboratory gear ----------------------------------------------------------------------------------------------------------


def test_other_gear_talks_outside_v1_and_neither_reads_nor_writes_below_it(site: Site) -> None:
    site.enrol("printer", Role.LAB)
    with site.client("printer") as printer:
        refused = ["v1/#", "#", "+/#", "+", "v1/+/orders/#", f"{TOPICS.base}/orders/PO-1/status", "$SYS/#", "$share/g/labels/#"]
        assert printer.subscribe(*refused) == [REFUSED] * len(refused)
        assert printer.subscribe("labels/#", "v1x/+") == [1, 1]
        printer.publish("labels/1", b"^XA", packet_id=7)
        assert printer.receive().payload == b"^XA"
        assert printer.expect(PUBACK).packet_id == 7
    site.enrol("desk", Role.DESK)
    with site.client("desk") as desk, site.client("printer") as printer:
        desk.subscribe(f"{TOPICS.base}/alerts/forbidden/+")
        printer.publish(TOPICS.event("printer", "pack"), b"x")
        assert printer.expect_closed() == [], "not acknowledged: it could not read a receipt"
        assert desk.receive().topic == TOPICS.alert(AlertCode.FORBIDDEN, "printer")
    assert site.rows("SELECT count(*) FROM events") == [(0,)]


def test_devices_may_not_use_what_is_outside_v1(site: Site) -> None:
    with site.client("scan-1") as scanner:
        scanner.subscribe(TOPICS.receipts("scan-1"))
        assert scanner.subscribe("labels/#") == [REFUSED]
        scanner.publish("labels/1", b"x", packet_id=9)
        receipt = scanner.receive().plain
        assert (receipt["outcome"], receipt["reason"]) == ("rejected", "forbidden")
        assert scanner.expect(PUBACK).packet_id == 9
    assert site.on_loop(lambda: site.app.counters)["denied"] == 2


# --- clients that ask for too much --------------------------------------------------------------------------------------------


def test_connections_from_one_address_and_in_all_are_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Site(tmp_path / "site", broker={"connections_per_address_max": 3}) as site:
        held = [site.stranger() for _ in range(3)]
        with site.stranger() as one_more:
            assert one_more.expect_closed() == []
        held.pop().cut()
        assert in_the_end(lambda: connects(site))
        for wire in held:
            wire.cut()
        assert site.on_loop(lambda: site.app.counters)["turned_away"] >= 1
    assert len([r for r in caplog.records if "turned away" in r.getMessage()]) == 1


def connects(site: Site) -> bool:
    with site.stranger() as wire:
        try:
            wire.send(b"\x10\x00")
            return wire.expect_closed() == []
        except OSError:
            return False


def in_the_end(condition: object) -> bool:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return True
        time.sleep(0.01)
    return False


def test_a_client_that_publishes_too_fast_is_read_more_slowly_and_loses_nothing(tmp_path: Path) -> None:
    count = 900
    with Site(tmp_path / "site", broker={"publish_rate_max": 300}) as site:
        site.enrol("printer", Role.LAB)
        with site.client("printer") as printer:
            packets = b"".join(publish_packet("labels/1", b"x", packet_id=i) for i in range(1, count + 1))
            start = time.monotonic()
            printer.send(packets[: len(packets) // 2])
            printer.send(packets[len(packets) // 2 :])
            assert [printer.expect(PUBACK).packet_id for _ in range(count)] == list(range(1, count + 1))
            assert time.monotonic() > start
            throttled = site.on_loop(lambda: [w.connection.pace.may_send for w in site.app.broker.wires])  # type: ignore[union-attr]
            assert min(throttled) < 300


def test_topics_and_subscriptions_are_bounded(tmp_path: Path) -> None:
    limits = {"topic_levels_max": 8, "topic_bytes_max": 512, "subscriptions_max": 2}
    with Site(tmp_path / "site", broker=limits) as site:
        site.enrol("printer", Role.LAB)
        with site.client("printer") as printer:
            assert printer.subscribe("a/" * 8 + "b", "a" * 513, "a/1", "a/2", "a/3", "a/1") == [REFUSED, REFUSED, 1, 1, REFUSED, 1]
            printer.publish("a" * 513, b"x")
            assert printer.expect_closed() == []


def test_retained_topics_of_other_gear_are_bounded(tmp_path: Path) -> None:
    with Site(tmp_path / "site", broker={"retained_max": 3}) as site:
        site.enrol("printer", Role.LAB)
        with site.client("printer") as printer:
            for number in range(5):
                try:
                    printer.publish(f"labels/{number}", b"x", packet_id=number + 1, retain=True)
                    if printer.read() is None:
                        break
                except OSError:
                    break
            else:
                pytest.fail("nothing was refused")
        with site.client("printer") as printer:
            printer.publish("labels/0", b"y", packet_id=1, retain=True)
            assert printer.expect(PUBACK).packet_id == 1, "what is there can be replaced"


def test_a_failing_front_door_costs_one_client(site: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def broken(self: object, packet: bytes) -> None:
        raise ZeroDivisionError("on purpose")

    with site.client("scan-2") as bystander, site.client("scan-1") as wire:
        monkeypatch.setattr(type(site.app.broker.door.decoder), "subscribe", broken)  # type: ignore[union-attr]
        wire.send(b"\x82\x06\x00\x01\x00\x01a\x00")
        assert wire.expect_closed() == []
        assert bystander.ping() == []
    (fault,) = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert "ZeroDivisionError" in fault.getMessage()
    assert site.on_loop(lambda: site.app.counters)["faults"] == 1


def test_the_site_is_named_in_what_is_refused(site: Site) -> None:
    with site.client("scan-1") as scanner:
        assert scanner.subscribe(f"v1/other-{SITE}/orders/#", f"{TOPICS.base}/orders/#", TOPICS.receipts("scan-2")) == [REFUSED] * 3


def test_a_device_with_too_many_connections_is_told_to_come_back(tmp_path: Path) -> None:
    with Site(tmp_path / "site", broker={"sessions_per_device_max": 2}) as site:
        first, second = site.client("scan-1", "one"), site.client("scan-1", "two")
        with site.stranger() as third:
            assert third.connect("three", "scan-1", site.secrets["scan-1"])[1] == UNAVAILABLE
        first.cut()
        assert in_the_end(lambda: comes_in(site))
        second.cut()


def test_a_session_that_gives_way_to_another_is_counted_said_and_an_alert_until_its_device_has_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Site(tmp_path / "site", broker={"sessions_per_device_max": 2}) as site:
        site.enrol("desk", Role.DESK)
        site.enrol("panel", Role.LAB)
        site.enrol("gear", Role.LAB)
        with site.client("panel", "one", clean=False) as panel:
            panel.subscribe("plant/#")
        with site.client("gear") as gear:
            gear.publish("plant/line", b"x")
            gear.expect(PUBACK)
        with site.client("desk") as desk:
            desk.subscribe(f"{TOPICS.base}/alerts/dropped/+")
            for client_id in ("two", "three", "four"):
                site.client("panel", client_id, clean=False).cut()
            alert = desk.receive()
            assert alert.topic == TOPICS.alert(AlertCode.DROPPED, "panel")
            assert "1 message that waited" in alert.plain["text"]
            assert site.on_loop(lambda: site.app.counters)["evicted"] == 2
            (line,) = [r.getMessage() for r in caplog.records if "gave way" in r.getMessage()]
            assert "'panel' at 127.0.0.1" in line
            assert "broker.sessions_per_device_max" in line
            assert desk.ping() == [], "said once"
            with site.client("panel", "four") as clean:
                clean.goodbye()
            at_s = site.app.clock.now_s()
            site.on_loop(lambda: (door := site.app.broker.door).losses.look(at_s + CALM_S + 1, door.book.count_of))  # type: ignore[union-attr]
            assert (cleared := desk.receive()).topic == alert.topic
            assert cleared.payload == b""


def test_an_alert_about_sessions_that_gave_way_is_over_with_a_restart(tmp_path: Path) -> None:
    with Site(tmp_path / "site", broker={"sessions_per_device_max": 1}) as site:
        site.enrol("panel", Role.LAB)
        for client_id in ("one", "two"):
            site.client("panel", client_id, clean=False).cut()
        site.wait_for(site.app.pipeline.drained())
        assert site.rows("SELECT code, subject FROM alerts") == [("dropped", "panel")]
        site.restart()
        site.wait_for(site.app.pipeline.drained())
        assert site.rows("SELECT code, subject FROM alerts") == []


def comes_in(site: Site) -> bool:
    with site.stranger() as wire:
        return wire.connect("three", "scan-1", site.secrets["scan-1"])[1] == 0


def test_a_password_that_is_changed_ends_the_connection_and_keeps_what_waits(site: Site) -> None:
    site.create("PO-1")
    with site.client("scan-1", clean=False) as scanner:
        scanner.subscribe(TOPICS.receipts("scan-1"))
        site.secrets["scan-1"] = site.wait_for(devices.rotate(site.app, "scan-1")).secret
        assert scanner.expect_closed() == []
    site.tell("shop1", Role.SYSTEM, "paid", site.event("shop1", 50, "PO-1", {"amount_minor": 1, "currency": "EUR"}))
    with site.client("scan-1", clean=False) as scanner:
        assert scanner.session_present


def test_a_revoked_device_leaves_nothing_behind(site: Site) -> None:
    with site.client("scan-1", clean=False) as scanner:
        scanner.subscribe(TOPICS.receipts("scan-1"))
        site.wait_for(devices.revoke(site.app, "scan-1"))
        assert scanner.expect_closed() == []
    site.wait_for(site.app.pipeline.drained())
    assert site.rows("SELECT count(*) FROM sessions WHERE device = 'scan-1'") == [(0,)]
    assert site.rows("SELECT count(*) FROM subscriptions") == [(0,)]


def test_a_session_of_a_device_that_was_revoked_while_the_server_was_down_ends_at_the_start(site: Site) -> None:
    with site.client("scan-1", clean=False) as scanner:
        scanner.subscribe(TOPICS.receipts("scan-1"))
    site.stop()
    call(site.directory, devices.revoke, "scan-1")
    site.start()
    site.wait_for(site.app.pipeline.drained())
    assert site.rows("SELECT count(*) FROM sessions WHERE device = 'scan-1'") == [(0,)]
