"""A site's certificates: its own authority, the server's certificate, and certificates of devices (X.509, RFC 5280).

Keys are EC P-256. All files are in one folder; keys have mode 0600. Times are arguments, and nothing here reads the machine's name.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bridge.config import CERTIFICATES_NAME
from bridge.durable import replace_file
from bridge.errors import Refused, SiteError

FOLDER_NAME: Final = CERTIFICATES_NAME
AUTHORITY_FILE: Final = "ca.pem"
AUTHORITY_KEY: Final = "ca.key"
SERVER_FILE: Final = "server.pem"
SERVER_KEY: Final = "server.key"

AUTHORITY_VALID: Final = timedelta(days=3_653)
LEAF_VALID: Final = timedelta(days=825)
"""The longest validity that every platform accepts from an authority that its user installed."""
CLOCK_SKEW: Final = timedelta(days=1)
"""Certificates are valid from this long before now, for devices whose clock is behind."""
COMMON_NAME_CHARS_MAX: Final = 64

_HOST: Final = re.compile(r"(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """What people want to know about a certificate. `names` are the names that it is valid for."""

    subject: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    fingerprint: str


# --- making -----------------------------------------------------------------------------------------------------------------


def make_authority(folder: Path, site_name: str, now: datetime) -> None:
    """Make a site's authority: `ca.pem`, which devices trust, and `ca.key`.

    Raises:
        Refused: if the folder has one already; every device would have to install the new one.
        SiteError: if the folder can't be written.
    """
    for file in (AUTHORITY_KEY, AUTHORITY_FILE):
        if (folder / file).exists():
            raise Refused(f"{folder / file} exists already", fix="to make a new authority, which every device must then trust, move the folder away first")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Dockbridge {site_name}"[:COMMON_NAME_CHARS_MAX])])
    certificate = (
        _builder(name, name, key, now, now + AUTHORITY_VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    _store(folder, AUTHORITY_FILE, AUTHORITY_KEY, _pem(certificate), _key_pem(key))


def is_new(folder: Path) -> bool:
    """Whether a folder has no certificates yet. If only some files are missing, they were lost, and must not be replaced without the operator's consent."""
    return not any((folder / name).exists() for name in (AUTHORITY_FILE, AUTHORITY_KEY, SERVER_FILE))


def issue_server(folder: Path, names: Iterable[str], now: datetime) -> None:
    """Make the server's certificate for host names and addresses: `server.pem` and `server.key`. They replace the previous ones. `server.pem` has the authority
    too: a device that redeems a claim knows only its SHA-256, and takes it from the server.

    Raises:
        Refused: if a name can't be part of a certificate.
        SiteError: if the authority can't be read, or the folder can't be written.
    """
    unique = list(dict.fromkeys(names))
    alternatives = x509.SubjectAlternativeName([check_name(n) for n in unique])
    certificate, key = _issue(folder, unique[0], ExtendedKeyUsageOID.SERVER_AUTH, now, alternatives)
    _store(folder, SERVER_FILE, SERVER_KEY, certificate + _pem(_authority(folder)[0]), key)


def issue_device(folder: Path, device: str, now: datetime) -> tuple[bytes, bytes]:
    """Make a certificate by which the server knows a device, and its key (both PEM). The key is not stored here.

    Raises:
        Refused: if the name is too long for a certificate.
        SiteError: if the authority can't be read.
    """
    return _issue(folder, device, ExtendedKeyUsageOID.CLIENT_AUTH, now)


def _issue(
    folder: Path, common_name: str, usage: x509.ObjectIdentifier, now: datetime, alternatives: x509.SubjectAlternativeName | None = None
) -> tuple[bytes, bytes]:
    authority, authority_key = _authority(folder)
    if len(common_name) > COMMON_NAME_CHARS_MAX:
        if alternatives is None:
            raise Refused(f"{common_name} has {len(common_name)} characters; a name in a certificate has at most {COMMON_NAME_CHARS_MAX}", fix="use a password")
        common_name = common_name[:COMMON_NAME_CHARS_MAX]
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    ends = min(now - CLOCK_SKEW + LEAF_VALID, authority.not_valid_after_utc)
    issuer_key = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(subject, authority.subject, key, now, ends)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return _pem(builder.sign(authority_key, hashes.SHA256())), _key_pem(key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, ends: datetime) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def check_name(name: str) -> x509.GeneralName:
    """Convert a host name or address to its form in a certificate.

    Raises:
        Refused: if it is neither.
    """
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        if not is_host_name(name):
            raise Refused(f"{name!r} is not a host name or address", fix="give names such as bridge.example.com or 192.168.1.7") from None
        return x509.DNSName(name)


def is_host_name(name: str) -> bool:
    """Whether a text can be the name of a machine in a certificate."""
    return len(name) <= 253 and all(len(label) <= 63 for label in name.split(".")) and _HOST.fullmatch(name) is not None


# --- reading ----------------------------------------------------------------------------------------------------------------


def describe(pem: bytes) -> Described:
    """Describe the first certificate of a PEM text.

    Raises:
        Refused: if it contains none.
    """
    certificate = _certificate(pem)
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        found = x509.SubjectAlternativeName([])
    addresses = [str(a) for a in found.get_values_for_type(x509.IPAddress)]
    return Described(
        subject=certificate.subject.rfc4514_string(),
        names=(*found.get_values_for_type(x509.DNSName), *addresses),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        fingerprint=fingerprint(pem),
    )


def not_after(pem: bytes) -> datetime:
    """When the first certificate of a PEM text expires.

    Raises:
        Refused: if it contains none.
    """
    return _certificate(pem).not_valid_after_utc


def fingerprint(pem: bytes) -> str:
    """The SHA-256 of the first certificate of a PEM text, as people compare it: `AB:CD:…`.

    Raises:
        Refused: if it contains none.
    """
    return _certificate(pem).fingerprint(hashes.SHA256()).hex(":").upper()


def device_of(pem: bytes) -> tuple[str | None, str]:
    """(common name, SHA-256 as hex) of a device's certificate. The name is None unless there is exactly one.

    Raises:
        Refused: if the text contains no certificate.
    """
    certificate = _certificate(pem)
    names = [str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    return names[0] if len(names) == 1 else None, certificate.fingerprint(hashes.SHA256()).hex()


def is_signed_by(pem: bytes, authority: bytes) -> bool:
    """Whether the first certificate of a PEM text is signed by another one, or is the same.

    Raises:
        Refused: if one of the texts contains none.
    """
    try:
        _certificate(pem).verify_directly_issued_by(_certificate(authority))
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def check_authority(folder: Path) -> None:
    """Make sure that the site's authority can issue certificates.

    Raises:
        SiteError: if it can't.
    """
    _authority(folder)


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise Refused("the file contains no certificate (PEM)", fix="give a file that begins with -----BEGIN CERTIFICATE-----") from error


def _authority(folder: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / AUTHORITY_FILE).read_bytes())
        key = load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        anew = "if they are lost, move the folder away and run `dockbridge certificate renew --host NAME`; every device then needs the new ca.pem"
        raise SiteError(f"the site's authority in {folder} can't be read: {error}", fix=f"restore ca.pem and ca.key from a backup; {anew}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise SiteError(f"{folder / AUTHORITY_KEY} is not the key of {folder / AUTHORITY_FILE}", fix="restore both from the same backup")
    return certificate, key


# --- files ------------------------------------------------------------------------------------------------------------------


def write_pair(folder: Path, certificate_name: str, key_name: str, certificate: bytes, key: bytes) -> None:
    """Write a certificate and its key, which only its owner may read. Each file is either complete or as it was before.

    Raises:
        OSError: if the folder can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    replace_file(folder / key_name, key, 0o600)
    replace_file(folder / certificate_name, certificate, 0o644)


def _store(folder: Path, certificate_name: str, key_name: str, certificate: bytes, key: bytes) -> None:
    try:
        write_pair(folder, certificate_name, key_name, certificate, key)
    except OSError as error:
        raise SiteError(f"{folder} can't be written: {error.strerror}", fix="check the folder's permissions") from error


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


__all__ = [
    "Described",
    "check_authority",
    "check_name",
    "describe",
    "device_of",
    "fingerprint",
    "is_host_name",
    "is_new",
    "is_signed_by",
    "issue_device",
    "issue_server",
    "make_authority",
    "not_after",
    "write_pair",
]
