"""Lines in the server's log about what clients do wrong. Who causes them can cause as many as it likes: what is said is bounded, what is not said is counted.

A line names the device if it is known, the address and the reason; no topic, payload or client's text, because those may hold anything.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

logger = logging.getLogger("dockbridge.broker")

EVERY_S: Final = 60.0
"""One device or address gets a line of one kind this often; the next line says how many there were in between."""
LINES_MAX: Final = 20
"""Lines of one kind in so many seconds, from all clients together."""
KNOWN_MAX: Final = 10_000
"""Who is remembered, so that a line is not said again."""
NAME_CHARS_MAX: Final = 96
REASON_CHARS_MAX: Final = 200


class Notices:
    """Says what went wrong, once in a while.

    Args:
        now_s: a monotonic clock.
    """

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._known: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()
        self._lines: dict[str, tuple[float, int]] = {}

    def say(self, what: str, device: str | None, peer: str, reason: str) -> None:
        """Log what went wrong, with whom (device, and `peer` as host:port) and why, unless the same was said a short time ago."""
        host = peer.rpartition(":")[0]  # not the port: each try comes from another
        key = (what, device if device is not None else host)
        now_s = self._now_s()
        said_s, unsaid = self._known.pop(key, (now_s - EVERY_S, 0))
        if now_s - said_s < EVERY_S or not self._has_place(what, now_s):
            self._known[key] = (said_s, unsaid + 1)
        else:
            self._known[key] = (now_s, 0)
            who = f"{device[:NAME_CHARS_MAX]!r} at {host}" if device is not None else host
            more = f" ({unsaid} more since the last such line)" if unsaid else ""
            logger.warning("%s, of %s: %s%s", what, who, reason[:REASON_CHARS_MAX], more)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _has_place(self, what: str, now_s: float) -> bool:
        began_s, lines = self._lines.get(what, (now_s, 0))
        if now_s - began_s >= EVERY_S:
            began_s, lines = now_s, 0
        self._lines[what] = (began_s, lines + 1)
        if lines == LINES_MAX:
            logger.warning("%s: more of that kind; for %d seconds only `dockbridge status` counts them", what, EVERY_S)
        return lines < LINES_MAX


__all__ = ["EVERY_S", "LINES_MAX", "Notices"]
