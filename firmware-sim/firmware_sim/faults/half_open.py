"""A line that is dead while both ends believe in it: a cable pulled between two switches, a carrier's NAT that forgot."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from firmware_sim.faults.base import Fault, Line, Packet, World


class HalfOpen(Fault, tag="half_open"):
    """While it lasts nothing arrives, in either direction, and nobody is told. At its end the connection turns out to be gone."""

    def carry(self, packet: Packet, line: Line, rng: Random) -> Sequence[Packet]:
        return ()

    def end(self, world: World, devices: Sequence[str]) -> None:
        for device in devices:
            world.cut(device)
