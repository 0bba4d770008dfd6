"""Devices that lose power for a moment: flash is kept, memory is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from firmware_sim.faults.base import Fault, Seconds, World, again_and_again


class Reboot(Fault, tag="reboot"):
    """Each device starts anew once in `every_s` seconds on average. With `loses_clock` its wall clock stands in 2020 until somebody sets it."""

    every_s: Seconds
    loses_clock: bool = False

    def begin(self, world: World, devices: Sequence[str], is_on: Callable[[], bool]) -> None:
        for device in devices:
            again_and_again(world, self.every_s, partial(world.reboot, device, loses_clock=self.loses_clock), is_on)
