"""How long a client may be silent, and how fast it may publish and subscribe. Times are those of a monotonic clock."""

from __future__ import annotations

from typing import Final

from bridge.broker.limits import DoorLimits
from bridge.broker.state import State

BURST_S: Final = 2.0
"""Seconds at `publish_rate_max` that a client may send at once after it was silent."""
KEEP_ALIVE_FACTOR: Final = 1.5
"""A client is closed when it was silent for so many times its keep-alive (§3.1.2.10)."""


class Pace:
    """The timers of one connection."""

    __slots__ = ("_counted_s", "_keep_alive_s", "_paused", "_since_s", "heard_s", "limits", "may_send")

    def __init__(self, limits: DoorLimits, now_s: float) -> None:
        self.may_send = limits.publish_rate_max * BURST_S
        """Messages that the client may still send at once; below 0 nothing more is read for a while."""
        self.heard_s = now_s
        self._since_s = now_s
        """When it began to do what it must finish in time."""
        self._counted_s = now_s
        self._keep_alive_s = 0.0
        self._paused = False
        self.limits = limits

    def authenticating(self, now_s: float) -> None:
        """CONNECT came: the time for the login begins."""
        self._since_s = now_s

    def let_in(self, now_s: float, keep_alive_s: int) -> None:
        """The client is let in: its keep-alive holds from now on."""
        self.heard_s = now_s
        self._keep_alive_s = keep_alive_s * KEEP_ALIVE_FACTOR

    def pause(self, now_s: float, *, paused: bool, is_new: bool) -> None:
        """Nothing is read from the client for a while: its silence is ours."""
        self._paused = paused
        self.heard_s = now_s
        if is_new:
            self._since_s = now_s

    def has_waited(self, now_s: float) -> bool:
        """Whether a login has waited for the store for as long as a client may take to begin one (broker.connect_timeout_s)."""
        return now_s - self._since_s > self.limits.connect_timeout_s

    def too_silent(self, state: State, now_s: float) -> str | None:
        """Why the connection is to be closed for its silence; None if it is not."""
        limits = self.limits
        if state is State.NEW and not self._paused and now_s - self._since_s > limits.connect_timeout_s:
            return "no CONNECT in time (broker.connect_timeout_s)"
        if state in (State.AUTHENTICATING, State.OPENING) and now_s - self._since_s > limits.authentication_timeout_s:
            return "not authenticated in time (broker.authentication_timeout_s)"
        if state is State.OPEN and not self._paused and 0 < self._keep_alive_s < now_s - self.heard_s:
            return "silent for one and a half times its keep-alive (3.1.2-24)"
        return None

    def throttle_s(self, now_s: float) -> float:
        """Seconds for which nothing more is to be read from the client, because it publishes or subscribes faster than it may (broker.publish_rate_max)."""
        rate = self.limits.publish_rate_max
        self.may_send = min(self.may_send + (now_s - self._counted_s) * rate, rate * BURST_S)
        self._counted_s = now_s
        return -self.may_send / rate if self.may_send < 0 else 0.0
