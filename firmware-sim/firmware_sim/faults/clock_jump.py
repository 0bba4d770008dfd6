"""Wall clocks that jump: a time server that is wrong, a worker who sets the clock by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from firmware_sim.faults.base import Fault, Seconds, World, again_and_again


class ClockJump(Fault, tag="clock_jump"):
    """Once in `every_s` seconds on average a device's wall clock is moved to somewhere within `up_to_s` seconds of the truth."""

    every_s: Seconds
    up_to_s: float

    def begin(self, world: World, devices: Sequence[str], is_on: Callable[[], bool]) -> None:
        for device in devices:
            again_and_again(world, self.every_s, partial(self._jump, world, device), is_on)

    def _jump(self, world: World, device: str) -> None:
        world.set_clock(device, round(1000 * world.rng.uniform(-self.up_to_s, self.up_to_s)))
