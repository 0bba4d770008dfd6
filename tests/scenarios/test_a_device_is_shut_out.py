"""A phone is stolen, a scanner is scrapped: they can't come back, nothing that they last said stays on a screen, and what they did stays in the log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest
from helpers.events import BOOT, BOOT_MS, TOPICS, log_of
from helpers.mqtt import PUBACK, MqttWire
from helpers.site import Site
from helpers.waiting import until

from bridge.errors import NotFound, Refused
from bridge.operations import devices, jobs
from devices.protocol.vocabulary import AlertCode, Role

BAD_CREDENTIALS = 4


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site", ingest={"gap_alert_after_s": 1}, orders={"sweep_every_s": 0.1}) as served:
        yield served


def retained(site: Site) -> dict[str, bytes]:
    """What a new subscriber of the desk is sent, by topic."""
    with site.client("desk") as desk:
        desk.subscribe(f"{TOPICS.base}/devices/+/presence", f"{TOPICS.base}/alerts/#", f"{TOPICS.base}/orders/+/position")
        return {packet.topic: packet.payload for packet in desk.ping()}


def owing_phone(site: Site) -> MqttWire:
    """Anna's phone: it has said where it is, owes an event, and sent what it may not send."""
    site.enrol("desk", Role.DESK)
    site.enrol("phone-anna", Role.COURIER, courier="anna")
    phone = site.client("phone-anna", clean=False)
    phone.publish(TOPICS.event("phone-anna", "shift_started"), site.event("phone-anna", 3, body={"worker": "w-1"}))
    phone.ping()
    phone.publish(TOPICS.event("phone-anna", "held"), site.event("phone-anna", 4, "PO-1", {"reason": "fraud"}), packet_id=2)
    until(lambda: {(AlertCode.GAP, "phone-anna"), (AlertCode.FORBIDDEN, "phone-anna")} <= set(alerts(site)), "the alerts")
    return phone


def alerts(site: Site) -> list[tuple[str, str]]:
    return site.rows("SELECT code, subject FROM alerts")  # type: ignore[return-value]


def test_what_a_stolen_phone_last_said_is_cleared_and_stays_so(site: Site) -> None:
    with owing_phone(site) as phone:
        assert TOPICS.presence("phone-anna") in retained(site)
        assert len([topic for topic in retained(site) if "alerts" in topic]) >= 2
        site.wait_for(devices.revoke(site.app, "phone-anna", "stolen"))
        phone.expect_closed()
    until(lambda: set(retained(site)) == {TOPICS.presence("desk")}, "everything to be cleared")
    sweeps = site.rows("SELECT count(*) FROM batches WHERE kind = 'sweep'")
    site.restart()
    until(lambda: site.rows("SELECT count(*) FROM batches WHERE kind = 'sweep'") >= sweeps, "a sweep")
    assert set(retained(site)) == {TOPICS.presence("desk")}
    assert alerts(site) == []
    assert site.rows("SELECT count(*) FROM events WHERE device = 'phone-anna'") == [(1,)]
    with site.stranger() as wire:
        assert wire.connect("phone-anna", "phone-anna", site.secrets["phone-anna"])[1] == BAD_CREDENTIALS
    assert site.wait_for(devices.show_device(site.app, "phone-anna", (), {})).presence is None


@pytest.mark.slow
def test_a_removed_device_is_off_the_list_and_its_events_stay(site: Site) -> None:
    with owing_phone(site):
        pass
    with pytest.raises(Refused, match="may still log in"):
        site.wait_for(devices.remove(site.app, "phone-anna"))
    site.wait_for(devices.remove(site.app, "phone-anna", revoke=True, reason="broken"))
    until(lambda: alerts(site) == [], "its alerts to be cleared")
    assert [d.device for d in site.app.registry.list()] == ["desk"]
    assert site.rows("SELECT count(*) FROM quarantine") == [(0,)]
    site.restart()
    assert set(retained(site)) == {TOPICS.presence("desk")}
    assert alerts(site) == []
    assert site.rows("SELECT count(*) FROM events WHERE device = 'phone-anna'") == [(1,)]
    with pytest.raises(NotFound):
        site.wait_for(devices.revoke(site.app, "phone-anna"))
    assert site.enrol("phone-anna", Role.COURIER)  # the name is free


def on_the_road(site: Site, order: str) -> MqttWire:
    """Anna is out with an order, and her phone says where."""
    site.create(order)
    site.enrol("phone-anna", Role.COURIER, courier="anna")
    site.enrol("desk", Role.DESK)
    site.wait_for(jobs.assign(site.app, order, "anna"))
    phone = site.client("phone-anna")
    for seq, kind in enumerate(("pickup", "out_for_delivery"), 1):
        phone.publish(TOPICS.event("phone-anna", kind), site.event("phone-anna", seq, order, parcel="p1"), packet_id=seq)
        phone.expect(PUBACK)
    mono_ms = site.now_ms() - BOOT_MS
    location = {"log": log_of("phone-anna"), "boot": BOOT, "sent_mono_ms": mono_ms, "points": [[mono_ms, 523_702_160, 48_951_680, 8, None]]}
    phone.publish(TOPICS.location("phone-anna"), cbor2.dumps(location), qos=1, packet_id=9)
    phone.expect(PUBACK)
    until(lambda: TOPICS.position(order) in retained(site), "the position to be shown")
    return phone


@pytest.mark.slow
def test_a_stolen_phone_leaves_no_position(site: Site) -> None:
    with on_the_road(site, "PO-1"):
        assert site.rows("SELECT count(*) FROM positions") == [(1,)]
        done = site.wait_for(devices.revoke(site.app, "phone-anna"))
    assert (done.courier, len(done.jobs)) == ("anna", 1)
    assert TOPICS.position("PO-1") not in retained(site)
    assert site.rows("SELECT count(*) FROM positions") == [(0,)]


@pytest.mark.slow
def test_a_released_job_leaves_no_position(site: Site) -> None:
    with on_the_road(site, "PO-1"):
        (job,) = site.app.queries.jobs(courier="anna", only_open=True)
        site.wait_for(jobs.release(site.app, job.id, "ill"))
        assert TOPICS.position("PO-1") not in retained(site)


@pytest.mark.slow
def test_an_edited_device_comes_back_as_what_it_is_now(site: Site) -> None:
    site.enrol("phone-1", Role.COURIER, courier="anna")
    site.enrol("phone-2", Role.COURIER, courier="ben")
    anna, ben = TOPICS.assignments("anna"), TOPICS.assignments("ben")
    with site.client("phone-1", clean=False) as phone:
        assert phone.subscribe(anna) == [1]
        site.wait_for(devices.edit(site.app, "phone-1", courier="ben"))
        phone.expect_closed()
    assert site.on_loop(lambda: [s.subscriptions for s in site.app.broker.door.book.of_device("phone-1")]) == [{}]  # type: ignore[union-attr]
    with site.client("phone-1", clean=False) as phone:
        assert phone.subscribe(anna, ben) == [0x80, 1]
    site.enrol("scan-1")
    with pytest.raises(Refused, match="belongs to no courier"):
        site.wait_for(devices.edit(site.app, "scan-1", courier="anna"))
    site.wait_for(devices.edit(site.app, "scan-1", at="dock-9"))
    assert site.app.registry.identity("scan-1").at == "dock-9"
