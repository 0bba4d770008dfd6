"""Secrets of devices, tokens of claims and of people's commands: made at random, shown once, stored as hashes."""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from devices.protocol.claims import TOKEN_CHARS

SECRET_BYTES: Final = 18
PERSON_TOKEN_BYTES: Final = 32
PERSON_TOKEN_PREFIX: Final = "dockbridge_"  # noqa: S105 -- how every token begins
HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
"""OWASP's first choice for argon2id (RFC 9106): 19 MiB, two passes. Secrets are random and long, so guessing is hopeless at any cost setting."""


def new_secret() -> str:
    """A secret that can be used on a command line: it does not begin with `-`, which would look like an option."""
    while (secret := secrets.token_urlsafe(SECRET_BYTES)).startswith("-"):
        pass
    return secret


def hash_secret(secret: str) -> str:
    """What is stored of a secret. Slow on purpose."""
    return HASHER.hash(secret)


def matches(password_hash: str, secret: str) -> bool:
    """Whether a hash is that of a secret. Slow on purpose."""
    try:
        return HASHER.verify(password_hash, secret)
    except (Argon2Error, InvalidHashError):
        return False


def new_token() -> str:
    """The token of a claim: 100 random bits in Base32."""
    return base64.b32encode(secrets.token_bytes(TOKEN_CHARS)).decode()[:TOKEN_CHARS]


def token_digest(token: str) -> str:
    """What is stored of a token: its SHA-256 (hex). It is quick, because a token is random, and worth nothing after a day."""
    return hashlib.sha256(token.upper().encode()).hexdigest()


def new_person_token() -> str:
    """The token of a person's commands: 256 random bits, and a beginning by which programs that look for leaked secrets know it."""
    return PERSON_TOKEN_PREFIX + secrets.token_urlsafe(PERSON_TOKEN_BYTES)


def person_token_digest(token: str) -> str:
    """What is stored of a person's token: its SHA-256 (hex). It is quick, because a token is too long to guess."""
    return hashlib.sha256(token.encode()).hexdigest()
