"""The front door without sockets: clients that repeat packets, break off, send byte by byte or stall, and what they receive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from helpers.events import IDENTITIES, NOW_MS, TOPICS
from helpers.mqtt import connect_packet, frame, publish_packet, subscribe_packet, text, unsubscribe_packet

from bridge.broker import oversized
from bridge.broker.client import Client
from bridge.broker.codec import v311 as packets
from bridge.broker.codec.amqtt_decoder import AmqttDecoder
from bridge.broker.connection import Connection
from bridge.broker.door import FrontDoor
from bridge.broker.limits import DoorLimits
from bridge.broker.rivals import CALM_S, TAKEOVERS, WITHIN_S
from bridge.broker.state import State
from bridge.domain.access import Identity
from bridge.ingest.items import Alarm, Change, HandOver, Incoming, Message, OpenSession
from devices.protocol.vocabulary import Role

PACK = TOPICS.event("scan-1", "pack")
KEEP_ALIVE_S = 60
GEAR = Identity(site="ams1", device="gear", role=Role.LAB)


class Pipeline:
    """A sink that commits on request."""

    def __init__(self) -> None:
        self.is_full = False
        self.is_idle = False
        self.store_failing = False
        self.offered: list[Incoming] = []
        self.alarms: list[Alarm] = []
        self.next_pos = 1
        self._sids: dict[tuple[str, str], int] = {}
        self._waiting: list[Callable[[bytes], None]] = []

    def offer(self, incoming: Incoming, acknowledge: Callable[[bytes], None]) -> None:
        self.offered.append(incoming)
        self._waiting.append(acknowledge)

    def change(self, change: Change) -> None:
        """Commits changes of sessions at once, and numbers them as the store would."""
        result: object = None
        if isinstance(change, Alarm):
            self.alarms.append(change)
        if isinstance(change, OpenSession):
            result = 0 if change.clean else self._sids.setdefault((change.device, change.client_id), len(self._sids) + 1)
        elif isinstance(change, HandOver):
            result = tuple(range(self.next_pos, self.next_pos + len(change.messages)))
            self.next_pos += len(change.messages)
        change.done(result)

    def commit(self) -> None:
        """Commit all messages that were offered."""
        for acknowledge in self._waiting:
            acknowledge(b"")
        self._waiting.clear()

    @property
    def payloads(self) -> list[bytes]:
        return [i.payload for i in self.offered]


class Door:
    """A front door on a clock that stands still until it is set."""

    def __init__(self, **limits: Any) -> None:
        self.now_s = 0.0
        self.pipeline = Pipeline()
        self.begun: list[Client] = []
        """Connections whose credentials are being checked."""
        self.front = FrontDoor(
            decoder=AmqttDecoder(),
            sink=self.pipeline,
            limits=DoorLimits(**limits),
            now_ms=lambda: NOW_MS,
            now_s=lambda: self.now_s,
            authenticate=lambda connection, connect: self.begun.append(connection),
            in_open_job=lambda courier, order: False,
        )

    def stranger(self) -> Connection:
        """A connection on which nothing has been sent."""
        return Connection(self.front, "somewhere", lambda connection: None)

    def client(self, device: str, *, clean: bool = True) -> Connection:
        """A client that has logged in as a device."""
        connection = self.stranger()
        connection.receive(connect_packet(device, device, "secret", clean=clean, keep_alive_s=KEEP_ALIVE_S))
        connection.authenticated(IDENTITIES[device])
        assert [kind for kind, _ in heard(connection)] == [packets.CONNACK]
        return connection

    def after(self, seconds: float) -> None:
        self.now_s += seconds
        self.front.tick()


def heard(connection: Connection) -> list[tuple[int, bytes]]:
    """(type, the bytes after the fixed header) of every packet that a client was sent since the last call."""
    return list(_packets(connection.take_output()))


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data):
        header = packets.read_header(data, at)
        assert header is not None
        yield header.first >> 4, data[header.start : header.end]
        at = header.end


@pytest.fixture
def door() -> Door:
    return Door()


# --- QoS 2 ----------------------------------------------------------------------------------------------------------------

FIVE = b"\0\5"
PUBREL_FIVE = b"\x62\x02" + FIVE


def test_a_qos_2_publish_that_is_repeated_before_its_commit_frees_its_id_when_it_is_released(door: Door) -> None:
    scanner = door.client("scan-1")
    scanner.receive(publish_packet(PACK, b"first", qos=2, packet_id=5))
    scanner.receive(publish_packet(PACK, b"first", qos=2, packet_id=5, dup=True))
    assert (door.pipeline.payloads, heard(scanner)) == ([b"first"], [])
    door.pipeline.commit()
    assert heard(scanner) == [(packets.PUBREC, FIVE)]
    scanner.receive(PUBREL_FIVE)
    assert heard(scanner) == [(packets.PUBCOMP, FIVE)]
    scanner.receive(publish_packet(PACK, b"next", qos=2, packet_id=5))
    assert (door.pipeline.payloads, heard(scanner)) == ([b"first", b"next"], [])
    door.pipeline.commit()
    assert heard(scanner) == [(packets.PUBREC, FIVE)]


def test_a_qos_2_publish_that_is_repeated_after_its_commit_is_answered_and_not_offered_again(door: Door) -> None:
    scanner = door.client("scan-1")
    scanner.receive(publish_packet(PACK, b"first", qos=2, packet_id=5))
    door.pipeline.commit()
    scanner.receive(publish_packet(PACK, b"first", qos=2, packet_id=5, dup=True))
    assert heard(scanner) == [(packets.PUBREC, FIVE)] * 2
    assert door.pipeline.payloads == [b"first"]


def test_a_qos_2_publish_that_comes_again_over_a_new_connection_is_answered_when_the_first_is_committed(door: Door) -> None:
    before = door.client("scan-1", clean=False)
    before.receive(publish_packet(PACK, b"first", qos=2, packet_id=5))
    before.lost()
    scanner = door.client("scan-1", clean=False)
    scanner.receive(publish_packet(PACK, b"first", qos=2, packet_id=5, dup=True))
    assert (door.pipeline.payloads, heard(scanner)) == ([b"first"], [])
    door.pipeline.commit()
    assert heard(scanner) == [(packets.PUBREC, FIVE)]
    scanner.receive(PUBREL_FIVE)
    assert heard(scanner) == [(packets.PUBCOMP, FIVE)]


@pytest.mark.parametrize("qos", [1, 2])
def test_the_pipeline_is_told_which_packets_are_sent_again(door: Door, qos: int) -> None:
    scanner = door.client("scan-1")
    scanner.receive(publish_packet(PACK, b"first", qos=qos, packet_id=5))
    scanner.receive(publish_packet(PACK, b"sent before", qos=qos, packet_id=6, dup=True))
    assert [(i.payload, i.dup) for i in door.pipeline.offered] == [(b"first", False), (b"sent before", True)]


def test_what_a_clean_session_left_behind_is_not_answered_in_the_next(door: Door) -> None:
    before = door.client("scan-1")
    before.receive(publish_packet(PACK, b"first", qos=2, packet_id=5))
    before.lost()
    scanner = door.client("scan-1")
    door.pipeline.commit()
    assert heard(scanner) == []
    scanner.receive(publish_packet(PACK, b"next", qos=2, packet_id=5))
    assert door.pipeline.payloads == [b"first", b"next"]


# --- packets that end too early -------------------------------------------------------------------------------------------

BODIES = {
    "SUBSCRIBE": (0x82, b"\0\1" + text("v1/a") + b"\1"),
    "UNSUBSCRIBE": (0xA2, b"\0\1" + text("v1/a")),
}
FLAGS_ALL = b"\4\xee\0\x3c"
"""MQTT 3.1.1, with a username, a password and a retained will at QoS 1, in a clean session."""
CONNECT_BODY = text("MQTT") + FLAGS_ALL + text("scan-1") + text(TOPICS.presence("scan-1")) + text(b"gone") + text("scan-1") + text("secret")

GARBLED = {
    "a filter that is not UTF-8": frame(0x82, b"\0\1" + text(b"v1/\xff") + b"\1"),
    "half of a surrogate pair in a filter": frame(0x82, b"\0\1" + text(b"v1/\xed\xa0\x80") + b"\1"),
    "a second filter that is cut off": frame(0x82, b"\0\1" + text("v1/a") + b"\1" + b"\0\x20v1/b"),
    "a second filter without its QoS": frame(0x82, b"\0\1" + text("v1/a") + b"\1" + text("v1/b")),
    "a second UNSUBSCRIBE filter that is cut off": frame(0xA2, b"\0\1" + text("v1/a") + b"\0\x20v1/b"),
    "an UNSUBSCRIBE filter that is not UTF-8": frame(0xA2, b"\0\1" + text(b"v1/\xff")),
    "a topic name that is not UTF-8": publish_packet(b"v1/\xff", b""),
}

GARBLED_CONNECTS = {
    "a client id that is not UTF-8": text("MQTT") + b"\4\2\0\x3c" + text(b"\xff\xfe"),
    "no client id": text("MQTT") + b"\4\2\0\x3c",
    "a client id that is cut off": text("MQTT") + b"\4\2\0\x3c" + b"\0\x20ab",
    "a username that is not UTF-8": text("MQTT") + b"\4\x82\0\x3c" + text("a") + text(b"\xff"),
    "half of a surrogate pair in a username": text("MQTT") + b"\4\x82\0\x3c" + text("a") + text(b"\xed\xa0\x80"),
    "a will that is cut off": text("MQTT") + b"\4\x06\0\x3c" + text("a") + text("t") + b"\0\x20x",
    "a will topic that is not UTF-8": text("MQTT") + b"\4\x06\0\x3c" + text("a") + text(b"\xff") + text("x"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_packet_that_is_cut_off_anywhere_closes_its_connection(door: Door, kind: str) -> None:
    first, body = BODIES[kind]
    for end in range(len(body)):
        client = door.client("scan-1")
        client.receive(frame(first, body[:end]))
        assert (client.state, heard(client)) == (State.CLOSED, []), body[:end]
    assert door.front.counters.protocol_errors == len(body)
    whole = door.client("scan-1")
    whole.receive(frame(first, body))
    assert (whole.state, len(heard(whole))) == (State.OPEN, 1)


def test_a_connect_that_is_cut_off_anywhere_is_closed_without_an_answer(door: Door) -> None:
    for end in range(len(CONNECT_BODY)):
        stranger = door.stranger()
        stranger.receive(frame(0x10, CONNECT_BODY[:end]))
        assert (stranger.state, heard(stranger)) == (State.CLOSED, []), CONNECT_BODY[:end]
    whole = door.stranger()
    whole.receive(frame(0x10, CONNECT_BODY))
    assert whole.state is State.AUTHENTICATING


@pytest.mark.parametrize("packet", GARBLED.values(), ids=GARBLED.keys())
def test_a_garbled_packet_closes_its_connection_and_no_other(door: Door, packet: bytes) -> None:
    neighbour, client = door.client("scan-2"), door.client("scan-1")
    client.receive(packet)
    assert (client.state, heard(client)) == (State.CLOSED, [])
    assert (neighbour.state, door.front.counters.protocol_errors) == (State.OPEN, 1)


@pytest.mark.parametrize("body", GARBLED_CONNECTS.values(), ids=GARBLED_CONNECTS.keys())
def test_a_garbled_connect_is_closed_without_an_answer(door: Door, body: bytes) -> None:
    stranger = door.stranger()
    stranger.receive(frame(0x10, body))
    assert (stranger.state, heard(stranger)) == (State.CLOSED, [])


# --- time -----------------------------------------------------------------------------------------------------------------


def test_a_connection_that_we_do_not_read_from_is_not_closed_for_its_silence(door: Door) -> None:
    client = door.client("scan-1")
    client.pause(paused=True)
    door.after(10 * KEEP_ALIVE_S)
    assert client.state is State.OPEN
    client.pause(paused=False)
    door.after(1.5 * KEEP_ALIVE_S)
    assert client.state is State.OPEN, "its silence counts from when it is read again"
    door.after(1)
    assert client.state is State.CLOSED


def test_bytes_that_drip_in_do_not_extend_the_time_to_say_connect() -> None:
    door = Door(connect_timeout_s=5.0)
    stranger = door.stranger()
    for byte in connect_packet("scan-1", "scan-1", "secret")[:5]:
        stranger.receive(bytes((byte,)))
        door.after(1)
    assert stranger.state is State.NEW
    door.after(0.1)
    assert (stranger.state, heard(stranger)) == (State.CLOSED, [])


def test_a_connection_that_ends_while_its_password_is_checked_keeps_nothing_of_what_it_sent(door: Door) -> None:
    stranger = door.stranger()
    stranger.receive(connect_packet("scan-1", "scan-1", "secret") + publish_packet(PACK, bytes(100_000)))
    stranger.lost()
    assert (stranger.state, len(stranger._buffer)) == (State.CLOSED, 0)


def test_b1_a_few_packets_of_a_client_that_hung_up_are_kept_until_its_password_has_been_checked(door: Door) -> None:
    stranger = door.stranger()
    stranger.receive(connect_packet("scan-1", "scan-1", "secret") + publish_packet(PACK, bytes(10_000)))
    stranger.lost()
    assert (stranger.state, len(stranger._buffer) > 10_000) == (State.AUTHENTICATING, True)
    stranger.authenticated(None)
    assert (stranger.state, len(stranger._buffer), door.pipeline.offered) == (State.CLOSED, 0, [])


# --- messages that need no store ------------------------------------------------------------------------------------------


def test_a_message_that_nothing_keeps_is_acknowledged_at_once_and_never_overtakes_one_that_is_kept(door: Door) -> None:
    gear = door.stranger()
    gear.receive(connect_packet("gear", "gear", "secret"))
    gear.authenticated(GEAR)
    heard(gear)
    gear.receive(publish_packet("lab/a", b"behind others", packet_id=1))
    assert (len(door.pipeline.offered), heard(gear)) == (1, [])
    door.pipeline.is_idle = True
    gear.receive(publish_packet("lab/a", b"kept", packet_id=2, retain=True) + publish_packet("lab/a", b"exactly once", packet_id=3, qos=2))
    assert (len(door.pipeline.offered), heard(gear)) == (3, [])
    gear.receive(publish_packet("lab/a", b"let go", packet_id=4))
    assert (len(door.pipeline.offered), heard(gear)) == (3, [(packets.PUBACK, b"\0\4")])
    reader = door.stranger()
    reader.receive(connect_packet("reader", "gear", "secret", clean=False))
    reader.authenticated(GEAR)
    reader.receive(subscribe_packet([("lab/+", 1)]))
    gear.receive(publish_packet("lab/a", b"owed", packet_id=5))
    assert (len(door.pipeline.offered), heard(gear)) == (4, [])


# --- what would grow ------------------------------------------------------------------------------------------------------


def test_a_will_is_retained_only_where_there_is_room_and_is_published_all_the_same() -> None:
    door = Door(retained_max=2)
    for number in range(3):
        gear = door.stranger()
        gear.receive(connect_packet("gear", "gear", "secret", will=(f"lab/{number}", b"gone"), will_retain=True))
        gear.authenticated(GEAR)
        gear.lost()
        for left in door.pipeline.offered[number:]:
            door.front.publish(Message(left.topic, left.payload, left.qos, left.retain))
    assert [(o.topic, o.retain) for o in door.pipeline.offered] == [("lab/0", True), ("lab/1", True), ("lab/2", False)]
    assert (len(door.front.retained), door.front.counters.denied) == (2, 1)


@pytest.mark.parametrize("stays", [True, False], ids=["it waits", "it hangs up"])
@pytest.mark.parametrize("limit", ["sessions_per_device_max", "sessions_max"])
def test_sessions_that_are_still_being_stored_count_towards_the_limit(limit: str, stays: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    door = Door(**{limit: 2})
    waiting: list[Change] = []
    monkeypatch.setattr(door.pipeline, "change", waiting.append)
    clients = [door.stranger() for _ in range(3)]
    for number, client in enumerate(clients):
        client.receive(connect_packet(f"c{number}", "scan-1", "secret", clean=False))
        client.authenticated(IDENTITIES["scan-1"])
        assert client.state is (State.OPENING if number < 2 else State.CLOSED)
        if not stays:
            client.lost()
    assert heard(clients[2]) == [(packets.CONNACK, b"\0\3")]
    for number, change in enumerate(waiting, 1):
        change.done(number)
    assert len(door.front.sessions) == 2


@pytest.mark.parametrize("packet", [subscribe_packet([("v1/a", 1)] * 1_001), unsubscribe_packet(["v1/a"] * 1_001)], ids=["SUBSCRIBE", "UNSUBSCRIBE"])
def test_a_packet_of_thousands_of_filters_is_not_read_to_its_end(door: Door, packet: bytes) -> None:
    client = door.client("scan-1")
    client.receive(packet)
    assert (client.state, door.front.counters.protocol_errors) == (State.CLOSED, 1)
    assert client.why_closed is not None
    assert "1000 filters" in client.why_closed


def test_whoever_subscribes_all_the_time_is_read_more_slowly() -> None:
    door = Door(publish_rate_max=100)
    client = door.client("scan-1")
    client.receive(subscribe_packet([("v1/a", 1)] * 150))
    assert client.throttle_s() == 0
    client.receive(unsubscribe_packet(["v1/a"] * 150))
    assert client.throttle_s() == pytest.approx(1.0)


# --- many retained messages -----------------------------------------------------------------------------------------------

WINDOW = 64
ORDERS = 3_000


@pytest.fixture
def busy() -> Door:
    """A door with thousands of retained statuses."""
    door = Door(window=WINDOW)
    for number in range(ORDERS):
        door.front.publish(Message(TOPICS.status(f"PO-{number}"), b"x", 1, True))
    return door


def topics(connection: Connection) -> list[str]:
    """The topics of the PUBLISH packets that a client was sent since the last call."""
    return [body[2 : 2 + int.from_bytes(body[:2], "big")].decode() for kind, body in heard(connection) if kind == packets.PUBLISH]


def test_thousands_of_retained_qos_0_messages_are_sent_in_portions(busy: Door) -> None:
    desk = busy.client("desk")
    desk.receive(subscribe_packet([(TOPICS.base + "/orders/#", 0)]))
    portions = [topics(desk)]
    while desk.has_more:
        desk.send_more()
        portions.append(topics(desk))
    assert max(map(len, portions)) <= WINDOW
    sent = [topic for portion in portions for topic in portion]
    assert len(sent) == ORDERS
    assert set(sent) == {TOPICS.status(f"PO-{number}") for number in range(ORDERS)}


def test_at_qos_1_it_is_the_acknowledgements_that_bring_more(busy: Door) -> None:
    desk = busy.client("desk")
    desk.receive(subscribe_packet([(TOPICS.base + "/orders/#", 1)]))
    assert len(topics(desk)) == WINDOW
    assert not desk.has_more
    desk.send_more()
    assert topics(desk) == []
    desk.receive(b"\x40\x02\0\1")
    assert len(topics(desk)) == 1


def test_a_client_that_left_is_sent_nothing_more(busy: Door) -> None:
    desk = busy.client("desk")
    desk.receive(subscribe_packet([(TOPICS.base + "/orders/#", 0)]))
    heard(desk)
    desk.receive(b"\xe0\x00")
    assert not desk.has_more
    desk.send_more()
    assert heard(desk) == []


# --- B1: a client that has hung up before it was let in ---------------------------------------------------------------------


def test_b1_a_login_that_ends_after_its_client_hung_up_takes_nothing_from_the_connection_on_which_it_came_back(door: Door) -> None:
    brief = door.stranger()
    brief.receive(connect_packet("scan-1", "scan-1", "secret") + publish_packet(PACK, b"early", packet_id=7))
    brief.lost()
    back = door.client("scan-1")
    brief.authenticated(IDENTITIES["scan-1"])
    assert (brief.state, back.state) == (State.CLOSED, State.OPEN)
    assert heard(back) == []


def test_b1_a_client_that_hung_up_with_nothing_behind_its_connect_is_gone_at_once(door: Door) -> None:
    brief = door.stranger()
    brief.receive(connect_packet("scan-1", "scan-1", "secret"))
    brief.lost()
    assert brief.state is State.CLOSED


# --- B5: a login while the store is behind ----------------------------------------------------------------------------------


def test_b5_a_login_waits_until_a_flood_is_over(door: Door) -> None:
    door.pipeline.is_full = True
    connection = door.stranger()
    connection.receive(connect_packet("scan-1", "scan-1", "secret") + publish_packet(PACK, b"early", packet_id=7))
    door.after(1)
    assert (connection.state, heard(connection), door.begun) == (State.AUTHENTICATING, [], [])
    door.pipeline.is_full = False
    door.front.begin_logins()
    assert door.begun == [connection]
    connection.authenticated(IDENTITIES["scan-1"])
    door.pipeline.commit()
    assert [kind for kind, _ in heard(connection)] == [packets.CONNACK, packets.PUBACK]
    door.front.begin_logins()
    assert door.begun == [connection], "once"


def test_b5_a_client_that_hangs_up_while_it_waits_is_forgotten(door: Door) -> None:
    door.pipeline.is_full = True
    connection = door.stranger()
    connection.receive(connect_packet("scan-1", "scan-1", "secret"))
    connection.lost()
    door.front.begin_logins()
    assert (door.begun, door.front.waiting) == ([], {})


# --- two programs with one client id ----------------------------------------------------------------------------------------


def test_o15_two_programs_with_one_client_id_are_counted_said_and_an_alert_until_they_stop(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    for taken_over in range(TAKEOVERS):
        assert door.pipeline.alarms == []
        door.client("scan-1")
        door.client("scan-1") if not taken_over else None
        door.after(1)
    assert door.front.counters.taken_over == TAKEOVERS
    assert [(a.code, a.subject, bool(a.text)) for a in door.pipeline.alarms] == [("client_id", "scan-1", True)]
    assert "two programs use one client id, of 'scan-1'" in caplog.text
    door.client("scan-1")
    assert len(door.pipeline.alarms) == 1, "once"
    door.after(CALM_S - 1)
    assert len(door.pipeline.alarms) == 1
    door.after(1)
    assert [(a.code, a.subject, bool(a.text)) for a in door.pipeline.alarms[1:]] == [("client_id", "scan-1", False)]


def test_o15_a_client_that_comes_back_now_and_then_has_no_rival(door: Door) -> None:
    for _ in range(3 * TAKEOVERS):
        door.client("scan-1")
        door.after(WITHIN_S / (TAKEOVERS - 2))
    assert door.pipeline.alarms == []


# --- packets that are too large ---------------------------------------------------------------------------------------------


def test_f4_a_device_that_sends_too_large_a_packet_is_remembered(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """An outbox-first client sends it again with each connection."""
    most = door.front.limits.packet_bytes_max
    for _ in range(3):
        client = door.client("scan-1")
        client.receive(b"\x32" + packets.remaining_length(most + 1))
        assert client.state is State.CLOSED
        door.after(60)
    assert door.front.counters.too_large == 3
    (alarm,) = door.pipeline.alarms
    assert (alarm.code, alarm.subject) == ("packet_size", "scan-1")
    assert f"the server takes {most:,} at most" in alarm.text
    assert "broker.packet_bytes_max" in caplog.text
    door.after(oversized.CALM_S)
    assert [(a.code, a.subject, bool(a.text)) for a in door.pipeline.alarms[1:]] == [("packet_size", "scan-1", False)]


def test_f4_who_is_not_logged_in_raises_no_alert(door: Door) -> None:
    door.stranger().receive(b"\x10\xff\xff\xff\x7f")
    assert door.pipeline.alarms == []


# --- clients of another protocol --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "said"),
    [(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS handshake"), (b"GET /mqtt HTTP/1.1\r\nHost: bridge" + b" " * 80, "it begins with HTTP")],
)
def test_a_client_on_the_wrong_port_is_told_apart_in_the_log(door: Door, caplog: pytest.LogCaptureFixture, first: bytes, said: str) -> None:
    stranger = door.stranger()
    stranger.receive(first)
    assert stranger.state is State.CLOSED
    assert said in caplog.text
