"""A device is online as long as one of its connections stands, whatever its wills and messages say; what it said last stays when it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from helpers.events import TOPICS
from helpers.mqtt import PUBACK, PUBLISH, MqttWire, publish_packet
from helpers.server import SECRET, enrol
from helpers.site import Site

from bridge.operations import devices, server
from devices.protocol.messages import BOOT_UNKNOWN, encode_cbor, encode_json
from devices.protocol.vocabulary import Role

NAMES = [f"scan-{number}" for number in range(30)]
QUICK_HASH = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
CLOCK = {"at_ms": 1_760_000_000_000, "mono_ms": 5_000}
GOODBYE = b"\xe0\x00"
_unused = iter(NAMES)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("presence") / "site") as served:
        enrolled(served, {"desk": Role.DESK, **dict.fromkeys(NAMES, Role.SCANNER)})
        yield served


def enrolled(site: Site, roles: dict[str, Role]) -> None:
    enrol(site.directory / "dockbridge.db", roles, hasher=QUICK_HASH)
    site.secrets |= dict.fromkeys(roles, SECRET)


@pytest.fixture
def desk(site: Site) -> Iterator[MqttWire]:
    with site.client("desk") as wire:
        yield wire


def words(boot: bytes, **other: Any) -> dict[str, Any]:
    """What a device says of itself."""
    return {"online": True, "boot": boot, "log": b"log-of-1", "last_seq": 7, "battery_percent": 80, **CLOCK, **other}


def without_clock(said: dict[str, Any], **other: Any) -> dict[str, Any]:
    return {name: value for name, value in said.items() if name not in CLOCK} | other


class Device:
    """A device with a name of its own, its programs, and the desk that looks at it."""

    def __init__(self, site: Site, desk: MqttWire, name: str) -> None:
        self.site, self.desk, self.name = site, desk, name
        self.topic = TOPICS.presence(name)
        desk.subscribe(self.topic)

    def program(self, client_id: str, boot: bytes, **connect: Any) -> MqttWire:
        """A program connects, with a will, and publishes its presence."""
        wire = self.site.client(self.name, client_id, will=(self.topic, encode_cbor({"online": False, "boot": boot})), **connect)
        self.say(wire, words(boot))
        return wire

    def say(self, wire: MqttWire, said: dict[str, Any]) -> None:
        wire.publish(self.topic, encode_cbor(said), retain=True)
        wire.expect(PUBACK)

    def seen(self) -> list[dict[str, Any]]:
        """What the desk was sent so far."""
        heard = [p for p in self.desk.ping() if p.kind == PUBLISH]
        for packet in heard:
            self.desk.answer(PUBACK, packet.packet_id)
        return [p.plain for p in heard]

    def last(self) -> dict[str, Any]:
        """The presence with which it goes offline, as the desk is sent it. Presences before it may come in one."""
        while (said := self.desk.receive().plain)["online"]:
            pass
        return dict(said)

    def retained(self) -> dict[str, Any]:
        """What a desk sees that comes now. Subscriptions have their place behind everything that was received before."""
        with self.site.client("desk", "another screen") as screen:
            screen.subscribe(self.topic)
            plain: dict[str, Any] = screen.receive().plain
            return plain

    def is_listed_online(self) -> bool:
        site = self.site
        connected = site.wait_for(server.connected(site.app))
        rows = site.wait_for(devices.list_devices(site.app, connected, {}))
        shown = site.wait_for(devices.show_device(site.app, self.name, connected, {}))
        (row,) = (r for r in rows if r.device == self.name)
        assert row == shown.row
        return row.online


@pytest.fixture
def device(site: Site, desk: MqttWire) -> Device:
    """A device that no other test uses."""
    return Device(site, desk, next(_unused))


def test_the_will_of_one_program_does_not_speak_for_another(device: Device) -> None:
    before = device.program("app-before-reinstall", b"boot-one")
    with device.program("app-after-reinstall", b"boot-two") as after:
        before.cut()
        after.ping()
        assert device.retained() == words(b"boot-two")
        assert device.is_listed_online()
        assert all(said["online"] for said in device.seen())
    assert device.last() == without_clock(words(b"boot-two"), online=False)
    assert not device.is_listed_online()


def test_a_goodbye_of_one_program_does_not_speak_for_another(device: Device) -> None:
    with device.program("one", b"boot-one"), device.program("two", b"boot-two") as leaves:
        device.say(leaves, words(b"boot-two", online=False, last_seq=9))
        leaves.goodbye()
        assert device.retained() == words(b"boot-two", last_seq=9)
        assert all(said["online"] for said in device.seen())


def test_a_clean_disconnect_leaves_what_the_device_said_last(device: Device) -> None:
    with device.program("one", b"boot-one") as polite:
        polite.goodbye()
    assert device.retained() == words(b"boot-one", online=False)
    assert not device.is_listed_online()


def test_a_device_that_says_goodbye_is_offline_with_its_last_words(device: Device) -> None:
    with device.program("one", b"boot-one") as polite:
        device.seen()
        said = words(b"boot-one", online=False, last_seq=9, battery_percent=12)
        polite.send(publish_packet(device.topic, encode_cbor(said), retain=True) + GOODBYE)
        polite.expect_closed()
    assert device.retained() == said
    assert device.seen() == [said], "in one message"


def test_a_lost_connection_leaves_no_clock(device: Device) -> None:
    """Without the will too: a reader must not take the time of the last words for that of the end."""
    wire = device.site.client(device.name)
    device.say(wire, words(b"boot-one"))
    wire.cut()
    assert device.last() == without_clock(words(b"boot-one"), online=False)


@pytest.mark.parametrize(("before", "after"), [(True, True), (False, False), (True, False)])
def test_a_client_that_takes_its_connection_over_is_not_offline_between(device: Device, before: bool, after: bool) -> None:
    """With a session that is new, too: meanwhile it is being stored."""
    with device.program("one", b"boot-one", clean=before) as old, device.program("one", b"boot-two", clean=after):
        assert old.expect_closed() == []
        assert device.retained() == words(b"boot-two")
        assert all(said["online"] for said in device.seen())
    assert device.last() == without_clock(words(b"boot-two"), online=False)


def test_a_device_that_comes_back_is_online_with_what_it_said_last(device: Device) -> None:
    with device.program("one", b"boot-one") as wire:
        wire.goodbye()
    with device.site.client(device.name):
        assert device.retained() == without_clock(words(b"boot-one"))


def test_a_device_that_never_says_anything_is_shown_by_its_connections(device: Device) -> None:
    with device.site.client(device.name):
        assert device.retained() == {"online": True, "boot": BOOT_UNKNOWN}
        assert device.is_listed_online()
    assert device.last() == {"online": False, "boot": BOOT_UNKNOWN}
    assert not device.is_listed_online()


def test_a_will_alone_says_which_boot_has_ended(device: Device) -> None:
    device.site.client(device.name, will=(device.topic, encode_cbor({"online": False, "boot": b"boot-one"}))).cut()
    assert device.last() == {"online": False, "boot": b"boot-one"}


def test_a_device_can_not_say_that_it_is_online_when_it_has_gone(device: Device) -> None:
    device.site.client(device.name, will=(device.topic, encode_cbor(words(b"boot-one")))).cut()
    assert device.last() == words(b"boot-one", online=False)


def test_json_stays_json(device: Device) -> None:
    with device.site.client(device.name) as wire:
        wire.publish(device.topic, encode_json({"online": True, "boot": b"boot-one", "battery_percent": 80}), retain=True)
        wire.expect(PUBACK)
    while (last := device.desk.receive()).plain["online"]:
        pass
    assert (last.payload[:1], last.plain) == (b"{", {"online": False, "boot": b"boot-one".hex(), "battery_percent": 80})


def test_a_device_that_is_shut_out_has_no_presence(device: Device) -> None:
    with device.program("one", b"boot-one") as wire:
        device.site.wait_for(devices.revoke(device.site.app, device.name))
        wire.expect_closed()
    assert device.site.rows("SELECT * FROM retained WHERE topic = ?", device.topic) == []


def test_a_site_that_is_stopped_leaves_every_device_offline(tmp_path: Path) -> None:
    will = (TOPICS.presence("scan-2"), encode_cbor({"online": False, "boot": b"boot-two"}))
    with Site(tmp_path / "site") as site:
        enrolled(site, dict.fromkeys(("scan-1", "scan-2"), Role.SCANNER))
        with site.client("scan-1") as one, site.client("scan-2", will=will) as two:
            site.stop()
            one.expect_closed()
            two.expect_closed()
    presences = dict(site.rows("SELECT topic, payload FROM retained WHERE topic LIKE '%/presence'"))
    assert presences == {
        TOPICS.presence("scan-1"): encode_cbor({"online": False, "boot": BOOT_UNKNOWN}),
        TOPICS.presence("scan-2"): encode_cbor({"online": False, "boot": b"boot-two"}),
    }
