"""Events that an operator sends: the console is a device like others, with a log of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from bridge.shop.events import derived_event_id
from devices.protocol import messages

CONSOLE: Final = "console"
"""The device that events of an operator come from."""
LOG_BYTES: Final = 8


class Console:
    """Numbers the events of one run of the application; each run has a log of its own.

    Args:
        random_bytes: returns so many random bytes.
    """

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self._log = random_bytes(LOG_BYTES)
        self._seq = 0

    def next_event(self, *, now_ms: int, order: str | None, body: Mapping[str, Any], parcel: str | None = None, by: str | None = None) -> bytes:
        """The payload (CBOR) of an event that happens now."""
        self._seq += 1
        event = {
            "id": derived_event_id(now_ms, self._random_bytes(16).hex()),
            "log": self._log,
            "seq": self._seq,
            "boot": self._log,
            "mono_ms": now_ms,
            "at_ms": now_ms,
            "sent_boot": self._log,
            "sent_mono_ms": now_ms,
            "body": dict(body),
        }
        named = {"order": order, "parcel": parcel, "by": by}
        return messages.encode_cbor({**event, **{name: value for name, value in named.items() if value is not None}})
