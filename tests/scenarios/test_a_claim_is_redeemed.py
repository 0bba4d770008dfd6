"""A device has only its QR code: it finds its server, gets its password once, and nobody else gets anything, whatever is lost or cut on the way."""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.events import SITE, TOPICS, event
from helpers.mqtt import PUBACK, PUBLISH, MqttWire, publish_packet
from helpers.server import Server, ServerProcess
from helpers.site import Site
from helpers.waiting import until

from bridge.broker.logins import FREE
from bridge.claim_terms import terms_of
from bridge.entrypoints.control.client import call
from bridge.operations import devices
from bridge.operations.fleet import Action, DeviceChange, NewClaim
from bridge.passwords import token_digest
from devices import ClaimRefused, ClaimStoreError, InvalidClaim, Scanner, ServerNotReached, WrongServer, redeem
from devices.protocol.claims import Claim, fingerprint_text
from devices.protocol.vocabulary import Role

CREDENTIALS = TOPICS.credentials("scan-1")
BAD_CREDENTIALS, NOT_AUTHORIZED, REFUSED = 4, 5, 0x80
LISTEN = {"mqtt": "127.0.0.1:0", "mqtts": "127.0.0.1:0"}
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def one_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Site(tmp_path_factory.mktemp("claims") / "site", listen=LISTEN) as served:
        yield served


@pytest.fixture
def site(one_site: Site) -> Iterator[Site]:
    """The site without a device, and without a login that failed."""
    yield one_site
    for known in one_site.app.registry.list():
        one_site.wait_for(devices.remove(one_site.app, known.device, revoke=True))
    one_site.secrets.clear()
    one_site.on_loop(lambda: one_site.app.broker.logins.forget_old(one_site.app.clock.now_s() + HOUR_MS))  # type: ignore[union-attr]


def issue(site: Site, device: str = "scan-1", *, hours: float = 1.0) -> Claim:
    """Gives a device a claim, as `dockbridge device enrol` does."""
    host, port = site.addresses["mqtts"]
    claim = terms_of(site.directory, [f"{host}:{port}"]).claim(device)
    new = NewClaim(token_sha256=token_digest(claim.token), valid_ms=round(hours * HOUR_MS))
    is_known = site.app.registry.find(device) is not None
    change = DeviceChange(action=Action.CLAIM if is_known else Action.ADD, device=device, role=Role.SCANNER, claim=new)
    site.wait_for(devices.apply(site.app, [change]))
    return claim


def claimant(site: Site, claim: Claim, client_id: str = "any", **connect: object) -> MqttWire:
    """A client of another maker that redeems a claim, as far as its CONNACK."""
    wire = site.stranger()
    assert wire.connect(client_id, claim.username, claim.token, **connect)[1] == 0
    return wire


def asked(wire: MqttWire) -> MqttWire:
    """It has subscribed to its credentials."""
    assert wire.subscribe(CREDENTIALS) == [1]
    return wire


def takes(site: Site, password: str, device: str = "scan-1") -> bool:
    with site.stranger() as wire:
        return wire.connect("check", device, password)[1] == 0


def open_claims(site: Site) -> list[str]:
    return [claim.device for claim in site.wait_for(devices.open_claims(site.app))]


def test_a_scanner_redeems_its_code_once_and_works(site: Site, tmp_path: Path) -> None:
    claim = issue(site)
    redeemed = redeem(claim.text(), tmp_path / "scan-1.json")
    assert (redeemed.site, redeemed.device) == (SITE, "scan-1")
    assert (tmp_path / "scan-1.json").stat().st_mode & 0o777 == 0o600
    with Scanner(**redeemed.settings(tmp_path / "scan-1.json"), outbox=tmp_path / "scan-1.db") as scanner:
        assert scanner.pack("PO-1").receipt(timeout_s=10).outcome == "parked"
    assert open_claims(site) == []
    with pytest.raises(ClaimRefused):
        redeem(claim.text(), tmp_path / "thief.json")
    assert redeem(claim.text(), tmp_path / "scan-1.json") == redeemed  # the same device again: it has its password already


@pytest.mark.slow
def test_a_claim_can_be_typed_in(site: Site, tmp_path: Path) -> None:
    typed = issue(site).short_text()
    assert redeem(f" {typed.rpartition('/')[0]}/{typed.rpartition('/')[2].lower()}\n", tmp_path / "scan-1.json").device == "scan-1"
    with pytest.raises(InvalidClaim) as refused:
        redeem(typed[:-3], tmp_path / "scan-1.json")
    assert typed[-20:-5] not in str(refused.value)


def test_a_secret_is_stored_as_its_hash_and_a_token_as_its_digest(site: Site) -> None:
    claim = issue(site)
    with asked(claimant(site, claim)) as wire:
        password = wire.receive().plain["password"]
        until(lambda: not open_claims(site), "the claim to end")
    files = b"".join(path.read_bytes() for path in site.directory.iterdir() if path.is_file())
    assert claim.token.encode() not in files
    assert password.encode() not in files
    assert site.rows("SELECT password_hash LIKE '$argon2id$%' FROM devices") == [(1,)]


def test_only_the_right_token_in_time_gets_in(site: Site) -> None:
    claim = issue(site)
    issue(site, "scan-2", hours=-1)
    site.enrol("scan-3")
    for username, password in (
        (claim.username, "A" * 20),
        (claim.username, ""),
        ("claim:scan-2", claim.token),
        ("claim:scan-3", site.secrets["scan-3"]),
        ("claim:nobody", claim.token),
        ("claim:", claim.token),
        ("scan-1", claim.token),
    ):
        with site.stranger() as wire:
            assert wire.connect("x", username, password)[1] == BAD_CREDENTIALS
    assert site.app.registry.get("scan-1").has_secret is False
    site.wait_for(devices.revoke_claims(site.app, ["scan-1"]))
    with site.stranger() as wire:
        assert wire.connect("x", claim.username, claim.token)[1] == BAD_CREDENTIALS


def test_guesses_are_slowed_like_those_of_passwords(site: Site) -> None:
    issue(site)
    for _ in range(FREE):
        with site.stranger() as wire:
            assert wire.connect("x", "claim:scan-1", "A" * 20)[1] == BAD_CREDENTIALS
    assert site.on_loop(lambda: site.app.broker.logins.brake("claim:scan-1", "127.0.0.1", site.app.clock.now_s())) is not None  # type: ignore[union-attr]
    until(lambda: [r[0] for r in site.rows("SELECT subject FROM alerts WHERE code = 'logins'")] == ["claim:scan-1"], "the alert")


def test_a_device_says_nothing_to_another_server(site: Site, tmp_path: Path) -> None:
    claim = issue(site)
    other = replace(claim, fingerprint=fingerprint_text(hashlib.sha256(b"another authority").digest()))
    for text in (other.text(), other.short_text()):
        with pytest.raises(WrongServer):
            redeem(text, tmp_path / "scan-1.json")
    assert site.on_loop(lambda: site.app.failed_logins) == {}
    assert open_claims(site) == ["scan-1"]
    nobody = replace(claim, addresses=(("127.0.0.1", 1),))
    with pytest.raises(ServerNotReached):
        redeem(nobody.text(), tmp_path / "scan-1.json", timeout_s=2)
    assert redeem(replace(claim, addresses=(*nobody.addresses, *claim.addresses)).text(), tmp_path / "scan-1.json").device == "scan-1"


@pytest.mark.slow
def test_a_device_that_can_not_store_a_password_asks_for_none(site: Site, tmp_path: Path) -> None:
    claim = issue(site)
    with pytest.raises(ClaimStoreError):
        redeem(claim.text(), tmp_path / "no" / "folder.json")
    assert site.rows("SELECT handed FROM claims") == [(0,)]


def test_any_client_can_check_the_authority_in_the_chain(site: Site) -> None:
    claim = issue(site)
    context = ssl.create_default_context(cafile=site.tls / "ca.pem")
    shown = base64.b32encode(hashlib.sha256(ssl.PEM_cert_to_DER_cert((site.tls / "ca.pem").read_text())).digest()).decode().rstrip("=")
    assert shown == claim.fingerprint
    with MqttWire(site.addresses["mqtts"], context) as wire:
        assert wire.connect("any", claim.username, claim.token)[1] == 0


def test_whoever_redeems_can_do_nothing_else(site: Site) -> None:
    claim, before = issue(site), site.rows("SELECT count(*) FROM events")
    with claimant(site, claim, clean=False) as wire:
        filters = [TOPICS.receipts("scan-1"), TOPICS.bridge_state, "#", f"{TOPICS.base}/devices/+/credentials", TOPICS.credentials("scan-2"), "free/#"]
        assert wire.subscribe(*filters) == [REFUSED] * len(filters)
        assert wire.subscribe(CREDENTIALS, qos=0, packet_id=2) == [REFUSED]
        assert wire.ping() == []
        wire.send(publish_packet(TOPICS.event("scan-1", "pick"), event("scan-1", 1, "PO-1")))
        wire.expect_closed()
    with site.stranger() as wire:
        assert wire.connect("any", claim.username, claim.token, will=(TOPICS.presence("scan-1"), b"{}"))[1] == NOT_AUTHORIZED
    assert site.rows("SELECT * FROM sessions") == site.rows("SELECT * FROM retained") == []
    assert site.rows("SELECT count(*) FROM events") == before
    assert site.on_loop(lambda: site.app.connected) == set()
    assert open_claims(site) == ["scan-1"]


def test_whoever_redeems_does_not_take_over_the_device(site: Site) -> None:
    with site.client("scan-1") as working:
        claim = issue(site)
        with claimant(site, claim, client_id="scan-1") as wire:
            assert working.ping() == []  # it keeps its connection, and its password, until the claim is redeemed
            assert takes(site, site.secrets["scan-1"])
            asked(wire)
            password = wire.receive().plain["password"]
        assert working.expect_closed() == []
    assert takes(site, password)
    assert not takes(site, site.secrets["scan-1"])


def test_an_answer_that_was_lost_does_not_cost_the_claim(site: Site) -> None:
    claim = issue(site)
    with asked(claimant(site, claim)) as wire:
        lost = wire.expect(PUBLISH).plain["password"]
    with asked(claimant(site, claim)) as wire:
        kept = wire.receive().plain["password"]
        until(lambda: not open_claims(site), "the claim to end")
        assert wire.subscribe(CREDENTIALS) == [1]
        assert wire.ping() == []  # asked again: there is nothing more
    assert takes(site, kept)
    assert not takes(site, lost)


@pytest.mark.slow
def test_an_acknowledgement_that_was_lost_is_made_up_for_by_the_first_login(site: Site) -> None:
    claim = issue(site)
    with asked(claimant(site, claim)) as wire:
        password = wire.expect(PUBLISH).plain["password"]
    site.restart()
    assert open_claims(site) == ["scan-1"]
    assert takes(site, password)
    until(lambda: not open_claims(site), "the claim to end")


def test_of_two_phones_with_one_claim_exactly_one_gets_a_password_that_works(site: Site) -> None:
    claim = issue(site)
    with asked(claimant(site, claim, "one")) as first:
        early = first.expect(PUBLISH)
        with asked(claimant(site, claim, "two")) as second:
            late = second.expect(PUBLISH)
            first.expect_closed()
            assert open_claims(site) == ["scan-1"]
            second.answer(PUBACK, late.packet_id)
            until(lambda: not open_claims(site), "the claim to end")
    assert [takes(site, packet.plain["password"]) for packet in (early, late)] == [False, True]


@pytest.mark.slow
def test_of_two_phones_that_race_one_wins(site: Site, tmp_path: Path) -> None:
    claim, won, lost = issue(site), [], []

    def run(name: str) -> None:
        try:
            won.append(redeem(claim.text(), tmp_path / name).password)
        except (ClaimRefused, ServerNotReached) as error:
            lost.append(error)

    phones = [threading.Thread(target=run, args=(f"{n}.json",)) for n in range(2)]
    for phone in phones:
        phone.start()
    for phone in phones:
        phone.join()
    assert len(won) == len(lost) == 1
    assert takes(site, won[0])


def test_a_claim_ends_with_its_device(site: Site) -> None:
    claims = [issue(site, f"scan-{n}") for n in range(1, 4)]
    with claimant(site, claims[0]) as waiting:
        site.wait_for(devices.revoke(site.app, "scan-1"))
        waiting.expect_closed()
    site.wait_for(devices.rotate(site.app, "scan-2"))
    site.wait_for(devices.remove(site.app, "scan-3", revoke=True))
    assert open_claims(site) == []
    for claim in claims:
        with site.stranger() as wire:
            assert wire.connect("x", claim.username, claim.token)[1] == BAD_CREDENTIALS


@pytest.mark.slow
def test_a_server_that_is_killed_before_it_has_sent_the_password_gives_another_one(tmp_path: Path) -> None:
    with Server(tmp_path / "site", broker={"connect_timeout_s": 5}) as server:
        token = "A" * 20
        new = NewClaim(token_sha256=token_digest(token), valid_ms=HOUR_MS)
        call(server.directory, devices.add, "scan-1", Role.SCANNER, claim=new)
    with ServerProcess(server.directory, "--kill-at", "claim_stored:1", log=tmp_path / "killed.log") as killed, MqttWire(killed.address) as wire:
        assert wire.connect("any", "claim:scan-1", token)[1] == 0
        assert wire.subscribe(CREDENTIALS) == [1]
        assert [p for p in wire.expect_closed() if p.kind == PUBLISH] == []
        killed.ended()
    assert server.rows("SELECT handed FROM claims") == [(1,)]
    assert server.rows("SELECT password_hash IS NOT NULL FROM devices") == [(1,)]
    with server, MqttWire(server.address) as wire:
        assert wire.connect("any", "claim:scan-1", token)[1] == 0
        password = asked(wire).receive().plain["password"]
        until(lambda: server.rows("SELECT * FROM claims") == [], "the claim to end")
        with MqttWire(server.address) as device:
            assert device.connect("scan-1", "scan-1", password)[1] == 0
