"""What commands do with the certificates in a site's folder: make, renew and list them, and issue them to devices."""

from __future__ import annotations

import socket
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from bridge import certificates
from bridge.config import CONFIG_NAME, ListenSettings
from bridge.config_file import load
from bridge.errors import Refused
from bridge.pem import check_certificate
from devices.protocol.topics import escape


class CertificateRow(Struct, frozen=True, kw_only=True):
    """One certificate of a site. `certificate` says whose it is: the authority's or the server's."""

    certificate: str
    subject: str
    names: list[str]
    ends_ms: int
    sha256: str
    file: str


class DeviceCertificate(Struct, frozen=True, kw_only=True):
    """A device's certificate as the server knows it (`sha256`, hex) and as people compare it. `files` are the names of those that were written."""

    sha256: str
    fingerprint: str
    files: tuple[str, ...] = ()


def list_certificates(directory: Path) -> list[CertificateRow]:
    """The site's authority and the server's certificate.

    Raises:
        Refused: if the folder has no certificates, or a file can't be read as one.
    """
    listen = load(directory / CONFIG_NAME).listen
    authority = directory / certificates.FOLDER_NAME / certificates.AUTHORITY_FILE
    files = {"authority": authority, "server": directory / listen.tls_cert_file} if listen.tls_cert_file else {"authority": authority}
    rows = [_row(name, path) for name, path in files.items() if path.exists()]
    if not rows:
        raise Refused(f"{directory.absolute()} has no certificates", fix="make one with `dockbridge certificate renew`")
    return rows


def _row(name: str, path: Path) -> CertificateRow:
    check_certificate(path)
    found = certificates.describe(path.read_bytes())
    ends_ms = int(found.not_after.timestamp() * 1000)
    return CertificateRow(certificate=name, subject=found.subject, names=list(found.names), ends_ms=ends_ms, sha256=found.fingerprint, file=str(path))


def renew(directory: Path, hosts: list[str]) -> certificates.Described:
    """Make a new server certificate for these hosts, or, if none are given, for the names of the current certificate.

    Raises:
        Refused: if the configured certificate was not made here, or no hosts are given and the current certificate is missing.
        SiteError: if the site's authority can't be read.
    """
    settings = load(directory / CONFIG_NAME)
    if not is_made_here(settings.listen):
        reason = f"listen.tls_cert_file is {settings.listen.tls_cert_file}, which dockbridge did not make"
        raise Refused(reason, fix="renew it with the tool that made it, then run `dockbridge certificate reload`")
    present = directory / settings.listen.tls_cert_file
    if not hosts and not present.exists():
        # The names are stored nowhere else, and a device rejects a certificate without the name by which it reaches the server.
        fix = "give each name and address by which devices reach this machine: `dockbridge certificate renew --host NAME`"
        raise Refused(f"{present} is missing, so its names are unknown", fix=fix)
    if not hosts:
        check_certificate(present)
    names = [*hosts, *own_names()] if hosts else list(certificates.describe(present.read_bytes()).names)
    return make(directory, settings.site.name, names)


def make(directory: Path, site_name: str, names: list[str]) -> certificates.Described:
    """Make a site's server certificate. If the site has no certificates yet, make its authority first.

    Raises:
        SiteError: if a file of the authority was lost.
    """
    folder, now = directory / certificates.FOLDER_NAME, datetime.now(UTC)
    if certificates.is_new(folder):
        certificates.make_authority(folder, site_name, now)
    certificates.issue_server(folder, names, now)
    return made(directory)


def made(directory: Path) -> certificates.Described:
    """The server's certificate that was made for a site."""
    return certificates.describe((directory / certificates.FOLDER_NAME / certificates.SERVER_FILE).read_bytes())


def check_names(names: list[str]) -> None:
    """Check that names can be part of a certificate, before anything is made.

    Raises:
        Refused: if one can't. It names the first.
    """
    for name in names:
        certificates.check_name(name)


def own_names() -> list[str]:
    """The names and addresses by which this machine reaches itself."""
    name = socket.gethostname()
    return [*([name] if certificates.is_host_name(name) else []), "localhost", "127.0.0.1", "::1"]


def authority_file(directory: Path) -> Path:
    """The certificate that devices trust."""
    return directory / certificates.FOLDER_NAME / certificates.AUTHORITY_FILE


def issue_for_device(directory: Path, device: str, out: Path) -> DeviceCertificate:
    """Make a device's certificate and key, and write them with the authority's certificate to a folder.

    Raises:
        Refused: if the name is too long for a certificate, or the folder can't be written.
        SiteError: if the site's authority can't be read.
    """
    certificate, key = certificates.issue_device(directory / certificates.FOLDER_NAME, device, datetime.now(UTC))
    authority = authority_file(directory).read_bytes()
    names = (f"{escape(device)}.pem", f"{escape(device)}.key", certificates.AUTHORITY_FILE)
    try:
        certificates.write_pair(out, names[0], names[1], certificate, key)
        (out / names[2]).write_bytes(authority)
    except OSError as error:
        fix = "give --out a folder that you may write to; nothing was changed, and the device's current certificate is still valid"
        raise Refused(f"{out} can't be written: {error.strerror}", fix=fix) from error
    return _for_device(certificate, device, names)


def accept_for_device(path: Path, device: str) -> DeviceCertificate:
    """Read a device's certificate that was made elsewhere.

    Raises:
        Refused: if the file can't be read, or the certificate is not for this device.
    """
    try:
        certificate = path.read_bytes()
    except OSError as error:
        raise Refused(f"{path} can't be read: {error.strerror}", fix="give a file with the device's certificate (PEM)") from error
    check_certificate(path)
    return _for_device(certificate, device)


def _for_device(certificate: bytes, device: str, files: tuple[str, ...] = ()) -> DeviceCertificate:
    name, sha256 = certificates.device_of(certificate)
    if name != device:
        raise Refused(f"the certificate is for {name or 'no single name'}, not for {device}", fix="its subject's common name must be the device's name")
    return DeviceCertificate(sha256=sha256, fingerprint=certificates.fingerprint(certificate), files=files)


def is_made_here(listen: ListenSettings) -> bool:
    """Whether the server's certificate is the one that `renew` makes."""
    ours = ListenSettings()
    return (listen.tls_cert_file, listen.tls_key_file) == (ours.tls_cert_file, ours.tls_key_file)
