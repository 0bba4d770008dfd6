"""A device as a machine: its name, its clocks, and what one step of it has to go on and asks for."""

from __future__ import annotations

from typing import Final

from devices.protocol.topics import Topics
from firmware_sim.firmware.actions import Action, Note, Randomness, WakeAt

NEWEST_VERSION: Final = 3


class Machine:
    """What every part of a firmware works with: true time and the device's own clocks, chance, and the actions of the present step.

    Args:
        speed: pauses of people and roads are divided by it. What the network needs (backoff, patience) is not.
        skew_ms: how far the device's wall clock is off.
        version: what the firmware sends. 3: as the contract has it now. 2: with a field that is gone since, and without who scanned. 1: JSON.
    """

    def __init__(self, *, site: str, device: str, speed: float, skew_ms: int, version: int) -> None:
        self.device = device
        self.topics = Topics(site)
        self.speed = speed
        self.version = version
        self.now_ms = 0
        """True time, ms since 1970 UTC."""
        self.boot = b""
        self.rng: Randomness
        self.skew_ms = skew_ms
        """How far the wall clock is off now."""
        self.booted_ms = 0
        """True time at which the monotonic clock of this boot stood at 0."""
        self._actions: list[Action] = []
        self._wakes: list[int] = []

    # --- the present step -------------------------------------------------------------------------------------------------

    def begin_step(self, now_ms: int, rng: Randomness) -> None:
        self.now_ms = now_ms
        self.rng = rng
        self._actions = []
        self._wakes = []

    def end_step(self) -> list[Action]:
        """What the step asked for, and when the next one is due."""
        if self._wakes:
            self.do(WakeAt(max(self.now_ms + 1, min(self._wakes))))
        return self._actions

    def do(self, action: Action) -> None:
        self._actions.append(action)

    def note(self, text: str) -> None:
        """Say something to the reader of the record."""
        self.do(Note(text))

    def wake_at(self, at_ms: int) -> None:
        """Ask for a step at this time; the earliest time that is asked for holds."""
        self._wakes.append(at_ms)

    # --- clocks -----------------------------------------------------------------------------------------------------------

    @property
    def mono_ms(self) -> int:
        return self.now_ms - self.booted_ms

    @property
    def wall_ms(self) -> int:
        return max(0, self.now_ms + self.skew_ms)

    def set_wall_clock(self, skew_ms: int) -> None:
        self.skew_ms = skew_ms

    def start_boot(self, booted_ms: int) -> None:
        """A new boot, with a monotonic clock of its own."""
        self.boot = self.rng.randbytes(8)
        self.booted_ms = booted_ms

    def pause_ms(self, ms: float) -> int:
        """How long something takes that takes `ms` in real life."""
        return round(ms / self.speed)
