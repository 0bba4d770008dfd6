"""A warehouse's network can't be trusted: devices use TLS, recognise their server by its certificate, and may log in with a certificate of their own."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import cbor2
import pytest
from helpers.events import SITE, TOPICS
from helpers.foreign_tools import needs
from helpers.mqtt import PUBACK, MqttWire, connect_packet
from helpers.site import Site
from helpers.waiting import DEADLINE_S, until
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from bridge import certificates
from bridge.app import Application
from bridge.errors import ConfigError
from bridge.operations import devices, server
from devices import Scanner

LISTEN = {"mqtt": "127.0.0.1:0", "mqtts": "127.0.0.1:0", "wss": "127.0.0.1:0", "tls_client_ca_file": "tls/ca.pem"}
PACK = TOPICS.event("scan-1", "pack")
RECEIPTS = TOPICS.receipts("scan-1")
BAD_CREDENTIALS, NOT_AUTHORIZED = 4, 5


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with Site(tmp_path / "site", listen=LISTEN, broker={"connect_timeout_s": 1}) as served:
        yield served


def trust(site: Site) -> ssl.SSLContext:
    """The TLS context that a device makes from the site's `ca.pem`."""
    return ssl.create_default_context(cafile=site.tls / "ca.pem")


def certify(site: Site, device: str, folder: Path) -> ssl.SSLContext:
    """Gives a device a certificate, as `dockbridge device certificate` does; returns a context that presents it."""
    if device not in site.secrets:
        site.enrol(device)
    certificate, key = certificates.issue_device(site.tls, device, datetime.now(UTC))
    certificates.write_pair(folder, f"{device}.pem", f"{device}.key", certificate, key)
    _, sha256 = certificates.device_of(certificate)
    site.wait_for(devices.certify(site.app, device, sha256))
    return showing(site, device, folder)


def showing(site: Site, device: str, folder: Path) -> ssl.SSLContext:
    context = trust(site)
    context.load_cert_chain(folder / f"{device}.pem", folder / f"{device}.key")
    return context


def login(site: Site, context: ssl.SSLContext, username: str | None = None, password: str | None = None) -> int:
    """The return code of a CONNECT over TLS."""
    with MqttWire(site.addresses["mqtts"], context) as wire:
        return wire.connect("c", username, password)[1]


def is_cut_off(site: Site, context: ssl.SSLContext) -> bool:
    """Whether the handshake fails; in TLS 1.3 the client learns of it only when it reads."""
    try:
        with MqttWire(site.addresses["mqtts"], context) as wire:
            wire.send(connect_packet("scan-1"))
            return wire.read() is None
    except (ssl.SSLError, ConnectionError):
        return True


HANDSHAKE = "a TLS handshake failed, of 127.0.0.1: "


def quiet(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether the only thing logged is one sentence about a handshake."""
    heard = [r for r in caplog.records if r.exc_info or r.levelno >= logging.WARNING]
    return len(heard) <= 1 and all(r.getMessage().startswith(HANDSHAKE) and not r.exc_info for r in heard)


# --- the server's certificate -------------------------------------------------------------------------------------------------


def test_a_scan_over_tls_is_stored_and_answered(site: Site) -> None:
    site.create("PO-1")
    secret = site.enrol("scan-1")
    with MqttWire(site.addresses["mqtts"], trust(site)) as wire:
        assert wire.connect("scan-1", "scan-1", secret) == (False, 0)
        wire.subscribe(RECEIPTS)
        wire.publish(PACK, site.event("scan-1", 1, "PO-1"))
        assert {wire.read().kind for _ in range(2)} >= {PUBACK}  # type: ignore[union-attr]
        wire.goodbye()


def test_a_burst_over_tls_comes_through_whole(site: Site) -> None:
    """More than a socket's buffer each way: reading and writing pause and continue."""
    site.create("PO-1")
    secret = site.enrol("scan-1")
    events = 500
    with MqttWire(site.addresses["mqtts"], trust(site)) as wire:
        wire.connect("scan-1", "scan-1", secret)
        for seq in range(1, events + 1):
            wire.publish(PACK, site.event("scan-1", seq, "PO-1", {"note": "x"}), packet_id=seq)
        acknowledged = [wire.expect(PUBACK).packet_id for _ in range(events)]
    assert acknowledged == list(range(1, events + 1))


def test_a_scan_over_websocket_and_tls_is_stored_and_answered(site: Site) -> None:
    site.create("PO-1")
    secret = site.enrol("scan-1")
    told: list[MQTTMessage] = []
    heard, subscribed = threading.Event(), threading.Event()
    client = Client(CallbackAPIVersion.VERSION2, client_id="scan-1", transport="websockets")
    client.tls_set_context(trust(site))
    client.username_pw_set("scan-1", secret)
    client.on_connect = lambda *_: client.subscribe(RECEIPTS, qos=1)
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_message = lambda _client, _data, message: (told.append(message), heard.set())
    client.connect(*site.addresses["wss"])
    client.loop_start()
    try:
        assert subscribed.wait(DEADLINE_S)
        client.publish(PACK, site.event("scan-1", 1, "PO-1"), qos=1).wait_for_publish(DEADLINE_S)
        assert heard.wait(DEADLINE_S)
    finally:
        client.disconnect()
        client.loop_stop()
    assert cbor2.loads(told[0].payload)["outcome"] == "applied"


@pytest.mark.parametrize("listener", ["mqtts", "wss"])
def test_a_client_that_does_not_trust_the_authority_refuses(site: Site, listener: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        MqttWire(site.addresses[listener], ssl.create_default_context())
    assert quiet(caplog)
    assert login(site, trust(site), "scan-1", "wrong") == BAD_CREDENTIALS, "and everybody else goes on"


def test_a_handshake_that_fails_is_said_once_with_its_address_and_reason(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(3):
        with pytest.raises(ssl.SSLCertVerificationError):
            MqttWire(site.addresses["mqtts"], ssl.create_default_context())
    until(lambda: site.on_loop(lambda: site.app.counters)["handshakes_failed"] == 3, "three handshakes to fail")
    (line,) = [r.getMessage() for r in caplog.records if "handshake" in r.getMessage()]
    assert line.startswith(HANDSHAKE)
    assert "unknown ca" in line
    assert site.on_loop(lambda: site.app.broker.hosts) == {}  # type: ignore[union-attr]


def test_who_shakes_hands_counts_as_a_connection(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Site(tmp_path / "site", listen={"mqtt": "", "mqtts": "127.0.0.1:0"}, broker={"connections_per_address_max": 2, "connect_timeout_s": 30}) as site:
        address = site.addresses["mqtts"]
        with socket.create_connection(address, DEADLINE_S), socket.create_connection(address, DEADLINE_S) as second:
            with socket.create_connection(address, DEADLINE_S) as third:
                assert third.recv(1) == b""
            assert site.on_loop(lambda: site.app.counters)["turned_away"] == 1
            second.close()
            until(lambda: site.on_loop(lambda: site.app.counters)["handshakes_failed"] == 1, "the second to be gone")
            site.enrol("scan-1")
            assert login(site, trust(site), "scan-1", site.secrets["scan-1"]) == 0
    assert len([r for r in caplog.records if "turned away" in r.getMessage()]) == 1


def test_a_plain_listener_beside_a_tls_one_stays_plain(site: Site) -> None:
    assert sorted(site.addresses) == ["mqtt", "mqtts", "wss"]
    with site.client("scan-1") as plain:
        assert plain.ping() == []
    for name in ("mqtts", "wss"):
        with MqttWire(site.addresses[name]) as wire:
            wire.send(connect_packet("scan-1", "scan-1", site.secrets["scan-1"]))
            assert all(p.kind != 2 for p in wire.expect_closed()), f"{name} answered without TLS"


def test_old_tls_is_refused(site: Site) -> None:
    old = trust(site)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        MqttWire(site.addresses["mqtts"], old)


HALF_A_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
STRANGE = {"silence": b"", "half a hello": HALF_A_HELLO, "garbage": b"\xff" * 100, "plain HTTP": b"GET / HTTP/1.1\r\n\r\n"}


def test_a_handshake_that_never_ends_is_closed(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with ExitStack() as strangers:
        opened = {}
        for listener, (name, said) in product(("mqtts", "wss"), STRANGE.items()):
            opened[listener, name] = strangers.enter_context(socket.create_connection(site.addresses[listener], DEADLINE_S))
            opened[listener, name].sendall(said)
        for which, stranger in opened.items():
            heard = b""
            try:
                while data := stranger.recv(4096):  # its own deadline fails the test
                    heard += data
            except ConnectionResetError:
                pass
            assert len(heard) <= 7, f"{which}: an alert at most"
    assert quiet(caplog)


def test_who_shakes_hands_and_then_says_nothing_is_closed(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with MqttWire(site.addresses["mqtts"], trust(site)) as wire, MqttWire(site.addresses["wss"], trust(site)) as other:
        wire.expect_closed()
        other.expect_closed()
    assert quiet(caplog)


def test_a_client_that_vanishes_does_not_keep_the_server_from_stopping(site: Site) -> None:
    wire = MqttWire(site.addresses["mqtts"], trust(site))
    wire.connect("scan-1", "scan-1", site.enrol("scan-1"))
    site.stop()  # its closing alert is not answered
    wire.cut()


def test_a_certificate_of_ones_own_is_served_by_config(tmp_path: Path) -> None:
    ours = tmp_path / "company"
    certificates.make_authority(ours, "company", datetime.now(UTC))
    certificates.issue_server(ours, ["127.0.0.1"], datetime.now(UTC))
    listen = {"mqtt": "", "mqtts": "127.0.0.1:0", "tls_cert_file": str(ours / "server.pem"), "tls_key_file": "../company/server.key"}
    with Site(tmp_path / "site", listen=listen) as site:
        with pytest.raises(ssl.SSLCertVerificationError):
            MqttWire(site.addresses["mqtts"], trust(site))
        assert login(site, ssl.create_default_context(cafile=ours / "ca.pem"), "scan-1", site.enrol("scan-1")) == 0


def test_a_missing_certificate_is_named_and_nothing_listens(tmp_path: Path) -> None:
    site = Site(tmp_path / "site", listen=LISTEN)
    (site.tls / "server.pem").unlink()

    async def serve() -> None:
        async with await Application.open(site.directory) as app:
            await app.serve()

    with pytest.raises(ConfigError, match=r"listen\.tls_cert_file: .*server\.pem does not exist"):
        asyncio.run(serve())


def test_a_renewed_certificate_is_shown_without_a_restart(site: Site) -> None:
    def shown() -> bytes | None:
        with socket.create_connection(site.addresses["mqtts"], DEADLINE_S) as plain, trust(site).wrap_socket(plain, server_hostname="127.0.0.1") as wire:
            return wire.getpeercert(binary_form=True)

    before = shown()
    with MqttWire(site.addresses["mqtts"], trust(site)) as stays:
        stays.connect("scan-1", "scan-1", site.enrol("scan-1"))
        certificates.issue_server(site.tls, ["127.0.0.1"], datetime.now(UTC))
        assert site.wait_for(server.reload_certificate(site.app)) is True
        assert shown() != before
        assert stays.ping() == []
    (site.tls / "server.key").write_bytes((site.tls / "ca.key").read_bytes())
    with pytest.raises(ConfigError, match="can't be used together"):
        site.wait_for(server.reload_certificate(site.app))
    assert shown() != before, "the good one stays"


@pytest.mark.parametrize(("days", "said"), [(31, None), (29, "ends in 28 days"), (-1, "has ended")])
def test_the_end_of_a_certificate_is_announced(tmp_path: Path, caplog: pytest.LogCaptureFixture, days: int, said: str | None) -> None:
    site = Site(tmp_path / "site", listen=LISTEN)
    certificates.issue_server(site.tls, ["127.0.0.1"], datetime.now(UTC) - certificates.LEAF_VALID + certificates.CLOCK_SKEW + timedelta(days=days))
    with site:
        site.client("scan-1").cut()
    warned = [r.getMessage() for r in caplog.records if "certificate" in r.getMessage()]
    assert warned == ([] if said is None else [f"the server's certificate {said}; `dockbridge certificate renew` makes another"])


# --- devices' certificates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("username", [None, "scan-1"])
def test_a_device_is_known_by_its_certificate(site: Site, tmp_path: Path, username: str | None) -> None:
    context = certify(site, "scan-1", tmp_path)
    site.create("PO-1")
    with MqttWire(site.addresses["mqtts"], context) as wire:
        assert wire.connect("scan-1", username) == (False, 0)
        assert site.on_loop(lambda: site.app.connected) == {"scan-1"}
        wire.publish(PACK, site.event("scan-1", 1, "PO-1"))
        wire.expect(PUBACK)
    assert site.rows("SELECT device FROM events WHERE type = 'pack'") == [("scan-1",)]


def test_a_device_is_known_by_its_certificate_over_websocket_too(site: Site, tmp_path: Path) -> None:
    client = Client(CallbackAPIVersion.VERSION2, client_id="scan-1", transport="websockets")
    client.tls_set_context(certify(site, "scan-1", tmp_path))
    code: list[Any] = []
    answered = threading.Event()
    client.on_connect = lambda _client, _data, _flags, reason, _properties: (code.append(reason), answered.set())
    client.connect(*site.addresses["wss"])
    client.loop_start()
    try:
        assert answered.wait(DEADLINE_S)
        assert not code[0].is_failure
        assert site.on_loop(lambda: site.app.connected) == {"scan-1"}
    finally:
        client.disconnect()
        client.loop_stop()


def test_another_username_than_the_certificate_s_is_refused(site: Site, tmp_path: Path) -> None:
    context = certify(site, "scan-1", tmp_path)
    secret = site.enrol("scan-2")
    assert login(site, context, "scan-2") == NOT_AUTHORIZED
    assert login(site, context, "scan-2", secret) == NOT_AUTHORIZED
    assert login(site, context, "") == NOT_AUTHORIZED


def test_a_password_is_checked_whatever_the_certificate_says(site: Site, tmp_path: Path) -> None:
    context = certify(site, "scan-1", tmp_path)
    assert login(site, context, "scan-1", "wrong") == BAD_CREDENTIALS
    assert login(site, context, "scan-1", site.secrets["scan-1"]) == 0
    assert login(site, trust(site), "scan-1", site.secrets["scan-1"]) == 0


def test_a_login_without_certificate_and_password_is_refused(site: Site, tmp_path: Path) -> None:
    certify(site, "scan-1", tmp_path)
    assert login(site, trust(site)) == BAD_CREDENTIALS
    assert login(site, trust(site), "scan-1") == BAD_CREDENTIALS


def test_only_the_newest_certificate_is_accepted(site: Site, tmp_path: Path) -> None:
    old = certify(site, "scan-1", tmp_path / "old")
    with MqttWire(site.addresses["mqtts"], old) as wire:
        wire.connect("scan-1")
        new = certify(site, "scan-1", tmp_path / "new")
        wire.expect_closed()
    assert login(site, old) == BAD_CREDENTIALS
    assert login(site, new) == 0


def test_a_revoked_device_is_out_and_a_new_password_does_not_bring_its_certificate_back(site: Site, tmp_path: Path) -> None:
    context = certify(site, "scan-1", tmp_path)
    with MqttWire(site.addresses["mqtts"], context) as wire:
        wire.connect("scan-1")
        site.wait_for(devices.revoke(site.app, "scan-1"))
        wire.expect_closed()
    assert login(site, context) == BAD_CREDENTIALS
    site.wait_for(devices.rotate(site.app, "scan-1", readmit=True))
    assert login(site, context) == BAD_CREDENTIALS


def test_a_new_password_leaves_the_certificate(site: Site, tmp_path: Path) -> None:
    context = certify(site, "scan-1", tmp_path)
    site.wait_for(devices.rotate(site.app, "scan-1"))
    assert login(site, context) == 0


def test_a_certificate_that_nobody_recorded_is_refused(site: Site, tmp_path: Path) -> None:
    """It is signed by the authority, but was never given to the device: a stolen `ca.key` alone does not let an attacker in."""
    site.enrol("scan-1")
    certificates.write_pair(tmp_path, "scan-1.pem", "scan-1.key", *certificates.issue_device(site.tls, "scan-1", datetime.now(UTC)))
    assert login(site, showing(site, "scan-1", tmp_path)) == BAD_CREDENTIALS


def test_a_certificate_of_another_authority_is_refused(site: Site, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    site.enrol("scan-1")
    certificates.make_authority(tmp_path, "another", datetime.now(UTC))
    certificate, key = certificates.issue_device(tmp_path, "scan-1", datetime.now(UTC))
    certificates.write_pair(tmp_path, "scan-1.pem", "scan-1.key", certificate, key)
    _, sha256 = certificates.device_of(certificate)
    site.wait_for(devices.certify(site.app, "scan-1", sha256))
    assert is_cut_off(site, showing(site, "scan-1", tmp_path))
    assert quiet(caplog)


def test_where_client_certificates_are_not_configured_they_say_nothing(tmp_path: Path) -> None:
    with Site(tmp_path / "site", listen={**LISTEN, "tls_client_ca_file": ""}) as site:
        assert login(site, certify(site, "scan-1", tmp_path)) == BAD_CREDENTIALS


# --- clients of others, and our library ---------------------------------------------------------------------------------------


def test_mosquitto_pub_speaks_tls(site: Site, tmp_path: Path) -> None:
    needs("mosquitto_pub")
    site.create("PO-1")
    certify(site, "scan-1", tmp_path)
    host, port = site.addresses["mqtts"]
    ways = {
        "password": ["-u", "scan-1", "-P", site.secrets["scan-1"]],
        "certificate": ["--cert", str(tmp_path / "scan-1.pem"), "--key", str(tmp_path / "scan-1.key")],
    }
    for seq, way in enumerate(ways.values(), 1):
        (tmp_path / "pack").write_bytes(site.event("scan-1", seq, "PO-1"))
        command = ["mosquitto_pub", "-h", host, "-p", str(port), "--cafile", str(site.tls / "ca.pem"), "-q", "1", "-t", PACK, "-f", str(tmp_path / "pack")]
        done = subprocess.run([*command, *way], capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        assert done.returncode == 0, done.stderr
    assert site.rows("SELECT seq FROM events WHERE type = 'pack' ORDER BY seq") == [(1,), (2,)]


@pytest.mark.parametrize("by", ["password", "certificate"])
def test_the_device_library_takes_the_files_as_they_are(site: Site, tmp_path: Path, by: str) -> None:
    site.create("PO-1")
    certify(site, "scan-1", tmp_path)
    host, port = site.addresses["mqtts"]
    if by == "password":
        who: dict[str, Any] = {"password": site.secrets["scan-1"]}
    else:
        who = {"cert_file": tmp_path / "scan-1.pem", "key_file": tmp_path / "scan-1.key"}
    with Scanner(site=SITE, device="scan-1", host=host, port=port, ca_file=site.tls / "ca.pem", outbox=tmp_path / "outbox.db", **who) as scanner:
        assert scanner.pack("PO-1").receipt(timeout_s=DEADLINE_S).outcome == "applied"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # paho leaves the socket of a failed handshake to the garbage collector
def test_the_device_library_says_that_it_does_not_trust_the_server(site: Site, tmp_path: Path) -> None:
    host, port = site.addresses["mqtts"]
    said = threading.Event()
    handler = logging.Handler()
    handler.emit = lambda record: said.set() if "certificate is not trusted" in record.getMessage() else None  # type: ignore[method-assign]
    logging.getLogger("devices.connection").addHandler(handler)
    try:
        with Scanner(site=SITE, device="scan-1", password="x", host=host, port=port, tls=True, outbox=tmp_path / "outbox.db"):
            assert said.wait(DEADLINE_S)
    finally:
        logging.getLogger("devices.connection").removeHandler(handler)
