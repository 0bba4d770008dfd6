"""Wall clocks that were never set: a dead battery, a time server that does not answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from firmware_sim.faults.base import Fault, World

BEFORE_1970_MS: Final = -4_102_444_800_000
"""So far back that a clock stands at its beginning, whatever the year of the run."""


class ClockUnset(Fault, tag="clock_unset"):
    """Each device's wall clock stands at 1970, whatever starts anew, until it is set at the end."""

    def begin(self, world: World, devices: Sequence[str], is_on: Callable[[], bool]) -> None:
        for device in devices:
            world.set_clock(device, BEFORE_1970_MS)

    def end(self, world: World, devices: Sequence[str]) -> None:
        for device in devices:
            world.set_clock(device, 0)
