"""The second factor of a login: a code that an app makes from a secret and the time (TOTP, RFC 6238), or a recovery code for a person who has lost the app.

Apps know SHA-1, 6 digits and steps of 30 s, and many know nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

STEP_S: Final = 30
DIGITS: Final = 6
DRIFT_STEPS: Final = 1
"""A code is good one step before its time and one after: clocks differ, and typing takes a while (RFC 6238 §5.2)."""
SECRET_BYTES: Final = 20
"""RFC 4226 §4: 160 bits."""
RECOVERY_CODES: Final = 10
_RECOVERY_BYTES: Final = 10
_GROUP: Final = 4


def new_secret() -> str:
    """A secret in Base32, as apps take it."""
    return base64.b32encode(secrets.token_bytes(SECRET_BYTES)).decode()


def is_secret(secret: str) -> bool:
    """Whether this can be a secret."""
    try:
        return len(base64.b32decode(secret)) == SECRET_BYTES
    except (binascii.Error, ValueError):
        return False


def uri_of(secret: str, site: str, person: str) -> str:
    """The address that an app reads from a QR code."""
    return _totp(secret).get_provisioning_uri(person, f"Dockbridge {site}").replace("+", "%20")  # some apps show a plus sign as it is


def step_at(at_ms: int) -> int:
    """The step of time: its number since 1970."""
    return at_ms // 1000 // STEP_S


def code_of(secret: str, step: int) -> str:
    """The code of a step of time."""
    return _totp(secret).generate(step * STEP_S).decode()


def step_of(secret: str, code: str, at_ms: int) -> int | None:
    """The step of time that a code is of, if that is the present one or one beside it. It takes as long whatever the code is."""
    now, typed = step_at(at_ms), _plain(code).encode()
    found = [step for step in range(max(0, now - DRIFT_STEPS), now + DRIFT_STEPS + 1) if hmac.compare_digest(code_of(secret, step).encode(), typed)]
    return found[-1] if found else None


def new_recovery_codes() -> list[str]:
    """Recovery codes: 80 random bits each, in Base32, in groups of four."""
    made = [base64.b32encode(secrets.token_bytes(_RECOVERY_BYTES)).decode() for _ in range(RECOVERY_CODES)]
    return ["-".join(code[at : at + _GROUP] for at in range(0, len(code), _GROUP)) for code in made]


def recovery_digest(code: str) -> str:
    """What is stored of a recovery code: its SHA-256 (hex). It is quick, because a code is too long to guess."""
    return hashlib.sha256(_plain(code).encode()).hexdigest()


def _plain(code: str) -> str:
    """A code as it is compared, however it was typed."""
    return "".join(code.split()).replace("-", "").upper()


def _totp(secret: str) -> TOTP:
    from cryptography.hazmat.primitives.hashes import SHA1  # most commands ask for no code, and start faster without it
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

    return TOTP(base64.b32decode(secret), DIGITS, SHA1(), STEP_S)  # noqa: S303 -- HMAC-SHA-1, as RFC 6238 has it
