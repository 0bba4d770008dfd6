"""Failures of a plain amqtt broker, each with the test that shows the right result here.

Every row was tried against amqtt 0.12.1 with a real client. `ROWS` names the test of each; those that have no test elsewhere have it here.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from conformance.lab import REFUSED, Lab
from conformance.test_statements import exists
from helpers.events import TOPICS
from helpers.mqtt import PUBACK, PUBLISH, PUBREC, SUBACK, MqttWire, Packet, publish_packet, subscribe_packet, unsubscribe_packet
from helpers.server import Server
from helpers.site import Site
from unit.test_connections_that_repeat_stall_and_break import Door, heard
from unit.test_logins import Remembered

from bridge.broker.codec import v311 as packets
from bridge.broker.logins import DELAY_MAX_S, NAME_CHARS_MAX, NAMES_MAX, Logins
from bridge.broker.state import State
from bridge.ingest.items import Message
from devices.protocol.vocabulary import AlertCode, Role

HERE: Final = "test_amqtt_findings.py"
FRONT_DOOR: Final = "scenarios/test_front_door.py"

ROWS: Final = {
    # --- delivery
    "a publish is acknowledged before it is stored": f"{FRONT_DOOR}::test_a_publish_is_acknowledged_once_it_is_stored_and_not_before",
    "an unacknowledged delivery is lost with its connection": "test_sessions.py::test_what_was_not_acknowledged_is_sent_again_with_its_id_and_dup",
    "an unacknowledged delivery is dropped after seconds": f"{HERE}::test_a_delivery_waits_for_its_acknowledgement_for_as_long_as_it_takes",
    "a session that is taken over receives no messages": "test_sessions.py::test_a_session_that_is_taken_over_goes_on_at_once",
    "a clean session is used again": "test_sessions.py::test_after_a_clean_session_the_same_id_gets_a_session_that_lasts",
    "more is acknowledged than is delivered": f"{HERE}::test_what_many_clients_publish_is_delivered_as_fast_as_it_is_acknowledged",
    "a client that never acknowledges is sent all messages": f"{FRONT_DOOR}::test_no_more_than_a_window_is_in_flight_and_an_acknowledgement_makes_room",
    "the queue of an offline client has no limit": f"{HERE}::test_what_waits_for_a_client_that_is_away_is_bounded_and_its_loss_is_an_alert",
    "messages for an offline client never expire": f"{HERE}::test_what_has_waited_for_too_long_is_let_go_and_told",
    "messages are not delivered at the lower QoS": "test_subscribe.py::test_a_message_is_delivered_at_the_lower_of_the_two_qos",
    "subscribing again keeps the old QoS": "test_subscribe.py::test_subscribing_to_the_same_filter_replaces_its_qos",
    "a second PUBREL is not answered": "test_publish.py::test_pubrel_is_answered_as_often_as_it_comes",
    "a half-finished flow delays all messages": f"{HERE}::test_a_flow_that_was_half_way_delays_nothing",
    "overlapping filters deliver twice": "test_publish.py::test_overlapping_subscriptions_deliver_once",
    "shared filters are granted and never matched": f"{HERE}::test_a_shared_filter_is_refused",
    "messages for an offline session are lost when the server is killed": f"{HERE}::test_what_an_offline_session_is_owed_survives_a_kill",
    "retained messages are lost when the server is killed": f"{HERE}::test_what_is_retained_survives_a_kill",
    "acknowledged messages are delivered again after a restart": f"{HERE}::test_what_was_acknowledged_is_not_delivered_again_after_a_restart",
    "removed subscriptions are back after a restart": f"{HERE}::test_what_was_unsubscribed_stays_so_after_a_kill",
    # --- safety
    "a publish is accepted before the password is checked": f"{FRONT_DOOR}::test_nothing_is_taken_before_connack",
    "a client with a wrong password ends another client's session": f"{FRONT_DOOR}::test_a_wrong_password_with_somebody_elses_client_id_touches_nothing",
    "a client id can be used by any identity": f"{FRONT_DOOR}::test_a_wrong_password_with_somebody_elses_client_id_touches_nothing",
    "retained messages are sent to clients that did not subscribe": "test_retained.py::test_a_client_that_has_not_subscribed_is_sent_nothing",
    "a filter that matches more than is allowed is granted": f"{FRONT_DOOR}::test_a_filter_is_granted_only_if_everything_that_it_can_match_is_allowed",
    "a forbidden publish is acknowledged and silently dropped": (
        f"{FRONT_DOOR}::test_what_is_not_allowed_is_refused_aloud_with_a_receipt_an_acknowledgement_and_one_alert"
    ),
    "a packet of any size is accepted": "test_errors.py::test_a_packet_over_our_limit_closes_the_connection_before_it_has_come_whole",
    "a silent connection stays open": f"{FRONT_DOOR}::test_a_connection_that_never_says_connect_is_closed",
    "a client that falls silent stays connected": f"{FRONT_DOOR}::test_a_client_that_falls_silent_is_closed_and_its_will_is_published",
    "a connection that was taken over stays open": "test_connect.py::test_a_second_connection_of_a_client_closes_the_first",
    "after a publish to a $ topic later ones are dropped": f"{HERE}::test_a_publish_to_a_dollar_topic_is_refused_and_told",
    "after a publish to an empty topic later ones are dropped": "test_topics.py::test_a_topic_name_that_is_empty_or_has_a_wildcard_closes_the_connection",
    "packets inside a payload are processed": f"{FRONT_DOOR}::test_a_malformed_packet_closes_its_connection_and_nothing_else",
    "an UNSUBSCRIBE is not stored": f"{HERE}::test_what_was_unsubscribed_stays_so_after_a_kill",
    "a plain listener beside one with TLS uses TLS too": "scenarios/test_tls.py::test_a_plain_listener_beside_a_tls_one_stays_plain",
    "a plain listener is open to the network": "unit/test_config.py::test_outside_loopback_without_tls_is_refused_unless_the_operator_insists",
    "failed logins stay in memory": f"{HERE}::test_failed_logins_are_slowed_down_and_kept_within_a_bound",
    "malformed packets are acknowledged, or end in a traceback": f"{FRONT_DOOR}::test_a_malformed_packet_closes_its_connection_and_nothing_else",
    "one client's SUBACK waits for the retained messages of all clients": f"{HERE}::test_a_suback_does_not_wait_for_what_others_retain_and_subscribe_to",
    "routing breaks while clients come and go": f"{HERE}::test_clients_come_and_go_while_messages_are_routed",
    "a client of another MQTT version gets no return code": f"{FRONT_DOOR}::test_other_versions_of_mqtt_are_refused_with_their_code",
}
"""What went wrong, and the test which shows that it does not happen here."""


@pytest.mark.parametrize(("row", "test"), ROWS.items(), ids=ROWS.keys())
def test_every_row_has_a_test_that_exists(row: str, test: str) -> None:
    assert exists(test), f"{row}: {test}"


# --- delivery -----------------------------------------------------------------------------------------------------------------


def test_a_delivery_waits_for_its_acknowledgement_for_as_long_as_it_takes() -> None:
    """Without a socket, because a day passes."""
    door = Door()
    desk = door.client("desk")
    desk.receive(subscribe_packet([(f"{TOPICS.base}/orders/#", 1)]))
    heard(desk)
    door.front.publish(Message(TOPICS.status("PO-1"), b"x", 1, False))
    ((kind, body),) = heard(desk)
    assert kind == packets.PUBLISH
    session = desk.session
    assert session is not None
    for _ in range(24 * 60):
        door.after(59)
        desk.receive(b"\xc0\0")
    assert {kind for kind, _ in heard(desk)} == {packets.PINGRESP}, "nothing is sent again while the connection lasts"
    assert session.in_flight == 1
    end = 2 + int.from_bytes(body[:2], "big")
    desk.receive(b"\x40\x02" + body[end : end + 2])
    assert (desk.state, session.in_flight) == (State.OPEN, 0)


def test_what_many_clients_publish_is_delivered_as_fast_as_it_is_acknowledged(lab: Lab) -> None:
    clients, each = 20, 50
    listener = lab.listener(lab.topic("#"), qos=1)
    speakers = [lab.client(f"s{i}") for i in range(clients)]
    for i, speaker in enumerate(speakers):
        speaker.send(b"".join(publish_packet(lab.topic(str(i)), str(n).encode(), packet_id=n) for n in range(1, each + 1)))
    for speaker in speakers:
        assert [speaker.expect(PUBACK).packet_id for _ in range(each)] == list(range(1, each + 1))
    heard_by_topic: dict[str, list[bytes]] = {}
    for packet in lab.heard(listener):
        heard_by_topic.setdefault(packet.topic, []).append(packet.payload)
    assert heard_by_topic == {lab.topic(str(i)): [str(n).encode() for n in range(1, each + 1)] for i in range(clients)}


def test_what_waits_for_a_client_that_is_away_is_bounded_and_its_loss_is_an_alert(tmp_path: Path) -> None:
    kept, sent = 20, 50
    with Site(tmp_path / "site", broker={"session_queue_max": kept, "window": 5}) as site:
        site.enrol("desk", Role.DESK)
        for device in ("gear", "panel"):
            site.enrol(device, Role.LAB)
        with site.client("panel", clean=False) as panel:
            panel.subscribe("plant/#")
        with site.client("desk") as desk, site.client("gear") as gear:
            desk.subscribe(f"{TOPICS.base}/alerts/#")
            for i in range(sent):
                gear.publish("plant/temperature", str(i).encode(), packet_id=i + 1, retain=True)
                assert gear.expect(PUBACK).packet_id == i + 1
            assert desk.receive().topic == TOPICS.alert(AlertCode.DROPPED, "panel")
        with site.client("panel", clean=False) as panel:
            assert panel.session_present
            owed = [panel.receive() for _ in range(kept)]
            assert [p.payload for p in owed] == [str(i).encode() for i in range(sent - kept, sent)]
            assert not any(p.retain for p in owed)
            assert panel.ping() == []


def test_what_has_waited_for_too_long_is_let_go_and_told(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        site.enrol("desk", Role.DESK)
        for device in ("gear", "panel"):
            site.enrol(device, Role.LAB)
        with site.client("panel", clean=False) as panel:
            panel.subscribe("plant/#")
        with site.client("desk") as desk, site.client("gear") as gear:
            desk.subscribe(f"{TOPICS.base}/alerts/#")
            gear.publish("plant/temperature", b"old")
            assert gear.expect(PUBACK).packet_id == 1
            keep_house(site, in_days=6)
            assert desk.ping() == []
            keep_house(site, in_days=8)
            assert desk.receive().topic == TOPICS.alert(AlertCode.DROPPED, "panel")
        with site.client("panel", clean=False) as panel:
            assert panel.session_present
            assert panel.ping() == []


def keep_house(site: Site, *, in_days: int) -> None:
    """Runs the server's periodic work as if it were later."""
    broker = site.app.broker
    assert broker is not None
    site.on_loop(lambda: broker.door.keep_house(site.now_ms() + in_days * 86_400_000))


def test_a_flow_that_was_half_way_delays_nothing(lab: Lab) -> None:
    topic = lab.topic("a")
    with lab.client(clean=False) as client:
        client.publish(topic, b"x", qos=2, packet_id=5)
        assert client.expect(PUBREC).packet_id == 5
        assert client.ask((topic, 2)) == [2]
        lab.say(topic, b"y", qos=2)
        client.expect(PUBLISH)
    began_s = time.monotonic()
    client = lab.client(clean=False)
    assert client.ask((lab.topic("b"), 1)) == [1]
    assert time.monotonic() - began_s < 2.0


def test_a_shared_filter_is_refused(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        site.enrol("panel", Role.LAB)
        with site.client("panel") as panel:
            assert panel.subscribe("$share/group/plant/#", "plant/#") == [REFUSED, 1]


# --- a server that is killed --------------------------------------------------------------------------------------------------


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Server]:
    """A server with two devices outside `v1/`: `gear` publishes, `panel` subscribes."""
    server = Server(tmp_path / "site")
    server.enrol(Role.LAB, "gear", "panel")
    with server:
        yield server


def publish(served: Server, topic: str, *payloads: bytes, qos: int = 1, retain: bool = False) -> None:
    """`gear` publishes; returns when all messages are acknowledged."""
    with served.client("gear") as gear:
        gear.send(b"".join(publish_packet(topic.format(i), p, qos=qos, packet_id=i, retain=retain) for i, p in enumerate(payloads, 1)))
        for i in range(1, len(payloads) + 1):
            assert gear.expect(PUBACK if qos == 1 else PUBREC).packet_id == i


def take(wire: MqttWire, count: int) -> list[Packet]:
    """The next messages, each acknowledged; checks that no others follow."""
    heard = [wire.receive() for _ in range(count)]
    assert wire.ping() == []
    return heard


PAYLOADS: Final = [b"\xa1\x61n\x19" + i.to_bytes(2, "big") if i % 2 else str(i).encode() for i in range(500)]
"""Half of them are CBOR, which is not text."""


def test_what_an_offline_session_is_owed_survives_a_kill(served: Server) -> None:
    with served.client("panel", clean=False) as panel:
        assert panel.subscribe("plant/#") == [1]
    publish(served, "plant/counter", *PAYLOADS)
    served.restart(signal.SIGKILL)
    with served.client("panel", clean=False) as panel:
        assert panel.session_present
        heard = take(panel, len(PAYLOADS))
    assert [p.payload for p in heard] == PAYLOADS
    assert not any(p.retain for p in heard)


def test_what_is_retained_survives_a_kill(served: Server) -> None:
    publish(served, "plant/{}", *PAYLOADS, retain=True)
    served.restart(signal.SIGKILL)
    with served.client("panel", clean=True) as panel:
        assert panel.subscribe("plant/#") == [1]
        heard = take(panel, len(PAYLOADS))
    assert {p.topic: p.payload for p in heard} == {f"plant/{i}": payload for i, payload in enumerate(PAYLOADS, 1)}
    assert all(p.retain for p in heard)


def test_what_was_acknowledged_is_not_delivered_again_after_a_restart(served: Server) -> None:
    with served.client("panel", clean=False) as panel:
        assert panel.subscribe("plant/#") == [1]
        publish(served, "plant/counter", *PAYLOADS[:50])
        take(panel, 50)
    served.restart()
    publish(served, "plant/counter", b"next")
    with served.client("panel", clean=False) as panel:
        assert panel.session_present
        assert [p.payload for p in take(panel, 1)] == [b"next"]


def test_what_was_unsubscribed_stays_so_after_a_kill(served: Server) -> None:
    with served.client("panel", clean=False) as panel:
        assert panel.subscribe("plant/#", "dock/#") == [1, 1]
        panel.send(unsubscribe_packet(["plant/#"], 9))
        assert panel.expect(packets.UNSUBACK).packet_id == 9
    served.restart(signal.SIGKILL)
    publish(served, "plant/counter", b"gone")
    publish(served, "dock/counter", b"here")
    with served.client("panel", clean=False) as panel:
        assert panel.session_present
        assert [p.topic for p in take(panel, 1)] == ["dock/counter"]


# --- safety -------------------------------------------------------------------------------------------------------------------


def test_a_publish_to_a_dollar_topic_is_refused_and_told(tmp_path: Path) -> None:
    with Site(tmp_path / "site") as site:
        site.enrol("gear", Role.LAB)
        with site.client("gear") as gear:
            gear.publish("$SYS/uptime", b"forged", retain=True)
            assert [p for p in gear.expect_closed() if p.kind == PUBACK] == []
        with site.client("scan-1") as scanner:
            scanner.subscribe(TOPICS.receipts("scan-1"))
            scanner.publish("$SYS/uptime", b"forged", packet_id=7)
            assert scanner.receive().plain["reason"] == "forbidden"
            assert scanner.expect(PUBACK).packet_id == 7
            scanner.publish(TOPICS.event("scan-1", "shift_started"), site.event("scan-1", 1, None, {"worker": "w-17"}), packet_id=8)
            assert scanner.receive().plain["outcome"] == "applied"
            assert scanner.expect(PUBACK).packet_id == 8


def test_failed_logins_are_slowed_down_and_kept_within_a_bound() -> None:
    """Without a socket, because by then all of them wait."""
    logins = Logins(Remembered(), unknown_names_max=100)
    for i in range(3 * NAMES_MAX):
        logins.failed(f"nobody-{i}", "203.0.113.7", now_s=float(i) / 100, now_ms=i * 10)
    logins.failed("n" * 65_535, "203.0.113.7", now_s=3 * NAMES_MAX / 100, now_ms=0)
    assert len(logins.of_names()) <= NAMES_MAX
    assert max(map(len, logins.of_names())) <= NAME_CHARS_MAX
    brake = logins.brake("nobody", "203.0.113.7", 3 * NAMES_MAX / 100)
    assert brake is not None
    assert brake.delay_s == DELAY_MAX_S
    assert logins.brake("nobody", "203.0.113.8", 3 * NAMES_MAX / 100) is None


def test_a_suback_does_not_wait_for_what_others_retain_and_subscribe_to() -> None:
    retained, subscriptions, limit_s = 5_000, 200, 0.1
    door = Door(subscriptions_max=subscriptions)
    for i in range(retained):
        door.front.publish(Message(TOPICS.status(f"PO-{i}"), b"x", 1, True))
    others = door.client("desk")
    others.receive(b"".join(subscribe_packet([(TOPICS.status(f"PO-{i}"), 1)], i + 1) for i in range(subscriptions)))
    began_s = time.perf_counter()
    scanner = door.client("scan-1")
    scanner.receive(subscribe_packet([(TOPICS.receipts("scan-1"), 1)]))
    assert [kind for kind, _ in heard(scanner)] == [packets.SUBACK]
    assert time.perf_counter() - began_s < limit_s


def test_clients_come_and_go_while_messages_are_routed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rounds, messages = 30, 300
    with Site(tmp_path / "site") as site:
        for device in ("gear", "panel", *(f"guest{i}" for i in range(3))):
            site.enrol(device, Role.LAB)

        def come_and_go(device: str) -> None:
            for n in range(rounds):
                with site.client(device, clean=bool(n % 2)) as guest:
                    guest.send(subscribe_packet([("plant/#", 1), (f"plant/{n}", 0)], 1))
                    while (packet := guest.read()) is not None and packet.kind != SUBACK:
                        pass

        guests = [threading.Thread(target=come_and_go, args=(f"guest{i}",)) for i in range(3)]
        with site.client("panel") as panel, site.client("gear") as gear:
            panel.subscribe("plant/#")
            for guest in guests:
                guest.start()
            for i in range(messages):
                gear.publish(f"plant/{i % rounds}", str(i).encode(), packet_id=i + 1)
                assert gear.expect(PUBACK).packet_id == i + 1
                assert panel.receive().payload == str(i).encode()
            for guest in guests:
                guest.join()
            assert panel.ping() == []
    assert [r.getMessage() for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR] == []
