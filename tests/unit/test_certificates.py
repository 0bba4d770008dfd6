"""Certificates: those that the site's authority makes pass the strictest check, and wrong ones are refused with a sentence."""

from __future__ import annotations

import hashlib
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from bridge import certificates
from bridge.config import ListenSettings
from bridge.errors import ConfigError, Refused, SiteError
from bridge.tls import certificate_ends_ms, server_context

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority and a server certificate that tests only read."""
    folder = tmp_path_factory.mktemp("certificates") / "tls"
    certificates.make_authority(folder, "ams1", NOW)
    certificates.issue_server(folder, ["bridge.example.com", "192.168.1.7", "::1", "bridge.example.com"], NOW)
    return folder


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """An authority that one test may change."""
    certificates.make_authority(tmp_path, "ams1", NOW)
    return tmp_path


def shake_hands(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Performs a handshake in memory; returns the server's end of it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(to_client, to_server, server_hostname=name), server.wrap_bio(to_server, to_client, server_side=True)]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    assert [end.version() for end in ends] == ["TLSv1.3", "TLSv1.3"]
    return ends[1]


def strict(folder: Path) -> ssl.SSLContext:
    """A client that trusts the authority in a folder, and checks as Python 3.13 does by default."""
    client = ssl.create_default_context(cafile=folder / "ca.pem")
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return client


def strict_server(folder: Path) -> ssl.SSLContext:
    listen = ListenSettings(mqtts="127.0.0.1:0", tls_cert_file="server.pem", tls_key_file="server.key", tls_client_ca_file="ca.pem")
    context = server_context(listen, folder)
    assert context is not None
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


@pytest.mark.parametrize("name", ["bridge.example.com", "192.168.1.7", "::1"])
def test_the_server_is_trusted_by_the_names_it_was_given(folder: Path, name: str) -> None:
    shake_hands(strict_server(folder), strict(folder), name)


@pytest.mark.parametrize("name", ["example.com", "192.168.1.8"])
def test_another_name_is_not_trusted(folder: Path, name: str) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(strict_server(folder), strict(folder), name)


def test_who_does_not_trust_the_authority_refuses(folder: Path, own: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(strict_server(folder), strict(own), "bridge.example.com")


def test_a_device_shows_who_it_is(folder: Path, tmp_path: Path) -> None:
    certificate, key = certificates.issue_device(folder, "scan-07", NOW)
    certificates.write_pair(tmp_path, "scan-07.pem", "scan-07.key", certificate, key)
    client = strict(folder)
    client.load_cert_chain(tmp_path / "scan-07.pem", tmp_path / "scan-07.key")
    shown = shake_hands(strict_server(folder), client, "bridge.example.com").getpeercert(binary_form=True)
    assert shown is not None
    assert certificates.device_of(certificate) == ("scan-07", hashlib.sha256(shown).hexdigest())


def test_the_server_s_own_certificate_is_no_device_s(folder: Path) -> None:
    client = strict(folder)
    client.load_cert_chain(folder / "server.pem", folder / "server.key")
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(strict_server(folder), client, "bridge.example.com")


def test_keys_are_for_their_owner_alone(folder: Path) -> None:
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o644, "server.key": 0o600}


def test_certificates_say_what_they_are(folder: Path) -> None:
    server, authority = (certificates.describe((folder / name).read_bytes()) for name in ("server.pem", "ca.pem"))
    assert (server.subject, server.names) == ("CN=bridge.example.com", ("bridge.example.com", "192.168.1.7", "::1"))
    assert (authority.subject, authority.names) == ("CN=Dockbridge ams1", ())
    assert server.not_after == NOW + timedelta(days=824)
    assert authority.not_after == NOW + timedelta(days=3_653)
    assert certificate_ends_ms(folder / "server.pem") == int(server.not_after.timestamp() * 1000)


def test_a_fingerprint_is_what_openssl_prints(folder: Path) -> None:
    pem = (folder / "server.pem").read_text()
    digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest().upper()
    assert certificates.fingerprint(pem.encode()) == ":".join(digest[i : i + 2] for i in range(0, 64, 2))


def test_nothing_outlives_its_authority(own: Path) -> None:
    late = NOW + timedelta(days=3_600)
    certificate, _ = certificates.issue_device(own, "scan-07", late)
    assert certificates.not_after(certificate) == certificates.not_after((own / "ca.pem").read_bytes())


def test_a_second_authority_is_refused(own: Path) -> None:
    before = (own / "ca.key").read_bytes()
    with pytest.raises(Refused, match="exists already"):
        certificates.make_authority(own, "ams1", NOW)
    assert (own / "ca.key").read_bytes() == before


@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(b"no key")], ids=["gone", "damaged"])
@pytest.mark.parametrize("name", ["ca.pem", "ca.key"])
def test_an_authority_that_can_t_be_read_is_named(own: Path, name: str, damage: object) -> None:
    assert callable(damage)
    damage(own / name)
    with pytest.raises(SiteError, match="can't be read"):
        certificates.issue_server(own, ["localhost"], NOW)


def test_a_key_of_another_authority_is_named(own: Path, folder: Path) -> None:
    (own / "ca.key").write_bytes((folder / "ca.key").read_bytes())
    with pytest.raises(SiteError, match=r"ca\.key is not the key of"):
        certificates.issue_device(own, "scan-07", NOW)


@pytest.mark.parametrize("name", ["", "two words", "-x", "a..b", "müller.example", "*", "x" * 64, "https://bridge", "bridge:8883"])
def test_what_is_no_name_of_a_machine_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="is not a host name or address"):
        certificates.check_name(name)


@pytest.mark.parametrize("name", ["bridge", "bridge.local", "*.example.com", "dock_2", "10.0.0.1", "fe80::1", "x" * 63])
def test_names_of_machines_are_taken(name: str) -> None:
    assert isinstance(certificates.check_name(name), x509.GeneralName)


@given(st.text(max_size=80))
def test_any_text_is_a_name_or_refused(name: str) -> None:
    try:
        certificates.check_name(name)
    except Refused:
        return


def test_a_device_s_name_that_is_too_long_is_refused(own: Path) -> None:
    with pytest.raises(Refused, match="at most 64"):
        certificates.issue_device(own, "x" * 65, NOW)


def test_a_long_host_name_is_the_certificate_s_all_the_same(own: Path) -> None:
    name = ".".join(["warehouse"] * 10)
    certificates.issue_server(own, [name], NOW)
    assert certificates.describe((own / "server.pem").read_bytes()).names == (name,)


# --- the settings -------------------------------------------------------------------------------------------------------------


def refused(folder: Path, **listen: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        server_context(ListenSettings(mqtts="127.0.0.1:0", **{"tls_cert_file": "server.pem", "tls_key_file": "server.key", **listen}), folder)
    assert caught.value.fix
    return caught.value


def test_a_certificate_that_is_missing_is_named_with_what_makes_one(tmp_path: Path) -> None:
    error = refused(tmp_path)
    assert str(error) == f"listen.tls_cert_file: {tmp_path / 'server.pem'} does not exist"
    assert "dockbridge certificate renew" in str(error.fix)


def test_a_key_that_is_missing_is_named(folder: Path) -> None:
    assert "listen.tls_key_file: /nowhere.key does not exist" in str(refused(folder, tls_key_file="/nowhere.key"))


def test_a_key_that_does_not_fit_is_named(folder: Path) -> None:
    assert "can't be used together: KEY_VALUES_MISMATCH" in str(refused(folder, tls_key_file="ca.key"))


def test_a_file_that_is_not_an_authority_is_named(folder: Path) -> None:
    assert "server.key contains no certificate" in str(refused(folder, tls_client_ca_file="server.key"))
    assert "listen.tls_client_ca_file: /nowhere.pem does not exist" in str(refused(folder, tls_client_ca_file="/nowhere.pem"))


def test_a_file_that_can_t_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    error = refused(folder, tls_key_file=str(tmp_path))
    assert f"listen.tls_key_file: {tmp_path} can't be read" in str(error)


def test_an_encrypted_key_is_an_error_and_not_a_question(folder: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key

    key = load_pem_private_key((folder / "server.key").read_bytes(), None)
    (tmp_path / "locked.key").write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    assert "can't be used together" in str(refused(folder, tls_key_file=str(tmp_path / "locked.key")))


def test_a_site_without_tls_needs_no_certificate(tmp_path: Path) -> None:
    assert server_context(ListenSettings(), tmp_path) is None
