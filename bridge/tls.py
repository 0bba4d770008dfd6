"""TLS contexts from a site's settings. Certificates are made elsewhere (`bridge.certificates`); here they are used."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Final

from bridge.config import ListenSettings
from bridge.errors import BridgeError, ConfigError

RENEW: Final = "`dockbridge certificate renew --host NAME` makes one; or name your own (PEM)"


def server_context(listen: ListenSettings, directory: Path) -> ssl.SSLContext | None:
    """What the TLS listeners of a site speak; None where it has no such listener. Relative files are relative to the site's folder.

    Raises:
        ConfigError: where a file can't be used, naming its setting.
    """
    if not listen.mqtts and not listen.wss:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load_certificate(context, listen, directory)
    if listen.tls_client_ca_file:
        authority = _readable("tls_client_ca_file", directory / listen.tls_client_ca_file, '"tls/ca.pem" is the site\'s own; empty for no client certificates')
        try:
            context.load_verify_locations(authority)
        except ssl.SSLError as error:
            raise ConfigError(f"listen.tls_client_ca_file: there is no certificate in {authority}", fix="give a file of certificates (PEM)") from error
        # Without a certificate a device logs in with its password; a certificate that is shown must be right.
        context.verify_mode = ssl.CERT_OPTIONAL
    return context


def load_certificate(context: ssl.SSLContext, listen: ListenSettings, directory: Path) -> None:
    """Give a context the server's certificate, as it now lies in its file. Connections that stand keep the one before.

    Raises:
        ConfigError: where it can't be used.
    """
    certificate = _readable("tls_cert_file", directory / listen.tls_cert_file, RENEW)
    key = _readable("tls_key_file", directory / listen.tls_key_file, RENEW)
    try:
        context.load_cert_chain(certificate, key, password="")  # an encrypted key is an error, not a question at the terminal
    except (ssl.SSLError, ValueError) as error:
        what = f"listen.tls_cert_file {certificate} and listen.tls_key_file {key} can't be used together"
        reason = getattr(error, "reason", None) or str(error)
        raise ConfigError(f"{what}: {reason}", fix="give a certificate chain (PEM) and its own key (PEM, not encrypted)") from error


def certificate_ends_ms(path: Path) -> int | None:
    """When the first certificate of a file ends, in ms since 1970 UTC; None where there is none to read."""
    from bridge import certificates  # only servers with TLS pay for loading it

    try:
        return int(certificates.not_after(path.read_bytes()).timestamp() * 1000)
    except (OSError, BridgeError):
        return None


def _readable(setting: str, path: Path, fix: str) -> Path:
    try:
        path.open("rb").close()
    except FileNotFoundError as error:
        raise ConfigError(f"listen.{setting}: there is no {path}", fix=fix) from error
    except OSError as error:
        raise ConfigError(f"listen.{setting}: {path} can't be read: {error.strerror}", fix="give it to the user that the server runs as") from error
    return path


__all__ = ["certificate_ends_ms", "load_certificate", "server_context"]
