"""What the server logs about clients that misbehave: who, from where and why, and not more than a person can read."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.events import IDENTITIES, NOW_MS, TOPICS
from helpers.mqtt import connect_packet, publish_packet, subscribe_packet

from bridge.broker import notices
from bridge.broker.codec import v311 as packets
from bridge.broker.codec.amqtt_decoder import AmqttDecoder
from bridge.broker.connection import Connection
from bridge.broker.door import FrontDoor
from bridge.broker.limits import DoorLimits
from bridge.broker.notices import EVERY_S, LINES_MAX, Notices
from bridge.ingest.items import Change
from devices.protocol.topics import Topics

SECRET = "a text that is nobody's business"


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Sink:
    """A sink that commits every change at once."""

    is_full = is_idle = store_failing = False

    def offer(self, *_: object) -> None:
        """These tests do not publish."""

    def change(self, change: Change) -> None:
        change.done(None)


Say = Callable[[], list[str]]


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Say:
    """The messages that were logged since the last call."""

    def take() -> list[str]:
        lines = [record.getMessage() for record in caplog.records]
        caplog.clear()
        return lines

    return take


# --- how much -----------------------------------------------------------------------------------------------------------------


def test_the_same_is_said_once_a_minute_with_how_often_it_was(said: Say) -> None:
    clock = Clock()
    told = Notices(clock)
    for port in range(3):
        told.say("x", "scan-1", f"10.0.0.7:{port}", "why")
    assert said() == ["x, of 'scan-1' at 10.0.0.7: why"]
    clock.now_s += EVERY_S
    told.say("x", "scan-1", "10.0.0.7:9", "why")
    assert said() == ["x, of 'scan-1' at 10.0.0.7: why (2 more since the last such line)"]
    told.say("x", "scan-2", "10.0.0.7:9", "why")
    told.say("y", None, "10.0.0.7:9", "why")
    assert said() == ["x, of 'scan-2' at 10.0.0.7: why", "y, of 10.0.0.7: why"]


def test_however_many_do_wrong_the_lines_are_few(said: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "KNOWN_MAX", 50)
    clock = Clock()
    told = Notices(clock)
    for number in range(1_000):
        told.say("x", None, f"10.0.{number // 250}.{number % 250}:1", "why")
    lines = said()
    assert len(lines) == LINES_MAX + 1
    assert "only `dockbridge status` counts them" in lines[-1]
    assert len(told._known) <= 50
    clock.now_s += EVERY_S
    told.say("x", None, "10.9.9.9:1", "why")
    assert said() == ["x, of 10.9.9.9: why"]


# --- what -----------------------------------------------------------------------------------------------------------------------


class Door:
    """A front door with small limits."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.front = FrontDoor(
            decoder=AmqttDecoder(),
            sink=Sink(),
            limits=DoorLimits(subscriptions_max=2, topic_bytes_max=512),
            now_ms=lambda: NOW_MS,
            now_s=self.clock,
            authenticate=lambda connection, connect: None,
            in_open_job=lambda courier, order: False,
        )

    def client(self, device: str, will: tuple[str, bytes] | None = None) -> Connection:
        connection = self.stranger()
        connection.receive(connect_packet(device, device, "secret", will=will))
        connection.authenticated(IDENTITIES[device])
        return connection

    def stranger(self) -> Connection:
        return Connection(self.front, "10.0.0.7:1234", lambda connection: None)


def test_a_broken_packet_is_said_with_who_sent_it(said: Say) -> None:
    door = Door()
    door.client("scan-1").receive(publish_packet(TOPICS.event("scan-1", "pack"), SECRET.encode(), packet_id=0))
    door.stranger().receive(packets.PINGRESP_BYTES)
    first, second = said()
    assert first == "a connection was closed for breaking the protocol, of 'scan-1' at 10.0.0.7: packet id 0 (2.3.1-1)"
    assert second.startswith("a connection was closed for breaking the protocol, of 10.0.0.7: ")
    assert door.front.counters.protocol_errors == 2


def test_a_will_that_is_not_allowed_is_said(said: Say) -> None:
    Door().client("scan-1", will=(TOPICS.presence("scan-2"), SECRET.encode()))
    (line,) = said()
    assert line.startswith("a login was refused, of 'scan-1' at 10.0.0.7: the will's topic is not allowed")
    assert SECRET not in line
    assert "set up for another" not in line


def test_a_device_that_is_set_up_for_another_site_is_said(said: Say) -> None:
    Door().client("scan-1", will=(Topics("main").presence("scan-1"), b""))
    (line,) = said()
    assert "which is v1/ams1/devices/scan-1/ here, and this is site ams1: the client is set up for another" in line


def test_a_client_of_another_protocol_level_is_said(said: Say) -> None:
    Door().stranger().receive(connect_packet("x", SECRET, "secret", level=5))
    (line,) = said()
    assert "level 5" in line
    assert SECRET not in line


def test_filters_beyond_a_limit_are_said_with_the_limit(said: Say) -> None:
    door = Door()
    door.client("scan-1").receive(subscribe_packet([("x" * 600, 1)]))
    door.client("desk").receive(subscribe_packet([(f"{TOPICS.base}/orders/{n}/status", 1) for n in range(3)]))
    assert said() == [
        "a filter was refused, of 'scan-1' at 10.0.0.7: it is too long (broker.topic_bytes_max, broker.topic_levels_max)",
        "a filter was refused, of 'desk' at 10.0.0.7: it has as many as it may have (broker.subscriptions_max)",
    ]
    assert door.front.counters.denied == 2


def test_a_filter_that_is_not_allowed_says_whom_to_ask(said: Say) -> None:
    Door().client("scan-1").receive(subscribe_packet([(f"v1/other/{SECRET}/#", 1)]))
    (line,) = said()
    assert "`dockbridge access why scan-1 subscribe FILTER`" in line
    assert SECRET not in line
