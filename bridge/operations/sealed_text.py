"""What people type as a reason, sealed in a column of text."""

from __future__ import annotations

from typing import Final

from bridge.errors import BridgeError
from bridge.ingest.sealing import Sealer
from bridge.operations.privacy_ports import Opener

ABOUT: Final = b"reason"
SEALED: Final = "sealed:"
"""How such a text begins; one from before there were keys begins otherwise."""
UNREADABLE: Final = "(sealed with a key that is not here)"


def seal_text(sealer: Sealer, text: str) -> str:
    """A text, sealed."""
    return SEALED + sealer.seal(text.encode(), ABOUT).hex() if text else ""


def open_text(opener: Opener, text: str) -> str:
    """A text as it was typed."""
    if not text.startswith(SEALED):
        return text
    try:
        return opener.open(bytes.fromhex(text.removeprefix(SEALED)), ABOUT).decode()
    except (BridgeError, ValueError):
        return UNREADABLE
