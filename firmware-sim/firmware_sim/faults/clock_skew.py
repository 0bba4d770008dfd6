"""Wall clocks that are wrong while it lasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firmware_sim.faults.base import Fault, World


class ClockSkew(Fault, tag="clock_skew"):
    """Each device's wall clock is off by up to `up_to_s` seconds, either way, and right again at the end."""

    up_to_s: float

    def begin(self, world: World, devices: Sequence[str], is_on: Callable[[], bool]) -> None:
        for device in devices:
            world.set_clock(device, round(1000 * world.rng.uniform(-self.up_to_s, self.up_to_s)))

    def end(self, world: World, devices: Sequence[str]) -> None:
        for device in devices:
            world.set_clock(device, 0)
