"""Certificates: those that the site's authority makes pass the strictest check, and wrong ones are refused with a sentence."""

from __future__ import annotations

import hashlib
import re
import ssl
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import strategies as st

from bridge import certificates
from bridge.config import ListenSettings
from bridge.errors import ConfigError, Refused, SiteError
from bridge.pem import certificate_fault, check_certificate, key_fault, pair_fault
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
    pem = (folder / "ca.pem").read_text()
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


def pem(folder: Path, name: str) -> bytes:
    return (folder / name).read_bytes()


def key(folder: Path) -> Any:
    return load_pem_private_key(pem(folder, "server.key"), None)


def locked(folder: Path, form: PrivateFormat) -> bytes:
    encoded: bytes = key(folder).private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret"))
    return encoded


WRONG_CERTIFICATES: dict[str, tuple[Callable[[Path], bytes], str, str]] = {
    "empty": (lambda f: b"", "is empty", "certificate chain"),
    "blank": (lambda f: b" \n", "is empty", "certificate chain"),
    "a key": (lambda f: pem(f, "server.key"), "contains a private key, and no certificate", "were swapped"),
    "a request": (
        lambda f: pem(f, "server.pem").replace(b"CERTIFICATE", b"CERTIFICATE REQUEST"),
        "contains a certificate request, and no certificate",
        "chain",
    ),
    "cut": (lambda f: pem(f, "server.pem")[:300], "ends in the middle of a certificate", "copy the file again"),
    "a chain that is cut": (lambda f: pem(f, "server.pem") + pem(f, "ca.pem")[:300], "ends in the middle of a certificate", "copy the file again"),
    "damaged": (lambda f: pem(f, "server.pem").replace(b"MII", b"AAA", 1), "contains a damaged certificate", "issued again"),
    "DER": (lambda f: load_pem_x509_certificate(pem(f, "server.pem")).public_bytes(Encoding.DER), "in the form DER, not PEM", "openssl x509 -inform DER -in"),
    "PKCS#12": (lambda f: b"\x30\x82\x03\x01rest", "is not PEM, but perhaps PKCS#12", "openssl pkcs12"),
    "a text": (lambda f: b"hello\n", "is not PEM: it contains no certificate", "certificate chain"),
}
WRONG_KEYS: dict[str, tuple[Callable[[Path], bytes], str, str]] = {
    "empty": (lambda f: b"", "is empty", "private key (PEM, not encrypted)"),
    "a certificate": (lambda f: pem(f, "server.pem"), "contains a certificate, and no private key", "were swapped"),
    "a public key": (
        lambda f: key(f).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "contains a public key, and no private key",
        "private key",
    ),
    "encrypted": (lambda f: locked(f, PrivateFormat.PKCS8), "is encrypted", "openssl pkey -in"),
    "encrypted as OpenSSL used to": (lambda f: locked(f, PrivateFormat.TraditionalOpenSSL), "is encrypted", "openssl pkey -in"),
    "cut": (lambda f: pem(f, "server.key")[:100], "ends in the middle of the key", "copy the file again"),
    "damaged": (lambda f: pem(f, "server.key").replace(b"MI", b"AA", 1), "contains a damaged key", "copy the file again"),
    "DER": (
        lambda f: key(f).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "contains a key in the form DER",
        "openssl pkey -inform DER -in",
    ),
    "a text": (lambda f: b"hello\n", "is not PEM: it contains no key", "private key"),
}


@pytest.mark.parametrize(
    ("setting", "make", "said", "fix"),
    [
        *(pytest.param("tls_cert_file", *row, id=f"certificate: {name}") for name, row in WRONG_CERTIFICATES.items()),
        *(pytest.param("tls_key_file", *row, id=f"key: {name}") for name, row in WRONG_KEYS.items()),
        *(pytest.param("tls_client_ca_file", *WRONG_CERTIFICATES[name], id=f"authority: {name}") for name in ("empty", "a key", "cut", "DER", "a text")),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_words(folder: Path, tmp_path: Path, setting: str, make: Callable[[Path], bytes], said: str, fix: str) -> None:
    file = tmp_path / "wrong file"
    file.write_bytes(make(folder))
    error = refused(folder, **{setting: str(file)})
    assert str(error).startswith(f"listen.{setting}: {file} ")
    assert said in str(error)
    assert fix in str(error.fix)
    if setting == "tls_cert_file":
        with pytest.raises(Refused, match=re.escape(f"{file} {said}"[:20])):
            check_certificate(file)


def test_a_key_that_does_not_fit_is_named(folder: Path, tmp_path: Path) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "other.key").write_bytes(other)
    said = str(refused(folder, tls_key_file=str(tmp_path / "other.key")))
    assert "can't be used together: the key is not that of the certificate of CN=" in said
    (tmp_path / "chain.pem").write_bytes(pem(folder, "ca.pem") + pem(folder, "server.pem"))
    turned = refused(folder, tls_cert_file=str(tmp_path / "chain.pem"))
    assert "the key is that of a later certificate in the chain" in str(turned)
    assert turned.fix == "put the server's own certificate first"


def test_a_key_with_its_parameters_in_front_is_a_key(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "with.key").write_bytes(b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + pem(folder, "server.key"))
    assert key_fault(tmp_path / "with.key") is None
    assert certificate_fault(folder / "server.pem") is None
    assert pair_fault(folder / "server.pem", folder / "server.key") is None


def test_an_authority_that_is_not_there_is_named(folder: Path) -> None:
    assert "listen.tls_client_ca_file: /nowhere.pem does not exist" in str(refused(folder, tls_client_ca_file="/nowhere.pem"))


def test_a_file_that_can_t_be_read_is_named(folder: Path, tmp_path: Path) -> None:
    error = refused(folder, tls_key_file=str(tmp_path))
    assert f"listen.tls_key_file: {tmp_path} can't be read" in str(error)


def test_a_site_without_tls_needs_no_certificate(tmp_path: Path) -> None:
    assert server_context(ListenSettings(), tmp_path) is None
