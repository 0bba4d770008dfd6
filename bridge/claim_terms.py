"""What every claim of a site has: the addresses by which devices reach the server, and the fingerprint of the authority that they are to trust."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bridge import certificates
from bridge.addresses import is_loopback, split_address
from bridge.config import CONFIG_NAME, ListenSettings
from bridge.config_file import load
from bridge.errors import ConfigError, Refused
from bridge.passwords import new_token
from bridge.site_certificates import is_made_here, own_names
from devices.protocol.claims import ADDRESSES_MAX, PORTS, Claim, fingerprint_text

NAMES_TAKEN: Final = 2
"""Names of the server's certificate that stand in a claim: each makes the QR code larger."""


class Terms(NamedTuple):
    """What the claims of a site have in common; `hours` is how long they can be redeemed."""

    site: str
    addresses: tuple[tuple[str, int], ...]
    tls: bool
    fingerprint: str
    hours: float

    def claim(self, device: str) -> Claim:
        """A new claim for a device."""
        return Claim(
            addresses=self.addresses,
            site=self.site,
            device=device,
            token=new_token(),
            fingerprint=self.fingerprint,
            tls=self.tls,
        )


def terms_of(directory: Path, addresses: Sequence[str]) -> Terms:
    """The terms of a site's claims. `addresses` are those that the operator names, as HOST or HOST:PORT; if there are none, they follow from the settings.

    Raises:
        Refused: if there is no address by which a device can reach the server, or the authority can't be read.
    """
    settings = load(directory / CONFIG_NAME)
    listen, tls = settings.listen, bool(settings.listen.mqtts)
    bind = listen.mqtts or listen.mqtt
    if not bind:
        raise Refused(
            "no listener for MQTT over TCP is on: a claim is redeemed over mqtts or mqtt", fix='set listen.mqtts, such as "0.0.0.0:8883", in bridge.toml'
        )
    host, port = split_address("listen.mqtts" if tls else "listen.mqtt", bind)
    found = [_address(text, port or PORTS["mqtts" if tls else "mqtt"]) for text in addresses]
    if not found:
        if not port:
            raise Refused("the server's port is any free one", fix="name it with --address HOST:PORT")
        found = [(name, port) for name in (_names(directory, listen) if tls else [host])][:NAMES_TAKEN]
    if not found or found[0][0] == "0.0.0.0":  # noqa: S104 -- only compared
        fix = "`dockbridge certificate renew --host NAME` adds the name or address by which devices reach this machine; or name it here with --address HOST"
        raise Refused("devices would not find the server: its certificate names this machine only", fix=fix)
    return Terms(settings.site.name, tuple(found[:ADDRESSES_MAX]), tls, _fingerprint(directory, listen) if tls else "", settings.enrolment.claim_h)


def _address(text: str, port: int) -> tuple[str, int]:
    try:
        host, port = split_address("--address", text) if ":" in text else (text, port)
    except ConfigError as error:
        raise Refused(str(error), fix="give HOST or HOST:PORT, such as bridge.example.com:8883") from error
    certificates.check_name(host)
    return host, port


def _names(directory: Path, listen: ListenSettings) -> list[str]:
    """The names in the server's certificate by which another machine may reach it."""
    names = certificates.describe((directory / listen.tls_cert_file).read_bytes()).names
    reachable = [name for name in names if not is_loopback(name) and not name.startswith("*")]
    own = own_names()  # a name that nobody else may know, unless the operator has given no other
    return [name for name in reachable if name not in own] or reachable


def _fingerprint(directory: Path, listen: ListenSettings) -> str:
    """That of the site's own authority; empty if the server's certificate is somebody else's: then devices trust whom they trust anyway."""
    if not is_made_here(listen):
        return ""
    folder = directory / certificates.FOLDER_NAME
    try:
        authority, chain = (folder / certificates.AUTHORITY_FILE).read_bytes(), (directory / listen.tls_cert_file).read_bytes()
    except OSError as error:
        raise Refused(f"{error.filename} can't be read: {error.strerror}", fix="restore the folder tls from a backup") from error
    if authority.strip() not in chain:
        fix = "make it anew with `dockbridge certificate renew`; no restart is needed"
        raise Refused("the server's certificate file is of an earlier version: it lacks the authority, which a device takes from there", fix=fix)
    return fingerprint_text(bytes.fromhex(certificates.fingerprint(authority).replace(":", "")))
