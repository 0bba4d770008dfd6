"""How late the event loop is: how long its timers wait for their turn."""

from __future__ import annotations

from typing import Final

WINDOW_S: Final = 30.0


class Lag:
    """Remembers the worst of the last 30 to 60 seconds."""

    def __init__(self) -> None:
        self._worst_s = self._worst_before_s = 0.0
        self._since_s = 0.0

    def add(self, late_s: float, now_s: float) -> None:
        """A timer came so late."""
        self._turn(now_s)
        self._worst_s = max(self._worst_s, late_s)

    def worst_s(self, now_s: float) -> float:
        self._turn(now_s)
        return max(self._worst_s, self._worst_before_s)

    def _turn(self, now_s: float) -> None:
        if (windows := (now_s - self._since_s) / WINDOW_S) >= 1:
            self._worst_before_s = self._worst_s if windows < 2 else 0.0
            self._worst_s, self._since_s = 0.0, now_s
