"""A server whose disk is full: nothing is acknowledged until there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from firmware_sim.faults.base import Fault, World


class FullDisk(Fault, tag="full_disk"):
    """While it lasts the database can't grow."""

    NEEDS_SERVER = True

    def begin(self, world: World, devices: Sequence[str], is_on: Callable[[], bool]) -> None:
        world.fill_disk(full=True)

    def end(self, world: World, devices: Sequence[str]) -> None:
        world.fill_disk(full=False)
