"""Connections that break, again and again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from firmware_sim.faults.base import Fault, Seconds, World, again_and_again


class Disconnect(Fault, tag="disconnect"):
    """Each device loses its connection once in `every_s` seconds on average."""

    every_s: Seconds

    def begin(self, world: World, devices: Sequence[str], is_on: Callable[[], bool]) -> None:
        for device in devices:
            again_and_again(world, self.every_s, partial(world.cut, device), is_on)
