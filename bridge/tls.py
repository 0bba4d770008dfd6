"""TLS contexts from a site's settings. `bridge.certificates` makes certificates; this module uses them."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from bridge.config import ListenSettings
from bridge.errors import BridgeError, ConfigError

RENEW: Final = "`dockbridge certificate renew --host NAME` makes one; or set the path of your own (PEM)"


def server_context(listen: ListenSettings, directory: Path) -> ssl.SSLContext | None:
    """The TLS context of a site's listeners; None if no listener uses TLS. Relative paths start at the site's folder.

    Raises:
        ConfigError: if a file can't be used. It names the setting.
    """
    if not listen.mqtts and not listen.wss:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(context, listen, directory)
    if listen.tls_client_ca_file:
        file = directory / listen.tls_client_ca_file
        authority = _readable("tls_client_ca_file", file, 'the site\'s own is "tls/ca.pem"; leave it empty for no client certificates')
        try:
            context.load_verify_locations(authority)
        except ssl.SSLError as error:
            from bridge import pem  # loading it takes longer than everything else here

            fault = pem.certificate_fault(authority)
            what, fix = fault if fault is not None else (f"can't be used: {_reason(error)}", "give a file with certificates (PEM)")
            raise ConfigError(f"listen.tls_client_ca_file: {authority} {what}", fix=fix) from error
        # A device without a certificate logs in with its password; a certificate that a device presents must be valid.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def load_certificate(context: ssl.SSLContext, listen: ListenSettings, directory: Path) -> None:
    """Load the server's certificate from its file into a context. Open connections keep the previous certificate.

    Raises:
        ConfigError: if the certificate can't be used.
    """
    certificate = _readable("tls_cert_file", directory / listen.tls_cert_file, RENEW)
    key = _readable("tls_key_file", directory / listen.tls_key_file, RENEW)
    try:
        context.load_cert_chain(certificate, key, password="")  # an encrypted key is an error, not a question at the terminal
    except (ssl.SSLError, ValueError) as error:
        raise _explained(certificate, key, error) from error


def certificate_ends_ms(path: Path) -> int | None:
    """When the first certificate in a file expires, in ms since 1970 UTC; None if the file has no readable certificate."""
    from bridge import certificates  # loaded only if the server uses TLS

    try:
        return int(certificates.not_after(path.read_bytes()).timestamp() * 1000)
    except (OSError, BridgeError):
        return None


def _explained(certificate: Path, key: Path, error: Exception) -> ConfigError:
    """Why a certificate and its key can't be used."""
    from bridge import pem

    if (fault := pem.certificate_fault(certificate)) is not None:
        return ConfigError(f"listen.tls_cert_file: {certificate} {fault.what}", fix=fault.fix)
    if (fault := pem.key_fault(key)) is not None:
        return ConfigError(f"listen.tls_key_file: {key} {fault.what}", fix=fault.fix)
    what = f"listen.tls_cert_file {certificate} and listen.tls_key_file {key} can't be used together"
    if (fault := pem.pair_fault(certificate, key)) is not None:
        return ConfigError(f"{what}: {fault.what}", fix=fault.fix)
    return ConfigError(f"{what}: {_reason(error)}", fix="give a certificate chain (PEM) and its own key (PEM, not encrypted)")


def _reason(error: Exception) -> str:
    """OpenSSL's reason: a constant such as EE_KEY_TOO_SMALL."""
    reason: str | None = getattr(error, "reason", None)
    return reason.replace("_", " ").lower() if reason else str(error)


def _readable(setting: str, path: Path, fix: str) -> Path:
    try:
        path.open("rb").close()
    except FileNotFoundError as error:
        raise ConfigError(f"listen.{setting}: {path} does not exist", fix=fix) from error
    except OSError as error:
        raise ConfigError(f"listen.{setting}: {path} can't be read: {error.strerror}", fix="let the server's user read the file") from error
    return path


__all__ = ["certificate_ends_ms", "load_certificate", "server_context"]
