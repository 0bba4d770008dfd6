"""How tests wait: for the condition itself, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

DEADLINE_S: Final = 10.0
_LOOK_EVERY_S: Final = 0.01


def until(condition: Callable[[], bool], what: str, deadline_s: float = 2 * DEADLINE_S) -> None:
    """Wait until a condition is true. Fails the test after a deadline."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"waited too long for {what}"
        time.sleep(_LOOK_EVERY_S)
