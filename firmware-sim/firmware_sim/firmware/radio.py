"""A device's radio: whether it has a network, whether it has a connection, and when it tries again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from firmware_sim.firmware.actions import Connect, HangUp, Publish
from firmware_sim.firmware.machine import Machine

BACKOFF_FIRST_MS: Final = 100
BACKOFF_MAX_MS: Final = 5_000


class Radio:
    """At most one connection, and the pause before the next.

    Args:
        on_lost: called when a connection ended or could not be made.
    """

    def __init__(self, machine: Machine, on_lost: Callable[[], None]) -> None:
        self.has_signal = True
        """Whether there is a network; without one the device does not try to connect."""
        self.is_online = False
        self.retry_ms = 0
        """Before this time the device does not try to connect."""
        self._machine = machine
        self._on_lost = on_lost
        self._is_connecting = False
        self._failures = 0

    def connect(self, will: Callable[[], Publish]) -> None:
        """Try to connect, if there is a network and it is time."""
        if self.is_online or self._is_connecting or not self.has_signal:
            return
        if self._machine.now_ms < self.retry_ms:
            self._machine.wake_at(self.retry_ms)
            return
        self._is_connecting = True
        self._machine.do(Connect(will()))

    def connect_in(self, ms: int) -> None:
        """Try to connect in so many ms, whatever the backoff says."""
        self._failures = 0
        self.retry_ms = self._machine.now_ms + ms

    def connected(self) -> None:
        self.is_online = True
        self._is_connecting = False
        self._failures = 0

    def lost(self) -> None:
        """The connection is gone, or could not be made: the next try comes after a pause that grows."""
        self.is_online = self._is_connecting = False
        self._on_lost()
        most = min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS << min(self._failures, 10))
        self._failures += 1
        self.retry_ms = self._machine.now_ms + round(most * (0.5 + self._machine.rng.random() / 2))

    def hang_up(self, why: str) -> None:
        """Give the connection up, if there is one."""
        if self.is_online or self._is_connecting:
            self._machine.do(HangUp(why))
            self.lost()

    def lose_signal(self, why: str) -> None:
        """There is no network any more."""
        if self.has_signal:
            self.has_signal = False
            self._machine.note(why)
            self.hang_up(why)

    def find_signal(self, why: str) -> None:
        """There is a network again. The device need not wait for the end of its backoff."""
        if not self.has_signal:
            self.has_signal = True
            self.connect_in(0)
            self._machine.note(why)

    def start_anew(self) -> None:
        """A new boot has no connection, and tries at once."""
        self.lost()
        self._failures = self.retry_ms = 0
