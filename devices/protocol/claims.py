"""Claims: the text in a QR code with which a device gets its password by itself, once.

    dockbridge:mqtts://bridge.local:8883/ams1/scan-07/K4Q…

    [dockbridge:][mqtts:// | mqtt://] HOST[:PORT][,HOST[:PORT]…] / SITE / DEVICE / CODE

SITE and DEVICE are topic levels (`topics.escape`). CODE is Base32 (RFC 4648, A-Z and 2-7): first the token, `TOKEN_CHARS` long, then the SHA-256 of the
site's authority, which the device compares with the certificate that the server shows. A claim to be typed has only the beginning of the SHA-256, at least
`FINGERPRINT_CHARS_MIN` characters; with none, the device trusts the authorities that it trusts anyway. In CODE, hyphens and case mean nothing.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from typing import Final

from devices.protocol.topics import escape, unescape

CLAIM_PREFIX: Final = "claim:"
"""A client that redeems a claim logs in with this and the device's name as its username; the token is its password."""
SCHEME: Final = "dockbridge:"
TOKEN_CHARS: Final = 20
"""100 bits."""
FINGERPRINT_CHARS_MIN: Final = 20
FINGERPRINT_CHARS: Final = 52
"""A whole SHA-256."""
GROUP_CHARS: Final = 5
ADDRESSES_MAX: Final = 8
"""Addresses in one claim, in the order in which they are tried."""
CLAIM_CHARS_MAX: Final = 2_000
"""Characters of a claim: a longer text is not one."""
PORTS: Final = {"mqtts": 8883, "mqtt": 1883}
_CODE: Final = re.compile(r"[A-Z2-7]+\Z")
_HOST: Final = re.compile(r"[A-Za-z0-9._-]{1,253}\Z")
_FORM: Final = re.compile(r"(?:dockbridge:)?(?:(?P<scheme>mqtts?)://)?(?P<hosts>[^/]+)/(?P<site>[^/]+)/(?P<device>[^/]+)/(?P<code>[^/]+)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A claim. `fingerprint` is the beginning of the authority's SHA-256, or all of it, in Base32; empty if the system's authorities are trusted."""

    addresses: tuple[tuple[str, int], ...]
    site: str
    device: str
    token: str
    fingerprint: str = ""
    tls: bool = True

    @property
    def username(self) -> str:
        return CLAIM_PREFIX + self.device

    def text(self) -> str:
        """The text of the QR code."""
        scheme = "mqtts" if self.tls else "mqtt"
        hosts = ",".join(f"{host}:{port}" for host, port in self.addresses)
        return f"{SCHEME}{scheme}://{hosts}/{escape(self.site)}/{escape(self.device)}/{self.token}{self.fingerprint}"

    def short_text(self) -> str:
        """The same to be typed in: one address, the beginning of the fingerprint, and the code in groups."""
        scheme = "mqtts" if self.tls else "mqtt"
        host, port = self.addresses[0]
        where = host if port == PORTS[scheme] else f"{host}:{port}"
        code = self.token + self.fingerprint[:FINGERPRINT_CHARS_MIN]
        grouped = "-".join(code[at : at + GROUP_CHARS] for at in range(0, len(code), GROUP_CHARS))
        return f"{'' if self.tls else 'mqtt://'}{where}/{escape(self.site)}/{escape(self.device)}/{grouped}"

    def accepts(self, sha256: bytes) -> bool:
        """Whether a certificate with this SHA-256 is the site's authority."""
        return bool(self.fingerprint) and fingerprint_text(sha256).startswith(self.fingerprint)


def fingerprint_text(sha256: bytes) -> str:
    """A SHA-256 as a claim has it."""
    return base64.b32encode(sha256).decode().rstrip("=")


def parse_claim(text: str) -> Claim:
    """Read a claim, from a QR code or typed in.

    Raises:
        ValueError: it is not one. The text itself is not in the message: it is a password.
    """
    found = _FORM.match("".join(text.split())) if len(text) <= CLAIM_CHARS_MAX else None
    if found is None:
        raise ValueError("a claim has the form HOST/SITE/DEVICE/CODE")
    scheme = (found["scheme"] or "mqtts").lower()
    code = found["code"].replace("-", "").upper().replace("0", "O").replace("1", "I").replace("8", "B")
    token, fingerprint = code[:TOKEN_CHARS], code[TOKEN_CHARS:]
    if not _CODE.match(code) or len(token) != TOKEN_CHARS:
        raise ValueError(f"the code of a claim begins with {TOKEN_CHARS} letters and digits")
    if fingerprint and not FINGERPRINT_CHARS_MIN <= len(fingerprint) <= FINGERPRINT_CHARS:
        raise ValueError(f"the code of a claim has {TOKEN_CHARS}, {TOKEN_CHARS + FINGERPRINT_CHARS_MIN} or more characters, not {len(code)}: is it all there?")
    addresses = tuple(_address(part, PORTS[scheme]) for part in found["hosts"].split(","))
    if len(addresses) > ADDRESSES_MAX:
        raise ValueError(f"a claim has at most {ADDRESSES_MAX} addresses")
    site, device = unescape(found["site"]), unescape(found["device"])
    return Claim(addresses=addresses, site=site, device=device, token=token, fingerprint=fingerprint, tls=scheme == "mqtts")


def _address(text: str, default_port: int) -> tuple[str, int]:
    host, _, port = text.partition(":")
    if not _HOST.match(host) or (port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536)):
        raise ValueError(f"{text!r} in a claim is not HOST or HOST:PORT")
    return host, int(port) if port else default_port
