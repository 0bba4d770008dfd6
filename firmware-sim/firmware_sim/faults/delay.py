"""A long way: every packet takes longer."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from firmware_sim.faults.base import Fault, Line, Milliseconds, Packet


class Delay(Fault, tag="delay"):
    """Each packet takes `by_ms` longer, in both directions."""

    by_ms: Milliseconds

    def carry(self, packet: Packet, line: Line, rng: Random) -> Sequence[Packet]:
        packet.delay_ms += self.by_ms
        return (packet,)
