"""A server in a process of its own tells of its work: a log without passwords or what people said, the steps of an order's events, its figures live."""

from __future__ import annotations

import json
import signal
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

import pytest
from helpers.events import CREATED, TOPICS, event
from helpers.mqtt import PUBACK, MqttWire, publish_packet
from helpers.server import Server
from helpers.shell import Shell
from helpers.waiting import until

from devices.protocol.vocabulary import Role

PLANTED: Final = ("Zhang Wei", "13800138000", "Keizersgracht", "correct-horse", "hunter2", "4711", "523702160")
"""A name, a phone number, a street, two passwords, a PIN and a latitude: they are in what devices send, and belong into no log."""
NAME, PHONE, STREET, PASSWORD, WRONG, PIN, LATITUDE = PLANTED


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("tells")
    with Server(folder / "site", log={"format": "json"}, metrics={"listen": "127.0.0.1:0"}) as server:
        server.enrol(Role.SYSTEM, "shop1")
        server.enrol(Role.SCANNER, "scan-1")
        server.enrol(Role.COURIER, "anna")
        live_through(server)
        yield server


def say(wire: MqttWire, topic: str, payload: bytes) -> None:
    wire.publish(topic, payload)
    while (packet := wire.read()) is not None and packet.kind != PUBACK:
        pass


def live_through(server: Server) -> None:
    """A small day in which what must not be logged comes in by every way."""
    contact = {"name": NAME, "phone": PHONE, "address": STREET}
    with server.client("shop1") as shop:
        say(shop, TOPICS.event("shop1", "created"), event("shop1", 1, "PO-1", {**CREATED, "contact": contact}, as_json=True))
        say(shop, TOPICS.event("shop1", "created"), event("shop1", 2, f"PO-{NAME}", {"channel": STREET, "lines": [PHONE]}, as_json=True))
        say(shop, TOPICS.event("shop1", "held"), event("shop1", 3, "PO-1", {"reason": "address", "note": f"{NAME}, {STREET}"}))
        say(shop, TOPICS.event("shop1", "created"), f"not JSON: {NAME} {PHONE}".encode())
    with server.client("scan-1", clean=False) as scanner:
        scanner.subscribe(TOPICS.receipts("scan-1"))
        say(scanner, TOPICS.event("scan-1", "pack"), event("scan-1", 1, "PO-1", {"items": CREATED["lines"]}, by=NAME))
        say(scanner, f"v1/other/{NAME}", NAME.encode())  # denied
    with server.client("anna", will=(TOPICS.presence("anna"), STREET.encode())) as phone:
        say(phone, TOPICS.event("anna", "delivery"), event("anna", 1, "PO-1", {"pod": {"method": "pin", "pin": PIN}}))
        say(phone, TOPICS.location("anna"), json.dumps({"points": [[1, int(LATITUDE), 48_952_000, 5, None]], "name": NAME}).encode())
    for name, password in (("scan-1", WRONG), ("nobody", PASSWORD)):
        with MqttWire(server.address) as stranger:
            assert stranger.connect("stranger", name, password) == (False, 4)
    with server.client("scan-1", "two") as broken:
        broken.send(publish_packet(TOPICS.event("scan-1", "pack"), NAME.encode()) + b"\xf0\x00")
        broken.expect_closed()
    until(lambda: len(server.said("was refused")) >= 2, "the refused logins in the log")


def test_each_line_of_the_log_has_its_date_and_reason(server: Server) -> None:
    lines = [json.loads(line) for line in server.log()]
    assert len(lines) >= 3
    for line in lines:
        assert line.keys() == {"at", "level", "logger", "message"}
        assert datetime.fromisoformat(line["at"]).utcoffset() is not None
    said = {line["message"] for line in lines}
    assert "a login as 'scan-1' from 127.0.0.1 was refused: the password is wrong" in said
    assert any(s.startswith("a connection was closed for breaking the protocol, of 'scan-1' at 127.0.0.1: ") for s in said), said


def test_no_line_of_the_log_has_a_password_or_what_people_said(server: Server) -> None:
    log = "\n".join(server.log())
    assert [word for word in PLANTED if word in log] == []
    with urllib.request.urlopen("http://{}:{}/metrics".format(*server.addresses["metrics"])) as answer:
        metrics = answer.read().decode()
    assert "dockbridge_logins_refused_total 2.0" in metrics
    assert [word for word in (*PLANTED, "scan-1", "PO-1") if word in metrics] == []


def test_an_order_is_traced_step_by_step(server: Server) -> None:
    shell = Shell(server.directory)
    traced = shell.data("trace", "PO-1")
    events = {found["type"]: found for found in traced["events"]}
    pack: dict[str, Any] = events["pack"]
    assert pack["on_device_ms"] == 0
    assert pack["network_ms"] == 0
    assert pack["queue_ms"] >= 0
    assert all(pack[step] > 0 for step in ("commit_us", "show_us", "answer_us"))
    assert (pack["receipt"], pack["receipt_since_ms"] is not None) == ("waits", True), "the scanner went away before it fetched it"
    assert events["created"]["receipt"] == "unknown"
    printed = shell("trace", "PO-1")
    assert "on the device 0 ms, network 0 ms over its fastest, queue" in printed.stdout
    assert "receipt waits for scan-1 since" in printed.stdout
    assert "nothing is known of order PO-9" in shell("trace", "PO-9", code=1).stderr


def test_its_figures_are_seen_live(server: Server) -> None:
    shell = Shell(server.directory)
    (line,) = shell("top", "--every", "0.1", "--times", "1").stdout.splitlines()
    for words in ("0 events/s", "backlog 0", "on 0/3", "orders 1", "alerts"):
        assert words in line
    (moment,) = [json.loads(text) for text in shell("top", "--every", "0.1", "--times", "1", "--json").stdout.splitlines()]
    assert (moment["running"], moment["rates"]["events_s"], moment["server"]["counters"]["refused"]) == (True, 0.0, 2)


def test_what_a_server_that_was_stopped_or_killed_knew_is_unknown_afterwards(server: Server) -> None:
    """The last story of this file: it ends the server."""
    assert server.end(signal.SIGTERM) == 0, "its web server leaves signals alone"
    assert json.loads(server.log()[-1])["message"].startswith("stopping")
    shell = Shell(server.directory)
    printed = shell("trace", "PO-1")
    assert "commit unknown, show unknown, answer unknown" in printed.stdout
    assert "unless the running server stored the event itself" in printed.stderr


@pytest.mark.slow
def test_a_terminal_shows_a_screen_also_of_a_site_that_is_stopped(server: Server) -> None:
    shell = Shell(server.directory)
    shell.environment["FORCE_COLOR"] = "1"  # as on a terminal
    screen = shell("top", "--every", "0.1", "--times", "2").stdout
    for words in ("a batch", "3: 0 on, 3 off", "1: 1 delivered", "last backup"):
        assert words in screen
    server.end()
    assert "not running" in shell("top", "--every", "0.1", "--times", "1").stdout
    del shell.environment["FORCE_COLOR"]
    assert "not running  orders 1  stuck" in shell("top", "--every", "0.1", "--times", "1").stdout
