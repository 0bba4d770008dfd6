"""Signatures in the form of Standard Webhooks (standardwebhooks.com, specification 1.0): the receiver knows from whom a request is, and how old it is."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from pathlib import Path
from typing import Final

from bridge.durable import replace_file, sync_folder
from bridge.errors import ConfigError

PREFIX: Final = "whsec_"
NEW_BYTES: Final = 32
BYTES_MIN, BYTES_MAX = 24, 64
"""The length of a secret by the specification."""


def secret_in(path: Path) -> bytes:
    """The secret in a file. If there is no such file, it is made, for its owner only.

    Raises:
        ConfigError: if the file can't be read or written, or holds something else.
    """
    try:
        if not path.exists():
            replace_file(path, f"{PREFIX}{base64.b64encode(secrets.token_bytes(NEW_BYTES)).decode()}\n".encode(), 0o600)
            sync_folder(path.parent)
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"notices.secret_file: {path} can't be used", fix="let the server's user read it; it holds whsec_ and base64") from error
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        if not BYTES_MIN <= len(secret) <= BYTES_MAX:
            raise ValueError(len(secret))
    except (binascii.Error, ValueError) as error:
        fix = "delete the file, and the server makes a new secret; or write one of the receiver's into it"
        raise ConfigError(f"notices.secret_file: {path} holds no secret of {BYTES_MIN} to {BYTES_MAX} bytes in base64", fix=fix) from error
    return secret


def signed_headers(secret: bytes, message_id: str, at_s: int, body: bytes) -> list[tuple[str, str]]:
    """The headers that say which message it is, when it was sent, and that it is from someone who knows the secret."""
    signed = f"{message_id}.{at_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, signed, hashlib.sha256)).decode()
    return [("webhook-id", message_id), ("webhook-timestamp", str(at_s)), ("webhook-signature", f"v1,{signature}")]
