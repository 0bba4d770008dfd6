"""Clients that connect over MQTT, well-behaved or not: what is acknowledged is stored, what is owed is delivered, and what is not allowed is refused visibly.

All tests use real sockets and the real server, packet by packet.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.events import TOPICS, event, event_id
from helpers.mqtt import (
    CONNACK,
    PUBACK,
    PUBCOMP,
    PUBLISH,
    PUBREC,
    PUBREL,
    SUBSCRIBE,
    UNSUBACK,
    UNSUBSCRIBE,
    MqttWire,
    Packet,
    connect_packet,
    frame,
    publish_packet,
    subscribe_packet,
    text,
)
from helpers.site import Site
from helpers.waiting import DEADLINE_S
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage

from bridge.operations import devices
from devices.protocol.messages import BOOT_UNKNOWN, encode_cbor
from devices.protocol.vocabulary import Role

REFUSED = 0x80
PACK = TOPICS.event("scan-1", "pack")
RECEIPTS = TOPICS.receipts("scan-1")
PRESENCE = TOPICS.presence("scan-1")
GONE = encode_cbor({"online": False, "boot": b"boot-one"})
STATUSES = f"{TOPICS.base}/orders/+/status"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site") as served:
        yield served


@pytest.fixture
def desk(site: Site) -> Iterator[MqttWire]:
    site.enrol("desk", Role.DESK)
    with site.client("desk") as wire:
        yield wire


@pytest.fixture
def scanner(site: Site) -> Iterator[MqttWire]:
    with site.client("scan-1") as wire:
        yield wire


def stored(site: Site, device: str = "scan-1") -> list[int]:
    return [seq for (seq,) in site.rows("SELECT seq FROM events WHERE device = ? ORDER BY pos", device)]


class locked:  # noqa: N801 -- reads as `with locked(site):`
    """Another process locks the database: meanwhile the server can't write."""

    def __init__(self, site: Site) -> None:
        self._connection = sqlite3.connect(site.directory / "dockbridge.db", isolation_level=None)

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


# --- messages in --------------------------------------------------------------------------------------------------------------


def test_a_publish_is_acknowledged_once_it_is_stored_and_not_before(site: Site, scanner: MqttWire) -> None:
    site.create("PO-1")
    with locked(site):
        scanner.publish(PACK, site.event("scan-1", 1, "PO-1"), packet_id=7)
        scanner.publish(PACK, site.event("scan-1", 2, "PO-1"), qos=2, packet_id=8)
        assert scanner.ping() == []
        assert stored(site) == []
    assert scanner.expect(PUBACK).packet_id == 7
    assert scanner.expect(PUBREC).packet_id == 8
    assert stored(site) == [1, 2]


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_an_event_counts_at_every_qos(site: Site, scanner: MqttWire, qos: int) -> None:
    site.create("PO-1")
    assert scanner.subscribe(RECEIPTS) == [1]
    scanner.publish(PACK, site.event("scan-1", 1, "PO-1"), qos=qos, packet_id=9)
    receipt = scanner.receive().plain
    assert (receipt["outcome"], receipt["order"], receipt["state"]) == ("applied", "PO-1", "packed")
    if qos == 1:
        assert scanner.expect(PUBACK).packet_id == 9
    elif qos == 2:
        assert scanner.expect(PUBREC).packet_id == 9
        scanner.answer(PUBREL, 9)
        assert scanner.expect(PUBCOMP).packet_id == 9


def test_acknowledgements_come_in_the_order_of_the_publishes(site: Site, scanner: MqttWire) -> None:
    site.create("PO-1")
    scanner.send(b"".join(publish_packet(PACK, site.event("scan-1", i, "PO-1"), packet_id=1000 - i) for i in range(1, 201)))
    assert [scanner.expect(PUBACK).packet_id for _ in range(200)] == [1000 - i for i in range(1, 201)]


def test_a_payload_that_begins_with_a_brace_is_read_as_json(site: Site, scanner: MqttWire) -> None:
    site.create("PO-1")
    scanner.subscribe(RECEIPTS)
    scanner.publish(PACK, site.event("scan-1", 1, "PO-1", as_json=True))
    assert scanner.receive().plain["outcome"] == "applied"


def test_a_qos_2_publish_that_is_repeated_before_pubrel_counts_once(site: Site, scanner: MqttWire) -> None:
    site.create("PO-1")
    payload = site.event("scan-1", 1, "PO-1")
    scanner.publish(PACK, payload, qos=2, packet_id=5)
    assert scanner.expect(PUBREC).packet_id == 5
    scanner.publish(PACK, payload, qos=2, packet_id=5, dup=True)
    assert scanner.expect(PUBREC).packet_id == 5
    scanner.answer(PUBREL, 5)
    assert scanner.expect(PUBCOMP).packet_id == 5
    assert stored(site) == [1]


def test_pubrel_is_answered_as_often_as_it_is_sent_and_frees_the_id(site: Site, scanner: MqttWire) -> None:
    site.create("PO-1")
    scanner.publish(PACK, site.event("scan-1", 1, "PO-1"), qos=2, packet_id=5)
    scanner.expect(PUBREC)
    for _ in range(2):
        scanner.answer(PUBREL, 5)
        assert scanner.expect(PUBCOMP).packet_id == 5
    scanner.publish(PACK, site.event("scan-1", 2, "PO-1", parcel="b", body={"items": [{"sku": "pen", "qty": 1}]}), qos=2, packet_id=5)
    scanner.expect(PUBREC)
    assert stored(site) == [1, 2]


def test_a_qos_2_publish_that_was_half_way_goes_on_after_a_reconnect(site: Site) -> None:
    site.create("PO-1")
    payload = site.event("scan-1", 1, "PO-1")
    with site.client("scan-1", clean=False) as wire:
        wire.publish(PACK, payload, qos=2, packet_id=5)
        wire.expect(PUBREC)
    with site.client("scan-1", clean=False) as wire:
        assert wire.session_present
        wire.publish(PACK, payload, qos=2, packet_id=5, dup=True)
        assert wire.expect(PUBREC).packet_id == 5
        wire.answer(PUBREL, 5)
        assert wire.expect(PUBCOMP).packet_id == 5
    assert stored(site) == [1]


def test_a_resent_event_is_stored_once_and_answered_each_time(site: Site, scanner: MqttWire) -> None:
    site.create("PO-1")
    scanner.subscribe(RECEIPTS)
    payload = site.event("scan-1", 1, "PO-1")
    for packet_id, again in ((1, None), (2, True)):
        scanner.publish(PACK, payload, packet_id=packet_id)
        receipt = scanner.receive().plain
        assert (receipt["outcome"], receipt.get("again")) == ("applied", again)
        assert scanner.expect(PUBACK).packet_id == packet_id
    assert stored(site) == [1]


def test_a_flood_of_pipelined_publishes_makes_the_server_read_slower_and_none_is_lost(tmp_path: Path) -> None:
    waiting_max, count = 50, 1_500
    with Site(tmp_path / "site", ingest={"queue_messages_max": waiting_max, "batch_messages_max": 20}) as site, site.client("scan-1") as scanner:
        peak = watch_queue(site)
        packets = [
            publish_packet(TOPICS.event("scan-1", "shift_started"), site.event("scan-1", i, None, {"worker": "w-17"}, note="x" * 4_096), packet_id=i)
            for i in range(1, count + 1)
        ]
        sender = threading.Thread(target=scanner.send, args=(b"".join(packets),))
        sender.start()
        assert [scanner.expect(PUBACK).packet_id for _ in range(count)] == list(range(1, count + 1))
        sender.join(DEADLINE_S)
        in_one_read = 262_144 // len(packets[0]) + 2
        assert waiting_max <= max(peak) <= waiting_max + in_one_read
        assert stored(site) == list(range(1, count + 1))


def watch_queue(site: Site) -> list[int]:
    """How many messages were waiting, recorded at each arrival."""
    pipeline = site.app.pipeline
    offer = pipeline.offer
    seen: list[int] = []

    def noting(*args: Any) -> None:
        offer(*args)
        seen.append(len(pipeline._waiting))

    site.on_loop(lambda: setattr(pipeline, "offer", noting))
    return seen


# --- messages out -------------------------------------------------------------------------------------------------------------


def test_no_more_than_a_window_is_in_flight_and_an_acknowledgement_makes_room(site: Site, desk: MqttWire) -> None:
    assert desk.subscribe(STATUSES) == [1]
    site.create(*(f"PO-{i}" for i in range(70)))
    sent = desk.ping()
    assert [p.topic for p in sent] == [TOPICS.status(f"PO-{i}") for i in range(64)]
    assert len({p.packet_id for p in sent}) == 64
    desk.answer(PUBACK, sent[0].packet_id)
    (one_more,) = desk.ping()
    assert one_more.topic == TOPICS.status("PO-64")
    assert desk.ping() == []


def test_what_was_in_flight_is_sent_again_with_dup_and_what_came_meanwhile_follows(site: Site) -> None:
    site.enrol("desk", Role.DESK)
    with site.client("desk", clean=False) as desk:
        assert not desk.session_present
        desk.subscribe(STATUSES)
        site.create("PO-1", "PO-2", "PO-3")
        first, second, third = (desk.expect(PUBLISH) for _ in range(3))
        assert not any(p.dup for p in (first, second, third))
        desk.answer(PUBACK, second.packet_id)
        assert desk.ping() == []
    site.create("PO-4")
    with site.client("desk", clean=False) as desk:
        assert desk.session_present
        again = [desk.receive() for _ in range(3)]
        assert [(p.topic, p.dup, p.retain) for p in again] == [
            (first.topic, True, False),
            (third.topic, True, False),
            (TOPICS.status("PO-4"), False, False),
        ]
        assert [p.packet_id for p in again[:2]] == [first.packet_id, third.packet_id]
    with site.client("desk", clean=False) as desk:
        assert desk.ping() == []


def test_an_outgoing_qos_2_message_goes_through_its_four_packets_and_survives_a_cut_between_them(site: Site) -> None:
    site.enrol("desk", Role.DESK)
    topic = TOPICS.status("PO-1")
    with site.client("desk", clean=False) as desk:
        assert desk.subscribe(topic, qos=2) == [2]
        site.publish(topic, b"one", qos=2)
        site.publish(topic, b"two", qos=2)
        one, two = desk.expect(PUBLISH), desk.expect(PUBLISH)
        assert (one.qos, two.qos) == (2, 2)
        desk.answer(PUBREC, one.packet_id)
        assert desk.expect(PUBREL).packet_id == one.packet_id
    with site.client("desk", clean=False) as desk:
        assert desk.expect(PUBREL).packet_id == one.packet_id
        again = desk.expect(PUBLISH)
        assert (again.packet_id, again.payload, again.dup) == (two.packet_id, b"two", True)
        desk.answer(PUBCOMP, one.packet_id)
        desk.answer(PUBREC, two.packet_id)
        assert desk.expect(PUBREL).packet_id == two.packet_id
        desk.answer(PUBCOMP, two.packet_id)
        assert desk.ping() == []
    with site.client("desk", clean=False) as desk:
        assert desk.ping() == []


def test_a_clean_session_forgets_what_was_there(site: Site) -> None:
    site.enrol("desk", Role.DESK)
    with site.client("desk", clean=False) as desk:
        desk.subscribe(STATUSES)
    with site.client("desk", clean=True) as desk:
        assert not desk.session_present
        site.create("PO-1")
        assert desk.ping() == []
    with site.client("desk", clean=False) as desk:
        assert not desk.session_present


@pytest.mark.parametrize(("published", "subscribed"), [(p, s) for p in (0, 1, 2) for s in (0, 1, 2)])
def test_a_message_is_delivered_at_the_lower_of_the_two_qos(site: Site, desk: MqttWire, published: int, subscribed: int) -> None:
    topic = TOPICS.position("PO-1")
    assert desk.subscribe(topic, qos=subscribed) == [subscribed]
    site.publish(topic, b"here", qos=published)
    assert desk.expect(PUBLISH).qos == min(published, subscribed)


def test_overlapping_filters_deliver_once_at_the_highest_granted_qos(site: Site, desk: MqttWire) -> None:
    desk.subscribe(f"{TOPICS.base}/orders/#", qos=0)
    desk.subscribe(STATUSES, TOPICS.status("PO-1"), qos=1)
    site.create("PO-1")
    assert [(p.topic, p.qos) for p in desk.ping()] == [(TOPICS.status("PO-1"), 1)]


def test_subscribing_again_replaces_the_qos_and_sends_what_is_retained_again(site: Site, desk: MqttWire) -> None:
    site.create("PO-1")
    desk.subscribe(STATUSES, qos=1)
    assert desk.receive().qos == 1
    desk.subscribe(STATUSES, qos=0)
    repeated = desk.expect(PUBLISH)
    assert (repeated.qos, repeated.retain) == (0, True)
    site.create("PO-2")
    assert [(p.topic, p.qos) for p in desk.ping()] == [(TOPICS.status("PO-2"), 0)]


def test_retain_is_set_on_what_was_there_before_and_clear_on_what_comes_live(site: Site, desk: MqttWire) -> None:
    site.create("PO-1")
    desk.subscribe(STATUSES)
    assert desk.receive().retain
    site.create("PO-2")
    live = desk.receive()
    assert (live.topic, live.retain) == (TOPICS.status("PO-2"), False)


def test_many_retained_statuses_come_through_the_window(site: Site, desk: MqttWire) -> None:
    orders = [f"PO-{i:03}" for i in range(200)]
    site.create(*orders)
    desk.subscribe(STATUSES)
    assert sorted(desk.receive().topic for _ in orders) == [TOPICS.status(o) for o in orders]
    assert desk.ping() == []


def test_after_unsubscribe_nothing_more_comes(site: Site, desk: MqttWire) -> None:
    desk.subscribe(STATUSES)
    desk.send(frame(UNSUBSCRIBE << 4 | 2, b"\x00\x02" + text(STATUSES)))
    assert desk.expect(UNSUBACK).packet_id == 2
    site.create("PO-1")
    assert desk.ping() == []


# --- who may what -------------------------------------------------------------------------------------------------------------


def test_a_filter_is_granted_only_if_everything_that_it_can_match_is_allowed(site: Site) -> None:
    base = TOPICS.base
    site.enrol("desk", Role.DESK)
    site.enrol("phone-anna", Role.COURIER, courier="anna")
    site.enrol("erp", Role.SYSTEM)
    site.enrol("shop2", Role.SYSTEM, orders_prefix="shop2-")
    site.create("PO-1", "PO-2")
    site.tell("desk", Role.DESK, "assigned", site.event("desk", 1, "PO-1", {"courier": "anna", "job": "j1"}))
    everyone = {"#": False, "+/#": False, "v1/#": False, f"{base}/#": False, "$SYS/#": False, f"$share/g/{base}/orders/#": False, f"{base}/bridge/state": True}
    table: dict[str, dict[str, bool]] = {
        "scan-1": {
            RECEIPTS: True,
            TOPICS.receipts("scan-2"): False,
            f"{base}/devices/+/receipts": False,
            "+/+/devices/scan-1/receipts": False,
            STATUSES: False,
        },
        "desk": {
            f"{base}/orders/#": True,
            f"{base}/orders/+": True,
            STATUSES: True,
            f"{base}/alerts/#": True,
            f"{base}/devices/+/presence": True,
            "v1/+/orders/#": False,
        },
        "phone-anna": {
            TOPICS.assignments("anna"): True,
            TOPICS.assignments("ben"): False,
            f"{base}/couriers/+/assignments/+": False,
            TOPICS.status("PO-1"): True,
            TOPICS.eta("PO-1"): True,
            TOPICS.position("PO-1"): False,
            TOPICS.status("PO-2"): False,
            STATUSES: False,
        },
        "erp": {f"{base}/orders/#": True, f"{base}/alerts/#": False},
        "shop2": {
            TOPICS.status("shop2-7"): True,
            f"{base}/orders/shop2-7/#": True,
            TOPICS.status("shop3-7"): False,
            STATUSES: False,
            f"{base}/orders/#": False,
        },
    }
    for device, filters in table.items():
        with site.client(device) as wire:
            wanted = everyone | filters
            codes = wire.subscribe(*wanted)
            assert {f: code != REFUSED for f, code in zip(wanted, codes, strict=True)} == wanted, device


def test_what_is_not_allowed_is_refused_aloud_with_a_receipt_an_acknowledgement_and_one_alert(site: Site, desk: MqttWire, scanner: MqttWire) -> None:
    desk.subscribe(f"{TOPICS.base}/alerts/#")
    scanner.subscribe(RECEIPTS)
    forbidden = (TOPICS.event("scan-1", "created"), TOPICS.event("scan-2", "pack"), TOPICS.status("PO-1"), "v1/ams2/devices/scan-1/events/pack", "free/topic")
    for packet_id, topic in enumerate(forbidden, 1):
        scanner.publish(topic, f"payload {packet_id}".encode(), packet_id=packet_id)
        receipt = scanner.receive().plain
        assert (receipt["outcome"], receipt["reason"], receipt["tone"]) == ("rejected", "forbidden", "stop"), topic
        assert receipt.get("type") == (topic.rpartition("/")[2] if "/events/" in topic else None)
        assert scanner.expect(PUBACK).packet_id == packet_id
    (alert,) = desk.ping()
    assert (alert.topic, alert.plain["severity"]) == (TOPICS.alert("forbidden", "scan-1"), "warning")
    assert site.rows("SELECT count(*) FROM events") == [(0,)]


def test_an_event_type_that_does_not_exist_is_answered_as_such(site: Site, scanner: MqttWire) -> None:
    scanner.subscribe(RECEIPTS)
    payload = site.event("scan-1", 7, "PO-1")
    scanner.publish(TOPICS.event("scan-1", "packed"), payload)
    receipt = scanner.receive().plain
    assert (receipt["reason"], receipt["type"], receipt["id"], receipt["seq"]) == ("unknown_type", "packed", event_id("scan-1", 7), 7)
    assert receipt["digest"] == hashlib.sha256(payload).digest()[:8]
    scanner.expect(PUBACK)


def test_an_event_on_the_topic_of_another_device_is_answered_with_its_ids(site: Site, scanner: MqttWire) -> None:
    """A usual mistake of a developer, whose client waits for an answer by id."""
    scanner.subscribe(RECEIPTS)
    scanner.publish(TOPICS.event("scan-2", "pack"), site.event("scan-1", 7, "PO-1"))
    receipt = scanner.receive().plain
    assert (receipt["reason"], receipt["type"], receipt["id"], receipt["seq"]) == ("forbidden", "pack", event_id("scan-1", 7), 7)


def test_only_couriers_say_where_they_are(site: Site, scanner: MqttWire) -> None:
    location = encode_cbor({"log": b"12345678", "boot": b"12345678", "sent_mono_ms": 1, "points": [[1, 522_000_000, 48_000_000, 5, None]]})
    scanner.subscribe(RECEIPTS)
    scanner.publish(TOPICS.location("scan-1"), location)
    receipt = scanner.receive().plain
    assert (receipt["reason"], receipt["type"], receipt["detail"]) == ("forbidden", "location", "only role courier publishes its location")
    site.enrol("phone-anna", Role.COURIER, courier="anna")
    with site.client("phone-anna") as phone:
        phone.subscribe(TOPICS.receipts("phone-anna"))
        phone.publish(TOPICS.location("phone-anna"), location)
        assert phone.receive().plain["detail"] == "1 of 1 points were not used: 1 nothing_on_board"
        assert phone.expect(PUBACK)
        assert phone.ping() == []


def test_a_system_that_serves_some_orders_cannot_cancel_another(site: Site) -> None:
    site.create("PO-1")
    site.enrol("shop2", Role.SYSTEM, orders_prefix="shop2-")
    with site.client("shop2") as shop:
        shop.subscribe(TOPICS.receipts("shop2"))
        shop.publish(TOPICS.event("shop2", "cancelled"), site.event("shop2", 1, "PO-1", {"reason": "asked"}))
        receipt = shop.receive().plain
    assert (receipt["outcome"], receipt["reason"], receipt["id"]) == ("rejected", "forbidden", event_id("shop2", 1))
    assert site.rows("SELECT state FROM orders WHERE order_id = 'PO-1'") == [("pending_payment",)]


def test_nobody_makes_a_retained_status_but_the_bridge(site: Site, desk: MqttWire, scanner: MqttWire) -> None:
    scanner.publish(TOPICS.status("PO-1"), b"forged", retain=True)
    scanner.expect(PUBACK)
    desk.subscribe(STATUSES)
    assert desk.ping() == []


# --- the handshake ------------------------------------------------------------------------------------------------------------


def test_nothing_is_taken_before_connack(site: Site) -> None:
    site.enrol("scan-1")
    publish = publish_packet(PACK, site.event("scan-1", 1, "PO-1"))
    with site.stranger() as wire:
        wire.send(connect_packet("scan-1", "scan-1", "wrong") + publish)
        assert wire.expect(CONNACK).body == b"\x00\x04"
        assert wire.expect_closed() == []
    with site.stranger() as wire:
        wire.send(publish)
        assert wire.expect_closed() == []
    assert (stored(site), site.rows("SELECT count(*) FROM quarantine")) == ([], [(0,)])
    with site.stranger() as wire:
        wire.send(connect_packet("scan-1", "scan-1", site.secrets["scan-1"]) + publish)
        assert [wire.expect(CONNACK).body, wire.expect(PUBACK).packet_id] == [b"\x00\x00", 1]


@pytest.mark.parametrize(("username", "password"), [(None, None), ("scan-1", None), ("scan-1", ""), ("nobody", "secret"), ("scan-1", "wrong"), ("", "")])
def test_wrong_credentials_are_refused(site: Site, username: str | None, password: str | None) -> None:
    site.enrol("scan-1")
    with site.stranger() as wire:
        assert wire.connect("scan-1", username, password) == (False, 4)
        assert wire.expect_closed() == []


def test_a_connection_that_takes_over_closes_the_older_one_and_deliveries_go_on(site: Site) -> None:
    site.enrol("desk", Role.DESK)
    with site.client("desk", clean=False) as old:
        old.subscribe(STATUSES)
        with site.client("desk", clean=False) as new:
            assert new.session_present
            assert old.expect_closed() == []
            site.create("PO-1")
            assert new.receive().topic == TOPICS.status("PO-1")


def test_a_wrong_password_with_somebody_elses_client_id_touches_nothing(site: Site) -> None:
    site.enrol("desk", Role.DESK)
    site.enrol("scan-1")
    with site.client("desk", client_id="front", clean=False) as desk:
        desk.subscribe(STATUSES)
        with site.stranger() as thief:
            assert thief.connect("front", "desk", "wrong", clean=True)[1] == 4
        with site.client("scan-1", client_id="front", clean=True):
            site.create("PO-1")
            assert desk.receive().topic == TOPICS.status("PO-1")
    with site.client("desk", client_id="front", clean=False) as desk:
        assert desk.session_present


@pytest.mark.parametrize(("protocol", "level"), [("MQIsdp", 3), ("MQTT", 5), ("MQTT", 3)])
def test_other_versions_of_mqtt_are_refused_with_their_code(site: Site, protocol: str, level: int) -> None:
    site.enrol("scan-1")
    with site.stranger() as wire:
        wire.send(connect_packet("scan-1", "scan-1", site.secrets["scan-1"], protocol=protocol, level=level))
        assert wire.expect(CONNACK).body == b"\x00\x01"
        assert wire.expect_closed() == []


def test_an_empty_client_id_needs_a_clean_session(site: Site) -> None:
    site.enrol("scan-1")
    with site.stranger() as wire:
        assert wire.connect("", "scan-1", site.secrets["scan-1"], clean=False) == (False, 2)
    with site.stranger() as wire:
        assert wire.connect("", "scan-1", site.secrets["scan-1"], clean=True) == (False, 0)


def test_a_will_on_a_topic_that_is_not_allowed_is_refused(site: Site) -> None:
    site.enrol("scan-1")
    with site.stranger() as wire:
        assert wire.connect("scan-1", "scan-1", site.secrets["scan-1"], will=(TOPICS.status("PO-1"), b"forged")) == (False, 5)


def test_a_revoked_device_is_out_at_once_and_stays_out(site: Site, scanner: MqttWire) -> None:
    site.wait_for(devices.revoke(site.app, "scan-1"))
    assert scanner.expect_closed() == []
    with site.stranger() as wire:
        assert wire.connect("scan-1", "scan-1", site.secrets["scan-1"]) == (False, 4)


# --- clients that do not speak MQTT -------------------------------------------------------------------------------------------


NOT_CONNECT = {
    "silence": b"",
    "one byte": b"\x10",
    "half a CONNECT": connect_packet("scan-1", "scan-1", "secret")[:-3],
    "HTTP": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "count": bytes(range(256)),
    "ones": b"\xff" * 64,
    "zeros": b"\0" * 64,
}


def test_a_connection_that_never_says_connect_is_closed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Site(tmp_path / "site", broker={"connect_timeout_s": 1.0}) as site, ExitStack() as strangers:
        wires = {name: strangers.enter_context(site.stranger()) for name in NOT_CONNECT}
        for name, wire in wires.items():
            wire.send(NOT_CONNECT[name])
        for name, wire in wires.items():
            assert wire.expect_closed() == [], name
    assert tracebacks(caplog) == []


HIDDEN = publish_packet(PACK, event("scan-1", 1, "PO-1"))
MALFORMED = {
    "a second CONNECT": connect_packet("scan-1", "scan-1", "secret"),
    "PUBLISH with QoS 3": frame(0x36, text(PACK) + b"\x00\x01x"),
    "PUBLISH to an empty topic": publish_packet("", b"x"),
    "PUBLISH to a NUL topic": publish_packet("v1/ams1\0", b"x"),
    "PUBLISH to a topic that is not UTF-8": publish_packet(b"v1/\xff", b"x"),
    "PUBLISH to half of a surrogate pair": publish_packet(b"v1/\xed\xa0\x80", b"x"),
    "PUBLISH to a wildcard topic": publish_packet("v1/+/x", b"x", qos=0),
    "PUBLISH to a wildcard topic with packets in its payload": publish_packet("v1/#", HIDDEN * 3),
    "PUBLISH with packet id 0": publish_packet(PACK, b"x", packet_id=0),
    "PUBLISH that ends in its topic": frame(0x32, b"\x00\x40v1"),
    "PUBLISH without anything": frame(0x32, b""),
    "PUBLISH without a packet id": frame(0x32, text(PACK)),
    "a remaining length of five bytes": b"\x30\xff\xff\xff\xff\x01",
    "a packet over packet_bytes_max": b"\x30\xff\xff\x7f",
    "SUBSCRIBE with bad flags": subscribe_packet([(RECEIPTS, 1)], flags=0),
    "SUBSCRIBE without filters": subscribe_packet([]),
    "SUBSCRIBE with QoS 3": subscribe_packet([(RECEIPTS, 3)]),
    "SUBSCRIBE with reserved bits": subscribe_packet([(RECEIPTS, 0x41)]),
    "SUBSCRIBE with packet id 0": subscribe_packet([(RECEIPTS, 1)], packet_id=0),
    "SUBSCRIBE with an empty filter": subscribe_packet([("", 1)]),
    "SUBSCRIBE with # in the middle": subscribe_packet([("v1/#/x", 1)]),
    "SUBSCRIBE with + beside a letter": subscribe_packet([("v1/a+", 1)]),
    "SUBSCRIBE with NUL": subscribe_packet([("v1/\0", 1)]),
    "SUBSCRIBE that ends in its filter": frame(SUBSCRIBE << 4 | 2, b"\x00\x01\x00\x40v1"),
    "SUBSCRIBE without a QoS": frame(SUBSCRIBE << 4 | 2, b"\x00\x01" + text(RECEIPTS)),
    "UNSUBSCRIBE without filters": frame(UNSUBSCRIBE << 4 | 2, b"\x00\x01"),
    "UNSUBSCRIBE with bad flags": frame(UNSUBSCRIBE << 4, b"\x00\x01" + text(RECEIPTS)),
    "PUBREL with bad flags": frame(PUBREL << 4, b"\x00\x01"),
    "PUBACK of three bytes": frame(PUBACK << 4, b"\x00\x01x"),
    "PUBACK without an id": frame(PUBACK << 4, b""),
    "PINGREQ with flags": b"\xc1\x00",
    "CONNACK from a client": b"\x20\x02\x00\x00",
    "packet type 0": b"\x00\x00",
    "packet type 15": b"\xf0\x00",
}


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all kinds of bytes."""
    with Site(tmp_path_factory.mktemp("patient") / "site", broker={"packet_bytes_max": 65_536}) as site:
        yield site


@pytest.mark.parametrize("packet", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_packet_closes_its_connection_and_nothing_else(patient: Site, caplog: pytest.LogCaptureFixture, packet: bytes) -> None:
    with patient.client("scan-2") as bystander, patient.client("scan-1") as wire:
        wire.send(packet + HIDDEN)
        assert wire.expect_closed() == []
        assert bystander.ping() == []
    assert tracebacks(caplog) == []
    assert patient.rows("SELECT count(*) FROM events") == [(0,)]


CONNECTS = {
    "no protocol name": frame(0x10, b""),
    "another protocol": connect_packet("scan-1", protocol="MQTX"),
    "reserved flags": frame(0x11, connect_packet("scan-1")[2:]),
    "its reserved flag": frame(0x10, text("MQTT") + b"\x04\x03\x00\x3c" + text("scan-1")),
    "a will of QoS 3": frame(0x10, text("MQTT") + b"\x04\x1e\x00\x3c" + text("scan-1") + text("t") + text("x")),
    "will flags without a will": frame(0x10, text("MQTT") + b"\x04\x22\x00\x3c" + text("scan-1")),
    "a password without a username": frame(0x10, text("MQTT") + b"\x04\x42\x00\x3c" + text("scan-1") + text("p")),
    "a will that is not there": frame(0x10, text("MQTT") + b"\x04\x06\x00\x3c" + text("scan-1")),
    "a wildcard in its will's topic": connect_packet("scan-1", "scan-1", "p", will=("v1/#", b"x")),
    "bytes after its end": frame(0x10, connect_packet("scan-1")[2:] + b"x"),
    "more than a CONNECT can hold": b"\x10\xff\xff\x7f",
}


@pytest.mark.parametrize("packet", CONNECTS.values(), ids=CONNECTS.keys())
def test_a_malformed_connect_is_closed_without_an_answer(patient: Site, caplog: pytest.LogCaptureFixture, packet: bytes) -> None:
    with patient.stranger() as wire:
        wire.send(packet)
        assert wire.expect_closed() == []
    assert tracebacks(caplog) == []


def tracebacks(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.exc_info or r.levelno >= logging.ERROR]


# --- the end of a connection --------------------------------------------------------------------------------------------------


def test_a_client_that_falls_silent_is_closed_and_its_will_is_published(site: Site, desk: MqttWire) -> None:
    desk.subscribe(PRESENCE)
    with site.client("scan-1", keep_alive_s=1, will=(PRESENCE, GONE)) as silent:
        assert silent.expect_closed() == []
    will = goes_offline(desk)
    assert (will.topic, will.payload, will.retain) == (PRESENCE, GONE, False)


def goes_offline(desk: MqttWire) -> Packet:
    """The presence with which a device goes offline."""
    while (packet := desk.receive()).plain["online"]:
        pass
    return packet


def test_a_client_that_is_cut_off_leaves_its_will_and_one_that_says_goodbye_does_not(site: Site, desk: MqttWire) -> None:
    desk.subscribe(PRESENCE)
    with site.client("scan-1", will=(PRESENCE, GONE)) as polite:
        polite.goodbye()
    assert goes_offline(desk).plain == {"online": False, "boot": BOOT_UNKNOWN}
    assert desk.ping() == []
    site.client("scan-1", will=(PRESENCE, GONE)).cut()
    assert goes_offline(desk).payload == GONE


# --- other ways in ------------------------------------------------------------------------------------------------------------


def test_a_websocket_comes_through_the_same_door(tmp_path: Path) -> None:
    with Site(tmp_path / "site", listen={"mqtt": "127.0.0.1:0", "websocket": "127.0.0.1:0"}) as site:
        site.create("PO-1")
        secret = site.enrol("scan-1")
        told: list[MQTTMessage] = []
        heard, subscribed = threading.Event(), threading.Event()
        client = Client(CallbackAPIVersion.VERSION2, client_id="scan-1", transport="websockets")
        client.username_pw_set("scan-1", secret)
        client.on_connect = lambda *_: client.subscribe(RECEIPTS, qos=1)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda _client, _data, message: (told.append(message), heard.set())
        client.connect(*site.addresses["ws"])
        client.loop_start()
        try:
            assert subscribed.wait(DEADLINE_S)
            published = client.publish(PACK, site.event("scan-1", 1, "PO-1"), qos=2)
            published.wait_for_publish(DEADLINE_S)
            assert heard.wait(DEADLINE_S)
        finally:
            client.disconnect()
            client.loop_stop()
        assert (told[0].topic, cbor2.loads(told[0].payload)["outcome"]) == (RECEIPTS, "applied")
        assert stored(site) == [1]


def test_a_text_frame_closes_a_websocket(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    listen = {"mqtt": "127.0.0.1:0", "websocket": "127.0.0.1:0"}
    with Site(tmp_path / "site", listen=listen) as site, socket.create_connection(site.addresses["ws"], DEADLINE_S) as wire:
        key = "dGhlIHNhbXBsZSBub25jZQ=="
        upgrade = f"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        wire.sendall(f"{upgrade}Sec-WebSocket-Protocol: mqtt\r\n\r\n".encode())
        stream = wire.makefile("rb")
        while stream.readline() not in (b"\r\n", b""):
            pass
        wire.sendall(b"\x81\x85\0\0\0\0hello")
        assert stream.read(1) == b"\x88"
        wire.sendall(b"\x88\x80\0\0\0\0")
        stream.read()
        stream.close()
    assert tracebacks(caplog) == []


def listening() -> set[int]:
    """The ports on which this process listens."""
    mine = {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")}
    ports = set()
    for family in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{family}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in mine:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="reads /proc")
def test_nothing_listens_that_was_not_configured(tmp_path: Path) -> None:
    before = listening()
    with Site(tmp_path / "site", listen={"mqtt": "127.0.0.1:0", "websocket": "127.0.0.1:0"}) as site:
        assert listening() - before == {port for _, port in site.addresses.values()}
        assert {host for host, _ in site.addresses.values()} == {"127.0.0.1"}
    assert listening() == before


# --- restarts -----------------------------------------------------------------------------------------------------------------


def test_what_is_retained_is_there_again_after_a_restart(site: Site) -> None:
    base = TOPICS.base
    everything = [f"{base}/orders/#", TOPICS.alert("forbidden", "scan-1"), f"{base}/devices/+/presence", f"{base}/couriers/+/assignments/+"]
    site.enrol("desk", Role.DESK)
    site.create("PO-1", "PO-2")
    site.tell("desk", Role.DESK, "assigned", site.event("desk", 1, "PO-1", {"courier": "anna", "job": "j1"}))
    with site.client("scan-1") as scanner:
        scanner.publish(PACK, site.event("scan-1", 1, "PO-1"))
        scanner.publish(TOPICS.event("scan-1", "created"), b"forbidden")
        scanner.publish(PRESENCE, GONE, retain=True)
        for _ in range(3):
            scanner.expect(PUBACK)
        scanner.goodbye()
    before = what_is_retained(site, everything)
    site.restart()
    assert what_is_retained(site, everything) == before
    assert {t.split("/")[2] for t in before} == {"orders", "alerts", "devices", "couriers"}
    assert sum("/parcels/" in t for t in before) == 1


def what_is_retained(site: Site, filters: list[str]) -> dict[str, bytes]:
    with site.client("desk") as desk:
        desk.subscribe(*filters, qos=0)
        return {p.topic: p.payload for p in desk.ping()}


def test_the_bridge_says_that_it_is_there(site: Site, scanner: MqttWire) -> None:
    scanner.subscribe(f"{TOPICS.base}/bridge/state")
    state = scanner.receive()
    assert (state.retain, state.plain["online"]) == (True, True)
    site.stop()
    assert [p.plain["online"] for p in scanner.expect_closed() if p.kind == PUBLISH] == [False]


def test_a_site_can_publish_json(tmp_path: Path) -> None:
    with Site(tmp_path / "site", publish={"format": "json"}) as site:
        site.enrol("desk", Role.DESK)
        site.create("PO-1")
        with site.client("desk") as desk:
            desk.subscribe(STATUSES)
            status = desk.receive()
            assert status.payload[:1] == b"{"
            assert (status.plain["state"], len(status.plain["hash"])) == ("pending_payment", 16)


def test_b4_a_message_of_qos_0_is_dropped_only_beyond_the_setting(tmp_path: Path) -> None:
    """10 MB for a client that reads them later: far more than asyncio and the sockets would hold by themselves."""
    pictures = [b"%03d" % nth + bytes(50_000) for nth in range(200)]
    with Site(tmp_path / "site", broker={"output_bytes_max": 64 * 2**20}) as site:
        for device in ("camera", "wall"):
            site.enrol(device, Role.LAB)
        with site.client("wall") as wall, site.client("camera") as camera:
            wall.subscribe("pictures/1", qos=0)
            for picture in pictures:
                camera.publish("pictures/1", picture, qos=0)
            assert camera.ping() == []
            assert [wall.receive().payload[:3] for _ in pictures] == [picture[:3] for picture in pictures]
