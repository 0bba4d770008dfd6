"""What operations need to deal with personal data."""

from __future__ import annotations

from typing import Protocol


class Opener(Protocol):
    """Opens what was sealed with the site's keys."""

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """Raises:
        BridgeError: if its key is missing, or it is damaged.
        """
        ...
